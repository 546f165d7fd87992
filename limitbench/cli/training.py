"""`limitbench train`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from limitbench.cli.options import Device, Fresh, JsonFlag, Measures, ResultsFolder, numbers
from limitbench.cli.output import echo_json, print_table, progress_bars, say

if TYPE_CHECKING:
    from collections.abc import Sequence

    from limitbench.evaluation import FineTuned
    from limitbench.retrievers.embedder_training import EmbedderTraining

_TRAINED_ON = ["limit-small-test", "limit-small-train"]
_MEASURED_ON = ["limit-test", "products-small", "pattern-disjoint"]
_EXCLUDED = ["limit-small-synthetic", "limit-synthetic"]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    train = typer.Typer(no_args_is_help=True, help="Train a model that limitbench can use.")
    train.command()(reranker)
    train.command()(embedder)
    train.callback()(lambda: None)
    app.add_typer(train, name="train")


def reranker(
    out: Annotated[Path, typer.Option(help="Folder of the model.")] = Path("limitbench-reranker"),
    exclude: Annotated[
        list[str] | None,
        typer.Option(help="Datasets whose attributes it must not see; repeats. [default: the two synthetic LIMITs]"),
    ] = None,
    steps: Annotated[
        int, typer.Option(min=1, help="Steps of 16 pairs; the same steps and seed, the same model.")
    ] = 731,
    seed: Annotated[int, typer.Option(min=0, max=2**31 - 1)] = 0,
    layers: Annotated[int, typer.Option(min=1, max=6, help="Of MiniLM's six.")] = 2,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda.")] = "auto",
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")] = False,
) -> None:
    """Train a small cross-encoder on LIMIT-format text whose attributes exclude the test's.

    Then: limitbench run -d limit-small-synthetic -r rerank:./limitbench-reranker,first=bm25,candidates=10
    """
    from limitbench.datasets import load
    from limitbench.errors import MissingExtra

    try:
        from limitbench.retrievers.training import Training, train_reranker
    except ModuleNotFoundError as error:
        raise MissingExtra("limitbench train", error.name or "?", "models") from None

    sets = [load(name) for name in (_EXCLUDED if exclude is None else exclude)]
    how = Training(steps=steps, seed=seed, layers=layers, device=device)
    with progress_bars() as bars:
        report = bars("reranker")
        card = train_reranker(out, exclude=sets, how=how, watch=lambda done, of, _apart: report("steps", done, of))
    if json:
        echo_json({"schema_version": 1, "folder": str(out), **card})
        return
    longest, apart = card["attributes_a_document"], 100 * card["told_apart"]
    say(
        f"lists of {longest} attributes are told apart in {apart:.1f} percent of the last pairs ({card['attributes']} attributes)"
    )
    typer.echo(f"rerank:{out if out.is_absolute() else f'./{out}'},first=bm25,candidates=10")


def embedder(
    out: Annotated[Path, typer.Option(help="Folder of the models, one for each dataset and dimension.")] = Path(
        "limitbench-embedders"
    ),
    base: Annotated[
        str, typer.Option(help="The model to start from: wordllama, minilm, a hub id or a folder.")
    ] = "wordllama",
    train_on: Annotated[
        list[str] | None,
        typer.Option("--train-on", help=f"A dataset to train on; repeats. [default: {', '.join(_TRAINED_ON)}]"),
    ] = None,
    dataset: Annotated[
        list[str] | None,
        typer.Option("-d", "--dataset", help=f"A dataset to measure on; repeats. [default: {', '.join(_MEASURED_ON)}]"),
    ] = None,
    dims: Annotated[str, typer.Option(help="Dimensions to train and measure in.")] = "32,64,128,256",
    steps: Annotated[int, typer.Option(min=1, help="Steps; the same steps and seed, the same model.")] = 600,
    queries: Annotated[int, typer.Option(min=2, help="Queries of a step.")] = 128,
    rate: Annotated[
        float | None, typer.Option(help="Learning rate. [default: 0.02 of a token table, 2e-5 of others]")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, max=2**31 - 1)] = 0,
    measures: Measures = "Recall@2,10,100",
    results: ResultsFolder = Path("results"),
    plot: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Draw the first measure against dimension: .svg, .png, .pdf.")
    ] = None,
    fresh: Fresh = False,
    device: Device = None,
    json: JsonFlag = False,
) -> None:
    """Fine-tune an embedder on the test set itself and on another vocabulary, by dimension, and measure both and its start.

    The LIMIT paper's Table 3. A model that is there already is not trained again.
    """
    from limitbench.evaluation import Options, fine_tune
    from limitbench.measures import parse_measures
    from limitbench.report.saved import require_format
    from limitbench.results import Store

    if plot is not None:
        require_format(plot)
    how = _training(base=base, steps=steps, seed=seed, queries=queries, rate=rate, device=device or "auto")
    chosen = parse_measures(measures)
    with progress_bars() as bars:
        learning = bars("embedder")
        options = Options(
            measures=chosen,
            store=Store(results),
            fresh=fresh,
            device=device,
            progress=lambda where, name: bars(f"{where} {name}"),
        )
        trained = fine_tune(
            train_on or _TRAINED_ON, dataset or _MEASURED_ON, numbers(dims, "--dims"), out=out, how=how, options=options,
            watch=lambda done, of, _loss: learning("steps", done, of),
        )  # fmt: skip
        found = list(trained)
    _show(found, list(map(repr, chosen)), plot, json)


def _training(rate: float | None, **given: Any) -> EmbedderTraining:
    from limitbench.errors import InputError, MissingExtra

    try:
        from limitbench.retrievers.embedder_training import EmbedderTraining
    except ModuleNotFoundError as error:
        raise MissingExtra("limitbench train", error.name or "?", "models") from None
    if rate is not None and not 0 < rate < float("inf"):
        raise InputError(f"found --rate {rate:g}, expected a number above 0")
    return EmbedderTraining(rate=rate, **given)


def _show(found: Sequence[FineTuned], titles: list[str], plot: Path | None, json: bool) -> None:
    from limitbench.report import percent

    if plot is not None:
        from limitbench.report.fine_tuning import draw

        draw(found, titles[0], plot)
    if json:
        told = [
            {"trained_on": row.trained_on, "dim": row.dim, "retriever": row.retriever, **row.result.summary()}
            for row in found
        ]
        echo_json({"schema_version": 1, "results": told})
        return
    for name in dict.fromkeys(row.result.dataset.name for row in found):
        rows = [row for row in found if row.result.dataset.name == name]
        rows.sort(key=lambda row: (row.trained_on is not None, row.trained_on or "", row.dim))
        print_table(
            ["trained on", "dim", *titles],
            [
                [row.trained_on or "nothing", str(row.dim), *(percent(row.result.measures[t]) for t in titles)]
                for row in rows
            ],
            title=f"{name} (percent)",
        )
