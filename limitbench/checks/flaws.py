"""What is wrong with a workload's files, as an outcome. Read leniently: what `run` refuses is a finding here."""

from __future__ import annotations

from dataclasses import dataclass

from limitbench.checks.baseline import Baseline
from limitbench.checks.findings import Fails, Outcome, Passes
from limitbench.checks.workloads import Loaded


@dataclass(frozen=True)
class Judged:
    """A workload, and the baseline that its queries are compared with."""

    workload: Loaded
    baseline: Baseline | None


def flawed(workload: Loaded, remedy: str, *checks: str) -> Outcome:
    """A violation where some of these flaws were found, with counts and examples."""
    found = [workload.flaws[check] for check in checks if check in workload.flaws]
    if not found:
        return Passes()
    says = "; ".join(f"{flaw.count} x {flaw.check}: {', '.join(flaw.examples[:3])}" for flaw in found)
    return Fails(
        says,
        remedy,
        expected="none",
        observed=str(sum(f.count for f in found)),
        numbers={f.check: f.count for f in found},
    )
