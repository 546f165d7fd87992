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
    "pgvector": ("limitbench.retrievers.engines.pgvector:PgVector", "postgres"),
    "postgres-text": ("limitbench.retrievers.engines.postgres_text:PostgresText", "postgres"),
    "sqlite-vec": ("limitbench.retrievers.engines.sqlite_vec:SqliteVec", "sqlite-vec"),
    "lancedb": ("limitbench.retrievers.engines.lancedb:LanceDB", "lancedb"),
    "chroma": ("limitbench.retrievers.engines.chroma:Chroma", "chroma"),
    "qdrant": ("limitbench.retrievers.engines.qdrant:Qdrant", "endpoint"),
    "elasticsearch": ("limitbench.retrievers.engines.elasticsearch:Elasticsearch", "endpoint"),
    "elasticsearch-text": ("limitbench.retrievers.engines.elasticsearch:ElasticsearchText", "endpoint"),
    "opensearch": ("limitbench.retrievers.engines.opensearch:OpenSearch", "endpoint"),
    "opensearch-text": ("limitbench.retrievers.engines.opensearch:OpenSearchText", "endpoint"),
    "weaviate": ("limitbench.retrievers.engines.weaviate:Weaviate", "endpoint"),
    "milvus": ("limitbench.retrievers.engines.milvus:Milvus", "milvus"),
}

# what is read of a collection that a user already has
COLLECTIONS: dict[str, tuple[str, str | None]] = {
    "pgvector": ("limitbench.retrievers.engines.pgvector_table:PgVectorTable", "postgres"),
    "qdrant": ("limitbench.retrievers.engines.qdrant_collection:QdrantCollection", "endpoint"),
}


def engine_class(kind: str) -> Any:
    """The class of an engine. Raises `UnknownName`, or `MissingExtra` where its client is not installed."""
    return registry.resolve("engine", ENGINES, kind)


def collection_class(kind: str) -> Any:
    """The class of an engine's existing collections. Raises `UnknownName`, or `MissingExtra` where its client is not installed."""
    return registry.resolve("engine with collections to attach to", COLLECTIONS, kind)
