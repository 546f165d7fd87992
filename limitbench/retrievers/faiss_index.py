"""faiss's approximate indexes: one setting a kind."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from limitbench.errors import MissingExtra, SpecError
from limitbench.retrievers.best_columns import Floats


def faiss_index(kind: str, documents: Floats, similarity: str) -> Any:
    """faiss's index by inner product or distance; one setting a kind, by the number of documents n and dimensions d."""
    faiss = loaded_faiss()
    n, d = documents.shape
    if similarity == "manhattan" and kind not in ("flat", "hnsw"):
        raise SpecError(f"index={kind} cannot search by Manhattan distance; use index=exact, flat or hnsw")
    metrics = {"euclidean": faiss.METRIC_L2, "manhattan": faiss.METRIC_L1}
    metric = metrics.get(similarity, faiss.METRIC_INNER_PRODUCT)
    makers: dict[str, Callable[[], Any]] = {
        "flat": lambda: faiss.IndexFlat(d, metric),
        "hnsw": lambda: faiss.IndexHNSWFlat(d, 32, metric),
        "ivf": lambda: faiss.IndexIVFFlat(
            faiss.IndexFlat(d, metric), d, max(1, min(n // 39, round(4 * n**0.5))), metric
        ),
        "pq": lambda: faiss.IndexPQ(
            d, max(m for m in range(1, d // 4 + 2) if d % m == 0), 8 if n >= 256 else 4, metric
        ),
        "sq8": lambda: faiss.IndexScalarQuantizer(d, faiss.ScalarQuantizer.QT_8bit, metric),
    }
    engine = makers[kind]()
    if kind == "hnsw":
        engine.hnsw.efConstruction, engine.hnsw.efSearch = 200, 128
    if kind == "ivf":
        engine.nprobe = max(1, engine.nlist // 16)
        engine.cp.min_points_per_centroid = 1
    if kind == "pq":
        if n < 16:
            raise SpecError(f"product quantisation needs at least 16 documents to train on; found {n}: use index=flat")
        engine.pq.cp.min_points_per_centroid = 1
    if not engine.is_trained:
        engine.train(documents)
    engine.add(documents)
    return engine


def loaded_faiss() -> Any:
    """The module. Raises `MissingExtra` where it is not installed."""
    try:
        import faiss
    except ModuleNotFoundError as error:
        raise MissingExtra("an approximate index", error.name or "faiss", "ann") from None
    return faiss
