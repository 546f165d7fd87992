"""Which sign patterns the rows of a matrix have on a few columns."""

from __future__ import annotations

from collections.abc import Sequence

from limitbench.certificates.matrices import AllSubsets, Matrix
from limitbench.certificates.work import Steps, numbers, require


def _pattern(row: frozenset[int], columns: Sequence[int]) -> int:
    """The restriction of a row to the columns, as bits."""
    return sum(1 << place for place, column in enumerate(columns) if column in row)


def patterns(matrix: Matrix, columns: Sequence[int], row_numbers: Sequence[int] | None, steps: Steps) -> set[int]:
    """The restrictions that rows of the matrix, all or those named, have on the columns."""
    t = len(columns)
    if isinstance(matrix, AllSubsets):
        require(t <= 20, "more than 20 columns are not enumerated; give their number as 'size' instead")
        return {s for s in range(1 << t) if matrix.occurs(s.bit_count(), t - s.bit_count())}
    steps.spend(t * (len(matrix.rows) if row_numbers is None else len(row_numbers)))
    chosen = range(len(matrix.rows)) if row_numbers is None else numbers(row_numbers, matrix.n_queries, "rows")
    rows = [matrix.rows[i] for i in chosen]
    return {_pattern(row, columns) for row in rows}
