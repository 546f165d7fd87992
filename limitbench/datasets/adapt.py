"""A team's own relevance structure in LIMIT's words: their combinations of documents, none of their text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from limitbench.datasets.language import OPERATORS, vocabulary
from limitbench.datasets.latent import Language, LatentTable, latent_table
from limitbench.errors import InputError, SpecError
from limitbench.relevance import Qrels


@dataclass(frozen=True)
class Adapted:
    """The plan, which of their queries it holds, and what was changed to make it possible, in sentences."""

    plan: LatentTable
    queries: tuple[int, ...]  # rows of the given qrels, in the plan's order
    notes: tuple[str, ...]


_ENGLISH = ("people", "products", "reports")


def adapt(qrels: Qrels, language: Language | None = None, *, seed: int = 0) -> Adapted:
    """A LIMIT-style dataset with this relevance matrix; grades above 0 count as relevant.

    Queries without a relevant document are left out. A document that many queries ask for has a longer list than the others;
    where the language's attributes are too few, `composed` ones are taken. Raises `InputError` where no
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
    asked = sum(arities[q % len(arities)] for q in range(len(kept)))
    if asked + language.lengths[1] > len(vocabulary(language.vocabulary)) and language.vocabulary != "composed":
        if language.world not in _ENGLISH:
            raise SpecError(
                f"{asked} attributes are asked for and {language.lengths[1]} others listed; '{language.vocabulary}' has "
                f"{len(vocabulary(language.vocabulary))}, and only English has more: take one of the worlds "
                f"{', '.join(_ENGLISH)}"
            )
        language = language.model_copy(update={"vocabulary": "composed", "attributes": None})
        notes.append(f"{asked} attributes are asked for and {language.lengths[1]} others listed, more than the vocabulary has: "
                     "composed ones are taken")  # fmt: skip
    try:
        made = latent_table(pattern, language, seed, stretch=True)
    except SpecError:
        if not language.decoys or max(arities) == 1:
            raise
        made = latent_table(pattern, language.model_copy(update={"decoys": 0}), seed, stretch=True)
        notes.append("there is no document left for decoys: combined questions have none")
    most = max((len(held) for held in made.own.values()), default=0)
    if most > language.lengths[1]:
        notes.append(f"lists have up to {most} attributes: as many are asked for of one document")
    return Adapted(made, tuple(kept), tuple(notes))


def correspondence(made: Adapted, query_ids: Sequence[str], document_ids: Sequence[str]) -> list[tuple[str, str, str]]:
    """(kind, their id, our id) of every query kept and every document."""
    queries = [("query", query_ids[row], ours) for row, ours in zip(made.queries, made.plan.queries.ids, strict=True)]
    return queries + [("document", theirs, made.plan.document_id(d)) for d, theirs in enumerate(document_ids)]
