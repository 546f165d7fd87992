"""Shared fixtures. The repo root leaves sys.path, so tests see the installed package as a user does."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
sys.path[:] = [entry for entry in sys.path if Path(entry or ".").resolve() != ROOT]

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as below a background shell; children would inherit it
    signal.signal(signal.SIGINT, signal.default_int_handler)
os.environ["HF_HUB_OFFLINE"] = "1"  # no test may go to the network
os.environ.pop("LIMITBENCH_LIMIT", None)


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
