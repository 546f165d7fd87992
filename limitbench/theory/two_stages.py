"""Whether single vectors put every k-subset among c candidates, for an exact reranker: a cliff at 2k dimensions, and bits."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from math import comb

from limitbench.design_proof import Claim, System, TwoStages
from limitbench.dtypes import DTYPES
from limitbench.errors import InputError
from limitbench.theory import families
from limitbench.theory.closed_form import closed_form
from limitbench.theory.constructions import best_polynomial_code
from limitbench.theory.exact import binomial
from limitbench.theory.families import Argument, FamilyVerdict
from limitbench.theory.margin import caps_forbid
from limitbench.theory.reasons import Answer

PAGE = "theory/two-stages.md"


def two_stages(
    n: int | str,
    k: int | str = 2,
    d: int | str | None = None,
    *,
    candidates: int | str | None = None,
    dtype: str = "real",
    margin: float | str | Fraction | None = None,
) -> FamilyVerdict:
    """The verdict on every k-subset of n documents being among the candidates of a first stage of d dimensions.

    Without candidates: the least number of them found enough and the greatest proved too small. Without d: likewise of dimensions.
    `margin` is the half-gap of unit vectors between a relevant document and what is no candidate. Raises `InputError` for
    numbers out of range, and where both are left out.

    >>> found = two_stages(10**6, 2, 3)
    >>> found.greatest_insufficient, found.least_sufficient
    (16668, 333334)
    >>> two_stages(10**6, 10, candidates=1000, dtype="binary").greatest_insufficient
    99
    """
    n, k = families.as_workload(n, k)
    dim, gamma, dtype = families.as_size(d, "d"), families.as_margin(margin), families.as_dtype(dtype)
    c = families.as_size(candidates, "candidates")
    if dim is None and c is None:
        raise InputError("found neither d nor candidates, expected at least one of them")
    if c is not None and c < k:
        raise InputError(f"found {c} candidates for k = {k}, expected at least k")
    assumed = [
        "the reranker orders its candidates without error",
        "every set is asked for: this is about the worst of them, `--recall` about the average",
        f"dtype {dtype} is that of the first stage's vectors, queries and documents alike, and equal queries get equal candidates",
    ]
    if gamma is not None:
        assumed.append("vectors are unit; relevant scores are 2 margin above all that is no candidate")

    def arguments(system: System, answer: Answer) -> Iterator[Argument]:
        assert isinstance(system, TwoStages)
        yield from (_against if answer == "impossible" else _constructions)(n, k, system, gamma)

    if c is None:
        assert dim is not None
        return families.decide(
            n, k, lambda at: TwoStages(dim, at, dtype), None, "candidates", arguments, assumptions=tuple(assumed), margin=gamma,
            least=k,
        )  # fmt: skip
    return families.decide(
        n, k, lambda at: TwoStages(at, c, dtype), dim, "dim", arguments, assumptions=tuple(assumed), margin=gamma
    )


def _against(n: int, k: int, system: TwoStages, gamma: Fraction | None) -> Iterator[Argument]:
    d, c, bits = system.dim, system.candidates, DTYPES[system.dtype].bits
    stored = "" if bits is None else f", or {bits} x {d} bits"
    for kind, inequality in (
        ("radon", f"d = {d} < 2k: for some set more than {c} documents score as high as its lowest"),
        ("centrepoint", f"d = {d} < k: a set around a centrepoint has n / (d + 1) documents above its lowest"),
        ("candidates-count", f"{d} dimensions{stored} make too few lists of {c} to serve all {k}-subsets"),
    ):
        yield Argument(Claim("impossible", n, k, system, kind, {}), "impossible", kind, inequality, PAGE, "proved")
    if gamma is not None and c < n and d >= 2:
        count = -(-binomial(n, k) // (2 * comb(c, k) - 1))
        if caps_forbid(count, gamma, d):
            yield Argument(
                None, "impossible", "spherical caps", f"queries of at least {count} sets are {2 * float(gamma):g} apart, and do "
                f"not fit on the sphere of {d} dimensions", PAGE, "proved")  # fmt: skip


def _constructions(n: int, k: int, system: TwoStages, gamma: Fraction | None) -> Iterator[Argument]:
    d, c = system.dim, system.candidates
    code = best_polynomial_code(min(d, 1 << 16), k, n=n, gamma=gamma or Fraction(0))
    if code is not None and (gamma is None or system.dtype == "real"):
        claim = Claim(
            "possible", n, k, system, "first-stage-code", {"q": code.q, "degree": code.r, "points": code.points}
        )
        yield Argument(
            claim if gamma is None else None, "possible", "first-stage-code", f"a polynomial code of {code.n} documents in "
            f"{code.dimension} dimensions: the first stage returns every set by itself", "theory/polynomial-code.md",
            "constructed")  # fmt: skip
    if gamma is not None:
        return
    rank, exact = closed_form(n, k, "order_preserving"), ("exact real numbers; no finite precision is promised",)
    for kind, inequality, page in (
        ("first-stage-rank", f"d = {d} >= {rank} = order-preserving rank: the first stage returns every set by itself",
         "theory/all-subsets.md"),
        ("merged-gaps", f"documents on a curve: the smallest gaps between a set's documents are let in, within {c} candidates",
         PAGE),
    ):  # fmt: skip
        yield Argument(Claim("possible", n, k, system, kind, {}), "possible", kind, inequality, page, "proved", exact)
    yield Argument(Claim("possible", n, k, system, "everything", {}), "possible", "everything", f"all {n} documents are candidates",
                   PAGE, "constructed")  # fmt: skip
