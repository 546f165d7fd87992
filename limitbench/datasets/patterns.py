"""Patterns of relevance: pure functions to `Qrels`, exact and deterministic."""

from __future__ import annotations

import math
from itertools import combinations, islice

import numpy as np

from limitbench.errors import SpecError
from limitbench.relevance import Qrels


def all_k(n: int, k: int) -> Qrels:
    """Every k-subset of n documents, in lexicographic order: C(n, k) queries."""
    return first_subsets(n, k, math.comb(n, k) if 0 <= k <= n else 0)


def dense(m: int, k: int, n: int | None = None) -> Qrels:
    """The paper's dense pattern: the first m k-subsets, in lexicographic order, of n documents.

    Without n, the smallest n with C(n, k) >= m.
    """
    if n is None:
        n = k
        while math.comb(n, k) < m:
            n += 1
    return first_subsets(n, k, m)


def first_subsets(n: int, k: int, m: int) -> Qrels:
    """The first m k-subsets of n documents in lexicographic order, one a query."""
    if not 1 <= k <= n:
        raise SpecError(f"found k = {k} relevant documents of n = {n}; expected 1 <= k <= n")
    if not 1 <= m <= math.comb(n, k):
        raise SpecError(f"found m = {m} queries; expected 1 to C({n}, {k}) = {math.comb(n, k)}")
    indices = np.fromiter((i for subset in islice(combinations(range(n), k), m) for i in subset), np.int64, m * k)
    return Qrels(np.arange(m + 1) * k, indices, np.ones(m * k, np.int64), n)
