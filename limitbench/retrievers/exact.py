"""The oracle of our worlds: exact attribute logic, operators included. Whoever reads the text perfectly returns this."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from limitbench.collection import Corpus
from limitbench.datasets.language import answers, forms
from limitbench.datasets.worlds import WORLD_FORMS
from limitbench.retrievers.base import Adapter, Index, Progress, ScoredIndex, no_progress


class Exact(Adapter):
    """Documents that hold what is asked for score 1, others are not retrieved; `vocabulary` tells synonyms apart."""

    adapter: ClassVar[str] = "exact"
    vocabulary: str | None = None  # inflected or synonyms: what queries say of an attribute in another form

    @property
    def card(self) -> dict[str, Any]:
        """That it knows the sentence form and the operators."""
        return {"label": "oracle: knows the sentence forms and the operators; not a general retriever"}

    def index(self, corpus: Corpus, progress: Progress = no_progress) -> Index:
        """The holders of every attribute."""
        n = len(corpus)
        holders: dict[str, set[int]] = {}
        for row, text in enumerate(corpus.contents):
            for item in next((found for world in WORLD_FORMS if (found := world.listed(text))), []):
                holders.setdefault(item, set()).add(row)
        said = {} if self.vocabulary is None else {asked: listed for listed, asked in forms(self.vocabulary)}

        progress("index", n, n)

        def scores(_ids: Sequence[str], texts: Sequence[str]) -> npt.NDArray[Any]:
            out = np.full((len(texts), n), -np.inf, np.float32)
            for row, text in enumerate(texts):
                asked = next((found for world in WORLD_FORMS if (found := world.asked(text))), "")
                out[row, sorted(answers(asked, holders, said))] = 1
            return out

        return ScoredIndex.bounded(corpus.ids, scores, 8 * sum(map(len, holders.values())))
