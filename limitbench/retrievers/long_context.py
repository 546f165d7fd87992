"""A language model that reads the whole corpus in one prompt and names the documents for a batch of questions.

So the LIMIT paper asked Gemini, with all 46 documents of LIMIT-small and all questions at once. There is no first stage. Documents
that a reply does not name are not retrieved.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
from pydantic import Field

from limitbench.collection import Corpus, Queries
from limitbench.rankings import Run
from limitbench.retrievers.base import Arrays, Index, IndexFacts, Progress, Retrieved, no_progress
from limitbench.retrievers.chat import Chat, ChatAdapter
from limitbench.retrievers.prompts import WHOLE, selections, whole_corpus
from limitbench.retrievers.reranker import Scores
from limitbench.retrievers.service import in_parallel


class LongContext(ChatAdapter):
    """`long-context:MODEL,url=https://HOST/v1,top=2,questions=10`; the key comes from the variable that `key_env` names."""

    adapter: ClassVar[str] = "long-context"
    top: int = Field(2, ge=1, le=1000)  # documents that are asked for, for each question
    questions: int = Field(10, ge=1, le=10_000)  # in one prompt
    reply_tokens: int = Field(8192, ge=1)

    @property
    def configuration(self) -> dict[str, Any]:
        """Every option that counts, and the prompts."""
        return {**super().configuration, "prompts": [WHOLE, whole_corpus([""], [""], self.top)]}

    def index(self, corpus: Corpus, progress: Progress = no_progress) -> Index:
        """The corpus, to be put into prompts."""
        del progress
        return _InContext(corpus, self)


@dataclass(eq=False)
class _InContext:
    corpus: Corpus
    options: LongContext
    seconds: Scores | None = field(default=None, init=False)  # of each query of the last search

    def __post_init__(self) -> None:
        self.chat = Chat(self.options)

    @cached_property
    def documents(self) -> list[str]:
        """As the model reads them."""
        return [self.options.shown(text) for text in self.corpus.contents]

    @property
    def arrays(self) -> Arrays:
        """None: there is nothing to keep."""
        return {}

    @property
    def facts(self) -> IndexFacts:
        """Replies, tokens and money, and what was wrong with replies; there is no index, so it has no bytes."""
        return IndexFacts(nbytes=0, more=self.chat.more, remarks=self.chat.remarks, query_seconds=self.seconds)

    def search(self, queries: Queries, depth: int, progress: Progress = no_progress) -> Retrieved:
        """The documents that the model names; a query waits as long as the prompt that it is in."""
        texts = list(dict.fromkeys(queries.texts))
        size = self.options.questions
        batches = [tuple(texts[start : start + size]) for start in range(0, len(texts), size)]
        answers = in_parallel(self.chat.service, self._answered, batches, self.options.parallel, progress, "search")
        found: dict[str, tuple[list[int], float]] = {}
        for batch, (named, seconds) in zip(batches, answers, strict=True):
            found |= {text: (named.get(place, []), seconds) for place, text in enumerate(batch)}
        hits = [found[text][0] for text in queries.texts]
        self.seconds = np.array([found[text][1] for text in queries.texts])
        rows = np.repeat(np.arange(len(hits)), [len(row) for row in hits])
        columns = np.array([column for row in hits for column in row], np.int64)
        scores = np.array([-place for row in hits for place in range(len(row))], np.float64)
        run = Run.from_entries(rows, columns, scores, query_ids=queries.ids, document_ids=self.corpus.ids, depth=depth)
        return Retrieved(run)

    def _answered(self, batch: tuple[str, ...]) -> tuple[dict[int, list[int]], float]:
        """The documents that the model names for each question of a prompt, and the seconds of its reply."""
        top = min(self.options.top, len(self.documents))
        reply = self.chat.ask(WHOLE, whole_corpus(batch, self.documents, top))
        named, wrong = selections(reply.text, len(batch), len(self.documents), top)
        self.chat.note(wrong)
        return named, reply.seconds
