"""Databases and search engines as retrievers: what the index, its dtype and the engine cost, over any vectors or over texts.

Vectors are those of another single-vector retriever, checked before the engine gets them. The first search tells how far the engine
is from exact search of the same vectors. The record holds the settings in force and how it is known that the index was used.
"""

from __future__ import annotations

import importlib.metadata
import weakref
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, fields
from functools import cached_property, partial
from typing import Any, ClassVar, Self

import numpy as np
from pydantic import Field, model_validator

from limitbench.collection import Corpus, Queries
from limitbench.errors import RetrievalError, SpecError
from limitbench.rankings import Run
from limitbench.retrievers.base import (
    Arrays,
    Index,
    IndexFacts,
    Progress,
    Retrieved,
    Retriever,
    no_progress,
)
from limitbench.retrievers.embedded import usable
from limitbench.retrievers.engines import engine_class
from limitbench.retrievers.engines.agreement import PARTS, shares, spread
from limitbench.retrievers.engines.contract import (
    ChangeableEngine,
    Floats,
    Hits,
    Numbers,
    Settings,
    TextEngine,
    VectorEngine,
)
from limitbench.retrievers.over import OverRetriever
from limitbench.retrievers.sharded import ShardRows
from limitbench.retrievers.shards import ShardedIndex
from limitbench.retrievers.spec import RetrieverSpec
from limitbench.retrievers.vectors import SingleVectorIndex, Storage, rankable, scores_of

_CHECKED = 200  # queries of a search that are compared with exact search


class Engine(OverRetriever):
    """`engine:KIND,of=minilm`: an engine over the vectors of another retriever; of a text engine, over the texts.

    The options that `engines.contract.Settings` has are the engine's settings; one that it does not have is refused.
    """

    adapter: ClassVar[str] = "engine"
    held: ClassVar[str] = "source"
    argument: ClassVar[str | None] = "engine"
    path_fields: ClassVar[tuple[str, ...] | None] = ()
    engine: str = Field(min_length=1)
    of: str | None = None  # the retriever whose vectors it searches; None: minilm, or the texts
    kind: str | None = Field(None, alias="index")
    dtype: str | None = None
    m: int | None = Field(None, ge=2, le=1024)
    ef_construction: int | None = Field(None, ge=1, le=100_000)
    ef: int | None = Field(None, ge=1, le=100_000)
    lists: int | None = Field(None, ge=1, le=1_000_000)
    probes: int | None = Field(None, ge=1, le=1_000_000)
    language: str | None = None
    url: str | None = None
    dsn_env: str | None = None
    key_env: str | None = None
    filter: float | None = Field(None, gt=0, lt=1)  # the share of documents that may be found, drawn by their ids
    device: str | None = None  # of a retriever that does not say

    @model_validator(mode="after")
    def _has(self) -> Self:
        """Before any text is embedded."""
        self.kind_of_engine.check(self.settings)
        if self.filter is not None:
            self.require_changeable()
        if self.of is not None and RetrieverSpec.parse(self.of).parts:
            raise self._no_single_vector
        return self

    def require_changeable(self) -> None:
        """Raise `SpecError` for an engine that limitbench neither filters nor changes."""
        if not issubclass(self.kind_of_engine, ChangeableEngine):
            raise SpecError(
                f"engine '{self.engine}': limitbench neither filters it nor changes its documents; see docs/engines.md for those "
                "that can"
            )

    @property
    def _no_single_vector(self) -> SpecError:
        return SpecError(
            f"engine '{self.engine}': of={self.of} has no single vector a document; give one such as minilm"
        )

    @property
    def settings(self) -> Settings:
        """The engine's own."""
        names = [field.name for field in fields(Settings)]
        return Settings(**{name: getattr(self, "kind" if name == "index" else name) for name in names})

    @cached_property
    def kind_of_engine(self) -> Any:
        """The engine's class. Raises `UnknownName`, `MissingExtra`, or `SpecError` where a text engine is given vectors."""
        found = engine_class(self.engine)
        if self.of is not None and not issubclass(found, VectorEngine):
            raise SpecError(f"engine '{self.engine}' searches texts; leave out of={self.of}")
        return found

    @cached_property
    def source(self) -> Retriever | None:
        """The retriever whose vectors are searched, made once; None of a text engine."""
        if not issubclass(self.kind_of_engine, VectorEngine):
            return None
        return self.made(self.of or "minilm")

    @property
    def configuration(self) -> dict[str, Any]:
        """Every option, the configuration of the retriever behind it, and the engine's version; a server's is in the facts."""
        package = self.kind_of_engine.package
        version = {} if package is None else {"version": f"{package} {importlib.metadata.version(package)}"}
        own = {name: value for name, value in super().configuration.items() if name not in ("device", "precision")}
        return {**own, **version}

    @property
    def card(self) -> dict[str, Any]:
        """The card of the retriever behind it."""
        return {} if self.source is None else self.source.card

    def index(self, corpus: Corpus, progress: Progress = no_progress) -> Index:
        """The corpus in the engine. Raises `RetrievalError` where the index that was asked for is not in use."""
        engine = self.kind_of_engine(
            self.settings
        )  # first: a server that does not answer is told before texts are embedded
        try:
            return self._filled(engine, corpus, progress)
        except BaseException:
            engine.close()
            raise

    def _filled(self, engine: TextEngine | VectorEngine, corpus: Corpus, progress: Progress) -> Index:
        source = None if self.source is None else self._vectors(self.source.index(corpus, progress))
        if isinstance(engine, TextEngine):
            engine.build(corpus.contents, progress)
        else:
            assert source is not None
            documents: Any = self._checked(source, corpus.ids)
            if isinstance(engine, ChangeableEngine) and self.filter is not None:
                engine.attributes = {"share": spread(corpus.ids)}
            engine.build(documents, _similarity(source), progress)
        proof = engine.proof()
        if not proof.used:
            raise RetrievalError(
                f"engine '{self.engine}' does not use its index: {proof.how}; its recall would be that of a scan"
            )
        bound = None if self.filter is None else round(self.filter * PARTS)
        return _EngineIndex(corpus.ids, engine, source, self.dtype, bound)

    def material(self, corpus: Corpus, queries: Queries, progress: Progress = no_progress) -> Material:
        """What an engine is filled with and asked: vectors, checked, and their similarity.

        Raises `SpecError` for an engine that searches texts.
        """
        if self.source is None:
            raise SpecError(f"engine '{self.engine}' searches texts; this is about vectors")
        found = self._vectors(self.source.index(corpus, progress))
        if isinstance(found, ShardedIndex):
            raise SpecError(
                f"engine '{self.engine}': of={self.of} is for run; give here the retriever that was encoded"
            )
        documents, asked = usable(found.vectors.documents, corpus.ids), found.asked(queries, progress)
        for rows, ids in ((documents, corpus.ids), (asked, queries.ids)):
            fitting(rows, self.dtype, ids)
        return Material(documents, asked, found.vectors.similarity)

    def _vectors(self, source: Index) -> SingleVectorIndex | ShardedIndex:
        """The index behind it. Raises `SpecError` unless it has one fp32 vector a document, of a similarity that the engine has."""
        if not isinstance(source, SingleVectorIndex | ShardedIndex):
            raise self._no_single_vector
        kept, known = source.facts, self.kind_of_engine.similarities
        if kept.dtype != "fp32" or kept.kind != "exact":
            raise SpecError(
                f"engine '{self.engine}': found of={self.of}; give dtype and index to the engine, not to the vectors"
            )
        if kept.similarity not in known:
            raise SpecError(f"engine '{self.engine}' has no {kept.similarity} similarity; it has: {', '.join(known)}")
        return source

    def _checked(self, source: SingleVectorIndex | ShardedIndex, ids: Sequence[str]) -> Floats | ShardRows:
        """The documents' vectors, each one that an engine can hold; those in shards stay there."""
        if isinstance(source, SingleVectorIndex):
            fitting(usable(source.vectors.documents, ids), self.dtype, ids)
            return source.vectors.documents
        for shard in source.shards:
            some = ids[shard.first : shard.first + shard.count]
            fitting(usable(shard.rows(), some), self.dtype, some)
        return source.rows


def _similarity(source: SingleVectorIndex | ShardedIndex) -> str:
    return source.manifest.similarity if isinstance(source, ShardedIndex) else source.vectors.similarity


@dataclass(frozen=True, eq=False)
class Material:
    """Vectors of documents (n, d) and of queries (m, d), and their similarity."""

    documents: Floats
    queries: Floats
    similarity: str


@dataclass(eq=False)
class _EngineIndex:
    document_ids: tuple[str, ...]
    engine: TextEngine | VectorEngine
    source: SingleVectorIndex | ShardedIndex | None
    stored: str | None  # the dtype asked for
    below: int | None = None  # the bound of a filter
    seen: dict[str, Any] = field(default_factory=dict)  # what the first search found out
    short: str | None = None

    def __post_init__(self) -> None:
        weakref.finalize(self, self.engine.close)

    @property
    def arrays(self) -> Arrays:
        """None: an engine is filled anew."""
        return {}

    @property
    def facts(self) -> IndexFacts:
        """The engine, its settings in force, how its index was proved used, and how far it is from exact search."""
        settings, proof = dict(self.engine.effective()), self.engine.proof()
        told = {"engine": self.engine.name, "settings": settings, "index_used": proof.how, **self.seen}
        if self._among is not None:
            told["pass_the_filter"] = len(self._among)
        behind = IndexFacts(nbytes=0) if self.source is None else self.source.facts
        return IndexFacts(
            nbytes=self.engine.nbytes,
            load_seconds=behind.load_seconds,
            dim=behind.dim,
            dtype=None if self.source is None else settings["dtype"],
            kind=settings["index"],
            similarity=behind.similarity,
            more={**behind.more, **told},
            remarks=[*behind.remarks, *([self.short] if self.short else [])],
            cut_texts=behind.cut_texts,
        )

    def search(self, queries: Queries, depth: int, progress: Progress = no_progress) -> Retrieved:
        """One search of the engine a query, or more where documents tie across the cut."""
        asked: Any = queries.texts if self.source is None else self.source.asked(queries, progress)
        if self.source is not None:
            fitting(asked, self.stored, queries.ids)
        found: list[Hits] = []
        for number, query in enumerate(asked):
            found.append(self._hits(query, depth))
            if (number + 1) % 100 == 0 or number + 1 == len(queries):
                progress("search", number + 1, len(queries))
        run = self._run(found, queries.ids, depth)
        if self.source is not None:
            self._look(run, asked, min(depth, len(self.document_ids) if self._among is None else len(self._among)))
        return Retrieved(run)

    @cached_property
    def _among(self) -> Numbers | None:
        """The documents that pass the filter; None without one."""
        return None if self.below is None else np.flatnonzero(spread(self.document_ids) < self.below)

    def _hits(self, query: Any, depth: int) -> Hits:
        """The best documents, and every tie across the cut where the engine looks at all documents."""
        search: Callable[[Any, int], Hits] = self.engine.search
        n = len(self.document_ids)
        if self.below is not None and self._among is not None:
            assert isinstance(self.engine, ChangeableEngine)
            search, n = partial(self.engine.filtered, below={"share": self.below}), len(self._among)
        wanted = max(1, min(depth + 1, n))
        while True:
            numbers, scores = search(query, wanted)
            if not self.engine.exhaustive or len(numbers) < wanted or wanted >= n or scores[-1] < scores[depth - 1]:
                return numbers, scores
            wanted = min(2 * wanted, n)

    def _run(self, found: list[Hits], query_ids: tuple[str, ...], depth: int) -> Run:
        rows = np.repeat(np.arange(len(found)), [len(numbers) for numbers, _ in found])
        columns, scores = (np.concatenate([hit[side] for hit in found] or [np.empty(0)]) for side in (0, 1))
        return Run.from_entries(
            rows, columns.astype(np.int64), scores, query_ids=query_ids, document_ids=self.document_ids, depth=depth
        )

    def _look(self, run: Run, asked: Any, depth: int) -> None:
        """Note where rows are missing; and, once, how many of exact search's best were found, ties with the last counted."""
        lengths = np.diff(run.indptr)
        few = int((lengths < depth).sum())
        if few and self.short is None:
            self.short = (
                f"{few} of {len(lengths)} queries got fewer than {depth} documents from the engine, one {lengths.min()}"
            )
        if "agreement_with_exact" in self.seen or not depth:
            return
        first = min(_CHECKED, len(asked))
        found = [np.array(best, np.int64) for best in _columns(run, first)]
        pairs: Sequence[tuple[float, float]]
        if isinstance(self.source, ShardedIndex):
            pairs = self.source.rows.agreement(asked[:first], found, depth, self._among)
        else:
            assert self.source is not None
            known = self.source.vectors
            pairs = [
                shares(best, scores_of(query, known.documents, known.similarity), depth, self._among)
                for best, query in zip(found, asked[:first], strict=True)
            ]
        by_id, by_score = np.mean(pairs, axis=0).tolist()
        self.seen |= {"agreement_with_exact": by_id, "agreement_by_score": by_score, "agreement_at": depth}


def fitting(rows: Floats, dtype: str | None, ids: Sequence[str]) -> None:
    """Raise `SpecError` where fp16 makes a vector zero or infinite: an engine would rank it all the same."""
    if dtype == "fp16":
        storage = Storage(dtype)
        rankable(storage(rows), rows, storage, ids)


def _columns(run: Run, rows: int) -> Iterator[list[int]]:
    """The documents of the first rows, the best first."""
    for a, b in zip(run.indptr[:rows], run.indptr[1 : rows + 1], strict=True):
        yield run.indices[a:b].tolist()
