"""Which figures a report has, with their titles and captions."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from limitbench.measures import parse_measures
from limitbench.report import figures as plots
from limitbench.report import findings
from limitbench.report.comparison import Comparison, compare
from limitbench.report.frontier import draw_on
from limitbench.report.gathered import BenchmarkReport, Table
from limitbench.report.looks import model_of
from limitbench.report.saved import save
from limitbench.report.svg import Tips, drawing, render
from limitbench.report.sweeps import draw_sweeps, finding, sweeps, tips_of_sweeps
from limitbench.results import Result

_PAPERS = {"limit": "Figure 3", "limit-small": "Figure 4"}
_PANELS = parse_measures("Recall@2,10,20,100")
_MOST_LINES = 8  # of retrievers in one picture


@dataclass(frozen=True)
class Figure:
    """One picture: its SVG, what it shows, how to read it, its section, how narrow and wide it may be shown (CSS pixels)."""

    name: str
    title: str
    caption: str
    section: str
    svg: str
    least: int
    most: int


@dataclass(frozen=True)
class _FigureSpec:
    """A figure before it is drawn: inches, what draws it, and what its marks say."""

    name: str
    title: str
    caption: str
    section: str
    inches: tuple[float, float]
    draw: Callable[[Any], None]
    tips: Mapping[str, Tips] = field(default_factory=dict)


def figures(report: BenchmarkReport) -> list[Figure]:
    """Every figure that the records allow, as SVG elements for a page. Raises `MissingExtra` without matplotlib."""
    out = []
    for plan in _plans(report):
        with drawing(*plan.inches) as figure:
            plan.draw(figure)
            svg = render(figure, plan.name, f"{plan.title}. {plan.caption}", inline=True, tips=plan.tips)
        least, most = min(640, round(plan.inches[0] * 72)), round(plan.inches[0] * 96)
        out.append(Figure(plan.name, plan.title, plan.caption, plan.section, svg, least, most))
    return out


def written(report: BenchmarkReport, folder: Path, kind: str) -> list[Path]:
    """Every figure as a file of this format (svg, pdf, png) in a folder; the paths. Raises `MissingExtra` without matplotlib,
    `StorageError`."""
    out = []
    for plan in _plans(report):
        out.append(folder / f"{plan.name}.{kind}")
        with drawing(*plan.inches) as figure:
            plan.draw(figure)
            save(figure, out[-1], plan.name, f"{plan.title}. {plan.caption}", plan.tips)
    return out


def _plans(report: BenchmarkReport) -> Iterator[_FigureSpec]:
    every = {(c.dataset, c.sha256): c for c in compare(report.records, all_dims=True)}
    for table in report.tables:
        c = table.comparison
        for made in (
            _by_dimension(report, table, every[c.dataset, c.sha256]),
            _sweep(report, table),
            _cost(report, table),
            _qrels(report, table),
        ):
            if made is not None:
                yield made
    yield from _corpus_size(report)
    yield _FigureSpec(
        "critical-n",
        findings.frontier(report.frontier),
        "Critical-n against dimension: corpora all of whose pairs d dimensions carry. "
        "Shaded left: proved impossible; right of 2k: constructed in exact arithmetic, for every n. "
        "Marks: verified vectors that an optimizer found (measured) or a construction stored in a dtype gave (constructed), "
        "and the paper's Table 6 (published). Lines: cubic fits, which are empirical and bound nothing.",
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
        findings.by_dimension(panels),
        f"{_kinds(panels)} against dimension, {whole.dataset}. {told}"
        "Retrievers without one dimension are horizontal lines. Single vectors at fp32, exact search. "
        f"{whole.caption[0].upper()}{whole.caption[1:]}.",
        slug(report, table),
        (max(6.5, 3.6 * len(panels)), 5.6),
        lambda figure: plots.draw_recall_by_dimension(figure, panels, report.looks),
        plots.tips_of(panels),
    )


def _sweep(report: BenchmarkReport, table: Table) -> _FigureSpec | None:
    found = sweeps(table.comparison, table.headline)
    if not found:
        return None
    return _FigureSpec(
        f"sweep-{slug(report, table)}",
        finding(found, table.headline),
        f"Variants of a model on {table.comparison.dataset}, by what the index keeps for a document. "
        "Small numbers are dimensions of fp32 vectors. Bars are 95 % intervals over queries.",
        slug(report, table),
        (max(5.5, 4.2 * len(found)), 4.2),
        lambda figure: draw_sweeps(figure, found, table.headline, report.looks),
        tips_of_sweeps(found, table.headline),
    )


def _cost(report: BenchmarkReport, table: Table) -> _FigureSpec | None:
    costs = plots.quality_and_cost(table.comparison, table.headline) if report.latency else []
    if len(costs) < 2:
        return None
    return _FigureSpec(
        f"quality-cost-{slug(report, table)}",
        findings.cost(costs, table.headline),
        f"Quality against cost, {table.comparison.dataset}. "
        "Median latency of one query, without batching, measured on the machine that each record names. "
        "Marks grow with the index; the line joins what no other retriever beats in both. "
        "Hollow marks are variants of a model. Bars are 95 % intervals over queries.",
        slug(report, table),
        (8, 4.2),
        lambda figure: plots.draw_cost(figure, costs, table.headline, report.looks),
        plots.tips_of_costs(costs, table.headline),
    )


def _qrels(report: BenchmarkReport, table: Table) -> _FigureSpec | None:
    data = report.data.get(table.comparison.sha256)
    if data is None or not data.qrels.sizes.any():
        return None
    qrels = data.qrels
    return _FigureSpec(
        f"qrels-{slug(report, table)}",
        findings.matrix(qrels),
        f"The relevance matrix, {table.comparison.dataset}. Right: how many queries ask for both of two documents (of the first "
        f"400).",
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
            findings.corpus_size([c for c in shown if c.measure == shown[0].measure]),
            f"{_kinds(c.measure for c in shown)} against corpus size, {dataset}. "
            "All relevant documents stay, distractors are drawn, every part is indexed anew. "
            "Means over the draws, 95 % intervals over queries.",
            "corpus-size",
            (max(6.5, 4.2 * len({c.measure for c in shown})), 4.4),
            lambda figure, shown=shown: plots.draw_drowning(figure, shown, report.looks),  # type: ignore[misc]
            plots.tips_of_curves(shown),
        )


def _vectors(report: BenchmarkReport, table: Table) -> Iterator[_FigureSpec]:
    name = table.comparison.dataset
    here = _one_a_model(report, [r for r in table.records if plots.plain(r)])
    spectra = {label: r for label, r in here.items() if r.spectrum is not None}
    if spectra:
        yield _FigureSpec(
            f"spectrum-{slug(report, table)}",
            findings.spectra({label: r.spectrum for label, r in spectra.items() if r.spectrum is not None}),
            f"Directions that document vectors use, {name}: the share of variance in the first directions (measured). "
            "The effective rank is the exponential of the spectrum's entropy. n documents span at most n - 1 directions.",
            "capacity",
            (7, 4),
            lambda figure: plots.draw_spectra(figure, spectra, report.looks),
            {f"ours: {label}, spectrum": Tips(label) for label in spectra},
        )
    with_gaps = {label: r for label, r in here.items() if plots.gaps(r) is not None}
    if with_gaps:
        yield _FigureSpec(
            f"gaps-{slug(report, table)}",
            findings.gaps({label: plots.exact_answers(r) for label, r in with_gaps.items()}),
            f"Score gaps against what a dtype resolves, {name}. Right of 0 a query is answered exactly (measured). "
            "Shaded: gaps that rounding both sides to the dtype can turn round, an upper bound. "
            "Queries with a relevant document below the depth are left out; at most eight retrievers are drawn.",
            "capacity",
            (7, 4),
            lambda figure: plots.draw_gaps(figure, with_gaps, report.looks),
            {f"ours: {label}, gaps": Tips(label) for label in with_gaps},
        )


def _one_a_model(report: BenchmarkReport, records: list[Result]) -> dict[str, Result]:
    """By label, the variant of each model with the most dimensions, the plain one first; as many as a picture holds."""
    chosen: dict[str, tuple[int, str, Result]] = {}
    for r in records:
        label = report.label(r)
        mine = (int(r.retriever.facts["dim"]), label, r)
        other = chosen.get(model_of(label))
        if other is None or (mine[0], label == model_of(label)) > (other[0], other[1] == model_of(label)):
            chosen[model_of(label)] = mine
    return {label: r for _, label, r in list(chosen.values())[:_MOST_LINES]}


def _kinds(measures: Iterable[str]) -> str:
    """The measures without their cutoffs: "Recall", or "Recall and nDCG"."""
    return " and ".join(dict.fromkeys(title.partition("@")[0] for title in measures))


def _plain(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-") or "dataset"


def slug(report: BenchmarkReport, table: Table) -> str:
    """The dataset's name as an anchor, with its digest where two datasets of the report would share it."""
    text = _plain(table.comparison.dataset)
    same = sum(_plain(other.comparison.dataset) == text for other in report.tables)
    return f"data-{text}" if same == 1 else f"data-{text}-{table.comparison.sha256[:6]}"
