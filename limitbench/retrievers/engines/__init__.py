"""Databases and search engines as retrievers: one file an engine, all behind one contract (`engines.contract`).

The adapter that uses them is `retrievers.engine`. An engine's client is imported when the engine is asked for, and not before.
"""

from __future__ import annotations

from typing import Any

from limitbench import registry

ENGINES: dict[str, tuple[str, str | None]] = {
    # kind          class                                                  pip extra
    "tantivy": ("limitbench.retrievers.engines.tantivy:Tantivy", "tantivy"),
    "qdrant-edge": ("limitbench.retrievers.engines.qdrant_edge:QdrantEdge", "qdrant-edge"),
}


def engine_class(kind: str) -> Any:
    """The class of an engine. Raises `UnknownName`, or `MissingExtra` where its client is not installed."""
    return registry.resolve("engine", ENGINES, kind)
