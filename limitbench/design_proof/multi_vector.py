"""What is proved of MaxSim: constructions, the rank, and counting (theory/multi-vector.md)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import combinations
from math import comb
from typing import Any

from limitbench.certificates import MOST_STEPS
from limitbench.certificates.kinds.closed_form import closed_form
from limitbench.design_proof.counting import (
    MOST_BITS,
    Checker,
    below,
    code,
    cut_off,
    halves,
    holds_integers,
    lists,
    require,
    subsets,
    up_to,
)
from limitbench.design_proof.systems import Answer, MultiVector
from limitbench.dtypes import DTYPES


def _maxsim_code(n: int, k: int, system: MultiVector, data: Mapping[str, Any]) -> None:
    """Document tokens (c, 0) and (0, 1), c the 0/1 graph of a polynomial; query tokens (2 c_i, l + r) for each i of the set."""
    q, r, points = code(data, n)
    require(k <= system.query_tokens, "a query token is needed for each relevant document")
    require(system.document_tokens >= 2, "two document tokens are needed")
    require(q * points + 1 <= system.dim, f"the code needs {q * points + 1} dimensions")
    require(holds_integers(system.dtype, max(2, points + r)), f"{system.dtype} does not hold {max(2, points + r)}")


def _zonogon(_n: int, k: int, system: MultiVector, _data: Mapping[str, Any]) -> None:
    """Documents {p, -p} on the unit circle; the queries of S are the half-edges of the polygon of S and -S."""
    require(system.dtype == "real", "the polygon is of exact real numbers")
    require(
        system.dim >= 2 and system.document_tokens >= 2 and system.query_tokens >= k,
        "expected 2 dimensions, 2 tokens, k query tokens",
    )


def _shared_points(n: int, k: int, system: MultiVector, _data: Mapping[str, Any]) -> None:
    """A point of the circle for each set, which its documents share."""
    require(system.dtype == "real" and system.dim >= 2, "expected exact real numbers in 2 dimensions")
    require(system.document_tokens >= subsets(n - 1, k - 1), "a document needs a token for each set that holds it")


def _maxsim_rank(n: int, k: int, system: MultiVector, _data: Mapping[str, Any]) -> None:
    """All tokens of a text alike but the first query token, the others 0: a single vector."""
    require(system.dtype == "real", "the rank is of exact real numbers")
    require(system.dim >= closed_form(n, k, "order_preserving"), "fewer dimensions than the order-preserving rank")


def _maxsim_single_code(n: int, k: int, system: MultiVector, data: Mapping[str, Any]) -> None:
    """A single vector: the 0/1 graph of a polynomial, and the indicator of the union as the one query token that is not 0."""
    q, r, points = code(data, n)
    require(k * r < points and q * points <= system.dim, "expected k degree < points and q points dimensions")


def _maxsim_embedding(n: int, k: int, system: MultiVector, data: Mapping[str, Any]) -> None:
    """Integer tokens of every document, and of every set in the order of `itertools.combinations`; all scores are computed."""
    documents, queries = data["documents"], data["queries"]
    require(len(documents) == n and len(queries) == subsets(n, k), "expected tokens of every document and of every set")
    exact = DTYPES[system.dtype].exact_integers
    for side, most in ((documents, system.document_tokens), (queries, system.query_tokens)):
        for tokens in side:
            require(1 <= len(tokens) <= most, "a text has too few or too many tokens")
            for token in tokens:
                require(
                    len(token) == system.dim and all(type(x) is int for x in token),
                    f"expected {system.dim} integers a token",
                )
                require(exact is None or max(map(abs, token)) <= exact, f"{system.dtype} does not hold a coordinate")
    coordinates = {x for side in (documents, queries) for tokens in side for token in tokens for x in token}
    words = max(map(int.bit_length, coordinates)) // 64 + 1
    work = words**2 * (system.dim + 8) * sum(map(len, documents)) * sum(map(len, queries))
    require(work <= MOST_STEPS // 10, "too large to be checked")
    if system.dtype == "binary":
        require(coordinates <= {0, 1} or coordinates <= {-1, 1}, "binary coordinates are 0 and 1, or -1 and 1")
        full = all(len(tokens) == system.query_tokens for tokens in queries)
        require(full or -1 not in coordinates, "signs have no zero: a query must have all its tokens")
    for chosen, query in zip(combinations(range(n), k), queries, strict=True):
        scores = [
            sum(max(sum(a * b for a, b in zip(u, v, strict=True)) for v in document) for u in query)
            for document in documents
        ]
        wanted = set(chosen)
        require(
            min(scores[i] for i in wanted) > max(s for i, s in enumerate(scores) if i not in wanted),
            f"the set {chosen} is out of order",
        )


def _maxsim_count(n: int, k: int, system: MultiVector, _data: Mapping[str, Any]) -> None:
    """Fewer orders than sets: of hyperplanes over concatenated tokens, or of stored queries; or fewer codes than documents."""
    sets, s, t, d = subsets(n, k), system.query_tokens, system.document_tokens, system.dim
    bits = DTYPES[system.dtype].bits
    if bits is not None and bits * d < sets.bit_length():
        codes = 1 << bits * d
        if below(lambda: subsets(codes + s - 1, s), sets) or up_to(codes, min(t, codes), n) <= n:
            return  # the empty document counts as one more
    require(any(below(count, sets) for count in _orders(n, k, s, t, d)), "no count is below the number of sets")


def _orders(n: int, k: int, s: int, t: int, d: int) -> tuple[Callable[[], int], ...]:
    """Bounds on how many k-subsets MaxSim cuts off (theory/multi-vector.md)."""
    require(s * max(1, t.bit_length()) <= MOST_BITS // 64, "too many tokens for this count")
    points, most = n * t**s, k * t**s

    def cells() -> int:
        parts = halves(n * comb(t, 2), d - 1) if t > 1 else 1
        require(parts.bit_length() * s <= MOST_BITS, "too large for this count")
        return int(parts**s) * lists(n, s * d, k)

    return (lambda: halves(points, s * d), lambda: cut_off(points, s * d, most), cells)


def _maxsim_line(n: int, k: int, system: MultiVector, _data: Mapping[str, Any]) -> None:
    """One dimension is two of a single vector: (largest, -smallest) token. One document token is a single vector."""
    least = closed_form(n, k, "order_preserving")
    require(
        (system.dim == 1 and least > 2) or (system.document_tokens == 1 and system.dim < least),
        "the order-preserving rank does not forbid it",
    )


CHECKERS: dict[str, tuple[Answer, Checker]] = {
    "maxsim-rank": ("possible", _maxsim_rank),
    "maxsim-single-code": ("possible", _maxsim_single_code),
    "maxsim-code": ("possible", _maxsim_code),
    "maxsim-zonogon": ("possible", _zonogon),
    "maxsim-shared-points": ("possible", _shared_points),
    "maxsim-embedding": ("possible", _maxsim_embedding),
    "maxsim-line": ("impossible", _maxsim_line),
    "maxsim-count": ("impossible", _maxsim_count),
}
