"""What is proved of two stages: when a set is among the candidates, and when it cannot be (theory/two-stages.md)."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from limitbench.certificates.kinds.closed_form import closed_form
from limitbench.design_proof.counting import MOST_DIMENSIONS, Checker, code, lists, require, subsets
from limitbench.design_proof.systems import Answer, TwoStages
from limitbench.dtypes import DTYPES


def _first_stage_rank(n: int, k: int, system: TwoStages, _data: Mapping[str, Any]) -> None:
    """The first stage returns every set by itself."""
    require(
        system.dtype == "real" and system.dim >= closed_form(n, k, "order_preserving"),
        "fewer dimensions than the order-preserving rank",
    )


def _first_stage_code(n: int, k: int, system: TwoStages, data: Mapping[str, Any]) -> None:
    """0/1 graphs of polynomials; the query is the indicator of the union: the first stage returns every set by itself."""
    q, r, points = code(data, n)
    require(k * r < points and q * points <= system.dim, "expected k degree < points and q points dimensions")


def _everything(n: int, _k: int, system: TwoStages, _data: Mapping[str, Any]) -> None:
    """All documents are candidates."""
    require(system.candidates >= n, "some documents are no candidates")


def _merged_gaps(n: int, k: int, system: TwoStages, _data: Mapping[str, Any]) -> None:
    """Documents on a circle: a query is high on as many arcs as it has pairs of dimensions, and the smallest gaps are let in."""
    require(system.dtype == "real", "the curve is of exact real numbers")
    missing = k - system.dim // 2
    require(missing >= 1 and system.dim >= 2, "this is about 2 to 2k - 1 dimensions")
    let_in = missing * (n - k) // k
    if system.dim == 2 * k - 1:
        let_in = min(let_in, (n - k) // (k + 1))
    require(system.candidates >= k + let_in, f"{k + let_in} candidates are needed")


@lru_cache(maxsize=256)
def least_by_radon(n: int, d: int) -> int:
    """The least number of candidates that Radon's theorem leaves open for k-subsets in d <= 2k - 1 dimensions, d + 2 <= n."""
    sides, ways, least = (d + 2) // 2, 1, n
    for j in range(1, sides + 1):
        ways = ways * (d + 3 - j) // j  # C(d + 2, j)
        least = min(least, j - (j - n) // (sides * (d + 2 - j) * ways))
        if j >= least:
            break
    return least


def _radon(n: int, k: int, system: TwoStages, _data: Mapping[str, Any]) -> None:
    """d + 2 documents part into two sides whose hulls meet: a share of all documents scores above the lowest of some set."""
    d = system.dim
    require(d <= 2 * k - 1 and d + 2 <= n and d <= MOST_DIMENSIONS, "this is about fewer than 2k dimensions")
    require(system.candidates < least_by_radon(n, d), "so many candidates are not excluded")


def _centrepoint(n: int, k: int, system: TwoStages, _data: Mapping[str, Any]) -> None:
    """A centrepoint is within d + 1 documents; every half-space that holds them has n / (d + 1) documents."""
    require(system.dim <= k - 1, "this is about fewer than k dimensions")
    require(system.candidates < -(-n // (system.dim + 1)), "so many candidates are not excluded")


def _candidates_count(n: int, k: int, system: TwoStages, _data: Mapping[str, Any]) -> None:
    """A list of c candidates serves C(c, k) sets at most, and there are only so many lists."""
    c, d, bits = system.candidates, system.dim, DTYPES[system.dtype].bits
    require(c < n, "all documents are candidates")
    sets, served = subsets(n, k), subsets(c, k)
    if bits is not None and bits * d < sets.bit_length() and served << (bits * d) < sets:
        return
    require(d < n and served * lists(n, d, c) < sets, "there are lists enough")


CHECKERS: dict[str, tuple[Answer, Checker]] = {
    "first-stage-rank": ("possible", _first_stage_rank),
    "first-stage-code": ("possible", _first_stage_code),
    "everything": ("possible", _everything),
    "merged-gaps": ("possible", _merged_gaps),
    "radon": ("impossible", _radon),
    "centrepoint": ("impossible", _centrepoint),
    "candidates-count": ("impossible", _candidates_count),
}
