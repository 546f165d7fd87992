"""Symmetric codes: documents on the orbit of a cyclic group, with the half-gap of their queries."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import Any

from limitbench.certificates.claims import Proof
from limitbench.certificates.matrices import AllSubsets, Matrix
from limitbench.certificates.orbits import check as check_orbit
from limitbench.certificates.work import Steps, require


def proofs(matrix: Matrix, data: Mapping[str, Any], steps: Steps) -> list[Proof]:
    """Documents on the orbit of a cyclic group, with queries that give every set the half-gap of the data (`certificates.orbits`).

    All documents have one length, so that cosines order as inner products do.
    """
    require(isinstance(matrix, AllSubsets) and not matrix.at_most, "an orbit is about all k-subsets")
    assert isinstance(matrix, AllSubsets)
    half_gap = data["half_gap"]
    above, _, below = half_gap.partition("/") if isinstance(half_gap, str) and len(half_gap) <= 64 else ("", "", "")
    require(above.isdigit() and below.isdigit() and int(below) > 0, "the half-gap must be a short text such as 1/1000")
    f, a, queries = (data[name] for name in ("frequencies", "amplitudes", "queries"))
    require(
        all(isinstance(one, list) for one in (f, a, queries)) and all(isinstance(one, list) for one in queries),
        "frequencies, amplitudes or queries are no lists",
    )
    d = check_orbit(matrix.n, matrix.k, f, a, queries, Fraction(int(above), int(below)), steps.spend)
    return [("order_preserving", "upper", d), ("cosine", "upper", d)]
