"""What a report says, gathered from the records of a folder, before any page or picture is made of it."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from limitbench import catalog
from limitbench.capacity.fit import published as published_critical_n
from limitbench.capacity.task import OPTIMIZERS
from limitbench.certificates import Notion
from limitbench.collection import Dataset
from limitbench.datasets import dataset_spec, load
from limitbench.dtypes import DTYPES
from limitbench.errors import InputError, LimitbenchError
from limitbench.report.comparison import Comparison, Row, by_distance, compare, in_order, single_vector
from limitbench.report.drowning import Curve, curves
from limitbench.report.frontier import Frontier, frontier
from limitbench.report.looks import Looks, model_of
from limitbench.report.story import role
from limitbench.results import DatasetFacts, Result, Store
from limitbench.statistics import (
    Interval,
    compare_all,
    group_letters,
    inseparable_groups,
    shown_interval,
)
from limitbench.theory import Bracket, bracket
from limitbench.theory.codes import best_code

log = logging.getLogger("limitbench")
_MOST_DOCUMENTS = 200_000  # of a dataset that is read for its texts and its matrix
_LEVEL = 0.05
_BUDGET = 2.0  # seconds for the searches of a bracket


@dataclass(frozen=True)
class Table:
    """One dataset's comparison: the measures shown, our rows' 95 % intervals by system and measure, the records behind them,
    and letters of the groups that the data cannot separate."""

    comparison: Comparison
    columns: tuple[str, ...]
    intervals: dict[str, dict[str, Interval]]
    letters: dict[str, str]
    records: tuple[Result, ...]

    @property
    def headline(self) -> str:
        """The measure that rows are sorted and told apart by."""
        return self.comparison.headline

    @property
    def facts(self) -> DatasetFacts:
        """The facts of the table's dataset."""
        return self.records[0].dataset

    def is_variant(self, system: str) -> bool:
        """Whether this is a sweep's variant of a model whose own row is in the table."""
        model = model_of(system)
        return model != system and any(row.system == model for row in self.ours)

    @property
    def ours(self) -> list[Row]:
        """The rows of our own records, best first."""
        return [row for row in self.comparison.rows if row.source == "ours"]


@dataclass(frozen=True)
class Standing:
    """Where one retriever's dimension stands: against what is proved and constructed for the data, and what free embeddings reach.

    `reached` and `published` are the largest corpora n, with all their pairs, that free embeddings of d dimensions, at most this
    many, were found for, as (n, d): verified in a record of ours, and in the paper's Table 6. `cubic` is the paper's cubic at this
    dimension, empirical, and an extrapolation beyond d = 45. `returned` of the `asked` relevant sets came back for their query.
    """

    dataset: str
    sha256: str
    retriever: str
    dim: int
    dtype: str
    similarity: str
    lower: int | None
    upper: int | None
    distinct: int | None  # documents that need vectors of their own
    reached: tuple[int, int] | None
    published: tuple[int, int] | None
    cubic: float | None
    k: int | None  # the size of the sets counted: the commonest
    asked: int | None
    returned: int | None
    effective_rank: float | None
    # what the best known symmetric code for all pairs of so many documents keeps in this dtype
    code_half_gap: float | None = None
    upper_evidence: str = "constructed"

    @property
    def verdict(self) -> str:
        """What geometry says of this dimension: in exact arithmetic, and of how many vectors the dtype has."""
        if self.lower is None or self.upper is None or self.distinct is None:
            return "not told: the data are not at hand"
        if self.dim < self.lower:
            return f"impossible (proved): {self.lower} are needed by {self.similarity}"
        if self.distinct > 2 ** ((DTYPES[self.dtype].bits or 0) * self.dim):
            return f"impossible (proved): {self.distinct} different vectors are needed, more than {self.dtype} has"
        if self.dim >= self.upper:
            kept = (
                ""
                if self.code_half_gap is None
                else f"; a symmetric code keeps a half-gap of {self.code_half_gap:.2g} in {self.dtype}"
            )
            return f"possible ({self.upper_evidence}): {self.upper} are enough by {self.similarity} in exact arithmetic{kept}"
        enough = f"{self.upper} are enough ({self.upper_evidence})"
        return f"open: {self.lower} are needed (proved), {enough}, by {self.similarity}"


@dataclass(frozen=True, eq=False)
class BenchmarkReport:
    """Everything that a report shows. `data` holds the datasets that are at hand, by digest."""

    folder: Path
    records: tuple[Result, ...]
    tables: tuple[Table, ...]
    curves: tuple[Curve, ...]
    frontier: Frontier
    data: dict[str, Dataset]
    command: str
    version: str
    latency: bool = True  # whether latencies are shown

    @cached_property
    def standings(self) -> tuple[Standing, ...]:
        """Of every single-vector retriever, on every dataset that is no part of another; bounds here are not about distances."""
        return tuple(self._standing(r) for r in self.wholes if single_vector(r) and not by_distance(r))

    @cached_property
    def looks(self) -> Looks:
        """How each retriever is drawn: those of the first tables have colours of their own, references come last."""
        rows = [row for table in self.tables for row in table.ours]
        ranked = sorted(rows, key=lambda row: role(row) != "retriever")
        return Looks([*(row.system for row in ranked), *(curve.retriever for curve in self.curves)])

    @cached_property
    def wholes(self) -> tuple[Result, ...]:
        """The records that the tables show: one a configuration, of no part of a larger corpus."""
        return tuple(r for table in self.tables for r in table.records)

    @cached_property
    def plain(self) -> tuple[Result, ...]:
        """The wholes without variants of a sweep whose model is there itself, on the same dataset."""
        return tuple(r for table in self.tables for r in table.records if not table.is_variant(self.label(r)))

    def label(self, record: Result) -> str:
        """The name that the tables give this record's system."""
        for table in self.tables:
            for row in table.ours:
                if any(record is one for one in row.records):
                    return row.system
        return record.retriever.name

    def bracket(self, sha256: str, notion: Notion = "order_preserving") -> Bracket | None:
        """The certified bracket of a dataset at hand, made once; for cosine, of unit documents."""
        if sha256 in self.data and (sha256, notion) not in self._brackets:
            self._brackets[sha256, notion] = bracket(self.data[sha256].qrels, notion, budget_s=_BUDGET)
        return self._brackets.get((sha256, notion))

    @cached_property
    def _brackets(self) -> dict[tuple[str, Notion], Bracket]:
        return {}

    def _distinct(self, sha256: str) -> int | None:
        """How many documents of a dataset at hand differ in the queries that they are relevant to: they need different vectors."""
        if sha256 not in self.data:
            return None
        qrels = self.data[sha256].qrels
        columns: dict[int, list[int]] = {}
        for query, document in zip(qrels.relevant.rows.tolist(), qrels.relevant.indices.tolist(), strict=True):
            columns.setdefault(document, []).append(query)
        return len({tuple(queries) for queries in columns.values()}) + (len(columns) < qrels.n_documents)

    def _standing(self, r: Result) -> Standing:
        dim = int(r.retriever.facts["dim"])
        notion: Notion = "cosine" if r.retriever.facts.get("similarity") == "cosine" else "order_preserving"
        found = self.bracket(r.dataset.sha256, notion)
        pairs = r.subsets is not None and r.subsets.k == 2 == self.frontier.k and self._pairs_alone(r.dataset)
        solved = [self.frontier.reached.get(solver, {}) for solver in OPTIMIZERS] if pairs else []
        reached = [(n, d) for at in solved for d, n in at.items() if d <= dim]
        table = [(n, d) for d, n in published_critical_n().items() if d <= dim] if pairs else []
        cubic = self.frontier.fits.get("published")
        asked = None if r.subsets is None else r.subsets.asked
        dtype = str(r.retriever.facts.get("dtype", "fp32"))
        size = self.data[r.dataset.sha256].qrels.n_documents if pairs and r.dataset.sha256 in self.data else None
        code = None if size is None or dtype == "binary" else best_code(size, 2, dim, dtype)
        return Standing(
            dataset=r.dataset.name,
            sha256=r.dataset.sha256,
            retriever=self.label(r),
            dim=dim,
            dtype=dtype,
            similarity="cosine" if notion == "cosine" else "inner product",
            distinct=self._distinct(r.dataset.sha256),
            lower=None if found is None else found.lower.value,
            upper=None if found is None else found.upper.value,
            reached=max(reached, key=lambda one: (one[0], -one[1]), default=None),
            published=max(table, default=None),
            cubic=float(cubic.at([dim])[0][0]) if pairs and cubic is not None and dim >= 4 else None,
            k=None if r.subsets is None else r.subsets.k,
            asked=asked,
            returned=None if r.subsets is None else r.subsets.by_own_query,
            effective_rank=None if r.spectrum is None else r.spectrum.effective_rank,
            code_half_gap=None if code is None else float(code[1]),
            upper_evidence="constructed" if found is None else found.upper.evidence,
        )

    def _pairs_alone(self, facts: DatasetFacts) -> bool:
        """Whether no query of a dataset has more than two relevant documents: what is known of all pairs says nothing of others."""
        if facts.sha256 not in self.data:
            return facts.published_as is not None
        return max(map(len, self.data[facts.sha256].qrels.sets()), default=0) <= 2

    def _bracket_json(self, sha256: str) -> dict[str, Any] | None:
        found = self.bracket(sha256)
        return None if found is None else {key: value for key, value in found.to_json().items() if key != "seconds"}

    def to_json(self) -> dict[str, Any]:
        """All of it, JSON-ready and exact; fractions in [0, 1]."""
        return {
            "schema_version": 1,
            "command": self.command,
            "tables": [
                {
                    "dataset": t.facts.model_dump(mode="json"),
                    "caption": t.comparison.caption,
                    "rows": [_row_json(row, t) for row in t.comparison.rows],
                }
                for t in self.tables
            ],
            "corpus_size": [c.to_json() for c in self.curves],
            "critical_n": self.frontier.to_json(),
            "standing": [{**s.__dict__, "verdict": s.verdict} for s in self.standings],
            "brackets": {digest: self._bracket_json(digest) for digest in self.data},
            "records": [r.summary() for r in self.records],
        }


def _row_json(row: Row, table: Table) -> dict[str, Any]:
    mine = row.record
    limits = table.intervals.get(row.system, {}) if mine else {}
    measures = {
        title: {**means.model_dump(), **({"low": at.low, "high": at.high} if (at := limits.get(title)) else {})}
        for title, means in row.means.items()
    }
    return {
        "system": row.system,
        "source": row.source,
        "dim": row.dim,
        "measures": measures,
        "group": table.letters.get(row.system) if mine else None,
        "digest": mine.configuration_digest if mine else None,
        "command": mine.provenance.get("command") if mine else None,
    }


def gather(
    folder: Path | str,
    *,
    only: Sequence[str] = (),
    places: Sequence[str] = (),
    reading: Mapping[str, Any] | None = None,
    all_dims: bool = False,
    measure: str | None = None,
    latency: bool = True,
    command: str = "",
    read_data: bool = True,
) -> BenchmarkReport:
    """The report of the records in a folder, of the datasets `only` or of all.

    `places` are folders or names of datasets, read (with `load`'s options in `reading`) for texts and relevance where a record's
    digest is theirs; those of the catalogue that need no network are found without, unless `read_data` is off. Raises `InputError`
    without records, `DataError` for a record that is not whole.
    """
    from limitbench import __version__

    folder = Path(folder)
    records = tuple(
        r
        for r in Store(folder)
        if not only or r.dataset.name in only or (r.dataset.part_of and r.dataset.part_of.name in only)
    )
    if not records:
        wanted = f" for {', '.join(only)}" if only else ""
        raise InputError(f"there are no records{wanted} in {folder}; run: limitbench run embedded --results {folder}")
    unknown = set(only) - {name for r in records for name in (r.dataset.name, getattr(r.dataset.part_of, "name", ""))}
    if unknown:
        raise InputError(
            f"there are no records for {', '.join(sorted(unknown))} in {folder}; see: limitbench results list"
        )
    tables = tuple(_table(c) for c in compare(records, all_dims=all_dims, measure=measure))
    if all(r.evidence == "published" for r in records):
        raise InputError(
            f"the records in {folder} are published figures alone; run: limitbench run embedded --results {folder}"
        )
    data = at_hand(records, places, reading) if read_data else {}
    return BenchmarkReport(
        folder=folder,
        records=records,
        tables=tables,
        curves=tuple(curves(records)),
        frontier=frontier(Store(folder).capacity),
        data=data,
        command=command,
        version=__version__,
        latency=latency,
    )


def _table(comparison: Comparison) -> Table:
    theirs = {title for row in comparison.rows if row.source == "published" for title in row.means}
    ours = [row for row in comparison.rows if row.source == "ours"]
    records = tuple(row.record for row in ours if row.record is not None)
    most = records[0].dataset.documents
    told = [t for t in comparison.measures if int(t.partition("@")[2]) < most]  # one of the whole corpus tells nothing
    columns = tuple(
        dict.fromkeys([comparison.headline, *sorted(in_order(told), key=lambda title: title not in theirs)])
    )
    intervals = {row.system: {t: shown_interval(row.values[t]) for t in row.means if row.values.get(t)} for row in ours}
    values = {row.system: row.values[comparison.headline] for row in ours if row.values.get(comparison.headline)}
    letters: dict[str, str] = {}
    if len(values) > 1:
        letters = group_letters(inseparable_groups(compare_all(values), level=_LEVEL))
    return Table(comparison, columns, intervals, letters, records)


def at_hand(
    records: Sequence[Result], places: Sequence[str], reading: Mapping[str, Any] | None = None
) -> dict[str, Dataset]:
    """The datasets of these records that can be read without a network, by digest; `places` with `load`'s options in `reading`."""
    wanted = {r.dataset.sha256: r.dataset for r in records if r.dataset.part_of is None}
    sources = [*places, *dict.fromkeys(facts.name for facts in wanted.values() if facts.documents <= _MOST_DOCUMENTS)]
    out: dict[str, Dataset] = {}
    for source in dict.fromkeys(sources):
        if source not in places and not _offline(source):
            continue
        try:
            found = load(source, **(reading or {})) if source in places else load(source)
        except LimitbenchError as error:
            if source in places:
                raise
            log.warning("%s", error)
            continue
        if found.digest in wanted:
            out[found.digest] = found
        elif source in places:
            raise InputError(
                f"{source} holds other data than any record here (sha256 {found.digest[:12]}); drop it, or read it as the "
                "records' command did (--split, --min-grade, --skip-unanswerable, --ignore-identical-ids)"
            )
    return out


def _offline(name: str) -> bool:
    if name not in catalog.names("datasets"):
        return False
    hub = dataset_spec(name).hub is not None
    return not hub or bool(os.environ.get(f"LIMITBENCH_{name.upper().replace('-', '_')}"))
