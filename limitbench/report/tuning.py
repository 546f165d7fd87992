"""An engine's settings as the field draws them: agreement with exact search by its logit, queries a second by their logarithm."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from limitbench.evaluation import Tuning
from limitbench.report.saved import require_format, save
from limitbench.report.svg import COLOURS, GRID, INK, drawing, text_of


def draw(found: Tuning, path: Path) -> None:
    """Write the figure. Raises `InputError` for another suffix, `StorageError` where it cannot be written."""
    require_format(path)
    least = 1 / (2 * max(p.found.queries * p.found.depth for p in found.points))  # a logit has neither 0 nor 1
    with drawing(7, 4.5) as figure:
        ax = figure.add_subplot()
        for number, build in enumerate(dict.fromkeys(tuple(p.build.items()) for p in found.points)):
            mine = [p for p in found.points if tuple(p.build.items()) == build]
            x = np.clip([p.found.agreement.mean for p in mine], least, 1 - least)
            name = text_of(", ".join(f"{key} {value}" for key, value in build) or "usual")
            ax.plot(x, [p.found.qps for p in mine], "o", ms=5, color=COLOURS[number % len(COLOURS)], label=name)
        front = sorted((p for p in found.points if p.on_frontier), key=lambda p: p.found.agreement.mean)
        x = np.clip([p.found.agreement.mean for p in front], least, 1 - least)
        ax.plot(x, [p.found.qps for p in front], "-", lw=1.2, color=INK, label="frontier")
        ax.axvline(min(found.target, 1 - least), ls=":", lw=1.2, color=INK, label=f"target {found.target:g}")
        ax.set_xscale("logit")
        ax.set_yscale("log")
        ax.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
        ax.xaxis.set_minor_formatter(lambda value, _: f"{value:g}" if 0.15 < value < 0.85 else "")
        ax.grid(True, which="both", color=GRID)
        depth = found.points[0].found.depth
        ax.set_xlabel(f"share of exact search's best {depth} that is found (logit)")
        ax.set_ylabel("single queries a second (log)")
        ax.set_title(text_of(f"{found.retriever} on {found.dataset}"))
        ax.legend()
        save(figure, path, "tuning", f"Agreement against throughput of {found.retriever}")
