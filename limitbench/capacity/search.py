"""Critical-n as a bracket: the largest corpus solved and verified, the smallest one tried and not solved.

A solver finds arrays; nothing counts until `witness.check` has accepted them as stored. What a solver does not find is
"not solved", with its seeds and budget, and never impossible: that word comes from `limitbench.theory` alone.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from limitbench import certificates
from limitbench.capacity import orbits
from limitbench.capacity import witness as witnesses
from limitbench.capacity.constructions import BUILDERS
from limitbench.capacity.dtypes import decode, encode, require_stored
from limitbench.capacity.orbits import OrbitCode
from limitbench.capacity.problem import Problem, subsets
from limitbench.capacity.witness import Witness
from limitbench.certificates import orbits as orbit_proof
from limitbench.errors import CertificateError, InputError, OutOfMemory, UnknownName
from limitbench.provenance import provenance
from limitbench.relevance import Qrels
from limitbench.theory import design
from limitbench.theory.closed_form import closed_form
from limitbench.theory.exact import rounded_down
from limitbench.theory.margin import ceiling_squared

OPTIMIZERS = ("anneal", "paper", "sigmoid")
SOLVERS = (*OPTIMIZERS, "orbit", *BUILDERS)
AUTO = "auto"  # the best of several solvers
TORCH = (*OPTIMIZERS, "orbit", AUTO)  # solvers that need torch
POLISHED = "orbit+anneal"  # the annealer, from the documents of a symmetric code
Progress = Callable[[str], None]


class Status(Enum):
    """How a search ended, as a sentence. None but PROVED says that a larger corpus is impossible."""

    BRACKETED = "The next larger corpus was tried with every seed and not solved, which proves nothing."
    BUDGET = "The time ran out; larger corpora may well be solved with more of it."
    MEMORY = "A larger corpus does not fit into memory."
    PROVED = "Every corpus that theory does not prove impossible was solved."
    BUILT = "The construction ends here: the next larger corpus has none in this dimension, or fails in this dtype."
    NONE = "Nothing was solved; that proves nothing."
    SOLVED = "This relevance matrix was solved and verified."
    UNSOLVED = "This relevance matrix was tried with every seed and not solved, which proves nothing."
    TOO_LARGE = "This relevance matrix does not fit into memory; it was not tried."
    MANY = (
        "There are more sets up to rotation, or documents, than the search lists (a million); nothing larger was tried."
    )
    IMPOSSIBLE = "Theory proves that no vectors do this: limitbench design says why."
    UNEQUAL = "Theory proves that no documents of equal length do this, as those of an orbit are; others may."
    CUT = "The time ran out before every seed was tried; that proves nothing."


@dataclass(frozen=True)
class Task:
    """What to solve: a dimension, and all k-subsets of as many documents as possible, or of n, or given qrels."""

    d: int
    k: int | None
    solver: str = "anneal"
    dtype: str = "fp32"
    seed: int = 0
    seeds: int = 4
    budget_s: float = 60.0
    margin: float = 0.0  # the half-gap to reach
    maximise: bool = False  # at a given cell or given qrels: go on to the largest margin found in the time
    device: str = "cpu"
    n: int | None = None  # a given cell
    qrels: Qrels | None = None

    def __post_init__(self) -> None:
        if self.d < 1:
            raise InputError(f"found d = {self.d}, expected at least 1 dimension")
        if self.solver not in (*SOLVERS, AUTO):
            raise UnknownName("solver", self.solver, (*SOLVERS, AUTO, "all"))
        require_stored(self.dtype)
        if not 0 < self.budget_s < math.inf:
            raise InputError(f"found a budget of {self.budget_s:g} s, expected more than 0 and an end, such as 60s")
        if self.seeds < 1 or self.seed < 0 or self.seed + self.seeds > 2**62:
            raise InputError(
                f"found seed = {self.seed}, seeds = {self.seeds}; expected a seed from 0 to 2^62, and at least 1"
            )
        if not 0 <= self.margin <= 1:
            raise InputError(f"found margin = {self.margin:g}, expected a half-gap on unit vectors, from 0 to 1")
        if self.maximise and ((self.n is None and self.qrels is None) or self.solver not in ("anneal", "orbit", AUTO)):
            raise InputError(
                "the margin is maximised at a given cell or for given qrels, by anneal, orbit or auto; add --at d:n or --qrels"
            )
        if self.qrels is None and (self.k is None or self.k < 1):
            raise InputError(f"found k = {self.k}, expected at least 1 relevant document per query")
        if self.n is not None and self.k is not None and self.k > self.n:
            raise InputError(f"found k = {self.k} of n = {self.n}, expected k <= n")
        if self.qrels is not None and self.solver not in (*OPTIMIZERS, AUTO):
            raise InputError(
                f"the construction {self.solver} is for all k-subsets; for qrels use {', '.join(OPTIMIZERS)}"
            )
        if self.solver == "orbit" and (self.k or 0) > orbit_proof.MOST_RELEVANT:
            raise InputError(
                f"found k = {self.k} with --solver orbit, expected at most {orbit_proof.MOST_RELEVANT}; use anneal"
            )

    def key(self) -> dict[str, Any]:
        """What decides the result: for file names and for finding finished points."""
        named = {
            name: getattr(self, name)
            for name in ("d", "k", "solver", "dtype", "seed", "seeds", "budget_s", "margin", "n")
        }
        kind = "cuda" if self.device.startswith("cuda") else self.device
        return {
            **named,
            **({"maximise": True} if self.maximise else {}),
            "device": kind,
            "qrels": None if self.qrels is None else self.qrels.relevant.digest,
            "version": 1,
        }

    def problem(self, n: int) -> Problem:
        """The matrix for n documents."""
        if self.qrels is not None:
            return Problem.of(self.qrels)
        assert self.k is not None
        return Problem.all_subsets(n, self.k)


@dataclass(frozen=True)
class Tried:
    """One corpus size that was tried."""

    n: int
    solved: bool
    seeds: tuple[int, ...]
    seconds: float
    stopped: str  # solved, schedule (every seed to its end), deadline, memory, none (no such construction), refused (by the check)
    steps: int = 0
    margin: float | None = None
    asked: float | None = None  # the margin asked for, where it was raised step by step


@dataclass(frozen=True, eq=False)
class CapacityResult:
    """Critical-n of one task as a bracket, with everything that was tried and the witness of the largest solved.

    `solved_n` counts verified corpora only and is None where none was; `failed_n` is the smallest above it that was tried and not
    solved, None where there is none. For a given cell or given qrels both are about that one matrix.
    """

    task: Task
    solved_n: int | None
    failed_n: int | None
    margin: float | None
    status: Status
    seconds: float
    tried: tuple[Tried, ...]
    witness: Witness | OrbitCode | None = field(repr=False)

    def point(self, witness: str | None) -> dict[str, Any]:
        """JSON-ready values of a point; `witness` is the file that holds it."""
        t = self.task
        k = t.k if t.qrels is None else t.qrels.degree()
        return {
            "d": t.d, "k": k, "solver": t.solver, "dtype": t.dtype, "solved_n": self.solved_n, "failed_n": self.failed_n,
            "margin": self.margin, "status": self.status.value, "witness": witness, "seed": t.seed, "seeds": t.seeds,
            "budget_s": t.budget_s, "margin_asked": t.margin, "seconds": round(self.seconds, 3),
            "evidence": "measured" if self.found_by in OPTIMIZERS else "constructed", **self._told(),
        }  # fmt: skip

    def cell(self, witness: str | None) -> dict[str, Any]:
        """JSON-ready values of a given (d, n) cell."""
        t, solved = self.task, self.solved_n is not None
        return {
            "d": t.d, "n": t.n, "k": t.k, "solver": t.solver, "solved": solved, "verified": solved, "margin": self.margin,
            "seconds": round(self.seconds, 3), "witness": witness, "dtype": t.dtype, "status": self.status.value, **self._told(),
        }  # fmt: skip

    @property
    def found_by(self) -> str:
        """The solver whose witness this is."""
        return self.task.solver if self.witness is None else str(self.witness.found["solver"])

    def _told(self) -> dict[str, str]:
        return {"found_by": self.found_by} if self.task.solver == AUTO and self.witness is not None else {}


class Kept(Protocol):
    """Where a search for a symmetric code keeps the largest one while it is under way (`capacity.records.Partial`)."""

    def read(self) -> OrbitCode | None:
        """The code that an interrupted search left, checked."""

    def write(self, code: OrbitCode) -> None:
        """Keep this code."""


class Search:
    """One task under way. `peers` (`capacity.distributed.Processes`) share a given cell or given qrels between them; with `kept`,
    an interrupted search for the largest symmetric code goes on from the last one."""

    def __init__(
        self, task: Task, progress: Progress | None = None, peers: Any = None, kept: Kept | None = None
    ) -> None:
        if peers is not None and ((task.n is None and task.qrels is None) or task.solver != "anneal"):
            raise InputError(
                "several processes share one given instance; add --at d:n or --qrels, with --solver anneal"
            )
        self.task, self.peers, self.kept = task, peers, kept
        self.say = progress or (lambda _message: None)
        if task.solver in TORCH:
            _warm_up()
        self.start = time.monotonic()
        self.deadline = self.until = self.start + task.budget_s
        self.tried: list[Tried] = []
        self.best: tuple[int, Witness | OrbitCode] | None = None
        self.templates: tuple[Any, ...] = ()  # of orbits, from the sizes before
        self.origin: dict[str, str] = {}  # what a witness says of its solver and start, where that is not the task's

    @property
    def left(self) -> float:
        """Seconds left."""
        return self.deadline - time.monotonic()

    def run(self) -> CapacityResult:
        """The bracket, by the search that belongs to the solver."""
        task = self.task
        if task.solver == AUTO:
            from limitbench.capacity.portfolio import best_of

            return best_of(task, self.say)
        if task.n is not None and task.k is not None and _impossible(task.n, task.k, task.d, task.margin):
            return self._result(Status.IMPOSSIBLE)
        if task.solver == "orbit":
            assert task.k is not None
            if task.n is not None and task.n <= task.k:  # one query that asks for everything
                trivial = "simplex" if task.d >= task.n - 1 else "gaussian"
                return replace(Search(replace(task, solver=trivial, maximise=False), self.say).run(), task=task)
            if task.n is not None and closed_form(task.n, task.k, "cosine") > task.d:
                return self._result(Status.UNEQUAL)
        if task.n is not None or task.qrels is not None:
            n = task.n if task.n is not None else task.qrels.n_documents  # type: ignore[union-attr]
            solved = self.solve(n)
            if solved and task.maximise and task.solver == "anneal":
                self._raise_margin(n)
            cut = self.tried[-1].stopped == "deadline"
            if self.tried[-1].stopped == "memory":
                return self._result(Status.MANY if task.solver == "orbit" else Status.TOO_LARGE)
            return self._result(Status.SOLVED if solved else Status.CUT if cut else Status.UNSOLVED)
        assert task.k is not None
        proved = design(None, task.k, task.d, "real", task.margin or None).smallest_impossible_n
        most = proved - 1 if proved is not None else 10**9
        least = task.k + 1
        sizes = range(least, 2 * task.k + 4)
        equal = next((n - 1 for n in sizes if closed_form(n, task.k, "cosine") > task.d), most)
        short = task.solver == "orbit" and equal < most  # documents of equal length end before others do
        most = equal if short else most
        if most < least:
            return self._result(Status.PROVED)
        strategies = {"paper": self._gallop, "sigmoid": self._gallop, "anneal": self._stretch, "orbit": self._stretch}
        status = strategies.get(task.solver, self._range)(least, most)
        return self._result(Status.UNEQUAL if short and status == Status.PROVED else status)

    def _result(self, status: Status) -> CapacityResult:
        solved = self.best[0] if self.best else None
        failed = min((t.n for t in self.tried if not t.solved and t.seeds and t.n > (solved or 0)), default=None)
        seconds = time.monotonic() - self.start
        margin = self.best[1].margin if self.best else None
        margin = margin if margin is not None and math.isfinite(margin) else None
        held = self.best[1] if self.best else None
        return CapacityResult(self.task, solved, failed, margin, status, seconds, tuple(self.tried), held)

    # ------------------------------------------------------------------------------------------------------------ searches

    def _stretch(self, least: int, most: int) -> Status:
        """Longer and longer strides as time allows; after a failure, a third of the way back.

        A search of the annealer costs about n^(k + 1.5), one for an orbit about n^k, so the strides of larger k are shorter.
        """
        assert self.task.k is not None
        orbit = self.task.solver == "orbit"
        power, longest = (1 / max(2, self.task.k), 6.0) if orbit else (1 / (self.task.k + 1.5), 5.2)
        n, low, high = self._first(least, most), least - 1, most + 1
        n = min(most, orbits.good_length(n, self.task.d)) if orbit else n
        before = self.kept.read() if orbit and self.kept is not None else None
        if before is not None and before.orbit.n <= most and _serves(before, self.task):
            low, self.best = before.orbit.n, (before.orbit.n, before)
            n = min(most, orbits.good_length(low + low // 8 + 1, self.task.d))
            if n <= low:
                return Status.PROVED
        while True:
            at = time.monotonic()
            if self.solve(n):
                low = n
            else:
                high = min(high, n)
                if self.tried[-1].stopped == "memory" and (orbit or self.best):
                    return Status.MANY if orbit else Status.MEMORY
                if self.tried[-1].stopped == "deadline" and self.left <= 0:
                    return Status.BUDGET if self.best else Status.NONE
            took = max(time.monotonic() - at, 1e-3)
            if low >= most:
                return Status.PROVED
            if high - low <= 1:
                return self._ended(high)
            if self.left <= 0:
                return Status.BUDGET if self.best else Status.NONE
            if high > most:
                room = 0.55 * self.left / took
                if room < 1 and not (orbit and self.left > 0.1 * self.task.budget_s):
                    return Status.BUDGET
                room = max(room, 1.3)
                n = min(most, max(low + 1, int(low * min(longest, room) ** power)))
            else:
                n = max(low + 1, min(high - 1, high - math.ceil((high - low) / 3)))
            if orbit:
                n = min(most, high - 1, orbits.good_length(n, self.task.d))
                if n <= low and self.tried[-1].stopped == "deadline" and self.left > 0.1 * self.task.budget_s:
                    high = most + 1  # time is left: once more
                    n = min(most, orbits.good_length(low + low // 4 + 1, self.task.d))
                if n <= low:
                    return self._ended(high)

    def _ended(self, high: int) -> Status:
        """The status where every corpus below `high` is solved, and `high` is not: was it tried to the end?"""
        if self.best is None:
            return Status.NONE
        stopped = next((t.stopped for t in reversed(self.tried) if t.n == high), "schedule")
        return {"deadline": Status.BUDGET, "memory": Status.MEMORY}.get(stopped, Status.BRACKETED)

    def _first(self, least: int, most: int) -> int:
        """Where to begin: 2d documents, or fewer where that is a large problem already."""
        n, k = min(max(2 * self.task.d, least), most), self.task.k or 1
        while n > least and subsets(n, k) * n > 1_000_000:
            n = max(least, int(n * 0.9))
        return n

    def _gallop(self, least: int, most: int) -> Status:
        """The paper's search: gallop up (or down), bisection, and a sweep from 4 below to 5 above."""
        known: dict[int, bool] = {}

        def holds(n: int) -> bool:
            if n < least:
                return True  # one query asks for everything, or there is none
            if n > most:
                return False
            if n not in known and self.left > 0:
                known[n] = self.solve(n)
            return known.get(n, False)

        n, step = max(least, 2 * self.task.d + 2), 1
        if holds(n):
            low = n
            while holds(low + step) and self.left > 0:
                low, step = low + step, step * 2
            high = low + step
        else:
            high = n
            while high - step >= least and not holds(high - step) and self.left > 0:
                high, step = high - step, step * 2
            low = max(least - 1, high - step)
        while high - low > 1 and self.left > 0:
            middle = (low + high) // 2
            low, high = (middle, high) if holds(middle) else (low, middle)
        for n in range(max(least, low - 4), low + 6):
            if self.left > 0:
                holds(n)
        return Status.BUDGET if self.left <= 0 and self.best else self._ended(high)

    def _range(self, least: int, most: int) -> Status:
        """The largest corpus of a construction: by doubling, then by bisection."""
        if self.task.solver == "simplices":  # with fewer documents one simplex is better, and this has none
            least = max(least, self.task.d + 2)
        low, high, n = least - 1, most + 1, least
        while high - low > 1 and self.left > 0:
            if self.solve(n):
                low = n
            else:
                high = n
                if self.tried[-1].stopped == "memory":
                    return Status.MEMORY
            n = min(most, 2 * low) if high > most else (low + high) // 2
            n = max(n, low + 1)
        if high - low > 1:
            return Status.BUDGET if self.best else Status.NONE
        if low >= most:
            return Status.PROVED
        ended = self._ended(high)
        certain = ended == Status.BRACKETED and self.task.solver not in _RANDOM
        return Status.BUILT if certain else ended

    # ------------------------------------------------------------------------------------------------------------- attempts

    def solve(self, n: int) -> bool:
        """Whether some seed solves n documents, verified; the witness is kept if it is the largest."""
        task, at = self.task, time.monotonic()
        if task.solver == "orbit":
            return self._solve_orbit(n)
        given = task.n is not None or task.qrels is not None
        # while nothing is solved, one size may not take all the time
        self.until = self.deadline if self.best or given else at + self.left / 3
        seeds = tuple(range(task.seed, task.seed + task.seeds))
        self.say(f"d={task.d} k={task.k} {task.solver}: n={n}" + (f" (solved {self.best[0]})" if self.best else ""))
        if self.peers is None and _too_large(task, n):
            self.tried.append(Tried(n, False, (), 0.0, "memory"))
            return False
        problem = task.problem(n)
        found, used, steps, stopped = None, [], 0, "schedule"
        waiting = list(self._batches(problem, seeds))
        while waiting:
            batch = waiting.pop(0)
            arrays, tried, took, stopped = self._attempt(problem, batch)
            used += list(tried)
            steps = max(steps, took)
            if arrays is not None:
                found = self._verified(problem, *arrays, used[-1])
                stopped = "solved" if found else "refused"
                if found is None and len(batch) > 1:  # the others of the batch were not seen to their end
                    waiting = [(seed,) for seed in batch if seed not in tried] + waiting
            if found or stopped in ("deadline", "none") or (self.peers is None and time.monotonic() > self.until):
                break
        if found is None and stopped in ("schedule", "refused") and waiting:
            stopped = "deadline"
        seconds = time.monotonic() - at
        margin = found.margin if found else None
        self.tried.append(Tried(n, found is not None, tuple(used), round(seconds, 4), stopped, steps, margin))
        if found is not None and (self.best is None or n >= self.best[0]):
            self.best = (n, found)
        return found is not None

    def _solve_orbit(self, n: int) -> bool:
        """As `solve`, by a symmetric code, which is proved for all sets at once; they are never listed."""
        from limitbench.capacity.orbit_search import Goal, find

        task, at = self.task, time.monotonic()
        self.until = self.deadline if task.n is not None else at + self._patience(n)
        assert task.k is not None
        self.say(f"d={task.d} k={task.k} orbit: n={n}" + (f" (solved {self.best[0]})" if self.best else ""))
        code, looked, stopped = None, 0, "schedule"
        seeds: list[int] = []
        for seed in range(task.seed, task.seed + task.seeds):
            until = at + (self.until - at) * (len(seeds) + 1) / task.seeds if task.maximise else self.until
            goal = Goal(
                n,
                task.d,
                task.k,
                task.dtype,
                task.margin,
                seed,
                best=task.maximise,
                device=task.device,
                templates=self.templates,
            )
            found = find(goal, until, self.say)
            self.templates = found.templates or self.templates
            seeds += [] if found.stopped == "memory" else [seed]
            looked, stopped = looked + found.candidates, found.stopped
            if found.code is not None and (code is None or found.code.margin > code.margin):
                code = self._accepted(found.code, seed, found.candidates)
            if stopped in ("none", "memory") or (not task.maximise and (code or stopped == "deadline")):
                break
        margin = code.margin if code else None
        stopped = "solved" if code else stopped
        self.tried.append(
            Tried(n, code is not None, tuple(seeds), round(time.monotonic() - at, 4), stopped, looked, margin)
        )
        if code is not None and (self.best is None or n >= self.best[0]):
            self.best = (n, code)
            if self.kept is not None and task.n is None:
                self.kept.write(code)
        return code is not None

    def _patience(self, n: int) -> float:
        """Seconds for one corpus size: several times what the last success leads to expect, as n^k, and 20 to 60 % of what
        is left."""
        last = next((t for t in reversed(self.tried) if t.solved), None)
        expected = 0.0 if last is None else last.seconds * (n / last.n) ** max(2, self.task.k or 2)
        return min(0.6, max(0.2, 3 * expected / max(self.left, 1e-9))) * self.left

    def _accepted(self, code: OrbitCode, seed: int, candidates: int) -> OrbitCode | None:
        """The code with what it was found by, if the checker accepts it: with integers, where they are not too many."""
        task = self.task
        found = {
            "solver": "orbit", "seed": seed, "candidates": candidates, "start": _START["orbit"], "budget_s": task.budget_s,
            "device": task.device,
        }  # fmt: skip
        held = replace(
            code,
            margin=max(float(rounded_down(code.margin, 6)), task.margin),
            found={**found, "provenance": provenance()},
        )
        try:
            if orbits.affordable(held):
                certificates.check(held.certificate)
        except CertificateError:
            return None
        return held

    def polish(self, n: int, code: OrbitCode, enough: float = math.inf) -> CapacityResult:
        """Raise the margin from the documents of a symmetric code, all its pairs listed, until it is enough or the time is over."""
        problem = self.task.problem(n)
        self.origin = {"solver": POLISHED, "start": "a symmetric code"}
        v = code.orbit.documents()
        by_pair = {
            j: code.orbit.queries(code.queries[j - 1], j, np.arange(code.orbit.n))
            for j in range(1, code.orbit.n // 2 + 1)
        }
        u = np.stack([_query_of(by_pair, int(a), int(b), code.orbit.n) for a, b in problem.relevant])
        wide = np.zeros((len(v) + len(u), self.task.d))
        wide[:, : v.shape[1]] = np.concatenate([v, u])
        at = time.monotonic()
        held = self._verified(problem, wide[: len(v)], wide[len(v) :], self.task.seed)
        seconds, margin = round(time.monotonic() - at, 4), held.margin if held else None
        self.tried.append(
            Tried(n, held is not None, (self.task.seed,), seconds, "solved" if held else "refused", 0, margin)
        )
        if held is not None:
            self.best = (n, held)
            self._raise_margin(n, enough)
        return self._result(Status.SOLVED if held else Status.UNSOLVED)

    def _raise_margin(self, n: int, enough: float = math.inf) -> None:
        """Ask for a little more margin than the best witness has, from its documents, in smaller and smaller steps."""
        task, problem, more, seed = self.task, self.task.problem(n), 1.3, self.task.seed
        ceiling = math.inf
        if problem.k is not None and 0 < problem.k < n:
            ceiling = math.sqrt(ceiling_squared(n, problem.k))
        while self.left > 0 and more > 1.0005 and problem.m:
            assert self.best is not None
            held = self.best[1]
            assert isinstance(held, Witness)
            if held.margin >= enough:
                return
            target = min(max(held.margin, 1e-6) * more, ceiling, enough)  # a margin too small to show is 0
            self.say(f"d={task.d} n={n}: margin {held.margin:.4g}, asking for {target:.4g}")
            asked, at = replace(task, margin=target), time.monotonic()
            warm = decode(held.documents, task.dtype)
            found = _optimize(asked, problem, (seed,), self.deadline, None, warm, 0.25)
            witness = self._verified(problem, found.documents, found.queries, seed, target) if found.solved else None
            stopped = "solved" if witness else "refused" if found.solved else found.stopped
            seconds = round(time.monotonic() - at, 4)
            margin = witness.margin if witness else None
            self.tried.append(Tried(n, witness is not None, (seed,), seconds, stopped, found.steps, margin, target))
            if witness is not None:
                self.best = (n, witness)
            else:
                more, seed = 1 + (more - 1) / 2, seed + 1

    def _batches(self, problem: Problem, seeds: Sequence[int]) -> list[tuple[int, ...]]:
        """Seeds side by side where they fit into one chunk; else one after another."""
        if self.task.solver not in OPTIMIZERS:
            return [(seed,) for seed in (seeds if self.task.solver in _RANDOM else seeds[:1])]
        room = 100_000 if self.task.device == "cpu" else 64_000_000
        width = max(1, min(len(seeds), room // max(1, problem.m * problem.n)))
        return [tuple(seeds[i : i + width]) for i in range(0, len(seeds), width)]

    def _attempt(
        self, problem: Problem, batch: tuple[int, ...]
    ) -> tuple[tuple[Any, Any] | None, tuple[int, ...], int, str]:
        """(documents and queries, seeds used, steps, why it stopped)."""
        task = self.task
        if task.solver not in OPTIMIZERS:
            built = BUILDERS[task.solver](problem, task.d, task.dtype, batch[0])
            return (None, batch, 0, "none") if built is None else ((built.documents, built.queries), batch, 0, "built")
        found = _optimize(task, problem, batch, self.until, self.peers)
        arrays = (found.documents, found.queries) if found.solved else None
        return arrays, (found.seed,) if found.solved else batch, found.steps, found.stopped

    def _verified(self, problem: Problem, v: Any, u: Any, seed: int, asked: float | None = None) -> Witness | None:
        """The witness of these arrays as stored, if its check accepts it, with the margin asked for."""
        task, least = self.task, float(self.task.margin if asked is None else asked)
        documents = encode(v, task.dtype, together=True)
        queries = None if u is None else encode(_all_rows(problem, np.asarray(u), task), task.dtype, together=False)
        found = {
            "solver": task.solver, "seed": seed, "start": _START[task.solver], "budget_s": task.budget_s, **self.origin
        }  # fmt: skip
        held = Witness(problem.name, task.dtype, documents, queries, 0.0, found)
        try:
            margin = witnesses.check(replace(held, margin=least), task.qrels).margin
        except CertificateError:
            return None
        margin = 0.0 if margin is None else max(0.0, float(rounded_down(margin, 6)))
        return replace(held, margin=max(margin, least), found={**found, "provenance": provenance()})


def _serves(code: OrbitCode, task: Task) -> bool:
    return (code.k, code.dtype) == (task.k, task.dtype) and code.d <= task.d and code.margin >= task.margin


def _impossible(n: int, k: int, d: int, margin: float) -> bool:
    return design(n, k, d, "real", margin or None).verdict == "impossible"


_RANDOM = ("random-sign", "gaussian")  # constructions that another seed may build better
_START = {
    "anneal": "seeded random documents", "paper": "seeded random documents and queries",
    "sigmoid": "seeded random documents and queries", "orbit": "seeded random frequencies",
    **dict.fromkeys(BUILDERS, "construction"),
}  # fmt: skip


def _query_of(by_separation: dict[int, Any], a: int, b: int, n: int) -> Any:
    """The query of the pair {a, b}, a < b, from those of the separations."""
    j = b - a
    return by_separation[j][a] if 2 * j <= n else by_separation[n - j][b]


def _all_rows(problem: Problem, u: Any, task: Task) -> Any:
    """Queries for every row of the qrels; a row that asks for nothing gets the first unit vector."""
    if problem.rows is None or task.qrels is None:
        return u
    out = np.zeros((task.qrels.n_queries, u.shape[1] if u.size else task.d), u.dtype)
    out[:, 0] = 1
    out[problem.rows] = u
    return out


def _warm_up() -> None:
    """Import torch before the clock starts."""
    import limitbench.capacity.orbit_search
    import limitbench.capacity.sigmoid  # noqa: F401


def _optimize(
    task: Task,
    problem: Problem,
    batch: tuple[int, ...],
    deadline: float,
    peers: Any,
    warm: Any = None,
    heat: float = 0.0,
) -> Any:
    import torch

    from limitbench.capacity.anneal import Annealer, arithmetic, release
    from limitbench.capacity.paper import InfoNCE
    from limitbench.capacity.sigmoid import Sigmoid

    losses: dict[str, type[InfoNCE]] = {"paper": InfoNCE, "sigmoid": Sigmoid}

    def run(chunk: int | None) -> Any:
        with arithmetic():
            return attempt(chunk)

    def attempt(chunk: int | None) -> Any:
        if task.solver in losses:
            solver = losses[task.solver](problem, task.d, dtype=task.dtype, device=task.device, chunk=chunk)
            return solver.attempt(batch, deadline=deadline)
        options = {"margin": task.margin, "dtype": task.dtype, "device": task.device, "chunk": chunk}
        if peers is not None:
            return peers.attempt(problem, task.d, batch, deadline=deadline, **options)
        annealer = Annealer(problem, task.d, **options)  # type: ignore[arg-type]
        return annealer.attempt(batch, deadline=deadline, warm=warm, heat=heat)

    threads = torch.get_num_threads()
    few = problem.m * problem.n < 200_000  # not worth waking a second thread for
    try:
        if few:
            torch.set_num_threads(1)
        return run(None)
    except (MemoryError, RuntimeError) as error:
        if not _is_out_of_memory(error) or peers is not None:  # processes that part would wait for each other for ever
            raise
        release(task.device)
    finally:
        torch.set_num_threads(threads)
    try:
        return run(50_000 if task.device == "cpu" else 4_000_000)
    except (MemoryError, RuntimeError) as error:
        if not _is_out_of_memory(error):
            raise
        raise OutOfMemory(
            f"d = {task.d}, n = {problem.n}: {problem.m} queries do not fit into the memory of {task.device}, even in smaller "
            "chunks; choose fewer seeds or a smaller n, or share the queries between devices with torchrun"
        ) from None


def _is_out_of_memory(error: BaseException) -> bool:
    text = str(error).lower()
    return (
        isinstance(error, MemoryError)
        or "out of memory" in text
        or "can't allocate" in text
        or "not enough memory" in text
    )


def _too_large(task: Task, n: int) -> bool:
    """Whether the arrays of one seed would take more than most of the memory that is free."""
    if task.qrels is not None or task.k is None:
        return False
    m = subsets(n, task.k)
    if task.solver in ("random-sign", "polynomial") and task.k == 2:
        needed = n * task.d * 16 + n * n * 24 + m * 16
    else:
        needed = m * (task.d * 4 * 10 + task.k * 8 * 3)
    return needed > 0.8 * _free_bytes(task.device)


def _free_bytes(device: str) -> float:
    if device.startswith("cuda"):
        import torch

        return float(torch.cuda.mem_get_info(device)[0])
    try:
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable"):
                return float(line.split()[1]) * 1024
        return float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    except (OSError, ValueError, AttributeError):
        return math.inf
