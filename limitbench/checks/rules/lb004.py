"""Ids hold white space, which breaks TREC's readers.

## What it means

An id holds white space or a control character. TREC's formats separate columns by white space. Other tools read such a run or
qrels file wrongly or not at all.

## How it is decided

Ids of documents and queries are looked through. limitbench itself escapes them reversibly in what it writes, and says so on
those lines, so its own figures do not suffer: the rule warns.

## What to do

Rename the ids, or read what limitbench writes with limitbench.

## Example

```text
{"_id": "Ada Lovelace", "text": "..."}
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
    return flawed(workload, "rename them; limitbench escapes them reversibly in what it writes", "unsafe-id")


RULE = Rule(
    id="LB004",
    name="unsafe-id",
    scope="workload",
    evidence="measured",
    severity="warning",
    decide=decide,
    doc=__doc__ or "",
)
