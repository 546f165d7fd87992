"""Z2 connectivity: a lower bound from columns on which no free pattern is joined to its opposite."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from limitbench.certificates.claims import Notion, Proof
from limitbench.certificates.kinds.patterns import patterns
from limitbench.certificates.matrices import AllSubsets, Matrix
from limitbench.certificates.work import Steps, numbers, require


def proofs(matrix: Matrix, data: Mapping[str, Any], steps: Steps) -> list[Proof]:
    """Z2 connectivity: no pattern is joined to its opposite by single flips through patterns that no row excludes.

    With |T| - 2 or fewer dimensions (affine: |T| - 3) the dependencies of the vectors of T, zero aside, are connected and
    hold the opposite of each; all completions of their signs are allowed patterns. So pm >= |T| - 1, rop >= |T| - 2.
    """
    proofs: list[Proof] = []
    if "size" in data:
        require(isinstance(matrix, AllSubsets), "'size' instead of columns is for all-subset matrices")
        assert isinstance(matrix, AllSubsets)
        t = data["size"]
        require(type(t) is int and 2 <= t <= matrix.n, "the size must be a number of documents")
        # patterns of weight p: a path to the opposite must cross the middle weights
        middle = [(t - 1) // 2] if t % 2 else [t // 2, t // 2 - 1]
        crosses = not any(a <= p <= b for a, b in matrix.covered(t) for p in middle)
        if not crosses:
            proofs.append(("sign_rank", "lower", t - 1))
        if not crosses or any(p in (0, t) for p in middle):
            proofs.append(("order_preserving", "lower", t - 2))
        require(bool(proofs), "some pattern is joined to its opposite")
        return proofs
    columns = numbers(data["columns"], matrix.n_documents, "columns")
    t = len(columns)
    require(2 <= t <= 20, "expected 2 to 20 columns")
    every = (1 << t) - 1
    found = patterns(matrix, columns, None, steps)
    free = {s for s in range(1 << t) if s not in found and every - s not in found}
    notions: tuple[tuple[Notion, set[int], int], ...] = (
        ("sign_rank", free, t - 1),
        ("order_preserving", free - {0, every}, t - 2),
    )
    for one, allowed, value in notions:
        if not joined_to_opposite(allowed, t):
            proofs.append((one, "lower", value))
    require(bool(proofs), "some pattern is joined to its opposite")
    return proofs


def joined_to_opposite(allowed: set[int], t: int) -> bool:
    """Whether single flips within `allowed` lead from some pattern of t bits to its opposite."""
    every, seen = (1 << t) - 1, dict.fromkeys(allowed, 0)
    label = 0
    for start in allowed:
        if seen[start]:
            continue
        label += 1
        seen[start] = label
        stack = [start]
        while stack:
            s = stack.pop()
            if seen.get(every - s) == label:
                return True
            for bit in range(t):
                if seen.get(s ^ (1 << bit)) == 0:
                    seen[s ^ (1 << bit)] = label
                    stack.append(s ^ (1 << bit))
    return False
