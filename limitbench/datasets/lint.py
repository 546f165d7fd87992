"""What is wrong with a dataset, with counts and examples. Reads leniently: what `read_folder` refuses is a finding here."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any, TypeVar

from limitbench import registry
from limitbench.collection import Dataset
from limitbench.datasets.language import DENIED, contained, parse_expression
from limitbench.datasets.layouts import corpus_files, qrels_files, queries_files, rows
from limitbench.errors import DataError
from limitbench.files import Lookalikes, breaks_trec, is_text, read_lines
from limitbench.relevance import Layout, iter_judgements

_Row = TypeVar("_Row")
_PACE = 1000  # lines between two looks at the clock
_SHOWN = 5
_LONGEST = 160  # characters of an example
_WORDS = 12  # an attribute has fewer; what is longer is prose

CHECKS = {
    # name                     what it means, and what to do
    "unreadable-line": "a line is not what its file should hold; mend or drop it",
    "empty-file": "a file holds nothing that can be read; an evaluation needs a document, a query and a judgement",
    "repeated-document": "a document id stands twice; rename or drop one",
    "repeated-query": "a query id stands twice; rename or drop one",
    "empty-document": "a document has no text; a retriever can only find it by its title",
    "empty-query": "a query has no text; nothing can be asked with it",
    "dangling-document": "a judgement names a document that is not in the corpus; add it or drop the judgement",
    "dangling-query": "a judgement names a query that is not there; add it or drop the judgement",
    "conflicting-judgement": "a query and a document are judged twice with different grades; keep one",
    "duplicate-labels": "documents with equal text are relevant and not relevant to one query; judge them alike or drop one",
    "no-relevant-document": "a judged query has no relevant document; add one or drop its judgements",
    "contained-attribute": "an attribute stands inside another, so words alone cannot tell them apart; rename one",
    "unsafe-id": "an id holds white space, which breaks TREC's readers; limitbench escapes it reversibly in what it writes",
}


@dataclass
class Flaw:
    """One check's result: how often, and the first few places."""

    check: str
    count: int = 0
    examples: list[str] = field(default_factory=list)

    @property
    def meaning(self) -> str:
        """What it means, and what to do."""
        return CHECKS[self.check]

    def to_json(self) -> dict[str, Any]:
        """The flaw as JSON-ready values."""
        return {"check": self.check, "count": self.count, "examples": self.examples, "meaning": self.meaning}


@dataclass(frozen=True)
class Linted:
    """What could be read: texts by document and by query id, grades by query and document, and the findings."""

    documents: dict[str, str]
    questions: dict[str, str]
    grades: dict[str, dict[str, int]]
    flaws: list[Flaw]


class _Flaws:
    def __init__(self) -> None:
        self.by_check: dict[str, Flaw] = {}

    def add(self, check: str, example: str) -> None:
        found = self.by_check.setdefault(check, Flaw(check))
        found.count += 1
        if len(found.examples) < _SHOWN:
            shown = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in example)
            found.examples.append(shown if len(shown) <= _LONGEST else shown[: _LONGEST - 3] + "...")

    def ordered(self) -> list[Flaw]:
        return [self.by_check[name] for name in CHECKS if name in self.by_check]


def lint_folder(path: Path | str, *, split: str = "test") -> list[Flaw]:
    """The findings about a BEIR or MTEB folder. Raises `DataError` where it has no corpus, queries and judgements to read."""
    folder = Path(path)
    if not folder.is_dir():
        raise DataError(
            folder, "found no folder; expected one with corpus.jsonl, queries.jsonl and qrels; check the path"
        )
    return lint_files(corpus_files(folder, split), queries_files(folder, split), qrels_files(folder, split)).flaws


def lint_files(
    corpus: Sequence[Path] | None,
    queries: Sequence[Path] | None,
    qrels: Sequence[Path],
    *,
    layout: Layout | None = None,
    in_time: Callable[[], None] = lambda: None,
) -> Linted:
    """What could be read of these files (or shards), and the findings about them.

    Without a corpus or queries, nothing dangles from them. `in_time` is called every thousand lines and may raise.
    """
    out = _Flaws()

    def read(paths: Sequence[Path], reader: Callable[[Path], Iterable[_Row]]) -> Iterator[_Row]:
        for number, row in enumerate(chain.from_iterable(map(reader, paths))):
            if number % _PACE == 0:
                in_time()
            yield row

    documents = None if corpus is None else read(corpus, lambda path: _records(path, out))
    questions = None if queries is None else read(queries, lambda path: _records(path, out))
    return _lint(documents, questions, read(qrels, lambda path: _judgements(path, out, layout)), out)


def lint_dataset(data: Dataset) -> list[Flaw]:
    """The findings about a dataset in memory."""
    qrels = data.qrels
    judged = (
        (data.queries.ids[q], data.corpus.ids[d], grade)
        for q, d, grade in zip(qrels.rows.tolist(), qrels.indices.tolist(), qrels.grades.tolist(), strict=True)
    )
    documents = zip(data.corpus.ids, data.corpus.contents, strict=True)
    return _lint(documents, zip(data.queries.ids, data.queries.texts, strict=True), judged, _Flaws()).flaws


def _records(path: Path, out: _Flaws) -> Iterator[tuple[str, str]]:
    """(id, title and text) of every line that can be read."""
    for number, line in _raw(path):
        try:
            row = json.loads(line) if isinstance(line, str) else line
            identifier = row["_id"] if "_id" in row else row["id"]
            title = row.get("title")
            parts = ["" if title is None else title, row["text"]]
            if isinstance(identifier, bool) or not isinstance(identifier, str | int) or str(identifier) == "":
                raise TypeError
            if not all(isinstance(part, str) and is_text(part) for part in (str(identifier), *parts)):
                raise TypeError
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            out.add("unreadable-line", f"{path.name}:{number}: {line}")
            continue
        yield str(identifier), " ".join(part for part in parts if part)


def _raw(path: Path) -> Iterator[tuple[int, Any]]:
    """The lines of a text file that are not blank, or the rows of a parquet file."""
    if path.suffix == ".parquet":
        return rows(path)
    return ((number, line) for number, line in read_lines(path) if line.strip())


def _judgements(path: Path, out: _Flaws, layout: Layout | None = None) -> Iterator[tuple[str, str, int]]:
    """(query, document, grade) of every line that can be read."""

    def broken(error: DataError) -> None:
        out.add("unreadable-line", f"{path.name}:{error.line}: {str(error).partition(': ')[2]}")

    for _, query, document, grade in iter_judgements(path, broken=broken, layout=layout):
        yield query, document, grade


def _lint(
    corpus: Iterable[tuple[str, str]] | None,
    queries: Iterable[tuple[str, str]] | None,
    judged: Iterable[tuple[str, str, int]],
    out: _Flaws,
) -> Linted:
    documents = {} if corpus is None else _distinct(corpus, "document", out)
    questions = {} if queries is None else _distinct(queries, "query", out)
    grades: dict[str, dict[str, int]] = {}
    alike: dict[str, Lookalikes] = {}  # made for the first id that dangles

    def hint(kind: str, name: str, known: dict[str, str]) -> str:
        if kind not in alike:
            alike[kind] = Lookalikes.of(known)
        return alike[kind].hint(name)

    for query, document, grade in judged:
        if corpus is not None and document not in documents:
            out.add("dangling-document", f"'{document}' for query '{query}'{hint('document', document, documents)}")
        if queries is not None and query not in questions:
            out.add("dangling-query", f"'{query}'{hint('query', query, questions)}")
        row = grades.setdefault(query, {})
        if row.setdefault(document, grade) != grade:
            out.add("conflicting-judgement", f"'{query}' and '{document}': {row[document]} and {grade}")
    given = (("corpus.jsonl", corpus, documents), ("queries.jsonl", queries, questions), ("qrels", judged, grades))
    for name, source, content in given:
        if source is not None and not content:
            out.add("empty-file", name)
    for query, row in grades.items():
        if max(row.values()) <= 0:
            out.add("no-relevant-document", f"'{query}'")
    _duplicates(documents, grades, out)
    _attributes(documents, questions, out)
    judged_documents = dict.fromkeys(document for row in grades.values() for document in row)
    for identifier in (*(documents or judged_documents), *(questions or grades)):
        if breaks_trec(identifier):
            out.add("unsafe-id", f"'{identifier}'")
    return Linted(documents, questions, grades, out.ordered())


def _distinct(records: Iterable[tuple[str, str]], kind: str, out: _Flaws) -> dict[str, str]:
    found: dict[str, str] = {}
    for identifier, text in records:
        if identifier in found:
            out.add(f"repeated-{kind}", f"'{identifier}'")
            continue
        found[identifier] = text
        if not text.strip():
            out.add(f"empty-{kind}", f"'{identifier}'")
    return found


def _duplicates(documents: dict[str, str], grades: dict[str, dict[str, int]], out: _Flaws) -> None:
    """Documents of equal text of which a query finds some relevant and others not."""
    same: dict[str, list[str]] = defaultdict(list)
    for identifier, text in documents.items():
        if text.strip():
            same[text].append(identifier)
    twins = {identifier: group for group in same.values() if len(group) > 1 for identifier in group}
    for query, row in grades.items() if twins else ():
        relevant = [document for document, grade in row.items() if grade > 0 and document in twins]
        for first in {id(twins[document]): document for document in reversed(relevant)}.values():
            group = twins[first]
            judged = set(relevant)
            other = next((twin for twin in group if twin not in judged), None)
            if other is not None:
                out.add("duplicate-labels", f"query '{query}': '{first}' is relevant, '{other}' is not")


def _attributes(documents: dict[str, str], questions: dict[str, str], out: _Flaws) -> None:
    """For texts of a world of ours: attributes that stand inside others."""
    for name in registry.WORLDS:
        world = registry.resolve("world", registry.WORLDS, name)()
        asked = [expression for text in questions.values() if (expression := world.asked(text))]
        if 2 * len(asked) < len(questions) or not asked:
            continue
        items = (item.removeprefix(DENIED) for text in documents.values() for item in world.listed(text))
        listed = dict.fromkeys(item for item in items if item and item.count(" ") < _WORDS)
        said = dict.fromkeys(item for text in asked for item in parse_expression(text, listed)[1] if item)
        for inner, outer in contained([*listed, *(item for item in said if item not in listed)]):
            out.add("contained-attribute", f"'{inner}' in '{outer}'")
        return
