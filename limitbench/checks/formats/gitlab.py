"""A report as GitLab's code quality."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence

from limitbench.checks.findings import (
    Report,
)
from limitbench.checks.formats.common import (
    told,
)


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
