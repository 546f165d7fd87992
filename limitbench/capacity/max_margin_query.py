"""The best query for a set of documents, exactly: a convex problem per query, whatever the optimizer left behind.

For documents v (n, d) and a relevant set S, the direction u that maximises the gap min_S <u, v_p> - max_rest <u, v_j> over
unit u is that of the shortest w with <w, v_p - v_j> >= 1 for all p in S and j outside: least distance programming, solved by
non-negative least squares (Lawson and Hanson 1974, ch. 23). Few of the |S| (n - |S|) differences matter, so they enter as
they are found violated.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy.optimize import nnls

Floats = npt.NDArray[np.float64]
_ROUNDS = 60
_LARGEST = 1e100


@dataclass(frozen=True)
class QueryAnswer:
    """The answer for one query.

    `status` is "separated" (u is unit, `gap` > 0 is its gap), "infeasible" (floating point found no separating direction: a
    measurement, not a proof) or "breakdown" (the numbers do not allow an answer). `gap` is 0 unless separated.
    """

    status: Literal["separated", "infeasible", "breakdown"]
    u: Floats | None
    gap: float


def best_query(v: Floats, relevant: Sequence[int], start: Floats | None = None) -> QueryAnswer:
    """The unit query (d,) of largest gap for documents v (n, d), beginning with the rivals that `start` (d,) ranks high."""
    inside = sorted(set(map(int, relevant)))
    rest = np.ones(len(v), bool)
    rest[inside] = False
    others = np.flatnonzero(rest)
    if not inside or not len(others):
        u = np.zeros(v.shape[1])
        u[0] = 1.0
        return QueryAnswer("separated", u, np.inf)
    if not np.abs(v).max() < _LARGEST:  # NaN and infinities too
        return QueryAnswer("breakdown", None, 0.0)
    guess = v[inside].mean(0) - v.mean(0) if start is None else start
    first = (v[others] @ guess).argsort()[::-1][: 4 * v.shape[1] + 8]
    known = np.zeros(len(v), bool)  # the rivals that have entered
    known[others[first]] = True
    few = v.shape[1] + 4
    for _ in range(_ROUNDS):
        differences = (v[inside][:, None, :] - v[known][None, :, :]).reshape(-1, v.shape[1])
        w = _least_distance(differences)
        if isinstance(w, str):
            return QueryAnswer(w, None, 0.0)
        length = math.sqrt(w @ w)
        u = w / length
        scores = v @ u
        low = scores[inside].min()
        violated = np.flatnonzero(rest & ~known & (scores > low - (1 - 1e-6) / length))
        if not len(violated):
            gap = float(low - scores[others].max())
            return QueryAnswer("separated", u, gap) if gap > 0 else QueryAnswer("breakdown", None, 0.0)
        known[violated[scores[violated].argsort()[::-1][:few]]] = True
    return QueryAnswer("breakdown", None, 0.0)


def _least_distance(g: Floats) -> Floats | Literal["infeasible", "breakdown"]:
    """The shortest w with g w >= 1, by NNLS on [g^T; 1^T] x = (0, ..., 0, 1)."""
    size = np.abs(g).max()
    if size == 0:
        return "infeasible"
    matrix = np.vstack([g.T / size, np.ones(len(g))])
    target = np.zeros(len(matrix))
    target[-1] = 1.0
    try:
        x, norm = nnls(matrix, target, maxiter=30 * matrix.shape[1])
    except (RuntimeError, ValueError):
        return "breakdown"
    if norm < 1e-9:  # the differences balance out: 0 is in their convex hull
        return "infeasible"
    residual = matrix @ x - target
    if residual[-1] >= 0:
        return "breakdown"
    return np.asarray(-residual[:-1] / residual[-1] / size)
