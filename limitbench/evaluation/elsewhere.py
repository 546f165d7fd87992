"""Points that are measured on other machines: what is sent there, and what comes back."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

from limitbench.collection import Dataset
from limitbench.errors import LimitbenchError
from limitbench.evaluation.options import Options
from limitbench.evaluation.single import evaluate
from limitbench.progress import raised
from limitbench.provenance import command
from limitbench.rankings import Run
from limitbench.results import PartOf, Result
from limitbench.retrievers import Adapter, NamedRetriever
from limitbench.retrievers.sharded import here

Made = tuple[Result, Run | None] | LimitbenchError


@dataclass(frozen=True)
class Part:
    """One point: a retriever, on the dataset or on a part of it that is drawn where it is measured."""

    one: NamedRetriever
    part: tuple[int, int] | None = None  # documents and seed

    def __str__(self) -> str:
        where = "" if self.part is None else f", {self.part[0]} documents, seed {self.part[1]}"
        return f"{self.one.name}{where}"


def drawn(data: Dataset, part: tuple[int, int] | None) -> tuple[Dataset, PartOf | None]:
    """The smaller corpus of a size and a seed, and what it is a part of; the dataset itself without, or at its own size."""
    from limitbench.datasets.subsample import subsample

    if part is None or part[0] == len(data.corpus):
        return data, None
    size, seed = part
    whole = PartOf(name=data.name, sha256=data.digest, documents=len(data.corpus), seed=seed)
    return subsample(data, size, seed), whole


def _measured(data: Dataset, options: Options, runs: bool, point: Part) -> tuple[Result, Run | None]:
    """A result and, where wanted, its run."""
    smaller, whole = drawn(data, point.part)
    kept: list[Run] = []
    keep: Callable[[Run], None] | None = kept.append if runs else None
    result = evaluate(smaller, point.one, measures=options.chosen, keep=keep, part_of=whole)
    return result, (kept[0] if kept else None)


def divided(options: Options, one: NamedRetriever) -> NamedRetriever | None:
    """The retriever with its parts given to others, where a search of its own is made in parts; None of others."""
    if options.each is None or not isinstance(one.retriever, Adapter) or not one.retriever.divided:
        return None
    return replace(one, retriever=one.retriever.over(options.each))


def found_or_measured(options: Options, data: Dataset, parts: Sequence[Part], first: Collection[int]) -> list[Result]:
    """The results of all points in their order: recorded ones, and those that others measure now, stored as they come. The points
    `first` come first: they fill the embedding caches of the others. Raises the first error."""
    recorded = options.store is not None and not options.fresh
    found = {}
    for i, part in enumerate(parts if recorded else ()):
        known = options.find(drawn(data, part.part)[0], part.one)
        if known is not None:
            found[i] = known
    rest = [i for i in range(len(parts)) if i not in found]
    for some in ([i for i in rest if i in first], [i for i in rest if i not in first]):
        for place, (result, _) in raised(measured_elsewhere(options, data, [parts[i] for i in some])):
            found[some[place]] = options.stored(result).stored
    return [found[i] for i in range(len(parts))]


def measured_elsewhere(
    options: Options, data: Dataset, parts: Sequence[Part], *, runs: bool = False
) -> Iterator[tuple[int, Made]]:
    """(place of a point, its result and run, or its error), as they are done. The command of a record is this process's."""
    assert options.each is not None
    if not parts:
        return
    call = partial(_measured, data, options.elsewhere, runs)
    whole = [i for i, part in enumerate(parts) if divided(options, part.one) is None]
    for i, part in enumerate(parts):
        spread = divided(options, part.one)
        if spread is not None:
            yield from ((i, made) for _, made in here(call, [replace(part, one=spread)]))
    for place, made in options.each(call, [parts[i] for i in whole], label=lambda part: f"{data.name} x {part}"):
        if isinstance(made, LimitbenchError):
            yield whole[place], made
            continue
        result, run = made
        provenance = {**result.provenance, "command": command()}
        yield whole[place], (result.model_copy(update={"provenance": provenance}), run)
