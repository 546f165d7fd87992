"""What several formats share: how findings and gates are put into words, and how names stay whole."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from limitbench.checks.findings import (
    BROKEN,
    PASSED,
    UNDECIDED,
    VIOLATED,
    Cause,
    Finding,
    LostQuestion,
    Report,
)
from limitbench.checks.gates import lost_line, name_of

CAUSES = 2  # of each kind in a sentence; the JSON has all
LOST = 10  # lost questions in texts for people; JSON and Markdown have all
MOST = 25_000  # results that GitHub takes in one SARIF run
HELP = "https://github.com/limitbench/limitbench/blob/main/docs/rules/"


def safe(line: str) -> str:
    """A line that no CI system takes for a command of its own: data may begin like one."""
    return f" {line}" if line.startswith(("::", "##[", "##vso[")) else line


def headline(report: Report) -> str:
    """The verdict and what it rests on, in one line."""
    fell = [gate for gate in report.gates if gate.state == "violated"]
    if fell and fell[0].now is not None:
        gate = fell[0]
        change = f"{gate.before:.3f} -> {gate.now_compared:.3f}" if gate.before is not None else f"{gate.now:.3f}"
        lost = f", {gate.lost} of {gate.compared} questions fell" if gate.lost is not None else ""
        more = f"; gates violated: {len(fell)}" if len(fell) > 1 else ""
        return f"{report.verdict}: {name_of(gate)} {change}{lost}{more}"
    first = next((finding for finding in report.shown if finding.fails), None)
    return f"{report.verdict}: {first.about or first.rule} on {first.subject}" if first is not None else report.verdict


def causes_of(report: Report) -> dict[str, list[Cause]]:
    """By retriever and workload: the distinct causes of its gates, the most certain first."""
    out: dict[str, list[Cause]] = {}
    for gate in report.gates:
        known = out.setdefault(f"{gate.retriever} on {gate.workload}", [])
        known += [cause for cause in gate.causes if cause.name not in {other.name for other in known}]
    return out


def likely(causes: Sequence[Cause]) -> str:
    """Causes as one sentence: what is counted is a likely cause, what is inferred a pattern among the failed questions."""
    counted = [cause.message for cause in causes if cause.counted][:CAUSES]
    inferred = [cause.message for cause in causes if not cause.counted][:CAUSES]
    parts = [f"likely cause: {'; '.join(counted)}"] if counted else []
    return ". ".join(parts + ([f"a pattern: {'; '.join(inferred)}"] if inferred else []))


def told(finding: Finding) -> str:
    """A finding's message with its causes, for formats that show it alone."""
    why = likely(finding.causes)
    return f"{finding.message}. {why[0].upper()}{why[1:]}" if why else finding.message


def lost_lines(report: Report) -> list[str]:
    """How many questions each section lost, and the first ten, taken from the sections in turn; of gates alike, once."""
    lines: list[str] = []
    seen: set[str] = set()
    for gate in report.gates:
        fresh = [lost for lost in gate.lost_questions if lost.query not in seen]
        seen |= {lost.query for lost in fresh}
        by_section: dict[str, list[LostQuestion]] = {}
        for lost in fresh:
            by_section.setdefault(lost.section, []).append(lost)
        counts = sorted(by_section.items(), key=lambda pair: -len(pair[1]))
        if len(counts) > 1:
            lines.append(
                clean(
                    f"lost by section, gate {gate.number}: "
                    + ", ".join(f"{name or 'none'} {len(row)}" for name, row in counts)
                )
            )
        turn = [lost for row in itertools.zip_longest(*(row for _, row in counts)) for lost in row if lost is not None]
        lines += [f"    {clean(lost_line(lost))}" for lost in turn[:LOST]]
        if len(turn) > LOST:
            lines.append(f"    and {len(turn) - LOST} more lost questions: -o json has all of them")
    return lines


def clean(value: str) -> str:
    """One line without control characters."""
    return " ".join("".join(c if c.isprintable() or c.isspace() else ascii(c)[1:-1] for c in value).split())


def uri(path: str) -> str:
    """A path as SARIF and GitLab want it: relative, percent-encoded."""
    from urllib.parse import quote

    return quote(path)


def worst(reports: Sequence[Report]) -> int:
    """The exit code of several: 2 before 1 before 3 before 0."""
    return next(
        code
        for code in (BROKEN, VIOLATED, UNDECIDED, PASSED)
        if code in {report.exit_code for report in reports} or code == 0
    )
