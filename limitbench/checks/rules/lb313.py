"""The metric declined over the last baselines.

## What it means

Each baseline was a little lower than the one before, each drop was allowed, and together they are more than `max_decline`.

## How it is decided

The last `over` committed versions of the baseline file are read from git. Today's figures are compared with each of them by
LB302's test with `max_decline`, on the queries that are unchanged since; p-values are multiplied by the number of baselines
(Bonferroni), and no more baselines are used than the queries can show. A file that was moved keeps its past. It is undecided
where there is no git repository, and where the clone is shallow: `fetch-depth: 0` in actions/checkout.

## What to do

Mend what went wrong since the commit that the finding names, or allow a larger decline.

## Example

```toml
[[gate]]
metric = "Recall@10"
max_drop = 0.02
max_decline = 0.03
over = 10
```
"""

from __future__ import annotations

import math

from limitbench.checks.causes import explained
from limitbench.checks.comparison import can_show, compared
from limitbench.checks.drops import (
    counted_on,
    drop_p_value,
)
from limitbench.checks.findings import Fails, Outcome, Passes, Undecided
from limitbench.checks.history import earlier
from limitbench.checks.measurement import Case, Measured
from limitbench.checks.rule import Rule


def decide(case: Case) -> Outcome | None:
    """Each earlier baseline is a comparison of its own; p-values are multiplied by their number (Bonferroni)."""
    gate, plan = case.gate, case.project.config.baseline
    if gate.max_decline is None or plan is None:
        return None
    found = case.measured()
    if not isinstance(found, Measured):
        return found
    if plan.missing == "ignore" and case.baseline is None:
        return None
    past = earlier(case.project.resolve(plan.path, "baseline", "path"), gate.over)
    pairs = [(commit, pair) for commit, baseline in past if (pair := compared(case, found, baseline)) is not None]
    pairs.sort(key=lambda one: -len(one[1].rows))
    # each more baseline asks for a smaller p-value: those with the most queries come first, while their number can still be shown
    usable = [
        one for number, one in enumerate(pairs, 1) if can_show(len(one[1].rows), 1 - (1 - gate.confidence) / number)
    ]
    if not usable:
        return Undecided(
            f"version control holds {len(past)} baselines, and none has enough of today's queries unchanged to show a decline",
            "commit the baseline: limitbench baseline init; or judge more queries",
            quiet=case.quiet,
        )
    resamples = min(200_000, max(9999, math.ceil(20 * len(usable) / (1 - gate.confidence))))
    tested = [
        (drop_p_value(pair.before, pair.now, gate.max_decline, resamples=resamples) * len(usable), commit, pair)
        for commit, pair in usable
    ]
    p, commit, pair = min(tested, key=lambda one: one[0])
    if p > 1 - gate.confidence:
        return Passes()
    why = explained(case, pair)
    return Fails(
        f"{gate.metric} declined from {pair.before.mean():.4f} in the baseline of commit {commit[:10]} to {pair.now.mean():.4f}, "
        f"by more than the {gate.max_decline:g} allowed over {gate.over} baselines (p = {min(1.0, p):.2g} after correction for "
        f"{len(usable)}, {counted_on(pair)})",
        "mend what went wrong since then, or allow more: max_decline",
        expected=f"a decline of at most {gate.max_decline:g}",
        observed=f"{pair.before.mean() - pair.now.mean():.4f}",
        numbers={
            "before": float(pair.before.mean()), "now": float(pair.now.mean()), "max_decline": gate.max_decline, "p": min(1.0, p),
            "baselines": len(usable), "commit": commit,
        },
        causes=why,
    )  # fmt: skip


RULE = Rule(
    id="LB313",
    name="decline",
    scope="gate",
    evidence="measured",
    severity="error",
    decide=decide,
    field="max_decline",
    asked=True,
    doc=__doc__ or "",
)
