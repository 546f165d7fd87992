"""Result files of mteb: ours as such files, and which ranks of models the tasks of published ones can tell apart.

Tasks are the units: a leaderboard's mean is one over tasks, and another choice of tasks would have given another order. So two
models are told apart by a paired randomisation test over the tasks that all models have (mteb issue 5208 asks for this).
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np

from limitbench.errors import DataError, InputError
from limitbench.files import read_record
from limitbench.results.record import Result
from limitbench.statistics import Comparison, compare_all, group_letters, inseparable_groups

_RESAMPLES = 1999
_TASKS = {"limit": "LIMITRetrieval", "limit-small": "LIMITSmallRetrieval"}
_SIZES = {"limit": (50_000, 1000, 2000), "limit-small": (46, 1000, 2000)}  # documents, queries, relevant pairs
_AS_PUBLISHED = {  # options of a dense model with which its figures are the model's own
    "adapter": "dense", "dim": None, "dtype": "fp32", "index": "exact", "precision": "fp32", "similarity": "model",
    "query_prompt": None, "document_prompt": None,
}  # fmt: skip
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


def write_scores(records: Iterable[Result], folder: Path) -> list[Path]:
    """Write whole-corpus records as mteb lays out results, MODEL/REVISION/Task.json, each with its model_meta.json; their paths.

    Values are expected over ties, where mteb breaks them as trec_eval does. The main score is that of its LIMIT tasks, recall at 2,
    else nDCG at 10, else the first measure. Raises `InputError` where no record can be written so.
    """
    from limitbench.files import atomic_write

    tables: dict[Path, dict[str, Any]] = {}  # records of other measures of one configuration make one file
    for r in records:
        if r.dataset.part_of is not None or r.evidence == "published":
            continue
        name, revision = _named(r)
        task = _task(r)
        place = folder / name.replace("/", "__") / revision
        scores = {_mteb_name(title): means.mean for title, means in r.measures.items()}
        seconds = None if r.cost is None else r.cost.index_seconds + r.cost.search_seconds
        table = tables.setdefault(place / f"{task}.json", {
            "dataset_revision": r.dataset.sha256, "task_name": task, "mteb_version": None,
            "scores": {"test": [{"hf_subset": "default", "languages": ["eng-Latn"]}]}, "evaluation_time": seconds,
            "kg_co2_emissions": None,
        })  # fmt: skip
        if table["dataset_revision"] != r.dataset.sha256:
            raise InputError(f"two datasets would be the task {task}; export one of them, with -d")
        row = table["scores"]["test"][0]
        row |= scores
        first = ("recall_at_2", "ndcg_at_10") if r.dataset.published_as else ("ndcg_at_10", "recall_at_2")
        row["main_score"] = row[next((key for key in first if key in row), next(iter(scores)))]
        tables[place / "model_meta.json"] = {"name": name, "revision": revision}
    if not tables:
        raise InputError("there is no record of a whole corpus that was measured; see: limitbench results list")
    for path, value in tables.items():
        with atomic_write(path) as stream:
            stream.write((json.dumps(value, ensure_ascii=False, indent=2) + "\n").encode())
    return [path for path in tables if path.name != "model_meta.json"]


def task_name(dataset: str) -> str:
    """What mteb calls a dataset of ours: its name in letters and digits."""
    return "".join(part.capitalize() for part in re.findall(r"[A-Za-z0-9]+", dataset)) or "Dataset"


def _task(r: Result) -> str:
    """mteb's name of its LIMIT tasks for their data alone; else that of `task_name`."""
    name, *sizes = r.dataset.name, r.dataset.documents, r.dataset.queries, r.dataset.relevant
    theirs = name in _TASKS and r.dataset.published_as == name and tuple(sizes) == _SIZES[name]
    return _TASKS[name] if theirs else task_name(name)


def _named(r: Result) -> tuple[str, str]:
    """(name, revision) as mteb has them: a model's id and commit where it is used as published; else the spec and a digest."""
    options, card = r.retriever.configuration, r.retriever.card
    known, weights = str(card.get("id", "")), str(card.get("weights", ""))
    digest = hashlib.sha256(json.dumps(options, sort_keys=True, ensure_ascii=False).encode()).hexdigest()[:12]
    as_published = all(options.get(name, "") == value for name, value in _AS_PUBLISHED.items())
    if as_published and re.fullmatch(r"[^./][^/]*/[^/]+", known):
        return known, weights.removeprefix("commit ") if weights.startswith("commit ") else digest
    return f"limitbench/{quote(r.retriever.name, safe=' ,=+-._:')}", digest


def _mteb_name(title: str) -> str:
    """ "nDCG@10" as mteb has it: "ndcg_at_10"."""
    name, _, cutoff = title.partition("@")
    return f"{name.lower()}_at_{cutoff}"


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
