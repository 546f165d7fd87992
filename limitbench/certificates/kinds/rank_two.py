"""The polynomial decider of sign rank 2: a lower bound of 3 where it says no."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from limitbench.certificates.claims import Proof
from limitbench.certificates.matrices import Explicit, Matrix
from limitbench.certificates.work import Steps, numbers, require


def rank_two_order(rows: Sequence[Sequence[int]]) -> tuple[list[int], list[int]] | None:
    """A column order and column signs that show pm <= 2, or None where pm > 2. Rows are tuples of +1 and -1.

    Negate columns so that the first row is all +. In two dimensions the columns then lie in a half-plane, in the order
    of their angle, and each row is + on a beginning or an end of it. With column c first, the rows turned so that they
    are + at c are nested. Equal columns share a place. m lines through the origin cut the plane into 2m sectors, so more
    than m different columns, up to sign, are too many; so are more than n different rows. That leaves at most min(m, n)
    of either, and min(m, n)^3 steps beyond one reading.
    """
    if not rows or not rows[0]:
        return [], []
    signs = list(rows[0])
    turned = list({tuple(x * s for x, s in zip(row, signs, strict=True)) for row in rows})
    turned = list(dict.fromkeys(min(row, tuple(-x for x in row)) for row in turned))
    places: dict[tuple[int, ...], list[int]] = {}
    for j, column in enumerate(zip(*turned, strict=True)):
        places.setdefault(column, []).append(j)
    kept = list(places)
    m, n = len(turned), len(kept)
    if n > m or m > n:  # columns are told apart by rows, and agree on the first: no two are opposite
        return None
    for c in range(n):
        sets = sorted(({j for j in range(n) if kept[j][r] == kept[c][r]} for r in range(m)), key=len)
        if all(a <= b for a, b in pairwise(sets)):
            order = sorted(range(n), key=lambda j: sum(j not in s for s in sets))
            return [j for one in order for j in places[kept[one]]], signs
    return None


def proofs(matrix: Matrix, data: Mapping[str, Any], steps: Steps) -> list[Proof]:
    """A sub-matrix on which the polynomial decider of sign rank 2 says no: pm >= 3, or with the row of ones rop >= 2."""
    columns = numbers(data["columns"], matrix.n_documents, "columns")
    require(isinstance(matrix, Explicit), "a rank-two certificate names rows")
    assert isinstance(matrix, Explicit)
    rows = [matrix.rows[i] for i in numbers(data["rows"], matrix.n_queries, "rows")]
    require(len(rows) * len(columns) <= 40_000, "the sub-matrix is too large to decide")
    steps.spend(2 * min(len(rows), len(columns)) ** 3 + 4 * len(rows) * len(columns))
    signs = [tuple(1 if column in row else -1 for column in columns) for row in rows]
    proofs: list[Proof] = []
    if rank_two_order(signs) is None:
        proofs.append(("sign_rank", "lower", 3))
    if rank_two_order([(1,) * len(columns), *signs]) is None:
        proofs.append(("order_preserving", "lower", 2))
    require(bool(proofs), "the sub-matrix has sign rank at most 2")
    return proofs
