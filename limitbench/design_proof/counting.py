"""What the checkers count with: subsets, the sets that hyperplanes cut off, codes over a field. Integers, of bounded size."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from fractions import Fraction
from functools import lru_cache
from math import comb, isqrt
from typing import Any, TypeAlias

from limitbench.dtypes import DTYPES
from limitbench.errors import CertificateError

MOST_BITS = 1 << 19  # of a number that a check computes: parts of a second
MOST_DIMENSIONS = 20_000  # in which parts are counted
MOST_LISTED = 4_000_000  # parts of documents that are kept to be compared
MOST_FIELD = 10**7  # elements of a field
_MOST_NUMBER = 10**4000
_ABOVE_E = Fraction(27182818285, 10**10)  # rounded up
Checker: TypeAlias = Callable[[int, int, Any, Mapping[str, Any]], None]


def require(right: bool, message: str) -> None:
    """Raise `CertificateError` with this message unless the condition is right."""
    if not right:
        raise CertificateError(message)


def shown(value: Any) -> str:
    """A value of any kind for a message: text as it is, at most 40 characters; of others the type alone."""
    return repr(value[:40]) if isinstance(value, str) else f"a {type(value).__name__}"


def whole(value: Any, least: int, what: str, most: int = _MOST_NUMBER) -> int:
    """The value, where it is a whole number in the range; else `CertificateError`."""
    require(type(value) is int and least <= value <= most, f"the {what} must be a whole number of at least {least}")
    return int(value)


@lru_cache(maxsize=256)
def subsets(n: int, k: int) -> int:
    """C(n, k), kept. Raises `CertificateError` where it has more than `MOST_BITS` bits."""
    few = min(k, n - k)
    if few < 0:
        return 0
    require(
        few * max(1, n.bit_length() - few.bit_length() + 2) <= MOST_BITS,
        f"C({_short(n)}, {_short(k)}) is too large to be computed",
    )
    return comb(n, few)


def _short(x: int) -> str:
    return str(x) if x.bit_length() < 64 else f"about 2^{x.bit_length()}"


def halves(points: int, dim: int) -> int:
    """In how many ways hyperplanes part points in `dim` dimensions, at most: 2 sum_{i <= dim} C(points - 1, i) (Cover 1965)."""
    require(dim <= MOST_DIMENSIONS, "too many dimensions for this count")
    if dim >= points - 1:
        require(points <= MOST_BITS, "too many points for this count")
        return 1 << points
    subsets(points - 1, min(dim, (points - 1) // 2))  # refused where too large
    total = term = 1
    for i in range(dim):
        term = term * (points - 1 - i) // (i + 1)
        total += term
    return 2 * total


def cut_off(points: int, dim: int, most: int) -> int:
    """How many sets of 1 to `most` of so many points in `dim` dimensions hyperplanes cut off, at most; dim < points, rounded up.

    2^(dim + 1) C(points, m) ((a + c) / a)^a ((a + c) / c)^c, m = floor(dim / 2), a = dim - m, c = most (Clarkson and Shor 1989,
    with constants; the proof is in theory/recall.md). For large c the last power is taken as e^a, which is more.
    """
    require(1 <= dim < points and most >= 1, "this count is for fewer dimensions than points")
    half = dim // 2
    a, c = dim - half, most
    large = c > max(4 * a, 1024)
    require((a if large else a + c) * (a + c).bit_length() <= MOST_BITS, "too large for this count")
    power, base = (a, _ABOVE_E) if large else (c, Fraction(a + c, c))
    above = (a + c) ** a * subsets(points, half) * base.numerator**power
    below = a**a * base.denominator**power
    return int(-(-above // below)) << (dim + 1)


def lists(points: int, dim: int, most: int) -> int:
    """How many sets of 1 to `most` points hyperplanes cut off, by the better of `halves` and `cut_off`."""
    found: list[int] = []
    with suppress(CertificateError):
        found.append(halves(points, dim))
    with suppress(CertificateError):
        found.append(cut_off(points, dim, most))
    require(bool(found), "too large for either count")
    return min(found)


def below(count: Callable[[], int], sets: int) -> bool:
    """Whether a count is computed and is below the number of sets."""
    try:
        return count() < sets
    except CertificateError:
        return False


def up_to(n: int, k: int, enough: int) -> int:
    """How many sets of at most k of n there are, or some number above `enough`."""
    largest = subsets(n, min(k, n // 2, MOST_BITS // (n.bit_length() + 2)))
    if largest > enough:
        return largest
    total = term = 1
    for j in range(k):
        term = term * (n - j) // (j + 1)
        total += term
        if total > enough:
            break
    return total


@lru_cache(maxsize=4096)
def is_prime_power(q: int) -> bool:
    """Whether q is a power of a prime, by trial division."""
    if q < 2:
        return False
    p = next((p for p in range(2, isqrt(q) + 1) if q % p == 0), q)
    while q % p == 0:
        q //= p
    return q == 1


def code(data: Mapping[str, Any], n: int) -> tuple[int, int, int]:
    """(q, r, l): polynomials of degree at most r over q elements, read at l of them; at least n of these."""
    q, r, points = (
        whole(data[name], least, name, MOST_FIELD) for name, least in (("q", 2), ("degree", 0), ("points", 1))
    )
    require(is_prime_power(q), f"{q} is no power of a prime")
    require(r < points <= q, "expected degree < points <= q")
    require((r + 1) * q.bit_length() <= MOST_BITS and q ** (r + 1) >= n, "there are fewer polynomials than documents")
    return q, r, points


def holds_integers(dtype: str, most: int) -> bool:
    """Whether all integers up to `most` are exact in this dtype."""
    exact = DTYPES[dtype].exact_integers
    return exact is None or most <= exact
