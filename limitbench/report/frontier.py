"""The frontier picture: critical-n against d. What is proved impossible, what is constructed, what each optimizer reached, what the
paper published, and the cubics fitted to them, dashed where they extrapolate.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from limitbench.capacity.fit import Fit, fit, published
from limitbench.capacity.record import CapacityRecord
from limitbench.capacity.task import OPTIMIZERS
from limitbench.errors import InputError
from limitbench.report.saved import require_format, save
from limitbench.report.svg import INK, drawing
from limitbench.theory import design
from limitbench.theory.codes import kept_by

# Okabe and Ito's colours, told apart by everyone
_COLOURS = {
    "anneal": "#0072B2", "paper": "#D55E00", "sigmoid": "#A0522D", "published": INK, "orbit": "#7A1FA2", "orbit+anneal": "#3B8BBA",
    "cyclic": "#009E73", "random-sign": "#CC79A7",
    "gaussian": "#E69F00", "simplex": "#56B4E9", "simplices": "#E6AB02", "polynomial": "#8A7F00",
}  # fmt: skip
_ENOUGH = 8  # dimensions that a cubic of our own is fitted to


@dataclass(frozen=True)
class Frontier:
    """The series of the picture for one k and margin: {solver: {d: n}}, cubics by name, and the proved region."""

    k: int
    margin: float
    reached: dict[str, dict[int, int]]
    fits: dict[str, Fit]
    impossible: dict[int, int]  # d: the smallest n proved impossible
    codes: dict[int, int] = field(default_factory=dict)  # d: the largest symmetric code of the shipped table, for fp32

    def to_json(self) -> dict[str, Any]:
        """JSON-ready values: the series, and each cubic's coefficients (ascending), standard errors and r2."""
        return {
            "k": self.k,
            "margin": self.margin,
            "reached": {name: {str(d): n for d, n in sorted(at.items())} for name, at in self.reached.items()},
            "published": {str(d): n for d, n in published().items()} if self.k == 2 else {},
            "laws": {
                name: {
                    "evidence": "empirical",
                    "coefficients": [float(c) for c in cubic.coefficients],
                    "standard_errors": [float(e) for e in cubic.errors],
                    "r2": cubic.r2,
                    "fitted_to": [int(cubic.d.min()), int(cubic.d.max())],
                }
                for name, cubic in self.fits.items()
            },
            "symmetric_codes": {str(d): n for d, n in self.codes.items()},
            "proved_impossible": {str(d): n for d, n in self.impossible.items()},
        }


def frontier(records: Iterable[CapacityRecord], *, k: int = 2, margin: float = 0.0) -> Frontier:
    """The frontier of these capacity records: of each solver and dimension the largest verified n in any record with this k and at
    least this margin asked for. Raises `InputError` for a margin outside [0, 1]."""
    if k < 1:
        raise InputError(f"found k = {k}, expected at least 1 relevant document per query")
    if not 0 <= margin <= 1:
        raise InputError(f"found margin = {margin:g}, expected a half-gap on unit vectors, from 0 to 1")
    reached: dict[str, dict[int, int]] = {}
    for record in records:
        shown = record.shown
        if record.key["qrels"] or shown.k != k or (shown.margin or 0.0) < margin or not shown.solved_n:
            continue
        at = reached.setdefault(shown.found_by or shown.solver, {})
        at[shown.d] = max(at.get(shown.d, 0), shown.solved_n)
    cubics = {"published": fit(published())} if k == 2 else {}
    cubics |= {name: fit(reached[name]) for name in OPTIMIZERS if len(reached.get(name, {})) >= _ENOUGH}
    dimensions = sorted(
        {d for at in reached.values() for d in at} | set(range(1, 2 * k)) | (set(published()) if k == 2 else set())
    )
    impossible = {}
    for d in dimensions:
        least = design(None, k, d, "real", margin or None).smallest_impossible_n
        if least is not None and least < 10**15:
            impossible[d] = least
    codes: dict[int, int] = {}
    for code, kept in kept_by("fp32", k):
        if kept >= Fraction(margin) and code.n > max((n for d, n in codes.items() if d <= code.d), default=0):
            codes[code.d] = code.n
    return Frontier(k, margin, reached, cubics, impossible, codes)


def draw(shown: Frontier, out: Path) -> None:
    """Write the picture; the suffix (svg, png, pdf) chooses the format. Raises `MissingExtra` without matplotlib."""
    require_format(out, "--out")
    with drawing(8, 5.5) as figure:
        draw_on(figure.subplots(), shown)
        save(figure, out, "critical-n", "Critical-n against dimension")


def draw_on(axes: Any, shown: Frontier) -> None:
    """Draw the picture on matplotlib's axes."""
    highest = max(
        [
            *(n for at in shown.reached.values() for n in at.values()),
            *shown.codes.values(),
            *(published().values() if shown.k == 2 else ()),
            10,
        ]
    )
    for name, cubic in shown.fits.items():
        _draw_cubic(axes, name, cubic)
    if shown.k == 2:
        table = published()
        axes.plot(
            list(table),
            list(table.values()),
            ".",
            color=INK,
            ms=5,
            gid="published: Table 6",
            label="the paper's Table 6 (published, any margin)",
        )
    if shown.codes:
        axes.plot(list(shown.codes), list(shown.codes.values()), marker="D", ms=4, ls=":", lw=0.8, mfc="none",
                  color=_COLOURS["orbit"], gid="symmetric codes", label="symmetric codes in fp32 (constructed)")  # fmt: skip
    for name, at in shown.reached.items():
        kind = "measured" if name in OPTIMIZERS else "constructed"
        axes.plot(sorted(at), [at[d] for d in sorted(at)], marker="o" if kind == "measured" else "s", ms=5, ls="none",
                  color=_COLOURS[name], mfc=_COLOURS[name] if kind == "measured" else "none",
                  label=f"{name} ({kind}, verified)")  # fmt: skip
    top = 3 * highest
    if shown.impossible:
        top = max(top, 1000 * min(shown.impossible.values()))
        d = sorted(shown.impossible)
        at_gap = f" at half-gap {shown.margin:g}" if shown.margin else ""
        axes.fill_between(d, [shown.impossible[x] for x in d], max(top, 2 * max(shown.impossible.values())), color="#888888",
                          alpha=0.5, lw=0, label=f"proved impossible{at_gap}")  # fmt: skip
    axes.set(yscale="log", xlabel="dimension d", ylabel="documents n", ylim=(shown.k, top))
    if not shown.margin:
        ends = [float(cubic.d.max()) for cubic in shown.fits.values()]
        last = max([2 * shown.k + 1, *(d for at in shown.reached.values() for d in at), *ends])
        told = f"constructed, in exact arithmetic: every n from d = {2 * shown.k} on"
        axes.axvspan(2 * shown.k, 1.5 * last, color=_COLOURS["cyclic"], alpha=0.07, lw=0, label=told)
    gap = f", half-gap at least {shown.margin:g}" if shown.margin else ", any margin"
    axes.set_title(f"All {shown.k}-subsets of n documents in d dimensions{gap}", loc="left")
    axes.legend(fontsize=8, loc="lower right")


def _draw_cubic(axes: Any, name: str, cubic: Fit) -> None:
    """The fit with its 95 % band; dashed for half its range beyond the data."""
    first, last = float(cubic.d.min()), float(cubic.d.max())
    for low_d, high_d, style in ((first, last, "-"), (last, last + (last - first) / 2, "--")):
        d = np.linspace(low_d, high_d, 200)
        fitted, low, high = cubic.at(d)
        dashed = style == "--"
        label = f"{name}: cubic extrapolated (empirical)" if dashed else f"{name}: cubic fit, 95 % band"
        axes.plot(d, _positive(fitted), color=_COLOURS[name], lw=0.8, ls=style, label=label)
        axes.fill_between(
            d, _positive(low), _positive(high), color=_COLOURS[name], alpha=0.08 if dashed else 0.15, lw=0
        )


def _positive(values: Any) -> Any:
    return np.where(values > 0.5, values, np.nan)


def formula(cubic: Fit) -> str:
    """The cubic as text, such as "n = -10.53 + 4.031 d + 0.05202 d^2 + 0.003684 d^3"."""
    names: Sequence[str] = ["", " d", *(f" d^{p}" for p in range(2, cubic.degree + 1))]
    parts = [f"{abs(c):.4g}{name}" for c, name in zip(cubic.coefficients, names, strict=True)]
    signs = ["-" if c < 0 else "+" for c in cubic.coefficients]
    head = f"{'-' if signs[0] == '-' else ''}{parts[0]}"
    return "n = " + head + "".join(f" {sign} {part}" for sign, part in zip(signs[1:], parts[1:], strict=True))
