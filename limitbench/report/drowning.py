"""Recall against corpus size: the records of a corpus and of its parts, gathered into curves (arXiv 2603.29519's drowning)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from limitbench.results import Result
from limitbench.statistics import Interval, shown_interval


@dataclass(frozen=True)
class Curve:
    """One measure of one retriever at growing corpus sizes; `points` are means with 95 % limits, fractions in [0, 1].

    Over several draws of the distractors, each query's value is its mean over the draws: the limits tell of queries.
    """

    dataset: str
    sha256: str
    retriever: str
    measure: str
    sizes: tuple[int, ...]
    points: tuple[Interval, ...]
    draws: tuple[int, ...]

    def to_json(self) -> dict[str, Any]:
        """The curve as JSON-ready values."""
        rows = zip(self.sizes, self.points, self.draws, strict=True)
        return {
            "dataset": self.dataset,
            "retriever": self.retriever,
            "measure": self.measure,
            "evidence": "measured",
            "points": [{"documents": n, "mean": p.mean, "low": p.low, "high": p.high, "draws": k} for n, p, k in rows],
        }


def curves(records: Iterable[Result]) -> list[Curve]:
    """The curves of these records, for every dataset of which a part was measured; whole corpora are their last points."""
    found = sorted(records, key=lambda r: str(r.provenance.get("time", "")))  # the newest counts
    wholes = {r.dataset.part_of.sha256: r.dataset.part_of.name for r in found if r.dataset.part_of}
    groups: dict[tuple[str, str, str], dict[int, dict[str, list[float]]]] = {}
    labels: dict[tuple[str, str], str] = {}
    for r in found:
        source = r.dataset.part_of.sha256 if r.dataset.part_of else r.dataset.sha256
        if source not in wholes:
            continue
        options = json.dumps(r.retriever.configuration, sort_keys=True)
        labels.setdefault((source, options), r.retriever.name)
        for title, values in r.per_query.items():
            at = groups.setdefault((source, options, title), {})
            at.setdefault(r.dataset.documents, {})[r.dataset.sha256] = values  # equal parts count once
    out = []
    for (source, options, title), at in groups.items():
        if len(at) > 1:
            name = labels[source, options]
            if [one for (where, _), one in labels.items() if where == source].count(name) > 1:
                name = f"{name} [{hashlib.sha256(options.encode()).hexdigest()[:6]}]"
            sizes = tuple(sorted(at))
            points = tuple(shown_interval(np.mean(list(at[n].values()), axis=0)) for n in sizes)
            out.append(Curve(wholes[source], source, name, title, sizes, points, tuple(len(at[n]) for n in sizes)))
    return out
