"""`limitbench run`: retrievers on datasets, one record a cell."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from limitbench.cli.options import (
    ClusterAt,
    Datasets,
    Device,
    Fresh,
    IgnoreIdenticalIds,
    JsonFlag,
    MinGrade,
    Precision,
    ResultsFolder,
    Retrievers,
    SkipUnanswerable,
    Split,
    reading,
    say_notes,
    say_remarks,
)
from limitbench.cli.output import echo_json, print_table, say, working
from limitbench.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from limitbench.evaluation import Outcome, Suite
    from limitbench.progress import Progress
    from limitbench.rankings import Run
    from limitbench.results import Result


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(run)


def run(
    suite: Annotated[str | None, typer.Argument(help="A suite: a TOML file, or embedded, or paper.")] = None,
    dataset: Datasets = None,
    retriever: Retrievers = None,
    measures: Annotated[str | None, typer.Option(help="For example Recall@2,10,nDCG@10.")] = None,
    results: ResultsFolder = Path("results"),
    split: Split = "test",
    min_grade: MinGrade = 1,
    skip_unanswerable: SkipUnanswerable = False,
    ignore_identical_ids: IgnoreIdenticalIds = None,
    fresh: Fresh = False,
    save_runs: Annotated[Path | None, typer.Option(help="Also write each run there as TREC.")] = None,
    device: Device = None,
    precision: Precision = None,
    cluster: ClusterAt = None,
    json: JsonFlag = False,
) -> None:
    """Evaluate retrievers on datasets; finished cells are recorded and reused.

    A retriever is a name of `limitbench list`, or a spec such as bm25,stemmer=none or dense:./my-model,dim=128.
    """
    from limitbench.evaluation import Options, run_all
    from limitbench.measures import DEFAULT_MEASURES, parse_measures
    from limitbench.results import Store

    wanted = asked(suite, dataset, retriever)
    listed = measures if measures is not None else wanted.measures
    chosen = parse_measures(listed) if listed is not None else DEFAULT_MEASURES
    how = reading(split, min_grade, skip_unanswerable, ignore_identical_ids)
    with working(cluster, device) as (bars, each):
        options = Options(
            measures=chosen,
            store=Store(results),
            each=each,
            fresh=fresh,
            device=device,
            precision=precision,
            progress=_labelled(bars),
        )
        outcomes = [
            _said(outcome)
            for outcome in run_all(
                wanted.datasets,
                wanted.retrievers,
                options=options,
                reading=how,
                loaded=say_notes,
                keep=_saving(save_runs),
            )
        ]
    _print(outcomes, results, json)
    if any(outcome.error is not None for outcome in outcomes):
        raise typer.Exit(2)


def asked(suite: str | None, datasets: list[str] | None, retrievers: list[str] | None) -> Suite:
    """What to run: a suite, or the datasets and retrievers that were named."""
    from limitbench.evaluation import Suite, read_suite

    if suite is not None and (datasets or retrievers):
        raise InputError(f"found suite '{suite}' together with -d or -r; give the one or the others")
    if suite is not None:
        return read_suite(suite)
    if not (datasets and retrievers):
        raise InputError(
            "nothing to run; expected a suite, or -d DATASET and -r RETRIEVER; try: limitbench run embedded"
        )
    return Suite(datasets=datasets, retrievers=list(retrievers))


def _labelled(bars: Callable[[str], Progress]) -> Callable[[str, str], Progress]:
    return lambda data, name: bars(f"{data} {name}")


def _saving(folder: Path | None) -> Callable[..., None] | None:
    """What writes each run into a folder, where one is given."""
    if folder is None:
        return None
    from limitbench.rankings import write_trec_run
    from limitbench.results import Store

    def keep(ranking: Run, where: str, name: str, digest: str) -> None:
        write_trec_run(ranking, Store(folder).path(where, name, digest).with_suffix(".trec"), tag=name)

    return keep


def _said(outcome: Outcome) -> Outcome:
    """The outcome, once its error and what is to be known of its result are said."""
    if outcome.error is not None:
        where = f"{outcome.dataset} x {outcome.retriever}" if outcome.retriever else outcome.dataset
        say(f"{where}: {outcome.error}")
    if outcome.result is not None:
        say_remarks(outcome.result)
    return outcome


def _print(outcomes: Sequence[Outcome], results: Path, json: bool) -> None:
    done = [outcome.result for outcome in outcomes if outcome.result is not None]
    reused = sum(outcome.reused for outcome in outcomes)
    if reused:
        say(f"{reused} of {len(done)} results were already in {results}; --fresh measures them again")
    if json:
        errors = [
            {"dataset": outcome.dataset, "retriever": outcome.retriever, "error": str(outcome.error)}
            for outcome in outcomes
            if outcome.error is not None
        ]
        payload: dict[str, Any] = {"schema_version": 1, "results": [r.summary() for r in done]}
        echo_json({**payload, "errors": errors} if errors else payload)
    elif done:
        _print_results(done)


def _print_results(results: list[Result]) -> None:
    from limitbench.report import duration, percent, size

    for name, sha256 in dict.fromkeys((r.dataset.name, r.dataset.sha256) for r in results):
        part = [r for r in results if r.dataset.sha256 == sha256 and r.dataset.name == name]
        titles = list(dict.fromkeys(title for r in part for title in r.measures))
        first = [t for t in ("Recall@2", "Recall@10", "Recall@20", "ExactSet@2") if t in titles]
        titles = [*first, *(t for t in titles if t not in first)]
        facts = part[0].dataset
        print_table(
            ["retriever", *titles, "index", "p50 query"],
            [
                row
                for r in part
                for row in (
                    [
                        r.retriever.name,
                        *(percent(r.measures.get(t)) for t in titles),
                        "" if r.cost is None else size(r.cost.index_bytes),
                        "" if r.cost is None else duration(r.cost.query_latency_p50_seconds),
                    ],
                    ["  its first stage's ceiling", *(percent((r.ceiling or {}).get(t)) for t in titles), "", ""],
                )[: 1 if r.ceiling is None else 2]
            ],
            title=f"{name}: {facts.documents} documents, {facts.queries} queries (percent; [worst, best] over ties)",
        )
