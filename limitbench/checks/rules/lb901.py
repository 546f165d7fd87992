"""A check that the configuration asks for was skipped.

## What it means

A comparison that the configuration allows was not made: a reference of LB304 to LB306 is a run file, or BM25 on many documents
belongs to the full tier. What a gate itself asks for is never skipped: without a measurement it is undecided (LB902).

## How it is decided

Rules that belong to a higher tier alone are counted as skipped, without a finding.

## What to do

Have the reference measured, or run `limitbench check --tier full`.

## Example

```toml
[retriever.prod.measure.references]
ann = "eval/exact.trec"       # a file: skipped
```
"""

from __future__ import annotations

from limitbench.checks.rule import Rule

RULE = Rule(
    id="LB901",
    name="skipped",
    scope="project",
    evidence="measured",
    severity="warning",
    doc=__doc__ or "",
)
