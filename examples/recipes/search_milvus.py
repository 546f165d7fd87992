"""Milvus, for `python = "search_milvus:retrieve"`: pip install pymilvus. Collection documents: a text key, COSINE."""

import os

from embedding import embed  # yours: texts to vectors, one each
from pymilvus import MilvusClient


def retrieve(queries, top_k):
    """{query id: {document id: score}}. With COSINE and IP, Milvus calls a similarity "distance": larger is better."""
    client = MilvusClient(os.environ["MILVUS_URI"], token=os.environ.get("MILVUS_TOKEN", ""))
    vectors = [list(map(float, vector)) for vector in embed(list(queries.values()))]
    found = client.search("documents", data=vectors, limit=top_k, search_params={"params": {"ef": 64}})
    run = {name: {hit["id"]: hit["distance"] for hit in hits} for name, hits in zip(queries, found, strict=True)}
    return {"run": run, "settings": {"ef": 64}}
