"""LanceDB, tables in a folder: IVF and HNSW indexes over columns of vectors.

Its default is IVF with product quantisation, and its scores are then estimates. Searches here are not refined by the whole vectors.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import lancedb
import numpy as np
import pyarrow as pa
from lancedb.index import HnswFlat, HnswPq, HnswSq, IvfFlat, IvfPq, IvfRq, IvfSq

from limitbench.errors import RetrievalError, SpecError
from limitbench.progress import Progress
from limitbench.retrievers.engines.contract import (
    ChangeableEngine,
    Floats,
    Hits,
    Numbers,
    Proof,
    Settings,
    require_room,
)

_METRICS = {"cosine": "cosine", "dot": "dot", "euclidean": "l2"}
_INDEXES = {
    # index, dtype     LanceDB's configuration
    ("ivf", "fp32"): IvfFlat,
    ("ivf", "int8"): IvfSq,
    ("ivf", "pq"): IvfPq,
    ("ivf", "rq"): IvfRq,
    ("hnsw", "fp32"): HnswFlat,
    ("hnsw", "int8"): HnswSq,
    ("hnsw", "pq"): HnswPq,
}
_DTYPES = {None: "fp32", "sq": "int8", "pq": "pq", "rq": "rq"}
_LEAST_M = 4
_LEAST_FOR_PQ = 256


class LanceDB(ChangeableEngine):
    """One table in a folder."""

    name = "lancedb"
    package = "lancedb"
    similarities = tuple(_METRICS)
    adjustable = ("ef", "probes")
    batch_size = 10_000

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self.table: Any = None
        self.metric = "cosine"

    @classmethod
    def check(cls, settings: Settings) -> None:
        """Lists and probes go with an index, a graph's settings with hnsw; a scan has no dtype."""
        kind = settings.index or "ivf"
        known: dict[str, Any] = {"index": ("ivf", "hnsw", "flat")}
        known["dtype"] = tuple(dtype for index, dtype in _INDEXES if index == kind) or ("fp32",)
        own = () if kind == "flat" else ("lists", "probes", *(("m", "ef_construction", "ef") if kind == "hnsw" else ()))
        settings.require(cls.name, {**known, **dict.fromkeys(own)})
        if settings.m is not None and settings.m < _LEAST_M:
            raise SpecError(f"engine '{cls.name}': found m={settings.m}, expected {_LEAST_M} or more")

    @classmethod
    def usual_dtype(cls, settings: Settings) -> str:
        """Product quantisation behind an IVF, LanceDB's default."""
        return "pq" if (settings.index or "ivf") == "ivf" else "fp32"

    @property
    def kind(self) -> str:
        """The index asked for."""
        return self.settings.index or "ivf"

    @property
    def exhaustive(self) -> bool:
        """Without an index, all rows are compared."""
        return self.kind == "flat"

    def build(self, documents: Floats, similarity: str, progress: Progress) -> None:
        """Insert in batches, make the index, wait for it."""
        os.environ.setdefault(
            "LANCE_INCLUDE_VECTOR_CENTROIDS", "false"
        )  # statistics without them, and without a warning
        n, d = documents.shape
        s, self.metric = self.settings, _METRICS[similarity]
        require_room(self.name, self.folder, 4 * documents.nbytes + 1_000_000)
        more = [(name, pa.int64()) for name in self.attributes]
        schema = pa.schema([("number", pa.int64()), ("v", pa.list_(pa.float32(), d)), *more])
        self.table = lancedb.connect(str(self.folder)).create_table("docs", schema=schema)
        self.insert(np.arange(n), documents, progress)
        if self.kind == "flat":
            return
        kind: Any = _INDEXES[self.kind, s.dtype or self.usual_dtype(s)]
        graph = {"m": s.m, "ef_construction": s.ef_construction} if self.kind == "hnsw" else {}
        given = {key: value for key, value in {**graph, "num_partitions": s.lists}.items() if value is not None}
        if "Pq" in kind.__name__ and n < _LEAST_FOR_PQ:
            raise SpecError(
                f"engine '{self.name}': found {n} documents; dtype=pq, ivf's default, is trained on {_LEAST_FOR_PQ} or more, "
                "and LanceDB would wait for ever; give dtype=int8 or index=hnsw"
            )
        progress("index", 0, 1)
        try:
            self.table.create_index("v", config=kind(distance_type=self.metric, **given))
            self.table.wait_for_index(["v_idx"])
        except (RuntimeError, ValueError) as error:
            raise RetrievalError(
                f"engine '{self.name}': no {kind.__name__} index of {n} documents: {_sentence(error)}"
            ) from None
        progress("index", 1, 1)

    def _add(self, numbers: Numbers, rows: Floats) -> None:
        column = pa.FixedSizeListArray.from_arrays(pa.array(rows.ravel()), rows.shape[1])
        more = [pa.array(values[numbers], pa.int64()) for values in self.attributes.values()]
        self.table.add(pa.table([pa.array(numbers, pa.int64()), column, *more], schema=self.table.schema))

    def _remove(self, numbers: Numbers) -> None:
        self.table.delete(f"number IN ({', '.join(map(str, numbers.tolist()))})")

    def settle(self) -> None:
        """Compact, and take new rows into the index: until then, LanceDB scans them."""
        self.table.optimize()

    def _query(self, query: Floats, depth: int) -> Any:
        s = self.settings
        asked = (
            self.table.search(query, vector_column_name="v").distance_type(self.metric).select(["number", "_distance"])
        )
        if s.probes is not None:
            asked = asked.nprobes(s.probes)
        if s.ef is not None:
            asked = asked.ef(max(s.ef, depth))  # it refuses less
        return (asked.bypass_vector_index() if self.kind == "flat" else asked).limit(depth)

    def filtered(self, query: Floats, depth: int, below: Mapping[str, int]) -> Hits:
        """Among the rows that pass, which LanceDB finds first. Scores of a quantised index are its estimates."""
        asked = self._query(query, depth)
        if below:
            asked = asked.where(" AND ".join(f"{name} < {int(bound)}" for name, bound in below.items()), prefilter=True)
        found = asked.to_arrow()
        numbers, distances = found["number"].to_numpy(), found["_distance"].to_numpy().astype(np.float64)
        scores = -np.sqrt(np.maximum(distances, 0)) if self.metric == "l2" else 1 - distances
        return numbers.astype(np.int64), scores

    def proof(self) -> Proof:
        """By the index's count of rows and by the plan of a search."""
        if self.kind == "flat":
            rows = self.table.count_rows()
            return Proof(rows == self.points, "no index, as asked for")
        told = self.table.index_stats("v_idx")
        some = np.array(self.table.head(1)["v"][0].as_py(), np.float32)
        plan = self._query(some, 10).explain_plan()
        used = "ANNSubIndex" in plan and "v_idx" in plan
        how = f"plan: {'ANNSubIndex ' + told.index_type if used else 'a scan'}, {told.num_indexed_rows} of {self.points} rows"
        return Proof(used and told.num_indexed_rows >= self.points, how)

    def effective(self) -> Mapping[str, Any]:
        """As the table's list of indexes tells."""
        if self.kind == "flat":
            return {"index": "flat", "dtype": "fp32", "metric": self.metric}
        told = self.table.list_indices()[0].index_details
        graph, packed = told.get("hnsw"), told.get("compression") or {}
        out: dict[str, Any] = {"index": "ivf" if graph is None else "hnsw", "dtype": _DTYPES[packed.get("type")]}
        if graph is not None:
            out |= {"m": graph["max_connections"], "ef_construction": graph["construction_ef"]}
        out |= {key: packed[key] for key in ("num_sub_vectors", "num_bits") if key in packed}
        asked = {"lists": self.settings.lists, "probes": self.settings.probes, "ef": self.settings.ef}
        return {
            **out,
            **{key: value or "LanceDB's" for key, value in asked.items() if key != "ef" or graph is not None},
        }

    def reopen(self) -> None:
        """Open the folder again."""
        self.table = lancedb.connect(str(self.folder)).open_table("docs")

    def release(self) -> None:
        """Let go of the table."""
        self.table = None


def _sentence(error: Exception) -> str:
    """LanceDB's errors run over lines, and name places in its source."""
    return " ".join(str(error).partition(", /")[0].split())[:200]
