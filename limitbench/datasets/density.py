"""How entangled a relevance matrix is: the paper's density metrics (Table 2), and sizes and lengths of the texts."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from scipy import sparse

from limitbench.collection import Dataset
from limitbench.relevance import Qrels
from limitbench.theory import bracket

_ENTRIES = 10_000_000  # of the co-occurrence product at a time: 160 MB


def _parts(incidence: sparse.csr_array) -> Iterator[slice]:
    """Rows in chunks whose product with the transpose has at most about so many entries; a single row may have more."""
    columns = np.bincount(incidence.indices, minlength=incidence.shape[1])
    cost = np.concatenate([[0], np.cumsum(columns[incidence.indices])])[incidence.indptr]
    start, m = 0, incidence.shape[0]
    while start < m:
        stop = max(start + 1, int(np.searchsorted(cost, cost[start] + _ENTRIES, "right")) - 1)
        yield slice(start, min(stop, m))
        start = stop


def _pairs(incidence: sparse.csr_array) -> int:
    """The number of unordered pairs of rows that share a column, counted by chunks of rows."""
    ones = sparse.csr_array(
        (np.ones(len(incidence.data), np.int64), incidence.indices, incidence.indptr), incidence.shape
    )
    across = sparse.csr_array(ones.T)
    total = 0
    for part in _parts(ones):
        total += (ones[part] @ across).nnz
    return (total - int((np.diff(incidence.indptr) > 0).sum())) // 2


def query_graph_density(qrels: Qrels) -> float:
    """The fraction of query pairs that share a relevant document; what the paper's Table 2 calls graph density."""
    m = qrels.n_queries
    return _pairs(qrels.csr()) / math.comb(m, 2) if m > 1 else 0.0


def document_graph_density(qrels: Qrels) -> float:
    """The fraction of pairs of documents, among those relevant to some query, that are relevant to one together."""
    by_document = sparse.csr_array(qrels.csr().T)
    used = int((np.diff(by_document.indptr) > 0).sum())
    return _pairs(by_document) / math.comb(used, 2) if used > 1 else 0.0


def average_query_strength(qrels: Qrels) -> float:
    """The mean over queries of the summed Jaccard similarity of their relevant sets to those of all other queries."""
    matrix, sizes = qrels.csr(), qrels.sizes
    across = sparse.csr_array(matrix.T)
    total = 0.0
    for part in _parts(matrix):
        shared = sparse.coo_array(matrix[part] @ across)
        rows, columns = shared.coords
        union = sizes[rows + part.start] + sizes[columns] - shared.data
        total += float((shared.data / union).sum())
    own = int((sizes > 0).sum())  # each nonempty query is wholly similar to itself
    return (total - own) / qrels.n_queries if qrels.n_queries else 0.0


def describe(dataset: Dataset, *, budget_s: float = 5.0) -> dict[str, Any]:
    """Sizes, distribution of k, densities, text statistics and needed dimension of a dataset, JSON-ready; lengths in characters.

    The dimension is the certified bracket of the order-preserving rank, searched for `budget_s` seconds.
    """
    qrels = dataset.qrels
    sizes, counts = np.unique(qrels.sizes, return_counts=True)
    used = len(np.unique(qrels.relevant.indices))
    constant = len(sizes) == 1 and used >= sizes[0] > 0
    distinct = len(set(qrels.sets()))
    return {
        "dataset": dataset.name,
        "sha256": dataset.digest,
        "documents": len(dataset.corpus),
        "relevant_documents": used,
        "queries": len(dataset.queries),
        "relevant_pairs": int(qrels.sizes.sum()),
        "judgements": len(qrels.indices),
        "relevant_per_query": {str(size): int(count) for size, count in zip(sizes, counts, strict=True)},
        "graded": qrels.is_graded,
        "query_graph_density": query_graph_density(qrels),
        "document_graph_density": document_graph_density(qrels),
        "average_query_strength": average_query_strength(qrels),
        "distinct_relevant_sets": distinct,
        "share_of_all_k_subsets": distinct / math.comb(used, int(sizes[0])) if constant else None,
        "document_length": _lengths(dataset.corpus.texts),
        "query_length": _lengths(dataset.queries.texts),
        "order_preserving_rank": _rank(qrels, budget_s),
    }


def _rank(qrels: Qrels, budget_s: float) -> dict[str, int]:
    found = bracket(qrels, "order_preserving", budget_s=budget_s)
    return {"at least": found.lower.value, "at most": found.upper.value}


def _lengths(texts: Sequence[str]) -> dict[str, float]:
    lengths = np.array([len(text) for text in texts])
    return {"mean": float(lengths.mean()), "min": int(lengths.min()), "max": int(lengths.max())}
