"""Scores of documents and queries on torch, rounded as a dtype stores them: the kernel that all optimizers share."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from limitbench.capacity.problem import Problem
from limitbench.dtypes import require_stored
from limitbench.errors import InputError


class Peers:
    """The processes that share one instance: here, none but this. `capacity.distributed` has the other kind."""

    rank, world = 0, 1

    def add(self, tensor: Tensor) -> Tensor:
        """The sum over all processes."""
        return tensor

    def least(self, tensor: Tensor) -> Tensor:
        """The minimum over all processes."""
        return tensor


def to_host(tensor: Tensor) -> npt.NDArray[Any]:
    """The one place where a solver waits for the device."""
    return tensor.cpu().numpy()


def unit(x: Tensor) -> Tensor:
    """Rows scaled to length 1."""
    out: Tensor = x / x.norm(dim=-1, keepdim=True).clamp_min(1e-30)
    return out


def rounder(dtype: str) -> Callable[[Tensor, bool], Tensor]:
    """A function that rounds vectors (S, rows, d) to what `dtype` stores, all rows to one scale (documents) or each to its own."""
    require_stored(dtype)
    if dtype in ("bf16", "fp16"):
        narrow = torch.bfloat16 if dtype == "bf16" else torch.float16
        return lambda x, _together: x.to(narrow).to(x.dtype)
    if dtype == "int8":

        def to_int8(x: Tensor, together: bool) -> Tensor:
            top = x.abs().amax((1, 2) if together else 2, keepdim=True) / 127
            return (x / top).round_().mul_(top)

        return to_int8
    if dtype == "binary":
        return lambda x, _together: torch.where(x < 0, -1.0, 1.0).to(x.dtype) / math.sqrt(x.shape[-1])
    return lambda x, _together: x


def adam(
    x: Tensor,
    grad: Tensor,
    m: Tensor,
    v: Tensor,
    *,
    rate: float,
    b1: float,
    b2: float,
    t: int,
    move: Tensor,
    eps: float = 1e-12,
) -> None:
    """One step of Adam in place, and back to the sphere; `move` (S, 1, 1) is 0 for a frozen seed."""
    right = math.sqrt(1 - b2**t)
    m.lerp_(grad, 1 - b1)
    v.mul_(b2).addcmul_(grad, grad, value=1 - b2)
    step = m / v.sqrt().add_(eps * right)
    x.addcmul_(step, move, value=-rate * right / (1 - b1**t))
    x.div_(torch.linalg.vector_norm(x, dim=-1, keepdim=True))


class Scores:
    """The scores of one problem in a dimension, dtype and device, in chunks that bound memory: what every optimizer works with.

    `margin` is the half-gap that counts as strict. `chunk` bounds the scores (seeds x rows x documents) held at a time. With
    `peers`, this process holds every `world`-th query.
    """

    def __init__(
        self,
        problem: Problem,
        d: int,
        *,
        margin: float = 0.0,
        dtype: str = "fp32",
        device: str = "cpu",
        chunk: int | None = None,
        peers: Peers | None = None,
    ) -> None:
        if d < 1:
            raise InputError(f"found d = {d}, expected at least 1 dimension")
        self.problem, self.d, self.k = problem, d, problem.degree
        self.device = torch.device(device)
        self.on_host = self.device.type == "cpu"  # numbers can be read without waiting
        self.dtype = torch.float64 if dtype == "fp64" else torch.float32
        self.rounded = rounder(dtype)
        self.scored = self.rounded if dtype in ("fp32", "fp64", "binary") else self._to_unit_ball
        self.gap = 2 * margin
        self.strict = self.gap + 4 * torch.finfo(self.dtype).eps  # scores of this dtype are no finer
        self.chunk = chunk or (400_000 if self.device.type == "cpu" else 64_000_000)
        self.peers = peers or Peers()
        rows = slice(self.peers.rank, None, self.peers.world)
        self.relevant = torch.from_numpy(np.ascontiguousarray(problem.relevant[rows])).to(self.device)  # (m, K)
        self.m = len(self.relevant)
        self.repeats: Tensor | None = None  # (m, K): infinity where a list repeats itself, else 0
        if problem.weight is not None:
            self.repeats = torch.where(torch.from_numpy(problem.weight[rows]), 0.0, math.inf).to(
                self.device, self.dtype
            )

    def _to_unit_ball(self, x: Tensor, together: bool) -> Tensor:
        """Rounded vectors, scaled so that the longest document, and every query, has length 1 again: no order changes."""
        x = self.rounded(x, together)
        length = x.norm(dim=-1, keepdim=True)
        out: Tensor = x / (length.amax(1, keepdim=True) if together else length).clamp_min_(1e-30)
        return out

    def start(self, seeds: Sequence[int]) -> Tensor:
        """Random unit documents (S, n, d), the same on every device."""
        drawn = []
        for seed in seeds:
            source = torch.Generator().manual_seed(seed)
            drawn.append(torch.randn(self.problem.n, self.d, generator=source, dtype=torch.float64))
        return unit(torch.stack(drawn)).to(self.device, self.dtype)

    def gaps(self, u: Tensor, v: Tensor) -> Tensor:
        """min relevant - max other of every row, (S, m), of the rounded vectors."""
        u, vt = self.scored(u, False), self.scored(v, True).transpose(1, 2)
        out = torch.empty(u.shape[:2], device=u.device, dtype=u.dtype)
        for part in self.chunks(self.m, len(u)):
            s = u[:, part] @ vt
            index = self.relevant[part].expand(len(u), -1, -1)
            low = s.gather(2, index).amin(2)
            out[:, part] = low - s.scatter_(2, index, -math.inf).amax(2)
        return out

    def chunks(self, rows: int, seeds: int) -> list[slice]:
        """The rows in parts whose scores, of all seeds, are held at a time."""
        step = max(1, self.chunk // (self.problem.n * seeds))
        return [slice(at, min(rows, at + step)) for at in range(0, rows, step)]

    def strict_in_float64(self, u: Tensor, v: Tensor) -> bool:
        """Whether every row is strict in float64 too."""
        if self.dtype == torch.float64 or self.device.type == "mps":
            return True
        rounded = self.scored(u[None], False).double(), self.scored(v[None], True).double()
        least = torch.full((1,), math.inf, device=u.device, dtype=torch.float64)
        vt = rounded[1].transpose(1, 2)
        for part in self.chunks(self.m, 2):
            s = rounded[0][:, part] @ vt
            index = self.relevant[part][None]
            low = s.gather(2, index).amin(2)
            least = torch.minimum(least, (low - s.scatter_(2, index, -math.inf).amax(2)).amin(1))
        return bool(to_host(self.peers.least(least))[0] > self.gap)


def release(device: str) -> None:
    """Give back what the device's allocator keeps."""
    if device.startswith("cuda"):
        torch.cuda.empty_cache()


@contextmanager
def arithmetic() -> Iterator[None]:
    """No TF32; and no denormal numbers on the CPU, which slow softmax and products down severalfold."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(False)
        torch.set_float32_matmul_precision(before)
