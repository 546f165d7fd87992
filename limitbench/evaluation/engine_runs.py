"""What an engine over vectors is measured by: agreement with exact search, latencies and throughput of one setting of it.

Vectors come from the retriever behind the engine, once. Randomness comes from seeds that are arguments; the load of the machine is
noted, since times mean nothing without it.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from limitbench.collection import Dataset, Queries
from limitbench.datasets import load
from limitbench.errors import InputError, RetrievalError, SpecError
from limitbench.evaluation.single import naming
from limitbench.progress import Progress, no_progress
from limitbench.retrievers import Given, RetrieverSpec
from limitbench.retrievers.engine import Engine, Material
from limitbench.retrievers.engines.agreement import shares
from limitbench.retrievers.engines.contract import ChangeableEngine, Floats, Hits, Numbers, Settings, VectorEngine
from limitbench.retrievers.vectors import scores_of
from limitbench.statistics import Interval, bounded_interval


@dataclass(frozen=True)
class Searched:
    """Searches of one setting: shares of exact search's best `depth`, and seconds of single searches by our clock.

    `batch_qps` is None where the engine's client has no search of many queries here.
    """

    queries: int
    depth: int
    agreement: Interval
    agreement_by_score: Interval
    short: int  # queries that got fewer documents than there are to find
    qps: float
    batch_qps: float | None
    p50: float
    p95: float
    p99: float


@dataclass(frozen=True)
class Bench:
    """One engine and what it is filled with and asked."""

    dataset: str
    spec: str
    adapter: Engine
    material: Material
    depth: int

    @classmethod
    def of(
        cls,
        dataset: Dataset | str | Path,
        by: Given | Engine,
        *,
        sample: int,
        depth: int,
        seed: int,
        progress: Progress = no_progress,
    ) -> Bench:
        """An engine over the vectors of a dataset, by its spec or itself, asked with at most `sample` of its queries.

        Raises `SpecError` for what is no engine of vectors, and `InputError` for bad numbers.
        """
        if depth < 1 or sample < 1:
            raise InputError(f"found depth {depth} and sample {sample}, expected both to be 1 or more")
        spec = f"engine:{by.engine}" if isinstance(by, Engine) else RetrieverSpec.parse(by)
        adapter = by if isinstance(by, Engine) else None
        if isinstance(spec, RetrieverSpec) and spec.adapter == "engine":
            adapter = spec.made()
        if not isinstance(adapter, Engine):
            raise SpecError(f"retriever '{spec}' is no engine; give one, such as engine:qdrant-edge,of=minilm")
        if adapter.filter is not None:
            raise SpecError(f"retriever '{spec}': leave out filter; limitbench filters measures many")
        data = dataset if isinstance(dataset, Dataset) else load(dataset)
        some = np.sort(np.random.default_rng(seed).permutation(len(data.queries))[:sample])
        asked = Queries(tuple(data.queries.ids[i] for i in some), tuple(data.queries.texts[i] for i in some))
        return cls(data.name, str(spec), adapter, adapter.material(data.corpus, asked, progress), depth)

    @contextmanager
    def engine(
        self,
        settings: Settings,
        *,
        rows: Numbers | None = None,
        attributes: dict[str, Numbers] | None = None,
        progress: Progress = no_progress,
    ) -> Iterator[tuple[VectorEngine, float]]:
        """An engine filled and proved, with the seconds that took; closed at the end. `rows`: these alone, numbered from 0."""
        made: VectorEngine = self.adapter.kind_of_engine(settings)
        try:
            with naming(f"engine '{made.name}'", "look at its settings and at the server"):
                if isinstance(made, ChangeableEngine):
                    made.attributes = attributes or {}
                start = time.perf_counter()
                documents = self.material.documents if rows is None else self.material.documents[rows]
                made.build(documents, self.material.similarity, progress)
                seconds = time.perf_counter() - start
                proof = made.proof()
                if not proof.used:
                    raise RetrievalError(
                        f"engine '{made.name}' does not use its index: {proof.how}; nothing of it was measured"
                    )
                yield made, seconds
        finally:
            made.close()

    def searched(
        self,
        engine: VectorEngine,
        search: Callable[[Floats, int], Hits] | None = None,
        *,
        among: Numbers | None = None,
        confidence: float = 0.95,
    ) -> Searched:
        """All queries by one search after another, and in one batch where the engine has that; `among` are those to be found."""
        one, m = search or engine.search, self.material
        n = len(m.documents) if among is None else len(among)
        one(m.queries[0], self.depth)  # the first search opens what others find open
        seconds, found = np.empty(len(m.queries)), []
        for i, query in enumerate(m.queries):
            start = time.perf_counter()
            found.append(one(query, self.depth)[0])
            seconds[i] = time.perf_counter() - start
        batch = None
        if search is None:
            start = time.perf_counter()
            answers = engine.batch(m.queries, self.depth)
            batch = None if answers is None else len(m.queries) / (time.perf_counter() - start)
        pairs = [
            shares(numbers, scores_of(query, m.documents, m.similarity), self.depth, among)
            for numbers, query in zip(found, m.queries, strict=True)
        ]
        by_id, by_score = (bounded_interval(column, confidence=confidence) for column in zip(*pairs, strict=True))
        p50, p95, p99 = np.quantile(seconds, [0.5, 0.95, 0.99]).tolist()
        short = sum(len(numbers) < min(self.depth, n) for numbers in found)
        return Searched(
            len(found), self.depth, by_id, by_score, short, len(seconds) / float(seconds.sum()), batch, p50, p95, p99
        )


def load_of_machine() -> list[float] | None:
    """The load averages over 1, 5 and 15 minutes; None where the system does not tell."""
    try:
        return [round(value, 2) for value in os.getloadavg()]
    except (AttributeError, OSError):
        return None


def distinct(values: Sequence[int], most: int) -> list[int]:
    """Values in order, each once. Raises `InputError` for one below 1 or above the most."""
    wrong = [value for value in values if not 1 <= value <= most]
    if wrong:
        raise InputError(f"found {wrong[0]}, expected whole numbers from 1 on, {most} at most")
    return sorted(set(values))
