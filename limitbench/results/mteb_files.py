"""Published result files of mteb, and which ranks of models their tasks can tell apart.

Tasks are the units: a leaderboard's mean is one over tasks, and another choice of tasks would have given another order. So two
models are told apart by a paired randomisation test over the tasks that all models have (mteb issue 5208 asks for this).
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from limitbench.errors import DataError, InputError
from limitbench.files import read_record
from limitbench.statistics import Comparison, compare_all, group_letters, inseparable_groups

_RESAMPLES = 1999
_FEWEST = 5  # tasks: of four, no order of signs is rarer than one in eight


@dataclass(frozen=True)
class Ranked:
    """One model: its mean over the shared tasks, its rank, the ranks that 95 % of other draws of tasks give it, its groups."""

    model: str
    mean: float
    rank: int
    lowest: int
    highest: int
    group: str


@dataclass(frozen=True)
class Separation:
    """Models, best first; the tasks that all have; how many others were left out; and every pair's test."""

    models: tuple[Ranked, ...]
    tasks: tuple[str, ...]
    left_out: int
    pairs: tuple[Comparison, ...]


def read_scores(folder: Path, split: str = "test") -> dict[str, dict[str, float]]:
    """The main score of each model on each task, fractions, from `MODEL/REVISION/Task.json` or any nesting like it.

    A task's subsets are averaged. A model is named by the `model_meta.json` beside its files, else by the folder above the
    revision. Files of other kinds are passed over. Raises `DataError` for a score that is no number, `InputError` where there is
    none at all.
    """
    found: dict[str, dict[str, float]] = defaultdict(dict)
    for path in sorted(folder.rglob("*.json")):
        if path.name == "model_meta.json":
            continue
        told = read_record(path)
        if not isinstance(told, dict) or "task_name" not in told or not isinstance(told.get("scores"), dict):
            continue
        splits = told["scores"]
        rows = splits.get(split) or (next(iter(splits.values())) if len(splits) == 1 else None)
        if not isinstance(rows, list) or not rows:
            continue
        try:
            values = [float(row["main_score"]) for row in rows]
        except (KeyError, TypeError, ValueError):
            raise DataError(path, "has a score that is no number, expected scores.SPLIT[].main_score") from None
        if not np.isfinite(values).all():
            raise DataError(path, "has a score that is NaN or infinite; leave the file out")
        found[_model(path)][str(told["task_name"])] = float(np.mean(values))
    if not found:
        raise InputError(f"{folder} has no result file of mteb's, expected MODEL/REVISION/Task.json")
    return dict(found)


def _model(path: Path) -> str:
    meta = path.parent / "model_meta.json"
    if meta.is_file():
        told: Any = read_record(meta)
        if isinstance(told, dict) and told.get("name"):
            return str(told["name"])
    return path.parent.parent.name or path.parent.name


def separated(scores: dict[str, dict[str, float]], *, level: float = 0.05, seed: int = 0) -> Separation:
    """Which of these models the tasks can tell apart. Raises `InputError` for fewer than two models or five shared tasks."""
    tasks = sorted(set.intersection(*(set(row) for row in scores.values())))
    every = {task for row in scores.values() for task in row}
    if len(scores) < 2 or len(tasks) < _FEWEST:
        raise InputError(
            f"found {len(scores)} models with {len(tasks)} tasks that all of them have, expected 2 and {_FEWEST} or more"
        )
    values = {model: np.array([row[task] for task in tasks]) for model, row in scores.items()}
    pairs = compare_all(values, seed=seed)
    letters = group_letters(inseparable_groups(pairs, level=level))
    names = sorted(values, key=lambda model: -values[model].mean())
    table = np.stack([values[name] for name in names])  # (models, tasks)
    rng = np.random.default_rng(seed)
    ranks = np.empty((_RESAMPLES, len(names)))
    for draw in range(_RESAMPLES):
        means = table[:, rng.integers(0, len(tasks), len(tasks))].mean(axis=1)
        ranks[draw] = (means[None, :] > means[:, None]).sum(axis=1) + 1
    low, high = np.quantile(ranks, [0.025, 0.975], axis=0, method="nearest").astype(int)
    return Separation(
        tuple(
            Ranked(name, float(values[name].mean()), i + 1, int(low[i]), int(high[i]), letters[name])
            for i, name in enumerate(names)
        ),
        tuple(tasks), len(every) - len(tasks), tuple(pairs),
    )  # fmt: skip
