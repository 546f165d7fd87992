"""Vectors of this size have too few lists for the recall asked for.

## What it means

A query of d coordinates of b bits is one of 2^(bd). So there are at most that many different lists of results. Few lists serve
few sets well: the gate asks for more recall than any vectors of this size can have, on average over all sets of k documents.

## How it is decided

For workloads that ask for all k-subsets, as a pattern or because the corpus grows, and gates on Recall with a min. The ceiling
is counted in integers ([theory/recall.md](../../theory/recall.md)), from the bits and from geometry. The cutoff is that of the
measure. The same number comes from:

```sh
limitbench design --n N --k K --dim D --dtype DTYPE --recall R --at C
```

It says nothing of a small set of judged questions: vectors may be fitted to those.

## What to do

Plan more dimensions or more bits, return longer lists, or lower min to what the finding says.

## Example

```toml
version = 1

[workload.shop]
pattern = { kind = "all-k", n = 1000000, k = 100 }

[retriever.plan]
kind = "dense"
dim = 1024
dtype = "binary"   # a ceiling of 0.771

[[gate]]
workload = "shop"
retriever = "plan"
metric = "Recall@100"
min = 0.9
```
"""

from __future__ import annotations

import math
from fractions import Fraction

from limitbench.checks.findings import Fails, Outcome, Passes
from limitbench.checks.measurement import Case
from limitbench.checks.rule import Rule
from limitbench.theory.exact import rounded_up
from limitbench.theory.recall import MOST_DIMENSIONS, MOST_LISTED, not_below, recall


def decide(case: Case) -> Outcome | None:
    """Exact: lists of documents are counted."""
    gate, workload, retriever = case.gate, case.workload, case.retriever
    if (
        gate.min is None
        or gate.agreement
        or gate.measure.name != "Recall"
        or not workload.all_subsets
        or retriever.kind != "dense"
    ):
        return None
    n, k, at = workload.grown, workload.degree, min(gate.measure.cutoff, workload.grown)
    if retriever.dim is None or not 0 < k < n or at > MOST_LISTED or retriever.dim >= MOST_DIMENSIONS:
        return None
    if Fraction(min(at, k), k) < Fraction(str(gate.min)):  # the list is too short for any system: LB106 says so
        return None
    d = retriever.dim + (retriever.metric == "euclidean")  # distances are inner products with one coordinate more
    found = recall(n, k, d, at=at, dtype=retriever.dtype)
    if found.ceiling is not None and found.ceiling >= Fraction(str(gate.min)):
        return Passes()
    least = recall(n, k, recall=str(gate.min), at=at, dtype=retriever.dtype).least_dim
    plan = "" if least is None else f"plan {least - (d - retriever.dim)} dimensions or more, "
    assert found.ceiling is not None
    return Fails(
        f"{gate.metric} over all {k}-subsets of {n:,} documents cannot exceed {rounded_up(found.ceiling, 4)} with {retriever.dim} "
        f"dimensions of {retriever.dtype}{' (distances count one more)' if d > retriever.dim else ''}, below the floor of "
        f"{gate.min:g}: {found.because}",
        f"{plan}more bits, or longer lists; or lower min to at most {math.floor(10_000 * found.ceiling) / 10_000:g}",
        expected=f"a ceiling of at least {gate.min:g}",
        observed=rounded_up(found.ceiling, 4),
        numbers={"ceiling": not_below(found.ceiling), "min": gate.min, "at": at, "dim": retriever.dim, "n": n, "k": k},
        assumptions=(*found.assumptions, *(() if workload.assumption is None else (workload.assumption,))),
    )


RULE = Rule(
    id="LB107",
    name="recall-out-of-reach",
    scope="gate",
    evidence="proved",
    severity="error",
    decide=decide,
    field="min",
    ceiling=True,
    doc=__doc__ or "",
)
