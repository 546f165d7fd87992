"""Upper bounds from ranks over the rationals."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from math import gcd
from typing import Any

from limitbench.certificates.claims import Proof
from limitbench.certificates.matrices import Explicit, Matrix
from limitbench.certificates.work import Steps, require, words


def exact_rank(rows: Iterable[Sequence[int]], spend: Callable[[int], None] = lambda _count: None) -> int:
    """The rank over the rationals of an integer matrix, by fraction-free elimination. `spend` is told the steps."""
    basis: list[tuple[int, list[int]]] = []  # (pivot column, row)
    for row in rows:
        left = list(row)
        for pivot, other in basis:
            if left[pivot]:
                spend(2 * len(left) * words((other[pivot], left[pivot])))
                a, b = other[pivot], left[pivot]
                left = [a * x - b * y for x, y in zip(left, other, strict=True)]
        pivot = next((i for i, x in enumerate(left) if x), -1)
        if pivot >= 0:
            common = 0
            spend(len(left) * words(left))
            for x in left:
                common = gcd(common, x)
            basis.append((pivot, [x // common for x in left]))
    return len(basis)


def proofs(matrix: Matrix, _data: Mapping[str, Any], steps: Steps) -> list[Proof]:
    """Ranks over the rationals: gt <= rank(A); rop <= rank([A; 1]) - 1, subtracting each row's mean; pm <= rank(2A - 1),
    and pm <= rank([A; 1]) - 1 where no row is constant.
    """
    require(isinstance(matrix, Explicit), "a rank certificate is about given qrels")
    assert isinstance(matrix, Explicit)
    rows = list(dict.fromkeys(matrix.rows))
    holders: dict[int, list[int]] = {}
    for number, row in enumerate(rows):
        for c in row:
            holders.setdefault(c, []).append(number)
    distinct = {tuple(holders.get(c, ())): c for c in range(matrix.n)}  # repeated documents change no rank
    n, kept = len(distinct), list(distinct.values())
    require(n >= 1, "expected at least one document")
    require(min(len(rows), n) <= 256 and n * len(rows) <= 2_000_000, "too large for exact elimination")
    a = [[int(c in row) for c in kept] for row in rows]
    spend = steps.spend
    spend(n * len(rows))
    centred = exact_rank([[1] * n, *a], spend) - 1
    proofs: list[Proof] = [
        ("global_threshold", "upper", exact_rank(a, spend)),
        ("order_preserving", "upper", centred),
        ("sign_rank", "upper", max(1, exact_rank([[2 * x - 1 for x in row] for row in a], spend))),
    ]
    if all(0 < len(row) < matrix.n for row in rows):
        proofs.append(("sign_rank", "upper", centred))
    return proofs
