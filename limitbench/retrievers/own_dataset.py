"""Retrievers that are made from a dataset's own qrels: they index its corpus and answer its queries, and no others."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from limitbench.collection import Corpus, Dataset
from limitbench.datasets import load
from limitbench.errors import InputError


def own_dataset(adapter: str, name: str, corpus: Corpus) -> Dataset:
    """The dataset of this name. Raises `InputError` where its corpus is not the one to index."""
    data = load(name)
    if data.corpus.ids != corpus.ids:
        raise InputError(f"{adapter}:{name} was asked to index another corpus; name the dataset that is evaluated")
    return data


def require_own(what: str, known: Collection[str], asked: Sequence[str]) -> None:
    """Raise `InputError` for a query that the dataset does not have."""
    unknown = next((name for name in asked if name not in known), None)
    if unknown is not None:
        raise InputError(f"{what} know the dataset's own queries alone; found '{unknown}'")
