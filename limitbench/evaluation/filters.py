"""What filters cost an engine: agreement with exact search among the documents that pass, against how many pass.

Attributes are planted on the documents: drawn at random, or going with the distance from where the queries are, near or far. A
filter that goes with the queries leaves their neighbours in; one that goes against them leaves the graph's nearest nodes out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from limitbench.collection import Dataset
from limitbench.errors import InputError
from limitbench.evaluation.engine_runs import Bench, Searched, load_of_machine
from limitbench.progress import Progress, no_progress
from limitbench.retrievers import Given
from limitbench.retrievers.engine import Engine, Material
from limitbench.retrievers.engines.contract import ChangeableEngine, Numbers, Proof
from limitbench.retrievers.vectors import scores_of

KINDS = ("random", "near", "far")
SELECTIVITIES = (0.001, 0.01, 0.1, 0.5)


@dataclass(frozen=True)
class FilterPoint:
    """One filter: how it goes with the queries, the share of documents that pass, how many they are, and the searches."""

    kind: str
    selectivity: float
    passing: int
    found: Searched


@dataclass(frozen=True)
class Filters:
    """All filters of one engine on one dataset, and the searches without one."""

    dataset: str
    retriever: str
    seed: int
    unfiltered: Searched
    points: tuple[FilterPoint, ...]
    index: Proof
    load: list[float] | None


def filters(
    dataset: Dataset | str | Path,
    by: Given | Engine,
    *,
    selectivities: Sequence[float] = SELECTIVITIES,
    kinds: Sequence[str] = KINDS,
    sample: int = 200,
    depth: int = 10,
    seed: int = 0,
    confidence: float = 0.95,
    progress: Progress = no_progress,
) -> Filters:
    """An engine, built once, searched through every filter.

    Raises `SpecError` for an engine that limitbench does not filter with, `InputError` for shares outside (0, 1).
    """
    wrong = [kind for kind in kinds if kind not in KINDS]
    if wrong or not kinds or not selectivities or not all(0 < share < 1 for share in selectivities):
        raise InputError(
            f"found kinds {list(kinds)} and selectivities {list(selectivities)}, expected {', '.join(KINDS)} and shares in (0, 1)"
        )
    bench = Bench.of(dataset, by, sample=sample, depth=depth, seed=seed, progress=progress)
    bench.adapter.require_changeable()
    attributes = {kind: _attribute(kind, bench.material, seed) for kind in kinds}
    points = []
    with bench.engine(bench.adapter.settings, attributes=attributes, progress=progress) as (engine, _):
        assert isinstance(engine, ChangeableEngine)
        unfiltered = bench.searched(engine, confidence=confidence)
        for kind in kinds:
            for share in selectivities:
                bound = max(1, round(share * len(bench.material.documents)))
                among = np.flatnonzero(attributes[kind] < bound)
                found = bench.searched(
                    engine, partial(engine.filtered, below={kind: bound}), among=among, confidence=confidence
                )
                points.append(FilterPoint(kind, share, len(among), found))
                progress("filters", len(points), len(kinds) * len(selectivities))
        proof = engine.proof()
    return Filters(bench.dataset, bench.spec, seed, unfiltered, tuple(points), proof, load_of_machine())


def _attribute(kind: str, material: Material, seed: int) -> Numbers:
    """A whole number from 0 on a document, each once: at random, or by how near it is to the middle of the queries."""
    n = len(material.documents)
    if kind == "random":
        return np.random.default_rng(seed).permutation(n)
    near = scores_of(material.queries.mean(axis=0), material.documents, material.similarity)
    order = np.argsort(-near if kind == "near" else near, kind="stable")
    out = np.empty(n, np.int64)
    out[order] = np.arange(n)
    return out
