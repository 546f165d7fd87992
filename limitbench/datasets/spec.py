"""Catalogue entries of datasets: what a TOML in `datasets/` says, checked, and turned into a `Dataset`."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from limitbench import catalog, registry
from limitbench.collection import Dataset
from limitbench.datasets.language import phrase, vocabulary
from limitbench.errors import SpecError


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Pattern(_Table):
    """Which k-subsets are asked for: a registry name and the arguments of its function."""

    model_config = ConfigDict(extra="allow", frozen=True)
    kind: str


class Language(_Table):
    """How the matrix is put into words."""

    world: str = "people"
    vocabulary: str = "attributes"
    per_document: int = Field(default=45, ge=1)


class Hub(_Table):
    """A dataset of the Hugging Face hub at a pinned revision."""

    repo: str
    revision: str


class DatasetSpec(_Table):
    """One dataset of the catalogue: generated (`pattern`, `language`, `seed`) or fetched (`hub`)."""

    title: str
    licence: str
    card: str = ""
    pattern: Pattern | None = None
    language: Language = Language()
    seed: int = Field(0, ge=0)
    sha256: str | None = None
    hub: Hub | None = None
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
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the table"
        raise SpecError(f"dataset '{name}': {where}: {first['msg']}; mend the spec") from None
    if (spec.pattern is None) == (spec.hub is None):
        raise SpecError(f"dataset '{name}': expected exactly one of [pattern] and [hub]; mend the spec")
    return spec


def generate(spec: DatasetSpec, name: str) -> Dataset:
    """The dataset that a spec with a pattern describes; the same spec gives the same bytes everywhere."""
    if spec.pattern is None:
        raise SpecError(f"dataset '{name}' is fetched, not generated; use it with: limitbench run -d {name}")
    make = registry.resolve("pattern", registry.PATTERNS, spec.pattern.kind)
    arguments = dict(spec.pattern.model_extra or {})
    try:
        qrels = make(**arguments)
    except TypeError as error:
        raise SpecError(f"dataset '{name}': pattern '{spec.pattern.kind}': {error}; mend [pattern]") from None
    world = registry.resolve("world", registry.WORLDS, spec.language.world)()
    corpus, queries = phrase(
        qrels, world, vocabulary(spec.language.vocabulary), per_document=spec.language.per_document, seed=spec.seed
    )
    recipe = spec.model_dump(mode="json", exclude={"title", "card", "sha256", "licence"}, exclude_none=True)
    return Dataset(name, corpus, queries, qrels, spec=recipe)
