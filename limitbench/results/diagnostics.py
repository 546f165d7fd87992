"""What a run and an index tell beyond their measures: where relevant documents lie, which sets never come back, how many directions
the vectors use.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from limitbench.measures import TiedRanking
from limitbench.rankings import Run
from limitbench.relevance import Qrels
from limitbench.results.record import Breakdown, Spectrum, Subsets

MOST_QUERIES = 2_000  # of a breakdown: its size is bounded, whatever the data's
MOST_RELEVANT = 20
MOST_ABOVE = 5
_MOST_NEVER = 50
_MOST_SETS = 100_000  # queries whose sets are compared


def breakdown(run: Run, qrels: Qrels, depth: int) -> Breakdown:
    """Where the relevant documents of the first 2,000 judged queries lie, and what stands above the last of them."""
    judged = np.flatnonzero(qrels.relevant.sizes > 0)[:MOST_QUERIES]
    ranking = TiedRanking.of(run, qrels)
    places = ranking.above + (ranking.size + 1) / 2  # expected over random tie-breaking, (entries,)
    sets = list(qrels.sets())
    out: dict[str, list[object]] = {name: [] for name in ("relevant", "ranks", "last", "others", "above", "gaps")}
    for query in judged.tolist():
        row = slice(run.indptr[query], run.indptr[query + 1])
        documents, scores = run.indices[row], run.scores[row]
        wanted = np.isin(documents, list(sets[query]))
        ranks = dict(zip(documents[wanted].tolist(), places[row][wanted].tolist(), strict=True))
        ordered = sorted(sets[query], key=lambda document: (ranks.get(document, np.inf), document))
        all_found = len(ranks) == len(ordered)
        last = scores[wanted][-1] if all_found else -np.inf
        others = documents[~wanted & (scores >= last)]
        rest = scores[~wanted]
        out["relevant"].append(ordered[:MOST_RELEVANT])
        out["ranks"].append([ranks.get(document) for document in ordered[:MOST_RELEVANT]])
        out["last"].append(ranks.get(ordered[-1]))
        out["others"].append(len(others))
        out["above"].append(others[:MOST_ABOVE].tolist())
        gap = float(last - rest[0]) if all_found and len(rest) else np.nan
        out["gaps"].append(gap if np.isfinite(gap) else None)
    return Breakdown.model_validate({"depth": depth, "queries": judged.tolist(), **out})


def subsets(run: Run, qrels: Qrels, depth: int) -> Subsets | None:
    """Which relevant sets of the commonest size k came back as the top k of a query.

    None where nothing is judged relevant, or where a run of this depth cannot tell. A top k is a set only where no tie crosses
    its cut. Of the first 100,000 judged queries.
    """
    sizes = qrels.relevant.sizes
    judged = np.flatnonzero(sizes > 0)[:_MOST_SETS]
    if not len(judged):
        return None
    k = int(np.bincount(sizes[judged]).argmax())
    if depth < min(k, qrels.n_documents):
        return None
    returned: dict[int, tuple[int, ...]] = {}
    for query in judged.tolist():
        start, stop = int(run.indptr[query]), int(run.indptr[query + 1])
        if stop - start >= k and (stop - start == k or run.scores[start + k - 1] > run.scores[start + k]):
            returned[query] = tuple(sorted(run.indices[start : start + k].tolist()))
    relevant = list(qrels.sets())
    asked = {query: tuple(sorted(relevant[query])) for query in judged.tolist() if sizes[query] == k}
    wanted, seen = set(asked.values()), set(returned.values())
    own = {documents for query, documents in asked.items() if returned.get(query) == documents}
    return Subsets(
        k=k,
        queries=len(judged),
        asked=len(wanted),
        by_own_query=len(own),
        by_any_query=len(wanted & seen),
        distinct=len(seen),
        unseen_documents=qrels.n_documents - len({document for documents in seen for document in documents}),
        never=[list(documents) for documents in sorted(wanted - seen)[:_MOST_NEVER]],
    )


def spectrum(vectors: npt.NDArray[np.float32]) -> Spectrum | None:
    """The spectrum of the covariance of vectors (n, d), over at most 20,000 of them (2,000 where d > 2,000), evenly spaced.

    None for fewer than two vectors, for vectors that are all the same and so span no direction, and for NaN or infinity.
    """
    n, d = vectors.shape
    if n < 2 or not np.isfinite(vectors).all():
        return None
    rows = np.unique(np.linspace(0, n - 1, min(n, 20_000 if d <= 2_000 else 2_000)).astype(np.int64))
    x = vectors[rows].astype(np.float64)
    energy = float((x**2).sum())
    x -= x.mean(0)
    values = np.linalg.eigvalsh(x.T @ x if d <= len(x) else x @ x.T)[::-1].clip(0)
    total = float(values.sum())
    if total <= 1e-12 * energy:
        return None
    shares = values / total
    some = shares[shares > 0]
    reached = np.cumsum(shares)
    return Spectrum(
        documents=len(x),
        dim=d,
        participation_ratio=float(1 / (shares**2).sum()),
        effective_rank=float(np.exp(-(some * np.log(some)).sum())),
        dims_90=int(np.searchsorted(reached, 0.9) + 1),
        dims_99=int(np.searchsorted(reached, 0.99) + 1),
        shares=[float(f"{share:.6g}") for share in shares[: min(d, 256)]],
    )
