"""What is proved of sparse retrieval: packings, graphs without short cycles, and counting (theory/sparse.md)."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from itertools import combinations
from typing import Any

from limitbench.certificates import MOST_STEPS
from limitbench.certificates.kinds.closed_form import closed_form
from limitbench.design_proof.counting import (
    MOST_FIELD,
    MOST_LISTED,
    Checker,
    code,
    is_prime_power,
    lists,
    require,
    subsets,
    up_to,
    whole,
)
from limitbench.design_proof.systems import Answer, Sparse
from limitbench.dtypes import DTYPES
from limitbench.errors import CertificateError


def _room(system: Sparse, weight: int, terms: int, query_terms: int) -> None:
    """Require room for documents of so many terms; binary ones get the terms that they lack in common, which moves no order."""
    common = system.document_terms - weight if system.dtype == "binary" else 0
    require(system.document_terms >= weight, f"documents need {weight} terms")
    require(system.terms >= terms + common, f"{terms + common} terms are needed")
    asked = query_terms + (common if system.query_weights == "containment" else 0)
    require(system.query_terms >= asked, f"queries need {asked} terms")


def _one_hot(n: int, k: int, system: Sparse, _data: Mapping[str, Any]) -> None:
    """A term for each document."""
    _room(system, 1, n, k)


def _curve_of_terms(_n: int, k: int, system: Sparse, _data: Mapping[str, Any]) -> None:
    """Document t = (t, T^2 - t^2, t^3, T^4 - t^4, ...) on 2k terms; the coefficients of -prod (t - s)^2 alternate in sign."""
    require(
        system.dtype == "real" and system.query_weights in ("real", "nonnegative"), "the curve is of exact real numbers"
    )
    _room(system, 2 * k, 2 * k, 2 * k)


def _sparse_rank_enough(n: int, k: int, system: Sparse, _data: Mapping[str, Any]) -> None:
    """Vectors that reach the order-preserving rank, moved to non-negative coordinates."""
    least = closed_form(n, k, "order_preserving")
    require(system.dtype == "real" and system.query_weights == "real", "the rank is of exact real numbers of any sign")
    _room(system, least, least, least)


def _packing_code(n: int, k: int, system: Sparse, data: Mapping[str, Any]) -> None:
    """Graphs of polynomials meet in at most r terms; the query names the terms of its documents: l for these, at most k r else."""
    q, r, points = code(data, n)
    require(k * r < points, "expected k degree < points")
    _room(system, points, q * points, k * points)


def _triples(n: int, k: int, system: Sparse, data: Mapping[str, Any]) -> None:
    """Steiner triples on v = 3 mod 6 terms (Bose 1939): two documents share at most one term."""
    v = whole(data["terms"], 3, "number of terms", 10**12)
    require(v % 6 == 3, "Bose's triples need 3 mod 6 terms")
    require(k <= 2 and n <= v * (v - 1) // 6, "expected k of at most 2 and no more documents than triples")
    _room(system, 3, v, 3 * k)


def _packing(n: int, k: int, system: Sparse, data: Mapping[str, Any]) -> None:
    """Documents as lists of a terms each, two of which share at most `overlap`, k overlap < a."""
    documents, overlap = data["documents"], whole(data["overlap"], 0, "overlap")
    require(len(documents) == n, "expected every document")
    a = len(documents[0])
    require(k * overlap < a, "expected k overlap < a")
    require(n * subsets(a, overlap + 1) * (overlap + 1) <= MOST_LISTED, "too large to be checked")
    seen: set[tuple[int, ...]] = set()
    for terms in documents:
        require(
            len(terms) == len(set(terms)) == a and all(type(x) is int and 0 <= x < system.terms for x in terms),
            f"expected {a} terms a document",
        )
        for part in combinations(sorted(terms), overlap + 1):
            require(part not in seen, "two documents share too many terms")
            seen.add(part)
    _room(system, a, 1 + max(max(terms) for terms in documents), k * a)


def _edges(n: int, k: int, system: Sparse, data: Mapping[str, Any]) -> None:
    """Documents as edges between terms. All pairs where there is no 4-cycle; all k-subsets where every cycle is longer than 2k."""
    edges = data["edges"]
    require(len(edges) == n, "expected every document")
    near: dict[int, list[int]] = {}
    for a, b in edges:
        require(type(a) is int and type(b) is int and 0 <= a < b < system.terms, "expected edges a < b between terms")
        near.setdefault(a, []).append(b)
        near.setdefault(b, []).append(a)
    require(len(set(map(tuple, edges))) == n, "a document is there twice")
    vertices = 1 + max(near)
    if k <= 2:
        require(sum(len(x) ** 2 for x in near.values()) <= 2 * MOST_LISTED, "too large to be checked")
        seen: set[tuple[int, int]] = set()
        for around in near.values():
            for pair in combinations(sorted(around), 2):
                require(pair not in seen, "there is a 4-cycle")
                seen.add(pair)
        require(system.query_weights in ("real", "nonnegative"), "queries need weights")
        _room(system, 2, vertices, 4)
        return
    require(system.query_weights == "real", "queries need weights of any sign")
    require(len(near) * (len(near) + 2 * n) <= MOST_STEPS // 10, "too large to be checked")
    for root in near:
        depth, parent, queue = {root: 0}, {root: root}, deque([root])
        while queue:
            here = queue.popleft()
            if (
                depth[here] >= k
            ):  # a cycle of at most 2k through the root closes between vertices of depth k and k, or k - 1 and k
                continue
            for other in near[here]:
                if other not in depth:
                    depth[other], parent[other] = depth[here] + 1, here
                    queue.append(other)
                elif other != parent[here]:
                    require(depth[here] + depth[other] + 1 > 2 * k, f"there is a cycle of at most {2 * k} terms")
    _room(system, 2, vertices, vertices)


def _polarity_graph(n: int, k: int, system: Sparse, data: Mapping[str, Any]) -> None:
    """Points of the projective plane over q elements, joined where orthogonal (Erdos and Renyi 1962): no 4-cycle."""
    q = whole(data["q"], 2, "field", MOST_FIELD)
    require(is_prime_power(q), f"{q} is no power of a prime")
    require(k <= 2 and n <= q * (q + 1) ** 2 // 2, "expected k of at most 2 and no more documents than edges")
    require(system.query_weights in ("real", "nonnegative"), "queries need weights")
    _room(system, 2, q * q + q + 1, 4)


def _sparse_rank(n: int, k: int, system: Sparse, _data: Mapping[str, Any]) -> None:
    """Terms are dimensions, so the bound on dimensions holds for terms."""
    require(system.terms < closed_form(n, k, "order_preserving"), "the order-preserving rank does not forbid it")


def _one_term(n: int, _k: int, system: Sparse, _data: Mapping[str, Any]) -> None:
    """Two documents with the same one term are ordered alike by every non-negative query."""
    require(
        system.document_terms == 1 and system.query_weights != "real",
        "this is about documents of one term and non-negative queries",
    )
    require(system.terms < n, "there is a term for each document")


def _equal_sums(n: int, k: int, system: Sparse, _data: Mapping[str, Any]) -> None:
    """Binary documents: sets of one size have different sums, and there are only so many sums."""
    require(system.dtype == "binary", "this is about binary documents")
    total = min(k, n - k) * system.document_terms
    require(subsets(system.terms + total - 1, total) < subsets(n, k), "there are no fewer sums than sets")


def _document_codes(n: int, _k: int, system: Sparse, _data: Mapping[str, Any]) -> None:
    """Documents must differ, so there must be enough sets of terms."""
    bits, a, v = DTYPES[system.dtype].bits, system.document_terms, system.terms
    if bits is None:
        raise CertificateError("this is about weights of few bits")
    if bits == 1:
        require(subsets(v, a) < n, "there are enough codes")
        return
    codes = 0
    for j in range(a + 1):  # each j has at least three times as many codes
        codes += subsets(v, j) * (2**bits - 1) ** j
        require(codes < n, "there are enough codes")


def _query_codes(n: int, k: int, system: Sparse, _data: Mapping[str, Any]) -> None:
    """Queries of e terms make only so many orders: one for each choice of terms, or what hyperplanes in e dimensions cut off."""
    sets, v, e = subsets(n, k), system.terms, min(system.query_terms, system.terms)
    if system.query_weights in ("equal", "containment"):
        require(up_to(v, e, sets) < sets, "there are no fewer queries than sets")
        return
    require(e < n and subsets(v, e) * lists(n, e, min(k, n - k)) < sets, "there are no fewer orders than sets")


def _four_cycles(n: int, k: int, system: Sparse, _data: Mapping[str, Any]) -> None:
    """Binary documents of two terms, all pairs: without 4-cycle at most V (1 + sqrt(4V - 3)) / 4 edges (Reiman 1958)."""
    v = system.terms
    require(
        (system.dtype, system.document_terms, k) == ("binary", 2, 2) and n >= 4,
        "this is about pairs of binary documents of two terms",
    )
    require(4 * n > v and (4 * n - v) ** 2 > v * v * (4 * v - 3), "a graph with so many edges need not have a 4-cycle")


def _cover_free(n: int, k: int, system: Sparse, _data: Mapping[str, Any]) -> None:
    """Containment: no document's terms are all in k others; at most C(V, t) / C(a - 1, t - 1) are so, t = ceil(a / k)."""
    require(system.query_weights == "containment" and k + 1 <= n, "this is about containment")
    t = -(-system.document_terms // k)
    require(
        subsets(system.terms, t) < n * subsets(system.document_terms - 1, t - 1),
        "so many documents may be free of covers",
    )


CHECKERS: dict[str, tuple[Answer, Checker]] = {
    "one-hot": ("possible", _one_hot),
    "rank-enough": ("possible", _sparse_rank_enough),
    "curve-of-terms": ("possible", _curve_of_terms),
    "packing-code": ("possible", _packing_code),
    "steiner-triples": ("possible", _triples),
    "polarity-graph": ("possible", _polarity_graph),
    "packing": ("possible", _packing),
    "edges": ("possible", _edges),
    "rank": ("impossible", _sparse_rank),
    "one-term": ("impossible", _one_term),
    "equal-sums": ("impossible", _equal_sums),
    "document-codes": ("impossible", _document_codes),
    "query-codes": ("impossible", _query_codes),
    "four-cycles": ("impossible", _four_cycles),
    "cover-free": ("impossible", _cover_free),
}
