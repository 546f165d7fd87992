"""A retriever and a pattern of relevance from another package. All that limitbench needs is here."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np

from limitbench.collection import Corpus
from limitbench.errors import SpecError
from limitbench.relevance import Qrels
from limitbench.retrievers.base import Adapter, Index, Progress, ScoredIndex, no_progress


def star(n: int, m: int) -> Qrels:
    """`[pattern] kind = "star"`: every query asks for document 0 and one other; arguments are checked by their types."""
    if not 1 <= m < n:
        raise SpecError(f"found m = {m} queries and n = {n} documents; expected 1 <= m < n")
    return Qrels.from_sets([[0, q + 1] for q in range(m)], n)


class Length(Adapter):
    """The longest documents first, whatever is asked: `length` or `length,unit=words`.

    Fields are options; the base class checks and records them.
    """

    adapter: ClassVar[str] = "length"
    unit: Literal["characters", "words"] = "characters"

    def index(self, corpus: Corpus, progress: Progress = no_progress) -> Index:
        """The documents' lengths."""
        measure = len if self.unit == "characters" else lambda text: len(text.split())
        lengths = np.array([measure(text) for text in corpus.contents], np.float32)
        progress("index", len(corpus), len(corpus))
        return ScoredIndex.bounded(corpus.ids, lambda ids, _texts: np.tile(lengths, (len(ids), 1)), lengths.nbytes)
