"""Models of mteb as retrievers: by name through mteb's registry, or any object that follows one of its protocols.

An encoder's vectors go through our own index, so that dimension, dtype, index and ties are those of every other single-vector
retriever; a search model searches by itself. mteb is heavy and is imported here alone, and in `limitbench.mteb_bridge`.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import Any, ClassVar
from uuid import uuid4

import mteb
import numpy as np
from mteb.abstasks.task_metadata import TaskMetadata
from mteb.models.models_protocols import EncoderProtocol, SearchProtocol
from mteb.types import PromptType
from pydantic import Field
from torch.utils.data import DataLoader

from datasets import Dataset as Table  # type: ignore[attr-defined]  # mypy sees the folder datasets/ of this repository
from limitbench.collection import Corpus, Queries
from limitbench.errors import OfflineError, RetrievalError, SpecError
from limitbench.rankings import Run
from limitbench.retrievers.base import (
    Adapter,
    Arrays,
    Index,
    IndexFacts,
    Progress,
    Retrieved,
    no_progress,
)
from limitbench.retrievers.best_columns import Floats
from limitbench.retrievers.cache import EmbeddingCache
from limitbench.retrievers.canary import generation
from limitbench.retrievers.embedded import EmbeddedIndex, Untold, embed
from limitbench.retrievers.model_files import library_versions
from limitbench.retrievers.spec import model_and_revision
from limitbench.retrievers.vectors import Dtype, Kind, known_similarity

_WHOLE = 1_000  # documents up to which a search model is asked for all, so that ties at the cut are seen


def task_metadata(name: str, *, main_score: str = "recall_at_2", path: str = "limitbench") -> TaskMetadata:
    """mteb's description of a retrieval task over English texts, with this name."""
    return TaskMetadata(
        name=name,
        description=f"{name}, from limitbench",
        reference="https://arxiv.org/abs/2508.21038",
        dataset={"path": path, "revision": "1"},
        type="Retrieval",
        category="t2t",
        modalities=["text"],
        eval_splits=["test"],
        eval_langs=["eng-Latn"],
        main_score=main_score,
        date=None,
        domains=None,
        task_subtypes=None,
        license=None,
        annotations_creators=None,
        dialect=None,
        sample_creation=None,
        bibtex_citation="",
    )


class MtebModel(Adapter):
    """A model of mteb's registry: `mteb:NAME`, `mteb:NAME@REVISION`. Prompts are those that mteb gives a retrieval task.

    `dim`, `dtype` and `index` are for encoders alone. Raises `OfflineError` where the model cannot be fetched.
    """

    adapter: ClassVar[str] = "mteb"
    argument: ClassVar[str] = "model"
    path_fields: ClassVar[tuple[str, ...] | None] = ()  # names of mteb's registry
    model: str
    task: str = "LIMITSmallRetrieval"  # whose prompts a model with prompts for single tasks would take
    batch_size: int = Field(32, ge=1)
    dim: int | None = Field(None, ge=1)
    dtype: Dtype = "fp32"
    kind: Kind = Field("exact", alias="index")

    @property
    def configuration(self) -> dict[str, Any]:
        """Every option, and mteb's version."""
        return {**super().configuration, "mteb": mteb.__version__}

    @property
    def card(self) -> dict[str, Any]:
        """What mteb knows of the model."""
        return _card(self.loaded)

    @property
    def loaded(self) -> Any:
        """The model, loaded once a process."""
        return _load(self.model)

    def index(self, corpus: Corpus, progress: Progress = no_progress) -> Index:
        """The corpus embedded, or indexed by the search model."""
        start = time.perf_counter()
        model = self.loaded
        return indexed(model, self, corpus, progress, load_seconds=time.perf_counter() - start, named=True)


@dataclass(frozen=True)
class Wrapped:
    """A retriever around a model object that follows mteb's EncoderProtocol or SearchProtocol."""

    model: Any
    options: MtebModel

    @property
    def configuration(self) -> dict[str, Any]:
        """The model's name and revision, as it tells them, and the options."""
        meta = self.model.mteb_model_meta
        return {**self.options.configuration, "model": meta.name, "revision": meta.revision, "object": True}

    @property
    def card(self) -> dict[str, Any]:
        """What the model tells of itself."""
        return _card(self.model)

    def index(self, corpus: Corpus, progress: Progress = no_progress) -> Index:
        """The corpus embedded, or indexed by the search model."""
        return indexed(self.model, self.options, corpus, progress, named=False)

    def restored(self, corpus: Corpus, _arrays: Arrays) -> Index:
        """The corpus indexed again: an object of the caller's has no file to compare."""
        return self.index(corpus)


def indexed(
    model: Any, options: MtebModel, corpus: Corpus, progress: Progress, *, named: bool, load_seconds: float = 0.0
) -> Index:
    """A corpus made searchable by a model object, `named` where mteb's registry gave it.

    Raises `SpecError` for one that is neither encoder nor search model.
    """
    if isinstance(model, SearchProtocol):
        if (options.dim, options.dtype, options.kind) != (None, "fp32", "exact"):
            raise SpecError(f"mteb:{options.model} searches by itself; drop dim, dtype and index")
        return _Searching.built(model, options, corpus, load_seconds)
    if isinstance(model, EncoderProtocol):
        encoder = _Encoder(model, options, named, load_seconds)
        return EmbeddedIndex.built(
            corpus, encoder, dim=options.dim, dtype=options.dtype, kind=options.kind, progress=progress
        )
    what = type(model).__name__
    raise SpecError(
        f"mteb:{options.model} is a {what}, expected an encoder or a search model; cross-encoders: rerank:MODEL"
    )


@lru_cache(maxsize=2)
def _load(name: str) -> Any:
    known, revision = model_and_revision(name)
    try:
        return mteb.get_model(known, revision=revision or None)
    except Exception as error:  # mteb and the hub's client raise errors of many libraries
        reason = " ".join(str(error).split())[:160] or type(error).__name__
        raise OfflineError(
            f"mteb has no model '{name}' that can be loaded here ({reason}); check its name in mteb, or connect once"
        ) from None


def _card(model: Any) -> dict[str, Any]:
    meta = model.mteb_model_meta
    told = {"id": meta.name, "revision": meta.revision, "licence": meta.license, "max_tokens": meta.max_tokens}
    return {key: value for key, value in told.items() if value is not None}


def _metadata(options: MtebModel) -> TaskMetadata:
    try:
        found: TaskMetadata = mteb.get_task(options.task).metadata
    except (KeyError, ValueError):
        raise SpecError(f"mteb has no task '{options.task}'; give task=NAME with one of its retrieval tasks") from None
    return found


@dataclass(frozen=True)
class _Encoder(Untold):
    """mteb's encoder, as our single-vector index wants it.

    Embeddings outlive this object in the cache only where mteb's registry and a revision say whose they are.
    """

    model: Any
    options: MtebModel
    named: bool
    load_seconds: float
    passing: str = field(default_factory=lambda: uuid4().hex)
    device: ClassVar[str] = "cpu"

    @cached_property
    def similarity(self) -> str:
        """The model's similarity, as mteb's own evaluation takes it: the cosine where it does not tell."""
        name = self.model.mteb_model_meta.similarity_fn_name
        return known_similarity(getattr(name, "value", name))

    @property
    def facts(self) -> dict[str, Any]:
        """mteb's version, and the task whose prompts were used."""
        return {"mteb": mteb.__version__, "prompts_of": self.options.task}

    def embed(self, texts: Sequence[str], side: str, progress: Progress, seen: dict[str, Any]) -> Floats:
        """Vectors (texts, d) as the model gives them, fp32."""
        meta, options = self.model.mteb_model_meta, self.options
        metadata, kind = _metadata(options), PromptType.query if side == "query" else PromptType.document

        def encode(batch: Sequence[str]) -> Floats:
            loader = DataLoader(Table.from_dict({"text": list(batch)}), batch_size=options.batch_size)
            out = self.model.encode(
                loader, task_metadata=metadata, hf_split="test", hf_subset="default", prompt_type=kind,
                batch_size=options.batch_size, show_progress_bar=False,
            )  # fmt: skip
            found = out.float().cpu().numpy() if hasattr(out, "cpu") else out
            return np.asarray(found, np.float32)

        owner = meta.revision if self.named and meta.revision else self.passing
        identity = {"mteb": mteb.__version__, "model": meta.name, "revision": owner, "task": options.task, "side": side}
        if self.named and EmbeddingCache.default().most_bytes:  # some models of the registry are services
            identity |= {"libraries": library_versions(), "service": generation(identity, encode).name}
        return embed(
            texts, encode, identity, batch=8 * options.batch_size, side=side, progress=progress, seen=seen,
            shared=options.shared,
        )  # fmt: skip


@dataclass(frozen=True)
class _Searching:
    """A model that indexes and searches by itself."""

    model: Any
    options: MtebModel
    document_ids: tuple[str, ...]
    load_seconds: float = 0.0

    @property
    def facts(self) -> IndexFacts:
        """mteb's version. mteb does not tell how large its index is."""
        told = {"mteb": mteb.__version__, "index_bytes": "not told by mteb"}
        return IndexFacts(nbytes=0, load_seconds=self.load_seconds, more=told)

    @property
    def arrays(self) -> Arrays:
        """Nothing: the index is the model's own."""
        return {}

    @classmethod
    def built(cls, model: Any, options: MtebModel, corpus: Corpus, load_seconds: float) -> _Searching:
        """The index of a corpus that the search model made itself."""
        table = Table.from_dict(
            {"id": list(corpus.ids), "text": list(corpus.texts), "title": list(corpus.titles)},
        )
        model.index(
            corpus=table, encode_kwargs={"batch_size": options.batch_size}, num_proc=None, **cls._where(options)
        )
        return cls(model, options, corpus.ids, load_seconds)

    @staticmethod
    def _where(options: MtebModel) -> dict[str, Any]:
        return {"task_metadata": _metadata(options), "hf_split": "test", "hf_subset": "default"}

    def search(self, queries: Queries, depth: int, progress: Progress = no_progress) -> Retrieved:
        """The run of these queries; of more than 1,000 documents, ties across the cut are as the model broke them."""
        n = len(self.document_ids)
        table = Table.from_dict({"id": list(queries.ids), "text": list(queries.texts)})
        found = self.model.search(
            queries=table, top_k=n if n <= _WHOLE else min(n, depth), top_ranked=None, num_proc=None,
            encode_kwargs={"batch_size": self.options.batch_size}, **self._where(self.options),
        )  # fmt: skip
        asked = set(queries.ids)
        unknown = [name for name in found if name not in asked]
        if unknown:
            raise RetrievalError(f"mteb:{self.options.model} answered the query '{unknown[0]}', which was not asked")
        progress("search", len(queries), len(queries))
        return Retrieved(Run.from_mapping(found, query_ids=queries.ids, document_ids=self.document_ids, depth=depth))
