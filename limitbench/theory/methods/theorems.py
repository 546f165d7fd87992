"""Bounds from the numbers of a matrix alone: one dimension a document or a query, and the moment curve."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from limitbench.theory.bounds import Bound
from limitbench.theory.case import Case


def bounds(case: Case) -> Iterator[Bound]:
    """A lower bound, and two upper bounds that hold of every matrix of its size and degree."""
    sizes = set(case.qrels.sizes.tolist())
    varies = case.sparsity > 0
    # an empty and a full row, which one threshold cannot serve in 0 dimensions
    both = {0, case.qrels.n_documents} <= sizes
    floor = 1 if case.signs or (case.notion == "global_threshold" and both) else int(varies)
    why = "some row is not constant" if varies else "an empty and a full row" if floor else "every row is constant"
    yield case.bound("lower", floor, "trivial", {}, established="theorem", detail=why)
    m, n, K = case.m, case.n, case.sparsity
    trivial = {
        "order_preserving": min(m, n - 1) if varies else 0,
        "cosine": n - 1 if varies else 0,
        "sign_rank": max(1, min(m, n)),
        "global_threshold": max(1, min(m, n)),
    }[case.notion]
    detail = f"min of {m} queries and {n} documents, repetitions aside"
    yield case.bound("upper", trivial, "trivial", {}, established="theorem", detail=detail)
    left = np.diff(case.reduced.matrix.indptr)  # for one threshold, rows are neither turned round nor left out
    largest = int(left[left < n].max(initial=0))
    if largest == 0 and len(sizes) > 1:
        largest = 1
    curve = {
        "order_preserving": 2 * K,
        "cosine": 2 * K,
        "sign_rank": 2 * K + 1,
        "global_threshold": min(2 * largest, 2 * K + 1),
    }[case.notion]
    detail = f"K = {K} relevant (or irrelevant) documents a row"
    yield case.bound("upper", curve, "moment-curve", {}, established="theorem", detail=detail)
