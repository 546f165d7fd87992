"""Optimised vectors did not carry the workload.

## What it means

Vectors optimised on the test set itself did not carry the workload in this dimension and dtype. A model that sees text has a
harder task.

## How it is decided

In the full tier, limitbench optimises free embeddings from up to three seeds, 60 s together. It passes if one seed succeeds. A
failed search does not prove that no vectors exist: the rule is empirical, and never above warning.

It is undecided if the time ends before a seed is finished, or if queries x documents is above 50,000,000. It is skipped if torch is
not installed.

## What to do

Plan more dimensions or a finer dtype.

## Example

```toml
[workload.pairs]
pattern = { kind = "all-k", n = 40, k = 2 }

[retriever.planned]
kind = "dense"
dim = 4
dtype = "int8"
```
"""

from __future__ import annotations

import math
import time

from limitbench.checks.findings import Fails, Outcome, Passes, Skipped, Undecided
from limitbench.checks.plan import Plan
from limitbench.checks.rule import Rule

_SECONDS, _SEEDS = 60.0, 3


def decide(plan: Plan) -> Outcome | None:
    """Optimise the vectors themselves on the sets. Skipped where torch is not installed."""
    try:
        from limitbench.capacity.anneal import Annealer
        from limitbench.capacity.scores import arithmetic
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        return Skipped(
            "optimising free embeddings needs torch", "type: pip install 'limitbench[models]', or leave out --tier full"
        )
    from limitbench.capacity.problem import Problem
    from limitbench.datasets.patterns import all_k

    if plan.workload.all_subsets:
        rows = math.comb(plan.n, plan.k) if plan.n < 10**6 else 10**12
        if rows * plan.n > 50_000_000:
            return Undecided(
                f"{plan.sets} are too many to optimise on", "lower growth, or ignore LB201 here", quiet=True
            )
        qrels = all_k(plan.n, plan.k)
    else:
        assert plan.workload.qrels is not None
        qrels = plan.workload.qrels.relevant
        if qrels.n_queries * plan.n > 50_000_000:
            return Undecided(f"{plan.sets} are too many to optimise on", "ignore LB201 here", quiet=True)
    seconds = plan.settings.seconds(_SECONDS)
    deadline = time.monotonic() + seconds
    margin = 0.0 if plan.gamma is None else float(plan.gamma)
    with arithmetic():
        solver = Annealer(Problem.of(qrels), plan.d, dtype=plan.retriever.dtype, margin=margin)
        for seed in range(_SEEDS):
            if solver.attempt([seed], deadline=deadline).solved:
                return Passes()
            if time.monotonic() > deadline:
                return Undecided(
                    f"seed {seed} of {_SEEDS} was not finished in {seconds:.0f} s",
                    "give more: --time-budget",
                    quiet=True,
                )
    return Fails(
        f"free embeddings of {plan.d} dimensions in {plan.retriever.dtype} did not reach {plan.sets} from {_SEEDS} "
        "seeds; not found is not impossible",
        "nothing is shown to be wrong: plan more dimensions or a finer dtype, or measure the retriever",
        expected="one seed that reaches it",
        observed=f"0 of {_SEEDS}",
        numbers={"seeds": _SEEDS, "dim": plan.d, "n": plan.n, "k": plan.k},
    )


RULE = Rule(
    id="LB201",
    name="free-embeddings-miss",
    scope="plan",
    evidence="empirical",
    severity="warning",
    tier="full",
    decide=decide,
    field="dim",
    doc=__doc__ or "",
)
