"""Whether MaxSim over several vectors a text returns all k-subsets: what is constructed, and what counting forbids."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from functools import lru_cache

from limitbench.design_proof import Claim, MultiVector, System
from limitbench.dtypes import DTYPES
from limitbench.errors import InputError
from limitbench.theory import families
from limitbench.theory.bounds import STRICT
from limitbench.theory.closed_form import closed_form
from limitbench.theory.constructions import best_polynomial_code
from limitbench.theory.exact import binomial, root_rounded_down
from limitbench.theory.families import Argument, FamilyVerdict
from limitbench.theory.margin import caps_forbid
from limitbench.theory.packing import monotone_packing
from limitbench.theory.reasons import Answer

PAGE = "theory/multi-vector.md"


def multi_vector(
    n: int | str,
    k: int | str = 2,
    d: int | str | None = None,
    *,
    query_tokens: int | str,
    document_tokens: int | str,
    dtype: str = "real",
    margin: float | str | Fraction | None = None,
) -> FamilyVerdict:
    """The verdict on all k-subsets of n documents by MaxSim with so many vectors of d dimensions a query and a document.

    Without d: the least dimension found enough and the greatest proved too small. `margin` is the half-gap of unit vectors, divided
    by the number of query tokens. Raises `InputError` for numbers out of range.

    >>> found = multi_vector(10**6, 10, query_tokens=10, document_tokens=2, dtype="int8")
    >>> found.greatest_insufficient, found.least_sufficient
    (2, 57)
    """
    n, k = families.as_workload(n, k)
    size, gamma, dtype = families.as_size(d, "d"), families.as_margin(margin), families.as_dtype(dtype)
    s, t = families.as_size(query_tokens, "query_tokens"), families.as_size(document_tokens, "document_tokens")
    if s is None or t is None:
        raise InputError("found no number of tokens, expected query_tokens and document_tokens, such as 32 and 128")
    assumed = [STRICT, f"dtype {dtype} is that of the stored vectors, queries and documents alike"]
    if gamma is not None:
        assumed.append("vectors are unit, and the margin is half the gap of the mean over query tokens")

    def arguments(system: System, answer: Answer) -> Iterator[Argument]:
        assert isinstance(system, MultiVector)
        if answer == "impossible":
            yield from _against(n, k, system, gamma)
        else:
            yield from _constructions(n, k, system, gamma)

    return families.decide(
        n, k, lambda at: MultiVector(at, s, t, dtype), size, "dim", arguments, assumptions=tuple(assumed), margin=gamma
    )


def _against(n: int, k: int, system: MultiVector, gamma: Fraction | None) -> Iterator[Argument]:
    s, t, d, dtype = system.query_tokens, system.document_tokens, system.dim, system.dtype
    least = closed_form(n, k, "order_preserving")

    def claimed(kind: str, inequality: str) -> Argument:
        return Argument(Claim("impossible", n, k, system, kind, {}), "impossible", kind, inequality, PAGE, "proved")

    one = "one dimension is two of a single vector" if d == 1 else "one document token is a single vector"
    yield claimed("maxsim-line", f"{one}, and all {k}-subsets of {n} need {least}")
    bits = "" if DTYPES[dtype].bits is None else f", or by {DTYPES[dtype].bits} x {d} bits a vector"
    yield claimed(
        "maxsim-count", f"{s} x {t} tokens of {d} dimensions make fewer lists than there are {k}-subsets of {n}{bits}"
    )
    if gamma is None or s * d < 2:
        return
    subsets = binomial(n, k)
    if caps_forbid(subsets, gamma, s * d):
        yield Argument(
            None, "impossible", "spherical caps", f"queries of {s} x {d} coordinates are {2 * float(gamma):g} apart, and so many "
            "do not fit on the sphere", PAGE, "proved")  # fmt: skip
    packing = monotone_packing(n, k, gamma, s * d, plain=True)
    if packing is not None:
        yield Argument(
            None, "impossible", "monotone packing", f"sets that differ in at least {packing.different} documents are too many for "
            f"{s} x {d} coordinates", PAGE, "proved")  # fmt: skip


def _constructions(n: int, k: int, system: MultiVector, gamma: Fraction | None) -> Iterator[Argument]:
    s, t, d, dtype = system.query_tokens, system.document_tokens, system.dim, system.dtype
    code = token_code(n, k, s, dtype, gamma) if t >= 2 else None
    if code is not None and code[0] <= d:
        dim, q, r, points = code
        gap = "" if gamma is None else f", half-gap {root_rounded_down(code_margin_squared(k, s, r, points))}"
        claim = Claim("possible", n, k, system, "maxsim-code", {"q": q, "degree": r, "points": points})
        yield Argument(
            None if gamma is not None else claim, "possible", "maxsim-code", f"{q}^{r + 1} >= {n} documents of two tokens in {dim} "
            f"dimensions, one query token for each relevant document{gap}", PAGE, "constructed")  # fmt: skip
    if gamma is not None:
        return
    single = best_polynomial_code(min(d, 1 << 16), k, n=n)
    if single is not None:
        claim = Claim(
            "possible", n, k, system, "maxsim-single-code", {"q": single.q, "degree": single.r, "points": single.points}
        )
        yield Argument(
            claim, "possible", "maxsim-single-code", f"a polynomial code of {single.n} documents in {single.dimension} dimensions: "
            "a single vector does", "theory/polynomial-code.md", "constructed")  # fmt: skip
    rank = closed_form(n, k, "order_preserving")
    for kind, inequality in (
        ("maxsim-rank", f"d = {d} >= {rank} = order-preserving rank: a single vector does"),
        ("maxsim-zonogon", f"two tokens a document and {k} a query do in two dimensions, for every n"),
        ("maxsim-shared-points", f"{t} document tokens hold a point of the circle for each set"),
    ):
        yield Argument(
            Claim("possible", n, k, system, kind, {}), "possible", kind, inequality, PAGE, "proved",
            ("exact real numbers; no finite precision is promised",))  # fmt: skip


def code_margin_squared(k: int, s: int, r: int, points: int) -> Fraction:
    """The square of the half-gap per query token that polynomials of degree r at so many points have with unit tokens.

    A query token (x c_i, z), x^2 + z^2 = 1, z = x (1 + r / l) / 2, adds x (1 - r / l) / 2 for its document alone; each of the k
    documents has floor(s / k) of the s query tokens at least.
    """
    mu = Fraction(r, points)
    each = Fraction(s // k, 4 * s) * (1 - mu)
    return each * each * 4 / (4 + (1 + mu) ** 2)


@lru_cache(maxsize=256)
def token_code(n: int, k: int, s: int, dtype: str, gamma: Fraction | None = None) -> tuple[int, int, int, int] | None:
    """(dimensions, q, degree, points) of the smallest code of two tokens a document that returns every k-subset of n documents.

    With a margin tokens are unit vectors, which are exact real numbers. None where no code does.

    >>> token_code(1_771_561, 200, 200, "int8"), token_code(10**6, 10, 10, "real")
    ((57, 8, 6, 7), (57, 8, 6, 7))
    """
    if k > s or dtype == "binary" or (gamma is not None and dtype != "real"):
        return None
    exact = DTYPES[dtype].exact_integers
    best: tuple[int, int, int, int] | None = None
    for q, r in families.codes(n, families.MOST_FIELD):
        if best is not None and q >= best[0]:
            break
        fitting = (l for l in range(r + 1, q + 1) if gamma is None or code_margin_squared(k, s, r, l) >= gamma * gamma)  # noqa: E741
        points = next(fitting, None)
        if points is None or (exact is not None and max(2, points + r) > exact):
            continue
        if best is None or q * points + 1 < best[0]:
            best = q * points + 1, q, r, points
    return best
