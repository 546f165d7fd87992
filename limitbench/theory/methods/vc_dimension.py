"""Lower bounds by VC dimension: columns on which every pattern is a row."""

from __future__ import annotations

from collections.abc import Iterator

from limitbench.theory import shattering
from limitbench.theory.bounds import Bound
from limitbench.theory.case import Case
from limitbench.theory.matrix import reduce

_SHARE = 0.05  # of the time left


def bounds(case: Case) -> Iterator[Bound]:
    """The bound of the largest shattered set of columns that is found in a twentieth of the time."""
    exact = reduce(case.qrels, complements=False, constants=False) if case.small else case.reduced
    most = min(max(1, case.sparsity), case.m.bit_length(), case.n, 16)
    found = shattering.grow(exact, shattered, most=most, deadline=case.until(_SHARE))
    if found is None:
        return
    t = len(found.columns)
    data = {
        "columns": [int(exact.columns[i]) for i in found.columns],
        "rows": sorted(int(exact.rows[i]) for i in found.rows),
    }
    detail = f"{t} columns with all {2**t} patterns"
    yield case.bound("lower", t if case.signs else t - 1, "vc-dimension", data, detail=detail)


def shattered(patterns: dict[int, int], t: int) -> bool:
    """Whether all 2^t patterns occur."""
    return len(patterns) == 1 << t
