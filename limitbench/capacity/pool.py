"""Many points at the same time: a pool of processes, one core each. A record is written by the process that finished it."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
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
    """The records of all tasks in order; those that are not there are searched by others, and stored here as they come."""
    held: dict[int, CapacityRecord | None] = {i: None if fresh else records.find(task) for i, task in enumerate(tasks)}
    for i, task in enumerate(tasks):
        begun = records.partial(task)
        if held[i] is None and not fresh and begun is not None and begun.path.exists():
            held[i] = records.find_or_solve(task)  # goes on from what an interrupted search left on this disk
    rest = [i for i in range(len(tasks)) if held[i] is None]
    told = command()
    for place, (result, made) in raised(each(_searched, [tasks[i] for i in rest], label=records.stem)):
        held[rest[place]] = records.write(result, {**made, "command": told})
    yield from (record for record in held.values() if record is not None)


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
