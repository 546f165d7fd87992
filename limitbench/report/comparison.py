"""Our records beside the paper's published figures, like with like: same dataset, same measures, each row labelled."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from limitbench import catalog
from limitbench.errors import InputError
from limitbench.report.reference import published_records
from limitbench.results import DatasetFacts, Means, Result
from limitbench.retrievers.spec import is_spec, shortened
from limitbench.tables import Tabular, short

_FIRST = ("Recall@2", "Recall@10", "Recall@20", "Recall@100", "ExactSet@2", "nDCG@10", "MRR@10")


@dataclass(frozen=True)
class Row:
    """One line of a comparison; `means` are fractions in [0, 1], `values` the same for each query, where they are known.

    `records` are those of one configuration, the newest last.
    """

    system: str
    source: Literal["ours", "published"]
    means: dict[str, Means]
    dim: int | None = None
    records: tuple[Result, ...] = ()
    values: dict[str, list[float]] = field(default_factory=dict)

    def __repr__(self) -> str:
        told = ", ".join(f"{title} {means.mean:.4f}" for title, means in list(self.means.items())[:3])
        return f"Row({short(self.system)}, {self.origin}: {told})"

    @property
    def record(self) -> Result | None:
        """The newest record of our own; None for a published row."""
        return self.records[-1] if self.records and self.source == "ours" else None

    @property
    def origin(self) -> str:
        """Where the figures come from: published, imported (a run that was made elsewhere), or measured here."""
        if self.record is None:
            return "published"
        return "imported" if self.record.retriever.configuration.get("adapter") == "run" else "measured"

    @property
    def of_exact(self) -> float | None:
        """The share of exact search's best documents that an approximate index found; None of others."""
        found = None if self.record is None else self.record.retriever.facts.get("agreement_with_exact")
        return float(found) if isinstance(found, int | float) else None


@dataclass(frozen=True)
class Comparison(Tabular):
    """One dataset: our rows and the paper's, sorted by `headline`: the first measure that both have, Recall@2 before others."""

    dataset: str
    sha256: str
    published_as: str | None
    measures: tuple[str, ...]
    headline: str
    rows: tuple[Row, ...] = field(default=())

    def __repr__(self) -> str:
        lines = [
            f"  {short(row.system, 40):40} {100 * row.means[self.headline].mean:6.1f} % {row.origin}"
            for row in self.rows
            if self.headline in row.means
        ]
        more = [f"  and {len(self.rows) - 12} more"] if len(self.rows) > 12 else []
        return "\n".join([f"Comparison({self.dataset}, {self.headline}, {len(self.rows)} rows)", *lines[:12], *more])

    def table_rows(self) -> list[dict[str, Any]]:
        """One row a system: the mean of every measure, where it is known."""
        titles = dict.fromkeys(title for row in self.rows for title in row.means)
        return [
            {
                "dataset": self.dataset, "system": row.system, "source": row.origin, "dim": row.dim,
                **{title: row.means[title].mean if title in row.means else None for title in titles},
            }
            for row in self.rows
        ]  # fmt: skip

    @property
    def caption(self) -> str:
        """What the published rows were measured on, where that is not the dataset itself."""
        if self.published_as is None:
            return "the paper has no figures for this dataset"
        if self.published_as == self.dataset:
            return "published: arXiv 2508.21038v2, on this dataset"
        return (
            f"published: arXiv 2508.21038v2, on the real {self.published_as}; measured: on {self.dataset}, "
            "which has its relevance pattern and other words"
        )


def published(dataset: str, *, all_dims: bool = False) -> list[Row]:
    """The paper's rows for `limit` or `limit-small`; each model at its full dimension, or at every one."""
    rows = [
        Row(r.retriever.name, "published", dict(r.measures), dim=r.retriever.facts["dim"], records=(r,))
        for r in published_records()
        if r.dataset.name == dataset and "trained_on" not in r.retriever.configuration
    ]
    largest: dict[str, int] = {}
    for row in rows:
        largest[row.system] = max(largest.get(row.system, 0), row.dim or 0)
    return [row for row in rows if all_dims or (row.dim or 0) == largest[row.system]]


def first_measure(titles: Iterable[str]) -> str:
    """The measure that stands for the others: Recall@2 where it is there, else another usual one, else the first."""
    return in_order(titles)[0]


def lead_measure(titles: Iterable[str], about: DatasetFacts, k: int | None = None) -> str:
    """The measure that a dataset's rows are sorted by.

    nDCG@10 for data of users. Else recall at the smallest cutoff that holds the k relevant documents of most queries, and Recall@2
    for LIMIT. A cutoff as large as the corpus tells nothing, and is the last choice.
    """
    known = list(titles)
    told = [title for title in known if int(title.partition("@")[2]) < about.documents] or known
    if about.published_as is None and about.name not in catalog.names("datasets"):
        return "nDCG@10" if "nDCG@10" in told else first_measure(told)
    cuts = sorted(int(title.partition("@")[2]) for title in told if title.startswith("Recall@"))
    fitting = [f"Recall@{cut}" for cut in cuts if k is not None and cut >= k > 2]
    return fitting[0] if fitting else first_measure(told)


def in_order(titles: Iterable[str]) -> list[str]:
    """The measures, the usual ones first."""
    known = list(dict.fromkeys(titles))
    return [*(t for t in _FIRST if t in known), *(t for t in known if t not in _FIRST)]


def compare(records: Iterable[Result], *, all_dims: bool = False, measure: str | None = None) -> list[Comparison]:
    """One comparison a dataset digest that we measured something on, beside the published rows; parts of a larger corpus stand
    aside.

    Rows are sorted by `measure` where a dataset's records have it. Else by one that all of them share, with the paper if it has
    figures: Recall@2 first for LIMIT's pattern and data of our generator, nDCG@10 for others. Raises `InputError` where no record
    has `measure`.
    """
    groups: dict[tuple[str, str], list[Result]] = {}
    every = list(records)
    if measure is not None and every and not any(measure in r.measures for r in every):
        known = ", ".join(in_order(title for r in every for title in r.measures))
        raise InputError(f"no record here has {measure}; they have: {known}")
    for record in every:
        if record.dataset.part_of is None:
            groups.setdefault((record.dataset.name, record.dataset.sha256), []).append(record)
    out = []
    for (dataset, sha256), results in sorted(groups.items()):
        if all(r.evidence == "published" for r in results):
            continue
        known_as = next((r.dataset.published_as for r in results if r.dataset.published_as), None)
        theirs = published(known_as, all_dims=all_dims) if known_as else []
        measures = tuple(dict.fromkeys(title for r in results for title in r.measures))
        both = [title for title in measures if any(title in row.means for row in theirs)]
        shared = [title for title in both or measures if all(title in r.measures for r in results)]
        about = results[0].dataset.model_copy(update={"published_as": known_as})
        k = next((r.subsets.k for r in results if r.subsets), None)
        headline = measure if measure in measures else lead_measure(shared or both or measures, about, k)
        rows = sorted([*rows_of(results), *theirs], key=lambda row, by=headline: _falling(row, by))  # type: ignore[misc]
        out.append(Comparison(dataset, sha256, known_as, measures, headline, tuple(rows)))
    return out


def _falling(row: Row, headline: str) -> float:
    return -row.means[headline].mean if headline in row.means else 1.0


def rows_of(results: Sequence[Result]) -> list[Row]:
    """One row a configuration of these records of one dataset, the newest figure of each measure.

    Rows of one name and other options are told apart by their digest. Imported runs are systems of their own, whatever they rank:
    one row a name.
    """
    by_options: dict[str, list[Result]] = {}
    for record in sorted(results, key=lambda r: str(r.provenance.get("time", ""))):
        named = record.retriever.name if record.retriever.configuration.get("adapter") == "run" else None
        key = json.dumps([record.evidence, named, record.retriever.configuration], sort_keys=True)
        by_options.setdefault(key, []).append(record)
    names = [_name_of(same) for same in by_options.values()]
    rows = []
    for name, same in zip(names, by_options.values(), strict=True):
        newest = same[-1]
        label = f"{name} [{newest.configuration_digest[:6]}]" if names.count(name) > 1 else name
        means = {title: value for record in same for title, value in record.measures.items()}
        values = {title: one for record in same for title, one in record.per_query.items() if one}
        dim = newest.retriever.facts.get("dim")
        source: Literal["ours", "published"] = "published" if newest.evidence == "published" else "ours"
        rows.append(Row(label, source, means, dim=dim, records=tuple(same), values=values))
    return rows


def _name_of(same: Sequence[Result]) -> str:
    """The name of a configuration's row: the newest label that a user gave it, else its shortest spec."""
    names = [shortened(r.retriever.name, dtype="fp32", index="exact") for r in same]
    labels = [name for name in names if not is_spec(name)]
    newest = labels[-1].partition(",")[0] if labels else None
    return min((name for name in names if newest is None or name.partition(",")[0] == newest), key=len)


def single_vector(record: Result) -> bool:
    """Whether a record is of one vector a text, to which bounds on the embedding dimension apply; MaxSim has many."""
    facts = record.retriever.facts
    return isinstance(facts.get("dim"), int) and "index" in facts


def by_distance(record: Result) -> bool:
    """Whether a record's scores are distances, of which the bounds on inner products and cosines say nothing."""
    return record.retriever.facts.get("similarity") in ("euclidean", "manhattan")
