"""The same text, or the same pair, is judged in two ways.

## What it means

The same pair of query and document is judged twice with different grades, two documents of equal text are relevant and not
relevant to one query, or an id stands twice. A retriever that reads text alone cannot get both right.

## How it is decided

Counts of conflicting judgements, of equal texts judged differently within one query, and of repeated ids; the first of a
repeated id counts.

## What to do

Judge equal texts alike, or drop one; keep one line of what stands twice.

## Example

```text
{"_id": "d1", "text": "Tea is hot."}   # relevant to q1
{"_id": "d2", "text": "Tea is hot."}   # judged 0 for q1
```
"""

from __future__ import annotations

from limitbench.checks.findings import Outcome
from limitbench.checks.flaws import Judged, flawed
from limitbench.checks.rule import Rule


def decide(subject: Judged) -> Outcome | None:
    """Whether this workload keeps the rule; None where the rule does not apply to it."""
    workload = subject.workload
    if workload.plan.pattern is not None:
        return None
    names = ("conflicting-judgement", "duplicate-labels", "repeated-document", "repeated-query")
    return flawed(workload, "judge equal texts alike, and keep one of what stands twice", *names)


RULE = Rule(
    id="LB002",
    name="conflicting-labels",
    scope="workload",
    evidence="measured",
    severity="warning",
    decide=decide,
    doc=__doc__ or "",
)
