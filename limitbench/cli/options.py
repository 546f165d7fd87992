"""Options that several commands share, declared once, and the dataset that they describe."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from limitbench.cli.output import say
from limitbench.errors import SpecError

if TYPE_CHECKING:
    from limitbench.collection import Dataset

Split = Annotated[str, typer.Option(help="Which qrels of a folder.")]
MinGrade = Annotated[int, typer.Option("--min-grade", min=1, help="Grades from here on are relevant.")]
SkipUnanswerable = Annotated[
    bool, typer.Option("--skip-unanswerable", help="Leave out judged queries without a relevant document.")
]
IgnoreIdenticalIds = Annotated[
    bool | None,
    typer.Option(
        "--ignore-identical-ids/--keep-identical-ids",
        help="Leave the document with a query's own id out of its results. Default: as the dataset's card says.",
        show_default=False,
    ),
]


def read_dataset(
    source: str, *, split: str = "test", min_grade: int = 1, skip_unanswerable: bool = False,
    ignore_identical_ids: bool | None = None,
) -> Dataset:  # fmt: skip
    """The dataset of a name or folder; what was left out and assumed is said on stderr."""
    from limitbench.datasets import load

    data = load(
        source,
        split=split,
        min_grade=min_grade,
        skip_unanswerable=skip_unanswerable,
        ignore_identical_ids=ignore_identical_ids,
    )
    say_notes(data)
    return data


def say_notes(data: Dataset) -> None:
    """What was left out and assumed on loading."""
    for note in data.notes:
        say(f"{data.name}: {note}")


def seconds(text: str) -> float:
    """A budget such as 60s, 5m or 1h, or plain seconds, in seconds. Raises `SpecError`."""
    units = {"s": 1, "m": 60, "h": 3600}
    number, unit = (text[:-1], text[-1]) if text and text[-1] in units else (text, "s")
    try:
        found = float(number) * units[unit]
    except ValueError:
        found = -1.0
    if not 0 <= found < float("inf"):
        raise SpecError(f"found --budget {text}, expected a time with an end, such as 60s, 5m or 1h")
    return found
