"""Free embeddings as a retriever: vectors optimised on the dataset's own qrels, the ceiling that d dimensions leave a model.

They read no text. What they do not reach is not impossible: the optimizer did not find it with this seed in this time.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
from pydantic import Field

from limitbench.capacity.anneal import Annealer
from limitbench.capacity.problem import Problem
from limitbench.capacity.scores import arithmetic
from limitbench.collection import Corpus, Queries
from limitbench.retrievers.base import Adapter, Arrays, Index, IndexFacts, Progress, Retrieved, no_progress
from limitbench.retrievers.best_columns import Floats
from limitbench.retrievers.index_files import packed, unpacked
from limitbench.retrievers.own_dataset import own_dataset, require_own
from limitbench.retrievers.vectors import VectorIndex


class Free(Adapter):
    """`free:DATASET,dim=8`: the best vectors found for that dataset's qrels; it answers that dataset's queries alone."""

    adapter: ClassVar[str] = "free"
    argument: ClassVar[str | None] = "dataset"
    path_fields: ClassVar[tuple[str, ...] | None] = ("dataset",)
    dataset: str = Field(min_length=1)
    dim: int = Field(ge=1)
    seed: int = Field(0, ge=0)
    seconds: float = Field(60, gt=0, allow_inf_nan=False)

    @property
    def card(self) -> dict[str, Any]:
        """That it was made from the answers."""
        return {"label": "optimised on the test set's own qrels: a ceiling for this dimension, not a retriever"}

    def index(self, corpus: Corpus, progress: Progress = no_progress) -> Index:
        """Vectors of this dimension, optimised until every row is strict, the schedule ends or the time is up."""
        data = own_dataset(self.adapter, self.dataset, corpus)
        problem = Problem.of(data.qrels)
        deadline = time.monotonic() + self.seconds
        with arithmetic():
            found = Annealer(problem, self.dim).attempt(
                [self.seed], deadline=deadline, watch=lambda done, of, _gap: progress("optimise", done, of)
            )
        rows = np.arange(problem.m) if problem.rows is None else problem.rows
        queries = np.zeros((data.qrels.n_queries, self.dim), np.float32)
        queries[rows] = found.queries
        place = {name: number for number, name in enumerate(data.queries.ids)}
        facts = {"solved": found.solved, "steps": found.steps, "stopped": found.stopped}
        return _FreeIndex(VectorIndex.built(corpus.ids, np.asarray(found.documents, np.float32)), queries, place, facts)

    def restored(self, corpus: Corpus, arrays: Arrays) -> Index:
        """The vectors that were saved."""
        place = {name: number for number, name in enumerate(unpacked(arrays["queries"]))}
        vectors = VectorIndex.restored(corpus.ids, arrays, dtype="fp32", kind="exact")
        return _FreeIndex(vectors, arrays["asked"], place, unpacked(arrays["found"]))


@dataclass(frozen=True, eq=False)
class _FreeIndex:
    vectors: VectorIndex
    queries: Floats
    place: dict[str, int]
    found: dict[str, Any]

    @property
    def arrays(self) -> Arrays:
        """Both sides' vectors, the queries' ids, how the optimizer ended."""
        told = {"queries": packed(list(self.place)), "found": packed(self.found)}
        return {**self.vectors.arrays, **told, "asked": self.queries}

    @property
    def facts(self) -> IndexFacts:
        """The vectors', and how the optimizer ended."""
        return replace(self.vectors.facts, more=self.found)

    def asked(self, queries: Queries, _progress: Progress = no_progress) -> Floats:
        """The vectors (m, d) of these queries; one that the dataset does not have is an error."""
        require_own("free embeddings", self.place, queries.ids)
        return self.queries[[self.place[name] for name in queries.ids]]

    def search(self, queries: Queries, depth: int, progress: Progress = no_progress) -> Retrieved:
        """The run of these queries."""
        return Retrieved(self.vectors.search(self.asked(queries), queries.ids, depth, progress))
