"""Recall against corpus size: all relevant documents stay, and distractors come back, among which they drown.

arXiv 2603.29519 calls the fall of recall drowning.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from limitbench.collection import Dataset
from limitbench.datasets import load
from limitbench.datasets.subsample import subsample
from limitbench.errors import InputError
from limitbench.evaluation.elsewhere import Part, drawn, found_or_measured
from limitbench.evaluation.options import Options
from limitbench.results import PartOf, Result
from limitbench.retrievers import Adapter, Given, NamedRetriever
from limitbench.retrievers.base import TextVectors


def drown(
    dataset: Dataset | str | Path,
    retrievers: Iterable[Given],
    *,
    sizes: Sequence[int] = (),
    seeds: int = 3,
    options: Options | None = None,
) -> Iterator[Result]:
    """The result of every retriever at every corpus size, distractors drawn by `seeds` seeds.

    Each smaller corpus is indexed anew, since a corpus decides scores such as BM25's; texts are embedded once, for the largest
    size, which comes first. Without `sizes`, six from the relevant documents alone to all, in equal ratios. Sizes and names are
    checked before any work.
    """
    data = dataset if isinstance(dataset, Dataset) else load(dataset)
    how = options or Options()
    vectors: TextVectors = {}
    named = [_sharing(how.retriever(spec), vectors) for spec in _distinct(retrievers)]
    wanted = _sizes(data, sizes)
    if seeds < 1:
        raise InputError(f"found {seeds} seeds, expected at least 1")
    if how.store is not None:
        how.store.require_writable()
    ends = (_relevant(data), len(data.corpus))  # where nothing is drawn
    cells = [(size, seed) for size in reversed(wanted) for seed in range(1 if size in ends else seeds)]
    if how.each is not None:
        parts = [Part(how.retriever(spec), cell) for cell in cells for spec in _distinct(retrievers)]
        yield from found_or_measured(how, data, parts, first=range(len(named)))
        return
    ladder = _Ladder(data, wanted, how)
    for size, seed in cells:
        for one in named:
            yield ladder.result(one, size, seed)


@dataclass(frozen=True)
class _Ladder:
    """A dataset's smaller corpora, and which retrievers still have to embed the largest of them."""

    data: Dataset
    sizes: Sequence[int]
    how: Options
    unread: set[str] = field(default_factory=set)  # retrievers whose result at the largest size was recorded

    def at(self, size: int, seed: int) -> tuple[Dataset, PartOf | None]:
        """The corpus of a size, and what it is a part of; the dataset itself at its own size."""
        return drawn(self.data, (size, seed))

    def result(self, one: NamedRetriever, size: int, seed: int) -> Result:
        """One retriever's result, recorded before or measured now; its vectors are those of the largest corpus."""
        smaller, part_of = self.at(size, seed)

        def embedded() -> None:
            if one.name in self.unread:
                self.unread.remove(one.name)
                largest, _ = self.at(self.sizes[-1], 0)
                one.retriever.index(largest.corpus, self.how.progress(smaller.name, one.name))

        found = self.how.find_or_measure(smaller, one, part_of=part_of, before=embedded)
        if found.reused and size == self.sizes[-1] and found.result.spectrum is not None:
            self.unread.add(one.name)  # vectors that smaller corpora will want, should one be measured
        return found.stored


def _distinct(retrievers: Iterable[Given]) -> list[Given]:
    """The retrievers without repetitions; tables have no hash."""
    return list({str(spec): spec for spec in retrievers}.values())


def _sharing(one: NamedRetriever, vectors: TextVectors) -> NamedRetriever:
    """The retriever, with vectors of texts that all corpora share; one of another package as it is."""
    return replace(one, retriever=one.retriever.sharing(vectors)) if isinstance(one.retriever, Adapter) else one


def _relevant(data: Dataset) -> int:
    """How many documents are relevant to some query."""
    return len(np.unique(data.qrels.relevant.indices))


def _sizes(data: Dataset, sizes: Sequence[int]) -> list[int]:
    """The sizes asked for, or six, in order. Raises `InputError` where there is nothing to compare."""
    least = _relevant(data)
    if not least:
        raise InputError(f"dataset '{data.name}' has no relevant document; expected at least one")
    if least == len(data.corpus):
        raise InputError(
            f"every document of '{data.name}' is relevant to some query, so none can be left out; choose a dataset with "
            "distractors, such as limit-synthetic"
        )
    wanted = sorted(set(sizes or np.rint(np.geomspace(least, len(data.corpus), 6)).astype(int).tolist()))
    if len(wanted) < 2:
        raise InputError(f"found one corpus size ({wanted[0]}), expected at least two to compare")
    for size in (wanted[0], wanted[-1]):
        subsample(data, size, 0)
    return wanted
