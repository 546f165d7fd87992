"""Design questions: can d dimensions of this dtype carry all k-subsets of n documents, and with what margin?

`impossible` comes from proved bounds alone, `possible` from a witness or a theorem whose assumptions are named; all
else is `open`. The paper's cubic stands beside the verdict as what it is, an extrapolation, and decides nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from limitbench.certificates import AllSubsets
from limitbench.dtypes import DTYPES
from limitbench.errors import InputError, SpecError, UnknownName
from limitbench.theory import constructions as build
from limitbench.theory import margin as margins
from limitbench.theory import sufficient
from limitbench.theory.bounds import STRICT
from limitbench.theory.closed_form import closed_form
from limitbench.theory.codes import kept_by
from limitbench.theory.exact import (
    as_count,
    as_fraction,
    binomial,
    log2_ceiling,
    root_rounded_up,
)
from limitbench.theory.packing import candidate, least_open, monotone_packing
from limitbench.theory.reasons import Answer, Reason, about
from limitbench.theory.sufficient import WIDEST, Asked

_MOST_DIMENSIONS = 10**12
_CUBIC = (-10.53, 4.031, 0.0520, 0.00368)  # critical-n against d, k = 2, arXiv 2508.21038v2


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

    def __repr__(self) -> str:
        known = {"n": self.n, "k": self.k, "d": self.d, "margin": self.margin}
        asked = ", ".join(f"{name} = {value}" for name, value in known.items() if value is not None)
        first = f"; {self.reasons[0].method}" if self.reasons else ""
        return f"Verdict({self.verdict or 'open question'}: {asked}, {self.dtype}{first})"

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
                           f"{about(subsets)} sets asked for", "theory/counting.md", "proved",
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
                    Reason("impossible", "spherical caps", f"{about(subsets)} queries {2 * float(gamma):g} apart do not fit on "
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
        return sufficient.reasons(self._asked(n, d))

    def _asked(self, n: int, d: int) -> Asked:
        return Asked(n, self.k, d, self.dtype, self.gamma or Fraction(0))

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
        return bool(sufficient.reasons(self._asked(n, d), without=sufficient.random_signs))

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
        code = build.best_polynomial_code(min(d, WIDEST), k, gamma=gamma) if zero_one else None
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
