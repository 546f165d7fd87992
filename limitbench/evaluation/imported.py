"""Runs that other systems made, as results."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from limitbench.collection import Dataset
from limitbench.datasets import load
from limitbench.errors import InputError
from limitbench.evaluation.rankings import described
from limitbench.files import Lookalikes
from limitbench.measures import DEFAULT_MEASURES, Measure, as_measures, joined, run_remarks
from limitbench.provenance import provenance
from limitbench.rankings import read_run_file
from limitbench.results import Result, RetrieverFacts, configuration_digest


def imported(
    dataset: Dataset | str | Path, run: Path | str, name: str, *, measures: Sequence[Measure | str] | str | None = None
) -> Result:
    """The result of a TREC run that another system made on this dataset; nothing is stored and no cost is known.

    The digest covers the run's rankings. Without `measures`, the default ones as deep as the run goes. As in trec_eval, queries
    that are not judged are left out, judged queries that the run lacks count as 0, and documents that the corpus lacks hold their
    ranks and are not relevant; the result's `notes` count them. Raises `DataError` for a run that does not parse, `InputError`
    for one of other queries, or for a measure deeper than the run.
    """
    data = dataset if isinstance(dataset, Dataset) else load(dataset)
    read = read_run_file(run)
    if not any(query in read.scores for query in data.queries.ids):
        first = next(iter(read.scores), None)
        hint = "" if first is None else Lookalikes.of(data.queries.ids).hint(first)
        what = "ranks nothing" if first is None else f"answers no query of the dataset (its first is '{first}'){hint}"
        raise InputError(f"{run} {what}; expected a run of dataset '{data.name}' ({len(data.queries)} queries)")
    ranking, qrels = joined(read.scores, data.queries.ids, data.corpus.ids, data.qrels)
    if len(ranking.indices) and ranking.indices.min() >= len(data.corpus):
        first = ranking.document_ids[len(data.corpus)]
        raise InputError(
            f"{run} ranks no document of the corpus (its first is '{first}'); use the run with the corpus that it was made "
            f"on{Lookalikes.of(data.corpus.ids).hint(first)}"
        )
    depth = int(np.diff(ranking.indptr).max())  # as the file has it: its own document may be one of them
    if data.ignore_identical_ids:
        ranking = ranking.without_own(depth)
    given = DEFAULT_MEASURES if measures is None else as_measures(measures)
    deeper = [m for m in given if depth < min(m.cutoff, len(data.corpus))]
    chosen = tuple(m for m in given if m not in deeper)
    if deeper and (measures is not None or not chosen):
        raise InputError(f"{run} goes {depth} documents deep, so {deeper[0]!r} cannot be told; leave it out")
    if not name.strip() or not name.isprintable():
        raise InputError(f"found the name {name!r}, expected some printable characters; give --name NAME")
    content = hashlib.sha256()
    for array in (ranking.indptr, ranking.indices, ranking.scores):
        content.update(array.tobytes())
    for foreign in ranking.document_ids[len(data.corpus) :]:
        content.update(f"{foreign}\n".encode())
    options = {"adapter": "run", "sha256": content.hexdigest()}
    told = described(ranking, data, chosen, depth, qrels=qrels)
    return Result(
        configuration_digest=configuration_digest(data.digest, options, [repr(m) for m in chosen]),
        retriever=RetrieverFacts(
            name=name, configuration=options, card={"imported": Path(run).name, "label": "a run made elsewhere"}
        ),
        **told,
        notes=[
            *read.remarks(data.queries.ids, data.corpus.ids),
            *run_remarks(ranking, qrels, max(m.cutoff for m in chosen), missing=len(read.missing(data.queries.ids))),
        ],
        provenance={**provenance(), "seeds": {}},
    )
