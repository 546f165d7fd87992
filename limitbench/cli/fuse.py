"""`limitbench fuse`: a hybrid's fusion and weights, learned from judgements and measured on held-out queries."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Annotated

import typer

from limitbench.cli.options import (
    IgnoreIdenticalIds,
    JsonFlag,
    MinGrade,
    OneDataset,
    Retrievers,
    SkipUnanswerable,
    Split,
    read_dataset,
    reading,
)
from limitbench.cli.output import echo_json, print_table, progress_bars, say

if TYPE_CHECKING:
    from limitbench.evaluation import Fusion


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(fuse)


def fuse(
    dataset: OneDataset,
    retriever: Retrievers = None,
    measure: Annotated[str, typer.Option(help="What is made as good as can be.")] = "nDCG@10",
    folds: Annotated[int, typer.Option(min=2, help="Parts of the queries, each scored by what the others taught.")] = 2,
    candidates: Annotated[int, typer.Option(min=1, help="Documents that each member ranks.")] = 1000,
    seed: Annotated[int, typer.Option(min=0, help="Of the folds.")] = 0,
    split: Split = "test",
    min_grade: MinGrade = 1,
    skip_unanswerable: SkipUnanswerable = False,
    ignore_identical_ids: IgnoreIdenticalIds = None,
    json: JsonFlag = False,
) -> None:
    """Learn how to fuse retrievers: reciprocal ranks or sums of scores, and the weights, against the members and fixed fusions.

    The learned one is scored on queries that it did not learn from. The last line is the retriever that all queries together teach.
    """
    from limitbench.evaluation import learn_fusion

    data = read_dataset(dataset, reading(split, min_grade, skip_unanswerable, ignore_identical_ids))
    with progress_bars() as bars:
        found = learn_fusion(
            data, retriever or ["bm25", "minilm"], measure=measure, folds=folds, candidates=candidates, seed=seed,
            progress=bars(data.name),
        )  # fmt: skip
    if json:
        echo_json({"schema_version": 1, **dataclasses.asdict(found)})
        return
    _show(found)
    say("to use it, run this retriever:")
    typer.echo(found.retriever)


def _show(found: Fusion) -> None:
    rows = [
        [row.name, f"{100 * row.interval.mean:.1f} [{100 * row.interval.low:.1f}, {100 * row.interval.high:.1f}]"]
        for row in (*found.fixed, found.learned)
    ]
    print_table(
        ["retriever", f"{found.measure}, %"], rows, title=f"{found.dataset}: fusions (95 % limits over queries)"
    )
    for number, setting in enumerate(found.chosen, 1):
        say(f"fold {number} is scored by {setting.spec(found.members)}")
    points = f"{100 * abs(found.difference):.1f} points {'more' if found.difference > 0 else 'less'} than"
    same = abs(found.difference) < 5e-4
    say(f"learned: {'as good as' if same else points} the best of members and RRF, {found.against} (p = {found.p:.3g})")
