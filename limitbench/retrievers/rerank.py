"""Cross-encoders as rerankers."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import torch

from limitbench.errors import RetrievalError
from limitbench.retrievers.base import CutTexts, Progress
from limitbench.retrievers.cut_texts import cut_pairs
from limitbench.retrievers.model_files import Source
from limitbench.retrievers.models import Loaded, ModelAdapter, loaded
from limitbench.retrievers.reranker import Pairs, Reranker, Scorer, Scores

_MOST_SCORES = 2_000_000  # pairs kept in memory


class Rerank(Reranker, ModelAdapter):
    """`rerank:MODEL,first=bm25,candidates=100`: a sentence-transformers CrossEncoder, by id, `id@revision` or folder.

    Scores are the model's raw outputs: a sigmoid would make the best of them tie.
    """

    adapter: ClassVar[str] = "rerank"

    @property
    def device_of_held(self) -> str | None:
        """The reranker's own, where one is given."""
        return None if self.device == "auto" else self.device

    def scorer(self) -> Scorer:
        """The cross-encoder."""
        return _CrossEncoder(self)


class _CrossEncoder(Scorer):
    def __init__(self, options: Rerank) -> None:
        self.options = options
        self.scored = 0  # pairs that this index had the model score, the rest came from memory
        self.cut: CutTexts | None = None  # of the last search of more than one query

    @cached_property
    def model(self) -> Loaded:
        """The cross-encoder, from the pool, with the scores that it gave: a sweep of depths scores each pair once."""
        return _load(self.options)

    @property
    def more(self) -> dict[str, Any]:
        """How many pairs were scored now and not before."""
        return {"pairs_scored": self.scored, "batch_size": self.options.batch}

    @property
    def cut_texts(self) -> list[CutTexts]:
        """Pairs that are longer than the model reads."""
        return [self.cut] if self.cut else []

    def scores(self, pairs: Pairs, progress: Progress) -> Scores:
        """The model's score of every pair; equal pairs are scored once, so that they tie whatever stands around them."""
        probing = len(pairs.queries) == 1  # a latency probe must not find its pairs in memory
        texts = pairs.texts
        if not probing:
            self.cut = cut_pairs(self.model, texts)
        known: dict[tuple[str, str], float] = {} if probing else self.model.scores
        self.scored += 0 if probing else len(set(texts) - known.keys())
        return self._scores(texts, known, progress)

    def _scores(
        self, pairs: Sequence[tuple[str, str]], found: dict[tuple[str, str], float], progress: Progress
    ) -> Scores:
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
