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

from limitbench.checks.engine_gates import MOST, Named, gate
from limitbench.checks.measurement import Case
from limitbench.checks.rule import Rule

if TYPE_CHECKING:
    from limitbench.collection import Dataset
    from limitbench.retrievers.engine import Engine
    from limitbench.retrievers.engines.contract import Proof


def _measured(case: Case, data: Dataset, engine: Engine) -> tuple[Named, Proof]:
    from limitbench.evaluation import churn

    found = churn(data, engine, sample=MOST, depth=case.gate.measure.cutoff, confidence=case.gate.confidence)
    named = [(f"the index of {p.documents} documents after step {p.step}", p.found.agreement) for p in found.points]
    return named, found.index


RULE = Rule(
    id="LB316",
    name="churn-loses",
    scope="gate",
    evidence="measured",
    severity="error",
    decide=gate("churned", _measured, "rebuild or compact the index more often: see limitbench churn"),
    field="engine",
    asked=True,
    doc=__doc__ or "",
)
