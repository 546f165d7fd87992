"""BM25 by bm25s, the default lexical retriever. A document that shares no token with the query is not retrieved."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Literal

import bm25s
import numpy as np
import numpy.typing as npt
import Stemmer
from pydantic import Field

from limitbench.collection import Corpus
from limitbench.retrievers.base import Adapter, Index, Progress, ScoredIndex, no_progress


class BM25(Adapter):
    """bm25s with its own tokenizer; `stemmer` is a Snowball language, `stopwords` a language code of bm25s."""

    adapter: ClassVar[str] = "bm25"
    variant: Literal["lucene", "robertson", "atire", "bm25l", "bm25+"] = "lucene"
    k1: float = Field(1.5, ge=0, allow_inf_nan=False)
    b: float = Field(0.75, ge=0, le=1)
    delta: float = Field(0.5, ge=0, allow_inf_nan=False)  # bm25l and bm25+ alone read it
    stemmer: Literal["english", "german", "french", "spanish", "italian", "portuguese", "dutch", "none"] = "english"
    stopwords: Literal["en", "de", "fr", "es", "it", "pt", "nl", "none"] = "en"

    def index(self, corpus: Corpus, progress: Progress = no_progress) -> Index:
        """The corpus as bm25s's sparse score matrix."""
        stemmer = None if self.stemmer == "none" else Stemmer.Stemmer(self.stemmer)
        stopwords: list[str] | str = [] if self.stopwords == "none" else self.stopwords

        def tokens(texts: Sequence[str]) -> list[list[str]]:
            out: list[list[str]] = bm25s.tokenize(
                list(texts), stopwords=stopwords, stemmer=stemmer, return_ids=False, show_progress=False
            )
            return out

        n = len(corpus)
        documents = tokens(corpus.contents)
        progress("index", 0, n)
        if not any(documents):  # bm25s cannot index a corpus without a single token
            return ScoredIndex.bounded(corpus.ids, lambda ids, _: np.full((len(ids), n), -np.inf, np.float32), 0)
        engine = bm25s.BM25(method=self.variant, k1=self.k1, b=self.b, delta=self.delta)
        engine.index(documents, show_progress=False)
        progress("index", n, n)
        known = engine.vocab_dict

        def scores(_ids: Sequence[str], texts: Sequence[str]) -> npt.NDArray[Any]:
            out = np.full((len(texts), n), -np.inf, np.float32)
            for row, words in enumerate(tokens(texts)):
                kept = [known[word] for word in words if word in known]
                if kept:
                    value = engine.get_scores_from_ids(kept)
                    # Lucene's weights are above 0, so a document without any of the words, and no other, has 0
                    found = value > 0 if self.variant == "lucene" else _matching(engine, kept, n)
                    np.copyto(out[row], value, where=found)
            return out

        return ScoredIndex.bounded(
            corpus.ids, scores, sum(engine.scores[k].nbytes for k in ("data", "indices", "indptr"))
        )


def _matching(engine: Any, token_ids: list[int], n: int) -> npt.NDArray[np.bool_]:
    """Which documents hold at least one of the tokens, (n,)."""
    out = np.zeros(n, bool)
    indptr, indices = engine.scores["indptr"], engine.scores["indices"]
    for token in token_ids:
        out[indices[indptr[token] : indptr[token + 1]]] = True
    return out
