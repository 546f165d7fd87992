"""Upper bounds from integer vectors: a low-rank search proposes them (`theory.factors`), and every score is recomputed."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import numpy as np

from limitbench.certificates import Notion
from limitbench.relevance import Qrels
from limitbench.theory import factors
from limitbench.theory.bounds import Bound
from limitbench.theory.case import Case


def bounds(case: Case) -> Iterator[Bound]:
    """Embeddings in fewer and fewer dimensions: one attempt each by bisection, then downward with what time is left."""
    if not case.small:
        return
    lift = int(case.notion == "cosine")  # unit documents cost at most one dimension more
    low, high = max(1, case.lower - lift), case.upper - lift
    while low < high and time.monotonic() < case.deadline:
        d = (low + high) // 2
        found = _attempt(case, d, 1, lift)
        if found is not None:
            yield found
            high = d
        else:
            low = d + 1
    low, high = max(1, case.lower - lift), case.upper - lift
    while low < high and time.monotonic() < case.deadline:
        found = _attempt(case, high - 1, 50, lift)
        if found is None:
            return
        yield found
        high -= 1


def _attempt(case: Case, d: int, tries: int, lift: int) -> Bound | None:
    wanted: Notion = "order_preserving" if case.notion == "cosine" else case.notion
    found = factors.search(case.reduced.dense, d, wanted, deadline=case.deadline, rng=case.rng, tries=tries)
    detail = "low-rank search, rounded and checked in integers"
    return None if found is None else expanded(case, *found, detail, lift=lift)


def expanded(case: Case, u: Any, v: Any, threshold: int, detail: str, *, lift: int = 0) -> Bound:
    """The bound of an embedding of the reduced matrix, written out for every row and column of the original."""
    qrels, reduced, notion = case.qrels, case.reduced, case.notion
    vectors = v[reduced.column_of]
    d = v.shape[1]
    queries = np.zeros((qrels.n_queries, d), np.int64)
    lookup: dict[tuple[int, ...], int] = {}
    for number, row in enumerate(reduced.rows.tolist()):
        lookup[row_of(qrels, row)] = number
    n = qrels.n_documents
    everything = tuple(range(n))
    for q, own in enumerate(qrels.sets()):
        if own in lookup:
            queries[q] = u[lookup[own]]
        elif 0 < len(own) < n or notion not in ("order_preserving", "cosine"):
            other = tuple(sorted(set(everything) - set(own)))
            queries[q] = -u[lookup[other]]
    data: dict[str, Any] = {"u": queries.tolist(), "v": vectors.tolist()}
    if notion == "global_threshold":
        data["threshold"] = threshold
    return case.bound("upper", d + lift, "embedding", data, evidence="constructed", detail=detail)


def row_of(qrels: Qrels, number: int) -> tuple[int, ...]:
    """The relevant documents of one row, in order."""
    relevant = qrels.relevant
    return tuple(relevant.indices[relevant.indptr[number] : relevant.indptr[number + 1]].tolist())
