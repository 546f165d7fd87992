"""Our records beside the paper's published figures, like with like: same dataset, same measures, each row labelled."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Literal

from limitbench import catalog
from limitbench.results import Means, Result

_TABLES = {  # dataset       table of the paper
    "limit-small": "table4_limit_small",
    "limit": "table5_limit_full",
}


@dataclass(frozen=True)
class Row:
    """One line of a comparison; `means` are fractions in [0, 1]."""

    system: str
    source: Literal["ours", "published"]
    means: dict[str, Means]
    dim: int | None = None
    record: Result | None = None


@dataclass(frozen=True)
class Comparison:
    """One dataset: our rows, and the paper's where it has some, sorted by the first measure both have."""

    dataset: str
    published_as: str | None
    measures: tuple[str, ...]
    rows: tuple[Row, ...] = field(default=())

    @property
    def caption(self) -> str:
        """What the published rows were measured on, where that is not the dataset itself."""
        if self.published_as is None:
            return "the paper has no figures for this dataset"
        if self.published_as == self.dataset:
            return "published: arXiv 2508.21038v2, on this dataset"
        return (
            f"published: arXiv 2508.21038v2, on the real {self.published_as}; ours: on {self.dataset}, "
            "which has its relevance pattern and other words"
        )


@cache
def paper() -> dict[str, Any]:
    """The paper's figures, as in `results/reference/limit-paper.json`."""
    out: dict[str, Any] = json.loads((catalog.folder("reference") / "limit-paper.json").read_text(encoding="utf-8"))
    return out


def published(dataset: str, *, all_dims: bool = False) -> list[Row]:
    """The paper's rows for `limit` or `limit-small`; each model at its full dimension, or at every one."""
    rows = []
    largest: dict[str, int] = {}
    table = paper()[_TABLES[dataset]] if dataset in _TABLES else []
    for entry in table:
        largest[entry["model"]] = max(largest.get(entry["model"], 0), entry["dim"] or 0)
    for entry in table:
        if all_dims or (entry["dim"] or 0) == largest[entry["model"]]:
            means = {
                key.replace("recall", "Recall"): Means(mean=value / 100, worst=value / 100, best=value / 100)
                for key, value in entry.items()
                if key.startswith("recall@") and value is not None
            }
            rows.append(Row(entry["model"], "published", means, dim=entry["dim"]))
    return rows


def compare(records: Iterable[Result], *, all_dims: bool = False) -> list[Comparison]:
    """One comparison a dataset digest, our records beside the published rows."""
    groups: dict[tuple[str, str], list[Result]] = {}
    for record in records:
        groups.setdefault((record.dataset.name, record.dataset.sha256), []).append(record)
    out = []
    for (dataset, _), results in sorted(groups.items()):
        known_as = next((r.dataset.published_as for r in results if r.dataset.published_as), None)
        theirs = published(known_as, all_dims=all_dims) if known_as else []
        ours = _merged(results)
        measures = tuple(dict.fromkeys(title for r in results for title in r.measures))
        shared = next((m for m in measures if any(m in row.means for row in theirs)), measures[0])
        rows = sorted([*ours, *theirs], key=lambda row: -row.means[shared].mean if shared in row.means else 1.0)
        out.append(Comparison(dataset, known_as, measures, tuple(rows)))
    return out


def _merged(results: list[Result]) -> list[Row]:
    """One row a configuration, the newest figure of each measure; rows of one name and other options are told apart."""
    by_options: dict[str, list[Result]] = {}
    for record in sorted(results, key=lambda r: str(r.provenance.get("time", ""))):
        key = json.dumps([record.retriever.name, record.retriever.configuration], sort_keys=True)
        by_options.setdefault(key, []).append(record)
    names = [same[0].retriever.name for same in by_options.values()]
    rows = []
    for same in by_options.values():
        newest = same[-1]
        name = newest.retriever.name
        label = f"{name} [{newest.configuration_digest[:6]}]" if names.count(name) > 1 else name
        means = {title: value for record in same for title, value in record.measures.items()}
        rows.append(Row(label, "ours", means, dim=newest.retriever.facts.get("dim"), record=newest))
    return rows
