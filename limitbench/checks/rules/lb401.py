"""The model's revision is not pinned.

## What it means

The model is named without a revision, so its weights may change under the same name, and with them every figure.

## How it is decided

A hub id in `model`, or in the spec of a measurement, without `@COMMIT` or `revision`, or with a branch instead of a commit. The
plan's model and the measured one are judged each by its own options. Folders and packaged models are pinned by what they are.

## What to do

Pin a commit.

## Example

```toml
model = "sentence-transformers/all-MiniLM-L6-v2"
```
"""

from __future__ import annotations

import re

from limitbench.checks.findings import Fails, Outcome, Passes
from limitbench.checks.models import PACKAGED, Planned, folder_of, models_of
from limitbench.checks.rule import Rule

_COMMIT = re.compile(r"[0-9a-f]{7,64}")


def decide(subject: Planned) -> Outcome | None:
    """Whether this retriever keeps the rule; None where it names no model that the rule is about."""
    retriever, project = subject.retriever, subject.project
    named = [m for m in models_of(retriever) if m.name not in PACKAGED and folder_of(project, m.name) is None]
    named = [m for m in named if not m.name.startswith((".", "/", "~"))]
    if not named:
        return None
    floating = [m for m in named if not _COMMIT.fullmatch(m.revision.lower())]
    if not floating:
        return Passes()
    name, revision = floating[0].name, floating[0].revision
    what = f"has the revision '{revision}', which may move" if revision else "has no revision"
    return Fails(
        f"model '{name}' {what}: its weights may change under the same name",
        f"pin a commit: {name}@COMMIT",
        expected="ID@COMMIT",
        observed=f"{name}@{revision}" if revision else name,
    )


RULE = Rule(
    id="LB401",
    name="floating-revision",
    scope="retriever",
    evidence="measured",
    severity="warning",
    decide=decide,
    doc=__doc__ or "",
)
