"""What a dataset's records say in one sentence and one picture: who finds most, who finds least, what chance would find.

Oracles, ceilings and the floor are no retrievers: they are reference lines, and never the best of anything.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from limitbench.report.comparison import Row, single_vector
from limitbench.report.looks import model_of
from limitbench.report.numbers import interval
from limitbench.retrievers.spec import shortened
from limitbench.statistics import Interval

if TYPE_CHECKING:
    from limitbench.report.gathered import Table

CEILINGS = ("exact", "tfidf-items", "free", "constructed")  # adapters that know the answers, or the form of the texts
FLOORS = ("random", "gaussian")
_FAR = 0.05  # by which ties move a value before a sentence tells it


@dataclass(frozen=True)
class Dot:
    """One row of the picture: fractions in [0, 1]. `more` counts variants of the same model that are not shown."""

    name: str
    source: str
    value: float
    limits: Interval | None
    more: int = 0


@dataclass(frozen=True)
class Line:
    """A reference line: a fraction in [0, 1], and what it is."""

    name: str
    value: float

    @property
    def shown(self) -> str:
        """In percent."""
        return percent_of(self.value)


def percent_of(share: float) -> str:
    """A fraction in percent: "4.3", and "0.004" where a decimal would show nothing."""
    return f"{100 * share:.1f}" if share >= 5e-4 or not share else f"{100 * share:.1g}"


@dataclass(frozen=True)
class Story:
    """One dataset by one measure: the sentence, the rows from best to worst, and the reference lines."""

    measure: str
    sentence: str
    dots: tuple[Dot, ...]
    lines: tuple[Line, ...]
    filled: str = "measured here"
    hollow: bool = False  # whether published rows are shown


def role(row: Row) -> str:
    """ceiling, floor or retriever."""
    adapter = "" if row.record is None else row.record.retriever.configuration.get("adapter")
    return "ceiling" if adapter in CEILINGS else "floor" if adapter in FLOORS else "retriever"


def chance(table: Table) -> float | None:
    """What a ranking at random has of the lead measure; known of recall alone."""
    name, _, cutoff = table.headline.partition("@")
    return min(1.0, int(cutoff) / table.facts.documents) if name == "Recall" and cutoff.isdecimal() else None


def story(table: Table) -> Story:
    """The story of a dataset's table."""
    measure = table.headline
    rows = [row for row in table.comparison.rows if measure in row.means]
    shown = _folded([row for row in rows if role(row) == "retriever"], measure)
    dots = tuple(
        Dot(
            shortened(row.system, "dim") if more and row.source == "ours" else row.system, row.source, row.means[measure].mean,
            table.intervals.get(row.system, {}).get(measure) if row.source == "ours" else None, more,
        )
        for row, more in shown
    )  # fmt: skip
    ceilings = [row for row in rows if role(row) == "ceiling"]
    lines = []
    if ceilings:
        best = max(ceilings, key=lambda row: row.means[measure].mean)
        lines.append(Line(f"oracle {shortened(best.system, 'dim')}", best.means[measure].mean))
    floor = chance(table)
    if floor is not None:
        lines.append(Line("chance", floor))
    origins = {row.origin for row, _ in shown}
    filled = " or ".join(
        {"measured": "measured here", "imported": "imported"}[o] for o in ("measured", "imported") if o in origins
    )
    sentence = _sentence(table, dots, [row for row, _ in shown], floor)
    return Story(measure, sentence, dots, tuple(lines), filled or "measured here", "published" in origins)


def _folded(rows: list[Row], measure: str) -> list[tuple[Row, int]]:
    """One row a model, from best to worst: the plain one, else the best of its variants; and how many others it has."""
    groups: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        name = model_of(row.system) if row.source == "ours" else row.system
        groups.setdefault((row.source, name), []).append(row)
    chosen = []
    for (_, name), same in groups.items():
        plain = [row for row in same if row.system == name]
        first = plain[0] if plain else max(same, key=lambda row: row.means[measure].mean)
        chosen.append((first, len(same) - 1))
    return sorted(chosen, key=lambda pair: -pair[0].means[measure].mean)


def _sentence(table: Table, dots: tuple[Dot, ...], rows: list[Row], floor: float | None) -> str:
    """Who finds most, and how much a single-vector model, or the last, finds beside it."""
    ours = [(dot, row) for dot, row in zip(dots, rows, strict=True) if dot.source == "ours" and row.record is not None]
    if not ours:
        return ""
    best = [pair for pair in ours if pair[0].value == ours[0][0].value]
    others = ours[len(best) :]
    vectors = [pair for pair in others if pair[1].record is not None and single_vector(pair[1].record)]
    last = (vectors or others)[-1:]
    names, value = several([dot.name for dot, _ in best]), _value(*best[0], table.headline)
    name, _, cutoff = table.headline.partition("@")
    if name != "Recall":
        kind = "single-vector model" if vectors else "retriever"
        low = [f"; the lowest {kind} is {dot.name} with {_value(dot, row, table.headline)}" for dot, row in last]
        return f"By {table.headline}, {names} {'is' if len(best) == 1 else 'are'} best with {value}{''.join(low)}."
    if int(cutoff) >= table.facts.documents:
        return f"The first {cutoff} documents are all there are: {table.headline} tells nothing here."
    rest = [
        *(f"{dot.name} {_value(dot, row, table.headline)}" for dot, row in last),
        *([f"chance {percent_of(floor)} %"] if floor is not None else []),
    ]
    start = f"{names} {'finds' if len(best) == 1 else 'find'} {value}"
    return f"Among the first {cutoff} documents, {start} of the relevant ones{''.join(f', {part}' for part in rest)}."


def several(names: Sequence[str], most: int = 4) -> str:
    """The names as an enumeration; of many, the first and how many more."""
    if len(names) > most:
        return f"{', '.join(names[:most])} and {len(names) - most} more"
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def _value(dot: Dot, row: Row, measure: str) -> str:
    """The value in percent, its interval, and how far ties move it, where that is far."""
    limits = [] if dot.limits is None or dot.limits.low == dot.limits.high else [interval(dot.limits)]
    means = row.means[measure]
    ties = (
        [f"{100 * means.worst:.0f} to {100 * means.best:.0f} as ties fall"] if means.best - means.worst > _FAR else []
    )
    told = "; ".join([*limits, *ties])
    return f"{100 * dot.value:.1f} %{f' ({told})' if told else ''}"
