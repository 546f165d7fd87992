"""VC dimension: a lower bound from shattered columns."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from limitbench.certificates.claims import Proof
from limitbench.certificates.kinds.patterns import patterns
from limitbench.certificates.matrices import Matrix
from limitbench.certificates.work import Steps, numbers, require


def proofs(matrix: Matrix, data: Mapping[str, Any], steps: Steps) -> list[Proof]:
    """VC dimension (Paturi and Simon 1986): all 2^|T| patterns occur, so pm >= |T| and rop >= |T| - 1."""
    columns = numbers(data["columns"], matrix.n_documents, "columns")
    require(1 <= len(columns) <= 20, "expected 1 to 20 columns")
    found = patterns(matrix, columns, data.get("rows"), steps)
    require(len(found) == 1 << len(columns), "the columns are not shattered")
    return [("sign_rank", "lower", len(columns)), ("order_preserving", "lower", len(columns) - 1)]
