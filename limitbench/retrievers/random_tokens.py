"""The sum of random vectors, one a word: a single-vector retriever that was never trained, and knows equal words alone.

Its inner products estimate those of bags of words, with an error of about 1 over the square root of the dimension (Johnson and
Lindenstrauss). arXiv 2601.20844 has such a baseline on LIMIT. What a trained model finds less than this, it does not lose to its
dimension.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

import numpy as np
from pydantic import Field, field_validator
from scipy import sparse

from limitbench.collection import Corpus
from limitbench.retrievers.base import Adapter, Index, Progress, no_progress
from limitbench.retrievers.best_columns import Floats
from limitbench.retrievers.embedded import EmbeddedIndex, Untold
from limitbench.retrievers.vectors import Dtype, Kind
from limitbench.retrievers.words import Splitter, Tokens, known_language

_CHUNK = 4096  # texts at a time


class RandomTokens(Adapter):
    """`random-tokens,dim=256`: unit vectors of independent normal coordinates, the same for the same word and seed everywhere.

    `weight=idf` multiplies a word by the logarithm of how rare it is in the corpus; `none` counts it alone. The similarity is the
    cosine.
    """

    adapter: ClassVar[str] = "random-tokens"
    path_fields: ClassVar[tuple[str, ...] | None] = ()
    dim: int = Field(256, ge=1, le=65_536)
    weight: Literal["idf", "none"] = "idf"
    seed: int = Field(0, ge=0, lt=2**63)
    tokens: Tokens = "auto"
    language: str = "english"
    dtype: Dtype = "fp32"
    kind: Kind = Field("exact", alias="index")

    @field_validator("language")
    @classmethod
    def _known(cls, value: str) -> str:
        return known_language(value)

    @property
    def card(self) -> dict[str, Any]:
        """That it was not trained."""
        return {"label": "sums of random vectors of words: never trained"}

    def index(self, corpus: Corpus, progress: Progress = no_progress) -> Index:
        """One vector a document."""
        splitter = Splitter.of(self.tokens, self.language, self.language, corpus.contents)
        encoder = _Sums(self, splitter, _rarity(splitter, corpus) if self.weight == "idf" else {}, len(corpus))
        return EmbeddedIndex.built(corpus, encoder, dim=None, dtype=self.dtype, kind=self.kind, progress=progress)


def _rarity(splitter: Splitter, corpus: Corpus) -> dict[str, float]:
    """ln(1 + n / documents with it) of every word of a corpus."""
    counts: dict[str, int] = {}
    for start in range(0, len(corpus), _CHUNK):
        for words in splitter(corpus.contents[start : start + _CHUNK]):
            for word in set(words):
                counts[word] = counts.get(word, 0) + 1
    return {word: float(np.log1p(len(corpus) / count)) for word, count in counts.items()}


@dataclass(eq=False)
class _Sums(Untold):
    options: RandomTokens
    splitter: Splitter
    rarity: dict[str, float]
    n: int
    known: dict[str, Floats] = field(default_factory=dict)
    similarity: ClassVar[str] = "cosine"
    load_seconds: ClassVar[float] = 0.0
    device: ClassVar[str] = "cpu"

    @property
    def facts(self) -> dict[str, Any]:
        """Which words."""
        return {"tokens": self.splitter.tokens}

    def vector(self, word: str) -> Floats:
        """The word's unit vector (dim,) times its weight."""
        found = self.known.get(word)
        if found is None:
            o = self.options
            key = hashlib.blake2b(word.encode("utf-8", "replace"), digest_size=8, key=str(o.seed).encode()).digest()
            x = np.random.default_rng(int.from_bytes(key, "little")).standard_normal(o.dim)
            weight = 1.0 if o.weight == "none" else self.rarity.get(word, float(np.log1p(self.n)))
            found = self.known[word] = (weight * x / np.linalg.norm(x)).astype(np.float32)
        return found

    def embed(self, texts: Sequence[str], side: str, progress: Progress, seen: dict[str, Any]) -> Floats:
        """Sums (texts, dim) of the vectors of a text's words, as often as they stand there; one without a word is one itself."""
        del side, seen
        out = np.zeros((len(texts), self.options.dim), np.float32)
        for start in range(0, len(texts), _CHUNK):
            part = texts[start : start + _CHUNK]
            rows = [found or [text.strip()] for found, text in zip(self.splitter(part), part, strict=True)]
            place: dict[str, int] = {}
            columns = [place.setdefault(word, len(place)) for words in rows for word in words]
            ends = np.cumsum([0, *map(len, rows)])
            counts = sparse.csr_array((np.ones(len(columns), np.float32), columns, ends), shape=(len(rows), len(place)))
            if place:
                out[start : start + len(rows)] = counts @ np.stack([self.vector(word) for word in place])
            progress("encode", start + len(rows), len(texts))
        return out
