"""Rerankers behind a URL: the `/rerank` form that Cohere, Jina and vLLM share, and that of text-embeddings-inference (TEI).

Scores are kept by pair of query and document. What may be served of them is decided by a canary, as for embeddings: a service that
scores fixed pairs otherwise than before is asked for everything anew.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from limitbench.errors import RetrievalError
from limitbench.retrievers.base import Progress, Reuse
from limitbench.retrievers.canary import PROBES, TOLERANCE, Generation, generation
from limitbench.retrievers.replies import Budget, ReplyCache
from limitbench.retrievers.reranker import Pairs, Reranker, Scorer, Scores
from limitbench.retrievers.service import PaidAdapter, Refused, Service, in_parallel, kept_by

Pair = tuple[str, str]
_ASKED = ("canary", "Who likes quokkas?", "When was the vote on vitamin C postponed?")  # of the probes


class RerankEndpoint(Reranker, PaidAdapter):
    """`rerank-endpoint:MODEL,url=https://HOST/v1,first=bm25,candidates=100`: scores from POST URL/rerank.

    `form` is that of the service. `batch_size` is how many documents a request holds: TEI takes 32 unless it is told otherwise.
    The canary counts as requests too.
    """

    adapter: ClassVar[str] = "rerank-endpoint"
    url: str
    form: Literal["cohere", "tei"] = "cohere"
    batch_size: int = Field(100, ge=1, exclude=True)
    key_env: str = Field("RERANK_API_KEY", exclude=True)
    reuse: Reuse = Field("all", exclude=True)

    def scorer(self) -> Scorer:
        """The service."""
        return _Remote(self)


class _Remote(Scorer):
    def __init__(self, options: RerankEndpoint) -> None:
        self.options = options
        self.budget = Budget.shared((options.adapter, options.url, options.model), options.max_calls)
        kept = kept_by(options.reuse, "all scores")
        self.service = Service(options, "/rerank", holds="results", kept=kept, budget=self.budget)
        self.seconds: Scores | None = None
        self.counts = {"pairs": 0, "pairs_asked": 0}

    @cached_property
    def cache(self) -> ReplyCache:
        """The scores that were paid for. Raises `StorageError` where none could be kept."""
        return ReplyCache.ready()

    @property
    def more(self) -> Mapping[str, Any]:
        """How many pairs were scored, how many of them the service was asked for now, and its requests, the canary too."""
        known: Generation | None = self.__dict__.get("generation")
        named = {} if known is None else {"service": known.name}
        return {**self.counts, "requests_sent": self.service.sent, **named}

    @property
    def remarks(self) -> Sequence[str]:
        """That the service changed, where it did."""
        known: Generation | None = self.__dict__.get("generation")
        if known is None or known.differs is None:
            return []
        return [
            f"the service scores otherwise than when its scores were kept (fixed pairs are up to {100 * known.differs:.3g} % of "
            f"their spread away, {100 * TOLERANCE:g} % are allowed); none of them is used"
        ]

    @property
    def query_seconds(self) -> Scores | None:
        """Of the requests of each query, one after another, when they were made."""
        return self.seconds

    @cached_property
    def generation(self) -> Generation:
        """Which service answers, by a canary that is sent now: how it spreads the scores of fixed pairs.

        Raises `RetrievalError` for one that scores all of them alike: nothing would tell it from another.
        """
        o = self.options
        found = np.array([self._sent(query, list(PROBES))[0] for query in _ASKED])  # (3, probes)
        apart = found - found.mean()
        if not np.abs(apart).max() > 1e-9 * max(1.0, np.abs(found).max()):
            raise RetrievalError(
                f"{self.service.name}: scores {found.size} different pairs alike, so it is no reranker or broken"
            )
        told = np.repeat(apart.reshape(1, -1), len(PROBES), axis=0).astype(np.float32)
        return generation({"rerank": o.url, "model": o.model, "form": o.form}, lambda _texts: told)

    def scores(self, pairs: Pairs, progress: Progress) -> Scores:
        """The service's score of every pair; those of a query that are not kept go in batches."""
        groups = pairs.by_query
        if groups:
            _ = self.generation, self.cache  # before threads ask for them
        wanted: dict[str, dict[str, None]] = {}
        for query, documents, _ in groups:
            wanted.setdefault(query, {}).update(dict.fromkeys(documents))
        asked = [(query, tuple(documents)) for query, documents in wanted.items()]
        answers = in_parallel(self.service, self._answered, asked, self.options.parallel, progress, "rerank")
        known = {query: answer for (query, _), answer in zip(asked, answers, strict=True)}
        out, self.seconds = np.zeros(len(pairs.rows)), np.zeros(len(pairs.queries))
        for query, documents, part in groups:
            scores, took = known[query]
            out[part] = [scores[document] for document in documents]
            self.seconds[pairs.rows[part.start]] = took
        self.counts["pairs"] += len(pairs.rows)
        return out

    def _answered(self, asked: tuple[str, tuple[str, ...]]) -> tuple[dict[str, float], float]:
        """The score of each document for a query, from the cache where it was given before, and the seconds of its requests."""
        o, (query, documents) = self.options, asked
        found: dict[str, float] = {}
        took: dict[Any, float] = {}  # by request: several pairs were scored in one
        for document in documents:
            kept = self.cache.get(self._key(query, document)) if o.reuse == "all" else None
            if kept is not None:
                found[document] = kept["score"]
                took[kept["request"]] = kept["seconds"]
        missing = [document for document in documents if document not in found]
        for start in range(0, len(missing), o.batch_size):
            part = missing[start : start + o.batch_size]
            scores, seconds = self._sent(query, part)
            request = self.service.sent
            took["now", start] = seconds
            for document, score in zip(part, scores, strict=True):
                found[document] = score
                told = {"score": score, "seconds": seconds, "request": f"{request} {start}"}
                self.cache.put(self._key(query, document), told)
            self.counts["pairs_asked"] += len(part)
        return found, sum(took.values())

    def _key(self, query: str, document: str) -> dict[str, Any]:
        o = self.options
        named = {"url": o.url, "model": o.model, "form": o.form, "service": self.generation.name}
        return {**named, "query": query, "document": document}

    def _sent(self, query: str, documents: list[str]) -> tuple[list[float], float]:
        o = self.options
        payload: dict[str, Any] = {"model": o.model, "query": query, "documents": documents, "top_n": len(documents)}
        if o.form == "tei":
            payload = {"query": query, "texts": documents, "raw_scores": True}
        try:
            answer, seconds = self.service.ask(payload)
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
        scores = {place: _finite(value) for place, value in pairs if type(place) is int}
        if sorted(scores) != list(range(count)) or len(pairs) != count or None in scores.values():
            known = sum(value is not None for value in scores.values())
            raise RetrievalError(
                f"{self.service.name}: found {len(pairs)} results, {known} of them with a finite score, expected one for each of "
                f"{count} documents, by its index"
            )
        return [value for _, value in sorted(scores.items()) if value is not None]


def _finite(value: Any) -> float | None:
    """The number, where it is one that a float holds."""
    try:
        found = float(value) if type(value) in (int, float) else float("nan")
    except OverflowError:
        return None
    return found if np.isfinite(found) else None
