"""Pseudo-relevance feedback: a query is asked again with the words that tell its first documents from the others.

The first `documents` of a first search are taken as relevant. A word of theirs weighs by how often it stands there and by how rare
it is in the corpus (Rocchio 1971, with the idf of BM25); the best `terms` are added to the query's text. It goes with any retriever
of texts, and gives a reranker candidates that share no word with the query.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from pydantic import Field, field_validator

from limitbench.collection import Corpus, Queries
from limitbench.rankings import lots
from limitbench.retrievers.base import (
    Arrays,
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
from limitbench.retrievers.words import Splitter, Tokens, known_language


class Feedback(OverRetriever):
    """`feedback,of=bm25,documents=5,terms=10`: `of` is any retriever of texts. The query's own text is said `keep` times."""

    adapter: ClassVar[str] = "feedback"
    held: ClassVar[str] = "behind"
    path_fields: ClassVar[tuple[str, ...] | None] = ()
    of: str = "bm25"
    documents: int = Field(5, ge=1, le=1000)
    terms: int = Field(10, ge=1, le=1000)
    keep: int = Field(2, ge=1, le=100)
    tokens: Tokens = "auto"
    language: str = "english"
    device: str | None = None  # of a retriever that does not say

    @field_validator("language")
    @classmethod
    def _known(cls, value: str) -> str:
        return known_language(value)

    @cached_property
    def behind(self) -> Retriever:
        """The retriever that is asked twice, made once."""
        return self.made(self.of)

    @property
    def card(self) -> dict[str, Any]:
        """The card of the retriever behind it."""
        return self.behind.card

    def index(self, corpus: Corpus, progress: Progress = no_progress) -> Index:
        """The corpus indexed by the retriever behind it."""
        return _FeedbackIndex(corpus, self.behind.index(corpus, progress), self)

    def restored(self, corpus: Corpus, arrays: Arrays) -> Index:
        """Its index that was saved."""
        return _FeedbackIndex(corpus, restored_part(self.behind, corpus, arrays, "behind"), self)


@dataclass(eq=False)
class _FeedbackIndex:
    corpus: Corpus
    behind: Index
    options: Feedback
    first_seconds: npt.NDArray[np.float64] | None = field(default=None, init=False)

    @cached_property
    def lots(self) -> npt.NDArray[np.int64]:
        """By which documents of equal scores are taken."""
        return lots(self.corpus.ids)

    @property
    def arrays(self) -> dict[str, Any]:
        """Those of the index behind it."""
        return nested({"behind": self.behind})

    @property
    def facts(self) -> IndexFacts:
        """Those of the index behind it, whose services were asked twice."""
        found = self.behind.facts
        return replace(found, query_seconds=summed_seconds(self.first_seconds, found.query_seconds))

    @cached_property
    def splitter(self) -> Splitter:
        """How texts become words."""
        o = self.options
        return Splitter.of(o.tokens, "none", o.language, self.corpus.contents)

    @cached_property
    def words(self) -> list[list[str]]:
        """The words of every document, without stop words."""
        return self.splitter(self.corpus.contents)

    @cached_property
    def rarity(self) -> dict[str, float]:
        """BM25's idf of every word."""
        counts = Counter(word for words in self.words for word in set(words))
        n = len(self.corpus)
        return {word: float(np.log1p((n - count + 0.5) / (count + 0.5))) for word, count in counts.items()}

    def search(self, queries: Queries, depth: int, progress: Progress = no_progress) -> Retrieved:
        """The run of the queries that were added to."""
        o = self.options
        first = self.behind.search(queries, o.documents, progress).run
        self.first_seconds = self.behind.facts.query_seconds
        asked = []
        kept = first.best_by_lot(o.documents, self.lots)
        ends = np.searchsorted(first.rows[kept], np.arange(len(queries) + 1))
        for number, text in enumerate(queries.texts):
            best = first.indices[kept[ends[number] : ends[number + 1]]].tolist()
            asked.append(" ".join([*[text] * o.keep, *self.added(text, best)]) if best else text)
        return self.behind.search(Queries(queries.ids, tuple(asked)), depth, progress)

    def added(self, text: str, documents: list[int]) -> list[str]:
        """The words that tell these documents from the others, the query's own aside; the best first, equal ones by spelling."""
        weights: dict[str, float] = {}
        for document in documents:
            words = self.words[document]
            for word, count in Counter(words).items():
                weights[word] = weights.get(word, 0.0) + count / len(words) * self.rarity[word]
        own = {*self.splitter([text])[0]}
        ranked = sorted((-weight, word) for word, weight in weights.items() if word not in own and weight > 0)
        return [word for _, word in ranked[: self.options.terms]]
