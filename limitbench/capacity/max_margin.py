"""The direction of largest margin for many sets of vectors at once: a batched interior-point method on torch.

For vectors w_1 .. w_K of R^D, the unit direction u that maximises min_i <w_i, u> is b / |b| for the b that minimises |b|^2 / 2
with <w_i, b> >= 1 (the hard-margin form of Boser, Guyon and Vapnik 1992). Mehrotra's predictor and corrector (1992) need a D x D
Cholesky factor a step and no active set, so that thousands of problems run as one batch, on the CPU and on CUDA alike. The host
reads nothing in between.

The multipliers give a point of the hull of the w_i; its length is an upper bound of the margin, whatever the step.

To part a set from others, k x K differences would be rows; a threshold as one more unknown that costs nothing needs k + K
(`parting`).
"""

from __future__ import annotations

import torch
from torch import Tensor

_STEP = 0.99  # of the way to the boundary
_CLOSED = 1e-13  # the complementarity, over |b|^2, at which a problem rests


def max_margin(w: Tensor, steps: int = 20) -> tuple[Tensor, Tensor]:
    """(unit directions (B, D), upper bounds of their margins (B,)) for vectors w (B, K, D), float64.

    A problem whose vectors balance out has no positive margin; its direction is the last iterate.
    """
    b, weight = _solved(w, w.mean(1), torch.ones(w.shape[2], dtype=w.dtype, device=w.device), steps)
    hull = _sum(w, _convex(weight))
    return b / b.norm(dim=1, keepdim=True).clamp_min(1e-300), hull.norm(dim=1)


def parting(own: Tensor, others: Tensor, steps: int = 20) -> tuple[Tensor, Tensor]:
    """As `max_margin` of all differences between a vector of `own` (B, k, D) and one of `others` (B, K, D)."""
    one = torch.ones_like(own[:, :, :1])
    w = torch.cat([torch.cat([own, -one], 2), torch.cat([-others, torch.ones_like(others[:, :, :1])], 2)], 1)
    start = own.mean(1) - others.mean(1)
    level = (own.mean(1) + others.mean(1)).mul(start).sum(1, keepdim=True) / 2
    costs = torch.ones(w.shape[2], dtype=w.dtype, device=w.device)
    costs[-1] = 0
    b, weight = _solved(w, torch.cat([start, level], 1), costs, steps)
    k, b = own.shape[1], b[:, :-1]
    hull = _sum(own, _convex(weight[:, :k])) - _sum(others, _convex(weight[:, k:]))
    return b / b.norm(dim=1, keepdim=True).clamp_min(1e-300), hull.norm(dim=1)


def _solved(w: Tensor, b: Tensor, costs: Tensor, steps: int) -> tuple[Tensor, Tensor]:
    """(b, multipliers) of min sum costs b^2 / 2 with <w_i, b> >= 1, from a start b."""
    ridge = torch.diag(costs)
    level = _scores(w, b)
    size = level.clamp_min(0).mean(1, keepdim=True).clamp_min(1e-12)
    b, level = b / size, level / size
    slack = (level - 1).clamp_min(0.1)
    weight = torch.ones_like(slack) * ((b * b * costs).sum(1, keepdim=True) / w.shape[1]).clamp_min(1e-8)
    for _ in range(steps):
        dual = costs * b - _sum(w, weight)
        primal = _scores(w, b) - 1 - slack
        gap = (slack * weight).mean(1, keepdim=True)
        factor, broken = torch.linalg.cholesky_ex(ridge + w.mT @ ((weight / slack)[..., None] * w))

        def direction(target: Tensor) -> tuple[Tensor, Tensor, Tensor]:
            right = _sum(w, (-target - weight * primal) / slack) - dual  # noqa: B023
            db = torch.cholesky_solve(right[..., None], factor)[..., 0]  # noqa: B023
            ds = _scores(w, db) + primal  # noqa: B023
            return db, ds, (-target - weight * ds) / slack  # noqa: B023

        _, ds, dw = direction(slack * weight)
        ahead = ((slack + _room(slack, ds) * ds) * (weight + _room(weight, dw) * dw)).mean(1, keepdim=True)
        db, ds, dw = direction(slack * weight + ds * dw - (ahead / gap) ** 3 * gap)
        goes_on = (gap[:, 0] > _CLOSED * (b * b * costs).sum(1)) & (broken == 0)
        goes_on &= torch.isfinite(db).all(1) & torch.isfinite(dw).all(1)
        near, far = _STEP * _room(slack, ds), _STEP * _room(weight, dw)
        on = goes_on[:, None]
        b, slack = torch.where(on, b + near * db, b), torch.where(on, slack + near * ds, slack)
        weight = torch.where(on, weight + far * dw, weight)
    return b, weight.clamp_min(0)


def _convex(weight: Tensor) -> Tensor:
    return weight / weight.sum(1, keepdim=True).clamp_min(1e-300)


def _scores(w: Tensor, b: Tensor) -> Tensor:
    return torch.bmm(w, b[..., None])[..., 0]


def _sum(w: Tensor, weight: Tensor) -> Tensor:
    return torch.bmm(weight[:, None], w)[:, 0]


def _room(x: Tensor, move: Tensor) -> Tensor:
    """The part of a move, at most 1, that keeps x positive."""
    return torch.where(move < 0, -x / move, torch.inf).amin(1, keepdim=True).clamp_max(1.0)
