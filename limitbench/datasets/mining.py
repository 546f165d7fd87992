"""Questions mined from a team's own texts, without a language model and without judging: each is judged by a rule about its words.

Two kinds. *Known items*: a title, a heading or a rare phrase, asked for as it stands. *Combinations*, in the sense of LIMIT:
phrases that several documents share, joined by a set operator so that few documents have what is asked for. A document is relevant
exactly when its words obey the question's rule. A mined set says what a retriever finds by words, and no more.
"""

from __future__ import annotations

import json
import random
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from limitbench.collection import Corpus, Dataset, Queries
from limitbench.datasets.phrases import (
    FENCED,
    HEADING,
    Operator,
    Phrases,
    Words,
    name_of,
    words,
)
from limitbench.errors import InputError
from limitbench.files import atomic_write
from limitbench.relevance import Qrels

Kind = Literal["title", "heading", "phrase", "all-of", "any-of", "but-not"]
KINDS: tuple[Kind, ...] = get_args(Kind)

_CARD = """# Mined questions

`limitbench mine` made these questions from the texts beside them. Nobody asked them and nobody judged them: a document is relevant
exactly when its words obey the question's rule, which mined.jsonl states. They show what a retriever finds by words and by
combinations of words. They do not show what users ask.
"""
_TRIES = 40  # combinations tried of one document


@dataclass(frozen=True)
class Rule:
    """When a document is relevant: a sentence of it has the words of a phrase in a row, for the phrases as the operator says.

    all: every phrase. any: at least one. but-not: the first and not the second. `whole`: the document's title, or a heading of it,
    is the phrase and nothing else.
    """

    operator: Operator
    phrases: tuple[Words, ...]
    whole: Literal["title", "heading"] | None = None

    @property
    def sentence(self) -> str:
        """The rule in plain English."""
        said = [f"'{' '.join(phrase)}'" for phrase in self.phrases]
        if self.whole:
            return f"documents whose {self.whole} is {said[0]}"
        if self.operator == "but-not":
            return f"documents that contain {said[0]} and do not contain {said[1]}"
        return f"documents that contain {(' and ' if self.operator == 'all' else ' or ').join(said)}"


@dataclass(frozen=True)
class Mined:
    """One question: its kind, how it asks, its rule, and the numbers of the documents that obey it."""

    kind: Kind
    text: str
    rule: Rule
    relevant: tuple[int, ...]


def mine(
    corpus: Corpus, *, questions: int = 200, kinds: Sequence[str] = KINDS, largest: int = 3, most: int = 3, seed: int = 0,
    progress: Callable[[str, int, int], None] = lambda _stage, _done, _of: None,
) -> list[Mined]:  # fmt: skip
    """Questions of these kinds, as many of each as the texts give and the number asks for.

    `largest` is how many phrases a combination joins at most, `most` how many documents may be relevant. Deterministic by `seed`.
    Raises `InputError` for numbers that cannot be, unknown kinds, and a corpus that gives no question.
    """
    unknown = [kind for kind in kinds if kind not in KINDS]
    if unknown or not kinds:
        raise InputError(f"found the kinds {', '.join(kinds) or 'none'}, expected some of {', '.join(KINDS)}")
    if questions < 1 or not 2 <= largest <= 8 or most < 1:
        raise InputError(
            f"found {questions} questions, combinations of {largest} and {most} relevant documents; expected at least 1, 2 to 8 "
            "and at least 1"
        )
    if len(corpus) < 3:
        raise InputError(f"found {len(corpus)} documents, expected at least 3 to tell apart")
    progress("read", 0, 1)
    phrases = Phrases(corpus)
    _ = phrases.postings
    progress("read", 1, 1)
    makers: dict[str, Callable[[random.Random], Iterator[Mined]]] = {
        "title": lambda rng: _titles(phrases, most, rng), "heading": lambda rng: _headings(phrases, most, rng),
        "phrase": lambda rng: _rare(phrases, rng),
        "all-of": lambda rng: _joined(phrases, "all", largest, most, rng),
        "any-of": lambda rng: _joined(phrases, "any", largest, most, rng),
        "but-not": lambda rng: _joined(phrases, "but-not", 2, most, rng),
    }  # fmt: skip
    chosen = [kind for kind in KINDS if kind in kinds]
    streams = {kind: makers[kind](random.Random(f"{seed} {kind}")) for kind in chosen}
    made: dict[str, list[Mined]] = {kind: [] for kind in chosen}
    asked: set[str] = set()
    while streams and sum(map(len, made.values())) < questions:
        for kind in list(streams):
            found = next((one for one in streams[kind] if one.text not in asked), None)
            if found is None:
                del streams[kind]
                continue
            asked.add(found.text)
            made[kind].append(found)
            progress("mine", sum(map(len, made.values())), questions)
            if sum(map(len, made.values())) >= questions:
                break
    out = [one for kind in chosen for one in made[kind]]
    if not out:
        raise InputError(
            f"the {len(corpus)} documents give no question of the kinds {', '.join(chosen)}; expected texts that share some words, "
            "titles or headings"
        )
    return out


def _titles(phrases: Phrases, most: int, rng: random.Random) -> Iterator[Mined]:
    yield from _whole("title", [[title] for title in phrases.corpus.titles or ()], most, rng)


def _headings(phrases: Phrases, most: int, rng: random.Random) -> Iterator[Mined]:
    yield from _whole("heading", [HEADING.findall(FENCED.sub("", text)) for text in phrases.corpus.texts], most, rng)


def _whole(kind: Literal["title", "heading"], named: list[list[str]], most: int, rng: random.Random) -> Iterator[Mined]:
    """Names that at most `most` documents bear, asked for as they stand."""
    bearers: dict[Words, list[int]] = defaultdict(list)
    said: dict[Words, str] = {}
    for number, names in enumerate(named):
        for key, name in {name_of(name): name for name in names if words(name)}.items():
            bearers[key].append(number)
            said.setdefault(key, name)
    order = sorted(bearers)
    rng.shuffle(order)
    for key in order:
        if len(bearers[key]) <= most:
            yield Mined(kind, " ".join(said[key].split()), Rule("all", (key,), kind), tuple(bearers[key]))


def _rare(phrases: Phrases, rng: random.Random) -> Iterator[Mined]:
    """Phrases of two or three words that one document has, one a document."""
    order = list(range(len(phrases.documents)))
    rng.shuffle(order)
    for document in order:
        only = [p for p in phrases.by_document[document] if len(p) > 1 and len(phrases.postings[p]) == 1]
        if only:
            phrase = rng.choice(only)
            yield Mined("phrase", " ".join(phrase), Rule("all", (phrase,)), (document,))


def _joined(phrases: Phrases, operator: Operator, largest: int, most: int, rng: random.Random) -> Iterator[Mined]:
    """Combinations of phrases of one document, by an operator, that at most `most` documents satisfy, one a document."""
    kind: Kind = {"all": "all-of", "any": "any-of", "but-not": "but-not"}[operator]  # type: ignore[assignment]
    shared = max(20, len(phrases.documents) // 50) if operator == "all" else most + (operator == "but-not") * 20
    order = list(range(len(phrases.documents)))
    rng.shuffle(order)
    for document in order:
        own = phrases.attributes(document, shared)
        if len(own) < 2:
            continue
        for _ in range(_TRIES):
            chosen = rng.sample(own, rng.randint(2, min(largest, len(own))))
            if len({word for phrase in chosen for word in phrase}) < sum(map(len, chosen)):
                continue  # a word that stands in two of them
            relevant = _obeying(phrases, operator, chosen)
            sizes = [len(phrases.postings[phrase]) for phrase in chosen]
            found = len(relevant)
            tells = {"all": found < min(sizes), "any": found > max(sizes), "but-not": found < sizes[0]}[operator]
            if 0 < found <= most and tells:
                rule = Rule(operator, tuple(chosen))
                yield Mined(kind, asked(rule), rule, tuple(sorted(relevant)))
                break


def _obeying(phrases: Phrases, operator: Operator, chosen: Sequence[Words]) -> set[int]:
    first, *rest = (set(phrases.postings[phrase]) for phrase in chosen)
    if operator == "but-not":
        return first - rest[0] if first & rest[0] else set()
    for other in rest:
        first = first & other if operator == "all" else first | other
    return first


def asked(rule: Rule) -> str:
    """How a rule asks: 'a, b and c', 'a or b', 'a but not b'."""
    said = [" ".join(phrase) for phrase in rule.phrases]
    if rule.operator == "but-not":
        return f"{said[0]} but not {said[1]}"
    join = " and " if rule.operator == "all" else " or "
    return join.join([", ".join(said[:-1]), said[-1]]) if len(said) > 1 else said[0]


def dataset(corpus: Corpus, mined: Sequence[Mined], name: str = "mined") -> Dataset:
    """The questions and their judgements as a dataset; ids say the kind: mined-all-of-001."""
    counts: Counter[str] = Counter()
    ids = []
    for one in mined:
        counts[one.kind] += 1
        ids.append(f"mined-{one.kind}-{counts[one.kind]:03d}")
    queries = Queries(tuple(ids), tuple(one.text for one in mined))
    return Dataset(name, corpus, queries, Qrels.from_sets([one.relevant for one in mined], len(corpus)))


def provenance(mined: Sequence[Mined], ids: Sequence[str]) -> Iterator[dict[str, Any]]:
    """One JSON-ready row a question: how it was made and by which rule it is judged."""
    for name, one in zip(ids, mined, strict=True):
        yield {
            "_id": name, "kind": one.kind, "operator": one.rule.operator, "whole": one.rule.whole,
            "phrases": [" ".join(phrase) for phrase in one.rule.phrases], "rule": one.rule.sentence, "relevant": len(one.relevant),
        }  # fmt: skip


def write_provenance(data: Dataset, mined: Sequence[Mined], folder: Path) -> None:
    """mined.jsonl, a row a question, and README.md, which says that nobody judged these questions. Raises `StorageError`."""
    with atomic_write(folder / "mined.jsonl") as out:
        for row in provenance(mined, data.queries.ids):
            out.write((json.dumps(row, ensure_ascii=False) + "\n").encode())
    counts = Counter(one.kind for one in mined)
    table = "".join(f"| {kind} | {count} |\n" for kind, count in counts.items())
    with atomic_write(folder / "README.md") as out:
        out.write(f"{_CARD}\n| kind | questions |\n| --- | --- |\n{table}".encode())
