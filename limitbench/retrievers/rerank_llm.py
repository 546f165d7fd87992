"""Language models as rerankers: listwise in sliding windows, or a grade for each document alone.

Listwise, a window slides from the last candidates to the first, so that a good document is carried up; a window whose reply is no
ranking keeps its order, and documents that a reply leaves out follow in theirs. Pointwise, documents of one grade keep the first
stage's order and its ties, and those without a readable grade come last. Method: Sun et al. 2023, arXiv 2304.09542; prompts are
ours.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal, Self

import numpy as np
from pydantic import Field, model_validator

from limitbench.retrievers.base import Progress, Reuse
from limitbench.retrievers.chat import Chat, ChatAdapter
from limitbench.retrievers.prompts import LISTWISE, POINTWISE, grade, listwise, pointwise, ranking
from limitbench.retrievers.reranker import Pairs, Reranker, Scorer, Scores
from limitbench.retrievers.service import in_parallel


class RerankLLM(Reranker, ChatAdapter):
    """`rerank-llm:MODEL,url=https://HOST/v1,first=bm25,candidates=100`; the key comes from the variable that `key_env` names."""

    adapter: ClassVar[str] = "rerank-llm"
    method: Literal["listwise", "pointwise"] = "listwise"
    window: int = Field(20, ge=2, le=1000)  # documents in one prompt
    stride: int | None = Field(None, ge=1)  # by which the window moves; None: half of it
    passes: int = Field(1, ge=1, le=100)  # over all candidates
    reuse: Reuse = Field("all", exclude=True)

    @model_validator(mode="after")
    def _fits(self) -> Self:
        given = {"window", "stride", "passes"} & self.model_fields_set
        if self.method == "pointwise" and given:
            raise ValueError(f"{sorted(given)[0]} is for method=listwise; leave it out")
        if self.step > self.window:
            raise ValueError(
                f"found stride={self.step} and window={self.window}; a stride beyond the window skips documents"
            )
        return self

    @property
    def step(self) -> int:
        """By how many documents the window moves."""
        return self.window // 2 if self.stride is None else self.stride

    @property
    def configuration(self) -> dict[str, Any]:
        """Every option that counts, the prompts, and the first stage's configuration."""
        out = {**super().configuration, "stride": self.step}
        if self.method == "pointwise":
            out = {name: value for name, value in out.items() if name not in ("window", "stride", "passes")}
        prompts = [LISTWISE, listwise("", ["", ""])] if self.method == "listwise" else [POINTWISE, pointwise("", "")]
        return {**out, "prompts": prompts}

    def scorer(self) -> Scorer:
        """The model."""
        return _Ranker(self)


class _Ranker(Scorer):
    def __init__(self, options: RerankLLM) -> None:
        self.options = options
        self.chat = Chat(options)
        self.seconds: Scores | None = None

    @property
    def more(self) -> Mapping[str, Any]:
        """Replies, tokens and money."""
        return self.chat.more

    @property
    def remarks(self) -> list[str]:
        """What was wrong with replies."""
        return self.chat.remarks

    @property
    def query_seconds(self) -> Scores | None:
        """Of the model's replies to each query, one after another."""
        return self.seconds

    def scores(self, pairs: Pairs, progress: Progress) -> Scores:
        """By place: 0 for the best candidate of a query, -1 for the next; or by grade, and within one by the first stage."""
        groups = pairs.by_query
        asked = list(dict.fromkeys((query, tuple(documents)) for query, documents, _ in groups))
        work = self._in_windows if self.options.method == "listwise" else self._one_by_one
        answers = in_parallel(self.chat.service, work, asked, self.options.parallel, progress, "rerank")
        found = dict(zip(asked, answers, strict=True))
        out, self.seconds = np.zeros(len(pairs.rows)), np.zeros(len(pairs.queries))
        for query, documents, part in groups:
            out[part], took = found[query, tuple(documents)]
            self.seconds[pairs.rows[part.start]] = took
            if self.options.method == "pointwise":
                out[part] -= _places(pairs.first[part])
        return out

    def _in_windows(self, asked: tuple[str, tuple[str, ...]]) -> tuple[Scores, float]:
        """Scores of a query's candidates, and the seconds of its replies."""
        o, (query, documents) = self.options, asked
        order = list(range(len(documents)))
        seconds = 0.0
        for _ in range(o.passes):
            for start in window_starts(len(order), o.window, o.step):
                shown = order[start : start + o.window]
                reply = self.chat.ask(LISTWISE, listwise(query, [o.shown(documents[i]) for i in shown]))
                seconds += reply.seconds
                ranked, wrong = ranking(reply.text, len(shown))
                self.chat.note(wrong)
                first = [shown[place] for place in ranked or []]
                order[start : start + o.window] = [*first, *(i for i in shown if i not in set(first))]
        scores = np.empty(len(order))
        scores[order] = -np.arange(len(order))
        return scores, seconds

    def _one_by_one(self, asked: tuple[str, tuple[str, ...]]) -> tuple[Scores, float]:
        o, (query, documents) = self.options, asked
        replies = [self.chat.ask(POINTWISE, pointwise(query, o.shown(document))) for document in documents]
        grades = [grade(reply.text) for reply in replies]
        self.chat.note({"malformed": sum(value is None for value in grades)})
        levels = np.array([-1 if value is None else value for value in grades], np.float64)
        return levels, sum(reply.seconds for reply in replies)


def _places(first: Scores) -> Scores:
    """Places in the first stage's order, equal ones for equal scores, scaled to stay below 1."""
    _, place = np.unique(-first, return_inverse=True)
    return np.asarray(place / (len(first) + 1), np.float64)


def window_starts(count: int, window: int, stride: int) -> list[int]:
    """Where a window over so many candidates starts, from the last to the first. One candidate needs no window."""
    if count < 2:
        return []
    starts = [max(0, count - window)]
    while starts[-1] > 0:
        starts.append(max(0, starts[-1] - stride))
    return starts
