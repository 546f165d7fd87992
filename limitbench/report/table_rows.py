"""A report's tables and sentences as text, for the page and for Markdown alike."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from limitbench.report.comparison import Row, first_measure
from limitbench.report.gathered import BenchmarkReport, Table
from limitbench.report.numbers import duration, escaped, interval, markdown, percent, size
from limitbench.report.story import percent_of, role, several, story
from limitbench.results import Means, Result
from limitbench.retrievers.spec import shortened
from limitbench.statistics import Interval


@dataclass(frozen=True)
class Cell:
    """What is shown, small print beside it, and the value to sort by."""

    shown: str
    small: str = ""
    value: str = ""
    kind: str = ""  # text: to the left
    ties: str = ""  # the worst and best that ties allow, where they move the value
    more: tuple[tuple[str, str], ...] = ()  # of a name: its record, fact by fact

    @property
    def key(self) -> str:
        """The value to sort by."""
        return self.value or self.shown


@dataclass(frozen=True)
class TableText:
    """A table: its head, and rows of a name (what its card warns of beside it), a source and cells."""

    head: tuple[str, ...]
    rows: tuple[tuple[Cell, str, tuple[Cell, ...]], ...]

    @property
    def variants(self) -> int:
        """How many rows are variants of a sweep, that a page folds under their models."""
        return sum(source.endswith(" variant") and not source.startswith("under") for _, source, _ in self.rows)

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kind of each column."""
        return ("", *(cell.kind for cell in self.rows[0][2])) if self.rows else ("",) * len(self.head)

    def markdown(self) -> str:
        """The table in Markdown, small print in parentheses."""
        body = [
            [
                " ".join(part for part in (c.shown, c.ties, f"({c.small})" if c.small else "") if part)
                for c in (name, *cells)
            ]
            for name, _, cells in self.rows
        ]
        return markdown(list(self.head), body)


def label(row: Row) -> str:
    """What the retriever's card warns of, such as "not trained for late interaction"."""
    record = row.record
    return "" if record is None else str(record.retriever.card.get("label", ""))


def record_of(row: Row) -> tuple[tuple[str, str], ...]:
    """What a row's record says of where its figures come from."""
    r = row.record
    if r is None:
        return ()
    (made,) = commands([r])
    options = ", ".join(f"{key} = {value}" for key, value in r.retriever.configuration.items())
    known = {"record": r.configuration_digest, "data": r.dataset.sha256, "options": options, "command": made.command}
    return tuple((key, value) for key, value in {**known, **dict(made.facts)}.items() if value)


def comparison(
    table: Table, most: int = 6, *, cost: bool = True, latency: bool = True, records: bool = False
) -> TableText:
    """A dataset's comparison, `most` measures wide; a reranker's ceiling stands below it. `records`: names open their records.

    "of exact" is the share, in percent, of exact search's best documents that an approximate index found, where one is compared.
    """
    columns = table.columns[:most]
    head = ["system", *columns, *(["group"] if table.letters else []), "dim", "source"]
    rows: list[tuple[Cell, str, tuple[Cell, ...]]] = []
    approximate = any(row.of_exact is not None for row in table.comparison.rows)
    for row in table.comparison.rows:
        mine = row.record
        known = table.intervals.get(row.system, {}) if mine else {}
        cells = [_share(row.means.get(title), _limits(known.get(title))) for title in columns]
        cells += [Cell(table.letters.get(row.system, "") if mine else "")] if table.letters else []
        cells += [Cell(str(row.dim or "")), Cell(row.origin)]
        cells += _cost(mine)[: 1 + latency] if cost else []
        cells += [_of_exact(row)] if approximate else []
        variant = " variant" if mine is not None and table.is_variant(row.system) else ""
        name = Cell(row.system, label(row), more=record_of(row) if records else ())
        rows.append((name, row.source + variant, tuple(cells)))
        if mine is not None and mine.ceiling:
            under = [_share(mine.ceiling.get(title)) for title in columns]
            end = [Cell("")] * (len(head) - len(columns) - 1 + (1 + latency if cost else 0) + approximate)
            rows.append((Cell(f"{row.system}: its first stage's ceiling"), "under" + variant, (*under, *end)))
    tail = (
        *(("index", *(("median query",) if latency else ())) if cost else ()),
        *(("of exact",) if approximate else ()),
    )
    return TableText((*head, *tail), tuple(rows))


def _limits(found: Interval | None) -> str:
    """The interval, but where it is a point: all queries agree, and the value says it."""
    return "" if found is None or found.low == found.high else interval(found)


def _of_exact(row: Row) -> Cell:
    found = row.of_exact
    if found is None or row.record is None:
        return Cell("")
    by_score = row.record.retriever.facts.get("agreement_by_score")
    small = f"{100 * by_score:.1f} by score" if isinstance(by_score, float) and abs(by_score - found) >= 5e-4 else ""
    return Cell(f"{100 * found:.1f}", small, repr(found))


def _share(means: Means | None, small: str = "") -> Cell:
    mid, _, ties = percent(means).partition(" ")
    return Cell(mid, small, "" if means is None else repr(means.mean), ties=ties)


def _cost(record: Result | None) -> list[Cell]:
    if record is None or record.cost is None:
        return [Cell(""), Cell("")]
    nbytes, seconds = record.cost.index_bytes, record.cost.query_latency_p50_seconds
    told = Cell(size(nbytes), value=str(nbytes)) if nbytes else Cell("")  # a search model of mteb does not tell
    batch = "shards" in record.retriever.facts  # a query's share of one search of all: no latency
    return [told, Cell("") if batch else Cell(duration(seconds), value=repr(seconds))]


def standing(report: BenchmarkReport) -> TableText:
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
            Cell("" if s.cubic is None else f"{s.cubic:,.0f}", value="" if s.cubic is None else repr(s.cubic)),
        )
        rows.append((Cell(s.retriever), "ours" + _variant(report, s.sha256, s.retriever), cells))
    head = (
        "retriever", "dataset", "dim", "dtype", "effective rank", "sets returned", "what geometry says", "free embeddings reach",
        "in the paper", "its cubic says",
    )  # fmt: skip
    return TableText(head, tuple(rows))


def _variant(report: BenchmarkReport, sha256: str, label: str) -> str:
    """ " variant" for a sweep's variant of a model that has a row of its own."""
    here = any(t.comparison.sha256 == sha256 and t.is_variant(label) for t in report.tables)
    return " variant" if here else ""


def _found(reached: tuple[int, int] | None) -> Cell:
    return Cell("") if reached is None else Cell(f"{reached[0]} at d = {reached[1]}", value=str(reached[0]))


def never_returned(report: BenchmarkReport) -> TableText:
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
        kind = "ours" + _variant(report, r.dataset.sha256, report.label(r))
        rows.append((Cell(report.label(r)), kind, (Cell(r.dataset.name, kind="text short"), *(Cell(str(n)) for n in counts),
                                              Cell(first + more, kind="text"))))  # fmt: skip
    head = (
        "retriever", "dataset", "k", "relevant sets", "returned by their query", "by any query", "different top-k sets",
        "documents in no top k", "never returned",
    )  # fmt: skip
    return TableText(head, tuple(rows))


def glance(report: BenchmarkReport) -> list[str]:
    """The report in sentences: of each dataset, the best retriever and what geometry asks for; then what corpus size does."""
    told = [line for table in report.tables for line in (_best(table), _geometry(report, table)) if line]
    return [*told, *(_growing(report, name) for name in dict.fromkeys(curve.dataset for curve in report.curves))]


def _growing(report: BenchmarkReport, dataset: str) -> str:
    """What the retrievers that hold best and fall most lose from the smallest corpus to the largest."""
    here = [curve for curve in report.curves if curve.dataset == dataset]
    measure = first_measure(curve.measure for curve in here)
    here = sorted((c for c in here if c.measure == measure), key=lambda c: c.points[-1].mean - c.points[0].mean)
    ends = [here[-1], *here[:1]] if len(here) > 1 else here
    parts = [
        f"{c.retriever}'s {measure} goes from {percent_of(c.points[0].mean)} % to {percent_of(c.points[-1].mean)} %"
        f" between {c.sizes[0]:,} and {c.sizes[-1]:,} documents"
        for c in ends
    ]
    return f"{dataset}: {', '.join(parts)}."


def _best(table: Table) -> str:
    name, title = table.comparison.dataset, table.headline
    told = [row for row in table.ours if title in row.means]
    if told and all(role(row) != "retriever" for row in told):
        return f"{name}: references alone ({several([row.system for row in told])}); no retriever was measured."
    told = [row for row in told if role(row) == "retriever"]
    if not told:
        return ""
    sentence = story(table).sentence
    return f"{name}: {sentence[0].lower()}{sentence[1:-1]}{_peers(table, told)}."


def _peers(table: Table, told: Sequence[Row]) -> str:
    """The retrievers that the data do not tell from the best one, as the end of a sentence."""
    best = max(told, key=lambda row: row.means[table.headline].mean)
    letters = set(table.letters.get(best.system, "").split())
    most = best.means[table.headline].mean
    known = {row.system for row in told if row.means[table.headline].mean < most}
    peers = [peer for peer, group in table.letters.items() if peer in known and letters & set(group.split())]
    return f"; the data do not tell {best.system} from {several(peers)}" if peers else ""


def _geometry(report: BenchmarkReport, table: Table) -> str:
    found = report.bracket(table.comparison.sha256)
    if found is None:
        return ""
    low, high = found.lower.value, found.upper.value
    needed = "1 dimension is" if low == 1 else f"{low} dimensions are"
    enough = f"enough ({found.upper.evidence})" if low == high else f"{high} are enough ({found.upper.evidence})"
    need = f"{table.comparison.dataset}: in exact arithmetic, by inner product, {needed} needed (proved) and {enough}."
    # sets of one size alone are counted: where they are few of the queries, they stand for nothing
    here = [
        s for s in report.standings
        if s.sha256 == table.comparison.sha256 and s.returned is not None and 2 * (s.asked or 0) >= table.facts.queries
    ]  # fmt: skip
    ample = [s for s in here if s.dtype == "fp32" and s.verdict.startswith("possible")]
    names = {s.retriever for s in ample}
    plain = [s for s in ample if shortened(s.retriever, "dim", "dtype", "index") not in names - {s.retriever}]
    if not plain:
        return need
    least = min(plain, key=lambda s: s.returned or 0)
    if least.returned == least.asked:
        return need
    return (
        f"{need} {least.retriever} has {least.dim}, which would do, and returns {least.returned} of the {least.asked} relevant sets"
        f" of {least.k} documents."
    )


@dataclass(frozen=True)
class Made:
    """One command, when and on what it ran last, and the records that it made."""

    command: str
    facts: tuple[tuple[str, str], ...]
    records: tuple[Result, ...]


def commands(records: Sequence[Result]) -> list[Made]:
    """The commands that made the records."""
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
        facts = (("when", str(p.get("time", ""))), ("versions", versions), ("hardware", hardware))
        out.append(Made(command, facts, tuple(made)))
    return out


def as_markdown(report: BenchmarkReport) -> str:
    """The report as Markdown: tables with intervals and groups, corpus sizes, standing, commands; no pictures."""
    parts = ["# limitbench report\n", *[f"- {escaped(line)}" for line in glance(report)]]
    for table in report.tables:
        parts += [
            f"\n## {escaped(table.comparison.dataset)}\n",
            f"{table.comparison.caption}; percent, 95 % intervals in parentheses.\n",
        ]
        parts.append(comparison(table, latency=report.latency).markdown())
        said = remarks(report, table)
        parts += ["\nBefore these numbers are read:\n", *(f"- {escaped(line)}" for line in said)] if said else []
    for title, listing in corpus_sizes(report):
        parts += [f"\n## {escaped(title)} against corpus size\n", listing.markdown()]
    for title, listing in (
        ("Where each dimension stands", standing(report)),
        ("Sets returned", never_returned(report)),
    ):
        if listing.rows:
            parts += [f"\n## {title}\n", listing.markdown()]
    told = [f"- `{one.command}` ({len(one.records)} records)" for one in commands(report.records)]
    return "\n".join([*parts, "\n## Run it again\n", *told]) + "\n"


def remarks(report: BenchmarkReport, table: Table) -> list[str]:
    """What to know of a table's records before their numbers are read: texts cut, queries unanswered, each with its count."""
    told = [f"{report.label(r)}: {note}" for r in table.records for note in r.notes]
    return list(dict.fromkeys(told))


def corpus_sizes(report: BenchmarkReport) -> list[tuple[str, TableText]]:
    """(title, table) of each dataset and measure: the curves side by side, a row for every size."""
    out = []
    for dataset, sha256, measure in dict.fromkeys((c.dataset, c.sha256, c.measure) for c in report.curves):
        some = [c for c in report.curves if (c.sha256, c.measure) == (sha256, measure)]
        points = [dict(zip(c.sizes, c.points, strict=True)) for c in some]
        rows = [
            (Cell(str(n)), "ours", tuple(Cell(f"{100 * p[n].mean:.1f}", interval(p[n])) if n in p else Cell("") for p in points))
            for n in sorted({n for c in some for n in c.sizes})
        ]  # fmt: skip
        out.append((f"{dataset}: {measure}", TableText(("documents", *(c.retriever for c in some)), tuple(rows))))
    return out
