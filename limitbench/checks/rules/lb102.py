"""The dimension lies between the bound and the best construction.

## What it means

No bound forbids the dimension, and limitbench knows no construction that does it: the question is open.

## How it is decided

In exact arithmetic, with the margin asked for if there is one. A construction is one of docs/theory.md: moment curves, simplex,
polynomial codes, symmetric codes where every set is a pair, random signs, or integer vectors found for the judged sets and
checked.

## What to do

Plan as many dimensions as the finding says are known to be enough, ask for a smaller margin, or let an optimiser try (LB201).

## Example

```toml
pattern = { kind = "all-k", n = 1000, k = 2 }
dim = 16
margin = 0.2
```
"""

from __future__ import annotations

from limitbench.checks.findings import Fails, Outcome, Passes
from limitbench.checks.plan import CLOSED_FORM, Plan
from limitbench.checks.rule import Rule
from limitbench.theory import design


def decide(plan: Plan) -> Outcome:
    """Whether this plan keeps the rule; None where the rule does not apply to it."""
    if plan.known("real"):
        return Passes()
    wanted = "" if plan.gamma is None else f" with half-gap {float(plan.gamma):g}"
    enough = (
        design(plan.n, plan.covering, None, "real", plan.gamma).least_sufficient_dim if plan.n <= CLOSED_FORM else None
    )
    enough_are = f"{enough} dimensions are known to be enough" if enough else "a smaller margin is known to do"
    advice = f"nothing is shown to be wrong: {enough_are}"
    return Fails(
        f"whether {plan.d} dimensions carry {plan.sets}{wanted} is open: no bound forbids it, and "
        "limitbench knows no construction that does it",
        f"{advice}; or let an optimiser try: limitbench check --tier full --select LB201",
        expected="a construction",
        observed=f"dim = {plan.d}",
        numbers={"dim": plan.d, "enough": enough, "n": plan.n, "k": plan.k},
        assumptions=plan.assumptions,
    )


RULE = Rule(
    id="LB102",
    name="dimension-open",
    scope="plan",
    evidence="constructed",
    severity="warning",
    decide=decide,
    field="dim",
    spared_by=("LB101", "LB103", "LB105"),
    doc=__doc__ or "",
)
