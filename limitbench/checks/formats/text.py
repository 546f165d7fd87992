"""A report for terminals and logs."""

from __future__ import annotations

from limitbench.checks.findings import (
    Report,
)
from limitbench.checks.formats.common import (
    causes_of,
    clean,
    headline,
    likely,
    lost_lines,
    safe,
)
from limitbench.checks.gates import sentence


def text(report: Report) -> str:
    """For people: the verdict, why, the gates, the questions that were lost, then the findings and the counts."""
    if report.error is not None:
        return safe(summary(report)) + "\n"
    lines = [clean(headline(report))]
    for who, causes in causes_of(report).items():
        lines += [f"{clean(who)}: {clean(likely(causes))}"] if causes else []
    for gate in report.gates:
        lines.append(clean(sentence(gate)))
    lines += lost_lines(report)
    for finding in report.shown:
        place = f"{clean(finding.path)}:{finding.line}"
        lines.append(f"{place}: {finding.rule} {finding.severity} [{finding.evidence}] {clean(finding.message)}")
        lines.append(f"    {clean(finding.subject)}; {clean(finding.remedy)}")
        lines += [f"    assumes: {clean(said)}" for said in finding.assumptions]
    if not report.shown:
        lines += [f"assumes: {clean(said)}" for said in report.assumptions]
    lines += [f"note: {clean(said)}" for said in report.notes]
    return "\n".join(map(safe, [*lines, summary(report)])) + "\n"


def summary(report: Report) -> str:
    """The counts and the verdict, in one line."""
    if report.error is not None:
        return f"broken: {clean(report.error)}"
    counts = report.counts
    levels = [finding.severity for finding in report.shown]
    found = f"{levels.count('error')} errors, {levels.count('warning')} warnings"
    hidden = f", {counts.suppressed} suppressed" if counts.suppressed else ""
    return (
        f"{report.verdict}: {counts.ran} checks ran ({counts.passed} passed), {counts.skipped} skipped, {counts.undecided} "
        "undecided; "
        f"{found}{hidden} (tier {report.tier})"
    )
