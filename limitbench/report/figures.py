"""The report's figures: what each one plots, as values, and the drawing of it.

The paper's figures are drawn in ink with hollow marks, ours in colour with filled ones and 95 % intervals. Every plotted series
has a name of its own in the SVG (`published: E5-Mistral 7B, Recall@2`), so that what was drawn can be held against its source.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from limitbench.dtypes import score_error
from limitbench.relevance import Qrels
from limitbench.report.comparison import Comparison, single_vector
from limitbench.report.drowning import Curve
from limitbench.report.looks import MARKS, Looks, model_of
from limitbench.report.numbers import duration, size
from limitbench.report.story import role
from limitbench.report.svg import INK, PAPER, Tips, text_of
from limitbench.results import Result
from limitbench.retrievers.spec import shortened
from limitbench.statistics import Interval, shown_interval

_LEVELS = (":", "-.")  # of published systems without a dimension
SOURCES = {"ours": "measured", "published": "published"}  # what legends call them


@dataclass(frozen=True)
class Series:
    """One line of a figure: `y` in percent; `low` and `high` are 95 % limits where they are known. `x` None: no dimension."""

    name: str
    source: str  # ours or published
    x: tuple[int, ...] | None
    y: tuple[float, ...]
    low: tuple[float, ...] = ()
    high: tuple[float, ...] = ()

    def key(self, measure: str) -> str:
        """The series' id in a drawing."""
        return f"{self.source}: {self.name}, {measure}"

    def tips(self, measure: str) -> Tips:
        """What each of its points says."""
        said = []
        for i, y in enumerate(self.y if self.x else ()):
            limits = f" ({self.low[i]:.1f} to {self.high[i]:.1f})" if self.low else ""
            at = "" if self.x is None else f", {self.x[i]:,} dimensions"
            said.append(f"{self.name} ({SOURCES[self.source]}): {measure} {y:.1f} %{limits}{at}")
        return Tips(self.name, tuple(said))


def recall_by_dimension(comparison: Comparison, measure: str) -> list[Series]:
    """Recall against embedding dimension: the paper's Figures 3 (LIMIT) and 4 (LIMIT-small), and ours.

    Ours are single-vector retrievers at fp32 with exact search; what has no dimension is a level. References (oracles, the
    floor) are left out. `comparison` holds all dimensions.
    """
    lines: dict[tuple[str, str], dict[int | None, tuple[str, float, Interval | None]]] = {}
    for row in comparison.rows:
        mine = row.record
        single = mine is not None and single_vector(mine)
        if measure not in row.means or role(row) != "retriever" or (mine is not None and single and not plain(mine)):
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
    return sorted(_told_apart(out), key=lambda s: (s.source == "ours", -s.y[-1]))


def _told_apart(lines: Sequence[Series]) -> list[Series]:
    """The series with names of their own: those that differ in other options than the dimension alone are numbered."""
    seen: dict[tuple[str, str], int] = {}
    out = []
    for s in lines:
        number = seen[s.source, s.name] = seen.get((s.source, s.name), 0) + 1
        out.append(replace(s, name=f"{s.name} ({number})") if number > 1 else s)
    return out


def plain(record: Result) -> bool:
    """Whether single vectors are searched as they are: fp32, exactly."""
    facts = record.retriever.facts
    return single_vector(record) and facts.get("dtype") == "fp32" and facts.get("index") in ("exact", "flat")


def draw_recall_by_dimension(figure: Any, panels: Mapping[str, Sequence[Series]], looks: Looks) -> None:
    """One panel a measure, dimensions on a logarithmic axis."""
    axes = figure.subplots(1, len(panels), sharex=True, squeeze=False)[0]
    theirs = list(dict.fromkeys(s.name for some in panels.values() for s in some if s.source == "published"))
    handles: dict[str, Any] = {}
    for ax, (measure, some) in zip(axes, panels.items(), strict=True):
        for s in some:
            line = _draw_series(ax, s, looks, theirs, s.key(measure))
            handles.setdefault(f"{s.source}: {s.name}", (line, f"{text_of(s.name)} ({SOURCES[s.source]})"))
        ax.set(title=measure, xlabel="dimension", ylim=(-3, 103))
        _powers_of_two(ax)
        ax.tick_params("x", rotation=45)
    axes[0].set_ylabel("percent")
    if handles:
        figure.legend(*zip(*handles.values(), strict=True), loc="outside lower center", ncols=3)


def _powers_of_two(ax: Any) -> None:
    from matplotlib.ticker import NullLocator

    ax.set_xscale("log", base=2)
    ax.xaxis.set_major_formatter(lambda x, _: f"{x:.0f}")
    ax.xaxis.set_minor_locator(NullLocator())


def _draw_series(ax: Any, s: Series, looks: Looks, theirs: Sequence[str], key: str) -> Any:
    """One line or level: in ink and hollow where published, else in the retriever's colour, with its intervals."""
    mine = s.source == "ours"
    number = 0 if mine else theirs.index(s.name)
    colour, mark, width = (
        (looks.of(s.name).colour, looks.of(s.name).mark, 1.8) if mine else (INK, MARKS[number % len(MARKS)], 0.9)
    )
    if s.x is None:
        dash = "--" if mine else _LEVELS[number % 2]
        return ax.axhline(s.y[0], ls=dash, zorder=2, color=colour, lw=width, gid=key)
    if s.low:
        ax.vlines(s.x, s.low, s.high, color=colour, lw=1.2, zorder=3, gid=f"{key}, interval")
    look = {"mfc": colour, "ms": 5, "zorder": 3} if mine else {"mfc": PAPER, "ms": 4.5, "zorder": 2, "alpha": 0.75}
    return ax.plot(s.x, s.y, marker=mark, color=colour, lw=width, gid=key, **look)[0]


def tips_of(panels: Mapping[str, Sequence[Series]]) -> dict[str, Tips]:
    """What the points of these panels say, by id."""
    out = {}
    for measure, some in panels.items():
        for s in some:
            out[s.key(measure)] = s.tips(measure)
            out[f"{s.key(measure)}, interval"] = Tips(s.name)
    return out


def draw_drowning(figure: Any, curves: Sequence[Curve], looks: Looks) -> None:
    """Recall against corpus size, a panel for each measure."""
    panels = list(dict.fromkeys(c.measure for c in curves))
    axes = figure.subplots(1, len(panels), squeeze=False, sharey=True)[0]
    handles: dict[str, Any] = {}
    for ax, measure in zip(axes, panels, strict=True):
        for c in (c for c in curves if c.measure == measure):
            look, key = looks.of(c.retriever), f"ours: {c.retriever}, {measure}"
            y, low, high = ([100 * getattr(p, side) for p in c.points] for side in ("mean", "low", "high"))
            (line,) = ax.plot(c.sizes, y, marker=look.mark, ms=5, gid=key, color=look.colour)
            ax.fill_between(c.sizes, low, high, alpha=0.18, lw=0, color=look.colour, gid=f"{key}, interval")
            handles.setdefault(c.retriever, (line, text_of(c.retriever)))
        ax.set(title=measure, xscale="log", xlabel="documents", ylim=(-3, 103))
    axes[0].set_ylabel("percent")
    figure.legend(*zip(*handles.values(), strict=True), loc="outside lower center", ncols=3)


def tips_of_curves(curves: Sequence[Curve]) -> dict[str, Tips]:
    """What the points of these curves say, by id."""
    out = {}
    for c in curves:
        said = tuple(
            f"{c.retriever}: {c.measure} {100 * p.mean:.1f} % ({100 * p.low:.1f} to {100 * p.high:.1f}), {n:,} documents"
            for n, p in zip(c.sizes, c.points, strict=True)
        )
        out[f"ours: {c.retriever}, {c.measure}"] = Tips(c.retriever, said)
        out[f"ours: {c.retriever}, {c.measure}, interval"] = Tips(c.retriever)
    return out


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
        alone = row.record is not None and "shards" not in row.record.retriever.facts  # else a share of one batch
        if row.source == "ours" and role(row) == "retriever" and cost is not None and alone and row.values.get(measure):
            quality = shown_interval([100 * x for x in row.values[measure]])
            found.append((row.system, cost.query_latency_p50_seconds, cost.index_bytes, quality))
    return [
        Cost(name, seconds, nbytes, q, not any(s < seconds and o.mean >= q.mean for _, s, _, o in found))
        for name, seconds, nbytes, q in sorted(found, key=lambda one: one[1])
    ]


def draw_cost(figure: Any, points: Sequence[Cost], measure: str, looks: Looks) -> None:
    """Quality against median query latency; the mark grows with the index, and what nothing beats is joined. Variants of a sweep
    are hollow."""
    ax = figure.subplots()
    sizes = np.log10([p.nbytes + 1.0 for p in points])
    areas = 30 + 150 * (sizes - sizes.min()) / max(1e-9, np.ptp(sizes))
    front = [p for p in points if p.best]
    ax.step(
        [1e3 * p.seconds for p in front], [p.quality.mean for p in front], where="post", color=INK, lw=0.8, zorder=1
    )
    names = {p.name for p in points}
    for p, area in zip(points, areas, strict=True):
        model, look, key = model_of(p.name), looks.of(p.name), f"ours: {p.name}, {measure}"
        hollow = p.name != model and model in names
        face = PAPER if hollow else look.colour
        x = 1e3 * p.seconds
        ax.vlines(x, p.quality.low, p.quality.high, lw=1.5, color=look.colour, gid=f"{key}, interval")
        ax.scatter(
            [x], [p.quality.mean], s=area, marker=look.mark, zorder=2 if hollow else 3, gid=key, facecolor=face,
            edgecolor=look.colour,
        )  # fmt: skip
        if not hollow:
            label = f"{text_of(p.name)} ({size(p.nbytes)})"
            ax.plot([], [], ls="none", marker=look.mark, ms=7, label=label, color=look.colour)
    ax.set(xscale="log", xlabel="median latency of a query (ms)", ylabel=f"{measure} (percent)", ylim=(-6, 106))
    figure.legend(loc="outside right upper", title="retriever (index)")


def tips_of_costs(points: Sequence[Cost], measure: str) -> dict[str, Tips]:
    """What each retriever's mark says, by id."""
    out = {}
    for p in points:
        key, q = f"ours: {p.name}, {measure}", p.quality
        told = f"{p.name}: {measure} {q.mean:.1f} % ({q.low:.1f} to {q.high:.1f}), {duration(p.seconds)} a query, {size(p.nbytes)}"
        out[key] = Tips(model_of(p.name), (told,))
        out[f"{key}, interval"] = Tips(model_of(p.name))
    return out


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


def exact_answers(record: Result) -> tuple[int, int]:
    """How many of the queries have all relevant documents above all others, and of how many."""
    assert record.breakdown is not None
    known = record.breakdown.gaps
    return sum(gap is not None and gap > 0 for gap in known), len(known)


def draw_gaps(figure: Any, records: Mapping[str, Result], looks: Looks) -> None:
    """The distribution of gaps, and within which a dtype's rounding can turn two scores round."""
    ax = figure.subplots()
    for name, r in records.items():
        values = gaps(r)
        assert values is not None
        assert r.breakdown is not None
        share = 100 * (np.arange(len(values)) + 1) / len(values)
        label = f"{text_of(name)} ({len(values)} of {len(r.breakdown.gaps)} queries)"
        colour = looks.of(name).colour
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


def draw_spectra(figure: Any, records: Mapping[str, Result], looks: Looks) -> None:
    """The share of variance in the first directions of each retriever's document vectors."""
    ax = figure.subplots()
    for name, r in records.items():
        s = r.spectrum
        assert s is not None
        label = f"{text_of(name)}: effective rank {s.effective_rank:.1f} of {s.dim}"
        shares, colour = 100 * np.cumsum(s.shares), looks.of(name).colour
        x = np.arange(1, len(shares) + 1)
        ax.plot(x, shares, color=colour, lw=1.8, label=label, gid=f"ours: {name}, spectrum")
    ax.set(xscale="log", xlabel="directions", ylabel="share of the variance (percent)", ylim=(0, 103))
    figure.legend(loc="outside lower center", ncols=2)
