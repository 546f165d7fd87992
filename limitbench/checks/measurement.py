"""Measuring a gate's retriever: a run file, a model, an endpoint, a command or a function, as rankings of the judged queries."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from limitbench.checks.answers import Answer, printed, retrieved, returned
from limitbench.checks.baseline import Baseline
from limitbench.checks.config import Project
from limitbench.checks.execution import run_command, run_python
from limitbench.checks.findings import Cause, Skipped, Undecided
from limitbench.checks.schema import Gate, Retriever, Source
from limitbench.checks.settings import Settings
from limitbench.checks.workloads import Loaded
from limitbench.errors import DataError, LimitbenchError
from limitbench.measures import TiedRanking, joined, run_remarks
from limitbench.rankings import Run, read_run_file
from limitbench.relevance import Qrels

if TYPE_CHECKING:
    from limitbench.retrievers import CutTexts, RetrieverSpec

Floats = npt.NDArray[np.float64]
# the options of a retriever that lose what a reference is there to show
_LOST = {"truncation": ("dim", "dtype", "index"), "quantisation": ("dtype", "index"), "ann": ("index",)}
ALLOWED = 0.01  # loss by truncation, dtype, index or ties where the gate has no max_drop


@dataclass(frozen=True, eq=False)
class Measured:
    """A ranking of the workload's judged queries, over its documents and those that the run adds.

    `answer` is what the retriever gave, as it gave it. `notes` are what to know before its numbers are read. `unstable` counts the
    queries that were answered differently when asked again, where they were.
    """

    run: Run
    qrels: Qrels
    answer: Answer
    notes: tuple[str, ...] = ()
    unstable: int | None = None

    @classmethod
    def of(cls, answer: Answer, workload: Loaded, depth: int, *, tell_short: bool = True) -> Measured:
        """The ranking of an answer. Raises `LimitbenchError` where it answers none of the judged queries."""
        assert workload.qrels is not None
        if workload.document_of is not None:
            answer = answer.by_document(workload.document_of)
        file = answer.file
        answered = [query for query in workload.query_ids if query in file.scores]
        if workload.query_ids and not answered:
            example = next(iter(file.scores), None)
            raise LimitbenchError(
                f"the run answers none of the {len(workload.query_ids)} judged queries"
                f"{f' (its first is {example!r})' if example is not None else ': it is empty'}; use the queries' ids as judged"
            )
        known = workload.document_ids or tuple(dict.fromkeys(name for row in file.scores.values() for name in row))
        qrels = workload.qrels if workload.document_ids else Qrels.from_sets([[]] * len(workload.query_ids), len(known))
        run, qrels = joined(file.scores, workload.query_ids, known, qrels)
        if workload.leaves_own:
            run = run.without_own(max(1, int(np.diff(run.indptr).max(initial=1))))
        said = file.remarks(workload.query_ids, known) if answer.notes is None else answer.notes
        missing = 0 if answer.notes is not None else len(file.missing(workload.query_ids))
        short = run_remarks(run, qrels, depth, missing=missing) if tell_short and not workload.plan.unjudged else []
        own = workload.own_ids
        found = f"{own} queries are documents too, by id and text, and find themselves; ignore_identical_ids = true leaves each out"
        notes = (*said, *short, *((found,) if own and not workload.leaves_own else ()))
        return cls(run, qrels, answer, notes)

    @property
    def cut(self) -> tuple[CutTexts, ...]:
        """Which texts a model did not read to their end."""
        return self.answer.cut

    def first(self, most: int) -> list[list[str]]:
        """By query: the ids of the first documents, best first; equal scores in the order of the corpus."""
        ids, indices, indptr = self.run.document_ids, self.run.indices, self.run.indptr
        return [
            [ids[column] for column in indices[start : min(stop, start + most)]]
            for start, stop in itertools.pairwise(indptr)
        ]

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
    explained: dict[tuple[int, bytes], tuple[Cause, ...]] = field(
        default_factory=dict
    )  # by number, and whether it was compared

    @property
    def key(self) -> str:
        """The gate's name in a baseline."""
        return f"{self.gate.workload}/{self.gate.retriever}/{self.gate.metric}"

    def values(self, found: Measured, ties: Any = "expected") -> Floats:
        """The gate's figure for every query, (m,).

        Agreement is 1 here: what is recorded agrees with itself. How far it agrees with a baseline, `comparison` says.
        """
        return np.ones(len(self.workload.query_ids)) if self.gate.agreement else found.values(self.gate, ties)

    @property
    def quiet(self) -> bool:
        """Whether a missing baseline is a warning at most."""
        plan = self.project.config.baseline
        return plan is not None and plan.missing != "error"

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
                "the workload has no queries with ids to measure on", "give it qrels; a pattern has no texts"
            )
        source: Source = plan
        if reference and (given := getattr(plan.references, reference)) is not None:
            if isinstance(given, str) or given.run is not None:
                return Skipped(
                    f"the reference '{reference}' is a file, and a file does not say when and of which data it was made",
                    f'have it measured beside the service: references.{reference} = {{ python = "MODULE:FUNCTION" }}, '
                    "or command, model or endpoint",
                )
            source = given
        try:
            if source.run is not None and not reference:
                path = self.project.resolve(source.run, "retriever", self.gate.retriever, "measure", "run")
                if not path.is_file():
                    return Undecided(f"{source.run} is not a file", "write the run there, or mend the path")
                return Measured.of(Answer(read_run_file(path)), self.workload, self.depth)
            way = source.way
            if self.settings.tier == "fast":
                return Skipped(f"measuring by {way} is not for the fast tier", "leave --tier out, or give a run file")
            if self.settings.no_exec and way in ("python", "command"):
                return Undecided(f"measuring by {way} is forbidden by --no-exec", "allow it, or give a run file")
            if self.settings.seconds(1.0) <= 0:
                return Undecided("the time budget is used up", "give more: --time-budget")
            found = Measured.of(self._asked(source, plan.timeout, reference), self.workload, self.depth)
            for _ in range(0 if reference else plan.repeat - 1):
                again = Measured.of(self._asked(source, plan.timeout, reference), self.workload, self.depth)
                differs = _differing(found, again, self.depth)
                found = replace(found, unstable=max(found.unstable or 0, differs))
            return found
        except DataError as error:
            return Undecided(str(error), "mend the file", path=str(error.path), line=error.line)
        except LimitbenchError as error:
            return Undecided(str(error), "mend what it says, and check again")
        except MemoryError:
            return Undecided(
                "the measurement does not fit into memory", "measure on a machine with more, and give the run file"
            )

    def _asked(self, source: Source, timeout: float, reference: str) -> Answer:
        """What the running retriever ranks now."""
        missing = [name for name in self.workload.query_ids if name not in self.workload.questions]
        if missing:
            raise LimitbenchError(
                f"{len(missing)} judged queries, the first '{missing[0]}', have no text; give the workload its queries file"
            )
        asked = {name: self.workload.questions[name] for name in self.workload.query_ids}
        depth = self.depth + 1  # one more: what lies just below the cut decides LB307 and LB308
        seconds = self.settings.seconds(timeout)
        folder = self.project.path.resolve().parent
        if source.command is not None:
            return printed(run_command(source.command, asked, depth, folder, seconds))
        if source.python is not None:
            return returned(run_python(source.python, asked, depth, folder, seconds), "the Python function")
        if not self.workload.texts:
            raise LimitbenchError("the workload has no corpus to index; give it a corpus file")
        return retrieved(self.spec(reference), self.workload, asked, depth, self.settings, self.project)

    def spec(self, reference: str = "") -> RetrieverSpec:
        """The retriever's spec of a measurement by model or endpoint, without the loss that a reference is about."""
        from limitbench.retrievers.spec import RetrieverSpec

        measure = self.retriever.measure
        assert measure is not None
        given = getattr(measure.references, reference) if reference else None
        plan: Source = given if isinstance(given, Source) else measure
        spec = (
            RetrieverSpec.parse(plan.model)
            if plan.model
            else RetrieverSpec("endpoint", str(plan.name)).with_options(
                url=plan.endpoint, timeout=measure.timeout, key_env=plan.key_env
            )
        )
        return spec if plan is given or not reference else _spared(spec, reference)


def _spared(spec: RetrieverSpec, reference: str) -> RetrieverSpec:
    """The spec without what a reference is there to show, and without what comes behind it on a question's way."""
    if spec.adapter != "engine":
        return spec.without(*_LOST[reference])
    made = spec.made()
    if made.source is None or (not made.kind_of_engine.scans and made.filter is not None):
        return spec  # texts have no such losses; and a filter's is not the index's
    scanned = spec if spec.get("index") == "flat" else spec.without_index()
    if reference == "ann":
        return scanned
    if scanned.adapter != "engine":  # the vectors themselves
        return scanned.without(*_LOST[reference])
    of = spec.get("of")
    full = {"of": str(type(spec).parse(of).without("dim"))} if reference == "truncation" and of is not None else {}
    return scanned.without("dtype").with_options(**full)


def _differing(first: Measured, again: Measured, depth: int) -> int:
    """How many queries got other documents, or the same in another order of scores, within `depth`."""
    a, b = ([dict(found.run.row(number)[:depth]) for number in range(len(found.run))] for found in (first, again))
    return sum(not _alike(x, y) for x, y in zip(a, b, strict=True))


def _alike(a: Mapping[str, float], b: Mapping[str, float]) -> bool:
    """Whether two rows have the same documents with the same scores, to a millionth."""
    return a.keys() == b.keys() and all(abs(a[d] - b[d]) <= 1e-6 * max(1.0, abs(a[d])) for d in a)
