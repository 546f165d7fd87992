"""A check could not be decided.

## What it means

A check could not be decided: data or a run that cannot be read, a gate that was not measured, a measurement that failed, a
missing baseline, a time budget used up. Where the rule's severity is error, the exit code is 3: never green on undecided.

## How it is decided

The finding names the rule, the file and the line.

## What to do

Mend what it says. `baseline.missing = "warning"` makes a missing baseline a warning.

## Example

```toml
run = "eval/prod.trec"     # line 7: found the score NaN
```
"""

from __future__ import annotations

from limitbench.checks.rule import Rule

RULE = Rule(
    id="LB902",
    name="undecided",
    scope="project",
    evidence="measured",
    severity="warning",
    doc=__doc__ or "",
)
