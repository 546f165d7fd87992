"""What people look at: comparisons and tables."""

from __future__ import annotations

from limitbench.report.comparison import Comparison, Row, compare, published
from limitbench.report.reference import paper, published_records, transcribe
from limitbench.report.tables import duration, markdown, percent, size

__all__ = [
    "Comparison", "Row", "compare", "duration", "markdown", "paper", "percent", "published", "published_records", "size",
    "transcribe",
]  # fmt: skip
