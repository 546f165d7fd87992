"""In which order corpus sizes are tried: strides that grow, the paper's gallop, and doubling for constructions.

Each strategy gives the status in which it ended."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING

from limitbench.capacity import orbits
from limitbench.capacity.codes import SymmetricCodes
from limitbench.capacity.problem import subsets
from limitbench.capacity.task import (
    VARIED,
    Status,
)

if TYPE_CHECKING:
    from limitbench.capacity.search import Search


def stretch(search: Search, least: int, most: int) -> Status:
    """Longer and longer strides as time allows; after a failure, a third of the way back.

    A search of the annealer costs about n^(k + 1.5), one for an orbit about n^k, so the strides of larger k are shorter.
    """
    assert search.task.k is not None
    orbit = search.task.solver == "orbit"
    power, longest = (1 / max(2, search.task.k), 6.0) if orbit else (1 / (search.task.k + 1.5), 5.2)
    n, low, high = first(search, least, most), least - 1, most + 1
    n = min(most, orbits.good_length(n, search.task.d)) if orbit else n
    before = search.solver.resumed() if isinstance(search.solver, SymmetricCodes) else None
    if before is not None and before.orbit.n <= most:
        low, search.now.best = before.orbit.n, (before.orbit.n, before)
        n = min(most, orbits.good_length(low + low // 8 + 1, search.task.d))
        if n <= low:
            return Status.PROVED
    while True:
        at = time.monotonic()
        if search.solve(n):
            low = n
        else:
            high = min(high, n)
            if search.now.tried[-1].stopped == "memory" and (orbit or search.now.best):
                return Status.MANY if orbit else Status.MEMORY
            if search.now.tried[-1].stopped == "deadline" and search.now.left <= 0:
                return Status.BUDGET if search.now.best else Status.NONE
        took = max(time.monotonic() - at, 1e-3)
        if low >= most:
            return Status.PROVED
        if high - low <= 1:
            return ended(search, high)
        if search.now.left <= 0:
            return Status.BUDGET if search.now.best else Status.NONE
        if high > most:
            room = 0.55 * search.now.left / took
            if room < 1 and not (orbit and search.now.left > 0.1 * search.task.budget_s):
                return Status.BUDGET
            room = max(room, 1.3)
            n = min(most, max(low + 1, int(low * min(longest, room) ** power)))
        else:
            n = max(low + 1, min(high - 1, high - math.ceil((high - low) / 3)))
        if orbit:
            n = min(most, high - 1, orbits.good_length(n, search.task.d))
            if n <= low and search.now.tried[-1].stopped == "deadline" and search.now.left > 0.1 * search.task.budget_s:
                high = most + 1  # time is left: once more
                n = min(most, orbits.good_length(low + low // 4 + 1, search.task.d))
            if n <= low:
                return ended(search, high)


def gallop(search: Search, least: int, most: int) -> Status:
    """The paper's search: gallop up (or down), bisection, and a sweep from 4 below to 5 above."""
    known: dict[int, bool] = {}

    def holds(n: int) -> bool:
        if n < least:
            return True  # one query asks for everything, or there is none
        if n > most:
            return False
        if n not in known and search.now.left > 0:
            known[n] = search.solve(n)
        return known.get(n, False)

    n, step = max(least, 2 * search.task.d + 2), 1
    if holds(n):
        low = n
        while holds(low + step) and search.now.left > 0:
            low, step = low + step, step * 2
        high = low + step
    else:
        high = n
        while high - step >= least and not holds(high - step) and search.now.left > 0:
            high, step = high - step, step * 2
        low = max(least - 1, high - step)
    while high - low > 1 and search.now.left > 0:
        middle = (low + high) // 2
        low, high = (middle, high) if holds(middle) else (low, middle)
    for n in range(max(least, low - 4), low + 6):
        if search.now.left > 0:
            holds(n)
    return Status.BUDGET if search.now.left <= 0 and search.now.best else ended(search, high)


def largest(search: Search, least: int, most: int) -> Status:
    """The largest corpus of a construction: by doubling, then by bisection."""
    if search.task.solver == "simplices":  # with fewer documents one simplex is better, and this has none
        least = max(least, search.task.d + 2)
    low, high, n = least - 1, most + 1, least
    while high - low > 1 and search.now.left > 0:
        if search.solve(n):
            low = n
        else:
            high = n
            if search.now.tried[-1].stopped == "memory":
                return Status.MEMORY
        n = min(most, 2 * low) if high > most else (low + high) // 2
        n = max(n, low + 1)
    if high - low > 1:
        return Status.BUDGET if search.now.best else Status.NONE
    if low >= most:
        return Status.PROVED
    status = ended(search, high)
    certain = status == Status.BRACKETED and search.task.solver not in VARIED
    return Status.BUILT if certain else status


def ended(search: Search, high: int) -> Status:
    """The status where every corpus below `high` is solved, and `high` is not: was it tried to the end?"""
    if search.now.best is None:
        return Status.NONE
    stopped = next((t.stopped for t in reversed(search.now.tried) if t.n == high), "schedule")
    return {"deadline": Status.BUDGET, "memory": Status.MEMORY}.get(stopped, Status.BRACKETED)


def first(search: Search, least: int, most: int) -> int:
    """Where to begin: 2d documents, or fewer where that is a large problem already."""
    n, k = min(max(2 * search.task.d, least), most), search.task.k or 1
    while n > least and subsets(n, k) * n > 1_000_000:
        n = max(least, int(n * 0.9))
    return n
