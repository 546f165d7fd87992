"""A first stage and a cross-encoder behind it. What the first stage does not find, no reranker can return.

So a search gives the candidates too, and a result tells the ceiling that a perfect reranker of them would reach.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
import torch
from pydantic import Field, field_validator

from limitbench.collection import Corpus, Queries
from limitbench.errors import RetrievalError
from limitbench.files import read_record
from limitbench.rankings import Run
from limitbench.retrievers.base import (
    Arrays,
    CutTexts,
    Index,
    IndexFacts,
    Progress,
    Retrieved,
    Retriever,
    Reuse,
    TextVectors,
    no_progress,
)
from limitbench.retrievers.cut_texts import cut_pairs
from limitbench.retrievers.index_files import nested, restored_part
from limitbench.retrievers.model_files import Source
from limitbench.retrievers.models import Loaded, ModelAdapter, loaded
from limitbench.retrievers.spec import RetrieverSpec

_MOST_SCORES = 2_000_000  # pairs kept in memory


class Rerank(ModelAdapter):
    """`rerank:MODEL,first=bm25,candidates=100`: a sentence-transformers CrossEncoder, by id, `id@revision` or folder.

    The first stage's best `candidates` documents are scored again (ties across its cut are taken in corpus order); others are
    not retrieved. Scores are the model's raw outputs: a sigmoid would make the best of them tie.
    """

    adapter: ClassVar[str] = "rerank"
    first: str = "bm25"  # a spec; a table comes as its line
    candidates: int = Field(100, ge=1)
    precision: str | None = None  # of a first stage that does not say
    reuse: Reuse | None = Field(None, exclude=True)  # likewise

    @field_validator("first", mode="before")
    @classmethod
    def _line(cls, value: Any) -> Any:
        return str(RetrieverSpec.parse(value)) if isinstance(value, dict) else value

    @cached_property
    def first_stage(self) -> Retriever:
        """The first stage as a retriever, made once."""
        device = None if self.device == "auto" else self.device
        made: Retriever = RetrieverSpec.parse(self.first).made(
            device=device, precision=self.precision, reuse=self.reuse
        )
        return made

    def located(self, place: Callable[[str], str]) -> Self:
        """The same with the model's folder and the first stage's in their places."""
        return super().located(place).with_part("first_stage", lambda first: first.located(place))

    def sharing(self, vectors: TextVectors) -> Self:
        """The same with a first stage that shares these vectors of texts."""
        return self.with_part("first_stage", lambda first: first.sharing(vectors))

    @property
    def configuration(self) -> dict[str, Any]:
        """Every option, the first stage's configuration, and which weights the model's name stands for."""
        return {**super().configuration, "first": self.first_stage.configuration}

    @property
    def card(self) -> dict[str, Any]:
        """The model, the label of one that limitbench trained, and the first stage."""
        trained = self.source.folder / "limitbench.json"
        label = {"label": read_record(trained).get("label")} if trained.is_file() else {}
        return {**super().card, **label, "first": self.first_stage.card}

    def index(self, corpus: Corpus, progress: Progress = no_progress) -> Index:
        """The corpus indexed by the first stage."""
        return _RerankIndex(corpus, self.first_stage.index(corpus, progress), self)

    def restored(self, corpus: Corpus, arrays: Arrays) -> Index:
        """The first stage's index that was saved."""
        return _RerankIndex(corpus, restored_part(self.first_stage, corpus, arrays, "first"), self)


@dataclass(eq=False)
class _RerankIndex:
    corpus: Corpus
    first: Index
    options: Rerank
    scored: int = field(default=0, init=False)  # pairs that this index had the model score, the rest came from memory
    cut: CutTexts | None = field(default=None, init=False)  # of the last search of more than one query
    made: float = field(default_factory=time.perf_counter, init=False)

    @cached_property
    def model(self) -> Loaded:
        """The cross-encoder, from the pool, with the scores that it gave: a sweep of depths scores each pair once."""
        return _load(self.options)

    @property
    def arrays(self) -> dict[str, Any]:
        """The arrays of the first stage's index; the reranker keeps none."""
        return nested({"first": self.first})

    @property
    def facts(self) -> IndexFacts:
        """How many candidates, how many pairs were scored now and not before, and what the first stage reports.

        Bytes and seconds are the first stage's: the first search loads the cross-encoder.
        """
        first = self.first.facts
        own = {"candidates": self.options.candidates, "pairs_scored": self.scored, "batch_size": self.options.batch}
        return IndexFacts(
            nbytes=first.nbytes,
            load_seconds=first.load_seconds,
            more={**own, "first_stage": first.record},
            remarks=first.remarks,
            cut_texts=[*first.cut_texts, *([self.cut] if self.cut else [])],
        )

    def search(self, queries: Queries, depth: int, progress: Progress = no_progress) -> Retrieved:
        """The candidates of these queries, by the cross-encoder's scores."""
        options = self.options
        found = self.first.search(queries, options.candidates, progress).run
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
        probing = len(queries) == 1  # a latency probe must not find its pairs in memory
        pairs = [
            (queries.texts[q], self.corpus.contents[d]) for q, d in zip(rows.tolist(), columns.tolist(), strict=True)
        ]
        if not probing:
            self.cut = cut_pairs(self.model, pairs)
        known: dict[tuple[str, str], float] = {} if probing else self.model.scores
        self.scored += 0 if probing else len(set(pairs) - known.keys())
        scores = self._scores(pairs, known, progress)
        run = Run.from_entries(rows, columns, scores, query_ids=queries.ids, document_ids=self.corpus.ids, depth=depth)
        return Retrieved(run, candidates)

    def _scores(
        self, pairs: Sequence[tuple[str, str]], found: dict[tuple[str, str], float], progress: Progress
    ) -> npt.NDArray[np.float64]:
        """The model's score of every pair; equal pairs are scored once, so that they tie whatever stands around them."""
        options = self.options
        engine = self.model.engine
        new = sorted(set(pairs) - found.keys(), key=lambda pair: (-len(pair[0]) - len(pair[1]), pair))
        step = 16 * options.batch
        for start in range(0, len(new), step):
            batch = new[start : start + step]
            with torch.inference_mode():
                scores = engine.predict(
                    batch, batch_size=options.batch, show_progress_bar=False, activation_fn=torch.nn.Identity()
                )
            values = np.asarray(scores, np.float64)
            if values.shape != (len(batch),) or not np.isfinite(values).all():
                odd = (
                    "scores that are NaN or infinite"
                    if values.shape == (len(batch),)
                    else f"{values.shape[1:]} scores a pair"
                )
                raise RetrievalError(
                    f"rerank:{options.model} gave {odd}, expected one finite score for each pair; check the model"
                )
            found.update(zip(batch, values.tolist(), strict=True))
            progress("rerank", min(start + step, len(new)), len(new))
        out = np.array([found[pair] for pair in pairs], np.float64)
        if len(found) > _MOST_SCORES:
            found.clear()
        return out


def _load(options: Rerank) -> Loaded:
    from sentence_transformers import CrossEncoder

    chosen = None if options.device == "auto" else options.device

    def make(source: Source) -> Any:
        return CrossEncoder(str(source.folder), device=chosen, model_kwargs={"use_safetensors": True})

    return loaded("cross-encoder", options, make)
