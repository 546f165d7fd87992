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

from limitbench.checks.engine_gates import MOST, decided, on_engine
from limitbench.checks.findings import Outcome, Undecided
from limitbench.checks.measurement import Case
from limitbench.checks.rule import Rule

if TYPE_CHECKING:
    from limitbench.collection import Dataset
    from limitbench.retrievers.engine import Engine


def decide(case: Case) -> Outcome | None:
    """Whether the engine finds as much behind filters as the gate asks; None where it asks for nothing of the kind."""
    asked, gate = case.gate.engine, case.gate
    least = asked.filtered
    if least is None:
        return None

    def measured(data: Dataset, engine: Engine) -> Outcome:
        from limitbench.evaluation import filters

        found = filters(
            data, engine, selectivities=[asked.selectivity], sample=MOST, depth=gate.measure.cutoff, confidence=gate.confidence
        )  # fmt: skip
        named = [
            (f"the index behind a filter of {p.selectivity:g} ({p.kind})", p.found.agreement) for p in found.points
        ]
        if not found.index.used:
            return Undecided(
                f"the index is not in use: {found.index.how}", "see docs/engines.md for what each engine needs"
            )
        return decided(least, named, "filter while searching: see limitbench filters")

    return on_engine(case, measured)


RULE = Rule(
    id="LB315",
    name="filter-loses",
    scope="gate",
    evidence="measured",
    severity="error",
    decide=decide,
    field="engine",
    asked=True,
    doc=__doc__ or "",
)
