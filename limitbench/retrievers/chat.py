"""Language models behind an OpenAI-compatible `/v1/chat/completions`: what every adapter of one shares, and counted replies."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Annotated, Any, Literal

from pydantic import Field

from limitbench.errors import RetrievalError
from limitbench.retrievers.replies import Budget, ReplyCache
from limitbench.retrievers.service import PaidAdapter, Refused, Service, estimated_tokens, kept_by

_LONGEST = 1_000_000  # characters of a reply that are kept


class ChatAdapter(PaidAdapter):
    """Base of the adapters that ask a chat model.

    `temperature` and `seed` are sent unless they are "none"; `reply_tokens` bounds a reply. `document_words` cuts longer documents.
    `max_tokens` bounds what one process sends to this model and gets back, as `max_calls` bounds the requests.
    `price_in` and `price_out` are for a million tokens.
    """

    temperature: Annotated[float, Field(ge=0, le=2)] | Literal["none"] = 0.0
    seed: int | Literal["none"] = 0
    reply_tokens: int = Field(1024, ge=1)
    document_words: int | None = Field(None, ge=1)
    max_tokens: int | None = Field(None, ge=1, exclude=True)
    price_in: float | None = Field(None, ge=0, allow_inf_nan=False, exclude=True)
    price_out: float | None = Field(None, ge=0, allow_inf_nan=False, exclude=True)

    def shown(self, document: str) -> str:
        """The document as the model reads it."""
        return document if self.document_words is None else " ".join(document.split()[: self.document_words])


@dataclass(frozen=True)
class Reply:
    """One reply: its text, and the seconds that it took when it was made."""

    text: str
    seconds: float


@dataclass(eq=False)
class Chat:
    """One chat model with its budget; it counts its replies, their tokens, and what is wrong with them. Threads may share it."""

    options: ChatAdapter
    wrong: Counter[str] = field(default_factory=Counter, init=False)  # by the words of `prompts`
    used: Counter[str] = field(default_factory=Counter, init=False)
    answered_by: set[str] = field(default_factory=set, init=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False)

    def __post_init__(self) -> None:
        o = self.options
        self.budget = Budget.shared((o.adapter, o.url, o.model), o.max_calls, o.max_tokens)
        kept = kept_by(o.reuse, "all answers")
        self.service = Service(o, "/chat/completions", holds="choices", kept=kept, budget=self.budget)
        self.field = "max_tokens"  # newer models call it max_completion_tokens

    @cached_property
    def cache(self) -> ReplyCache:
        """The answers that were paid for. Raises `StorageError` where none could be kept."""
        return ReplyCache.ready()

    def note(self, wrong: Mapping[str, int]) -> None:
        """Count what was wrong with a reply."""
        with self._lock:
            self.wrong.update(wrong)

    def ask(self, system: str, prompt: str) -> Reply:
        """The model's reply, from the cache where it was given before. Raises `RetrievalError` where the budget is used up."""
        o = self.options
        messages = [{"role": "system", "content": system}, {"role": "user", "content": prompt}]
        asked = {
            "url": o.url, "model": o.model, "messages": messages, "temperature": o.temperature, "seed": o.seed,
            "reply_tokens": o.reply_tokens,
        }  # fmt: skip
        kept, sent = self.cache.get(asked) if o.reuse == "all" else None, 0
        if kept is None:
            kept = self._asked(messages)
            if kept["text"].strip():  # an empty answer, or one that a filter ate, may come out otherwise next time
                self.cache.put(asked, kept)
            sent = 1
        counted = {"replies": 1, "sent": sent, "estimated": int(kept["estimated"])}
        tokens = {name: kept[name] for name in ("prompt_tokens", "completion_tokens")}
        with self._lock:
            self.used.update({**counted, **tokens})
            self.answered_by.add(str(kept["answered_by"]))
        self.note({"cut off": kept["finish"] == "length"})
        return Reply(kept["text"], kept["seconds"])

    def _asked(self, messages: list[dict[str, str]]) -> dict[str, Any]:
        o = self.options
        estimate = sum(estimated_tokens(message["content"]) for message in messages)
        bound = self.field  # another thread may change it meanwhile
        payload: dict[str, Any] = {"model": o.model, "messages": messages, bound: o.reply_tokens}
        if o.temperature != "none":
            payload["temperature"] = o.temperature
        if o.seed != "none":
            payload["seed"] = o.seed
        try:
            answer, seconds = self.service.ask(payload, estimate + o.reply_tokens)
        except Refused as refused:
            if bound == "max_tokens" and "max_completion_tokens" in str(refused):
                self.field = "max_completion_tokens"
                return self._asked(messages)
            raise RetrievalError(
                f"{self.service.name}: answered {refused}; check the model and {o.key_env}. Is the prompt too long? Show "
                "fewer or shorter documents (window, document_words). Does it not take a field? Give temperature=none or seed=none"
            ) from None
        kept = self._kept(answer, estimate)
        self.budget.correct(
            estimate + o.reply_tokens,
            None if kept["estimated"] else kept["prompt_tokens"] + kept["completion_tokens"],
        )
        return {**kept, "seconds": seconds}

    def _kept(self, answer: Any, estimate: int) -> dict[str, Any]:
        """What is kept of an answer."""
        try:
            choice = answer["choices"][0]
            text = choice["message"].get("content")
            usage = answer.get("usage") or {}
            told = [usage.get(name) for name in ("prompt_tokens", "completion_tokens")]
        except (AttributeError, KeyError, IndexError, TypeError):
            raise RetrievalError(
                f"{self.service.name}: the answer has another form than OpenAI's chat completions; check the URL"
            ) from None
        text = text if isinstance(text, str) else ""
        known = all(type(count) is int and 0 <= count < 10**9 for count in told)
        clean = self.service.without_key
        revision = [clean(str(answer[name]))[:100] for name in ("model", "system_fingerprint") if answer.get(name)]
        return {
            "text": clean(text)[:_LONGEST], "finish": choice.get("finish_reason"), "estimated": not known,
            "prompt_tokens": told[0] if known else estimate,
            "completion_tokens": told[1] if known else estimated_tokens(text),
            "answered_by": " ".join(revision) or "not told",
        }  # fmt: skip

    @property
    def more(self) -> Mapping[str, Any]:
        """What a record keeps: replies, those sent for now, tokens, money where prices are given, and what was wrong."""
        o, used = self.options, self.used
        out: dict[str, Any] = {
            "replies": used["replies"], "replies_sent_for": used["sent"], "requests_sent": self.service.sent,
            "prompt_tokens": used["prompt_tokens"],
            "completion_tokens": used["completion_tokens"], "answered_by": sorted(self.answered_by),
            "wrong_in_replies": dict(sorted((+self.wrong).items())),
        }  # fmt: skip
        if used["estimated"]:
            out["replies_with_estimated_tokens"] = used["estimated"]
        if o.price_in is not None or o.price_out is not None:
            paid = used["prompt_tokens"] * (o.price_in or 0) + used["completion_tokens"] * (o.price_out or 0)
            out["cost"] = paid / 1e6
        return out

    @property
    def remarks(self) -> list[str]:
        """What was wrong with replies, and that several models answered, where so."""
        found = []
        wrong = +self.wrong
        if wrong:
            told = ", ".join(f"{count} {name}" for name, count in sorted(wrong.items()))
            found.append(f"of {self.used['replies']} replies of the model, not as asked for: {told}")
        if len(self.answered_by) > 1:
            found.append(f"replies come from several models or revisions: {', '.join(sorted(self.answered_by))}")
        return found
