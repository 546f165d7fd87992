"""`limitbench train`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from limitbench.cli.output import echo_json, progress_bars, say

_EXCLUDED = ["limit-small-synthetic", "limit-synthetic"]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    train = typer.Typer(no_args_is_help=True, help="Train a model that limitbench can use.")
    train.command()(reranker)
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
