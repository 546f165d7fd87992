"""Upper bounds from an order of the columns: the fewest sign changes per row that a search finds."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from limitbench.theory.matrix import Reduced

if TYPE_CHECKING:
    from scipy import sparse

_MOST_PAIRS = 2_000_000  # of columns in one row, over all rows
_STALLED = 300
_RATE = 0.15


def changes(matrix: sparse.csr_array, place: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """The number of sign changes of each row when column c stands at place[c]. O(judgements log)."""
    m, n = matrix.shape
    rows = np.repeat(np.arange(m), np.diff(matrix.indptr))
    keys = np.sort(rows * n + place[matrix.indices])
    at = keys - rows * n  # rows ascend in the sorted keys as they do in CSR
    new_run = np.ones(len(at), bool)
    if len(at) > 1:
        new_run[1:] = (rows[1:] != rows[:-1]) | (at[1:] != at[:-1] + 1)
    runs = np.bincount(rows[new_run], minlength=m)
    first = np.bincount(rows[at == 0], minlength=m)
    last = np.bincount(rows[at == n - 1], minlength=m)
    return np.asarray(2 * runs - first - last, np.int64)


def best_order(
    reduced: Reduced, *, deadline: float, rng: np.random.Generator, floor: int = 1
) -> tuple[npt.NDArray[np.int64], int]:
    """(order of the reduced columns, the most sign changes of any row) - the best found before the deadline.

    Tries the given order, reverse Cuthill-McKee on the bipartite graph of rows and columns (scipy), weighted paths for two thirds
    of the time, the Fiedler order of the co-occurrence graph for up to 2,000 columns, then moves of single columns. Stops at
    `floor` changes, which a lower bound shows to be the best.
    """
    matrix, n = reduced.matrix, reduced.shape[1]

    def worst(order: npt.NDArray[np.int64]) -> int:
        place = np.empty(n, np.int64)
        place[order] = np.arange(n)
        return int(changes(matrix, place).max(initial=0))

    best = np.arange(n)
    value = worst(best)
    start = time.monotonic()

    def paths(matrix: sparse.csr_array) -> npt.NDArray[np.int64]:
        return _weighted_paths(matrix, floor, start + (deadline - start) * 2 / 3, rng)[0]

    for make in (_cuthill_mckee, paths, *([_fiedler] if n <= 2000 else [])):
        if value <= floor or time.monotonic() > deadline:
            return best, value
        order = make(matrix)
        if (found := worst(order)) < value:
            best, value = order, found
    if matrix.nnz > 200_000:
        return best, value
    return _local(matrix, best, floor, deadline, rng)


def _cuthill_mckee(matrix: sparse.csr_array) -> npt.NDArray[np.int64]:
    from scipy import sparse
    from scipy.sparse.csgraph import reverse_cuthill_mckee

    m = matrix.shape[0]
    parts: Any = [[None, matrix], [matrix.T, None]]  # rows and columns as one bipartite graph
    both = sparse.csr_array(sparse.block_array(parts))
    order = reverse_cuthill_mckee(both.astype(np.int32), symmetric_mode=True)
    return np.asarray(order[order >= m] - m, np.int64)


def _fiedler(matrix: sparse.csr_array) -> npt.NDArray[np.int64]:
    together = np.asarray((matrix.T @ matrix).toarray(), float)
    np.fill_diagonal(together, 0)
    laplacian = np.diag(together.sum(axis=1)) - together
    _, vectors = np.linalg.eigh(laplacian)
    return np.argsort(vectors[:, min(1, len(vectors) - 1)], kind="stable").astype(np.int64)


def _weighted_paths(
    matrix: sparse.csr_array, floor: int, deadline: float, rng: np.random.Generator
) -> tuple[npt.NDArray[np.int64], int]:
    """(order, most changes of a row): a path through the columns whose neighbours share many rows, again and again.

    A row of s columns in r runs has s - r pairs of neighbours in it, and 2r changes. So a path of large total weight of shared rows
    has few changes; rows with many changes weigh more the next time (multiplicative weights), which evens them out. Gives up after
    `_STALLED` paths that are no better. Where rows are so wide that pairs are too many, no path is made.
    """
    m, n = matrix.shape
    best, value = np.arange(n), 2 * n
    if int((np.diff(matrix.indptr).astype(np.int64) ** 2).sum()) > _MOST_PAIRS:
        return best, value
    weights, since = np.zeros(m), 0
    while value > floor and since < _STALLED and time.monotonic() < deadline:
        order = _path(matrix, np.exp(weights - weights.max()), rng)
        place = np.empty(n, np.int64)
        place[order] = np.arange(n)
        counts = changes(matrix, place)
        worst = int(counts.max())
        since += 1
        if worst < value:
            best, value, since = order, worst, 0
        weights += _RATE * (counts / worst) ** 8
    return best, value


def _path(
    matrix: sparse.csr_array, weights: npt.NDArray[np.float64], rng: np.random.Generator
) -> npt.NDArray[np.int64]:
    """An order of the columns: pairs in order of the weight of the rows that they share, where they join the ends of two paths."""
    from scipy import sparse

    n = matrix.shape[1]
    single = matrix.astype(np.float64)
    shared = sparse.coo_array(sparse.triu(single.T @ (sparse.diags_array(weights) @ single), 1))
    heaviest = np.argsort(-shared.data * (1 + 1e-3 * rng.random(len(shared.data))), kind="stable")
    end_of = list(range(n))  # of an end of a path: its other end
    free = [2] * n
    near: list[list[int]] = [[] for _ in range(n)]
    for a, b in zip(*(axis[heaviest].tolist() for axis in shared.coords), strict=True):
        if free[a] and free[b] and end_of[a] != b:
            free[a], free[b] = free[a] - 1, free[b] - 1
            near[a].append(b)
            near[b].append(a)
            first, last = end_of[a], end_of[b]
            end_of[first], end_of[last] = last, first
    out: list[int] = []
    seen = [False] * n
    for start in range(n):
        at: int | None = start if free[start] and not seen[start] else None
        while at is not None:
            seen[at] = True
            out.append(at)
            at = next((other for other in near[at] if not seen[other]), None)
    return np.array(out, np.int64)


def _local(
    matrix: sparse.csr_array,
    order: npt.NDArray[np.int64],
    floor: int,
    deadline: float,
    rng: np.random.Generator,
) -> tuple[npt.NDArray[np.int64], int]:
    """Move one column at a time; accept where (worst, number of worst rows, total) does not grow."""
    n = len(order)

    def cost(candidate: npt.NDArray[np.int64]) -> tuple[int, int, int]:
        place = np.empty(n, np.int64)
        place[candidate] = np.arange(n)
        counts = changes(matrix, place)
        worst = int(counts.max(initial=0))
        return worst, int((counts == worst).sum()), int(counts.sum())

    current, at = order, cost(order)
    best, best_cost = order, at
    steps = 0
    while best_cost[0] > floor and time.monotonic() < deadline and steps < 4000 and n > 2:
        steps += 1
        source, target = rng.integers(0, n, 2)
        moved = np.delete(current, source)
        moved = np.insert(moved, target, current[source])
        now = cost(moved)
        if now <= at:
            current, at = moved, now
            if now < best_cost:
                best, best_cost = moved, now
    return best, best_cost[0]
