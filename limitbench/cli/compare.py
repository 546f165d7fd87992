"""`limitbench compare`: recorded results beside the paper's figures."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from limitbench.cli.options import JsonFlag, ResultsFolder
from limitbench.cli.output import echo_json, print_table
from limitbench.errors import InputError

if TYPE_CHECKING:
    from limitbench.report import Comparison


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(compare)


def compare(
    results: ResultsFolder = Path("results"),
    dataset: Annotated[list[str] | None, typer.Option("-d", "--dataset", help="Only these; repeats.")] = None,
    all_dims: Annotated[bool, typer.Option("--all-dims", help="The paper's rows at every dimension.")] = False,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print Markdown tables.")] = False,
    json: JsonFlag = False,
) -> None:
    """Put recorded results beside the paper's published figures."""
    from limitbench.report import compare as comparisons
    from limitbench.report import markdown as as_markdown
    from limitbench.results import Store

    found = [c for c in comparisons(Store(results), all_dims=all_dims) if not dataset or c.dataset in dataset]
    if not found and not dataset and any(True for _ in Store(results)):
        raise InputError(
            f"the records in {results} are of parts of larger corpora alone; see them with: limitbench report"
        )
    if not found:
        wanted = f" for {', '.join(dataset)}" if dataset else ""
        raise InputError(f"there are no records{wanted} in {results}; run: limitbench run embedded --results {results}")
    if json:
        echo_json({"schema_version": 1, "comparisons": [_json(c) for c in found]})
        return
    for c in found:
        head, rows = _table(c)
        if markdown:
            typer.echo(f"### {c.dataset}\n\n{c.caption}\n\n{as_markdown(head, rows)}\n")
        else:
            print_table(head, rows, title=f"{c.dataset} (percent)", caption=c.caption)


def _json(c: Comparison) -> dict[str, Any]:
    rows = [
        {
            "system": row.system,
            "source": row.source,
            "dim": row.dim,
            "of_exact": row.of_exact,
            "measures": {title: means.model_dump() for title, means in row.means.items()},
            "command": row.record.provenance.get("command") if row.record else None,
        }
        for row in c.rows
    ]
    return {"dataset": c.dataset, "published_as": c.published_as, "rows": rows}


def _table(c: Comparison) -> tuple[list[str], list[list[str]]]:
    """Head and rows; the measures that the paper has come first, and the dimension after four of them."""
    from limitbench.report import percent

    theirs = {title for row in c.rows if row.source == "published" for title in row.means}
    titles = sorted(c.measures, key=lambda title: title not in theirs)
    first, more = titles[:4], titles[4:]
    approximate = any(row.of_exact is not None for row in c.rows)
    rows = [
        [
            row.system,
            row.source,
            *(percent(row.means.get(t)) for t in first),
            str(row.dim or ""),
            *(percent(row.means.get(t)) for t in more),
            *(["" if row.of_exact is None else f"{100 * row.of_exact:.1f}"] if approximate else []),
        ]
        for row in c.rows
    ]
    return ["system", "source", *first, "dim", *more, *(["of exact"] if approximate else [])], rows
