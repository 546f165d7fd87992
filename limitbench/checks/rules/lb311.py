"""A question that must be answered finds no relevant document.

## What it means

The gate names questions that must be answered whatever the mean is. At least one of them has no relevant document within the
metric's cutoff.

## How it is decided

The metric of each named query must be above 0, in the worst order of equal scores. A name that is not judged leaves the rule
undecided.

## What to do

Mend the retriever, or take the question out of `must_find`.

## Example

```toml
[[gate]]
metric = "Recall@5"
must_find = ["reset-password", "cancel-subscription"]
```
"""

from __future__ import annotations

from limitbench.checks.causes import explained
from limitbench.checks.findings import Fails, Outcome, Passes, Undecided
from limitbench.checks.measurement import Case, Measured
from limitbench.checks.rule import Rule


def decide(case: Case) -> Outcome | None:
    """Whether this gate keeps the rule; None where it asks for nothing of the kind."""
    gate = case.gate
    if gate.must_find is None:
        return None
    rows = {query: row for row, query in enumerate(case.workload.query_ids)}
    unknown = [query for query in gate.must_find if query not in rows]
    if unknown:
        return Undecided(
            f"must_find names {len(unknown)} queries that are not judged, the first '{unknown[0]}'",
            "judge them, or take them out of must_find",
        )
    found = case.measured()
    if not isinstance(found, Measured):
        return found
    values = found.values(gate, "worst")  # a document that only chance puts within the cutoff is not found
    named = list(dict.fromkeys(gate.must_find))
    missed = [query for query in named if values[rows[query]] <= 0]
    if not missed:
        return Passes()
    asks = case.workload.questions.get(missed[0], "")
    why = explained(case, None)
    return Fails(
        f"{len(missed)} of the {len(named)} questions that must be answered find no relevant document in the first "
        f"{gate.measure.cutoff}, the first '{missed[0]}'{f': {asks[:80]!r}' if asks else ''}",
        "mend the retriever; or take a question out of must_find",
        expected="all found",
        observed=f"{len(missed)} missed",
        numbers={"missed": len(missed), "must_find": len(named)},
        causes=why,
    )


RULE = Rule(
    id="LB311",
    name="must-find",
    scope="gate",
    evidence="measured",
    severity="error",
    decide=decide,
    field="must_find",
    asked=True,
    doc=__doc__ or "",
)
