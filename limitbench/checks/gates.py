"""The gate table: what every gate measured, before and now, and what its queries can show, whether it passed or not."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from limitbench import statistics
from limitbench.checks.findings import GateRow, GateState
from limitbench.checks.measured import before_and_now, detectable, planned_deviation
from limitbench.checks.measurement import Case, Measured

_CHANGED = 1e-9  # of a query's figure: rounding is no change


def row(case: Case, states: Mapping[int, tuple[GateState, str]]) -> GateRow:
    """What is known of one gate. Nothing is measured for it: a gate whose rules asked for nothing has no figures.

    `states` holds how each gate ended, by number, and why where it did not pass.
    """
    gate, workload = case.gate, case.workload
    state, why = states.get(case.number, ("not measured", "no rule asked for it"))
    found = case.runs.get((gate.workload, gate.retriever, ""))
    base = GateRow(
        number=case.number + 1, workload=gate.workload, retriever=gate.retriever, metric=gate.metric, state=state, why=why,
        queries=len(workload.query_ids), min=gate.min, max_drop=gate.max_drop, confidence=gate.confidence,
    )  # fmt: skip
    if not isinstance(found, Measured):
        return base
    values = found.values(gate)
    seen = statistics.bootstrap_interval(values)
    now = {"now": seen.mean, "now_low": seen.low, "now_high": seen.high}
    pair = before_and_now(case)
    if not isinstance(pair, tuple):
        least = detectable(len(values), planned_deviation(np.zeros(0), case.allowed), gate.confidence)
        missing = "" if pair is None else pair.reason if hasattr(pair, "reason") else ""
        return base.model_copy(update={**now, "detectable": _finite(least), "no_before": missing or None})
    before, after = pair
    change = statistics.bootstrap_interval(after - before)
    least = detectable(len(values), planned_deviation(before - after, case.allowed), gate.confidence)
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
            "detectable": _finite(least),
        }
    )


def _finite(value: float) -> float | None:
    return value if np.isfinite(value) else None


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
    if gate.detectable is not None and gate.max_drop is not None:
        parts.append(f"these queries show a drop of {gate.detectable:.3f} beyond that")
    return "; ".join(parts) + f": {gate.state}" + (f" ({gate.why})" if gate.why and gate.state != "passed" else "")
