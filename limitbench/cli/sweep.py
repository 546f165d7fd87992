"""`limitbench sweep` and `drown`: one question at many settings, and many corpora."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from limitbench.cli.options import (
    ClusterAt,
    Device,
    Fresh,
    IgnoreIdenticalIds,
    JsonFlag,
    Measures,
    MinGrade,
    OneDataset,
    Precision,
    ResultsFolder,
    SkipUnanswerable,
    Split,
    numbers,
    read_dataset,
    reading,
)
from limitbench.cli.output import echo_json, print_table, say, working
from limitbench.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from limitbench.evaluation import Point
    from limitbench.results import Result


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(sweep)
    app.command()(drown)


def sweep(
    dataset: OneDataset,
    retriever: Annotated[str, typer.Option("-r", "--retriever", help="A dense retriever: name or spec.")],
    dims: Annotated[str, typer.Option(help="Dimensions, such as 32,64,128; full is the model's own.")] = "full",
    dtypes: Annotated[str, typer.Option(help="Of fp32,bf16,fp16,int8,binary.")] = "fp32",
    index: Annotated[str, typer.Option("--index", help="Of exact,flat,hnsw,ivf,pq,sq8.")] = "exact",
    candidates: Annotated[str | None, typer.Option(help="Of a reranker instead: depths, such as 10,20,50.")] = None,
    measures: Measures = "Recall@2,10,20",
    results: ResultsFolder = Path("results"),
    split: Split = "test",
    min_grade: MinGrade = 1,
    skip_unanswerable: SkipUnanswerable = False,
    ignore_identical_ids: IgnoreIdenticalIds = None,
    fresh: Fresh = False,
    device: Device = None,
    precision: Precision = None,
    cluster: ClusterAt = None,
    json: JsonFlag = False,
) -> None:
    """Encode once and measure every combination of dimension, dtype and index; or a reranker at every candidate depth."""
    from limitbench.evaluation import Options
    from limitbench.evaluation import sweep as points
    from limitbench.measures import parse_measures
    from limitbench.results import Store

    sizes = [None if part.strip() == "full" else numbers(part, "--dims", full=0)[0] for part in dims.split(",")]
    depths = numbers(candidates, "--candidates") if candidates else []
    if depths and (dims, dtypes, index) != ("full", "fp32", "exact"):
        raise InputError("found --candidates together with --dims, --dtypes or --index; give the one or the others")
    store = Store(results)
    store.require_writable()
    data = read_dataset(dataset, reading(split, min_grade, skip_unanswerable, ignore_identical_ids))
    with working(cluster, device) as (bars, each):
        options = Options(
            measures=parse_measures(measures), store=store, fresh=fresh, device=device, precision=precision, each=each,
            progress=lambda where, _name: bars(f"{where} {retriever}"),
        )  # fmt: skip
        found = points(
            data, retriever, dims=sizes, dtypes=dtypes.split(","), indexes=index.split(","), candidates=depths,
            options=options,
        )  # fmt: skip
        done = list(found)
    for said in dict.fromkeys(remark for _, result in done for remark in result.notes):
        say(f"{data.name} x {retriever}: {said}")
    _print_sweep(done, f"{data.name}, {retriever}", list(map(repr, options.chosen)), bool(depths), json)


def _print_sweep(
    done: Sequence[tuple[Point, Result]], what: str, titles: list[str], reranked: bool, json: bool
) -> None:
    from limitbench.report import percent, size

    if json:
        rows = [
            {**r.summary(), "candidates": p.candidates}
            if p.candidates
            else {**r.summary(), "dim": r.retriever.facts.get("dim", p.dim), "dtype": p.dtype, "index": p.index}
            for p, r in done
        ]
        echo_json({"schema_version": 1, "results": rows})
        return
    if reranked:
        ceilings = [{} if r.ceiling is None else r.ceiling for _, r in done]
        print_table(
            ["candidates", *titles, *(f"{title} ceiling" for title in titles)],
            [
                [str(p.candidates), *(percent(r.measures[t]) for t in titles), *(percent(most.get(t)) for t in titles)]
                for (p, r), most in zip(done, ceilings, strict=True)
            ],
            title=f"{what} (percent; [worst, best] over ties; ceiling: of its first stage)",
        )
        return
    print_table(
        ["dim", "dtype", "index", *titles, "size", "found of exact"],
        [
            [
                str(r.retriever.facts.get("dim", p.dim)), p.dtype, p.index, *(percent(r.measures[t]) for t in titles),
                "" if r.cost is None else size(r.cost.index_bytes), _share(r.retriever.facts.get("agreement_with_exact")),
            ]
            for p, r in done
        ],
        title=f"{what} (percent; [worst, best] over ties)",
        keep=3,
    )  # fmt: skip


def _share(value: float | None) -> str:
    return "" if value is None else f"{100 * value:.1f}"


def drown(
    dataset: OneDataset,
    retriever: Annotated[list[str], typer.Option("-r", "--retriever", help="Name or spec; repeats.")],
    sizes: Annotated[str | None, typer.Option(help="Corpus sizes, such as 46,1000,10000,full.")] = None,
    seeds: Annotated[int, typer.Option(min=1, help="Draws of the distractors at each size.")] = 3,
    measures: Measures = "Recall@2,10,20,100",
    results: ResultsFolder = Path("results"),
    split: Split = "test",
    min_grade: MinGrade = 1,
    skip_unanswerable: SkipUnanswerable = False,
    ignore_identical_ids: IgnoreIdenticalIds = None,
    fresh: Fresh = False,
    device: Device = None,
    precision: Precision = None,
    cluster: ClusterAt = None,
    json: JsonFlag = False,
) -> None:
    """Measure recall against corpus size: all relevant documents, and more and more distractors among which they drown."""
    from limitbench.evaluation import Options
    from limitbench.evaluation import drown as points
    from limitbench.measures import parse_measures
    from limitbench.report import interval
    from limitbench.report.drowning import curves
    from limitbench.results import Store

    data = read_dataset(dataset, reading(split, min_grade, skip_unanswerable, ignore_identical_ids))
    wanted = numbers(sizes, "--sizes", full=len(data.corpus), least=0) if sizes else []
    chosen = parse_measures(measures)
    with working(cluster, device) as (bars, each):
        options = Options(
            measures=chosen, store=Store(results), fresh=fresh, device=device, precision=precision, each=each,
            progress=lambda where, name: bars(f"{where} {name}"),
        )  # fmt: skip
        done = list(points(data, retriever, sizes=wanted, seeds=seeds, options=options))
    found = [curve for curve in curves(done) if curve.dataset == data.name]
    if json:
        echo_json({"schema_version": 1, "curves": [curve.to_json() for curve in found]})
        return
    for title in map(repr, chosen):
        shown = [curve for curve in found if curve.measure == title]
        print_table(
            ["documents", *(curve.retriever for curve in shown)],
            [
                [str(size), *(f"{100 * p.mean:.1f} ({interval(p)})" for p in at)]
                for size, *at in zip(shown[0].sizes, *(curve.points for curve in shown), strict=True)
            ],
            title=f"{data.name}: {title} in percent against corpus size (95 % interval over queries)",
        )
