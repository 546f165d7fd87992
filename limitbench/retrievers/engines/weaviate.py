"""A Weaviate server by its URL, through REST and GraphQL: HNSW or a flat index over vectors that we bring, fp32 alone."""

from __future__ import annotations

import json
import secrets
import time
import uuid
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import numpy as np

from limitbench.errors import LimitbenchError, RetrievalError
from limitbench.progress import Progress
from limitbench.retrievers.engines.addresses import plain_url
from limitbench.retrievers.engines.contract import Floats, Hits, Proof, Settings, VectorEngine
from limitbench.retrievers.engines.rest import Rest

URL = "http://localhost:8080"
_DISTANCES = {"cosine": "dot", "dot": "dot", "euclidean": "l2-squared", "manhattan": "manhattan"}
_GRAPH = {"m": "maxConnections", "ef_construction": "efConstruction", "ef": "ef"}
_MOST = 10_000  # rows of a search, by a server's usual setting
_BATCH = 200
_PATIENCE = 3600.0  # seconds that indexing may take


class Weaviate(VectorEngine):
    """One class of objects, deleted when the index goes."""

    name = "weaviate"
    package = None
    similarities = tuple(_DISTANCES)

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self.server = self._connected()
        self.kind = f"Limitbench{secrets.token_hex(4)}"
        self.points = 0
        self.distance = "dot"
        self.made = False
        self.version = self.server.first("/v1/meta").get("version", "unknown")

    @classmethod
    def check(cls, settings: Settings) -> None:
        """Settings of a graph go with a graph alone."""
        known = {"index": ("hnsw", "flat"), "dtype": ("fp32",), "url": None, "key_env": None}
        settings.require(cls.name, {**known, **({} if settings.index == "flat" else dict.fromkeys(_GRAPH))})
        plain_url(cls.name, settings.url, URL)

    def _connected(self) -> Rest:
        return Rest(self.name, plain_url(self.name, self.settings.url, URL), self.settings.key_env)

    @property
    def exhaustive(self) -> bool:
        """Without a graph, all vectors are compared."""
        return self.settings.index == "flat"

    def build(self, documents: Floats, similarity: str, progress: Progress) -> None:
        """Insert in batches, and wait until no vector is queued."""
        n, _ = documents.shape
        self.points, self.distance, s = n, _DISTANCES[similarity], self.settings
        own = (
            {}
            if self.exhaustive
            else {theirs: getattr(s, ours) for ours, theirs in _GRAPH.items() if getattr(s, ours) is not None}
        )
        asked = {
            "class": self.kind, "vectorizer": "none", "vectorIndexType": s.index or "hnsw",
            "vectorIndexConfig": {"distance": self.distance, **own}, "properties": [{"name": "number", "dataType": ["int"]}],
        }  # fmt: skip
        self.made = True  # before: a call that is cut off may have made it
        self.server.call("POST", "/v1/schema", asked)
        for start in range(0, n, _BATCH):
            rows = documents[start : start + _BATCH].tolist()
            objects = [
                {
                    "class": self.kind,
                    "id": str(uuid.UUID(int=start + i + 1)),
                    "properties": {"number": start + i},
                    "vector": row,
                }
                for i, row in enumerate(rows)
            ]
            for answer in self.server.call("POST", "/v1/batch/objects", {"objects": objects}):
                if answer.get("result", {}).get("errors"):
                    told = str(answer["result"]["errors"])[:200]
                    raise RetrievalError(
                        f"engine '{self.name}': document {answer['properties']['number']} is refused: {told}"
                    )
            progress("insert", min(start + _BATCH, n), n)
        progress("index", 0, 1)
        end = time.monotonic() + _PATIENCE
        while not self._state()[0] and time.monotonic() < end:
            time.sleep(0.1)
        progress("index", 1, 1)

    def _state(self) -> tuple[bool, int, int]:
        """(whether all shards are ready, vectors queued, objects); nodes tell objects with a delay, so they are counted."""
        nodes = self.server.call("GET", f"/v1/nodes/{self.kind}?output=verbose")["nodes"]
        shards = [shard for node in nodes for shard in node.get("shards") or []]
        queued = sum(int(shard.get("vectorQueueLength", 0)) for shard in shards)
        ready = all(shard.get("vectorIndexingStatus", "READY") == "READY" for shard in shards) and bool(shards)
        answer = self.server.call("POST", "/v1/graphql", {"query": f"{{Aggregate {{{self.kind} {{meta {{count}}}}}}}}"})
        count = int(answer["data"]["Aggregate"][self.kind][0]["meta"]["count"]) if answer.get("data") else 0
        return ready and not queued, queued, count

    def search(self, query: Floats, depth: int) -> Hits:
        """The best documents by the class's index."""
        near = f"nearVector: {{vector: {json.dumps(query.tolist())}}}, limit: {min(depth, _MOST)}"
        asked = f"{{Get {{{self.kind}({near}) {{number _additional {{distance}}}}}}}}"
        answer = self.server.call("POST", "/v1/graphql", {"query": asked})
        if answer.get("errors"):
            raise RetrievalError(
                f"engine '{self.name}': {self.server.url} says: {str(answer['errors'][0].get('message'))[:200]}"
            )
        found = answer["data"]["Get"][self.kind] or []
        distances = np.array([one["_additional"]["distance"] for one in found], np.float64)
        scores = -np.sqrt(np.maximum(distances, 0)) if self.distance == "l2-squared" else -distances
        return np.array([one["number"] for one in found], np.int64), scores

    def proof(self) -> Proof:
        """By what its shards tell: vectors that are queued are not in the graph."""
        ready, queued, count = self._state()
        told = self.server.call("GET", f"/v1/schema/{self.kind}")["vectorIndexType"]
        how = f"{told}, {'ready' if ready else 'not ready'}, {count} of {self.points} objects, {queued} vectors queued"
        return Proof(ready and told == (self.settings.index or "hnsw") and count == self.points, how)

    def effective(self) -> Mapping[str, Any]:
        """As the schema tells."""
        told = self.server.call("GET", f"/v1/schema/{self.kind}")
        config = told["vectorIndexConfig"]
        graph = {} if self.exhaustive else {ours: config.get(theirs) for ours, theirs in _GRAPH.items()}
        own = {"index": told["vectorIndexType"], "dtype": "fp32", "distance": config["distance"], **graph}
        return {**own, "server": f"Weaviate {self.version}", "index_bytes": "not told"}

    @property
    def nbytes(self) -> int:
        """0: a server does not tell."""
        return 0

    def reopen(self) -> None:
        """Another connection."""
        self.server.close()
        self.server = self._connected()

    def release(self) -> None:
        """Delete the class and close the connection."""
        if self.made:
            with suppress(LimitbenchError, RuntimeError):  # a server that is gone; a connection that is closed
                self.server.call("DELETE", f"/v1/schema/{self.kind}")
            self.made = False
        self.server.close()
