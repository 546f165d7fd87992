"""Engines by URL, against servers that play their protocols on loopback (`protocols`); no real server is at hand for these."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import write_beir
from protocols import Lucene, Qdrant, Refused, Server, Weaviate

from limitbench import evaluate
from limitbench.datasets import read_folder
from limitbench.errors import RetrievalError, SpecError, StorageError
from limitbench.evaluation import Options
from limitbench.results import Store
from limitbench.retrievers.engines import engine_class
from limitbench.retrievers.engines.contract import Settings
from limitbench.retrievers.engines.lucene import turned_back

pytestmark = pytest.mark.process
SECRET = "k3y-of-mine"
PLAYED = {
    "qdrant": lambda **settings: Qdrant(**settings),
    "elasticsearch": lambda **settings: Lucene(**{"graph_bytes": 100, **settings}),
    "opensearch": lambda **settings: Lucene(distribution=True, **settings),
    "weaviate": lambda **settings: Weaviate(**settings),
}
SERVERS = tuple(PLAYED)
TEXT_SERVERS = ("elasticsearch-text", "opensearch-text")


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Forty documents and six questions: each is one call to a server."""
    words = ["apples", "pears", "plums", "figs", "dates", "limes", "kiwis", "nuts"]
    texts = [f"{words[i % 8]} and {words[(3 * i + i // 8 + 1) % 8]} of garden {i}" for i in range(40)]
    corpus = "".join(json.dumps({"_id": f"d{i}", "text": text}) + "\n" for i, text in enumerate(texts))
    queries = "".join(json.dumps({"_id": f"q{i}", "text": f"garden {7 * i}"}) + "\n" for i in range(6))
    judged = "query-id\tcorpus-id\tscore\n" + "".join(f"q{i}\td{7 * i}\t1\n" for i in range(6))
    return write_beir(tmp_path_factory.mktemp("few") / "data", corpus, queries, judged)


@pytest.fixture
def play():
    """Start a server of a protocol; it stops after the test."""
    started = []

    def start(name: str, **settings: Any) -> Server:
        context = PLAYED[name.removesuffix("-text")](**settings).running()
        started.append(context)
        return context.__enter__()

    yield start
    for context in started:
        context.__exit__(None, None, None)


def unit(rows: int, d: int, seed: int = 0) -> Any:
    x = np.random.default_rng(seed).standard_normal((rows, d)).astype(np.float32)
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def built(name: str, server: Server, documents: Any, similarity: str = "cosine", **settings: Any) -> Any:
    made = engine_class(name)(Settings(url=server.url, **settings))
    made.build(documents, similarity, lambda *_: None)
    return made


@pytest.mark.parametrize("name", SERVERS)
@pytest.mark.parametrize("similarity", ["cosine", "dot", "euclidean", "manhattan"])
def test_without_an_index_a_server_finds_what_exact_search_finds(name: str, similarity: str, play) -> None:
    """Best ten and scores, turned back from what servers make of them; as many rows as asked, or as there are."""
    if similarity not in engine_class(name).similarities:
        pytest.skip(f"{name} has no {similarity} similarity, and says so")
    documents, queries = unit(300, 16), unit(20, 16, seed=1)
    if similarity != "cosine":
        documents, queries = 3 * documents, 2 * queries
    engine = built(name, play(name), documents, similarity, index="flat")
    for query in queries:
        exact = {
            "cosine": documents @ query, "dot": documents @ query, "euclidean": -np.linalg.norm(documents - query, axis=1),
            "manhattan": -np.abs(documents - query).sum(1),
        }[similarity]  # fmt: skip
        numbers, scores = engine.search(query, 10)
        assert numbers.tolist() == np.argsort(-exact)[:10].tolist()
        assert scores == pytest.approx(exact[numbers], abs=1e-4)
    assert [len(engine.search(queries[0], depth)[0]) for depth in (1, 100, 300, 1000)] == [1, 100, 300, 300]
    assert engine.exhaustive
    assert engine.proof().used
    engine.close()


@pytest.mark.parametrize("name", SERVERS)
def test_an_index_is_waited_for_and_proved(name: str, play) -> None:
    """Through the graph that was asked for, with its settings read back; nothing is left on the server."""
    server = play(name)
    documents, query = unit(300, 16), unit(1, 16, seed=1)[0]
    engine = built(name, server, documents, m=12, ef_construction=70, ef=33)
    assert engine.proof().used
    numbers, _ = engine.search(query, 20)
    assert not {*numbers % 7} & {3}
    before = engine.effective()
    assert (before["index"], before["m"], before["ef_construction"], before["ef"]) == ("hnsw", 12, 70, 33)
    engine.reopen()
    assert engine.search(query, 20)[0].tolist() == numbers.tolist()
    assert engine.effective() == before
    assert len(server.kept) == 1
    engine.close()
    engine.close()
    assert server.kept == {}
    assert all(path.lower().startswith("limitbench") for path in server.written)


@pytest.mark.parametrize(
    ("name", "settings", "says"),
    [
        ("qdrant", {"indexes": False}, "green, 0 of 40 vectors indexed"),
        ("elasticsearch", {"graph_bytes": None, "graph": False}, "a search compares 40 of 40 vectors"),
        ("opensearch", {"graph": False}, "0 searches in a graph for one asked"),
        ("weaviate", {"ready": False}, "not ready, 40 of 40 objects, 5 vectors queued"),
    ],
)
def test_an_index_that_is_not_used_is_an_error(
    name: str, settings: dict, says: str, play, monkeypatch, few: Path
) -> None:
    """A server that scans, or that has not finished, gives no recall of an index."""
    monkeypatch.setattr(f"limitbench.retrievers.engines.{name}._STALLED", 0.2, raising=False)
    monkeypatch.setattr(f"limitbench.retrievers.engines.{name}._PATIENCE", 0.5, raising=False)
    server = play(name, **settings)
    with pytest.raises(RetrievalError, match=f"does not use its index: .*{says}"):
        evaluate(few, f"engine:{name},of=wordllama,url={server.url}")
    assert server.kept == {}


def test_servers_that_tell_less_are_proved_otherwise(play) -> None:
    """An older Elasticsearch tells no bytes of a graph, and a search is profiled; an older OpenSearch has no threshold of scans."""
    engine = built("elasticsearch", play("elasticsearch", graph_bytes=None), unit(100, 8))
    assert engine.proof().how == "a search compares 50 of 100 vectors"
    assert engine.effective()["dtype"] == "fp32"
    engine.close()
    engine = built("opensearch", play("opensearch", old=True), unit(100, 8))
    assert engine.proof().used
    engine.close()


def test_qdrant_scans_what_is_small(play) -> None:
    """A server builds no graph for 10 KB of vectors, and the threshold cannot be less."""
    engine = built("qdrant", play("qdrant"), unit(20, 8))
    assert (engine.proof().used, engine.proof().how.partition("; ")[2]) == (
        False,
        "Qdrant scans 10 KB of vectors and less",
    )
    engine.close()


@pytest.mark.parametrize("dtype", ["fp16", "int8", "binary"])
def test_qdrants_dtypes_are_asked_for_and_read_back(dtype: str, play) -> None:
    """Quantised vectors are not rescored."""
    server = play("qdrant")
    engine = built("qdrant", server, unit(300, 16), dtype=dtype)
    told = engine.effective()
    assert told["dtype"] == dtype
    assert ("rescore" in told) == (dtype != "fp16")
    engine.close()


@pytest.mark.parametrize("name", TEXT_SERVERS)
def test_an_engine_of_texts_finds_words_alone(name: str, play, few: Path) -> None:
    """Best first; questions without words find nothing; a document that is refused is named; analysers are the server's."""
    server = play(name)
    engine = engine_class(name)(Settings(url=server.url))
    engine.build(["jon has pears and pears", "eve", "", "pears"], lambda *_: None)
    assert engine.search("pears AND (jon", 5)[0].tolist() == [0, 3]
    assert len(engine.search("?!", 5)[0]) == 0
    assert engine.proof().used
    assert engine.nbytes == 4000
    assert engine.effective()["language"] == "standard"
    engine.close()
    with pytest.raises(RetrievalError, match="document 1 is refused: .*immense term"):
        refused = engine_class(name)(Settings(url=server.url))
        refused.build(["fine", "refuse me"], lambda *_: None)
    refused.close()
    with pytest.raises(RetrievalError, match=r"HTTP 400: .*analyzer \[klingon\]"):
        evaluate(few, f"engine:{name},url={server.url},language=klingon")
    assert server.kept == {}


@pytest.mark.parametrize("name", [*SERVERS, *TEXT_SERVERS])
def test_from_the_spec_to_the_record(name: str, play, tmp_path: Path, few: Path) -> None:
    """An engine by URL is a retriever like others; its record names the server, and is found again."""
    server = play(name)
    spec = f"engine:{name},url={server.url}" + ("" if name in TEXT_SERVERS else ",of=wordllama")
    options = Options(store=Store(tmp_path / "r"), measures="Recall@2")
    first = options.find_or_measure(read_folder(few), options.retriever(spec))
    facts = first.result.retriever.facts
    assert "9" in facts["settings"]["server"]
    assert first.result.measures["Recall@2"].mean > 0.3
    assert options.find_or_measure(read_folder(few), options.retriever(spec)).reused
    assert server.kept == {}


@pytest.mark.parametrize("name", [*SERVERS, *TEXT_SERVERS])
def test_keys_come_from_the_environment_and_are_not_shown(
    name: str, play, cli, monkeypatch, tmp_path: Path, few: Path
) -> None:
    """A key in a URL is refused, one that is not set is named, one that the server refuses is told; none is shown or stored."""
    server = play(name)
    server.key = SECRET
    of = "" if name in TEXT_SERVERS else ",of=wordllama"

    def run(options: str) -> tuple[int, str]:
        code, out, err = cli(
            "run",
            "-d",
            few,
            "-r",
            f"engine:{name}{of},{options}",
            "--measures",
            "Recall@2",
            "--results",
            tmp_path / "r",
        )
        assert SECRET not in out + err
        return code, err

    assert run(f"url={server.url.replace('//', f'//me:{SECRET}@')}")[0] == 2
    monkeypatch.delenv("MY_KEY", raising=False)
    code, err = run(f"url={server.url},key_env=MY_KEY")
    assert (code, "MY_KEY, named by key_env, is not set" in err) == (2, True)
    code, err = run(f"url={server.url}")
    assert (code, "refuses calls without a key" in err) == (2, True)
    monkeypatch.setenv("MY_KEY", SECRET + "x")
    code, err = run(f"url={server.url},key_env=MY_KEY")
    assert (code, "refuses the key in MY_KEY (HTTP 401)" in err) == (2, True)
    monkeypatch.setenv("MY_KEY", SECRET)
    assert run(f"url={server.url},key_env=MY_KEY")[0] == 0
    stored = "".join(path.read_text() for path in (tmp_path / "r").rglob("*.json*"))
    assert "MY_KEY" in stored
    assert SECRET not in stored


@pytest.mark.parametrize("name", [*SERVERS, *TEXT_SERVERS])
@pytest.mark.parametrize(
    ("failing", "error", "says"),
    [
        (Refused(507, {"error": "No space left on device"}), StorageError, "the server's disk is full"),
        (
            Refused(429, {"error": "disk usage exceeded flood-stage watermark"}),
            StorageError,
            "the server's disk is full",
        ),
        (Refused(200, b"<html>hello</html>"), RetrievalError, "answers no JSON; is it another service"),
        (Refused(500, {"error": "x" * 5000}), RetrievalError, "says HTTP 500"),
    ],
)
def test_servers_that_fail_are_told_in_one_line(name: str, failing: Refused, error, says: str, play) -> None:
    """Disk full, another service, an answer of a page."""
    server = play(name)
    engine = engine_class(name)(Settings(url=server.url))
    server.failing = failing
    with pytest.raises(error, match=says) as caught:
        engine.build(
            ["x"] if name in TEXT_SERVERS else unit(4, 4),
            *([] if name in TEXT_SERVERS else ["cosine"]),
            lambda *_: None,
        )
    assert len(str(caught.value)) < 400
    assert "\n" not in str(caught.value)
    engine.close()


@pytest.mark.parametrize("name", [*SERVERS, *TEXT_SERVERS])
def test_a_server_that_stops_in_mid_search_keeps_what_was_measured(
    name: str, play, tmp_path: Path, monkeypatch, few: Path
) -> None:
    """One line; the record of another retriever stays."""
    server = play(name)
    kind, calls = engine_class(name), []
    search = kind.search

    def stopping(self: Any, query: Any, depth: int) -> Any:
        calls.append(1)
        server.hanging_up = len(calls) > 2
        return search(self, query, depth)

    monkeypatch.setattr(kind, "search", stopping)
    options = Options(store=Store(tmp_path / "r"), measures="Recall@2")
    options.find_or_measure(read_folder(few), options.retriever("bm25"))
    spec = f"engine:{name},url={server.url}" + ("" if name in TEXT_SERVERS else ",of=wordllama")
    with pytest.raises(RetrievalError, match="does not answer .*what was measured is kept"):
        options.find_or_measure(read_folder(few), options.retriever(spec))
    assert options.find_or_measure(read_folder(few), options.retriever("bm25")).reused


@pytest.mark.parametrize("name", [*SERVERS, *TEXT_SERVERS])
def test_no_server_is_told_before_texts_are_embedded(name: str, monkeypatch: pytest.MonkeyPatch, few: Path) -> None:
    """Embedding may cost money; so the server is asked first."""
    from limitbench.retrievers.embedded import EmbeddedIndex

    monkeypatch.setattr(EmbeddedIndex, "built", lambda *_, **__: pytest.fail("texts were embedded"))
    of = "" if name in TEXT_SERVERS else ",of=wordllama"
    with pytest.raises(RetrievalError, match=r"http://127.0.0.1:1 does not answer \(ConnectError\)"):
        evaluate(few, f"engine:{name}{of},url=http://127.0.0.1:1")
    with pytest.raises(SpecError, match="expected http://HOST:PORT"):
        evaluate(few, f"engine:{name}{of},url=localhost")


def test_one_kind_of_server_is_not_taken_for_another(play, few: Path) -> None:
    """Their fields and queries differ; the name of the other is given."""
    with pytest.raises(RetrievalError, match="is opensearch; name that engine"):
        evaluate(few, f"engine:elasticsearch-text,url={play('opensearch').url}")
    with pytest.raises(RetrievalError, match="is elasticsearch; name that engine"):
        evaluate(few, f"engine:opensearch,of=wordllama,url={play('elasticsearch').url}")


@pytest.mark.parametrize(
    ("similarity", "forward"),
    [
        ("dot_product", lambda v: (1 + v) / 2),
        ("max_inner_product", lambda v: np.where(v >= 0, v + 1, 1 / (1 - v))),
        ("l2_norm", lambda v: 1 / (1 + v * v)),
    ],
)
def test_lucenes_scores_are_turned_back(similarity: str, forward) -> None:
    """By the formulas that its documentation gives."""
    values = np.linspace(-0.99, 0, 50) if similarity == "l2_norm" else np.linspace(-0.99, 0.99, 50)
    assert turned_back(forward(values), similarity) == pytest.approx(values, abs=1e-9)


# ----------------------------------------------------------------------------------------------------------------- attach


@pytest.fixture
def collection(play) -> Any:
    """A user's collection of 400 vectors on a Qdrant."""
    server = play("qdrant")
    rows = unit(400, 16)
    asked = {"vectors": {"size": 16, "distance": "Cosine"}, "hnsw_config": {}}
    server.kept["mine"] = {"asked": asked, "vectors": dict(enumerate(rows.tolist())), "asked_times": 9}
    return server


def test_attach_reads_a_collection_and_never_writes(collection: Any, cli) -> None:
    """Its state, its settings, what it finds; the only requests are reads."""
    before = json.dumps(collection.kept["mine"]["vectors"])
    code, out, _ = cli(
        "attach", "qdrant", "mine", "--url", collection.url, "--sample", 50, "--set", "hnsw_ef=99", "--json"
    )
    told = json.loads(out)
    assert code == 0
    assert (told["rows"], told["dim"], told["queries"]) == (400, 16, 50)
    assert told["index"] == {"used": True, "how": "green, 400 vectors indexed of 400 points"}
    assert told["settings"]["asked"] == {"hnsw_ef": 99}
    assert 0.75 < told["agreement"]["mean"] < 0.95  # the stub's graph misses one in seven
    assert {(method, path.partition("/points")[0] + path[len(path.partition("/points")[0]) :]) for method, path in collection.calls} <= {
        ("GET", "/"), ("GET", "/collections/mine"), ("POST", "/collections/mine/points/query"),
    }  # fmt: skip
    assert json.dumps(collection.kept["mine"]["vectors"]) == before


def test_attach_filters_and_named_vectors(collection: Any, cli) -> None:
    """A filter is the engine's JSON; a vector that is not there is told; what is no JSON is told."""
    where = json.dumps({"must": [{"has_id": [1, 2, 3]}]})
    given = ("attach", "qdrant", "mine", "--url", collection.url, "--sample", 5)
    told = json.loads(cli(*given, "--where", where, "--json")[1])
    assert told["short"] == 4  # the graph misses document 3, which is left out where it is the question itself
    for more, says in ((("--where", "{"), "expected JSON"), (("--set", "hnsw_ef=x"), "expected JSON"), (("--vector", "title"), "found no 'title'"),
                       (("--id", "x"), "leave out --id")):  # fmt: skip
        code, _, err = cli(*given, *more)
        assert (code, says in err) == (2, True), err
    code, _, err = cli("attach", "qdrant", "theirs", "--url", collection.url)
    assert (code, "doesn't exist" in err) == (2, True)


def test_attach_reads_one_of_several_vectors(play, cli) -> None:
    """By its name; a point may lack it; a proof of all vectors together says so; no graph is no index."""
    server = play("qdrant")
    rows = unit(60, 8)
    named = {"title": {"size": 8, "distance": "Dot"}, "body": {"size": 8, "distance": "Dot"}}
    vectors = {i: {"title": row, **({"body": row} if i % 2 else {})} for i, row in enumerate(rows.tolist())}
    server.kept["mine"] = {"asked": {"vectors": named, "hnsw_config": {}}, "vectors": vectors, "asked_times": 9}
    given = ("attach", "qdrant", "mine", "--url", server.url, "--sample", 40)
    code, _, err = cli(*given)
    assert (code, "name one of title, body" in err) == (2, True)
    told = json.loads(cli(*given, "--vector", "body", "--json")[1])
    assert told["queries"] == 20
    assert "of all its vectors together (title, body)" in told["index"]["how"]
    server.kept["mine"]["asked"]["hnsw_config"] = {"m": 0}
    code, _, err = cli(*given, "--vector", "title", "--least", 0.1)
    assert (code, "the collection has no graph" in err) == (3, True)


@pytest.mark.parametrize(
    "url",
    [
        "http://[::1",
        "http://localhost:abc",
        f"qdrant://me:{SECRET}@host:6333",
        f"me:{SECRET}@host",
        "localhost",
        "http://a b",
    ],
)
def test_addresses_that_are_none_are_told_without_their_secret(url: str, cli, tmp_path: Path) -> None:
    """Of every engine by URL, and of Milvus, whose client would take a path for a file."""
    for command in (("attach", "qdrant", "mine", "--url", url),
                    ("run", "-d", "limit-small-synthetic", "-r", f"engine:milvus,of=wordllama,url={url}", "--results", tmp_path)):  # fmt: skip
        code, out, err = cli(*command)
        assert code == 2
        assert SECRET not in out + err
        assert "internal error" not in err
    assert not (tmp_path / "user.db").exists()
    assert (
        cli(
            "run",
            "-d",
            "limit-small-synthetic",
            "-r",
            f"engine:milvus,of=wordllama,url={tmp_path}/user.db",
            "--results",
            tmp_path,
        )[0]
        == 2
    )
    assert not (tmp_path / "user.db").exists()


@pytest.mark.parametrize("answer", [b"{}", b"[]", b'{"result": []}'])
def test_a_service_of_another_form_is_told(answer: bytes, play, cli) -> None:
    """It is no internal error."""
    server = play("qdrant")
    server.failing = Refused(200, answer)
    code, _, err = cli("attach", "qdrant", "mine", "--url", server.url)
    assert code == 2
    assert "internal error" not in err


def test_attach_refuses_odd_values(collection: Any, cli, tmp_path: Path) -> None:
    """Files of other kinds, settings against each other, endless times."""
    np.save(tmp_path / "s.npy", np.array(["a"]))
    np.savez(tmp_path / "z.npz", np.ones(3))
    (tmp_path / "e.npy").write_bytes(b"")
    given = ("attach", "qdrant", "mine", "--url", collection.url, "--sample", 3)
    for more in (("--queries", tmp_path / "s.npy"), ("--queries", tmp_path / "z.npz"), ("--queries", tmp_path / "e.npy"),
                 ("--set", "a=1", "--set", "a.b=2"), ("--timeout", "inf"), ("--timeout", "1e300")):  # fmt: skip
        code, _, err = cli(*given, *more)
        assert code == 2, more
        assert "internal error" not in err
