"""Upper bounds from ranks over the rationals (theory/ranks.md). Floating point proposes a rank; the checker eliminates exactly."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from limitbench.theory.bounds import Bound
from limitbench.theory.case import Case


def bounds(case: Case) -> Iterator[Bound]:
    """The bound of one rank, of a matrix that is small enough for exact elimination."""
    m, n = case.m, case.n
    if min(m, n) > 128 or m * n > 200_000:
        return
    a = case.reduced.dense.astype(float)
    if case.notion == "global_threshold":
        value, what = _rank(a), "rank(A)"
    elif case.signs:
        value, what = _rank(2 * a - 1), "rank(2A - 1)"
    else:
        value, what = _rank(np.vstack([np.ones(n), a])) - 1, "rank([A; 1]) - 1"
        value += case.notion == "cosine"
    yield case.bound("upper", max(value, 1), "rank", {}, detail=what)


def _rank(a: np.ndarray[tuple[int, int], np.dtype[np.float64]]) -> int:
    return int(np.linalg.matrix_rank(a))
