"""What a suite would take, before anything starts: points, texts, bytes, memory and hours, from rates measured on a sample."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from limitbench.collection import Corpus, Dataset, Queries
from limitbench.errors import LimitbenchError
from limitbench.evaluation.options import Options
from limitbench.retrievers import Given, NamedRetriever

_SAMPLE = 512  # documents that are indexed to measure a rate
_ASKED = 32  # queries
_FIRST = 64  # documents of a first index, which loads a model and warms it


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
        some = min(_SAMPLE, len(data.corpus))
        asked = Queries(data.queries.ids[:_ASKED], data.queries.texts[:_ASKED])
        one.retriever.index(_first(data.corpus, min(_FIRST, some)))
        start = time.perf_counter()
        index = one.retriever.index(_first(data.corpus, some))
        indexing = time.perf_counter() - start
        index.search(asked, 10)
        start = time.perf_counter()
        index.search(asked, 10)
        searching = time.perf_counter() - start
        nbytes = index.facts.nbytes
    except LimitbenchError as error:
        return cell(why=str(error))
    grown = documents / max(1, some)
    texts = sum(len(text.encode()) for text in data.corpus.contents[:some]) * grown
    return cell(
        index_bytes=int(nbytes * grown), memory_bytes=int(2 * nbytes * grown + 2 * texts),
        seconds=indexing * grown + searching * grown * len(data.queries) / max(1, len(asked)),
        documents_per_second=some / max(indexing, 1e-9),
    )  # fmt: skip


def _first(corpus: Corpus, count: int) -> Corpus:
    return Corpus(corpus.ids[:count], corpus.contents[:count])
