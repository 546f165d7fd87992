"""Search over vectors: what a stored dtype and an index make of them. numpy and faiss; torch is not needed.

Documents v (n, d) and queries u (m, d) come as fp32, unit rows where the similarity is the cosine. `stored` gives the values that
a dtype keeps; scores are those of the values, so a dtype's loss is measured and nothing else. Scores are inner products, or
distances with the sign turned, so that larger is nearer. Exact search goes in chunks that bound memory, and its scores do not
depend on which libraries are loaded; approximate indexes are faiss's.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, Protocol, get_args, runtime_checkable

import numpy as np
import numpy.typing as npt

from limitbench import dtypes
from limitbench.collection import Queries
from limitbench.errors import SpecError
from limitbench.rankings import Run
from limitbench.retrievers.base import IndexFacts, Progress, no_progress
from limitbench.retrievers.best_columns import Floats, best, sorted_run
from limitbench.retrievers.faiss_index import faiss_index, loaded_faiss

Dtype = dtypes.Searched
Kind = Literal["exact", "flat", "hnsw", "ivf", "pq", "sq8"]
Similarity = Literal["cosine", "dot", "euclidean", "manhattan"]

DISTANCES = {"euclidean": ("euclidean", 2.0), "manhattan": ("cityblock", 1.0)}  # scipy's name, and the p of the norm
DTYPES: tuple[str, ...] = get_args(Dtype)
KINDS: tuple[str, ...] = get_args(Kind)
_ENTRIES = 1 << 24  # of a score matrix at a time: 64 MB
_MANY = 10_000  # documents from which on faiss's brute force is worth its call


def known_similarity(told: object) -> Similarity:
    """The similarity that a model declares, by its name; the cosine where it declares none of ours."""
    return next((name for name in get_args(Similarity) if name == str(told)), "cosine")


def truncated(x: Floats, dim: int | None, cosine: bool) -> Floats:
    """The first `dim` coordinates (Matryoshka), scaled back to length 1 where the similarity is the cosine.

    A cosine knows no length, so very long and very short vectors are scaled in fp64, where their squares are numbers. The zero
    vector stays zero.
    """
    out = x if dim is None else x[:, :dim]
    if cosine:
        with np.errstate(over="ignore", under="ignore"):
            length = np.linalg.norm(out, axis=1, keepdims=True)
        out = out / np.maximum(length, 1e-12)
        odd = np.flatnonzero(~((length > 1e-9) & (length < 1e15))[:, 0])
        if len(odd):
            wide = (x if dim is None else x[:, :dim])[odd].astype(np.float64)
            out[odd] = wide / np.maximum(np.linalg.norm(wide, axis=1, keepdims=True), 1e-300)
    return np.ascontiguousarray(out, np.float32)


@dataclass(frozen=True, eq=False)
class Storage:
    """What a dtype keeps of vectors; int8 has one scale and offset a coordinate, from the documents, for both sides."""

    dtype: str
    low: Floats | None = None  # (d,)
    step: Floats | None = None  # (d,)

    @classmethod
    def fitted(cls, dtype: str, documents: Floats) -> Storage:
        """The storage of a dtype, with int8's ranges from these documents."""
        if dtype not in DTYPES:
            raise SpecError(f"found dtype '{dtype}', expected one of {', '.join(DTYPES)}")
        if dtype != "int8":
            return cls(dtype)
        low, high = documents.min(0), documents.max(0)
        return cls(dtype, low, np.maximum((high - low) / 255, 1e-12).astype(np.float32))

    def __call__(self, x: Floats) -> Floats:
        """The values that are stored, as fp32: rounded, clipped to int8's ranges, or signs (0 counts as +1).

        Raises `SpecError` for values beyond fp16's largest, 65504.
        """
        if self.dtype == "fp16":
            if len(x) and np.abs(x).max() > dtypes.DTYPES["fp16"].largest:
                most = dtypes.DTYPES["fp16"].largest
                raise SpecError(
                    f"found a coordinate of {np.abs(x).max():g}, and fp16 ends at {most:g}; use dtype=bf16 or fp32"
                )
            return x.astype(np.float16).astype(np.float32)
        if self.dtype == "bf16":
            return dtypes.bf16(x)
        if self.dtype == "int8":
            assert self.low is not None
            assert self.step is not None
            code = np.clip(np.rint((x - self.low) / self.step), 0, 255)
            return np.asarray(code * self.step + self.low, np.float32)
        if self.dtype == "binary":
            return np.where(x < 0, np.float32(-1), np.float32(1))
        return x


def scores_of(queries: npt.NDArray[Any], documents: npt.NDArray[Any], similarity: str) -> npt.NDArray[Any]:
    """The scores (m, n) of queries (m, d), or (n,) of one (d,): inner products, or distances with the sign turned.

    Inner products keep the precision of the vectors; distances come in fp64.
    """
    if similarity not in DISTANCES:
        return np.asarray(queries @ documents.T)
    from scipy.spatial.distance import cdist

    metric: Any = DISTANCES[similarity][0]
    found = -cdist(np.atleast_2d(queries), documents, metric)
    return np.asarray(found[0] if queries.ndim == 1 else found)


def rankable(kept: Floats, x: Floats, storage: Storage, ids: Sequence[str]) -> Floats:
    """The stored values, where no float dtype made a vector zero or infinite. Raises `SpecError` with the id of the first."""
    if storage.dtype in ("fp16", "bf16"):
        bad = np.flatnonzero((~kept.any(1) & x.any(1)) | ~np.isfinite(kept).all(1))
        if len(bad):
            first = int(bad[0])
            what = "zero" if not kept[first].any() else "infinite"
            raise SpecError(
                f"stored as {storage.dtype}, the vector of '{ids[first]}' becomes {what} ({len(bad)} in all do so); use dtype=fp32"
            )
    return np.ascontiguousarray(kept, np.float32)


@runtime_checkable
class SingleVectorIndex(Protocol):
    """An index with one vector for a document and one for a query."""

    @property
    def vectors(self) -> VectorIndex:
        """The documents' vectors."""

    @property
    def facts(self) -> IndexFacts:
        """What is known of it by now."""

    def asked(self, queries: Queries, progress: Progress = no_progress) -> Floats:
        """The vectors (m, d) of these queries, as they are compared with the documents'."""


@dataclass(frozen=True, eq=False)
class VectorIndex:
    """Documents made searchable in a stored dtype; approximate kinds tell how far they are from exact search."""

    document_ids: tuple[str, ...]
    documents: Floats  # (n, d) as stored
    storage: Storage
    kind: str
    engine: Any = None  # a faiss index, or None for exact search
    device: str = "cpu"  # where exact search runs
    similarity: str = "dot"  # cosine and dot are inner products of what is stored

    @classmethod
    def built(
        cls,
        document_ids: Sequence[str],
        documents: Floats,
        *,
        dtype: str = "fp32",
        kind: str = "exact",
        device: str = "cpu",
        similarity: str = "dot",
    ) -> VectorIndex:
        """The index of these documents.

        Raises `SpecError` for an unknown kind and for one that cannot search by this similarity, `MissingExtra` without faiss.
        """
        if kind not in KINDS:
            raise SpecError(f"found index '{kind}', expected one of {', '.join(KINDS)}")
        storage = Storage.fitted(dtype, documents)
        kept = rankable(storage(documents), documents, storage, document_ids)
        engine = None if kind == "exact" else faiss_index(kind, kept, similarity)
        return cls(tuple(document_ids), kept, storage, kind, engine, device, similarity)

    @property
    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """What `restored` needs: the stored values, int8's ranges, faiss's own index as bytes."""
        low_step = {"low": self.storage.low, "step": self.storage.step}
        kept = {name: array for name, array in low_step.items() if array is not None}
        engine = {} if self.engine is None else {"engine": loaded_faiss().serialize_index(self.engine)}
        return {"documents": self.documents, **kept, **engine}

    @classmethod
    def restored(
        cls,
        document_ids: Sequence[str],
        arrays: Mapping[str, npt.NDArray[Any]],
        *,
        dtype: str,
        kind: str,
        device: str = "cpu",
        similarity: str = "dot",
    ) -> VectorIndex:
        """The index whose `arrays` these are."""
        storage = Storage(dtype, arrays.get("low"), arrays.get("step"))
        engine = loaded_faiss().deserialize_index(arrays["engine"]) if "engine" in arrays else None
        return cls(tuple(document_ids), arrays["documents"], storage, kind, engine, device, similarity)

    @property
    def nbytes(self) -> int:
        """Bytes of the vectors in their dtype, or of faiss's own index."""
        n, d = self.documents.shape
        return (
            len(loaded_faiss().serialize_index(self.engine))
            if self.engine is not None
            else -(-n * d * (dtypes.DTYPES[self.storage.dtype].bits or 0) // 8)
        )

    @property
    def facts(self) -> IndexFacts:
        """Bytes, dimension, dtype, kind of index, similarity, and the vectors."""
        return IndexFacts(
            nbytes=self.nbytes,
            dim=int(self.documents.shape[1]),
            dtype=self.storage.dtype,
            kind=self.kind,
            similarity=self.similarity,
            vectors=self.documents,
        )

    def search(self, queries: Floats, query_ids: Sequence[str], depth: int, progress: Progress = no_progress) -> Run:
        """The run of query vectors (m, d)."""
        asked = rankable(self.storage(queries), queries, self.storage, query_ids)
        top = self._exact if self.engine is None else self._approximate
        return Run.concatenate(top(asked, tuple(query_ids), depth, progress))

    def _exact(self, asked: Floats, ids: tuple[str, ...], depth: int, progress: Progress) -> Iterator[Run]:
        n = len(self.document_ids)
        if self.device != "cpu":
            yield from self._on_device(asked, ids, depth, progress)
            return
        quick = (
            n >= _MANY
            and depth + 1 < n
            and self.storage.dtype != "binary"
            and self.similarity not in DISTANCES
            and importlib.util.find_spec("faiss") is not None
        )
        chunk = 4096 if quick else max(1, _ENTRIES // max(1, n))
        for start in range(0, len(asked), chunk):
            part = slice(start, start + chunk)
            yield (self._flat if quick else self._whole)(asked[part], ids[part], depth)
            progress("search", min(start + chunk, len(asked)), len(asked))

    def _whole(self, asked: Floats, ids: Sequence[str], depth: int) -> Run:
        """The run by the score matrix."""
        return best(self._scores(asked), ids, self.document_ids, depth)

    def _scores(self, asked: Floats) -> Floats:
        """The scores (m, n) of queries (m, d) as stored."""
        return np.asarray(scores_of(asked, self.documents, self.similarity), np.float32)

    def _flat(self, asked: Floats, ids: tuple[str, ...], depth: int) -> Run:
        """The run by faiss's brute force, which keeps no score matrix; rows that tie at the cut by theirs."""
        faiss = loaded_faiss()
        scores, columns = faiss.knn(asked, self.documents, depth + 1, metric=faiss.METRIC_INNER_PRODUCT)
        found = sorted_run(scores, columns, ids, self.document_ids, depth)
        if found is not None:
            return found
        unsure = ~np.isfinite(scores).all(1) | (scores[:, depth] == scores[:, depth - 1])
        tied, sure = np.flatnonzero(unsure), np.flatnonzero(~unsure)
        room = max(1, _ENTRIES // len(self.document_ids))
        parts = [
            self._whole(asked[tied[at : at + room]], [ids[i] for i in tied[at : at + room]], depth)
            for at in range(0, len(tied), room)
        ]
        again = Run.concatenate(parts)
        return Run.from_entries(
            np.concatenate([np.repeat(sure, depth), tied[again.rows]]),
            np.concatenate([columns[sure, :depth].ravel(), again.indices]),
            np.concatenate([scores[sure, :depth].ravel(), again.scores]),
            query_ids=ids, document_ids=self.document_ids, depth=depth,
        )  # fmt: skip

    def _on_device(self, asked: Floats, ids: tuple[str, ...], depth: int, progress: Progress) -> Iterator[Run]:
        """Runs in chunks by torch: scores and their best stay on the device, and only the best come back."""
        import torch

        n = len(self.document_ids)
        documents = self._resident
        chunk = max(1, _ENTRIES // max(1, n))
        for start in range(0, len(asked), chunk):
            part = slice(start, start + chunk)
            there = torch.from_numpy(asked[part]).to(documents.device)
            if self.similarity in DISTANCES:
                exact = "donot_use_mm_for_euclid_dist"  # products of long vectors would lose short distances
                scores = -torch.cdist(there, documents, p=DISTANCES[self.similarity][1], compute_mode=exact)
            else:
                scores = there @ documents.T  # (chunk, n)
            found = None
            if depth + 1 < n:
                top = torch.topk(scores, depth + 1, dim=1)
                found = sorted_run(
                    top.values.cpu().numpy(), top.indices.cpu().numpy(), ids[part], self.document_ids, depth
                )
            yield found or best(scores.cpu().numpy(), ids[part], self.document_ids, depth)
            progress("search", min(start + chunk, len(asked)), len(asked))

    @cached_property
    def _resident(self) -> Any:
        """The documents (n, d) on the device, sent once."""
        import torch

        return torch.from_numpy(self.documents).to(self.device)

    def _approximate(self, asked: Floats, ids: tuple[str, ...], depth: int, progress: Progress) -> Iterator[Run]:
        most = min(depth + 1, len(self.document_ids))
        for start in range(0, len(asked), 4096):
            part = slice(start, start + 4096)
            scores, columns = self.engine.search(asked[part], most)
            if self.similarity in DISTANCES:  # faiss gives squares of euclidean distances
                scores = -np.sqrt(np.maximum(scores, 0)) if self.similarity == "euclidean" else -scores
            rows = np.repeat(np.arange(len(columns)), most)
            found = columns.ravel() >= 0
            yield Run.from_entries(
                rows[found], columns.ravel()[found], scores.ravel()[found],
                query_ids=ids[part], document_ids=self.document_ids, depth=depth,
            )  # fmt: skip
            progress("search", min(start + 4096, len(asked)), len(asked))

    def gap(self, queries: Floats, depth: int, most: int = 200) -> float | None:
        """The share of exact search's first `depth` documents that the approximate index returns, over the first queries."""
        if self.engine is None:
            return None
        asked = np.ascontiguousarray(self.storage(queries[:most]), np.float32)
        names = tuple(map(str, range(len(asked))))
        pair = [Run.concatenate(top(asked, names, depth, no_progress)) for top in (self._exact, self._approximate)]
        exact, found = (
            [set(run.indices[a:b].tolist()) for a, b in zip(run.indptr, run.indptr[1:], strict=False)] for run in pair
        )
        return float(np.mean([len(a & b) / len(a) for a, b in zip(exact, found, strict=True) if a] or [1.0]))
