"""What a suite would take, before anything starts: points, texts, bytes, memory and hours, from rates measured on a sample."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

from limitbench.collection import Corpus, Dataset, Queries
from limitbench.errors import LimitbenchError
from limitbench.evaluation.options import Options
from limitbench.evaluation.single import naming
from limitbench.retrievers import Given, NamedRetriever
from limitbench.retrievers.spec import texts_under

_SIZES = (64, 512, 8192)  # documents of the samples that rates are measured on; the last where the one before was quick
_QUICK = 1.0  # seconds
_ASKED = 32  # queries


@dataclass(frozen=True)
class Cell:
    """One point: the texts that it encodes or indexes, index bytes and resident bytes, and seconds on one worker of this machine.

    `why` says why there is no estimate, or that the point is recorded.
    """

    dataset: str
    retriever: str
    documents: int
    queries: int
    index_bytes: int = 0
    memory_bytes: int = 0
    seconds: float = 0.0
    documents_per_second: float = 0.0
    why: str = ""


@dataclass(frozen=True)
class Plan:
    """The points of a suite, and what they take together on so many workers at a time."""

    cells: tuple[Cell, ...]
    workers: int

    @property
    def missing(self) -> tuple[Cell, ...]:
        """The points that are to be measured, and have an estimate."""
        return tuple(cell for cell in self.cells if not cell.why)

    @property
    def hours(self) -> float:
        """From the first point to the last: the work shared by all workers, but no shorter than its longest point."""
        seconds = [cell.seconds for cell in self.missing]
        return max(sum(seconds) / self.workers, max(seconds, default=0.0)) / 3600

    @property
    def memory_bytes(self) -> int:
        """Of all workers at once, each with the largest point."""
        return self.workers * max((cell.memory_bytes for cell in self.missing), default=0)

    def cost(self, price: float) -> float:
        """What so many hours of all workers cost, at the price of one worker for an hour."""
        return self.workers * self.hours * price

    def to_json(self) -> dict[str, Any]:
        """The plan as JSON-ready values."""
        return {
            "workers": self.workers, "points": len(self.cells), "missing": len(self.missing), "hours": self.hours,
            "texts": sum(cell.documents + cell.queries for cell in self.missing),
            "index_bytes": sum(cell.index_bytes for cell in self.missing), "memory_bytes": self.memory_bytes,
            "cells": [asdict(cell) for cell in self.cells],
        }  # fmt: skip


def plan(
    datasets: Sequence[Dataset],
    retrievers: Sequence[Given],
    *,
    options: Options,
    workers: int = 1,
    documents: int | None = None,
) -> Plan:
    """What these points take: each retriever indexes a sample of each dataset and answers some queries, and the rates are scaled.

    `documents` plans for corpora of that size instead of the datasets' own. Costs that grow faster than the corpus, such as
    building a graph, are underestimated. What is recorded in the store is not counted.
    """
    cells = []
    for data in datasets:
        for given in retrievers:
            cells.append(_planned(data, options.retriever(given), options, documents or len(data.corpus)))
    return Plan(tuple(cells), workers)


def _planned(data: Dataset, one: NamedRetriever, options: Options, documents: int) -> Cell:
    def cell(**told: Any) -> Cell:
        return Cell(data.name, one.name, documents, len(data.queries), **told)

    try:
        if documents == len(data.corpus) and options.find(data, one) is not None:
            return cell(why="recorded")
        with naming(f"retriever '{one.name}'", "check its options"):
            asked = Queries(data.queries.ids[:_ASKED], data.queries.texts[:_ASKED])
            sizes = sorted({min(size, len(data.corpus)) for size in _SIZES})
            if texts_under(one.retriever.configuration, "url"):
                return cell(why="asks a service, which a plan does not; its rate and price are its own")
            _rate(data.corpus, one, asked, sizes[0])  # loads a model, and warms it
            rates = []
            for size in sizes:
                rates.append(_rate(data.corpus, one, asked, size))
                if rates[-1].indexing > _QUICK and len(rates) > 1:
                    break
    except LimitbenchError as error:
        return cell(why=str(error))
    few, many = rates[0], rates[-1]
    grown = documents / many.size
    indexing = _grown(few.size, few.indexing, many.size, many.indexing, documents)
    searching = _grown(few.size, few.searching, many.size, many.searching, documents)
    texts = sum(len(text.encode()) for text in data.corpus.contents[: many.size]) * grown
    return cell(
        index_bytes=int(many.nbytes * grown), memory_bytes=int(2 * many.nbytes * grown + 2 * texts),
        seconds=indexing + searching * len(data.queries) / max(1, len(asked)),
        documents_per_second=documents / max(indexing, 1e-9),
    )  # fmt: skip


@dataclass(frozen=True)
class _Rate:
    """Seconds to index so many documents and to answer the sample's queries, and the bytes of the index."""

    size: int
    indexing: float
    searching: float
    nbytes: int


def _rate(corpus: Corpus, one: NamedRetriever, asked: Queries, size: int) -> _Rate:
    with _empty_cache():
        start = time.perf_counter()
        index = one.retriever.index(_first(corpus, size))
        indexing = time.perf_counter() - start
    tries = []
    for _ in range(3):
        with _empty_cache():
            start = time.perf_counter()
            index.search(asked, 10)
            tries.append(time.perf_counter() - start)
    return _Rate(size, indexing, min(tries), index.facts.nbytes)


@contextmanager
def _empty_cache() -> Iterator[None]:
    """Within it no embedding is found that was made before, and none is kept."""
    before = os.environ.get("LIMITBENCH_CACHE")
    with tempfile.TemporaryDirectory(prefix="limitbench-plan-") as folder:
        os.environ["LIMITBENCH_CACHE"] = folder
        try:
            yield
        finally:
            if before is None:
                del os.environ["LIMITBENCH_CACHE"]
            else:
                os.environ["LIMITBENCH_CACHE"] = before


def _grown(few: int, seconds: float, many: int, more: float, documents: int) -> float:
    """Seconds for so many documents, on the line through two samples: what does not grow is counted once. In proportion where
    there is one sample, or where the larger took no longer."""
    if documents <= many or many <= few or more <= seconds:
        return more * documents / many
    return more + (more - seconds) / (many - few) * (documents - many)


def _first(corpus: Corpus, count: int) -> Corpus:
    return Corpus(corpus.ids[:count], corpus.contents[:count])
