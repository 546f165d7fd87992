"""More documents than vectors were seen to carry.

## What it means

The corpus is larger than any vectors of this dimension were seen to carry, free embeddings or symmetric codes. Little headroom
is left even for vectors made for the test.

## How it is decided

All pairs (k = 2) without a margin. The largest corpus that `limitbench capacity --dim 4,5,6,8,10,12 --budget 60s` solved and
verified at up to this dimension, the largest symmetric code for fp32 in the shipped table (docs/capacity.md), or the paper's
cubic (arXiv 2508.21038), fitted to d = 4..45 and extrapolated beyond, whichever is largest.

## What to do

Plan more dimensions, or lower growth. An extrapolation is no bound: measure before you decide.

## Example

```toml
pattern = { kind = "all-k", n = 1000, k = 2 }
dim = 4      # 293 documents were carried
```
"""

from __future__ import annotations

from limitbench.checks.findings import Fails, Outcome, Passes
from limitbench.checks.plan import Plan, seen_to_carry
from limitbench.checks.rule import Rule


def applies(plan: Plan) -> bool:
    """Whether all pairs are asked for, without a margin: what optimisers were run on."""
    return plan.k == 2 and plan.workload.all_subsets and plan.gamma is None


def decide(plan: Plan) -> Outcome:
    """The corpus against the largest that vectors were seen to carry, k = 2 alone."""
    most, source = seen_to_carry(plan.d)
    if plan.n <= most:
        return Passes()
    return Fails(
        f"{plan.n:,} documents are more than vectors of {plan.d} dimensions were seen to carry: {most:,} ({source})",
        "nothing is shown to be wrong: measure before you decide, plan more dimensions, or lower growth",
        expected=f"n <= {most}",
        observed=f"n = {plan.n}",
        numbers={"n": plan.n, "frontier": most, "dim": plan.d, "source": source},
    )


RULE = Rule(
    id="LB202",
    name="little-headroom",
    scope="plan",
    evidence="empirical",
    severity="warning",
    decide=decide,
    applies=applies,
    field="dim",
    spared_by=("LB101", "LB103", "LB105"),
    doc=__doc__ or "",
)
