"""Truncating the vectors costs more than is allowed.

## What it means

Keeping only the first coordinates of the vectors costs more of the metric than is allowed.

## How it is decided

The same system with all dimensions is measured in the same check: by the `python`, `command`, `model` or `endpoint` of
`references.truncation`, or where the service itself is measured by `model`, by that model without `dim`. The two are compared
by LB302's test with max_drop, or 0.01 where the gate has none.

A run file is no reference: nobody knows when, and of which data, it was made. One is skipped (LB901).

## What to do

Keep more dimensions: `limitbench sweep` shows how many are enough.

## Example

```toml
[retriever.prod.measure.references]
truncation = { python = "rag:all_dimensions" }
```
"""

from __future__ import annotations

from limitbench.checks.losses import loss
from limitbench.checks.rule import Rule

RULE = Rule(
    id="LB304",
    name="truncation-loss",
    scope="gate",
    evidence="measured",
    severity="warning",
    decide=loss("truncation", "truncating the vectors", "keep more dimensions: limitbench sweep shows how many"),
    field="metric",
    doc=__doc__ or "",
)
