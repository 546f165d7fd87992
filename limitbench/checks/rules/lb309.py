"""Texts are longer than the model reads.

## What it means

A model reads a fixed number of tokens. What comes after them in a document or query is not in its vector, so nothing there can
be found.

## How it is decided

For a retriever measured by `model`: the tokens of every document and judged query, with its prompt, are counted by the model's
own tokenizer. The rule is violated if one text has more than the model reads. Rerankers are judged by pairs of query and
document. Endpoints, runs, commands and functions do not tell how many tokens they read.

## What to do

Split long texts into passages, use a model that reads more tokens, or accept it in `[[suppress]]`.

## Example

```toml
[retriever.prod.measure]
model = "minilm"        # reads 256 tokens
```
"""

from __future__ import annotations

from limitbench.checks.findings import Fails, Outcome, Passes
from limitbench.checks.measurement import Case, Measured
from limitbench.checks.rule import Rule


def decide(case: Case) -> Outcome | None:
    """Whether this gate keeps the rule; None where it asks for nothing of the kind."""
    plan = case.retriever.measure
    if plan is None or plan.way != "model":
        return None
    found = case.measured()
    if not isinstance(found, Measured):
        return found
    if not found.cut:
        return Passes()
    worst = max(found.cut, key=lambda cut: cut.count / cut.of)
    return Fails(
        "; ".join(cut.remark.partition(";")[0] for cut in found.cut) + ": what comes after is not read",
        "split long texts into passages, use a model that reads more tokens, or accept it in [[suppress]]",
        expected="texts that the model reads whole",
        observed=f"{worst.count} of {worst.of} cut",
        numbers={
            f"{cut.side}_{name}": getattr(cut, name)
            for cut in found.cut
            for name in ("count", "of", "longest", "limit")
        },
    )


RULE = Rule(
    id="LB309",
    name="texts-cut",
    scope="gate",
    evidence="measured",
    severity="warning",
    tier="auto",
    decide=decide,
    field="metric",
    doc=__doc__ or "",
)
