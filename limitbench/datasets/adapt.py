"""A team's own relevance structure in LIMIT's words: their combinations of documents, none of their text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from limitbench.datasets.language import OPERATORS, vocabulary
from limitbench.datasets.plan import Language, Plan, plan
from limitbench.errors import InputError
from limitbench.relevance import Qrels

_FILLERS = 5  # attributes that a document lists at least beside those that are asked for


@dataclass(frozen=True)
class Adapted:
    """The plan, which of their queries it holds, and what was changed to make it possible, in sentences."""

    plan: Plan
    queries: tuple[int, ...]  # rows of the given qrels, in the plan's order
    notes: tuple[str, ...]


def adapt(qrels: Qrels, language: Language | None = None, *, seed: int = 0) -> Adapted:
    """A LIMIT-style dataset with this relevance matrix; grades above 0 count as relevant.

    Queries without a relevant document are left out. Where the language's lists are too short for a document that many queries
    ask for, they are made longer; where its attributes are too few, `composed` ones are taken. Raises `InputError` where no
    query is left, `SpecError` where even that is not enough.
    """
    language = language or Language()
    notes = []
    kept = np.flatnonzero(qrels.sizes > 0).tolist()
    if not kept:
        raise InputError("no query has a relevant document; expected at least one")
    if len(kept) < qrels.n_queries:
        notes.append(f"{qrels.n_queries - len(kept)} queries without a relevant document are left out")
    sets = list(qrels.sets())
    pattern = Qrels.from_sets([sets[row] for row in kept], qrels.n_documents)
    arities = [OPERATORS[name].arity for name in language.operators]
    widest = max(arities)
    most = int(np.bincount(pattern.indices, minlength=1).max()) * min(widest, 2)
    low, high = language.lengths
    if most + _FILLERS > high:
        spare = _FILLERS + (language.decoys if widest > 1 else 0)
        language = language.model_copy(update={"per_document": (low, most + spare)})
        notes.append(
            f"documents list up to {most + spare} attributes: one of them is relevant to {most // min(widest, 2)} queries"
        )
    asked = sum(arities[q % len(arities)] for q in range(len(kept)))
    if asked + language.lengths[1] > len(vocabulary(language.vocabulary)) and language.vocabulary != "composed":
        language = language.model_copy(update={"vocabulary": "composed", "attributes": None})
        notes.append(f"{asked} attributes are asked for, more than the vocabulary has: composed ones are taken")
    return Adapted(plan(pattern, language, seed), tuple(kept), tuple(notes))


def correspondence(made: Adapted, query_ids: Sequence[str], document_ids: Sequence[str]) -> list[tuple[str, str, str]]:
    """(kind, their id, our id) of every query kept and every document."""
    queries = [("query", query_ids[row], ours) for row, ours in zip(made.queries, made.plan.queries.ids, strict=True)]
    return queries + [("document", theirs, made.plan.document_id(d)) for d, theirs in enumerate(document_ids)]
