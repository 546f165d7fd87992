"""A report as one self-contained HTML page: nothing on it refers to anywhere else."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from limitbench.collection import Dataset
from limitbench.errors import MissingExtra
from limitbench.report import table_rows
from limitbench.report.comparison import first_measure
from limitbench.report.gallery import figures, slug
from limitbench.report.gathered import BenchmarkReport, Table
from limitbench.report.story import CEILINGS, FLOORS, story

_MOST_ROWS = 40_000  # queries on a page, over all runs
_LONG = 28  # characters of a piece of a name that may have to break
_MOST_MEASURES = 5  # of a comparison, so that it fits a laptop's window
_MOST_TEXT = 160  # characters of a document or query


def html(report: BenchmarkReport) -> str:
    """The page. Raises `MissingExtra` without matplotlib and jinja2."""
    page = template("page.html")
    drawn = figures(report)
    tables = []
    for table in report.tables:
        facts, caption = table.facts, table.comparison.caption
        about = f"{facts.documents:,} documents, {facts.queries:,} queries, {facts.relevant:,} relevant pairs."
        tables.append(
            {
                "id": slug(report, table),
                "name": name_of(report, table),
                "about": f"{about} {caption[0].upper()}{caption[1:]}.",
                "headline": table.headline,
                "story": story(table),
                "listing": table_rows.comparison(table, _MOST_MEASURES, latency=report.latency),
                "remarks": table_rows.remarks(report, table),
                "figures": [f for f in drawn if f.section == slug(report, table)],
            }
        )
    sizes = [f for f in drawn if f.section == "corpus-size"]
    runs, payload = _queries(report)
    sections = [("glance", "At a glance"), *((t["id"], t["name"]) for t in tables)]
    sections += [("corpus-size", "Corpus size")] if sizes else []
    sections += [
        ("capacity", "Capacity"),
        *([("queries", "Query by query")] if runs else []),
        ("again", "Run it again"),
    ]
    out: str = page.render(
        report=report,
        names=list(
            dict.fromkeys([*(t.comparison.dataset for t in report.tables), *(c.dataset for c in report.curves)])
        ),
        retrievers=len({r.retriever.name for r in report.records}),
        sections=sections,
        looks=report.looks,
        glance=table_rows.glance(report),
        tables=tables,
        sizes=sizes,
        size_tables=table_rows.corpus_sizes(report),
        capacity=[f for f in drawn if f.section == "capacity"],
        standing=table_rows.standing(report),
        never=table_rows.never_returned(report),
        queries=_inside_script(payload) if runs else "",
        runs=runs,
        opened=_opened(report),
        commands=table_rows.commands(report.records),
    )
    return out


def template(name: str) -> Any:
    """A template of this folder, with the style and the script. Raises `MissingExtra` without jinja2."""
    try:
        import jinja2
    except ModuleNotFoundError:
        raise MissingExtra("the HTML report", "jinja2", "plots") from None
    here = Path(__file__).parent
    room = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, loader=jinja2.FileSystemLoader(here)
    )
    room.filters["parts"] = _parts
    css, js = ((here / f"page.{kind}").read_text(encoding="utf-8") for kind in ("css", "js"))
    return room.get_template(name, globals={"css": css, "js": js})


def name_of(report: BenchmarkReport, table: Table) -> str:
    """The dataset's name, with its digest where another dataset of the report has the same."""
    c = table.comparison
    shared = sum(other.comparison.dataset == c.dataset for other in report.tables) > 1
    return f"{c.dataset} (data {c.sha256[:6]})" if shared else c.dataset


def _parts(name: str) -> Any:
    """A name that breaks between its options and nowhere else."""
    import markupsafe

    pieces = [piece for piece in re.split(r"(?<=[,+/_])", name) if piece]
    shown = (markupsafe.Markup('<span class="{}">{}</span>').format("w" if len(p) > _LONG else "nb", p) for p in pieces)
    return markupsafe.Markup("<wbr>").join(shown)


def _opened(report: BenchmarkReport) -> int:
    """Which run the queries open on: of the retrievers that are no reference, the one that fails most often."""
    best, place = -1, 0
    for number, r in enumerate([r for r in report.plain if r.breakdown is not None]):
        b = r.breakdown
        assert b is not None
        adapter = r.retriever.configuration.get("adapter")
        failing = -1 if adapter in (*CEILINGS, *FLOORS) else sum(b.fails(i) for i in range(len(b.queries)))
        if failing > best:
            best, place = failing, number
    return place


def _inside_script(payload: Any) -> str:
    return json.dumps(payload, ensure_ascii=False, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")


def _queries(report: BenchmarkReport) -> tuple[list[str], dict[str, Any]]:
    """(labels, payload) of the query-by-query part; texts only of datasets that are at hand."""
    chosen = [r for r in report.plain if r.breakdown is not None]
    most = max(50, _MOST_ROWS // max(1, len(chosen)))
    places: dict[str, int] = {}
    numbers: dict[str, tuple[set[int], set[int]]] = {}
    runs = []
    for r in chosen:
        b = r.breakdown
        assert b is not None
        title = first_measure(r.per_query)
        values = r.per_query[title]
        order = sorted(range(len(b.queries)), key=lambda i, b=b, v=values: (not b.fails(i), v[b.queries[i]]))[:most]  # type: ignore[misc]
        rows = [
            {
                "q": b.queries[i],
                "m": values[b.queries[i]],
                "r": list(zip(b.relevant[i], b.ranks[i], strict=True)),
                "l": b.last[i],
                "f": b.fails(i),
                "o": b.others[i],
                "a": b.above[i],
                "g": b.gaps[i],
            }
            for i in order
        ]
        queries, documents = numbers.setdefault(r.dataset.sha256, (set(), set()))
        for i in order:
            queries.add(b.queries[i])
            documents.update(b.above[i], b.relevant[i])
        at = places.setdefault(r.dataset.sha256, len(places))
        runs.append({"dataset": at, "measure": title, "depth": b.depth, "judged": r.dataset.queries, "rows": rows})
    datasets = [_texts(report.data.get(digest), *numbers[digest]) for digest in places]
    return [f"{r.dataset.name}: {report.label(r)}" for r in chosen], {"datasets": datasets, "runs": runs}


def _texts(data: Dataset | None, queries: set[int], documents: set[int]) -> dict[str, dict[int, list[str]]]:
    if data is None:
        return {"queries": {}, "documents": {}}
    return {
        "queries": {q: [data.queries.ids[q], _short(data.queries.texts[q])] for q in sorted(queries)},
        "documents": {d: [data.corpus.ids[d], _short(data.corpus.contents[d])] for d in sorted(documents)},
    }


def _short(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= _MOST_TEXT else f"{text[: _MOST_TEXT - 1]}…"
