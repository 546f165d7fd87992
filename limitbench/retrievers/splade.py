"""Learned sparse retrieval: term weights from a sentence-transformers SparseEncoder, scored over a scipy inverted index."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from pydantic import Field
from scipy import sparse

from limitbench.collection import Corpus
from limitbench.retrievers.base import Arrays, Index, IndexFacts, Progress, ScoredIndex, no_progress
from limitbench.retrievers.embedded import PLURAL, UnusableVector, naming
from limitbench.retrievers.model_files import Source
from limitbench.retrievers.models import Held, Loaded, ModelAdapter, loaded


class Splade(ModelAdapter):
    """`splade:MODEL`: any SPLADE by id, `id@revision` or folder. A document without a term of the query is not retrieved.

    `query_terms` and `document_terms` keep the heaviest terms alone, as servers do to answer quickly.
    """

    adapter: ClassVar[str] = "splade"
    query_terms: int | None = Field(None, ge=1)
    document_terms: int | None = Field(None, ge=1)

    @property
    def configuration(self) -> dict[str, Any]:
        """Every option that is given, and which weights they stand for."""
        pruning = ("query_terms", "document_terms")
        return {
            name: value for name, value in super().configuration.items() if name not in pruning or value is not None
        }

    def index(self, corpus: Corpus, progress: Progress = no_progress) -> Index:
        """The corpus as a sparse matrix of term weights, terms by documents."""
        encoder = SparseTextEncoder.of(self)
        with naming(corpus.ids, corpus.contents):
            documents = pruned(encoder.weights(corpus.contents, "document", progress), self.document_terms)
        return _searchable(corpus, sparse.csr_array(documents.T), encoder)  # (terms, n)

    def restored(self, corpus: Corpus, arrays: Arrays) -> Index:
        """The term weights that were saved."""
        parts = (arrays["data"], arrays["indices"], arrays["indptr"])
        by_term = sparse.csr_array(parts, shape=(len(parts[2]) - 1, len(corpus)))
        return _searchable(corpus, by_term, SparseTextEncoder.of(self))


def _searchable(corpus: Corpus, by_term: sparse.csr_array, encoder: SparseTextEncoder) -> Index:
    n = len(corpus)

    def scores(ids: Sequence[str], texts: Sequence[str]) -> npt.NDArray[Any]:
        with naming(ids, texts):
            asked = pruned(encoder.weights(texts, "query", no_progress), encoder.options.query_terms)
        found = sparse.csr_array(asked @ by_term)  # (m, n)
        out = np.full((len(texts), n), -np.inf, np.float32)
        rows = np.repeat(np.arange(len(texts)), np.diff(found.indptr))
        out[rows, found.indices] = found.data
        return out

    arrays = {"data": by_term.data, "indices": by_term.indices, "indptr": by_term.indptr}
    empty = int((np.bincount(by_term.indices, minlength=n) == 0).sum())

    def known() -> IndexFacts:
        return IndexFacts(
            nbytes=sum(a.nbytes for a in arrays.values()),
            load_seconds=encoder.held.load_seconds,
            remarks=[f"{empty} of {n} documents have no term and are never found"] if empty else (),
            cut_texts=encoder.held.cut_texts,
        )

    return ScoredIndex(corpus.ids, scores, known, arrays)


def pruned(weights: sparse.csr_array, most: int | None) -> sparse.csr_array:
    """The `most` heaviest terms of each row, those of equal weight by their numbers; all where it is None."""
    if most is None:
        return weights
    rows = np.repeat(np.arange(weights.shape[0]), np.diff(weights.indptr))
    order = np.lexsort((weights.indices, -weights.data, rows))
    kept = order[np.arange(len(order)) - weights.indptr[rows[order]] < most]
    return sparse.csr_array((weights.data[kept], (rows[kept], weights.indices[kept])), shape=weights.shape)


@dataclass(eq=False)
class SparseTextEncoder:
    """Turns texts into term weights."""

    options: Splade
    held: Held

    @classmethod
    def of(cls, options: Splade) -> SparseTextEncoder:
        """The encoder of these options."""
        return cls(options, Held(partial(_load, options)))

    def weights(self, texts: Sequence[str], side: str, progress: Progress) -> sparse.csr_array:
        """Term weights (texts, vocabulary) of each text. Raises `UnusableVector` for NaN and infinity."""
        engine, options = self.held.model.engine, self.options
        self.held.watch(texts, side)
        call = engine.encode_query if side == "query" else engine.encode_document
        parts = []
        step = 8 * options.batch
        for start in range(0, len(texts), step):
            batch = list(texts[start : start + step])
            made = call(batch, batch_size=options.batch, show_progress_bar=False, convert_to_sparse_tensor=True)
            made = made.coalesce().cpu()
            index, values = made.indices().numpy(), made.values().float().numpy()
            bad = np.flatnonzero(~np.isfinite(values))
            if len(bad):
                raise UnusableVector(batch[index[0][bad[0]]], "a term weight that is NaN or infinite")
            parts.append(sparse.csr_array((values, (index[0], index[1])), shape=tuple(made.shape)))
            progress(f"encode {PLURAL[side]}", min(start + step, len(texts)), len(texts))
        return sparse.csr_array(sparse.vstack(parts))


def _load(options: Splade) -> Loaded:
    from sentence_transformers import SparseEncoder

    chosen = None if options.device == "auto" else options.device

    def make(source: Source) -> Any:
        return SparseEncoder(str(source.folder), device=chosen, model_kwargs={"use_safetensors": True})

    return loaded("sparse model", options, make)
