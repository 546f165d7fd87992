"""The gate table: what every gate measured, before and now, and what its queries can show, whether it passed or not."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from limitbench import statistics
from limitbench.checks.config import Gate
from limitbench.checks.findings import GateRow, GateState, Skipped, Undecided
from limitbench.checks.measured import before_and_now, detectable, planned_deviation
from limitbench.checks.measurement import Case, Floats, Measured

_CHANGED = 1e-9  # of a query's figure: rounding is no change


def unread(number: int, gate: Gate, problem: Undecided) -> GateRow:
    """The row of a gate whose workload cannot be read."""
    return _asked(number, gate, 0, "undecided", problem.reason)


def _asked(number: int, gate: Gate, queries: int, state: GateState, why: str) -> GateRow:
    return GateRow(
        number=number + 1, workload=gate.workload, retriever=gate.retriever, metric=gate.metric, state=state, why=why,
        queries=queries, min=gate.min, max_drop=gate.max_drop, confidence=gate.confidence,
    )  # fmt: skip


def row(case: Case, states: Mapping[int, tuple[GateState, str]]) -> GateRow:
    """What is known of one gate. Nothing is measured for it: a gate whose rules asked for nothing has no figures.

    `states` holds how each gate ended, by number, and why where it did not pass.
    """
    gate, workload = case.gate, case.workload
    state, why = states.get(case.number, ("not measured", "no rule asked for it"))
    found = case.runs.get((gate.workload, gate.retriever, ""))
    base = _asked(case.number, gate, len(workload.query_ids), state, why)
    if not isinstance(found, Measured):
        return base
    values = found.values(gate)
    seen = statistics.bootstrap_interval(values)
    now = {"now": seen.mean, "now_low": seen.low, "now_high": seen.high}
    pair = before_and_now(case)
    if not isinstance(pair, tuple):
        missing = pair.reason if isinstance(pair, Undecided | Skipped) else None
        return base.model_copy(update={**now, "detectable": _detectable(case, np.zeros(0)), "no_before": missing})
    before, after = pair
    change = statistics.bootstrap_interval(after - before)
    return base.model_copy(
        update={
            **now,
            "before": float(before.mean()),
            "difference": change.mean,
            "difference_low": change.low,
            "difference_high": change.high,
            "p": statistics.paired_randomisation(before, after),
            "lost": int((after < before - _CHANGED).sum()),
            "gained": int((after > before + _CHANGED).sum()),
            "detectable": _detectable(case, before - after),
        }
    )


def _detectable(case: Case, differences: Floats) -> float | None:
    """The drop beyond the allowed one that the gate's queries show; None where no drop is asked about, or none can be shown."""
    gate = case.gate
    if gate.max_drop is None:
        return None
    deviation = planned_deviation(differences, gate.max_drop)
    least = detectable(len(case.workload.query_ids), deviation, gate.confidence)
    return least if np.isfinite(least) else None


def sentence(gate: GateRow) -> str:
    """One line for people: the figure with its interval, the change, what was asked and how it ended."""
    name = f"gate {gate.number}: {gate.metric} of {gate.retriever} on {gate.workload}"
    if gate.now is None or gate.now_low is None or gate.now_high is None:
        return f"{name}: {gate.state}, {gate.why}"
    parts = [f"{name}: {gate.now:.3f} [{gate.now_low:.3f}, {gate.now_high:.3f}] on {gate.queries} queries"]
    if gate.before is not None and gate.difference is not None:
        parts.append(
            f"before {gate.before:.3f}, {gate.difference:+.3f} [{gate.difference_low:+.3f}, {gate.difference_high:+.3f}], "
            f"p = {gate.p:.2g}; lost {gate.lost} of {gate.queries} queries, gained {gate.gained}"
        )
    elif gate.no_before:
        parts.append(f"before: {gate.no_before}")
    asked = [f"floor {gate.min:g}"] if gate.min is not None else []
    asked += [f"drop allowed {gate.max_drop:g}"] if gate.max_drop is not None else []
    if asked:
        parts.append(", ".join(asked))
    if gate.detectable is not None:
        parts.append(f"these queries show a drop of {gate.detectable:.3f} beyond that")
    return "; ".join(parts) + f": {gate.state}" + (f" ({gate.why})" if gate.why and gate.state != "passed" else "")
