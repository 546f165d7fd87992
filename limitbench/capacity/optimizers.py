"""The optimizers of free embeddings by name, with their threads, their chunks and what happens when memory runs out."""

from __future__ import annotations

from typing import Any

from limitbench.capacity.memory import is_out_of_memory
from limitbench.capacity.problem import Problem
from limitbench.capacity.task import (
    Task,
)
from limitbench.errors import OutOfMemory


def warm_up() -> None:
    """Import torch before the clock starts."""
    import limitbench.capacity.orbit_search
    import limitbench.capacity.sigmoid  # noqa: F401


def optimize(
    task: Task,
    problem: Problem,
    batch: tuple[int, ...],
    deadline: float,
    peers: Any,
    warm: Any = None,
    heat: float = 0.0,
) -> Any:
    """One batch of seeds by the task's optimizer (`anneal.Attempt`); what does not fit into memory is tried again in chunks.

    Raises `OutOfMemory` where it does not fit even so.
    """
    import torch

    from limitbench.capacity.anneal import Annealer
    from limitbench.capacity.paper import InfoNCE
    from limitbench.capacity.scores import arithmetic, release
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
        if not is_out_of_memory(error) or peers is not None:  # processes that part would wait for each other for ever
            raise
        release(task.device)
    finally:
        torch.set_num_threads(threads)
    try:
        return run(50_000 if task.device == "cpu" else 4_000_000)
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        raise OutOfMemory(
            f"d = {task.d}, n = {problem.n}: {problem.m} queries do not fit into the memory of {task.device}, even in smaller "
            "chunks; choose fewer seeds or a smaller n, or share the queries between devices with torchrun"
        ) from None
