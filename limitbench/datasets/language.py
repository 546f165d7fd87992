"""How relevance is put into words: worlds with their sentence forms, query operators, vocabularies.

A world (`worlds`) says that a named thing has attributes, and asks for the things that have one, or a combination. What it says
it can read back (`listed`, `asked`), so exact attribute logic over the texts must give the qrels back (`exact_match`), and a test
holds us to it.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from limitbench import catalog
from limitbench.collection import Corpus, Queries
from limitbench.errors import DataError, SpecError, UnknownName
from limitbench.relevance import Qrels

Holders = set[int]


@dataclass(frozen=True)
class Operator:
    """A combination of attributes: how many it takes, the words, and which documents it asks for."""

    arity: int
    phrase: Callable[..., str]
    holds: Callable[..., Holders]  # of the holders of each attribute, or of those that deny it
    denied: bool = False


DENIED = "not "  # before an attribute that a document says it does not have
OPERATORS: dict[str, Operator] = {
    "one": Operator(1, "{}".format, lambda a: a),
    "denies": Operator(1, "not {}".format, lambda a: a, denied=True),
    "and": Operator(2, "both {} and {}".format, lambda a, b: a & b),
    "or": Operator(2, "{} or {}".format, lambda a, b: a | b),
    "not": Operator(2, "{} but not {}".format, lambda a, b: a - b),
    "two-of": Operator(3, "at least two of {}, {} and {}".format, lambda a, b, c: a & b | a & c | b & c),
    "and-or": Operator(3, "both {} and either {} or {}".format, lambda a, b, c: a & (b | c)),
    "and-not": Operator(3, "both {} and {} but not {}".format, lambda a, b, c: (a & b) - c),
}

_FORMS = {  # the first that fits counts
    "denies": re.compile(r"not (.+)"),
    "two-of": re.compile(r"at least two of (.+), (.+) and (.+)"),
    "and-or": re.compile(r"both (.+) and either (.+) or (.+)"),
    "and-not": re.compile(r"both (.+) and (.+) but not (.+)"),
    "and": re.compile(r"both (.+) and (.+)"),
    "not": re.compile(r"(.+) but not (.+)"),
    "or": re.compile(r"(.+) or (.+)"),
}


def parse_expression(text: str, known: Container[str] = ()) -> tuple[str, tuple[str, ...]]:
    """The operator and the attributes of what a question asks for; a known attribute is one, whatever words it holds."""
    if text not in known:
        for name, form in _FORMS.items():
            if found := form.fullmatch(text):
                return name, found.groups()
    return "one", (text,)


@dataclass(frozen=True)
class _Either:
    """What either of two mappings has."""

    one: Mapping[str, object]
    other: Mapping[str, object]

    def __contains__(self, key: object) -> bool:
        return key in self.one or key in self.other


def answers(asked: str, holders: Mapping[str, Holders], said: Mapping[str, str]) -> Holders:
    """The documents that an expression asks for, of the holders of every attribute that documents list, denied ones too.

    `said` maps what queries say of an attribute to what documents say, where they differ.
    """
    name, attributes = parse_expression(asked, _Either(holders, said))
    operator = OPERATORS[name]
    prefix = DENIED if operator.denied else ""
    return operator.holds(*(holders.get(prefix + said.get(a, a), set()) for a in attributes))


class World(Protocol):
    """A way to say that something has attributes, and to ask for it. An attribute that begins with "not " is denied."""

    def sentence(self, name: str, attributes: Sequence[str]) -> str:
        """The text of a document."""

    def question(self, expression: str) -> str:
        """The text of a query."""

    def listed(self, text: str) -> list[str]:
        """The attributes that a sentence lists; [] where the text has another form."""

    def asked(self, text: str) -> str:
        """The expression that a question asks for; "" where the text has another form."""


def vocabulary(name: str) -> tuple[str, ...]:
    """The attributes of a vocabulary of the catalogue as documents write them, in file order."""
    return tuple(said for said, _ in forms(name))


def forms(name: str) -> tuple[tuple[str, str], ...]:
    """(what documents say, what queries say) for every attribute of a vocabulary of the catalogue, in file order.

    A line of its file holds both with a tab between, or one for both. `composed` is every modifier before every attribute of
    one word. A name that ends in .txt is a file of yours. `german/everyday` is what documents say of the first and queries of the
    second, line by line. Raises `UnknownName` for a name that is not there, `DataError` for a file that cannot be read,
    `SpecError` for two of other lengths.
    """
    if name.endswith(".txt"):
        return _forms_of(Path(name).expanduser())
    listed, across, asked = name.partition("/")
    if across:
        pair = [[said for said, _ in forms(part)] for part in (listed, asked)]
        if len(pair[0]) != len(pair[1]):
            raise SpecError(
                f"vocabulary '{name}': found {len(pair[0])} and {len(pair[1])} attributes, expected as many"
            )
        return tuple(zip(*pair, strict=True))
    if name == "composed":
        heads = [said for said, _ in forms("attributes") if " " not in said and "-" not in said]
        made = [f"{modifier} {head}" for head in heads for modifier, _ in forms("modifiers") if modifier != head]
        return tuple((said, said) for said in made)
    folder: Path = catalog.folder("datasets") / "vocabularies"
    known = sorted([*(path.stem for path in folder.glob("*.txt")), "composed"])
    if name not in known:
        raise UnknownName("vocabulary", name, known, where="datasets/vocabularies/")
    return _forms_of(folder / f"{name}.txt")


def _forms_of(path: Path) -> tuple[tuple[str, str], ...]:
    """The attributes of a file, one a line. Raises `DataError` for one that cannot be read, or names an attribute twice."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(
            path, f"cannot be read ({error}); expected a text file with an attribute on each line"
        ) from None
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#")]
    pairs = [
        (said.strip(), asked.strip() or said.strip()) for said, _, asked in (line.partition("\t") for line in lines)
    ]
    twice = next((said for said, count in Counter(said for said, _ in pairs).items() if count > 1), None)
    if twice is not None:
        raise DataError(path, f"names '{twice}' twice; keep one")
    return tuple(pairs)


def contained(phrases: Sequence[str]) -> list[tuple[str, str]]:
    """(inner, outer) pairs where one phrase stands in another as a whole word sequence, whatever the case."""
    words = {phrase: tuple(re.findall(r"\w+", phrase.lower())) for phrase in phrases}
    sought = set(words.values())
    lengths = sorted({len(parts) for parts in sought if parts})
    holders: dict[tuple[str, ...], list[str]] = {}
    for phrase, parts in words.items():
        runs = {parts[i : i + size] for size in lengths for i in range(len(parts) - size + 1)}
        for run in runs & sought:
            holders.setdefault(run, []).append(phrase)
    return [(inner, outer) for inner in phrases for outer in holders.get(words[inner], []) if outer != inner]


def exact_match(corpus: Corpus, queries: Queries, world: World, said: Mapping[str, str] | None = None) -> Qrels:
    """The relevance matrix that the texts themselves spell out, by exact attribute logic.

    `said` maps what queries say of an attribute to what documents say, where they differ (`forms`).
    """
    said = said or {}
    holders: dict[str, Holders] = {}
    for number, text in enumerate(corpus.texts):
        for attribute in dict.fromkeys(world.listed(text)):
            holders.setdefault(attribute, set()).add(number)
    rows = [sorted(answers(world.asked(text), holders, said)) for text in queries.texts]
    return Qrels.from_sets([np.array(row, np.int64) for row in rows], len(corpus))
