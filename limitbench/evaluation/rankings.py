"""The parts of a result that a ranking and its dataset decide, whoever made the ranking."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from limitbench.collection import Dataset
from limitbench.datasets import published_as
from limitbench.measures import Measure, score
from limitbench.rankings import Run
from limitbench.relevance import Qrels
from limitbench.results import DatasetFacts, Means, PartOf, breakdown, subsets


def described(
    run: Run,
    data: Dataset,
    measures: Sequence[Measure],
    depth: int,
    part_of: PartOf | None = None,
    qrels: Qrels | None = None,
) -> dict[str, Any]:
    """The dataset's facts, the means and values of the measures, where relevant documents lie: keywords of a `Result`.

    `qrels` are given where the run names documents of its own. What numbers documents by their place in the corpus is left out
    then.
    """
    whole = qrels is None or qrels is data.qrels
    scores = score(run, data.qrels if qrels is None else qrels, measures)
    return {
        "dataset": DatasetFacts(
            name=data.name,
            sha256=data.digest,
            documents=len(data.corpus),
            queries=len(data.queries),
            relevant=int(data.qrels.sizes.sum()),
            published_as=published_as(data),
            part_of=part_of,
        ),
        "depth": depth,
        "measures": {title: Means(**values.means()) for title, values in scores.items()},
        "per_query": {title: [round(x, 9) for x in values.expected.tolist()] for title, values in scores.items()},
        "breakdown": breakdown(run, data.qrels, depth) if whole else None,
        "subsets": subsets(run, data.qrels, depth) if whole else None,
    }
