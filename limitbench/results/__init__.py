"""Results: the record of one evaluation, and the folder that keeps records."""

from __future__ import annotations

from limitbench.results.record import Cost, DatasetFacts, Means, Result, RetrieverFacts, configuration_digest
from limitbench.results.store import Store, read

__all__ = ["Cost", "DatasetFacts", "Means", "Result", "RetrieverFacts", "Store", "configuration_digest", "read"]
