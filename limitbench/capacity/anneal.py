"""Free embeddings by annealing a smoothed worst-pair margin: documents and queries optimised jointly.

For unit documents v (n, d), unit queries u (m, d) and scores s = u v^T, row q with relevant documents S has the loss

    softplus(z),   z = log sum_{j not in S} exp(s_j / T) + log sum_{p in S} exp(-s_p / T) + 2 gamma / T

which for T -> 0 counts the rows whose gap min_S s - max_rest s is not above 2 gamma. T falls geometrically, and so does the
rate of Adam (Kingma and Ba 2015); after every step all vectors are scaled back to the sphere. Rows whose gap is far above T have
neither loss nor gradient, rest, and are looked at again once a block of steps. Every few blocks, queries that still fail are
replaced by the best ones for the documents as they are (`exact_queries`). Before all that comes an opening: a few steps at one low
temperature, which solve most corpora that are not near critical-n; what they do not solve starts anew.

The device is read once a block. Whether all rows of a seed are strict is decided on the device at every step, and freezes that
seed until the host looks; where the device is the host, it looks at once.
"""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from limitbench.capacity.max_margin_query import best_query
from limitbench.capacity.problem import Problem
from limitbench.capacity.schedule import DEFAULT, Schedule, Setting
from limitbench.capacity.scores import Peers, Scores, adam, to_host, unit
from limitbench.errors import InputError

Watch = Callable[[int, int, float], None]  # steps done, steps at most, least gap so far


@dataclass(frozen=True, eq=False)
class Attempt:
    """What a batch of seeds came to.

    `documents` (n, d) and `queries` (m, d) are float arrays whose values the stored dtype holds, of the seed that was solved,
    else of the one that came closest. `stopped` is "solved", "schedule" or "deadline"; `margin` half the least gap.
    """

    solved: bool
    documents: npt.NDArray[Any]
    queries: npt.NDArray[Any]
    seed: int
    steps: int
    stopped: str
    margin: float


def nothing_asked(scores: Scores, seed: int) -> Attempt:
    """The attempt on a problem without a row: any documents do."""
    documents = to_host(scores.rounded(scores.start([seed]), True)[0])
    return Attempt(True, documents, np.empty((0, scores.d), documents.dtype), seed, 0, "solved", math.inf)


class Annealer(Scores):
    """The solver for one problem, dimension, dtype and device; `attempt` runs a batch of seeds.

    `margin` is the half-gap to reach. `chunk` bounds the scores (seeds x rows x documents) held at a time. With `peers`, this
    process holds every `world`-th query.
    """

    def __init__(
        self,
        problem: Problem,
        d: int,
        *,
        setting: Setting = DEFAULT,
        margin: float = 0.0,
        dtype: str = "fp32",
        device: str = "cpu",
        chunk: int | None = None,
        peers: Peers | None = None,
    ) -> None:
        super().__init__(problem, d, margin=margin, dtype=dtype, device=device, chunk=chunk, peers=peers)
        self.setting = setting
        self.large = problem.m * problem.n >= setting.large

    # ----------------------------------------------------------------------------------------------------------- starts

    def spread(self, v: Tensor) -> None:
        """Lower the largest |cosine| of the documents, in place: (S, n, n) memory."""
        steps = self.setting.spread
        m, s = torch.zeros_like(v), torch.zeros_like(v)
        move = torch.ones(len(v), 1, 1, device=v.device, dtype=v.dtype)
        for t in range(1, steps + 1):
            temperature = 0.1 * 0.1 ** (t / steps)
            g = v @ v.transpose(1, 2)  # (S, n, n)
            g.diagonal(dim1=1, dim2=2).zero_()
            w = torch.softmax(g.abs().div_(temperature).flatten(1), 1).view_as(g).mul_(g.sign())
            adam(v, (w @ v).mul_(v.shape[1]), m, s, rate=0.03, b1=0.9, b2=0.99, t=t, move=move)

    def queries(self, v: Tensor, seeds: Sequence[int]) -> Tensor:
        """Where queries start, (S, m, d): unit(sum of the relevant - k mean), or random."""
        if not self.setting.centroid:
            source = torch.Generator().manual_seed(seeds[0] + 1)
            whole = torch.randn(len(v), self.problem.m, self.d, generator=source, dtype=torch.float64)
            return unit(whole[:, self.peers.rank :: self.peers.world]).to(v)
        centred = v - v.mean(1, keepdim=True)
        out = torch.zeros(len(v), self.m, self.d, device=v.device, dtype=v.dtype)
        for j in range(self.k):
            part = centred[:, self.relevant[:, j]]
            out += part if self.repeats is None else part * (self.repeats[:, j, None] == 0)
        return unit(out)

    # ----------------------------------------------------------------------------------------------------------- scores

    def gradient(
        self, x: Tensor, relevant: Tensor, repeats: Tensor | None, temperature: float
    ) -> tuple[Tensor, Tensor]:
        """T times the gradient for documents and queries x (S, n + a, d), and the least gap of each seed over T, (S, 1).

        Rounding counts as the identity here (straight through).
        """
        n = self.problem.n
        v, u = self.scored(x[:, :n], True), self.scored(x[:, n:], False)
        vt, g = v.transpose(1, 2), torch.empty_like(x)
        gv, gu = g[:, :n], g[:, n:]
        worst: Tensor | None = None
        for part in self.chunks(len(relevant), len(x)):
            index = relevant[part].expand(len(x), -1, -1)  # (S, c, K)
            uc = u[:, part]
            s = torch.bmm(uc / temperature, vt)  # (S, c, n)
            positive = s.gather(2, index)
            s.scatter_(2, index, -math.inf)
            low = positive.amin(2, keepdim=True)
            gap = (low - s.amax(2, keepdim=True)).amin(1)
            worst = gap if worst is None else torch.minimum(worst, gap)
            if repeats is not None:
                positive = positive + repeats[part]
            share = torch.exp(low - positive)  # (S, c, K), of each relevant document in the smoothed worst of them
            total = share.sum(2, keepdim=True)
            bar = low - total.log()  # (S, c, 1), -log sum exp(-positive)
            share.div_(total)
            if self.gap:
                bar.sub_(self.gap / temperature)
            first = index[..., :1]
            s.scatter_(2, first, bar)
            p = torch.softmax(s, 2)  # sigmoid(z) times the share of each other document, and 1 - sigmoid(z) at `first`
            pull = share.mul_(p.gather(2, first).sub_(1))
            if repeats is None:
                p.scatter_(2, index, pull)
            else:  # a document that is listed twice counts once: its second share is 0
                p.scatter_(2, index, 0.0).scatter_add_(2, index, pull)
            gu[:, part] = torch.bmm(p, v)
            gv.baddbmm_(p.transpose(1, 2), uc, beta=0.0 if part.start == 0 else 1.0)
        if worst is None:  # no row here: another process has them all
            gv.zero_()
            worst = torch.full((len(x), 1), math.inf, device=x.device, dtype=x.dtype)
        return g, worst

    # ---------------------------------------------------------------------------------------------------------- the run

    def attempt(
        self,
        seeds: Sequence[int],
        *,
        deadline: float = math.inf,
        warm: npt.NDArray[Any] | None = None,
        steps: int | None = None,
        heat: float = 0.0,
        watch: Watch | None = None,
    ) -> Attempt:
        """Run these seeds together until one is solved, the schedule ends or the deadline (monotonic seconds) passes.

        `warm` (n', d), n' <= n, are documents to go on from, the rest being random; `heat` in [0, 1) is the part of the schedule
        to skip. With `steps`, the schedule is of that length and has no opening. Raises `InputError` for a warm start that is not
        finite or of another shape.
        """
        if self.problem.m == 0:
            return nothing_asked(self, seeds[0])
        with torch.inference_mode():
            v = self._documents(seeds, warm)
            x = torch.cat([v, self.queries(v, seeds)], 1)
            rule = self.setting.schedule(steps or self.setting.steps(self.d, self.k), heat)
            opening = self.setting.first(0 if steps or warm is not None else rule.steps)
            if not opening.steps:
                return self._anneal(x, seeds, deadline, rule, watch)
            found = self._anneal(x.clone(), seeds, deadline, opening, watch)
            if found.stopped != "schedule":
                return found
            found = self._anneal(x, seeds, deadline, rule, watch)
            return replace(found, steps=opening.steps + found.steps)

    def _documents(self, seeds: Sequence[int], warm: npt.NDArray[Any] | None) -> Tensor:
        v = self.start(seeds)
        if warm is not None:
            if warm.ndim != 2 or warm.shape[1] != self.d or not 1 <= len(warm) <= self.problem.n:
                raise InputError(
                    f"found a warm start of shape {warm.shape}, expected at most {self.problem.n} documents of {self.d} dimensions"
                )
            if not np.isfinite(warm).all():
                raise InputError("found a number that is not finite in the warm start; start without it, or mend it")
            v[:, : len(warm)] = unit(torch.from_numpy(np.ascontiguousarray(warm)).to(v))
        elif self.setting.spread and self.d >= 4 * self.k - 1 and self.large:
            self.spread(v)
        return v

    def _anneal(self, x: Tensor, seeds: Sequence[int], deadline: float, rule: Schedule, watch: Watch | None) -> Attempt:
        setting, total, n = self.setting, rule.steps, self.problem.n
        first = done = rule.first
        mean, square = torch.zeros_like(x), torch.zeros_like(x)  # Adam's
        v, u = x[:, :n], x[:, n:]  # views
        every = torch.arange(n, device=x.device)
        move = torch.ones(len(x), 1, 1, device=x.device, dtype=x.dtype)
        for blocks in itertools.count():
            rows, repeats, xa, ma, sa = self.relevant, self.repeats, x, mean, square
            whole = True
            # where no row may rest, the first step itself sees whether all are strict; it costs more than a look, though
            if blocks or rule.reach < math.inf or self.large:
                gaps = self.gaps(u, v)
                active = (gaps < rule.reach * rule.temperature(done) + self.gap).any(0)
                over = done >= total or time.monotonic() > deadline
                due = bool(setting.exact_queries) and (
                    done >= total or blocks % setting.exact_queries == setting.exact_queries - 1
                )
                most = setting.failing * n if due else setting.few if setting.exact_queries else 0
                least, running, a, failing, seen = self._look(gaps, v, active, over)
                over = over or not running
                close = self.peers.world == 1 and 0 < failing.min() <= most and least.max() <= self.gap
                if close and self._replace_failing(*seen, most, u, mean[:, n:], square[:, n:]):
                    least = to_host(self.gaps(u, v).amin(1))
                best = int(np.argmax(least))
                if watch:
                    watch(done, total, float(least[best]))
                solved = bool(least[best] > self.gap) and self.strict_in_float64(u[best], v[best])
                if solved or over:
                    stopped = "solved" if solved else "schedule" if done >= total else "deadline"
                    documents = to_host(self.rounded(v[best : best + 1], True)[0])
                    queries = to_host(self.rounded(u[best : best + 1], False)[0])
                    half = float(least[best]) / 2
                    return Attempt(solved, documents, queries, seeds[best], done - first, stopped, half)
                whole = a == self.m
                if not whole:
                    order = torch.argsort(active.to(torch.uint8), descending=True, stable=True)[:a]
                    rows, repeats = rows[order], None if repeats is None else repeats[order]
                    index = torch.cat([every, order + n])
                    xa, ma, sa = x[:, index], mean[:, index], square[:, index]
            move.fill_(1.0)  # 0 from the step on in which all rows of a seed are strict
            for _ in range(min(setting.block, total - done)):
                g, worst = self.gradient(xa, rows, repeats, rule.temperature(done))
                move *= self._share(g, worst <= self.strict / rule.temperature(done))[..., None]
                done += 1
                if self.on_host and not move.numpy().all():
                    break
                adam(
                    xa, g, ma, sa, rate=rule.rate(done - 1), b1=rule.beta1, b2=setting.beta2, t=done - first, move=move
                )
            if not whole:
                x[:, index], mean[:, index], square[:, index] = xa, ma, sa
        raise AssertionError("unreachable: the count has no end")

    def _share(self, g: Tensor, loose: Tensor) -> Tensor:
        """Add up the documents' gradient over all processes, in place, and say for each seed whether some row anywhere is not
        strict, (S, 1): one all-reduce."""
        if self.peers.world == 1:
            return loose
        gv = g[:, : self.problem.n]
        packed = self.peers.add(torch.cat([gv.flatten(1), loose.to(g.dtype)], 1))
        gv.copy_(packed[:, :-1].reshape(gv.shape))
        return packed[:, -1:] > 0.5

    def _look(
        self, gaps: Tensor, v: Tensor, active: Tensor, over: bool
    ) -> tuple[npt.NDArray[Any], bool, int, npt.NDArray[Any], tuple[npt.NDArray[Any], npt.NDArray[Any]]]:
        """One read: least gap of each seed, whether all processes go on, active rows here, failing rows of each seed here; then the
        gaps (S, m) and documents (S, n, d) themselves, for the re-query."""
        s = len(gaps)
        inf = torch.full((s,), math.inf, device=gaps.device, dtype=gaps.dtype)
        going = torch.full((1,), 0.0 if over else 1.0, device=v.device, dtype=gaps.dtype)
        shared = self.peers.least(torch.cat([gaps.amin(1) if self.m else inf, going]))
        counts = torch.cat([active.sum()[None], (gaps <= self.gap).sum(1)])
        held_here = (gaps.flatten(), self.scored(v, True).flatten())
        seen = to_host(torch.cat([part.double() for part in (shared, counts, *held_here)]))
        head, rest = seen[: 2 * s + 2], seen[2 * s + 2 :]
        held = (rest[: gaps.numel()].reshape(gaps.shape), rest[gaps.numel() :].reshape(v.shape))
        return head[:s], bool(head[s] > 0.5), int(head[s + 1]), head[s + 2 :], held

    def _replace_failing(
        self, gaps: npt.NDArray[Any], v: npt.NDArray[Any], most: int, u: Tensor, *moments: Tensor
    ) -> bool:
        """Replace failing queries by the best ones; whether that left some seed without a failing query."""
        whole = False
        for seed in range(len(gaps)):
            rows = np.flatnonzero(gaps[seed] <= self.gap)
            if len(rows) > most:
                continue
            answers = [best_query(v[seed], self.problem.relevant[row]) for row in rows]
            better = [(row, a.u) for row, a in zip(rows, answers, strict=True) if a.u is not None and a.gap > self.gap]
            if better:
                index = torch.from_numpy(np.array([row for row, _ in better])).to(u.device)
                u[seed, index] = torch.from_numpy(np.stack([w for _, w in better])).to(u)
                for moment in moments:
                    moment[seed, index] = 0
            whole = whole or len(better) == len(rows)
        return whole
