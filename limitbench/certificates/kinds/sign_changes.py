"""An order of the documents in which rows change sign rarely: an upper bound."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from limitbench.certificates.claims import Proof
from limitbench.certificates.matrices import Explicit, Matrix
from limitbench.certificates.work import Steps, numbers, require


def proofs(matrix: Matrix, data: Mapping[str, Any], _steps: Steps) -> list[Proof]:
    """Alon, Frankl and Roedl 1985: in an order of the columns in which no row changes sign more than c times, a
    polynomial of degree c with roots between does each row: rop <= c and pm <= c + 1.
    """
    require(isinstance(matrix, Explicit), "an order certificate is about given qrels")
    assert isinstance(matrix, Explicit)
    order = numbers(data["order"], matrix.n, "order")
    require(len(order) == matrix.n, "the order must name every document")
    place = [0] * matrix.n
    for position, column in enumerate(order):
        place[column] = position
    most = 0
    for row in matrix.rows:
        at = sorted(place[column] for column in row)
        runs = sum(1 for i, p in enumerate(at) if i == 0 or p != at[i - 1] + 1)
        most = max(most, 2 * runs - (at[:1] == [0]) - (at[-1:] == [matrix.n - 1]))
    return [("order_preserving", "upper", most), ("sign_rank", "upper", most + 1)]
