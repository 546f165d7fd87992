"""Hybrids with learned weights, measured on queries that the weights were not learned from.

The queries are dealt into folds. For each, the fusion and the weights are chosen that do best on the others, and the fold is scored
with them. So every query is scored by weights that never saw it, and the mean can be held against fixed fusions and members alone.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from limitbench.collection import Dataset
from limitbench.datasets import load
from limitbench.errors import InputError
from limitbench.evaluation.single import naming
from limitbench.measures import TiedRanking, one_measure
from limitbench.progress import Progress, no_progress
from limitbench.rankings import Run
from limitbench.retrievers import Given, RetrieverSpec, retriever
from limitbench.retrievers.hybrid import Hybrid, fused, mean_ranks, normalised
from limitbench.statistics import Interval, paired_randomisation, shown_interval

_STEPS = {2: 20, 3: 10, 4: 5}  # parts of the weights' grid, by members; 4 beyond
_CANDIDATES: int = Hybrid.model_fields["candidates"].default  # that members rank where nothing is said
_K: float = Hybrid.model_fields["k"].default  # of reciprocal rank fusion


@dataclass(frozen=True)
class Setting:
    """A way to fuse: rrf, min-max or z-score, and each member's weight; they sum to 1. One of weight 1 is that member alone."""

    fusion: str
    weights: tuple[float, ...]

    def spec(self, members: Sequence[str], candidates: int = _CANDIDATES) -> str:
        """The retriever of this setting, without members of weight 0; each ranks so many documents."""
        used = [(member, weight) for member, weight in zip(members, self.weights, strict=True) if weight]
        if len(used) == 1:
            return used[0][0]
        options = (("fusion", "rrf"),) if self.fusion == "rrf" else (("fusion", "sum"), ("normalise", self.fusion))
        names = [member for member, _ in used]
        weights = "+".join(f"{weight:g}" for _, weight in used)
        plain = all("+" not in name and "," not in name for name in names)
        argument = "+".join(names) if plain else None
        listed: tuple[tuple[str, Any], ...] = () if plain else (("members", names),)
        if candidates != _CANDIDATES:
            options = (*options, ("candidates", str(candidates)))
        return str(RetrieverSpec("hybrid", argument, (*listed, *options, ("weights", weights))))


@dataclass(frozen=True)
class Fused:
    """One row: a member, a fixed fusion, or the learned one; its mean over all queries, with limits."""

    name: str
    interval: Interval


@dataclass(frozen=True)
class Fusion:
    """Members, fixed fusions and the learned one on one dataset.

    `learned` is scored on held-out queries; `chosen` are the settings of the folds, `final` the one learned from all queries.
    `against` is the best of members and RRF, known only afterwards; `difference` is the learned mean less its, `p` the p-value of a
    paired randomisation test.
    """

    dataset: str
    measure: str
    members: tuple[str, ...]
    fixed: tuple[Fused, ...]
    learned: Fused
    chosen: tuple[Setting, ...]
    final: Setting
    retriever: str
    against: str
    difference: float
    p: float


def learn_fusion(
    dataset: Dataset | str | Path,
    members: Sequence[Given],
    *,
    measure: str = "nDCG@10",
    folds: int = 2,
    candidates: int = _CANDIDATES,
    seed: int = 0,
    progress: Progress = no_progress,
) -> Fusion:
    """The best fusion of these retrievers, learned and measured by cross-validation.

    Raises `InputError` for fewer than two members, or fewer answered queries than two for each fold.
    """
    data = dataset if isinstance(dataset, Dataset) else load(dataset)
    named = [retriever(member) for member in members]
    names = tuple(one.name for one in named)
    asked = one_measure(measure)
    if candidates < 1 or seed < 0:
        raise InputError(f"found {candidates} candidates and the seed {seed}, expected 1 or more, and 0 or more")
    answered = int((np.diff(data.qrels.relevant.indptr) > 0).sum())
    if len(names) < 2 or len(set(names)) < len(names):
        raise InputError(f"found the members {', '.join(names)}, expected two or more, each once")
    if folds < 2 or answered < 2 * folds:
        raise InputError(
            f"found {folds} folds and {answered} answered queries, expected 2 folds or more and 2 queries in each"
        )
    depth = max(candidates, asked.cutoff)
    runs = []
    for one in named:
        with naming(f"retriever '{one.name}'", "check its options"):
            index = one.retriever.index(data.corpus, progress)
            run = index.search(data.queries, depth + data.ignore_identical_ids, progress).run
            runs.append(run.without_own(depth) if data.ignore_identical_ids else run)
    settings = list(_settings(len(runs)))
    values = np.empty((len(settings), len(data.queries)))
    points = {kind: [_points(run, kind) for run in runs] for kind in ("rrf", "min-max", "z-score")}
    for number, setting in enumerate(settings):
        run = _fused(runs, points[setting.fusion], setting, asked.cutoff)
        values[number] = asked.on(TiedRanking.of(run, data.qrels, "expected"))
        progress("weights", number + 1, len(settings))
    fold = np.random.default_rng(seed).permutation(len(data.queries)) % folds
    held_out = np.empty(len(data.queries))
    chosen = []
    for number in range(folds):
        mine = fold == number
        best = _best(values[:, ~mine])
        chosen.append(settings[best])
        held_out[mine] = values[best, mine]
    final = settings[_best(values)]
    fixed = [(f"{kind}, equal weights", _place(settings, Setting(kind, _equal(len(runs))))) for kind in points]
    alone = [(name, _place(settings, Setting("rrf", _alone(i, len(runs))))) for i, name in enumerate(names)]
    against = max([fixed[0], *alone], key=lambda pair: values[pair[1]].mean())
    return Fusion(
        data.name, repr(asked), names,
        tuple(Fused(name, shown_interval(values[place])) for name, place in [*alone, *fixed]),
        Fused("learned, held out", shown_interval(held_out)), tuple(chosen), final, final.spec(names, candidates), against[0],
        float(held_out.mean() - values[against[1]].mean()), paired_randomisation(held_out, values[against[1]]),
    )  # fmt: skip


def _settings(members: int) -> Iterator[Setting]:
    """Equal weights and members alone first: of settings that do equally well, the first is taken."""
    for kind in ("rrf", "min-max", "z-score"):
        yield Setting(kind, _equal(members))
    for number in range(members):
        yield Setting("rrf", _alone(number, members))
    parts = _STEPS.get(members, 4)
    for kind in ("rrf", "min-max", "z-score"):
        for cut in itertools.combinations(range(parts + members - 1), members - 1):
            ends = (-1, *cut, parts + members - 1)
            weights = tuple((b - a - 1) / parts for a, b in itertools.pairwise(ends))
            if sum(weight > 0 for weight in weights) > 1:
                yield Setting(kind, weights)


def _equal(members: int) -> tuple[float, ...]:
    return (1 / members,) * members


def _alone(number: int, members: int) -> tuple[float, ...]:
    return tuple(float(i == number) for i in range(members))


def _place(settings: Sequence[Setting], wanted: Setting) -> int:
    return settings.index(wanted)


def _best(values: npt.NDArray[np.float64]) -> int:
    return int(np.argmax(np.round(values.mean(axis=1), 12)))


def _points(run: Run, kind: str) -> npt.NDArray[np.float64]:
    return 1 / (_K + mean_ranks(run)) if kind == "rrf" else normalised(run, kind)


def _fused(runs: Sequence[Run], points: Sequence[npt.NDArray[np.float64]], setting: Setting, depth: int) -> Run:
    used = [i for i, weight in enumerate(setting.weights) if weight]
    if len(used) == 1:
        return runs[used[0]]
    return fused([runs[i] for i in used], [points[i] for i in used], [setting.weights[i] for i in used], depth)
