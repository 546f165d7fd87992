"""Figures as files: SVG, PNG or PDF, by the name's suffix, on white."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from limitbench.errors import InputError
from limitbench.files import atomic_write
from limitbench.report.svg import ALONE, Tips, render

FORMATS = ("svg", "png", "pdf")
_UNDATED: dict[str, dict[str, Any]] = {"pdf": {"CreationDate": None}, "png": {}}


def require_format(path: Path, option: str = "--plot") -> str:
    """The format that a name ends in. Raises `InputError` for another."""
    kind = path.suffix.lower().removeprefix(".")
    if kind not in FORMATS:
        raise InputError(f"{option}: found {path.name}, expected a name that ends in .{', .'.join(FORMATS)}")
    return kind


def save(figure: Any, path: Path, name: str, title: str, tips: Mapping[str, Tips] | None = None) -> None:
    """Write a figure. Raises `StorageError` where it cannot be written."""
    kind = require_format(path)
    with atomic_write(path) as file:
        if kind == "svg":
            file.write(render(figure, name, title, inline=False, tips=tips).encode())
            return
        _recolour(figure)
        figure.savefig(file, format=kind, dpi=150, facecolor="white", metadata=_UNDATED[kind])


def _recolour(figure: Any) -> None:
    """Give every artist the colours of a page that is white, in place of those that stand for them."""
    from matplotlib.colors import to_rgba

    shown = {to_rgba(placeholder)[:3]: to_rgba(colour)[:3] for placeholder, colour in ALONE.items()}

    def other(value: Any) -> Any:
        """The colour to show, or None where it stays."""
        try:
            red, green, blue, alpha = to_rgba(value)
        except (ValueError, TypeError):
            return None
        found = shown.get((red, green, blue))
        return None if found is None else (*found, alpha)

    figure.draw_without_rendering()  # ticks are made when they are drawn
    for artist in figure.findobj():
        for part in ("color", "facecolor", "edgecolor", "markerfacecolor", "markeredgecolor"):
            get, put = getattr(artist, f"get_{part}", None), getattr(artist, f"set_{part}", None)
            if get is None or put is None or (value := get()) is None:
                continue
            many = getattr(value, "ndim", 1) == 2  # of a collection: a colour a row
            colours = [other(row) or tuple(row) for row in value] if many else other(value)
            if colours is not None and (not many or len(colours)):
                put(colours)
