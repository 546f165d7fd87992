"""Qdrant's engine inside the process (`qdrant-edge-py`): HNSW over one shard, with its quantisations.

A segment below `full_scan_threshold` is scanned, whatever index was asked for; so the threshold is set to its least, the segment is
optimised before it is searched, and the number of indexed vectors is read back.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import qdrant_edge as qdrant

from limitbench.progress import Progress
from limitbench.retrievers.engines.contract import Floats, Hits, Proof, Settings, VectorEngine

_VECTOR = "v"
_BATCH = 2000
_DISTANCES = {
    "cosine": qdrant.Distance.Dot,  # of unit vectors, so that scores are those of other engines
    "dot": qdrant.Distance.Dot,
    "euclidean": qdrant.Distance.Euclid,
    "manhattan": qdrant.Distance.Manhattan,
}
_M, _EF_CONSTRUCTION = 16, 100  # Qdrant's defaults


class QdrantEdge(VectorEngine):
    """One shard in a folder."""

    name = "qdrant-edge"
    package = "qdrant-edge-py"
    similarities = tuple(_DISTANCES)

    def __init__(self, settings: Settings) -> None:
        known = {"index": ("hnsw", "flat"), "dtype": ("fp32", "fp16", "int8", "binary")}
        graph = (
            {} if settings.index == "flat" else dict.fromkeys(("m", "ef_construction", "ef"))
        )  # flat has none of them
        settings.require(self.name, {**known, **graph})
        super().__init__(settings)
        self.shard: Any = None
        self.sign = 1.0  # distances are turned, so that larger is nearer

    @property
    def dtype(self) -> str:
        """How vectors are stored."""
        return self.settings.dtype or "fp32"

    @property
    def flat(self) -> bool:
        """Whether no index was asked for."""
        return self.settings.index == "flat"

    def build(self, documents: Floats, similarity: str, progress: Progress) -> None:
        """Insert in batches, then optimise until the segment is indexed."""
        n, d = documents.shape
        self.sign = -1.0 if similarity in ("euclidean", "manhattan") else 1.0
        self.shard = qdrant.EdgeShard.create(str(self.folder), self._config(d, similarity))
        for start in range(0, n, _BATCH):
            rows = documents[start : start + _BATCH].tolist()
            points = [qdrant.Point(start + i, {_VECTOR: row}) for i, row in enumerate(rows)]
            self.shard.update(qdrant.UpdateOperation.upsert_points(points))
            progress("insert", min(start + _BATCH, n), n)
        progress("index", 0, 1)
        while self.shard.optimize():  # one round may leave segments for the next
            pass
        self.shard.flush()
        progress("index", 1, 1)

    def _config(self, d: int, similarity: str) -> Any:
        s = self.settings
        quantised: dict[str, Any] = {
            "int8": qdrant.ScalarQuantizationConfig(qdrant.ScalarType.Int8, always_ram=True),
            "binary": qdrant.BinaryQuantizationConfig(always_ram=True),
        }
        vectors = qdrant.EdgeVectorParams(
            size=d,
            distance=_DISTANCES[similarity],
            datatype=qdrant.VectorStorageDatatype.Float16 if self.dtype == "fp16" else None,
            quantization_config=quantised.get(self.dtype),
            hnsw_config=qdrant.HnswIndexConfig(
                m=0 if self.flat else s.m or _M,  # 0: no graph
                ef_construct=s.ef_construction or _EF_CONSTRUCTION,
                full_scan_threshold=1,
            ),
        )
        optimizers = qdrant.EdgeOptimizersConfig(indexing_threshold=1, default_segment_number=1)
        return qdrant.EdgeConfig(vectors={_VECTOR: vectors}, optimizers=optimizers)

    def search(self, query: Floats, depth: int) -> Hits:
        """The best documents by the shard's index, without rescoring in the original vectors."""
        s = self.settings
        quantisation = (
            qdrant.QuantizationSearchParams(ignore=False, rescore=False) if self.dtype in ("int8", "binary") else None
        )
        params = qdrant.SearchParams(hnsw_ef=s.ef, exact=False, quantization=quantisation)
        found = self.shard.search(
            qdrant.SearchRequest(query=qdrant.Query.Nearest(query.tolist(), _VECTOR), limit=depth, params=params)
        )
        ids = np.array([point.id for point in found], np.int64)
        return ids, self.sign * np.array([point.score for point in found], np.float64)

    def proof(self) -> Proof:
        """By the number of indexed vectors that the shard tells."""
        info = self.shard.info()
        how = f"{info.indexed_vectors_count} of {info.points_count} vectors indexed"
        return Proof(self.flat or info.indexed_vectors_count >= info.points_count, how)

    def effective(self) -> Mapping[str, Any]:
        """What was set, and Qdrant's defaults: the shard does not tell its configuration."""
        s = self.settings
        graph = {"m": s.m or _M, "ef_construction": s.ef_construction or _EF_CONSTRUCTION, "ef": s.ef or "engine's own"}
        rescore = {"rescore": False} if self.dtype in ("int8", "binary") else {}
        return {
            "index": "flat" if self.flat else "hnsw",
            **({} if self.flat else graph),
            "dtype": self.dtype,
            **rescore,
        }

    def reopen(self) -> None:
        """Close the shard and load it from its folder."""
        self.shard.close()
        self.shard = qdrant.EdgeShard.load(str(self.folder))

    def release(self) -> None:
        """Close the shard."""
        if self.shard is not None:
            self.shard.close()
            self.shard = None
