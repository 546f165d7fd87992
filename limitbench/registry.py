"""What exists by name: tables that one can read, with the heavy imports behind them.

A new retriever is one file and one line here; third parties use the entry-point groups `limitbench.retrievers` and
`limitbench.patterns`.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from importlib.metadata import entry_points
from typing import Any

from limitbench.errors import MissingExtra, UnknownName

ADAPTERS: dict[str, tuple[str, str | None]] = {
    # name          class                                              pip extra
    "bm25": ("limitbench.retrievers.bm25:BM25", None),
    "rank-bm25": ("limitbench.retrievers.rank_bm25:RankBM25", "rank-bm25"),
    "tfidf-items": ("limitbench.retrievers.tfidf_items:TfidfItems", None),
    "exact": ("limitbench.retrievers.exact:Exact", None),
    "random": ("limitbench.retrievers.random:Random", None),
    "random-tokens": ("limitbench.retrievers.random_tokens:RandomTokens", None),
    "feedback": ("limitbench.retrievers.feedback:Feedback", None),
    "gaussian": ("limitbench.retrievers.gaussian:Gaussian", None),
    "dense": ("limitbench.retrievers.dense:Dense", "models"),
    "maxsim": ("limitbench.retrievers.maxsim:MaxSim", "models"),
    "splade": ("limitbench.retrievers.splade:Splade", "models"),
    "endpoint": ("limitbench.retrievers.endpoint:Endpoint", "endpoint"),
    "shards": ("limitbench.retrievers.shards:Shards", None),
    "vectors": ("limitbench.retrievers.precomputed:Precomputed", None),
    "free": ("limitbench.retrievers.free:Free", "models"),
    "constructed": ("limitbench.retrievers.constructed:Constructed", "models"),
    "hybrid": ("limitbench.retrievers.hybrid:Hybrid", None),
    "rerank": ("limitbench.retrievers.rerank:Rerank", "models"),
    "rerank-endpoint": ("limitbench.retrievers.rerank_endpoint:RerankEndpoint", "endpoint"),
    "rerank-llm": ("limitbench.retrievers.rerank_llm:RerankLLM", "endpoint"),
    "long-context": ("limitbench.retrievers.long_context:LongContext", "endpoint"),
    "engine": ("limitbench.retrievers.engine:Engine", None),
    "mteb": ("limitbench.retrievers.mteb_model:MtebModel", "mteb"),
}

PATTERNS: dict[str, tuple[str, str | None]] = {
    # name      function -> Qrels
    "all-k": ("limitbench.datasets.patterns:all_k", None),
    "dense": ("limitbench.datasets.patterns:dense", None),
    "random": ("limitbench.datasets.patterns:random", None),
    "cycle": ("limitbench.datasets.patterns:cycle", None),
    "disjoint": ("limitbench.datasets.patterns:disjoint", None),
    "block": ("limitbench.datasets.patterns:block", None),
    "power-law": ("limitbench.datasets.patterns:power_law", None),
    "graph": ("limitbench.datasets.patterns:graph", None),
    "like": ("limitbench.datasets.patterns:like", None),
}

WORLDS: dict[str, tuple[str, str | None]] = {
    # name      how texts are phrased and parsed
    "people": ("limitbench.datasets.worlds:People", None),
    "products": ("limitbench.datasets.worlds:Products", None),
    "reports": ("limitbench.datasets.worlds:Reports", None),
    "german": ("limitbench.datasets.worlds:German", None),
    "french": ("limitbench.datasets.worlds:French", None),
    "spanish": ("limitbench.datasets.worlds:Spanish", None),
}


def adapters() -> dict[str, tuple[str, str | None]]:
    """The adapters of limitbench and of every installed package that offers some; ours win a clash of names."""
    return {**_foreign("limitbench.retrievers"), **ADAPTERS}


def patterns() -> dict[str, tuple[str, str | None]]:
    """The patterns of limitbench and of every installed package that offers some; ours win a clash of names."""
    return {**_foreign("limitbench.patterns"), **PATTERNS}


def _foreign(group: str) -> dict[str, tuple[str, str | None]]:
    return {point.name: (point.value, None) for point in entry_points(group=group)}


def resolve(kind: str, table: Mapping[str, tuple[str, str | None]], name: str) -> Any:
    """What stands behind a name. Raises `UnknownName` or, where a library is not installed, `MissingExtra`."""
    if name not in table:
        raise UnknownName(kind, name, table)
    target, extra = table[name]
    module, _, attribute = target.partition(":")
    try:
        return getattr(importlib.import_module(module), attribute)
    except ModuleNotFoundError as error:
        if extra is None or (error.name or "").startswith("limitbench"):
            raise
        raise MissingExtra(f"{kind} '{name}'", error.name or "?", extra) from None
