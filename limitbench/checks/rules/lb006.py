"""The queries are too few to see a drop of max_drop.

## What it means

There are too few judged queries to see a drop of the size that a gate allows. A real regression of twice max_drop would pass
LB302 more than one time in twenty. It is said once for a workload: of the gate that asks for the most queries.

## How it is decided

The minimum detectable difference of a one-sided paired test at the gate's confidence and 95 % power, (t_c + t_p) s / sqrt(m),
must be at most max_drop; and 2^-m, the least p-value that m queries can give, at most 1 - confidence. s is the deviation of the
per-query differences to the baseline, and never less than what a drop of 2 max_drop would make if it consisted of losses of the
size seen so far. Where fewer than twenty queries changed, losses of whole queries are planned with: one small change says
nothing of the next.

## What to do

Judge more queries (the finding says about how many), or allow a larger drop. For a small set, count instead: `max_lost = 3`, or
name the questions that must be answered: `must_find = ["q12"]`.

## Example

```toml
max_drop = 0.01     # with 100 queries
```
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from limitbench import statistics
from limitbench.checks.comparison import Pair, before_and_now
from limitbench.checks.drops import (
    drop_p_value,
    shows,
)
from limitbench.checks.findings import Fails, Outcome, Passes
from limitbench.checks.measurement import Case
from limitbench.checks.rule import Rule


def decide(cases: Sequence[Case]) -> Outcome | None:
    """LB006, once for a workload: of its gates, the one whose drop needs the most queries beyond what there are."""
    asking = [case for case in cases if case.gate.max_drop is not None and case.workload.m]
    if not asking:
        return None
    seen = []
    for case in asking:
        pair, most = before_and_now(case), case.gate.max_drop or 0.0
        both = pair if isinstance(pair, Pair) else None
        if both is not None and drop_p_value(both.before, both.now, most) <= 1 - case.gate.confidence:
            continue  # they were enough to see this one
        least, deviation, m = shows(case, both)
        needed = statistics.queries_needed(most, deviation, confidence=case.gate.confidence)
        needed = max(needed, math.ceil(-math.log2(1 - case.gate.confidence)))
        seen.append((least > most, needed, least, deviation, m, case))
    short = [one for one in seen if one[0]]
    if not short:
        return Passes()
    _, needed, least, deviation, m, case = max(short, key=lambda one: one[1])
    allowed = case.gate.max_drop
    assert allowed is not None
    return Fails(
        f"{m} queries find a drop of {2 * allowed:g} in {case.gate.metric} with less than 95 % power: "
        + (
            f"they see {least:.3g} beyond what is allowed, and max_drop is {allowed:g}"
            if math.isfinite(least)
            else "they can show no drop"
        ),
        f"judge about {needed:,} queries, allow a larger drop, or count: max_lost",
        expected=f"about {needed:,} queries",
        observed=f"{m}",
        numbers={
            "detectable": least if math.isfinite(least) else None,
            "max_drop": allowed,
            "queries": m,
            "needed": needed,
            "deviation": deviation,
        },
    )


RULE = Rule(
    id="LB006",
    name="too-few-queries",
    scope="gates",
    evidence="measured",
    severity="warning",
    decide=decide,
    field="max_drop",
    doc=__doc__ or "",
)
