"""OpenSearch by URL: a field of vectors behind Faiss's HNSW, and BM25 over texts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from limitbench.errors import RetrievalError
from limitbench.retrievers.engines.addresses import plain_url
from limitbench.retrievers.engines.contract import Floats, Hits, Proof, Settings
from limitbench.retrievers.engines.lucene import MOST, URL, LuceneTexts, LuceneVectors, turned_back


class OpenSearch(LuceneVectors):
    """A `knn_vector` field of the engine Faiss; without an index, the plug-in's exact score."""

    name = "opensearch"
    similarities = ("cosine", "dot", "euclidean")
    _SPACES: ClassVar = {"cosine": "innerproduct", "dot": "innerproduct", "euclidean": "l2"}
    _NO_SCAN = (
        "knn.advanced.approximate_threshold"  # below it a segment gets no graph; servers before 2.18 do not know it
    )

    @classmethod
    def check(cls, settings: Settings) -> None:
        """Settings of a graph go with a graph alone."""
        flat = settings.index == "flat"
        known = {
            "index": ("hnsw", "flat"),
            "dtype": ("fp32",) if flat else ("fp32", "fp16"),
            "url": None,
            "key_env": None,
        }
        graph = {} if flat else dict.fromkeys(("m", "ef_construction", "ef"))
        settings.require(cls.name, {**known, **graph})
        plain_url(cls.name, settings.url, URL)

    def _make(self, d: int) -> None:
        s, space = self.settings, self._SPACES[self.similarity]
        if self.exhaustive:
            self.index.make({}, {"v": {"type": "knn_vector", "dimension": d}})
            return
        graph = {"m": s.m, "ef_construction": s.ef_construction}
        parameters: dict[str, Any] = {name: value for name, value in graph.items() if value is not None}
        if s.dtype == "fp16":
            parameters["encoder"] = {"name": "sq", "parameters": {"type": "fp16"}}
        method = {"name": "hnsw", "engine": "faiss", "space_type": space, "parameters": parameters}
        properties = {"v": {"type": "knn_vector", "dimension": d, "method": method}}
        try:
            self.index.make({"knn": True, self._NO_SCAN: 0}, properties)
        except RetrievalError as error:
            if "approximate_threshold" not in str(error):
                raise
            self.index.make({"knn": True}, properties)

    def _asked(self, query: Floats, depth: int) -> dict[str, Any]:
        space, ef = self._SPACES[self.similarity], self.settings.ef
        if self.exhaustive:
            params = {"field": "v", "query_value": query.tolist(), "space_type": space}
            script = {"source": "knn_score", "lang": "knn", "params": params}
            return {"query": {"script_score": {"query": {"match_all": {}}, "script": script}}}
        more = {} if ef is None else {"method_parameters": {"ef_search": ef}}
        return {"query": {"knn": {"v": {"vector": query.tolist(), "k": min(depth, MOST), **more}}}}

    def search(self, query: Floats, depth: int) -> Hits:
        """The best documents by the index; scores are turned back into those of the similarity."""
        (numbers, scores), _ = self.index.search(self._asked(query, depth), depth)
        return numbers, turned_back(scores, "l2_norm" if self.similarity == "euclidean" else "max_inner_product")

    def proof(self) -> Proof:
        """By the plug-in's count of searches in a graph, before and after one."""
        count = self.index.count
        if self.exhaustive:
            return Proof(count == self.points, "no graph, as asked for")
        before = self._graph_searches()
        self.index.search(self._asked(np.eye(1, self.index.mapping("v")["dimension"], dtype=np.float32)[0], 10), 10)
        more = self._graph_searches() - before
        return Proof(
            more > 0 and count == self.points,
            f"{count} of {self.points} vectors, {more} searches in a graph for one asked",
        )

    def _graph_searches(self) -> int:
        told = self.index.server.call("GET", "/_plugins/_knn/stats")
        return sum(int(node.get("graph_query_requests", 0)) for node in told.get("nodes", {}).values())

    def effective(self) -> Mapping[str, Any]:
        """As the mapping tells."""
        method = self.index.mapping("v").get("method")
        if method is None:
            return {"index": "flat", "dtype": "fp32", "server": self.index.version}
        parameters = method.get("parameters", {})
        dtype = parameters.get("encoder", {}).get("parameters", {}).get("type", "fp32")
        graph = {ours: parameters.get(ours, "the server's") for ours in ("m", "ef_construction")}
        return {
            "index": method["name"],
            "dtype": dtype,
            **graph,
            "ef": self.settings.ef or "the server's",
            "server": self.index.version,
        }


class OpenSearchText(LuceneTexts):
    """BM25 of OpenSearch."""

    name = "opensearch-text"
