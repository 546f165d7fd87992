"""Servers that play Qdrant, Elasticsearch, OpenSearch and Weaviate on loopback, strictly: an unknown field is an error.

They are written from those engines' documentation, and no more: what a real server does besides is not tested by them. A graph is
played by leaving out every seventh document, so that a search through it is no scan.
"""

from __future__ import annotations

import json
import re
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import numpy as np


class Refused(Exception):
    """An answer other than 200."""

    def __init__(self, status: int, body: Any) -> None:
        self.status, self.body = status, body


def only(body: dict, *known: str) -> None:
    """Refuse fields that a server would not know."""
    unknown = {*body} - {*known}
    if unknown:
        raise Refused(400, {"error": f"unknown field {sorted(unknown)}"})


class Server:
    """One server of a protocol: `answer(method, path, query, body)`; `failing` is raised instead, once set."""

    key_header, key_scheme = "Authorization", "Bearer "

    def __init__(self, **settings: Any) -> None:
        self.settings = settings
        self.key: str | None = None
        self.failing: Refused | None = None
        self.hanging_up = False
        self.calls: list[tuple[str, str]] = []
        self.written: list[str] = []
        self.kept: dict[str, Any] = {}

    def answer(self, method: str, path: str, query: dict, body: Any) -> Any:
        raise NotImplementedError

    @contextmanager
    def running(self):
        plays = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = -1  # one packet an answer
            disable_nagle_algorithm = True

            def _any(self) -> None:
                raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                place = urlsplit(self.path)
                plays.calls.append((self.command, place.path))
                if plays.hanging_up:
                    self.close_connection = True
                    self.connection.close()
                    return
                try:
                    if plays.key is not None and self.headers.get(plays.key_header) != plays.key_scheme + plays.key:
                        raise Refused(401, {"error": f"bad key {self.headers.get(plays.key_header)}"})
                    if plays.failing is not None:
                        raise plays.failing
                    lines = self.headers.get("Content-Type") == "application/x-ndjson"
                    body = (
                        [json.loads(line) for line in raw.splitlines()] if lines else json.loads(raw) if raw else None
                    )
                    status, found = 200, plays.answer(self.command, place.path, parse_qs(place.query), body)
                except Refused as refused:
                    status, found = refused.status, refused.body
                told = found if isinstance(found, bytes) else json.dumps(found).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(told)))
                self.end_headers()
                self.wfile.write(told)

            do_GET = do_PUT = do_POST = do_DELETE = _any  # noqa: N815

            def log_message(self, *_: Any) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        self.url = f"http://127.0.0.1:{server.server_port}"
        try:
            yield self
        finally:
            server.shutdown()
            thread.join()
            server.server_close()


def ranked(vectors: dict[int, Any], query: Any, measure: str, *, graph: bool) -> list[tuple[int, float]]:
    """Numbers and values by a measure, the best first; a graph misses every seventh document."""
    numbers = [number for number in vectors if not (graph and number % 7 == 3)]
    x, q = np.array([vectors[number] for number in numbers], np.float32), np.array(query, np.float32)
    if measure == "dot":
        values = x @ q
    elif measure == "l2":
        values = -np.linalg.norm(x - q, axis=1)
    else:
        values = -np.abs(x - q).sum(1)
    return [(numbers[i], float(values[i])) for i in np.argsort(-values, kind="stable")]


class Qdrant(Server):
    """Collections that are yellow for a few questions after an insert; `indexes=False` never builds an index."""

    key_header, key_scheme = "api-key", ""

    def answer(self, method: str, path: str, query: dict, body: Any) -> Any:
        if path == "/":
            return {"title": "qdrant - vector search engine", "version": "1.99.0"}
        name, _, rest = path.removeprefix("/collections/").partition("/")
        if method == "PUT" and not rest:
            only(body, "vectors", "hnsw_config", "optimizers_config", "quantization_config")
            only(body["hnsw_config"], "m", "ef_construct", "full_scan_threshold")
            if body["hnsw_config"]["full_scan_threshold"] < 10:
                raise Refused(422, {"status": {"error": "full_scan_threshold: must be 10 or larger"}})
            self.written.append(name)
            self.kept[name] = {"asked": body, "vectors": {}, "asked_times": 0}
            return {"result": True}
        if name not in self.kept:
            raise Refused(404, {"status": {"error": f"Not found: Collection `{name}` doesn't exist!"}})
        mine = self.kept[name]
        if method == "DELETE":
            del self.kept[name]
            return {"result": True}
        if method == "GET":
            mine["asked_times"] += 1
            ready = mine["asked_times"] > 3
            n, asked = len(mine["vectors"]), mine["asked"]
            graph = {"m": 16, "ef_construct": 100, "full_scan_threshold": 10000, **asked["hnsw_config"]}
            return {"result": {
                "status": "green" if ready else "yellow", "points_count": n,
                "indexed_vectors_count": n if ready and self.settings.get("indexes", True) else 0,
                "config": {"params": {"vectors": asked["vectors"]}, "hnsw_config": graph, "quantization_config": asked.get("quantization_config")},
            }}  # fmt: skip
        if method == "PUT" and rest == "points":
            assert query == {"wait": ["true"]}
            rows = body["batch"]
            for number, row in zip(rows["ids"], rows["vectors"], strict=True):
                if len(row) != mine["asked"]["vectors"]["size"]:
                    raise Refused(
                        400, {"status": {"error": "Wrong input: Vector dimension error: expected dim: 4, got 3"}}
                    )
                mine["vectors"][number] = row
            return {"result": {"status": "completed"}}
        assert (method, rest) == ("POST", "points/query")
        only(body, "query", "limit", "params", "using", "filter", "with_vector")
        only(body["params"], "hnsw_ef", "exact", "quantization", "indexed_only")
        if body["query"] == {"sample": "random"}:
            some = list(mine["vectors"].items())[: body["limit"]]
            assert body["with_vector"]
            return {"result": {"points": [{"id": i, "vector": v, "score": 0} for i, v in some]}}
        known = mine["asked"]["vectors"]
        distance = known[body["using"]]["distance"] if "using" in body else known["distance"]
        graph = not body["params"].get("exact") and mine["asked"]["hnsw_config"].get("m") != 0
        measure = {"Dot": "dot", "Cosine": "dot", "Euclid": "l2", "Manhattan": "l1"}[distance]
        sign = 1 if measure == "dot" else -1
        vectors = mine["vectors"]
        if "using" in body:
            vectors = {i: told[body["using"]] for i, told in vectors.items() if body["using"] in told}
        if "filter" in body:
            vectors = {i: v for i, v in vectors.items() if i in body["filter"]["must"][0]["has_id"]}
        found = ranked(vectors, body["query"], measure, graph=graph)[: body["limit"]]
        return {"result": {"points": [{"id": i, "score": sign * value} for i, value in found]}}


class Lucene(Server):
    """Elasticsearch, or OpenSearch with `distribution`; `graph_bytes` and `old` are what a server tells or knows."""

    key_scheme = "ApiKey "
    graph_searches = 0

    def answer(self, method: str, path: str, query: dict, body: Any) -> Any:
        if path == "/":
            more = {"distribution": "opensearch"} if self.settings.get("distribution") else {}
            return {"version": {"number": "9.9.9", **more}}
        if path == "/_plugins/_knn/stats":
            return {"nodes": {"a": {"graph_query_requests": self.graph_searches}}}
        name, _, rest = path.removeprefix("/").partition("/")
        if method == "PUT" and not rest:
            index = body["settings"]["index"]
            if self.settings.get("old") and "knn.advanced.approximate_threshold" in index:
                raise Refused(400, {"error": {"reason": "unknown setting [index.knn.advanced.approximate_threshold]"}})
            for field in body["mappings"]["properties"].values():
                if field.get("analyzer") == "klingon":
                    raise Refused(400, {"error": {"reason": "analyzer [klingon] has not been configured in mappings"}})
            self.written.append(name)
            self.kept[name] = {"fields": body["mappings"]["properties"], "docs": {}, "seen": {}}
            return {"acknowledged": True}
        if name not in self.kept:
            raise Refused(404, {"error": {"reason": f"no such index [{name}]"}})
        mine = self.kept[name]
        if method == "DELETE":
            del self.kept[name]
            return {"acknowledged": True}
        return getattr(self, rest.replace("_stats/", "stats_").strip("_"))(mine, query, body)

    def bulk(self, mine: dict, query: dict, body: Any) -> Any:
        items = []
        for action, told in zip(body[::2], body[1::2], strict=True):
            if told.get("text") == "refuse me":
                items.append(
                    {"index": {"_id": action["index"]["_id"], "status": 400, "error": {"reason": "immense term"}}}
                )
                continue
            mine["docs"][int(action["index"]["_id"])] = told
            items.append({"index": {"_id": action["index"]["_id"], "status": 201}})
        return {"errors": any("error" in item["index"] for item in items), "items": items}

    def refresh(self, mine: dict, query: dict, body: Any) -> Any:
        mine["seen"] = dict(mine["docs"])
        return {"_shards": {"failed": 0}}

    def forcemerge(self, mine: dict, query: dict, body: Any) -> Any:
        assert query == {"max_num_segments": ["1"]}
        return {"_shards": {"failed": 0}}

    def count(self, mine: dict, query: dict, body: Any) -> Any:
        return {"count": len(mine["seen"])}

    def stats_store(self, mine: dict, query: dict, body: Any) -> Any:
        return {"_all": {"primaries": {"store": {"size_in_bytes": 1000 * len(mine["seen"])}}}}

    def stats_dense_vector(self, mine: dict, query: dict, body: Any) -> Any:
        size = self.settings.get("graph_bytes")
        return {
            "_all": {
                "primaries": {"dense_vector": {"off_heap": {"total_vex_size_bytes": size}} if size is not None else {}}
            }
        }

    def mapping(self, mine: dict, query: dict, body: Any) -> Any:
        fields = json.loads(json.dumps(mine["fields"]))
        for field in fields.values():
            if field["type"] == "dense_vector" and "index_options" not in field:
                field["index_options"] = {"type": "int8_hnsw", "m": 16, "ef_construction": 100}
        return {"the-index": {"mappings": {"properties": fields}}}

    def search(self, mine: dict, query: dict, body: Any) -> Any:
        only(body, "size", "_source", "knn", "query", "profile")
        if body["size"] > 10_000:
            raise Refused(400, {"error": {"reason": "Result window is too large"}})
        profile: dict = {}
        if "knn" in body:
            found, seen = self._knn(mine, body["knn"])
            profile = (
                {"profile": {"shards": [{"dfs": {"knn": [{"vector_operations_count": seen}]}}]}}
                if body.get("profile")
                else {}
            )
        elif "match" in body["query"]:
            found = self._match(mine, body["query"]["match"]["text"]["query"])
        else:
            found = self._open_search(mine, body["query"])
        return {"hits": {"hits": [{"_id": str(i), "_score": s} for i, s in found[: body["size"]]]}, **profile}

    def _knn(self, mine: dict, knn: dict) -> tuple[list, int]:
        only(knn, "field", "query_vector", "k", "num_candidates")
        if knn.get("num_candidates", knn["k"]) < knn["k"]:
            raise Refused(400, {"error": {"reason": "[num_candidates] cannot be less than [k]"}})
        field = mine["fields"]["v"]
        graph = "hnsw" in field.get("index_options", {}).get("type", "hnsw") and self.settings.get("graph", True)
        vectors = {i: told["v"] for i, told in mine["seen"].items()}
        measure = "l2" if field["similarity"] == "l2_norm" else "dot"
        found = ranked(vectors, knn["query_vector"], measure, graph=graph)[: knn["k"]]
        scores = {"dot_product": lambda v: (1 + v) / 2, "max_inner_product": lambda v: v + 1 if v >= 0 else 1 / (1 - v),
                  "l2_norm": lambda v: 1 / (1 + v * v)}[field["similarity"]]  # fmt: skip
        return [(i, scores(v)) for i, v in found], len(vectors) // 2 if graph else len(vectors)

    def _open_search(self, mine: dict, asked: dict) -> list:
        vectors = {i: told["v"] for i, told in mine["seen"].items()}
        if "knn" in asked:
            knn = asked["knn"]["v"]
            only(knn, "vector", "k", "method_parameters")
            type(self).graph_searches += bool(self.settings.get("graph", True))
            method = mine["fields"]["v"]["method"]
            assert method["engine"] == "faiss"
            query, space, graph, most = knn["vector"], method["space_type"], True, knn["k"]
        else:
            params = asked["script_score"]["script"]["params"]
            query, space, graph, most = params["query_value"], params["space_type"], False, len(vectors)
        found = ranked(vectors, query, "l2" if space == "l2" else "dot", graph=graph)[:most]
        return [(i, 1 / (1 + v * v) if space == "l2" else v + 1 if v >= 0 else 1 / (1 - v)) for i, v in found]

    def _match(self, mine: dict, query: str) -> list:
        words = {*re.findall(r"\w+", query.lower())}
        counts = {
            i: sum(word in words for word in re.findall(r"\w+", told["text"].lower()))
            for i, told in mine["seen"].items()
        }
        return sorted(((i, float(c)) for i, c in counts.items() if c), key=lambda pair: -pair[1])


class Weaviate(Server):
    """Classes whose vectors are queued for a few questions; `ready=False` leaves them there."""

    def answer(self, method: str, path: str, query: dict, body: Any) -> Any:
        if path == "/v1/meta":
            return {"version": "1.99.0"}
        if path == "/v1/schema":
            only(body, "class", "vectorizer", "vectorIndexType", "vectorIndexConfig", "properties")
            only(body["vectorIndexConfig"], "distance", "maxConnections", "efConstruction", "ef")
            self.written.append(body["class"])
            self.kept[body["class"]] = {"asked": body, "vectors": {}, "asked_times": 0}
            return {}
        if path == "/v1/batch/objects":
            for one in body["objects"]:
                self.kept[one["class"]]["vectors"][one["properties"]["number"]] = one["vector"]
            return [{**one, "result": {"status": "SUCCESS"}} for one in body["objects"]]
        if path == "/v1/graphql":
            return self._graphql(body["query"])
        name = path.rpartition("/")[2]
        if name not in self.kept:
            raise Refused(404, {"error": [{"message": "no such class"}]})
        mine = self.kept[name]
        if method == "DELETE":
            del self.kept[name]
            return {}
        if path.startswith("/v1/nodes/"):
            mine["asked_times"] += 1
            ready = mine["asked_times"] > 3 and self.settings.get("ready", True)
            shard = {
                "vectorIndexingStatus": "READY" if ready else "INDEXING",
                "vectorQueueLength": 0 if ready else 5,
                "objectCount": len(mine["vectors"]),
            }
            return {"nodes": [{"shards": [shard]}]}
        config = {"maxConnections": 32, "efConstruction": 128, "ef": -1, **mine["asked"]["vectorIndexConfig"]}
        return {"vectorIndexType": mine["asked"]["vectorIndexType"], "vectorIndexConfig": config}

    def _graphql(self, query: str) -> Any:
        counted = re.fullmatch(r"\{Aggregate \{(\w+) \{meta \{count\}\}\}\}", query)
        if counted is not None:
            return {"data": {"Aggregate": {counted[1]: [{"meta": {"count": len(self.kept[counted[1]]["vectors"])}}]}}}
        asked = re.fullmatch(
            r"\{Get \{(\w+)\(nearVector: \{vector: (\[.*?\])\}, limit: (\d+)\) \{number _additional \{distance\}\}\}\}",
            query,
        )
        if asked is None:
            return {"errors": [{"message": "Syntax Error GraphQL request"}]}
        mine = self.kept[asked[1]]
        distance = mine["asked"]["vectorIndexConfig"]["distance"]
        measure = {"dot": "dot", "l2-squared": "l2", "manhattan": "l1"}[distance]
        found = ranked(mine["vectors"], json.loads(asked[2]), measure, graph=mine["asked"]["vectorIndexType"] == "hnsw")
        rows = [
            {"number": i, "_additional": {"distance": v * v if distance == "l2-squared" else -v}}
            for i, v in found[: int(asked[3])]
        ]
        return {"data": {"Get": {asked[1]: rows}}}
