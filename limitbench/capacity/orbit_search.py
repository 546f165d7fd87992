"""The search for symmetric codes: frequencies and amplitudes that give the orbit of a cyclic group a large half-gap.

Candidates are drawn (`orbit_candidates`) and screened: pairs by those whose queries are nearly always hardest, with the shortest
separations on the torus, larger sets by a sample. What is left is solved for all pairs (`orbit_solver`) or sets (`orbit_sets`) up
to rotation. Nothing counts until `orbits.half_gaps` has proved it.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import numpy.typing as npt
import torch

from limitbench.capacity.orbit_candidates import Batch, Candidates
from limitbench.capacity.orbit_sets import Necklaces
from limitbench.capacity.orbit_solver import Orbits, Solved
from limitbench.capacity.orbits import Orbit, OrbitCode, Product, half_gaps, quantised, stored_margin
from limitbench.dtypes import BEFORE_STORING, score_error
from limitbench.errors import CertificateError

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
_SCALE = 1 << 12  # the largest amplitude, as an integer, where amplitudes differ
_SAMPLED = 8000  # documents from which on a candidate is sampled before it is solved
_GATHERED = 8  # batches whose best candidates are compared before one is solved
_TUNED = 20_000  # documents up to which unequal amplitudes are tried
_STORED_ROWS = 1500  # documents up to which rows as stored are tried during the search, for pairs
_STORED_SETS = 3000  # sets up to rotation up to which they are, for larger sets


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
    k: int = 2
    dtype: str = "fp32"
    margin: float = 0.0  # the half-gap to reach, as stored
    seed: int = 0
    most: int = 200_000  # candidates looked at
    best: bool = False  # go on to the largest half-gap until the deadline
    device: str = "cpu"
    templates: tuple[Ints, ...] = ()  # that were good for another n


@dataclass(frozen=True, eq=False)
class Outcome:
    """The code, if one was found, the candidates looked at, and why the search stopped: solved, deadline, schedule (all looked
    at), none (no frequencies) or memory (too many sets)."""

    code: OrbitCode | None
    candidates: int
    stopped: str
    templates: tuple[Ints, ...] = ()  # those that were best, the last one last


def find(goal: Goal, deadline: float, say: Callable[[str], None] = lambda _message: None) -> Outcome:
    """Search for a code that carries all `goal.k`-subsets of `goal.n` documents as stored, with the half-gap asked for."""
    return _Hunt(goal, deadline, say).run()


class _Hunt:
    """One search for a symmetric code under way: its goal, clock and candidates."""

    def __init__(self, goal: Goal, deadline: float, say: Callable[[str], None]) -> None:
        self.goal, self.deadline, self.say = goal, deadline, say
        free = min(goal.d // 2, (goal.n - 1) // 2)  # all frequencies at most: the regular simplex
        alternating = goal.n % 2 == 0 and 2 * free < goal.d
        self.planes = free + alternating
        self.listed = goal.k == 2 or Necklaces.affordable(goal.n, goal.k, self.planes)
        self.possible = free > 0 and self.listed
        self.equal = np.full(self.planes, 1 / math.sqrt(max(1, self.planes)))  # amplitudes
        self.lost = score_error(goal.dtype, goal.d, exact_sums=True) + float(BEFORE_STORING)
        self.need = 2 * (goal.margin * (1 + self.lost) * (1 + 1e-6) + self.lost * 1.001)
        # what is below cannot be tuned to the need; where rows are checked as stored, less than the need may be enough
        self.floor = max(1e-12, 0.8 * self.need if self.lost < 0.1 * goal.margin and not goal.best else 0.0)
        self.looked = 0
        self.plain = self.least = 0.0  # the best margin so far, twice the half-gap: of equal amplitudes, of any
        self.code: OrbitCode | None = None
        if self.possible:
            pairs = goal.k == 2
            size = (64 if goal.device == "cpu" else 512) // (1 if pairs else 4)  # a larger set takes longer to screen
            self.orbits: Orbits | Necklaces = (
                Orbits(goal.n, self.planes, goal.device)
                if pairs
                else Necklaces(goal.n, self.planes, goal.k, goal.device)
            )
            self.drawn = Candidates(
                goal.n, self.planes, np.random.default_rng([goal.seed, goal.n, goal.d]),
                max(4, min(size, 40_000_000 // max(1, goal.n))), alternating, goal.templates,
            )  # fmt: skip

    def run(self) -> Outcome:
        """Draw, screen and solve until the goal is reached, the candidates are used up or the time is."""
        if not self.possible:
            return Outcome(None, 0, "none" if self.listed else "memory")
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
        if self.goal.n <= _SAMPLED or isinstance(self.orbits, Necklaces):
            return self._screened(4)
        found = []
        for _ in range(_GATHERED):
            for bound, row, batch in [] if self._late() else self._screened(1):
                if bound > max(self.plain, self.need):
                    found.append((min(bound, self.orbits.sample(batch.f[row], self.equal, self.deadline)), row, batch))
        return sorted(found, key=lambda one: -one[0])[:2]

    def _late(self) -> bool:
        return time.monotonic() > self.deadline

    def _screened(self, count: int) -> list[tuple[float, int, Batch]]:
        """(upper bound of the margin, row, batch) of so many rows of a new batch, the best first."""
        batch = self.drawn.draw()
        self.looked += max(1, len(batch.f))
        if not len(batch.f):
            return []
        a = torch.as_tensor(self.equal, device=self.orbits.device).expand(len(batch.f), -1)
        bounds = self.orbits.screen(torch.as_tensor(batch.f, device=self.orbits.device), a).cpu().numpy()
        return [(float(bounds[row]), row, batch) for row in np.argsort(-bounds, kind="stable")[:count].tolist()]

    def _try(self, batch: Batch, row: int, bar: float) -> bool:
        """Solve one candidate for all sets and keep it if it is the best; whether the goal is reached."""
        f = batch.f[row]
        solved = self.orbits.solve(f, self.equal, need=bar, best=self.largest, deadline=self.deadline)
        if solved is None:
            return False
        if solved.least > self.plain:
            self.plain = solved.least
            self.drawn.won(batch, row)
        self._keep(f, self.equal, solved)
        if self.largest and (self.code is None or self.goal.best) and self.goal.n <= _TUNED:
            self._tune(f, self.equal, solved)
        return self.code is not None and not self.goal.best

    @property
    def largest(self) -> bool:
        """Whether candidates are judged by their largest half-gap, not only by whether it is enough: rows as stored may then be
        strict where the bound on rounding promises nothing."""
        sets = self.orbits.members if isinstance(self.orbits, Necklaces) else None
        return self.goal.best or (self.goal.n <= _STORED_ROWS if sets is None else len(sets) <= _STORED_SETS)

    def _keep(self, f: Ints, a: Floats, solved: Solved) -> None:
        """Prove what was found, and hold it if it is the best and is strict as stored."""
        goal = self.goal
        self.least = max(self.least, solved.least)
        orbit = self._orbit(f, a)
        queries = quantised(solved.directions, solved.least / 2)
        try:
            gaps = half_gaps(orbit, goal.k, queries, _on(self.orbits.device))
            least = float(gaps.min())
            if least <= 0:
                return
            exact = Fraction(math.floor(least * (1 - 1e-9) * 2**60), 2**60)
            code = OrbitCode(orbit, goal.k, queries, exact, goal.dtype, 0.0)
            margin = stored_margin(code, gaps)
        except CertificateError:
            return
        if margin <= 0 or margin < goal.margin or (self.code is not None and margin <= self.code.margin):
            return
        self.code = OrbitCode(orbit, goal.k, queries, exact, goal.dtype, math.floor(margin * 2**60) / 2**60)
        self.say(f"d={goal.d} n={goal.n}: half-gap {margin:.4g} after {self.looked} candidates")

    def _tune(self, f: Ints, a: Floats, solved: Solved) -> None:
        """Unequal amplitudes: the margin of a separation grows with log a_r by margin b_r^2, so the planes that the worst ones
        use gain."""
        rate, failed = 0.5, 0
        for step in range(16):
            margins = self._margins(f, a, solved)
            weight = np.exp(-(margins / margins.min() - 1) * 8)
            # of larger sets, the cosine and the sine of a plane as one
            squares = (solved.directions**2).reshape(len(margins), -1, self.planes).sum(1)
            pull = (weight[:, None] * squares).sum(0) / weight.sum()
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
        """(queries,) the margins of all pairs or sets up to rotation."""
        queries = quantised(solved.directions, solved.least / 2)
        return np.maximum(half_gaps(self._orbit(f, a), self.goal.k, queries, _on(self.orbits.device)), 1e-12)

    def _orbit(self, f: Ints, a: Floats) -> Orbit:
        """The orbit with these amplitudes as integers: 1 where they are equal."""
        scale = 1 if np.ptp(a) == 0 else _SCALE
        amplitudes = np.maximum(np.rint(a / a.max() * scale), 1).astype(int).tolist()
        return Orbit(self.goal.n, tuple(f.tolist()), tuple(amplitudes))
