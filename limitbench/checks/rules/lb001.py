"""Judgements name documents or queries that are not there.

## What it means

A judgement names a document that is not in the corpus file, or a query that is not in the queries file. Whatever is measured on
such data counts the missing document as never found, so every figure is too low by an amount that nobody chose.

## How it is decided

The files of the workload are read leniently, line by line. Lines that cannot be read leave the rule undecided (LB902), unless
what can be read dangles already. Without a corpus or queries file nothing can dangle from it.

## What to do

Add what is missing, or drop the judgements. `limitbench lint` shows every place.

## Example

```toml
qrels = "eval/qrels.tsv"     # q7 -> d99, and eval/corpus.jsonl has no d99
```
"""

from __future__ import annotations

from limitbench.checks.findings import Outcome, Passes, Undecided
from limitbench.checks.flaws import Judged, flawed
from limitbench.checks.rule import Rule


def decide(subject: Judged) -> Outcome | None:
    """Lines that cannot be read leave it undecided, unless what can be read dangles already."""
    workload = subject.workload
    if workload.plan.pattern is not None or workload.plan.unjudged:
        return None
    if not workload.m and not {"unreadable-line", "empty-file"} & set(workload.flaws):
        return Undecided(
            "no judged query has a relevant document, so there is nothing to check", "judge some documents relevant"
        )
    found = flawed(workload, "add what is missing, or drop the judgements", "dangling-document", "dangling-query")
    unread = [workload.flaws[check] for check in ("unreadable-line", "empty-file") if check in workload.flaws]
    if isinstance(found, Passes) and unread:
        says = "; ".join(f"{flaw.count} x {flaw.check}: {', '.join(flaw.examples[:3])}" for flaw in unread)
        return Undecided(f"not all of the data could be read: {says}", "mend or drop the lines: limitbench lint")
    return found


RULE = Rule(
    id="LB001",
    name="dangling-judgement",
    scope="workload",
    evidence="measured",
    severity="error",
    tells_unreadable=True,
    decide=decide,
    doc=__doc__ or "",
)
