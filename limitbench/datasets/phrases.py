"""Phrases of a corpus: its words, sentences, titles and headings, and which documents hold them."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Literal

from limitbench.collection import Corpus

Operator = Literal["all", "any", "but-not"]
Words = tuple[str, ...]
FENCED = re.compile(r"^(```|~~~).*?^\1", re.M | re.S)
HEADING = re.compile(r"^#{1,6}\s+(\S.*)$", re.M)
_SENTENCE = re.compile(r"[.!?;:\n]+(?=\s|$)|\n")
_COMMON = 0.1  # of the documents: a word in more of them says little, whatever the language
_FUNCTION = frozenset(
    [
        "about",
        "above",
        "after",
        "again",
        "all",
        "also",
        "and",
        "any",
        "are",
        "because",
        "been",
        "before",
        "being",
        "below",
        "between",
        "both",
        "but",
        "can",
        "could",
        "did",
        "does",
        "doing",
        "down",
        "during",
        "each",
        "few",
        "for",
        "from",
        "further",
        "had",
        "has",
        "have",
        "having",
        "her",
        "here",
        "hers",
        "him",
        "his",
        "how",
        "into",
        "its",
        "itself",
        "just",
        "less",
        "many",
        "may",
        "might",
        "more",
        "most",
        "much",
        "must",
        "nor",
        "not",
        "now",
        "off",
        "once",
        "one",
        "only",
        "other",
        "our",
        "out",
        "over",
        "own",
        "same",
        "shall",
        "she",
        "should",
        "some",
        "such",
        "than",
        "that",
        "the",
        "their",
        "them",
        "then",
        "there",
        "these",
        "they",
        "this",
        "those",
        "through",
        "too",
        "under",
        "until",
        "upon",
        "very",
        "was",
        "were",
        "what",
        "when",
        "where",
        "which",
        "while",
        "who",
        "whom",
        "why",
        "will",
        "with",
        "would",
        "you",
        "your",
        "yours",
    ]
)
_LONGEST = 3  # words of a phrase


def words(text: str) -> Words:
    """The words of a text, lower-cased and composed (NFC), in order: letters, digits and their marks, in any script.

    Apostrophes and hyphens inside a word are part of it.
    """
    return tuple(_word().findall(unicodedata.normalize("NFC", text.lower())))


@cache
def _word() -> re.Pattern[str]:
    """A word. Python's own class has no combining marks, without which Devanagari falls apart into letters."""
    marks = "".join(chr(point) for point in range(0x300, 0x10000) if unicodedata.category(chr(point)) in ("Mn", "Mc"))
    return re.compile(rf"[\w{marks}]+(?:['\u2019-][\w{marks}]+)*")


def name_of(text: str) -> Words:
    """A title or heading, for comparison: composed, without case, white space made one. Signs stay: C++ is not C."""
    return tuple(unicodedata.normalize("NFC", text).casefold().split())


def sentences(*texts: str) -> list[Words]:
    """The sentences of texts, as words. One ends at . ! ? ; : before white space, at a line's end, or with its text."""
    return [row for text in texts for part in _SENTENCE.split(text) if (row := words(part))]


@dataclass(frozen=True, eq=False)
class Phrases:
    """The phrases of a corpus: up to three words of a sentence in a row that start and end with a word that says something."""

    corpus: Corpus

    @cached_property
    def documents(self) -> list[list[Words]]:
        """The sentences of each document, its title first."""
        return [sentences(title, text) for title, text in zip(self.corpus.titles, self.corpus.texts, strict=True)]

    @cached_property
    def _frequency(self) -> Counter[str]:
        return Counter(word for rows in self.documents for word in {word for row in rows for word in row})

    def _content(self, word: str) -> bool:
        most = max(5, _COMMON * len(self.documents))
        return self._frequency[word] <= most and len(word) > 2 and not word.isdigit() and word not in _FUNCTION

    def _of(self, row: Words, keep: Callable[[str], bool]) -> Iterator[Words]:
        edge = [keep(word) for word in row]
        for start in range(len(row)):
            if edge[start]:
                for stop in range(start + 1, min(start + _LONGEST, len(row)) + 1):
                    if edge[stop - 1]:
                        yield row[start:stop]

    @cached_property
    def postings(self) -> dict[Words, tuple[int, ...]]:
        """By phrase: the documents that have it, ascending."""
        content = {word for word in self._frequency if self._content(word)}
        found: dict[Words, list[int]] = defaultdict(list)
        for number, rows in enumerate(self.documents):
            for phrase in {phrase for row in rows for phrase in self._of(row, content.__contains__)}:
                found[phrase].append(number)
        return {phrase: tuple(numbers) for phrase, numbers in found.items()}

    @cached_property
    def by_document(self) -> list[list[Words]]:
        """The phrases of each document, sorted."""
        out: list[list[Words]] = [[] for _ in self.documents]
        for phrase, numbers in self.postings.items():
            for number in numbers:
                out[number].append(phrase)
        return [sorted(row) for row in out]

    def attributes(self, document: int, most: int) -> list[Words]:
        """The phrases of a document that others share, but at most `most`."""
        return [phrase for phrase in self.by_document[document] if 2 <= len(self.postings[phrase]) <= most]
