"""Which figures a report has, with their titles and captions."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from limitbench.measures import parse_measures
from limitbench.report import figures as plots
from limitbench.report.comparison import Comparison, compare
from limitbench.report.frontier import draw_on
from limitbench.report.gathered import BenchmarkReport, Table
from limitbench.report.svg import drawing, render

_PAPERS = {"limit": "Figure 3", "limit-small": "Figure 4"}
_PANELS = parse_measures("Recall@2,10,20,100")
_MOST_LINES = 8  # of retrievers in one picture


@dataclass(frozen=True)
class Figure:
    """One picture: its SVG, what it is, the section it belongs to, how narrow and wide it may be shown (CSS pixels)."""

    name: str
    title: str
    caption: str
    section: str
    svg: str
    least: int
    most: int


@dataclass(frozen=True)
class _FigureSpec:
    """A figure before it is drawn: inches, and what draws it."""

    name: str
    title: str
    caption: str
    section: str
    inches: tuple[float, float]
    draw: Callable[[Any], None]


def figures(report: BenchmarkReport, *, inline: bool = False) -> list[Figure]:
    """Every figure that the records allow, as SVG elements (`inline`) or documents. Raises `MissingExtra` without matplotlib."""
    out = []
    for plan in _plans(report):
        with drawing(*plan.inches) as figure:
            plan.draw(figure)
            svg = render(figure, plan.name, f"{plan.title}. {plan.caption}", inline=inline)
        least, most = min(640, round(plan.inches[0] * 72)), round(plan.inches[0] * 96)
        out.append(Figure(plan.name, plan.title, plan.caption, plan.section, svg, least, most))
    return out


def _plans(report: BenchmarkReport) -> Iterator[_FigureSpec]:
    every = {(c.dataset, c.sha256): c for c in compare(report.records, all_dims=True)}
    for table in report.tables:
        c = table.comparison
        for made in (
            _by_dimension(report, table, every[c.dataset, c.sha256]),
            _cost(report, table),
            _qrels(report, table),
        ):
            if made is not None:
                yield made
    yield from _corpus_size(report)
    yield _FigureSpec(
        "critical-n",
        "Critical-n against dimension",
        "Corpora all of whose pairs d dimensions carry. Shaded left: proved impossible; right of 2k: constructed in exact "
        "arithmetic, for every n. Marks: verified vectors that an optimizer found (measured) or a construction stored in a dtype "
        "gave (constructed), and the paper's Table 6 (published). Lines: cubic fits, which are empirical and bound nothing.",
        "capacity",
        (8, 5.2),
        lambda figure: draw_on(figure.subplots(), report.frontier),
    )
    for table in report.tables:
        yield from _vectors(report, table)


def _by_dimension(report: BenchmarkReport, table: Table, whole: Comparison) -> _FigureSpec | None:
    published = {title for row in whole.rows if row.source == "published" for title in row.means}
    titles = [t for t in map(repr, _PANELS) if t in published & set(whole.measures)]
    panels = {t: plots.recall_by_dimension(whole, t) for t in titles or [table.headline]}
    several = any(s.source == "ours" and s.x and len(s.x) > 1 for some in panels.values() for s in some)
    if not titles and not several:
        return None
    figure = f"The paper's {_PAPERS.get(str(whole.published_as), 'figure')} in ink with hollow marks (published), ours in colour"
    told = f"{figure} with 95 % intervals. " if titles else ""
    return _FigureSpec(
        f"recall-dimension-{slug(report, table)}",
        f"Recall against dimension, {whole.dataset}",
        f"{told}Retrievers without one dimension are horizontal lines. Single vectors at fp32, exact search. "
        f"{whole.caption[0].upper()}{whole.caption[1:]}.",
        slug(report, table),
        (max(6.5, 3.6 * len(panels)), 5.6),
        lambda figure: plots.draw_recall_by_dimension(figure, panels),
    )


def _cost(report: BenchmarkReport, table: Table) -> _FigureSpec | None:
    costs = plots.quality_and_cost(table.comparison, table.headline) if report.latency else []
    if len(costs) < 2:
        return None
    return _FigureSpec(
        f"quality-cost-{slug(report, table)}",
        f"Quality against cost, {table.comparison.dataset}",
        "Median latency of one query (measured on the machine that each record names), without batching; marks grow with "
        "the index; the line joins what no other retriever beats in both. Bars are 95 % intervals over queries.",
        slug(report, table),
        (8, 4.2),
        lambda figure: plots.draw_cost(figure, costs, table.headline),
    )


def _qrels(report: BenchmarkReport, table: Table) -> _FigureSpec | None:
    data = report.data.get(table.comparison.sha256)
    if data is None or not data.qrels.sizes.any():
        return None
    qrels = data.qrels
    used = len(set(qrels.relevant.indices.tolist()))
    return _FigureSpec(
        f"qrels-{slug(report, table)}",
        f"The relevance matrix, {table.comparison.dataset}",
        f"{qrels.n_queries} queries; {used} of {qrels.n_documents} documents are relevant to one of them. Right: how many "
        "queries ask for both of two documents (of the first 400).",
        slug(report, table),
        (8.5, 3.9),
        lambda figure: plots.draw_heat(figure, qrels),
    )


def _corpus_size(report: BenchmarkReport) -> Iterator[_FigureSpec]:
    wholes = list(dict.fromkeys((c.dataset, c.sha256) for c in report.curves))
    for dataset, sha256 in wholes:
        some = [c for c in report.curves if c.sha256 == sha256]
        shared = [name for name, _ in wholes].count(dataset) > 1
        shown = [c for c in some if c.measure in ("Recall@2", "Recall@100")] or some
        yield _FigureSpec(
            f"corpus-size-{_plain(dataset)}{f'-{sha256[:6]}' if shared else ''}",
            f"Recall against corpus size, {dataset}",
            "All relevant documents stay, distractors are drawn, every part is indexed anew. Means over the draws, 95 % "
            "intervals over queries.",
            "corpus-size",
            (max(6.5, 4.2 * len({c.measure for c in shown})), 4.4),
            lambda figure, shown=shown: plots.draw_drowning(figure, shown),  # type: ignore[misc]
        )


def _vectors(report: BenchmarkReport, table: Table) -> Iterator[_FigureSpec]:
    name = table.comparison.dataset
    here = [r for r in table.records if plots.plain(r)]
    spectra = {report.label(r): r for r in [r for r in here if r.spectrum is not None][:_MOST_LINES]}
    if spectra:
        yield _FigureSpec(
            f"spectrum-{slug(report, table)}",
            f"Directions that document vectors use, {name}",
            "The share of variance in the first directions (measured); the effective rank is the exponential of the "
            "spectrum's entropy. n documents span at most n - 1 directions.",
            "capacity",
            (7, 4),
            lambda figure: plots.draw_spectra(figure, spectra),
        )
    with_gaps = {report.label(r): r for r in [r for r in here if plots.gaps(r) is not None][:_MOST_LINES]}
    if with_gaps:
        yield _FigureSpec(
            f"gaps-{slug(report, table)}",
            f"Score gaps against what a dtype resolves, {name}",
            "Right of 0 a query is answered exactly (measured). Shaded: gaps that rounding both sides to the dtype can turn "
            "round, an upper bound. Queries with a relevant document below the depth are left out; at most eight retrievers "
            "are drawn.",
            "capacity",
            (7, 4),
            lambda figure: plots.draw_gaps(figure, with_gaps),
        )


def _plain(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-") or "dataset"


def slug(report: BenchmarkReport, table: Table) -> str:
    """The dataset's name as an anchor, with its digest where two datasets of the report would share it."""
    text = _plain(table.comparison.dataset)
    same = sum(_plain(other.comparison.dataset) == text for other in report.tables)
    return f"data-{text}" if same == 1 else f"data-{text}-{table.comparison.sha256[:6]}"
