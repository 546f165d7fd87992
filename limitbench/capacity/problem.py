"""What an embedding has to carry: the relevance matrix as index arrays that a solver can batch."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from limitbench.errors import InputError
from limitbench.relevance import Qrels

IntArray = npt.NDArray[np.int64]
_MOST_ENTRIES = 2_000_000_000  # of the relevance lists, 8 bytes each


def subsets(n: int, k: int) -> int:
    """C(n, k), or a number above 2^63 where it is above that: enough to say that it is too large."""
    out = 1
    for i in range(min(k, n - k)):
        out = out * (n - i) // (i + 1)
        if out >> 63:
            break
    return out


@dataclass(frozen=True, eq=False)
class Problem:
    """m queries over n documents, as lists of relevant documents of equal length.

    Queries without a relevant document or without any other document ask for nothing and are left out. A shorter list
    repeats its last document. `k` is the number of relevant documents where `relevant` holds all k-subsets, else None.
    """

    n: int
    relevant: IntArray  # (m, K)
    rows: IntArray | None  # (m,) the numbers of these queries in the qrels, or None for all of them
    name: dict[str, Any]  # how records and witnesses name the matrix
    k: int | None = None

    @classmethod
    def all_subsets(cls, n: int, k: int) -> Problem:
        """All k-subsets of n documents, in lexicographic order. Raises `InputError` where they do not fit in memory."""
        if k < 1:
            raise InputError(f"found k = {k}, expected at least 1 relevant document per query")
        if k > n:
            raise InputError(f"found k = {k} relevant of n = {n} documents, expected k <= n")
        name = {"n": n, "k": k}
        if k == n:  # one query that asks for everything: nothing to order
            return cls(n, np.empty((0, k), np.int64), None, name, k)
        m = subsets(n, k)
        if m * k > _MOST_ENTRIES:
            raise InputError(
                f"all {k}-subsets of {n} documents are {m:.3g} queries or more, too many to list; choose a smaller n"
            )
        if k == 2:
            relevant = np.stack(np.triu_indices(n, 1), axis=1)
        else:
            flat = itertools.chain.from_iterable(itertools.combinations(range(n), k))
            relevant = np.fromiter(flat, np.int64, m * k).reshape(m, k)
        return cls(n, relevant, None, name, k)

    @classmethod
    def of(cls, qrels: Qrels) -> Problem:
        """The relevance matrix of these qrels; unjudged documents count as not relevant."""
        binary = qrels.relevant
        sizes = np.diff(binary.indptr)
        rows = np.flatnonzero((sizes > 0) & (sizes < qrels.n_documents))
        width = int(sizes[rows].max(initial=1))
        place = np.minimum(np.arange(width), sizes[rows, None] - 1)  # (m, K)
        relevant = binary.indices[binary.indptr[rows, None] + place] if len(rows) else np.empty((0, width), np.int64)
        name = {"sha256": binary.digest, "queries": qrels.n_queries, "documents": qrels.n_documents}
        return cls(qrels.n_documents, relevant, rows if len(rows) < qrels.n_queries else None, name)

    @property
    def m(self) -> int:
        """The number of queries that ask for something."""
        return len(self.relevant)

    @property
    def degree(self) -> int:
        """K, the largest number of relevant documents of a query."""
        return int(self.relevant.shape[1])

    @cached_property
    def weight(self) -> npt.NDArray[np.bool_] | None:
        """(m, K): False where a list repeats itself; None where none does."""
        repeats = self.relevant[:, 1:] == self.relevant[:, :-1]
        if not repeats.any():
            return None
        return np.concatenate([np.ones((self.m, 1), bool), ~repeats], axis=1)
