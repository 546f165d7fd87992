"""Judged queries have no relevant document.

## What it means

A query is judged and has no relevant document. Its recall is undefined; tools disagree on whether it counts as 0, as 1 or not
at all.

## How it is decided

Queries whose grades are all 0 or below are counted, and left out of every mean that limitbench check computes.

## What to do

Judge a document relevant, or drop the query's judgements.

## Example

```text
q9	d3	0
```
"""

from __future__ import annotations

from limitbench.checks.findings import Outcome
from limitbench.checks.flaws import Judged, flawed
from limitbench.checks.rule import Rule


def decide(subject: Judged) -> Outcome | None:
    """Such queries are left out of every mean."""
    workload = subject.workload
    if workload.plan.pattern is not None:
        return None
    return flawed(workload, "judge a document relevant, or drop the query's judgements", "no-relevant-document")


RULE = Rule(
    id="LB003",
    name="nothing-relevant",
    scope="workload",
    evidence="measured",
    severity="warning",
    decide=decide,
    doc=__doc__ or "",
)
