"""What a margin costs: bounds for unit vectors whose relevant scores exceed all others by 2 gamma (half-gap gamma).

All comparisons are between integers and fractions; where a transcendental number enters, it is rounded to the side that
weakens the claim.
"""

from __future__ import annotations

import math
from fractions import Fraction

from limitbench.errors import InputError
from limitbench.theory.exact import double_cap_parts, root_rounded_up


def _margin(gamma: Fraction) -> None:
    if not 0 < gamma <= 1:
        raise InputError(
            f"found a margin of {float(gamma):g}, expected a half-gap on unit vectors, above 0 and at most 1"
        )


def theorem_1(count: int, gamma: Fraction) -> int:
    """The least d with (1 + 1/gamma)^d >= count: the paper's Theorem 1 (Weller et al. 2025, from a packing of balls).

    `count` is the number of pairwise incomparable relevant sets, such as C(n, k).

    >>> theorem_1(math.comb(100, 2), Fraction(1, 10))
    4
    """
    _margin(gamma)
    p, q = gamma.numerator + gamma.denominator, gamma.numerator  # 1 + 1/gamma = p / q
    if count <= 1:
        return 0
    guess = max(0, int(math.log(count) / (math.log(p) - math.log(q))) - 2)
    d, left, right = guess, p**guess, count * q**guess
    while left < right:
        d, left, right = d + 1, left * p, right * q
    return d


def spherical_caps(count: int, gamma: Fraction) -> int:
    """The least dimension that the packing of caps leaves open: in each smaller one, `count` sets with half-gap gamma are
    impossible.

    Queries of incomparable sets are 2 gamma apart, so caps of radius asin(gamma) around them are disjoint:
    count <= 2 / I_{gamma^2}((d - 1)/2, 1/2) (theory/spherical-caps.md). Sharper than Theorem 1.

    >>> spherical_caps(math.comb(100, 2), Fraction(1, 10))
    5
    """
    _margin(gamma)
    if count <= 1:
        return 0
    if count <= 2:
        return 1
    low, high = 1, 2  # invariant: `low` is impossible (two points at most on the line), `high` is not yet shown to be
    while caps_forbid(count, gamma, high):
        low, high = high, high * 2
    while high - low > 1:
        middle = (low + high) // 2
        if caps_forbid(count, gamma, middle):
            low = middle
        else:
            high = middle
    return high


def caps_forbid(count: int, gamma: Fraction, d: int) -> bool:
    """Whether `count` incomparable sets with half-gap gamma are impossible in d dimensions, by the packing of caps."""
    _margin(gamma)
    if d <= 1:
        return count > 2 if d == 1 else count > 1
    if 4 * gamma * gamma > 3:  # of three points on a sphere, two are at most sqrt(3) apart
        return count > 2
    # caps so small that nothing is forbidden need no exact arithmetic: a cap's share is below d gamma^(d - 1) / (1 - gamma^2)
    slack = math.log2(d) - math.log2(max(1e-12, 1 - float(gamma) ** 2)) + 8
    if gamma < 1 and count.bit_length() + (d - 1) * math.log2(gamma) + slack < 0:
        return False
    share, whole = double_cap_parts(gamma, d)
    return count * share > 2 * whole


def ceiling_squared(n: int, k: int) -> Fraction:
    """(eps*(n, k) / 2)^2, the square of the largest half-gap that any dimension allows for all k-subsets, 0 < k < n.

    eps* = n / sqrt(k (n - 1) (n - k)): the mean over all S of |centroid of S - centroid of the rest|^2, which the regular
    simplex attains.
    """
    if not 0 < k < n:
        raise InputError(f"found k = {k} of n = {n}, expected 0 < k < n")
    return Fraction(n * n, 4 * k * (n - 1) * (n - k))


def exceeds_ceiling(n: int, k: int, gamma: Fraction) -> bool:
    """Whether half-gap gamma is impossible for all k-subsets of n in every dimension. Exact."""
    return 0 < k < n and gamma * gamma > ceiling_squared(n, k)


def radon_squared(n: int, k: int, d: int) -> Fraction | None:
    """The square of a half-gap that n documents in d dimensions do not exceed, for all k-subsets; None where this method says
    nothing.

    d + 2 points have an affine dependence, whose smaller side has at most (d + 2) / 2 points. Sets of k of those are near the other
    side (theory/margin-ceiling.md): 1 / (2k) where k + 1 points are on it, and for k = 2 1 / (2d) where only a simplex with a
    document inside is left, and sqrt(3 / 32) where it may have four.
    """
    k = min(k, n - k)
    if k < 1 or n < (d + 2 if k <= 2 else d + k + 1):
        return None
    side = (d + 2) // 2
    if k == 2 and side <= 2 and d >= 1:
        return Fraction(1, 4 * d * d) if n == d + 2 else Fraction(0)
    if side <= k + 1:
        return Fraction(1, 4 * k * k)
    return Fraction(3, 32) if (k, side) == (2, 4) else None


def ceiling_rounded(n: int, k: int, digits: int = 6) -> str:
    """eps*/2 as a decimal, rounded up: any margin printed larger is impossible.

    >>> ceiling_rounded(46, 2)
    '0.365494'
    """
    return root_rounded_up(ceiling_squared(n, k), digits)


def table_1() -> dict[tuple[int, int], int]:
    """The paper's Table 1 at gamma = 0.1: {(n, k): d} for its 37 cells, recomputed exactly."""
    return {
        (10**e, k): theorem_1(math.comb(10**e, k), Fraction(1, 10))
        for e in range(2, 12)
        for k in (2, 10, 100, 1000)
        if 10**e > k
    }
