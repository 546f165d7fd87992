"""Recording the baseline: measure every gate that has a max_drop, and only write figures that are meant."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from limitbench.checks.baseline import Baseline, Entry, differences, now, read_baseline, write_baseline
from limitbench.checks.config import Project, under_ci
from limitbench.checks.engine import measured_cases
from limitbench.checks.measurement import Measured, Settings
from limitbench.checks.reproducibility import environment
from limitbench.errors import InputError, LimitbenchError


@dataclass(frozen=True)
class Recorded:
    """What a baseline command found: the old and the new, and what differs."""

    path: Path
    old: Baseline | None
    new: Baseline

    @property
    def changes(self) -> dict[str, Any]:
        """What changed, JSON-ready; without an old baseline, everything."""
        empty = Baseline.model_construct(recorded="", versions={}, fingerprints={}, gates={})
        return differences(self.old or empty, self.new)

    @property
    def lowered(self) -> list[str]:
        """Gates on unchanged data whose mean fell."""
        if self.old is None:
            return []
        out = []
        for key, entry in self.new.gates.items():
            before, workload = self.old.gates.get(key), key.partition("/")[0]
            same = self.old.fingerprints.get(workload) == self.new.fingerprints.get(workload)
            if before is not None and same and entry.mean < before.mean - 1e-12:
                out.append(f"{key}: {before.mean:.4f} to {entry.mean:.4f}")
        return out


def compare(project: Project, *, tier: str = "fast", no_exec: bool = False) -> Recorded:
    """The recorded baseline and the one that the present state would give; nothing is written."""
    path = place(project)
    return Recorded(path, read_baseline(path), measure(project, tier=tier, no_exec=no_exec))


def init(
    project: Project, *, force: bool = False, allow_ci: bool = False, tier: str = "fast", no_exec: bool = False
) -> Recorded:
    """Write the first baseline. Raises `InputError` where one is there already, unless `force`, which CI needs `allow_ci` for."""
    path = place(project)
    if path.exists() and force and under_ci() and not allow_ci:
        raise InputError("refusing to write over a baseline under CI; --allow-ci does it all the same")
    if path.exists() and not force:
        raise InputError(
            f"{path} is there already; change it with: limitbench baseline update, or start anew with --force"
        )
    found = Recorded(path, None, measure(project, tier=tier, no_exec=no_exec))
    write_baseline(found.new, path)
    return found


def update(
    project: Project, *, allow_ci: bool = False, allow_drop: bool = False, tier: str = "fast", no_exec: bool = False
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
    found = Recorded(path, old, measure(project, tier=tier, no_exec=no_exec))
    if found.lowered and not allow_drop:
        raise InputError(f"the baseline would fall ({'; '.join(found.lowered)}); if that is meant, give --allow-drop")
    write_baseline(found.new, path)
    return found


def place(project: Project) -> Path:
    """Where the baseline lies. Raises `InputError` where the configuration names none."""
    plan = project.config.baseline
    if plan is None:
        raise InputError(f'{project.path} has no baseline; add:  [baseline]  path = ".limitbench/baseline.json"')
    return project.resolve(plan.path, "baseline", "path")


def measure(project: Project, *, tier: str, no_exec: bool) -> Baseline:
    """The present figures of every gate with a max_drop. Raises `LimitbenchError` where one cannot be measured."""
    entries, fingerprints = {}, {}
    for case in measured_cases(project, Settings(tier, no_exec)):
        if case.gate.max_drop is None:
            continue
        found = case.measured()
        if not isinstance(found, Measured):
            raise LimitbenchError(
                f"gate {case.number + 1} ({case.key}) cannot be measured: {found.reason}; {found.remedy}"
            )
        values = found.values(case.gate)
        entries[case.key] = Entry(
            values={q: round(float(v), 9) for q, v in zip(case.workload.query_ids, values, strict=True)}
        )
        fingerprints[case.gate.workload] = case.workload.fingerprint
    if not entries:
        raise InputError(f"no gate of {project.path} has a max_drop, so there is nothing to record; add one")
    return Baseline(recorded=now(), versions=environment(project.config), fingerprints=fingerprints, gates=entries)
