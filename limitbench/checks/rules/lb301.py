"""The lower confidence limit of the metric is below its floor.

## What it means

The measured retriever is below the floor of its gate, or the queries are too few to show that it is not.

## How it is decided

The one-sided lower confidence limit of the mean (bias-corrected accelerated bootstrap over queries, 9,999 resamples, seed 0)
must reach min. Ties count at their expected value.

## What to do

Mend the retriever, lower min, or judge more queries where the mean is above the floor and its limit below. A gate whose
retriever has no measurement is undecided (LB902, exit code 3): a floor that nobody measured is never green.

## Example

```toml
metric = "Recall@10"
min = 0.90
confidence = 0.95
```
"""

from __future__ import annotations

from limitbench import statistics
from limitbench.checks.causes import explained
from limitbench.checks.comparison import Pair, before_and_now
from limitbench.checks.findings import Fails, Outcome, Passes
from limitbench.checks.measurement import Case, Measured
from limitbench.checks.rule import Rule

_ROUNDING = 1e-9  # a mean of 0.9 may be summed to a little less


def decide(case: Case) -> Outcome | None:
    """Whether this gate keeps the rule; None where it asks for nothing of the kind."""
    gate = case.gate
    if gate.min is None:
        return None
    found = case.measured()
    if not isinstance(found, Measured):
        return found
    pair = before_and_now(case)
    if gate.agreement and not isinstance(pair, Pair):
        return pair  # there is nothing to agree with
    values = pair.now if gate.agreement and isinstance(pair, Pair) else case.values(found)
    low = statistics.lower_limit(values, confidence=gate.confidence)
    if low >= gate.min - _ROUNDING:
        return Passes()
    mean = float(values.mean())
    why = explained(case, pair if isinstance(pair, Pair) else None)
    sure = "it is below its floor" if mean < gate.min else "its mean is above, but these queries do not show it"
    return Fails(
        f"{gate.metric} is {mean:.4f} on {len(values)} queries, at least {low:.4f} at {100 * gate.confidence:g} % confidence; "
        f"the floor is {gate.min:g}: {sure}",
        "mend the retriever; or judge more queries, where only the limit is below"
        if mean >= gate.min
        else "mend the retriever, or lower min",
        expected=f">= {gate.min:g}",
        observed=f"{low:.4f}",
        numbers={
            "mean": mean,
            "lower_limit": low,
            "min": gate.min,
            "confidence": gate.confidence,
            "queries": len(values),
        },
        causes=why,
    )


RULE = Rule(
    id="LB301",
    name="below-floor",
    scope="gate",
    evidence="measured",
    severity="error",
    decide=decide,
    field="min",
    needless_after=("LB106", "LB107"),
    asked=True,
    doc=__doc__ or "",
)
