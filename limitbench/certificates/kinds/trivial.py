"""What holds of every matrix."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from limitbench.certificates.claims import Proof
from limitbench.certificates.matrices import AllSubsets, Explicit, Matrix
from limitbench.certificates.work import Steps, require


def proofs(matrix: Matrix, _data: Mapping[str, Any], _steps: Steps) -> Iterator[Proof]:
    """One dimension a document, or one a query; unit documents as a simplex, n - 1 dimensions, separate every subset.

    A row that varies needs a dimension, and by one threshold an empty and a full row do.
    """
    n = matrix.n_documents
    require(n >= 1, "expected at least one document")
    rows = matrix.rows if isinstance(matrix, Explicit) else ()
    varies = any(0 < len(row) < n for row in rows) or (isinstance(matrix, AllSubsets) and matrix.varies)
    yield "sign_rank", "lower", 1
    yield "order_preserving", "lower", int(varies)
    # no threshold is below and above the one score that 0 dimensions have
    yield "global_threshold", "lower", int(varies or matrix.sizes == (0, n))
    if isinstance(matrix, Explicit):
        m, n, constant = matrix.distinct.n_queries, matrix.distinct.n, any(not row for row in matrix.distinct.rows)
    else:
        m, constant = n if matrix.has_many_rows else 1, False
    yield "order_preserving", "upper", min(m - constant, n - 1) if varies else 0
    yield "cosine", "upper", n - 1 if varies else 0
    yield "sign_rank", "upper", max(1, min(m, n))
