"""The metric dropped against the baseline by more than is allowed.

## What it means

The metric fell against the baseline by more than max_drop, and chance does not explain it.

## How it is decided

A one-sided paired randomisation test of the per-query differences, shifted by max_drop, at 1 - confidence. At a true drop of
max_drop it fires in about 5 % of cases. Without a drop it almost never fires.

It compares the queries that are unchanged: the same text, the same judgements above grade 0, the same texts of the judged
documents. The gate table says how many those are, and why others are not compared.

It is undecided where there is no baseline; where less than half of the queries can be compared; where they are too few for any
p-value below 1 - confidence; and where a drop shows only when the queries that changed are counted in: rewording hides no drop.

A gate that was renamed is compared with the one gate of the same metric that is no longer in the configuration.

The report says the likely cause, where the run shows one (docs/checks.md, "Causes").

## What to do

Look at the lost questions below the gate table. Mend the regression. If the drop is meant, record it: `limitbench baseline
update --allow-drop`.

## Example

```toml
max_drop = 0.01
[baseline]
path = ".limitbench/baseline.json"
```
"""

from __future__ import annotations

from limitbench.checks.causes import explained
from limitbench.checks.comparison import Pair, before_and_now, too_few
from limitbench.checks.drops import (
    among_changed,
    counted_on,
    drop_p_value,
    most_fallen,
)
from limitbench.checks.findings import Fails, Outcome, Passes
from limitbench.checks.measurement import Case
from limitbench.checks.rule import Rule


def decide(case: Case) -> Outcome | None:
    """Whether this gate keeps the rule; None where it asks for nothing of the kind."""
    gate = case.gate
    if gate.max_drop is None:
        return None
    pair = before_and_now(case)
    if not isinstance(pair, Pair):
        return pair
    if (few := too_few(case, pair)) is not None:
        return few
    p = drop_p_value(pair.before, pair.now, gate.max_drop)
    if p > 1 - gate.confidence:
        return among_changed(case, pair, gate.max_drop) or Passes()
    before, now, why = float(pair.before.mean()), float(pair.now.mean()), explained(case, pair)
    return Fails(
        f"{gate.metric} fell from {before:.4f} to {now:.4f}, by more than the {gate.max_drop:g} allowed "
        f"(p = {p:.2g}, paired randomisation, {counted_on(pair)}); most at {most_fallen(case, pair)}",
        "mend the regression; or, if it is meant: limitbench baseline update --allow-drop",
        expected=f"a drop of at most {gate.max_drop:g}",
        observed=f"{before - now:.4f}",
        numbers={
            "before": before, "now": now, "drop": before - now, "max_drop": gate.max_drop, "p": p, "queries": len(pair.rows),
        },
        causes=why,
    )  # fmt: skip


RULE = Rule(
    id="LB302",
    name="regression",
    scope="gate",
    evidence="measured",
    severity="error",
    decide=decide,
    field="max_drop",
    asked=True,
    doc=__doc__ or "",
)
