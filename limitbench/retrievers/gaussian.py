"""Vectors that know nothing: a random direction of every id, the control of what an index loses on vectors of no structure."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from pydantic import Field

from limitbench.collection import Corpus, Queries
from limitbench.retrievers.base import Adapter, Arrays, Index, IndexFacts, Progress, Retrieved, no_progress
from limitbench.retrievers.best_columns import Floats
from limitbench.retrievers.vectors import Dtype, Kind, VectorIndex


class Gaussian(Adapter):
    """`gaussian,dim=256`: unit vectors of independent normal coordinates, the same for the same seed and id everywhere.

    No text is read: its recall is that of chance. What counts is the agreement of an index with exact search.
    """

    adapter: ClassVar[str] = "gaussian"
    dim: int = Field(256, ge=1, le=65_536)
    seed: int = Field(0, ge=0, lt=2**63)
    dtype: Dtype = "fp32"
    kind: Kind = Field("exact", alias="index")

    @property
    def card(self) -> dict[str, Any]:
        """That it knows nothing."""
        return {"label": "random directions: a control of indexes, not a retriever"}

    def index(self, corpus: Corpus, progress: Progress = no_progress) -> Index:
        """One vector a document."""
        documents = self.vectors("document", corpus.ids)
        progress("index", len(corpus), len(corpus))
        return _GaussianIndex(
            VectorIndex.built(corpus.ids, documents, dtype=self.dtype, kind=self.kind, similarity="cosine"), self
        )

    def vectors(self, side: str, ids: Sequence[str]) -> Floats:
        """Unit vectors (n, dim) of ids; a query and a document of one id have different ones."""
        out = np.empty((len(ids), self.dim), np.float32)
        for row, name in zip(out, ids, strict=True):
            key = hashlib.blake2b(f"{side} {name}".encode(), digest_size=8, key=str(self.seed).encode()).digest()
            x = np.random.default_rng(int.from_bytes(key, "little")).standard_normal(self.dim)
            row[:] = x / np.linalg.norm(x)
        return out


@dataclass(frozen=True, eq=False)
class _GaussianIndex:
    vectors: VectorIndex
    made_by: Gaussian

    @property
    def facts(self) -> IndexFacts:
        """The vectors'."""
        return self.vectors.facts

    @property
    def arrays(self) -> Arrays:
        """None: drawing them again is as quick."""
        return {}

    def asked(self, queries: Queries, _progress: Progress = no_progress) -> Floats:
        """One vector a query."""
        return self.made_by.vectors("query", queries.ids)

    def search(self, queries: Queries, depth: int, progress: Progress = no_progress) -> Retrieved:
        """The run of these queries."""
        return Retrieved(self.vectors.search(self.asked(queries), queries.ids, depth, progress))
