"""The matrices that certificates are about: all k-subsets of n documents, or given rows with their digest."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from math import comb
from typing import Protocol, TypeAlias

from limitbench.errors import InputError


@dataclass(frozen=True)
class AllSubsets:
    """The matrix whose rows are all k-subsets of n documents, or with `at_most` all subsets of at most k."""

    n: int
    k: int
    at_most: bool = False

    def __post_init__(self) -> None:
        for name, value in (("n", self.n), ("k", self.k)):
            if not isinstance(value, int) or isinstance(value, bool):
                raise InputError(f"found {name} = {value!r}, expected a whole number")
        if not isinstance(self.at_most, bool):
            raise InputError(f"found at_most = {self.at_most!r}, expected true or false")
        if self.n < 1 or not 0 <= self.k <= self.n:
            raise InputError(f"found n = {self.n}, k = {self.k}; expected n >= 1 and 0 <= k <= n")

    @property
    def n_documents(self) -> int:
        """The number of documents."""
        return self.n

    @property
    def n_queries(self) -> int:
        """The number of rows, exact."""
        return sum(comb(self.n, j) for j in range(self.k + 1)) if self.at_most else comb(self.n, self.k)

    @property
    def sizes(self) -> tuple[int, int]:
        """The least and the largest number of relevant documents in a row."""
        return (0 if self.at_most else self.k, self.k)

    @property
    def has_many_rows(self) -> bool:
        """Whether there are at least n rows, without counting them: C(n, j) >= n for 0 < j < n."""
        return self.k > 0 if self.at_most else 0 < self.k < self.n or self.n == 1

    @property
    def varies(self) -> bool:
        """Whether some row holds some documents and not all."""
        low, high = self.sizes
        return max(low, 1) <= min(high, self.n - 1)

    def covered(self, t: int) -> tuple[tuple[int, int], tuple[int, int]]:
        """Two intervals of weights, both ends included, whose union is that of the patterns on t columns that are rows or
        opposite to rows."""
        low, high = self.sizes
        a, b = max(0, low - self.n + t), min(t, high)
        return (a, b), (t - b, t - a)

    def occurs(self, chosen: int, others: int) -> bool:
        """Whether some row holds all of `chosen` documents and none of `others` more."""
        low, high = self.sizes
        return chosen <= high and self.n - others >= low


@dataclass(frozen=True)
class Explicit:
    """A matrix given by its rows, as sets of document numbers; `sha256` is the digest of the qrels that they are from."""

    rows: tuple[frozenset[int], ...]
    n: int
    sha256: str = field(default="", compare=False)

    @property
    def n_documents(self) -> int:
        """The number of documents."""
        return self.n

    @property
    def n_queries(self) -> int:
        """The number of queries."""
        return len(self.rows)

    @cached_property
    def sizes(self) -> tuple[int, int]:
        """The least and the largest number of relevant documents in a row."""
        return min(map(len, self.rows), default=0), max(map(len, self.rows), default=0)

    @cached_property
    def places(self) -> tuple[dict[int, int], int]:
        """(a place for every document that some row holds, the number of places): equal documents share one."""
        holders: dict[int, list[int]] = {}
        for number, row in enumerate(self.rows):
            for column in row:
                holders.setdefault(column, []).append(number)
        numbers: dict[tuple[int, ...], int] = {}
        place = {column: numbers.setdefault(tuple(held), len(numbers)) for column, held in holders.items()}
        return place, len(numbers) + (len(holders) < self.n)

    @cached_property
    def distinct(self) -> Explicit:
        """The same with one of each group of equal documents, and of rows equal up to complement: equal documents share a
        vector, and a negated query turns its order round."""
        place, n = self.places
        rows = dict.fromkeys(frozenset(place[c] for c in row) for row in self.rows)
        every = frozenset(range(n))
        half = dict.fromkeys(
            every - row if 2 * len(row) > n or (2 * len(row) == n and 0 not in row) else row for row in rows
        )
        return Explicit(tuple(half), n)


class HasRows(Protocol):
    """Something with rows, such as `Qrels`."""

    def explicit(self) -> Explicit:
        """Its rows and its digest."""


Matrix: TypeAlias = AllSubsets | Explicit
Relevance: TypeAlias = AllSubsets | Explicit | HasRows
