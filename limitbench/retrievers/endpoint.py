"""Embeddings from an OpenAI-compatible `/v1/embeddings` endpoint.

Requests are tried again a bounded number of times where trying again can help: no answer, 429, 5xx, an answer that is not JSON or
tells of an error. A batch that the service refuses as it is (400, 413, 422) is halved. Every finished batch is in the cache, so
nothing paid for is lost; what the cache may serve is decided by a canary (`canary`) at the start of every use. The key is read
from the environment when a request is made; it is in no option, record, message or log.
"""

from __future__ import annotations

import base64
import binascii
import email.utils
import os
import time
import weakref
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any, ClassVar, Literal
from urllib.parse import urlsplit

import httpx
import numpy as np
from pydantic import Field, field_validator
from tenacity import RetryCallState, Retrying, retry_if_exception_type, stop_after_attempt

from limitbench.collection import Corpus
from limitbench.errors import LimitbenchError, RetrievalError
from limitbench.retrievers.base import Adapter, Arrays, CutTexts, Index, Progress, Reuse, no_progress
from limitbench.retrievers.best_columns import Floats
from limitbench.retrievers.cache import EmbeddingCache
from limitbench.retrievers.canary import Generation, generation
from limitbench.retrievers.embedded import EmbeddedIndex, UnusableVector, embed, usable
from limitbench.retrievers.index_files import packed, unpacked
from limitbench.retrievers.vectors import Dtype, Kind, Similarity, VectorIndex

_LONGEST_WAIT = 60.0  # seconds between two tries, whatever the server asks for
_BYTES_PER_TOKEN = 3  # by which tokens are estimated: English has about 4, other scripts fewer


class Endpoint(Adapter):
    """`endpoint:MODEL,url=https://HOST/v1`; the key comes from the variable that `key_env` names, if it is set.

    `dimensions` asks the service for so many; `dim` keeps the first of what it gives. `batch_tokens` bounds a request, where the
    service does, by an estimate of one token for three bytes. `encoding` is the form of vectors asked for; none leaves the choice
    out.
    """

    adapter: ClassVar[str] = "endpoint"
    argument: ClassVar[str | None] = "model"
    path_fields: ClassVar[tuple[str, ...] | None] = ()
    model: str = Field(min_length=1)
    url: str = "https://api.openai.com/v1"
    key_env: str = "OPENAI_API_KEY"
    similarity: Similarity = "cosine"
    dimensions: int | None = Field(None, ge=1)
    dim: int | None = Field(None, ge=1)
    dtype: Dtype = "fp32"
    kind: Kind = Field("exact", alias="index")
    query_prompt: str = ""
    document_prompt: str = ""
    encoding: Literal["float", "base64", "none"] = "float"
    batch_size: int = Field(64, ge=1)
    batch_tokens: int | None = Field(None, ge=1)
    timeout: float = Field(60, gt=0, allow_inf_nan=False)  # seconds a request may take
    retries: int = Field(4, ge=0, le=20)
    wait: float = Field(1.0, ge=0, le=60)  # seconds before the first retry, doubled with each
    per_minute: float | None = Field(None, gt=0, allow_inf_nan=False)  # requests at most
    reuse: Reuse = Field("all", exclude=True)  # set by what asks, never by a spec

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
        vectors = VectorIndex.restored(corpus.ids, arrays, dtype=self.dtype, kind=self.kind, similarity=self.similarity)
        client = _Client(self)
        kept = unpacked(arrays["service"]) if "service" in arrays else None
        if kept is not None and client.service.name != kept:
            raise RetrievalError(f"{client.name}: answers other vectors than when this index was saved; index again")
        return EmbeddedIndex(vectors, client, self.dim)


class _TryAgain(Exception):
    """A request failed in a way that another try may mend; `after` is how many seconds the service asked to wait."""

    def __init__(self, problem: str, after: float | None = None) -> None:
        self.after = after
        super().__init__(problem)


class _TooMuch(Exception):
    """The service refused a batch as it is."""


@dataclass(eq=False)
class _Client:
    """The encoder of one endpoint; knows when it asked last, how many dimensions it got first, and which service it is."""

    options: Endpoint
    asked_at: float = field(default=-np.inf, init=False)
    width: int | None = field(default=None, init=False)
    encoding: str = field(default="", init=False)
    load_seconds: ClassVar[float] = 0.0
    device: ClassVar[str] = "cpu"

    def __post_init__(self) -> None:
        self.encoding = self.options.encoding

    @property
    def similarity(self) -> str:
        """The similarity that the options name; a service does not tell."""
        return self.options.similarity

    @property
    def facts(self) -> dict[str, Any]:
        """The prompts, verbatim, and the generation of the service where embeddings are cached."""
        prompts = {"query": self.options.query_prompt, "document": self.options.document_prompt}
        known = self.__dict__.get("service")
        return {"prompts": prompts, **({"service": known.name} if known is not None else {})}

    @property
    def cut_texts(self) -> list[CutTexts]:
        """Not known: a service does not tell."""
        return []

    @property
    def remarks(self) -> list[str]:
        """That the service changed, where it did."""
        known: Generation | None = self.__dict__.get("service")
        return [known.remark] if known is not None and known.remark is not None else []

    @cached_property
    def service(self) -> Generation:
        """Which service answers, by a canary that is sent now, once for this client."""
        options = self.options
        named = {"endpoint": options.url, "model": options.model, "dimensions": options.dimensions}

        def encode(texts: Sequence[str]) -> Floats:
            try:
                return usable(self._batch(texts, prompt=""), texts)
            except UnusableVector as error:
                raise RetrievalError(
                    f"{self.name}: gives {error.problem} for plain words, so it is broken or no embedding service; nothing was "
                    "measured"
                ) from None

        return generation(named, encode)

    @property
    def arrays(self) -> Arrays:
        """The generation of the service that an index was made with, so that a saved one is not asked by another's queries."""
        known: Generation | None = self.__dict__.get("service")
        return {} if known is None else {"service": packed(known.name)}

    @cached_property
    def http(self) -> httpx.Client:
        """The connection, kept open as long as this client."""
        made = httpx.Client(timeout=self.options.timeout, follow_redirects=True)
        weakref.finalize(self, made.close)
        return made

    def embed(self, texts: Sequence[str], side: str, progress: Progress, seen: dict[str, Any]) -> Floats:
        """Vectors (texts, d) as the endpoint gives them."""
        options = self.options
        prompt = options.query_prompt if side == "query" else options.document_prompt
        caching = bool(EmbeddingCache.default().most_bytes)
        identity = {
            "endpoint": options.url, "model": options.model, "dimensions": options.dimensions, "prompt": prompt,
            "service": self.service.name if caching else "",
        }  # fmt: skip
        found = embed(
            texts,
            partial(self._batch, prompt=prompt),
            identity,
            batch=options.batch_size,
            side=side,
            progress=progress,
            seen=seen,
            reuse=options.reuse == "all" or (options.reuse == "documents" and side == "document"),
        )
        if options.dim is not None and options.dim > found.shape[1]:
            raise RetrievalError(f"{self.name}: found dim={options.dim}, expected at most the model's {found.shape[1]}")
        return found

    @property
    def name(self) -> str:
        """The service and the model, for messages."""
        return f"endpoint {self.options.url}, model '{self.options.model}'"

    def _batch(self, texts: Sequence[str], prompt: str) -> Floats:
        """Vectors of a batch, by as many requests as `batch_tokens` and the service's own limits need."""
        asked = [(prompt + text) or " " for text in texts]  # some servers refuse empty input; a space is the nearest
        rows = [row for part in self._parts(asked) for row in self._halving(part)]
        found = np.array(rows, np.float32)
        if self.width not in (None, found.shape[1]):
            raise RetrievalError(
                f"{self.name}: found {found.shape[1]} dimensions after {self.width}; expected the same for every text"
            )
        self.width = int(found.shape[1])
        return found

    def _parts(self, texts: list[str]) -> list[list[str]]:
        """The texts cut into requests of at most `batch_tokens` estimated tokens, or one text each."""
        most = self.options.batch_tokens
        if most is None:
            return [texts]
        parts: list[list[str]] = []
        room = 0
        for text in texts:
            size = -(-len(text.encode("utf-8", "replace")) // _BYTES_PER_TOKEN)
            if not parts or size > room:
                parts.append([])
                room = most
            parts[-1].append(text)
            room -= size
        return parts

    def _halving(self, texts: list[str]) -> list[Floats]:
        """The vectors of texts; where the service refuses them together, those of each half."""
        try:
            return list(self._request(texts))
        except _TooMuch as refused:
            if len(texts) == 1:
                raise RetrievalError(
                    f"{self.name}: answered {refused}; check the URL, the model, {self.options.key_env} and the text"
                ) from None
        middle = len(texts) // 2
        return [*self._halving(texts[:middle]), *self._halving(texts[middle:])]

    def _request(self, texts: list[str]) -> Floats:
        """One request, tried again where that may help."""
        options = self.options
        tries = Retrying(
            stop=stop_after_attempt(options.retries + 1), wait=self._pause, sleep=time.sleep,
            retry=retry_if_exception_type(_TryAgain), reraise=True,
        )  # fmt: skip
        try:
            return tries(self._once, texts)
        except _TryAgain as problem:
            raise RetrievalError(
                f"{self.name}: {problem}, {options.retries + 1} times; what was encoded is kept: run the same command again later"
            ) from None

    def _pause(self, state: RetryCallState) -> float:
        """Seconds to wait: what the service asked for, else doubling."""
        problem = state.outcome.exception() if state.outcome is not None else None
        asked = problem.after if isinstance(problem, _TryAgain) else None
        return min(_LONGEST_WAIT, self.options.wait * 2.0 ** (state.attempt_number - 1) if asked is None else asked)

    def _once(self, texts: list[str]) -> Floats:
        options = self.options
        if options.per_minute is not None:
            time.sleep(max(0.0, self.asked_at + 60 / options.per_minute - time.monotonic()))
        self.asked_at = time.monotonic()
        payload: dict[str, Any] = {"model": options.model, "input": texts}
        if self.encoding != "none":
            payload["encoding_format"] = self.encoding
        if options.dimensions is not None:
            payload["dimensions"] = options.dimensions
        key = os.environ.get(options.key_env, "")
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        try:
            answer = self.http.post(f"{options.url}/embeddings", json=payload, headers=headers)
        except httpx.TimeoutException:
            raise _TryAgain(f"no answer within {options.timeout:g} s") from None
        except httpx.HTTPError as error:
            raise _TryAgain(f"cannot be reached ({type(error).__name__})") from None
        except (ValueError, UnicodeError):
            raise LimitbenchError(f"the key in {options.key_env} is not one line of ASCII; mend the variable") from None
        status = answer.status_code
        if status == 429 or status >= 500:
            raise _TryAgain(f"answered {status}", _seconds(answer.headers.get("Retry-After", "")))
        said = " ".join(answer.text[:2000].split())[:200]
        said = said.replace(key, "[key]") if key else said
        if status in (400, 413, 422):
            if self.encoding != "none" and "encoding_format" in said:
                self.encoding = "none"  # a service that does not know the field
                return self._once(texts)
            raise _TooMuch(f"{status} ({said})")
        if status != 200:
            raise RetrievalError(
                f"{self.name}: answered {status} ({said}); check the URL, the model and {options.key_env}"
            )
        try:
            content = answer.json()
        except (ValueError, RecursionError):
            raise _TryAgain("answered what is not JSON") from None
        if isinstance(content, dict) and content.get("error") and not content.get("data"):
            raise _TryAgain(f"answered an error ({said})")
        return self._checked(content, len(texts))

    def _checked(self, answer: Any, count: int) -> Floats:
        try:
            rows = answer["data"]
            places = [row.get("index") for row in rows]
            vectors = [_vector(row["embedding"]) for row in rows]
            found = np.array(vectors, np.float32)
        except (AttributeError, KeyError, TypeError, ValueError, OverflowError, RecursionError, binascii.Error):
            raise RetrievalError(
                f"{self.name}: the answer has another form than OpenAI's embeddings; check the URL"
            ) from None
        if found.ndim != 2 or len(found) != count or not found.shape[1]:
            raise RetrievalError(
                f"{self.name}: found vectors of shape {found.shape} for {count} texts; expected one row each"
            )
        if all(place is None for place in places):  # some services leave it out; their order is that of the texts
            return found
        if sorted(places, key=repr) != sorted(range(count), key=repr):
            raise RetrievalError(
                f"{self.name}: the vectors' indexes are not 0 to {count - 1}, so their texts are unknown; ask for one at a time: "
                "batch_size=1"
            )
        return found[np.argsort(places)]


def _vector(given: Any) -> Any:
    """A vector as numbers: given so, or as base64 of little-endian 32-bit floats. Raises `TypeError` for what is neither."""
    if isinstance(given, str):
        return np.frombuffer(base64.b64decode(given, validate=True), "<f4")
    if not isinstance(given, list) or not all(type(value) in (int, float) for value in given):
        raise TypeError
    return given


def _seconds(after: str) -> float | None:
    """What a Retry-After says: seconds, or a date; None where it says nothing that can be read."""
    try:
        return max(0.0, float(after))
    except ValueError:
        pass
    try:
        return max(0.0, email.utils.parsedate_to_datetime(after).timestamp() - time.time())
    except (TypeError, ValueError):
        return None
