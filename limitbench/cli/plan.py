"""`limitbench plan`: what a suite would take."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from limitbench.cli.options import Datasets, Device, JsonFlag, ResultsFolder, Retrievers
from limitbench.cli.output import echo_json, print_table, say, status_line

if TYPE_CHECKING:
    from limitbench.evaluation.planning import Cell, Plan


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(plan)


def plan(
    suite: Annotated[str | None, typer.Argument(help="A suite: a TOML file or a name.")] = None,
    dataset: Datasets = None,
    retriever: Retrievers = None,
    documents: Annotated[
        int | None, typer.Option(min=1, help="Plan for corpora of so many documents; their own size without.")
    ] = None,
    workers: Annotated[int, typer.Option(min=1, help="Points measured at the same time, one core each.")] = 1,
    price: Annotated[
        float | None, typer.Option(min=0, help="Of one worker for an hour, in any currency: then the plan has a cost.")
    ] = None,
    results: ResultsFolder = Path("results"),
    device: Device = None,
    json: JsonFlag = False,
) -> None:
    """Say what a suite takes before it starts: texts, bytes, memory and hours, from rates measured here on a sample.

    What is recorded already is not counted. Nothing is stored.
    """
    from limitbench.cli.run import asked
    from limitbench.datasets import load
    from limitbench.evaluation import Options
    from limitbench.evaluation.planning import plan as planned
    from limitbench.measures import DEFAULT_MEASURES, parse_measures
    from limitbench.results import Store

    wanted = asked(suite, dataset, retriever)
    measures = DEFAULT_MEASURES if wanted.measures is None else parse_measures(wanted.measures)
    options = Options(measures=measures, store=Store(results) if results.is_dir() else None, device=device)
    with status_line() as status:
        status("measuring rates on a sample")
        data = [load(name) for name in wanted.datasets]
        found = planned(data, wanted.retrievers, options=options, workers=workers, documents=documents)
    if json:
        cost = {} if price is None else {"cost": found.cost(price)}
        echo_json({"schema_version": 1, **found.to_json(), **cost})
        return
    _print(found, price)


def _print(found: Plan, price: float | None) -> None:
    from limitbench.report import duration, size
    from limitbench.tables import short

    def row(cell: Cell) -> list[str]:
        about = [cell.retriever, cell.dataset, f"{cell.documents:,}"]
        if cell.why:
            return [*about, "", "", "", short(cell.why, 60)]
        rate = f"{cell.documents_per_second:,.0f}"
        return [*about, rate, size(cell.index_bytes), size(cell.memory_bytes), duration(cell.seconds)]

    head = ["retriever", "dataset", "documents", "documents a second", "index", "memory", "time"]
    told = "rates of this machine, from up to 8,192 documents and 32 queries, scaled; graphs grow faster"
    print_table(head, [row(cell) for cell in found.cells], keep=2, caption=told)
    texts = sum(cell.documents + cell.queries for cell in found.missing)
    several = "s" if found.workers > 1 else ""
    typer.echo(
        f"{len(found.missing)} of {len(found.cells)} points to measure: {texts:,} texts, "
        f"{size(sum(cell.index_bytes for cell in found.missing))} of indexes, {size(found.memory_bytes)} of memory, "
        f"{duration(3600 * found.hours)} on {found.workers} worker{several}."
    )
    if price is not None:
        typer.echo(f"Cost, if all workers are paid until the last point is done: {found.cost(price):.2f}.")
    memory = _memory()
    if memory and found.memory_bytes > memory:
        say(f"this machine has {size(memory)} of memory: take fewer workers at a time, or more machines (--cluster)")


def _memory() -> int | None:
    from limitbench.provenance import hardware

    found = hardware().get("memory_bytes")
    return int(found) if found else None
