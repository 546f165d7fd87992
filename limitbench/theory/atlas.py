"""What the judgements of many collections ask of an embedding: one bracket a qrels file, kept, and shown as one table.

A file's result is written as soon as it is there, with the digest of its relevance matrix, and is not computed again unless more
time is given. What is kept holds positions and digests, and none of the collection's ids or texts.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from limitbench import certificates
from limitbench.certificates import Notion
from limitbench.errors import DataError, InputError
from limitbench.files import atomic_write
from limitbench.relevance import Qrels, read_qrels
from limitbench.theory.bracket import bracket

SCHEMA = "limitbench.atlas.v1"
_NAMES = re.compile(r"^qrels\.|\.(txt|tsv|qrels|qrel|trec|gz)$")
_OTHER = {".md", ".json", ".jsonl", ".svg", ".png", ".zip", ".npz"}  # what stands beside qrels and is none


@dataclass(frozen=True)
class Entry:
    """The bracket of one collection's judgements.

    `sha256` is the digest of the relevance matrix, `widest` the largest number of relevant (or irrelevant, where they are fewer)
    documents of a query. `lower_by` and `upper_by` are kinds of certificates, which lie in `certificates`, beside the entry.
    """

    name: str
    sha256: str
    queries: int
    documents: int
    judgements: int
    widest: int
    notion: Notion
    lower: int
    upper: int
    lower_by: str
    upper_by: str
    budget_s: float
    seconds: float
    certificates: str

    def to_json(self) -> dict[str, Any]:
        """JSON-ready values."""
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
) -> Iterator[Entry]:
    """The entry of every qrels file of a folder, in order, each as soon as it is known; kept in `store`.

    Grades from `min_grade` on are relevant (default: above 0). An entry that is there for the same matrix, notion and at least this
    budget is given as it is, unless `fresh`. A file that is no qrels file is told and left out. Raises `DataError` where none is.
    """
    store, some = Path(store), False
    for path in qrels_files(Path(folder)):
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
        yield _entry(collection_name(path, Path(folder)), judgements, store, notion, budget_s, min_grade, fresh)
    if not some:
        raise DataError(Path(folder), "holds no qrels file that can be read")


def _entry(
    collection: str, judgements: Any, store: Path, notion: Notion, budget_s: float, min_grade: int | None, fresh: bool
) -> Entry:
    documents = list(dict.fromkeys(document for row in judgements.values() for document in row))
    qrels = Qrels.from_judgements(judgements, list(judgements), documents)
    if min_grade is not None:
        qrels = qrels.at_least(min_grade)
    relevant = qrels.relevant
    name = f"{collection}.{notion}"
    home = store / f"{name}.json"
    old = None if fresh else read_entry(home)
    if (
        old is not None
        and old.sha256 == relevant.digest
        and old.budget_s >= budget_s
        and (store / old.certificates).is_file()
    ):
        return old
    found = bracket(relevant, notion, budget_s=budget_s)
    sizes = relevant.sizes
    n = relevant.n_documents
    proofs = store / f"{name}.certificates.json"
    entry = Entry(
        collection, relevant.digest, relevant.n_queries, n, int(sizes.sum()),
        max((min(int(size), n - int(size)) for size in sizes), default=0), notion, found.lower.value, found.upper.value,
        found.lower.method, found.upper.method, float(budget_s), round(found.seconds, 1), proofs.name,
    )  # fmt: skip
    store.mkdir(parents=True, exist_ok=True)
    if found.certificates:
        certificates.write(found.certificates, proofs)
    with atomic_write(home) as out:  # last, so that an entry has its certificates
        out.write(json.dumps(entry.to_json(), indent=1).encode() + b"\n")
    return entry


def read_entry(path: Path) -> Entry | None:
    """The entry in a file; None where there is none, or another kind of file."""
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
        if raw.pop("schema") != SCHEMA:
            return None
        return Entry(**{field.name: raw[field.name] for field in fields(Entry)})
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def read_entries(store: Path | str) -> list[Entry]:
    """All entries that are kept in a folder, by name."""
    entries = [entry for path in sorted(Path(store).glob("*.json")) if (entry := read_entry(path)) is not None]
    if not entries:
        raise InputError(f"found no entry in {store}; make some with: limitbench atlas FOLDER")
    return entries


def as_markdown(entries: list[Entry]) -> str:
    """One table, a collection a line."""
    head = "| collection | queries | documents judged | relevant judgements | most relevant | least dimension | proved by |"
    lines = [head, "|---|---:|---:|---:|---:|---:|---|"]
    for e in entries:
        value = str(e.lower) if e.lower == e.upper else f"{e.lower} to {e.upper}"
        by = e.lower_by if e.lower_by == e.upper_by else f"{e.lower_by}; {e.upper_by}"
        lines.append(f"| {e.name} | {e.queries:,} | {e.documents:,} | {e.judgements:,} | {e.widest} | {value} | {by} |")
    return "\n".join(lines) + "\n"
