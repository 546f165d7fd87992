"""Sets of few columns on which rows show many sign patterns: what VC dimension, antipodal shattering and Z2 connectivity look for.

Subsets of shattered sets are shattered, so a set of columns T is grown one column at a time, among columns that share
rows with those already in T, by depth-first search within a time budget. Only rows that touch T are looked at.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

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


class SignPatterns:
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


def grow(
    reduced: Reduced, holds: Callable[[dict[int, int], int], bool], *, most: int, deadline: float
) -> Shattered | None:
    """The largest set of columns found on which `holds(patterns, t)`, or None; it must hold for subsets too."""
    m, n = reduced.shape
    if m == 0 or n == 0:
        return None
    table = SignPatterns(reduced)
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
