"""The leaderboard: `results/README.md` or a page, rendered from the records beside it and from nothing else."""

from __future__ import annotations

from collections.abc import Sequence

from limitbench.report import table_rows
from limitbench.report.gallery import slug
from limitbench.report.gathered import BenchmarkReport, Table
from limitbench.report.numbers import escaped
from limitbench.results import Result

_HEAD = """# Leaderboard

Rendered from the records in this folder by `limitbench leaderboard`. Figures are in percent: in brackets
the worst and best that ties allow, in parentheses the 95 % bootstrap interval over queries (a point where all queries agree: a
bootstrap cannot know more). Published rows are the paper's (arXiv 2508.21038v2), each model at its full dimension. Retrievers that
share a letter are not told apart by the data (paired randomisation of all pairs on the first measure, Holm's correction, 5 %).
Times are in the records, and belong to the machines that they name.

`limitbench leaderboard --out leaderboard.html` renders a page with filters, where a name opens its record. To add a row, run
`limitbench run -d limit-small -r dense:YOUR/MODEL@REVISION --results mine`, then `limitbench results submit --results mine`: it
checks the records and says what to send.
"""


def render(report: BenchmarkReport) -> str:
    """The leaderboard as Markdown: a table for every dataset, and the command of each row of ours."""
    parts = [_HEAD]
    for table in sorted(report.tables, key=_order):
        parts.append(f"## {escaped(table.comparison.dataset)}\n\n{_about(table)}\n")
        parts.append(table_rows.comparison(table, 4, cost=False).markdown())
        parts.append("\n<details><summary>Commands</summary>\n")
        here = (table.comparison.dataset, table.comparison.sha256)
        parts += _commands(report, [r for r in report.records if (r.dataset.name, r.dataset.sha256) == here])
        parts.append("\n</details>\n")
    shown = table_rows.corpus_sizes(report)
    if shown:
        parts.append(
            "## Recall against corpus size\n\nEvery relevant document stays, distractors are drawn: `limitbench drown`.\n"
        )
        parts += [f"{title}:\n\n{one.markdown()}\n" for title, one in shown]
        made = _commands(report, [r for r in report.records if r.dataset.part_of is not None])
        parts += ["<details><summary>Commands</summary>\n", *made, "\n</details>\n"]
    return "\n".join(parts)


def page(report: BenchmarkReport) -> str:
    """The leaderboard as one self-contained HTML page: a tab a dataset, filters, each row's record. Raises `MissingExtra` without
    jinja2."""
    from limitbench.report.page import name_of, template

    tables = [
        {
            "id": slug(report, table),
            "name": name_of(report, table),
            "about": _about(table),
            "headline": table.headline,
            "listing": table_rows.comparison(table, cost=False, records=True),
        }
        for table in sorted(report.tables, key=_order)
    ]
    out: str = template("leaderboard.html").render(
        tables=tables, sizes=table_rows.corpus_sizes(report), records=len(report.records)
    )
    return out


def _about(table: Table) -> str:
    facts = table.facts
    return f"{facts.documents:,} documents, {facts.queries:,} queries; {table.comparison.caption}."


def _order(table: Table) -> tuple[int, str]:
    name = table.comparison.dataset
    return ("limit-small", "limit", "limit-small-synthetic", "limit-synthetic", name).index(name), name


def _commands(report: BenchmarkReport, records: Sequence[Result]) -> list[str]:
    return [
        f"- `{one.command}`: {', '.join(_made(report, r) for r in one.records)}" for one in table_rows.commands(records)
    ]


def _made(report: BenchmarkReport, record: Result) -> str:
    p = record.provenance
    told = f"{str(p.get('time', ''))[:10]}, limitbench {p.get('versions', {}).get('limitbench', '?')}"
    where = f" on {record.dataset.name}" if record.dataset.part_of else ""
    return f"{escaped(report.label(record))}{where} (record {record.configuration_digest[:12]}, {told})"
