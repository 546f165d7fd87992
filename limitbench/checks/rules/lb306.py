"""Approximate search costs more than is allowed.

## What it means

The index misses documents that exact search of the same vectors finds, and that costs more of the metric than is allowed.

## How it is decided

The check also measures the same system with exact search: by the `python`, `command`, `model` or `endpoint` of
`references.ann`; or, where the service itself is measured by `model`, by that model without its `index`. The two are compared
by LB302's test with max_drop, or 0.01 where the gate has none.

A run file is no reference, since it does not say when and from which data it was made: with one, the rule is skipped (LB901),
as in `--tier fast`, which runs no model.

## What to do

Search wider (efSearch, nprobe), use a graph with more links, or an exact index (flat).

## Example

```toml
[retriever.prod.measure.references]
ann = { python = "rag:exact_search" }
```
"""

from __future__ import annotations

from limitbench.checks.losses import loss
from limitbench.checks.rule import Rule

RULE = Rule(
    id="LB306",
    name="ann-loss",
    scope="gate",
    evidence="measured",
    severity="warning",
    decide=loss(
        "ann",
        "approximate search",
        "search wider (efSearch, nprobe), or use an index with less loss, such as flat or HNSW",
    ),
    field="metric",
    doc=__doc__ or "",
)
