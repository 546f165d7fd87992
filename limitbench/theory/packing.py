"""Monotone packing: a margin for all k-subsets of n documents needs more dimensions than caps on the sphere of queries show.

Caps use that two queries are 2 gamma apart. Here each query and the centroid of its set count together: y = centroid + l query,
on the boundary of a convex body, where balls around the y of sets that differ in h documents are disjoint
(theory/monotone-packing.md). All comparisons are between integers; floating point only picks h, and what it does not pick proves
less, never more.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import TypeVar

from limitbench.errors import InputError
from limitbench.theory.exact import PI_ABOVE, binomial

Number = TypeVar("Number", float, Fraction)
_MOST_DIFFERENT = 2000  # documents in which sets differ, at most
_MOST_BITS = 8_000_000  # of a power
_PLACES = 40  # bits of the rational s
_SLACK = 1e-6  # relative; what floating point finds closer than that is not asked of integers


@dataclass(frozen=True)
class Packing:
    """What refutes a half-gap: sets that differ in `different` documents, by the plain bound or, `averaged`, by the mean length
    of centroids. `refutes` checks it with integers."""

    n: int
    k: int
    different: int
    averaged: bool

    def refutes(self, gamma: Fraction, d: int) -> bool:
        """Whether this packing proves that all k-subsets have no half-gap gamma in d dimensions. Exact."""
        n, k, h = self.n, self.k, self.different
        if not (0 < k < n and 1 <= h <= k and 0 < gamma <= 1 and d >= 2):
            return False
        near = sum(math.comb(k, i) * math.comb(n - k, i) for i in range(h))
        if self.averaged:
            return _averaged(n, k, gamma, d, h, near)
        return _plain(-(-math.comb(n, k) // near), k, gamma, d, h)


def monotone_packing(n: int, k: int, gamma: Fraction, d: int, *, plain: bool = False) -> Packing | None:
    """The packing that refutes half-gap gamma for all k-subsets of n documents in d dimensions, or None where none is found.

    With `plain` only the first bound is asked, which holds where the centroids are of vectors that differ from set to set.

    >>> monotone_packing(10**6, 2, Fraction(1, 10), 18), monotone_packing(10**6, 2, Fraction(1, 10), 19)
    (Packing(n=1000000, k=2, different=1, averaged=True), None)
    """
    chosen = candidate(n, k, gamma, d, plain=plain)
    return chosen if chosen is not None and chosen.refutes(gamma, d) else None


def candidate(n: int, k: int, gamma: Fraction, d: int, *, plain: bool = False) -> Packing | None:
    """The packing that floating point expects to refute the half-gap, of those that integers can decide; it proves nothing yet."""
    k = k if plain else min(k, n - k)
    if k < 1 or d < 2 or not 0 < gamma <= 1:
        return None
    try:
        subsets = math.log(binomial(n, k))
    except InputError:  # millions of digits
        return None
    found = (
        (excess, h, averaged)
        for h, log_near in _near(n, k)
        for averaged, excess in _excess(n, k, gamma, d, h, subsets - log_near)
        if not (plain and averaged)
    )
    excess, h, averaged = max(found, default=(0.0, 1, False))
    return Packing(n, k, h, averaged) if excess > _SLACK else None


def too_many_sets(count: int, k: int, gamma: Fraction, d: int) -> bool:
    """Whether so many distinct sets of k documents have no half-gap gamma in d dimensions, by the plain bound. Exact."""
    return 0 < gamma <= 1 and k >= 1 and d >= 2 and _plain(count, k, gamma, d, 1)


def least_open(n: int, k: int, gamma: Fraction) -> int:
    """The least dimension that monotone packing leaves open for half-gap gamma: every smaller one is impossible.

    >>> [least_open(n, 2, Fraction(1, 10)) for n in (46, 200, 10**6, 10**10)]
    [5, 7, 19, 32]
    """
    low, high = 1, 2
    while monotone_packing(n, k, gamma, high) is not None:
        low, high = high, 2 * high
    if high == 2:
        return 1  # it says nothing of one dimension
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if monotone_packing(n, k, gamma, middle) is not None else (low, middle)
    return high


def _base(k: int, gamma: Fraction, h: int) -> Fraction:
    """1 + k / (gamma h), the base of the first bound."""
    return 1 + Fraction(k, h) / gamma


def _room(log_count: float, d: int) -> float:
    """log of s, the largest that the second bound allows: s^(d - 1) = (C / V)^2 / (2 pi d)."""
    return (2 * log_count - math.log(2 * math.pi * d)) / (d - 1)


def _plain(count: int, k: int, gamma: Fraction, d: int, h: int) -> bool:
    """Whether count > sqrt(2 pi d) (1 + k / (gamma h))^((d - 1) / 2), squared: the first bound of the page."""
    base = _base(k, gamma, h)
    if (d - 1) * base.numerator.bit_length() > _MOST_BITS:
        return False
    left: int = count * count * PI_ABOVE.denominator * base.denominator ** (d - 1)
    right: int = 2 * PI_ABOVE.numerator * d * base.numerator ** (d - 1)
    return left > right


def _averaged(n: int, k: int, gamma: Fraction, d: int, h: int, near: int) -> bool:
    """Whether G(s) > k (n - k) / ((n - 1) gamma^2 h^2), the second bound; s is rational, s^(d - 1) <= (C / V)^2 / (2 pi d)."""
    subsets = math.comb(n, k)
    room = _room(math.log(subsets) - math.log(near), d)
    if room <= 0 or _bits(room, d) > _MOST_BITS:
        return False
    s = Fraction(math.floor(math.exp(min(room, 700.0)) * (1 - 1e-9) * 2**_PLACES), 2**_PLACES)
    left = s.numerator ** (d - 1) * 2 * PI_ABOVE.numerator * d * near * near
    if s <= 1 or left > PI_ABOVE.denominator * subsets * subsets * s.denominator ** (d - 1):
        return False
    return bool(_growth(s, Fraction(d - 1, 2)) * (n - 1) * gamma * gamma * h * h > k * (n - k))


def _bits(room: float, d: int) -> float:
    """Bits of s^(d - 1)."""
    return (d - 1) * (_PLACES + room / math.log(2))


def _growth(s: Number, p: Number) -> Number:
    """G(s), or less: its last term, 2 s^-p / ((p + 1)(p + 2)), counts as if s were 1."""
    return p * (s * s / (p + 2) - 2 * s / (p + 1) + 1 / p) - 2 / ((p + 1) * (p + 2))


def _excess(n: int, k: int, gamma: Fraction, d: int, h: int, log_count: float) -> Iterator[tuple[bool, float]]:
    """(averaged, relative excess over the bound) of both bounds, in floating point, where integers can decide."""
    base = _base(k, gamma, h)
    if (d - 1) * base.numerator.bit_length() <= _MOST_BITS:
        needed = math.log(2 * math.pi * d) + (d - 1) * (math.log(base.numerator) - math.log(base.denominator))
        yield False, (2 * log_count - needed) / max(1.0, 2 * log_count)
    room = _room(log_count, d)
    if 0 < room < 300 and _bits(room, d) <= _MOST_BITS:
        growth = _growth(math.exp(room), (d - 1) / 2)
        share = math.log((n - k) / (n - 1)) if n < 1e300 else 0.0
        if growth > 0:
            yield (
                True,
                math.log(growth)
                - math.log(k)
                - share
                + 2 * (math.log(gamma.numerator) - math.log(gamma.denominator))
                + 2 * math.log(h),
            )


@lru_cache(maxsize=16)
def _near(n: int, k: int) -> tuple[tuple[int, float], ...]:
    """(h, log of the sets that differ from a set in fewer than h documents) of the h that are tried: few, and parts of k."""
    wanted = {
        h for h in (*range(1, 9), *(k * part // 32 for part in range(1, 25))) if 1 <= h <= min(k, _MOST_DIFFERENT)
    }
    out, total, term = [], 0, 1
    for h in range(1, max(wanted) + 1):
        i = h - 1
        total += term
        term = term * (k - i) * (n - k - i) // ((i + 1) * (i + 1))
        if h in wanted:
            out.append((h, math.log(total)))
    return tuple(out)
