"""More questions were lost than max_lost allows.

## What it means

More questions have a lower figure than in the baseline than the gate allows. Questions that were gained do not make up for
them.

## How it is decided

A count, not a test: of the queries that are unchanged (see LB302), how many have a lower figure now. It holds for sets of any
size. Where most of the queries that changed fell, and would exceed max_lost, it is undecided.

## What to do

Look at the lost questions below the gate table. If the loss is meant, record it: `limitbench baseline update --allow-drop`.

## Example

```toml
[[gate]]
metric = "Recall@5"
max_lost = 3
```
"""

from __future__ import annotations

from limitbench.checks.causes import explained
from limitbench.checks.comparison import Pair, before_and_now
from limitbench.checks.drops import (
    counted_on,
    most_fallen,
)
from limitbench.checks.findings import Fails, Outcome, Passes, Undecided
from limitbench.checks.measurement import Case
from limitbench.checks.rule import Rule


def decide(case: Case) -> Outcome | None:
    """A count, not a test: it holds for sets of any size."""
    gate = case.gate
    if gate.max_lost is None:
        return None
    pair = before_and_now(case)
    if not isinstance(pair, Pair):
        return pair
    lost = len(pair.lost)
    if lost <= gate.max_lost:
        fell = int((pair.changed_now < pair.changed_before).sum())
        if lost + fell > gate.max_lost and fell > len(pair.changed_now) / 2:
            return Undecided(
                f"{fell} of the {len(pair.changed_now)} queries that changed have a lower figure now; {gate.max_lost} may be lost",
                "look at them; if they are as they should be: limitbench baseline update --allow-drop",
            )
        return Passes()
    why = explained(case, pair)
    return Fails(
        f"{gate.metric} fell for {lost} of {counted_on(pair)}, and {gate.max_lost} may be lost; most at {most_fallen(case, pair)}",
        "look at the lost questions; or, if it is meant: limitbench baseline update --allow-drop",
        expected=f"at most {gate.max_lost} lost",
        observed=str(lost),
        numbers={"lost": lost, "gained": pair.gained, "max_lost": gate.max_lost, "queries": len(pair.rows)},
        causes=why,
    )


RULE = Rule(
    id="LB310",
    name="questions-lost",
    scope="gate",
    evidence="measured",
    severity="error",
    decide=decide,
    field="max_lost",
    asked=True,
    doc=__doc__ or "",
)
