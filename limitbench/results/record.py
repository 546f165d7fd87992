"""A `Result`: one dataset by one retriever, with its numbers, its cost and everything needed to run it again."""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from limitbench.tables import Tabular, short

# 1 had no breakdown, no diagnostics and no published records, 2 had no notes; both are still read
SCHEMA_VERSION: Literal[3] = 3
_DIGEST_VERSION = 1  # of what a configuration digest covers, which later versions did not change
_MEASURE = re.compile(r"[A-Za-z]+@[0-9]+")
_NUMBERS = re.compile(r"\[\n[\s\d.,eE+null-]*\]")  # JSON's strings hold no line break, so this never begins inside one


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class PartOf(_Record):
    """The whole that a smaller corpus was drawn from: every relevant document, and distractors by this seed."""

    name: str
    sha256: str
    documents: int
    seed: int


class DatasetFacts(_Record):
    """Which dataset: its digest decides, the name is for people. `part_of` is set where distractors were left out."""

    name: str
    sha256: str
    documents: int
    queries: int
    relevant: int
    published_as: str | None = None
    part_of: PartOf | None = None


class RetrieverFacts(_Record):
    """Which retriever: every option with its value, what its card says, what was in force (prompts, dimension)."""

    name: str
    configuration: dict[str, Any]
    card: dict[str, Any] = {}
    facts: dict[str, Any] = {}


class Means(_Record):
    """Means over all queries, fractions in [0, 1]: expected over random tie-breaking, worst, best.

    A query without relevant documents counts as 0, as in trec_eval -c; mteb leaves it out.
    """

    mean: float = Field(ge=0, le=1 + 1e-9)
    worst: float = Field(ge=0, le=1 + 1e-9)
    best: float = Field(ge=0, le=1 + 1e-9)


class Cost(_Record):
    """What it took, on the hardware that the provenance names; absolute times are this machine's alone, and none is negative.

    Loading a model is not indexing: `documents_per_second` is the corpus over `index_seconds`, without `load_seconds`.
    """

    index_bytes: int
    load_seconds: float
    index_seconds: float
    documents_per_second: float
    search_seconds: float
    query_latency_p50_seconds: float
    query_latency_p95_seconds: float
    peak_memory_bytes: int | None
    peak_memory_scope: Literal["evaluation", "process"]


class Breakdown(_Record):
    """Where the relevant documents of the first judged queries lie. Numbers are places in the dataset's queries and corpus,
    from 0: no text and no id leaves the data.

    Query `queries[i]` has the relevant documents `relevant[i]`, the best 20, at `ranks[i]` (from 1, expected over random
    tie-breaking; None: below `depth`, or not retrieved); `last[i]` is the rank of the last of all. `others[i]` counts the
    other documents that score at least as well as that one, as far as `depth` tells, and `above[i]` names the first of them.
    `gaps[i]` is the score of the last relevant document less the best other one's, None where one of the two is not known.
    """

    depth: int
    queries: list[int]
    relevant: list[list[int]]
    ranks: list[list[float | None]]
    last: list[float | None]
    others: list[int]
    above: list[list[int]]
    gaps: list[float | None]

    def fails(self, i: int) -> bool:
        """Whether another document stands at or above the last relevant one of `queries[i]`, or that one was not found."""
        return self.last[i] is None or self.others[i] > 0


class Subsets(_Record):
    """Which relevant sets of `k` documents came back as some query's top k (unbroken by ties at the cut).

    `asked` are the distinct relevant sets, `by_own_query` counts those returned by a query that asks for them, `by_any_query`
    by any; `never` are the first of the others, `distinct` counts the different top-k sets, `unseen_documents` those in no top k.
    """

    k: int
    queries: int
    asked: int
    by_own_query: int
    by_any_query: int
    distinct: int
    unseen_documents: int
    never: list[list[int]]


class Spectrum(_Record):
    """The spectrum of the covariance of an index's document vectors (`documents` rows, `dim` columns).

    `participation_ratio` is (sum of eigenvalues)^2 / sum of squares, `effective_rank` the exponential of their entropy (Roy and
    Vetterli 2007); `dims_90` and `dims_99` directions carry that share of the variance; `shares` are the largest, falling.
    """

    documents: int
    dim: int
    participation_ratio: float
    effective_rank: float
    dims_90: int
    dims_99: int
    shares: list[float]


class Result(_Record, Tabular):
    """One dataset by one retriever.

    `per_query` holds the expected value of each measure for each query, in the dataset's order. A published record has its
    means alone; `cost` is None where nothing was timed, as of an imported run. What contradicts itself is refused: values
    outside [0, 1], means that are not those of the queries, a digest that is not the configuration's.
    """

    schema_version: Literal[1, 2, 3] = SCHEMA_VERSION
    configuration_digest: str
    dataset: DatasetFacts
    retriever: RetrieverFacts
    depth: int
    evidence: Literal["measured", "published"] = "measured"
    measures: dict[str, Means]
    ceiling: dict[str, Means] | None = None  # of a reranker: what a perfect one would make of the same candidates
    per_query: dict[str, list[float]]
    breakdown: Breakdown | None = None
    subsets: Subsets | None = None
    spectrum: Spectrum | None = None
    cost: Cost | None = None
    # what to know before the numbers: texts cut, queries unanswered, ids unknown, each with its count
    notes: list[str] = []
    provenance: dict[str, Any]

    @model_validator(mode="after")
    def _coherent(self) -> Result:
        problem = _contradiction(self)
        if problem:
            raise ValueError(problem)
        return self

    def __repr__(self) -> str:
        told = ", ".join(f"{title} {means.mean:.4f}" for title, means in list(self.measures.items())[:6])
        more = f" and {len(self.measures) - 6} more" if len(self.measures) > 6 else ""
        return f"Result({short(self.retriever.name)} on {self.dataset.name}: {told}{more})"

    __str__ = __repr__

    def table_rows(self) -> list[dict[str, Any]]:
        """One row a measure: what was measured of whom on what, and the mean, worst and best over ties."""
        facts = self.retriever.facts
        about = {
            "dataset": self.dataset.name, "documents": self.dataset.documents, "retriever": self.retriever.name,
            **{name: facts.get(name) for name in ("dim", "dtype", "index", "candidates")},
        }  # fmt: skip
        return [{**about, "measure": title, **means.model_dump()} for title, means in self.measures.items()]

    def to_json(self) -> bytes:
        """The record's bytes, keys in a fixed order; lists of numbers stand on one line each."""
        text = json.dumps(self.model_dump(mode="json"), ensure_ascii=False, indent=1, allow_nan=False)
        return (_NUMBERS.sub(lambda found: " ".join(found[0].split()), text) + "\n").encode()

    def line(self) -> bytes:
        """The record as one line of a .jsonl."""
        told = {"schema_version": self.schema_version, **self.model_dump(mode="json", exclude_defaults=True)}
        return (json.dumps(told, ensure_ascii=False) + "\n").encode()

    def summary(self) -> dict[str, Any]:
        """What `--json` prints: names on top, per-query values left in the record."""
        rest = self.model_dump(
            mode="json", exclude={"per_query", "breakdown", "dataset", "retriever", "schema_version"}
        )
        return {
            "dataset": self.dataset.name,
            "retriever": self.retriever.name,
            **rest,
            "dataset_facts": self.dataset.model_dump(mode="json"),
            "retriever_facts": self.retriever.model_dump(mode="json"),
        }


def configuration_digest(dataset_sha256: str, configuration: dict[str, Any], measures: list[str]) -> str:
    """sha256, in hex, of what decides the numbers: the data, the retriever's options, the measures."""
    decisive = {"schema": _DIGEST_VERSION, "dataset": dataset_sha256, "retriever": configuration, "measures": measures}
    return hashlib.sha256(json.dumps(decisive, sort_keys=True, ensure_ascii=False).encode()).hexdigest()


def _contradiction(r: Result) -> str:
    """What in a record cannot be true together; "" where nothing is found."""
    odd = [title for title in r.measures if not _MEASURE.fullmatch(title)]
    if odd or not r.measures:
        return (
            f"measures: found '{odd[0]}', expected NAME@CUTOFF"
            if odd
            else "measures: found none, expected at least one"
        )
    if r.configuration_digest != configuration_digest(r.dataset.sha256, r.retriever.configuration, list(r.measures)):
        return "configuration_digest: is not that of the data, the options and the measures here"
    for name in ("versions", "hardware"):
        if not isinstance(r.provenance.get(name, {}), dict):
            return f"provenance.{name}: expected a table"
    if r.evidence == "measured" and set(r.per_query) != set(r.measures):
        return "per_query: has not the measures that the means have"
    for title, values in r.per_query.items():
        if len(values) != r.dataset.queries:
            return f"per_query.{title}: found {len(values)} values for {r.dataset.queries} queries"
        if values and not 0 <= min(values) <= max(values) <= 1 + 1e-9:
            return f"per_query.{title}: found a value outside [0, 1]"
        if values and abs(sum(values) / len(values) - r.measures[title].mean) > 1e-6:
            return f"measures.{title}.mean: is not the mean of the queries' values"
    for means in (r.measures, r.ceiling or {}):
        for title, value in means.items():
            if not value.worst - 1e-6 <= value.mean <= value.best + 1e-6 or title not in r.measures:
                return f"{title}: is not measured, or its mean is not between its worst and its best"
    return _sets(r.subsets, r.dataset) or ("" if r.breakdown is None else _broken_down(r.breakdown, r.dataset))


def _sets(s: Subsets | None, data: DatasetFacts) -> str:
    if s is None:
        return ""
    if not 0 <= s.by_own_query <= s.by_any_query <= s.asked or not 0 <= s.unseen_documents <= data.documents:
        return "subsets: found counts that cannot be true together"
    if any(not 0 <= d < data.documents for row in s.never for d in row):
        return f"subsets.never: found a document outside 0 to {data.documents - 1}"
    return ""


def _broken_down(b: Breakdown, data: DatasetFacts) -> str:
    columns = (b.relevant, b.ranks, b.last, b.others, b.above, b.gaps)
    if any(len(column) != len(b.queries) for column in columns):
        return "breakdown: its columns are not equally long"
    if any(len(documents) != len(ranks) for documents, ranks in zip(b.relevant, b.ranks, strict=True)):
        return "breakdown.ranks: has not one rank for each relevant document"
    if any(n < 0 for n in b.others) or any(rank is not None and rank < 1 for rank in b.last):
        return "breakdown: found a negative number, or a rank below 1"
    if any(not 0 <= q < data.queries for q in b.queries):
        return f"breakdown.queries: found a query outside 0 to {data.queries - 1}"
    if any(not 0 <= d < data.documents for row in (*b.relevant, *b.above) for d in row):
        return f"breakdown: found a document outside 0 to {data.documents - 1}"
    return ""
