"""Recall below 1: what average recall no system of this size can reach, over all k-subsets of n documents.

A system returns lists of c documents. If it has few different lists, few sets are well served by any of them, whatever the
documents and queries are (theory/recall.md). Lists are counted from the bits of a query, from geometry in exact numbers, or from a
half-gap. All of it is integers; the ceiling is rounded up.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from math import ceil, comb
from typing import Any, Literal

from limitbench.certificates import AllSubsets
from limitbench.dtypes import DTYPES
from limitbench.errors import InputError, UnknownName
from limitbench.theory.design import design
from limitbench.theory.exact import as_count, as_fraction, binomial, double_cap_parts

_UNIT = 10**12  # the ceiling is a whole number of these parts of 1
MOST_DIMENSIONS = 10**6
MOST_LISTED = 10**6  # documents of a list
_MOST_BITS = 4_000_000  # of a number of lists


@dataclass(frozen=True)
class RecallVerdict:
    """Whether d dimensions of a dtype reach an average recall at `at` over all k-subsets of n documents.

    `ceiling` is proved, and rounded up: no system has more. `verdict` is "impossible" where the recall asked for is above it,
    "possible" where a construction has it, else "open"; None where no recall was asked for. `because` says whose lists were
    counted, and `least_dim` is the least dimension that is left open.
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
        """JSON-ready values; fractions as decimal numbers."""
        shown = {
            name: None if value is None else float(value)
            for name in ("margin", "recall", "ceiling")
            for value in [getattr(self, name)]
        }
        return {**self.__dict__, **shown, "assumptions": list(self.assumptions)}


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

    With a `margin` only those relevant documents count as found whose score is 2 margin above every document outside the list.
    Without d the least dimension left open is asked for, which needs `recall`. Raises `InputError` for numbers out of range.

    >>> float(recall(10**6, 100, 1024, at=100, dtype="binary").ceiling)
    0.7710971812142
    >>> recall(10**6, 10, recall=0.9).least_dim
    14
    """
    n, k = as_count(n, "n"), as_count(k, "k")
    at = k if at is None else as_count(at, "at")
    d = None if d is None else as_count(d, "d")
    AllSubsets(n, k)
    if not 1 <= k < n or not 1 <= at <= min(n, MOST_LISTED):
        raise InputError(
            f"found k = {k}, at = {at} of n = {n}, expected 1 <= k < n and 1 <= at <= {min(n, MOST_LISTED)}"
        )
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
        answer = "impossible" if asked > top else "possible" if case.reached(asked, d) else "open"
    return RecallVerdict(
        n,
        k,
        at,
        d,
        dtype,
        gamma,
        asked,
        top,
        why,
        answer,
        None if asked is None else case.least(asked),
        case.assumptions(),
    )


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
            "the average is over all k-subsets, each asked once; a test set of few queries may do better by chance or by design"
        ]
        if DTYPES[self.dtype].bits is not None:
            out.append(f"queries are stored in {self.dtype}, and equal queries get equal lists")
        else:
            out.append("scores are exact and no two documents tie at the cut")
        if self.gamma is not None:
            out.append(
                "a relevant document counts as found where its score is 2 margin above all documents outside the list"
            )
        return tuple(out)

    def ceiling(self, d: int) -> tuple[Fraction, str]:
        """(the least ceiling on average recall, rounded up, whose lists were counted)."""
        found = [(self._share(lists), why) for lists, why in self._lists(d)]
        return min(found, default=(Fraction(1), "no bound: there may be as many lists as sets"))

    def least(self, asked: Fraction) -> int:
        """The least dimension whose ceiling is at least the recall asked for."""
        low, high = 0, 1
        while high <= MOST_DIMENSIONS and self.ceiling(high)[0] < asked:
            low, high = high, 2 * high
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if self.ceiling(middle)[0] < asked else (low, middle)
        return high

    def reached(self, asked: Fraction, d: int) -> bool:
        """Whether a construction has it: all sets, or the moment curve for as many documents of each set as are needed."""
        if self.at < self.k:
            return False
        if self.dtype == "real" and self.gamma is None and d >= 2 * ceil(asked * self.k):
            return True
        return design(self.n, self.k, d, self.dtype, self.gamma).verdict == "possible"

    def _lists(self, d: int) -> Iterator[tuple[int, str]]:
        """(a bound on the number of different lists, whose it is)."""
        n, c, bits = self.n, self.at, DTYPES[self.dtype].bits
        if bits is not None and bits * d <= _MOST_BITS:
            yield 1 << (bits * d), f"{bits} x {d} bits make 2^{bits * d} queries"
        if d < n and d <= 4096:
            half, rest = d // 2, d - d // 2
            near = Fraction(rest + c, rest) ** rest * Fraction(rest + c, c) ** c
            cut = ceil(near * comb(n, half)) << (d + 1)
            yield cut, f"hyperplanes of {d} dimensions cut few sets of at most {c} off"
            if n <= 100_000 and d <= 64:
                yield (
                    2 * sum(comb(n - 1, i) for i in range(d + 1)),
                    f"hyperplanes of {d} dimensions part {n} points in few ways",
                )
        if self.gamma is not None and d >= 2:
            share, whole = double_cap_parts(self.gamma, d)
            yield 2 * (2 * whole // share), f"caps of half-gap {float(self.gamma):g} on the sphere of {d} dimensions"

    def _share(self, lists: int) -> Fraction:
        """(1/k) sum_i min(1, lists H_i / C), rounded up; H_i sets have i or more documents on a list."""
        subsets = binomial(self.n, self.k)
        total = near = 0
        for term in self._meeting():
            near += term
            total += min(_UNIT, -(-lists * near * _UNIT // subsets))
        return Fraction(total, _UNIT * self.k)

    def _meeting(self) -> list[int]:
        """For i = min(k, at) .. 1: the number of k-subsets with exactly i documents on a list."""
        n, k, c = self.n, self.k, self.at
        least = max(0, k - (n - c))
        term = comb(c, least) * comb(n - c, k - least)
        terms = {least: term}
        for i in range(least, min(k, c)):
            term = term * (c - i) * (k - i) // ((i + 1) * (n - c - k + i + 1))
            terms[i + 1] = term
        return [terms.get(i, 0) for i in range(min(k, c), 0, -1)]
