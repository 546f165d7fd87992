"""A collection of the user's on a Qdrant server, by requests that read alone."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from limitbench.errors import InputError, SpecError
from limitbench.retrievers.engines.collection import Address, Collection, Ranked, the_one
from limitbench.retrievers.engines.contract import Proof
from limitbench.retrievers.engines.qdrant import connected


class QdrantCollection(Collection):
    """One collection and one of its vectors."""

    name = "qdrant"

    def __init__(self, address: Address) -> None:
        if address.id is not None:
            raise SpecError("engine 'qdrant': points have one id; leave out --id")
        self.address = address
        self.where = _json("--where", address.where) if address.where else None
        self.params = _params(address.settings)
        self.server = connected(self.name, address.url, address.key_env)
        try:
            self.version = self.server.call("GET", "/").get("version", "unknown")
            vectors = self._told()["config"]["params"].get("vectors") or {}
            named = {"": vectors} if "size" in vectors else {name: vectors[name] for name in vectors}
            self.vector: Mapping[str, Any] = the_one(
                self.name, address.vector, named, f"vectors of {address.collection}"
            )
            self.names = tuple(named)
            self.using = next(name for name, found in named.items() if found is self.vector)
        except BaseException:
            self.close()
            raise
        self.sign = -1.0 if self.vector["distance"] in ("Euclid", "Manhattan") else 1.0

    def _told(self) -> Mapping[str, Any]:
        told: Mapping[str, Any] = self.server.call("GET", f"/collections/{self.address.collection}")["result"]
        return told

    @property
    def rows(self) -> int:
        """As the collection tells."""
        return int(self._told().get("points_count") or 0)

    @property
    def dim(self) -> int:
        """As the collection tells."""
        return int(self.vector["size"])

    def effective(self) -> Mapping[str, Any]:
        """The graph, the quantisation and what searches ask for."""
        config = self._told()["config"]
        graph = {**config["hnsw_config"], **(self.vector.get("hnsw_config") or {})}
        stored = self.vector.get("quantization_config") or config.get("quantization_config") or {}
        return {
            "index": "hnsw" if graph.get("m") else "flat", "m": graph.get("m"), "ef_construction": graph.get("ef_construct"),
            "distance": self.vector["distance"], "quantisation": ", ".join(stored) or "none", "asked": self.params,
            "server": f"Qdrant {self.version}",
        }  # fmt: skip

    def sample(self, count: int, seed: int) -> tuple[list[str], list[Any]]:
        """As the server draws them: Qdrant takes no seed."""
        del seed
        vectors: Any = [self.using] if self.using else True
        found = self._query({"sample": "random"}, count, {}, with_vector=vectors)
        pairs = [(str(point["id"]), point["vector"]) for point in found]
        if self.using:  # a point may lack it
            pairs = [(name, vectors[self.using]) for name, vectors in pairs if self.using in vectors]
        return [name for name, _ in pairs], [vector for _, vector in pairs]

    def query(self, vector: npt.NDArray[np.float32]) -> Any:
        """A list of numbers."""
        return vector.tolist()

    def _query(self, query: Any, depth: int, params: Mapping[str, Any], **more: Any) -> list[Any]:
        asked = {"query": query, "limit": depth, "params": params, **more}
        if self.using and isinstance(query, list):
            asked["using"] = self.using
        if self.where is not None and isinstance(query, list):
            asked["filter"] = self.where
        place = f"/collections/{self.address.collection}/points/query"
        points: list[Any] = self.server.call("POST", place, asked, seconds=self.address.timeout)["result"]["points"]
        return points

    def _ranked(self, query: Any, depth: int, params: Mapping[str, Any]) -> Ranked:
        found = self._query(query, depth, params)
        return [str(point["id"]) for point in found], self.sign * np.array(
            [point["score"] for point in found], np.float64
        )

    def search(self, query: Any, depth: int) -> Ranked:
        """As an application's search does."""
        return self._ranked(query, depth, self.params)

    def exact(self, query: Any, depth: int) -> Ranked:
        """The server's own exact search, of the whole vectors."""
        return self._ranked(query, depth, {"exact": True})

    def proof(self, query: Any, depth: int) -> Proof:
        """By the collection's state: Qdrant tells no plan of a search."""
        del query, depth
        told = self._told()
        rows, indexed = int(told.get("points_count") or 0), int(told.get("indexed_vectors_count") or 0)
        how = f"{told['status']}, {indexed} vectors indexed of {rows} points"
        if not self.effective()["m"]:
            return Proof(False, f"{how}; the collection has no graph")
        if len(self.names) > 1:
            how += f", of all its vectors together ({', '.join(self.names)})"
        return Proof(indexed > 0 and not self.params.get("exact"), how)

    def close(self) -> None:
        """Close the connection."""
        self.server.close()


def _json(option: str, text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise InputError(f"{option}: found {text[:60]!r}, expected JSON ({error})") from None


def _params(settings: Mapping[str, str]) -> dict[str, Any]:
    """Search parameters by dotted names, such as hnsw_ef=128 and quantization.rescore=true."""
    out: dict[str, Any] = {}
    for name, value in settings.items():
        *outer, last = name.split(".")
        place = out
        for part in outer:
            place = place.setdefault(part, {})
            if not isinstance(place, dict):
                raise SpecError(f"--set: found {name} beside a value of {part}; give one of them")
        place[last] = _json(f"--set {name}", value)
    return out
