"""A `Result`: one dataset by one retriever, with its numbers, its cost and everything needed to run it again."""

from __future__ import annotations

import hashlib
import json
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

SCHEMA_VERSION: Literal[1] = 1


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class DatasetFacts(_Record):
    """Which dataset: its digest decides, the name is for people."""

    name: str
    sha256: str
    documents: int
    queries: int
    relevant: int
    published_as: str | None = None


class RetrieverFacts(_Record):
    """Which retriever: every option with its value, what its card says, what was in force (prompts, dimension)."""

    name: str
    configuration: dict[str, Any]
    card: dict[str, Any] = {}
    facts: dict[str, Any] = {}


class Means(_Record):
    """Means over all judged queries, fractions in [0, 1]: expected over random tie-breaking, worst, best."""

    mean: float
    worst: float
    best: float


class Cost(_Record):
    """What it took, on the hardware that the provenance names; absolute times are this machine's alone.

    Loading a model is not indexing: `documents_per_second` is the corpus over `index_seconds`, without `load_seconds`.
    """

    index_bytes: int
    load_seconds: float
    index_seconds: float
    documents_per_second: float
    search_seconds: float
    query_latency_p50_seconds: float
    query_latency_p95_seconds: float
    peak_memory_bytes: int | None
    peak_memory_scope: Literal["evaluation", "process"]


class Result(_Record):
    """One dataset by one retriever.

    `per_query` holds the expected value of each measure for each judged query, in the dataset's order.
    """

    schema_version: Literal[1] = SCHEMA_VERSION
    configuration_digest: str
    dataset: DatasetFacts
    retriever: RetrieverFacts
    depth: int
    evidence: Literal["measured"] = "measured"
    measures: dict[str, Means]
    ceiling: dict[str, Means] | None = None  # of a reranker: what a perfect one would make of the same candidates
    per_query: dict[str, list[float]]
    cost: Cost
    provenance: dict[str, Any]

    def to_json(self) -> bytes:
        """The record's bytes, keys in a fixed order."""
        return (json.dumps(self.model_dump(mode="json"), ensure_ascii=False, indent=1) + "\n").encode()

    def summary(self) -> dict[str, Any]:
        """What `--json` prints: names on top, per-query values left in the record."""
        rest = self.model_dump(mode="json", exclude={"per_query", "dataset", "retriever", "schema_version"})
        return {
            "dataset": self.dataset.name,
            "retriever": self.retriever.name,
            **rest,
            "dataset_facts": self.dataset.model_dump(mode="json"),
            "retriever_facts": self.retriever.model_dump(mode="json"),
        }


def configuration_digest(dataset_sha256: str, configuration: dict[str, Any], measures: list[str]) -> str:
    """sha256, in hex, of what decides the numbers: the data, the retriever's options, the measures."""
    decisive = {"schema": SCHEMA_VERSION, "dataset": dataset_sha256, "retriever": configuration, "measures": measures}
    return hashlib.sha256(json.dumps(decisive, sort_keys=True, ensure_ascii=False).encode()).hexdigest()
