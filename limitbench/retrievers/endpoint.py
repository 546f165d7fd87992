"""Embeddings from an OpenAI-compatible `/v1/embeddings` endpoint.

A batch that the service refuses as it is (400, 413, 422) is halved. Every finished batch is in the cache, so nothing paid for is
lost; what the cache may serve is decided by a canary (`canary`) at the start of every use.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from limitbench.collection import Corpus
from limitbench.errors import RetrievalError
from limitbench.retrievers.base import Arrays, Index, Progress, no_progress
from limitbench.retrievers.best_columns import Floats
from limitbench.retrievers.cache import EmbeddingCache
from limitbench.retrievers.canary import Generation, generation
from limitbench.retrievers.embedded import EmbeddedIndex, Untold, UnusableVector, embed, usable
from limitbench.retrievers.index_files import packed, unpacked
from limitbench.retrievers.service import Refused, Service, ServiceAdapter, estimated_tokens
from limitbench.retrievers.vectors import Dtype, Kind, Similarity, VectorIndex


class Endpoint(ServiceAdapter):
    """`endpoint:MODEL,url=https://HOST/v1`; the key comes from the variable that `key_env` names, if it is set.

    `dimensions` asks the service for so many; `dim` keeps the first of what it gives. `batch_tokens` bounds a request, where the
    service does, by an estimate of one token for three bytes. `encoding` is the form of vectors asked for; none leaves the choice
    out.
    """

    adapter: ClassVar[str] = "endpoint"
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


@dataclass(eq=False)
class _Client(Untold):
    """The encoder of one endpoint; knows how many dimensions it got first, and which service it is."""

    options: Endpoint
    width: int | None = field(default=None, init=False)
    encoding: str = field(default="", init=False)
    load_seconds: ClassVar[float] = 0.0
    device: ClassVar[str] = "cpu"

    def __post_init__(self) -> None:
        self.encoding = self.options.encoding
        self.http = Service(self.options, "/embeddings", holds="data", kept="what was encoded is kept")

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
        return self.http.name

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
            size = estimated_tokens(text)
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
        except Refused as refused:
            if len(texts) == 1:
                raise RetrievalError(
                    f"{self.name}: answered {refused}; check the URL, the model, {self.options.key_env} and the text"
                ) from None
        middle = len(texts) // 2
        return [*self._halving(texts[:middle]), *self._halving(texts[middle:])]

    def _request(self, texts: list[str]) -> Floats:
        """The vectors of one request."""
        payload: dict[str, Any] = {"model": self.options.model, "input": texts}
        if self.encoding != "none":
            payload["encoding_format"] = self.encoding
        if self.options.dimensions is not None:
            payload["dimensions"] = self.options.dimensions
        try:
            return self._checked(self.http.ask(payload)[0], len(texts))
        except Refused as refused:
            if self.encoding == "none" or "encoding_format" not in str(refused):
                raise
        self.encoding = "none"  # a service that does not know the field
        return self._request(texts)

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
