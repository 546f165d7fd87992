"""Datasets x retrievers: every cell is stored before the next begins, and an error in one does not stop the others."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from limitbench import catalog
from limitbench.collection import Dataset
from limitbench.datasets import Reading, find
from limitbench.errors import LimitbenchError, SpecError
from limitbench.evaluation.elsewhere import Part, measured_elsewhere
from limitbench.evaluation.options import Found, Options
from limitbench.evaluation.single import digest_of
from limitbench.results import Result
from limitbench.retrievers import Given, NamedRetriever
from limitbench.validation import first_problem


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
    """Datasets x retrievers x measures, as a TOML in `results/suites/` or a file of the user's says.

    A retriever is a spec in one line, or a table with its name and options.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    title: str = ""
    datasets: list[str] = Field(min_length=1)
    retrievers: list[str | dict[str, Any]] = Field(min_length=1)
    measures: str | None = None


def read_suite(name: str) -> Suite:
    """The suite of a TOML file, or of the catalogue (`embedded`, `paper`)."""
    table = catalog.read_toml(Path(name)) if name.endswith(".toml") else catalog.entry("suites", name)
    try:
        return Suite.model_validate(table)
    except ValidationError as error:
        raise SpecError(f"suite '{name}': {first_problem(error)}; mend it") from None


def run_all(
    datasets: Iterable[str],
    retrievers: Iterable[Given],
    *,
    options: Options,
    reading: Reading | None = None,
    loaded: Callable[[Dataset], None] = lambda _dataset: None,
    keep: Callable[..., None] | None = None,
) -> Iterator[Outcome]:
    """The outcome of every cell. Names are checked before any work; the store, before the first dataset is read.

    `reading` says how folders are read. `loaded` is called with each dataset. `keep` is called with each run and the keywords
    where, name and digest; with it, nothing recorded is reused, since a record holds no run.
    """
    named = [options.retriever(spec) for spec in {str(spec): spec for spec in retrievers}.values()]
    sources = list(dict.fromkeys(datasets))
    for source in sources:
        find(source)
    if options.store is not None:
        options.store.require_writable()
    for source in sources:
        try:
            data = (reading or Reading()).load(source)
        except LimitbenchError as error:
            yield Outcome(source, "", None, error=error)
            continue
        loaded(data)
        if options.each is not None:
            yield from _on_others(data, named, options, keep)
            continue
        for one in named:
            try:
                found = _cell(data, one, options, keep)
            except LimitbenchError as error:
                yield Outcome(data.name, one.name, None, error=error)
            else:  # measured though it could not be stored: the caller still gets the numbers
                yield Outcome(data.name, one.name, found.result, reused=found.reused, error=found.error)


def _on_others(
    data: Dataset, named: list[NamedRetriever], options: Options, keep: Callable[..., None] | None
) -> list[Outcome]:
    """The outcomes of a dataset's cells, measured by others and stored here as they come; in the order of the retrievers."""
    assert options.each is not None
    outcomes: dict[int, Outcome] = {}
    rest = []
    for i, one in enumerate(named):
        try:
            found = None if keep is not None else options.find(data, one)
        except LimitbenchError as error:
            outcomes[i] = Outcome(data.name, one.name, None, error=error)
            continue
        if found is None:
            rest.append(i)
        else:
            outcomes[i] = Outcome(data.name, one.name, found, reused=True)
    for place, made in measured_elsewhere(options, data, [Part(named[i]) for i in rest], runs=keep is not None):
        i = rest[place]
        if isinstance(made, LimitbenchError):
            outcomes[i] = Outcome(data.name, named[i].name, None, error=made)
            continue
        result, run = made
        kept = options.stored(result)
        wrong = kept.error
        if keep is not None:
            try:
                keep(run, where=data.name, name=named[i].name, digest=result.configuration_digest)
            except LimitbenchError as refused:
                wrong = wrong or refused
        outcomes[i] = Outcome(data.name, named[i].name, kept.result, error=wrong)
    return [outcomes[i] for i in range(len(named))]


def _cell(data: Dataset, one: NamedRetriever, options: Options, keep: Callable[..., None] | None) -> Found:
    if keep is None:
        return options.find_or_measure(data, one)
    digest = digest_of(data, one, options.chosen)
    return options.measure(data, one, keep=partial(keep, where=data.name, name=one.name, digest=digest))
