"""Documents on the moment curve: an upper bound by the number of relevant documents."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from limitbench.certificates.claims import Proof
from limitbench.certificates.matrices import AllSubsets, Explicit, Matrix
from limitbench.certificates.work import Steps


def proofs(matrix: Matrix, _data: Mapping[str, Any], _steps: Steps) -> Iterator[Proof]:
    """K relevant documents a row, or K irrelevant ones: rop <= 2K, pm <= 2K + 1, cosine <= 2K, and gt <= 2 max|S|,
    equal documents counted once.

    Documents on (t, ..., t^2K); the query of S holds the coefficients of -prod (t - s)^2. On the trigonometric curve
    (cos jt, sin jt), j <= K, all of one norm, -prod (1 - cos(t - s)) does the same. Where t > 0 the constant terms have
    one sign and can be scaled to one threshold; that argument needs the sets themselves, not their complements.
    """
    n = matrix.n_documents
    if isinstance(matrix, AllSubsets):
        sparsity = min(matrix.k, n) if matrix.at_most else min(matrix.k, n - matrix.k)
        largest = matrix.k if matrix.k < n else (max(1, n - 1) if matrix.at_most else 0)
    else:
        sparsity = max((min(len(row), n - len(row)) for row in matrix.rows), default=0)
        place = matrix.places[0]  # equal documents share a place
        largest = max((len({place[c] for c in row}) for row in matrix.rows if len(row) < n), default=0)
    if largest == 0 and matrix.sizes == (0, n):  # an empty and a full row: +1 and -1 on one coordinate, threshold 0
        yield "global_threshold", "upper", 1
    else:
        yield "global_threshold", "upper", 2 * largest
    yield from _along_the_curve(sparsity)
    if isinstance(matrix, Explicit):  # equal documents share a place, so fewer of them may be irrelevant
        yield from _along_the_curve(
            max((min(len(row), matrix.distinct.n - len(row)) for row in matrix.distinct.rows), default=0)
        )


def _along_the_curve(sparsity: int) -> Iterator[Proof]:
    yield "order_preserving", "upper", 2 * sparsity
    yield "sign_rank", "upper", 2 * sparsity + 1
    yield "cosine", "upper", 2 * sparsity
