r"""How texts become words for lexical retrieval: which characters make a word, which language stems it, and what is left out.

- `words` takes runs of letters, digits, marks and underscores, of any length: "vitamin C" and "iPhone 7" keep their second word.
- `bigrams` is the same, but a run of a script that writes no spaces between words (Chinese, Japanese, Thai, Lao, Khmer, Burmese and
  kin) becomes its characters and their overlapping pairs, as Lucene's CJK filter gives them with unigrams.
- `auto` is `bigrams` where more than half of a corpus's letters are of such scripts, else `words`.
  Both compare words in Unicode's form NFKC.
- `bm25s` is that library's default pattern, `(?u)\b\w\w+\b`, which drops words of one character: the setting of the LIMIT paper.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Literal

import bm25s
import bm25s.stopwords
import Stemmer

Tokens = Literal["auto", "words", "bigrams", "bm25s"]
_BM25S, _ASCII = r"(?u)\b\w\w+\b", r"(?u)\b\w+\b"
_LETTERS = re.compile(r"[^\W\d_]+")
_UNSPACED = (  # first and last code point of scripts without spaces between words
    (0x0E00, 0x0EFF), (0x0F00, 0x0FFF), (0x1000, 0x109F), (0x1780, 0x17FF), (0x1950, 0x19DF), (0x1A20, 0x1AAF), (0x3005, 0x3007),
    (0x3040, 0x30FF), (0x31F0, 0x31FF), (0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0xA9E0, 0xA9FF), (0xAA60, 0xAA7F), (0xF900, 0xFAFF),
    (0xFF66, 0xFF9F), (0x1B000, 0x1B16F), (0x20000, 0x323AF),
)  # fmt: skip
_CODES = {  # ISO 639-1 codes of the languages that have a stemmer or stop words here
    "ar": "arabic", "hy": "armenian", "eu": "basque", "ca": "catalan", "cs": "czech", "da": "danish", "nl": "dutch",
    "en": "english",
    "eo": "esperanto", "et": "estonian", "fi": "finnish", "fr": "french", "de": "german", "el": "greek", "hi": "hindi",
    "hu": "hungarian", "id": "indonesian", "ga": "irish", "it": "italian", "ko": "korean", "lt": "lithuanian", "ne": "nepali",
    "no": "norwegian", "fa": "persian", "pl": "polish", "pt": "portuguese", "ro": "romanian", "ru": "russian", "sr": "serbian",
    "es": "spanish", "sv": "swedish", "ta": "tamil", "tr": "turkish", "yi": "yiddish", "zh": "chinese",
}  # fmt: skip


def stop_words(language: str) -> tuple[str, ...]:
    """bm25s's stop words of a language by its name or code; none for one that it has no list of."""
    name = _CODES.get(language, language).upper()
    listed = getattr(bm25s.stopwords, "STOPWORDS_EN" if name == "ENGLISH" else f"STOPWORDS_{name}", ())
    return tuple(listed)


def stemmer(language: str) -> Any:
    """Snowball's stemmer of a language by its name or code; None for one that it has no stemmer of."""
    name = _CODES.get(language, language)
    return Stemmer.Stemmer(name) if name in Stemmer.algorithms() else None


def languages() -> tuple[str, ...]:
    """The languages that have a stemmer or stop words, by name."""
    listed = {name for name in _CODES.values() if stop_words(name)}
    return tuple(sorted(listed | set(Stemmer.algorithms())))


def known_language(value: str) -> str:
    """The language as given: none, or one that has a stemmer or stop words, by name or code. Raises `ValueError`."""
    if value != "none" and _CODES.get(value, value) not in languages():
        raise ValueError(f"expected none or a language: {', '.join(languages())}")
    return value


@dataclass(frozen=True)
class Splitter:
    """Texts to words: `tokens` is how, decided; `stop` and `stem` are applied in this order."""

    tokens: Literal["words", "bigrams", "bm25s"]
    stop: frozenset[str]
    stem: Any

    @classmethod
    def of(cls, tokens: Tokens, stem: str, stop: str, texts: Iterable[str]) -> Splitter:
        """The splitter of these options, languages by name or code; `auto` looks at the texts."""
        decided = tokens if tokens != "auto" else "bigrams" if unspaced_share(texts) > 0.5 else "words"
        return cls(
            decided, frozenset(() if stop == "none" else stop_words(stop)), None if stem == "none" else stemmer(stem)
        )

    def __call__(self, texts: Sequence[str]) -> list[list[str]]:
        """The words of every text. A text of stop words alone keeps them: "to be or not to be" asks for something."""
        out = self._taken(texts, list(self.stop))
        bare = [i for i, words in enumerate(out) if not words and texts[i].strip()] if self.tokens != "bm25s" else []
        for i, words in zip(bare, self._taken([texts[i] for i in bare], []) if bare else [], strict=True):
            out[i] = words
        return out

    def _taken(self, texts: Sequence[str], stop: list[str]) -> list[list[str]]:
        # what ASCII has of words, Unicode has too; its pattern takes longer to make
        words = _ASCII if all(text.isascii() for text in texts) else _word()
        pattern = _BM25S if self.tokens == "bm25s" else words
        plain = texts if self.tokens == "bm25s" else [composed(text) for text in texts]
        prepared = [spaced(text) for text in plain] if self.tokens == "bigrams" else list(plain)
        out: list[list[str]] = bm25s.tokenize(
            prepared,
            token_pattern=pattern,
            stopwords=stop,
            stemmer=self.stem,
            return_ids=False,
            show_progress=False,
        )
        return out


def composed(text: str) -> str:
    """The text in Unicode's form NFKC, in which one word has one spelling: composed accents, no full width, no ligatures."""
    return text if text.isascii() else unicodedata.normalize("NFKC", text)


def spaced(text: str) -> str:
    """The text with every run of an unspaced script written as its characters and their overlapping pairs, spaces between."""
    return text if text.isascii() else _of_unspaced().sub(lambda found: f" {' '.join(_pairs(found[0]))} ", text)


def unspaced_share(texts: Iterable[str]) -> float:
    """The share of all letters that belong to scripts without spaces between words, in [0, 1]; of the first 10 million
    characters."""
    unspaced = read = 0
    looked_at = []
    for text in texts:
        unspaced += 0 if text.isascii() else sum(map(len, _of_unspaced().findall(text)))
        looked_at.append(text)
        read += len(text)
        if read > 10_000_000:
            break
    if not unspaced:  # most corpora: letters need no counting
        return 0.0
    letters = sum(len(run) for text in looked_at for run in _LETTERS.findall(text))
    return min(1.0, unspaced / max(1, letters))


def unspaced_texts(texts: Iterable[str]) -> int:
    """How many texts have most of their letters in scripts without spaces between words."""
    return sum(unspaced_share([text]) > 0.5 for text in texts)


def _pairs(run: str) -> list[str]:
    """The characters of a run, and its overlapping pairs: one character may be a word."""
    return [*run, *(run[i : i + 2] for i in range(len(run) - 1))]


@cache
def _marks() -> str:
    """Combining marks and joiners, as a part of a character class: \\w lacks them, and words of many scripts break without."""
    ranges: list[list[int]] = []
    for code in (*range(0x300, 0x20000), *range(0xE0100, 0xE01F0)):
        if unicodedata.category(chr(code)) in ("Mn", "Mc") or code in (0x200C, 0x200D):
            if ranges and ranges[-1][1] == code - 1:
                ranges[-1][1] = code
            else:
                ranges.append([code, code])
    return _class(ranges)


def _class(ranges: Iterable[Sequence[int]]) -> str:
    return "".join(f"\\U{first:08x}-\\U{last:08x}" for first, last in ranges)


@cache
def _word() -> str:
    return f"[\\w{_marks()}]*\\w[\\w{_marks()}]*"


@cache
def _of_unspaced() -> re.Pattern[str]:
    return re.compile(f"(?:(?=[\\w{_marks()}])[{_class(_UNSPACED)}])+")


@dataclass
class WordWatch:
    """What is told of the words of a corpus and its queries: how they were taken, and of how many texts nothing is left."""

    tokens: str
    documents: int
    empty: int
    unspaced: int
    queries: dict[str, bool] = field(default_factory=dict)  # by id: whether a word is left
    advice: str = "tokens=bigrams takes pairs of characters"

    @classmethod
    def of(cls, words: Sequence[Sequence[str]], splitter: Splitter, texts: Sequence[str]) -> WordWatch:
        """Of a corpus and its words."""
        unspaced = 0 if splitter.tokens == "bigrams" else unspaced_texts(texts)
        return cls(splitter.tokens, len(texts), sum(not row for row in words), unspaced)

    def asked(self, ids: Sequence[str], words: Sequence[Sequence[str]]) -> None:
        """Take down which queries have a word left."""
        self.queries.update(zip(ids, map(bool, words), strict=True))

    @property
    def facts(self) -> dict[str, Any]:
        """How words were taken from texts, for a record."""
        return {"tokens": self.tokens}

    def remarks(self) -> list[str]:
        """Texts without a word, and texts whose script this way of taking words does not fit, as sentences."""
        out = []
        if self.empty:
            out.append(f"{self.empty} of {self.documents} documents have no word left and are never found")
        lost = sum(not left for left in self.queries.values())
        if lost:
            out.append(f"{lost} of {len(self.queries)} queries have no word left and find nothing")
        if self.unspaced:
            out.append(
                f"{self.unspaced} of {self.documents} documents are in a script without spaces between words, so their "
                f"sentences are taken as words; {self.advice}"
            )
        return out
