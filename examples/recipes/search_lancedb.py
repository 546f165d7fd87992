"""LanceDB, for `python = "search_lancedb:retrieve"`: pip install lancedb. Table documents(id, vector)."""

import os

import lancedb
from embedding import embed  # yours: texts to vectors, one each


def retrieve(queries, top_k):
    """{query id: {document id: score}}; distances are negated, for larger scores are better."""
    table = lancedb.connect(os.environ["LANCEDB"]).open_table("documents")
    run = {}
    for name, vector in zip(queries, embed(list(queries.values())), strict=True):
        found = table.search(list(vector)).distance_type("cosine").limit(top_k).to_list()
        run[name] = {row["id"]: -row["_distance"] for row in found}
    return {"run": run, "settings": {"indices": str([index.index_type for index in table.list_indices()])}}
