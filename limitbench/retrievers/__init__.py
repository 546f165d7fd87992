"""Retrievers by name: a catalogue entry, or a spec `adapter[:argument][,key=value]...` that a shell leaves alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from limitbench.errors import InputError
from limitbench.retrievers.base import (
    Adapter,
    Arrays,
    CutTexts,
    Index,
    IndexFacts,
    Progress,
    Retrieved,
    Retriever,
    latencies,
    no_progress,
)
from limitbench.retrievers.spec import Given, RetrieverSpec, members_of

__all__ = [
    "Adapter", "Arrays", "CutTexts", "Given", "Index", "IndexFacts", "NamedRetriever", "Progress", "Retrieved", "Retriever",
    "RetrieverSpec", "as_named", "latencies", "members_of", "no_progress", "retriever",
]  # fmt: skip

_MEMBERS = {
    "configuration": "configuration",
    "card": "card",
    "index": "index(corpus)",
    "restored": "restored(corpus, arrays)",
}


@dataclass(frozen=True)
class NamedRetriever:
    """A retriever and the name it was asked for by."""

    name: str
    retriever: Retriever


def as_named(by: NamedRetriever | Retriever | Given | Any) -> NamedRetriever:
    """A retriever with its name: from a spec, an object that follows the contract, a model with `encode`, or a function from texts
    to vectors. Raises `InputError`."""
    if isinstance(by, NamedRetriever):
        return by
    if isinstance(by, (str, dict)):
        return retriever(by)
    if isinstance(by, Retriever):
        return NamedRetriever(str(by.configuration.get("adapter") or type(by).__name__), by)
    from limitbench.retrievers.from_objects import from_object

    made = from_object(by)
    if made is not None:
        return NamedRetriever(made.name, made)
    kind, has = type(by).__name__, [name for name in _MEMBERS if hasattr(by, name)]
    lacks = ", ".join(_MEMBERS[name] for name in _MEMBERS if name not in has)
    found = f"{kind} without {lacks}" if has else kind
    raise InputError(
        f"found {found}, expected a retriever's name or spec, or an object with {', '.join(_MEMBERS.values())}"
    )


def retriever(spec: Given | RetrieverSpec, **usual: str | None) -> NamedRetriever:
    """The retriever of a catalogue name, of a spec in one line, or of a table with `name` and options.

    `bm25`, `bm25,stemmer=none`, `minilm,dim=128`, `dense:BAAI/bge-small-en-v1.5@REVISION`; `ours=dense:./model,dim=128` is shown as
    `ours`. Options of a spec override those of the
    catalogue. `usual` are options that the spec overrides and that are left out where an adapter has none such: device="cuda",
    precision="bf16". Raises `UnknownName` with the nearest name, `SpecError` naming a wrong option, `MissingExtra` with the pip
    line.
    """
    parsed = RetrieverSpec.parse(spec)
    name = parsed.label or (spec.strip() if isinstance(spec, str) else str(parsed))
    return NamedRetriever(name, parsed.made(**usual))
