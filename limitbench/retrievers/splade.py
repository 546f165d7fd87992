"""Learned sparse retrieval: term weights from a sentence-transformers SparseEncoder, scored over a scipy inverted index."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from scipy import sparse

from limitbench.collection import Corpus
from limitbench.retrievers.base import Index, Progress, ScoredIndex, no_progress
from limitbench.retrievers.dense import ModelAdapter, loading, model_source
from limitbench.retrievers.saved import Arrays


class Splade(ModelAdapter):
    """`splade:MODEL`: any SPLADE by id, `id@revision` or folder. A document without a term of the query is not retrieved."""

    adapter: ClassVar[str] = "splade"

    def index(self, corpus: Corpus, progress: Progress = no_progress) -> Index:
        """The corpus as a sparse matrix of term weights, terms by documents."""
        documents = self.weights(corpus.contents, "document", progress)
        return self._searchable(corpus, sparse.csr_array(documents.T))  # (terms, n)

    def restored(self, corpus: Corpus, arrays: Arrays) -> Index:
        """The term weights that were saved."""
        parts = (arrays["data"], arrays["indices"], arrays["indptr"])
        return self._searchable(corpus, sparse.csr_array(parts, shape=(len(parts[2]) - 1, len(corpus))))

    def _searchable(self, corpus: Corpus, by_term: sparse.csr_array) -> Index:
        n = len(corpus)

        def scores(_ids: Sequence[str], texts: Sequence[str]) -> npt.NDArray[Any]:
            asked = self.weights(texts, "query", no_progress)
            found = sparse.csr_array(asked @ by_term)  # (m, n)
            out = np.full((len(texts), n), -np.inf, np.float32)
            rows = np.repeat(np.arange(len(texts)), np.diff(found.indptr))
            out[rows, found.indices] = found.data
            return out

        arrays = {"data": by_term.data, "indices": by_term.indices, "indptr": by_term.indptr}
        return ScoredIndex.bounded(corpus.ids, scores, sum(a.nbytes for a in arrays.values()), arrays=arrays)

    def weights(self, texts: Sequence[str], side: str, progress: Progress) -> sparse.csr_array:
        """Term weights (texts, vocabulary) of each text."""
        engine = _load(self.model, self.revision, self.device)
        call = engine.encode_query if side == "query" else engine.encode_document
        parts = []
        step = 8 * self.batch
        for start in range(0, len(texts), step):
            made = call(
                list(texts[start : start + step]),
                batch_size=self.batch,
                show_progress_bar=False,
                convert_to_sparse_tensor=True,
            )
            made = made.coalesce().cpu()
            index, values = made.indices().numpy(), made.values().float().numpy()
            parts.append(sparse.csr_array((values, (index[0], index[1])), shape=tuple(made.shape)))
            progress(f"encode {side}s", min(start + step, len(texts)), len(texts))
        return sparse.csr_array(sparse.vstack(parts))


@lru_cache(maxsize=1)
def _load(model: str, revision: str | None, device: str) -> Any:
    from sentence_transformers import SparseEncoder

    with loading("sparse model", model, device):
        folder = str(model_source(model, revision).folder)
        return SparseEncoder(
            folder, device=None if device == "auto" else device, model_kwargs={"use_safetensors": True}
        )
