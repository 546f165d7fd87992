"""The contract of every retriever: `index(corpus)` gives an index, `search(queries, depth)` on it gives a run.

An adapter is a frozen pydantic model: its fields are its options, checked when it is built, and its `configuration` is
what a result records. Search before index cannot be written.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, Protocol, Self, runtime_checkable

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict

from limitbench.collection import Corpus, Queries
from limitbench.rankings import Run

Progress = Callable[[str, int, int], None]  # (stage, done, of)
Reuse = Literal["all", "documents", "none"]  # which cached embeddings of a service may stand for asking it again


def no_progress(_stage: str, _done: int, _of: int) -> None:
    """Report nothing."""


@runtime_checkable
class Index(Protocol):
    """A corpus made searchable."""

    @property
    def nbytes(self) -> int:
        """Bytes that the index itself holds, texts and models aside."""

    def search(self, queries: Queries, depth: int, progress: Progress = no_progress) -> Run:
        """The run of these queries: `depth` documents each, and every tie across the cut."""


@runtime_checkable
class Retriever(Protocol):
    """Something that can index a corpus."""

    @property
    def configuration(self) -> dict[str, Any]:
        """Every option with its value, JSON-ready: equal configurations give equal runs."""

    @property
    def card(self) -> dict[str, Any]:
        """What to know of it beyond its options: model, licence, labels such as "not trained for this"."""

    def index(self, corpus: Corpus, progress: Progress = no_progress) -> Index:
        """The corpus made searchable."""


class Adapter(BaseModel):
    """Base of our adapters: options are fields, unknown ones are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, serialize_by_alias=True)
    argument: ClassVar[str | None] = None  # the field that `adapter:ARGUMENT` sets
    # the fields that may name a file or folder; None: any text that looks like one
    path_fields: ClassVar[tuple[str, ...] | None] = None
    adapter: ClassVar[str]

    @property
    def configuration(self) -> dict[str, Any]:
        """The adapter's name and every option with its value."""
        return {"adapter": self.adapter, **self.model_dump(mode="json")}

    @property
    def card(self) -> dict[str, Any]:
        """What to know beyond the options; nothing by default."""
        return {}

    def located(self, place: Callable[[str], str]) -> Self:
        """The same adapter with `place` applied to every file or folder that its options may name.

        `place` gives the path to read, gives a name that is none back as it is, and raises where a path must not be read: this is
        how a check keeps what it reads inside its project.
        """
        fields = self.path_fields
        if fields is None:
            texts = {name: value for name, value in self if isinstance(value, str)}
            fields = tuple(
                name for name, value in texts.items() if "/" in value or "\\" in value or value.startswith((".", "~"))
            )
        values = {name: getattr(self, name) for name in fields}
        return self.model_copy(update={name: place(value) for name, value in values.items() if value is not None})


@dataclass(frozen=True)
class CutTexts:
    """Texts that a model does not read to their end: `count` of `of`, the longest with so many tokens, where it reads `limit`."""

    side: str  # document, query, or pair of both
    count: int
    of: int
    longest: int
    limit: int

    @property
    def remark(self) -> str:
        """The same, as a sentence."""
        plural = {"document": "documents", "query": "queries", "pair": "pairs of query and document"}[self.side]
        verb = "is" if self.count == 1 else "are"
        return (
            f"{self.count} of {self.of} {plural} {verb} longer than the {self.limit} tokens that the model reads (the longest: "
            f"{self.longest}); what comes after is not read"
        )


@dataclass(frozen=True)
class ScoredIndex:
    """An index that is a function from query texts to a score matrix (queries, n), in chunks that bound memory."""

    document_ids: tuple[str, ...]
    scores: Callable[[Sequence[str], Sequence[str]], npt.NDArray[Any]]  # (query ids, query texts) -> (queries, n)
    nbytes: int
    chunk: int = 64
    facts: Mapping[str, Any] = field(default_factory=dict)  # what was in force
    remarks: Callable[[], list[str]] = list  # what to know before the numbers, such as texts without a word
    arrays: Mapping[str, npt.NDArray[Any]] = field(default_factory=dict)  # what the retriever's `restored` needs

    @classmethod
    def bounded(
        cls,
        document_ids: tuple[str, ...],
        scores: Callable[[Sequence[str], Sequence[str]], npt.NDArray[Any]],
        nbytes: int,
        *,
        entries: int = 1 << 23,
        arrays: Mapping[str, npt.NDArray[Any]] | None = None,
        facts: Mapping[str, Any] | None = None,
        remarks: Callable[[], list[str]] = list,
    ) -> ScoredIndex:
        """Chunks of so many queries that a score matrix has about 2^23 entries (64 MB)."""
        chunk = max(1, min(1024, entries // max(1, len(document_ids))))
        return cls(document_ids, scores, nbytes, chunk=chunk, facts=facts or {}, remarks=remarks, arrays=arrays or {})

    def search(self, queries: Queries, depth: int, progress: Progress = no_progress) -> Run:
        """The run of these queries, exact."""

        def parts() -> Iterator[Run]:
            for start in range(0, len(queries), self.chunk):
                part = slice(start, start + self.chunk)
                ids = queries.ids[part]
                matrix = self.scores(ids, queries.texts[part])
                yield Run.from_scores(matrix, query_ids=ids, document_ids=self.document_ids, depth=depth)
                progress("search", min(start + self.chunk, len(queries)), len(queries))

        return Run.concatenate(parts())


def remarks_of(index: Index) -> list[str]:
    """What an index has to say before its numbers are read, as sentences with counts; most have nothing to say."""
    remarks: Callable[[], list[str]] = getattr(index, "remarks", list)
    return [*remarks(), *(cut.remark for cut in cut_of(index))]


def cut_of(index: Index) -> list[CutTexts]:
    """Which texts the models of an index cut, as far as indexing and searching showed."""
    cut: Callable[[], list[CutTexts]] = getattr(index, "cut_texts", list)
    return cut()


def latencies(index: Index, queries: Queries, depth: int, *, most: int = 50) -> npt.NDArray[np.float64]:
    """Seconds for each of up to `most` evenly spaced queries, searched one at a time after one warm-up."""
    chosen = np.unique(np.linspace(0, len(queries) - 1, min(most, len(queries))).astype(int))
    single = [Queries((queries.ids[i],), (queries.texts[i],)) for i in chosen]
    index.search(single[0], depth)
    out = []
    for query in single:
        start = time.perf_counter()
        index.search(query, depth)
        out.append(time.perf_counter() - start)
    return np.array(out)
