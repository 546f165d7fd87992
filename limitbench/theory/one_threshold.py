"""One threshold for all queries, from an embedding that orders documents: by moving the documents and stretching the queries.

Let query u order the documents, with l its least relevant score and h its largest other one. Documents v + c give it l + u.c and
h + u.c. Where l + u.c > 0 for all queries, each can be stretched so that its gap holds one threshold T: between T / (l + u.c) and
T / (h + u.c) lies an integer factor for large T. A linear program finds c in floating point; integers check it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from limitbench.relevance import Qrels
from limitbench.theory.bounds import Bound

_MOST = 1 << 40  # of a coordinate, so that scores stay exact in 64 bits for up to 2^20 of them, after scaling
_SCALE = 1 << 10  # of the documents, before c is rounded
_ENTRIES = 4_000_000  # scores that are looked at together


def with_one_threshold(bound: Bound, qrels: Qrels) -> Bound | None:
    """The same number of dimensions as a bound on the global-threshold rank, of an order-preserving bound by an embedding.

    None where the linear program finds no place for the documents, a query asks for all documents, or numbers grow too large.
    """
    proof = bound.certificate
    m, n = qrels.shape
    if proof is None or proof.kind != "embedding" or m * n > _ENTRIES or (qrels.sizes == n).any():
        return None
    u, v = (np.array(proof.data[side], object) for side in ("u", "v"))
    relevant = qrels.dense() > 0
    found = _moved(u, v, relevant, qrels.sizes > 0)
    if found is None:
        return None
    moved, least, largest = found
    threshold, factors = _stretched(least, largest)
    queries = [[int(f) * int(x) for x in row] for f, row in zip(factors, u.tolist(), strict=True)]
    data = {"u": queries, "v": moved.tolist(), "threshold": threshold}
    claim = replace(proof, notion="global_threshold", data=data)
    detail = f"{bound.detail}; documents moved and queries stretched to one threshold"
    return replace(bound, notion="global_threshold", certificate=claim, detail=detail)


def _moved(
    u: npt.NDArray[np.object_], v: npt.NDArray[np.object_], relevant: npt.NDArray[np.bool_], asks: npt.NDArray[np.bool_]
) -> tuple[npt.NDArray[np.object_], list[int], list[int]] | None:
    """(documents, least relevant score, largest other score of each query) with every least score above 0; or None.

    A query that asks for nothing has least score 1 and largest 0: its vector is 0.
    """
    least, largest = _gaps(u, v, relevant, asks)
    if min(least) > 0:
        return v, least, largest
    from scipy.optimize import linprog  # slow to import, and closed forms need none of it

    rows = np.flatnonzero(asks)
    directions = u[rows].astype(float)
    lengths = np.maximum(np.linalg.norm(directions, axis=1), 1e-300)
    d = u.shape[1]
    limits = np.array([float(least[q]) for q in rows]) / lengths
    answer = linprog(
        np.r_[np.zeros(d), -1.0],
        A_ub=np.c_[-directions / lengths[:, None], np.ones(len(rows))],
        b_ub=limits,
        bounds=[(None, None)] * d + [(None, float(np.abs(limits).max()))],
    )
    place: Any = answer.x
    if answer.status != 0 or place[-1] <= 0 or np.abs(place).max() * _SCALE > _MOST:
        return None
    shift: Any = [int(x) for x in np.rint(place[:d] * _SCALE)]
    moved = v * _SCALE + np.array(shift, object)
    least, largest = _gaps(u, moved, relevant, asks)
    return (moved, least, largest) if min(least) > 0 else None


def _gaps(
    u: npt.NDArray[np.object_], v: npt.NDArray[np.object_], relevant: npt.NDArray[np.bool_], asks: npt.NDArray[np.bool_]
) -> tuple[list[int], list[int]]:
    """The least relevant and the largest other score of each query, exact."""
    scores = u @ v.T
    least = [min(row[wanted]) if some else 1 for row, wanted, some in zip(scores, relevant, asks, strict=True)]
    largest = [max(row[~wanted]) if some else 0 for row, wanted, some in zip(scores, relevant, asks, strict=True)]
    return least, largest


def _stretched(least: Sequence[int], largest: Sequence[int]) -> tuple[int, list[int]]:
    """(threshold, factor of every query): factor x largest < threshold < factor x least, in whole numbers.

    Between T / l and T / h, for h > 0, lies an integer where T (1 / h - 1 / l) > 1; every factor above T / l does where h <= 0.
    """
    threshold = 1 + max(max(h, 1) * low // (low - h) for low, h in zip(least, largest, strict=True)) * 2
    return threshold, [threshold // low + 1 for low in least]
