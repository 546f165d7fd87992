"""TF-IDF with one token an attribute: what a retriever reaches that reads our worlds' sentences as lists. A ceiling.

Of a combination it adds up the attributes, all of them, as TF-IDF does: "but not" is nothing to it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from scipy import sparse

from limitbench.collection import Corpus
from limitbench.datasets.language import parse_expression
from limitbench.datasets.worlds import WORLD_FORMS
from limitbench.retrievers.base import Adapter, Index, Progress, ScoredIndex, no_progress


class TfidfItems(Adapter):
    """Cosine of L2-normalised tf * (ln((1 + n) / (1 + df)) + 1), attributes as tokens, whatever their case."""

    adapter: ClassVar[str] = "tfidf-items"

    @property
    def card(self) -> dict[str, Any]:
        """That it knows the sentence form."""
        return {"label": "knows LIMIT's sentence form; not a general retriever"}

    def index(self, corpus: Corpus, progress: Progress = no_progress) -> Index:
        """The corpus as a sparse matrix of attributes."""
        n = len(corpus)
        column: dict[str, int] = {}
        rows, columns = [], []
        for row, text in enumerate(corpus.contents):
            for item in next((found for world in WORLD_FORMS if (found := world.listed(text))), []):
                rows.append(row)
                columns.append(column.setdefault(item.casefold(), len(column)))
        counts = sparse.csr_array(
            (np.ones(len(rows)), (np.array(rows, np.int64), np.array(columns, np.int64))), (n, max(1, len(column)))
        )
        counts.sum_duplicates()
        idf = np.log((1 + n) / (1 + np.bincount(counts.indices, minlength=counts.shape[1]))) + 1
        weights = sparse.csr_array(counts @ sparse.diags_array(idf))
        norms = np.sqrt(np.asarray(weights.multiply(weights).sum(axis=1)).ravel())
        by_item = sparse.csr_array((sparse.diags_array(1 / np.where(norms > 0, norms, 1)) @ weights).T)  # (items, n)
        progress("index", n, n)

        def scores(_ids: Sequence[str], texts: Sequence[str]) -> npt.NDArray[Any]:
            out = np.full((len(texts), n), -np.inf)
            for row, text in enumerate(texts):
                asked = next((found for world in WORLD_FORMS if (found := world.asked(text))), "").casefold()
                for name in parse_expression(asked, column)[1]:
                    item = column.get(name)
                    if item is not None:
                        part = slice(by_item.indptr[item], by_item.indptr[item + 1])
                        found = out[row, by_item.indices[part]]
                        out[row, by_item.indices[part]] = np.where(np.isinf(found), 0, found) + by_item.data[part]
            return out

        nbytes = by_item.data.nbytes + by_item.indices.nbytes + by_item.indptr.nbytes
        return ScoredIndex.bounded(corpus.ids, scores, nbytes)
