"""A report's tables and sentences as text, for the page and for Markdown alike."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from limitbench.report.comparison import Row
from limitbench.report.contents import Report, Table
from limitbench.report.tables import duration, markdown, percent, size
from limitbench.results import Result
from limitbench.statistics import Interval


@dataclass(frozen=True)
class Cell:
    """What is shown, small print beside it, and the value to sort by."""

    shown: str
    small: str = ""
    value: str = ""
    kind: str = ""  # text: to the left

    @property
    def key(self) -> str:
        """The value to sort by."""
        return self.value or self.shown


@dataclass(frozen=True)
class Listing:
    """A table: its head, and rows of a name (what its card warns of beside it), a source and cells."""

    head: tuple[str, ...]
    rows: tuple[tuple[Cell, str, tuple[Cell, ...]], ...]

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kind of each column."""
        return ("", *(cell.kind for cell in self.rows[0][2])) if self.rows else ("",) * len(self.head)

    def markdown(self) -> str:
        """The table in Markdown, small print in parentheses."""
        body = [
            [f"{c.shown} ({c.small})" if c.small else c.shown for c in (name, *cells)] for name, _, cells in self.rows
        ]
        return markdown(list(self.head), body)


def label(row: Row) -> str:
    """What the retriever's card warns of, such as "not trained for late interaction"."""
    record = row.record if row.source == "ours" else None
    return "" if record is None else str(record.retriever.card.get("label", ""))


def limits(found: Interval | None) -> str:
    """A 95 % interval in percent: "14.5 to 17.7"; "" without one."""
    return "" if found is None else f"{100 * found.low:.1f} to {100 * found.high:.1f}"


def comparison(table: Table, most: int = 6, *, cost: bool = True) -> Listing:
    """A dataset's comparison, `most` measures wide; a reranker's ceiling stands below it."""
    columns = table.columns[:most]
    head = ["system", "source", "dim", *(["group"] if table.letters else []), *columns]
    rows: list[tuple[Cell, str, tuple[Cell, ...]]] = []
    for row in table.comparison.rows:
        mine = row.record if row.source == "ours" else None
        known = table.intervals.get(row.system, {}) if mine else {}
        cells = [Cell(row.source), Cell(str(row.dim or ""))]
        cells += [Cell(table.letters.get(row.system, "") if mine else "")] if table.letters else []
        for title in columns:
            means = row.means.get(title)
            cells.append(Cell(percent(means), limits(known.get(title)), "" if means is None else repr(means.mean)))
        cells += _cost(mine) if cost else []
        rows.append((Cell(row.system, label(row)), row.source, tuple(cells)))
        if mine is not None and mine.ceiling:
            blank = [Cell("")] * (len(head) - len(columns) - 1)
            under = [Cell(percent(mine.ceiling.get(title))) for title in columns]
            end = [Cell("")] * (2 if cost else 0)
            rows.append((Cell(f"{row.system}: its first stage's ceiling"), row.source, (*blank, *under, *end)))
    return Listing((*head, *(("index", "median query") if cost else ())), tuple(rows))


def _cost(record: Result | None) -> list[Cell]:
    if record is None or record.cost is None:
        return [Cell(""), Cell("")]
    nbytes, seconds = record.cost.index_bytes, record.cost.query_latency_p50_seconds
    return [Cell(size(nbytes), value=str(nbytes)), Cell(duration(seconds), value=repr(seconds))]


def standing(report: Report) -> Listing:
    """Where each retriever's dimension stands."""
    rows = []
    for s in report.standings:
        returned = "" if s.asked is None else f"{s.returned} of {s.asked}"
        cells = (
            Cell(s.dataset, kind="text short"),
            Cell(str(s.dim)),
            Cell(s.dtype),
            Cell("" if s.effective_rank is None else f"{s.effective_rank:.1f}"),
            Cell(returned, value="" if s.returned is None else str(s.returned)),
            Cell(s.verdict, kind="text"),
            _found(s.reached),
            _found(s.published),
            Cell("" if s.law is None else f"{s.law:,.0f}", value="" if s.law is None else repr(s.law)),
        )
        rows.append((Cell(s.retriever), "ours", cells))
    head = (
        "retriever", "dataset", "dim", "dtype", "effective rank", "sets returned", "what geometry says", "free embeddings reach",
        "in the paper", "its cubic says",
    )  # fmt: skip
    return Listing(head, tuple(rows))


def _found(reached: tuple[int, int] | None) -> Cell:
    return Cell("") if reached is None else Cell(f"{reached[0]} at d = {reached[1]}", value=str(reached[0]))


def never_returned(report: Report) -> Listing:
    """Which relevant sets came back, and the first of those that never did."""
    rows = []
    for r in report.wholes:
        s = r.subsets
        if s is None:
            continue
        data = report.data.get(r.dataset.sha256)
        known = data.corpus.ids if data is not None else None
        first = "; ".join(" + ".join(known[d] if known else f"document {d}" for d in one[:4]) for one in s.never[:2])
        counts = (s.k, s.asked, s.by_own_query, s.by_any_query, s.distinct, s.unseen_documents)
        more = f"; {s.asked - s.by_any_query - 2} more" if s.asked - s.by_any_query > 2 else ""
        rows.append((Cell(report.label(r)), "ours", (Cell(r.dataset.name, kind="text short"), *(Cell(str(n)) for n in counts),
                                              Cell(first + more, kind="text"))))  # fmt: skip
    head = (
        "retriever", "dataset", "k", "relevant sets", "returned by their query", "by any query", "different top-k sets",
        "documents in no top k", "never returned",
    )  # fmt: skip
    return Listing(head, tuple(rows))


def glance(report: Report) -> list[str]:
    """The report in sentences: of each dataset, the best retriever and what geometry asks for."""
    return [line for table in report.tables for line in (_best(table), _geometry(report, table)) if line]


def _best(table: Table) -> str:
    best = table.ours[0]
    known = table.intervals.get(best.system, {}).get(table.headline)
    letters = set(table.letters.get(best.system, "").split())
    peers = [name for name, group in table.letters.items() if name != best.system and letters & set(group.split())]
    tied = f"; the data do not tell it from {', '.join(peers[:4])}" if peers else ""
    interval = f" ({limits(known)})" if known else ""
    shown = percent(best.means.get(table.headline))
    warned = f" ({label(best)})" if label(best) else ""
    return (
        f"{table.comparison.dataset}: {best.system}{warned} has the highest {table.headline}, {shown}{interval}{tied}."
    )


def _geometry(report: Report, table: Table) -> str:
    found = report.brackets.get(table.comparison.sha256)
    if found is None:
        return ""
    name, low, high = table.comparison.dataset, found.lower.value, found.upper.value
    if low == high:
        need = f"{name}: in exact arithmetic {low} dimensions are needed (proved) and enough (constructed)."
    else:
        need = f"{name}: in exact arithmetic {low} dimensions are needed (proved) and {high} are enough (constructed)."
    ample = [s for s in report.standings if s.dataset == name and s.asked and s.returned is not None and s.dim >= high]
    if not ample:
        return need
    least = min(ample, key=lambda s: s.returned or 0)
    if least.returned == least.asked:
        return need
    return (
        f"{need} {least.retriever} has {least.dim} and returns {least.returned} of {least.asked} relevant sets: its number of "
        "dimensions is not what stops it."
    )


def commands(records: Sequence[Result]) -> list[dict[str, Any]]:
    """The commands that made the records, each with when, versions, hardware and its records."""
    groups: dict[str, list[Result]] = {}
    for r in records:
        groups.setdefault(str(r.provenance.get("command", "unknown command")), []).append(r)
    out = []
    for command, made in groups.items():
        p = made[-1].provenance
        versions = ", ".join(f"{name} {number}" for name, number in p.get("versions", {}).items())
        hardware = ", ".join(
            f"{key} {value}" for key, value in p.get("hardware", {}).items() if value not in (None, [])
        )
        told = [
            f"{r.configuration_digest[:12]} {r.dataset.name} {r.retriever.name} (data {r.dataset.sha256[:12]})" for r in made
        ]  # fmt: skip
        facts = [("when", p.get("time", "")), ("versions", versions), ("hardware", hardware)]
        out.append({"command": command, "facts": facts, "records": told, "made": made})
    return out


def as_markdown(report: Report) -> str:
    """The report as Markdown: tables with intervals and groups, corpus sizes, standing, commands; no pictures."""
    parts = ["# limitbench report\n", *[f"- {line}" for line in glance(report)]]
    for table in report.tables:
        parts += [
            f"\n## {table.comparison.dataset}\n",
            f"{table.comparison.caption}; percent, 95 % intervals in parentheses.\n",
        ]
        parts.append(comparison(table).markdown())
    for title, listing in corpus_sizes(report):
        parts += [f"\n## {title} against corpus size\n", listing.markdown()]
    for title, listing in (
        ("Where each dimension stands", standing(report)),
        ("Sets returned", never_returned(report)),
    ):
        if listing.rows:
            parts += [f"\n## {title}\n", listing.markdown()]
    told = [f"- `{group['command']}` ({len(group['records'])} records)" for group in commands(report.records)]
    return "\n".join([*parts, "\n## Run it again\n", *told]) + "\n"


def corpus_sizes(report: Report) -> list[tuple[str, Listing]]:
    """(title, table) of each dataset and measure: the curves side by side, a row for every size."""
    out = []
    for dataset, measure in dict.fromkeys((c.dataset, c.measure) for c in report.curves):
        some = [c for c in report.curves if (c.dataset, c.measure) == (dataset, measure)]
        points = [dict(zip(c.sizes, c.points, strict=True)) for c in some]
        rows = [
            (Cell(str(n)), "ours", tuple(Cell(f"{100 * p[n].mean:.1f}", limits(p[n])) if n in p else Cell("") for p in points))
            for n in sorted({n for c in some for n in c.sizes})
        ]  # fmt: skip
        out.append((f"{dataset}: {measure}", Listing(("documents", *(c.retriever for c in some)), tuple(rows))))
    return out
