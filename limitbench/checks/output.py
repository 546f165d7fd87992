"""Reports in the formats that teams read: text, Markdown, JSON (canonical), JUnit, SARIF 2.1.0, GitHub's and GitLab's.

JSON is the report; the others are projections. Nothing here decides anything.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from limitbench.checks.findings import (
    BROKEN,
    PASSED,
    UNDECIDED,
    VIOLATED,
    Cause,
    Finding,
    GateRow,
    LostQuestion,
    Report,
)
from limitbench.checks.gates import asks, lost_line, name_of, sentence
from limitbench.checks.rules import RULES, Rule, page
from limitbench.errors import StorageError
from limitbench.files import atomic_write

_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_CAUSES = 2  # of each kind in a sentence; the JSON has all
_LOST = 10  # lost questions in texts for people; JSON and Markdown have all
_MOST = 25_000  # results that GitHub takes in one SARIF run
_HELP = "https://github.com/limitbench/limitbench/blob/main/docs/rules/"
_SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"


def text(report: Report) -> str:
    """For people: the verdict, why, the gates, the questions that were lost, then the findings and the counts."""
    if report.error is not None:
        return _safe(summary(report)) + "\n"
    lines = [_clean(headline(report))]
    for who, causes in causes_of(report).items():
        lines += [f"{_clean(who)}: {_clean(likely(causes))}"] if causes else []
    for gate in report.gates:
        lines.append(_clean(sentence(gate)))
    lines += _lost(report)
    for finding in report.shown:
        place = f"{_clean(finding.path)}:{finding.line}"
        lines.append(f"{place}: {finding.rule} {finding.severity} [{finding.evidence}] {_clean(finding.message)}")
        lines.append(f"    {_clean(finding.subject)}; {_clean(finding.remedy)}")
        lines += [f"    assumes: {_clean(said)}" for said in finding.assumptions]
    if not report.shown:
        lines += [f"assumes: {_clean(said)}" for said in report.assumptions]
    lines += [f"note: {_clean(said)}" for said in report.notes]
    return "\n".join(map(_safe, [*lines, summary(report)])) + "\n"


def _safe(line: str) -> str:
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
    counted = [cause.message for cause in causes if cause.counted][:_CAUSES]
    inferred = [cause.message for cause in causes if not cause.counted][:_CAUSES]
    parts = [f"likely cause: {'; '.join(counted)}"] if counted else []
    return ". ".join(parts + ([f"a pattern: {'; '.join(inferred)}"] if inferred else []))


def told(finding: Finding) -> str:
    """A finding's message with its causes, for formats that show it alone."""
    why = likely(finding.causes)
    return f"{finding.message}. {why[0].upper()}{why[1:]}" if why else finding.message


def _lost(report: Report) -> list[str]:
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
                _clean(
                    f"lost by section, gate {gate.number}: "
                    + ", ".join(f"{name or 'none'} {len(row)}" for name, row in counts)
                )
            )
        turn = [lost for row in itertools.zip_longest(*(row for _, row in counts)) for lost in row if lost is not None]
        lines += [f"    {_clean(lost_line(lost))}" for lost in turn[:_LOST]]
        if len(turn) > _LOST:
            lines.append(f"    and {len(turn) - _LOST} more lost questions: -o json has all of them")
    return lines


def summary(report: Report) -> str:
    """The counts and the verdict, in one line."""
    if report.error is not None:
        return f"broken: {_clean(report.error)}"
    counts = report.counts
    levels = [finding.severity for finding in report.shown]
    found = f"{levels.count('error')} errors, {levels.count('warning')} warnings"
    hidden = f", {counts.suppressed} suppressed" if counts.suppressed else ""
    return (
        f"{report.verdict}: {counts.ran} checks ran ({counts.passed} passed), {counts.skipped} skipped, {counts.undecided} "
        "undecided; "
        f"{found}{hidden} (tier {report.tier})"
    )


def as_json(report: Report) -> str:
    """The report itself."""
    return json.dumps(report.model_dump(mode="json"), indent=2, ensure_ascii=False) + "\n"


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


def junit(reports: Sequence[Report]) -> str:
    """JUnit XML: a suite a configuration, a test case a finding, and one for what passed.

    Warnings that do not fail the check pass, with their text; a configuration that cannot be used is an error.
    """
    suites = [_suite(report) for report in reports]
    totals = {key: str(sum(int(suite.get(key, "0")) for suite in suites)) for key in ("tests", "failures", "errors")}
    root = ElementTree.Element("testsuites", {"name": "limitbench", **totals})
    root.extend(suites)
    ElementTree.indent(root)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + ElementTree.tostring(root, encoding="unicode") + "\n"


def _suite(report: Report) -> ElementTree.Element:
    shown = report.shown
    cases: list[tuple[str, str, Finding | None]] = [(f.rule, f"{f.subject}: {f.about or f.name}", f) for f in shown]
    last = f"{report.counts.passed} checks passed" if report.error is None else "the configuration can be used"
    cases.append(("limitbench", last, None))
    broken = [f for f in shown if f.fails and f.rule != "LB902"]
    lost = [f for f in shown if f.fails and f.rule == "LB902"]
    totals = {
        "tests": str(len(cases)),
        "failures": str(len(broken)),
        "errors": str(len(lost) + (report.error is not None)),
    }
    suite = ElementTree.Element(
        "testsuite", {"name": "limitbench check", **totals, "skipped": "0", "time": f"{report.seconds:.3f}"}
    )
    for rule, name, finding in cases:
        case = ElementTree.SubElement(
            suite, "testcase", {"classname": _xml(f"limitbench.{rule}"), "name": _xml(name), "time": "0"}
        )
        if finding is None:
            if report.error is not None:
                why = {"message": _xml(report.error), "type": "configuration"}
                ElementTree.SubElement(case, "error", why).text = _xml(report.error)
            continue
        body = f"{finding.path}:{finding.line}: {told(finding)}\n{finding.remedy}\nevidence: {finding.evidence}"
        kind = "error" if finding in lost else "failure" if finding in broken else "system-out"
        attributes = {} if kind == "system-out" else {"message": _xml(finding.message), "type": finding.rule}
        ElementTree.SubElement(case, kind, attributes).text = _xml(body)
    if report.notes or report.gates:
        said = [*report.notes]
        said += [*map(sentence, report.gates), *_lost(report)]
        ElementTree.SubElement(suite, "system-out").text = _xml("\n".join(said))
    return suite


def sarif(reports: Sequence[Report]) -> str:
    """SARIF 2.1.0: one run a configuration, stable rule ids and fingerprints, suppressions kept."""
    runs = [_run(report) for report in reports]
    return json.dumps({"$schema": _SCHEMA, "version": "2.1.0", "runs": runs}, indent=2, ensure_ascii=False) + "\n"


def _run(report: Report) -> dict[str, Any]:
    used = sorted({f.rule for f in report.findings})
    results = [_result(f, used.index(f.rule)) for f in report.findings[:_MOST]]
    driver = {
        "name": "limitbench", "semanticVersion": report.limitbench, "informationUri": _HELP.partition("/blob/")[0],
        "rules": [_rule(name, RULES[name]) for name in used],
    }  # fmt: skip
    invocation: dict[str, Any] = {"executionSuccessful": report.exit_code in (0, 1), "exitCode": report.exit_code}
    notes = [{"level": "note", "message": {"text": said}} for said in (*report.notes, *map(sentence, report.gates))]
    if notes:
        invocation["toolExecutionNotifications"] = notes
    if report.error is not None:
        invocation["toolConfigurationNotifications"] = [{"level": "error", "message": {"text": report.error}}]
    return {
        "tool": {"driver": driver}, "invocations": [invocation], "results": results, "columnKind": "unicodeCodePoints",
        "properties": {"counts": report.counts.model_dump(), "verdict": report.verdict, "tier": report.tier},
    }  # fmt: skip


def _rule(name: str, rule: Rule) -> dict[str, Any]:
    return {
        "id": name, "name": "".join(part.capitalize() for part in rule.name.split("-")), "shortDescription": {"text": rule.title},
        "fullDescription": {"text": rule.title}, "help": {"text": page(name), "markdown": page(name)},
        "helpUri": f"{_HELP}{name}.md",
        "defaultConfiguration": {"level": rule.severity}, "properties": {"evidence": rule.evidence, "scope": rule.scope},
    }  # fmt: skip


def _result(finding: Finding, index: int) -> dict[str, Any]:
    place = {
        "artifactLocation": {"uri": _uri(finding.path), "uriBaseId": "%SRCROOT%"},
        "region": {"startLine": finding.line},
    }
    out: dict[str, Any] = {
        "ruleId": finding.rule, "ruleIndex": index, "level": finding.severity,
        "message": {"text": f"{told(finding)}. {finding.remedy}."}, "locations": [{"physicalLocation": place}],
        "partialFingerprints": {"limitbench/v1": finding.fingerprint},
        "properties": {
            "evidence": finding.evidence, "subject": finding.subject, "expected": finding.expected, "observed": finding.observed,
        },
    }  # fmt: skip
    if finding.suppressed:
        out["suppressions"] = [{"kind": "external", "justification": finding.reason or ""}]
    return out


def github(report: Report) -> str:
    """GitHub workflow commands, one a finding."""
    lines = (
        []
        if report.error is None
        else [f"::error file={_property(report.config)},title=limitbench::{_data(report.error)}"]
    )
    for f in report.shown:
        properties = f"file={_property(f.path)},line={f.line},title={_property(f'{f.rule} {f.name}')}"
        lines.append(f"::{f.severity} {properties}::{_data(f'{told(f)} [{f.evidence}] {f.remedy}')}")
    notes = (*report.notes, *map(sentence, report.gates))
    lines += [f"::notice title=limitbench::{_data(said)}" for said in notes]
    return "".join(f"{line}\n" for line in lines)


def _data(value: str) -> str:
    return value.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(value: str) -> str:
    return _data(value).replace(":", "%3A").replace(",", "%2C")


def _clean(value: str) -> str:
    """One line without control characters."""
    return " ".join("".join(c if c.isprintable() or c.isspace() else ascii(c)[1:-1] for c in value).split())


def _cell(value: str) -> str:
    escaped = re.sub(r"([\\|*_`\[\]~])", r"\\\1", _clean(value)).replace("&", "&amp;").replace("<", "&lt;")
    return escaped.replace("@", "@\u200b").replace(
        "://", ":\u200b//"
    )  # data must not link, show pictures or call people


def _xml(value: str) -> str:
    return _NOT_XML.sub("\N{REPLACEMENT CHARACTER}", value)


def _uri(path: str) -> str:
    from urllib.parse import quote

    return quote(path)


def gitlab(reports: Sequence[Report]) -> str:
    """GitLab's code quality report: an issue a finding; a merge request shows which are new."""
    level = {"error": "critical", "warning": "minor"}
    issues = [
        {
            "description": f"{told(f)}. {f.remedy}.", "check_name": f"{f.rule} {f.name}", "fingerprint": f.fingerprint,
            "severity": level[f.severity], "location": {"path": f.path, "lines": {"begin": f.line}},
        }
        for report in reports for f in report.shown
    ]  # fmt: skip
    issues += [
        {
            "description": report.error, "check_name": "configuration", "severity": "blocker",
            "fingerprint": hashlib.sha256(f"{report.config} {report.error}".encode()).hexdigest()[:32],
            "location": {"path": report.config, "lines": {"begin": 1}},
        }
        for report in reports if report.error is not None
    ]  # fmt: skip
    return json.dumps(issues, indent=2, ensure_ascii=False) + "\n"


def _joined(one: Callable[[Report], str], heading: str = "") -> Callable[[Sequence[Report]], str]:
    """A format of several reports: one after another, each under its configuration's name."""

    def write_all(reports: Sequence[Report]) -> str:
        if len(reports) == 1:
            return one(reports[0])
        return "\n".join((f"{heading}{_clean(report.config)}\n" if heading else "") + one(report) for report in reports)

    return write_all


def _json(reports: Sequence[Report]) -> str:
    """One report as it is; several as a list under "reports", with the exit code of all."""
    if len(reports) == 1:
        return as_json(reports[0])
    rows = [report.model_dump(mode="json") for report in reports]
    return (
        json.dumps({"schema_version": 1, "exit_code": worst(reports), "reports": rows}, indent=2, ensure_ascii=False)
        + "\n"
    )


def worst(reports: Sequence[Report]) -> int:
    """The exit code of several: 2 before 1 before 3 before 0."""
    return next(
        code
        for code in (BROKEN, VIOLATED, UNDECIDED, PASSED)
        if code in {report.exit_code for report in reports} or code == 0
    )


FORMATS: dict[str, Callable[[Sequence[Report]], str]] = {
    "text": _joined(text, "== "), "json": _json, "junit": junit, "sarif": sarif, "github": _joined(github),
    "markdown": _joined(markdown, "## "), "gitlab": gitlab,
}  # fmt: skip


def write(reports: Sequence[Report], name: str, path: Path) -> None:
    """Write the reports in a format, whole or not at all. Raises `StorageError`."""
    with atomic_write(path) as out:
        out.write(FORMATS[name](reports).encode("utf-8", "replace"))


def append_step_summary(reports: Sequence[Report]) -> None:
    """Append the Markdown to GitHub's step summary, where there is one. Raises `StorageError`."""
    place = os.environ.get("GITHUB_STEP_SUMMARY")
    if not place:
        return
    try:
        with Path(place).open("a", encoding="utf-8", errors="replace") as out:
            out.write(FORMATS["markdown"](reports) + "\n")
    except OSError as error:
        raise StorageError(f"GITHUB_STEP_SUMMARY {place} cannot be written ({error.strerror}); check it") from None
