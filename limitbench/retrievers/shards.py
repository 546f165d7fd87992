"""Vectors of a corpus in shards on the disk: made once by `limitbench encode`, searched exactly in parts."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar, Literal, Self

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from limitbench.collection import Corpus, Queries
from limitbench.errors import DataError, InputError, SpecError
from limitbench.progress import Each
from limitbench.retrievers.base import Adapter, Arrays, CutTexts, Index, IndexFacts, Progress, Retrieved, no_progress
from limitbench.retrievers.best_columns import Floats
from limitbench.retrievers.shard_files import Folder, folder_of
from limitbench.retrievers.sharded import ShardRows, VectorShard, here, search_approximately, search_vectors, shares
from limitbench.retrievers.vectors import SingleVectorIndex
from limitbench.validation import first_problem

MANIFEST = "shards.json"
_LEAST_FOR_PQ = 256  # with fewer, faiss's index has other settings


class Listed(BaseModel):
    """One file of vectors: how many documents, and first digits of the sha256 of documents and of what encoded them."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    file: str = Field(pattern=r"^documents-[0-9]{5,}-[0-9a-f]{16}\.npy$")  # beside the manifest, nowhere else
    documents: int
    sha256: str


class Manifest(BaseModel):
    """What a folder of shards holds: of which retriever and corpus, and its files in order."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)
    schema_name: Literal["limitbench.shards.v1"] = Field("limitbench.shards.v1", alias="schema")
    retriever: dict[str, Any]  # what made them, as a table: its name and options
    configuration: dict[str, Any]
    corpus: str  # its digest
    vectors: str  # sha256 of all rows, in order
    cut: dict[str, Any] | None = None  # documents that are longer than the model reads
    dim: int
    similarity: Literal["cosine", "dot"]
    shards: list[Listed]

    def to_json(self) -> bytes:
        """The manifest's bytes."""
        return (json.dumps(self.model_dump(by_alias=True), ensure_ascii=False, indent=1) + "\n").encode()


def settled(configuration: dict[str, Any]) -> dict[str, Any]:
    """A configuration without what says where, and how many at a time, texts are encoded."""
    return {name: value for name, value in configuration.items() if name not in ("device", "batch_size")}


def read_manifest(folder: Folder) -> Manifest:
    """What a folder of shards says that it holds. Raises `DataError`."""
    told = folder.read(MANIFEST)
    if told is None:
        raise DataError(
            str(folder), f"holds no {MANIFEST}; make it: limitbench encode -d DATASET -r RETRIEVER --out {folder}"
        )
    try:
        return Manifest.model_validate_json(told)
    except ValidationError as error:
        raise DataError(
            folder.at(MANIFEST), f"is no manifest of shards ({first_problem(error)}); encode again"
        ) from None


class Shards(Adapter):
    """`shards:FOLDER`, or a URL that fsspec knows: vectors that `limitbench encode` wrote, searched exactly, shard by shard, on a
    cluster by its nodes.

    Questions are encoded by the same retriever when they are asked. Ids, scores and ties do not depend on the number of shards.
    With `index`, each shard has an approximate index of faiss instead, as databases keep segments; its agreement with exact search
    is computed where the shard is.
    """

    adapter: ClassVar[str] = "shards"
    argument: ClassVar[str | None] = "folder"
    path_fields: ClassVar[tuple[str, ...] | None] = ("folder",)
    folder: str = Field(min_length=1)
    kind: Literal["exact", "flat", "hnsw", "ivf", "pq", "sq8"] = Field("exact", alias="index")  # each shard has its own
    device: str = "auto"  # of the encoder of questions

    def located(self, place: Callable[[str], str]) -> Self:
        """The same with its folder in its place. Raises `SpecError` for a URL, which is no file of a project."""
        if "://" in self.folder:
            raise SpecError("shards under a URL are outside of the project; give a folder in it")
        return super().located(place)

    @cached_property
    def manifest(self) -> Manifest:
        """What the folder holds."""
        return read_manifest(self.place)

    @cached_property
    def place(self) -> Folder:
        """Where they lie."""
        return folder_of(self.folder)

    @property
    def configuration(self) -> dict[str, Any]:
        """The encoding retriever's options, and digests of corpus and vectors; not the folder, nor, of exact search, the shards."""
        of = settled(self.manifest.configuration)
        told = {"adapter": self.adapter, "of": of, "corpus": self.manifest.corpus, "vectors": self.manifest.vectors}
        if self.kind == "exact":
            return told
        return {**told, "index": self.kind, "shards": [one.documents for one in self.manifest.shards]}

    @property
    def card(self) -> dict[str, Any]:
        """That of the encoding retriever."""
        return self.encoder.card

    @cached_property
    def encoder(self) -> Adapter:
        """The retriever that encodes questions."""
        from limitbench.retrievers import retriever

        made = retriever(
            {**self.manifest.retriever, **({"device": self.device} if self.device != "auto" else {})}
        ).retriever
        if not isinstance(made, Adapter) or settled(made.configuration) != settled(self.manifest.configuration):
            raise InputError(
                f"{self.folder} was encoded by another version or weights of {self.manifest.retriever['name']}; encode it again"
            )
        return made

    @property
    def divided(self) -> bool:
        """Always: shards are searched apart."""
        return True

    def index(self, corpus: Corpus, progress: Progress = no_progress) -> Index:
        """The shards, where they are of this corpus. Raises `DataError` where they are of another."""
        told = self.manifest
        if corpus.digest != told.corpus:
            raise DataError(
                self.place.at(MANIFEST),
                f"is of another corpus (sha256 {told.corpus[:12]}, here {corpus.digest[:12]}); encode this one",
            )
        counts = [one.documents for one in told.shards]
        if self.kind == "pq" and len(counts) > 1 and min(counts) < _LEAST_FOR_PQ:
            raise SpecError(
                f"index=pq is trained on {_LEAST_FOR_PQ} documents of each shard or more, and one has {min(counts)}; encode with "
                "another --shard-size"
            )
        first, shards = 0, []
        for one in told.shards:
            shards.append(VectorShard(self.place, one.file, first, one.documents))
            first += one.documents
        if first != len(corpus):
            raise DataError(
                self.place.at(MANIFEST), f"lists {first} documents, expected {len(corpus)}; encode it again"
            )
        questions = self.encoder.index(Corpus(corpus.ids[:1], corpus.contents[:1]), progress)
        if not isinstance(questions, SingleVectorIndex):
            raise InputError(f"{told.retriever['name']} has no single vectors; expected such a retriever")
        return ShardedIndex(corpus.ids, tuple(shards), questions, told, self.kind, self._each or here)


@dataclass(eq=False)
class ShardedIndex:
    """A corpus whose vectors lie in shards."""

    document_ids: tuple[str, ...]
    shards: tuple[VectorShard, ...]
    encoder: SingleVectorIndex
    manifest: Manifest
    kind: str
    each: Each
    nbytes: int = 0  # of the approximate indexes, once they were made
    agreement: dict[str, Any] = field(default_factory=dict)
    seconds: npt.NDArray[np.float64] | None = None  # each query's share of the last search

    @property
    def arrays(self) -> Arrays:
        """Nothing: the shards are files already."""
        return {}

    @property
    def facts(self) -> IndexFacts:
        """Bytes, dimension and similarity, and how many shards."""
        return IndexFacts(
            nbytes=self.nbytes or 4 * self.manifest.dim * len(self.document_ids), dim=self.manifest.dim, dtype="fp32",
            kind=self.kind, similarity=self.manifest.similarity, more={"shards": len(self.shards), **self.agreement},
            query_seconds=self.seconds,
            cut_texts=[*([CutTexts(**told)] if (told := self.manifest.cut) else []), *self.encoder.facts.cut_texts],
        )  # fmt: skip

    @property
    def rows(self) -> ShardRows:
        """The vectors, as of one array."""
        return ShardRows(self.shards, self.manifest.dim)

    def asked(self, queries: Queries, progress: Progress = no_progress) -> Floats:
        """The vectors (m, d) of these queries."""
        return self.encoder.asked(queries, progress)

    def search(self, queries: Queries, depth: int, progress: Progress = no_progress) -> Retrieved:
        """The run of these queries."""
        start = time.perf_counter()
        asked = self.asked(queries, progress)
        if self.kind == "exact":
            run = search_vectors(asked, queries.ids, self.document_ids, self.shards, depth, self.each)
        else:
            run, told, self.nbytes = search_approximately(
                asked, queries.ids, self.document_ids, self.shards, depth, self.kind, self.each
            )
            self.agreement = self.agreement or told
        self.seconds = shares(time.perf_counter() - start, len(queries))
        return Retrieved(run)
