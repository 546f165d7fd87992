"""Versions differ from those of the baseline.

## What it means

Versions differ from those that the baseline was recorded with, so a change of figures may come from them.

## How it is decided

limitbench and Python's minor version; torch and its company where a gate measures a model.

## What to do

Install the baseline's versions, or record a new baseline.

## Example

```text
limitbench 0.1.0 -> 0.2.0
```
"""

from __future__ import annotations

from limitbench.checks.environment import OnProject, environment
from limitbench.checks.findings import Fails, Outcome, Passes
from limitbench.checks.rule import Rule


def decide(subject: OnProject) -> Outcome | None:
    """Whether today's versions keep the rule; None without a baseline."""
    config, baseline = subject.config, subject.baseline
    if baseline is None:
        return None
    now = environment(config)
    moved = {
        n: (baseline.versions[n], v) for n, v in now.items() if n in baseline.versions and baseline.versions[n] != v
    }
    if not moved:
        return Passes()
    says = ", ".join(f"{name} {old} -> {new}" for name, (old, new) in moved.items())
    return Fails(
        f"versions are not those of the baseline: {says}",
        "install the baseline's versions, or record a new one: limitbench baseline update",
        expected=", ".join(f"{n} {old}" for n, (old, _) in moved.items()),
        observed=", ".join(f"{n} {new}" for n, (_, new) in moved.items()),
    )


RULE = Rule(
    id="LB403",
    name="environment-drift",
    scope="project",
    evidence="measured",
    severity="warning",
    decide=decide,
    doc=__doc__ or "",
)
