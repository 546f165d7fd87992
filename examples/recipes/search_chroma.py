"""Chroma, for `python = "search_chroma:retrieve"`: pip install chromadb. Collection documents, whose ids are the documents'."""

import os

import chromadb
from embedding import embed  # yours: texts to vectors, one each


def retrieve(queries, top_k):
    """{query id: {document id: score}}; distances are negated, for larger scores are better."""
    collection = chromadb.PersistentClient(os.environ["CHROMA"]).get_collection("documents")
    vectors = [list(map(float, vector)) for vector in embed(list(queries.values()))]
    found = collection.query(query_embeddings=vectors, n_results=top_k, include=["distances"])
    rows = zip(queries, found["ids"], found["distances"], strict=True)
    run = {name: dict(zip(ids, (-d for d in distances), strict=True)) for name, ids, distances in rows}
    hnsw = str(collection.configuration.get("hnsw"))
    return {"run": run, "settings": {"hnsw": hnsw}, "ids": collection.get(include=[])["ids"]}
