"""Stored dtypes: how a vector is rounded to one, written to a file, and read back as exact float64 values.

fp64, fp32, fp16 and bf16 round to nearest, ties to even. int8 scales documents together and each query by itself so that the
largest coordinate is 127, which changes no order; binary keeps signs, 0 counting as +1.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from limitbench.errors import InputError, UnknownName

Floats = npt.NDArray[np.float64]
STORED = ("fp64", "fp32", "bf16", "fp16", "int8", "binary")
_NUMPY: dict[str, Any] = {
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
        bits = np.ascontiguousarray(values, np.float32).view(np.uint32)
        return np.asarray((bits + (0x7FFF + ((bits >> 16) & 1))) >> 16, "<u2")
    if dtype == "binary":
        return np.where(values < 0, -1, 1).astype("i1")
    if dtype == "int8":
        wide = values.astype(np.float64)  # 127 over the largest of tiny float32 numbers is beyond float32
        size = np.abs(wide)
        top = size.max(initial=0.0) if together else size.max(axis=1, keepdims=True, initial=0.0)
        return np.asarray(np.rint(wide * (127 / np.maximum(top, 1e-300))), "i1")
    return np.asarray(values, _NUMPY[dtype])


def decode(stored: npt.NDArray[Any], dtype: str) -> Floats:
    """The exact values of a stored array, as float64. Raises `InputError` where the array is not of this dtype."""
    require_stored(dtype)
    if stored.dtype.newbyteorder("<") != _NUMPY[dtype].newbyteorder("<") or stored.ndim != 2:
        raise InputError(f"found an array of {stored.dtype} with {stored.ndim} axes, expected {_NUMPY[dtype]} with 2")
    if dtype == "bf16":
        return (stored.astype(np.uint32) << 16).view(np.float32).astype(np.float64)
    if dtype == "binary" and not np.isin(stored, (-1, 1)).all():
        raise InputError("found an entry other than -1 and 1 in a binary array")
    return stored.astype(np.float64)
