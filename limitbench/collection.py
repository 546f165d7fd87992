"""Texts and their ids: a corpus, queries, and the dataset that ties both to a relevance matrix."""

from __future__ import annotations

import hashlib
import html
import itertools
import json
from abc import abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from limitbench.errors import InputError
from limitbench.files import tsv_line
from limitbench.relevance import Qrels
from limitbench.tables import as_html, short


def _unique(kind: str, ids: Iterable[str]) -> None:
    seen: set[str] = set()
    for identifier in ids:
        if identifier in seen:
            raise InputError(f"the {kind} id '{identifier}' occurs twice; expected distinct ids: rename or drop one")
        seen.add(identifier)


class Stored(Sequence[str]):
    """Texts that are read when they are asked for; a slice is a tuple of them. Copies for other processes are tuples."""

    @abstractmethod
    def one(self, number: int) -> str:
        """The text of this number, from 0 on."""

    def __getitem__(self, place: Any) -> Any:
        numbers = range(len(self))[place]
        return tuple(map(self.one, numbers)) if isinstance(numbers, range) else self.one(numbers)

    def __iter__(self) -> Iterator[str]:
        return map(self.one, range(len(self)))

    def __reduce__(self) -> tuple[Any, ...]:
        return tuple, (tuple(self),)


class _Joined(Stored):
    """Titles and texts, one of them stored."""

    def __init__(self, titles: Sequence[str], texts: Sequence[str]) -> None:
        self.titles, self.texts = titles, texts

    def __len__(self) -> int:
        return len(self.texts)

    def one(self, number: int) -> str:
        return _joined(self.titles[number], self.texts[number])


def _joined(title: str, text: str) -> str:
    return f"{title} {text}" if title else text


def _as_tuples(owner: object, *fields: str) -> None:
    """Other sequences of a frozen dataclass made tuples: ids are compared with those of rankings."""
    for name in fields:
        given = getattr(owner, name)
        if not isinstance(given, tuple | Stored):
            object.__setattr__(owner, name, tuple(given))


@dataclass(frozen=True, eq=False)
class Corpus:
    """n documents. `titles` may be empty strings; what retrievers read is `contents`. Lists become tuples; texts of a large corpus
    may be `Stored`."""

    ids: tuple[str, ...]
    texts: Sequence[str]
    titles: Sequence[str] = ()

    def __post_init__(self) -> None:
        _as_tuples(self, "ids", "texts", "titles")
        if not self.titles:
            object.__setattr__(self, "titles", ("",) * len(self.ids))
        if not len(self.ids) == len(self.texts) == len(self.titles):
            raise InputError(f"found {len(self.ids)} ids, {len(self.texts)} texts, {len(self.titles)} titles")
        _unique("document", self.ids)

    def __len__(self) -> int:
        return len(self.ids)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Corpus) and self.ids == other.ids and self.digest == other.digest

    def __hash__(self) -> int:
        return hash(self.digest)

    def __reduce__(self) -> tuple[Any, ...]:
        return Corpus, (self.ids, self.texts, self.titles)  # without what was derived from them

    def __repr__(self) -> str:
        first = (
            f", the first: {short(self.ids[0])!r}, {short(f'{self.titles[0]} {self.texts[0]}')!r}" if self.ids else ""
        )
        return f"Corpus({len(self)} documents{first})"

    @cached_property
    def contents(self) -> Sequence[str]:
        """Title and text joined by a space, or the text alone where there is no title, as BEIR and mteb do."""
        if isinstance(self.texts, Stored) or isinstance(self.titles, Stored):
            return _Joined(self.titles, self.texts)
        return tuple(map(_joined, self.titles, self.texts))

    def lines(self) -> Iterator[bytes]:
        """The lines of `corpus.jsonl`, one after another."""
        for name, title, text in zip(self.ids, self.titles, self.texts, strict=True):
            yield _json_line({"_id": name, "title": title, "text": text})

    @property
    def digest(self) -> str:
        """sha256, in hex, of `corpus.jsonl`."""
        return str(self._hashed.hexdigest())

    def part_digests(self, size: int) -> list[str]:
        """The digests of its parts of `size` documents; the whole is hashed on the way."""
        whole, part, out = hashlib.sha256(), hashlib.sha256(), []
        for number, line in enumerate(self.lines(), 1):
            whole.update(line)
            part.update(line)
            if number % size == 0 or number == len(self):
                out.append(part.hexdigest())
                part = hashlib.sha256()
        self.__dict__.setdefault("_hashed", whole)
        return out

    def hashed(self) -> Any:
        """A hash of `corpus.jsonl` that can be gone on with."""
        return self._hashed.copy()

    @cached_property
    def _hashed(self) -> Any:
        state = hashlib.sha256()
        for line in self.lines():
            state.update(line)
        return state


@dataclass(frozen=True)
class Queries:
    """The queries of a dataset: ids and texts, in one order. Lists become tuples."""

    ids: tuple[str, ...]
    texts: tuple[str, ...]

    def __post_init__(self) -> None:
        _as_tuples(self, "ids", "texts")
        if len(self.ids) != len(self.texts):
            raise InputError(f"found {len(self.ids)} query ids and {len(self.texts)} texts; expected one text each")
        _unique("query", self.ids)

    def __len__(self) -> int:
        return len(self.ids)

    def __repr__(self) -> str:
        first = f", the first: {short(self.ids[0])!r}, {short(self.texts[0])!r}" if self.ids else ""
        return f"Queries({len(self)} queries{first})"


@dataclass(frozen=True, eq=False)
class Dataset:
    """A retrieval task: row q of `qrels` is `queries`' q-th, column d is `corpus`' d-th.

    `spec` is how the dataset came about (empty for a folder); `notes` are sentences about what was left out or assumed on loading.
    With `ignore_identical_ids`, the document with a query's own id is left out of what is retrieved for it, as BEIR and mteb do for
    ArguAna and Quora. Two datasets are equal when their bytes in BEIR's layout are, and this rule.
    """

    name: str
    corpus: Corpus
    queries: Queries
    qrels: Qrels
    spec: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    ignore_identical_ids: bool = False

    def __post_init__(self) -> None:
        if self.qrels.shape != (len(self.queries), len(self.corpus)):
            raise InputError(
                f"dataset '{self.name}': found qrels of {self.qrels.n_queries} x {self.qrels.n_documents}, "
                f"expected {len(self.queries)} queries x {len(self.corpus)} documents"
            )

    def __repr__(self) -> str:
        pairs = len(self.qrels.relevant.indices)
        return (
            f"Dataset({self.name!r}, {len(self.corpus)} documents, {len(self.queries)} queries, {pairs} relevant pairs)"
        )

    def _repr_html_(self) -> str:
        rows = [
            {"query": self.queries.texts[q], "relevant": "; ".join(self.corpus.ids[d] for d in found[:5])}
            for q, found in itertools.islice(enumerate(self.qrels.sets()), 5)
        ]
        return f"<p>{html.escape(repr(self))}</p>{as_html(rows)}"

    def corpus_lines(self) -> Iterator[bytes]:
        """The lines of `corpus.jsonl`, one after another."""
        yield from self.corpus.lines()

    def query_lines(self) -> Iterator[bytes]:
        """The lines of `queries.jsonl`, one after another."""
        for name, text in zip(self.queries.ids, self.queries.texts, strict=True):
            yield _json_line({"_id": name, "text": text})

    def qrels_lines(self) -> Iterator[bytes]:
        """`qrels/test.tsv` with its header, line by line; queries in order, documents in corpus order."""
        yield b"query-id\tcorpus-id\tscore\n"
        for query, document, grade in self.judged():
            yield tsv_line(query, document, grade)

    def qrels_json_lines(self) -> Iterator[bytes]:
        """`qrels.jsonl`, MTEB's layout, line by line."""
        for query, document, grade in self.judged():
            yield _json_line({"query-id": query, "corpus-id": document, "score": grade})

    def judged(self) -> Iterator[tuple[str, str, int]]:
        """(query id, document id, grade) of every judgement, by query and in corpus order."""
        qrels = self.qrels
        for row, column, grade in zip(qrels.rows.tolist(), qrels.indices.tolist(), qrels.grades.tolist(), strict=True):
            yield self.queries.ids[row], self.corpus.ids[column], grade

    @cached_property
    def digest(self) -> str:
        """sha256, in hex, of corpus.jsonl, queries.jsonl and qrels/test.tsv as `write_folder` writes them, joined, and of the
        rule."""
        state = self.corpus.hashed()
        for lines in (self.query_lines(), self.qrels_lines()):
            for line in lines:
                state.update(line)
        if self.ignore_identical_ids:
            state.update(b"ignore identical ids\n")
        return str(state.hexdigest())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Dataset) and self.digest == other.digest

    def __hash__(self) -> int:
        return hash(self.digest)


def _json_line(row: dict[str, Any]) -> bytes:
    return (json.dumps(row, ensure_ascii=False) + "\n").encode()
