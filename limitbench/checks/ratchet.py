"""Recording the baseline: measure every gate that compares with one, and only write figures that are meant."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from limitbench.checks import secrets
from limitbench.checks.baseline import (
    KEPT,
    Baseline,
    Line,
    Setting,
    differences,
    layout,
    merge,
    read_baseline,
    write_baseline,
)
from limitbench.checks.causes import settings as retriever_settings
from limitbench.checks.comparison import DECIMALS, renamed_from
from limitbench.checks.config import Project, under_ci
from limitbench.checks.engine import measured_cases
from limitbench.checks.environment import environment
from limitbench.checks.measurement import Case, Measured
from limitbench.checks.settings import Settings
from limitbench.errors import InputError, LimitbenchError


@dataclass(frozen=True)
class Recorded:
    """What a baseline command found: the old and the new, and what differs."""

    path: Path
    old: Baseline | None
    new: Baseline
    renamed: dict[str, list[str]]  # today's names of the old gates that have another one
    max_lost: dict[str, int]  # by gate, where it has one

    @property
    def changes(self) -> dict[str, Any]:
        """What changed, JSON-ready; without an old baseline, everything."""
        return secrets.hidden(differences(self.old, self.new))  # type: ignore[no-any-return]

    @property
    def differs(self) -> bool:
        """Whether an update would change the file."""
        return self.old is None or layout(self.old) != layout(self.new)

    @property
    def lowered(self) -> list[str]:
        """What an update would hide: gates that are gone, and gates whose mean fell or that lost too many, on the queries that both
        know by their id. A query that was reworded counts: changing a word hides no drop.
        """
        if self.old is None:
            return []
        out = []
        for key in self.old.keys:
            before = self.old.values(key)
            names = self.renamed.get(key, [key])
            if not any(self.new.values(name) for name in names):
                out.append(f"{key} is no longer a gate")
            for name in names:
                now = self.new.values(name)
                same = before.keys() & now.keys()
                if now and 2 * len(same) < len(before):
                    out.append(f"{name}: only {len(same)} of its {len(before)} queries are still judged")
                elif same:
                    out += self._fallen(name, [before[q] for q in same], [now[q] for q in same])
        return out

    def _fallen(self, key: str, before: list[float], now: list[float]) -> list[str]:
        old_mean, new_mean = sum(before) / len(before), sum(now) / len(now)
        lost = sum(b > n + 1e-9 for b, n in zip(before, now, strict=True))
        if new_mean < old_mean - 1e-9:
            return [f"{key}: {old_mean:.4f} to {new_mean:.4f} on {len(before)} queries"]
        allowed = self.max_lost.get(key)
        return [f"{key}: {lost} queries lost, and {allowed} may be"] if allowed is not None and lost > allowed else []


def compare(project: Project, *, tier: str = "auto", no_exec: bool = False) -> Recorded:
    """The recorded baseline and the one that the present state would give; nothing is written."""
    path = place(project)
    old = read_baseline(path)
    return Recorded(path, old, *measure(project, old, tier=tier, no_exec=no_exec))


def init(
    project: Project, *, force: bool = False, allow_ci: bool = False, tier: str = "auto", no_exec: bool = False
) -> Recorded:
    """Write the first baseline. Raises `InputError` where one is there already, unless `force`, which CI needs `allow_ci` for."""
    path = place(project)
    if path.exists() and force and under_ci() and not allow_ci:
        raise InputError("refusing to write over a baseline under CI; --allow-ci does it all the same")
    if path.exists() and not force:
        raise InputError(
            f"{path} is there already; change it with: limitbench baseline update, or start anew with --force"
        )
    found = Recorded(path, None, *measure(project, None, tier=tier, no_exec=no_exec))
    write_baseline(found.new, path)
    return found


def update(
    project: Project, *, allow_ci: bool = False, allow_drop: bool = False, tier: str = "auto", no_exec: bool = False
) -> Recorded:
    """Write the present figures. Raises `InputError` under CI without `allow_ci`, and for a lower mean without `allow_drop`."""
    if under_ci() and not allow_ci:
        raise InputError(
            "refusing to update the baseline under CI, where it would hide what it should show; --allow-ci does it all the same"
        )
    path = place(project)
    old = read_baseline(path)
    if old is None:
        raise InputError(f"there is no baseline at {path}; record one: limitbench baseline init")
    found = Recorded(path, old, *measure(project, old, tier=tier, no_exec=no_exec))
    if found.lowered and not allow_drop:
        raise InputError(f"the baseline would fall ({'; '.join(found.lowered)}); if that is meant, give --allow-drop")
    if found.differs:
        write_baseline(found.new, path)
    return found


def place(project: Project) -> Path:
    """Where the baseline lies. Raises `InputError` where the configuration names none."""
    plan = project.config.baseline
    if plan is None:
        raise InputError(
            f'{project.path} has no [baseline]; add two lines at its end: [baseline] and path = ".limitbench/baseline.json"'
        )
    return project.resolve(plan.path, "baseline", "path")


def measure(
    project: Project, old: Baseline | None, *, tier: str, no_exec: bool
) -> tuple[Baseline, dict[str, list[str]], dict[str, int]]:
    """The present figures of every gate that compares, how the old gates are called now, and each gate's max_lost.

    Raises `LimitbenchError` where one cannot be measured.
    """
    lines: dict[str, dict[str, Line]] = {}
    settings: dict[str, dict[str, Setting]] = {}
    renamed: dict[str, list[str]] = {}
    most: dict[str, int] = {}
    for case in measured_cases(project, Settings(tier, no_exec)):
        if case.gate.compares is None:
            continue
        found = case.measured()
        if not isinstance(found, Measured):
            raise LimitbenchError(
                f"gate {case.number + 1} ({case.key}) cannot be measured: {found.reason}; {found.remedy}"
            )
        settings[case.gate.retriever] = secrets.hidden(retriever_settings(case.retriever, found))
        rows = lines.setdefault(case.gate.workload, {})
        for query, line in measured_lines(case, found).items():
            rows[query] = line if query not in rows else both(rows[query], line)
        if old is not None and not old.values(case.key) and (was := renamed_from(case, old)) is not None:
            renamed.setdefault(was, []).append(case.key)
        if case.gate.max_lost is not None:
            most[case.key] = case.gate.max_lost
    if not lines:
        raise InputError(
            f"no gate of {project.path} compares with a baseline, so there is nothing to record; add a max_drop to one"
        )
    for name, rows in lines.items():
        recorded = old.workloads.get(name, {}) if old else {}
        lines[name] = {query: _kept(line, recorded.get(query)) for query, line in rows.items()}
    made = Baseline(versions=environment(project.config), settings=settings, workloads=lines)
    return made, renamed, most


def _kept(now: Line, before: Line | None) -> Line:
    """The line before where nothing but the scores' last digits changed, so that an update rewrites no more than it must."""
    same = (
        before is not None
        and now.model_copy(update={"best": before.best}) == before
        and now.best.keys() == before.best.keys()
    )
    close = before is not None and all(
        math.isclose(now.best[name], before.best.get(name, 0), rel_tol=0.01) for name in now.best
    )
    return before if before is not None and same and close else now


def measured_lines(case: Case, found: Measured) -> dict[str, Line]:
    """A gate's figures, identities and first documents, by query."""
    who, workload = case.gate.retriever, case.workload
    values, top, run = case.values(found), found.first(min(KEPT, max(10, case.gate.measure.cutoff))), found.run
    out = {}
    for row, query in enumerate(workload.query_ids):
        best = {who: float(f"{run.scores[run.indptr[row]]:.4g}")} if run.indptr[row] < run.indptr[row + 1] else {}
        figure = {f"{who}/{case.gate.metric}": round(float(values[row]), DECIMALS)}
        out[query] = Line(
            identity=workload.identities[query], values=figure, top={who: secrets.hidden(top[row])}, best=best
        )
    return out


def both(a: Line, b: Line) -> Line:
    """One line of two measurements of the same query; the longer list of documents stays."""
    longer = {name: max(a.top.get(name, []), b.top.get(name, []), key=len) for name in {*a.top, *b.top}}
    return Line(identity=a.identity, values={**a.values, **b.values}, top=longer, best={**a.best, **b.best})


def merge_files(ancestor: Path, ours: Path, theirs: Path) -> list[str]:
    """Join two branches' baselines into `ours`, as a merge driver of git does; what comes back is to be said.

    Raises `LimitbenchError` where one cannot be read or written.
    """
    sides = [
        read_baseline(path) if path.exists() and path.stat().st_size else None for path in (ancestor, ours, theirs)
    ]
    mine, other = sides[1], sides[2]
    if mine is None or other is None:
        raise InputError("one side of the merge has no baseline; keep the other")
    made, said = merge(
        sides[0] or Baseline.model_construct(versions={}, settings={}, workloads={}, whole={}), mine, other
    )
    write_baseline(made, ours)
    return said
