"""The stored bits make fewer vectors than there are sets to tell apart.

## What it means

The bits of a stored vector make fewer different vectors than there are sets to tell apart. Each set needs a query vector of its
own.

## How it is decided

2^(bits x dimension) against the number of k-subsets, or of different judged sets of one size, in integers. Queries are taken to
be stored in the same dtype.

## What to do

Plan more dimensions or a wider dtype.

## Example

```toml
pattern = { kind = "all-k", n = 46, k = 2 }     # 1035 sets
dim = 8
dtype = "binary"      # 256 vectors
```
"""

from __future__ import annotations

from limitbench.checks.findings import Fails, Outcome, Passes
from limitbench.checks.plan import Plan
from limitbench.checks.rule import Rule
from limitbench.dtypes import DTYPES
from limitbench.theory.exact import log2_ceiling


def decide(plan: Plan) -> Outcome:
    """Whether this plan keeps the rule; None where the rule does not apply to it."""
    bits = DTYPES[plan.retriever.dtype].bits
    assert bits is not None
    if plan.workload.all_subsets:
        why = [reason.inequality for reason in plan.impossible("code space", "code space of documents")]
    else:
        count = plan.distinct
        why = (
            [f"{bits} x {plan.d} bits make at most 2^{bits * plan.d} queries, fewer than the {count} sets of one size"]
            if count > 1 and log2_ceiling(count) > bits * plan.d
            else []
        )
    if not why:
        return Passes()
    return Fails(
        f"{plan.retriever.dtype} vectors of {plan.d} dimensions cannot carry {plan.sets}: {why[0]}",
        "plan more dimensions or a wider dtype",
        expected="as many vectors as sets",
        observed=f"{bits} bits x {plan.d} dimensions",
        numbers={"bits": bits, "dim": plan.d, "n": plan.n, "k": plan.k},
        assumptions=("queries are stored in the same dtype", *plan.assumptions[1:]),
    )


RULE = Rule(
    id="LB105",
    name="code-space-too-small",
    scope="plan",
    evidence="proved",
    severity="error",
    decide=decide,
    field="dtype",
    doc=__doc__ or "",
)
