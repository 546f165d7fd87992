"""A suppression is expired or hides nothing.

## What it means

A suppression is past its day, or hides nothing: whoever reads the configuration is told something that is no longer so.

## How it is decided

A suppression is in force up to and including `until`. It counts as unused where its rule was decided and found nothing to hide.

## What to do

Remove it, or mend what it hid, or give it a new day and reason.

## Example

```toml
[[suppress]]
id = "LB302"
until = "2020-01-01"
reason = "index is being re-tuned"
```
"""

from __future__ import annotations

from limitbench.checks.rule import Rule

RULE = Rule(
    id="LB903",
    name="stale-suppression",
    scope="project",
    evidence="measured",
    severity="warning",
    doc=__doc__ or "",
)
