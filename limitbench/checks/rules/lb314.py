"""The index finds too little of what exact search finds.

## What it means

The engine's index misses documents that exact search of the same vectors finds, more of them than the gate allows. No judgement is
asked: an index can lose documents that nobody judged.

## How it is decided

The engine of `measure.model` is filled with the workload's corpus and asked with its queries, 1,000 of them at most, as deep as the
metric's cutoff. Each is compared with exact search of the same vectors. The interval of the mean holds for any distribution
(Hoeffding 1963). The rule is violated where the whole interval is below `of_exact`, and undecided where it lies inside
(LB902, exit code 3). An engine whose index is not proved used is undecided too. With `builds`, the index is built so many times,
and every build counts: graphs of one setting differ.

## What to do

Search wider (`ef`, `probes`), or build a better index (`m`, `ef_construction`): `limitbench tune` finds the cheapest setting.

## Example

```toml
[retriever.served.measure]
model = "engine:pgvector,of=minilm,ef=200"
[[gate]]
workload = "support"
retriever = "served"
metric = "Recall@10"
engine = { of_exact = 0.95, builds = 3 }
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
    from limitbench.evaluation.engine_runs import Bench

    builds, depth = case.gate.engine.builds, case.gate.measure.cutoff
    bench = Bench.of(data, engine, sample=MOST, depth=depth, seed=0)
    found = []
    for number in range(1, builds + 1):
        with bench.engine(engine.settings) as (made, _):
            what = "the index" if builds == 1 else f"build {number} of {builds}"
            found.append((what, bench.searched(made, confidence=case.gate.confidence).agreement))
            proof = made.proof()
    return found, proof


RULE = Rule(
    id="LB314",
    name="index-loses",
    scope="gate",
    evidence="measured",
    severity="error",
    decide=gate("of_exact", _measured, "search wider or build a better index: limitbench tune"),
    field="engine",
    asked=True,
    doc=__doc__ or "",
)
