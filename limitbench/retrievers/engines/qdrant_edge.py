"""Qdrant's engine inside the process (`qdrant-edge-py`): HNSW over one shard, with its quantisations.

A segment below `full_scan_threshold` is scanned, whatever index was asked for. So the threshold is set to its least, and segments
are optimised before they are searched. What Qdrant then built is read back from its files.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import qdrant_edge as qdrant

from limitbench.files import read_record
from limitbench.progress import Progress
from limitbench.retrievers.engines.contract import (
    ChangeableEngine,
    Floats,
    Hits,
    Numbers,
    Proof,
    Settings,
    bytes_below,
    require_room,
)

_VECTOR = "v"
_DISTANCES = {
    "cosine": qdrant.Distance.Dot,  # of unit vectors, so that scores are those of other engines
    "dot": qdrant.Distance.Dot,
    "euclidean": qdrant.Distance.Euclid,
    "manhattan": qdrant.Distance.Manhattan,
}
_M, _EF_CONSTRUCTION = 16, 100  # Qdrant's defaults
_QUANTISED = ("int8", "binary")
_LOGS = 100_000_000  # bytes of its log of writes and of files that it makes at once


class QdrantEdge(ChangeableEngine):
    """One shard in a folder."""

    name = "qdrant-edge"
    package = "qdrant-edge-py"
    similarities = tuple(_DISTANCES)
    adjustable = ("ef",)

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self.shard: Any = None
        self.sign = 1.0  # distances are turned, so that larger is nearer

    @classmethod
    def check(cls, settings: Settings) -> None:
        """Settings of a graph go with a graph alone."""
        known = {"index": ("hnsw", "flat"), "dtype": ("fp32", "fp16", "int8", "binary")}
        graph = {} if settings.index == "flat" else dict.fromkeys(("m", "ef_construction", "ef"))
        settings.require(cls.name, {**known, **graph})

    @property
    def exhaustive(self) -> bool:
        """Without a graph, all vectors are compared."""
        return self.flat

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
        require_room(self.name, self.folder, _LOGS + 4 * documents.nbytes)
        self.sign = -1.0 if similarity in ("euclidean", "manhattan") else 1.0
        self.shard = qdrant.EdgeShard.create(str(self.folder), self._config(d, similarity))
        for name in self.attributes:
            self.shard.update(qdrant.UpdateOperation.create_field_index(name, qdrant.PayloadSchemaType.Integer))
        self.insert(np.arange(n), documents, progress)
        progress("index", 0, 1)
        self.settle()
        progress("index", 1, 1)

    def _add(self, numbers: Numbers, rows: Floats) -> None:
        pairs = zip(numbers.tolist(), rows.tolist(), strict=True)
        points = [qdrant.Point(number, {_VECTOR: row}, self._row_attributes(number) or None) for number, row in pairs]
        self.shard.update(qdrant.UpdateOperation.upsert_points(points))

    def _remove(self, numbers: Numbers) -> None:
        self.shard.update(qdrant.UpdateOperation.delete_points(numbers.tolist()))

    def settle(self) -> None:
        """Optimise until there is nothing left to do: one round may leave segments for the next."""
        while self.shard.optimize():
            pass
        self.shard.flush()

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
                full_scan_threshold=1,  # KB
            ),
        )
        optimizers = qdrant.EdgeOptimizersConfig(indexing_threshold=1, default_segment_number=1)
        return qdrant.EdgeConfig(vectors={_VECTOR: vectors}, optimizers=optimizers)

    def filtered(self, query: Floats, depth: int, below: Mapping[str, int]) -> Hits:
        """By the shard's index, without rescoring in the original vectors.

        Behind a filter, Qdrant walks the graph, or scans what passes where that is little.
        """
        s = self.settings
        quantisation = (
            qdrant.QuantizationSearchParams(ignore=False, rescore=False) if self.dtype in _QUANTISED else None
        )
        params = qdrant.SearchParams(hnsw_ef=s.ef, exact=False, quantization=quantisation)
        found = self.shard.search(
            qdrant.SearchRequest(
                query=qdrant.Query.Nearest(query.tolist(), _VECTOR), limit=depth, params=params, filter=_filter(below)
            )
        )
        ids = np.array([point.id for point in found], np.int64)
        return ids, self.sign * np.array([point.score for point in found], np.float64)

    def _segments(self) -> Iterator[tuple[dict[str, Any], dict[str, Any], bool]]:
        """What each segment on disk tells: how vectors are stored and indexed, its graph if it has one, whether it is quantised."""
        for segment in (self.folder / "segments").iterdir():
            told = read_record(segment / "segment.json")["config"]["vector_data"][_VECTOR]
            graph = segment / f"vector_index-{_VECTOR}" / "hnsw_config.json"
            quantised = segment / f"vector_storage-{_VECTOR}" / "quantized.config.json"
            yield told, read_record(graph) if graph.is_file() else {}, quantised.is_file()

    def proof(self) -> Proof:
        """By what the segments on disk tell: vectors in a graph that is larger than what Qdrant scans, and vectors quantised."""
        segments = list(self._segments())
        graphs = [graph for _, graph, _ in segments if graph.get("m")]
        wanted = {}
        if not self.flat:
            enough = [graph for graph in graphs if graph["full_scan_threshold"] < graph["indexed_vector_count"]]
            wanted["in a graph"] = sum(graph["indexed_vector_count"] for graph in enough)
        if self.dtype in _QUANTISED:
            built = [quantised for told, _, quantised in segments if told["index"]["type"] != "plain"]
            wanted["quantised"] = self.shard.info().indexed_vectors_count if built and all(built) else 0
        how = ", ".join(f"{count} of {self.points} vectors {what}" for what, count in wanted.items())
        if wanted and all(told["index"]["type"] == "plain" for told, _, _ in segments):
            how += "; Qdrant builds nothing for less than 1 KB of vectors"
        return Proof(all(count >= self.points for count in wanted.values()), how or "no index, as asked for")

    def effective(self) -> Mapping[str, Any]:
        """As the segments on disk tell: the graph's settings, and how vectors are stored."""
        segments = list(self._segments())
        graph = next((graph for _, graph, _ in segments if graph.get("m")), None)
        stored = {_stored_as(told) for told, _, _ in segments if told["index"]["type"] != "plain"} or {
            _stored_as(segments[0][0])
        }
        out: dict[str, Any] = {"index": "flat"}
        if graph is not None:
            out = {
                "index": "hnsw", "m": graph["m"], "ef_construction": graph["ef_construct"], "ef": self.settings.ef or graph["ef"],
            }  # fmt: skip
        rescore = {"rescore": False} if self.dtype in _QUANTISED else {}
        return {**out, "dtype": "+".join(sorted(stored)), **rescore}

    @property
    def nbytes(self) -> int:
        """Bytes of the segments; the log of writes, which Qdrant keeps beside them, is none of the index."""
        return bytes_below(self.folder / "segments")

    def reopen(self) -> None:
        """Close the shard and load it from its folder."""
        self.shard.close()
        self.shard = qdrant.EdgeShard.load(str(self.folder))

    def release(self) -> None:
        """Close the shard."""
        if self.shard is not None:
            self.shard.close()
            self.shard = None


def _filter(below: Mapping[str, int]) -> Any:
    ranges: list[Any] = [
        qdrant.FieldCondition(name, range=qdrant.RangeFloat(lt=float(bound))) for name, bound in below.items()
    ]
    return qdrant.Filter(must=ranges) if ranges else None


def _stored_as(told: Mapping[str, Any]) -> str:
    quantised = told.get("quantization_config") or {}
    if "scalar" in quantised or "binary" in quantised:
        return "int8" if "scalar" in quantised else "binary"
    return {"float16": "fp16"}.get(str(told.get("datatype", "")).lower(), "fp32")
