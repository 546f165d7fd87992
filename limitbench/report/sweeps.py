"""What a sweep of one model shows: quality against the bytes that its index keeps for a document, by dimension, dtype and index."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from limitbench.report.comparison import Comparison, single_vector
from limitbench.report.looks import MARKS, Looks, model_of
from limitbench.report.numbers import size
from limitbench.report.story import role
from limitbench.report.svg import INK, PAPER, Tips, text_of
from limitbench.statistics import Interval, shown_interval

_FEWEST = 3  # points of a sweep
_EXACT = ("exact", "flat")
_MOST_PANELS = 3
_DTYPES = ("fp32", "bf16", "fp16", "int8", "binary")


@dataclass(frozen=True)
class Point:
    """One variant: dimension, dtype and index of its vectors, index bytes a document, quality in percent with 95 % limits."""

    name: str
    dim: int
    dtype: str
    index: str
    nbytes: float
    quality: Interval

    @property
    def told(self) -> str:
        """The variant in words: "dim 64, int8, hnsw"."""
        return ", ".join([f"dim {self.dim}", self.dtype, *([] if self.index in _EXACT else [self.index])])

    def key(self, measure: str) -> str:
        """Its id in a drawing."""
        return f"sweep: {self.name}, {measure}"


def sweeps(comparison: Comparison, measure: str) -> dict[str, list[Point]]:
    """The variants of each model that was swept, by bytes; models with the most variants first."""
    groups: dict[str, dict[tuple[int, str, str], Point]] = {}
    for row in comparison.rows:
        record = row.record
        if record is None or record.cost is None or role(row) != "retriever" or not single_vector(record):
            continue
        if not row.values.get(measure) or "shards" in record.retriever.facts:
            continue
        facts = record.retriever.facts
        dim, dtype, index = int(facts["dim"]), str(facts.get("dtype", "fp32")), str(facts["index"])
        quality = shown_interval([100 * x for x in row.values[measure]])
        nbytes = record.cost.index_bytes / record.dataset.documents
        point = Point(row.system, dim, dtype, index, nbytes, quality)
        groups.setdefault(model_of(row.system), {}).setdefault((dim, dtype, index), point)
    found = {
        model: sorted(points.values(), key=lambda p: (p.nbytes, p.dim, p.dtype, p.index))
        for model, points in groups.items()
        if len(points) >= _FEWEST and len({p.nbytes for p in points.values()}) > 1
    }
    return dict(sorted(found.items(), key=lambda pair: -len(pair[1]))[:_MOST_PANELS])


def finding(found: Mapping[str, Sequence[Point]], measure: str) -> str:
    """What the first of these sweeps shows: the best variant, the smallest that is not clearly worse, and the smallest."""
    model, points = next(iter(found.items()))
    best = max(points, key=lambda p: (p.quality.mean, -p.nbytes))
    enough = min((p for p in points if p.quality.mean >= best.quality.low), key=lambda p: p.nbytes)
    has = "finds" if measure.startswith("Recall@") else "has"
    told = f"{model} {has} {best.quality.mean:.1f} % with {size(best.nbytes)} a document ({best.told})"
    if enough is not best:
        told += f", {enough.quality.mean:.1f} % with {size(enough.nbytes)} ({enough.told})"
    if points[0] is not enough:
        told += f" and {points[0].quality.mean:.1f} % with {size(points[0].nbytes)} ({points[0].told})"
    return f"By {measure}, {told}"


def draw_sweeps(figure: Any, found: Mapping[str, Sequence[Point]], measure: str, looks: Looks) -> None:
    """One panel a model in its colour: a line a dtype along dimensions, hollow marks for approximate indexes."""
    axes = figure.subplots(1, len(found), squeeze=False, sharey=True)[0]
    top = min(103.0, 1.15 * max(p.quality.high for points in found.values() for p in points))
    for ax, (model, points) in zip(axes, found.items(), strict=True):
        colour = looks.of(model).colour
        for dtype, index in dict.fromkeys((p.dtype, p.index) for p in points):
            some = [p for p in points if (p.dtype, p.index) == (dtype, index)]
            line = f"{some[0].key(measure)}, line"
            ax.plot([p.nbytes for p in some], [p.quality.mean for p in some], color=colour, lw=1, alpha=0.6, gid=line)
        for p in points:
            face = colour if p.index in _EXACT else PAPER
            look = {"marker": _mark(p.dtype), "s": 34, "facecolor": face, "edgecolor": colour, "zorder": 3}
            ax.vlines(p.nbytes, p.quality.low, p.quality.high, color=colour, lw=1, gid=f"{p.key(measure)}, interval")
            ax.scatter([p.nbytes], [p.quality.mean], gid=p.key(measure), **look)
            if p.dtype == "fp32" and p.index in _EXACT:
                ax.annotate(str(p.dim), (p.nbytes, p.quality.mean), (4, -11), textcoords="offset points", fontsize=8)
        ax.set(title=text_of(model), xlabel="index bytes a document", ylim=(0, top))
        ax.set_xscale("log", base=2)
        ax.xaxis.set_major_formatter(lambda x, _: f"{x:.0f}")
    axes[0].set_ylabel(f"{measure} (percent)")
    every = [p for points in found.values() for p in points]
    for dtype in [d for d in _DTYPES if any(p.dtype == d for p in every)]:
        axes[0].plot([], [], ls="none", marker=_mark(dtype), ms=6, color=INK, label=dtype)
    others = [p.index for p in every if p.index not in _EXACT]
    if others:
        hollow = ", ".join(sorted(set(others)))
        axes[0].plot([], [], ls="none", marker="o", ms=6, mfc=PAPER, color=INK, label=f"hollow: {hollow}")
    figure.legend(loc="outside lower center", ncols=6)


def _mark(dtype: str) -> str:
    return MARKS[_DTYPES.index(dtype) if dtype in _DTYPES else -1]


def tips_of_sweeps(found: Mapping[str, Sequence[Point]], measure: str) -> dict[str, Tips]:
    """What each variant's mark says, by id; its line and interval belong to the same series."""
    out = {}
    for model, points in found.items():
        for p in points:
            series = p.dtype if p.index in _EXACT else f"{p.dtype}, {p.index}"
            q = p.quality
            told = f"{model}, {p.told}: {measure} {q.mean:.1f} % ({q.low:.1f} to {q.high:.1f}), {size(p.nbytes)} a document"
            out[p.key(measure)] = Tips(series, (told,))
            out |= {f"{p.key(measure)}, {part}": Tips(series) for part in ("interval", "line")}
    return out
