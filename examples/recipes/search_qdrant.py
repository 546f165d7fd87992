"""Qdrant, for `python = "search_qdrant:retrieve"`: pip install qdrant-client. The payload's "id" is the document's id."""

import os

from embedding import embed  # yours: texts to vectors, one each
from qdrant_client import QdrantClient


def retrieve(queries, top_k):
    """{query id: {document id: score}}; settings go with it, so that a check can name what changed."""
    client = QdrantClient(os.environ["QDRANT_URL"], api_key=os.environ.get("QDRANT_API_KEY"))
    run = {}
    for name, vector in zip(queries, embed(list(queries.values())), strict=True):
        found = client.query_points("documents", query=list(vector), limit=top_k, with_payload=["id"]).points
        run[name] = {point.payload["id"]: point.score for point in found}
    params = client.get_collection("documents").config
    return {"run": run, "settings": {"hnsw": str(params.hnsw_config), "quantization": str(params.quantization_config)}}
