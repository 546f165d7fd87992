"""What rules are decided on: workloads, plans, gates, retrievers and the project itself, read once and shared by all rules."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias

from limitbench.checks import baseline as recorded
from limitbench.checks.config import Project
from limitbench.checks.environment import OnProject
from limitbench.checks.findings import Cause, Skipped, Undecided
from limitbench.checks.flaws import Judged
from limitbench.checks.measurement import Case, Measured
from limitbench.checks.models import Planned
from limitbench.checks.plan import Plan
from limitbench.checks.rule import Scope
from limitbench.checks.settings import Settings
from limitbench.checks.workloads import Loaded, OutOfTime, read_workload
from limitbench.errors import DataError, LimitbenchError

Key: TypeAlias = tuple[str | int, ...]


@dataclass(frozen=True, eq=False)
class Subject:
    """One thing that rules are decided on.

    `name` is what findings call it, `key` where the configuration speaks of it; a rule's field comes behind. `of` is what a
    rule's decision gets, and `unreadable` why there is nothing to decide on. `measurable`: there is something to measure with.
    """

    name: str
    key: Key
    of: Any
    workload: str | None = None
    retriever: str | None = None
    unreadable: Undecided | None = None
    measurable: bool = True


class Subjects:
    """The subjects of one check. Workloads are read when they are first asked for."""

    def __init__(self, project: Project, settings: Settings, *, compare: bool = True) -> None:
        self.project, self.config, self.settings = project, project.config, settings
        self.unreadable: dict[str, Undecided] = {}
        # what was measured, and what explains it, shared by the gates
        self.explained: dict[tuple[int, bytes], tuple[Cause, ...]] = {}
        self.runs: dict[tuple[str, str, str], Measured | Undecided | Skipped] = {}
        plan = self.config.baseline if compare else None
        self.baseline = None if plan is None else recorded.read_baseline(project.resolve(plan.path, "baseline", "path"))

    @cached_property
    def loaded(self) -> dict[str, Loaded]:
        """The workloads that can be read, by name; why others cannot stands in `unreadable`.

        Raises `DataError` where the configuration itself is wrong.
        """
        out = {}
        for name, plan in self.config.workload.items():
            try:
                out[name] = read_workload(self.project, name, self._in_time)
            except DataError as error:
                if error.path == self.project.path:
                    raise
                self.unreadable[name] = Undecided(str(error), "mend the file", path=str(error.path), line=error.line)
            except OutOfTime as error:
                self.unreadable[name] = Undecided(str(error), "give more: --time-budget")
            except LimitbenchError as error:
                key = ("workload", name, "pattern" if plan.pattern is not None else "qrels")
                raise DataError(self.project.path, str(error), line=self.project.line(*key)) from None
        return out

    def _in_time(self) -> None:
        """Raise `OutOfTime` where the time budget is used up while data are read."""
        if self.settings.seconds(1.0) <= 0:
            raise OutOfTime("the time budget was used up while the data were read")

    def of(self, scope: Scope) -> Iterator[Subject]:
        """All subjects of one kind, in the configuration's order."""
        yield from {
            "workload": self._workloads,
            "plan": self._plans,
            "gates": self._gates,
            "gate": self._each_gate,
            "retriever": self._retrievers,
            "project": self._project,
        }[scope]()

    def _workloads(self) -> Iterator[Subject]:
        loaded = self.loaded
        for name, plan in self.config.workload.items():
            key = ("workload", name, "qrels" if plan.pattern is None else "pattern")
            problem = self.unreadable.get(name)
            of = None if problem else Judged(loaded[name], self.baseline)
            yield Subject(f"workload {name}", key, of, workload=name, unreadable=problem)

    def _plans(self) -> Iterator[Subject]:
        for workload, retriever in self._pairs():
            if workload not in self.loaded:
                continue
            plan = Plan(self.loaded[workload], self.config.retriever[retriever], self.settings)
            if plan.applies:
                yield Subject(f"{retriever} on {workload}", ("retriever", retriever), plan, workload, retriever)

    def _pairs(self) -> list[tuple[str, str]]:
        """The pairs that gates name, and every pair of a workload or retriever that no gate names."""
        named = dict.fromkeys((gate.workload, gate.retriever) for gate in self.config.gate)
        workloads, retrievers = {w for w, _ in named}, {r for _, r in named}
        every = ((w, r) for w in self.config.workload for r in self.config.retriever)
        return list(named | dict.fromkeys((w, r) for w, r in every if w not in workloads or r not in retrievers))

    def _gates(self) -> Iterator[Subject]:
        """The gates of each workload that allow a drop, together."""
        cases = self.cases
        for workload in self.loaded:
            asking = [case for case in cases if case.gate.workload == workload and case.gate.max_drop is not None]
            if asking:
                yield Subject(f"workload {workload}", ("gate", asking[0].number), asking, workload=workload)

    def _each_gate(self) -> Iterator[Subject]:
        for case in self.cases:
            gate = case.gate
            name = f"gate {case.number + 1}: {gate.metric} of {gate.retriever} on {gate.workload}"
            measurable = case.retriever.measure is not None
            yield Subject(name, ("gate", case.number), case, gate.workload, gate.retriever, measurable=measurable)

    def _retrievers(self) -> Iterator[Subject]:
        for name, retriever in self.config.retriever.items():
            key = ("retriever", name, "model") if retriever.model else ("retriever", name, "measure", "model")
            yield Subject(f"retriever {name}", key, Planned(retriever, self.project), retriever=name)

    def _project(self) -> Iterator[Subject]:
        yield Subject("project", ("baseline", "path"), OnProject(self.config, self.baseline))

    @cached_property
    def cases(self) -> list[Case]:
        """The gates whose workloads could be read."""
        depths: dict[tuple[str, str], int] = {}
        for gate in self.config.gate:
            pair = (gate.workload, gate.retriever)
            top_k = self.loaded[gate.workload].top_k if gate.workload in self.loaded else 0
            depths[pair] = max(depths.get(pair, 0), gate.measure.cutoff, top_k)
        return [
            Case(
                number,
                gate,
                self.loaded[gate.workload],
                self.config.retriever[gate.retriever],
                self.project,
                self.settings,
                self.baseline,
                depths[gate.workload, gate.retriever],
                self.runs,
                self.explained,
            )
            for number, gate in enumerate(self.config.gate)
            if gate.workload in self.loaded
        ]
