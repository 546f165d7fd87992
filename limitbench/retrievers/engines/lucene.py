"""What Elasticsearch and OpenSearch share: an index on a server of either, its texts under BM25, and Lucene's scores.

An index is named `limitbench-` and eight hex digits, has one shard and one segment, and is deleted when the retriever's goes.
"""

from __future__ import annotations

import secrets
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

import numpy as np

from limitbench.errors import LimitbenchError, RetrievalError
from limitbench.progress import Progress
from limitbench.retrievers.engines.addresses import plain_url
from limitbench.retrievers.engines.contract import Engine, Floats, Hits, Proof, Settings, TextEngine, VectorEngine
from limitbench.retrievers.engines.rest import Rest

URL = "http://localhost:9200"
MOST = 10_000  # rows and candidates of a search
_BATCH = 500
_PATIENCE = 3600.0  # seconds that merging into one segment may take


class ServerIndex:
    """One index on a server of either kind."""

    def __init__(self, engine: str, settings: Settings) -> None:
        self.server = Rest(engine, plain_url(engine, settings.url, URL), settings.key_env, scheme="ApiKey ")
        self.engine, self.place, self.made = engine, f"/limitbench-{secrets.token_hex(4)}", False
        version = self.server.first("/").get("version", {})
        found = "opensearch" if version.get("distribution") == "opensearch" else "elasticsearch"
        if found != engine.removesuffix("-text"):
            self.server.close()
            raise RetrievalError(f"engine '{engine}': {self.server.url} is {found}; name that engine")
        self.version = f"{found} {version.get('number', 'unknown')}"

    def make(self, settings: Mapping[str, Any], properties: Mapping[str, Any]) -> None:
        """Make it with these settings and fields."""
        self.made = True  # before: a call that is cut off may have made it
        usual = {"number_of_shards": 1, "number_of_replicas": 0, "refresh_interval": "-1"}
        self.server.call(
            "PUT", self.place, {"settings": {"index": {**usual, **settings}}, "mappings": {"properties": properties}}
        )

    def insert(self, start: int, documents: Sequence[Mapping[str, Any]]) -> None:
        """Documents from a number on. Raises `RetrievalError` that names the first one refused."""
        lines = (line for i, told in enumerate(documents) for line in ({"index": {"_id": str(start + i)}}, told))
        answer = self.server.call("POST", f"{self.place}/_bulk", lines=lines)
        if answer.get("errors"):
            bad = next(item["index"] for item in answer["items"] if "error" in item["index"])
            raise RetrievalError(f"engine '{self.engine}': document {bad['_id']} is refused: {str(bad['error'])[:200]}")

    def finish(self) -> None:
        """One segment, which searches see."""
        self.server.call("POST", f"{self.place}/_refresh", seconds=_PATIENCE)
        self.server.call("POST", f"{self.place}/_forcemerge?max_num_segments=1", seconds=_PATIENCE)
        self.server.call("POST", f"{self.place}/_refresh", seconds=_PATIENCE)

    def search(self, asked: Mapping[str, Any], depth: int) -> tuple[Hits, Mapping[str, Any]]:
        """Hits with the server's scores, and the whole answer."""
        answer = self.server.call(
            "POST", f"{self.place}/_search", {"size": min(depth, MOST), "_source": False, **asked}
        )
        hits = answer["hits"]["hits"]
        numbers = np.array([int(hit["_id"]) for hit in hits], np.int64)
        return (numbers, np.array([hit["_score"] for hit in hits], np.float64)), answer

    @property
    def count(self) -> int:
        """Its documents."""
        return int(self.server.call("GET", f"{self.place}/_count")["count"])

    @property
    def nbytes(self) -> int:
        """Its bytes on the server's disk."""
        told = self.server.call("GET", f"{self.place}/_stats/store")
        return int(told["_all"]["primaries"]["store"]["size_in_bytes"])

    def mapping(self, field: str) -> Mapping[str, Any]:
        """What the server tells of a field."""
        told: Mapping[str, Any] = next(iter(self.server.call("GET", f"{self.place}/_mapping").values()))["mappings"]
        found: Mapping[str, Any] = told["properties"][field]
        return found

    def close(self) -> None:
        """Delete it and close the connection."""
        if self.made:
            with suppress(LimitbenchError, RuntimeError):  # a server that is gone; a connection that is closed
                self.server.call("DELETE", self.place)
            self.made = False
        self.server.close()


class OnServer(Engine):
    """What the four engines here share."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self.index = ServerIndex(self.name, settings)

    @property
    def nbytes(self) -> int:
        """Bytes of the index, as the server tells."""
        return self.index.nbytes

    def reopen(self) -> None:
        """Another connection."""
        old = self.index
        self.index = ServerIndex(self.name, self.settings)
        self.index.place, self.index.made, old.made = old.place, old.made, False
        old.close()

    def release(self) -> None:
        """Delete the index and close the connection."""
        self.index.close()


class LuceneVectors(OnServer, VectorEngine):
    """Vectors in one index; each kind of server has its own field and query."""

    package = None
    points = 0
    similarity = "cosine"

    @property
    def exhaustive(self) -> bool:
        """Without a graph, all vectors are compared."""
        return self.settings.index == "flat"

    @abstractmethod
    def _make(self, d: int) -> None: ...

    def build(self, documents: Floats, similarity: str, progress: Progress) -> None:
        """Insert in batches, merge into one segment."""
        n, d = self.points, _ = documents.shape
        self.similarity = similarity
        self._make(d)
        for start in range(0, n, _BATCH):
            self.index.insert(start, [{"v": row} for row in documents[start : start + _BATCH].tolist()])
            progress("insert", min(start + _BATCH, n), n)
        progress("index", 0, 1)
        self.index.finish()
        progress("index", 1, 1)


class LuceneTexts(OnServer, TextEngine):
    """Texts in one index, under the server's BM25."""

    package = None
    texts = 0

    @classmethod
    def check(cls, settings: Settings) -> None:
        """A language is one of the server's analysers."""
        settings.require(cls.name, {"language": None, "url": None, "key_env": None})
        plain_url(cls.name, settings.url, URL)

    @property
    def exhaustive(self) -> bool:
        """Every document with a word of the question is scored."""
        return True

    def build(self, texts: Sequence[str], progress: Progress) -> None:
        """Insert in batches, merge into one segment."""
        self.texts = n = len(texts)
        self.index.make({}, {"text": {"type": "text", "analyzer": self.settings.language or "standard"}})
        for start in range(0, n, _BATCH):
            self.index.insert(start, [{"text": text} for text in texts[start : start + _BATCH]])
            progress("insert", min(start + _BATCH, n), n)
        self.index.finish()

    def search(self, query: str, depth: int) -> Hits:
        """The best documents with a word of the text, by the server's BM25."""
        return self.index.search({"query": {"match": {"text": {"query": query}}}}, depth)[0]

    def proof(self) -> Proof:
        """A match has no other way than the inverted index; so all texts must be in it."""
        count = self.index.count
        return Proof(count == self.texts, f"{count} of {self.texts} texts")

    def effective(self) -> Mapping[str, Any]:
        """As the mapping tells; BM25's constants are Lucene's."""
        analyser = self.index.mapping("text").get("analyzer", "standard")
        return {"index": "inverted", "k1": 1.2, "b": 0.75, "language": analyser, "server": self.index.version}


def turned_back(scores: Any, similarity: str) -> Any:
    """Inner products, or negative distances, from the scores that Lucene makes positive of them."""
    if similarity == "dot_product":
        return 2 * scores - 1
    if similarity == "l2_norm":
        return -np.sqrt(np.maximum(1 / scores - 1, 0))
    return np.where(scores >= 1, scores - 1, 1 - 1 / np.maximum(scores, np.finfo(float).tiny))
