"""Solver `auto`: the best of several solvers on one task, and which it was.

Symmetric codes carry by far the largest corpora; independent vectors reach larger margins for few documents, and serve any qrels.
A symmetric code of pairs can also be the start of the annealer.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import replace

from limitbench.capacity.orbits import OrbitCode
from limitbench.capacity.problem import subsets
from limitbench.capacity.search import Search
from limitbench.capacity.task import CapacityResult, Status, Task
from limitbench.certificates.orbits import MOST_RELEVANT
from limitbench.theory.constructions import orthogonal_simplices, simplex_and_centre

_LISTED = 5_000_000  # scores of all pairs, up to which the annealer goes on from a code
_FEW = 5  # dimensions up to which the moment curve is the longest known


def best_of(task: Task, say: Callable[[str], None]) -> CapacityResult:
    """The best result of the solvers that suit the task, within its time: the largest corpus, then the largest margin."""
    start = time.monotonic()

    def left() -> float:
        return max(0.05, task.budget_s - (time.monotonic() - start))

    def run(solver: str, share: float) -> CapacityResult:
        maximise = task.maximise and solver in ("orbit", "anneal")
        part = replace(task, solver=solver, maximise=maximise, budget_s=max(0.05, share * left()))
        found.append(Search(part, say).run())
        return found[-1]

    def solved() -> bool:
        return any(one.solved_n is not None and (one.margin or 0.0) >= task.margin for one in found)

    def done() -> bool:
        return solved() and not task.maximise

    found: list[CapacityResult] = []
    served = (task.k or 0) <= MOST_RELEVANT
    if task.qrels is not None:
        run("anneal", 1.0)
    elif task.n is None:
        if task.d <= _FEW and task.k == 2:
            run("cyclic", 0.2)
        if served:
            run("orbit", 0.75)
        run("anneal", 1.0)
    elif task.d >= task.n - 1 and run("simplex", 1.0).solved_n is not None and (found[-1].margin or 0.0) >= task.margin:
        pass  # the regular simplex: no dimension allows more
    else:
        k = task.k or 0
        if orthogonal_simplices(task.n, k, task.d) or simplex_and_centre(task.n, k, task.d):
            run("simplices", 0.2)
        code = run("orbit", 0.5 if task.maximise else 0.4).witness if served and not done() else None
        listed = task.k == 2 and subsets(task.n, 2) * task.n <= _LISTED
        asked = (not found or found[-1].status != Status.IMPOSSIBLE) and not done()
        if asked and listed and code is None and task.margin:  # the largest margin of a code may be a start
            free = replace(task, solver="orbit", margin=0.0, maximise=True, budget_s=max(0.05, 0.35 * left()))
            code = Search(free, say).run().witness
        if asked and listed and isinstance(code, OrbitCode):
            search = Search(replace(task, solver="anneal", margin=0.0, budget_s=max(0.05, 0.6 * left())), say)
            polished = search.polish(task.n, code, math.inf if task.maximise else task.margin)
            found += [polished] if (polished.margin or 0.0) >= task.margin else []
        if asked and (listed or task.k != 2) and not done():
            run("anneal", 1.0)
    best = max(found, key=lambda one: (one.solved_n or 0, one.margin or 0.0))
    tried = tuple(one for result in found for one in result.tried)
    failed = min(
        (one.n for one in tried if not one.solved and one.seeds and one.n > (best.solved_n or 0)), default=None
    )
    status = best.status
    # what another part was cut short of, or says of all vectors, weighs more
    if best.solved_n is None or status == Status.UNEQUAL:
        others = [one.status for one in found if one is not best]
        status = next((one for one in (Status.CUT, Status.BUDGET, *others) if one in others), status)
    return replace(best, task=task, tried=tried, failed_n=failed, status=status, seconds=time.monotonic() - start)
