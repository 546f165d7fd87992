"""What a user can do wrong or a machine can fail at, beyond the plain cases in the other files."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from limitbench import evaluate, load
from limitbench.collection import Corpus, Dataset, Queries
from limitbench.datasets import read_folder, write_folder
from limitbench.errors import DataError, InputError, RetrievalError, SpecError
from limitbench.relevance import Qrels
from limitbench.retrievers import NamedRetriever, retriever

MAIN = [sys.executable, "-m", "limitbench"]
GOOD_QRELS = "query-id\tcorpus-id\tscore\nq1\td 1\t1\n"


@pytest.mark.parametrize(
    ("files", "says"),
    [({"corpus": '{"_id": ' + "9" * 5000 + ', "text": ""}\n'}, "expected one JSON object"),
     ({"corpus": '{"_id": "\\ud800", "text": ""}\n'}, "surrogate"), ({"corpus": '{"_id": "a", "text": "\\udfff"}\n'}, "surrogate"),
     ({"corpus": '{"_id": "", "text": ""}\n'}, "empty '_id'"),
     ({"qrels": "query-id\tcorpus-id\tscore\nq1\td 1\t1e300\n"}, "expected a whole number"),
     ({"qrels": "query-id\tcorpus-id\tscore\n\td 1\t1\n"}, "expected Unicode text that is not empty")],
)  # fmt: skip
def test_hostile_files_are_named(beir, files: dict[str, str], says: str) -> None:
    """Numbers beyond reason, halves of surrogate pairs and empty ids are data errors, not tracebacks."""
    with pytest.raises(DataError) as caught:
        read_folder(beir(**files))
    assert says in str(caught.value)


def test_bad_utf8_names_its_own_line(tmp_path: Path, beir) -> None:
    """The line with the bad byte is the one that is named."""
    folder = beir()
    (folder / "corpus.jsonl").write_bytes(b'{"_id": "d 1", "text": ""}\n{"_id": "\xff"}\n')
    with pytest.raises(DataError, match=r"corpus\.jsonl:2: not UTF-8"):
        read_folder(folder)


def test_plain_and_gzipped_twins_are_refused(beir) -> None:
    """Where a file stands plain and gzipped, neither is silently preferred."""
    folder = beir()
    (folder / "corpus.jsonl.gz").write_bytes(b"")
    with pytest.raises(DataError, match="remove one of them"):
        read_folder(folder)


@pytest.mark.parametrize("name", ["~nosuchuser/x", "x" * 300, "./" + "x" * 300, "a\x00b"])
def test_impossible_paths_are_named(cli, tmp_path: Path, name: str) -> None:
    """A path that no file system takes is bad input like any other."""
    code, out, err = cli("run", "-d", name, "-r", "bm25", "--results", tmp_path / "r")
    assert (code, out, len(err.strip().splitlines())) == (2, "", 1)
    assert not (tmp_path / "r").exists()


@pytest.mark.parametrize(
    ("spec", "says"),
    [("random,seed=" + "9" * 70, "option 'seed'"), ("bm25,k1=inf", "option 'k1'"), ("bm25,k1=1,k1=2", "given twice"),
     ("minilm,revision=x", "has no revision")],
)  # fmt: skip
def test_hostile_options_are_named(spec: str, says: str) -> None:
    """Options out of reach, given twice or without effect are refused when the retriever is built."""
    if spec.startswith("minilm"):
        pytest.importorskip("sentence_transformers", reason="needs limitbench[models]")
    with pytest.raises(SpecError, match=says):
        retriever(spec)


def test_devices_and_folders_that_do_not_work(tmp_path: Path) -> None:
    """A device that is not there or a folder that is no model is one clear error."""
    pytest.importorskip("sentence_transformers", reason="needs limitbench[models]")
    from limitbench.errors import LimitbenchError

    corpus = Corpus(("a",), ("Ada likes tea.",))
    for spec in ("wordllama,device=foo", "minilm,device=foo", f"dense:{tmp_path}"):
        with pytest.raises(LimitbenchError, match="cannot be loaded on device"):
            retriever(spec).retriever.index(corpus)


def test_changed_weights_are_another_configuration(tmp_path: Path) -> None:
    """A local model's record is not reused once its weights have changed, and the weights are named in it."""
    pytest.importorskip("sentence_transformers", reason="needs limitbench[models]")
    (tmp_path / "model.safetensors").write_bytes(b"one")
    first = retriever(f"dense:{tmp_path}").retriever.configuration
    (tmp_path / "model.safetensors").write_bytes(b"other")
    second = retriever(f"dense:{tmp_path}").retriever.configuration
    assert first["weights"].startswith("sha256 ")
    assert first["weights"] != second["weights"]


class Failing:
    configuration = {"adapter": "failing"}
    card: dict[str, str] = {}

    def __init__(self, error: BaseException) -> None:
        self.error = error

    def index(self, corpus, progress):
        raise self.error


@pytest.mark.parametrize("error", [ZeroDivisionError("boom"), MemoryError(), RuntimeError("line\nline")])
def test_any_failure_of_a_retriever_is_named(error: BaseException) -> None:
    """Whatever a third-party retriever raises comes back as an error of ours that names it."""
    with pytest.raises(RetrievalError, match="retriever 'mine'"):
        evaluate("limit-small-synthetic", NamedRetriever("mine", Failing(error)))


def test_evaluate_refuses_what_it_cannot_measure() -> None:
    """No measure, no document or no query is said, not divided by."""
    empty = Dataset("e", Corpus((), ()), Queries(("q",), ("x",)), Qrels.from_sets([[]], 0))
    for dataset, measures, says in (
        (empty, "Recall@1", "no document"),
        ("limit-small-synthetic", (), "found no measure"),
    ):
        with pytest.raises(InputError, match=says):
            evaluate(dataset, "bm25", measures=measures)


def test_names_are_checked_before_any_work(cli, tmp_path: Path) -> None:
    """A misspelt second dataset stops the command before the first is measured, and no folder appears."""
    code, _, err = cli(
        "run", "-d", "limit-small-synthetic", "-d", "limit-smal", "-r", "bm25", "--results", tmp_path / "r"
    )
    assert (code, "did you mean" in err) == (2, True)
    assert not (tmp_path / "r").exists()


def test_one_unreadable_dataset_is_one_line(cli, beir, tmp_path: Path) -> None:
    """With two retrievers an unreadable dataset is still reported once, on one line, control characters shown."""
    folder = beir(corpus='{"_id": "d\\n1\\u001b", "text": ""}\n' * 2)
    code, _, err = cli("run", "-d", folder, "-r", "bm25", "-r", "random", "--results", tmp_path / "r")
    assert (code, len(err.strip().splitlines())) == (2, 1)
    assert "\x1b" not in err


def test_papers_figures_go_by_content(cli, beir, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder that merely bears the name limit-small gets no published rows; one with the twin's content does."""
    beir().rename(tmp_path / "limit-small")
    write_folder(load("limit-small-synthetic"), tmp_path / "copy")
    for name, shown in (("limit-small", False), ("copy", True)):
        cli("run", "-d", tmp_path / name, "-r", "bm25", "--results", tmp_path / "r" / name)
        rows = json.loads(cli("compare", "--results", tmp_path / "r" / name, "--json")[1])["comparisons"][0]["rows"]
        assert any(row["source"] == "published" for row in rows) == shown


def test_rows_of_one_configuration_are_merged(cli, tmp_path: Path) -> None:
    """Two records that differ in measures alone are one row; options under one name are told apart."""
    for measures in ("Recall@2", "Recall@2,MAP@10"):
        cli("run", "-d", "limit-small-synthetic", "-r", "random", "--measures", measures, "--results", tmp_path)
    rows = json.loads(cli("compare", "--results", tmp_path, "--json")[1])["comparisons"][0]["rows"]
    (ours,) = (row for row in rows if row["source"] == "ours")
    assert set(ours["measures"]) == {"Recall@2", "MAP@10"}


def test_runs_of_similar_names_are_kept_apart(cli, beir, tmp_path: Path) -> None:
    """Names that differ after a dot get a file each."""
    cli(
        "run",
        "-d",
        beir(),
        "-r",
        "bm25,k1=1.2",
        "-r",
        "bm25,k1=1.9",
        "--results",
        tmp_path / "r",
        "--save-runs",
        tmp_path / "s",
    )
    assert len(list((tmp_path / "s").rglob("*.trec"))) == 2


def test_overwriting_is_whole(cli, beir) -> None:
    """--overwrite --gz leaves only the new dataset; a failure in between leaves the old one as it was."""
    folder = beir()
    old = read_folder(folder)
    (folder / "qrels" / "test.tsv").rename(folder / "kept")
    (folder / "qrels").rmdir()
    (folder / "qrels").write_text("in the way")
    assert cli("generate", "limit-small-synthetic", "--out", folder, "--overwrite")[0] == 2
    (folder / "qrels").unlink()
    (folder / "qrels").mkdir()
    (folder / "kept").rename(folder / "qrels" / "test.tsv")
    assert read_folder(folder) == old
    assert not list(folder.glob(".*"))
    assert cli("generate", "limit-small-synthetic", "--out", folder, "--overwrite", "--gz")[0] == 0
    assert len(read_folder(folder).corpus) == 46


def test_degenerate_scores_are_refused_early(monkeypatch: pytest.MonkeyPatch) -> None:
    """When nearly everything ties, the search stops as soon as the run is out of bounds."""
    import limitbench.rankings as rankings
    from limitbench.retrievers.base import ScoredIndex

    monkeypatch.setattr(rankings, "_MOST_ENTRIES", 1000)
    calls = []

    def scores(ids, _texts):
        import numpy as np

        calls.append(len(ids))
        return np.zeros((len(ids), 500))

    index = ScoredIndex.bounded(tuple(map(str, range(500))), scores, 0, entries=1)
    with pytest.raises(RetrievalError, match="nearly all scores are equal"):
        index.search(Queries(tuple(map(str, range(200))), ("",) * 200), 10)
    assert len(calls) <= 3


@pytest.mark.parametrize("delay", [0.05, 0.2, 0.5])
def test_ctrl_c_at_any_moment(tmp_path: Path, delay: float) -> None:
    """Once limitbench has been entered, Ctrl-C ends with 130 and no traceback (or the command had finished)."""
    entered = "import sys, limitbench.__main__ as m; print('entered', flush=True); m.main()"
    process = subprocess.Popen(
        [
            *(sys.executable, "-c", entered, "run", "-d", "limit-small-synthetic", "--results", str(tmp_path)),
            *(f"--retriever=random,seed={i}" for i in range(60)),
        ],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.readline() == "entered\n"  # before that, the interpreter itself answers the signal
    time.sleep(delay)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode in (0, 130)
    assert "Traceback" not in err
    assert process.returncode == 0 or "same command goes on" in err or not err


def test_closed_and_narrow_minded_outputs(tmp_path: Path) -> None:
    """A closed stdout is no crash, and an ASCII one gets escapes instead of a traceback."""
    done = subprocess.run(f"'{sys.executable}' -m limitbench list >&-", shell=True, capture_output=True, text=True)
    assert "Traceback" not in done.stderr
    write_folder(load("limit-small-synthetic"), tmp_path / "naïve")
    command = [*MAIN, "run", "-d", str(tmp_path / "naïve"), "-r", "random", "--results", str(tmp_path / "r")]
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert (done.returncode, "Traceback" in done.stderr) == (0, False)


def test_a_cold_cache_and_four_processes(tmp_path: Path) -> None:
    """Four commands on one empty cache all finish, quietly, and leave one whole dataset."""
    command = [*MAIN, "describe", "limit-small-synthetic", "--json"]
    environment = {**os.environ, "LIMITBENCH_CACHE": str(tmp_path)}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    processes = [subprocess.Popen(command, env=environment, **pipes) for _ in range(4)]
    for process in processes:
        out, err = process.communicate(timeout=60)
        assert (process.returncode, err) == (0, "")
        assert json.loads(out)["queries"] == 1000
    assert [path.name[:21] for path in (tmp_path / "datasets").iterdir()] == ["limit-small-synthetic"]


def test_a_disk_that_is_really_full(tmp_path: Path) -> None:
    """On a file system without room, generate says so, exits 2 and leaves nothing but its hidden folder; needs the right to mount."""
    place = tmp_path / "small"
    place.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=48k", "tmpfs", str(place)], capture_output=True)
    if mounted.returncode:
        pytest.skip("needs root, to mount a file system of 48 kB")
    try:
        done = subprocess.run(
            [*MAIN, "generate", "limit-small-synthetic", "--out", str(place / "d")], capture_output=True, text=True
        )
        assert (done.returncode, "disk is full" in done.stderr) == (2, True), done.stderr
        assert not [p for p in place.rglob("*") if p.is_file() and p.parts[-2] != ".limitbench-generate"]
    finally:
        subprocess.run(["umount", str(place)], check=True)
