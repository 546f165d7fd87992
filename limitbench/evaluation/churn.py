"""What coming and going documents cost an engine: a runbook of inserts, deletes and searches, and agreement at every search.

Runbooks are those of the streaming track of big-ann-benchmarks: numbered steps, each insert, delete or search, the first two of a
range of documents by number. Exact search is over the documents that are there at that moment.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from limitbench.collection import Dataset
from limitbench.datasets.evaluation_sets import parsed_yaml
from limitbench.errors import DataError, InputError
from limitbench.evaluation.engine_runs import Bench, Searched, load_of_machine
from limitbench.progress import Progress, no_progress
from limitbench.retrievers import Given
from limitbench.retrievers.engine import Engine
from limitbench.retrievers.engines.contract import ChangeableEngine, Floats, Hits, Numbers, Proof

RUNBOOKS = ("sliding-window", "expiring", "growing")


@dataclass(frozen=True)
class Step:
    """One step: insert or delete the documents from `start` to before `end`, or search."""

    what: Literal["insert", "delete", "search"]
    start: int = 0
    end: int = 0


@dataclass(frozen=True)
class ChurnPoint:
    """One search of a runbook: after how many steps, how many documents were there, and the seconds of changes before it."""

    step: int
    documents: int
    change_seconds: float
    found: Searched


@dataclass(frozen=True)
class Churn:
    """All searches of one runbook; `rebuilt` is a search of an index built anew of the documents at the last one.

    `index` is the proof after all changes: engines index later, and scan what is new until then.
    """

    dataset: str
    retriever: str
    runbook: str
    points: tuple[ChurnPoint, ...]
    rebuilt: Searched
    index: Proof
    load: list[float] | None


def runbook(name: str, documents: int, *, rounds: int = 8) -> list[Step]:
    """A runbook by name: half of the documents, then so many rounds of changes, a search after each.

    `sliding-window` deletes the oldest as new ones come, `expiring` deletes alone, `growing` inserts alone.
    """
    if name not in RUNBOOKS or rounds < 1 or documents < 4 * rounds:
        raise InputError(
            f"found the runbook '{name}' of {rounds} rounds for {documents} documents; expected one of {', '.join(RUNBOOKS)}, "
            "1 round or more, and four documents a round"
        )
    half = documents if name == "expiring" else documents // 2
    part = (documents // 2) // rounds
    steps = [Step("insert", 0, half), Step("search")]
    for i in range(rounds):
        if name != "growing":
            steps.append(Step("delete", i * part, (i + 1) * part))
        if name != "expiring":
            steps.append(Step("insert", half + i * part, half + (i + 1) * part))
        steps.append(Step("search"))
    return steps


def read_runbook(path: Path, dataset: str | None = None) -> list[Step]:
    """The steps of a YAML or JSON file in big-ann-benchmarks' form; `dataset` names its table, where it has several.

    Raises `DataError` for a file that is none, and for YAML without PyYAML.
    """
    told = _read(path)
    if not isinstance(told, dict) or not told:
        raise DataError(
            path, "found no table of steps; expected DATASET: {1: {operation: insert, start: 0, end: 100}, ...}"
        )
    tables = {str(name): table for name, table in told.items() if isinstance(table, dict) and "operation" not in table}
    if tables:
        if (dataset is not None and dataset not in tables) or (dataset is None and len(tables) > 1):
            raise DataError(path, f"found the datasets {', '.join(tables)}; name one of them")
        told = tables[dataset or next(iter(tables))]
    numbered = sorted((int(key), step) for key, step in told.items() if str(key).isdecimal())
    if not numbered:
        raise DataError(path, "found no numbered step")
    return [_step(path, number, step) for number, step in numbered]


def _read(path: Path) -> Any:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(path, f"cannot be read ({error}); check the path") from None
    try:
        return json.loads(text)
    except ValueError:
        return parsed_yaml(path, text)


def _step(path: Path, number: int, told: Any) -> Step:
    what = told.get("operation") if isinstance(told, dict) else None
    if what == "search":
        return Step("search")
    if what not in ("insert", "delete") or not all(isinstance(told.get(key), int) for key in ("start", "end")):
        raise DataError(
            path,
            f"step {number}: found {told!r}, expected operation insert, delete or search, with whole start and end",
        )
    return Step("insert" if what == "insert" else "delete", told["start"], told["end"])


def churn(
    dataset: Dataset | str | Path,
    by: Given | Engine,
    *,
    steps: str | Sequence[Step] = "sliding-window",
    rounds: int = 8,
    sample: int = 200,
    depth: int = 10,
    seed: int = 0,
    confidence: float = 0.95,
    progress: Progress = no_progress,
) -> Churn:
    """An engine through a runbook: by name, or its steps, of which the first inserts. Documents are numbered in the corpus' order.

    Raises `SpecError` for an engine that limitbench does not change, `InputError` for steps that insert what is there or delete
    what is not.
    """
    bench = Bench.of(dataset, by, sample=sample, depth=depth, seed=seed, progress=progress)
    bench.adapter.require_changeable()
    n = len(bench.material.documents)
    plan = runbook(steps, n, rounds=rounds) if isinstance(steps, str) else list(steps)
    _require_sound(plan, n)
    alive = np.zeros(n, bool)
    alive[plan[0].start : plan[0].end] = True
    points: list[ChurnPoint] = []
    last = np.flatnonzero(alive)  # at the last search
    first = np.arange(plan[0].start, plan[0].end)
    if plan[0].start:
        raise InputError(f"the first step inserts from document {plan[0].start} on, expected from 0")
    with bench.engine(bench.adapter.settings, rows=first, progress=progress) as (engine, seconds):
        assert isinstance(engine, ChangeableEngine)
        for number, step in enumerate(plan[1:], 2):
            start, rows = time.perf_counter(), np.arange(step.start, step.end)
            if step.what == "search":
                engine.settle()
                seconds += time.perf_counter() - start
                among = last = np.flatnonzero(alive)
                points.append(
                    ChurnPoint(number, len(among), seconds, bench.searched(engine, among=among, confidence=confidence))
                )
                seconds = 0.0
            elif step.what == "insert":
                engine.insert(rows, bench.material.documents[rows])
                alive[rows] = True
                seconds += time.perf_counter() - start
            else:
                engine.delete(rows)
                alive[rows] = False
                seconds += time.perf_counter() - start
            progress("steps", number, len(plan))
        proof = engine.proof()
    name = steps if isinstance(steps, str) else "given"
    rebuilt = _rebuilt(bench, last, confidence)
    return Churn(bench.dataset, bench.spec, name, tuple(points), rebuilt, proof, load_of_machine())


def _rebuilt(bench: Bench, last: Numbers, confidence: float) -> Searched:
    """The searches of an index built of the last documents alone."""
    with bench.engine(bench.adapter.settings, rows=last) as (engine, _):

        def by_first_numbers(query: Floats, depth: int) -> Hits:
            numbers, scores = engine.search(query, depth)
            return last[numbers], scores

        return bench.searched(engine, by_first_numbers, among=last, confidence=confidence)


def _require_sound(plan: Sequence[Step], n: int) -> None:
    alive = np.zeros(n, bool)
    if not plan or plan[0].what != "insert" or all(step.what != "search" for step in plan):
        raise InputError("a runbook begins with an insert and has a search")
    for number, step in enumerate(plan, 1):
        rows = alive[step.start : step.end]
        if step.what == "search":
            bad = "search without a document" if not alive.any() else ""
        elif not 0 <= step.start < step.end <= n:
            bad = f"documents {step.start} to {step.end}, and there are {n}"
        else:
            bad = "insert of documents that are there" if step.what == "insert" and rows.any() else ""
            bad = "delete of documents that are not there" if step.what == "delete" and not rows.all() else bad
        if bad:
            raise InputError(f"step {number} of the runbook: found {bad}; mend it")
        alive[step.start : step.end] = step.what == "insert" if step.what != "search" else rows
