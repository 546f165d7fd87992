"""The exact values for all k-subsets, recomputed; theory/all-subsets.md has the proofs."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product
from typing import Any

from limitbench.certificates.claims import NOTIONS, Notion, Proof, Side
from limitbench.certificates.matrices import AllSubsets, Matrix
from limitbench.certificates.work import Steps, require


def closed_form(n: int, k: int, notion: Notion, *, at_most: bool = False) -> int:
    """The exact dimension for all k-subsets of n documents, or all of at most k.

    theory/all-subsets.md has the proofs. k' = min(k, n - k).
    """
    AllSubsets(n, k, at_most)
    if at_most:
        values: dict[Notion, int] = {
            "order_preserving": min(2 * k, n - 1),
            "sign_rank": max(1, min(2 * k + 1, n)),
            "cosine": min(2 * k, n - 1),
            "global_threshold": min(2 * k, n - 1) if k < n else n,
        }
        return values[notion]
    k = min(k, n - k)
    if k == 0:
        return 1 if notion == "sign_rank" else 0
    if k == 1:
        order, sign, cosine = min(2, n - 1), min(3, n - 1), min(2, n - 1)
    else:
        order, sign = min(2 * k, n - 2), min(2 * k + 1, n - 1)
        cosine = min(2 * k, n - 1) if k == 2 else min(2 * k, n - 2)
    one = min(2 * k, n - 1)
    return {"order_preserving": order, "sign_rank": sign, "cosine": cosine, "global_threshold": one}[notion]


def proofs(matrix: Matrix, _data: Mapping[str, Any], _steps: Steps) -> list[Proof]:
    """The theorem for all k-subsets, recomputed."""
    require(isinstance(matrix, AllSubsets), "a closed form is about all k-subsets")
    assert isinstance(matrix, AllSubsets)
    known = {notion: closed_form(matrix.n, matrix.k, notion, at_most=matrix.at_most) for notion in NOTIONS}
    sides: tuple[Side, Side] = ("lower", "upper")
    return [(notion, side, value) for (notion, value), side in product(known.items(), sides)]
