"""Where a retriever loses: model, truncation, engine, dtype, index or filter; the parts add up to the whole.

Each part is the difference between two measured retrievers that differ in one thing. A part below 0 is a gain: what was lost
before hides it, or a rounding moved a document up. A filter's part is that between an index of the passing documents alone and the
filtered search of all: so all parts are measured on the same questions and the same relevant documents.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from limitbench.collection import Corpus, Dataset, Queries
from limitbench.datasets import load
from limitbench.errors import InputError, SpecError
from limitbench.evaluation.options import Options
from limitbench.measures import Measure
from limitbench.relevance import Qrels
from limitbench.results import Result
from limitbench.retrievers import Given, RetrieverSpec
from limitbench.retrievers.engines.agreement import PARTS, spread

_STORED = ("dtype", "index")
_FILTER = "filter"
_TRUNCATED = ("dense", "endpoint", "vectors")
_MADE = ("free", "gaussian")  # in the dimension asked for: there is nothing to truncate


@dataclass(frozen=True)
class Part:
    """One step from the perfect ranking to the retriever: what changed, the retriever after it, its value, and what it lost."""

    name: str  # model, truncation, engine, dtype, index, filter, or two of them that an engine does not have apart
    retriever: str
    value: Fraction
    lost: Fraction
    result: Result


@dataclass(frozen=True)
class Losses:
    """The parts of a loss, in the order of a query's way; their sum is 1 less the last value, exactly."""

    measure: Measure
    parts: tuple[Part, ...]

    @property
    def whole(self) -> Fraction:
        """What the retriever lacks of the perfect value, 1."""
        return 1 - self.parts[-1].value


def losses(
    dataset: Dataset | str | Path, by: Given, *, measure: Measure | str = "Recall@10", options: Options | None = None
) -> Losses:
    """The loss of one single-vector retriever, or of an engine over one, split into its parts.

    Every retriever on the way is measured, or found in the store of `options`, whose measures give way to `measure`. The value is
    the expected one over ties. Raises `SpecError` for a retriever without such parts.
    """
    data = dataset if isinstance(dataset, Dataset) else load(dataset)
    how = options or Options()
    how = Options(**{**vars(how), "measures": [measure]})
    spec = RetrieverSpec.parse(by)
    share = None if spec.adapter != "engine" else spec.made().filter  # wrong options are told here
    steps = list(_steps(spec.without(_FILTER)))
    named = [(name, how.retriever(one)) for name, one in steps]  # names and options are checked before any work
    (chosen,) = how.chosen
    sets = [data] * len(named)
    if share is not None:
        named.append((_FILTER, how.retriever(spec)))
        sets = [*[_passing(data, share, alone=True)] * len(steps), _passing(data, share, alone=False)]
    parts: list[Part] = []
    before = Fraction(1)
    for (name, one), asked in zip(named, sets, strict=True):
        result = how.find_or_measure(asked, one).stored
        value = Fraction(result.measures[repr(chosen)].mean)
        parts.append(Part(name, one.name, value, before - value, result))
        before = value
    return Losses(chosen, tuple(parts))


def _passing(data: Dataset, share: float, *, alone: bool) -> Dataset:
    """The questions whose relevant documents pass a filter, all or in part, with those; the corpus is what passes, or all of it."""
    passes = spread(data.corpus.ids) < round(share * PARTS)
    qrels = data.qrels
    keep = passes[qrels.indices]
    asked = np.flatnonzero(np.bincount(qrels.rows[keep & (qrels.grades > 0)], minlength=qrels.n_queries))
    if not len(asked):
        raise InputError(
            f"dataset '{data.name}': no relevant document passes a filter of {share:g}; give a larger share or another dataset"
        )
    numbers = np.flatnonzero(passes).tolist() if alone else range(len(passes))
    judgements: dict[str, dict[str, int]] = {data.queries.ids[q]: {} for q in asked.tolist()}
    for row, column, grade in zip(qrels.rows[keep], qrels.indices[keep], qrels.grades[keep], strict=True):
        if (name := data.queries.ids[row]) in judgements:
            judgements[name][data.corpus.ids[column]] = int(grade)
    corpus = data.corpus if not alone else Corpus(
        tuple(data.corpus.ids[i] for i in numbers), tuple(data.corpus.texts[i] for i in numbers),
        tuple(data.corpus.titles[i] for i in numbers),
    )  # fmt: skip
    queries = Queries(tuple(judgements), tuple(data.queries.texts[q] for q in asked))
    what = f"{share:g} of its documents" if alone else f"relevant: {share:g} of its documents"
    return Dataset(
        f"{data.name} ({what})", corpus, queries, Qrels.from_judgements(judgements, queries.ids, corpus.ids),
        ignore_identical_ids=data.ignore_identical_ids,
    )  # fmt: skip


def _steps(spec: RetrieverSpec) -> Iterator[tuple[str, RetrieverSpec]]:
    """What changes from one retriever to the next, and that next one, from the model's own vectors on."""
    given = {**spec.entry.get("options", {}), **dict(spec.options)}
    if spec.adapter == "engine":
        yield from _steps_of_an_engine(spec, given)
        return
    if spec.adapter not in (*_TRUNCATED, *_MADE):
        raise SpecError(
            f"retriever '{spec}' has no parts that a loss is split into; give one with single vectors, or an engine"
        )
    yield from _of_vectors(spec.without(*_STORED))
    if given.get("dtype", "fp32") != "fp32":
        yield "dtype", spec.without("index")
    if given.get("index", "exact") != "exact":
        yield "index", spec


def _of_vectors(spec: RetrieverSpec) -> Iterator[tuple[str, RetrieverSpec]]:
    """The model's own vectors, and those truncated. Free embeddings are made in their dimension: they have one step."""
    if spec.adapter in _TRUNCATED and spec.get("dim") is not None:
        yield "model", spec.without("dim")
        yield "truncation", spec
    else:
        yield "model", spec


def _steps_of_an_engine(spec: RetrieverSpec, given: dict[str, Any]) -> Iterator[tuple[str, RetrieverSpec]]:
    made = spec.made()
    if made.source is None:
        raise SpecError(f"retriever '{spec}' searches texts; its loss has no parts")
    yield from _of_vectors(RetrieverSpec.parse(given.get("of") or "minilm"))
    stored = given.get("dtype") or made.kind_of_engine.usual_dtype(made.settings)
    scanned, quantised = given.get("index") == "flat" or not made.kind_of_engine.indexes, stored != "fp32"
    if quantised and "dtype" not in given:
        spec = spec.with_options(dtype=stored)
    flat = spec.without_index()
    if flat.adapter != "engine":
        yield "engine and index", spec
        return
    yield "engine", spec if scanned and not quantised else flat.without("dtype")
    apart = not quantised or scanned or flat.get("dtype") is not None
    if quantised and apart:
        yield "dtype", spec if scanned else flat
    if not scanned:
        yield "index" if apart else "dtype and index", spec
