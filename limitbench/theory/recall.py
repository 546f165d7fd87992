"""Recall below 1: what average recall no system of this size can reach, over all k-subsets of n documents.

A system returns lists of c documents. If it has few different lists, few sets are well served by any of them, whatever the
documents and queries are (theory/recall.md). Lists are counted from the bits of a query, from geometry in exact numbers, or from a
half-gap. All of it is integers; the ceiling is rounded up.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from math import ceil, comb, inf, log2, nextafter
from typing import Any, Literal

from limitbench.certificates import AllSubsets
from limitbench.design_proof.counting import MOST_BITS, cut_off, halves
from limitbench.dtypes import DTYPES
from limitbench.errors import InputError, UnknownName
from limitbench.theory.design import design
from limitbench.theory.exact import as_count, as_fraction, binomial, double_cap_parts
from limitbench.theory.margin import exceeds_ceiling

_UNIT = 1 << 48  # the ceiling is a whole number of these parts of 1
MOST_DIMENSIONS = 10**6
MOST_LISTED = 10**6  # documents of a list
_MOST_RELEVANT = 20_000  # documents of a set, for which lists are counted
_MOST_BITS = 200_000  # of a number of lists that is computed
_MANTISSA = 96  # bits to which a share is rounded up


@dataclass(frozen=True)
class RecallVerdict:
    """Whether d dimensions of a dtype reach an average recall at `at` over all k-subsets of n documents.

    `ceiling` is proved, and rounded up: no system has more. `verdict` is "impossible" where the recall asked for is above it,
    "possible" where a construction has it, else "open"; None where no recall was asked for. `because` says what was counted.
    `least_dim` is the least dimension that is left open, where d is not given or impossible; None where none is.
    """

    n: int
    k: int
    at: int
    d: int | None
    dtype: str
    margin: Fraction | None
    recall: Fraction | None
    ceiling: Fraction | None
    because: str
    verdict: Literal["impossible", "possible", "open"] | None
    least_dim: int | None
    assumptions: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """JSON-ready values; fractions as decimal numbers, the ceiling rounded up."""
        shown: dict[str, float | None] = {
            name: None if value is None else float(value)
            for name in ("margin", "recall")
            for value in [getattr(self, name)]
        }
        top = None if self.ceiling is None else not_below(self.ceiling)
        return {**self.__dict__, **shown, "ceiling": top, "assumptions": list(self.assumptions)}


def recall(
    n: int | str,
    k: int | str = 2,
    d: int | str | None = None,
    *,
    recall: float | str | Fraction | None = None,
    at: int | str | None = None,
    dtype: str = "real",
    margin: float | str | Fraction | None = None,
) -> RecallVerdict:
    """The verdict on an average recall@`at` (default: k) over all k-subsets of n documents.

    With a `margin` queries are unit vectors, documents have at most length 1, and only those relevant documents count as found
    whose score is 2 margin above every document outside the list. Without d the least dimension left open is asked for, which needs
    `recall`. Raises `InputError` for numbers out of range.

    >>> round(float(recall(10**6, 100, 1024, at=100, dtype="binary").ceiling), 6)
    0.771097
    >>> recall(10**6, 10, recall=0.9).least_dim
    14
    """
    n, k = as_count(n, "n"), as_count(k, "k")
    at = k if at is None else as_count(at, "at")
    d = None if d is None else as_count(d, "d")
    AllSubsets(n, k)
    most = min(n, MOST_LISTED)
    if not 1 <= k < n or not 1 <= at <= most:
        raise InputError(f"found k = {k}, at = {at} of n = {n}, expected 1 <= k < n and 1 <= at <= {most}")
    if dtype not in DTYPES:
        raise UnknownName("dtype", str(dtype), DTYPES)
    asked = None if recall is None else as_fraction(recall, "recall")
    gamma = None if margin is None else as_fraction(margin, "margin")
    if asked is not None and not 0 < asked <= 1:
        raise InputError(f"found recall = {float(asked):g}, expected above 0 and at most 1")
    if gamma is not None and not 0 < gamma <= 1:
        raise InputError(f"found margin = {float(gamma):g}, expected a half-gap above 0 and at most 1")
    if d is not None and not 1 <= d <= MOST_DIMENSIONS:
        raise InputError(f"found d = {d}, expected 1 to {MOST_DIMENSIONS} dimensions")
    if d is None and asked is None:
        raise InputError("found neither d nor recall, expected at least one of them")
    case = _Case(n, k, at, dtype, gamma)
    top, why = case.ceiling(d) if d is not None else (None, "")
    answer: Literal["impossible", "possible", "open"] | None = None
    if top is not None and asked is not None and d is not None:
        if asked > top:
            answer = "impossible"
        elif case.all_of_it(asked) and design(n, k, d, dtype, gamma).verdict == "impossible":
            answer, why = "impossible", "some set is not returned in full: limitbench design says why"
        else:
            answer = "possible" if case.reached(asked, d) else "open"
    least = case.least(asked) if asked is not None and answer in (None, "impossible") else None
    return RecallVerdict(n, k, at, d, dtype, gamma, asked, top, why, answer, least, case.assumptions())


def not_below(x: Fraction) -> float:
    """The nearest double that is not below x."""
    near = float(x)
    return near if Fraction(near) >= x else nextafter(near, inf)


@dataclass(frozen=True)
class _Case:
    n: int
    k: int
    at: int
    dtype: str
    gamma: Fraction | None

    def assumptions(self) -> tuple[str, ...]:
        """What the ceiling rests on."""
        out = [
            "the average is over all k-subsets, each asked once; a test set of few queries may do better by chance or by design",
            "scores are exact and no two documents tie at the cut",
        ]
        if DTYPES[self.dtype].bits is not None:
            out.append(f"queries are stored in {self.dtype}, and equal queries get equal lists")
        if self.gamma is not None:
            out.append("queries are unit vectors, and documents have at most length 1")
            out.append(
                "a relevant document counts as found where its score is 2 margin above all documents outside the list"
            )
        return tuple(out)

    def ceiling(self, d: int) -> tuple[Fraction, str]:
        """(the least ceiling on average recall, rounded up, what was counted)."""
        whole = Fraction(min(self.at, self.k), self.k)
        said = "" if whole == 1 else f"a list of {self.at} documents holds no more of {self.k}"
        found = [(self._share(lists), why) for lists, why in self._lists(d)] if self.at < self.n else []
        return min([(whole, said), *found], key=lambda one: one[0])

    def all_of_it(self, asked: Fraction) -> bool:
        """Whether every set must be returned in full, which is what `design` is about."""
        return asked == 1 and self.at == self.k

    def least(self, asked: Fraction) -> int | None:
        """The least dimension that is left open; None where none up to `MOST_DIMENSIONS` is."""
        low, high = 0, 1
        while high <= MOST_DIMENSIONS and self.ceiling(high)[0] < asked:
            low, high = high, 2 * high
        if high > MOST_DIMENSIONS:
            high = MOST_DIMENSIONS + 1
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if self.ceiling(middle)[0] < asked else (low, middle)
        if self.all_of_it(asked):
            if self.gamma is not None and exceeds_ceiling(self.n, self.k, self.gamma):
                return None
            high = max(high, (design(self.n, self.k, None, self.dtype, self.gamma).greatest_insufficient_dim or 0) + 1)
        return high if high <= MOST_DIMENSIONS else None

    def reached(self, asked: Fraction, d: int) -> bool:
        """Whether a construction has it: one list for all queries, the moment curve for as many documents of each set as are
        needed, or all sets in full."""
        needed = ceil(asked * self.k)
        if self.gamma is None and asked * self.n <= self.at:
            return True
        if self.gamma is None and self.dtype == "real" and d >= 2 * needed and self.at >= needed:
            return True
        return self.at >= self.k and design(self.n, self.k, d, self.dtype, self.gamma).verdict == "possible"

    def _lists(self, d: int) -> Iterator[tuple[int, str]]:
        """(a bound on the number of different lists, what was counted). Nothing where it would be more than the sets."""
        if self.k > _MOST_RELEVANT:
            return
        n, bits, sets = self.n, DTYPES[self.dtype].bits, self._sets_bits
        if bits is not None and bits * d <= sets:
            yield 1 << (bits * d), f"{bits} x {d} bits make 2^{bits * d} queries"
        if d == 1:
            yield 2, "on a line there are two lists"
        elif d < n:
            yield from self._hyperplanes(d, sets)
        if self.gamma is not None and d >= 2 and (d - 1) * -log2(self.gamma) <= sets + 40:
            share, whole = double_cap_parts(self.gamma, d)
            said = f"caps of half-gap {float(self.gamma):g} on the sphere of {d} dimensions"
            yield 2 * (2 * whole // share), said

    def _hyperplanes(self, d: int, sets: int) -> Iterator[tuple[int, str]]:
        n, c, half = self.n, self.at, d // 2
        few = min(half, n - half)
        least = max(few, few * (n.bit_length() - few.bit_length() - 1))  # log2 C(n, half) is no less
        if least <= min(sets, _MOST_BITS) and d * n.bit_length() <= MOST_BITS:
            cut = cut_off(n, d, c)
            said = f"hyperplanes in {d} dimensions cut off at most 2^{cut.bit_length()} sets of up to {c} documents"
            yield cut, said
        if n <= 100_000 and d <= 64:
            parts = halves(n, d)
            said = f"hyperplanes in {d} dimensions part {n} points in at most 2^{parts.bit_length()} ways"
            yield parts, said

    @cached_property
    def _sets_bits(self) -> int:
        return binomial(self.n, self.k).bit_length()

    @cached_property
    def _met(self) -> list[tuple[int, int]]:
        """For i = min(k, at) .. 1: the share of sets with i or more documents on one list, as (m, e) for m 2^e, rounded up."""
        n, k, c = self.n, self.k, self.at
        subsets = binomial(n, k)
        least = max(0, k - (n - c))
        term = comb(c, least) * comb(n - c, k - least)
        terms = [term]
        for i in range(least, min(k, c)):
            term = term * ((c - i) * (k - i)) // ((i + 1) * (n - c - k + i + 1))
            terms.append(term)
        terms = [0] * max(0, least - 1) + terms[max(0, 1 - least) :]  # of i = 1 .. min(k, c)
        out, near, low = [], 0, max(0, subsets.bit_length() - _MANTISSA)
        below = subsets >> low  # of the sets, rounded down
        for term in reversed(terms):
            near += term
            above, exponent = _short(near)
            out.append((-(-(above << 2 * _MANTISSA) // below), exponent - low - 2 * _MANTISSA))
        return out

    def _share(self, lists: int) -> Fraction:
        """(1/k) sum_i min(1, lists times the share of sets that one list meets in i documents), rounded up."""
        total, met = 0, self._met
        few, power = _short(lists)
        for number, (one, exponent) in enumerate(met):
            shift = power + exponent
            share = few * one * _UNIT << shift if shift >= 0 else -(-few * one * _UNIT >> -shift)
            if share >= _UNIT:
                total += _UNIT * (len(met) - number)  # the shares only grow
                break
            total += share
        return Fraction(total, _UNIT * self.k)


def _short(x: int) -> tuple[int, int]:
    """(m, e) with x <= m 2^e, m of `_MANTISSA` bits, or one more, where x has more."""
    e = max(0, x.bit_length() - _MANTISSA)
    return (x >> e) + (e > 0), e
