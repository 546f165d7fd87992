"""One instance over several processes under torchrun: queries sharded, documents replicated.

Every process holds every `world`-th query with its Adam state, and all documents. A step all-reduces one n x d gradient, with
a flag for rows that are not strict yet; the documents then take the same step everywhere. gloo on CPUs, NCCL on GPUs.
Re-querying is left to a single process.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.distributed as dist
from torch import Tensor

from limitbench.capacity.anneal import Annealer, Attempt
from limitbench.capacity.problem import Problem
from limitbench.capacity.schedule import Setting
from limitbench.capacity.scores import Peers


class Processes(Peers):
    """The processes of one torchrun, started when this object is made; use it as a context manager."""

    def __init__(self, device: str = "cpu") -> None:
        dist.init_process_group("nccl" if device.startswith("cuda") else "gloo")
        self.rank, self.world = dist.get_rank(), dist.get_world_size()

    def add(self, tensor: Tensor) -> Tensor:
        """The sum over all processes, in place."""
        dist.all_reduce(tensor, dist.ReduceOp.SUM)
        return tensor

    def least(self, tensor: Tensor) -> Tensor:
        """The minimum over all processes, in place."""
        dist.all_reduce(tensor, dist.ReduceOp.MIN)
        return tensor

    def gathered(self, queries: npt.NDArray[Any], m: int) -> npt.NDArray[Any]:
        """The queries (m, d) of all processes in their own order, on every process."""
        parts: list[Any] = [None] * self.world
        dist.all_gather_object(parts, queries)
        out = np.empty((m, queries.shape[1]), queries.dtype)
        for rank, part in enumerate(parts):
            out[rank :: self.world] = part
        return out

    def attempt(
        self,
        problem: Problem,
        d: int,
        seeds: Sequence[int],
        *,
        steps: int | None = None,
        deadline: float = math.inf,
        **options: Any,
    ) -> Attempt:
        """`Annealer.attempt` over all processes; every one returns the whole result. `options` are those of `Annealer`."""
        found = Annealer(problem, d, peers=self, **options).attempt(seeds, steps=steps, deadline=deadline)
        return replace(found, queries=self.gathered(found.queries, problem.m))

    def meet(self) -> None:
        """Wait until all processes have come here."""
        dist.barrier()

    def __enter__(self) -> Processes:
        return self

    def __exit__(self, *_: object) -> None:
        dist.destroy_process_group()


def main() -> None:
    """`torchrun --nproc-per-node 2 -m limitbench.capacity.distributed D N K SEED STEPS OUT.npz`: one attempt in float64, its
    documents and queries written by rank 0. What the agreement test runs; also a template for larger jobs."""
    import sys

    d, n, k, seed, steps = map(int, sys.argv[1:6])
    torch.set_num_threads(1)
    with Processes() as peers:
        problem = Problem.all_subsets(n, k)
        found = peers.attempt(problem, d, [seed], steps=steps, setting=Setting(exact_queries=0), dtype="fp64")
        if peers.rank == 0:
            np.savez(sys.argv[6], documents=found.documents, queries=found.queries)


if __name__ == "__main__":
    main()
