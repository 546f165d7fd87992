"""A Qdrant server by its URL. A collection is made, `limitbench_` and eight hex digits, and deleted when the index goes.

Vectors are indexed in the background, and scanned until then; so the state of the collection is waited for and read back.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import numpy as np

from limitbench.errors import LimitbenchError
from limitbench.progress import Progress
from limitbench.retrievers.engines.addresses import plain_url
from limitbench.retrievers.engines.contract import Floats, Hits, Proof, Settings, VectorEngine
from limitbench.retrievers.engines.rest import Rest

URL = "http://localhost:6333"
_DISTANCES = {
    "cosine": "Dot",
    "dot": "Dot",
    "euclidean": "Euclid",
    "manhattan": "Manhattan",
}  # rows of a cosine are unit vectors
_SCAN_BELOW = 10  # KB of vectors: the least that a server takes
_BATCH = 500
_PATIENCE = 3600.0  # seconds that indexing may take
_STALLED = 10.0  # seconds that a collection may be green without its vectors being indexed
_QUANTISED = {
    "int8": {"scalar": {"type": "int8", "always_ram": True}},
    "binary": {"binary": {"always_ram": True}},
}


class Qdrant(VectorEngine):
    """One collection of one segment on a server."""

    name = "qdrant"
    package = None
    similarities = tuple(_DISTANCES)

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self.server = connected(self.name, settings.url, settings.key_env)
        self.place = f"/collections/limitbench_{secrets.token_hex(4)}"
        self.points = self.dim = 0
        self.sign = 1.0
        self.made = False
        self.version = self.server.first("/").get("version", "unknown")

    @classmethod
    def check(cls, settings: Settings) -> None:
        """Settings of a graph go with a graph alone."""
        known = {"index": ("hnsw", "flat"), "dtype": ("fp32", "fp16", *_QUANTISED), "url": None, "key_env": None}
        graph = {} if settings.index == "flat" else dict.fromkeys(("m", "ef_construction", "ef"))
        settings.require(cls.name, {**known, **graph})
        plain_url(cls.name, settings.url, URL)

    @property
    def exhaustive(self) -> bool:
        """Without a graph, all vectors are compared."""
        return self.settings.index == "flat"

    @property
    def dtype(self) -> str:
        """How vectors are stored."""
        return self.settings.dtype or "fp32"

    def build(self, documents: Floats, similarity: str, progress: Progress) -> None:
        """Insert in batches, and wait until the collection is green."""
        n, self.dim = self.points, _ = documents.shape
        self.sign = -1.0 if similarity in ("euclidean", "manhattan") else 1.0
        s = self.settings
        graph = {
            "m": 0 if self.exhaustive else s.m,
            "ef_construct": s.ef_construction,
            "full_scan_threshold": _SCAN_BELOW,
        }
        asked: dict[str, Any] = {
            "vectors": {"size": self.dim, "distance": _DISTANCES[similarity]},
            "hnsw_config": {name: value for name, value in graph.items() if value is not None},
            "optimizers_config": {"indexing_threshold": 1, "default_segment_number": 1},
        }
        if self.dtype == "fp16":
            asked["vectors"]["datatype"] = "float16"
        if self.dtype in _QUANTISED:
            asked["quantization_config"] = _QUANTISED[self.dtype]
        self.made = True  # before: a call that is cut off may have made it
        self.server.call("PUT", self.place, asked)
        for start in range(0, n, _BATCH):
            rows = documents[start : start + _BATCH].tolist()
            batch = {"ids": list(range(start, start + len(rows))), "vectors": rows}
            self.server.call("PUT", f"{self.place}/points?wait=true", {"batch": batch})
            progress("insert", min(start + _BATCH, n), n)
        progress("index", 0, 1)
        self._wait()
        progress("index", 1, 1)

    def _wait(self) -> None:
        end, green = time.monotonic() + _PATIENCE, None
        while time.monotonic() < end:
            told = self._told()
            if told["status"] == "green":
                green = green or time.monotonic()
                scanned = self.exhaustive and self.dtype not in _QUANTISED
                if (
                    scanned
                    or told.get("indexed_vectors_count", 0) >= self.points
                    or time.monotonic() - green > _STALLED
                ):
                    return
            else:
                green = None
            time.sleep(0.1)

    def _told(self) -> Mapping[str, Any]:
        told: Mapping[str, Any] = self.server.call("GET", self.place)["result"]
        return told

    def search(self, query: Floats, depth: int) -> Hits:
        """The best documents by the collection's index, without rescoring in the original vectors."""
        params: dict[str, Any] = {"exact": False}
        if self.settings.ef is not None:
            params["hnsw_ef"] = self.settings.ef
        if self.dtype in _QUANTISED:
            params["quantization"] = {"ignore": False, "rescore": False}
        asked = {"query": query.tolist(), "limit": depth, "params": params}
        found = self.server.call("POST", f"{self.place}/points/query", asked)["result"]["points"]
        numbers = np.array([point["id"] for point in found], np.int64)
        return numbers, self.sign * np.array([point["score"] for point in found], np.float64)

    def proof(self) -> Proof:
        """By the collection's state, and by the size below which a server builds no graph."""
        told = self._told()
        count, status = told.get("points_count") or 0, told["status"]
        if self.exhaustive and self.dtype not in _QUANTISED:
            return Proof(count == self.points, "no index, as asked for")
        indexed = told.get("indexed_vectors_count") or 0
        how = f"{status}, {indexed} of {self.points} vectors indexed"
        threshold = told["config"]["hnsw_config"].get("full_scan_threshold", _SCAN_BELOW)
        if not self.exhaustive and self.points * self.dim * 4 <= 1024 * threshold:
            return Proof(False, f"{how}; Qdrant scans {threshold} KB of vectors and less")
        return Proof(status == "green" and indexed >= self.points == count, how)

    def effective(self) -> Mapping[str, Any]:
        """As the collection tells."""
        config = self._told()["config"]
        graph, stored = config["hnsw_config"], config.get("quantization_config") or {}
        halved = config["params"]["vectors"].get("datatype") == "float16"
        dtype = "int8" if "scalar" in stored else "binary" if "binary" in stored else "fp16" if halved else "fp32"
        out: dict[str, Any] = {"index": "flat", "dtype": dtype}
        if graph["m"]:
            ef = self.settings.ef or graph["ef_construct"]
            out |= {"index": "hnsw", "m": graph["m"], "ef_construction": graph["ef_construct"], "ef": ef}
        rescore = {"rescore": False} if dtype in _QUANTISED else {}
        return {**out, **rescore, "server": f"Qdrant {self.version}", "index_bytes": "not told"}

    @property
    def nbytes(self) -> int:
        """0: a server does not tell."""
        return 0

    def reopen(self) -> None:
        """Another connection."""
        self.server.close()
        self.server = connected(self.name, self.settings.url, self.settings.key_env)

    def release(self) -> None:
        """Delete the collection and close the connection."""
        if self.made:
            with suppress(LimitbenchError, RuntimeError):  # a server that is gone; a connection that is closed
                self.server.call("DELETE", self.place)
            self.made = False
        self.server.close()


def connected(engine: str, url: str | None, key_env: str | None) -> Rest:
    """The connection to a Qdrant server."""
    return Rest(engine, plain_url(engine, url, URL), key_env, header="api-key", scheme="")
