"""`limitbench atlas`: what the judgements of many collections ask of an embedding."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from limitbench.cli.options import ClusterAt, JsonFlag, ResultsFolder, seconds
from limitbench.cli.output import echo_json, print_table, say, status_line, working

if TYPE_CHECKING:
    from limitbench.theory.atlas import Entry


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(atlas)


def atlas(
    folder: Annotated[Path, typer.Argument(help="A folder of qrels files (TREC or BEIR), or of BEIR folders.")],
    notion: Annotated[
        str, typer.Option("--notion", help="order_preserving, sign_rank, global_threshold or cosine.")
    ] = "order_preserving",
    budget: Annotated[str, typer.Option(help="Time of search per file: 5s, 1m.")] = "5s",
    min_grade: Annotated[
        int | None, typer.Option("--min-grade", min=1, help="Grades from here on are relevant.")
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", help="Write the table there, as Markdown.")] = None,
    results: ResultsFolder = Path("results"),
    fresh: Annotated[bool, typer.Option("--fresh", help="Bracket again what is kept.")] = False,
    cluster: ClusterAt = None,
    json: JsonFlag = False,
) -> None:
    """Bracket the dimension that the judgements of many collections need, and keep the certificates.

    One line a qrels file. What is kept (RESULTS/atlas) holds positions and digests, no ids and no texts; the same command goes on
    where it stopped. Check one with: limitbench verify RESULTS/atlas/NAME.NOTION.certificates.json --qrels FILE
    """
    from limitbench.files import atomic_write, require_writable
    from limitbench.theory.atlas import as_markdown
    from limitbench.theory.atlas import atlas as bracket_all

    if out is not None:
        require_writable(out.parent)
    entries = []
    options: dict[str, Any] = {"notion": notion, "budget_s": seconds(budget), "min_grade": min_grade, "fresh": fresh}
    if cluster is not None:
        with working(cluster) as (_, each):
            entries = sorted(
                bracket_all(folder, results / "atlas", told=say, each=each, **options), key=lambda one: one.name
            )
    else:
        with status_line() as status:
            status(f"bracketing the files of {folder}")
            for entry in bracket_all(folder, results / "atlas", told=say, **options):
                entries.append(entry)
                status(f"{len(entries)} done, last {entry.name}: {entry.lower} to {entry.upper}")
    if out is not None:
        with atomic_write(out) as stream:
            stream.write(as_markdown(entries).encode())
        say(f"wrote {out}")
    if json:
        echo_json({"schema_version": 1, "entries": [entry.to_json() for entry in entries]})
        return
    _table(entries, notion)
    where = f"{(results / 'atlas').as_posix()}/NAME.{notion}.certificates.json"
    say(f"certificates: {where}; documents are those that are judged")


def _table(entries: list[Entry], notion: str) -> None:
    head = [
        "collection",
        "dimension",
        "queries",
        "documents",
        "relevant",
        "largest query",
        "shared",
        "lower by",
        "upper by",
        "seconds",
    ]
    rows = []
    for e in entries:
        sizes = [str(e.queries), str(e.documents), str(e.judgements), str(e.widest), f"{e.shared:.0%}"]
        rows.append([e.name, e.interval, *sizes, e.lower_by, e.upper_by, f"{e.seconds:g}"])
    print_table(head, rows, title=f"Least dimension: {notion}", keep=2)
