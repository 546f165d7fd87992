"""Options that several commands share, declared once, and the dataset that they describe."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from limitbench.cli.output import say
from limitbench.errors import InputError, SpecError

if TYPE_CHECKING:
    from limitbench.collection import Dataset
    from limitbench.datasets import Reading
    from limitbench.relevance import Qrels
    from limitbench.results import Result

JsonFlag = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")]
Datasets = Annotated[list[str] | None, typer.Option("-d", "--dataset", help="Name or folder; repeats.")]
OneDataset = Annotated[str, typer.Option("-d", "--dataset", help="Name or folder.")]
Retrievers = Annotated[list[str] | None, typer.Option("-r", "--retriever", help="Name or spec; repeats.")]
Measures = Annotated[str, typer.Option(help="For example Recall@2,10,nDCG@10.")]
LeadMeasure = Annotated[
    str | None,
    typer.Option(
        "--measure", help="The measure that rows are sorted by. [default: Recall@2 for LIMIT, nDCG@10 for other data]"
    ),
]
ResultsFolder = Annotated[Path, typer.Option("--results", help="Folder of the records.")]
Fresh = Annotated[bool, typer.Option("--fresh", help="Measure again what is recorded.")]
ClusterAt = Annotated[
    str | None,
    typer.Option("--cluster", metavar="local|HOST:PORT", help="Points on a Ray cluster: local, auto, or its address."),
]
Device = Annotated[str | None, typer.Option(help="Of models whose spec does not say: auto, cpu, cuda.")]
Precision = Annotated[str | None, typer.Option(help="In which models compute whose spec does not say: fp32, bf16.")]
QrelsSource = Annotated[str | None, typer.Option("--qrels", help="A dataset name, a folder or a qrels file.")]
GradesFrom = Annotated[int | None, typer.Option("--min-grade", help="Grades from here on are relevant.")]
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


RecordsOf = Annotated[
    list[str] | None,
    typer.Option("-d", "--dataset", help="Only of this dataset: a name, folder or spec's file, as for run; repeats."),
]


def lead(measure: str | None) -> str | None:
    """The title of a lead measure as records have it. Raises `SpecError` for one that is none."""
    from limitbench.measures import one_measure

    return None if measure is None else repr(one_measure(measure))


def reading(
    split: str = "test", min_grade: int = 1, skip_unanswerable: bool = False, ignore_identical_ids: bool | None = None
) -> Reading:
    """How a dataset is read, as four options say it."""
    from limitbench.datasets import Reading

    return Reading(
        split=split, min_grade=min_grade, skip_unanswerable=skip_unanswerable, ignore_identical_ids=ignore_identical_ids
    )


def dataset_names(sources: list[str] | None) -> list[str]:
    """The names that records have of these datasets: a folder's is its own, a spec's is its file's; nothing is read."""
    places = {source: Path(source).expanduser() for source in sources or []}
    return [
        place.resolve().name if place.is_dir() else place.stem if place.suffix == ".toml" else source
        for source, place in places.items()
    ]


def read_dataset(source: str, how: Reading) -> Dataset:
    """The dataset of a name or folder; what was left out and assumed is said on stderr."""
    data = how.load(source)
    say_notes(data)
    return data


def say_notes(data: Dataset) -> None:
    """What was left out and assumed on loading."""
    for note in data.notes:
        say(f"{data.name}: {note}")


def say_remarks(result: Result) -> None:
    """What to know of a result before its numbers are read."""
    for remark in result.notes:
        say(f"{result.dataset.name} x {result.retriever.name}: {remark}")


def read_relevance(source: str, split: str = "test", min_grade: int | None = None) -> Qrels:
    """The relevance matrix of a dataset name, a folder, or a qrels file (whose judged documents are then the corpus)."""
    from limitbench.datasets import load
    from limitbench.relevance import graded_note, read_qrels_alone

    path = Path(source).expanduser()
    if path.is_file() and path.suffix != ".toml":
        found = read_qrels_alone(path)[0]
        if min_grade is None and (said := graded_note(found)) is not None:
            say(said)
    else:
        data = load(source, split=split, skip_unanswerable=True)
        say_notes(data)
        found = data.qrels
    if min_grade is not None:
        found = found.at_least(min_grade)
    return found


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


def numbers(text: str, option: str, *, full: int | None = None, least: int = 1) -> list[int]:
    """Numbers with commas between, `full` standing for a number where there is one. Raises `InputError` that names the option."""
    out = []
    for part in (piece.strip() for piece in text.split(",")):
        if part == "full" and full is not None:
            out.append(full)
            continue
        if not part.isdecimal() or int(part) < least:
            word = ", or full" if full is not None else f" from {least} on"
            raise InputError(f"found {option} {text}, expected numbers with commas between{word}")
        out.append(int(part))
    return out
