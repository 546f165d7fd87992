"""Lower bounds by antipodal shattering: columns on which every sign pattern is a row, up to sign."""

from __future__ import annotations

from collections.abc import Iterator

from limitbench.theory import shattering
from limitbench.theory.bounds import Bound
from limitbench.theory.case import Case

_SHARE = 0.2  # of the time left


def bounds(case: Case) -> Iterator[Bound]:
    """The bound of the largest such set of columns that is found in a fifth of the time."""
    _ = case.reduced.by_column  # built outside the search's share of the time
    most = min(2 * case.sparsity + 1, case.m.bit_length() + 1, case.n, 16)
    found = shattering.grow(
        case.reduced, lambda seen, t: antipodal(seen, t, constants=case.signs), most=most, deadline=case.until(_SHARE)
    )
    if found is None:
        return
    t = len(found.columns)
    data = {"columns": case.column_numbers(found.columns), "rows": case.row_numbers(found.rows)}
    detail = f"{t} columns on which every sign pattern is a row, up to sign"
    yield case.bound("lower", t if case.signs else t - 1, "antipodal-shattering", data, detail=detail)


def antipodal(patterns: dict[int, int], t: int, *, constants: bool) -> bool:
    """Whether every pattern or its opposite occurs; the constant ones are excused unless `constants`."""
    every = (1 << t) - 1
    start = 0 if constants else 1
    return all(s in patterns or every - s in patterns for s in range(start, 1 << max(0, t - 1)))
