"""BM25 by bm25s, the default lexical retriever. A document that shares no token with the query is not retrieved."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Literal

import bm25s
import numpy as np
import numpy.typing as npt
from pydantic import Field, ValidationInfo, field_validator

from limitbench.collection import Corpus
from limitbench.retrievers.base import Adapter, Arrays, Index, Progress, ScoredIndex, no_progress
from limitbench.retrievers.bm25_shards import ShardedBM25Index, Weights
from limitbench.retrievers.index_files import packed, unpacked
from limitbench.retrievers.sharded import here
from limitbench.retrievers.words import Splitter, Tokens, WordWatch, known_language

_MATRIX = ("data", "indices", "indptr")  # of bm25s's score matrix, documents by words


class BM25(Adapter):
    """bm25s on words that `tokens` takes from a text (see `words`): of any length, or pairs of characters where most of a corpus
    writes no spaces.

    `language` chooses stemmer and stop words, by name or code; `stemmer` and `stopwords` choose one of them alone, or none.
    """

    adapter: ClassVar[str] = "bm25"
    path_fields: ClassVar[tuple[str, ...] | None] = ()
    variant: Literal["lucene", "robertson", "atire", "bm25l", "bm25+"] = "lucene"
    k1: float = Field(1.5, ge=0, allow_inf_nan=False)
    b: float = Field(0.75, ge=0, le=1)
    delta: float = Field(0.5, ge=0, allow_inf_nan=False)  # bm25l and bm25+ alone read it
    tokens: Tokens = "auto"
    language: str = "english"
    stemmer: str = "auto"  # that of the language
    stopwords: str = "auto"  # those of the language
    shards: int = Field(1, ge=1)  # parts that are searched apart, on a cluster by its nodes: the same figures

    @field_validator("language", "stemmer", "stopwords")
    @classmethod
    def _known(cls, value: str, info: ValidationInfo) -> str:
        return value if value == "auto" and info.field_name != "language" else known_language(value)

    def index(self, corpus: Corpus, progress: Progress = no_progress) -> Index:
        """The corpus as bm25s's sparse score matrix."""
        n = len(corpus)
        splitter = self._splitter(corpus.contents)
        if self.divided:
            stem, stop = (self.language if given == "auto" else given for given in (self.stemmer, self.stopwords))
            weights = Weights(self.variant, self.k1, self.b, self.delta, splitter.tokens, stem, stop)
            return ShardedBM25Index.built(corpus, weights, self.shards, self._each or here)
        documents = splitter(corpus.contents)
        watch = WordWatch.of(documents, splitter, corpus.contents)
        progress("index", 0, n)
        if not any(documents):  # bm25s cannot index a corpus without a single token
            return ScoredIndex.bounded(
                corpus.ids,
                lambda ids, _: np.full((len(ids), n), -np.inf, np.float32),
                0,
                more=watch.facts,
                remarks=watch.remarks,
            )
        engine = self._engine()
        engine.index(documents, show_progress=False)
        progress("index", n, n)
        return self._searchable(corpus, engine, splitter, watch)

    @property
    def divided(self) -> bool:
        """Whether the corpus is searched in shards."""
        return self.shards > 1

    @property
    def configuration(self) -> dict[str, Any]:
        """Every option; that there is one shard goes without saying."""
        told = super().configuration
        return told if self.divided else {name: value for name, value in told.items() if name != "shards"}

    def restored(self, corpus: Corpus, arrays: Arrays) -> Index:
        """The score matrix that was saved."""
        if self.divided:
            return self.index(corpus)
        engine = self._engine()
        engine.scores = {**{name: arrays[name] for name in _MATRIX}, "num_docs": len(corpus)}
        engine.vocab_dict = {word: number for number, word in enumerate(unpacked(arrays["words"]))}
        engine.nonoccurrence_array = arrays.get("absent")
        splitter = self._splitter(corpus.contents)
        return self._searchable(
            corpus, engine, splitter, WordWatch.of(splitter(corpus.contents), splitter, corpus.contents)
        )

    def _engine(self) -> Any:
        return bm25s.BM25(method=self.variant, k1=self.k1, b=self.b, delta=self.delta)

    def _splitter(self, texts: Sequence[str]) -> Splitter:
        stem, stop = (self.language if given == "auto" else given for given in (self.stemmer, self.stopwords))
        return Splitter.of(self.tokens, stem, stop, texts)

    def _searchable(self, corpus: Corpus, engine: Any, splitter: Splitter, watch: WordWatch) -> Index:
        n, known = len(corpus), engine.vocab_dict

        def scores(ids: Sequence[str], texts: Sequence[str]) -> npt.NDArray[Any]:
            out = np.full((len(texts), n), -np.inf, np.float32)
            asked = splitter(texts)
            watch.asked(ids, asked)
            for row, words in enumerate(asked):
                kept = [known[word] for word in words if word in known]
                if kept:
                    value = engine.get_scores_from_ids(kept)
                    # Lucene's weights are above 0, so a document without any of the words, and no other, has 0
                    found = value > 0 if self.variant == "lucene" else _matching(engine, kept, n)
                    np.copyto(out[row], value, where=found)
            return out

        words = sorted(
            known, key=known.__getitem__
        )  # bm25s numbers them from 0; the empty word, where it adds one, is last
        arrays = {**{name: engine.scores[name] for name in _MATRIX}, "words": packed(words)}
        if engine.nonoccurrence_array is not None:
            arrays["absent"] = engine.nonoccurrence_array
        return ScoredIndex.bounded(
            corpus.ids, scores, sum(engine.scores[name].nbytes for name in _MATRIX), arrays=arrays, more=watch.facts,
            remarks=watch.remarks,
        )  # fmt: skip


def _matching(engine: Any, token_ids: list[int], n: int) -> npt.NDArray[np.bool_]:
    """Which documents hold at least one of the tokens, (n,)."""
    out = np.zeros(n, bool)
    indptr, indices = engine.scores["indptr"], engine.scores["indices"]
    for token in token_ids:
        out[indices[indptr[token] : indptr[token + 1]]] = True
    return out
