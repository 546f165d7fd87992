"""LB001 to LB005: what is wrong with a workload's files. Read leniently: what `run` refuses is a finding here."""

from __future__ import annotations

from limitbench.checks.baseline import Baseline
from limitbench.checks.comparison import unchanged
from limitbench.checks.findings import Fails, Outcome, Passes, Undecided
from limitbench.checks.workloads import Loaded


def _fails(workload: Loaded, remedy: str, *checks: str) -> Outcome:
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


def dangling(workload: Loaded) -> Outcome | None:
    """LB001. Lines that cannot be read leave it undecided, unless what can be read dangles already."""
    if workload.plan.pattern is not None or workload.plan.unjudged:
        return None
    if not workload.m and not {"unreadable-line", "empty-file"} & set(workload.flaws):
        return Undecided(
            "no judged query has a relevant document, so there is nothing to check", "judge some documents relevant"
        )
    found = _fails(workload, "add what is missing, or drop the judgements", "dangling-document", "dangling-query")
    unread = [workload.flaws[check] for check in ("unreadable-line", "empty-file") if check in workload.flaws]
    if isinstance(found, Passes) and unread:
        says = "; ".join(f"{flaw.count} x {flaw.check}: {', '.join(flaw.examples[:3])}" for flaw in unread)
        return Undecided(f"not all of the data could be read: {says}", "mend or drop the lines: limitbench lint")
    return found


def conflicting(workload: Loaded) -> Outcome | None:
    """LB002."""
    if workload.plan.pattern is not None:
        return None
    names = ("conflicting-judgement", "duplicate-labels", "repeated-document", "repeated-query")
    return _fails(workload, "judge equal texts alike, and keep one of what stands twice", *names)


def nothing_relevant(workload: Loaded) -> Outcome | None:
    """LB003. Such queries are left out of every mean."""
    if workload.plan.pattern is not None:
        return None
    return _fails(workload, "judge a document relevant, or drop the query's judgements", "no-relevant-document")


def unsafe_ids(workload: Loaded) -> Outcome | None:
    """LB004."""
    if workload.plan.pattern is not None:
        return None
    return _fails(workload, "rename them; limitbench escapes them reversibly in what it writes", "unsafe-id")


def data_changed(workload: Loaded, baseline: Baseline | None) -> Outcome | None:
    """LB005: only where less than half of the queries, today's or the baseline's, can be compared."""
    recorded = {} if baseline is None else baseline.workloads.get(workload.name, {})
    if baseline is None or not recorded:
        return None
    kept, left_out, gone = unchanged(workload, baseline)
    if 2 * len(kept) >= max(len(recorded), len(workload.query_ids)):
        return Passes()
    why = [f"{count} {reason}" for reason, count in left_out.items()] + ([f"{gone} no longer judged"] if gone else [])
    return Fails(
        f"only {len(kept)} of the {len(recorded)} queries of the baseline can be compared: {', '.join(why)}",
        "if that is meant, look at the figures and record them: limitbench baseline update",
        expected=f"at least half of {max(len(recorded), len(workload.query_ids))} queries unchanged",
        observed=f"{len(kept)}",
        numbers={"compared": len(kept), "baseline": len(recorded), "queries": len(workload.query_ids), "gone": gone},
    )
