"""How relevance is put into words: worlds with their sentence forms, query operators, vocabularies.

A world says that a named thing has attributes, and asks for the things that have one, or a combination. What it says it can
read back (`listed`, `asked`), so exact attribute logic over the texts must give the qrels back (`exact_match`), and a test
holds us to it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from limitbench import catalog
from limitbench.collection import Corpus, Queries
from limitbench.errors import UnknownName
from limitbench.relevance import Qrels

Holders = set[int]


@dataclass(frozen=True)
class Operator:
    """A combination of attributes: how many it takes, the words, and which documents it asks for."""

    arity: int
    phrase: Callable[..., str]
    holds: Callable[..., Holders]  # of the holders of each attribute


OPERATORS: dict[str, Operator] = {
    "one": Operator(1, "{}".format, lambda a: a),
    "and": Operator(2, "both {} and {}".format, lambda a, b: a & b),
    "or": Operator(2, "{} or {}".format, lambda a, b: a | b),
    "not": Operator(2, "{} but not {}".format, lambda a, b: a - b),
    "two-of": Operator(3, "at least two of {}, {} and {}".format, lambda a, b, c: a & b | a & c | b & c),
}

_FORMS = {
    "two-of": re.compile(r"at least two of (.+), (.+) and (.+)"),
    "and": re.compile(r"both (.+) and (.+)"),
    "not": re.compile(r"(.+) but not (.+)"),
    "or": re.compile(r"(.+) or (.+)"),
}


def parse_expression(text: str, known: Iterable[str] | Mapping[str, object] = ()) -> tuple[str, tuple[str, ...]]:
    """The operator and the attributes of what a question asks for; a known attribute is one, whatever words it holds."""
    if text not in known:
        for name, form in _FORMS.items():
            if found := form.fullmatch(text):
                return name, found.groups()
    return "one", (text,)


class World(Protocol):
    """A way to say that something has attributes, and to ask for it."""

    def sentence(self, name: str, attributes: Sequence[str]) -> str:
        """The text of a document."""

    def question(self, expression: str) -> str:
        """The text of a query."""

    def listed(self, text: str) -> list[str]:
        """The attributes that a sentence lists; [] where the text has another form."""

    def asked(self, text: str) -> str:
        """The expression that a question asks for; "" where the text has another form."""


class People:
    """People and what they like."""

    def sentence(self, name: str, attributes: Sequence[str]) -> str:
        """ "Ada Lovelace likes chess, green tea and engines." """
        *most, last = attributes
        return f"{name} likes {', '.join(most)}{' and ' if most else ''}{last}."

    def question(self, expression: str) -> str:
        """The question for an attribute, such as "Who likes green tea?"."""
        return f"Who likes {expression}?"

    def listed(self, text: str) -> list[str]:
        """The attributes that a sentence lists; [] where the text has another form.

        The last comma leaves "Y and Z", and where an attribute itself holds an "and" there is more than one way to
        read that: all of them are given.
        """
        _, found, rest = text.strip().removesuffix(".").partition(" likes ")
        if not found:
            return []
        *most, tail = rest.split(", ")
        joints = [match.start() for match in re.finditer(" and ", tail)]
        return [*most, *(part for at in joints for part in (tail[:at], tail[at + 5 :]))] if joints else [*most, tail]

    def asked(self, text: str) -> str:
        """The expression that a question asks for; "" where the text has another form."""
        return text.strip().removesuffix("?").partition(" likes ")[2]


class Products:
    """Products and their features, listed line by line as data sheets do."""

    def sentence(self, name: str, attributes: Sequence[str]) -> str:
        """ "Data sheet of model Ada Lovelace. Features: chess; green tea; engines" """
        return f"Data sheet of model {name}. Features: {'; '.join(attributes)}"

    def question(self, expression: str) -> str:
        """ "Show me every model with green tea." """
        return f"Show me every model with {expression}."

    def listed(self, text: str) -> list[str]:
        """The attributes that a data sheet lists; [] where the text has another form."""
        return text.strip().partition(". Features: ")[2].split("; ") if ". Features: " in text else []

    def asked(self, text: str) -> str:
        """The expression that is asked for; "" where the text has another form."""
        return text.strip().removesuffix(".").partition("every model with ")[2]


WORLD_FORMS: tuple[World, ...] = (People(), Products())


def vocabulary(name: str) -> tuple[str, ...]:
    """The attributes of a vocabulary of the catalogue as documents write them, in file order."""
    return tuple(said for said, _ in forms(name))


def forms(name: str) -> tuple[tuple[str, str], ...]:
    """(what documents say, what queries say) for every attribute of a vocabulary of the catalogue, in file order.

    A line of its file holds both with a tab between, or one for both. `composed` is every modifier before every attribute of
    one word. Raises `UnknownName` for a name that is not there.
    """
    if name == "composed":
        heads = [said for said, _ in forms("attributes") if " " not in said and "-" not in said]
        made = [f"{modifier} {head}" for head in heads for modifier, _ in forms("modifiers") if modifier != head]
        return tuple((said, said) for said in made)
    folder: Path = catalog.folder("datasets") / "vocabularies"
    known = sorted([*(path.stem for path in folder.glob("*.txt")), "composed"])
    if name not in known:
        raise UnknownName("vocabulary", name, known, where="datasets/vocabularies/")
    path = folder / f"{name}.txt"
    lines = [line for line in path.read_text(encoding="utf-8").splitlines() if line and not line.startswith("#")]
    return tuple((said, asked or said) for said, _, asked in (line.partition("\t") for line in lines))


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
    known = {*holders, *said}
    rows = []
    for text in queries.texts:
        name, attributes = parse_expression(world.asked(text), known)
        rows.append(sorted(OPERATORS[name].holds(*(holders.get(said.get(a, a), set()) for a in attributes))))
    return Qrels.from_sets([np.array(row, np.int64) for row in rows], len(corpus))
