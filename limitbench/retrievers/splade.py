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


class Splade(ModelAdapter):
    """`splade:MODEL`: any SPLADE by id, `id@revision` or folder. A document without a term of the query is not retrieved."""

    adapter: ClassVar[str] = "splade"

    def index(self, corpus: Corpus, progress: Progress = no_progress) -> Index:
        """The corpus as a sparse matrix of term weights, terms by documents."""
        n = len(corpus)
        documents = self.weights(corpus.contents, "document", progress)
        by_term = sparse.csr_array(documents.T)  # (terms, n)

        def scores(_ids: Sequence[str], texts: Sequence[str]) -> npt.NDArray[Any]:
            asked = self.weights(texts, "query", no_progress)
            found = sparse.csr_array(asked @ by_term)  # (m, n)
            out = np.full((len(texts), n), -np.inf, np.float32)
            rows = np.repeat(np.arange(len(texts)), np.diff(found.indptr))
            out[rows, found.indices] = found.data
            return out

        nbytes = by_term.data.nbytes + by_term.indices.nbytes + by_term.indptr.nbytes
        return ScoredIndex.bounded(corpus.ids, scores, nbytes)

    def weights(self, texts: Sequence[str], side: str, progress: Progress) -> sparse.csr_array:
        """Term weights (texts, vocabulary) of each text."""
        engine = _load(self.model, self.revision, self.device)
        call = engine.encode_query if side == "query" else engine.encode_document
        parts = []
        step = 8 * self.batch_size
        for start in range(0, len(texts), step):
            made = call(
                list(texts[start : start + step]),
                batch_size=self.batch_size,
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
