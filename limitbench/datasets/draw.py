"""Random choices that are the same bytes on every platform and library version.

NumPy promises the raw 64-bit words of PCG64 for a seed, but not what its `Generator` methods make of them. So the words
are mapped to choices here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from limitbench.errors import InputError

T = TypeVar("T")
_BLOCK = 4096


class Draw:
    """A stream of choices from one seed."""

    def __init__(self, seed: int) -> None:
        self._source = np.random.PCG64(seed)
        self._words: list[int] = []

    def below(self, n: int) -> int:
        """A uniform integer in [0, n): the high half of word * n, biased words drawn again (Lemire 2019)."""
        if not 1 <= n <= 1 << 64:
            raise InputError(f"found {n} to draw from, expected 1 to 2^64")
        threshold = (1 << 64) % n
        while True:
            if not self._words:
                self._words = self._source.random_raw(_BLOCK).tolist()[::-1]
            product = self._words.pop() * n
            if product & 0xFFFF_FFFF_FFFF_FFFF >= threshold:
                return product >> 64

    def shuffled(self, items: Sequence[T]) -> list[T]:
        """The items in uniformly random order (Fisher and Yates)."""
        return self.sample(items, len(items))

    def sample(self, items: Sequence[T], k: int) -> list[T]:
        """k of the items without replacement, in random order; k at most their number."""
        pool = list(items)
        for i in range(k):
            j = i + self.below(len(pool) - i)
            pool[i], pool[j] = pool[j], pool[i]
        return pool[:k]

    def distinct(self, n: int, k: int) -> list[int]:
        """k distinct integers in [0, n), in random order, without a list of n."""
        moved: dict[int, int] = {}
        out = []
        for i in range(k):
            j = i + self.below(n - i)
            out.append(moved.get(j, j))
            moved[j] = moved.get(i, i)
        return out


def words(seed: int, first: int, count: int) -> npt.NDArray[np.uint64]:
    """Words number `first` to `first + count` of a second stream of a seed; a window anywhere costs the same."""
    source = np.random.PCG64([seed, 1])
    source.advance(first)
    return np.atleast_1d(source.random_raw(count))


def below(raw: npt.NDArray[np.uint64], n: int | npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Integers in [0, n) from 64-bit words, n < 2^24 a number or an array: the high part of (word / 2^24) * n.

    No number is more likely than another by more than a part in 2^16.
    """
    bound = np.asarray(n, np.uint64)
    return ((raw >> np.uint64(24)) * bound >> np.uint64(40)).astype(np.int64)
