"""The dtype costs more than is allowed.

## What it means

Storing the vectors in a coarser dtype costs more of the metric than is allowed.

## How it is decided

The same system in fp32 is measured in the same check: by the `python`, `command`, `model` or `endpoint` of
`references.quantisation`, or where the service itself is measured by `model`, by that model without `dtype`. The two are
compared by LB302's test with max_drop, or 0.01 where the gate has none.

A run file is no reference: nobody knows when, and of which data, it was made. One is skipped (LB901).

## What to do

Store a finer dtype, or rescore the best candidates in full precision.

## Example

```toml
[retriever.prod.measure.references]
quantisation = { python = "rag:in_fp32" }
```
"""

from __future__ import annotations

from limitbench.checks.losses import loss
from limitbench.checks.rule import Rule

RULE = Rule(
    id="LB305",
    name="quantisation-loss",
    scope="gate",
    evidence="measured",
    severity="warning",
    decide=loss("quantisation", "the dtype", "store a finer dtype, or rescore the best candidates in full precision"),
    field="metric",
    doc=__doc__ or "",
)
