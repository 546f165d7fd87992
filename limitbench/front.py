"""The front door for notebooks: what the command line does, with results that show themselves and become data frames."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from limitbench.collection import Dataset
from limitbench.errors import InputError, LimitbenchError
from limitbench.evaluation import Options, read_suite, run_all
from limitbench.evaluation import drown as drowned
from limitbench.evaluation import sweep as swept
from limitbench.measures import DEFAULT_MEASURES, Measure, one_measure
from limitbench.report import Comparison
from limitbench.report import compare as comparisons
from limitbench.results import Result, Store
from limitbench.retrievers import Given
from limitbench.tables import Rows

Measures = Sequence[Measure | str] | str
Several = Sequence[Any] | str | int | None  # one, several, or a line with commas


def compare(
    results: Path | str | Result | Iterable[Result] = "results", *, measure: str | None = None
) -> Rows[Comparison]:
    """The records of a folder, or these results, beside the paper's figures: one comparison a dataset.

    Rows are sorted by `measure`. Raises `InputError` where no result has it, or where something else was given.
    """
    return Rows(comparisons(_records(results), measure=_title(measure)))


def _title(measure: str | None) -> str | None:
    return None if measure is None else repr(one_measure(measure))


def _records(results: Any) -> list[Result]:
    """Results from a folder, one result or several. Raises `InputError` for anything else."""
    if isinstance(results, str | Path):
        return list(Store(Path(results)))
    given = [results] if isinstance(results, Result) else list(results) if isinstance(results, Iterable) else [results]
    for one in given:
        if not isinstance(one, Result):
            raise InputError(
                f"found {type(one).__name__}, expected a folder of records or results of limitbench.evaluate"
            )
    return given


def _several(given: Several) -> tuple[Any, ...]:
    """One value, several, or a line with commas: `64`, `[32, 64]`, `"32,full"`. `full` and None are the whole dimension."""
    values = (
        given.split(",") if isinstance(given, str) else [given] if given is None or isinstance(given, int) else given
    )
    return tuple(_plain(value.strip()) if isinstance(value, str) else value for value in values)


def _plain(text: str) -> Any:
    return None if text == "full" else int(text) if text.isascii() and text.isdecimal() else text


def sweep(
    dataset: Dataset | str | Path, by: Given, *, dims: Several = (None,), dtypes: Several = ("fp32",),
    indexes: Several = ("exact",), candidates: Several = (), measures: Measures = DEFAULT_MEASURES,
    results: Path | str | None = None,
) -> Rows[Result]:  # fmt: skip
    """One retriever at every dimension, dtype and index, from one encode, or a reranker at every depth; kept in `results`.

    Each of `dims`, `dtypes`, `indexes` and `candidates` is one value, several, or a line with commas, as on the command line.
    """
    found = swept(
        dataset,
        by,
        dims=_several(dims),
        dtypes=_several(dtypes),
        indexes=_several(indexes),
        candidates=_several(candidates),
        options=_options(measures, results),
    )
    return Rows(result for _, result in found)


def drown(
    dataset: Dataset | str | Path, retrievers: Given | Iterable[Given], *, sizes: Several = (), seeds: int = 3,
    measures: Measures = DEFAULT_MEASURES, results: Path | str | None = None,
) -> Rows[Result]:  # fmt: skip
    """One retriever or several at every corpus size; kept in `results`."""
    by = [retrievers] if isinstance(retrievers, str | Mapping) else retrievers
    return Rows(drowned(dataset, by, sizes=_several(sizes), seeds=seeds, options=_options(measures, results)))


def suite(name: str | Path, *, results: Path | str | None = None) -> Rows[Result]:
    """All cells of a suite, by name or file; kept in `results`. Raises `LimitbenchError` at the end, where a cell failed."""
    found = read_suite(str(name))
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


def write_report(
    results: Path | str = "results", out: Path | str | None = None, *, only: Several = (), places: Sequence[str] | str = (),
    measure: str | None = None, all_dims: bool = False, latency: bool = True,
) -> Path:  # fmt: skip
    """Write the HTML report of a folder of records, and give its path.

    Of the datasets `only`, or of all; `places` are folders of datasets, read for their texts. Rows are sorted by `measure`.
    """
    from limitbench.files import atomic_write
    from limitbench.report.gathered import gather
    from limitbench.report.page import html

    if not isinstance(results, str | Path):
        raise InputError(
            f"found {type(results).__name__}, expected a folder of records; sweep, drown and suite keep them with results=FOLDER"
        )
    target = Path(out) if out is not None else Path(results) / "report.html"
    page = html(
        gather(
            results, only=_several(only), places=[places] if isinstance(places, str) else places, all_dims=all_dims,
            measure=_title(measure), latency=latency,
            command="limitbench.write_report",
        )
    )  # fmt: skip
    with atomic_write(target) as stream:
        stream.write(page.encode())
    return target


def _options(measures: Measures, results: Path | str | None) -> Options:
    return Options(measures=measures, store=None if results is None else Store(Path(results)))
