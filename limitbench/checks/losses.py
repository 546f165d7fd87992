"""What truncation, a dtype or an approximate index costs: a measurement with it against one without."""

from __future__ import annotations

from collections.abc import Callable

from limitbench.checks.drops import (
    drop_p_value,
)
from limitbench.checks.findings import Fails, Outcome, Passes
from limitbench.checks.measurement import Case, Measured


def loss(reference: str, what: str, remedy: str) -> Callable[[Case], Outcome | None]:
    """The decision about one kind of loss; `what` loses, and `remedy` says what to do."""

    def rule(case: Case) -> Outcome | None:
        plan = case.retriever.measure
        if plan is None or case.gate.agreement:
            return None
        given = getattr(plan.references, reference)
        if given is None:
            before = {"truncation": "quantisation", "quantisation": "ann", "ann": ""}[reference]
            by_model = plan.way in ("model", "endpoint") and case.settings.tier != "fast"
            if not by_model or case.spec(reference) == case.spec(before):
                return None
        else:
            before = ""
        full, now = case.measured(reference), case.measured(before)
        if not isinstance(now, Measured):
            return now
        if not isinstance(full, Measured):
            return full
        a, b = full.values(case.gate), now.values(case.gate)
        p = drop_p_value(a, b, case.allowed)
        if p > 1 - case.gate.confidence:
            return Passes()
        return Fails(
            f"{what} costs {case.gate.metric} {a.mean() - b.mean():.4f}, from {a.mean():.4f} to {b.mean():.4f}; "
            f"{case.allowed:g} is allowed (p = {p:.2g})",
            remedy,
            expected=f"a loss of at most {case.allowed:g}",
            observed=f"{a.mean() - b.mean():.4f}",
            numbers={"without": float(a.mean()), "with": float(b.mean()), "allowed": case.allowed, "p": p},
        )

    return rule
