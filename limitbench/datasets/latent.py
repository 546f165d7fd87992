"""A dataset before its text: who has which attributes, what is asked, and a stream of documents that needs no memory.

A `LatentTable` holds what queries depend on, the latent table: the attributes of a query's documents and of its decoys. All other
attributes of a document are fillers that no query asks for. They, the order of a document's list and its name follow from the
seed and the document's number alone, so documents can be written from any number on, and a million need no more memory than
a thousand.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    StrictInt,
    field_validator,
    model_serializer,
)

from limitbench.collection import Corpus, Dataset, Queries
from limitbench.datasets.decoys import Giving, shares
from limitbench.datasets.draw import Draw, below, words
from limitbench.datasets.language import DENIED, OPERATORS, World, forms, vocabulary
from limitbench.datasets.worlds import world_of
from limitbench.errors import SpecError, UnknownName
from limitbench.relevance import Qrels

_SPARE = 5  # fillers of a document whose list is longer than the language's
_LATER = {"denials": 0, "hard_negatives": 0, "asked_at": "anywhere"}
_POOL = 4_000_000  # fillers to choose from, over the documents of a block: 32 MB


class Language(BaseModel):
    """How a relevance matrix is put into words. Each field is a knob of a spec's [language]."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    world: str = "people"
    vocabulary: str = "attributes"  # attributes, inflected, synonyms or composed: what documents say, and queries
    attributes: int | None = Field(None, ge=1, strict=True)  # the first so many of the vocabulary; None: all
    part: Literal["all", "train", "test"] = "all"  # train and test are halves that share no last word
    per_document: StrictInt | tuple[StrictInt, StrictInt] = 45  # attributes listed: a number, or the least and the most
    operators: tuple[str, ...] = ("one",)  # taken in turn, query by query
    decoys: int = Field(
        2, ge=0, strict=True
    )  # per query: documents with a part of what an operator asks for, not relevant
    denials: int = Field(0, ge=0, strict=True)  # per query for one attribute: documents that say they do not have it
    hard_negatives: int = Field(
        0, ge=0, strict=True
    )  # per query for a composed attribute: documents with both its words
    asked_at: Literal["anywhere", "first", "middle", "last"] = "anywhere"  # where in a list what queries ask for stands
    distractors: int = Field(0, ge=0, strict=True)  # documents after the pattern's, relevant to nothing
    ids: Literal["name", "number"] = "name"  # of documents; names hold spaces, as LIMIT's do

    @field_validator("per_document")
    @classmethod
    def _a_range(cls, value: int | tuple[int, int]) -> int | tuple[int, int]:
        low, high = (value, value) if isinstance(value, int) else value
        if not 1 <= low <= high:
            raise ValueError(f"found {value}, expected at least 1, or the least and the most")
        return value

    @field_validator("operators")
    @classmethod
    def _known(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not value:
            raise ValueError("found no operator, expected one of " + ", ".join(OPERATORS))
        for name in value:
            if name not in OPERATORS:
                raise UnknownName("operator", name, OPERATORS)
        return value

    @model_serializer(mode="wrap")
    def _dumped(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Knobs that came later are left out where they have their default: what was made before keeps its digest."""
        told: dict[str, Any] = dump(self)
        return {name: value for name, value in told.items() if name not in _LATER or value != _LATER[name]}

    @property
    def lengths(self) -> tuple[int, int]:
        """The least and the most attributes of a document."""
        return (self.per_document,) * 2 if isinstance(self.per_document, int) else self.per_document


@dataclass(frozen=True, eq=False)
class LatentTable:
    """All that decides a dataset's text. `asked` holds a query's attributes, `own` those of each document that has some."""

    pattern: Qrels
    language: Language
    seed: int
    said: tuple[str, ...]  # what documents say of each attribute
    said_in_queries: tuple[str, ...]
    asked: tuple[tuple[str, tuple[int, ...]], ...]  # operator and attributes of each query
    stretch: bool  # whether documents that need longer lists than the language's have them
    own: dict[int, tuple[int, ...]]
    fillers: npt.NDArray[np.int32]

    @cached_property
    def world(self) -> World:
        """The sentence forms of the table's world."""
        return world_of(self.language.world)

    @property
    def n(self) -> int:
        """The number of documents, distractors included."""
        return self.pattern.n_documents + self.language.distractors

    @cached_property
    def digest(self) -> str:
        """sha256, in hex, of everything that decides the bytes."""
        told = [
            1, self.pattern.digest, self.language.model_dump(mode="json"), self.seed, self.stretch, self.said, self.said_in_queries,
            self.asked, sorted(self.own.items()), self.fillers.tolist(), self.names.first, self.names.last,
        ]  # fmt: skip
        return hashlib.sha256(json.dumps(told).encode()).hexdigest()

    @cached_property
    def qrels(self) -> Qrels:
        """The relevance matrix, computed from the latent table: which documents hold what each query asks for."""
        holders: dict[int, set[int]] = {}
        for document, attributes in self.own.items():
            for attribute in attributes:
                holders.setdefault(attribute, set()).add(document)
        rows = []
        for name, parts in self.asked:
            operator = OPERATORS[name]
            rows.append(operator.holds(*(holders.get(~a if operator.denied else a, set()) for a in parts)))
        return Qrels.from_sets([np.array(sorted(row), np.int64) for row in rows], self.n)

    @cached_property
    def queries(self) -> Queries:
        """The questions as queries with ids and texts."""
        texts = tuple(
            self.world.question(OPERATORS[name].phrase(*(self.said_in_queries[a] for a in parts)))
            for name, parts in self.asked
        )
        return Queries(tuple(f"query_{q}" for q in range(len(texts))), texts)

    @cached_property
    def names(self) -> Names:
        """The names of the documents, by number."""
        return Names(self.n, self.seed)

    @cached_property
    def block(self) -> int:
        """How many documents are made at a time."""
        return max(16, min(2048, _POOL // max(1, len(self.fillers))))

    def document_id(self, document: int) -> str:
        """The id of a document: its name, or its number where the language says so."""
        return self._id(document, self.names[document])

    def _id(self, document: int, name: str) -> str:
        return f"document_{document}" if self.language.ids == "number" else name

    def documents(self, start: int = 0, stop: int | None = None) -> Iterator[tuple[str, str]]:
        """(id, text) of the documents from `start` on, the same whatever `start` is."""
        stop = self.n if stop is None else stop
        for at in range(start, stop, self.block):
            end = min(stop, at + self.block)
            for document, listed in zip(range(at, end), self._lists(at, end), strict=True):
                name = self.names[document]
                told = [self.said[a] if a >= 0 else DENIED + self.said[~a] for a in self._placed(document, listed)]
                yield self._id(document, name), self.world.sentence(name, told)

    def _placed(self, document: int, listed: list[int]) -> list[int]:
        """The list with what queries ask for where the language wants it."""
        if self.language.asked_at == "anywhere" or document not in self.own:
            return listed
        mine = set(self.own[document])
        asked, others = [a for a in listed if a in mine], [a for a in listed if a not in mine]
        before = {"first": 0, "middle": len(others) // 2, "last": len(others)}[self.language.asked_at]
        return [*others[:before], *asked, *others[before:]]

    def corpus_lines(self, start: int = 0, stop: int | None = None) -> Iterator[bytes]:
        """`corpus.jsonl` from document `start` on, line by line; equal to the dataset's own."""
        quoted = json.encoder.encode_basestring  # what json.dumps does to a string, without the way there
        for name, text in self.documents(start, stop):
            yield f'{{"_id": {quoted(name)}, "title": "", "text": {quoted(text)}}}\n'.encode()

    def qrels_lines(self) -> Iterator[bytes]:
        """`qrels/test.tsv`, line by line; equal to the dataset's own."""
        yield b"query-id\tcorpus-id\tscore\n"
        ids = {d: self.document_id(d) for d in np.unique(self.qrels.indices).tolist()}
        for row, column in zip(self.qrels.rows.tolist(), self.qrels.indices.tolist(), strict=True):
            yield f"{self.queries.ids[row]}\t{ids[column]}\t1\n".encode()

    def query_lines(self) -> Iterator[bytes]:
        """`queries.jsonl`, line by line; equal to the dataset's own."""
        for name, text in zip(self.queries.ids, self.queries.texts, strict=True):
            yield (json.dumps({"_id": name, "text": text}, ensure_ascii=False) + "\n").encode()

    def dataset(self, name: str, spec: dict[str, object] | None = None) -> Dataset:
        """The whole dataset in memory."""
        ids, texts = zip(*self.documents(), strict=True)
        return Dataset(name, Corpus(ids, texts), self.queries, self.qrels, spec=spec or {})

    def _lists(self, start: int, stop: int) -> Iterator[list[int]]:
        """The attributes of these documents in the order of their lists."""
        low, high = self.language.lengths
        count, stride, f = stop - start, 2 * high + 1, len(self.fillers)
        raw = words(self.seed, start * stride, count * stride).reshape(count, stride)
        length = low + below(raw[:, -1], high - low + 1)  # (count,)
        pool = np.tile(self.fillers, (count, 1))  # (count, f); its first columns become the sample (Fisher and Yates)
        rows = np.arange(count)
        for j in range(min(high, f)):
            chosen = j + below(raw[:, j], f - j)
            pool[rows, j], pool[rows, chosen] = pool[rows, chosen], pool[rows, j]
        table = np.full((count, high), -1, np.int32)
        table[:, : min(high, f)] = pool[:, :high]
        longer: dict[int, list[int]] = {}
        for row in range(count):
            mine = self.own.get(start + row, ())
            if self.stretch and len(mine) + _SPARE > high:
                longer[row] = self._long_list(start + row, mine)
            elif mine:
                table[row, len(mine) :] = table[row, : high - len(mine)].copy()
                table[row, : len(mine)] = mine
                length[row] = max(length[row], len(mine))
        keys = raw[:, high : 2 * high].copy()
        keys[np.arange(high) >= length[:, None]] = np.iinfo(np.uint64).max
        order = np.argsort(keys, axis=1, kind="stable")
        listed = np.take_along_axis(table, order, 1).tolist()
        for number, (row, size) in enumerate(zip(listed, length.tolist(), strict=True)):
            yield longer.get(number) or row[:size]

    def _long_list(self, document: int, mine: Sequence[int]) -> list[int]:
        """A list longer than the language's: what the document must have, and a few fillers."""
        draw = Draw(int.from_bytes(hashlib.sha256(f"{self.seed} {document}".encode()).digest()[:8], "big"))
        return draw.shuffled([*mine, *draw.sample(self.fillers.tolist(), min(_SPARE, len(self.fillers)))])


class Names:
    """n distinct names "First Last" of our own two lists; with middle names where those are not enough.

    Document i has number a i + b modulo the count of names, a and the count having no common divisor: no two are equal,
    and none needs a list.
    """

    def __init__(self, n: int, seed: int) -> None:
        self.first, self.last = vocabulary("first-names"), vocabulary("last-names")
        self.middles = 0
        while (count := len(self.last) * len(self.first) ** (1 + self.middles)) < n:
            self.middles += 1
        self.count = count
        self.factor = count * 618 // 1000
        while math.gcd(self.factor, count) != 1:
            self.factor += 1
        self.shift = Draw(seed).below(count)

    def __getitem__(self, document: int) -> str:
        number = (self.factor * document + self.shift) % self.count
        number, last = divmod(number, len(self.last))
        parts = []
        for _ in range(1 + self.middles):
            number, first = divmod(number, len(self.first))
            parts.append(self.first[first])
        return " ".join([*parts, self.last[last]])


def latent_table(pattern: Qrels, language: Language, seed: int, *, stretch: bool = False) -> LatentTable:
    """What these queries ask for and who has it, so that exact attribute logic gives `pattern` back.

    With `stretch`, a document that is relevant to more queries than its list has room for gets a longer one.

    Raises `SpecError`, before any text is made, where attributes or places in the documents' lists are too few.
    """
    pairs = _part(forms(language.vocabulary), language.part)[: language.attributes]
    operators = [language.operators[q % len(language.operators)] for q in range(pattern.n_queries)]
    if (language.denials or language.hard_negatives) and "one" not in language.operators:
        raise SpecError(
            "denials and hard_negatives are of queries for one attribute; add the operator 'one', or leave them out"
        )
    draw = Draw(seed)
    order = draw.shuffled(range(len(pairs)))
    needed = sum(OPERATORS[name].arity for name in operators)
    _require_attributes(needed, language, len(pairs), pattern)
    n = pattern.n_documents + language.distractors
    own: dict[int, list[int]] = {}
    asked = []
    for name, relevant in zip(operators, pattern.sets(), strict=True):
        parts = tuple(order.pop() for _ in range(OPERATORS[name].arity))
        asked.append((name, parts))
        for document, held in shares(name, parts, relevant, draw):
            own.setdefault(document, []).extend(held)
    if not stretch:
        _require_room(own, language)
    giving = Giving(own, language, n, draw, stretch)
    for (name, parts), relevant in zip(asked, pattern.sets(), strict=True):
        giving.decoys(name, parts, relevant)
    if language.hard_negatives:
        order = giving.hard_negatives(asked, list(pattern.sets()), [said for said, _ in pairs], order)
    fillers = np.array(order, np.int32)
    least = min((len(held) for held in own.values()), default=0) if len(own) == n else 0
    if language.lengths[1] - least > len(fillers):
        raise SpecError(
            f"documents list up to {language.lengths[1] - least} attributes that no query asks for; found "
            f"{len(fillers)} left in the vocabulary '{language.vocabulary}': choose a larger one, shorter "
            "lists or fewer queries"
        )
    made = LatentTable(
        pattern, language, seed, tuple(a for a, _ in pairs), tuple(b for _, b in pairs), tuple(asked),
        stretch, {document: tuple(held) for document, held in own.items()}, fillers,
    )  # fmt: skip
    if list(made.qrels.sets()) != list(pattern.sets()):
        raise AssertionError("the latent table does not give the pattern back")
    return made


def _part(pairs: Sequence[tuple[str, str]], part: str) -> list[tuple[str, str]]:
    """All attributes, or the train or the test half. The last word decides, so that whatever the vocabulary and its size no
    last word is in both halves; what documents and queries say so differently that they would part is in neither."""
    if part == "all":
        return list(pairs)

    def side(text: str) -> str:
        last = re.findall(r"\w+", text.lower())[-1]
        last = last[:-3] + "y" if last.endswith("ies") and len(last) > 4 else last
        stem = last.removesuffix("s").removesuffix("e")
        return "train" if hashlib.sha256(stem.encode()).digest()[0] % 2 else "test"

    return [pair for pair in pairs if all(side(said) == part for said in pair)]


def _require_attributes(needed: int, language: Language, there: int, pattern: Qrels) -> None:
    if needed > there:
        raise SpecError(
            f"the pattern needs {needed} attributes for its {pattern.n_queries} queries; found {there} in the vocabulary "
            f"'{language.vocabulary}': "
            + (
                "ask fewer queries"
                if language.vocabulary == "composed"
                else "choose a larger one, such as 'composed', or fewer queries"
            )
        )


def _require_room(own: dict[int, list[int]], language: Language) -> None:
    most = max(map(len, own.values()), default=0)
    if most > language.lengths[1]:
        raise SpecError(
            f"a document is relevant to so many queries that it needs {most} attributes; found per_document = "
            f"{language.lengths[1]}: raise it, or ask fewer queries"
        )
