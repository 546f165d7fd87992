"""Frequencies to look at: which orbits of n documents may have a large half-gap.

Good frequencies are characters of a torus of few dimensions, f = F g mod n. The small integer matrix F, a template, holds many
additive relations (f_a + f_b = f_c); g spreads the n documents evenly over the torus. Candidates are templates with random
g, cosets of a subgroup of the units modulo n, and neighbours of the best so far.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
_LARGEST = 3  # of an entry of a template


def template(rng: np.random.Generator, planes: int, rank: int) -> Ints:
    """A random integer matrix (planes, rank): the unit vectors, then sums and differences of rows that are there, none twice up
    to sign."""
    rows = [tuple(int(i == j) for j in range(rank)) for i in range(rank)]
    for _ in range(100 * planes):  # for a small rank there may be no more rows with such small entries
        if len(rows) == planes:
            return np.array(rows, np.int64)
        i, j = rng.integers(len(rows), size=2)
        sign = 1 if rng.random() < 0.5 else -1
        row = tuple(x + sign * y for x, y in zip(rows[i], rows[j], strict=True))
        opposite = tuple(-x for x in row)
        if any(row) and max(map(abs, row)) <= _LARGEST and row not in rows and opposite not in rows:
            rows.append(row)
    return template(rng, planes, rank + 1)


@dataclass(frozen=True, eq=False)
class Batch:
    """Frequencies (C, D) to look at, the way they were drawn, and the template and generators (C, rank) they come from, if any."""

    f: Ints
    way: str
    matrix: Ints | None = None
    generators: Ints | None = None


class Candidates:
    """Batches of frequencies to look at for n documents: a mixture of ways, those that found the best so far more often.

    With `alternating` the last frequency is n / 2, whose sine is 0: one coordinate, (-1)^t. `known` are templates that were good
    for another n.
    """

    def __init__(
        self,
        n: int,
        planes: int,
        rng: np.random.Generator,
        size: int,
        alternating: bool = False,
        known: Sequence[Ints] = (),
    ) -> None:
        self.n, self.rng, self.size = n, rng, size
        self.alternating, self.free = alternating, planes - alternating
        self.known = [one for one in known if len(one) == self.free]  # fewer documents may have had fewer frequencies
        self.best: Ints | None = None
        self.origin: tuple[Ints, Ints] | None = None  # template and generator of the best
        self.ways: dict[str, Callable[[], tuple[Ints, Ints | None, Ints | None]]] = {
            "template": self._template, "subgroup": self._subgroup, "known": self._from_known, "near": self._near,
            "swap": self._swap,
        }  # fmt: skip
        self.credit = {"template": 3.0, "subgroup": 1.0, "known": 2.0, "near": 1.0, "swap": 1.0}
        ranks = np.arange(self.free + 1)
        self.ranks = np.exp(-(((ranks - 0.45 * self.free - 0.8) / max(0.8, 0.2 * self.free)) ** 2))
        self.ranks[: 1 if self.free < 4 else 2] = 0
        self.ranks[(7.0**ranks - 1) / 2 < self.free] = 0  # fewer rows than that have entries of at most 3, up to sign

    def draw(self) -> Batch:
        """A batch; rows whose frequencies are not distinct and positive are left out, so that it may be empty."""
        names = [name for name in self.ways if self.best is not None or name not in ("near", "swap")]
        if not self.known:
            names.remove("known")
        weights = np.array([self.credit[name] for name in names])
        way = names[int(self.rng.choice(len(names), p=weights / weights.sum()))]
        f, matrix, generators = self.ways[way]()
        f = f % self.n
        f = np.minimum(f, self.n - f)
        ordered = np.sort(f, 1)
        good = (ordered[:, 0] > 0) & (2 * ordered[:, -1] < self.n) & (np.diff(ordered, axis=1) > 0).all(1)
        f = f[good]
        if self.alternating:
            f = np.concatenate([f, np.full((len(f), 1), self.n // 2)], 1)
        return Batch(f, way, matrix, None if generators is None else generators[good])

    def won(self, batch: Batch, row: int) -> None:
        """This row of this batch is the best so far."""
        self.best = batch.f[row]
        self.credit[batch.way] += 0.5
        if batch.matrix is not None and batch.generators is not None:
            self.origin = (batch.matrix, batch.generators[row])
            self.ranks[batch.matrix.shape[1]] += 0.5
            if not any(one is batch.matrix for one in self.known):
                self.known = [*self.known[-3:], batch.matrix]

    def _template(self) -> tuple[Ints, Ints | None, Ints | None]:
        rank = int(self.rng.choice(self.free + 1, p=self.ranks / self.ranks.sum()))
        return self._generated(template(self.rng, self.free, rank))

    def _generated(self, matrix: Ints) -> tuple[Ints, Ints, Ints]:
        g = self.rng.integers(1, self.n, (self.size, matrix.shape[1]))
        return g @ matrix.T % self.n, matrix, g

    def _from_known(self) -> tuple[Ints, Ints | None, Ints | None]:
        return self._generated(self.known[int(self.rng.integers(len(self.known)))])

    def _near(self) -> tuple[Ints, Ints | None, Ints | None]:
        """One generator of the best drawn anew."""
        if self.origin is None:
            return self._swap()
        matrix, g = self.origin
        out = np.repeat(g[None], self.size, 0)
        out[np.arange(self.size), self.rng.integers(len(g), size=self.size)] = self.rng.integers(1, self.n, self.size)
        return out @ matrix.T % self.n, matrix, out

    def _swap(self) -> tuple[Ints, Ints | None, Ints | None]:
        """One frequency of the best drawn anew: any, or a sum or difference of two others."""
        assert self.best is not None
        best = self.best[: self.free]
        out = np.repeat(best[None], self.size, 0)
        new = self.rng.integers(1, self.n, self.size)
        if self.free > 2:
            i, j = self.rng.integers(self.free, size=(2, self.size))
            related = best[i] + self.rng.choice([-1, 1], self.size) * best[j]
            new = np.where(self.rng.random(self.size) < 0.5, related, new)
        out[np.arange(self.size), self.rng.integers(self.free, size=self.size)] = new
        return out, None, None

    def _subgroup(self) -> tuple[Ints, Ints | None, Ints | None]:
        """Unions of cosets of a group of units {u^i}, up to sign: the separations then fall into few classes."""
        out = []
        for _ in range(self.size):
            u = int(self.rng.integers(2, self.n))
            if math.gcd(u, self.n) > 1:
                continue
            group = self._powers(u)
            if group is None or self.free % len(group):
                continue
            picks = self.rng.integers(1, self.n, self.free // len(group))
            picks[0] = 1
            out.append([int(p) * x for p in picks for x in group])
        return (np.array(out, np.int64) if out else np.empty((0, self.free), np.int64)), None, None

    def _powers(self, u: int) -> list[int] | None:
        """The group generated by a random power of u, up to sign, if it has at most `free` members."""
        for power in (1, *self._orders):
            v = pow(u, power, self.n)
            group, x = [1], v
            while x not in (1, self.n - 1) and len(group) <= self.free:
                group.append(x)
                x = x * v % self.n
            if 1 < len(group) <= self.free:
                return group
        return None

    @property
    def _orders(self) -> Iterator[int]:
        """Exponents (n - 1) / m that leave elements of order m, where n is prime."""
        for m in self.rng.permutation(np.arange(2, 2 * self.free + 1)).tolist():
            if (self.n - 1) % m == 0:
                yield (self.n - 1) // m
