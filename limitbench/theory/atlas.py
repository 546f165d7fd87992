"""What the judgements of many collections ask of an embedding: one bracket a qrels file, kept, and shown as one table.

A file's result is written as soon as it is there, with the digest of its relevance matrix, and is not computed again unless more
time is given. What is kept holds positions and digests, and none of the collection's ids or texts.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from limitbench import certificates
from limitbench.certificates import Notion
from limitbench.errors import DataError
from limitbench.files import atomic_write, require_writable
from limitbench.progress import Each, raised
from limitbench.relevance import Qrels, read_qrels
from limitbench.theory.bounds import Bracket
from limitbench.theory.bracket import bracket, require_notion

SCHEMA = "limitbench.atlas.v1"
_NAMES = re.compile(r"^qrels\.|\.(txt|tsv|qrels|qrel|trec|gz)$")
_OTHER = {".md", ".json", ".jsonl", ".svg", ".png", ".zip", ".npz"}  # what stands beside qrels and is none


@dataclass(frozen=True)
class Entry:
    """The bracket of one collection's judgements.

    `sha256` is the digest of the relevance matrix, `widest` the largest number of relevant (or irrelevant, where they are fewer)
    documents of a query, `shared` the share of relevant documents that are relevant to more than one query. `lower_by` and
    `upper_by` are kinds of certificates, which lie in `certificates`, beside the entry.
    """

    name: str
    sha256: str
    queries: int
    documents: int
    judgements: int
    widest: int
    shared: float
    notion: Notion
    lower: int
    upper: int
    lower_by: str
    upper_by: str
    budget_s: float
    seconds: float
    certificates: str

    @property
    def interval(self) -> str:
        """The value, or from where to where it lies."""
        return str(self.lower) if self.lower == self.upper else f"{self.lower} to {self.upper}"

    def to_json(self) -> dict[str, Any]:
        """The row as JSON-ready values."""
        return {"schema": SCHEMA, **asdict(self)}


def qrels_files(folder: Path) -> list[Path]:
    """The files of a folder that may hold qrels: TREC or BEIR tables, and those of a folder `qrels` in folders below."""
    if not folder.is_dir():
        raise DataError(folder, "is no folder; give the folder that holds qrels files")
    flat = [path for path in folder.iterdir() if path.is_file()]
    nested = [path for path in folder.glob("*/qrels/*") if path.is_file()]
    found = [path for path in (*flat, *nested) if path.suffix.lower() not in _OTHER and not path.name.startswith(".")]
    if not found:
        raise DataError(folder, "holds no file that may be qrels (.txt, .tsv, .qrels, plain or .gz)")
    return sorted(found)


def collection_name(path: Path, folder: Path) -> str:
    """A collection's name from its file: without "qrels." and endings; of a BEIR folder below `folder`, its name and the split."""
    stem, before = path.name, ""
    while before != stem:
        before, stem = stem, _NAMES.sub("", stem)
    return stem if path.parent == folder else f"{path.parent.parent.name}.{stem}"


def atlas(
    folder: Path | str,
    store: Path | str,
    *,
    notion: Notion = "order_preserving",
    budget_s: float = 5.0,
    min_grade: int | None = None,
    fresh: bool = False,
    told: Callable[[str], None] = lambda _line: None,
    each: Each | None = None,
) -> Iterator[Entry]:
    """The entry of every qrels file of a folder, in order, each as soon as it is known; kept in `store`. `each` brackets many at
    once on other machines; the entries come as they are done.

    Grades from `min_grade` on are relevant (default: above 0). An entry that is there for the same matrix, notion and at least this
    budget is given as it is, unless `fresh`. A file that is no qrels file is told and left out. Raises `DataError` where none is.
    """
    store, waiting, some = Path(store), [], False
    require_notion(notion)
    files = qrels_files(Path(folder))
    require_writable(store)
    names = Counter(collection_name(path, Path(folder)) for path in files)
    for path in files:
        try:
            judgements = read_qrels(path)
        except (DataError, UnicodeDecodeError) as error:
            told(f"{path.name} is left out: {error}")
            continue
        if not any(
            grade >= (1 if min_grade is None else min_grade) for row in judgements.values() for grade in row.values()
        ):
            told(f"{path.name} is left out: nothing in it is relevant")
            continue
        some = True
        name = collection_name(path, Path(folder))
        one = _Asked.of(name if names[name] == 1 else path.name, judgements, min_grade, notion, budget_s)
        old = None if fresh else one.kept(store)
        if old is not None:
            yield old
        elif each is None:
            yield one.stored(store, _bracketed(one))
        else:
            waiting.append(one)
    if not some:
        raise DataError(Path(folder), "holds no qrels file that can be read")
    if each is not None and waiting:
        for place, found in raised(each(_bracketed, waiting, label=lambda one: one.collection)):
            yield waiting[place].stored(store, found)


@dataclass(frozen=True)
class _Asked:
    """One collection's relevance, and what is asked of it."""

    collection: str
    relevant: Qrels
    notion: Notion
    budget_s: float

    @classmethod
    def of(cls, collection: str, judgements: Any, min_grade: int | None, notion: Notion, budget_s: float) -> _Asked:
        documents = list(dict.fromkeys(document for row in judgements.values() for document in row))
        qrels = Qrels.from_judgements(judgements, list(judgements), documents)
        if min_grade is not None:
            qrels = qrels.at_least(min_grade)
        return cls(collection, qrels.relevant, notion, budget_s)

    @property
    def name(self) -> str:
        return f"{self.collection}.{self.notion}"

    def kept(self, store: Path) -> Entry | None:
        """The entry that is there for the same matrix and at least this budget."""
        old = read_entry(store / f"{self.name}.json")
        same = old is not None and old.sha256 == self.relevant.digest and old.budget_s >= self.budget_s
        return old if same and old is not None and (store / old.certificates).is_file() else None

    def stored(self, store: Path, found: Bracket) -> Entry:
        """The entry of this bracket, written with its certificates."""
        home, proofs, relevant = store / f"{self.name}.json", store / f"{self.name}.certificates.json", self.relevant
        sides = {"lower": (found.lower.value, found.lower.method, found.lower.certificate),
                 "upper": (found.upper.value, found.upper.method, found.upper.certificate)}  # fmt: skip
        last = read_entry(home)  # written in the meantime, or with less time: what it knows better stays
        if last is not None and (last.sha256, last.notion) == (relevant.digest, self.notion):
            for one in _kept(store / last.certificates):
                better = one.value > sides[one.side][0] if one.side == "lower" else one.value < sides[one.side][0]
                if better:
                    sides[one.side] = (one.value, one.kind, one)
        sizes, n = relevant.sizes, relevant.n_documents
        sparsity = max((min(int(size), n - int(size)) for size in sizes), default=0)
        entry = Entry(
            self.collection, relevant.digest, relevant.n_queries, n, int(sizes.sum()), sparsity, _shared(relevant), self.notion,
            sides["lower"][0], sides["upper"][0], sides["lower"][1], sides["upper"][1], float(self.budget_s),
            round(found.seconds, 1), proofs.name,
        )  # fmt: skip
        store.mkdir(parents=True, exist_ok=True)
        held = [proof for _, _, proof in sides.values() if proof is not None]
        if held:
            certificates.write(held, proofs)
        with atomic_write(home) as out:  # last, so that every stored entry has its certificates
            out.write(json.dumps(entry.to_json(), indent=1).encode() + b"\n")
        return entry


def _bracketed(one: _Asked) -> Bracket:
    return bracket(one.relevant, one.notion, budget_s=one.budget_s)


def _shared(relevant: Any) -> float:
    """The share of relevant documents that are relevant to more than one query."""
    queries = Counter(relevant.indices.tolist())
    return round(sum(count > 1 for count in queries.values()) / max(1, len(queries)), 3)


def _kept(path: Path) -> list[certificates.Certificate]:
    """The certificates in a file; none where it cannot be read."""
    try:
        return certificates.read(path)
    except DataError:
        return []


def read_entry(path: Path) -> Entry | None:
    """The entry in a file; None where there is none, or another kind of file."""
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
        if raw.pop("schema") != SCHEMA:
            return None
        return Entry(**{field.name: raw[field.name] for field in fields(Entry)})
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def as_markdown(entries: list[Entry]) -> str:
    """One table, a collection a line."""
    names = "collection | queries | documents judged | relevant judgements | largest query | shared | least dimension | proved by"
    head = f"| {names} |"
    lines = [head, "|---|---:|---:|---:|---:|---:|---:|---|"]
    for e in entries:
        by = e.lower_by if e.lower_by == e.upper_by else f"{e.lower_by}; {e.upper_by}"
        name = e.name.replace("|", "\\|")
        lines.append(
            f"| {name} | {e.queries:,} | {e.documents:,} | {e.judgements:,} | {e.widest} | {e.shared:.0%} | {e.interval} | {by} |"
        )
    return "\n".join(lines) + "\n"
