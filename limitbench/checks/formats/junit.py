"""A report as JUnit's XML."""

from __future__ import annotations

import re
from collections.abc import Sequence
from xml.etree import ElementTree

from limitbench.checks.findings import (
    Finding,
    Report,
)
from limitbench.checks.formats.common import (
    lost_lines,
    told,
)
from limitbench.checks.gates import sentence

_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


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
        said += [*map(sentence, report.gates), *lost_lines(report)]
        ElementTree.SubElement(suite, "system-out").text = _xml("\n".join(said))
    return suite


def _xml(value: str) -> str:
    return _NOT_XML.sub("\N{REPLACEMENT CHARACTER}", value)
