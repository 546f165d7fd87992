"""What each figure shows, in one sentence: its title on the page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from limitbench.capacity.task import OPTIMIZERS
from limitbench.relevance import Qrels
from limitbench.report.drowning import Curve
from limitbench.report.numbers import duration
from limitbench.report.story import percent_of

if TYPE_CHECKING:
    from limitbench.report.figures import Cost, Series
    from limitbench.report.frontier import Frontier
    from limitbench.results import Spectrum


def by_dimension(panels: Mapping[str, Sequence[Series]]) -> str:
    """How far dimensions carry the model that was measured at the most of them, and the best published one."""
    measure, some = next(iter(panels.items()))
    lines = [s for s in some if s.x]
    ours = max((s for s in lines if s.source == "ours"), key=lambda s: (len(s.x or ()), s.y[-1]), default=None)
    theirs = max((s for s in lines if s.source == "published"), key=lambda s: s.y[-1], default=None)
    told = []
    if ours is not None and ours.x is not None and len(ours.x) > 1:
        told.append(f"{ours.name}'s {measure} goes from {_at(ours, 0)} to {_at(ours, -1)}")
    elif ours is not None:
        told.append(f"{ours.name}'s {measure} is {_at(ours, -1)}")
    if theirs is not None:
        told.append(f"the best published single-vector model, {theirs.name}, has {_at(theirs, -1)}")
    return "; ".join(told) or f"{measure} by dimension"


def _at(s: Series, i: int) -> str:
    assert s.x is not None
    return f"{s.y[i]:.1f} % at {s.x[i]:,}" + (" dimensions" if i else "")


def cost(points: Sequence[Cost], measure: str) -> str:
    """The quickest retriever, the best one, and how many between them nothing beats."""
    front = [p for p in points if p.best]
    quick, best = front[0], front[-1]
    if quick is best:
        return f"{best.name} is both the quickest and the best by {measure}: {best.quality.mean:.1f} % in {duration(best.seconds)}"
    between = "" if len(front) == 2 else f", {len(front) - 2} between them"
    return (
        f"{quick.name} is the quickest ({quick.quality.mean:.1f} % in {duration(quick.seconds)}), "
        f"{best.name} the best by {measure} ({best.quality.mean:.1f} % in {duration(best.seconds)}){between}"
    )


def matrix(qrels: Qrels) -> str:
    """How many queries ask for how many documents."""
    sizes = qrels.sizes[qrels.sizes > 0]
    used = len(np.unique(qrels.relevant.indices))
    each = f"{sizes.min()}" if sizes.min() == sizes.max() else f"{sizes.min()} to {sizes.max()}"
    return f"{len(sizes):,} queries ask for {used:,} of {qrels.n_documents:,} documents, {each} at a time"


def corpus_size(curves: Sequence[Curve]) -> str:
    """What the retriever that holds best and the one that falls most lose."""
    here = sorted(curves, key=lambda c: c.points[-1].mean - c.points[0].mean)
    ends = [here[-1], *here[:1]] if len(here) > 1 else here
    told = [
        f"{c.retriever} goes from {percent_of(c.points[0].mean)} % with {c.sizes[0]:,} documents to "
        f"{percent_of(c.points[-1].mean)} % with {c.sizes[-1]:,}"
        for c in ends
    ]
    if len({(c.sizes[0], c.sizes[-1]) for c in ends}) == 1:
        c = ends[0]
        told = [
            f"{c.retriever} goes from {percent_of(c.points[0].mean)} to {percent_of(c.points[-1].mean)} %" for c in ends
        ]
        return f"From {c.sizes[0]:,} to {c.sizes[-1]:,} documents, {', '.join(told)} ({c.measure})"
    return f"{ends[0].measure}: {', '.join(told)}"


def spectra(known: Mapping[str, Spectrum]) -> str:
    """How many directions document vectors use, of the first models."""
    told = [
        f"{name} uses about {s.effective_rank:.0f} of its {s.dim} directions" for name, s in list(known.items())[:2]
    ]
    return "; ".join(told)


def gaps(known: Mapping[str, tuple[int, int]]) -> str:
    """How many queries are answered exactly: (exact, all) by retriever, the best first."""
    found = sorted(known.items(), key=lambda pair: -pair[1][0] / pair[1][1])[:2]
    return "; ".join(f"{name} answers {exact:,} of {count:,} queries exactly" for name, (exact, count) in found)


def frontier(shown: Frontier) -> str:
    """What geometry allows, and what optimizers found."""
    made = [(n, d, solver) for solver, at in shown.reached.items() if solver in OPTIMIZERS for d, n in at.items()]
    n, d, solver = max(made, default=(0, 0, ""))
    found = f"; the largest corpus that an optimizer found here has {n:,} in {d} dimensions ({solver})" if made else ""
    return f"In exact arithmetic, {2 * shown.k} dimensions carry all sets of {shown.k} documents of every corpus{found}"
