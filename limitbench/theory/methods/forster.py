"""Forster's lower bound with an exact certificate, and the ceiling that says when it cannot help.

pm >= sqrt(m n) min|X| / ||X|| (Forster 2002) for X = a where relevant, -b elsewhere. Queries (alpha 1_S, -beta) and unit
documents (cos e_j, sin) realise any matrix with K relevant documents a row with sign margin 1 / (1 + 2 sqrt(K)), and no
bound of this kind exceeds the inverse of a margin: 1 + 2 sqrt(K) is the ceiling.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from math import ceil, isqrt
from typing import Any

import numpy as np

from limitbench.theory.bounds import Bound
from limitbench.theory.case import Case
from limitbench.theory.matrix import Reduced

_SIZE = 128  # exact elimination of larger Gram matrices takes minutes


def bounds(case: Case) -> Iterator[Bound]:
    """The better of a few weightings, where it is above what is known and the checker accepts it."""
    ones = not case.signs
    if ceiling(case.sparsity) - ones <= case.lower:
        return
    found = forster(case.reduced, ones=ones)
    if found is None or found[0] - ones <= case.lower:
        return
    value, data = found
    data |= {"rows": case.row_numbers(range(case.m)), "columns": case.column_numbers(range(case.n))}
    detail = f"spectral norm squared below {data['num'] / data['den']:.6g}"
    bound = case.bound("lower", value - ones, "forster", data, detail=detail)
    if case.holds(bound):  # floating point only proposed it
        yield bound


def ceiling(sparsity: int) -> int:
    """The floor of 1 + 2 sqrt(K): no Forster bound is above it."""
    return 1 + isqrt(4 * sparsity)


def forster(reduced: Reduced, *, ones: bool) -> tuple[int, dict[str, Any]] | None:
    """(bound on pm, certificate data in reduced numbers) for the better of two weightings, or None where too large.

    `ones` puts a row of ones on top; then rop >= bound - 1.
    """
    m, n = reduced.shape
    if min(m + ones, n) > _SIZE or m * n > 1_000_000 or m == 0:
        return None
    a = np.asarray(reduced.dense, float)
    if ones:
        a = np.vstack([np.ones(n), a])
    share = float(a.mean())
    best: tuple[int, dict[str, Any]] | None = None
    balanced = max(1, round((1 - share) / share)) if 0 < share < 0.5 else 1
    for plus, minus in dict.fromkeys([(1, 1), (balanced, 1), (max(1, round(balanced**0.5)), 1)]):
        x = np.where(a > 0, plus, -minus)
        norm = float(np.linalg.norm(x, 2))
        lam = Fraction(ceil(norm * norm * (1 + 1e-9) * 2**20) + 1, 2**20)  # the checker proves that it is above
        square = Fraction(x.shape[0] * n * min(plus, minus) ** 2) / lam
        value = next(v for v in range(1, x.shape[0] + n + 2) if v * v >= square)
        if best is None or value > best[0]:
            data = {"plus": plus, "minus": minus, "num": lam.numerator, "den": lam.denominator, "ones": ones}
            best = value, data
    return best
