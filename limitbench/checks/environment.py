"""The versions that can move a check's figures."""

from __future__ import annotations

from dataclasses import dataclass

from limitbench.checks.baseline import Baseline
from limitbench.checks.schema import Config
from limitbench.provenance import versions


@dataclass(frozen=True)
class OnProject:
    """The whole configuration, and its baseline."""

    config: Config
    baseline: Baseline | None


def environment(config: Config) -> dict[str, str]:
    """The versions that can move the figures: limitbench's, Python's minor, and models' libraries where one is measured."""
    found = versions()
    found["python"] = ".".join(found["python"].split(".")[:2])
    ways = {r.measure.way for r in config.retriever.values() if r.measure is not None}
    names = [
        "limitbench",
        "python",
        *(["torch", "sentence-transformers", "transformers", "bm25s", "faiss-cpu"] if "model" in ways else []),
    ]
    return {name: found[name] for name in names if name in found}
