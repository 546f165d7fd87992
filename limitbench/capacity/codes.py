"""The solver that leaves symmetric codes: each is proved for all sets at once, which are never listed."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any, Protocol

from limitbench import certificates
from limitbench.capacity import orbits
from limitbench.capacity.optimizers import warm_up
from limitbench.capacity.orbits import OrbitCode
from limitbench.capacity.solvers import Attempted, Situation
from limitbench.capacity.task import (
    STARTS,
    Task,
    Tried,
)
from limitbench.errors import CertificateError
from limitbench.provenance import provenance
from limitbench.theory.exact import rounded_down


class Kept(Protocol):
    """Where a search for a symmetric code keeps the largest one while it is under way (`capacity.records.Partial`)."""

    def read(self) -> OrbitCode | None:
        """The code that an interrupted search left, checked."""

    def write(self, code: OrbitCode) -> None:
        """Keep this code in place of the one before."""


class SymmetricCodes:
    """The solver of a task for an orbit; what it learnt of one size serves the next. `kept` holds the largest code meanwhile."""

    def __init__(self, task: Task, kept: Kept | None = None) -> None:
        self.task, self.kept = task, kept
        self.templates: tuple[Any, ...] = ()  # of orbits, from the sizes before
        warm_up()

    def attempt(self, n: int, now: Situation) -> Attempted:
        """The best code of n documents that some seed leads to, accepted by its checker."""
        from limitbench.capacity.orbit_search import Goal, find

        task, at = self.task, time.monotonic()
        whole = now.deadline if task.n is not None else at + patience(n, now)
        assert task.k is not None
        now.tell(n)
        code, looked, stopped = None, 0, "schedule"
        seeds: list[int] = []
        for seed in range(task.seed, task.seed + task.seeds):
            until = at + (whole - at) * (len(seeds) + 1) / task.seeds if task.maximise else whole
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
            found = find(goal, until, now.say)
            self.templates = found.templates or self.templates
            seeds += [] if found.stopped == "memory" else [seed]
            looked, stopped = looked + found.candidates, found.stopped
            if found.code is not None and (code is None or found.code.margin > code.margin):
                code = accepted(task, found.code, seed, found.candidates)
            if stopped in ("none", "memory") or (not task.maximise and (code or stopped == "deadline")):
                break
        margin = code.margin if code else None
        stopped = "solved" if code else stopped
        if code is not None and self.kept is not None and task.n is None and (now.best is None or n >= now.best[0]):
            self.kept.write(code)
        tried = Tried(n, code is not None, tuple(seeds), round(time.monotonic() - at, 4), stopped, looked, margin)
        return Attempted(tried, code)

    def resumed(self) -> OrbitCode | None:
        """The code that an interrupted search left, if it serves this task."""
        code = None if self.kept is None else self.kept.read()
        return code if code is not None and _serves(code, self.task) else None


def patience(n: int, now: Situation) -> float:
    """Seconds for one corpus size: several times what the last success leads to expect, as n^k, and 20 to 60 % of what
    is left."""
    last = next((t for t in reversed(now.tried) if t.solved), None)
    expected = 0.0 if last is None else last.seconds * (n / last.n) ** max(2, now.task.k or 2)
    return min(0.6, max(0.2, 3 * expected / max(now.left, 1e-9))) * now.left


def accepted(task: Task, code: OrbitCode, seed: int, candidates: int) -> OrbitCode | None:
    """The code with what it was found by, if the checker accepts it: with integers, where they are not too many."""
    found = {
        "solver": "orbit", "seed": seed, "candidates": candidates, "start": STARTS["orbit"], "budget_s": task.budget_s,
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


def _serves(code: OrbitCode, task: Task) -> bool:
    return (code.k, code.dtype) == (task.k, task.dtype) and code.d <= task.d and code.margin >= task.margin
