"""BM25 by rank-bm25, kept for comparison: many tutorials use it, and its splitting rule decides what it finds."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field
from rank_bm25 import BM25L, BM25Okapi, BM25Plus

from limitbench.collection import Corpus
from limitbench.retrievers.base import Adapter, Index, Progress, ScoredIndex, no_progress
from limitbench.retrievers.words import WordWatch, unspaced_texts

_VARIANTS = {"okapi": BM25Okapi, "l": BM25L, "plus": BM25Plus}


class RankBM25(Adapter):
    r"""rank-bm25. `tokens=words` finds `\w+`; `tokens=split` is `str.split()`, with which "trees?" is not "trees,"."""

    adapter: ClassVar[str] = "rank-bm25"
    path_fields: ClassVar[tuple[str, ...] | None] = ()
    variant: Literal["okapi", "l", "plus"] = "okapi"
    k1: float = Field(1.5, ge=0, allow_inf_nan=False)
    b: float = Field(0.75, ge=0, le=1)
    tokens: Literal["words", "split"] = "words"

    def _split(self, text: str) -> list[str]:
        return re.findall(r"\w+", text.lower()) if self.tokens == "words" else text.lower().split()

    def index(self, corpus: Corpus, progress: Progress = no_progress) -> Index:
        """The corpus as rank-bm25's term frequencies."""
        n = len(corpus)
        documents = [self._split(text) for text in corpus.contents]
        empty = sum(not row for row in documents)
        watch = WordWatch(self.tokens, n, empty, unspaced_texts(corpus.contents), advice="use bm25,tokens=bigrams")
        if not any(documents):  # rank-bm25 divides by the mean length
            return ScoredIndex.bounded(
                corpus.ids, lambda ids, _: np.full((len(ids), n), -np.inf), 0, remarks=watch.remarks
            )
        engine = _VARIANTS[self.variant](documents, k1=self.k1, b=self.b)
        progress("index", n, n)
        holders: dict[str, list[int]] = {}
        for number, words in enumerate(documents):
            for word in dict.fromkeys(words):
                holders.setdefault(word, []).append(number)

        def scores(ids: Sequence[str], texts: Sequence[str]) -> npt.NDArray[Any]:
            out = np.full((len(texts), n), -np.inf)
            asked = [self._split(text) for text in texts]
            watch.asked(ids, asked)
            for row, given in enumerate(asked):
                words = [word for word in given if word in holders]
                matching = np.zeros(n, bool)
                for word in words:
                    matching[holders[word]] = True
                if words:
                    out[row] = np.where(matching, engine.get_scores(words), -np.inf)
            return out

        entries = sum(len(frequencies) for frequencies in engine.doc_freqs)
        size = entries * 16  # a key and a count each, strings shared
        return ScoredIndex.bounded(corpus.ids, scores, size, remarks=watch.remarks)
