"""A report as SARIF 2.1.0."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from limitbench.checks.findings import (
    Finding,
    Report,
)
from limitbench.checks.formats.common import (
    HELP,
    MOST,
    told,
    uri,
)
from limitbench.checks.gates import sentence
from limitbench.checks.rules import RULES, Rule, page

_SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"


def sarif(reports: Sequence[Report]) -> str:
    """SARIF 2.1.0: one run a configuration, stable rule ids and fingerprints, suppressions kept."""
    runs = [_run(report) for report in reports]
    return json.dumps({"$schema": _SCHEMA, "version": "2.1.0", "runs": runs}, indent=2, ensure_ascii=False) + "\n"


def _run(report: Report) -> dict[str, Any]:
    used = sorted({f.rule for f in report.findings})
    results = [_result(f, used.index(f.rule)) for f in report.findings[:MOST]]
    driver = {
        "name": "limitbench", "semanticVersion": report.limitbench, "informationUri": HELP.partition("/blob/")[0],
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
        "helpUri": f"{HELP}{name}.md",
        "defaultConfiguration": {"level": rule.severity}, "properties": {"evidence": rule.evidence, "scope": rule.shown_scope},
    }  # fmt: skip


def _result(finding: Finding, index: int) -> dict[str, Any]:
    place = {
        "artifactLocation": {"uri": uri(finding.path), "uriBaseId": "%SRCROOT%"},
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
