"""Most queries are not those of the baseline.

## What it means

A gate compares the queries that are what they were when the baseline was recorded. Here that is less than half of them, of
today's or of the baseline's. Gates that compare are then undecided.

## How it is decided

A query is unchanged when its text, its judgements above grade 0 and the texts of the documents judged relevant are unchanged.
Pages that were added, pages that nobody judged, judgements of grade 0 and the order of lines change no query. The finding
counts the others: new, reworded, judged otherwise, with a judged page that changed, no longer judged.

## What to do

Look at the figures. If the change is meant, record them: `limitbench baseline update`. If not, restore the data.

## Example

```toml
[baseline]
path = ".limitbench/baseline.json"
```
"""

from __future__ import annotations

from limitbench.checks.comparison import unchanged
from limitbench.checks.findings import Fails, Outcome, Passes
from limitbench.checks.flaws import Judged
from limitbench.checks.rule import Rule


def decide(subject: Judged) -> Outcome | None:
    """Only where less than half of the queries, today's or the baseline's, can be compared."""
    workload, baseline = subject.workload, subject.baseline
    recorded = {} if baseline is None else baseline.workloads.get(workload.name, {})
    if baseline is None or not recorded:
        return None
    kept, left_out, gone = unchanged(workload, baseline)
    if 2 * len(kept) >= max(len(recorded), len(workload.query_ids)):
        return Passes()
    why = [f"{count} {reason}" for reason, count in left_out.items()] + ([f"{gone} no longer judged"] if gone else [])
    return Fails(
        f"only {len(kept)} of the {len(recorded)} queries of the baseline can be compared: {', '.join(why)}",
        "if that is meant, look at the figures and record them: limitbench baseline update",
        expected=f"at least half of {max(len(recorded), len(workload.query_ids))} queries unchanged",
        observed=f"{len(kept)}",
        numbers={"compared": len(kept), "baseline": len(recorded), "queries": len(workload.query_ids), "gone": gone},
    )


RULE = Rule(
    id="LB005",
    name="data-changed",
    scope="workload",
    evidence="measured",
    severity="warning",
    decide=decide,
    doc=__doc__ or "",
)
