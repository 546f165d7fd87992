"""Design checks: whether a planned or running retriever can carry a workload, decided in CI with reason, evidence and remedy."""

from __future__ import annotations

from limitbench.checks.engine import check
from limitbench.checks.findings import Finding, Report
from limitbench.checks.rules import RULES, Rule

__all__ = ["RULES", "Finding", "Report", "Rule", "check"]
