"""The gate table: what every gate measured, before and now, what its queries can show, and which questions were lost."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from limitbench import statistics
from limitbench.checks.baseline import KEPT
from limitbench.checks.causes import explained
from limitbench.checks.comparison import Pair, agreement, before_and_now
from limitbench.checks.drops import shows
from limitbench.checks.evidence import Evidence, section
from limitbench.checks.findings import GateRow, GateState, LostQuestion, Skipped, Undecided
from limitbench.checks.measurement import Case, Measured
from limitbench.checks.schema import Gate

_ABOVE = 3  # documents shown that stand above the wanted one


def unread(number: int, gate: Gate, problem: Undecided) -> GateRow:
    """The row of a gate whose workload cannot be read."""
    return _asked(number, gate, 0, "undecided", problem.reason)


def _asked(number: int, gate: Gate, queries: int, state: GateState, why: str) -> GateRow:
    return GateRow(
        number=number + 1, workload=gate.workload, retriever=gate.retriever, metric=gate.metric, state=state, why=why,
        queries=queries, min=gate.min, max_drop=gate.max_drop, max_lost=gate.max_lost, not_worse=gate.not_worse,
        max_decline=gate.max_decline, must_find=None if gate.must_find is None else len(gate.must_find), confidence=gate.confidence,
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
    pair = before_and_now(case)
    both = pair if isinstance(pair, Pair) else None
    if gate.agreement and both is None:  # there is nothing to agree with
        return base.model_copy(update={"no_before": pair.reason if isinstance(pair, Undecided | Skipped) else None})
    values = both.now if gate.agreement and both is not None else case.values(found)
    seen = statistics.bootstrap_interval(values)
    now: dict[str, Any] = {"now": seen.mean, "now_low": seen.low, "now_high": seen.high}
    if state == "violated":
        now["causes"] = list(explained(case, both))
    if gate.max_drop is not None and math.isfinite(least := shows(case, both)[0]):
        now["detectable"] = least
    if both is None:
        missing = pair.reason if isinstance(pair, Undecided | Skipped) else None
        return base.model_copy(update={**now, "no_before": missing})
    change = statistics.bootstrap_interval(both.now - both.before)
    return base.model_copy(
        update={
            **now,
            "before": float(both.before.mean()),
            "now_compared": float(both.now.mean()),
            "difference": change.mean,
            "difference_low": change.low,
            "difference_high": change.high,
            "p": statistics.paired_randomisation(both.before, both.now),
            "lost": len(both.lost),
            "gained": both.gained,
            "compared": len(both.rows),
            "agreement": agreement(both, found),
            "remark": both.remark,
            "lost_questions": [] if gate.agreement else lost_questions(case, found, both),
        }
    )


def lost_questions(case: Case, found: Measured, pair: Pair) -> list[LostQuestion]:
    """Every question whose figure fell, by section, the largest fall first."""
    evidence = Evidence(case, found, pair)
    out = []
    for position in pair.lost:
        number, kept = pair.rows[position], pair.lines[position].top.get(pair.retriever, [])
        query = case.workload.query_ids[number]
        order = [name for name, _ in found.run.row(number)]
        then = {name: rank for rank, name in enumerate(kept, 1)}
        now = {name: rank for rank, name in enumerate(order, 1)}
        missing = evidence.wanted(number)
        wanted = min(missing, key=lambda name: (then.get(name, math.inf), now.get(name, math.inf)))
        above = order[: now.get(wanted, len(order) + 1) - 1]
        out.append(
            LostQuestion(
                query=query, text=case.workload.questions.get(query, ""), section=section(wanted), wanted=wanted,
                before=float(pair.before[position]), now=float(pair.now[position]), before_rank=then.get(wanted),
                now_rank=now.get(wanted), above=[name for name in above if name not in evidence.relevant[number]][:_ABOVE],
            )
        )  # fmt: skip
    return sorted(out, key=lambda one: one.section)


def name_of(gate: GateRow) -> str:
    """A gate as people call it."""
    return f"{gate.metric} of {gate.retriever} on {gate.workload}"


def asks(gate: GateRow) -> list[str]:
    """What a gate asks for, a phrase each."""
    out = [f"floor {gate.min:g}"] if gate.min is not None else []
    out += [f"drop allowed {gate.max_drop:g}"] if gate.max_drop is not None else []
    out += [f"lost allowed {gate.max_lost}"] if gate.max_lost is not None else []
    out += [f"must find {gate.must_find}"] if gate.must_find is not None else []
    out += [f"shown not worse by {gate.not_worse:g}"] if gate.not_worse is not None else []
    return out + ([f"decline allowed {gate.max_decline:g}"] if gate.max_decline is not None else [])


def sentence(gate: GateRow) -> str:
    """One line for people: the figure with its interval, the change, what was asked and how it ended."""
    name = f"gate {gate.number}: {name_of(gate)}"
    if gate.now is None or gate.now_low is None or gate.now_high is None:
        return f"{name}: {gate.state}, {gate.why}"
    parts = [f"{name}: {gate.now:.3f} [{gate.now_low:.3f}, {gate.now_high:.3f}] on {gate.queries} queries"]
    if gate.before is not None and gate.difference is not None:
        parts.append(
            f"before {gate.before:.3f}, {gate.difference:+.3f} [{gate.difference_low:+.3f}, {gate.difference_high:+.3f}], "
            f"p = {gate.p:.2g}; fell for {gate.lost} of {gate.compared} queries, rose for {gate.gained}"
        )
        parts += [f"agreement {gate.agreement:.3f}"] if gate.agreement is not None else []
        parts += [gate.remark] if gate.remark else []
    elif gate.no_before:
        parts.append(f"before: {gate.no_before}")
    if asked := asks(gate):
        parts.append(", ".join(asked))
    if gate.detectable is not None:
        parts.append(f"detects a drop of {gate.detectable:.3f} beyond what is allowed")
    return "; ".join(parts) + f": {gate.state}" + (f" ({gate.why})" if gate.why and gate.state == "undecided" else "")


def lost_line(lost: LostQuestion) -> str:
    """One lost question in one line."""
    asked = f" {lost.text!r}" if lost.text else ""
    before = f"beyond {KEPT}" if lost.before_rank is None else str(lost.before_rank)
    ranks = f"rank {before} -> {'not returned' if lost.now_rank is None else lost.now_rank}"
    above = f"; above it now: {', '.join(lost.above)}" if lost.above else ""
    return f"lost '{lost.query}'{asked}: wants {lost.wanted}, {ranks}{above}"
