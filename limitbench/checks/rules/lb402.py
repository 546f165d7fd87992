"""The model's card asks for a prompt, and none is set.

## What it means

The model's card asks for a prompt in front of queries, and the plan sets none. Such models lose much of their quality without
it.

## How it is decided

A list of well-known models, and the prompt named query of a sentence-transformers folder. `query_prompt = ""` says that none is
meant.

## What to do

Set query_prompt as the card says.

## Example

```toml
model = "intfloat/e5-base-v2@COMMIT"      # wants "query: "
```
"""

from __future__ import annotations

from limitbench.checks.findings import Fails, Outcome, Passes
from limitbench.checks.models import Planned, models_of, wanted_prompt
from limitbench.checks.rule import Rule


def decide(subject: Planned) -> Outcome | None:
    """Whether this retriever keeps the rule; None where it names no model that the rule is about."""
    retriever, project = subject.retriever, subject.project
    wanted = {model.name: wanted_prompt(project, model.name) for model in models_of(retriever)}
    concerned = [model for model in models_of(retriever) if wanted[model.name]]
    if not concerned:
        return None
    silent = [model for model in concerned if not model.prompted]
    if not silent:
        return Passes()
    name = silent[0].name
    return Fails(
        f"the card of model '{name}' asks for the query prompt '{wanted[name]}', and none is set",
        'set query_prompt (query_prompt = "" says that none is meant)',
        expected=wanted[name] or "",
        observed="none",
    )


RULE = Rule(
    id="LB402",
    name="prompt-missing",
    scope="retriever",
    evidence="measured",
    severity="warning",
    decide=decide,
    doc=__doc__ or "",
)
