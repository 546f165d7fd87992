"""What people look at: comparisons and tables."""

from __future__ import annotations

from limitbench.report.comparison import Comparison, Row, compare, paper, published
from limitbench.report.tables import duration, markdown, percent, size

__all__ = ["Comparison", "Row", "compare", "duration", "markdown", "paper", "percent", "published", "size"]
