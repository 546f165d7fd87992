"""What a language model is asked when it ranks, and how strictly its answers are read.

An answer counts where it has the form that was asked for; a fence of Markdown and a part between <think> tags may stand around it.
Numbers are not fished out of prose. Numbers of documents that were not shown, and numbers given twice, are counted and left out.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

_THOUGHT = re.compile(r"^\s*<think>.*?</think>", re.DOTALL)
_FENCED = re.compile(r"^```\w*\n(.*?)\n?```$", re.DOTALL)
_CHAIN = re.compile(r"\[[0-9]{1,9}\](?:\s*>\s*\[[0-9]{1,9}\])*")
_GRADE = re.compile(r"[0-9]{1,2}")
_KEY = re.compile(r"Q?([0-9]{1,9})")

GRADES = 10  # the best grade of a document alone

LISTWISE = "You rank documents by how well they answer a query. You answer with the ranking alone."
POINTWISE = "You judge how well a document answers a query. You answer with one whole number alone."
WHOLE = "You find the documents that answer questions. You answer with JSON alone."


def listwise(query: str, documents: Sequence[str]) -> str:
    """Asks for a ranking of the documents."""
    asked = (
        f"Rank all {len(documents)} documents, the most relevant first. Answer with their numbers, such as [2] > [1] > [3], and "
        "with nothing else."
    )
    return f"Query: {one_line(query)}\n\nDocuments:\n{numbered(documents)}\n\n{asked}"


def pointwise(query: str, document: str) -> str:
    """Asks for a grade of one document."""
    asked = (
        f"How well does the document answer the query? Answer with a whole number from 0 (not at all) to {GRADES} (fully), and "
        "with nothing else."
    )
    return f"Query: {one_line(query)}\n\nDocument: {one_line(document)}\n\n{asked}"


def whole_corpus(queries: Sequence[str], documents: Sequence[str], top: int) -> str:
    """Asks for the best documents of all, for each query; the documents come first, so that a service may keep what it read."""
    asked = (
        f"For each question, find the {top} documents that answer it best, the best first. Answer with a JSON object of question "
        'numbers and lists of document numbers, such as {"1": [4, 2], "2": [7, 1]}, and with nothing else.'
    )
    return f"Documents:\n{numbered(documents)}\n\nQuestions:\n{numbered(queries)}\n\n{asked}"


def numbered(texts: Sequence[str]) -> str:
    """One line a text, numbered from 1 on."""
    return "\n".join(f"[{number}] {one_line(text)}" for number, text in enumerate(texts, 1))


def one_line(text: str) -> str:
    """The text without line breaks: it cannot pass for a line of the prompt."""
    return " ".join(text.split())


def ranking(reply: str, count: int) -> tuple[list[int] | None, Counter[str]]:
    """The documents that a reply ranks, by place among the `count` shown, and what was wrong; None where it is no ranking."""
    text = _bare(reply)
    if _CHAIN.fullmatch(text):
        return _known([int(number) for number in re.findall(r"\d+", text)], count)
    found = _parsed(text)
    if not isinstance(found, list) or not found or not all(type(number) is int for number in found):
        return None, Counter(malformed=1)
    return _known(found, count)


def grade(reply: str) -> int | None:
    """The grade in a reply; None where it is none."""
    text = _bare(reply)
    return int(text) if _GRADE.fullmatch(text) and int(text) <= GRADES else None


def selections(reply: str, queries: int, documents: int, top: int) -> tuple[dict[int, list[int]], Counter[str]]:
    """The documents that a reply names for each query, by their places, `top` at most, and what was wrong with it."""
    found = _pairs(_bare(reply))
    if found is None:
        return {}, Counter(malformed=1)
    out: dict[int, list[int]] = {}
    wrong: Counter[str] = Counter()
    for key, numbers in found:
        number = _KEY.fullmatch(key.strip())
        if number is None or not 1 <= int(number[1]) <= queries:
            wrong["invented"] += 1
        elif not isinstance(numbers, list) or not all(type(value) is int for value in numbers):
            wrong["malformed"] += 1
        elif int(number[1]) - 1 in out:
            wrong["repeated"] += 1  # the first answer to a question counts
        else:
            kept, problems = _known(numbers, documents)
            del problems["left out"]
            wrong += problems
            wrong["beyond what was asked for"] += max(0, len(kept) - top)
            wrong["left out"] += max(0, top - len(kept))
            out[int(number[1]) - 1] = kept[:top]
    wrong["left out"] += top * (queries - len(out))
    return out, +wrong


def _known(numbers: Sequence[int], count: int) -> tuple[list[int], Counter[str]]:
    """The places that were shown, each once, and how many were invented, repeated and left out."""
    shown = [number - 1 for number in numbers if 1 <= number <= count]
    kept = list(dict.fromkeys(shown))
    wrong = {
        "invented": len(numbers) - len(shown),
        "repeated": len(shown) - len(kept),
        "left out": count - len(kept),
    }
    return kept, Counter({name: number for name, number in wrong.items() if number})


def _bare(reply: str) -> str:
    """The reply without thoughts before it and a fence around it."""
    text = _THOUGHT.sub("", reply, count=1).strip()
    fenced = _FENCED.fullmatch(text)
    return fenced[1].strip() if fenced else text


def _pairs(text: str) -> list[tuple[str, Any]] | None:
    """The keys and values of a JSON object, those that stand twice too; None where the text is none."""
    try:
        found = json.loads(text, object_pairs_hook=_Pairs)
    except (ValueError, RecursionError):
        return None
    return list(found) if isinstance(found, _Pairs) else None


class _Pairs(list[tuple[str, Any]]):
    """An object of JSON, as its pairs."""


def _parsed(text: str) -> Any:
    """The JSON of a text; None where it is none."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None
