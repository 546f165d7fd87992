"""Whether sparse vectors of few terms return all k-subsets: packings, graphs without short cycles, and what counting forbids."""

from __future__ import annotations

from collections.abc import Iterator
from math import isqrt
from typing import Any

from limitbench.design_proof import Claim, QueryWeights, Sparse, System
from limitbench.design_proof.counting import MOST_FIELD, is_prime_power
from limitbench.design_proof.systems import QUERY_WEIGHTS
from limitbench.errors import InputError, UnknownName
from limitbench.theory import families
from limitbench.theory.bounds import STRICT
from limitbench.theory.closed_form import closed_form
from limitbench.theory.families import Argument, FamilyVerdict
from limitbench.theory.reasons import Answer

PAGE = "theory/sparse.md"


def sparse(
    n: int | str,
    k: int | str = 2,
    terms: int | str | None = None,
    *,
    document_terms: int | str,
    query_terms: int | str,
    dtype: str = "real",
    query_weights: QueryWeights = "nonnegative",
) -> FamilyVerdict:
    """The verdict on all k-subsets of n documents by sparse vectors over so many terms, a few of them active in each text.

    Without terms: the smallest vocabulary found enough and the largest proved too small. `dtype` is that of the documents' weights,
    "binary" for weights of one. Raises `InputError` for numbers out of range.

    >>> sparse(10**6, 2, document_terms=2, query_terms=4, dtype="binary").greatest_insufficient
    15832
    >>> sparse(10**6, 2, 16257, document_terms=2, query_terms=4, dtype="binary").verdict
    'possible'
    """
    n, k = families.as_workload(n, k)
    size, dtype = families.as_size(terms, "terms"), families.as_dtype(dtype)
    a, e = families.as_size(document_terms, "document_terms"), families.as_size(query_terms, "query_terms")
    if a is None or e is None:
        raise InputError("found no number of terms, expected document_terms and query_terms, such as 128 and 32")
    if query_weights not in QUERY_WEIGHTS:
        raise UnknownName("query weights", str(query_weights), QUERY_WEIGHTS)
    if query_weights == "containment" and dtype != "binary":
        raise InputError(
            "found containment with weighted documents, expected dtype binary: a document has a term or not"
        )
    if size is not None and size < a:
        raise InputError(f"found {a} terms a document of {size} in all, expected no more a document than there are")
    assumed = [
        STRICT,
        "documents have no negative weight",
        f"document weights are {'exact real numbers' if dtype == 'real' else f'stored in {dtype}'}, query weights are exact",
    ]
    if dtype == "binary":
        assumed[-1] = f"every document has exactly {a} terms of weight one; query weights are exact"

    def arguments(system: System, answer: Answer) -> Iterator[Argument]:
        assert isinstance(system, Sparse)
        yield from (_against if answer == "impossible" else _constructions)(n, k, system)

    return families.decide(
        n,
        k,
        lambda at: Sparse(at, a, e, dtype, query_weights),
        size,
        "terms",
        arguments,
        assumptions=tuple(assumed),
        least=a,
    )


def _against(n: int, k: int, system: Sparse) -> Iterator[Argument]:
    v, a, e = system.terms, system.document_terms, system.query_terms
    rank = closed_form(n, k, "order_preserving")
    for kind, inequality in (
        ("rank", f"{v} terms are {v} dimensions, fewer than {rank} = order-preserving rank of all {k}-subsets of {n}"),
        ("one-term", f"documents of one term that share it are ordered alike by every query: {n} terms are needed"),
        ("document-codes", f"{a} terms of {v} make fewer than {n} different documents"),
        ("equal-sums", f"two sets of {k} documents have the same terms together, since there are fewer sums than sets"),
        ("query-codes", f"queries of {e} terms of {v} make fewer lists than there are {k}-subsets of {n}"),
        ("four-cycles", f"{n} pairs of {v} terms hold a 4-cycle, whose opposite documents cannot be parted"),
        ("cover-free", f"the terms of some document are all in {k} others"),
    ):
        yield Argument(Claim("impossible", n, k, system, kind, {}), "impossible", kind, inequality, PAGE, "proved")


def _constructions(n: int, k: int, system: Sparse) -> Iterator[Argument]:
    def one(kind: str, inequality: str, evidence: Any, data: dict[str, Any], *assumptions: str) -> Argument:
        return Argument(
            Claim("possible", n, k, system, kind, data), "possible", kind, inequality, PAGE, evidence, assumptions
        )

    exact = "exact real numbers; no finite precision is promised"
    yield one("one-hot", f"a term for each of {n} documents", "constructed", {})
    yield one("rank-enough", "vectors of the order-preserving rank, moved to non-negative weights", "proved", {}, exact)
    yield one("curve-of-terms", f"2k = {2 * k} terms in every text do for every n", "proved", {}, exact)
    code = packing_code(n, k, system.document_terms, system.query_terms)
    if code is not None:
        q, r, points = code
        yield one(
            "packing-code", f"{q}^{r + 1} >= {n} documents of {points} terms of {q * points}, two of which share at most {r}; "
            f"k r = {k * r} < {points}", "constructed", {"q": q, "degree": r, "points": points})  # fmt: skip
    if k <= 2:
        v = triples(n)
        yield one(
            "steiner-triples",
            f"{v * (v - 1) // 6} triples of {v} terms, two of which share one term",
            "constructed",
            {"terms": v},
        )
        field = polarity_field(n)
        if field is not None:
            size, pairs = field * field + field + 1, field * (field + 1) ** 2 // 2
            yield one("polarity-graph", f"{pairs} pairs of {size} terms without a 4-cycle", "constructed", {"q": field})


def packing_code(n: int, k: int, document_terms: int, query_terms: int) -> tuple[int, int, int] | None:
    """(q, degree, points) of the packing code of the smallest vocabulary q x points for n documents; None where none fits.

    >>> packing_code(10**6, 10, 1000, 10_000)
    (32, 3, 31)
    """
    best: tuple[int, int, int] | None = None
    for q, r in families.codes(n, families.MOST_FIELD):
        points = k * r + 1
        if points > min(q, document_terms, query_terms // k):
            continue
        if best is None or q * points < best[0] * best[2]:
            best = q, r, points
    return best


def triples(n: int) -> int:
    """The least v = 3 mod 6 with v (v - 1) / 6 >= n triples."""
    v = max(9, isqrt(6 * n))
    v += (3 - v) % 6
    while v * (v - 1) // 6 < n:
        v += 6
    while v > 9 and (v - 6) * (v - 7) // 6 >= n:
        v -= 6
    return v


def polarity_field(n: int) -> int | None:
    """The least prime power q with q (q + 1)^2 / 2 >= n; None where it is above the largest field that the checker takes."""
    q = 2
    while q * (q + 1) ** 2 // 2 < n:
        q = 2 * q
    q = max(2, q // 2)
    while q <= MOST_FIELD:
        if q * (q + 1) ** 2 // 2 >= n and is_prime_power(q):
            return q
        q += 1
    return None
