"""What is known of each number format that vectors are stored in: bits, rounding, what it keeps, how far a score may move by it.

Every fact of a dtype stands here and nowhere else. `score_error` is an upper bound for the worst pair of vectors; a search for that
pair must not beat it. `typical_score_error` is what random vectors show.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Literal, TypeAlias, get_args

import numpy as np
import numpy.typing as npt

from limitbench.errors import InputError, UnknownName

Values: TypeAlias = npt.NDArray[np.float64]
Stored: TypeAlias = Literal["fp64", "fp32", "bf16", "fp16", "int8", "binary"]  # what an array can have
Searched: TypeAlias = Literal["fp32", "bf16", "fp16", "int8", "binary"]  # what an index of ours can have

_SUM = 2.0**-24  # unit roundoff of fp32, in which scores of narrow dtypes are summed
BEFORE_STORING = Fraction(2, 10**14)  # how far rounding to float64, before a dtype's own, may move a score or a gap
FLOAT64_ROUNDOFF = 2.0**-53
_MANTISSA = math.sqrt(3 / (8 * math.log(2)))  # root mean square of 1/x for a mantissa x of Benford's law


@dataclass(frozen=True)
class Dtype:
    """A number format.

    `bits` a coordinate takes, None for exact reals. `unit_roundoff` is the largest relative error of rounding to the nearest
    number, None where rounding is not relative. All integers up to `exact_integers` are exact, None for all. `smallest` is half
    the distance of the numbers next to 0, the largest error below the normal range; `largest` the largest number, before any scale.
    """

    name: str
    bits: int | None
    unit_roundoff: float | None
    exact_integers: int | None
    smallest: float = 0.0
    largest: float = math.inf


DTYPES: dict[str, Dtype] = {
    dtype.name: dtype
    for dtype in (
        #     name     bits  unit roundoff  exact integers  half the smallest step  largest
        Dtype("real", None, 0.0, None),
        Dtype("fp64", 64, 2.0**-53, 2**53, 0.0, (2 - 2.0**-52) * 2.0**1023),
        Dtype("fp32", 32, 2.0**-24, 2**24, 2.0**-150, (2 - 2.0**-23) * 2.0**127),
        Dtype("bf16", 16, 2.0**-8, 2**8, 2.0**-134, (2 - 2.0**-7) * 2.0**127),
        Dtype("fp16", 16, 2.0**-11, 2**11, 2.0**-25, 65504.0),
        Dtype("int8", 8, None, 127, largest=127.0),
        Dtype("binary", 1, None, 1, largest=1.0),
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
    summed = 0.0 if exact_sums else dim * (FLOAT64_ROUNDOFF if name == "fp64" else _SUM)
    if summed >= 1:
        return math.inf
    return 2 * moved + moved**2 + summed / (1 - summed) * (1 + moved) ** 2


def half_gap_kept(half_gap: Fraction, name: str, dim: int) -> Fraction:
    """What is left, at least, of a half-gap of unit vectors once they are stored in a dtype, in exact scores of what is stored.

    Both scores of a gap move by `score_error` at most, and lengths grow by as much. Rounding to float64 before adds less than
    1e-14 for fewer than 2^16 dimensions. 0 or less where nothing is promised.
    """
    lost = Fraction(score_error(name, dim, exact_sums=True)) + BEFORE_STORING
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


# how arrays are stored --------------------------------------------------------------------------------------------------------


STORED: tuple[str, ...] = get_args(Stored)
_ARRAYS: dict[str, Any] = {
    "fp64": np.dtype("<f8"), "fp32": np.dtype("<f4"), "bf16": np.dtype("<u2"), "fp16": np.dtype("<f2"),
    "int8": np.dtype("i1"), "binary": np.dtype("i1"),
}  # fmt: skip


def require_stored(dtype: str) -> None:
    """Raise unless vectors can be stored in this dtype."""
    if dtype == "real":
        raise InputError(f"found dtype real, which no array has; expected one of {', '.join(STORED)}")
    if dtype not in STORED:
        raise UnknownName("dtype", dtype, STORED)


def encode(x: npt.ArrayLike, dtype: str, *, together: bool) -> npt.NDArray[Any]:
    """The rows of x (rows, d) as stored; bf16 as its bit patterns. `together`: one scale for all rows (documents)."""
    require_stored(dtype)
    values = np.asarray(x)
    if dtype == "bf16":
        return np.asarray(_bf16_bits(values) >> 16, "<u2")
    if dtype == "binary":
        return np.where(values < 0, -1, 1).astype("i1")
    if dtype == "int8":
        wide = values.astype(np.float64)  # 127 over the largest of tiny float32 numbers is beyond float32
        size = np.abs(wide)
        top = size.max(initial=0.0) if together else size.max(axis=1, keepdims=True, initial=0.0)
        return np.asarray(np.rint(wide * (127 / np.maximum(top, 1e-300))), "i1")
    return np.asarray(values, _ARRAYS[dtype])


def decode(array: npt.NDArray[Any], dtype: str) -> Values:
    """The exact values of a stored array, as float64. Raises `InputError` where the array is not of this dtype."""
    require_stored(dtype)
    if array.dtype.newbyteorder("<") != _ARRAYS[dtype].newbyteorder("<") or array.ndim != 2:
        raise InputError(f"found an array of {array.dtype} with {array.ndim} axes, expected {_ARRAYS[dtype]} with 2")
    if dtype == "bf16":
        return _from_bf16(array).astype(np.float64)
    if dtype == "binary" and not np.isin(array, (-1, 1)).all():
        raise InputError("found an entry other than -1 and 1 in a binary array")
    return array.astype(np.float64)


def bf16(x: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Each number rounded to the nearest that bf16 holds, ties to even."""
    return np.asarray((_bf16_bits(x) & np.uint32(0xFFFF0000)).view(np.float32))


def _bf16_bits(x: npt.NDArray[Any]) -> npt.NDArray[np.uint32]:
    """The bits of fp32, rounded so that the upper half is bf16."""
    bits = np.ascontiguousarray(x, np.float32).view(np.uint32)
    return np.asarray(bits + (0x7FFF + ((bits >> 16) & 1)), np.uint32)


def _from_bf16(halves: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    return (halves.astype(np.uint32) << 16).view(np.float32)


def stored(x: npt.ArrayLike, dtype: str, *, scale: Literal["together", "each"] = "each") -> Values:
    """The values (rows, d) that a dtype keeps, as float64: what every score of stored vectors is computed from.

    int8 has one scale for all rows together (documents) or one for each (queries); the values are then whole numbers. Raises
    `UnknownName` for a dtype that no array has.
    """
    return decode(encode(x, dtype, together=scale == "together"), dtype)
