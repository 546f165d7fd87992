"""Chroma, a collection in a folder: HNSW, and nothing else."""

from __future__ import annotations

import contextlib
import struct
import warnings
from collections.abc import Mapping
from typing import Any

import chromadb
import numpy as np

from limitbench.errors import SpecError
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

_SPACES = {"cosine": "cosine", "dot": "ip", "euclidean": "l2"}
_GRAPH = {"m": "max_neighbors", "ef_construction": "ef_construction", "ef": "ef_search"}
_EF = 100  # Chroma's
_COUNT = struct.Struct("<iQQQ")  # how hnswlib's header begins: version, offset, places, elements


class Chroma(ChangeableEngine):
    """One collection of a persistent client. Its log of writes is turned into the graph at once, and not after 1,000 of them."""

    name = "chroma"
    package = "chromadb"
    similarities = tuple(_SPACES)
    adjustable = ("ef",)
    scans = False

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self.collection: Any = None
        self.client: Any = None

    @classmethod
    def check(cls, settings: Settings) -> None:
        """A graph's settings alone."""
        settings.require(cls.name, {"index": ("hnsw",), "dtype": ("fp32",), **dict.fromkeys(_GRAPH)})

    @property
    def exhaustive(self) -> bool:
        """A graph looks at some."""
        return False

    def build(self, documents: Floats, similarity: str, progress: Progress) -> None:
        """Insert in the largest batches that it takes."""
        n = len(documents)
        if n < 2:
            raise SpecError(f"engine '{self.name}': found {n} documents; its graph is written from two on")
        require_room(self.name, self.folder, 6 * documents.nbytes + 10_000_000)
        self._open()
        given = {
            _GRAPH[name]: getattr(self.settings, name) for name in _GRAPH if getattr(self.settings, name) is not None
        }
        space = {"space": _SPACES[similarity], "sync_threshold": 2, "batch_size": 2}
        self.collection = self.client.create_collection(
            "docs", configuration={"hnsw": {**space, **given}}, embedding_function=None
        )
        self.insert(np.arange(n), documents, progress)
        progress("index", 0, 1)
        self.search(documents[0], 1)  # brings the graph up to the log
        progress("index", 1, 1)

    @property
    def batch_size(self) -> int:
        """The most that it takes."""
        return int(self.client.get_max_batch_size())

    def _open(self) -> None:
        quiet = chromadb.config.Settings(anonymized_telemetry=False)
        self.client = chromadb.PersistentClient(str(self.folder), settings=quiet)

    def _add(self, numbers: Numbers, rows: Floats) -> None:
        more = [self._row_attributes(number) for number in numbers.tolist()] if self.attributes else None
        self.collection.add(ids=[str(number) for number in numbers], embeddings=rows, metadatas=more)

    def _remove(self, numbers: Numbers) -> None:
        self.collection.delete(ids=[str(number) for number in numbers])

    def _adjusted(self) -> None:
        """Chroma notes a new `ef_search` and goes on with the old one; so the folder is opened again."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of collections without an embedding function
            self.collection.modify(configuration={"hnsw": {"ef_search": self.settings.ef or _EF}})
        self.reopen()

    def filtered(self, query: Floats, depth: int, below: Mapping[str, int]) -> Hits:
        """Among the documents that pass, which Chroma finds first."""
        return self._asked(query[None], depth, below)[0]

    def batch(self, queries: Floats, depth: int) -> list[Hits]:
        """One query of many vectors."""
        return self._asked(queries, depth, {})

    def _asked(self, queries: Floats, depth: int, below: Mapping[str, int]) -> list[Hits]:
        ranges: list[dict[str, Any]] = [{name: {"$lt": int(bound)}} for name, bound in below.items()]
        where: Any = ranges[0] if len(ranges) == 1 else {"$and": ranges} if ranges else None
        found = self.collection.query(
            query_embeddings=queries, n_results=min(depth, self.points), include=["distances"], where=where
        )
        return [self._hits(ids, distances) for ids, distances in zip(found["ids"], found["distances"], strict=True)]

    def _hits(self, ids: Any, distances: Any) -> Hits:
        far = np.array(distances, np.float64)
        return np.array(ids, np.int64), -np.sqrt(np.maximum(far, 0)) if self._space == "l2" else 1 - far

    @property
    def _told(self) -> Mapping[str, Any]:
        told: Mapping[str, Any] = self.collection.configuration_json["hnsw"]
        return told

    @property
    def _space(self) -> str:
        return str(self._told["space"])

    def proof(self) -> Proof:
        """By the count in the graph's file: what is not there yet is compared one by one."""
        heads = list(self.folder.glob("*/header.bin"))
        inside = sum(_COUNT.unpack_from(head.read_bytes())[3] for head in heads)
        return Proof(inside >= self.points, f"{inside} of {self.points} vectors in the graph's file")

    def effective(self) -> Mapping[str, Any]:
        """As the collection tells."""
        told = self._told
        return {
            "index": "hnsw",
            "dtype": "fp32",
            "metric": told["space"],
            **{ours: told[theirs] for ours, theirs in _GRAPH.items()},
        }

    def reopen(self) -> None:
        """Close the client and open the folder again."""
        self._close()
        self._open()
        self.collection = self.client.get_collection("docs", embedding_function=None)

    def _close(self) -> None:
        with contextlib.suppress(Exception):  # a folder that is gone
            self.client.close()

    def release(self) -> None:
        """Close the client."""
        if self.client is not None:
            self._close()
            self.client = self.collection = None
