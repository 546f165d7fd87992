"""Scores at the cut are closer than the dtype can tell apart.

## What it means

At the cut, scores are closer to each other than rounding to the dtype moves them: which document comes first is noise.

## How it is decided

Cosine scores of a dense plan with a dimension: the median over queries of the score at the cutoff less the next, against the
typical rounding error of a score in the dtype.

## What to do

Store a finer dtype, or rescore the best candidates in full precision.

## Example

```toml
dtype = "bf16"
dim = 4       # and scores 0.91230, 0.91229 at the cut
```
"""

from __future__ import annotations

import numpy as np

from limitbench.checks.findings import Fails, Outcome, Passes
from limitbench.checks.measurement import Case, Measured
from limitbench.checks.rule import Rule
from limitbench.dtypes import typical_score_error


def decide(case: Case) -> Outcome | None:
    """Whether this gate keeps the rule; None where it asks for nothing of the kind."""
    plan = case.retriever
    if (
        plan.measure is None
        or plan.kind != "dense"
        or plan.metric != "cosine"
        or plan.dim is None
        or plan.dtype == "binary"
    ):
        return None
    found = case.measured()
    if not isinstance(found, Measured):
        return found
    scores = found.run.scores
    gaps = found.gaps_at(case.gate.measure.cutoff)
    gaps = gaps[gaps > 0]  # equal scores are LB307's
    if not len(gaps) or np.abs(scores).max(initial=0.0) > 1.001:  # no cosines
        return None
    step, middle = typical_score_error(plan.dtype, plan.dim), float(np.median(gaps))
    if middle >= step:
        return Passes()
    return Fails(
        f"half of the queries have scores closer than {middle:.2g} at rank {case.gate.measure.cutoff}, and rounding to "
        f"{plan.dtype} moves a score by {step:.2g}",
        "store a finer dtype, or rescore the best candidates in full precision",
        expected=f"a median gap of at least {step:.2g}",
        observed=f"{middle:.2g}",
        numbers={"median_gap": middle, "typical_error": step, "queries": len(gaps)},
    )


RULE = Rule(
    id="LB308",
    name="scores-too-close",
    scope="gate",
    evidence="measured",
    severity="warning",
    decide=decide,
    field="metric",
    doc=__doc__ or "",
)
