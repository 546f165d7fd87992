"""A hybrid retrieval service: static embeddings in a FAISS index and BM25, fused, then reranked token by token (MaxSim).

`retrieve` is what limitbench measures and what the service calls. Everything that can be set stands in service.toml, and goes with
the answer, so that a check can name what changed. It needs `pip install 'limitbench[models,ann]'`.
"""

from __future__ import annotations

import importlib.util
import json
import re
import tomllib
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import bm25s
import faiss
import numpy as np
import Stemmer
from safetensors.numpy import load_file
from tokenizers import Tokenizer

HERE = Path(__file__).parent


class Embedding:
    """Token vectors of wordllama's table, and their mean as a text's vector."""

    def __init__(self, model: str, *, normalise: bool, max_characters: int) -> None:
        spec = importlib.util.find_spec("wordllama")
        assert spec is not None
        assert spec.origin is not None
        home = Path(spec.origin).parent
        self.tokenizer = Tokenizer.from_file(str(home / "tokenizers" / "l2_supercat_tokenizer_config.json"))
        table = next(iter(load_file(home / "weights" / "l2_supercat_256.safetensors").values())).astype(np.float32)
        if model == "hashed":  # another model: the same tokens with other vectors
            table = np.random.default_rng(1).standard_normal(table.shape, dtype=np.float32)
        self.table, self.normalise, self.most = table, normalise, max_characters

    def tokens(self, text: str) -> np.ndarray:
        """Unit vectors of the tokens, (tokens, 256)."""
        ids = self.tokenizer.encode(text[: self.most], add_special_tokens=False).ids or [0]
        rows = self.table[ids]
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)

    def texts(self, texts: list[str]) -> np.ndarray:
        """One vector a text, (texts, 256)."""
        rows = []
        for text in texts:
            ids = self.tokenizer.encode(text[: self.most], add_special_tokens=False).ids or [0]
            rows.append(self.table[ids].mean(0))
        made = np.array(rows, np.float32)
        return made / np.linalg.norm(made, axis=1, keepdims=True) if self.normalise else made


class Service:
    """The service as service.toml sets it, over the chunks that were ingested last."""

    def __init__(self, home: Path, index: Mapping[str, Any] | None = None) -> None:
        self.plan = tomllib.loads((home / "service.toml").read_text(encoding="utf-8"))
        self.plan["index"] |= index or {}
        rows = [json.loads(line) for line in (home / "index" / "chunks.jsonl").read_text(encoding="utf-8").splitlines()]
        left_out = set(self.plan["filter"]["leave_out"])
        self.rows = [row for row in rows if row["_id"].partition("/")[0] not in left_out]
        self.ids = [row["_id"] for row in self.rows]
        plan = self.plan["embedding"]
        self.embedding = Embedding(plan["model"], normalise=plan["normalise"], max_characters=plan["max_characters"])
        self.texts = [plan["template"].format(**row)[: plan["max_characters"]] for row in self.rows]
        self.kept: dict[int, np.ndarray] = {}  # token vectors of chunks that were reranked
        self.lexical = bm25s.BM25(k1=self.plan["lexical"]["k1"])
        self.lexical.index([list(self.words(text)) for text in self.texts], show_progress=False)
        vectors = self.embedding.texts(self.texts)
        if self.plan["index"]["dtype"] == "int8":
            scale = np.abs(vectors).max() / 127
            vectors = (np.round(vectors / scale).clip(-127, 127) * scale).astype(np.float32)
        self.index = faiss.index_factory(vectors.shape[1], self.plan["index"]["kind"], faiss.METRIC_INNER_PRODUCT)
        self.index.train(vectors)
        self.index.add(vectors)
        if hasattr(self.index, "hnsw"):
            self.index.hnsw.efSearch = self.plan["index"]["search"]
        if hasattr(self.index, "nprobe"):
            self.index.nprobe = self.plan["index"]["search"]
            self.index.make_direct_map()

    def words(self, text: str) -> Iterator[str]:
        """The words of a text, as BM25 counts them."""
        plan = self.plan["lexical"]
        for word in re.findall(r"\w+", text.lower() if plan["lowercase"] else text):
            yield _STEMMER.stemWord(word) if plan["stem"] else word

    def probe(self, every: int = 8) -> dict[str, float]:
        """Of every eighth chunk: the cosine of its stored vector with that of its text embedded now."""
        stored = np.array([self.index.reconstruct(column) for column in range(0, len(self.ids), every)])
        now = self.embedding.texts(self.texts[::every])
        cosines = (stored * now).sum(1) / np.linalg.norm(stored, axis=1) / np.linalg.norm(now, axis=1)
        return dict(zip(self.ids[::every], cosines.tolist(), strict=True))

    def chunk(self, column: int) -> np.ndarray:
        """The token vectors of a chunk."""
        if column not in self.kept:
            self.kept[column] = self.embedding.tokens(self.texts[column])
        return self.kept[column]

    def answer(self, question: str, top_k: int) -> dict[str, float]:
        """The best chunks for a question, with their scores."""
        plan, most = self.plan["fusion"], min(self.plan["fusion"]["candidates"], len(self.ids))
        asked = self.embedding.texts([self.plan["embedding"]["query_prefix"] + question])
        _, columns = self.index.search(asked, most)
        fused: dict[int, float] = {}
        if plan["dense"]:
            for rank, column in enumerate(c for c in columns[0] if c >= 0):
                fused[int(column)] = plan["dense"] / (20 + rank)
        if plan["lexical"]:
            scores = self.lexical.get_scores(list(self.words(question)))
            for rank, column in enumerate(np.argsort(-scores, kind="stable")[:most]):
                if scores[column] > 0:
                    fused[int(column)] = fused.get(int(column), 0.0) + plan["lexical"] / (20 + rank)
        order = sorted(fused, key=lambda column: (-fused[column], column))
        if self.plan["rerank"]["on"]:
            depth = self.plan["rerank"]["depth"]
            tokens = self.embedding.tokens(question)
            best = {c: float((tokens @ self.chunk(c).T).max(1).mean()) for c in order[:depth]}
            scored = {c: best[c] + 20 * fused[c] for c in best}
            order = sorted(scored, key=lambda column: (-scored[column], column))
        else:
            scored = fused
        kept = order[: min(top_k, self.plan["top_k"])]
        if self.plan["answer"]["scores"] == "distance":
            return {self.ids[c]: 1.0 - scored[c] for c in kept}
        return {self.ids[c]: scored[c] for c in kept}


_STEMMER = Stemmer.Stemmer("english")


@cache
def service() -> Service:
    """The service in this folder."""
    return Service(HERE)


@cache
def exact_service() -> Service:
    """The same service with exact search of fp32 vectors: what the index and the dtype cost is the difference."""
    return Service(HERE, {"kind": "Flat", "dtype": "fp32"})


def settings(plan: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """service.toml as one flat table."""
    out: dict[str, Any] = {}
    for key, value in plan.items():
        if isinstance(value, Mapping):
            out |= settings(value, f"{key}.")
        else:
            out[prefix + key] = ", ".join(value) if isinstance(value, list) else value
    return out


def answers(made: Service, queries: Mapping[str, str], top_k: int) -> dict[str, dict[str, float]]:
    """{query id: {chunk id: score}}."""
    return {query: made.answer(text, top_k) for query, text in queries.items()}


def retrieve(queries: Mapping[str, str], top_k: int) -> dict[str, Any]:
    """{"run": {query id: {chunk id: score}}, "settings": ..., "ids": ..., "probe": ...}."""
    made = service()
    run = answers(made, queries, top_k)
    if not made.plan["answer"]["report"]:
        return run
    return {"run": run, "settings": settings(made.plan), "ids": made.ids, "probe": made.probe()}


def exact(queries: Mapping[str, str], top_k: int) -> dict[str, dict[str, float]]:
    """What exact search would return: the reference of LB306."""
    return answers(exact_service(), queries, top_k)


if __name__ == "__main__":
    import sys

    for name, score in service().answer(" ".join(sys.argv[1:]) or "what does E42 mean on the pizza oven", 5).items():
        print(f"{score:.3f} {name}")
