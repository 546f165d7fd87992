"""`limitbench compare`: recorded results beside the paper's figures."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from limitbench.cli.options import JsonFlag, LeadMeasure, RecordsOf, ResultsFolder, dataset_names, lead
from limitbench.cli.output import echo_json, print_table, say
from limitbench.errors import InputError

if TYPE_CHECKING:
    from limitbench.report import Comparison


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(compare)


def compare(
    results: ResultsFolder = Path("results"),
    dataset: RecordsOf = None,
    all_dims: Annotated[bool, typer.Option("--all-dims", help="The paper's rows at every dimension.")] = False,
    measure: LeadMeasure = None,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write a file instead: .tex, .md, .csv, .jsonl, .parquet.")
    ] = None,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print Markdown tables.")] = False,
    json: JsonFlag = False,
) -> None:
    """Put recorded results beside the paper's published figures."""
    from limitbench.report import compare as comparisons
    from limitbench.report import markdown as as_markdown
    from limitbench.results import Store

    every = comparisons(Store(results), all_dims=all_dims, measure=lead(measure))
    wanted = dataset_names(dataset)
    found = [c for c in every if not wanted or c.dataset in wanted]
    if not found and not dataset and any(True for _ in Store(results)):
        raise InputError(
            f"the records in {results} are of parts of larger corpora alone; see them with: limitbench report"
        )
    if not found:
        which = f" for {', '.join(wanted)}" if wanted else ""
        raise InputError(f"there are no records{which} in {results}; run: limitbench run embedded --results {results}")
    if out is not None:
        from limitbench.report.publish import publish

        publish(found, out)
        say(f"wrote {out}: {sum(len(c.rows) for c in found)} rows")
        return
    if json:
        echo_json({"schema_version": 1, "comparisons": [_json(c) for c in found]})
        return
    for c in found:
        head, rows = _table(c)
        if markdown:
            typer.echo(f"### {c.dataset}\n\n{c.caption}\n\n{as_markdown(head, rows)}\n")
        else:
            print_table(head, rows, title=f"{c.dataset} (percent)", caption=c.caption, keep=3)


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
    """Head and rows: the system, the lead measure and its interval first, so that a narrow terminal has them."""
    from limitbench.report import percent
    from limitbench.report.numbers import interval
    from limitbench.report.story import role
    from limitbench.statistics import shown_interval

    theirs = {title for row in c.rows if row.source == "published" for title in row.means}
    titles = sorted((t for t in c.measures if t != c.headline), key=lambda title: title not in theirs)
    approximate = any(row.of_exact is not None for row in c.rows)
    rows = []
    for row in c.rows:
        values = row.values.get(c.headline)
        rows.append(
            [
                f"{row.system} ({role(row)})" if role(row) != "retriever" else row.system,
                percent(row.means.get(c.headline)),
                interval(shown_interval(values)) if values and row.source == "ours" else "",
                row.origin,
                *(percent(row.means.get(t)) for t in titles),
                str(row.dim or ""),
                *(["" if row.of_exact is None else f"{100 * row.of_exact:.1f}"] if approximate else []),
            ]
        )
    head = ["system", c.headline, "95 % interval", "source", *titles, "dim", *(["of exact"] if approximate else [])]
    return head, rows
