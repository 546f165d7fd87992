"""Antipodal shattering: a lower bound from columns on which every sign pattern is a row, up to sign."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from limitbench.certificates.claims import Proof
from limitbench.certificates.kinds.patterns import patterns
from limitbench.certificates.matrices import AllSubsets, Matrix
from limitbench.certificates.work import Steps, numbers, require


def proofs(matrix: Matrix, data: Mapping[str, Any], steps: Steps) -> list[Proof]:
    """Antipodal shattering: every sign pattern on the columns T is a row, up to sign.

    Were there a linear dependency among the |T| vectors, a row that agrees with its signs on its support, or the
    opposite row, would contradict it; so pm >= |T|. For affine dependencies only the nonconstant patterns are needed,
    and rop >= |T| - 1.
    """
    if "size" in data:
        require(isinstance(matrix, AllSubsets), "'size' instead of columns is for all-subset matrices")
        assert isinstance(matrix, AllSubsets)
        t = data["size"]
        require(type(t) is int and 1 <= t <= matrix.n, "the size must be a number of documents")
        (a, b), (c, d) = sorted(matrix.covered(t))
        constants_missing = a > 0
        others_missing = t > 1 and not (a <= 1 and max(b, d) >= t - 1 and c <= b + 1)
    else:
        columns = numbers(data["columns"], matrix.n_documents, "columns")
        t = len(columns)
        require(1 <= t <= 20, "expected 1 to 20 columns")
        found = patterns(matrix, columns, data.get("rows"), steps)
        every = (1 << t) - 1
        constants_missing = not {0, every} & found
        others_missing = any(s not in found and every - s not in found for s in range(1, every))
    require(not others_missing, f"some sign pattern on the {t} columns is no row, nor its opposite")
    proofs: list[Proof] = [("order_preserving", "lower", t - 1)]
    if not constants_missing:
        proofs.append(("sign_rank", "lower", t))
    return proofs
