"""Catalogue entries of datasets: what a TOML in `datasets/` says, checked, and turned into a `Dataset`."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, validate_call

from limitbench import catalog, registry
from limitbench.collection import Dataset
from limitbench.datasets.latent import Language, LatentTable, latent_table
from limitbench.datasets.typed import Typed, typed_dataset
from limitbench.errors import LimitbenchError, SpecError
from limitbench.relevance import Qrels
from limitbench.validation import first_problem


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Pattern(_Table):
    """Which k-subsets are asked for: a registry name and the arguments of its function."""

    model_config = ConfigDict(extra="allow", frozen=True)
    kind: str


class Hub(_Table):
    """A dataset of the Hugging Face hub at a pinned revision."""

    repo: str
    revision: str


class DatasetSpec(_Table):
    """One dataset of the catalogue: generated (`pattern` and `language`, or `typed`, and `seed`), or fetched (`hub`)."""

    title: str
    licence: str
    card: str = ""
    pattern: Pattern | None = None
    language: Language = Language()
    typed: Typed | None = None
    seed: int = Field(0, ge=0)
    sha256: str | None = None
    hub: Hub | None = None
    ignore_identical_ids: bool = False  # a query's own document is left out of its results, as for ArguAna and Quora
    published_as: str | None = None  # the paper's dataset whose published rows `compare` shows beside ours


def dataset_spec(name: str) -> DatasetSpec:
    """The catalogue's entry of this name."""
    return parse_spec(catalog.entry("datasets", name, advice="(a folder is given by its path)"), name)


def published_as(dataset: Dataset) -> str | None:
    """The paper's dataset whose figures stand beside this one's: decided by content, or by the spec that made it."""
    for name in catalog.names("datasets"):
        spec = dataset_spec(name)
        if spec.published_as and spec.sha256 == dataset.digest:
            return spec.published_as
    known = dataset.spec.get("published_as")
    return str(known) if known else None


def parse_spec(table: dict[str, Any], name: str) -> DatasetSpec:
    """A spec from its TOML table."""
    try:
        spec = DatasetSpec.model_validate(table)
    except ValidationError as error:
        raise SpecError(f"dataset '{name}': {first_problem(error, 'the table')}; mend the spec") from None
    except LimitbenchError as error:
        raise SpecError(f"dataset '{name}': {error}; mend the spec") from None
    if sum(part is not None for part in (spec.pattern, spec.typed, spec.hub)) != 1:
        raise SpecError(f"dataset '{name}': expected exactly one of [pattern], [typed] and [hub]; mend the spec")
    if spec.typed is not None and spec.language != Language():
        raise SpecError(f"dataset '{name}': [language] is for a [pattern]; leave it out beside [typed]")
    return spec


def generate(spec: DatasetSpec, name: str) -> Dataset:
    """The dataset that a spec describes; the same spec gives the same bytes everywhere. Raises `SpecError` for a fetched one."""
    if spec.typed is not None:
        return typed_dataset(name, spec.typed, spec.seed, recipe(spec))
    return table_of(spec, name).dataset(name, recipe(spec))


def table_of(spec: DatasetSpec, name: str) -> LatentTable:
    """The latent table of a spec with a pattern: everything decided, no text made yet. Raises `SpecError` for what cannot be."""
    if spec.typed is not None:
        raise SpecError(f"dataset '{name}' has typed attributes and no pattern of words")
    if spec.pattern is None:
        raise SpecError(f"dataset '{name}' is fetched, not generated; use it with: limitbench run -d {name}")
    return latent_table(make_pattern(spec.pattern, name), spec.language, spec.seed)


def pattern_size(spec: DatasetSpec, name: str) -> int:
    """How many documents the pattern of a spec has, without distractors."""
    if spec.pattern is None:
        raise SpecError(f"dataset '{name}' has no pattern; its size cannot be chosen")
    return make_pattern(spec.pattern, name).n_documents


def make_pattern(pattern: Pattern, name: str) -> Qrels:
    """The relevance matrix of a pattern table; errors are said of `name`. Raises `SpecError`, also for what a pattern of another
    package raises or gives."""
    make = registry.resolve("pattern", registry.patterns(), pattern.kind)
    arguments = dict(pattern.model_extra or {})
    source = arguments.get("source")
    if isinstance(source, str):  # like: the name of a dataset, or a folder
        from limitbench.datasets import load

        if source == name:
            raise SpecError(f"dataset '{name}': its pattern is like itself; name another source")
        arguments["source"] = load(source).qrels
    try:
        made = validate_call(config={"strict": True, "arbitrary_types_allowed": True})(make)(**arguments)
    except ValidationError as error:
        found = first_problem(error)
        raise SpecError(
            f"dataset '{name}': pattern '{pattern.kind}': {found.where}: {found.message.lower()}; mend [pattern]"
        ) from None
    except LimitbenchError as error:
        raise SpecError(f"dataset '{name}': pattern '{pattern.kind}': {error}") from None
    except Exception as error:
        if pattern.kind in registry.PATTERNS:
            raise
        raise SpecError(
            f"dataset '{name}': pattern '{pattern.kind}' failed: {type(error).__name__}: {error}"
        ) from error
    if not isinstance(made, Qrels):
        raise SpecError(
            f"dataset '{name}': pattern '{pattern.kind}' gave {type(made).__name__}, expected limitbench.relevance.Qrels, such as "
            "Qrels.from_sets([[0, 1]], n)"
        )
    return made


def recipe(spec: DatasetSpec) -> dict[str, object]:
    """What decides the bytes of a spec's dataset, JSON-ready, and which published figures stand beside it."""
    unneeded = {"title", "card", "sha256", "licence", "ignore_identical_ids", *({"language"} if spec.typed else ())}
    return spec.model_dump(mode="json", exclude=unneeded, exclude_none=True)
