"""Whether a search fits into memory: an estimate before it starts, and how an error tells that it did not."""

from __future__ import annotations

import math
import os
from pathlib import Path

from limitbench.capacity.problem import subsets
from limitbench.capacity.task import (
    Task,
)


def too_large(task: Task, n: int) -> bool:
    """Whether the arrays of one seed would take more than most of the memory that is free."""
    if task.qrels is not None or task.k is None:
        return False
    m = subsets(n, task.k)
    if task.solver in ("random-sign", "polynomial") and task.k == 2:
        needed = n * task.d * 16 + n * n * 24 + m * 16
    else:
        needed = m * (task.d * 4 * 10 + task.k * 8 * 3)
    return needed > 0.8 * free_bytes(task.device)


def free_bytes(device: str) -> float:
    """Bytes that are free on a device; infinite where the system does not tell."""
    if device.startswith("cuda"):
        import torch

        return float(torch.cuda.mem_get_info(device)[0])
    try:
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable"):
                return float(line.split()[1]) * 1024
        return float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    except (OSError, ValueError, AttributeError):
        return math.inf


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error of torch or Python says that memory ran out."""
    text = str(error).lower()
    return (
        isinstance(error, MemoryError)
        or "out of memory" in text
        or "can't allocate" in text
        or "not enough memory" in text
    )
