"""The index finds too little as documents come and go.

## What it means

After rounds of inserts and deletes, the engine finds less than exact search of the documents that are there.

## How it is decided

The engine of `measure.model` is filled with half of the workload's corpus. In eight rounds the oldest documents go and new ones
come, and after each it is compared with exact search of what is there. The rule is violated where the interval of one round is
below `churned`, and undecided where one holds it.

## What to do

Rebuild or compact the index more often: `limitbench churn` shows every round, and an index built anew of the last documents.

## Example

```toml
[[gate]]
workload = "support"
retriever = "served"
metric = "Recall@10"
engine = { churned = 0.9 }
```
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from limitbench.checks.engine_gates import MOST, decided, on_engine
from limitbench.checks.findings import Outcome, Undecided
from limitbench.checks.measurement import Case
from limitbench.checks.rule import Rule

if TYPE_CHECKING:
    from limitbench.collection import Dataset
    from limitbench.retrievers.engine import Engine


def decide(case: Case) -> Outcome | None:
    """Whether the engine finds as much after changes as the gate asks; None where it asks for nothing of the kind."""
    least, gate = case.gate.engine.churned, case.gate
    if least is None:
        return None

    def measured(data: Dataset, engine: Engine) -> Outcome:
        from limitbench.evaluation import churn

        found = churn(data, engine, sample=MOST, depth=gate.measure.cutoff, confidence=gate.confidence)
        named = [(f"the index of {p.documents} documents after step {p.step}", p.found.agreement) for p in found.points]
        if not found.index.used:
            return Undecided(
                f"the index is not in use: {found.index.how}", "see docs/engines.md for what each engine needs"
            )
        return decided(least, named, "rebuild or compact the index more often: see limitbench churn")

    return on_engine(case, measured)


RULE = Rule(
    id="LB316",
    name="churn-loses",
    scope="gate",
    evidence="measured",
    severity="error",
    decide=decide,
    field="engine",
    asked=True,
    doc=__doc__ or "",
)
