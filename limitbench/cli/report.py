"""`limitbench report` and `limitbench leaderboard`: what people look at."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from limitbench.cli.options import (
    IgnoreIdenticalIds,
    LeadMeasure,
    MinGrade,
    RecordsOf,
    ResultsFolder,
    SkipUnanswerable,
    dataset_names,
    lead,
)
from limitbench.cli.output import echo_json, say, status_line
from limitbench.errors import InputError

if TYPE_CHECKING:
    from limitbench.report.gathered import BenchmarkReport

_NAMES = {
    "html": "report.html", "md": "report.md", "json": "report.json", "svg": "figures", "pdf": "figures", "png": "figures",
}  # fmt: skip
_FIGURES = ("svg", "pdf", "png")
_MOST_TOLD = 6  # sentences of a report on the terminal


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(report)
    app.command()(leaderboard)


def report(
    results: ResultsFolder = Path("results"),
    out: Annotated[Path | None, typer.Option(help="A file, or for figures a folder; below --results without.")] = None,
    form: Annotated[str, typer.Option("--format", help="html, md, json; or svg, pdf, png: the figures.")] = "html",
    only: RecordsOf = None,
    data: Annotated[
        list[str] | None, typer.Option("--data", help="Folder of a dataset, for its texts; repeats.")
    ] = None,
    split: Annotated[str, typer.Option(help="Which qrels of those folders.")] = "test",
    min_grade: MinGrade = 1,
    skip_unanswerable: SkipUnanswerable = False,
    ignore_identical_ids: IgnoreIdenticalIds = None,
    all_dims: Annotated[bool, typer.Option("--all-dims", help="The paper's rows at every dimension.")] = False,
    measure: LeadMeasure = None,
    latency: Annotated[bool, typer.Option("--latency/--no-latency", help="Show latencies of queries.")] = True,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout: what was written.")] = False,
) -> None:
    """Make a report of the records: one self-contained HTML page, Markdown, JSON, or the figures.

    Nothing is measured. Records hold no texts; those of generated datasets are made again, others are found with --data FOLDER.
    """
    import json as encoder

    from limitbench.files import atomic_write
    from limitbench.provenance import command
    from limitbench.report import gallery, gathered, page, table_rows

    if form not in _NAMES:
        raise InputError(f"found --format {form}, expected {', '.join(_NAMES)}")
    target = out or results / _NAMES[form]
    with status_line() as status:
        status("reading the records")
        found = gathered.gather(
            results, only=dataset_names(only), places=data or (), all_dims=all_dims, measure=lead(measure), latency=latency,
            command=command(),
            reading={
                "split": split, "min_grade": min_grade, "skip_unanswerable": skip_unanswerable,
                "ignore_identical_ids": ignore_identical_ids,
            },
        )  # fmt: skip
        status("drawing")
        if form in _FIGURES:
            written = gallery.written(found, target, form)
        else:
            written = [target]
            if form == "json":
                text = encoder.dumps(found.to_json(), ensure_ascii=False, indent=1) + "\n"
            else:
                text = page.html(found) if form == "html" else table_rows.as_markdown(found)
            with atomic_write(target) as stream:
                stream.write(text.encode())
    _tell(found, written, form, json)


def _tell(found: BenchmarkReport, written: list[Path], form: str, json: bool) -> None:
    """Say what was written, and which texts are not at hand."""
    from limitbench.report.table_rows import glance

    missing = [t.comparison.dataset for t in found.tables if t.comparison.sha256 not in found.data]
    if missing and form in ("html", *_FIGURES):
        say(
            f"texts and relevance of {', '.join(missing)} are not at hand; --data reads them from a folder or a spec's file"
        )
    told = glance(found) if form in ("html", "md") else []
    if json:
        echo_json({
            "schema_version": 1, "written": [str(path) for path in written], "records": len(found.records),
            "at_a_glance": told,
        })  # fmt: skip
        return
    for line in told[:_MOST_TOLD]:
        typer.echo(f"- {line}")
    if len(told) > _MOST_TOLD:
        typer.echo(f"- and {len(told) - _MOST_TOLD} more, in the report")
    for path in written:
        typer.echo(f"Wrote {path}.")


def leaderboard(
    results: ResultsFolder = Path("results"),
    out: Annotated[Path | None, typer.Option(help="A .md or .html file; README.md below --results without.")] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing; exit with 1 where the file is not up to date.")
    ] = False,
    measure: LeadMeasure = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout: what was written.")] = False,
) -> None:
    """Render the leaderboard of all records beside the paper's rows, each of ours with its command."""
    from limitbench.files import atomic_write
    from limitbench.report import gathered
    from limitbench.report.leaderboard import page, render

    target = out or results / "README.md"
    if target.suffix not in (".md", ".html"):
        raise InputError(f"--out: found {target.name}, expected a name that ends in .md or .html")
    with status_line() as status:
        status("reading the records")
        found = gathered.gather(results, measure=lead(measure), read_data=False)
        text = (page if target.suffix == ".html" else render)(found)
    if check:
        same = target.is_file() and target.read_bytes() == text.encode()
        if json:
            echo_json({"schema_version": 1, "file": str(target), "current": same})
        else:
            say(f"{target} is {'' if same else 'not '}up to date")
        raise typer.Exit(0 if same else 1)
    with atomic_write(target) as stream:
        stream.write(text.encode())
    if json:
        echo_json({"schema_version": 1, "written": [str(target)]})
    else:
        typer.echo(f"Wrote {target}.")
