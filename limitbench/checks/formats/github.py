"""A report as annotations of GitHub's workflow log."""

from __future__ import annotations

from limitbench.checks.findings import (
    Report,
)
from limitbench.checks.formats.common import (
    told,
)
from limitbench.checks.gates import sentence


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
