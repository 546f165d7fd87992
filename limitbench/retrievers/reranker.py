"""A first stage and a reranker behind it. What the first stage does not find, no reranker can return.

So a search gives the candidates too, and a result tells the ceiling that a perfect reranker of them would reach.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from pydantic import Field

from limitbench.collection import Corpus, Queries
from limitbench.rankings import Run, lots
from limitbench.retrievers.base import (
    Arrays,
    CutTexts,
    Index,
    IndexFacts,
    Progress,
    Retrieved,
    Retriever,
    no_progress,
    summed_seconds,
)
from limitbench.retrievers.index_files import nested, restored_part
from limitbench.retrievers.over import OverRetriever

Scores = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Pairs:
    """What is scored: pairs of a query and a document, by their numbers.

    A query's pairs stand together, in the first stage's order.
    """

    queries: Queries
    corpus: Corpus
    rows: npt.NDArray[np.int64]  # (pairs,) the query of each
    columns: npt.NDArray[np.int64]  # (pairs,) the document of each
    first: npt.NDArray[np.float64]  # (pairs,) the first stage's score of each

    @property
    def texts(self) -> list[tuple[str, str]]:
        """The texts of each pair."""
        contents = self.corpus.contents
        return [
            (self.queries.texts[q], contents[d]) for q, d in zip(self.rows.tolist(), self.columns.tolist(), strict=True)
        ]

    @property
    def by_query(self) -> list[tuple[str, list[str], slice]]:
        """For each query with a candidate: its text, the texts of its candidates, and where its pairs stand."""
        bounds = np.searchsorted(self.rows, np.arange(len(self.queries) + 1))
        contents = self.corpus.contents
        return [
            (self.queries.texts[i], [contents[d] for d in self.columns[a:b].tolist()], slice(int(a), int(b)))
            for i, (a, b) in enumerate(pairwise(bounds))
            if b > a
        ]


class Scorer(ABC):
    """What scores the candidates of one index, and what it finds out about itself meanwhile."""

    @abstractmethod
    def scores(self, pairs: Pairs, progress: Progress) -> Scores:
        """A finite score (pairs,) of each pair; larger is better."""

    @property
    def more(self) -> Mapping[str, Any]:
        """What a record keeps of it, JSON-ready."""
        return {}

    @property
    def remarks(self) -> Sequence[str]:
        """Sentences to read before the numbers."""
        return ()

    @property
    def cut_texts(self) -> Sequence[CutTexts]:
        """Texts that were not read to their end."""
        return ()

    @property
    def query_seconds(self) -> Scores | None:
        """Seconds (queries,) of each query of the last search, as a service took them; None: searches may be timed again."""
        return None


class Reranker(OverRetriever, ABC):
    """Base of the rerankers: the first stage's best `candidates` documents are scored again, and others are not retrieved.

    Of documents that tie across the first stage's cut, some are taken by lot: the same ones everywhere, whatever the corpus' order.
    """

    option: ClassVar[str] = "first"
    held: ClassVar[str] = "first_stage"
    first: str = "bm25"
    candidates: int = Field(100, ge=1)

    @abstractmethod
    def scorer(self) -> Scorer:
        """What scores the candidates of one index; every adapter has its own."""

    @cached_property
    def first_stage(self) -> Retriever:
        """The first stage as a retriever, made once."""
        return self.made(self.first)

    @property
    def card(self) -> dict[str, Any]:
        """The model, and the first stage."""
        return {**super().card, "first": self.first_stage.card}

    def index(self, corpus: Corpus, progress: Progress = no_progress) -> Index:
        """The corpus indexed by the first stage."""
        return RerankedIndex(corpus, self.first_stage.index(corpus, progress), self.candidates, self.scorer())

    def restored(self, corpus: Corpus, arrays: Arrays) -> Index:
        """The first stage's index that was saved."""
        return RerankedIndex(
            corpus, restored_part(self.first_stage, corpus, arrays, "first"), self.candidates, self.scorer()
        )


@dataclass(eq=False)
class RerankedIndex:
    """The index of a first stage, and the scorer of its candidates."""

    corpus: Corpus
    first: Index
    candidates: int
    scorer: Scorer

    @property
    def arrays(self) -> dict[str, Any]:
        """The arrays of the first stage's index; the reranker keeps none."""
        return nested({"first": self.first})

    @property
    def facts(self) -> IndexFacts:
        """How many candidates, what the scorer reports, and what the first stage reports.

        Bytes and seconds are the first stage's: the first search loads a model.
        """
        first, scorer = self.first.facts, self.scorer
        return IndexFacts(
            nbytes=first.nbytes,
            load_seconds=first.load_seconds,
            more={"candidates": self.candidates, **scorer.more, "first_stage": first.record},
            remarks=[*first.remarks, *scorer.remarks],
            cut_texts=[*first.cut_texts, *scorer.cut_texts],
            query_seconds=summed_seconds(first.query_seconds, scorer.query_seconds),
        )

    @cached_property
    def lots(self) -> npt.NDArray[np.int64]:
        """By which documents of equal scores are taken."""
        return lots(self.corpus.ids)

    def search(self, queries: Queries, depth: int, progress: Progress = no_progress) -> Retrieved:
        """The candidates of these queries, by the scorer's scores."""
        found = self.first.search(queries, self.candidates, progress).run
        kept = found.best_by_lot(self.candidates, self.lots)
        rows, columns, first = found.rows[kept], found.indices[kept], found.scores[kept]
        ids = {"query_ids": queries.ids, "document_ids": self.corpus.ids}
        candidates = Run.from_entries(rows, columns, first, **ids, depth=self.candidates)
        pairs = Pairs(queries, self.corpus, rows.astype(np.int64), columns.astype(np.int64), first)
        scores = self.scorer.scores(pairs, progress)
        return Retrieved(Run.from_entries(rows, columns, scores, **ids, depth=depth), candidates)
