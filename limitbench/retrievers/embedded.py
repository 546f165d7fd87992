"""What every single-vector retriever shares: texts to vectors through the cache, and the index over them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np

from limitbench.collection import Corpus, Queries
from limitbench.errors import RetrievalError
from limitbench.retrievers.base import Arrays, CutTexts, IndexFacts, Progress, Retrieved, TextVectors, no_progress
from limitbench.retrievers.best_columns import Floats
from limitbench.retrievers.cache import EmbeddingCache
from limitbench.retrievers.vectors import VectorIndex, truncated


class TextEncoder(Protocol):
    """Turns texts into vectors. Equal texts get equal rows."""

    @property
    def similarity(self) -> str:
        """The similarity of two vectors: cosine, dot, euclidean or manhattan."""

    @property
    def load_seconds(self) -> float:
        """Seconds that loading the model took."""

    @property
    def device(self) -> str:
        """Where vectors are searched exactly: torch's name of a device."""

    @property
    def facts(self) -> dict[str, Any]:
        """What was in force: prompts verbatim, the longest text."""

    @property
    def cut_texts(self) -> list[CutTexts]:
        """The documents and queries that are longer than the model reads, as far as that is known."""

    @property
    def remarks(self) -> list[str]:
        """What else to know before the numbers, as sentences: a service that changed."""

    @property
    def arrays(self) -> Arrays:
        """What it keeps in a saved index to be known by, such as a service's generation."""

    def embed(self, texts: Sequence[str], side: str, progress: Progress, seen: dict[str, Any]) -> Floats:
        """Vectors (texts, d), fp32; `side` is document or query; `seen` is told how many texts came from the cache."""


class Untold:
    """Base of encoders: what one says where nothing is known, or there is nothing to say."""

    @property
    def facts(self) -> dict[str, Any]:
        """None."""
        return {}

    @property
    def cut_texts(self) -> list[CutTexts]:
        """Not known."""
        return []

    @property
    def remarks(self) -> list[str]:
        """None."""
        return []

    @property
    def arrays(self) -> Arrays:
        """None: vectors are made again."""
        return {}


_MOST_SHARED = 2 << 30  # bytes of vectors that stay in memory for other indexes
PLURAL = {"document": "documents", "query": "queries"}


class UnusableVector(RetrievalError):
    """A vector that nothing can be ranked by: zero, NaN or infinite."""

    def __init__(self, text: str, problem: str, *, name: str = "") -> None:
        self.text, self.problem = text, problem
        which = f"'{name}' " if name else ""
        shown = f"{text[:40]!r}" if text.strip() else "empty"
        super().__init__(
            f"the text {which}({shown}) got {problem}, which cannot be ranked; mend the model or service, or drop the text"
        )


def usable(rows: Floats, texts: Sequence[str]) -> Floats:
    """The rows (texts, d), all finite and not zero. Raises `UnusableVector` for the first that is not."""
    finite = np.asarray(np.isfinite(rows).all(1))
    bad = np.flatnonzero(~(finite & np.asarray(rows.any(1))))
    if len(bad):
        first = int(bad[0])
        problem = "the zero vector" if finite[first] else "a vector with NaN or infinity"
        raise UnusableVector(texts[first], problem)
    return rows


def embed(
    texts: Sequence[str], encode: Callable[[Sequence[str]], Floats], identity: dict[str, Any], *, batch: int, side: str,
    progress: Progress, seen: dict[str, Any], reuse: bool = True, shared: TextVectors | None = None,
) -> Floats:  # fmt: skip
    """Vectors (texts, d) of texts in batches, longest first, each from the cache where it is there, and kept there.

    A single text, as a latency probe sends it, neither comes from the cache nor goes into it. Without `reuse`, nothing comes from
    it, and all is kept anew. The cache keeps batches, and a part of a corpus has others: so up to 2 GB of vectors stay in `shared`,
    text by text, and what is there is not embedded again. Raises `UnusableVector` before a zero, NaN or infinity is kept.
    """
    distinct = sorted(
        dict.fromkeys(texts), key=lambda text: (-len(text), text)
    )  # little padding, the fullest batch first

    def checked(part: Sequence[str]) -> Floats:
        return usable(encode(part), part)

    keeping = shared if len(distinct) > 1 else None
    known = {} if keeping is None else keeping.setdefault(json.dumps([identity, side], sort_keys=True), {})
    if known:
        found = _new(distinct, known, checked, batch=batch, side=side, progress=progress, seen=seen)
        return np.stack([found[text] for text in texts])
    place = {text: number for number, text in enumerate(distinct)}
    cache = EmbeddingCache.default()
    parts, cached = [], 0
    for start in range(0, len(distinct), batch):
        part = distinct[start : start + batch]
        alone = len(distinct) == 1
        rows, there = (checked(part), False) if alone else cache.rows(identity, part, checked, reuse=reuse)
        parts.append(rows)
        cached += len(part) * there
        progress(f"encode {PLURAL[side]}", min(start + batch, len(distinct)), len(distinct))
    if len(distinct) > 1:
        cache.prune()
        seen[f"{PLURAL[side]}_from_cache"] = cached
    rows = np.concatenate(parts)
    if keeping is not None and rows.nbytes <= _MOST_SHARED:
        known.update(zip(distinct, rows, strict=True))
    return np.asarray(rows[[place[text] for text in texts]])


def _new(
    distinct: Sequence[str], known: dict[str, Floats], encode: Callable[[Sequence[str]], Floats], *, batch: int, side: str,
    progress: Progress, seen: dict[str, Any],
) -> dict[str, Floats]:  # fmt: skip
    """The rows of these texts: what is known, and what is not, embedded."""
    missing = [text for text in distinct if text not in known]
    found = {text: known[text] for text in distinct if text in known}
    parts = [missing[start : start + batch] for start in range(0, len(missing), batch)]
    for part in parts:
        found.update(zip(part, encode(part), strict=True))
        progress(f"encode {PLURAL[side]}", len(found), len(distinct))
    seen[f"{PLURAL[side]}_from_cache"] = len(distinct) - len(missing)
    return found


@contextmanager
def naming(ids: Sequence[str], texts: Sequence[str]) -> Iterator[None]:
    """Within it, a text whose vector cannot be used is named by its id."""
    try:
        yield
    except UnusableVector as error:
        name = next((name for name, text in zip(ids, texts, strict=True) if text == error.text), "")
        raise UnusableVector(error.text, error.problem, name=name) from None


@dataclass(frozen=True, eq=False)
class EmbeddedIndex:
    """Embedded documents, and the encoder of the queries."""

    vectors: VectorIndex
    encoder: TextEncoder
    dim: int | None
    seen: dict[str, Any] = field(default_factory=dict)  # what indexing and the first search found out

    @classmethod
    def built(
        cls, corpus: Corpus, encoder: TextEncoder, *, dim: int | None, dtype: str, kind: str, progress: Progress
    ) -> EmbeddedIndex:
        """The corpus embedded, truncated and stored."""
        seen: dict[str, Any] = {}
        with naming(corpus.ids, corpus.contents):
            embedded = encoder.embed(corpus.contents, "document", progress, seen)
            documents = usable(truncated(embedded, dim, encoder.similarity == "cosine"), corpus.contents)
        vectors = VectorIndex.built(
            corpus.ids, documents, dtype=dtype, kind=kind, device=encoder.device, similarity=encoder.similarity
        )
        return cls(vectors, encoder, dim, seen)

    @property
    def arrays(self) -> Arrays:
        """The vectors', and what the encoder keeps to be known by."""
        return {**self.vectors.arrays, **self.encoder.arrays}

    @property
    def facts(self) -> IndexFacts:
        """The vectors'; what the encoder tells; how far the index is from exact search."""
        encoder = self.encoder
        return replace(
            self.vectors.facts,
            load_seconds=encoder.load_seconds,
            more={**encoder.facts, **self.seen},
            remarks=encoder.remarks,
            cut_texts=encoder.cut_texts,
        )

    def asked(self, queries: Queries, progress: Progress = no_progress) -> Floats:
        """The vectors (m, d) of these queries, truncated."""
        with naming(queries.ids, queries.texts):
            embedded = self.encoder.embed(queries.texts, "query", progress, self.seen)
            return usable(truncated(embedded, self.dim, self.encoder.similarity == "cosine"), queries.texts)

    def search(self, queries: Queries, depth: int, progress: Progress = no_progress) -> Retrieved:
        """The run of these queries."""
        asked = self.asked(queries, progress)
        if len(queries) > 1 and self.vectors.kind != "exact":
            self.seen.setdefault("agreement_with_exact", self.vectors.gap(asked, depth))
        return Retrieved(self.vectors.search(asked, queries.ids, depth, progress))
