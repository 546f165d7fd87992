"""The index finds too little behind a filter.

## What it means

A filter lets few documents pass. The engine then finds fewer of them than exact search does. Some engines search first and
filter afterwards, so that few are left; in others the search ends in a part of the graph where little passes.

## How it is decided

limitbench gives every document three attributes: one drawn at random, one for documents near the queries, one for those far
from them. For each, the engine of `measure.model` searches through a filter that lets the share `selectivity` of the documents
pass, and is compared with exact search among those.

The rule is violated if one of the three intervals lies below `filtered`. Otherwise it is undecided if `filtered` lies inside
one, if the index is not proved to be used, and in `--tier fast`, which builds no index.

## What to do

Use an engine or a setting that filters while it searches: `hnsw.iterative_scan` of pgvector, a payload index of Qdrant.
`limitbench filters` shows the agreement for several values of `selectivity`.

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
