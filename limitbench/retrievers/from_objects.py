"""Retrievers of what a notebook holds: a function from texts to vectors, or a model with `encode`."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from limitbench.collection import Corpus
from limitbench.errors import RetrievalError
from limitbench.retrievers.base import Arrays, Index, Progress, no_progress
from limitbench.retrievers.best_columns import Floats
from limitbench.retrievers.embedded import EmbeddedIndex, Untold
from limitbench.retrievers.vectors import known_similarity

Encode = Callable[[Sequence[str]], Any]


def encoders_of(given: Any) -> dict[str, Encode] | None:
    """The encoders of documents and of queries of an object; None where it has none.

    `encode_document` and `encode_query` where it has both, as a SentenceTransformer has; else its `encode`; else it, if it is a
    function.
    """
    if isinstance(given, type):
        return None
    both = [getattr(given, f"encode_{side}", None) for side in ("document", "query")]
    if all(callable(one) for one in both):
        return dict(zip(("document", "query"), both, strict=True))  # type: ignore[arg-type]
    one = getattr(given, "encode", None)
    one = one if callable(one) else given if callable(given) else None
    return None if one is None else {"document": one, "query": one}


@dataclass(frozen=True, eq=False)
class FromObject:
    """The retriever of an object. What its vectors depend on is not known, so no record of it is ever used again."""

    name: str
    encoders: dict[str, Encode]
    similarity: str
    token: str = field(default_factory=lambda: uuid.uuid4().hex)

    @property
    def configuration(self) -> dict[str, Any]:
        """The object's name, and a mark that no other has."""
        return {"adapter": "object", "name": self.name, "similarity": self.similarity, "object": self.token}

    @property
    def card(self) -> dict[str, Any]:
        """That it is an object of some Python session."""
        return {"label": "an object of a Python session: cannot be measured again by its record"}

    def index(self, corpus: Corpus, progress: Progress = no_progress) -> Index:
        """The corpus as vectors."""
        return EmbeddedIndex.built(corpus, _Encoder(self), dim=None, dtype="fp32", kind="exact", progress=progress)

    def restored(self, corpus: Corpus, _arrays: Arrays) -> Index:
        """The corpus, indexed again."""
        return self.index(corpus)


@dataclass(frozen=True, eq=False)
class _Encoder(Untold):
    made_by: FromObject
    load_seconds: ClassVar[float] = 0.0
    device: ClassVar[str] = "cpu"

    @property
    def similarity(self) -> str:
        """The object's."""
        return self.made_by.similarity

    def embed(self, texts: Sequence[str], side: str, progress: Progress, seen: dict[str, Any]) -> Floats:
        """Vectors (texts, d) as the object gives them. Raises `RetrievalError` for another shape."""
        del seen
        distinct = list(dict.fromkeys(texts))
        given = self.made_by.encoders[side](distinct)
        found = np.asarray(given.cpu() if hasattr(given, "cpu") else given)
        if found.ndim != 2 or len(found) != len(distinct) or found.dtype.kind not in "fiu":
            raise RetrievalError(
                f"{self.made_by.name}: found {found.dtype} of shape {found.shape} for {len(distinct)} texts, expected numbers of "
                f"shape ({len(distinct)}, d)"
            )
        progress(f"encode {side}", len(distinct), len(distinct))
        place = {text: number for number, text in enumerate(distinct)}
        return np.asarray(found[[place[text] for text in texts]], np.float32)


def from_object(given: Any) -> FromObject | None:
    """The retriever of an object with encoders; None where it has none. The similarity is the one it declares, else the cosine."""
    found = encoders_of(given)
    if found is None:
        return None
    declared = known_similarity(getattr(given, "similarity_fn_name", None))
    name = getattr(given, "__name__", type(given).__name__)
    return FromObject(str(name), found, declared)
