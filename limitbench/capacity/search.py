"""Critical-n as a bracket: the largest corpus solved and verified, the smallest one tried and not solved.

A solver finds arrays or codes; nothing counts until its checker has accepted them as stored. What a solver does not find is
"not solved", with its seeds and budget, and never impossible: that word comes from `limitbench.theory` alone.
"""

from __future__ import annotations

import math
import time
from dataclasses import replace
from typing import Any

from limitbench.capacity import strategies
from limitbench.capacity.arrays import Arrays
from limitbench.capacity.codes import Kept, SymmetricCodes
from limitbench.capacity.orbits import OrbitCode
from limitbench.capacity.solvers import Say, Situation
from limitbench.capacity.task import (
    AUTO,
    CapacityResult,
    Status,
    Task,
)
from limitbench.errors import InputError
from limitbench.theory import design
from limitbench.theory.closed_form import closed_form

_STRATEGIES = {
    "paper": strategies.gallop, "sigmoid": strategies.gallop, "anneal": strategies.stretch, "orbit": strategies.stretch,
}  # fmt: skip


class Search:
    """One task under way. `peers` (`capacity.distributed.Processes`) share a given cell or given qrels between them; with `kept`,
    an interrupted search for the largest symmetric code goes on from the last one."""

    def __init__(self, task: Task, progress: Say | None = None, peers: Any = None, kept: Kept | None = None) -> None:
        if peers is not None and ((task.n is None and task.qrels is None) or task.solver != "anneal"):
            raise InputError(
                "several processes share one given instance; add --at d:n or --qrels, with --solver anneal"
            )
        self.task = task
        self.solver: Arrays | SymmetricCodes = (
            SymmetricCodes(task, kept) if task.solver == "orbit" else Arrays(task, peers)
        )
        self.now = Situation(task, progress or (lambda _message: None), time.monotonic())

    def run(self) -> CapacityResult:
        """The bracket, by the search that belongs to the solver."""
        task = self.task
        if task.solver == AUTO:
            from limitbench.capacity.portfolio import best_of

            return best_of(task, self.now.say)
        if task.n is not None and task.k is not None and _impossible(task.n, task.k, task.d, task.margin):
            return self._result(Status.IMPOSSIBLE)
        if task.solver == "orbit":
            assert task.k is not None
            if task.n is not None and task.n <= task.k:  # one query that asks for everything
                trivial = "simplex" if task.d >= task.n - 1 else "gaussian"
                return replace(Search(replace(task, solver=trivial, maximise=False), self.now.say).run(), task=task)
            if task.n is not None and closed_form(task.n, task.k, "cosine") > task.d:
                return self._result(Status.UNEQUAL)
        return self._given() if task.n is not None or task.qrels is not None else self._critical()

    def _given(self) -> CapacityResult:
        """The result of one given matrix."""
        task = self.task
        n = task.n if task.n is not None else task.qrels.n_documents  # type: ignore[union-attr]
        solved = self.solve(n)
        if solved and task.maximise and isinstance(self.solver, Arrays):
            self.solver.raise_margin(n, self.now)
        cut = self.now.tried[-1].stopped == "deadline"
        if self.now.tried[-1].stopped == "memory":
            return self._result(Status.MANY if task.solver == "orbit" else Status.TOO_LARGE)
        return self._result(Status.SOLVED if solved else Status.CUT if cut else Status.UNSOLVED)

    def _critical(self) -> CapacityResult:
        """The bracket of all k-subsets, between the least corpus that asks for something and what theory leaves possible."""
        task = self.task
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
        status = _STRATEGIES.get(task.solver, strategies.largest)(self, least, most)
        return self._result(Status.UNEQUAL if short and status == Status.PROVED else status)

    def solve(self, n: int) -> bool:
        """Whether n documents are solved, verified; the witness is kept if it is the largest."""
        return self.now.keep(n, self.solver.attempt(n, self.now))

    def polish(self, n: int, code: OrbitCode, enough: float = math.inf) -> CapacityResult:
        """Raise the margin from the documents of a symmetric code, until it is enough or the time is over."""
        assert isinstance(self.solver, Arrays)
        held = self.solver.polish(n, code, self.now, enough)
        return self._result(Status.SOLVED if held else Status.UNSOLVED)

    def _result(self, status: Status) -> CapacityResult:
        solved = self.now.best[0] if self.now.best else None
        failed = min((t.n for t in self.now.tried if not t.solved and t.seeds and t.n > (solved or 0)), default=None)
        seconds = time.monotonic() - self.now.start
        margin = self.now.best[1].margin if self.now.best else None
        margin = margin if margin is not None and math.isfinite(margin) else None
        held = self.now.best[1] if self.now.best else None
        return CapacityResult(self.task, solved, failed, margin, status, seconds, tuple(self.now.tried), held)


def _impossible(n: int, k: int, d: int, margin: float) -> bool:
    return design(n, k, d, "real", margin or None).verdict == "impossible"
