"""Retrievers by name: a catalogue entry, or a spec `adapter[:argument][,key=value]...` that a shell leaves alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from limitbench import catalog, registry
from limitbench.errors import InputError, SpecError, UnknownName
from limitbench.retrievers.base import (
    Adapter,
    CutTexts,
    Index,
    Progress,
    Retriever,
    cut_of,
    latencies,
    no_progress,
    remarks_of,
)

__all__ = [
    "Adapter", "CutTexts", "Index", "NamedRetriever", "Progress", "Retriever", "as_named", "cut_of", "latencies", "no_progress",
    "remarks_of", "retriever",
]  # fmt: skip


@dataclass(frozen=True)
class NamedRetriever:
    """A retriever and the name it was asked for by."""

    name: str
    retriever: Retriever


def as_named(by: NamedRetriever | Retriever | str) -> NamedRetriever:
    """A retriever with its name, from a spec, from an object that follows the contract, or as it is. Raises `InputError`."""
    if isinstance(by, NamedRetriever):
        return by
    if isinstance(by, str):
        return retriever(by)
    if isinstance(by, Retriever):
        return NamedRetriever(str(by.configuration.get("adapter") or type(by).__name__), by)
    raise InputError(f"found {type(by).__name__}, expected a retriever's name or spec, or an object with index(corpus)")


def retriever(spec: str, **usual: str | None) -> NamedRetriever:
    """The retriever of a catalogue name or a spec; options after either override it.

    `bm25`, `bm25,stemmer=none`, `minilm,dim=128`, `dense:BAAI/bge-small-en-v1.5@REVISION`. `usual` are options that the spec
    overrides and that are left out where an adapter has none such: device="cuda", precision="bf16". Raises `UnknownName` with
    the nearest name, `SpecError` naming a wrong option, `MissingExtra` with the pip line.
    """
    head, *settings = spec.lstrip().split(",")
    head = head.rstrip()
    name, colon, argument = head.partition(":")
    options: dict[str, Any] = {}
    typed: set[str] = set()
    if not colon and name in catalog.names("retrievers"):
        entry = catalog.entry("retrievers", name)
        adapter = entry["adapter"]
        options |= entry.get("options", {})
    elif name in registry.adapters():
        adapter = name
    else:
        known = {*catalog.names("retrievers"), *registry.adapters()}
        raise UnknownName("retriever", name, known, where="the catalogue")
    made = registry.resolve("retriever", registry.adapters(), adapter)
    if colon:
        if getattr(made, "argument", None) is None:
            raise SpecError(f"retriever '{spec}': '{adapter}' takes no argument after a colon; drop ':{argument}'")
        options[made.argument] = argument
    for setting in settings:
        key, equals, value = setting.partition("=")
        if not equals:
            raise SpecError(f"retriever '{spec}': found '{setting}', expected KEY=VALUE after the comma")
        key = key.strip().replace("-", "_")
        if key == "reuse":  # decided by what asks: a run, a fresh run, a check
            raise SpecError(
                f"retriever '{spec}': there is no option 'reuse'; run --fresh asks a service for everything anew"
            )
        if key in typed:
            raise SpecError(f"retriever '{spec}': option '{key}' is given twice; keep one")
        typed.add(key)
        options[key] = value if key.endswith("_prompt") else value.strip()  # a prompt may well end with a space
    has = getattr(made, "model_fields", {})
    options = {**{key: value for key, value in usual.items() if value is not None and key in has}, **options}
    try:
        return NamedRetriever(spec.strip(), made(**options))
    except ValidationError as error:
        raise SpecError(f"retriever '{spec}': {_first(error, made)}") from None


def _first(error: ValidationError, made: Any) -> str:
    first = error.errors()[0]
    key = ".".join(map(str, first["loc"]))
    if first["type"] == "extra_forbidden":
        options = ", ".join(field.alias or name for name, field in made.model_fields.items())
        return f"there is no option '{key}'; it has: {options or 'none'}"
    if first["type"] == "missing" and key == made.argument:
        return f"expected {made.adapter}:{key.upper()}"
    return f"option '{key}': found {first['input']!r}: {first['msg'].lower()}"
