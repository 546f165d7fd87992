"""A report for a pull request."""

from __future__ import annotations

import re

from limitbench.checks.findings import (
    GateRow,
    Report,
)
from limitbench.checks.formats.common import (
    causes_of,
    clean,
    likely,
)
from limitbench.checks.formats.text import summary
from limitbench.checks.gates import asks, name_of


def markdown(report: Report) -> str:
    """A table for a pull request or a step summary."""
    icon = (
        "passed"
        if report.verdict == "passed"
        else "**failed**"
        if report.verdict == "violated"
        else f"**{report.verdict}**"
    )
    lines = [f"### limitbench: {icon}", "", summary(report) if report.error is None else _cell(summary(report)), ""]
    for who, causes in causes_of(report).items():
        lines += [f"**{_cell(who)}**: {_cell(likely(causes))}.", ""] if causes else []
    if report.gates:
        lines += ["| gate | now | before | change | fell, rose | asked | detects | |", "| --- " * 8 + "|"]
        lines += ["| " + " | ".join(map(_cell, _gate_cells(gate))) + " |" for gate in report.gates]
        lines.append("")
    for gate in report.gates:
        lines += _lost_table(gate)
    if report.shown:
        lines += ["| rule | where | evidence | what | remedy |", "| --- | --- | --- | --- | --- |"]
        for f in report.shown:
            cells = (f"{f.rule} {f.severity}", f"{f.path}:{f.line}", f.evidence, f.message, f.remedy)
            lines.append("| " + " | ".join(_cell(cell) for cell in cells) + " |")
        lines.append("")
    lines += [f"Assumes: {_cell(said)}." for said in report.assumptions]
    lines += [f"Note: {_cell(said)}." for said in report.notes]
    return "\n".join(lines).rstrip() + "\n"


def _lost_table(gate: GateRow) -> list[str]:
    """The lost questions of a gate, folded."""
    lines: list[str] = []
    if gate.lost_questions:
        lines += [
            "", f"<details><summary>{len(gate.lost_questions)} lost questions of gate {gate.number}</summary>", "",
            "| question | section | wants | rank before, now | above it now |", "| --- " * 5 + "|",
        ]  # fmt: skip
        for lost in gate.lost_questions:
            ranks = f"{lost.before_rank or 'none'}, {lost.now_rank or 'none'}"
            cells = (
                f"{lost.query}: {lost.text}" if lost.text else lost.query,
                lost.section,
                lost.wanted,
                ranks,
                ", ".join(lost.above),
            )
            lines.append("| " + " | ".join(map(_cell, cells)) + " |")
        lines += ["", "</details>"]
    return [*lines, ""] if lines else []


def _gate_cells(gate: GateRow) -> list[str]:
    """A gate as a row: figure, before, change, each with its interval; queries lost and gained, what is asked and can be shown."""
    low, high = gate.difference_low, gate.difference_high
    change = "" if gate.difference is None else f"{gate.difference:+.3f} [{low:+.3f}, {high:+.3f}], p = {gate.p:.2g}"
    name = f"{name_of(gate)} ({gate.queries} queries)"
    return [
        f"{name}; {gate.remark}" if gate.remark else name,
        "" if gate.now is None else f"{gate.now:.3f} [{gate.now_low:.3f}, {gate.now_high:.3f}]",
        f"{gate.before:.3f}" if gate.before is not None else gate.no_before or "",
        change,
        "" if gate.lost is None else f"{gate.lost}, {gate.gained}",
        ", ".join(asks(gate)),
        "" if gate.detectable is None else f"{gate.detectable:.3f} beyond what is allowed",
        gate.state if gate.now is not None or not gate.why else f"{gate.state}: {gate.why}",
    ]


def _cell(value: str) -> str:
    escaped = re.sub(r"([\\|*_`\[\]~])", r"\\\1", clean(value)).replace("&", "&amp;").replace("<", "&lt;")
    return escaped.replace("@", "@\u200b").replace(
        "://", ":\u200b//"
    )  # data must not link, show pictures or call people
