"""Exact or outward-rounded numbers: what proved claims about margins and counts are decided with.

Margins are read as decimals (0.1 is one tenth), so that squares, powers and binomials stay rational.
"""

from __future__ import annotations

import math
from decimal import ROUND_FLOOR, Context, Decimal
from fractions import Fraction
from functools import lru_cache
from numbers import Integral
from typing import Any

from limitbench.errors import InputError

_MOST_DIGITS = 250  # before or behind the point; squares of what is smaller leave the range of doubles
_MOST_BITS = 1_000_000  # of a binomial; larger ones take minutes
PI_ABOVE = Fraction(3_141_592_653_589_793_239, 10**18)  # rounded up


def as_fraction(value: Any, what: str) -> Fraction:
    """The exact value of an int, Fraction, decimal string or float (as it prints). Raises `InputError`."""
    try:
        if isinstance(value, bool):
            raise ValueError
        text = str(value)
        if "/" not in text and abs(Decimal(text).adjusted()) > _MOST_DIGITS and Decimal(text):
            raise ValueError
        exact = Fraction(text)
        if max(abs(exact.numerator), exact.denominator) >= 10 ** (_MOST_DIGITS + 50):
            raise ValueError
        return exact
    except (ValueError, ArithmeticError):
        raise InputError(f"found {what} = {str(value)[:40]!r}, expected a number such as 0.1 or 1e-9") from None


def as_count(value: Any, what: str) -> int:
    """An exact whole number from an int, a whole float below 2^53, or text such as "1e6". Raises `InputError` for others."""
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return int(value)
    if isinstance(value, Integral) and not isinstance(value, bool):
        whole = int(value)
        if whole.bit_length() <= 14_000:
            return whole
        raise InputError(f"found {what} with more than 4000 digits, expected a smaller number")
    if isinstance(value, str):
        try:
            number = Decimal(value.replace("_", ""))
            if abs(number.adjusted()) <= 4000 or not number:
                exact = Fraction(number)
                if exact.denominator == 1:
                    return exact.numerator
        except (ArithmeticError, ValueError, OverflowError):
            pass
    raise InputError(f"found {what} = {value!r}, expected a whole number such as 46 or 1e6, of at most 4000 digits")


def rounded_up(x: Fraction, digits: int) -> str:
    """x as a decimal number with so many places, not below x."""
    return _decimal(-(-x.numerator * 10**digits // x.denominator), digits)


def root_rounded_up(square: Fraction, digits: int = 6) -> str:
    """The square root as a decimal number with so many places, not below it."""
    root = math.isqrt(square.numerator * 10 ** (2 * digits) // square.denominator)
    return _decimal(root + (Fraction(root, 10**digits) ** 2 < square), digits)


def root_rounded_down(square: Fraction, digits: int = 6) -> str:
    """The square root as a decimal number with so many places, not above it."""
    return _decimal(math.isqrt(square.numerator * 10 ** (2 * digits) // square.denominator), digits)


def _decimal(parts: int, digits: int) -> str:
    return f"{parts // 10**digits}.{parts % 10**digits:0{digits}d}"


def rounded_down(x: float | Fraction, digits: int) -> Decimal:
    """x to so many significant digits, not above x."""
    exact = Fraction(x)
    return Context(prec=digits, rounding=ROUND_FLOOR).divide(Decimal(exact.numerator), Decimal(exact.denominator))


@lru_cache(maxsize=64)
def binomial(n: int, k: int) -> int:
    """C(n, k), exact; kept, because large ones take seconds. Raises `InputError` where it has millions of digits."""
    few = min(k, n - k)
    if few > 0 and few * max(1, n.bit_length() - few.bit_length()) > _MOST_BITS:
        raise InputError(
            f"the number of {k}-subsets of {n} has more than {_MOST_BITS // 4} digits, which is not computed; choose a smaller k"
        )
    return math.comb(n, k)


def log2_ceiling(count: int) -> int:
    """The least b with 2^b >= count, for count >= 1."""
    return (count - 1).bit_length()


@lru_cache(maxsize=512)
def double_cap_parts(gamma: Fraction, d: int) -> tuple[int, int]:
    """A lower bound, tight to about 1e-9 relative, of I_{gamma^2}((d - 1)/2, 1/2): twice the share of the unit sphere of R^d
    in a cap of angular radius asin(gamma), for d >= 2 and 0 < gamma <= 1.

    (numerator, denominator), not in lowest terms: their gcd would cost more than all else.

    The incomplete beta function is a series of positive terms, so a partial sum is below it; gamma^(d - 1) is rational,
    and the beta function is rational for odd d and rational times pi, rounded up, for even d.
    """
    a2 = d - 1  # 2a, with a = (d - 1) / 2
    x = gamma * gamma
    if x >= 1:
        return 1, 1
    scale = 1 << 160  # fixed point with 160 bits, every step rounded down
    term, total, j = scale, 0, 0  # term = (1/2)_j / j! x^j
    while term:
        part = term * 2 // (a2 + 2 * j)
        total += part
        if part * 10**12 < total * (1 - x):
            break
        term = term * (2 * j + 1) * x.numerator // (2 * (j + 1) * x.denominator)
        j += 1
    above, below = _beta_half_above(a2)
    return gamma.numerator**a2 * total * below, gamma.denominator**a2 * scale * above


def _beta_half_above(a2: int) -> tuple[int, int]:
    """(numerator, denominator) of an upper bound of B(a2 / 2, 1/2), exact where a2 is even."""
    if a2 % 2 == 0:  # a whole: B = (a - 1)! a! 4^a / (2a)!
        a = a2 // 2
        return 4**a, a * math.comb(2 * a, a)
    b = (a2 - 1) // 2  # a = b + 1/2: B = pi C(2b, b) / 4^b
    return PI_ABOVE.numerator * math.comb(2 * b, b), PI_ABOVE.denominator * 4**b


def exp_minus_above(x: Fraction) -> Fraction:
    """An upper bound of exp(-x) for x >= 0: the inverse of a lower bound of exp(x), from 2^x <= e^(x ln 2)."""
    # exp(x) >= (1 + x/k)^k for every k >= 1; k is chosen so that the loss is small
    k = 1 << max(10, min(20, (x.numerator // max(1, x.denominator)).bit_length() * 2 + 4))
    base = 1 + x / k
    scale = 1 << 200
    value = scale
    fixed = scale * base.numerator // base.denominator
    for _ in range(k.bit_length() - 1):
        fixed = fixed * fixed // scale
    value = fixed
    return Fraction(scale, value) if value else Fraction(1)
