"""A retriever from another package: the longest documents first, whatever is asked. All that limitbench needs is here."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np

from limitbench.collection import Corpus
from limitbench.retrievers.base import Adapter, Index, Progress, ScoredIndex, no_progress


class Length(Adapter):
    """`length` or `length,unit=words`: fields are options, checked and recorded by the base class."""

    adapter: ClassVar[str] = "length"
    unit: Literal["characters", "words"] = "characters"

    def index(self, corpus: Corpus, progress: Progress = no_progress) -> Index:
        """The documents' lengths."""
        measure = len if self.unit == "characters" else lambda text: len(text.split())
        lengths = np.array([measure(text) for text in corpus.contents], np.float32)
        progress("index", len(corpus), len(corpus))
        return ScoredIndex.bounded(corpus.ids, lambda ids, _texts: np.tile(lengths, (len(ids), 1)), lengths.nbytes)
