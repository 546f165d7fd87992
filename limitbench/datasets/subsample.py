"""Smaller corpora from a larger one: every relevant document stays, distractors are drawn."""

from __future__ import annotations

import numpy as np

from limitbench.collection import Corpus, Dataset
from limitbench.errors import InputError
from limitbench.relevance import Qrels


def subsample(data: Dataset, documents: int, seed: int) -> Dataset:
    """The dataset with every relevant document and as many distractors, drawn by the seed, as make `documents` of them.

    Documents keep their order, and of one seed a larger part holds the smaller ones. Raises `InputError` where `documents` is
    below the number of relevant ones or above all.
    """
    corpus, qrels = data.corpus, data.qrels
    relevant = np.zeros(len(corpus), bool)
    relevant[qrels.relevant.indices] = True
    least = int(relevant.sum())
    if not least <= documents <= len(corpus):
        raise InputError(
            f"found a size of {documents} documents, expected {least} (the relevant ones of '{data.name}') to {len(corpus)}"
        )
    drawn = np.random.default_rng(seed).permutation(np.flatnonzero(~relevant))[: documents - least]
    kept = np.sort(np.concatenate([np.flatnonzero(relevant), drawn]))
    place = np.full(len(corpus), -1)
    place[kept] = np.arange(len(kept))
    judged = place[qrels.indices] >= 0
    indptr = np.concatenate([[0], np.cumsum(judged)])[qrels.indptr]
    ids, texts, titles = (
        tuple(column[i] for i in kept.tolist()) for column in (corpus.ids, corpus.texts, corpus.titles)
    )
    smaller = Qrels(indptr, place[qrels.indices[judged]], qrels.grades[judged], len(kept))
    return Dataset(
        f"{data.name}@{documents}.{seed}", Corpus(ids, texts, titles), data.queries, smaller,
        ignore_identical_ids=data.ignore_identical_ids,
    )  # fmt: skip
