"""From a relevance matrix to sentences: LIMIT's "Who likes X?" over "N likes A, B, ... and Z."

Each query owns one attribute, and exactly its relevant documents list it. The rest of a document's list is filled with
attributes that no query asks for. So exact attribute match must give the qrels back, and a test holds us to it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from scipy import sparse

from limitbench import catalog
from limitbench.collection import Corpus, Queries
from limitbench.datasets.draw import Draw
from limitbench.errors import SpecError
from limitbench.relevance import Qrels


class People:
    """People and what they like."""

    def sentence(self, name: str, attributes: Sequence[str]) -> str:
        """ "Ada Lovelace likes chess, green tea and engines." """
        *most, last = attributes
        return f"{name} likes {', '.join(most)}{' and ' if most else ''}{last}."

    def question(self, attribute: str) -> str:
        """ "Who likes green tea?" """
        return f"Who likes {attribute}?"

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
        """The attribute that a question asks for; "" where the text has another form."""
        return text.strip().removesuffix("?").partition(" likes ")[2]


def vocabulary(name: str) -> tuple[str, ...]:
    """The lines of a vocabulary file of the catalogue, in file order."""
    path: Path = catalog.folder("datasets") / "vocabularies" / f"{name}.txt"
    if not path.is_file():
        known = sorted(p.stem for p in path.parent.glob("*.txt"))
        raise SpecError(f"vocabulary '{name}' is not in datasets/vocabularies/; known: {', '.join(known)}")
    return tuple(line for line in path.read_text(encoding="utf-8").splitlines() if line and not line.startswith("#"))


def contained(phrases: Sequence[str]) -> list[tuple[str, str]]:
    """(inner, outer) pairs where one phrase stands in another as a whole word sequence, whatever the case."""
    words = {phrase: tuple(re.findall(r"\w+", phrase.lower())) for phrase in phrases}
    holders: dict[tuple[str, ...], list[str]] = {}
    for phrase, parts in words.items():
        runs = {parts[i:j] for i in range(len(parts)) for j in range(i + 1, len(parts) + 1)}
        for run in runs:
            holders.setdefault(run, []).append(phrase)
    return [(inner, outer) for inner in phrases for outer in holders.get(words[inner], []) if outer != inner]


def full_names(draw: Draw, n: int) -> list[str]:
    """n distinct names "First Last" from our own two lists, in random order."""
    first, last = vocabulary("first-names"), vocabulary("last-names")
    if n > len(first) * len(last):
        raise SpecError(
            f"found {n} documents, expected at most {len(first) * len(last)}: the names would not be unique"
        )
    return [f"{first[i // len(last)]} {last[i % len(last)]}" for i in draw.distinct(len(first) * len(last), n)]


def phrase(
    qrels: Qrels, world: People, words: Sequence[str], *, per_document: int, seed: int
) -> tuple[Corpus, Queries]:
    """A corpus and queries in the given world whose exact attribute match is `qrels`.

    Each document lists `per_document` attributes in random order. Raises `SpecError` where there are too few of them.
    """
    m, n = qrels.shape
    by_document = sparse.csc_array(qrels.csr())
    needed = np.diff(by_document.indptr)
    if needed.max(initial=0) > per_document:
        raise SpecError(
            f"a document is relevant to {needed.max()} queries, so it needs as many attributes; "
            f"found {per_document} attributes a document: raise it, or ask fewer queries"
        )
    most_fillers = per_document - int(needed.min(initial=per_document))
    if m + most_fillers > len(words):
        raise SpecError(
            f"the pattern needs {m} attributes for its queries and {most_fillers} others; found {len(words)} in the "
            "vocabulary: choose a larger one or fewer queries"
        )
    draw = Draw(seed)
    order = draw.shuffled(words)
    asked, fillers = order[:m], order[m:]
    names = full_names(draw, n)
    texts = []
    for document, name in enumerate(names):
        own = [asked[q] for q in by_document.indices[by_document.indptr[document] : by_document.indptr[document + 1]]]
        texts.append(world.sentence(name, draw.shuffled([*own, *draw.sample(fillers, per_document - len(own))])))
    queries = Queries(tuple(f"query_{q}" for q in range(m)), tuple(world.question(a) for a in asked))
    return Corpus(tuple(names), tuple(texts)), queries


def exact_match(corpus: Corpus, queries: Queries, world: People) -> Qrels:
    """The relevance matrix that the texts themselves spell out: documents that list the attribute asked for."""
    listed: dict[str, list[int]] = {}
    for number, text in enumerate(corpus.texts):
        for attribute in dict.fromkeys(world.listed(text)):
            listed.setdefault(attribute, []).append(number)
    return Qrels.from_sets([listed.get(world.asked(text), []) for text in queries.texts], len(corpus))
