"""Where a retriever loses: the model, the truncation, the engine, the dtype or the index; the parts add up to the whole.

Each part is the difference between two measured retrievers that differ in one thing. A part below 0 is a gain: what was lost
before hides it, or a rounding moved a document up.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from limitbench.collection import Dataset
from limitbench.datasets import load
from limitbench.errors import SpecError
from limitbench.evaluation.options import Options
from limitbench.measures import Measure
from limitbench.results import Result
from limitbench.retrievers import Given, RetrieverSpec

_STORED = ("dtype", "index")
_TRUNCATED = ("dense", "endpoint", "vectors")
_GRAPH = ("m", "ef_construction", "ef")


@dataclass(frozen=True)
class Part:
    """One step from the perfect ranking to the retriever: what changed, the retriever after it, its value, and what it lost."""

    name: str  # model, truncation, engine, dtype, index
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
    steps = list(_steps(RetrieverSpec.parse(by)))
    named = [(name, how.retriever(spec)) for name, spec in steps]  # names and options are checked before any work
    (chosen,) = how.chosen
    parts: list[Part] = []
    before = Fraction(1)
    for name, one in named:
        result = how.find_or_measure(data, one).stored
        value = Fraction(result.measures[repr(chosen)].mean)
        parts.append(Part(name, one.name, value, before - value, result))
        before = value
    return Losses(chosen, tuple(parts))


def _steps(spec: RetrieverSpec) -> Iterator[tuple[str, RetrieverSpec]]:
    """What changes from one retriever to the next, and that next one, from the model's own vectors on."""
    given = {**spec.entry.get("options", {}), **dict(spec.options)}
    if spec.adapter == "engine":
        yield from _steps_of_an_engine(spec, given)
        return
    if spec.adapter not in (*_TRUNCATED, "free"):
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
    if spec.made().source is None:
        raise SpecError(f"retriever '{spec}' searches texts; its loss has no parts")
    yield from _of_vectors(RetrieverSpec.parse(given.get("of") or "minilm"))
    scanned, quantised = given.get("index") == "flat", given.get("dtype", "fp32") != "fp32"
    flat = spec.without(*_GRAPH).with_options(index="flat")
    yield "engine", spec if scanned and not quantised else flat.without("dtype")
    if quantised:
        yield "dtype", spec if scanned else flat
    if not scanned:
        yield "index", spec
