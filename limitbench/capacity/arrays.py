"""Solvers that leave arrays: the optimizers and the constructions. Nothing counts until `witness.check` accepts what is stored."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from limitbench.capacity import witness as witnesses
from limitbench.capacity.constructions import BUILDERS
from limitbench.capacity.memory import too_large
from limitbench.capacity.optimizers import optimize, warm_up
from limitbench.capacity.orbits import OrbitCode
from limitbench.capacity.problem import Problem
from limitbench.capacity.solvers import Attempted, Situation
from limitbench.capacity.task import (
    OPTIMIZERS,
    POLISHED,
    STARTS,
    TORCH,
    VARIED,
    Task,
    Tried,
)
from limitbench.capacity.witness import Witness
from limitbench.dtypes import decode, encode
from limitbench.errors import CertificateError
from limitbench.provenance import provenance
from limitbench.theory.exact import rounded_down
from limitbench.theory.margin import ceiling_squared


class Arrays:
    """The solver of a task's optimizer or construction. `peers` share one given instance between them."""

    def __init__(self, task: Task, peers: Any = None) -> None:
        self.task, self.peers = task, peers
        self.origin: dict[str, str] = {}  # what a witness says of its solver and start, where that is not the task's
        if task.solver in TORCH:
            warm_up()

    def attempt(self, n: int, now: Situation) -> Attempted:
        """Whether some seed solves n documents, verified."""
        task, at = self.task, time.monotonic()
        given = task.n is not None or task.qrels is not None
        # while nothing is solved, one size may not take all the time
        until = now.deadline if now.best or given else at + now.left / 3
        seeds = tuple(range(task.seed, task.seed + task.seeds))
        now.tell(n)
        if self.peers is None and too_large(task, n):
            return Attempted(Tried(n, False, (), 0.0, "memory"))
        problem = task.problem(n)
        found, used, steps, stopped = None, [], 0, "schedule"
        waiting = list(self._batches(problem, seeds))
        while waiting:
            batch = waiting.pop(0)
            arrays, tried, took, stopped = self._found(problem, batch, until)
            used += list(tried)
            steps = max(steps, took)
            if arrays is not None:
                found = self.verified(problem, *arrays, used[-1])
                stopped = "solved" if found else "refused"
                if found is None and len(batch) > 1:  # the others of the batch were not seen to their end
                    waiting = [(seed,) for seed in batch if seed not in tried] + waiting
            if found or stopped in ("deadline", "none") or (self.peers is None and time.monotonic() > until):
                break
        if found is None and stopped in ("schedule", "refused") and waiting:
            stopped = "deadline"
        seconds = time.monotonic() - at
        margin = found.margin if found else None
        return Attempted(Tried(n, found is not None, tuple(used), round(seconds, 4), stopped, steps, margin), found)

    def _batches(self, problem: Problem, seeds: Sequence[int]) -> list[tuple[int, ...]]:
        """Seeds side by side where they fit into one chunk; else one after another."""
        if self.task.solver not in OPTIMIZERS:
            return [(seed,) for seed in (seeds if self.task.solver in VARIED else seeds[:1])]
        room = 100_000 if self.task.device == "cpu" else 64_000_000
        width = max(1, min(len(seeds), room // max(1, problem.m * problem.n)))
        return [tuple(seeds[i : i + width]) for i in range(0, len(seeds), width)]

    def _found(
        self, problem: Problem, batch: tuple[int, ...], until: float
    ) -> tuple[tuple[Any, Any] | None, tuple[int, ...], int, str]:
        """(documents and queries, seeds used, steps, why it stopped)."""
        task = self.task
        if task.solver not in OPTIMIZERS:
            built = BUILDERS[task.solver](problem, task.d, task.dtype, batch[0])
            return (None, batch, 0, "none") if built is None else ((built.documents, built.queries), batch, 0, "built")
        found = optimize(task, problem, batch, until, self.peers)
        arrays = (found.documents, found.queries) if found.solved else None
        return arrays, (found.seed,) if found.solved else batch, found.steps, found.stopped

    def verified(self, problem: Problem, v: Any, u: Any, seed: int, asked: float | None = None) -> Witness | None:
        """The witness of these arrays as stored, if its check accepts it, with the margin asked for."""
        task, least = self.task, float(self.task.margin if asked is None else asked)
        documents = encode(v, task.dtype, together=True)
        queries = None if u is None else encode(_all_rows(problem, np.asarray(u), task), task.dtype, together=False)
        found = {
            "solver": task.solver, "seed": seed, "start": STARTS[task.solver], "budget_s": task.budget_s, **self.origin
        }  # fmt: skip
        held = Witness(problem.name, task.dtype, documents, queries, 0.0, found)
        try:
            margin = witnesses.check(replace(held, margin=least), task.qrels).margin
        except CertificateError:
            return None
        margin = 0.0 if margin is None else max(0.0, float(rounded_down(margin, 6)))
        return replace(held, margin=max(margin, least), found={**found, "provenance": provenance()})

    def polish(self, n: int, code: OrbitCode, now: Situation, enough: float = math.inf) -> bool:
        """Raise the margin from the documents of a symmetric code, all its pairs listed, until it is enough or the time is over.

        Whether the code itself, as stored arrays, was accepted.
        """
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
        held = self.verified(problem, wide[: len(v)], wide[len(v) :], self.task.seed)
        seconds, margin = round(time.monotonic() - at, 4), held.margin if held else None
        stopped = "solved" if held else "refused"
        solved = now.keep(
            n, Attempted(Tried(n, held is not None, (self.task.seed,), seconds, stopped, 0, margin), held)
        )
        if solved:
            self.raise_margin(n, now, enough)
        return solved

    def raise_margin(self, n: int, now: Situation, enough: float = math.inf) -> None:
        """Ask for a little more margin than the best witness has, from its documents, in smaller and smaller steps."""
        task, problem, more, seed = self.task, self.task.problem(n), 1.3, self.task.seed
        ceiling = math.inf
        if problem.k is not None and 0 < problem.k < n:
            ceiling = math.sqrt(ceiling_squared(n, problem.k))
        while now.left > 0 and more > 1.0005 and problem.m:
            assert now.best is not None
            held = now.best[1]
            assert isinstance(held, Witness)
            if held.margin >= enough:
                return
            target = min(max(held.margin, 1e-6) * more, ceiling, enough)  # a margin too small to show is 0
            now.say(f"d={task.d} n={n}: margin {held.margin:.4g}, asking for {target:.4g}")
            asked, at = replace(task, margin=target), time.monotonic()
            warm = decode(held.documents, task.dtype)
            found = optimize(asked, problem, (seed,), now.deadline, None, warm, 0.25)
            witness = self.verified(problem, found.documents, found.queries, seed, target) if found.solved else None
            stopped = "solved" if witness else "refused" if found.solved else found.stopped
            seconds = round(time.monotonic() - at, 4)
            margin = witness.margin if witness else None
            tried = Tried(n, witness is not None, (seed,), seconds, stopped, found.steps, margin, target)
            if not now.keep(n, Attempted(tried, witness)):
                more, seed = 1 + (more - 1) / 2, seed + 1


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
