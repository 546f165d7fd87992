"""Rerankers behind a URL: the `/rerank` form that Cohere, Jina and vLLM share, and that of text-embeddings-inference (TEI).

Scores are kept by content. What may be served of them is decided by a canary, as for embeddings: a service that scores fixed pairs
otherwise than before is asked for everything anew.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from limitbench.errors import RetrievalError
from limitbench.retrievers.base import Progress, Reuse
from limitbench.retrievers.canary import Generation, generation
from limitbench.retrievers.replies import Budget, ReplyCache
from limitbench.retrievers.reranker import Pairs, Reranker, Scorer, Scores
from limitbench.retrievers.service import Refused, Service, ServiceAdapter, in_parallel, timed


class RerankEndpoint(Reranker, ServiceAdapter):
    """`rerank-endpoint:MODEL,url=https://HOST/v1,first=bm25,candidates=100`: scores from POST URL/rerank.

    `form` is that of the service. `batch_size` is how many documents a request holds: TEI takes 32 unless it is told otherwise.
    `max_calls` bounds the requests of one run.
    """

    adapter: ClassVar[str] = "rerank-endpoint"
    url: str
    key_env: str = "RERANK_API_KEY"
    form: Literal["cohere", "tei"] = "cohere"
    batch_size: int = Field(100, ge=1)
    parallel: int = Field(4, ge=1, le=256, exclude=True)  # requests at a time
    max_calls: int | None = Field(None, ge=1, exclude=True)
    reuse: Reuse = Field("all", exclude=True)

    def scorer(self) -> Scorer:
        """The service."""
        return _Remote(self)


class _Remote(Scorer):
    def __init__(self, options: RerankEndpoint) -> None:
        self.options = options
        self.service = Service(options, "/rerank", holds="results", kept="all scores are kept")
        self.budget = Budget(options.max_calls)
        self.cache = ReplyCache.default()
        self.seconds: Scores | None = None
        self.used = 0

    @property
    def more(self) -> Mapping[str, Any]:
        """How many requests the scores took, and how many of them were sent now; the first asks for the canary."""
        known: Generation | None = self.__dict__.get("generation")
        named = {} if known is None else {"service": known.name}
        return {"requests": self.used, "requests_sent": self.budget.calls, **named}

    @property
    def remarks(self) -> Sequence[str]:
        """That the service changed, where it did."""
        known: Generation | None = self.__dict__.get("generation")
        return [known.remark] if known is not None and known.remark is not None else []

    @property
    def query_seconds(self) -> Scores | None:
        """Of the requests of each query, one after another."""
        return self.seconds

    @cached_property
    def generation(self) -> Generation:
        """Which service answers, by a canary that is sent now."""
        o = self.options
        return generation(
            {"rerank": o.url, "model": o.model, "form": o.form},
            lambda texts: np.array(self._sent("canary", list(texts))[0], np.float32)[:, None],
        )

    def scores(self, pairs: Pairs, progress: Progress) -> Scores:
        """The service's score of every pair; a query's candidates go in batches."""
        groups, size = pairs.by_query, self.options.batch_size
        if groups:
            _ = self.generation  # before threads ask for it
        asked = list(
            dict.fromkeys(
                (query, tuple(documents[at : at + size]))
                for query, documents, _ in groups
                for at in range(0, len(documents), size)
            )
        )
        answers = in_parallel(self.service, self._answered, asked, self.options.parallel, progress, "rerank")
        found = dict(zip(asked, answers, strict=True))
        out, seconds = np.zeros(len(pairs.rows)), []
        for query, documents, part in groups:
            parts = [found[query, tuple(documents[at : at + size])] for at in range(0, len(documents), size)]
            out[part] = np.concatenate([scores for scores, _ in parts])
            seconds.append(sum(took for _, took in parts))
        self.seconds = np.array(seconds or [0.0])
        return out

    def _answered(self, asked: tuple[str, tuple[str, ...]]) -> tuple[npt.NDArray[np.float64], float]:
        """The scores of one request, and its seconds, from the cache where they were given before."""
        o, (query, documents) = self.options, asked
        key = {
            "url": o.url, "model": o.model, "form": o.form, "service": self.generation.name, "query": query,
            "documents": list(documents),
        }  # fmt: skip
        kept = self.cache.get(key) if o.reuse == "all" else None
        if kept is None:
            scores, seconds = self._sent(query, list(documents))
            kept = {"scores": scores, "seconds": seconds}
            self.cache.put(key, kept)
        self.used += 1
        return np.array(kept["scores"], np.float64), kept["seconds"]

    def _sent(self, query: str, documents: list[str]) -> tuple[list[float], float]:
        o = self.options
        self.budget.reserve(self.service.name, 0)
        payload: dict[str, Any] = {"model": o.model, "query": query, "documents": documents, "top_n": len(documents)}
        if o.form == "tei":
            payload = {"query": query, "texts": documents, "raw_scores": True}
        try:
            answer, seconds = timed(lambda: self.service.ask(payload))
        except Refused as refused:
            raise RetrievalError(
                f"{self.service.name}: answered {refused}; check the URL, the model, form={o.form} and batch_size"
            ) from None
        return self._checked(answer, len(documents)), seconds

    def _checked(self, answer: Any, count: int) -> list[float]:
        tei = self.options.form == "tei"
        try:
            rows = answer if tei else answer["results"]
            pairs = [(row["index"], row["score" if tei else "relevance_score"]) for row in rows]
        except (KeyError, TypeError):
            raise RetrievalError(
                f"{self.service.name}: the answer has another form than {self.options.form}'s; check the URL, or give form="
                f"{'cohere' if tei else 'tei'}"
            ) from None
        numbers = [value for _, value in pairs if type(value) in (int, float) and np.isfinite(value)]
        places = [place for place, _ in pairs if type(place) is int]
        if sorted(places) != list(range(count)) or len(numbers) != count or len(pairs) != count:
            raise RetrievalError(
                f"{self.service.name}: found {len(pairs)} results, {len(numbers)} of them with a finite score, expected one for "
                f"each of {count} documents, by its index"
            )
        return [float(value) for _, value in sorted(pairs)]
