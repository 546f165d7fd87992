"""No known construction survives the dtype's resolution.

## What it means

Exact numbers of this dimension carry the workload, but no construction is known that survives rounding to the dtype. The best
known half-gap is smaller than the rounding error, and no construction from integers that the dtype holds exactly is known.

## How it is decided

The best half-gap of the known constructions is compared with the largest error that rounding can cause in a score of two unit
vectors of d dimensions (`limitbench.dtypes.score_error`):

| dtype | largest error of a score, about |
| --- | --- |
| bf16, fp16, fp32 | 2u + d 2^-24, with u = 2^-8, 2^-11, 2^-24; the second term is of the sum |
| int8 | 2 sqrt(d) / 254, with a symmetric scale: one for all documents, one for each query |
| binary | 2 |

A retriever with `dtype=int8` uses another scale, a range fitted to the documents. It clips query values outside the range, so
that this bound does not hold for it. Constructions whose coordinates are integers that the dtype holds exactly count as
surviving. If every set is a pair, symmetric codes count too, with the half-gap that is proved of their stored vectors.

The rule speaks of patterns alone. A team's own judgements ask for far less than all k-subsets, and a measurement tells more.

## What to do

Nothing is shown to be wrong. Plan more dimensions or a finer dtype, or measure the retriever and gate on that: a trained model
may succeed where every known construction fails.

## Example

```toml
[workload.pairs]
pattern = { kind = "all-k", n = 400, k = 2 }

[retriever.planned]
kind = "dense"
dim = 4
dtype = "bf16"
```
"""

from __future__ import annotations

from limitbench.checks.findings import Fails, Outcome, Passes
from limitbench.checks.plan import CLOSED_FORM, Plan, best_half_gap
from limitbench.checks.rule import Rule
from limitbench.dtypes import score_error


def applies(plan: Plan) -> bool:
    """Whether a pattern is asked for: constructions are for all k-subsets, and a team's own judgements ask for far less."""
    return plan.workload.plan.qrels is None


def decide(plan: Plan) -> Outcome:
    """Whether some construction is known to survive the dtype."""
    dtype = plan.retriever.dtype
    if not plan.known("real") or plan.known(dtype):
        return Passes()
    gap, name = (
        best_half_gap(plan.n, plan.covering, plan.d, plan.pairs_alone) if plan.n <= CLOSED_FORM else (0.0, "none")
    )
    step = score_error(dtype, plan.d)
    shown = (
        f"the best known half-gap, {gap:.2g} ({name}), is below {dtype}'s resolution of {step:.2g}"
        if gap < step
        else f"no known construction is exact in {dtype}"
    )
    return Fails(
        f"exact numbers of {plan.d} dimensions carry {plan.sets}, but {shown}: whether {dtype} vectors do is open",
        "nothing is shown to be wrong: measure the retriever and gate on what it does, or plan more dimensions or a finer dtype",
        expected=f"a construction that {dtype} keeps",
        observed=f"half-gap {gap:.2g}",
        numbers={
            "best_half_gap": gap,
            "resolution": step,
            "construction": name,
            "dim": plan.d,
            "n": plan.n,
            "k": plan.k,
        },
        assumptions=plan.assumptions,
    )


RULE = Rule(
    id="LB104",
    name="dtype-too-coarse",
    scope="plan",
    evidence="constructed",
    severity="warning",
    decide=decide,
    applies=applies,
    field="dtype",
    spared_by=("LB101", "LB103", "LB105"),
    doc=__doc__ or "",
)
