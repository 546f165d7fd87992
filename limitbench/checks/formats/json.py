"""A report as JSON, and several reports as one."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence

from limitbench.checks.findings import (
    Report,
)
from limitbench.checks.formats.common import (
    clean,
    worst,
)


def as_json(report: Report) -> str:
    """The report as it is, as one JSON object."""
    return json.dumps(report.model_dump(mode="json"), indent=2, ensure_ascii=False) + "\n"


def joined_with(one: Callable[[Report], str], heading: str = "") -> Callable[[Sequence[Report]], str]:
    """A format of several reports: one after another, each under its configuration's name."""

    def write_all(reports: Sequence[Report]) -> str:
        if len(reports) == 1:
            return one(reports[0])
        return "\n".join((f"{heading}{clean(report.config)}\n" if heading else "") + one(report) for report in reports)

    return write_all


def all_json(reports: Sequence[Report]) -> str:
    """One report as it is; several as a list under "reports", with the exit code of all."""
    if len(reports) == 1:
        return as_json(reports[0])
    rows = [report.model_dump(mode="json") for report in reports]
    return (
        json.dumps({"schema_version": 1, "exit_code": worst(reports), "reports": rows}, indent=2, ensure_ascii=False)
        + "\n"
    )
