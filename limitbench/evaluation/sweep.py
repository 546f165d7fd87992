"""One dense retriever over dimensions, dtypes and indexes, or one reranker over candidate depths."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from limitbench.collection import Dataset
from limitbench.datasets import load
from limitbench.errors import SpecError
from limitbench.evaluation.elsewhere import Part, found_or_measured
from limitbench.evaluation.options import Options
from limitbench.results import Result
from limitbench.retrievers import Given, RetrieverSpec


@dataclass(frozen=True)
class Point:
    """One point of a sweep: dimensions, dtype and index of a dense retriever, or the candidates of a reranker."""

    dim: int | None
    dtype: str
    index: str
    candidates: int | None = None

    def of(self, retriever: Given) -> Given | RetrieverSpec:
        """The retriever at this point; of a line, the line with more options.

        Raises `SpecError` where it has an option already that the sweep sets.
        """
        spec = RetrieverSpec.parse(retriever)
        swept: dict[str, Any] = {"dim": self.dim, "dtype": self.dtype, "index": self.index}
        if self.candidates is not None:
            swept = {"candidates": self.candidates}
        for name in swept:
            if swept[name] is not None and spec.get(name) is not None:
                raise SpecError(
                    f"retriever '{spec}': option '{name}' is given twice, and the sweep sets it; leave it out"
                )
        swept = {name: value for name, value in swept.items() if value is not None}
        if spec.label is not None:
            told = ",".join([spec.label, *(f"{name}={value}" for name, value in swept.items())])
            return replace(spec.with_options(**swept), label=told)
        if isinstance(retriever, str):
            return ",".join([retriever, *(f"{name}={value}" for name, value in swept.items())])
        return spec.with_options(**swept)


def sweep(
    dataset: Dataset | str | Path,
    by: Given,
    *,
    dims: Sequence[int | None] = (None,),
    dtypes: Sequence[str] = ("fp32",),
    indexes: Sequence[str] = ("exact",),
    candidates: Sequence[int] = (),
    options: Options | None = None,
) -> Iterator[tuple[Point, Result]]:
    """The result at every combination of dimension, dtype and index of one dense retriever, from one encode.

    With `candidates`, at every depth of one reranker instead, the deepest first: each pair is scored once, unless a service is
    asked afresh. Texts are embedded at the first point and come from the embedding cache at the others. All points are checked
    before any work.
    """
    data = dataset if isinstance(dataset, Dataset) else load(dataset)
    how = options or Options()
    points = [Point(dim, dtype, index) for dim in dims for dtype in dtypes for index in indexes]
    if candidates:
        points = [Point(None, "fp32", "exact", depth) for depth in sorted(set(candidates), reverse=True)]
    named = [  # one encode serves all points, but a service that ranks is asked anew for each depth
        (point, how.retriever(point.of(by), anew=how.fresh and (number == 0 or bool(candidates))))
        for number, point in enumerate(points)
    ]
    if how.each is not None:
        results = found_or_measured(how, data, [Part(one) for _, one in named], first=(0,))
        yield from zip((point for point, _ in named), results, strict=True)
        return
    for point, one in named:
        yield point, how.find_or_measure(data, one).stored
