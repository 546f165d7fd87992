"""What a solver is to a search: it tries one corpus size in the situation that the search is in."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from limitbench.capacity.orbits import OrbitCode
from limitbench.capacity.task import Task, Tried
from limitbench.capacity.witness import Witness

Say = Callable[[str], None]


@dataclass
class Situation:
    """Where a search stands: its task, its clock, what was tried, and the largest corpus solved with its witness."""

    task: Task
    say: Say
    start: float  # time.monotonic()
    tried: list[Tried] = field(default_factory=list)
    best: tuple[int, Witness | OrbitCode] | None = None

    @property
    def deadline(self) -> float:
        """When the task's time is up."""
        return self.start + self.task.budget_s

    @property
    def left(self) -> float:
        """Seconds that are left of the task's budget; below 0 when it is over."""
        return self.deadline - time.monotonic()

    def tell(self, n: int) -> None:
        """Say which size is tried now."""
        task = self.task
        found = f" (solved {self.best[0]})" if self.best else ""
        self.say(f"d={task.d} k={task.k} {task.solver}: n={n}{found}")

    def keep(self, n: int, found: Attempted) -> bool:
        """Take down what came of a size; whether it was solved."""
        self.tried.append(found.tried)
        if found.witness is not None and (self.best is None or n >= self.best[0]):
            self.best = (n, found.witness)
        return found.witness is not None


@dataclass(frozen=True, eq=False)
class Attempted:
    """What came of one corpus size: how it went, and the witness where it was solved and verified."""

    tried: Tried
    witness: Witness | OrbitCode | None = None


class Solver(Protocol):
    """A way to carry a corpus: an optimizer or a construction (`arrays.Arrays`), or a symmetric code (`codes.SymmetricCodes`)."""

    def attempt(self, n: int, now: Situation) -> Attempted:
        """Try n documents; nothing counts as solved that the checker did not accept."""
