"""The report's figures: what each one plots, as values, and the drawing of it.

The paper's figures are drawn in ink with hollow marks, ours in colour with filled ones and 95 % intervals. Every plotted series
has a name of its own in the SVG (`published: E5-Mistral 7B, Recall@2`), so that what was drawn can be held against its source.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from limitbench.dtypes import score_error
from limitbench.relevance import Qrels
from limitbench.report.comparison import Comparison, single_vector
from limitbench.report.drowning import Curve
from limitbench.report.numbers import size
from limitbench.report.story import role
from limitbench.report.svg import COLOURS, INK, PAPER, text_of
from limitbench.results import Result
from limitbench.retrievers.spec import shortened
from limitbench.statistics import Interval, shown_interval

_MARKS = "osD^vPX<>h"
_LEVELS = {True: ("--", (0, (8, 2, 2, 2))), False: (":", "-.")}  # ours: another dash where colours begin again


@dataclass(frozen=True)
class Series:
    """One line of a figure: `y` in percent; `low` and `high` are 95 % limits where they are known. `x` None: no dimension."""

    name: str
    source: str  # ours or published
    x: tuple[int, ...] | None
    y: tuple[float, ...]
    low: tuple[float, ...] = ()
    high: tuple[float, ...] = ()


def recall_by_dimension(comparison: Comparison, measure: str) -> list[Series]:
    """Recall against embedding dimension: the paper's Figures 3 (LIMIT) and 4 (LIMIT-small), and ours.

    Ours are single-vector retrievers at fp32 with exact search; what has no dimension is a level. `comparison` holds all
    dimensions.
    """
    lines: dict[tuple[str, str], dict[int | None, tuple[str, float, Interval | None]]] = {}
    for row in comparison.rows:
        mine = row.record
        single = mine is not None and single_vector(mine)
        if measure not in row.means or (mine is not None and single and not plain(mine)):
            continue
        dim = row.dim if mine is None or single else None
        base = row.system
        if mine is not None and single:
            base = json.dumps({k: v for k, v in mine.retriever.configuration.items() if k != "dim"}, sort_keys=True)
        name = shortened(row.system, "dim")
        interval = shown_interval(row.values[measure]) if row.values.get(measure) else None
        lines.setdefault((row.source, base), {})[dim] = (name, 100 * row.means[measure].mean, interval)
    out = []
    for (source, _), points in lines.items():
        dims = sorted(d for d in points if d is not None)
        kept = [points[d] for d in dims] if dims else list(points.values())
        limits = [interval for *_, interval in kept if interval is not None]
        whole = len(limits) == len(kept)
        out.append(
            Series(
                kept[0][0], source, tuple(dims) if dims else None, tuple(y for _, y, _ in kept),
                tuple(100 * i.low for i in limits) if whole else (), tuple(100 * i.high for i in limits) if whole else (),
            )
        )  # fmt: skip
    return sorted(out, key=lambda s: (s.source == "ours", -s.y[-1]))


def plain(record: Result) -> bool:
    """Whether single vectors are searched as they are: fp32, exactly."""
    facts = record.retriever.facts
    return single_vector(record) and facts.get("dtype") == "fp32" and facts.get("index") in ("exact", "flat")


def draw_recall_by_dimension(figure: Any, panels: Mapping[str, Sequence[Series]]) -> None:
    """One panel a measure, dimensions on a logarithmic axis."""
    from matplotlib.ticker import NullLocator

    axes = figure.subplots(1, len(panels), sharex=True, squeeze=False)[0]
    every = [s for some in panels.values() for s in some]
    numbers = {
        source: {name: i for i, name in enumerate(dict.fromkeys(s.name for s in every if s.source == source))}
        for source in ("published", "ours")
    }
    handles: dict[str, Any] = {}
    for ax, (measure, some) in zip(axes, panels.items(), strict=True):
        for s in some:
            line = _draw_series(ax, s, numbers[s.source][s.name])
            line.set_gid(f"{s.source}: {s.name}, {measure}")
            handles.setdefault(f"{s.source}: {s.name}", (line, f"{text_of(s.name)} ({s.source})"))
        ax.set(title=measure, xlabel="dimension", ylim=(-3, 103))
        ax.set_xscale("log", base=2)
        ax.xaxis.set_major_formatter(lambda x, _: f"{x:.0f}")
        ax.xaxis.set_minor_locator(NullLocator())
        ax.tick_params("x", rotation=45)
    axes[0].set_ylabel("percent")
    figure.legend(*zip(*handles.values(), strict=True), loc="outside lower center", ncols=3)


def _draw_series(ax: Any, s: Series, number: int) -> Any:
    """One line or level: in ink and hollow where published, else in the colour of its number, with its intervals."""
    mine, mark = s.source == "ours", _MARKS[number % len(_MARKS)]
    colour, width = (COLOURS[number % len(COLOURS)], 1.8) if mine else (INK, 0.9)
    if s.x is None:
        dash = _LEVELS[mine][number // len(COLOURS) % 2 if mine else number % 2]
        return ax.axhline(s.y[0], ls=dash, zorder=2, color=colour, lw=width)
    if s.low:
        ax.vlines(s.x, s.low, s.high, color=colour, lw=1.2, zorder=3)
    look = {"mfc": colour, "ms": 5, "zorder": 3} if mine else {"mfc": PAPER, "ms": 4.5, "zorder": 2, "alpha": 0.75}
    return ax.plot(s.x, s.y, marker=mark, color=colour, lw=width, **look)[0]


def draw_drowning(figure: Any, curves: Sequence[Curve]) -> None:
    """Recall against corpus size, a panel for each measure."""
    panels = list(dict.fromkeys(c.measure for c in curves))
    names = list(dict.fromkeys(c.retriever for c in curves))
    axes = figure.subplots(1, len(panels), squeeze=False, sharey=True)[0]
    handles: dict[str, Any] = {}
    for ax, measure in zip(axes, panels, strict=True):
        for c in (c for c in curves if c.measure == measure):
            look: dict[str, Any] = {"color": COLOURS[names.index(c.retriever) % len(COLOURS)]}
            y, low, high = ([100 * getattr(p, side) for p in c.points] for side in ("mean", "low", "high"))
            mark = _MARKS[names.index(c.retriever) % len(_MARKS)]
            (line,) = ax.plot(c.sizes, y, marker=mark, ms=5, gid=f"ours: {c.retriever}, {measure}", **look)
            ax.fill_between(c.sizes, low, high, alpha=0.18, lw=0, **look)
            handles.setdefault(c.retriever, (line, text_of(c.retriever)))
        ax.set(title=measure, xscale="log", xlabel="documents", ylim=(-3, 103))
    axes[0].set_ylabel("percent")
    figure.legend(*zip(*handles.values(), strict=True), loc="outside lower center", ncols=3)


@dataclass(frozen=True)
class Cost:
    """One retriever's place in the picture of quality against cost; quality in percent with 95 % limits."""

    name: str
    seconds: float
    nbytes: int
    quality: Interval
    best: bool  # nothing is both better and quicker


def quality_and_cost(comparison: Comparison, measure: str) -> list[Cost]:
    """Our retrievers with a median latency (seconds), an index (bytes) and the measure; oracles and floors are none."""
    found = []
    for row in comparison.rows:
        cost = row.record.cost if row.record is not None else None
        if row.source == "ours" and role(row) == "retriever" and cost is not None and row.values.get(measure):
            quality = shown_interval([100 * x for x in row.values[measure]])
            found.append((row.system, cost.query_latency_p50_seconds, cost.index_bytes, quality))
    return [
        Cost(name, seconds, nbytes, q, not any(s < seconds and o.mean >= q.mean for _, s, _, o in found))
        for name, seconds, nbytes, q in sorted(found, key=lambda one: one[1])
    ]


def draw_cost(figure: Any, points: Sequence[Cost], measure: str) -> None:
    """Quality against median query latency; the mark grows with the index, and what nothing beats is joined."""
    ax = figure.subplots()
    sizes = np.log10([p.nbytes + 1.0 for p in points])
    areas = 30 + 150 * (sizes - sizes.min()) / max(1e-9, np.ptp(sizes))
    front = [p for p in points if p.best]
    ax.step(
        [1e3 * p.seconds for p in front], [p.quality.mean for p in front], where="post", color=INK, lw=0.8, zorder=1
    )
    for i, (p, area) in enumerate(zip(points, areas, strict=True)):
        look: dict[str, Any] = {"color": COLOURS[i % len(COLOURS)]}
        x, mark = 1e3 * p.seconds, _MARKS[i % len(_MARKS)]
        ax.vlines(x, p.quality.low, p.quality.high, lw=1.5, **look)
        ax.scatter([x], [p.quality.mean], s=area, marker=mark, zorder=3, gid=f"ours: {p.name}, {measure}", **look)
        ax.plot([], [], ls="none", marker=mark, ms=7, label=f"{text_of(p.name)} ({size(p.nbytes)})", **look)
    ax.set(xscale="log", xlabel="median latency of a query (ms)", ylabel=f"{measure} (percent)", ylim=(-6, 106))
    figure.legend(loc="outside right upper", title="retriever (index)")


def heat(qrels: Qrels, most: int = 400) -> npt.NDArray[np.float64]:
    """The share of relevant pairs in each cell of a grid of at most most x most, queries down, documents across.

    Queries stand by their first relevant documents, so that structure shows; documents without relevance are left out.
    """
    columns = np.unique(qrels.relevant.indices)
    if not len(columns):
        return np.zeros((1, 1))
    order = sorted((tuple(row), q) for q, row in enumerate(qrels.sets()) if row)
    place = {q: i for i, (_, q) in enumerate(order)}
    rows = np.array([place[q] for q in qrels.relevant.rows.tolist()])
    across = np.searchsorted(columns, qrels.relevant.indices)
    height, width = min(most, len(order)), min(most, len(columns))
    down, side = (np.arange(len(order)) * height // len(order), np.arange(len(columns)) * width // len(columns))
    grid = np.zeros((height, width))
    np.add.at(grid, (down[rows], side[across]), 1)
    return grid / np.outer(np.bincount(down), np.bincount(side))


def draw_heat(figure: Any, qrels: Qrels) -> None:
    """The relevance matrix, and which documents are relevant together."""
    left, right = figure.subplots(1, 2, gridspec_kw={"width_ratios": [1, 1]})
    grid = heat(qrels)
    columns = np.unique(qrels.relevant.indices)
    left.imshow(
        grid,
        aspect="auto",
        cmap="viridis",
        interpolation="nearest",
        extent=(0, len(columns), int((qrels.sizes > 0).sum()), 0),
    )
    left.set(title="relevant (bright)", xlabel="document with a relevant query", ylabel="query, by its documents")
    some = columns[:400]
    chosen = qrels.csr()[:, some]
    together = np.asarray((chosen.T @ chosen).todense(), float)
    np.fill_diagonal(together, 0)
    shown = right.imshow(together, cmap="viridis", interpolation="nearest")
    right.set(title="queries that ask for both", xlabel="document", ylabel="document")
    bar = figure.colorbar(shown, ax=right, shrink=0.8)
    bar.outline.set_visible(False)
    for ax in (left, right):
        ax.grid(visible=False)


def gaps(record: Result) -> npt.NDArray[np.float64] | None:
    """The known score gaps of a cosine retriever's queries, ascending; None where there are none."""
    if record.retriever.facts.get("similarity") != "cosine" or record.breakdown is None:
        return None
    known = [gap for gap in record.breakdown.gaps if gap is not None]
    return np.sort(np.array(known)) if known else None


def draw_gaps(figure: Any, records: Mapping[str, Result]) -> None:
    """The distribution of gaps, and within which a dtype's rounding can turn two scores round."""
    ax = figure.subplots()
    for i, (name, r) in enumerate(records.items()):
        values = gaps(r)
        assert values is not None
        assert r.breakdown is not None
        share = 100 * (np.arange(len(values)) + 1) / len(values)
        label = f"{text_of(name)} ({len(values)} of {len(r.breakdown.gaps)} queries)"
        colour = COLOURS[i % len(COLOURS)]
        ax.step(values, share, where="post", color=colour, lw=1.8, label=label, gid=f"ours: {name}, gaps")
    largest_dim = max(int(r.retriever.facts["dim"]) for r in records.values())
    for dtype, style, shade in (("bf16", ":", 0.08), ("fp16", "--", 0.12)):
        error = 2 * score_error(dtype, largest_dim)
        ax.axvspan(-error, error, color=INK, alpha=shade, lw=0)
        ax.axvline(-error, color=INK, lw=0.8, ls=style)
        ax.axvline(error, color=INK, lw=0.8, ls=style, label=f"{dtype} can turn it round (d = {largest_dim})")
    ax.axvline(0, color=INK, lw=0.8)
    ax.set(xlabel="gap in cosine: last relevant document less best other one", ylim=(-2, 102))
    ax.set_ylabel("queries at or below (percent)")
    figure.legend(loc="outside lower center", ncols=2)


def draw_spectra(figure: Any, records: Mapping[str, Result]) -> None:
    """The share of variance in the first directions of each retriever's document vectors."""
    ax = figure.subplots()
    for i, (name, r) in enumerate(records.items()):
        s = r.spectrum
        assert s is not None
        label = f"{text_of(name)}: effective rank {s.effective_rank:.1f} of {s.dim}"
        shares, colour = 100 * np.cumsum(s.shares), COLOURS[i % len(COLOURS)]
        x = np.arange(1, len(shares) + 1)
        ax.plot(x, shares, color=colour, lw=1.8, label=label, gid=f"ours: {name}, spectrum")
    ax.set(xscale="log", xlabel="directions", ylabel="share of the variance (percent)", ylim=(0, 103))
    figure.legend(loc="outside lower center", ncols=2)
