"""Many points at the same time: a pool of processes, one core each. A record is written by the process that finished it."""

from __future__ import annotations

import math
import multiprocessing
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from pathlib import Path
from typing import Any

from limitbench.capacity.record import CapacityRecord
from limitbench.capacity.records import Records
from limitbench.capacity.search import Search
from limitbench.capacity.task import TORCH, CapacityResult, Task
from limitbench.errors import OutOfMemory
from limitbench.processes import one_thread
from limitbench.progress import Each, raised
from limitbench.provenance import command, provenance


def pooled(tasks: Sequence[Task], records: Records, jobs: int, fresh: bool = False) -> Iterator[CapacityRecord]:
    """The records of all tasks in order; those that are not there are searched by `jobs` processes with one thread each."""
    held = [None if fresh else records.find(task) for task in tasks]
    method = multiprocessing.get_context("spawn")  # torch's thread pools do not survive a fork
    with one_thread(), ProcessPoolExecutor(jobs, mp_context=method) as pool:
        waiting = {
            i: pool.submit(_one, task, records.folder.parent, fresh) for i, task in enumerate(tasks) if held[i] is None
        }
        try:
            for i in range(len(tasks)):
                yield held[i] or waiting[i].result()
        except BrokenProcessPool:
            raise OutOfMemory(
                "a process of the pool died, as it does when memory runs out; choose fewer --jobs"
            ) from None
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def elsewhere(tasks: Sequence[Task], records: Records, each: Each, fresh: bool = False) -> Iterator[CapacityRecord]:
    """The records of all tasks in order; those that are not there are searched by others, and stored here as they are done.

    The largest margin of a symmetric code at a given cell is searched by every seed apart, in its share of the time. Its record is
    stored when all seeds are done.
    """
    held: dict[int, CapacityRecord | None] = {i: None if fresh else records.find(task) for i, task in enumerate(tasks)}
    for i, task in enumerate(tasks):
        begun = records.partial(task)
        if held[i] is None and not fresh and begun is not None and begun.path.exists():
            held[i] = records.find_or_solve(task)  # goes on from what an interrupted search left on this disk
    parts = [(i, part) for i, task in enumerate(tasks) if held[i] is None for part in by_seed(task)]
    found: dict[int, list[CapacityResult]] = {i: [] for i, _ in parts}
    wanted, told = Counter(i for i, _ in parts), command()
    for place, (result, made) in raised(each(_searched, [part for _, part in parts], label=records.stem)):
        i = parts[place][0]
        found[i].append(result)
        if len(found[i]) == wanted[i]:
            held[i] = records.write(together(tasks[i], found.pop(i)), {**made, "command": told})
    yield from (record for record in held.values() if record is not None)


def by_seed(task: Task) -> list[Task]:
    """A search for the largest margin of a symmetric code as one a seed, each with its share of the time; others as they are."""
    if task.solver != "orbit" or not task.maximise or task.n is None:
        return [task]
    share = task.budget_s / task.seeds
    return [replace(task, seed=task.seed + i, seeds=1, budget_s=share) for i in range(task.seeds)]


def together(task: Task, parts: Sequence[CapacityResult]) -> CapacityResult:
    """The result of a task from those of its seeds: the largest margin, and the lowest of the seeds that have it.

    What was tried, and the seconds, are those of all seeds.
    """
    parts = sorted(parts, key=lambda part: part.task.seed)
    best = max(parts, key=lambda part: -math.inf if part.margin is None else part.margin)
    tried = [one for part in parts for one in part.tried]
    if not tried:
        return replace(best, task=task)
    seeds = tuple(seed for one in tried for seed in one.seeds)
    seconds = sum(part.seconds for part in parts)
    whole = replace(
        best.tried[0],
        seeds=seeds,
        steps=sum(one.steps for one in tried),
        seconds=round(sum(one.seconds for one in tried), 4),
    )
    return replace(best, task=task, seconds=seconds, tried=(whole,))


def _searched(task: Task) -> tuple[CapacityResult, dict[str, Any]]:
    """A search on one thread, and what it ran on."""
    if task.solver in TORCH:
        import torch

        torch.set_num_threads(1)
    return Search(task).run(), provenance()


def _one(task: Task, results: Path, fresh: bool) -> CapacityRecord:
    if task.solver in TORCH:
        import torch

        torch.set_num_threads(1)
    return Records(results).find_or_solve(task, fresh=fresh)
