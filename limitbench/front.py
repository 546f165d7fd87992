"""The front door for notebooks: what the command line does, with results that show themselves and become data frames."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from limitbench.collection import Dataset
from limitbench.errors import LimitbenchError
from limitbench.evaluation import Options, read_suite, run_all
from limitbench.evaluation import drown as drowned
from limitbench.evaluation import sweep as swept
from limitbench.measures import DEFAULT_MEASURES, Measure
from limitbench.report import Comparison
from limitbench.report import compare as comparisons
from limitbench.results import Result, Store
from limitbench.retrievers import Given
from limitbench.tables import Rows

Measures = Sequence[Measure | str] | str


def compare(results: Path | str | Iterable[Result] = "results", *, measure: str | None = None) -> Rows[Comparison]:
    """The records of a folder, or these results, beside the paper's figures: one comparison a dataset."""
    records = Store(Path(results)) if isinstance(results, str | Path) else results
    return Rows(comparisons(records, measure=measure))


def sweep(
    dataset: Dataset | str | Path, by: Given, *, dims: Sequence[int | None] = (None,), dtypes: Sequence[str] = ("fp32",),
    indexes: Sequence[str] = ("exact",), candidates: Sequence[int] = (), measures: Measures = DEFAULT_MEASURES,
    results: Path | str | None = None,
) -> Rows[Result]:  # fmt: skip
    """One retriever at every dimension, dtype and index, from one encode, or a reranker at every depth; kept in `results`."""
    found = swept(
        dataset,
        by,
        dims=dims,
        dtypes=dtypes,
        indexes=indexes,
        candidates=candidates,
        options=_options(measures, results),
    )
    return Rows(result for _, result in found)


def drown(
    dataset: Dataset | str | Path, retrievers: Iterable[Given], *, sizes: Sequence[int] = (), seeds: int = 3,
    measures: Measures = DEFAULT_MEASURES, results: Path | str | None = None,
) -> Rows[Result]:  # fmt: skip
    """Every retriever at every corpus size; kept in `results`."""
    return Rows(drowned(dataset, retrievers, sizes=sizes, seeds=seeds, options=_options(measures, results)))


def suite(name: str, *, results: Path | str | None = None) -> Rows[Result]:
    """All cells of a suite, by name or file; kept in `results`. Raises `LimitbenchError` at the end, where a cell failed."""
    found = read_suite(name)
    options = _options(found.measures or DEFAULT_MEASURES, results)
    outcomes = list(run_all(found.datasets, found.retrievers, options=options))
    failed = [one for one in outcomes if one.error is not None]
    if failed:
        first = failed[0]
        kept = "the others are kept" if results is not None else "give results= to keep the others"
        raise LimitbenchError(
            f"{len(failed)} of {len(outcomes)} cells failed, {first.dataset} x {first.retriever} first: {first.error}; {kept}"
        )
    return Rows(one.result for one in outcomes if one.result is not None)


def write_report(results: Path | str = "results", out: Path | str | None = None, **given: Any) -> Path:
    """Write the HTML report of a folder of records, and give its path. `given` are `gather`'s options, such as measure."""
    from limitbench.files import atomic_write
    from limitbench.report.gathered import gather
    from limitbench.report.page import html

    target = Path(out) if out is not None else Path(results) / "report.html"
    page = html(gather(results, command="limitbench.write_report", **given))
    with atomic_write(target) as stream:
        stream.write(page.encode())
    return target


def _options(measures: Measures, results: Path | str | None) -> Options:
    return Options(measures=measures, store=None if results is None else Store(Path(results)))
