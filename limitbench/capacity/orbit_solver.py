"""The best queries of an orbit: for all separations at once, by rounds of rivals, on torch.

A round finds the direction of largest margin of each pair against the rivals known (`max_margin`), then scores it against all
documents; the highest scores become rivals. Any point of a hull bounds the margin from above, so a candidate that cannot be good
is given up after a few pairs.

Tensors stay on the device. The host reads which rows go on: once a round, and once for each chunk of scores.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from limitbench.capacity.max_margin import max_margin

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
_ROUNDS = 16
_RIVALS = 32  # that join in a round
_KEPT = 64  # of those known before
_SAMPLE = 256  # separations by which templates are compared
_PROBE = 64  # separations that are solved before all others
_FLOAT32 = 4e-6  # more than rounding to float32 moves the difference of two scores of unit vectors, for D <= 32
TOLERANCE = 1e-4  # relative, between the bounds of a separation's margin


@dataclass(frozen=True, eq=False)
class Solved:
    """Queries of all pairs or sets up to rotation: directions (n / 2, D) or (necklaces, 2D), and the least margin with its upper
    bound. The margin is twice the half-gap."""

    directions: Floats
    least: float
    bound: float


Ask = Callable[[Tensor, Tensor, int], tuple[Tensor, Tensor]]
Score = Callable[[Tensor, Tensor, Tensor, float], tuple[Tensor, Tensor]]


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
        *, tolerance: float = TOLERANCE,
    ) -> tuple[Tensor, float, float] | None:  # fmt: skip
        """(directions, least margin, its upper bound) of some separations of one parity, or None."""
        place = (own - points.parity) // 2  # of the pair among the points

        def ask(active: Tensor, rivals: Tensor, steps: int) -> tuple[Tensor, Tensor]:
            return self._directions(points.values, place[active], rivals, steps)

        def score(b: Tensor, active: Tensor, rivals: Tensor, enough: float) -> tuple[Tensor, Tensor]:
            at = place[active]
            margin, index = points.against_all(b, at, enough, deadline)
            return margin, torch.where((index < 0) | (index == at[:, None]), rivals[:, :1], index)

        rivals = (self.rivals(own, steps.expand(len(own), -1)) - points.parity) // 2
        return rounds(points.values, rivals, ask, score, _KEPT, need, best, deadline, tolerance)

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


def rounds(
    points: Tensor, rivals: Tensor, ask: Ask, score: Score, kept: int,
    need: float, best: bool, deadline: float, tolerance: float,
) -> tuple[Tensor, float, float] | None:  # fmt: skip
    """(directions (J, D), least margin, its upper bound) of J sets of points (Y, D), from their first rivals (J, K); None where one
    has less than `need`, or at the deadline.

    `ask(active, rivals, steps)` gives directions and upper bounds of the sets that go on; `score(b, active, rivals, enough)` their
    margins against all points, and new rivals. `kept` of those known before stay.
    """
    out = torch.zeros(len(rivals), points.shape[1], device=points.device, dtype=torch.float64)
    low = torch.full((len(rivals),), -math.inf, device=points.device, dtype=torch.float64)
    high = -low
    active = torch.arange(len(rivals), device=points.device)
    for round_ in range(_ROUNDS):
        b, bound = ask(active, rivals, 40 if round_ > 3 else 20 if best or round_ else 14)
        high[active] = torch.minimum(high[active], bound)
        if time.monotonic() > deadline or float(high.amin()) < need:
            return None
        margin, index = score(b, active, rivals, math.inf if best else need)
        better = margin > low[active]
        low[active] = torch.where(better, margin, low[active])
        out[active] = torch.where(better[:, None], b, out[active])
        lacks = high[active] - low[active] > tolerance * high[active] if best else low[active] < need
        least, bound_now, left = torch.stack([low.amin(), high.amin(), lacks.sum().double()]).tolist()
        if not left:
            return out, least, bound_now
        if time.monotonic() > deadline:
            return None
        active, b, rivals, index = active[lacks], b[lacks], rivals[lacks], index[lacks]
        if rivals.shape[1] > kept:
            ranked = torch.bmm(points[rivals], b[..., None])[..., 0].topk(kept, 1).indices
            rivals = rivals.gather(1, ranked)
        rivals = torch.cat([rivals, index], 1)
    return (out, least, bound_now) if least >= need else None


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
