"""Forster's theorem: a lower bound from a spectral norm, which exact elimination bounds."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import Any

from limitbench.certificates.claims import Proof
from limitbench.certificates.matrices import Explicit, Matrix
from limitbench.certificates.work import WORD, Steps, numbers, require, words


def is_positive_definite(matrix: list[list[int]]) -> bool:
    """Whether a symmetric integer matrix is positive definite: every leading minor is positive (Bareiss elimination)."""
    a = [row[:] for row in matrix]
    before = 1
    for p in range(len(a)):
        if a[p][p] <= 0:
            return False
        for i in range(p + 1, len(a)):
            for j in range(p + 1, len(a)):
                a[i][j] = (a[i][j] * a[p][p] - a[i][p] * a[p][j]) // before
        before = a[p][p]
    return True


def proofs(matrix: Matrix, data: Mapping[str, Any], steps: Steps) -> list[Proof]:
    """Forster 2002: pm >= sqrt(m n) min|X| / ||X|| for any X with the signs of M.

    X is `plus` where relevant and -`minus` elsewhere, on the named rows and columns, with a row of ones on top where
    `ones` is set (then rop = pm - 1). The proof that ||X||^2 < lam = num/den is that lam I - X^T X is positive definite.
    """
    require(isinstance(matrix, Explicit), "a Forster certificate names rows")
    assert isinstance(matrix, Explicit)
    columns = numbers(data["columns"], matrix.n_documents, "columns")
    chosen = numbers(data["rows"], matrix.n_queries, "rows")
    plus, minus, num, den = (data[key] for key in ("plus", "minus", "num", "den"))
    require(all(type(x) is int and x > 0 for x in (plus, minus, num, den)), "plus, minus, num, den must be positive")
    require(max(plus, minus, num, den).bit_length() <= 128, "plus, minus, num, den must be below 2^128")
    steps.spend(len(columns) * (len(chosen) + 1))
    x = [[plus if c in matrix.rows[i] else -minus for c in columns] for i in chosen]
    if data["ones"]:
        x.insert(0, [plus] * len(columns))
    if len(x) < len(columns):
        x = [list(column) for column in zip(*x, strict=True)]
    width = len(x[0])
    require(width <= 200, "more than 200 rows and columns are not eliminated exactly")
    size = words((plus, minus)) ** 2 * words((den,))
    steps.spend(
        len(x) * width * width * size + width**3 * (1 + width * (num * plus * minus).bit_length() // (2 * WORD)) // 3
    )
    gram = [[-den * sum(row[i] * row[j] for row in x) for j in range(width)] for i in range(width)]
    for i in range(width):
        gram[i][i] += num
    require(is_positive_definite(gram), "lam I - X^T X is not positive definite")
    square = Fraction(len(x) * width * min(plus, minus) ** 2 * den, num)
    value = 1
    while value * value < square:
        value += 1
    return [("order_preserving", "lower", value - 1) if data["ones"] else ("sign_rank", "lower", value)]
