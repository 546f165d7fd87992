"""Numbers as people read them: percent with one decimal, ties as a range, bytes and seconds with units."""

from __future__ import annotations

from limitbench.results import Means
from limitbench.statistics import Interval


def percent(means: Means | None) -> str:
    """ "97.8", or "12.0 [10.8, 12.8]" where ties move the figure by a tenth of a point or more; "" without one."""
    if means is None:
        return ""
    low, mid, high = (f"{100 * x:.1f}" for x in (means.worst, means.mean, means.best))
    return mid if low == high else f"{mid} [{low}, {high}]"


def interval(found: Interval | None) -> str:
    """A 95 % interval in percent: "14.5 to 17.7"; "" without one."""
    return "" if found is None else f"{100 * found.low:.1f} to {100 * found.high:.1f}"


def size(count: float) -> str:
    """Bytes with a decimal unit: "1.5 MB"."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} TB"


def duration(seconds: float) -> str:
    """Seconds with a unit: "3.2 ms", "19 min", "3.1 h"."""
    if seconds >= 120:
        return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
    for factor, unit in ((1.0, "s"), (1e-3, "ms"), (1e-6, "us")):
        if seconds >= factor:
            return f"{seconds / factor:.3g} {unit}"
    return f"{seconds / 1e-9:.3g} ns"


def escaped(text: str) -> str:
    """Text that Markdown shows as it is, on one line."""
    plain = " ".join(text.split()) if "\n" in text or "\r" in text else text
    return plain.replace("&", "&amp;").replace("<", "&lt;").replace("|", "\\|").replace("`", "\\`")


def markdown(head: list[str], rows: list[list[str]]) -> str:
    """A GitHub-flavoured Markdown table, numbers to the right."""

    def line(cells: list[str]) -> str:
        return "| " + " | ".join(map(escaped, cells)) + " |"

    return "\n".join([line(head), line(["---", *["---:"] * (len(head) - 1)]), *map(line, rows)])
