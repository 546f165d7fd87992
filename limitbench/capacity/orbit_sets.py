"""The best queries of an orbit for sets of any size: one for each necklace, a set of k documents up to rotation.

A pair is its own mirror image, which halves the unknowns of its query (`orbit_solver`); larger sets are not, so that a query has
2D unknowns, and C(n, k) / n of them are needed. No short separation tells which sets are hardest, so candidates are compared by a
random sample of sets, and solved for more and more of them.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from limitbench.capacity.max_margin import parting
from limitbench.capacity.orbit_solver import TOLERANCE, Solved, rounds
from limitbench.capacity.orbits import necklaces
from limitbench.certificates.orbits import count_necklaces

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
MOST = 1_000_000  # necklaces of a search
_RIVALS = 24  # that join in a round
_FIRST = 24  # of the first round
_KEPT = 48  # of those known before
_STAGES = (64, 1024)  # sets that are solved before all others
_TOGETHER = 8192  # sets of the stages after those
_MOST_COORDINATES = 4_000_000  # of the documents of one candidate


class Necklaces:
    """The orbits of n documents with D frequencies, and all their k-subsets up to rotation, on one device."""

    def __init__(self, n: int, planes: int, k: int, device: str = "cpu") -> None:
        self.n, self.planes, self.k, self.device = n, planes, k, torch.device(device)
        on_cpu = self.device.type == "cpu"
        self.together = 2_000_000 if on_cpu else 64_000_000  # coordinates in one batch of queries
        self.chunk = 1_000_000 if on_cpu else 64_000_000  # scores held at a time
        self.turn = torch.arange(n, device=self.device)
        angle = self.turn.double() * (2 * math.pi / n)
        self.cos, self.sin = torch.cos(angle), torch.sin(angle)
        self.members = torch.tensor(necklaces(n, k), device=self.device)
        shuffled = np.random.default_rng(0).permutation(len(self.members))
        self.order = torch.as_tensor(shuffled, device=self.device)

    @staticmethod
    def affordable(n: int, k: int, planes: int) -> bool:
        """Whether the necklaces are few enough to be listed, and the documents to be held."""
        return 2 * planes * n <= _MOST_COORDINATES and count_necklaces(n, k) <= MOST

    def points(self, f: Tensor, a: Tensor) -> Tensor:
        """(C, n, 2D) the documents of candidates f, a (C, D): the cosines of all planes, then the sines."""
        angle = f[:, None] * self.turn[:, None] % self.n
        return torch.cat([self.cos[angle] * a[:, None], self.sin[angle] * a[:, None]], 2)

    def screen(self, f: Tensor, a: Tensor, steps: int = 18) -> Tensor:
        """(C,) upper bounds of the margins of candidates f (C, D) with amplitudes a (C, D), by a few sets."""
        members = self.members[self.order[:48]]
        wide = max(1, self.together // (max(self.n, len(members) * (self.k + _FIRST)) * 2 * self.planes))
        at = range(0, len(f), wide)
        return torch.cat([self._bound(self.points(f[i : i + wide], a[i : i + wide]), members, steps) for i in at])

    def _bound(self, v: Tensor, members: Tensor, steps: int) -> Tensor:
        scores = v[:, members].mean(2) @ v.mT
        rivals = _others(scores, members.expand(len(v), -1, -1), _FIRST)[1]
        others = torch.stack([x[y] for x, y in zip(v, rivals, strict=True)])
        return parting(v[:, members].flatten(0, 1), others.flatten(0, 1), steps)[1].view(len(v), -1).amin(1)

    def solve(self, f: Ints, a: Floats, *, need: float, best: bool, deadline: float) -> Solved | None:
        """Queries for all necklaces, in their order, with margins of at least `need`; with `best` the largest there are. None
        where some set has less, or at the deadline."""
        v = self._point(f, a)
        directions = torch.empty(len(self.members), 2 * self.planes, device=self.device, dtype=torch.float64)
        least, bound, at = math.inf, math.inf, 0
        for end in (*_STAGES, *range(_TOGETHER, len(self.members) + _TOGETHER, _TOGETHER)):
            part = self.order[at:end]
            if len(part):
                found = self._rounds(v, part, need, best, deadline)
                if found is None:
                    return None
                directions[part], low, high = found
                least, bound, at = min(least, low), min(bound, high), end
        return Solved(directions.cpu().numpy(), least, bound)

    def _point(self, f: Ints, a: Floats) -> Tensor:
        ft, at = torch.as_tensor(f, device=self.device), torch.as_tensor(a, device=self.device)
        return self.points(ft[None], at[None])[0]

    def _rounds(
        self, v: Tensor, chosen: Tensor, need: float, best: bool, deadline: float
    ) -> tuple[Tensor, float, float] | None:
        """(directions, least margin, its upper bound) of these necklaces, or None."""
        members = self.members[chosen]

        def ask(active: Tensor, rivals: Tensor, steps: int) -> tuple[Tensor, Tensor]:
            return self._directions(v, members[active], rivals, steps)

        def score(b: Tensor, active: Tensor, _rivals: Tensor, _enough: float) -> tuple[Tensor, Tensor]:
            return self._against_all(b, members[active], v, _RIVALS)

        first = self._against_all(v[members].mean(1), members, v, _FIRST)[1]
        return rounds(v, first, ask, score, _KEPT, need, best, deadline, TOLERANCE)

    def _against_all(self, b: Tensor, members: Tensor, v: Tensor, count: int) -> tuple[Tensor, Tensor]:
        """(margins (J,), the documents outside with the highest scores (J, count)) of queries b for these sets."""
        width = max(1, self.chunk // self.n)
        found = [
            _others(b[i : i + width] @ v.T, members[i : i + width], count) for i in range(0, len(b), width)
        ]  # fmt: skip
        return torch.cat([margin for margin, _ in found]), torch.cat([index for _, index in found])

    def _directions(self, v: Tensor, members: Tensor, rivals: Tensor, steps: int) -> tuple[Tensor, Tensor]:
        """`parting` of these sets from their rivals, so many at a time."""
        width = max(1, self.together // ((self.k + rivals.shape[1]) * v.shape[1]))
        at = range(0, len(members), width)
        found = [parting(v[members[i : i + width]], v[rivals[i : i + width]], steps) for i in at]
        return torch.cat([b for b, _ in found]), torch.cat([bound for _, bound in found])


def _others(scores: Tensor, members: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """(least score of a member less the highest of the others, the others with the highest scores) by row; `scores` is
    overwritten."""
    own = scores.gather(-1, members).amin(-1)
    top = scores.scatter_(-1, members, -math.inf).topk(min(count, scores.shape[-1] - members.shape[-1]), -1)
    return own - top.values[..., 0], top.indices
