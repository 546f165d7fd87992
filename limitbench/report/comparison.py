"""Our records beside the paper's published figures, like with like: same dataset, same measures, each row labelled."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

from limitbench.report.reference import published_records
from limitbench.results import Means, Result


@dataclass(frozen=True)
class Row:
    """One line of a comparison; `means` are fractions in [0, 1], `values` the same for each query, where they are known."""

    system: str
    source: Literal["ours", "published"]
    means: dict[str, Means]
    dim: int | None = None
    record: Result | None = None
    values: dict[str, list[float]] = field(default_factory=dict)


@dataclass(frozen=True)
class Comparison:
    """One dataset: our rows, and the paper's where it has some, sorted by the first measure both have."""

    dataset: str
    sha256: str
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


def published(dataset: str, *, all_dims: bool = False) -> list[Row]:
    """The paper's rows for `limit` or `limit-small`; each model at its full dimension, or at every one."""
    rows = [
        Row(r.retriever.name, "published", dict(r.measures), dim=r.retriever.facts["dim"], record=r)
        for r in published_records()
        if r.dataset.name == dataset and "trained_on" not in r.retriever.configuration
    ]
    largest: dict[str, int] = {}
    for row in rows:
        largest[row.system] = max(largest.get(row.system, 0), row.dim or 0)
    return [row for row in rows if all_dims or (row.dim or 0) == largest[row.system]]


def compare(records: Iterable[Result], *, all_dims: bool = False) -> list[Comparison]:
    """One comparison a dataset digest, our records beside the published rows; parts of a larger corpus stand aside."""
    groups: dict[tuple[str, str], list[Result]] = {}
    for record in records:
        if record.dataset.part_of is not None:
            continue
        groups.setdefault((record.dataset.name, record.dataset.sha256), []).append(record)
    out = []
    for (dataset, sha256), results in sorted(groups.items()):
        known_as = next((r.dataset.published_as for r in results if r.dataset.published_as), None)
        theirs = published(known_as, all_dims=all_dims) if known_as else []
        ours = _merged(results)
        measures = tuple(dict.fromkeys(title for r in results for title in r.measures))
        shared = next((m for m in measures if any(m in row.means for row in theirs)), measures[0])
        rows = sorted([*ours, *theirs], key=lambda row: -row.means[shared].mean if shared in row.means else 1.0)
        out.append(Comparison(dataset, sha256, known_as, measures, tuple(rows)))
    return out


def _merged(results: list[Result]) -> list[Row]:
    """One row a configuration, the newest figure of each measure; rows of one name and other options are told apart."""
    by_options: dict[str, list[Result]] = {}
    for record in sorted(results, key=lambda r: str(r.provenance.get("time", ""))):
        key = json.dumps([record.retriever.name, record.retriever.configuration], sort_keys=True)
        by_options.setdefault(key, []).append(record)
    names = [_short(same[0].retriever.name) for same in by_options.values()]
    rows = []
    for same in by_options.values():
        newest = same[-1]
        name = _short(newest.retriever.name)
        label = f"{name} [{newest.configuration_digest[:6]}]" if names.count(name) > 1 else name
        means = {title: value for record in same for title, value in record.measures.items()}
        values = {title: one for record in same for title, one in record.per_query.items() if one}
        dim = newest.retriever.facts.get("dim")
        rows.append(Row(label, "ours", means, dim=dim, record=newest, values=values))
    return rows


def single_vector(record: Result) -> bool:
    """Whether a record is of one vector a text, to which bounds on the embedding dimension apply; MaxSim has many."""
    facts = record.retriever.facts
    return isinstance(facts.get("dim"), int) and "index" in facts


def _short(spec: str) -> str:
    """The spec without the options that a sweep spells out and that are the defaults."""
    return spec.replace(",dtype=fp32", "").replace(",index=exact", "")
