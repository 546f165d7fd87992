"""The floor: a ranking that knows nothing, the same for the same seed, query id and document id everywhere."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from pydantic import Field

from limitbench.collection import Corpus
from limitbench.retrievers.base import Adapter, Index, Progress, ScoredIndex, no_progress


class Random(Adapter):
    """Scores are hashes, so permuting the documents permutes the ranking with them."""

    adapter: ClassVar[str] = "random"
    seed: int = Field(0, ge=0, lt=2**63)

    def index(self, corpus: Corpus, progress: Progress = no_progress) -> Index:
        """One 64-bit hash a document."""
        documents = self._hashes(corpus.ids)
        progress("index", len(corpus), len(corpus))

        def scores(ids: Sequence[str], _texts: Sequence[str]) -> npt.NDArray[Any]:
            return _mix(self._hashes(ids)[:, None] ^ documents[None, :])

        return ScoredIndex.bounded(corpus.ids, scores, documents.nbytes)

    def _hashes(self, names: Sequence[str]) -> npt.NDArray[np.uint64]:
        salt = str(self.seed).encode()
        raw = b"".join(
            hashlib.blake2b(name.encode("utf-8", "surrogatepass"), digest_size=8, key=salt).digest() for name in names
        )
        return np.frombuffer(raw, "<u8").astype(np.uint64)


def _mix(words: npt.NDArray[np.uint64]) -> npt.NDArray[np.float64]:
    """Well-mixed numbers in [0, 1) from 64-bit words (the finaliser of splitmix64, Steele et al. 2014)."""
    words = (words ^ (words >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    words = (words ^ (words >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    words ^= words >> np.uint64(31)
    return (words >> np.uint64(11)).astype(np.float64) / float(1 << 53)
