"""Upper bounds of a matrix that falls into blocks, each bounded by itself (theory/blocks.md)."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from limitbench.relevance import Qrels
from limitbench.theory import orders
from limitbench.theory.bounds import Bound
from limitbench.theory.case import Case
from limitbench.theory.matrix import Reduced, reduce
from limitbench.theory.methods.embeddings import row_of

_SHARE = 0.1  # of the time left


def bounds(case: Case) -> Iterator[Bound]:
    """The bound of the worst block, where it is better than what is known; in a tenth of the time."""
    found = _bound(case, case.until(_SHARE))
    if found is not None:
        yield found


def _bound(case: Case, deadline: float) -> Bound | None:
    """The bound of a matrix that falls into blocks, from sign changes and degrees inside each; None unless it is below the best
    that is known.

    Blocks of large degree come first: once one is as bad as that, the others need not be looked at. A block whose degree is no
    worse than what was found needs no order.
    """
    qrels, known = case.qrels, case.upper
    if case.notion == "global_threshold" or qrels.n_documents > 200_000:
        return None
    columns_of, rows_of = _components(qrels)
    lonely = [c for label, columns in columns_of.items() if label not in rows_of for c in columns]
    sizes = qrels.sizes
    blocks = len(rows_of) + bool(lonely)
    if not 2 <= blocks <= 20_000:
        return None
    more = (1 if blocks == 2 else 2) + (case.notion != "order_preserving")

    def degree(label: int) -> int:
        width = len(columns_of[label])
        return 2 * max(min(int(size), width - int(size)) for size in sizes[rows_of[label]])

    parts, worst = [], 0
    for least, label in sorted(((degree(label), label) for label in rows_of), reverse=True):
        columns, kind, data, value = columns_of[label], "moment-curve", {}, least
        if least > worst:
            inside, order, found = _ordered(qrels, rows_of[label], columns, deadline, case.rng)
            if found < least:
                at = np.empty(len(order), np.int64)
                at[order] = np.arange(len(order))
                spread = np.lexsort((np.arange(len(columns)), at[inside.column_of]))
                kind, data, value = "sign-changes", {"order": spread.tolist()}, found
        worst = max(worst, value)
        if worst + more >= known:
            return None
        parts.append({"columns": columns, "kind": kind, "data": data})
    if lonely:
        parts.append({"columns": lonely, "kind": "trivial", "data": {}})
    detail = f"{len(parts)} blocks, none above {worst}"
    return case.bound("upper", worst + more, "blocks", {"blocks": parts}, detail=detail)


def _components(qrels: Qrels) -> tuple[dict[int, list[int]], dict[int, list[int]]]:
    """(columns, rows) by label of the connected parts of the matrix, constant rows aside; a column may be in no row."""
    from scipy import sparse
    from scipy.sparse.csgraph import connected_components

    varying = np.flatnonzero((qrels.sizes > 0) & (qrels.sizes < qrels.n_documents))
    matrix = qrels.relevant.csr()[varying]
    halves: Any = [[None, matrix], [matrix.T, None]]  # rows and columns as one bipartite graph
    both = sparse.csr_array(sparse.block_array(halves))
    labels = connected_components(both, directed=False)[1].tolist()
    columns_of: dict[int, list[int]] = {}
    for column, label in enumerate(labels[len(varying) :]):
        columns_of.setdefault(label, []).append(column)
    rows_of: dict[int, list[int]] = {}
    for row, label in zip(varying.tolist(), labels[: len(varying)], strict=True):
        rows_of.setdefault(label, []).append(row)
    return columns_of, rows_of


def _ordered(
    qrels: Qrels, rows: list[int], columns: list[int], deadline: float, rng: np.random.Generator
) -> tuple[Reduced, npt.NDArray[np.int64], int]:
    """One block, reduced, with the order of its columns that has the fewest sign changes a row, and how many."""
    place = {c: i for i, c in enumerate(columns)}
    inside = Qrels.from_sets([[place[c] for c in row_of(qrels, r)] for r in rows], len(columns))
    part = reduce(inside, complements=True, constants=True)
    order, found = orders.best_order(part, deadline=min(deadline, time.monotonic() + 0.2), rng=rng)
    return part, order, found
