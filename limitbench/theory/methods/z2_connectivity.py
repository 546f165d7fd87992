"""Lower bounds by Z2 connectivity: columns on which no free sign pattern is joined to its opposite."""

from __future__ import annotations

import time
from collections.abc import Iterator

import numpy as np

from limitbench.theory.bounds import Bound
from limitbench.theory.case import Case
from limitbench.theory.matrix import Reduced
from limitbench.theory.shattering import SignPatterns

_SHARE = 0.05  # of the time left


def bounds(case: Case) -> Iterator[Bound]:
    """The bound of the best columns that are found in a twentieth of the time."""
    found = _columns(case.reduced, constants=case.signs, deadline=case.until(_SHARE))
    if found is not None:
        columns, value = found
        detail = f"{len(columns)} columns with no free path between opposites"
        yield case.bound("lower", value, "z2-connectivity", {"columns": case.column_numbers(columns)}, detail=detail)


def _columns(reduced: Reduced, *, constants: bool, deadline: float) -> tuple[tuple[int, ...], int] | None:
    """(columns, bound) of the best Z2 connectivity bound found, or None.

    `constants`: for the sign rank, |T| - 1; else for the order-preserving rank, |T| - 2. Tries all columns where there
    are at most 12, then the busiest columns by number, then each set short of one column.
    """
    n = reduced.shape[1]
    degrees = np.diff(reduced.by_column.indptr)
    busiest = np.argsort(-degrees, kind="stable").tolist()
    candidates = []
    if n <= 12:
        candidates.append(tuple(range(n)))
        candidates += [tuple(c for c in range(n) if c != out) for out in range(n)]
    candidates += [tuple(sorted(busiest[:t])) for t in range(min(n, 12), 2, -1)]
    table = SignPatterns(reduced)
    loss = 1 if constants else 2
    best: tuple[tuple[int, ...], int] | None = None
    for columns in dict.fromkeys(candidates):
        t = len(columns)
        if time.monotonic() > deadline:
            break
        if t < 2 or (best is not None and t - loss <= best[1]):
            continue
        touched: dict[int, int] = {}
        for place, column in enumerate(columns):
            touched = table.extend(touched, place, column)
        found = table.examples(touched)
        every = (1 << t) - 1
        allowed = {s for s in range(1 << t) if s not in found and every - s not in found}
        if not constants:
            allowed -= {0, every}
        if not _joined(allowed, t):
            best = columns, t - loss
    return best


def _joined(allowed: set[int], t: int) -> bool:
    """Whether flips of one bit within `allowed` lead from some pattern of t bits to its opposite.

    Each pattern takes the least label among itself and its neighbours until no label changes: those of one component agree then.
    """
    if not allowed:
        return False
    here = np.zeros(1 << t, bool)
    here[list(allowed)] = True
    patterns = np.arange(1 << t)
    label = np.where(here, patterns, 1 << t)
    while True:
        least = label
        for bit in range(t):
            least = np.minimum(least, least[patterns ^ (1 << bit)])
            least = np.where(here, least, 1 << t)
        if (least == label).all():
            return bool((here & (label == label[::-1])).any())  # the opposite of s is 2^t - 1 - s
        label = least
