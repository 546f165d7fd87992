"""Results: the record of one evaluation, what else a run tells, and the folder that keeps records."""

from __future__ import annotations

from limitbench.results.diagnostics import breakdown, spectrum, subsets
from limitbench.results.record import (
    Breakdown,
    Cost,
    DatasetFacts,
    Means,
    PartOf,
    Result,
    RetrieverFacts,
    Spectrum,
    Subsets,
    configuration_digest,
)
from limitbench.results.store import Store, read, read_lines_of_records

__all__ = [
    "Breakdown", "Cost", "DatasetFacts", "Means", "PartOf", "Result", "RetrieverFacts", "Spectrum", "Store", "Subsets",
    "breakdown", "configuration_digest", "read", "read_lines_of_records", "spectrum", "subsets",
]  # fmt: skip
