"""What is known of each number format that vectors are stored in: bits, rounding, and how far a score may move by it.

Every fact of a dtype stands here and nowhere else. `score_error` is an upper bound for the worst pair of vectors; a search for that
pair must not beat it. `typical_score_error` is what random vectors show.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction

from limitbench.errors import UnknownName

_SUM = 2.0**-24  # unit roundoff of fp32, in which scores of narrow dtypes are summed
_MANTISSA = math.sqrt(3 / (8 * math.log(2)))  # root mean square of 1/x for a mantissa x of Benford's law


@dataclass(frozen=True)
class Dtype:
    """A number format.

    `bits` a coordinate takes, None for exact reals. `unit_roundoff` is the largest relative error of rounding to the nearest
    number, None where rounding is not relative. All integers up to `exact_integers` are exact, None for all. `smallest` is half
    the distance of the numbers next to 0, the largest error below the normal range.
    """

    name: str
    bits: int | None
    unit_roundoff: float | None
    exact_integers: int | None
    smallest: float = 0.0


DTYPES: dict[str, Dtype] = {
    dtype.name: dtype
    for dtype in (
        #     name     bits  unit roundoff  exact integers  half the smallest step
        Dtype("real", None, 0.0, None),
        Dtype("fp64", 64, 2.0**-53, 2**53),
        Dtype("fp32", 32, 2.0**-24, 2**24, 2.0**-150),
        Dtype("bf16", 16, 2.0**-8, 2**8, 2.0**-134),
        Dtype("fp16", 16, 2.0**-11, 2**11, 2.0**-25),
        Dtype("int8", 8, None, 127),
        Dtype("binary", 1, None, 1),
    )
}


def dtype(name: str) -> Dtype:
    """The dtype of this name. Raises `UnknownName`."""
    if name not in DTYPES:
        raise UnknownName("dtype", name, DTYPES)
    return DTYPES[name]


def score_error(name: str, dim: int, *, exact_sums: bool = False) -> float:
    """How far rounding both vectors to a dtype can move the inner product of two unit vectors of `dim` dimensions, at most.

    With `exact_sums` the score is the exact real number that the stored vectors have, as witnesses count it.

    Floats: with |x' - x| <= e for both sides, 2 e + e^2 (Cauchy and Schwarz), where e = u plus what numbers below the normal
    range add, `smallest` a coordinate; and dim s / (1 - dim s) of the rounded norms for the sum, s = 2^-24 (2^-53 for fp64;
    Higham 2002, section 3.1). int8 with 127 at the largest coordinate of the documents together or of each vector by itself,
    which is at most 1: each coordinate moves by at most h = 1 / 254, so |x' - x| <= h sqrt(dim), whatever the vector. Nothing is
    clipped then; ranges that are fitted to documents, as a retriever's `dtype=int8` has them, clip queries, and this does not
    hold. binary: signs divided by sqrt(dim); scores lie in [-1, 1] before and after, so 2.
    """
    kind = dtype(name)
    if name == "real":
        return 0.0
    if name == "binary":
        return 2.0
    root = math.sqrt(dim)
    if kind.unit_roundoff is None:
        moved = root / 254
        return 2 * moved + moved**2
    moved = kind.unit_roundoff + kind.smallest * root
    summed = 0.0 if exact_sums else dim * (2.0**-53 if name == "fp64" else _SUM)
    if summed >= 1:
        return math.inf
    return 2 * moved + moved**2 + summed / (1 - summed) * (1 + moved) ** 2


def half_gap_kept(half_gap: Fraction, name: str, dim: int) -> Fraction:
    """What is left, at least, of a half-gap of unit vectors once they are stored in a dtype, in exact scores of what is stored.

    Both scores of a gap move by `score_error` at most, and lengths grow by as much. Rounding to float64 before adds less than
    1e-14 for fewer than 2^16 dimensions. 0 or less where nothing is promised.
    """
    lost = Fraction(score_error(name, dim, exact_sums=True)) + Fraction(2, 10**14)
    return half_gap if name == "real" else (half_gap - lost) / (1 + lost)


def typical_score_error(name: str, dim: int) -> float:
    """The standard deviation of what rounding to a dtype moves the score of two random unit vectors of `dim` dimensions by, about.

    Floats: each coordinate has an absolute error that is uniform over the half step of its binade. int8: a uniform error of a
    255th of the range, which is about 8 / sqrt(dim) wide. Raises `UnknownName` for a dtype without such a figure.
    """
    roundoff = dtype(name).unit_roundoff
    if name == "int8":
        return math.sqrt(2 / 12) * 8 / math.sqrt(dim) / 255
    if roundoff is None:
        raise UnknownName(
            "dtype with a typical rounding error", name, [n for n, d in DTYPES.items() if d.unit_roundoff]
        )
    return math.sqrt(2 / 3) * _MANTISSA * roundoff / math.sqrt(dim)
