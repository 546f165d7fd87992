"""Design questions: can d dimensions of this dtype carry all k-subsets of n documents, and with what margin?

`impossible` comes from proved bounds alone, `possible` from a witness or a theorem whose assumptions are named; all
else is `open`. The paper's cubic stands beside the verdict as what it is, an extrapolation, and decides nothing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, Literal, TypeAlias

from limitbench.certificates import AllSubsets
from limitbench.dtypes import DTYPES
from limitbench.errors import InputError, SpecError, UnknownName
from limitbench.theory import constructions as build
from limitbench.theory import margin as margins
from limitbench.theory.bounds import STRICT, Evidence
from limitbench.theory.closed_form import closed_form
from limitbench.theory.codes import best_code, kept_by, named
from limitbench.theory.exact import (
    as_count,
    as_fraction,
    binomial,
    log2_ceiling,
    root_rounded_down,
    root_rounded_up,
    rounded_down,
)
from limitbench.theory.packing import candidate, least_open, monotone_packing

Answer: TypeAlias = Literal["impossible", "possible", "open"]
_WIDEST = 1 << 20  # constructions are sought in so many dimensions, and padded with zeros to more
_MOST_DIMENSIONS = 10**12
_CUBIC = (-10.53, 4.031, 0.0520, 0.00368)  # critical-n against d, k = 2, arXiv 2508.21038v2


@dataclass(frozen=True)
class Reason:
    """One inequality with its numbers, what it says, and whose it is."""

    verdict: Answer
    method: str
    inequality: str
    citation: str
    evidence: Evidence
    assumptions: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """JSON-ready values."""
        return {**self.__dict__, "assumptions": list(self.assumptions)}


@dataclass(frozen=True)
class Verdict:
    """The answer, the inequalities that give it, what it assumes, and the answers to the inverse questions.

    `verdict` is None where n or d was left open. `least_sufficient_dim` is the least dimension proved enough and
    `greatest_insufficient_dim` the greatest proved too small, for n documents; `largest_possible_n` and
    `smallest_impossible_n` likewise for d dimensions. None: nothing is proved, or the bound does not exist; `every_n_possible` says
    that geometry sets no limit (2k dimensions of exact real numbers, no margin).
    """

    verdict: Answer | None
    n: int | None
    k: int
    d: int | None
    dtype: str
    margin: Fraction | None
    reasons: tuple[Reason, ...]
    assumptions: tuple[str, ...]
    least_sufficient_dim: int | None = None
    greatest_insufficient_dim: int | None = None
    largest_possible_n: int | None = None
    smallest_impossible_n: int | None = None
    every_n_possible: bool = False
    extrapolation: dict[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """JSON-ready values; the margin as a decimal number, integers exact."""
        return {
            **self.__dict__,
            "margin": None if self.margin is None else float(self.margin),
            "reasons": [reason.to_json() for reason in self.reasons],
            "assumptions": list(self.assumptions),
        }


def design(
    n: int | str | None = None,
    k: int | str = 2,
    d: int | str | None = None,
    dtype: str = "real",
    margin: float | str | Fraction | None = None,
) -> Verdict:
    """The verdict on carrying all k-subsets of n documents in d dimensions of `dtype`, with half-gap `margin`.

    Without d: the least dimension proved sufficient and the greatest proved insufficient. Without n: the largest corpus
    proved possible and the smallest proved impossible. `margin` is half the gap between the lowest relevant and the
    highest other score of unit vectors. Raises `InputError` for k outside 0..n, d < 1 or a margin outside (0, 1].

    >>> design(46, 2, 3).verdict, design(46, 2, 4).verdict, design("1e10", 1000, 8192, margin=0.1).verdict
    ('impossible', 'possible', 'impossible')
    """
    k = as_count(k, "k")
    n = None if n is None else as_count(n, "n")
    d = None if d is None else as_count(d, "d")
    if not isinstance(dtype, str) or dtype not in DTYPES:
        raise UnknownName("dtype", str(dtype), DTYPES)
    gamma = None if margin is None else as_fraction(margin, "margin")
    if gamma is not None and not 0 < gamma <= 1:
        raise InputError(f"found margin = {margin}, expected a half-gap on unit vectors, above 0 and at most 1")
    if n is None and d is None:
        raise SpecError("found neither n nor d, expected at least one of them")
    if d is not None and not 1 <= d <= _MOST_DIMENSIONS:
        raise InputError(f"found d = {d}, expected 1 to {_MOST_DIMENSIONS} dimensions")
    if k < 0:
        raise InputError(f"found k = {k}, expected at least 0")
    if n is not None:
        AllSubsets(n, k)
    assumptions = [f"dtype {dtype} is that of the stored vectors, queries and documents alike", STRICT]
    if dtype == "real":
        assumptions[0] = "coordinates are exact real numbers, which no machine stores"
    if gamma is not None:
        assumptions.append("vectors are unit, and the margin is half the gap between relevant and other scores")
    case = _Case(k, dtype, gamma)
    reasons: tuple[Reason, ...] = ()
    answer: Answer | None = None
    inverse: dict[str, Any] = {}
    if n is not None and d is not None:
        against = case.impossible(n, d)
        reasons = tuple(against or case.possible(n, d))
        answer = "impossible" if against else "possible" if reasons else "open"
    elif n is not None:
        inverse = case.dimensions(n)
    elif d is not None:
        inverse = case.corpora(d)
    return Verdict(
        answer, n, k, d, dtype, gamma, reasons, tuple(assumptions), extrapolation=_extrapolation(k, d), **inverse
    )


def published_cubic(d: int) -> float:
    """The paper's cubic fit of critical-n at k = 2, for d = 4..45. Empirical: an extrapolation beyond, and never a bound."""
    return float(sum(c * d**power for power, c in enumerate(_CUBIC)))


def _extrapolation(k: int, d: int | None) -> dict[str, Any]:
    if k != 2 or d is None:
        return {}
    value = published_cubic(d)
    return {
        "label": "EMPIRICAL: the paper's cubic fit to free embeddings at k = 2, d = 4..45; an extrapolation, not a bound",
        "evidence": "empirical",
        "critical_n": round(value, 1),
        "beyond_its_data": d > 45,
    }


@dataclass(frozen=True)
class _Case:
    k: int
    dtype: str
    gamma: Fraction | None

    def impossible(self, n: int, d: int) -> list[Reason]:
        """Proved reasons why d dimensions do not suffice; of the bounds on the margin the first that applies."""
        k, gamma, bits = self.k, self.gamma, DTYPES[self.dtype].bits
        out = []
        least = closed_form(n, k, "order_preserving")
        if d < least:
            out.append(
                Reason("impossible", "order-preserving rank", f"d = {d} < {least} = order-preserving rank of all {k}-subsets "
                       f"of {n}", "theory/all-subsets.md", "proved", (STRICT,))
            )  # fmt: skip
        if (bits is None and gamma is None) or not 0 < k < n:
            return out
        try:
            subsets = binomial(n, k)
        except InputError:  # millions of digits; the rank may have answered already
            if out:
                return out
            raise
        if bits is not None:
            if log2_ceiling(subsets) > bits * d:
                out.append(
                    Reason("impossible", "code space", f"{bits} x {d} bits make at most 2^{bits * d} queries, fewer than the "
                           f"{_big(subsets)} sets asked for", "theory/counting.md", "proved",
                           ("queries are stored in the same dtype",))
                )  # fmt: skip
            if log2_ceiling(n) > bits * d:
                out.append(
                    Reason("impossible", "code space of documents", f"{bits} x {d} bits hold at most 2^{bits * d} distinct "
                           f"documents, fewer than {n}", "theory/counting.md", "proved", (STRICT,))
                )  # fmt: skip
        if gamma is not None:
            if margins.exceeds_ceiling(n, k, gamma):
                out.append(
                    Reason("impossible", "margin ceiling", f"margin {float(gamma):g} > {margins.ceiling_rounded(n, k)} >= "
                           f"eps*({n}, {k})/2, which no dimension can beat", "arXiv 2601.20844; theory/margin-ceiling.md",
                           "proved")
                )  # fmt: skip
            elif (most := margins.radon_squared(n, k, d)) is not None and gamma * gamma > most:
                out.append(
                    Reason("impossible", "Radon partition", f"margin {float(gamma):.9g} > {root_rounded_up(most)} >= the most that "
                           f"{n} documents have in {d} dimensions", "theory/margin-ceiling.md", "proved")
                )  # fmt: skip
            elif (packing := monotone_packing(n, k, gamma, d)) is not None:
                out.append(
                    Reason("impossible", "monotone packing", f"sets that differ in at least {packing.different} documents are too "
                           f"many for {d} dimensions (least left open: {least_open(n, k, gamma)}; by spherical caps: "
                           f"{margins.spherical_caps(subsets, gamma)}; the paper's Theorem 1: {margins.theorem_1(subsets, gamma)})",
                           "theory/monotone-packing.md", "proved")
                )  # fmt: skip
            elif margins.caps_forbid(subsets, gamma, d):
                out.append(
                    Reason("impossible", "spherical caps", f"{_big(subsets)} queries {2 * float(gamma):g} apart do not fit on "
                           f"the unit sphere of {d} dimensions (least left open: {margins.spherical_caps(subsets, gamma)}; "
                           f"the paper's Theorem 1: {margins.theorem_1(subsets, gamma)})", "theory/spherical-caps.md",
                           "proved")
                )  # fmt: skip
        return out

    def forbids(self, n: int, d: int, *, sure: bool = True) -> bool:
        """Whether `impossible` has a reason, without writing it out: what searches over n or d ask. Unless `sure`, floating point
        may answer for the packing, which takes longest."""
        k, gamma, bits = self.k, self.gamma, DTYPES[self.dtype].bits
        least = closed_form(n, k, "order_preserving")
        if d < least:
            return True
        if not 0 < k < n:
            return False
        if bits is None and gamma is None:
            return False
        few = min(k, n - k)
        if bits is not None and few * (n.bit_length() - 1 - few.bit_length()) > bits * d:  # C(n, k) >= (n / k)^k
            return True
        subsets = binomial(n, k)
        if bits is not None and max(log2_ceiling(subsets), log2_ceiling(n)) > bits * d:
            return True
        if gamma is None:
            return False
        most = margins.radon_squared(n, k, d)
        return (
            margins.exceeds_ceiling(n, k, gamma)
            or (most is not None and gamma * gamma > most)
            or margins.caps_forbid(subsets, gamma, d)
            or (monotone_packing(n, k, gamma, d) is not None if sure else candidate(n, k, gamma, d) is not None)
        )

    def possible(self, n: int, d: int) -> list[Reason]:
        """Constructions that do it; the first is enough, all that apply are named."""
        k, gamma = self.k, self.gamma or Fraction(0)
        g2, dtype = gamma * gamma, self.dtype
        out: list[Reason] = []
        if k in (0, n):
            return [
                Reason("possible", "constant rows", "every document is relevant, or none: any vectors do", "", "proved")
            ]

        def add(method: str, inequality: str, citation: str, evidence: Evidence, *assumptions: str) -> None:
            out.append(Reason("possible", method, inequality, citation, evidence, assumptions))

        order = closed_form(n, k, "order_preserving")
        if not gamma and dtype == "real" and d >= order:
            add("order-preserving rank", f"d = {d} >= {order} = order-preserving rank of all {k}-subsets of {n}",
                "theory/all-subsets.md", "proved", "exact real numbers; no finite precision is promised")  # fmt: skip
        if not gamma and dtype != "real" and d >= 2 * k and build.moment_curve_witness(n, k, dtype):
            add("integer moment curve", f"d = {d} >= 2k = {2 * k}, and every coordinate is an integer that {dtype} holds",
                "theory/moment-curve.md", "constructed", "scores are computed exactly")  # fmt: skip
        curve = (
            build.trigonometric_curve(n, k) if k <= 64 else (2 * k, Fraction(0))
        )  # beyond, its margin is n^-128 at best
        if gamma and dtype == "real" and d >= curve[0] and curve[1] >= g2:
            add("trigonometric moment curve", f"d = {d} >= 2k = {2 * k}; half-gap at least {math.sqrt(curve[1]):.3g}",
                "theory/moment-curve.md", "proved", "exact real numbers")  # fmt: skip
        code = best_code(n, k, d, dtype) if dtype != "binary" else None
        if code is not None and code[1] >= gamma:
            held, kept = code
            add("symmetric code", f"all {named(k)} of {held.n} >= {n} documents in {held.d} dimensions; half-gap "
                f"{float(rounded_down(kept, 4)):.4g} in {dtype}", "theory/orbit.md", "constructed", "scores are computed exactly",
                f"found by search and checked: {_CHECKED_BY}")  # fmt: skip
        zero_one = dtype != "binary" or not gamma
        if d >= n and Fraction(1, 4 * k) >= g2 and zero_one:
            add("one document an axis", f"d = {d} >= n = {n}; half-gap 1/(2 sqrt(k)) = {0.5 / math.sqrt(k):.4g}",
                "one-hot documents, indicator queries", "constructed")  # fmt: skip
        if dtype == "real" and d >= n - 1 and margins.ceiling_squared(n, k) >= g2:
            add("regular simplex", f"d = {d} >= n - 1 = {n - 1}; half-gap eps*/2 = {margins.ceiling_rounded(n, k)} (rounded up)",
                "theory/margin-ceiling.md", "constructed", "exact real numbers")  # fmt: skip
        joined = build.orthogonal_simplices(n, k, d)
        if dtype == "real" and joined and joined >= g2:
            add("orthogonal simplices", f"{n - d} regular simplices of {n // (n - d)} documents or more in d = {d}; half-gap at "
                f"least {root_rounded_down(joined)}", "theory/margin-ceiling.md", "constructed", "exact real numbers")  # fmt: skip
        poly = build.best_polynomial_code(min(d, _WIDEST), k, n=n, gamma=gamma) if zero_one else None
        if poly is not None:
            add("polynomial code", f"q = {poly.q}, degree {poly.r}, {poly.points} points: {poly.q}^{poly.r + 1} >= {n} documents "
                f"in {poly.dimension} dimensions with half-gap {math.sqrt(poly.gap_squared):.4g}; k r = {k * poly.r} < "
                f"{poly.points}", "DeVore 2007; theory/polynomial-code.md", "constructed",
                "0/1 coordinates of equal weight: exact in every dtype, and one bit a coordinate keeps their order")  # fmt: skip
        if dtype not in ("binary",) and k <= 12:
            holds = self._random_signs(n, d, gamma)
            if holds is not None:
                add("random signs", holds, "theory/random-signs.md", "proved",
                    "the vectors exist by the union bound; documents of +-1, queries of -1, 0 and 1")  # fmt: skip
        if dtype in ("real", "fp64", "fp32"):
            used = min(d, _WIDEST)  # the rest may be zeros
            gap2 = build.random_coherence(n, k, used)
            if gap2 > 0 and gap2 >= g2:
                add("random coherence", f"{n} random +-1 documents in {used} dimensions have half-gap at least "
                    f"{math.sqrt(gap2):.4g} with centroid queries", "theory/random-signs.md", "proved",
                    "the vectors exist by Hoeffding's inequality and the union bound; entries are integers up to k")  # fmt: skip
        return out

    def _random_signs(self, n: int, d: int, gamma: Fraction) -> str | None:
        k, d = self.k, min(d, 1 << 13)  # the rest may be zeros
        for used in (d, *(() if not gamma else range(d - 1, max(0, d - 16), -1))):
            if build.random_signs_cover(n, k, used, gamma):
                share = f" * P(fewer than {max(1, math.ceil(gamma * used))} separating coordinates)"
                return f"C({n}, {k}) ({n} - {k}){share} < 1 at d = {used}"
        return None

    def dimensions(self, n: int) -> dict[str, int | None]:
        """For n documents: the least dimension proved sufficient, the greatest proved insufficient."""
        k, gamma = self.k, self.gamma
        if k in (0, n):
            return {"least_sufficient_dim": 1, "greatest_insufficient_dim": None}
        if gamma is not None and margins.exceeds_ceiling(n, k, gamma):
            return {"least_sufficient_dim": None, "greatest_insufficient_dim": None}
        low = 0
        high = 1
        while high < 1 << 40 and self.forbids(n, high):
            low, high = high, high * 2
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if self.forbids(n, middle) else (low, middle)
        return {"least_sufficient_dim": self._least_sufficient(n, low), "greatest_insufficient_dim": low or None}

    def _least_sufficient(self, n: int, low: int) -> int | None:
        """The least dimension that any construction covers; upward by doubling, then by bisection of what covers.

        Constructions embed in more dimensions, so "covered in at most d" is monotone, and bisection is sound.
        """
        k, gamma = self.k, self.gamma or Fraction(0)
        candidates: list[int] = []
        signs = build.random_signs(n, k, gamma) if self.dtype != "binary" else None
        if signs is not None:
            candidates.append(signs)
        high = max(low + 1, 1)
        while high <= 1 << 20 and not self._covered_without_signs(n, high):
            high *= 2
        if high <= 1 << 20:
            bottom = max(low, high // 2)
            while high - bottom > 1:
                middle = (bottom + high) // 2
                bottom, high = (bottom, middle) if self._covered_without_signs(n, middle) else (middle, high)
            candidates.append(high)
        return min((c for c in candidates if c > low), default=None)

    def _covered_without_signs(self, n: int, d: int) -> bool:
        return any(reason.method != "random signs" for reason in self.possible(n, d))

    def corpora(self, d: int) -> dict[str, Any]:
        """For d dimensions: the largest corpus proved possible, the smallest proved impossible."""
        start = max(1, self.k + 1)
        if self.k == 0 or (self.dtype == "real" and self.gamma is None and d >= 2 * self.k):
            return {"every_n_possible": True}
        return {
            "largest_possible_n": self._largest(d, start),
            "smallest_impossible_n": self._smallest_impossible(d, start),
        }

    def _smallest_impossible(self, d: int, start: int) -> int | None:
        """By doubling and bisection: a sub-collection of a possible corpus is possible, so impossibility is monotone."""
        if self.forbids(start, d):
            return start
        low, high = start, 2 * start
        while not self.forbids(high, d, sure=False):
            low, high = high, high * high
            if high.bit_length() > 14_000:  # more digits than Python prints
                return None
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if self.forbids(middle, d, sure=False) else (middle, high)
        step = 1 + (high >> 20)
        while not self.forbids(high, d):  # integers have the last word
            high, step = high + step, 2 * step
        return high

    def _largest(self, d: int, start: int) -> int | None:
        k, gamma = self.k, self.gamma or Fraction(0)
        found: list[int] = []
        if not self.forbids(start, d) and self.possible(start, d):
            found.append(start)
        zero_one = self.dtype != "binary" or not gamma
        code = build.best_polynomial_code(min(d, _WIDEST), k, gamma=gamma) if zero_one else None
        if code is not None:
            found.append(code.n)
        if self.dtype != "binary":
            found += [c.n for c, kept in kept_by(self.dtype, k) if c.d <= d and kept >= gamma]
        low, high = start, 2 * start
        while high.bit_length() < 200 and self.possible(high, d):
            low, high = high, high * 2
        if self.possible(low, d) and high.bit_length() < 200:
            while high - low > 1:
                middle = (low + high) // 2
                low, high = (middle, high) if self.possible(middle, d) else (low, middle)
            found.append(low)
        return max((n for n in found if n > k), default=k)  # k documents are one query, which any vectors serve


_CHECKED_BY = "python examples/orbit_codes.py results/reference/orbit-codes.json --check"


def _big(value: int) -> str:
    text = str(value) if value.bit_length() < 400 else ""
    if text and len(text) <= 12:
        return text
    digits = value.bit_length() * 0.30103
    return f"about 10^{digits:.0f}"
