"""Constructions with explicit constants: in d dimensions, this n, k and half-gap are possible, and here is how.

Each function answers for one family whether it covers (n, k, d, gamma), by exact arithmetic, and says the inequality. The
vectors themselves are small integers, so they are exact in every dtype that holds them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from limitbench.design_proof.counting import is_prime_power
from limitbench.dtypes import DTYPES
from limitbench.theory.exact import binomial, exp_minus_above
from limitbench.theory.margin import ceiling_squared

_MOST_SIGNS = 1 << 16  # dimensions in which random signs are looked for


def simplex(n: int, k: int) -> tuple[int, Fraction]:
    """(n - 1, (eps*/2)^2): the regular simplex with centroid queries reaches the ceiling."""
    return n - 1, ceiling_squared(n, k)


def orthogonal_simplices(n: int, k: int, d: int) -> Fraction:
    """The squared half-gap of n documents in n - d >= 2 regular simplices in orthogonal spaces, in d dimensions; 0 where none.

    With at least m > k documents in each it is (m - k) / (4 k (m - 1)), that of a set within one of the smallest
    (theory/margin-ceiling.md). For k > n / 2 the sets of the others are parted, which is the same.
    """
    k = min(k, n - k)
    m = n // (n - d) if 0 < n - d <= n else 0
    return Fraction(m - k, 4 * k * (m - 1)) if n - d >= 2 and m > k >= 1 else Fraction(0)


def simplex_and_centre(n: int, k: int, d: int) -> Fraction:
    """The squared half-gap of a regular simplex of d + 1 documents and its centre, n = d + 2 in all; 0 where none.

    The worst sets hold the centre and k - 1 others, k <= n / 2: (k - 1) / (4 d (d + 2 - k)) (theory/margin-ceiling.md). The centre
    has length 0: these documents are in the unit ball, and not on the sphere.
    """
    k = min(k, n - k)
    return Fraction(k - 1, 4 * d * (d + 2 - k)) if n == d + 2 and k >= 2 and d >= 2 else Fraction(0)


def trigonometric_curve(n: int, k: int) -> tuple[int, Fraction]:
    """(2k, squared half-gap proved): documents (cos jt, sin jt)/sqrt(k), j <= k, at n equispaced t, all unit.

    The query of S holds the coefficients of -P, P(t) = prod_{s in S} (1 - cos(t - s)). With 1 - cos x >= 2 x^2 / pi^2 and the
    steps from a document to S at least 1, 1, 2, 2, ..., P >= prod_i 8 ceil(i/2)^2 / n^2 outside S; by Parseval the query's
    norm is at most sqrt(2k) 2^k. Half the first over the second is the gap: rational once squared (theory/moment-curve.md).
    """
    least = Fraction(1)
    for i in range(1, k + 1):
        least *= Fraction(8 * ((i + 1) // 2) ** 2, n * n)
    return 2 * k, least * least / (8 * k * 4**k)


def random_signs_cover(n: int, k: int, d: int, gamma: Fraction = Fraction(0)) -> bool:
    """Whether +-1 documents in d dimensions with ternary queries exist, by the union bound, with half-gap gamma.

    The query of S is the common sign where S agrees and 0 elsewhere. A coordinate separates j from S when S agrees there
    and j does not: probability 2^-k. With c such coordinates the half-gap on unit vectors is at least c / d. So it
    suffices that C(n, k) (n - k) P(Bin(d, 2^-k) < max(1, gamma d)) < 1 (theory/random-signs.md).
    """
    if not 0 < k < n:
        return True
    needed = max(1, math.ceil(gamma * d))
    if needed > d or d > _MOST_SIGNS:  # not looked for in more: the sums have d terms of d bits
        return False
    events = binomial(n, k) * (n - k)
    if (
        math.log2(events) + _log2_tail(k, d, needed) > 0.01
    ):  # clearly not: integers need not be asked, and only they say yes
        return False
    misses = 2**k - 1
    term, tail = misses**d, 0  # the i-th term: C(d, i) (2^k - 1)^(d - i)
    for i in range(needed):
        tail += term
        term = term * (d - i) // ((i + 1) * misses)
    return bool(events * tail < 2 ** (k * d))


def _log2_tail(k: int, d: int, needed: int) -> float:
    """log2 of P(Bin(d, 2^-k) < needed), in floating point, from its largest term downward."""
    i = min(needed - 1, d // 2**k)  # at or below the mode terms fall
    misses = 2**k - 1
    log = (math.lgamma(d + 1) - math.lgamma(i + 1) - math.lgamma(d - i + 1)) / math.log(2)
    log += (d - i) * math.log2(misses) - k * d
    total = part = 1.0
    for j in range(i, 0, -1):
        part *= j * misses / (d - j + 1)
        total += part
        if part < 1e-17 * total:
            break
    return float(log + math.log2(total))


def random_signs(n: int, k: int, gamma: Fraction = Fraction(0), *, most: int = 1 << 14) -> int | None:
    """The least dimension found in which `random_signs_cover` holds, or None up to `most`.

    For gamma > 0 the condition is not monotone in d; the first d that meets it in an upward scan is returned.

    >>> [random_signs(n, 2) for n in (46, 1000, 10**6, 10**10)]
    [38, 70, 142, 238]
    """
    if k > 12 or gamma * 2**k >= 1:
        return None
    low, high = 0, 1
    while not random_signs_cover(n, k, high):
        low, high = high, high * 2
        if high > 4 * most:
            return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if random_signs_cover(n, k, middle) else (middle, high)
    if gamma == 0:
        return high if high <= most else None
    d, step = high, max(1, high // 8)
    while d <= most and not random_signs_cover(n, k, d, gamma):
        d += step
    if d > most:
        return None
    for earlier in range(max(high, d - step), d):
        if random_signs_cover(n, k, earlier, gamma):
            return earlier
    return d


def coherence_gap_squared(k: int, mu: Fraction) -> Fraction:
    """The squared half-gap of centroid queries over unit documents of coherence at most mu < 1/(2k - 1), else 0."""
    slack = 1 - (2 * k - 1) * mu
    return slack * slack / (4 * k * (1 + (k - 1) * mu)) if slack > 0 else Fraction(0)


def random_coherence(n: int, k: int, d: int) -> Fraction:
    """The squared half-gap of random +-1 documents with centroid queries in d dimensions, by Hoeffding; 0 where none.

    All |<v_i, v_j>| <= mu with positive probability when n (n - 1) exp(-d mu^2 / 2) < 1; mu is rounded up.
    """
    if n < 2:
        return Fraction(0)
    guess = math.sqrt(2 * math.log(max(2, n * (n - 1))) / d) if n < 10**150 else 1.0
    mu = Fraction(math.ceil(guess * 10**6) + 2, 10**6)
    if mu >= 1 or n * (n - 1) * exp_minus_above(Fraction(d) * mu * mu / 2) >= 1:
        return Fraction(0)
    return coherence_gap_squared(k, mu)


@dataclass(frozen=True)
class PolynomialCode:
    """Documents are the polynomials of degree <= r over a field of q elements, as 0/1 graphs at l of its points.

    (DeVore 2007; Kautz and Singleton 1964.) d = q l; two documents agree in at most r points; the query of S is the
    indicator of the union of its documents: relevant scores are l, others at most k r. So all k-subsets of
    n = q^(r + 1) documents are realised whenever k r < l <= q, with half-gap at least (1 - k r / l) / (2 sqrt(k)).
    """

    q: int
    r: int
    k: int
    points: int

    @property
    def valid(self) -> bool:
        """Whether q is a prime power, r >= 0, k >= 1 and k r < l <= q. Integers only."""
        return is_prime_power(self.q) and self.r >= 0 and self.k >= 1 and self.k * self.r < self.points <= self.q

    @property
    def n(self) -> int:
        """The number of documents."""
        return int(self.q ** (self.r + 1))

    @property
    def dimension(self) -> int:
        """The dimension of the code: q coordinates a point, l points."""
        return self.q * self.points

    @property
    def gap_squared(self) -> Fraction:
        """The square of the half-gap of union queries."""
        return Fraction(self.points - self.k * self.r, self.points) ** 2 / (4 * self.k)

    @property
    def centroid_gap_squared(self) -> Fraction:
        """The square of the half-gap of centroid queries, for comparison with note M7."""
        mu = Fraction(self.r, self.points)
        return (1 - self.k * mu) ** 2 / (4 * self.k * (1 + (self.k - 1) * mu)) if self.k * mu < 1 else Fraction(0)

    def documents(self, numbers: Sequence[int]) -> npt.NDArray[np.int8]:
        """The 0/1 vectors (documents, d) of these document numbers; q must be a prime (not a proper power)."""
        if not is_prime(self.q):
            raise ValueError("vectors are built for prime q; for prime powers the parameters are the certificate")
        out = np.zeros((len(numbers), self.dimension), np.int8)
        for row, number in enumerate(numbers):
            coefficients = []
            for _ in range(self.r + 1):
                number, digit = divmod(number, self.q)
                coefficients.append(digit)
            for x in range(self.points):
                value = 0
                for c in reversed(coefficients):
                    value = (value * x + c) % self.q
                out[row, x * self.q + value] = 1
        return out


def is_prime(q: int) -> bool:
    """Whether q is a prime, by trial division."""
    return q >= 2 and all(q % p for p in range(2, math.isqrt(q) + 1))


def best_polynomial_code(
    d: int, k: int, *, n: int | None = None, gamma: Fraction = Fraction(0)
) -> PolynomialCode | None:
    """The code of at most d dimensions with half-gap gamma that has at least n documents (without n: the most)."""
    best: PolynomialCode | None = None
    for q in range(2, min(d, 8 * math.isqrt(d) + 8) + 1):  # larger fields leave too few points to be of use
        if not is_prime_power(q):
            continue
        points = min(q, d // q)
        if points < 1:
            break
        # half-gap: (1 - k r / l) / (2 sqrt k) >= gamma  <=>  k r <= l (1 - 2 gamma sqrt k); tested exactly
        r = min((points - 1) // k, int(points * max(0.0, 1 - 2 * float(gamma) * math.sqrt(k)) / k) + 1)
        while r > 0 and PolynomialCode(q, r, k, points).gap_squared < gamma * gamma:
            r -= 1
        code = PolynomialCode(q, r, k, points)
        if not code.valid or code.gap_squared < gamma * gamma:
            continue
        if best is None or code.n > best.n:
            best = code
    if best is not None and n is not None and best.n < n:
        return None
    return best


def moment_curve_witness(n: int, k: int, dtype: str) -> bool:
    """Whether the integer moment curve in 2k dimensions is exact in this dtype for all k-subsets of n documents.

    Documents (t, t^2, ..., t^2k) at the integers |t| <= n/2; the query of S holds the coefficients, constant term
    aside, of -prod (t - s)^2. Exact where every entry fits; an entry 2^a b with b odd fits where b does and a is in range.
    The largest coefficients are those of the outermost S; each is bounded by prod (1 + |s|)^2.
    """
    most = DTYPES[dtype].exact_integers
    if most is None:
        return True
    if dtype == "binary":
        return False
    half = n // 2
    if (half > 1 and 2 * k > 64) or half ** (2 * k) > most:  # no dtype holds 2^64
        return False
    largest = math.prod((1 + max(0, half - i // 2)) ** 2 for i in range(k))
    return largest <= most


def all_pairs_separated(v: npt.NDArray[np.int64]) -> bool:
    """Whether centroid queries realise every pair of documents, for integer vectors v (n, d), without listing the pairs.

    The query of {i, l} is v_i + v_l. It scores G_ii + G_il on i and G_ij + G_lj on j, for Gram matrix G: O(n^3) in integers.
    """
    g = v @ v.T  # (n, n)
    n = len(v)
    for i in range(n):
        # relevant i against other j, with partner l: G_ii + G_il > G_ij + G_lj for all j, l outside {i}, j != l
        slack = g[i, i] + g[i][:, None] - g[i][None, :] - g  # (l, j)
        slack[i, :] = slack[:, i] = 1
        np.fill_diagonal(slack, 1)
        if (slack <= 0).any():
            return False
    return True
