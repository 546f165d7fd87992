"""pgvector, for `python = "search_pgvector:retrieve"`: pip install psycopg[binary]. Table documents(id, embedding)."""

import os

import psycopg
from embedding import embed  # yours: texts to vectors, one each

SQL = "SELECT id, 1 - (embedding <=> %(v)s::vector) FROM documents ORDER BY embedding <=> %(v)s::vector LIMIT %(k)s"


def retrieve(queries, top_k):
    """{query id: {document id: score}}; settings go with it, so that a check can name what changed."""
    with psycopg.connect(os.environ["DATABASE_URL"]) as connection:
        run = {}
        for name, vector in zip(queries, embed(list(queries.values())), strict=True):
            run[name] = dict(connection.execute(SQL, {"v": str(list(map(float, vector))), "k": top_k}).fetchall())
        ef = connection.execute("SELECT current_setting('hnsw.ef_search', true)").fetchone()[0]
    return {"run": run, "settings": {"hnsw.ef_search": ef}}
