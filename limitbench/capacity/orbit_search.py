"""The search for symmetric codes: which frequencies and amplitudes give the orbit of a cyclic group a large half-gap, for k = 2.

Everything is in the choice of frequencies. Good ones are characters of a torus of few dimensions, f = F g mod n, with many
additive relations (f_a + f_b = f_c) in the small integer matrix F, and g such that the n documents lie evenly on that torus. So
candidates are drawn as templates F with random g, as cosets of a subgroup of the units modulo n, and as neighbours of the best so
far.

**Screening.** The pairs whose queries are hardest are nearly always those of the shortest separations on the torus. A candidate is
judged by these first, each against the documents nearest to the pair: any point of a hull bounds the half-gap from above
(`max_margin`), so that most candidates are thrown away after one small batch. What is left is solved for all separations, in
rounds: the direction of largest margin against the rivals known, then one product with all documents, whose highest scores
become rivals. Nothing counts until `orbits.half_gaps` has proved it.

Tensors stay on the device. The host reads once a batch of candidates and once a round.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from limitbench.capacity.max_margin import max_margin
from limitbench.capacity.orbits import Orbit, OrbitCode, Product, half_gaps, quantised, stored_margin
from limitbench.dtypes import score_error
from limitbench.errors import CertificateError

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
_SCALE = 1 << 12  # the largest amplitude, as an integer, where amplitudes differ
_LARGEST = 3  # of an entry of a template
_ROUNDS = 16
_RIVALS = 32  # that join in a round
_KEPT = 64  # of those known before
_SAMPLE = 256  # separations by which templates are compared
_PROBE = 64  # separations that are solved before all others
_FLOAT32 = 4e-6  # more than rounding to float32 moves the difference of two scores of unit vectors, for D <= 32
_TOLERANCE = 1e-4  # relative, between the bounds of a separation's margin
_SAMPLED = 8000  # documents from which on a candidate is sampled before it is solved
_GATHERED = 8  # batches whose best candidates are compared before one is solved
_TUNED = 20_000  # documents up to which unequal amplitudes are tried
_STORED_ROWS = 1500  # documents up to which rows as stored are tried during the search


@dataclass(frozen=True, eq=False)
class Solved:
    """Queries of all separations: directions (n / 2, D), and the least margin, which is twice the half-gap, with its upper
    bound."""

    directions: Floats
    least: float
    bound: float


class Orbits:
    """The orbits of n documents with D frequencies, on one device. `chunk` bounds the scores held at a time."""

    def __init__(self, n: int, planes: int, device: str = "cpu", chunk: int | None = None) -> None:
        self.n, self.planes, self.device = n, planes, torch.device(device)
        on_cpu = self.device.type == "cpu"
        self.chunk = chunk or (1_000_000 if on_cpu else 256_000_000)
        self.together = 4_000_000 if on_cpu else 64_000_000  # coordinates in one batch of max_margin
        turn = torch.arange(2 * n, device=self.device, dtype=torch.float64)
        self.cos = torch.cos(turn * (math.pi / n))
        own = range(2, n, 2) if n % 2 else range(1, n // 2 + 1)  # up to sign, y and n - y are one separation
        self.own = torch.tensor(list(own), device=self.device)

    def points(self, f: Tensor, a: Tensor, y: Tensor) -> Tensor:
        """a cos(pi f y / n): (..., D) for y (...), f and a (D,); with a batch of candidates in front of all three."""
        extra = (1,) * (y.dim() - (f.dim() - 1))
        shape = (*f.shape[:-1], *extra, f.shape[-1])
        return self.cos[f.view(shape) * y[..., None] % (2 * self.n)] * a.view(shape)

    def fold(self, y: Tensor) -> Tensor:
        """y up to sign, modulo 2n: 0 .. n."""
        y = y % (2 * self.n)
        return torch.minimum(y, 2 * self.n - y)

    def distances(self, f: Tensor, a: Tensor, y: Tensor) -> Tensor:
        """(C, len(y)) squared distances on the torus, halved, of y from 0, for candidates f, a (C, D)."""
        out = torch.zeros(len(f), len(y), device=self.device, dtype=torch.float64)
        for r in range(self.planes):
            out += (1 - self.cos[f[:, r : r + 1] * y % (2 * self.n)]) * a[:, r : r + 1] ** 2
        return out

    def nearest(self, f: Tensor, a: Tensor, count: int) -> tuple[Tensor, Tensor]:
        """(own (C, count), steps (C, count)): the separations that are shortest on the torus, and the shortest steps between
        documents."""
        near = self.distances(f, a, self.own)
        own = self.own[near.topk(min(count, len(self.own)), 1, largest=False).indices]
        if self.n % 2:  # every y is even: a step of y / 2
            return own, own // 2
        steps = torch.arange(1, self.n // 2 + 1, device=self.device)
        far = self.distances(f, a, 2 * steps)
        return own, steps[far.topk(min(count, len(steps)), 1, largest=False).indices]

    def rivals(self, own: Tensor, steps: Tensor) -> Tensor:
        """(..., 2 s + 1) y of the documents one of the steps (..., s) beside the pairs `own` (...), and of the least y; never a
        pair itself."""
        own = own[..., None]
        around = self.fold(torch.cat([own + 2 * steps, own - 2 * steps, own % 2], -1))
        return torch.where(around == own, torch.where(own > 1, own - 2, own + 2), around)

    def screen(self, f: Tensor, a: Tensor, count: int = 12, steps: int = 18) -> Tensor:
        """(C,) upper bounds of the margins of candidates f (C, D) with amplitudes a (C, D)."""
        own, near = self.nearest(f, a, count)
        rivals = self.rivals(own, near[:, None])
        w = self.points(f, a, own)[:, :, None] - self.points(f, a, rivals)
        _, bound = max_margin(w.flatten(0, 1), steps)
        return bound.view(len(f), -1).amin(1)

    def solve(self, f: Ints, a: Floats, *, need: float, best: bool, deadline: float) -> Solved | None:
        """Queries for all separations with margins of at least `need`; with `best` the largest there are. None where some
        separation has less, or at the deadline."""
        ft, at = torch.as_tensor(f, device=self.device), torch.as_tensor(a, device=self.device)
        steps = self.nearest(ft[None], at[None], 12)[1][0]
        hardest = self.distances(ft[None], at[None], self.own)[0].argsort()
        scattered = torch.arange(len(hardest), device=self.device) % max(1, len(hardest) // _PROBE) == 0
        directions = torch.empty(len(self.own), self.planes, device=self.device, dtype=torch.float64)
        least, bound = math.inf, math.inf
        first = scattered.clone()
        first[:_PROBE] = True  # in the order of hardness
        for chosen in (hardest[first], hardest[~first]):
            for parity in (0,) if self.n % 2 else (0, 1):
                part = chosen[(self.own[chosen] - parity) % 2 == 0]
                if not len(part):
                    continue
                found = self._rounds(_Class(self, ft, at, parity), self.own[part], steps, need, best, deadline)
                if found is None:
                    return None
                directions[part], low, high = found
                least, bound = min(least, low), min(bound, high)
        return Solved(self._by_separation(directions.cpu().numpy(), f), least, bound)

    def sample(self, f: Ints, a: Floats, deadline: float) -> float:
        """An upper bound, nearly reached, of the least margin of some separations spread over all; minus infinity at the deadline.

        What the hardest pairs need depends on how evenly the documents lie on the torus, that is on n and g; what pairs in
        general need, on the template.
        """
        ft, at = torch.as_tensor(f, device=self.device), torch.as_tensor(a, device=self.device)
        steps = self.nearest(ft[None], at[None], 12)[1][0]
        own = self.own[:: max(1, len(self.own) // _SAMPLE)]
        least = math.inf
        for parity in (0,) if self.n % 2 else (0, 1):
            part = own[(own - parity) % 2 == 0]
            if len(part):
                found = self._rounds(
                    _Class(self, ft, at, parity), part, steps, -math.inf, True, deadline, tolerance=0.1
                )
                least = min(least, -math.inf if found is None else found[2])
        return least

    def _rounds(
        self, points: _Class, own: Tensor, steps: Tensor, need: float, best: bool, deadline: float,
        *, tolerance: float = _TOLERANCE,
    ) -> tuple[Tensor, float, float] | None:  # fmt: skip
        """(directions, least margin, its upper bound) of some separations of one parity, or None."""
        rivals = (self.rivals(own, steps.expand(len(own), -1)) - points.parity) // 2
        place = (own - points.parity) // 2  # of the pair among the points
        out = torch.zeros(len(own), self.planes, device=self.device, dtype=torch.float64)
        low = torch.full((len(own),), -math.inf, device=self.device, dtype=torch.float64)
        high = -low
        active = torch.arange(len(own), device=self.device)
        for round_ in range(_ROUNDS):
            at = place[active]
            b, bound = self._directions(points.values, at, rivals, 40 if round_ > 3 else 20 if best or round_ else 14)
            high[active] = torch.minimum(high[active], bound)
            if time.monotonic() > deadline or float(high.amin()) < need:
                return None
            margin, index = points.against_all(b, at, math.inf if best else need, deadline)
            better = margin > low[active]
            low[active] = torch.where(better, margin, low[active])
            out[active] = torch.where(better[:, None], b, out[active])
            lacks = high[active] - low[active] > tolerance * high[active] if best else low[active] < need
            least, bound_now, left = torch.stack([low.amin(), high.amin(), lacks.sum().double()]).tolist()
            if not left:
                return out, least, bound_now
            if time.monotonic() > deadline:
                return None
            index = torch.where((index < 0) | (index == at[:, None]), rivals[:, :1], index)
            active, rivals = active[lacks], self._renewed(points.values, b, rivals, index, lacks)
        return (out, least, bound_now) if least >= need else None

    @staticmethod
    def _renewed(values: Tensor, b: Tensor, rivals: Tensor, index: Tensor, lacks: Tensor) -> Tensor:
        """The rivals that these directions rank highest, and the new ones, of the rows that go on."""
        rivals, index, b = rivals[lacks], index[lacks], b[lacks]
        if rivals.shape[1] > _KEPT:
            high = torch.bmm(values[rivals], b[..., None])[..., 0].topk(_KEPT, 1).indices
            rivals = rivals.gather(1, high)
        return torch.cat([rivals, index], 1)

    def _directions(self, values: Tensor, at: Tensor, rivals: Tensor, steps: int) -> tuple[Tensor, Tensor]:
        """`max_margin` of the pairs at these places against their rivals, so many at a time."""
        width = max(1, self.together // (rivals.shape[1] * self.planes))
        found = [
            max_margin(values[at[i : i + width]][:, None] - values[rivals[i : i + width]], steps)
            for i in range(0, len(at), width)
        ]
        return torch.cat([b for b, _ in found]), torch.cat([bound for _, bound in found])

    def _by_separation(self, directions: Floats, f: Ints) -> Floats:
        """The directions of `own` as those of the separations 1 .. n / 2: for odd n those of odd j are of y = n - j, signs
        turned."""
        if self.n % 2 == 0:
            return directions
        out = np.empty((self.n // 2, self.planes))
        y = np.arange(2, self.n, 2)
        even = y <= self.n // 2
        out[y[even] - 1] = directions[even]
        out[self.n - y[~even] - 1] = directions[~even] * np.where(np.asarray(f) % 2, -1.0, 1.0)
        return out


class _Class:
    """The documents of one parity of y, as points of R^D, and the scores of queries against all of them."""

    def __init__(self, orbits: Orbits, f: Tensor, a: Tensor, parity: int) -> None:
        self.parity, self.chunk = parity, orbits.chunk
        ys = torch.arange(parity, orbits.n + 1, 2, device=orbits.device)
        self.values = orbits.points(f, a, ys)  # (Y, D)
        self.size = max(1, min(64, len(ys) // _RIVALS))  # of a block
        self.blocks = -(-len(ys) // self.size)
        never = -1 if parity else 0  # a document that no pair has: the last block is filled up with it
        filler = self.values[never].expand(self.blocks * self.size - len(ys), -1)
        self.values = torch.cat([self.values, filler])
        self.wide = self.values.T.contiguous()
        self.narrow = self.wide.float()

    def against_all(self, b: Tensor, at: Tensor, enough: float, deadline: float) -> tuple[Tensor, Tensor]:
        """(margins (J,), (J, rivals) the best document of each of the best blocks, or -1) of unit queries b for the pairs at
        these places.

        Float32 settles what is far from `enough`; its margins are lower bounds. Those that clear `enough` have no rivals.
        At the deadline what is left is not looked at, and has the margin minus infinity.
        """
        margins = torch.full((len(b),), -math.inf, device=b.device, dtype=torch.float64)
        index = torch.full((len(b), min(_RIVALS, self.blocks)), -1, device=b.device)
        rest = torch.arange(len(b), device=b.device)
        if enough < math.inf and len(b) > 4 * _PROBE:
            self._pass(b.float(), self.narrow, at, rest, enough, margins, index, deadline)
            margins -= _FLOAT32
            rest = torch.nonzero((margins < enough) & (margins > enough - 2 * _FLOAT32))[:, 0]
        self._pass(b, self.wide, at, rest, enough, margins, index, deadline)
        return margins, index

    def _pass(
        self,
        b: Tensor,
        points: Tensor,
        at: Tensor,
        rows: Tensor,
        enough: float,
        margins: Tensor,
        index: Tensor,
        deadline: float,
    ) -> None:
        """Fill in margins and rivals of these rows, so many scores at a time."""
        width = max(1, self.chunk // (self.blocks * self.size))
        for i in range(0, len(rows), width):
            if time.monotonic() > deadline:
                return
            part = rows[i : i + width]
            s = b[part] @ points
            own = s.gather(1, at[part, None])[:, 0]
            s.scatter_(1, at[part, None], -math.inf)
            s = s.view(len(part), self.blocks, self.size)
            tops = s.amax(2)
            margins[part] = (own - tops.amax(1)).to(margins.dtype)
            lacks = torch.nonzero(margins[part] < enough)[:, 0]
            if not len(lacks):
                continue
            best = tops[lacks].topk(index.shape[1], 1).indices  # blocks
            top, inside = s[lacks[:, None], best].max(2)
            index[part[lacks]] = torch.where(top > -math.inf, best * self.size + inside, -1)


# ----------------------------------------------------------------------------------------------------------- candidates


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
        self.alternating, self.known = alternating, list(known)
        self.free = planes - alternating
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


# --------------------------------------------------------------------------------------------------------------- search


def _on(device: torch.device) -> Product | None:
    """The product that `half_gaps` asks for, on an accelerator; None leaves it to numpy."""
    if device.type == "cpu":
        return None

    def product(q: Floats, c: Floats, place: Ints) -> tuple[Floats, Floats]:
        s = torch.as_tensor(q, device=device) @ torch.as_tensor(c, device=device)
        where = torch.as_tensor(place, device=device)[:, None]
        own = s.gather(1, where)[:, 0]
        return own.cpu().numpy(), s.scatter_(1, where, -math.inf).amax(1).cpu().numpy()

    return product


@dataclass(frozen=True)
class Goal:
    """What a search for a code of n documents in d dimensions is after."""

    n: int
    d: int
    dtype: str = "fp32"
    margin: float = 0.0  # the half-gap to reach, as stored
    seed: int = 0
    most: int = 200_000  # candidates looked at
    best: bool = False  # go on to the largest half-gap until the deadline
    device: str = "cpu"
    templates: tuple[Ints, ...] = ()  # that were good for another n


@dataclass(frozen=True, eq=False)
class Outcome:
    """The code, if one was found, the candidates looked at, and why the search stopped: solved, deadline or schedule (all looked
    at)."""

    code: OrbitCode | None
    candidates: int
    stopped: str
    templates: tuple[Ints, ...] = ()  # those that were best, the last one last


def find(goal: Goal, deadline: float, say: Callable[[str], None] = lambda _message: None) -> Outcome:
    """Search for a code that carries all pairs of `goal.n` documents as stored, with the half-gap asked for."""
    return _Hunt(goal, deadline, say).run()


class _Hunt:
    """One search under way."""

    def __init__(self, goal: Goal, deadline: float, say: Callable[[str], None]) -> None:
        self.goal, self.deadline, self.say = goal, deadline, say
        free = min(goal.d // 2, (goal.n - 1) // 2)  # all frequencies at most: the regular simplex
        alternating = goal.n % 2 == 0 and 2 * free < goal.d
        self.planes = free + alternating
        self.possible = free > 0
        self.lost = score_error(goal.dtype, goal.d, exact_sums=True) + 2e-14
        self.need = 2 * (goal.margin * (1 + self.lost) * (1 + 1e-6) + self.lost * 1.001)
        # what is below cannot be tuned to the need; where rows are checked as stored, less than the need may be enough
        self.floor = max(1e-12, 0.8 * self.need if self.lost < 0.1 * goal.margin and not goal.best else 0.0)
        self.looked = 0
        self.plain = self.least = 0.0  # the best margin so far, twice the half-gap: of equal amplitudes, of any
        self.code: OrbitCode | None = None
        if self.possible:
            size = 64 if goal.device == "cpu" else 512
            self.orbits = Orbits(goal.n, self.planes, goal.device)
            self.drawn = Candidates(
                goal.n, self.planes, np.random.default_rng([goal.seed, goal.n, goal.d]),
                max(4, min(size, 40_000_000 // max(1, goal.n))), alternating, goal.templates,
            )  # fmt: skip

    def run(self) -> Outcome:
        """Draw, screen and solve until the goal is reached, the candidates are used up or the time is."""
        if not self.possible:
            return Outcome(None, 0, "none")
        while self.looked < self.goal.most and not self._late():
            for value, row, batch in self._promising():
                bar = max(self.plain, self.floor) if self.largest else self.need
                if value <= bar or self._late():
                    break
                if self._try(batch, row, bar):
                    return self._outcome("solved")
        return self._outcome("solved" if self.code else "deadline" if self._late() else "schedule")

    def _outcome(self, stopped: str) -> Outcome:
        return Outcome(self.code, self.looked, stopped, tuple(self.drawn.known))

    def _promising(self) -> list[tuple[float, int, Batch]]:
        """(an estimate of the margin, row, batch) of candidates, the best first. For a large n, where to solve one takes long,
        the best of several batches are compared by a sample of their separations."""
        if self.goal.n <= _SAMPLED:
            return self._screened(4)
        found = []
        for _ in range(_GATHERED):
            for bound, row, batch in [] if self._late() else self._screened(1):
                if bound > max(self.plain, self.need):
                    equal = np.full(self.planes, 1 / math.sqrt(self.planes))
                    found.append((min(bound, self.orbits.sample(batch.f[row], equal, self.deadline)), row, batch))
        return sorted(found, key=lambda one: -one[0])[:2]

    def _late(self) -> bool:
        return time.monotonic() > self.deadline

    def _screened(self, count: int) -> list[tuple[float, int, Batch]]:
        """(upper bound of the margin, row, batch) of so many rows of a new batch, the best first."""
        batch = self.drawn.draw()
        self.looked += max(1, len(batch.f))
        if not len(batch.f):
            return []
        a = torch.full(batch.f.shape, 1 / math.sqrt(self.planes), dtype=torch.float64, device=self.orbits.device)
        bounds = self.orbits.screen(torch.as_tensor(batch.f, device=self.orbits.device), a).cpu().numpy()
        return [(float(bounds[row]), row, batch) for row in np.argsort(-bounds, kind="stable")[:count].tolist()]

    def _try(self, batch: Batch, row: int, bar: float) -> bool:
        """Solve one candidate for all separations and keep it if it is the best; whether the goal is reached."""
        f, equal = batch.f[row], np.full(self.planes, 1 / math.sqrt(self.planes))
        solved = self.orbits.solve(f, equal, need=bar, best=self.largest, deadline=self.deadline)
        if solved is None:
            return False
        if solved.least > self.plain:
            self.plain = solved.least
            self.drawn.won(batch, row)
        self._keep(f, equal, solved)
        if self.largest and (self.code is None or self.goal.best) and self.goal.n <= _TUNED:
            self._tune(f, equal, solved)
        return self.code is not None and not self.goal.best

    @property
    def largest(self) -> bool:
        """Whether candidates are judged by their largest half-gap, not only by whether it is enough: rows as stored may then be
        strict where the bound on rounding promises nothing."""
        return self.goal.best or self.by_rows

    @property
    def by_rows(self) -> bool:
        """Whether the largest half-gap is worth having before the need is met, since rows are then checked as stored."""
        return self.goal.n <= _STORED_ROWS

    def _keep(self, f: Ints, a: Floats, solved: Solved) -> None:
        """Prove what was found, and hold it if it is the best and is strict as stored."""
        goal = self.goal
        self.least = max(self.least, solved.least)
        scaled = (
            np.ones(self.planes, np.int64)
            if np.ptp(a) == 0
            else np.maximum(np.rint(a / a.max() * _SCALE), 1).astype(np.int64)
        )
        orbit = Orbit(goal.n, tuple(int(x) for x in f), tuple(int(x) for x in scaled))
        queries = quantised(solved.directions, solved.least / 2)
        try:
            gaps = half_gaps(orbit, queries, _on(self.orbits.device))
            least = float(gaps.min())
            if least <= 0:
                return
            exact = Fraction(math.floor(least * (1 - 1e-9) * 2**60), 2**60)
            code = OrbitCode(orbit, 2, queries, exact, goal.dtype, 0.0)
            margin = stored_margin(code, gaps)
        except CertificateError:
            return
        if margin <= 0 or margin < goal.margin or (self.code is not None and margin <= self.code.margin):
            return
        self.code = OrbitCode(orbit, 2, queries, exact, goal.dtype, math.floor(margin * 2**60) / 2**60)
        self.say(f"d={goal.d} n={goal.n}: half-gap {margin:.4g} after {self.looked} candidates")

    def _tune(self, f: Ints, a: Floats, solved: Solved) -> None:
        """Unequal amplitudes: the margin of a separation grows with log a_r by margin b_r^2, so the planes that the worst ones
        use gain."""
        rate, failed = 0.5, 0
        for step in range(16):
            margins = self._margins(f, a, solved)
            weight = np.exp(-(margins / margins.min() - 1) * 8)
            pull = (weight[:, None] * solved.directions**2).sum(0) / weight.sum()
            trial = a * np.exp(rate * (pull - pull.mean()))
            trial /= np.linalg.norm(trial)
            found = self.orbits.solve(f, trial, need=solved.least * (1 + 1e-4), best=True, deadline=self.deadline)
            if found is None:
                rate, failed = rate / 2, failed + 1
                if failed > 3 or self._late():
                    return
                continue
            a, solved = trial, found
            if step > 4 and solved.least < self.least:
                return
            if solved.least > self.least:
                self._keep(f, a, solved)
                if self.code is not None and not self.goal.best:
                    return

    def _margins(self, f: Ints, a: Floats, solved: Solved) -> Floats:
        """(n / 2,) the margins of all separations."""
        scaled = np.maximum(np.rint(a / a.max() * _SCALE), 1).astype(np.int64)
        orbit = Orbit(self.goal.n, tuple(int(x) for x in f), tuple(int(x) for x in scaled))
        return np.maximum(half_gaps(orbit, quantised(solved.directions, solved.least / 2)), 1e-12)
