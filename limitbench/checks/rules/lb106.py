"""More documents are relevant than are handed on: a ceiling below the gate.

## What it means

Queries have more relevant documents than are handed on, so even a perfect retriever cannot reach the gate's floor.

## How it is decided

The mean over the queries of min(cut, R) / R, in fractions, against min; cut is the smaller of top_k and the measure's cutoff.
Recall alone. LB301 measures at the cutoff, whatever top_k is: this rule is about what is handed on.

## What to do

Hand on more documents, or lower min to what the finding says.

## Example

```toml
top_k = 2           # queries have 4 relevant documents
metric = "Recall@2"
min = 0.9
```
"""

from __future__ import annotations

import math
from fractions import Fraction

from limitbench.checks.findings import Fails, Outcome, Passes
from limitbench.checks.measurement import Case
from limitbench.checks.rule import Rule


def decide(case: Case) -> Outcome | None:
    """Exact: a mean of fractions."""
    gate, workload = case.gate, case.workload
    if gate.min is None or gate.agreement or gate.measure.name != "Recall":
        return None
    cut = min(gate.measure.cutoff, workload.top_k)
    sizes = workload.ceiling_sizes
    total = sum(sizes.values())
    if not total:
        return None
    ceiling = sum(count * Fraction(min(cut, size), size) for size, count in sizes.items()) / total
    if ceiling >= Fraction(str(gate.min)):
        return Passes()
    return Fails(
        f"{gate.metric} of the {cut} documents handed on cannot exceed {float(ceiling):.4f}, below the floor of {gate.min:g}: "
        f"queries have up to {max(sizes)} relevant documents",
        f"hand on more documents (top_k, and the cutoff), or lower min to at most {math.floor(10_000 * ceiling) / 10_000:g}",
        expected=f"a ceiling of at least {gate.min:g}",
        observed=f"{float(ceiling):.4f}",
        numbers={"ceiling": float(ceiling), "min": gate.min, "cut": cut, "most_relevant": max(sizes)},
        assumptions=() if workload.assumption is None else (workload.assumption,),
    )


RULE = Rule(
    id="LB106",
    name="top-k-too-small",
    scope="gate",
    evidence="proved",
    severity="error",
    decide=decide,
    field="min",
    ceiling=True,
    doc=__doc__ or "",
)
