"""The index finds too little behind a filter.

## What it means

With a filter that lets few documents pass, the engine finds less of them than exact search among them does. Some engines search
first and filter then; some lose their way in the graph.

## How it is decided

Attributes are planted on the workload's documents: drawn at random, and going with or against the queries. The engine of
`measure.model` is searched through a filter of each that lets `selectivity` of the documents pass, and compared with exact search
among those. The rule is violated where one of the three intervals is below `filtered`, and undecided where one holds it.

## What to do

Use an engine or a setting that filters while it searches: `hnsw.iterative_scan` of pgvector, a payload index of Qdrant.
`limitbench filters` shows agreement against how much passes.

## Example

```toml
[[gate]]
workload = "support"
retriever = "served"
metric = "Recall@10"
engine = { filtered = 0.9, selectivity = 0.01 }
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
    from limitbench.evaluation import filters

    shares, depth = [case.gate.engine.selectivity], case.gate.measure.cutoff
    found = filters(data, engine, selectivities=shares, sample=MOST, depth=depth, confidence=case.gate.confidence)
    named = [(f"the index behind a filter of {p.selectivity:g} ({p.kind})", p.found.agreement) for p in found.points]
    return named, found.index


RULE = Rule(
    id="LB315",
    name="filter-loses",
    scope="gate",
    evidence="measured",
    severity="error",
    decide=gate("filtered", _measured, "filter while searching: see limitbench filters"),
    field="engine",
    asked=True,
    doc=__doc__ or "",
)
