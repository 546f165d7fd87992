"""What the proofs about graphs share: all singletons are rows, and pairs are edges."""

from __future__ import annotations

from collections.abc import Callable

from limitbench.certificates.matrices import Explicit, Matrix
from limitbench.certificates.work import require


def graph(matrix: Matrix) -> tuple[int, set[frozenset[int]], Callable[[frozenset[int]], bool]]:
    """n, the rows that are no singletons up to complement, and whether a set or its complement is a row.

    All singletons must be rows up to complement: a negated query turns its order round, so that a row and its complement
    ask for the same.
    """
    require(isinstance(matrix, Explicit), "a graph certificate is about given qrels")
    assert isinstance(matrix, Explicit)
    n = matrix.n
    require(n >= 4, "the theorem needs at least 4 documents")
    every = frozenset(range(n))
    rows = {row for row in matrix.rows if 0 < len(row) < n}

    def asked(wanted: frozenset[int]) -> bool:
        return wanted in rows or every - wanted in rows

    require(all(asked(frozenset([v])) for v in range(n)), "a singleton is missing")
    return n, {row for row in rows if 1 < len(row) < n - 1}, asked
