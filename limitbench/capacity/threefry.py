"""Normal numbers as JAX draws them, so that the paper's protocol starts from the vectors that its released script starts from.

Threefry-2x32 with 20 rounds (Salmon et al. 2011), keys split and counters laid out as JAX does by default since 0.5
(`jax_threefry_partitionable`); the script pins 0.6.2. Bits are the same; normals agree to the last digit or two of float32,
since erfinv is computed here in double precision.
"""

from __future__ import annotations

import math
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from scipy.special import erfinv

Key: TypeAlias = tuple[int, int]
_ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))


def key(seed: int) -> Key:
    """The key of a seed, as `jax.random.PRNGKey` with 64-bit seeds."""
    return seed >> 32 & 0xFFFFFFFF, seed & 0xFFFFFFFF


def split(parent: Key) -> tuple[Key, Key]:
    """Two keys from one, as `jax.random.split`."""
    high, low = _hash(parent, np.arange(2, dtype=np.uint64))
    return (int(high[0]), int(low[0])), (int(high[1]), int(low[1]))


def normal(source: Key, shape: tuple[int, ...]) -> npt.NDArray[np.float32]:
    """Standard normal float32 numbers of this shape, as `jax.random.normal`."""
    high, low = _hash(source, np.arange(math.prod(shape), dtype=np.uint64))
    mantissa = (high ^ low) >> np.uint32(9) | np.uint32(0x3F800000)
    least = np.nextafter(np.float32(-1), np.float32(0))
    uniform = (mantissa.view(np.float32) - np.float32(1)) * (np.float32(1) - least) + least  # in [-1, 1)
    drawn = erfinv(np.maximum(uniform, least).astype(np.float64))
    out: npt.NDArray[np.float32] = np.float32(math.sqrt(2)) * drawn.astype(np.float32)
    return out.reshape(shape)


def _hash(source: Key, counters: npt.NDArray[np.uint64]) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.uint32]]:
    """Threefry-2x32 of 64-bit counters: the high and the low words."""
    keys = [np.uint32(source[0]), np.uint32(source[1]), np.uint32(source[0] ^ source[1] ^ 0x1BD11BDA)]
    high = (counters >> np.uint64(32)).astype(np.uint32)
    low = counters.astype(np.uint32)  # arrays wrap round in silence, which is meant
    high += keys[0]
    low += keys[1]
    for group in range(5):
        for turn in _ROTATIONS[group % 2]:
            high += low
            low = (low << np.uint32(turn)) | (low >> np.uint32(32 - turn))
            low ^= high
        high += keys[(group + 1) % 3]
        low += keys[(group + 2) % 3]
        low += np.uint32(group + 1)
    return high, low
