"""`limitbench tune`, `filters` and `churn`: what an engine finds at what cost, and what it loses to filters and changes."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from limitbench.cli.options import (
    IgnoreIdenticalIds,
    JsonFlag,
    MinGrade,
    OneDataset,
    SkipUnanswerable,
    Split,
    numbers,
    read_dataset,
    reading,
)
from limitbench.cli.output import echo_json, print_table, progress_bars, say
from limitbench.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from limitbench.evaluation.engine_runs import Searched
    from limitbench.evaluation.tuning import Tuning
    from limitbench.retrievers.engines.contract import Proof
    from limitbench.statistics import Interval

Engine = Annotated[str, typer.Option("-r", "--retriever", help="An engine over vectors: name or spec.")]
Sample = Annotated[int, typer.Option(min=1, help="Queries asked, drawn by the seed.")]
Depth = Annotated[int, typer.Option(min=1, help="Documents that a search asks for.")]
Seed = Annotated[int, typer.Option(min=0, help="Of what is drawn.")]
Least = Annotated[
    float | None,
    typer.Option(min=0, max=1, help="Exit with 1 where agreement is below this, with 3 where that is undecided."),
]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(tune)
    app.command()(filters)
    app.command()(churn)
    app.command("export-vectors")(export_vectors)


def tune(
    dataset: OneDataset,
    retriever: Engine,
    target: Annotated[float, typer.Option(min=0.01, max=1, help="Agreement with exact search to reach.")] = 0.95,
    m: Annotated[str | None, typer.Option(help="Links of a graph, such as 8,16,32; each is built.")] = None,
    ef_construction: Annotated[
        str | None, typer.Option(help="Candidates while a graph is built; each is built.")
    ] = None,
    lists: Annotated[str | None, typer.Option(help="Parts of an IVF; each is built.")] = None,
    repeats: Annotated[int, typer.Option(min=1, help="Builds of every setting, which tell how far they differ.")] = 1,
    sample: Sample = 200,
    depth: Depth = 10,
    seed: Seed = 0,
    plot: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Draw agreement against throughput: .svg, .png, .pdf.")
    ] = None,
    split: Split = "test",
    min_grade: MinGrade = 1,
    skip_unanswerable: SkipUnanswerable = False,
    ignore_identical_ids: IgnoreIdenticalIds = None,
    json: JsonFlag = False,
) -> None:
    """Find an engine's cheapest setting for an agreement with exact search: every point, the frontier, the best.

    Exit codes: 0 done; 1 where no setting reaches the target; 2 bad input.
    """
    from limitbench.evaluation import tune as tuned

    given = {"m": m, "ef_construction": ef_construction, "lists": lists}
    asked: Any = {name: numbers(text, f"--{name.replace('_', '-')}") for name, text in given.items() if text}
    data = read_dataset(dataset, reading(split, min_grade, skip_unanswerable, ignore_identical_ids))
    with progress_bars() as bars:
        found = tuned(
            data, retriever, target=target, repeats=repeats, sample=sample, depth=depth, seed=seed, progress=bars(retriever),
            **asked,
        )  # fmt: skip
    if plot is not None:
        from limitbench.report.tuning import draw

        draw(found, plot)
    if json:
        levels = {str(level): found.throughput(level) for level in _levels()}
        best = None if found.best is None else dataclasses.asdict(found.best)
        more = {"best": best, "queries_a_second": levels, "spread": found.spread}
        echo_json({"schema_version": 1, **dataclasses.asdict(found), **more})
    else:
        _print_tuning(found)
    _conclude_tuning(found, repeats)


def _print_tuning(found: Tuning) -> None:
    """Every point, a row each."""
    rows = [
        [
            ", ".join(f"{k}={v}" for k, v in p.build.items()) or "usual", str(p.repeat),
            "" if p.name is None else f"{p.name}={p.value}", _share(p.found.agreement), _ms(p.found), f"{p.found.qps:.0f}",
            "" if p.found.batch_qps is None else f"{p.found.batch_qps:.0f}",
            f"{p.build_seconds:.1f}", "*" if p.on_frontier else "",
        ]
        for p in found.points
    ]  # fmt: skip
    print_table(
        ["build", "no.", "search", "of exact, %", "ms p50/p95/p99", "queries/s", "in a batch", "built in s", "frontier"],
        rows, title=f"{found.dataset}, {found.retriever}: what is found, at what cost", keep=3,
    )  # fmt: skip


def _conclude_tuning(found: Tuning, repeats: int) -> None:
    """Say what was found, and exit with 1 where no setting reaches the target."""
    for level in _levels():
        rate = found.throughput(level)
        say(f"agreement {level:g}: {'not reached' if rate is None else f'{rate:.0f} single queries a second'}")
    if repeats > 1:
        say(f"builds of one setting differ by {100 * found.spread:.1f} points at most")
    best = found.best
    if best is None:
        say(
            f"no setting reaches an agreement of {found.target:g}; try a larger --m and --ef-construction, or a finer dtype"
        )
        raise typer.Exit(1)
    chosen = {**best.build, **({best.name: best.value} if best.name else {})}
    say(f"cheapest for {found.target:g}: {', '.join(f'{key}={value}' for key, value in chosen.items())}")


def _levels() -> tuple[float, ...]:
    from limitbench.evaluation.tuning import LEVELS

    return LEVELS


def filters(
    dataset: OneDataset,
    retriever: Engine,
    selectivity: Annotated[str, typer.Option(help="Shares of documents that pass.")] = "0.001,0.01,0.1,0.5",
    kind: Annotated[
        str, typer.Option(help="Of random, near, far: how passing goes with the queries.")
    ] = "random,near,far",
    sample: Sample = 200,
    depth: Depth = 10,
    seed: Seed = 0,
    least: Least = None,
    split: Split = "test",
    min_grade: MinGrade = 1,
    skip_unanswerable: SkipUnanswerable = False,
    ignore_identical_ids: IgnoreIdenticalIds = None,
    json: JsonFlag = False,
) -> None:
    """Measure what filters cost an engine: agreement with exact search among the documents that pass.

    Exit codes: 0 done; 2 bad input; with --least, 1 where an agreement is below it, 3 where that is undecided.
    """
    from limitbench.evaluation import filters as filtered

    data = read_dataset(dataset, reading(split, min_grade, skip_unanswerable, ignore_identical_ids))
    with progress_bars() as bars:
        found = filtered(
            data, retriever, selectivities=_shares(selectivity), kinds=[part.strip() for part in kind.split(",")], sample=sample,
            depth=depth, seed=seed, progress=bars(retriever),
        )  # fmt: skip
    if json:
        echo_json({"schema_version": 1, **dataclasses.asdict(found)})
    else:
        rows = [["no filter", "", "", *_cells(found.unfiltered)]]
        rows += [[p.kind, f"{p.selectivity:g}", str(p.passing), *_cells(p.found)] for p in found.points]
        print_table(
            ["filter", "share", "passing", "of exact, %", "too few", "ms p50/p95/p99"],
            rows, title=f"{found.dataset}, {found.retriever}: what is found of the documents that pass", keep=3,
        )  # fmt: skip
    _decide((p.found.agreement for p in found.points), least, found.index)


def churn(
    dataset: OneDataset,
    retriever: Engine,
    runbook: Annotated[
        str, typer.Option(help="sliding-window, expiring, growing, or a YAML or JSON file of big-ann-benchmarks' form.")
    ] = "sliding-window",
    table: Annotated[str | None, typer.Option(help="The file's dataset, where it has several.")] = None,
    rounds: Annotated[int, typer.Option(min=1, help="Rounds of changes, a search after each.")] = 8,
    sample: Sample = 200,
    depth: Depth = 10,
    seed: Seed = 0,
    least: Least = None,
    split: Split = "test",
    min_grade: MinGrade = 1,
    skip_unanswerable: SkipUnanswerable = False,
    ignore_identical_ids: IgnoreIdenticalIds = None,
    json: JsonFlag = False,
) -> None:
    """Measure what coming and going documents cost an engine: agreement with exact search after every round.

    Exit codes: 0 done; 2 bad input; with --least, 1 where an agreement is below it, 3 where that is undecided.
    """
    from limitbench.evaluation import churn as churned
    from limitbench.evaluation import read_runbook
    from limitbench.evaluation.churn import RUNBOOKS

    steps = runbook if runbook in RUNBOOKS else read_runbook(Path(runbook), table)
    data = read_dataset(dataset, reading(split, min_grade, skip_unanswerable, ignore_identical_ids))
    with progress_bars() as bars:
        found = churned(
            data, retriever, steps=steps, rounds=rounds, sample=sample, depth=depth, seed=seed, progress=bars(retriever)
        )
    if json:
        echo_json({"schema_version": 1, **dataclasses.asdict(found)})
    else:
        rows = [[str(p.step), str(p.documents), *_cells(p.found), f"{p.change_seconds:.2f}"] for p in found.points]
        rows.append(["rebuilt", str(found.points[-1].documents), *_cells(found.rebuilt), ""])
        print_table(
            ["after step", "documents", "of exact, %", "too few", "ms p50/p95/p99", "changed in s"],
            rows, title=f"{found.dataset}, {found.retriever}: what is found as documents come and go ({runbook})", keep=2,
        )  # fmt: skip
    _decide((p.found.agreement for p in found.points), least, found.index)


def export_vectors(
    dataset: OneDataset,
    retriever: Annotated[
        str, typer.Option("-r", "--retriever", help="A retriever with single vectors, such as free:NAME,dim=8.")
    ],
    out: Annotated[Path, typer.Option(help="The file of hdf5, the folder of the others.")],
    form: Annotated[
        str, typer.Option("--format", help="hdf5 (ann-benchmarks), fvecs, or fbin (big-ann-benchmarks).")
    ] = "hdf5",
    depth: Annotated[int, typer.Option(min=1, help="Exact answers of every query.")] = 100,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace what is there.")] = False,
    split: Split = "test",
    min_grade: MinGrade = 1,
    skip_unanswerable: SkipUnanswerable = False,
    ignore_identical_ids: IgnoreIdenticalIds = None,
    json: JsonFlag = False,
) -> None:
    """Write a dataset's vectors with exact answers and margins, for others' harnesses of approximate search."""
    import numpy as np

    from limitbench.evaluation import vector_set, write_vector_set
    from limitbench.evaluation.vector_sets import require_format

    require_format(form)
    if not overwrite and (out.is_file() or (out.is_dir() and any(out.iterdir()))):
        raise InputError(f"{out} is there; choose another place or add --overwrite")
    data = read_dataset(dataset, reading(split, min_grade, skip_unanswerable, ignore_identical_ids))
    with progress_bars() as bars:
        found = vector_set(data, retriever, depth=depth, progress=bars(retriever))
    files = write_vector_set(found, out, form)
    solved = int((found.margins > 0).sum())
    least = float(np.nanmin(found.margins)) if not np.isnan(found.margins).all() else None
    say(
        f"wrote {', '.join(str(path) for path in files)}: {len(found.documents)} documents, {len(found.queries)} queries"
    )
    say(
        f"{solved} queries are answered by the vectors; the smallest margin is {least if least is None else f'{least:.3g}'}"
    )
    if json:
        told = {
            "files": [str(path) for path in files],
            "documents": len(found.documents),
            "queries": len(found.queries),
        }
        more = {
            "dimension": found.documents.shape[1],
            "similarity": found.similarity,
            "answered": solved,
            "least_margin": least,
        }
        echo_json({"schema_version": 1, **told, **more, "tied_at_the_cut": int(found.tied.sum())})


def _cells(found: Searched) -> list[str]:
    return [_share(found.agreement), str(found.short) if found.short else "", _ms(found)]


def _share(interval: Interval) -> str:
    return f"{100 * interval.mean:.1f} [{100 * interval.low:.1f}, {100 * interval.high:.1f}]"


def _ms(found: Searched) -> str:
    return " / ".join(f"{1000 * seconds:.2f}" for seconds in (found.p50, found.p95, found.p99))


def _shares(text: str) -> list[float]:
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise InputError(f"--selectivity: found {text!r}, expected shares such as 0.01,0.1") from None


def _decide(agreements: Iterable[Interval], least: float | None, index: Proof) -> None:
    """Exit with 1 where an interval is below the least, with 3 where one holds it, or where the index is not in use at the end."""
    if not index.used:
        say(f"at the end not all searches go through the index: {index.how}")
    if least is None:
        return
    known = list(agreements)
    if any(one.high < least for one in known):
        say(f"agreement is below {least:g}: {100 * min(one.mean for one in known):.1f} % at its lowest")
        raise typer.Exit(1)
    if any(one.low < least for one in known):
        say(f"whether agreement is {least:g} is not decided by this sample: give a larger --sample")
        raise typer.Exit(3)
    if not index.used:
        raise typer.Exit(3)
