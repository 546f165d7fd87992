"""`limitbench prompts`: how far a figure depends on the words around a query."""

from __future__ import annotations

import dataclasses
from typing import Annotated

import typer

from limitbench.cli.options import (
    Device,
    IgnoreIdenticalIds,
    JsonFlag,
    MinGrade,
    OneDataset,
    Precision,
    SkipUnanswerable,
    Split,
    read_dataset,
    reading,
)
from limitbench.cli.output import echo_json, print_table, progress_bars, say


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(prompts)


def prompts(
    dataset: OneDataset,
    retriever: Annotated[str, typer.Option("-r", "--retriever", help="Name or spec.")],
    template: Annotated[
        list[str] | None,
        typer.Option("--template", help="Of queries, with {} for the text; or lower, upper, no-punctuation. Repeats."),
    ] = None,
    document_template: Annotated[
        list[str] | None, typer.Option("--document-template", help="Likewise of documents. Repeats.")
    ] = None,
    measure: Annotated[str, typer.Option(help="What is compared.")] = "nDCG@10",
    split: Split = "test",
    min_grade: MinGrade = 1,
    skip_unanswerable: SkipUnanswerable = False,
    ignore_identical_ids: IgnoreIdenticalIds = None,
    device: Device = None,
    precision: Precision = None,
    json: JsonFlag = False,
) -> None:
    """Measure one retriever under many prompts and templates: the spread over them beside the interval over queries.

    Without --template, nine that are in use. A model's own prompt goes before what a template gives.
    """
    from limitbench.evaluation import Options, surface
    from limitbench.evaluation.surface import TEMPLATES

    data = read_dataset(dataset, reading(split, min_grade, skip_unanswerable, ignore_identical_ids))
    with progress_bars() as bars:
        options = Options(device=device, precision=precision, progress=lambda _where, _name: bars(retriever))
        found = surface(
            data, retriever, templates=template or TEMPLATES, document_templates=document_template or ["{}"],
            measure=measure, options=options,
        )  # fmt: skip
    if json:
        echo_json({"schema_version": 1, **dataclasses.asdict(found)})
        return
    several = len({wording.document for wording in found.wordings}) > 1
    ranked = sorted(found.wordings, key=lambda wording: -wording.interval.mean)
    rows = [
        [
            repr(wording.query), *([repr(wording.document)] if several else []),
            f"{100 * wording.interval.mean:.1f} [{100 * wording.interval.low:.1f}, {100 * wording.interval.high:.1f}]",
        ]
        for wording in ranked
    ]  # fmt: skip
    head = ["queries", *(["documents"] if several else []), f"{found.measure}, %"]
    print_table(head, rows, title=f"{found.dataset}, {found.retriever}: wordings (95 % limits over queries)")
    say(
        f"wordings move the mean by {100 * found.spread:.1f} points (deviation {100 * found.deviation:.1f}); an interval over "
        f"queries is {100 * found.width:.1f} points wide"
    )
