"""Elasticsearch, for `python = "search_elastic:retrieve"`: pip install elasticsearch. Index documents, _id the document's."""

import os

from elasticsearch import Elasticsearch


def retrieve(queries, top_k):
    """{query id: {document id: score}}; settings go with it, so that a check can name what changed."""
    client = Elasticsearch(os.environ["ELASTICSEARCH_URL"], api_key=os.environ.get("ELASTICSEARCH_API_KEY"))
    run = {}
    for name, text in queries.items():
        found = client.search(index="documents", size=top_k, query={"match": {"text": text}}, source=False)
        run[name] = {hit["_id"]: hit["_score"] for hit in found["hits"]["hits"]}
    return {"run": run, "settings": {"query": "match"}}
