"""An engine's settings against what they find and cost: every point, the frontier of both, and the cheapest for a target.

Every setting of the build is built, some several times, since graphs of one setting differ. Settings of searches are tried on the
index that is there: values doubled until nothing more is found, then halved into the step that crosses the target.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from limitbench.collection import Dataset
from limitbench.errors import InputError, SpecError
from limitbench.evaluation.engine_runs import Bench, Searched, distinct, load_of_machine
from limitbench.progress import Progress, no_progress
from limitbench.provenance import provenance
from limitbench.retrievers import Given
from limitbench.retrievers.engines.contract import Settings, VectorEngine

LEVELS = (0.9, 0.95, 0.99)  # of agreement, at which throughputs are compared
_MOST = 4096  # candidates or probes that are tried
_ENOUGH = 0.999  # of agreement: more candidates would tell nothing
_HALVINGS = 4
_LARGEST = {"m": 1024, "ef_construction": 100_000, "lists": 1_000_000}  # as in a spec


@dataclass(frozen=True)
class TuningPoint:
    """One setting, measured. `build` are the settings that an index was built with, `value` is that of the search."""

    build: Mapping[str, Any]
    repeat: int
    name: str | None  # of the setting of searches: ef or probes
    value: int | None
    found: Searched
    build_seconds: float
    index_bytes: int
    effective: Mapping[str, Any]
    index_used: str
    on_frontier: bool = False


@dataclass(frozen=True)
class Tuning:
    """All points of one engine on one dataset; times are this machine's, under the loads noted."""

    dataset: str
    retriever: str
    target: float
    seed: int
    points: tuple[TuningPoint, ...]
    load_before: list[float] | None
    load_after: list[float] | None
    provenance: Mapping[str, Any]

    @property
    def best(self) -> TuningPoint | None:
        """The quickest point that reaches the target in every build of its setting; None where none does."""
        groups: dict[Any, list[TuningPoint]] = {}
        for point in self.points:
            groups.setdefault((tuple(sorted(point.build.items())), point.value), []).append(point)
        builds = {
            tuple(sorted(p.build.items())): max(q.repeat for q in self.points if q.build == p.build)
            for p in self.points
        }
        good = [
            min(group, key=lambda p: p.found.qps)
            for (build, _), group in groups.items()
            if len(group) > builds[build] and all(p.found.agreement.mean >= self.target for p in group)
        ]
        return max(good, key=lambda p: p.found.qps, default=None)

    def throughput(self, level: float) -> float | None:
        """The most single queries a second of a point with this agreement or more; None where none has it."""
        return max((p.found.qps for p in self.points if p.found.agreement.mean >= level), default=None)

    @property
    def spread(self) -> float:
        """The largest difference of agreement between builds of one setting, searched alike; 0 with one build each."""
        groups: dict[Any, list[float]] = {}
        for point in self.points:
            groups.setdefault((tuple(sorted(point.build.items())), point.value), []).append(point.found.agreement.mean)
        return max((max(group) - min(group) for group in groups.values()), default=0.0)


def tune(
    dataset: Dataset | str | Path,
    by: Given,
    *,
    target: float = 0.95,
    m: Sequence[int] = (),
    ef_construction: Sequence[int] = (),
    lists: Sequence[int] = (),
    repeats: int = 1,
    sample: int = 200,
    depth: int = 10,
    seed: int = 0,
    progress: Progress = no_progress,
) -> Tuning:
    """Every combination of the build's settings, `repeats` times, each at many settings of its searches.

    Raises `SpecError` for what is no engine of vectors or has no such setting, `InputError` for bad numbers.
    """
    if not 0 < target <= 1 or repeats < 1:
        raise InputError(f"found target {target:g} and {repeats} repeats, expected a share above 0 and 1 or more")
    given = {"m": m, "ef_construction": ef_construction, "lists": lists}
    lines = [[(name, value) for value in distinct(values, _LARGEST[name])] for name, values in given.items() if values]
    builds: list[dict[str, Any]] = [dict(pairs) for pairs in itertools.product(*lines)]
    before = load_of_machine()
    bench = Bench.of(dataset, by, sample=sample, depth=depth, seed=seed, progress=progress)
    usual = bench.adapter.settings
    for build in builds:  # all of them before any is built
        bench.adapter.kind_of_engine.check(replace(usual, **build))
    points: list[TuningPoint] = []
    for number, (build, repeat) in enumerate(itertools.product(builds, range(repeats))):
        progress("build", number, len(builds) * repeats)
        settings = replace(usual, **build)
        with bench.engine(settings) as (engine, seconds):
            shown = {name: value for name, value in {**_shown(settings), **build}.items() if value is not None}
            nbytes, how = engine.nbytes, engine.proof().how
            points += [
                TuningPoint(shown, repeat, name, value, found, seconds, nbytes, effective, how)
                for name, value, found, effective in _searches(bench, engine, target)
            ]
    progress("build", len(builds) * repeats, len(builds) * repeats)
    return Tuning(
        bench.dataset, bench.spec, target, seed, tuple(_with_frontier(points)), before, load_of_machine(), provenance()
    )  # fmt: skip


def _shown(settings: Settings) -> dict[str, Any]:
    return {name: getattr(settings, name) for name in ("index", "dtype", "m", "ef_construction", "lists")}


def _searches(
    bench: Bench, engine: VectorEngine, target: float
) -> Iterator[tuple[str | None, int | None, Searched, Mapping[str, Any]]]:
    """Points of one index, with the settings in force: values doubled, then halved into the step that crosses the target."""
    name = _adjusted_by(engine)
    if name is None:
        yield None, None, bench.searched(engine), dict(engine.effective())
        return
    usual = engine.settings
    tried: dict[int, Searched] = {}
    effective: dict[int, Mapping[str, Any]] = {}

    def at(value: int) -> Searched | None:
        try:
            engine.adjust(replace(usual, **dict[str, Any]({name: value})))
        except SpecError:
            return None  # beyond what the engine takes
        effective[value] = dict(engine.effective())
        tried[value] = bench.searched(engine)
        return tried[value]

    value = 1 if name == "probes" else min(bench.depth, _MOST)
    while value <= _MOST:
        found = at(value)
        if found is None or found.agreement.mean >= max(_ENOUGH, target):
            break
        value *= 2
    if not tried:  # no value is taken at this depth: the usual setting
        engine.adjust(usual)
        yield None, None, bench.searched(engine), dict(engine.effective())
    below = max((v for v, found in tried.items() if found.agreement.mean < target), default=None)
    above = min((v for v, found in tried.items() if found.agreement.mean >= target), default=None)
    for _ in range(_HALVINGS):
        if below is None or above is None or above - below < 2 or below > above:
            break
        middle = (below + above) // 2
        found = at(middle)
        if found is None:
            break
        below, above = (below, middle) if found.agreement.mean >= target else (middle, above)
    for value in sorted(tried):
        yield name, value, tried[value], effective[value]


def _adjusted_by(engine: VectorEngine) -> str | None:
    """The setting of searches that this index has."""
    kind = str(engine.effective().get("index", ""))
    wanted = "ef" if "hnsw" in kind else "probes" if kind.startswith("ivf") else None
    return wanted if wanted in engine.adjustable else None


def _with_frontier(points: Sequence[TuningPoint]) -> Iterator[TuningPoint]:
    """Points, marked where no other finds as much and is quicker, or finds more and is as quick."""
    for point in points:
        a, q = point.found.agreement.mean, point.found.qps
        worse = any(
            (o.found.agreement.mean >= a and o.found.qps > q) or (o.found.agreement.mean > a and o.found.qps >= q)
            for o in points
        )
        yield TuningPoint(**{**vars(point), "on_frontier": not worse})
