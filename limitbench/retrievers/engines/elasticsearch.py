"""Elasticsearch by URL: a field of dense vectors behind Lucene's HNSW, and BM25 over texts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from limitbench.errors import SpecError
from limitbench.retrievers.engines.addresses import plain_url
from limitbench.retrievers.engines.contract import Floats, Hits, Proof, Settings
from limitbench.retrievers.engines.lucene import MOST, URL, LuceneTexts, LuceneVectors, turned_back


class Elasticsearch(LuceneVectors):
    """A `dense_vector` field; fp32 behind a graph where nothing else is asked for."""

    name = "elasticsearch"
    similarities = ("cosine", "dot", "euclidean")
    _SIMILARITIES: ClassVar = {"cosine": "dot_product", "dot": "max_inner_product", "euclidean": "l2_norm"}
    _TYPES: ClassVar = {
        ("hnsw", "fp32"): "hnsw", ("hnsw", "int8"): "int8_hnsw", ("hnsw", "binary"): "bbq_hnsw",
        ("flat", "fp32"): "flat", ("flat", "int8"): "int8_flat", ("flat", "binary"): "bbq_flat",
    }  # fmt: skip

    @classmethod
    def check(cls, settings: Settings) -> None:
        """Settings of a graph go with a graph alone."""
        known = {"index": ("hnsw", "flat"), "dtype": ("fp32", "int8", "binary"), "url": None, "key_env": None}
        graph = {} if settings.index == "flat" else dict.fromkeys(("m", "ef_construction", "ef"))
        settings.require(cls.name, {**known, **graph})
        if settings.ef is not None and settings.ef > MOST:
            raise SpecError(f"engine '{cls.name}': found ef={settings.ef}, expected {MOST} at most")
        plain_url(cls.name, settings.url, URL)

    def _make(self, d: int) -> None:
        s = self.settings
        field: dict[str, Any] = {
            "type": "dense_vector",
            "dims": d,
            "index": True,
            "similarity": self._SIMILARITIES[self.similarity],
        }
        graph = {"m": s.m, "ef_construction": s.ef_construction}
        kind = self._TYPES[
            s.index or "hnsw", s.dtype or "fp32"
        ]  # named always: what a server chooses depends on its version
        field["index_options"] = {"type": kind, **{name: value for name, value in graph.items() if value is not None}}
        self.index.make({}, {"v": field})

    def _asked(self, query: Floats, depth: int) -> dict[str, Any]:
        k = min(depth, MOST)
        knn: dict[str, Any] = {"field": "v", "query_vector": query.tolist(), "k": k}
        if self.settings.ef is not None:
            knn["num_candidates"] = max(self.settings.ef, k)  # it refuses less
        return {"knn": knn}

    def search(self, query: Floats, depth: int) -> Hits:
        """The best documents by the index; scores are turned back into those of the similarity."""
        (numbers, scores), _ = self.index.search(self._asked(query, depth), depth)
        return numbers, turned_back(scores, self._SIMILARITIES[self.similarity])

    def proof(self) -> Proof:
        """By the bytes of the graph, where the server tells them; else by how many vectors a search compares."""
        count = self.index.count
        if self.exhaustive:
            return Proof(count == self.points, "no graph, as asked for")
        told = self.index.server.call("GET", f"{self.index.place}/_stats/dense_vector")
        graph = told["_all"]["primaries"].get("dense_vector", {}).get("off_heap", {}).get("total_vex_size_bytes")
        if graph:
            return Proof(count == self.points, f"{count} of {self.points} vectors, a graph of {graph} bytes")
        some = np.eye(1, self.index.mapping("v")["dims"], dtype=np.float32)[0]
        _, answer = self.index.search({**self._asked(some, 10), "profile": True}, 10)
        found = [
            one for shard in answer.get("profile", {}).get("shards", []) for one in shard.get("dfs", {}).get("knn", [])
        ]
        seen = sum(one.get("vector_operations_count", self.points) for one in found) if found else self.points
        return Proof(seen < self.points == count, f"a search compares {seen} of {count} vectors")

    def effective(self) -> Mapping[str, Any]:
        """As the mapping tells."""
        told = self.index.mapping("v")
        options = told.get("index_options", {})
        kinds = {theirs: ours for ours, theirs in self._TYPES.items()}
        index, dtype = kinds.get(options.get("type"), (options.get("type", "not told"), "not told"))
        graph = {ours: options[ours] for ours in ("m", "ef_construction") if ours in options}
        ef = {"ef": self.settings.ef or "the server's"} if index != "flat" else {}
        rescored = {"rescore": options["rescore_vector"]} if "rescore_vector" in options else {}
        return {"index": index, "dtype": dtype, **graph, **ef, **rescored, "server": self.index.version}


class ElasticsearchText(LuceneTexts):
    """BM25 of Elasticsearch."""

    name = "elasticsearch-text"
