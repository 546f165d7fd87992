"""BM25 beats the plan.

## What it means

BM25, which needs no model and no GPU, is better than the retriever on this workload.

## How it is decided

BM25 (limitbench's default) is run on the corpus and queries of the workload, and compared by a one-sided paired randomisation
test at 5 %. Below the full tier up to 50,000 documents; more are skipped (LB901). Sparse retrievers are not compared, nor
workloads without a corpus and queries.

## What to do

Try both together (`limitbench run -r hybrid:bm25+MODEL`), or rerank BM25's candidates.

## Example

```toml
kind = "dense"
[retriever.prod.measure]
run = "eval/prod.trec"
```
"""

from __future__ import annotations

from limitbench import statistics
from limitbench.checks.answers import retrieved
from limitbench.checks.findings import Fails, Outcome, Passes, Skipped
from limitbench.checks.measurement import Case, Measured
from limitbench.checks.rule import Rule

_BM25_DOCUMENTS = 50_000  # that BM25 is tried on in the fast tier


def decide(case: Case) -> Outcome | None:
    """Whether this gate keeps the rule; None where it asks for nothing of the kind."""
    workload, gate = case.workload, case.gate
    if (
        case.gate.agreement
        or case.retriever.kind == "sparse"
        or case.retriever.measure is None
        or not workload.texts
        or not workload.questions
    ):
        return None
    if case.settings.tier != "full" and len(workload.texts) > _BM25_DOCUMENTS:
        size = f"{len(workload.texts):,} documents"
        return Skipped(f"BM25 on {size} belongs to the full tier", "run: limitbench check --tier full")
    found = case.measured()
    if not isinstance(found, Measured):
        return found
    key = (gate.workload, "", "bm25")
    if key not in case.runs:
        asked = {name: workload.questions.get(name, "") for name in workload.query_ids}
        depth = max(100, *(gate.measure.cutoff for gate in case.project.config.gate))
        answer = retrieved("bm25", workload, asked, depth, case.settings, case.project)
        # that BM25 finds what shares a word, and no more, is its way
        case.runs[key] = Measured.of(answer, workload, depth, tell_short=False)
    theirs = case.runs[key]
    assert isinstance(theirs, Measured)
    ours, lexical = found.values(gate), theirs.values(gate)
    p = statistics.paired_randomisation(lexical, ours, alternative="greater")
    if p > 0.05:
        return Passes()
    return Fails(
        f"BM25 has {gate.metric} {lexical.mean():.4f} where '{gate.retriever}' has {ours.mean():.4f} (p = {p:.2g})",
        "try both together: limitbench run -r hybrid:bm25+MODEL, or rerank BM25's candidates",
        expected=f"at least {lexical.mean():.4f}",
        observed=f"{ours.mean():.4f}",
        numbers={"bm25": float(lexical.mean()), "measured": float(ours.mean()), "p": p},
    )


RULE = Rule(
    id="LB303",
    name="bm25-is-better",
    scope="gate",
    evidence="measured",
    severity="warning",
    decide=decide,
    field="metric",
    doc=__doc__ or "",
)
