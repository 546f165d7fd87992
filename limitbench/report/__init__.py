"""What people look at: comparisons and tables."""

from __future__ import annotations

from limitbench.report.comparison import Comparison, Row, compare, first_measure, published, rows_of
from limitbench.report.numbers import duration, interval, markdown, percent, size
from limitbench.report.reference import paper, published_records, transcribe

__all__ = [
    "Comparison", "Row", "compare", "duration", "first_measure", "interval", "markdown", "paper", "percent", "published",
    "published_records", "rows_of", "size", "transcribe",
]  # fmt: skip
