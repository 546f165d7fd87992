"""Upper bounds from integer vectors, every score recomputed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from limitbench.certificates.claims import Proof
from limitbench.certificates.matrices import Explicit, Matrix
from limitbench.certificates.work import Steps, require, words


def proofs(matrix: Matrix, data: Mapping[str, Any], steps: Steps) -> list[Proof]:
    """Integer query vectors u (m, d) and document vectors v (n, d), every score computed exactly.

    Proves rop <= d where each relevant score is above all others; pm <= d where scores are positive exactly on the
    relevant; gt <= d where `threshold` is between; cosine <= d where all documents have one norm.
    """
    require(isinstance(matrix, Explicit), "an embedding certificate is about given qrels")
    assert isinstance(matrix, Explicit)
    u, v = data["u"], data["v"]
    require(len(u) == matrix.n_queries and len(v) == matrix.n, "expected a vector for each query and document")
    d = len(v[0])
    require(all(len(x) == d and all(type(c) is int for c in x) for x in (*u, *v)), f"expected {d} integers a vector")
    size = words(c for x in u for c in x) * words(c for x in v for c in x)
    steps.spend(len(u) * len(v) * (d + 4) * size)
    threshold = data.get("threshold", 0)
    require(type(threshold) is int, "the threshold must be an integer")
    ordered = signed = above = True
    for number, (query, row) in enumerate(zip(u, matrix.rows, strict=True)):
        scores = [sum(a * b for a, b in zip(query, document, strict=True)) for document in v]
        wanted = [scores[c] for c in row]
        others = [score for c, score in enumerate(scores) if c not in row]
        require(not wanted or not others or min(wanted) > max(others), f"query {number} is out of order")
        signed = signed and all(s > 0 for s in wanted) and all(s < 0 for s in others)
        above = above and all(s > threshold for s in wanted) and all(s < threshold for s in others)
    proofs: list[Proof] = [("order_preserving", "upper", d)] if ordered else []
    if signed:
        proofs.append(("sign_rank", "upper", d))
    if above:
        proofs.append(("global_threshold", "upper", d))
    if len({sum(c * c for c in document) for document in v}) == 1:
        proofs.append(("cosine", "upper", d))
    return proofs
