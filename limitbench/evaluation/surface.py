"""How far a figure depends on the words around a query: one retriever under many prompts and templates.

arXiv 2605.22544 reports that the order of models depends on the prompt. So the spread over templates stands beside the interval
over queries: a difference between two models that is smaller than either tells nothing.
"""

from __future__ import annotations

import re
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from limitbench.collection import Corpus, Dataset, Queries
from limitbench.datasets import load
from limitbench.errors import InputError
from limitbench.evaluation.options import Options
from limitbench.evaluation.single import evaluate
from limitbench.measures import one_measure
from limitbench.results import Result
from limitbench.retrievers import Given, as_named
from limitbench.statistics import Interval, shown_interval

WORDS: dict[str, Callable[[str], str]] = {  # what may stand in place of a template
    "lower": str.lower,
    "upper": str.upper,
    "no-punctuation": lambda text: re.sub(r"[^\w\s]+", "", text),
}
TEMPLATES = (
    "{}",
    "query: {}",
    "search_query: {}",
    "Represent this sentence for searching relevant passages: {}",
    "Instruct: Given a question, find the documents that answer it.\nQuery: {}",
    "I would like to know the following. {}",
    "{} Thank you.",
    "lower",
    "no-punctuation",
)


@dataclass(frozen=True)
class Wording:
    """One pair of templates, of queries and documents, and the measure's mean with limits over queries."""

    query: str
    document: str
    interval: Interval


@dataclass(frozen=True)
class Surface:
    """All wordings of one retriever on one dataset. `spread` is the largest mean less the smallest, `deviation` that of the means.

    `width` is the mean width of the intervals over queries.
    """

    dataset: str
    retriever: str
    measure: str
    wordings: tuple[Wording, ...]
    spread: float
    deviation: float
    width: float


def surface(
    dataset: Dataset | str | Path,
    by: Given | Callable[[Sequence[str]], Any],
    *,
    templates: Sequence[str] = TEMPLATES,
    document_templates: Sequence[str] = ("{}",),
    measure: str = "nDCG@10",
    options: Options | None = None,
) -> Surface:
    """One retriever under every pair of a query's and a document's template; `{}` is where the text stands.

    Nothing is stored: each wording is another dataset. Raises `InputError` for a template without one `{}` that is none of `WORDS`.
    """
    data = dataset if isinstance(dataset, Dataset) else load(dataset)
    how = options or Options()
    one = how.retriever(by) if isinstance(by, str | Mapping) else as_named(by)
    asked = one_measure(measure)
    for template in (*templates, *document_templates):
        said("", template)
    if not templates or not document_templates:
        raise InputError("found no template, expected one or more, such as {}")
    found = []
    for around in dict.fromkeys(document_templates):
        texts = tuple(said(text, around) for text in data.corpus.contents)  # a title is part of what is said
        corpus = data.corpus if around == "{}" else Corpus(data.corpus.ids, texts)
        for template in dict.fromkeys(templates):
            queries = Queries(data.queries.ids, tuple(said(text, template) for text in data.queries.texts))
            worded = replace(data, corpus=corpus, queries=queries)
            result: Result = evaluate(worded, one, measures=[asked], progress=how.progress(data.name, one.name))
            found.append(Wording(template, around, shown_interval(result.per_query[repr(asked)])))
    means = [wording.interval.mean for wording in found]
    return Surface(
        data.name, one.name, repr(asked), tuple(found), max(means) - min(means), statistics.pstdev(means),
        statistics.fmean(wording.interval.high - wording.interval.low for wording in found),
    )  # fmt: skip


def said(text: str, template: str) -> str:
    """The text as a template has it. Raises `InputError` for one without a single `{}`."""
    if template in WORDS:
        return WORDS[template](text)
    if template.count("{}") != 1:
        raise InputError(
            f"found the template {template!r}, expected one with a single {{}} for the text, or one of {', '.join(WORDS)}"
        )
    before, _, after = template.partition("{}")
    return before + text + after
