"""The protocol of the LIMIT paper's free embeddings (arXiv 2508.21038, sec. 4), as its released script runs it.

Unit documents and one unit query per relevant set, both free; full-batch InfoNCE over all documents at temperature 0.1, the mean
over relevant pairs; Adam with rate 0.01; all vectors scaled back to length 1 after every step; the end after 1000 steps in which
the loss did not fall by 1e-5, or after 100,000. It is looked at every 50 steps whether every top-k set is right.

A seed starts from the vectors that the script starts from with it (`threefry`); the paper's own seed is 42.

The baseline of everything here, so nothing is slow on purpose: the gradient is analytic, the evaluation one pass over the
scores, the loss is read from the device once in 50 steps. Success is strict (min relevant > max other), where the script takes
ties in index order.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from limitbench.capacity import threefry
from limitbench.capacity.anneal import Attempt, Watch, nothing_asked
from limitbench.capacity.problem import Problem
from limitbench.capacity.scores import Scores, adam, to_host, unit


@dataclass(frozen=True)
class Protocol:
    """The numbers of the paper's training run: temperature, rate, steps and when it ends."""

    temperature: float = 0.1
    rate: float = 0.01
    steps: int = 100_000
    patience: int = 1000
    improvement: float = 1e-5
    look: int = 50  # steps between two evaluations
    halvings: int = 0  # times that the rate is halved, each after `patience` steps, before a run ends early


PAPER = Protocol()


class InfoNCE:
    """The paper's solver for one problem and dimension; `attempt` runs a batch of seeds side by side.

    With `common` a run goes on until one threshold parts relevant from other scores in all rows, which asks for more.
    """

    def __init__(
        self,
        problem: Problem,
        d: int,
        *,
        protocol: Protocol = PAPER,
        dtype: str = "fp32",
        device: str = "cpu",
        chunk: int | None = None,
        common: bool = False,
    ) -> None:
        self.protocol, self.common = protocol, common
        self.scores = Scores(problem, d, dtype=dtype, device=device, chunk=chunk)
        self.problem, self.d = problem, d
        self.counts = torch.from_numpy((problem.weight if problem.weight is not None else problem.relevant >= 0).sum(1))
        self.counts = self.counts.to(self.scores.device, self.scores.dtype)  # (m,)

    def attempt(self, seeds: Sequence[int], *, deadline: float = math.inf, watch: Watch | None = None) -> Attempt:
        """Run these seeds together until one is solved, all have stopped early, or the deadline passes."""
        inner, rule = self.scores, self.protocol
        with torch.inference_mode():
            if self.problem.m == 0:
                return nothing_asked(inner, seeds[0])
            x, n = self.start(seeds), self.problem.n
            v, u = x[:, :n], x[:, n:]  # views
            mean, square = torch.zeros_like(x), torch.zeros_like(x)
            self.begin(len(v))
            best = torch.full((len(v),), math.inf, device=v.device, dtype=v.dtype)
            stale, halved = (torch.zeros(len(v), device=v.device, dtype=v.dtype) for _ in range(2))
            move = torch.ones(len(v), 1, 1, device=v.device, dtype=v.dtype)
            for done in range(rule.steps + 1):
                if done % rule.look == 0:
                    seen = to_host(torch.cat([self._gaps(u, v), stale]))
                    least, waited = seen[: len(v)], seen[len(v) :]
                    top = int(least.argmax())
                    solved = bool(least[top] > 0) and inner.strict_in_float64(u[top], v[top])
                    early = bool((waited >= rule.patience).all())
                    late = time.monotonic() > deadline
                    if watch:
                        watch(done, rule.steps, float(least[top]))
                    if solved or early or late or done == rule.steps:
                        stopped = "solved" if solved else "deadline" if late and not early else "schedule"
                        documents = to_host(inner.rounded(v[top : top + 1], True)[0])
                        queries = to_host(inner.rounded(u[top : top + 1], False)[0])
                        return Attempt(solved, documents, queries, seeds[top], done, stopped, float(least[top]) / 2)
                g, loss = self._gradient(x)
                fell = loss < best - rule.improvement
                best = torch.where(fell, loss, best)
                stale = torch.where(fell, torch.zeros_like(stale), stale + 1)
                again = (stale >= rule.patience) & (halved < rule.halvings)
                halved, stale = halved + again.to(v.dtype), torch.where(again, torch.zeros_like(stale), stale)
                move = ((stale < rule.patience) * 0.5**halved).to(v.dtype)[:, None, None]
                adam(x, g, mean, square, rate=rule.rate, b1=0.9, b2=0.999, t=done + 1, move=move, eps=1e-8)
                self.step(done + 1, move)
        raise AssertionError("unreachable: the last step returns")

    def start(self, seeds: Sequence[int]) -> Tensor:
        """Random unit documents, then queries, (S, n + m, d): those of the released script for these seeds."""
        drawn = []
        for seed in seeds:
            queries, documents = threefry.split(threefry.key(seed))
            shapes = (documents, self.problem.n), (queries, self.problem.m)
            parts = [threefry.normal(source, (rows, self.d)) for source, rows in shapes]
            drawn.append(torch.from_numpy(np.concatenate(parts)))
        return unit(torch.stack(drawn)).to(self.scores.device, self.scores.dtype)

    def _gaps(self, u: Tensor, v: Tensor) -> Tensor:
        """The least gap of a row, or the gap of the common threshold, (S,)."""
        inner = self.scores
        if not self.common:
            least: Tensor = inner.gaps(u, v).amin(1)
            return least
        v, u = inner.scored(v, True), inner.scored(u, False)
        low = torch.full((len(u),), math.inf, device=u.device, dtype=u.dtype)
        high = -low
        for part in inner.chunks(inner.m, len(u)):
            s = torch.bmm(u[:, part], v.transpose(1, 2))
            index = inner.relevant[part].expand(len(u), -1, -1)
            low = torch.minimum(low, s.gather(2, index).amin((1, 2)))
            high = torch.maximum(high, s.scatter(2, index, -math.inf).amax((1, 2)))
        return low - high

    def begin(self, seeds: int) -> None:
        """Set up what a loss learns beside the vectors, for so many seeds; InfoNCE learns nothing else."""

    def step(self, t: int, move: Tensor) -> None:
        """Move what a loss learns beside the vectors, after step t of Adam."""

    def _gradient(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The gradient for documents and queries x (S, n + m, d), and each seed's loss: -mean over pairs of log softmax(s / T)."""
        inner, temperature, n = self.scores, self.protocol.temperature, self.problem.n
        v, u = inner.scored(x[:, :n], True), inner.scored(x[:, n:], False)
        pairs = float(self.problem.relevant.size if self.problem.weight is None else self.problem.weight.sum())
        g = torch.empty_like(x)
        gv, gu = g[:, :n].zero_(), g[:, n:]
        loss = torch.zeros(len(u), device=u.device, dtype=u.dtype)
        vt = v.transpose(1, 2)
        for part in inner.chunks(inner.m, len(u)):
            uc = u[:, part]
            s = torch.bmm(uc / temperature, vt)  # (S, c, n)
            index = inner.relevant[part].expand(len(u), -1, -1)
            counts = self.counts[part, None]
            logs = torch.log_softmax(s, 2)
            one = torch.ones_like(index, dtype=u.dtype)
            if inner.repeats is not None:
                one = one * (inner.repeats[part] == 0)
            loss -= (logs.gather(2, index) * one).sum((1, 2)) / pairs
            p = logs.exp_().mul_(counts)
            p.scatter_add_(2, index, -one)
            p.mul_(1 / (temperature * pairs))
            gu[:, part] = torch.bmm(p, v)
            gv.baddbmm_(p.transpose(1, 2), uc)
        return g, loss
