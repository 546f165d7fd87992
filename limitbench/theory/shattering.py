"""Lower bounds from few columns: VC dimension, antipodal shattering, Z2 connectivity.

Subsets of shattered sets are shattered, so a set of columns T is grown one column at a time, among columns that share
rows with those already in T, by depth-first search within a time budget. Only rows that touch T are looked at.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from limitbench.certificates import joined_to_opposite
from limitbench.theory.matrix import Reduced

_WIDTH = 48  # candidates tried next to a set of columns
_SEEDS = 64  # first columns tried


@dataclass(frozen=True)
class Shattered:
    """Columns and rows of the reduced matrix that witness a bound."""

    columns: tuple[int, ...]
    rows: tuple[int, ...]


def _rows_of(reduced: Reduced, column: int) -> npt.NDArray[np.int64]:
    by_column = reduced.by_column
    return by_column.indices[by_column.indptr[column] : by_column.indptr[column + 1]].astype(np.int64)


class _Patterns:
    """The restrictions that rows have on a growing tuple of columns: one example row for each."""

    def __init__(self, reduced: Reduced) -> None:
        self.reduced = reduced
        self.m = reduced.shape[0]

    def extend(self, touched: dict[int, int], place: int, column: int) -> dict[int, int]:
        """{row: pattern} after adding a column at this place."""
        out = dict(touched)
        for row in _rows_of(self.reduced, column).tolist():
            out[row] = out.get(row, 0) | (1 << place)
        return out

    def examples(self, touched: dict[int, int]) -> dict[int, int]:
        """{pattern: a row}, the empty pattern included where some row touches no column."""
        out: dict[int, int] = {}
        for row, pattern in touched.items():
            out.setdefault(pattern, row)
        if len(touched) < self.m:
            out[0] = next(row for row in range(self.m) if row not in touched)
        return out


def antipodal(patterns: dict[int, int], t: int, *, constants: bool) -> bool:
    """Whether every pattern or its opposite occurs; the constant ones are excused unless `constants`."""
    every = (1 << t) - 1
    start = 0 if constants else 1
    return all(s in patterns or every - s in patterns for s in range(start, 1 << max(0, t - 1)))


def shattered(patterns: dict[int, int], t: int) -> bool:
    """Whether all 2^t patterns occur."""
    return len(patterns) == 1 << t


def grow(
    reduced: Reduced, holds: Callable[[dict[int, int], int], bool], *, most: int, deadline: float
) -> Shattered | None:
    """The largest set of columns found on which `holds(patterns, t)`, or None; it must hold for subsets too."""
    m, n = reduced.shape
    if m == 0 or n == 0:
        return None
    table = _Patterns(reduced)
    degrees = np.diff(reduced.by_column.indptr)
    by_degree = np.argsort(-degrees, kind="stable")[: max(_SEEDS, _WIDTH)].tolist()
    best: Shattered | None = None

    def near(columns: list[int]) -> Iterator[int]:
        """Columns that share most rows with these, then those of high degree."""
        rows = np.unique(np.concatenate([_rows_of(reduced, c)[:512] for c in columns]))[:512]
        starts, stops = reduced.matrix.indptr[rows], reduced.matrix.indptr[rows + 1]
        parts = [reduced.matrix.indices[a : min(b, a + 64)] for a, b in zip(starts, stops, strict=True)]
        values, counts = np.unique(np.concatenate([*parts, np.empty(0, np.int64)]), return_counts=True)
        order = np.argsort(-counts, kind="stable")[:_WIDTH]
        yield from dict.fromkeys([*values[order].tolist(), *by_degree[:_WIDTH]])

    def search(columns: list[int], touched: dict[int, int]) -> bool:
        nonlocal best
        if len(columns) >= most or time.monotonic() > deadline:
            return len(columns) >= most
        for column in near(columns) if columns else by_degree:
            if column in columns:
                continue
            wider = table.extend(touched, len(columns), column)
            patterns = table.examples(wider)
            t = len(columns) + 1
            if not holds(patterns, t):
                continue
            if best is None or t > len(best.columns):
                best = Shattered((*columns, column), tuple(sorted(set(patterns.values()))))
            if search([*columns, column], wider):
                return True
            if time.monotonic() > deadline:
                return False
        return False

    search([], {})
    return best


def z2_columns(reduced: Reduced, *, constants: bool, deadline: float) -> tuple[tuple[int, ...], int] | None:
    """(columns, bound) of the best Z2 connectivity bound found, or None.

    `constants`: for the sign rank, |T| - 1; else for the order-preserving rank, |T| - 2. Tries all columns where there
    are at most 12, then the busiest columns by number, then each set short of one column.
    """
    n = reduced.shape[1]
    degrees = np.diff(reduced.by_column.indptr)
    busiest = np.argsort(-degrees, kind="stable").tolist()
    candidates = []
    if n <= 12:
        candidates.append(tuple(range(n)))
        candidates += [tuple(c for c in range(n) if c != out) for out in range(n)]
    candidates += [tuple(sorted(busiest[:t])) for t in range(min(n, 12), 2, -1)]
    table = _Patterns(reduced)
    loss = 1 if constants else 2
    best: tuple[tuple[int, ...], int] | None = None
    for columns in dict.fromkeys(candidates):
        t = len(columns)
        if time.monotonic() > deadline:
            break
        if t < 2 or (best is not None and t - loss <= best[1]):
            continue
        touched: dict[int, int] = {}
        for place, column in enumerate(columns):
            touched = table.extend(touched, place, column)
        found = table.examples(touched)
        every = (1 << t) - 1
        allowed = {s for s in range(1 << t) if s not in found and every - s not in found}
        if not constants:
            allowed -= {0, every}
        if not joined_to_opposite(allowed, t):
            best = columns, t - loss
    return best
