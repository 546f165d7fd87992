"""Measuring a gate's retriever: a run file, a model, an endpoint, a command or a function, as rankings of the judged queries."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from limitbench.checks.baseline import Baseline
from limitbench.checks.config import Gate, Measurement, Project, Retriever
from limitbench.checks.execution import run_command, run_python
from limitbench.checks.findings import Skipped, Undecided
from limitbench.checks.workloads import Loaded
from limitbench.collection import Corpus, Queries
from limitbench.errors import DataError, LimitbenchError
from limitbench.measures import TiedRanking
from limitbench.rankings import Run, read_trec_run
from limitbench.relevance import Qrels

Floats = npt.NDArray[np.float64]
Scores = Mapping[str, Mapping[str, float]]
ALLOWED = 0.01  # loss by truncation, dtype, index or ties where the gate has no max_drop


@dataclass(frozen=True)
class Settings:
    """How far a check may go."""

    tier: str = "fast"
    no_exec: bool = False
    deadline: float = math.inf  # time.monotonic()

    def seconds(self, most: float) -> float:
        """Seconds left, at most so many."""
        return max(0.0, min(most, self.deadline - time.monotonic()))


@dataclass(frozen=True, eq=False)
class Measured:
    """A ranking of the workload's judged queries, over its documents and those that the run adds."""

    run: Run
    qrels: Qrels

    @classmethod
    def of(cls, scores: Scores, workload: Loaded) -> Measured:
        """The ranking of these scores. Raises `LimitbenchError` where it answers none of the judged queries."""
        assert workload.qrels is not None
        answered = [query for query in workload.query_ids if query in scores]
        if workload.query_ids and not answered:
            example = next(iter(scores), None)
            raise LimitbenchError(
                f"the run answers none of the {len(workload.query_ids)} judged queries"
                f"{f' (its first is {example!r})' if example is not None else ': it is empty'}; use the queries' ids as judged"
            )
        known = set(workload.document_ids)
        more = dict.fromkeys(d for query in answered for d in scores[query] if d not in known)
        documents = (*workload.document_ids, *more)
        run = Run.from_mapping(scores, query_ids=workload.query_ids, document_ids=documents)
        qrels = workload.qrels
        return cls(run, Qrels(qrels.indptr, qrels.indices, qrels.grades, len(documents)))

    def values(self, gate: Gate, ties: Any = "expected") -> Floats:
        """The gate's metric for every judged query, (m,)."""
        return gate.measure.on(TiedRanking.of(self.run, self.qrels, ties))

    def gaps_at(self, cutoff: int) -> Floats:
        """The score at the cutoff less the next one, of every query that has both."""
        starts, counts = self.run.indptr[:-1], np.diff(self.run.indptr)
        at = starts[counts > cutoff] + cutoff
        return np.asarray(self.run.scores[at - 1] - self.run.scores[at], np.float64)


@dataclass
class Case:
    """One gate with its workload, retriever and baseline; measurements are made once and shared."""

    number: int
    gate: Gate
    workload: Loaded
    retriever: Retriever
    project: Project
    settings: Settings
    baseline: Baseline | None
    depth: int = 0  # documents to retrieve: for the deepest of the gates that share this measurement
    runs: dict[tuple[str, str, str], Measured | Undecided | Skipped] = field(
        default_factory=dict
    )  # shared between cases

    @property
    def key(self) -> str:
        """The gate's name in a baseline."""
        return f"{self.gate.workload}/{self.gate.retriever}/{self.gate.metric}"

    @property
    def allowed(self) -> float:
        """The loss that is allowed."""
        return self.gate.max_drop if self.gate.max_drop is not None else ALLOWED

    def measured(self, reference: str = "") -> Measured | Undecided | Skipped:
        """The ranking of the retriever, or of one of its references (truncation, quantisation, ann)."""
        key = (self.gate.workload, self.gate.retriever, reference)
        if key not in self.runs:
            self.runs[key] = self._measure(reference)
        return self.runs[key]

    def _measure(self, reference: str) -> Measured | Undecided | Skipped:
        plan = self.retriever.measure
        if plan is None:
            return Skipped(
                f"retriever '{self.gate.retriever}' has no measurement",
                f"add [retriever.{self.gate.retriever}.measure]",
            )
        if self.workload.qrels is None or not self.workload.query_ids:
            return Undecided(
                "the workload has no judged queries with ids to measure on", "give it qrels; a pattern has no texts"
            )
        given = getattr(plan.references, reference) if reference else plan.run
        try:
            if given is not None:
                where = ("measure", "references", reference) if reference else ("measure", "run")
                path = self.project.resolve(given, "retriever", self.gate.retriever, *where)
                if not path.is_file():
                    return Undecided(f"{given} is not a file", "write the run there, or mend the path")
                return Measured.of(read_trec_run(path), self.workload)
            if self.settings.tier == "fast":
                return Skipped(f"measuring by {plan.way} belongs to the full tier", "run: limitbench check --tier full")
            if self.settings.no_exec and plan.way in ("python", "command"):
                return Undecided(f"measuring by {plan.way} is forbidden by --no-exec", "allow it, or give a run file")
            if self.settings.seconds(1.0) <= 0:
                return Undecided("the time budget is used up", "give more: --time-budget")
            return Measured.of(self._scores(plan, reference), self.workload)
        except DataError as error:
            return Undecided(str(error), "mend the file", path=str(error.path), line=error.line)
        except LimitbenchError as error:
            return Undecided(str(error), "mend what it says, and check again")
        except MemoryError:
            return Undecided(
                "the measurement does not fit into memory", "measure on a machine with more, and give the run file"
            )

    def _scores(self, plan: Measurement, reference: str) -> Scores:
        missing = [name for name in self.workload.query_ids if name not in self.workload.questions]
        if missing:
            raise LimitbenchError(
                f"{len(missing)} judged queries, the first '{missing[0]}', have no text; give the workload its queries file"
            )
        asked = {name: self.workload.questions[name] for name in self.workload.query_ids}
        depth = self.depth + 1  # one more: what lies just below the cut decides LB307 and LB308
        seconds = self.settings.seconds(plan.timeout)
        folder = self.project.path.resolve().parent
        if plan.command is not None:
            return _parsed_run(run_command(plan.command, asked, depth, folder, seconds))
        if plan.python is not None:
            return _parsed_json(run_python(plan.python, asked, depth, folder, seconds))
        if not self.workload.texts:
            raise LimitbenchError("the workload has no corpus to index; give it a corpus file")
        return retrieved(self.spec(reference), self.workload, asked, depth, self.settings, self.project)

    def spec(self, reference: str = "") -> str:
        """The retriever's spec of a measurement by model or endpoint, without the loss that a reference is about."""
        plan = self.retriever.measure
        assert plan is not None
        spec = plan.model or f"endpoint:{plan.name},url={plan.endpoint},timeout={plan.timeout}" + (
            f",key_env={plan.key_env}" if plan.key_env else ""
        )
        drop = {"truncation": {"dim", "dtype", "index"}, "quantisation": {"dtype", "index"}, "ann": {"index"}}.get(
            reference, set()
        )
        head, *options = spec.split(",")
        return ",".join([head, *(option for option in options if option.partition("=")[0].strip() not in drop)])


def _parsed_run(printed: bytes) -> Scores:
    import tempfile
    from pathlib import Path

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "stdout"
        path.write_bytes(printed)
        try:
            return read_trec_run(path)
        except DataError as error:
            line = f" at line {error.line}" if error.line else ""
            raise LimitbenchError(f"the command printed no TREC run{line}: {str(error).partition(': ')[2]}") from None


def _parsed_json(printed: bytes) -> Scores:
    try:
        found = json.loads(printed)
        assert isinstance(found, dict)
        assert all(isinstance(row, dict) for row in found.values())
        assert all(
            isinstance(value, int | float) and not math.isnan(float(value))
            for row in found.values()
            for value in row.values()
        )
    except (ValueError, AssertionError, RecursionError, OverflowError):
        raise LimitbenchError(
            "the Python function gave no {query id: {document id: score}} of numbers; mend what it returns"
        ) from None
    return found


def retrieved(
    spec: str,
    workload: Loaded,
    asked: Mapping[str, str],
    depth: int,
    settings: Settings,
    project: Project | None = None,
) -> Scores:
    """What a retriever of limitbench ranks for these queries, `depth` documents each. Raises `LimitbenchError`."""
    from limitbench.retrievers import retriever

    for part in spec.replace("+", ",").split(","):  # a folder of weights must be the project's
        name = part.rpartition(":")[2].partition("@")[0]
        if project is not None and name.startswith((".", "/", "~")):
            project.resolve(name)
    made = retriever(spec).retriever

    def progress(_stage: str, _done: int, _of: int) -> None:
        if settings.seconds(1.0) <= 0:
            raise LimitbenchError("the time budget was used up while measuring")

    try:
        index = made.index(Corpus(tuple(workload.texts), tuple(workload.texts.values())), progress)
        return index.search(Queries(tuple(asked), tuple(asked.values())), depth, progress).mapping()
    except LimitbenchError:
        raise
    except Exception as error:  # whatever a model's libraries raise
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise LimitbenchError(f"retriever '{spec}' failed ({type(error).__name__}: {reason})") from None
