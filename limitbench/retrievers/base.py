"""The contract of every retriever: `index(corpus)` gives an index, `search(queries, depth)` on it gives what was retrieved.

An adapter is a frozen pydantic model: its fields are its options, checked when it is built, and its `configuration` is
what a result records. Search before index cannot be written. All that a runner asks of an index is in the contract: its facts, its
arrays for the disk, and the candidates of its last stage.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, Protocol, Self, runtime_checkable

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, PrivateAttr

from limitbench.collection import Corpus, Queries
from limitbench.progress import Each
from limitbench.progress import Progress as Progress
from limitbench.progress import no_progress as no_progress
from limitbench.rankings import Run

Reuse = Literal["all", "documents", "none"]  # which cached embeddings of a service may stand for asking it again


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


@dataclass(frozen=True, kw_only=True)
class IndexFacts:
    """What is known of an index, as far as indexing and searching showed.

    `nbytes` are those of the index itself, texts and models aside. `load_seconds` are those of `Retriever.index` that went into
    loading models, 0 where they were loaded before. `remarks` are sentences to read before the numbers; `cut_texts` are told apart,
    since a check counts them. `vectors` are the documents' (n, d) as stored, where each has one. `more` is JSON-ready: prompts,
    tokens, the device. `query_seconds` are those of each query, where a service was asked; None: queries may be searched again, to
    time them.
    """

    nbytes: int
    load_seconds: float = 0.0
    dim: int | None = None
    dtype: str | None = None
    kind: str | None = None  # exact, or the name of an approximate index
    similarity: str | None = None
    more: Mapping[str, Any] = field(default_factory=dict)
    remarks: Sequence[str] = ()
    cut_texts: Sequence[CutTexts] = ()
    vectors: npt.NDArray[Any] | None = None
    query_seconds: npt.NDArray[np.float64] | None = None

    @property
    def record(self) -> dict[str, Any]:
        """What a result's `retriever.facts` keeps of it."""
        own = {"dim": self.dim, "dtype": self.dtype, "index": self.kind, "similarity": self.similarity}
        return {**{name: value for name, value in own.items() if value is not None}, **self.more}

    @property
    def notes(self) -> list[str]:
        """All that is to be read before the numbers, cut texts too, as sentences."""
        return [*self.remarks, *(cut.remark for cut in self.cut_texts)]


def summed_seconds(*parts: npt.NDArray[np.float64] | None) -> npt.NDArray[np.float64] | None:
    """The seconds of each query that the services among these parts took, one after another; None where no part asked one.

    What is computed here beside them is not timed: the queries would have to be paid for again.
    """
    known = [part for part in parts if part is not None]
    if not known or len({len(part) for part in known}) > 1:
        return known[0] if known else None
    return np.asarray(np.sum(known, axis=0))


@dataclass(frozen=True)
class Retrieved:
    """The answer of an index: the run, and the candidates that its last stage chose from, where it has stages."""

    run: Run
    candidates: Run | None = None


Arrays = Mapping[str, npt.NDArray[Any]]  # what an index keeps on disk, by name


@runtime_checkable
class Index(Protocol):
    """A corpus made searchable."""

    @property
    def facts(self) -> IndexFacts:
        """What is known of it by now."""

    @property
    def arrays(self) -> Arrays:
        """What its retriever's `restored` needs; empty where indexing again is as quick."""

    def search(self, queries: Queries, depth: int, progress: Progress = no_progress) -> Retrieved:
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

    def restored(self, corpus: Corpus, arrays: Arrays) -> Index:
        """The index of this corpus whose `arrays` these are."""


# identity of an encoder and a side -> text -> its vector: what parts of one corpus share
TextVectors = dict[str, dict[str, npt.NDArray[np.float32]]]


class Adapter(BaseModel):
    """Base of our adapters: options are fields, unknown ones are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, serialize_by_alias=True)
    argument: ClassVar[str | None] = None  # the field that `adapter:ARGUMENT` sets
    # the fields that may name a file or folder; None: any text that looks like one
    path_fields: ClassVar[tuple[str, ...] | None] = None
    adapter: ClassVar[str]
    _shared: TextVectors | None = PrivateAttr(None)
    _each: Each | None = PrivateAttr(None)

    @property
    def configuration(self) -> dict[str, Any]:
        """The adapter's name and every option with its value."""
        return {"adapter": self.adapter, **self.model_dump(mode="json")}

    @property
    def card(self) -> dict[str, Any]:
        """What to know beyond the options; nothing by default."""
        return {}

    def index(self, corpus: Corpus, progress: Progress = no_progress) -> Index:
        """The corpus made searchable; every adapter has its own."""
        raise NotImplementedError(f"adapter '{self.adapter}' has no index()")

    def restored(self, corpus: Corpus, _arrays: Arrays) -> Index:
        """The index that was saved. This one kept no arrays, so it is built again."""
        return self.index(corpus)

    @property
    def shared(self) -> TextVectors | None:
        """Vectors of texts that other indexes share with this adapter's, where `sharing` gave it some."""
        return self._shared

    def sharing(self, vectors: TextVectors) -> Self:
        """The same adapter, which finds vectors of texts in `vectors` and adds those that it makes: for parts of one corpus."""
        out = self.model_copy()
        out._shared = vectors
        return out

    @property
    def divided(self) -> bool:
        """Whether one search is made in parts, which `over` gives to others."""
        return False

    def over(self, each: Each) -> Self:
        """The same adapter, whose parts are searched by `each`."""
        out = self.model_copy()
        out._each = each
        return out

    def with_part(self, name: str, changed: Callable[[Adapter], Adapter]) -> Self:
        """The same adapter with the retriever that its property `name` holds changed, unless that is another package's."""
        out, part = self.model_copy(), getattr(self, name)
        if isinstance(part, Adapter):
            out.__dict__[name] = changed(part)
        return out

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
class ScoredIndex:
    """An index that is a function from query texts to a score matrix (queries, n), in chunks that bound memory."""

    document_ids: tuple[str, ...]
    scores: Callable[[Sequence[str], Sequence[str]], npt.NDArray[Any]]  # (query ids, query texts) -> (queries, n)
    known: Callable[[], IndexFacts]  # what is known of it when it is asked
    arrays: Arrays = field(default_factory=dict)
    entries: int = 1 << 23  # of a score matrix at a time: 64 MB

    @classmethod
    def bounded(
        cls,
        document_ids: tuple[str, ...],
        scores: Callable[[Sequence[str], Sequence[str]], npt.NDArray[Any]],
        nbytes: int,
        *,
        entries: int = 1 << 23,
        arrays: Arrays | None = None,
        more: Mapping[str, Any] | None = None,
        remarks: Callable[[], Sequence[str]] = tuple,
    ) -> ScoredIndex:
        """An index of so many bytes, with facts that do not change and remarks that may."""

        def known() -> IndexFacts:
            return IndexFacts(nbytes=nbytes, more=more or {}, remarks=remarks())

        return cls(document_ids, scores, known, arrays or {}, entries)

    @property
    def facts(self) -> IndexFacts:
        """What is known of it by now."""
        return self.known()

    @property
    def chunk(self) -> int:
        """Queries at a time, by the entries that their score matrix may have; 1024 at most."""
        return max(1, min(1024, self.entries // max(1, len(self.document_ids))))

    def search(self, queries: Queries, depth: int, progress: Progress = no_progress) -> Retrieved:
        """The run of these queries, exact."""

        def parts() -> Iterator[Run]:
            for start in range(0, len(queries), self.chunk):
                part = slice(start, start + self.chunk)
                ids = queries.ids[part]
                matrix = self.scores(ids, queries.texts[part])
                yield Run.from_scores(matrix, query_ids=ids, document_ids=self.document_ids, depth=depth)
                progress("search", min(start + self.chunk, len(queries)), len(queries))

        return Retrieved(Run.concatenate(parts()))


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
