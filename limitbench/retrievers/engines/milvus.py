"""Milvus by its client: the lite engine in a folder, or a server by `url`.

A server builds its index after the insert, and searches exactly until then; so we wait, release the collection and load it again.
"""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
from pymilvus import DataType, MilvusClient
from pymilvus.exceptions import MilvusException

from limitbench.errors import RetrievalError, SpecError
from limitbench.progress import Progress
from limitbench.retrievers.engines.addresses import plain_url
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

_METRICS = {"cosine": "IP", "dot": "IP", "euclidean": "L2"}
_INDEXES = {
    # index, dtype    Milvus's name and what goes with it
    ("auto", "fp32"): ("AUTOINDEX", {}),
    ("flat", "fp32"): ("FLAT", {}),
    ("ivf", "fp32"): ("IVF_FLAT", {}),
    ("ivf", "int8"): ("IVF_SQ8", {}),
    ("hnsw", "fp32"): ("HNSW", {}),
    ("hnsw", "int8"): ("HNSW_SQ", {"sq_type": "SQ8"}),
}
_M, _EF_CONSTRUCTION, _LISTS = 16, 200, 128  # the client sets them; the first two are the server's for AUTOINDEX's kin
_OWN = {"hnsw": ("m", "ef_construction", "ef"), "ivf": ("lists", "probes")}
_MOST = 16_384  # rows that a search gives
_PATIENCE = 3600.0  # seconds that an index may take


class Milvus(ChangeableEngine):
    """One collection: of a file of its own, or on a server, where its name is `limitbench_` and eight hex digits."""

    name = "milvus"
    package = "pymilvus"
    similarities = tuple(_METRICS)
    adjustable = ("ef", "probes")
    batch_size = 1000

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        logging.getLogger("pymilvus").setLevel(logging.CRITICAL)  # it logs errors that it also raises
        self.collection = f"limitbench_{secrets.token_hex(4)}"
        self.metric = "IP"
        self.made = False
        self.client = self._connected()

    @classmethod
    def check(cls, settings: Settings) -> None:
        """Settings go with their kind of index."""
        kind = settings.index or "auto"
        known: dict[str, Any] = {"index": tuple(dict.fromkeys(index for index, _ in _INDEXES))}
        known["dtype"] = tuple(dtype for index, dtype in _INDEXES if index == kind)
        settings.require(cls.name, {**known, "url": None, "key_env": None, **dict.fromkeys(_OWN.get(kind, ()))})
        if settings.url is None and settings.key_env is not None:
            raise SpecError(f"engine '{cls.name}': key_env is for a server; give its url too")
        if settings.url is not None:  # a path would be a file of the user's
            plain_url(cls.name, settings.url, settings.url)

    def _connected(self) -> Any:
        s = self.settings
        where = s.url or str(self.folder / "vectors.db")
        with self._talking():
            return MilvusClient(uri=where, token=os.environ.get(s.key_env, "") if s.key_env else "", timeout=10)

    @contextmanager
    def _talking(self) -> Iterator[None]:
        try:
            yield
        except MilvusException as error:
            where = f" at {self.settings.url}" if self.settings.url else ""
            raise RetrievalError(f"engine '{self.name}'{where}: {' '.join(error.message.split())[:200]}") from None

    @property
    def kind(self) -> str:
        """The index asked for."""
        return self.settings.index or "auto"

    @property
    def exhaustive(self) -> bool:
        """Without an index, all vectors are compared."""
        return self.kind == "flat"

    def build(self, documents: Floats, similarity: str, progress: Progress) -> None:
        """Insert in batches, make the index, wait until no row is pending, load."""
        n, d = documents.shape
        if not self.settings.url:
            require_room(self.name, self.folder, 6 * documents.nbytes + 10_000_000)
        self.metric = _METRICS[similarity]
        name, s = self.collection, self.settings
        kind, more = _INDEXES[self.kind, s.dtype or "fp32"]
        schema = MilvusClient.create_schema(auto_id=False, enable_dynamic_field=False)
        schema.add_field("number", DataType.INT64, is_primary=True)
        schema.add_field("v", DataType.FLOAT_VECTOR, dim=d)
        for attribute in self.attributes:
            schema.add_field(attribute, DataType.INT64)
        with self._talking():
            self.made = True  # before: a call that is cut off may have made it
            self.client.create_collection(name, schema=schema, consistency_level="Strong")
            self.insert(np.arange(n), documents, progress)
            self.client.flush(name)
            progress("index", 0, 1)
            asked = MilvusClient.prepare_index_params()
            asked.add_index("v", index_type=kind, metric_type=self.metric, params={**self._built_with(), **more})
            self.client.create_index(name, asked)
            self._wait()
            self.client.load_collection(name)
            self.client.release_collection(name)
            self.client.load_collection(name)
            progress("index", 1, 1)

    def _add(self, numbers: Numbers, rows: Floats) -> None:
        pairs = zip(numbers.tolist(), rows, strict=True)
        told = [{"number": number, "v": row, **self._row_attributes(number)} for number, row in pairs]
        with self._talking():
            self.client.insert(self.collection, told)

    def _remove(self, numbers: Numbers) -> None:
        with self._talking():
            self.client.delete(self.collection, ids=numbers.tolist())

    def settle(self) -> None:
        """Flush, and wait until no row is pending."""
        with self._talking():
            self.client.flush(self.collection)
        self._wait()

    def _built_with(self) -> dict[str, int]:
        s = self.settings
        if self.kind == "hnsw":
            return {"M": s.m or _M, "efConstruction": s.ef_construction or _EF_CONSTRUCTION}
        return {"nlist": s.lists or _LISTS} if self.kind == "ivf" else {}

    def _wait(self) -> None:
        end = time.monotonic() + _PATIENCE
        while int(self._told().get("pending_index_rows", 0)) and time.monotonic() < end:
            time.sleep(0.2)

    def _told(self) -> Mapping[str, Any]:
        with self._talking():
            told: Mapping[str, Any] = self.client.describe_index(self.collection, "v") or {}
        return told

    def filtered(self, query: Floats, depth: int, below: Mapping[str, int]) -> Hits:
        """Among the rows that pass; at most 16,384."""
        return self._asked(query[None], depth, below)[0]

    def batch(self, queries: Floats, depth: int) -> list[Hits]:
        """One search of many vectors."""
        return self._asked(queries, depth, {})

    def _asked(self, queries: Floats, depth: int, below: Mapping[str, int]) -> list[Hits]:
        s, depth = self.settings, min(depth, _MOST)
        params: dict[str, Any] = {}
        if self.kind == "hnsw":
            params = {"ef": max(s.ef or 0, depth)}  # it refuses less than the depth
        elif self.kind == "ivf" and s.probes is not None:
            params = {"nprobe": s.probes}
        with self._talking():
            found = self.client.search(
                self.collection, list(queries), anns_field="v", limit=depth, output_fields=[],
                filter=" and ".join(f"{name} < {int(bound)}" for name, bound in below.items()),
                search_params={"metric_type": self.metric, "params": params},
            )  # fmt: skip
        return [self._hits(row) for row in found]

    def _hits(self, row: Any) -> Hits:
        numbers = np.array([hit["number"] for hit in row], np.int64)
        scores = np.array([hit["distance"] for hit in row], np.float64)
        return numbers, -np.sqrt(np.maximum(scores, 0)) if self.metric == "L2" else scores

    def proof(self) -> Proof:
        """By what the collection tells of its index: unsupported kinds stay exact in silence, rows may be pending."""
        told = self._told()
        kind = _INDEXES[self.kind, self.settings.dtype or "fp32"][0]
        rows, pending = int(told.get("indexed_rows", 0)), int(told.get("pending_index_rows", 0))
        good = (
            told.get("index_type") == kind and told.get("state") == "Finished" and not pending and rows >= self.points
        )
        how = f"{told.get('index_type', 'no index')} {told.get('state', '')}, {rows} of {self.points} rows"
        return Proof(good, how)

    def effective(self) -> Mapping[str, Any]:
        """As the collection tells, and what was asked for where it does not: the lite engine gives its kind of index alone."""
        told, s = self._told(), self.settings
        stored = "int8" if "SQ" in str(told.get("index_type")) else "fp32"
        out = {"index": self.kind, "type": told.get("index_type"), "dtype": stored, "metric": told.get("metric_type")}
        if self.kind == "hnsw":
            out |= {
                "m": int(told.get("M", s.m or _M)), "ef": s.ef or "the depth",
                "ef_construction": int(told.get("efConstruction", s.ef_construction or _EF_CONSTRUCTION)),
            }  # fmt: skip
        if self.kind == "ivf":
            out |= {"lists": int(told.get("nlist", s.lists or _LISTS)), "probes": s.probes or "Milvus's"}
        with self._talking():
            out["server"] = f"Milvus {self.client.get_server_version()}"
        return {**out, **({"index_bytes": "not told"} if s.url else {})}

    @property
    def nbytes(self) -> int:
        """Bytes of the file; a server does not tell: 0."""
        return 0 if self.settings.url else bytes_below(self.folder)

    def reopen(self) -> None:
        """Close the client, connect again, load."""
        self.client.close()
        self.client = self._connected()
        with self._talking():
            self.client.load_collection(self.collection)

    def release(self) -> None:
        """Drop the collection and close the client."""
        if self.client is None:
            return
        with contextlib.suppress(Exception):  # a server that is gone
            if self.made:
                self.client.drop_collection(self.collection)
            self.client.close()
        self.client = None
