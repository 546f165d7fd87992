"""Typed attributes: weights, dates and prices of documents, and questions for ranges of them.

12.4 kg lies between 10.1 and 14.8: no bound of a question is the value of a document, but a bag of words may find parts of numbers
in both, such as a year or the digits before a point. Relevance is computed from the values, and can be read back from the texts
(`typed_match`).
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Sequence
from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, StrictInt, field_validator

from limitbench.collection import Corpus, Dataset, Queries
from limitbench.datasets.draw import Draw
from limitbench.datasets.latent import Names
from limitbench.errors import SpecError
from limitbench.relevance import Qrels

Kind = Literal["weight", "date", "price"]
_FIRST_DAY = datetime.date(1980, 1, 1).toordinal()
_ROOM = 10  # possible values for each document, so that bounds fit between two
_DOCUMENT = re.compile(r"^Device .+ weighs ([\d.]+) kg, was installed on (\d{4}-\d\d-\d\d) and costs (\d+) euros\.$")
_QUESTIONS: dict[str, tuple[str, re.Pattern[str]]] = {
    kind: (form, re.compile(form.replace("?", r"\?").format(r"([\d.-]+)", r"([\d.-]+)")))
    for kind, form in {
        "weight": "Which devices weigh between {} and {} kg?",
        "date": "Which devices were installed between {} and {}?",
        "price": "Which devices cost between {} and {} euros?",
    }.items()
}


class Typed(BaseModel):
    """n documents and m questions, in turn for each kind of value, each for a range that k documents are in.

    `k` is a number, or a list of which query q takes the (q mod length)-th.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    n: int = Field(ge=2, le=100_000, strict=True)
    m: int = Field(ge=1, strict=True)
    k: StrictInt | tuple[StrictInt, ...] = 2
    kinds: tuple[Kind, ...] = ("weight", "date", "price")

    @field_validator("kinds")
    @classmethod
    def _some(cls, value: tuple[Kind, ...]) -> tuple[Kind, ...]:
        if not value or len(set(value)) < len(value):
            raise ValueError("expected weight, date, price or some of them, each once")
        return value

    @property
    def sizes(self) -> tuple[int, ...]:
        """k, in turn."""
        return (self.k,) if isinstance(self.k, int) else self.k


def typed_dataset(name: str, how: Typed, seed: int, spec: dict[str, object] | None = None) -> Dataset:
    """The dataset; the same options and seed give the same bytes. Raises `SpecError` where there are not so many ranges."""
    if not all(1 <= k < how.n for k in how.sizes) or not how.sizes:
        raise SpecError(f"dataset '{name}': found k = {how.k} and {how.n} documents, expected 1 to {how.n - 1}")
    draw, names = Draw(seed), Names(how.n, seed)
    values = {kind: _distinct(draw, how.n) for kind in _QUESTIONS}
    ids = [names[i] for i in range(how.n)]
    texts = [
        f"Device {one} weighs {_shown('weight', values['weight'][i])} kg, was installed on {_shown('date', values['date'][i])} "
        f"and costs {_shown('price', values['price'][i])} euros."
        for i, one in enumerate(ids)
    ]
    questions, rows = [], []
    for kind, start, k in _ranges(name, how, draw):
        order = sorted(range(how.n), key=values[kind].__getitem__)
        low, high = (_between(values[kind], order, at, draw) for at in (start, start + k))
        questions.append(_QUESTIONS[kind][0].format(_shown(kind, low), _shown(kind, high)))
        rows.append(np.array(sorted(order[start : start + k]), np.int64))
    corpus = Corpus(tuple(ids), tuple(texts))
    queries = Queries(tuple(f"query_{q}" for q in range(len(questions))), tuple(questions))
    return Dataset(name, corpus, queries, Qrels.from_sets(rows, how.n), spec=spec or {})


def _distinct(draw: Draw, n: int) -> list[int]:
    """n different values, with room between any two and below the first."""
    return [_ROOM * place + 2 + draw.below(_ROOM - 3) for place in draw.shuffled(range(n))]


def _between(values: Sequence[int], order: Sequence[int], at: int, draw: Draw) -> int:
    """A value between those of the documents before and at a place in the order of values, equal to neither."""
    low = values[order[at - 1]] if at else 0
    high = values[order[at]] if at < len(order) else low + _ROOM
    return low + 1 + draw.below(high - low - 1)


def _ranges(name: str, how: Typed, draw: Draw) -> list[tuple[Kind, int, int]]:
    """Kind, first place in its order and length of every question's range; no two are the same."""
    waiting: dict[tuple[Kind, int], list[int]] = {
        (kind, k): draw.shuffled(range(how.n - k + 1)) for kind in how.kinds for k in sorted(set(how.sizes))
    }
    out = []
    for q in range(how.m):
        kind, k = how.kinds[q % len(how.kinds)], how.sizes[(q // len(how.kinds)) % len(how.sizes)]
        if not waiting[kind, k]:
            raise SpecError(
                f"dataset '{name}': there are {how.n - k + 1} ranges of {k} documents by {kind}, and more are asked for; ask fewer "
                "questions, or take more documents"
            )
        out.append((kind, waiting[kind, k].pop(), k))
    return out


def _shown(kind: str, value: int) -> str:
    if kind == "weight":
        return f"{value // 10}.{value % 10}"
    return datetime.date.fromordinal(_FIRST_DAY + value).isoformat() if kind == "date" else str(value)


def typed_match(corpus: Corpus, queries: Queries) -> Qrels:
    """The relevance matrix that the texts spell out, both bounds of a range included. Raises `SpecError` for other texts."""
    documents: list[dict[str, tuple[int, ...]]] = []
    for text in corpus.texts:
        found = _DOCUMENT.fullmatch(text)
        if found is None:
            raise SpecError(f"found {text[:60]!r}, expected a device with weight, date and price")
        documents.append(dict(zip(_QUESTIONS, map(_read, found.groups()), strict=True)))
    rows = []
    for text in queries.texts:
        kind, match = next(
            ((kind, m) for kind, (_, form) in _QUESTIONS.items() if (m := form.fullmatch(text))), ("", None)
        )
        if match is None:
            raise SpecError(f"found {text[:60]!r}, expected a question for a range")
        low, high = map(_read, match.groups())
        rows.append(np.array([i for i, row in enumerate(documents) if low <= row[kind] <= high], np.int64))
    return Qrels.from_sets(rows, len(corpus))


def _read(text: str) -> tuple[int, ...]:
    """A number or an ISO date, as what compares in its order. Raises `SpecError` for another text."""
    try:
        return tuple(map(int, re.split(r"[.-]", text)))
    except ValueError:
        raise SpecError(f"found {text!r}, expected a number or a date such as 2015-03-21") from None
