"""Equal scores at the cut leave the metric to chance.

## What it means

So many documents share a score at the cut that the metric depends on how ties are broken.

## How it is decided

The metric with ties broken in the worst and in the best way; their means may differ by max_drop, or 0.01.

## What to do

Keep more of each score, or break ties by a second score.

## Example

```text
q1 Q0 d1 1 0.5 prod
q1 Q0 d2 2 0.5 prod
```
"""

from __future__ import annotations

from limitbench.checks.findings import Fails, Outcome, Passes
from limitbench.checks.measurement import Case, Measured
from limitbench.checks.rule import Rule


def decide(case: Case) -> Outcome | None:
    """Whether this gate keeps the rule; None where it asks for nothing of the kind."""
    if case.retriever.measure is None or case.gate.agreement:
        return None
    found = case.measured()
    if not isinstance(found, Measured):
        return found
    worst, best = (float(found.values(case.gate, ties).mean()) for ties in ("worst", "best"))
    if best - worst <= case.allowed:
        return Passes()
    return Fails(
        f"equal scores at the cut leave {case.gate.metric} anywhere from {worst:.4f} to {best:.4f}",
        "keep more of each score, or break ties by a second score; a coarse dtype makes them",
        expected=f"an interval of at most {case.allowed:g}",
        observed=f"{best - worst:.4f}",
        numbers={"worst": worst, "best": best, "allowed": case.allowed},
    )


RULE = Rule(
    id="LB307",
    name="ties-at-the-cut",
    scope="gate",
    evidence="measured",
    severity="warning",
    decide=decide,
    field="metric",
    doc=__doc__ or "",
)
