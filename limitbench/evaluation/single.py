"""One dataset by one retriever: the result, measured now."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse

from limitbench.collection import Dataset
from limitbench.datasets import load
from limitbench.errors import InputError, LimitbenchError, RetrievalError, StorageError
from limitbench.evaluation.rankings import described
from limitbench.measures import DEFAULT_MEASURES, Measure, as_measures, run_remarks, score
from limitbench.provenance import PeakMemory, provenance
from limitbench.rankings import Run
from limitbench.relevance import Qrels
from limitbench.results import Cost, Means, PartOf, Result, RetrieverFacts, configuration_digest, spectrum
from limitbench.retrievers import (
    Given,
    IndexFacts,
    NamedRetriever,
    Progress,
    Retrieved,
    Retriever,
    as_named,
    latencies,
    no_progress,
)

log = logging.getLogger("limitbench")

_FULL_DISK = ("no space left", "disk is full")  # as the system and SQLite say it


def evaluate(
    dataset: Dataset | str | Path,
    by: NamedRetriever | Retriever | Given | Path | Callable[[Sequence[str]], Any],
    *,
    measures: Sequence[Measure | str] | str = DEFAULT_MEASURES,
    progress: Progress = no_progress,
    keep: Callable[[Run], None] | None = None,
    part_of: PartOf | None = None,
) -> Result:
    """The result of one retriever on one dataset, measured now; nothing is stored.

    `by` is a name or spec; an object that follows the contract of retrievers; a SentenceTransformer or another model with `encode`;
    a function from texts to vectors (texts, d); or the `Path` of a TREC run that another system made. Names are resolved as on the
    command line; a retriever object goes by its adapter's name. `keep` is called with the run; `part_of` is noted. Raises
    `LimitbenchError` and nothing else for bad input.
    """
    data = dataset if isinstance(dataset, Dataset) else load(dataset)
    if isinstance(by, Path):
        from limitbench.evaluation.imported import imported

        return imported(data, by, by.stem, measures=None if measures is DEFAULT_MEASURES else measures)
    named = as_named(by)
    chosen = as_measures(measures)
    if not len(data.queries) or not len(data.corpus):
        what = "query" if len(data.corpus) else "document"
        raise InputError(f"dataset '{data.name}' has no {what}; expected at least one")
    depth = max(measure.cutoff for measure in chosen)
    with naming(f"retriever '{named.name}'", "check its options"):
        found = _timed(data, named, depth, progress)
        ceiling = (
            None if found.candidates is None else score(_perfected(found.candidates, data.qrels), data.qrels, chosen)
        )
        result = Result(
            configuration_digest=found.digest(chosen),
            retriever=RetrieverFacts(
                name=named.name,
                configuration=found.configuration,
                card=named.retriever.card,
                facts=found.facts.record,
            ),
            **described(found.run, data, chosen, depth, part_of),
            ceiling=None if ceiling is None else {title: Means(**values.means()) for title, values in ceiling.items()},
            spectrum=None if found.facts.vectors is None else spectrum(found.facts.vectors),
            cost=found.cost,
            notes=[*found.facts.notes, *run_remarks(found.run, data.qrels, depth)],
            provenance={**provenance(), "seeds": _seeds(data, found.configuration)},
        )
    if keep is not None:
        keep(found.run)
    return result


@dataclass(frozen=True, kw_only=True)
class _Measured:
    """What one pass over a dataset's queries gave and took."""

    data: Dataset
    configuration: dict[str, Any]  # as it was before indexing
    run: Run
    candidates: Run | None
    facts: IndexFacts
    cost: Cost

    def digest(self, measures: Sequence[Measure]) -> str:
        """The digest of dataset, configuration and measures."""
        return _digest(self.data, self.configuration, measures)


def _timed(data: Dataset, named: NamedRetriever, depth: int, progress: Progress) -> _Measured:
    """Index, search and probe, each by the clock; memory is that of retrieval alone."""
    asked = depth + data.ignore_identical_ids  # one more, since one may be left out
    memory = PeakMemory()
    configuration = named.retriever.configuration
    start = time.perf_counter()
    index = named.retriever.index(data.corpus, progress)
    indexed = time.perf_counter()
    found = index.search(data.queries, asked, progress)
    searched = time.perf_counter()
    _require_run(found, data, named)
    facts = index.facts  # after the search, which found out more
    waits = latencies(index, data.queries, asked) if facts.query_seconds is None else facts.query_seconds
    peak = memory.bytes()
    run, candidates = found.run, found.candidates
    if data.ignore_identical_ids:
        run = run.without_own(depth)
        candidates = None if candidates is None else candidates.without_own(depth)
    cost = _cost(data, facts, indexed - start, searched - indexed, waits, peak, memory.scope)
    return _Measured(data=data, configuration=configuration, run=run, candidates=candidates, facts=facts, cost=cost)


def _cost(
    data: Dataset, facts: IndexFacts, indexing: float, search_seconds: float, waits: npt.NDArray[np.float64],
    peak: int | None, scope: Any,
) -> Cost:  # fmt: skip
    """What it took; the seconds of `indexing` that went into loading models are told apart."""
    index_seconds = max(0.0, indexing - facts.load_seconds)
    return Cost(
        index_bytes=facts.nbytes,
        load_seconds=facts.load_seconds,
        index_seconds=index_seconds,
        documents_per_second=len(data.corpus) / max(index_seconds, 1e-9),
        search_seconds=search_seconds,
        query_latency_p50_seconds=float(np.quantile(waits, 0.5)),
        query_latency_p95_seconds=float(np.quantile(waits, 0.95)),
        peak_memory_bytes=peak,
        peak_memory_scope=scope,
    )


def digest_of(data: Dataset, named: NamedRetriever, measures: Sequence[Measure]) -> str:
    """The digest that a result of this retriever on this dataset has: what finds its record."""
    return _digest(data, named.retriever.configuration, measures)


def _digest(data: Dataset, configuration: dict[str, Any], measures: Sequence[Measure]) -> str:
    return configuration_digest(data.digest, configuration, [repr(m) for m in measures])


def _require_run(found: Any, data: Dataset, named: NamedRetriever) -> None:
    """Raise unless a retriever's answer holds a run of these queries and this corpus, in their order."""
    run = found.run if isinstance(found, Retrieved) else None
    if isinstance(run, Run) and (run.query_ids, run.document_ids) == (data.queries.ids, data.corpus.ids):
        return
    other = "a run of other queries or documents, or in another order"
    what = other if isinstance(run, Run) else f"{type(found).__name__}; return Retrieved(run)"
    raise RetrievalError(
        f"retriever '{named.name}': search gave {what}, expected a Run of these queries and this corpus"
    )


def _perfected(candidates: Run, qrels: Qrels) -> Run:
    """The candidates as a perfect reranker orders them: by grade."""
    n = qrels.n_documents
    grades = sparse.csr_array((qrels.grades, qrels.indices, qrels.indptr), shape=qrels.shape)
    scores = np.asarray(grades[candidates.rows, candidates.indices]).ravel().astype(np.float64)
    return Run.from_entries(
        candidates.rows, candidates.indices, np.maximum(scores, 0), query_ids=candidates.query_ids,
        document_ids=candidates.document_ids, depth=max(1, n),
    )  # fmt: skip


@contextmanager
def naming(what: str, remedy: str) -> Iterator[None]:
    """Turn whatever the libraries behind `what` raise into a `RetrievalError` that names it; the cause stays attached.

    A full disk is a `StorageError`.
    """
    try:
        yield
    except LimitbenchError:
        raise
    except MemoryError:
        raise RetrievalError(f"{what} ran out of memory; use a smaller batch_size or corpus") from None
    except Exception as error:
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        log.debug("%s failed", what, exc_info=True)
        if any(words in reason.lower() for words in _FULL_DISK):
            raise StorageError(f"{what} found no room on the disk ({reason}); free some") from error
        raise RetrievalError(f"{what} failed ({type(error).__name__}: {reason}); {remedy}") from error


def _seeds(data: Dataset, configuration: dict[str, Any]) -> dict[str, int]:
    seeds = {"dataset": data.spec.get("seed"), "retriever": configuration.get("seed")}
    return {name: seed for name, seed in seeds.items() if isinstance(seed, int)}
