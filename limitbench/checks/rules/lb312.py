"""The metric is not shown to be as good as the baseline's.

## What it means

`max_drop` fails when a drop is shown. `not_worse` asks for the opposite: it passes only when these queries show that the metric
fell by less than the margin. A set that is too small to show anything fails.

## How it is decided

A bound on the chance of figures as good as these if the metric had fallen by `not_worse` must be at most 1 - confidence. It
holds for every number of queries: the binomial tail or Hoeffding's inequality on the losses, gains not counted in, and
Hoeffding's on all differences; the smaller one, doubled. So about 180 queries without a loss are needed for a margin of 0.02,
and 36 for 0.1. It uses the queries that are unchanged (see LB302), and is undecided where those that changed, counted in, do
not bear it out. The message says whether the retriever is worse, or whether the queries are too few.

## What to do

Mend the retriever; judge more queries; or allow a larger margin.

## Example

```toml
[[gate]]
metric = "nDCG@10"
not_worse = 0.02
```
"""

from __future__ import annotations

from limitbench import statistics
from limitbench.checks.causes import explained
from limitbench.checks.comparison import Pair, before_and_now
from limitbench.checks.drops import (
    counted_on,
    drop_p_value,
)
from limitbench.checks.findings import Fails, Outcome, Passes, Undecided
from limitbench.checks.measurement import Case
from limitbench.checks.rule import Rule


def decide(case: Case) -> Outcome | None:
    """Passes only where a fall of `not_worse` or more is refuted, by a bound that holds for every number of queries."""
    gate = case.gate
    if gate.not_worse is None:
        return None
    pair = before_and_now(case)
    if not isinstance(pair, Pair):
        return pair
    p = statistics.not_below_p_value(pair.before, pair.now, gate.not_worse)
    if p <= 1 - gate.confidence:
        if statistics.not_below_p_value(*pair.all_known, gate.not_worse) <= 1 - gate.confidence or not len(
            pair.changed_now
        ):
            return Passes()
        return Undecided(
            f"{gate.metric} is not shown to be as good where the {len(pair.changed_now)} queries that changed are counted in",
            "look at them; if they are as they should be: limitbench baseline update --allow-drop",
        )
    drop = float(pair.before.mean() - pair.now.mean())
    worse = drop_p_value(pair.before, pair.now, 0.0) <= 1 - gate.confidence
    why = explained(case, pair) if worse else ()
    return Fails(
        f"{gate.metric} is not shown to be less than {gate.not_worse:g} below the baseline: it went from {pair.before.mean():.4f} "
        f"to {pair.now.mean():.4f} (p = {p:.2g}, {counted_on(pair)}); "
        + ("it is worse" if worse else "these queries do not show it"),
        "mend the regression" if worse else "judge more queries, or allow more: not_worse",
        expected=f"a fall below {gate.not_worse:g}, shown at {100 * gate.confidence:g} % confidence",
        observed=f"{drop:.4f}",
        numbers={"drop": drop, "not_worse": gate.not_worse, "p": p, "queries": len(pair.rows)},
        causes=why,
    )


RULE = Rule(
    id="LB312",
    name="not-shown-as-good",
    scope="gate",
    evidence="measured",
    severity="error",
    decide=decide,
    field="not_worse",
    asked=True,
    doc=__doc__ or "",
)
