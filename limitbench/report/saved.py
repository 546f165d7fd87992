"""Figures as files: SVG, PNG or PDF, by the name's suffix, on white."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from limitbench.errors import InputError
from limitbench.files import atomic_write
from limitbench.report.svg import ALONE, render

FORMATS = ("svg", "png", "pdf")


def require_format(path: Path, option: str = "--plot") -> str:
    """The format that a name ends in. Raises `InputError` for another."""
    kind = path.suffix.lower().removeprefix(".")
    if kind not in FORMATS:
        raise InputError(f"{option}: found {path.name}, expected a name that ends in .{', .'.join(FORMATS)}")
    return kind


def save(figure: Any, path: Path, name: str, title: str) -> None:
    """Write a figure. Raises `StorageError` where it cannot be written."""
    kind = require_format(path)
    with atomic_write(path) as file:
        if kind == "svg":
            file.write(render(figure, name, title, inline=False).encode())
            return
        for colour, shown in ALONE.items():
            for artist in figure.findobj(lambda a, c=colour: getattr(a, "get_color", lambda: None)() == c):
                artist.set_color(shown)
        figure.savefig(file, format=kind, dpi=150, facecolor="white")
