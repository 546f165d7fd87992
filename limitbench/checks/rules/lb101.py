"""The dimension is below the certified lower bound.

## What it means

The dimension is below a proved lower bound: no vectors of so few coordinates rank the relevant documents of every query above
all others, whatever model makes them.

## How it is decided

All k-subsets of n documents need a known number of dimensions: with k' = min(k, n - k), that is min(2, n - 1) for k' = 1 and
min(2k', n - 2) above (cosines: min(2k', n - 1) up to k' = 2). Judged sets need what `limitbench bounds` certifies for their
matrix; a bound found by a solver or by floating point does not count. Distances need one dimension less than inner products.
Scores are taken as exact and relevant ones as strictly larger; ties broken by index can save one dimension.

## What to do

Plan more dimensions. This bound is small: it says nothing about margin, dtype or training, which LB103 to LB105 and
measurements do.

## Example

```toml
pattern = { kind = "all-k", n = 46, k = 2 }     # needs 4
dim = 3
```
"""

from __future__ import annotations

from limitbench.checks.findings import Fails, Outcome, Passes
from limitbench.checks.plan import Plan
from limitbench.checks.rule import Rule


def decide(plan: Plan) -> Outcome:
    """Whether this plan keeps the rule; None where the rule does not apply to it."""
    least, source = plan.least()
    if plan.d >= least:
        return Passes()
    return Fails(
        f"dimension {plan.d} cannot carry {plan.sets}: at least {least} are needed",
        f"plan at least {least} dimensions, more with a margin or a dtype: limitbench bounds --n {plan.n} --k {plan.k}",
        expected=f"dim >= {least}",
        observed=f"dim = {plan.d}",
        numbers={"dim": plan.d, "bound": least, "n": plan.n, "k": plan.k, "source": source},
        assumptions=plan.assumptions,
    )


RULE = Rule(
    id="LB101",
    name="dimension-too-small",
    scope="plan",
    evidence="proved",
    severity="error",
    decide=decide,
    field="dim",
    doc=__doc__ or "",
)
