"""Dataset x retriever x measures -> results, one record each; what is already recorded is not computed again."""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from scipy import sparse

from limitbench import catalog
from limitbench.collection import Dataset
from limitbench.datasets import find, load, published_as
from limitbench.datasets.parts import part
from limitbench.errors import InputError, LimitbenchError, RetrievalError, SpecError
from limitbench.files import Lookalikes
from limitbench.measures import DEFAULT_MEASURES, Measure, as_measures, joined, run_remarks, score
from limitbench.provenance import PeakMemory, provenance
from limitbench.rankings import Run, read_run_file
from limitbench.relevance import Qrels
from limitbench.results import (
    Cost,
    DatasetFacts,
    Means,
    PartOf,
    Result,
    RetrieverFacts,
    Store,
    breakdown,
    configuration_digest,
    spectrum,
    subsets,
)
from limitbench.retrievers import (
    NamedRetriever,
    Progress,
    Retriever,
    as_named,
    latencies,
    no_progress,
    remarks_of,
    retriever,
)
from limitbench.retrievers.embedded import Memory, remembering
from limitbench.retrievers.vectors import VectorIndex

log = logging.getLogger("limitbench")


def evaluate(
    dataset: Dataset | str | Path,
    by: NamedRetriever | Retriever | str,
    *,
    measures: Sequence[Measure | str] | str = DEFAULT_MEASURES,
    progress: Progress = no_progress,
    keep: Callable[[Run], None] | None = None,
    part_of: PartOf | None = None,
) -> Result:
    """The result of one retriever on one dataset, measured now; nothing is stored.

    Names are resolved as on the command line; a retriever object goes by its adapter's name. `keep` is called with the run;
    `part_of` is noted. Raises `LimitbenchError` and nothing else for bad input.
    """
    data = dataset if isinstance(dataset, Dataset) else load(dataset)
    named = as_named(by)
    chosen = as_measures(measures)
    if not len(data.queries) or not len(data.corpus):
        what = "query" if len(data.corpus) else "document"
        raise InputError(f"dataset '{data.name}' has no {what}; expected at least one")
    depth = max(measure.cutoff for measure in chosen)
    asked = depth + data.ignore_identical_ids  # one more, since one may be left out
    memory = PeakMemory()
    with _retrieving(named.name):
        digest = _digest(data, named, chosen)
        start = time.perf_counter()
        index = named.retriever.index(data.corpus, progress)
        indexed = time.perf_counter()
        load_seconds = float(getattr(index, "load_seconds", 0.0))  # before a search, which may load more
        run = index.search(data.queries, asked, progress)
        searched = time.perf_counter()
        _require_run(run, data, named)
        waits = latencies(index, data.queries, asked)
        peak = memory.bytes()  # of retrieval, not of what is made of it afterwards
        index_seconds = max(0.0, indexed - start - load_seconds)
        candidates: Run | None = getattr(index, "candidates", None)
        if data.ignore_identical_ids:
            run = run.without_own(depth)
            candidates = None if candidates is None else candidates.without_own(depth)
        vectors = getattr(index, "vectors", None)
        ceiling = None if candidates is None else score(_perfected(candidates, data.qrels), data.qrels, chosen)
        result = Result(
            configuration_digest=digest,
            retriever=RetrieverFacts(
                name=named.name,
                configuration=named.retriever.configuration,
                card=named.retriever.card,
                facts=getattr(index, "facts", {}),
            ),
            **_told_by(run, data, chosen, depth, part_of),
            ceiling=None if ceiling is None else {title: Means(**values.means()) for title, values in ceiling.items()},
            spectrum=spectrum(vectors.documents) if isinstance(vectors, VectorIndex) else None,
            cost=Cost(
                index_bytes=index.nbytes,
                load_seconds=load_seconds,
                index_seconds=index_seconds,
                documents_per_second=len(data.corpus) / max(index_seconds, 1e-9),
                search_seconds=searched - indexed,
                query_latency_p50_seconds=float(np.quantile(waits, 0.5)),
                query_latency_p95_seconds=float(np.quantile(waits, 0.95)),
                peak_memory_bytes=peak,
                peak_memory_scope=memory.scope,
            ),
            notes=[*remarks_of(index), *run_remarks(run, data.qrels, depth)],
            provenance={**provenance(), "seeds": _seeds(data, named)},
        )
    if keep is not None:
        keep(run)
    return result


def _require_run(run: Any, data: Dataset, named: NamedRetriever) -> None:
    """Raise unless a retriever's answer is a run of these queries and this corpus, in their order."""
    if isinstance(run, Run) and (run.query_ids, run.document_ids) == (data.queries.ids, data.corpus.ids):
        return
    other = "a run of other queries or documents, or in another order"
    what = other if isinstance(run, Run) else type(run).__name__
    raise RetrievalError(
        f"retriever '{named.name}': search gave {what}, expected a Run of these queries and this corpus"
    )


def imported(
    dataset: Dataset | str | Path, run: Path | str, name: str, *, measures: Sequence[Measure | str] | str | None = None
) -> Result:
    """The result of a TREC run that another system made on this dataset; nothing is stored and no cost is known.

    The digest covers the run's rankings. Without `measures`, the default ones as deep as the run goes. As in trec_eval, queries
    that are not judged are left out, judged queries that the run lacks count as 0, and documents that the corpus lacks hold their
    ranks and are not relevant; the result's `notes` count them. Raises `DataError` for a run that does not parse, `InputError`
    for one of other queries, or for a measure deeper than the run.
    """
    data = dataset if isinstance(dataset, Dataset) else load(dataset)
    read = read_run_file(run)
    if not any(query in read.scores for query in data.queries.ids):
        first = next(iter(read.scores), None)
        hint = "" if first is None else Lookalikes.of(data.queries.ids).hint(first)
        what = "ranks nothing" if first is None else f"answers no query of the dataset (its first is '{first}'){hint}"
        raise InputError(f"{run} {what}; expected a run of dataset '{data.name}' ({len(data.queries)} queries)")
    ranking, qrels = joined(read.scores, data.queries.ids, data.corpus.ids, data.qrels)
    if len(ranking.indices) and ranking.indices.min() >= len(data.corpus):
        first = ranking.document_ids[len(data.corpus)]
        raise InputError(
            f"{run} ranks no document of the corpus (its first is '{first}'); use the run with the corpus that it was made "
            f"on{Lookalikes.of(data.corpus.ids).hint(first)}"
        )
    depth = int(np.diff(ranking.indptr).max())  # as the file has it: its own document may be one of them
    if data.ignore_identical_ids:
        ranking = ranking.without_own(depth)
    given = DEFAULT_MEASURES if measures is None else as_measures(measures)
    deeper = [m for m in given if depth < min(m.cutoff, len(data.corpus))]
    chosen = tuple(m for m in given if m not in deeper)
    if deeper and (measures is not None or not chosen):
        raise InputError(f"{run} goes {depth} documents deep, so {deeper[0]!r} cannot be told; leave it out")
    if not name.strip() or not name.isprintable():
        raise InputError(f"found the name {name!r}, expected some printable characters; give --name NAME")
    content = hashlib.sha256()
    for array in (ranking.indptr, ranking.indices, ranking.scores):
        content.update(array.tobytes())
    for foreign in ranking.document_ids[len(data.corpus) :]:
        content.update(f"{foreign}\n".encode())
    options = {"adapter": "run", "sha256": content.hexdigest()}
    told = _told_by(ranking, data, chosen, depth, None, qrels)
    return Result(
        configuration_digest=configuration_digest(data.digest, options, [repr(m) for m in chosen]),
        retriever=RetrieverFacts(
            name=name, configuration=options, card={"imported": Path(run).name, "label": "a run made elsewhere"}
        ),
        **told,
        notes=[
            *read.remarks(data.queries.ids, data.corpus.ids),
            *run_remarks(ranking, qrels, max(m.cutoff for m in chosen), missing=len(read.missing(data.queries.ids))),
        ],
        provenance={**provenance(), "seeds": {}},
    )


def _told_by(
    run: Run, data: Dataset, measures: Sequence[Measure], depth: int, part_of: PartOf | None, qrels: Qrels | None = None
) -> dict[str, Any]:
    """The parts of a result that a run and its dataset decide; `qrels` are given where the run names documents of its own.

    What numbers documents by their place in the corpus is left out then.
    """
    whole = qrels is None or qrels is data.qrels
    scores = score(run, data.qrels if qrels is None else qrels, measures)
    return {
        "dataset": DatasetFacts(
            name=data.name,
            sha256=data.digest,
            documents=len(data.corpus),
            queries=len(data.queries),
            relevant=int(data.qrels.sizes.sum()),
            published_as=published_as(data),
            part_of=part_of,
        ),
        "depth": depth,
        "measures": {title: Means(**values.means()) for title, values in scores.items()},
        "per_query": {title: [round(x, 9) for x in values.expected.tolist()] for title, values in scores.items()},
        "breakdown": breakdown(run, data.qrels, depth) if whole else None,
        "subsets": subsets(run, data.qrels, depth) if whole else None,
    }


def drown(
    dataset: Dataset | str | Path,
    retrievers: Iterable[str],
    *,
    sizes: Sequence[int] = (),
    seeds: int = 3,
    measures: Sequence[Measure | str] | str = DEFAULT_MEASURES,
    store: Store | None = None,
    fresh: bool = False,
    progress: Callable[[str, str], Progress] = lambda _dataset, _retriever: no_progress,
    device: str | None = None,
    precision: str | None = None,
) -> Iterator[Result]:
    """The result of every retriever at every corpus size, distractors drawn by `seeds` seeds: how relevant documents drown.

    Each part is indexed anew, since a corpus decides scores such as BM25's; texts are embedded once, for the largest size,
    which comes first. Without `sizes`, six from the relevant documents alone to all, in equal ratios. With a store, recorded
    results are reused unless `fresh`. Sizes and names are checked before any work (arXiv 2603.29519 calls the fall drowning).
    """
    data = dataset if isinstance(dataset, Dataset) else load(dataset)
    chosen = as_measures(measures)
    reuse = "none" if fresh else None
    named = [retriever(spec, device=device, precision=precision, reuse=reuse) for spec in dict.fromkeys(retrievers)]
    least = len(np.unique(data.qrels.relevant.indices))
    if not least:
        raise InputError(f"dataset '{data.name}' has no relevant document; expected at least one")
    if least == len(data.corpus):
        raise InputError(
            f"every document of '{data.name}' is relevant to some query, so none can be left out; choose a dataset with "
            "distractors, such as limit-synthetic"
        )
    if seeds < 1:
        raise InputError(f"found {seeds} seeds, expected at least 1")
    wanted = sorted(set(sizes or np.rint(np.geomspace(least, len(data.corpus), 6)).astype(int).tolist()))
    if len(wanted) < 2:
        raise InputError(f"found one corpus size ({wanted[0]}), expected at least two to compare")
    for size in (wanted[0], wanted[-1]):
        part(data, size, 0)
    if store is not None:
        store.require_writable()
    memory: Memory = {}
    unread: set[str] = set()
    largest = data if wanted[-1] == len(data.corpus) else part(data, wanted[-1], 0)
    for size in reversed(wanted):
        for seed in range(1 if size in (least, len(data.corpus)) else seeds):  # nothing is drawn at either end
            whole = size == len(data.corpus)
            smaller = data if whole else part(data, size, seed)
            source = (
                None if whole else PartOf(name=data.name, sha256=data.digest, documents=len(data.corpus), seed=seed)
            )
            for one in named:
                digest = _digest(smaller, one, chosen)
                kept = None if store is None or fresh else store.find(smaller.name, one.name, digest)
                if kept is not None and size == wanted[-1] and kept.spectrum is not None:
                    unread.add(one.name)  # vectors that its parts will want, should one be measured
                if kept is None:
                    reporting = progress(smaller.name, one.name)
                    with remembering(memory):
                        if one.name in unread:
                            unread.remove(one.name)
                            one.retriever.index(largest.corpus, reporting)
                        kept = evaluate(smaller, one, measures=chosen, progress=reporting, part_of=source)
                    if store is not None:
                        store.write(kept, replace=fresh)
                yield kept


def _perfected(candidates: Run, qrels: Qrels) -> Run:
    """The candidates as a perfect reranker orders them: by grade."""
    n = qrels.n_documents
    grades = sparse.csr_array((qrels.grades, qrels.indices, qrels.indptr), shape=qrels.shape)
    scores = np.asarray(grades[candidates.rows, candidates.indices]).ravel().astype(np.float64)
    return Run.from_entries(
        candidates.rows, candidates.indices, np.maximum(scores, 0), query_ids=candidates.query_ids,
        document_ids=candidates.document_ids, depth=max(1, n),
    )  # fmt: skip


def _digest(data: Dataset, named: NamedRetriever, measures: Sequence[Measure]) -> str:
    return configuration_digest(data.digest, named.retriever.configuration, [repr(m) for m in measures])


@contextmanager
def _retrieving(name: str) -> Iterator[None]:
    """Turn whatever a retriever's libraries raise into a `RetrievalError` that names it; the cause stays attached."""
    try:
        yield
    except LimitbenchError:
        raise
    except MemoryError:
        raise RetrievalError(f"retriever '{name}' ran out of memory; use a smaller batch_size or corpus") from None
    except Exception as error:
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        log.debug("retriever '%s' failed", name, exc_info=True)
        raise RetrievalError(
            f"retriever '{name}' failed ({type(error).__name__}: {reason}); check its options"
        ) from error


def _seeds(data: Dataset, named: NamedRetriever) -> dict[str, int]:
    seeds = {"dataset": data.spec.get("seed"), "retriever": named.retriever.configuration.get("seed")}
    return {name: int(seed) for name, seed in seeds.items() if seed is not None}


@dataclass(frozen=True)
class Point:
    """One point of a sweep: dimensions, dtype and index of a dense retriever, or the candidates of a reranker."""

    dim: int | None
    dtype: str
    index: str
    candidates: int | None = None

    def spec(self, retriever: str) -> str:
        """The retriever's spec at this point."""
        if self.candidates is not None:
            return f"{retriever},candidates={self.candidates}"
        dim = "" if self.dim is None else f",dim={self.dim}"
        return f"{retriever}{dim},dtype={self.dtype},index={self.index}"


def sweep(
    dataset: Dataset | str | Path,
    by: str,
    *,
    dims: Sequence[int | None] = (None,),
    dtypes: Sequence[str] = ("fp32",),
    indexes: Sequence[str] = ("exact",),
    candidates: Sequence[int] = (),
    measures: Sequence[Measure | str] | str = DEFAULT_MEASURES,
    store: Store | None = None,
    fresh: bool = False,
    progress: Progress = no_progress,
    device: str | None = None,
    precision: str | None = None,
) -> Iterator[tuple[Point, Result]]:
    """The result at every combination of dimension, dtype and index of one dense retriever, from one encode.

    With `candidates`, at every depth of one reranker instead, the deepest first: each pair is scored once.
    Texts are embedded at the first point and come from the embedding cache at the others. With a store, recorded points are
    reused unless `fresh`. All points are checked before any work.
    """
    data = dataset if isinstance(dataset, Dataset) else load(dataset)
    chosen = as_measures(measures)
    points = [Point(dim, dtype, index) for dim in dims for dtype in dtypes for index in indexes]
    if candidates:
        points = [Point(None, "fp32", "exact", depth) for depth in sorted(set(candidates), reverse=True)]
    again = ["none" if fresh and number == 0 else None for number in range(len(points))]  # one encode serves all points
    named = [
        (point, retriever(point.spec(by), device=device, precision=precision, reuse=reuse))
        for point, reuse in zip(points, again, strict=True)
    ]
    for point, one in named:
        kept = None if store is None or fresh else store.find(data.name, one.name, _digest(data, one, chosen))
        if kept is None:
            kept = evaluate(data, one, measures=chosen, progress=progress)
            if store is not None:
                store.write(kept, replace=fresh)
        yield point, kept


@dataclass(frozen=True)
class Outcome:
    """One cell of a suite: its result and whether it was reused, or the error that it met.

    A dataset that cannot be read gives one outcome, with an empty retriever.
    """

    dataset: str
    retriever: str
    result: Result | None
    reused: bool = False
    error: LimitbenchError | None = None


class Suite(BaseModel):
    """Datasets x retrievers x measures, as a TOML in `results/suites/` or a file of the user's says."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    title: str = ""
    datasets: list[str] = Field(min_length=1)
    retrievers: list[str] = Field(min_length=1)
    measures: str | None = None


def read_suite(name: str) -> Suite:
    """The suite of a TOML file, or of the catalogue (`embedded`, `paper`)."""
    table = catalog.read_toml(Path(name)) if name.endswith(".toml") else catalog.entry("suites", name)
    try:
        return Suite.model_validate(table)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the file"
        raise SpecError(f"suite '{name}': {where}: {first['msg']}; mend it") from None


def run_all(
    datasets: Iterable[str],
    retrievers: Iterable[str],
    *,
    measures: Sequence[Measure],
    store: Store,
    fresh: bool = False,
    split: str = "test",
    min_grade: int = 1,
    skip_unanswerable: bool = False,
    ignore_identical_ids: bool | None = None,
    progress: Callable[[str, str], Progress] = lambda _dataset, _retriever: no_progress,
    loaded: Callable[[Dataset], None] = lambda _dataset: None,
    keep: Callable[..., None] | None = None,
    device: str | None = None,
    precision: str | None = None,
) -> Iterator[Outcome]:
    """The outcome of every cell, each stored before the next begins.

    Names are checked before any work. A cell whose configuration is already recorded is reused unless `fresh`. An error in one
    cell does not stop the others; it comes back in the outcome. How datasets are read is `load`'s to explain. `keep` is called
    with each run and the keywords where, name and digest. `device` and `precision` (fp32, bf16) hold for every model whose spec
    does not say.
    """
    reuse = "none" if fresh else None
    named = [retriever(spec, device=device, precision=precision, reuse=reuse) for spec in dict.fromkeys(retrievers)]
    sources = list(dict.fromkeys(datasets))
    for source in sources:
        find(source)
    store.require_writable()
    for source in sources:
        try:
            data = load(
                source, split=split, min_grade=min_grade, skip_unanswerable=skip_unanswerable,
                ignore_identical_ids=ignore_identical_ids,
            )  # fmt: skip
        except LimitbenchError as error:
            yield Outcome(source, "", None, error=error)
            continue
        loaded(data)
        for one in named:
            try:
                digest = _digest(data, one, measures)
                kept = None if fresh or keep else store.find(data.name, one.name, digest)
                if kept is None:
                    saving = None if keep is None else partial(keep, where=data.name, name=one.name, digest=digest)
                    reporting = progress(data.name, one.name)
                    result = evaluate(data, one, measures=measures, progress=reporting, keep=saving)
                    try:
                        store.write(result, replace=fresh)
                    except LimitbenchError as error:  # measured all the same: the caller still gets the numbers
                        yield Outcome(data.name, one.name, result, error=error)
                    else:
                        yield Outcome(data.name, one.name, result)
                else:
                    yield Outcome(data.name, one.name, kept, reused=True)
            except LimitbenchError as error:
                yield Outcome(data.name, one.name, None, error=error)
