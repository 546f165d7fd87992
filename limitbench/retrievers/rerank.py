"""A first stage and a cross-encoder behind it. What the first stage does not find, no reranker can return.

So the candidates stay with the index, and the runner prints the ceiling that a perfect reranker of them would reach.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import Any, ClassVar

import numpy as np
import torch
from pydantic import Field

from limitbench.collection import Corpus, Queries
from limitbench.rankings import Run
from limitbench.retrievers.base import Index, Progress, Retriever, no_progress
from limitbench.retrievers.dense import ModelAdapter, loading, model_source


class Rerank(ModelAdapter):
    """`rerank:MODEL,first=bm25,candidates=100`: a sentence-transformers CrossEncoder, by id, `id@revision` or folder.

    The first stage's best `candidates` documents are scored again (ties across its cut are taken in corpus order); others are
    not retrieved. Scores are the model's raw outputs: a sigmoid would make the best of them tie.
    """

    adapter: ClassVar[str] = "rerank"
    first: str = "bm25"
    candidates: int = Field(100, ge=1)

    @cached_property
    def first_stage(self) -> Retriever:
        """The first stage."""
        from limitbench.retrievers import retriever

        return retriever(self.first).retriever

    @property
    def configuration(self) -> dict[str, Any]:
        """Every option, the first stage's configuration, and which weights the model's name stands for."""
        return {**super().configuration, "first": self.first_stage.configuration}

    @property
    def card(self) -> dict[str, Any]:
        """The model and the first stage."""
        return {**super().card, "first": self.first_stage.card}

    def index(self, corpus: Corpus, progress: Progress = no_progress) -> Index:
        """The corpus indexed by the first stage."""
        return _RerankIndex(corpus, self.first_stage.index(corpus, progress), self)


@dataclass(eq=False)
class _RerankIndex:
    corpus: Corpus
    first: Index
    options: Rerank
    candidates: Run | None = field(default=None, init=False)  # of the last search of more than one query

    @property
    def nbytes(self) -> int:
        """Bytes of the first stage's index."""
        return self.first.nbytes

    @property
    def facts(self) -> dict[str, Any]:
        """How many candidates, and what the first stage reports."""
        return {"candidates": self.options.candidates, "first_stage": getattr(self.first, "facts", {})}

    def search(self, queries: Queries, depth: int, progress: Progress = no_progress) -> Run:
        """The candidates of these queries, by the cross-encoder's scores."""
        options = self.options
        found = self.first.search(queries, options.candidates, progress)
        starts = found.indptr[:-1]
        kept = np.arange(len(found.indices)) - starts[found.rows] < options.candidates
        rows, columns = found.rows[kept], found.indices[kept]
        candidates = Run.from_entries(
            rows,
            columns,
            found.scores[kept],
            query_ids=queries.ids,
            document_ids=self.corpus.ids,
            depth=options.candidates,
        )
        if len(queries) > 1:
            self.candidates = candidates
        pairs = [
            (queries.texts[q], self.corpus.contents[d]) for q, d in zip(rows.tolist(), columns.tolist(), strict=True)
        ]
        scores = self._scores(pairs, progress)
        return Run.from_entries(rows, columns, scores, query_ids=queries.ids, document_ids=self.corpus.ids, depth=depth)

    def _scores(self, pairs: Sequence[tuple[str, str]], progress: Progress) -> np.ndarray[Any, Any]:
        options = self.options
        engine = _load(options.model, options.revision, options.device)
        parts = [np.empty(0)]
        step = 16 * options.batch_size
        for start in range(0, len(pairs), step):
            batch = list(pairs[start : start + step])
            with torch.inference_mode():
                parts.append(
                    engine.predict(
                        batch, batch_size=options.batch_size, show_progress_bar=False, activation_fn=torch.nn.Identity()
                    )
                )
            progress("rerank", min(start + step, len(pairs)), len(pairs))
        return np.concatenate(parts).astype(np.float64)


@lru_cache(maxsize=1)
def _load(model: str, revision: str | None, device: str) -> Any:
    from sentence_transformers import CrossEncoder

    with loading("cross-encoder", model, device):
        folder = str(model_source(model, revision).folder)
        return CrossEncoder(folder, device=None if device == "auto" else device, model_kwargs={"use_safetensors": True})
