"""What to solve, and what came of it: a task, every size that was tried, and critical-n as a bracket."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from limitbench.capacity.constructions import BUILDERS
from limitbench.capacity.orbits import OrbitCode
from limitbench.capacity.problem import Problem
from limitbench.capacity.witness import Witness
from limitbench.certificates import orbits as orbit_proof
from limitbench.dtypes import require_stored
from limitbench.errors import InputError, UnknownName
from limitbench.relevance import Qrels

OPTIMIZERS = ("anneal", "paper", "sigmoid")
SOLVERS = (*OPTIMIZERS, "orbit", *BUILDERS)
AUTO = "auto"  # the best of several solvers
TORCH = (*OPTIMIZERS, "orbit", AUTO)  # solvers that need torch
POLISHED = "orbit+anneal"  # the annealer, from the documents of a symmetric code
VARIED = ("random-sign", "gaussian")  # constructions that another seed may build better
STARTS = {
    "anneal": "seeded random documents", "paper": "seeded random documents and queries",
    "sigmoid": "seeded random documents and queries", "orbit": "seeded random frequencies",
    **dict.fromkeys(BUILDERS, "construction"),
}  # fmt: skip


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

    def __repr__(self) -> str:
        t = self.task
        solved = "no corpus solved" if self.solved_n is None else f"n = {self.solved_n} solved"
        failed = "" if self.failed_n is None else f", {self.failed_n} not"
        told = f"{solved}{failed}, {len(self.tried)} tried, {self.seconds:.1f} s, {self.status.value}"
        return f"CapacityResult(d = {t.d}, {t.solver} in {t.dtype}: {told})"

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
