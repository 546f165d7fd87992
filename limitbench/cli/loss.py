"""`limitbench loss`: which part of a retriever's loss is the model's, the truncation's, the engine's, the dtype's, the index's."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from limitbench.cli.options import (
    Device,
    Fresh,
    IgnoreIdenticalIds,
    JsonFlag,
    MinGrade,
    OneDataset,
    Precision,
    ResultsFolder,
    SkipUnanswerable,
    Split,
    read_dataset,
    reading,
)
from limitbench.cli.output import echo_json, print_table, progress_bars, say

if TYPE_CHECKING:
    from limitbench.evaluation import Losses


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(loss)


def loss(
    dataset: OneDataset,
    retriever: Annotated[str, typer.Option("-r", "--retriever", help="An engine, or one with single vectors.")],
    measure: Annotated[str, typer.Option(help="For example Recall@10.")] = "Recall@10",
    results: ResultsFolder = Path("results"),
    split: Split = "test",
    min_grade: MinGrade = 1,
    skip_unanswerable: SkipUnanswerable = False,
    ignore_identical_ids: IgnoreIdenticalIds = None,
    fresh: Fresh = False,
    device: Device = None,
    precision: Precision = None,
    json: JsonFlag = False,
) -> None:
    """Split a retriever's loss into model, truncation, engine, dtype and index; the parts add up to the whole."""
    from limitbench.evaluation import Options, losses
    from limitbench.results import Store

    store = Store(results)
    store.require_writable()
    data = read_dataset(dataset, reading(split, min_grade, skip_unanswerable, ignore_identical_ids))
    with progress_bars() as bars:
        options = Options(
            store=store, fresh=fresh, device=device, precision=precision, progress=lambda where, name: bars(f"{where} {name}")
        )  # fmt: skip
        found = losses(data, retriever, measure=measure, options=options)
    for said in dict.fromkeys(remark for part in found.parts for remark in part.result.notes):
        say(f"{data.name} x {retriever}: {said}")
    if json:
        echo_json({"schema_version": 1, **_json(found), "dataset": data.name, "retriever": retriever})
        return
    print_table(
        ["part", "lost", "left", "measured with"],
        [
            *([part.name, _percent(part.lost), _percent(part.value), part.retriever] for part in found.parts),
            ["whole", _percent(found.whole), "", ""],
        ],
        title=f"{data.name}, {retriever}: where {found.measure!r} is lost (percentage points of 100)",
    )


def _percent(value: Any) -> str:
    return f"{100 * float(value):.2f}"


def _json(found: Losses) -> dict[str, Any]:
    """The parts in the way's order; each value as a number, and exactly, as a fraction."""
    return {
        "measure": repr(found.measure),
        "whole": float(found.whole),
        "whole_exact": str(found.whole),
        "parts": [
            {
                "part": part.name, "lost": float(part.lost), "lost_exact": str(part.lost), "value": float(part.value),
                "retriever": part.retriever,
            }
            for part in found.parts
        ],
    }  # fmt: skip
