"""matplotlib's figures as SVG text that follows a page's colours, or stands alone on white.

Ink and grid are drawn in two colours that mean nothing, so that they can be exchanged afterwards: for `currentColor` and a
variable of the page inline, for greys in a file.
"""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from xml.sax.saxutils import escape, quoteattr

from limitbench.errors import MissingExtra

INK, GRID, PAPER = "#010203", "#040506", "#070809"
# Okabe and Ito's colours, told apart by everyone; ink is for what was published
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#8A7F00", "#7B68C8")
_QUOTES = {'"': "&quot;", "'": "&#39;"}  # as matplotlib writes them in an attribute
_MOST_TEXT = 40  # characters of a name in a legend
_INLINE = {INK: "currentColor", GRID: "var(--grid)", PAPER: "var(--paper)"}
ALONE = {INK: "#222222", GRID: "#c8c8c8", PAPER: "#ffffff"}


@contextmanager
def drawing(width: float, height: float) -> Iterator[Any]:
    """A matplotlib figure of that many inches, closed at the end. Raises `MissingExtra` without matplotlib."""
    try:
        import matplotlib as mpl

        mpl.use("Agg")
        from matplotlib import pyplot as plt
    except ImportError:
        raise MissingExtra("drawing", "matplotlib", "plots") from None
    style: Any = {
        "svg.hashsalt": "limitbench", "svg.fonttype": "none", "font.family": "sans-serif", "font.size": 10, "text.color": INK,
        "axes.edgecolor": GRID, "axes.labelcolor": INK, "axes.titlelocation": "left", "axes.titlesize": 10,
        "axes.spines.top": False, "axes.spines.right": False, "axes.axisbelow": True, "axes.grid": True, "grid.color": GRID,
        "grid.linewidth": 0.6, "xtick.color": INK, "ytick.color": INK, "xtick.major.size": 3, "ytick.major.size": 3,
        "legend.frameon": False, "legend.fontsize": 9, "figure.facecolor": "none", "axes.facecolor": "none",
        "savefig.facecolor": "none",
    }  # fmt: skip
    with mpl.rc_context(style):
        figure = plt.figure(figsize=(width, height), layout="constrained")
        try:
            yield figure
        finally:
            plt.close(figure)


def text_of(name: str) -> str:
    """A name as matplotlib shows it literally, cut in the middle where it is long.

    No mathematics, and no underscore first, which would hide it from a legend.
    """
    plain = " ".join(name.split())
    half = _MOST_TEXT // 2  # models are told apart by what stands last
    shown = (plain if len(plain) <= _MOST_TEXT else f"{plain[: half - 1]}…{plain[-half:]}").replace("$", r"\$")
    return f" {shown}" if shown.startswith("_") else shown


@dataclass(frozen=True)
class Tips:
    """What a drawn series is: the retriever's name, and a sentence for each of its marks, in order."""

    series: str
    marks: tuple[str, ...] = ()


def render(figure: Any, name: str, title: str, *, inline: bool, tips: Mapping[str, Tips] | None = None) -> str:
    """The figure as an SVG element (`inline`) or document. The same figure gives the same bytes.

    Every id begins with `name`, so that several can stand on one page; `title` is what a screen reader says. `tips` has what
    is said of marks that a pointer rests on, by the series' ids.
    """
    stream = io.BytesIO()
    with warnings.catch_warnings():  # the browser has fonts for what matplotlib's own lacks
        warnings.filterwarnings("ignore", message="Glyph .* missing")
        figure.savefig(stream, format="svg", metadata={"Date": None, "Creator": None})
    text = stream.getvalue().decode()
    for colour, shown in (_INLINE if inline else ALONE).items():
        text = text.replace(colour, shown)
    text = re.sub(r'(\bid=")', rf"\g<1>{name}-", text)
    text = re.sub(r'(href="#|url\(#)', rf"\g<1>{name}-", text)
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.S)
    for key, told in (tips or {}).items():
        text = _told(text, f"{name}-{key}", told)
    start = text.index("<svg")
    end = text.index(">", start)
    head = (
        f'{text[start:end]} role="img" aria-labelledby="{name}-title"><title id="{name}-title">{escape(title)}</title>'
    )
    if inline:  # as wide as its place
        return re.sub(r' (?:width|height)="[^"]*"', "", head) + text[end + 1 :].rstrip()
    return text[:start] + head + '<rect width="100%" height="100%" fill="#ffffff"/>' + text[end + 1 :]


def _told(text: str, key: str, tips: Tips) -> str:
    """The SVG with the tips of the series of this id, whose group ends where the next one begins."""
    head = f'<g id="{escape(key, _QUOTES)}"'
    start = text.find(head)
    if start < 0:
        return text
    end = text.find("<g id=", start + 1)
    end = len(text) if end < 0 else end
    said = iter(tips.marks)

    def mark(found: re.Match[str]) -> str:
        sentence = next(said, None)
        return found[0] if sentence is None else f"<use {found[1]}><title>{escape(sentence)}</title></use>"

    part = re.sub(r"<use ([^>]*?) ?/>", mark, text[start:end])
    return f"{text[:start]}{head} data-series={quoteattr(tips.series)}{part[len(head) :]}{text[end:]}"
