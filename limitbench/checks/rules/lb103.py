"""No vectors of this dimension have the margin asked for.

## What it means

No unit vectors of this dimension have the margin that the plan asks for.

## How it is decided

Exact inequalities, the first that applies. The half-gap of all k-subsets is at most n / (2 sqrt(k (n - 1) (n - k))) in every
dimension ([margin-ceiling](../../theory/margin-ceiling.md), which also bounds it in few dimensions). Queries and centroids of
all sets need room ([monotone-packing](../../theory/monotone-packing.md)). Queries of incomparable sets are 2 margin apart, so
that their caps must fit on the sphere ([spherical-caps](../../theory/spherical-caps.md)). Judged sets use the last two, with
the number of different sets of one size.

## What to do

Ask for a smaller margin, plan more dimensions, or split the workload over several indexes.

## Example

```toml
pattern = { kind = "all-k", n = 1000000, k = 100 }
margin = 0.1      # at most 0.05001 in any dimension
```
"""

from __future__ import annotations

from limitbench.checks.findings import Fails, Outcome, Passes
from limitbench.checks.plan import Plan
from limitbench.checks.rule import Rule
from limitbench.theory import margin as margins
from limitbench.theory.packing import too_many_sets


def decide(plan: Plan) -> Outcome | None:
    """Whether this plan keeps the rule; None where the rule does not apply to it."""
    gamma = plan.gamma
    if gamma is None:
        return None
    if plan.workload.all_subsets:
        reasons = plan.impossible("margin ceiling", "Radon partition", "monotone packing", "spherical caps")
        why = [reason.inequality for reason in reasons]
    else:
        count = plan.distinct
        why = []
        if margins.caps_forbid(count, gamma, plan.d):
            why = [
                f"{count} incomparable sets, {2 * float(gamma):g} apart, do not fit on the unit sphere of {plan.d} dimensions"
            ]
        why += [
            f"{count} different sets of {size} documents are too many for {plan.d} dimensions"
            for size, count in plan.sets_by_size.items()
            if too_many_sets(count, size, gamma, plan.d)
        ]
    if not why:
        return Passes()
    return Fails(
        f"half-gap {float(gamma):g} is impossible for {plan.sets} in {plan.d} dimensions: {why[0]}",
        "ask for a smaller margin, plan more dimensions, or split the workload over several indexes",
        expected="a margin that some vectors have",
        observed=f"margin = {float(gamma):g}",
        numbers={"margin": float(gamma), "dim": plan.d, "n": plan.n, "k": plan.k},
        assumptions=plan.assumptions,
    )


RULE = Rule(
    id="LB103",
    name="margin-impossible",
    scope="plan",
    evidence="proved",
    severity="error",
    decide=decide,
    field="margin",
    doc=__doc__ or "",
)
