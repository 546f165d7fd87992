"""Free embeddings by the sigmoid loss with a learnt temperature and bias (Zhai et al. 2023), which arXiv 2605.23556 prefers.

Unit documents and one unit query per relevant set, both free; for every query and document softplus(-y (t s + b)), y = 1 where the
document is relevant and -1 elsewhere, summed over documents and averaged over queries. Log t and b are learnt with the vectors, by
Adam with rate 0.01, halved up to eight times where the loss stops falling. Where the loss is small, all relevant scores are above
-b / t and all others below: one threshold for all queries, a margin around it, and more than the strict order that is checked here.
Steps and the end of a run are those of `paper`.

The settings of arXiv 2605.23556 are not known here; these are SigLIP's start, t = 10 and b = -10.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from limitbench.capacity.paper import InfoNCE, Protocol
from limitbench.capacity.problem import Problem

_TEMPERATURE, _BIAS = 10.0, -10.0
SIGMOID = Protocol(halvings=8)


class Sigmoid(InfoNCE):
    """The solver for one problem and dimension; `attempt` runs a batch of seeds side by side."""

    def __init__(self, problem: Problem, d: int, *, protocol: Protocol = SIGMOID, **options: Any) -> None:
        super().__init__(problem, d, protocol=protocol, **options)

    def begin(self, seeds: int) -> None:
        """Temperature and bias of each seed at their start, and Adam's means of their gradients."""
        device, dtype = self.scores.device, self.scores.dtype
        self.scale = torch.tensor([math.log(_TEMPERATURE), _BIAS], device=device, dtype=dtype).repeat(
            seeds, 1
        )  # (S, 2)
        self.slope, self.mean, self.square = (torch.zeros_like(self.scale) for _ in range(3))

    def step(self, t: int, move: Tensor) -> None:
        """One step of Adam for log temperature and bias."""
        self.mean.lerp_(self.slope, 0.1)
        self.square.mul_(0.999).addcmul_(self.slope, self.slope, value=0.001)
        size = self.protocol.rate * math.sqrt(1 - 0.999**t) / (1 - 0.9**t)
        self.scale -= size * move[:, :, 0] * self.mean / (self.square.sqrt() + 1e-8)

    def _gradient(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The gradient for documents and queries x (S, n + m, d), and each seed's loss; that for the scale is kept for `step`."""
        inner, n, m = self.scores, self.problem.n, self.problem.m
        v, u = inner.scored(x[:, :n], True), inner.scored(x[:, n:], False)
        temperature, bias = self.scale[:, :1, None].exp(), self.scale[:, 1:, None]
        g = torch.empty_like(x)
        gv, gu = g[:, :n].zero_(), g[:, n:]
        loss = torch.zeros(len(u), device=u.device, dtype=u.dtype)
        self.slope = torch.zeros_like(self.scale)
        vt = v.transpose(1, 2)
        for part in inner.chunks(inner.m, len(u)):
            uc = u[:, part]
            s = torch.bmm(uc, vt)  # (S, c, n)
            index = inner.relevant[part].expand(len(u), -1, -1)
            sign = torch.full_like(s, -1.0).scatter_(2, index, 1.0)
            z = (s * temperature + bias) * sign
            loss -= logsigmoid(z).sum((1, 2)) / m
            dz = torch.sigmoid(-z).mul_(sign).div_(-m)
            self.slope[:, 0] += (dz * s).sum((1, 2)) * temperature[:, 0, 0]
            self.slope[:, 1] += dz.sum((1, 2))
            dz.mul_(temperature)
            gu[:, part] = torch.bmm(dz, v)
            gv.baddbmm_(dz.transpose(1, 2), uc)
        return g, loss
