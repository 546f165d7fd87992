"""Embeddings from an OpenAI-compatible `/v1/embeddings` endpoint.

Requests are tried again a bounded number of times where trying again can help: no answer, 429, 5xx, an answer that is not JSON.
Every finished batch is in the cache, so nothing paid for is lost. The key is read from the environment when a request is made; it
is in no option, record, message or log.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, ClassVar, Literal
from urllib.parse import urlsplit

import httpx
import numpy as np
from pydantic import Field, field_validator

from limitbench.collection import Corpus
from limitbench.errors import LimitbenchError, RetrievalError
from limitbench.retrievers.base import Adapter, Index, Progress, no_progress
from limitbench.retrievers.embedded import EmbeddedIndex, embed
from limitbench.retrievers.saved import Arrays
from limitbench.retrievers.vectors import Dtype, Floats, Kind, VectorIndex

_LONGEST_WAIT = 60.0  # seconds between two tries, whatever the server asks for


class Endpoint(Adapter):
    """`endpoint:MODEL,url=https://HOST/v1`; the key comes from the variable that `key_env` names, if it is set."""

    adapter: ClassVar[str] = "endpoint"
    argument: ClassVar[str | None] = "model"
    model: str = Field(min_length=1)
    url: str = "https://api.openai.com/v1"
    key_env: str = "OPENAI_API_KEY"
    similarity: Literal["cosine", "dot"] = "cosine"
    dim: int | None = Field(None, ge=1)
    dtype: Dtype = "fp32"
    kind: Kind = Field("exact", alias="index")
    query_prompt: str = ""
    document_prompt: str = ""
    batch_size: int = Field(64, ge=1)
    timeout: float = Field(60, gt=0, allow_inf_nan=False)  # seconds a request may take
    retries: int = Field(4, ge=0, le=20)
    wait: float = Field(1.0, ge=0, le=60)  # seconds before the first retry, doubled with each
    per_minute: float | None = Field(None, gt=0, allow_inf_nan=False)  # requests at most

    @field_validator("url")
    @classmethod
    def _plain(cls, value: str) -> str:
        parts = urlsplit(value)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("expected http://HOST/v1 or https://HOST/v1")
        if parts.username or parts.password or parts.query or parts.fragment:
            raise ValueError("expected a URL without user, password, query or fragment: keys belong in the environment")
        return value.rstrip("/")

    @property
    def card(self) -> dict[str, Any]:
        """The model's name and where it is asked."""
        return {"id": self.model, "url": self.url}

    def index(self, corpus: Corpus, progress: Progress = no_progress) -> Index:
        """The corpus embedded by the endpoint."""
        return EmbeddedIndex.built(
            corpus, _Client(self), dim=self.dim, dtype=self.dtype, kind=self.kind, progress=progress
        )

    def restored(self, corpus: Corpus, arrays: Arrays) -> Index:
        """The index that was saved; documents are not asked for again."""
        vectors = VectorIndex.restored(corpus.ids, arrays, dtype=self.dtype, kind=self.kind)
        return EmbeddedIndex(vectors, _Client(self), self.dim)


@dataclass(eq=False)
class _Client:
    """The encoder of one endpoint; knows when it asked last, and how many dimensions it got first."""

    options: Endpoint
    asked_at: float = field(default=-np.inf, init=False)
    width: int | None = field(default=None, init=False)
    load_seconds: ClassVar[float] = 0.0
    device: ClassVar[str] = "cpu"

    @property
    def cosine(self) -> bool:
        """As the options say."""
        return self.options.similarity == "cosine"

    @property
    def facts(self) -> dict[str, Any]:
        """The prompts, verbatim."""
        return {"prompts": {"query": self.options.query_prompt, "document": self.options.document_prompt}}

    def embed(self, texts: Sequence[str], side: str, progress: Progress, seen: dict[str, Any]) -> Floats:
        """Vectors (texts, d) as the endpoint gives them."""
        options = self.options
        prompt = options.query_prompt if side == "query" else options.document_prompt
        identity = {"endpoint": options.url, "model": options.model, "prompt": prompt}
        found = embed(
            texts,
            partial(self._batch, prompt=prompt),
            identity,
            batch=options.batch_size,
            side=side,
            progress=progress,
            seen=seen,
        )
        if options.dim is not None and options.dim > found.shape[1]:
            raise RetrievalError(
                f"{self._name}: found dim={options.dim}, expected at most the model's {found.shape[1]}"
            )
        return found

    @property
    def _name(self) -> str:
        return f"endpoint {self.options.url}, model '{self.options.model}'"

    def _batch(self, texts: Sequence[str], prompt: str) -> Floats:
        # some servers refuse empty input; a space is the nearest text that they take
        payload = {
            "model": self.options.model,
            "input": [(prompt + text) or " " for text in texts],
            "encoding_format": "float",
        }
        problem = ""
        for attempt in range(self.options.retries + 1):
            if attempt:
                time.sleep(min(_LONGEST_WAIT, self._pause(attempt, problem)))
            problem, found = self._once(payload)
            if found is not None:
                return self._checked(found, len(texts))
        raise RetrievalError(
            f"{self._name}: {problem.partition('|')[2]}, {self.options.retries + 1} times; what was encoded is kept: run the same "
            "command again later"
        )

    def _pause(self, attempt: int, problem: str) -> float:
        """Seconds to wait: what the server asked for, else doubling."""
        asked = problem.partition("|")[0]
        return float(asked) if asked else self.options.wait * 2.0 ** (attempt - 1)

    def _once(self, payload: dict[str, Any]) -> tuple[str, Any]:
        """One request: ("seconds to wait|problem", None) where trying again may help, else the answer."""
        options = self.options
        if options.per_minute is not None:
            time.sleep(max(0.0, self.asked_at + 60 / options.per_minute - time.monotonic()))
        self.asked_at = time.monotonic()
        key = os.environ.get(options.key_env, "")
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        try:
            answer = httpx.post(f"{options.url}/embeddings", json=payload, headers=headers, timeout=options.timeout)
        except httpx.TimeoutException:
            return f"|no answer within {options.timeout:g} s", None
        except httpx.HTTPError as error:
            return f"|cannot be reached ({type(error).__name__})", None
        except (ValueError, UnicodeError):
            raise LimitbenchError(f"the key in {options.key_env} is not one line of ASCII; mend the variable") from None
        status = answer.status_code
        if status == 429 or status >= 500:
            after = answer.headers.get("Retry-After", "")
            return f"{after if after.isdigit() else ''}|answered {status}", None
        if status != 200:
            said = " ".join(answer.text.split())[:200]
            said = said.replace(key, "[key]") if key else said
            raise RetrievalError(
                f"{self._name}: answered {status} ({said}); check the URL, the model and {options.key_env}"
            )
        try:
            return "", answer.json()
        except ValueError:
            return "|answered what is not JSON", None

    def _checked(self, answer: Any, count: int) -> Floats:
        try:
            rows = sorted(answer["data"], key=lambda row: int(row["index"]))
            found = np.array([row["embedding"] for row in rows], np.float32)
        except (KeyError, TypeError, ValueError):
            raise RetrievalError(
                f"{self._name}: the answer has another form than OpenAI's embeddings; check the URL"
            ) from None
        if found.ndim != 2 or len(found) != count or not found.shape[1] or not np.isfinite(found).all():
            raise RetrievalError(
                f"{self._name}: found vectors of shape {found.shape} for {count} texts; expected one finite row each"
            )
        if self.width not in (None, found.shape[1]):
            raise RetrievalError(
                f"{self._name}: found {found.shape[1]} dimensions after {self.width}; expected the same for every text"
            )
        self.width = int(found.shape[1])
        return found
