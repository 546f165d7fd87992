"""`limitbench results`: what is recorded can be listed, shown, compared with its statistics, and taken elsewhere."""

from __future__ import annotations

import csv
import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import jsonschema
import numpy as np
import pytest
from conftest import ROOT

from limitbench.results import Store, read
from limitbench.results.differences import differences
from limitbench.results.mteb_files import read_scores, separated

SPECS = ("bm25", "bm25,stemmer=none", "tfidf-items", "random")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Records of four retrievers on the synthetic twin, and of one on another dataset."""
    from limitbench.cli import invoke

    folder = tmp_path_factory.mktemp("records")
    asked = [part for spec in SPECS for part in ("-r", spec)]
    assert invoke(["run", "-d", "limit-small-synthetic", *asked, "--results", str(folder)]) == 0
    assert invoke(["run", "-d", "graph-petersen", "-r", "bm25", "--results", str(folder)]) == 0
    return folder


def digests(store: Path) -> dict[str, str]:
    return {f"{r.dataset.name}/{r.retriever.name}": r.configuration_digest[:12] for r in Store(store)}


def test_list_and_show(cli, store: Path) -> None:
    """list has every record; show has every measure with its interval, by file or by digest, and its command."""
    code, out, _ = cli("results", "list", "--results", store)
    assert (code, all(spec in out for spec in SPECS)) == (0, True)
    code, out, _ = cli("results", "list", "--results", store, "-d", "graph-petersen", "--json")
    assert (code, len(json.loads(out)["records"])) == (0, 1)
    digest = digests(store)["limit-small-synthetic/bm25"]
    code, out, _ = cli("results", "show", digest, "--results", store)
    command = next(r.provenance["command"] for r in Store(store) if r.configuration_digest.startswith(digest))
    assert (code, "95 % interval" in out, command in out) == (0, True, True)
    (path,) = store.glob(f"limit-small-synthetic/bm25/{digest}.json")
    code, out, _ = cli("results", "show", path, "--json")
    shown = json.loads(out)
    interval = shown["intervals"]["Recall@2"]
    assert interval["low"] < shown["measures"]["Recall@2"]["mean"] < interval["high"]


def test_diff_names_what_changed(cli, store: Path) -> None:
    """Two records of one dataset differ in configuration and numbers, with a p-value; of two datasets in data; of one in nothing."""
    known = digests(store)
    one, two = known["limit-small-synthetic/bm25"], known["limit-small-synthetic/bm25,stemmer=none"]
    code, out, _ = cli("results", "diff", one, two, "--results", store, "--json")
    found = json.loads(out)
    changed = {"stemmer": ["auto", "none"], "name": ["bm25", "bm25,stemmer=none"]}
    assert (code, found["configuration"], found["data"], found["code"]) == (0, changed, {}, {})
    assert found["numbers"]["Recall@2"]["before"] < found["numbers"]["Recall@2"]["after"]
    assert found["numbers"]["Recall@2"]["p"] < 0.05
    code, out, _ = cli("results", "diff", one, known["graph-petersen/bm25"], "--results", store)
    assert (code, "sha256" in out, "other data" in out) == (0, True, True)
    code, _, err = cli("results", "diff", one, one, "--results", store)
    assert (code, "nothing differs" in err) == (0, True)


def test_diff_sees_code_and_environment(store: Path) -> None:
    """Versions of limitbench are code; other versions and hardware are environment; the command stands by itself."""
    r = next(r for r in Store(store) if r.retriever.name == "bm25")
    told = {
        **r.provenance,
        "versions": {**r.provenance["versions"], "limitbench": "9.9", "numpy": "0.1"},
        "command": "x",
    }
    told["hardware"] = {**told["hardware"], "cores": 99}
    found = differences(r, r.model_copy(update={"provenance": told}))
    assert (list(found["code"]), set(found["environment"]), list(found["command"])) == (
        ["limitbench"],
        {"numpy", "cores"},
        ["command"],
    )
    assert not found["numbers"]


def test_separate_tells_retrievers_apart(cli, store: Path) -> None:
    """BM25 with and without its stemmer are separated with their p-value; groups and pairs agree."""
    code, out, _ = cli("results", "separate", "-d", "limit-small-synthetic", "--results", store, "--json")
    found = json.loads(out)
    pair = next(c for c in found["pairs"] if {c["first"], c["second"]} == {"bm25", "bm25,stemmer=none"})
    assert (code, pair["first"], pair["separated"]) == (0, "bm25,stemmer=none", True)
    assert 0 < pair["p"] <= pair["corrected"] < 0.05
    assert found["groups"] == [["tfidf-items"], ["bm25,stemmer=none"], ["bm25"], ["random"]]
    code, out, _ = cli(
        "results", "separate", "-d", "limit-small-synthetic", "--results", store, "--measure", "Recall@20"
    )
    assert (code, "95 % interval" in out) == (0, True)
    assert cli("results", "separate", "-d", "graph-petersen", "--results", store)[0] == 2


def test_separate_on_the_real_limit_small(cli, limit_small: Path, tmp_path: Path) -> None:
    """On the real LIMIT-small, 97.8 and 99.1 of recall@2 are told apart."""
    asked = ("-r", "bm25", "-r", "bm25,stemmer=none")
    assert cli("run", "-d", limit_small, *asked, "--results", tmp_path)[0] == 0
    name = limit_small.name
    code, out, _ = cli("results", "separate", "-d", name, "--results", tmp_path, "--json")
    (pair,) = json.loads(out)["pairs"]
    assert (code, pair["separated"], pair["first"]) == (0, True, "bm25,stemmer=none")


def test_export(cli, store: Path, tmp_path: Path) -> None:
    """CSV, Markdown and Parquet hold a row for each record and measure."""
    code, out, _ = cli("results", "export", "--results", store)
    table = list(csv.DictReader(io.StringIO(out)))
    assert code == 0
    assert len(table) == sum(len(r.measures) for r in Store(store))
    row = next(r for r in table if r["retriever"] == "bm25" and r["measure"] == "Recall@2" and r["documents"] == "46")
    assert float(row["low"]) < float(row["mean"]) < float(row["high"])
    code, out, _ = cli("results", "export", "--results", store, "--format", "markdown", "--out", tmp_path / "t.md")
    assert (code, (tmp_path / "t.md").read_text().count("\n")) == (0, len(table) + 2)
    assert cli("results", "export", "--results", store, "--format", "parquet")[0] == 2
    pyarrow = pytest.importorskip("pyarrow.parquet", reason="needs pyarrow, which limitbench[models] brings")
    assert cli("results", "export", "--results", store, "--format", "parquet", "--out", tmp_path / "t.parquet")[0] == 0
    assert pyarrow.read_table(tmp_path / "t.parquet").num_rows == len(table)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [(("list", "--results", "/dev/null/x"), "there is no results folder"), (("show", "ffff"), "no record"), (("show", "f"), "at least 4 digits"),
     (("separate", "-d", "nope"), "no records for nope"), (("export", "--format", "xlsx"), "expected csv")],
)  # fmt: skip
def test_what_is_not_there_is_said(arguments: tuple[str, ...], says: str, cli, store: Path) -> None:
    """Missing folders, records and formats are said in one sentence."""
    given = arguments if "--results" in arguments else (*arguments, "--results", store)
    code, _, err = cli("results", *given)
    assert (code, says in err) == (2, True), err


@pytest.mark.parametrize(
    ("harm", "says"),
    [(lambda t: t[: len(t) // 2], "not whole JSON"), (lambda t: t.replace('"schema_version": 3', '"schema_version": 4'), "update limitbench"),
     (lambda _t: '{"a": 1}', "is not a limitbench record"), (lambda t: t.replace('"depth": ', '"depth": "x", "dep": '), "is not a limitbench record")],
)  # fmt: skip
def test_broken_records_are_never_skipped(harm, says: str, cli, store: Path, tmp_path: Path) -> None:
    """A truncated, newer, foreign or hand-edited record is an error that names its file, in every command that reads them all."""
    import shutil

    shutil.copytree(store, tmp_path / "r")
    path = next((tmp_path / "r").glob("*/bm25/*.json"))
    path.write_text(harm(path.read_text()))
    for command in (("list",), ("export",), ("separate", "-d", "limit-small-synthetic")):
        code, _, err = cli("results", *command, "--results", tmp_path / "r")
        assert (code, says in err, str(path) in err) == (2, True, True), err


def test_the_record_schema_is_shipped(cli, store: Path) -> None:
    """`limitbench schema result` is docs/schemas/result.json, and every record obeys it."""
    code, out, _ = cli("schema", "result")
    path = ROOT / "docs" / "schemas" / "result.json"
    if os.environ.get("LIMITBENCH_WRITE_GOLDEN"):
        path.write_text(out, encoding="utf-8")
    assert (code, out) == (0, path.read_text(encoding="utf-8"))
    for record in store.glob("*/*/*.json"):
        jsonschema.validate(json.loads(record.read_text()), json.loads(out))


WRITER = """
import sys
from pathlib import Path
from limitbench.results import Store, read
record = read(Path(sys.argv[1]))
store = Store(Path(sys.argv[2]))
print("ready", flush=True)
while True:
    store.write(record, replace=True)
"""


def kill_writers(store: Path, folder: Path, times: int) -> None:
    source = next(store.glob("limit-small-synthetic/bm25/*.json"))
    Store(folder).write(read(source))
    for number in range(times):
        process = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(source), str(folder)], stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(0.02 + 0.007 * (number % 9))
        process.send_signal(signal.SIGKILL)
        process.communicate()
        (record,) = Store(folder)
        assert record.to_json() == source.read_bytes()


def test_a_killed_writer_leaves_the_record_whole(store: Path, tmp_path: Path) -> None:
    """Killed in the middle of writing five times, a writer leaves the old record as it was."""
    kill_writers(store, tmp_path, 5)


@pytest.mark.long
def test_a_writer_killed_a_hundred_times(store: Path, tmp_path: Path) -> None:
    """A hundred times, likewise."""
    kill_writers(store, tmp_path, 100)


CROWD = """
import sys
from pathlib import Path
from limitbench.results import Store, configuration_digest, read
record = read(Path(sys.argv[1]))
store = Store(Path(sys.argv[2]))
for number in range(60):
    store.write(record, replace=number % 2 == 0)  # what every process writes
    options = {**record.retriever.configuration, "number": [int(sys.argv[3]), number]}
    digest = configuration_digest(record.dataset.sha256, options, list(record.measures))
    retriever = record.retriever.model_copy(update={"configuration": options})
    store.write(record.model_copy(update={"configuration_digest": digest, "retriever": retriever}))
"""


@pytest.mark.process
def test_processes_that_write_at_once_lose_nothing(store: Path, tmp_path: Path) -> None:
    """Three processes write their own records and one in common: all are there, whole, and no scrap beside them."""
    source = next(store.glob("limit-small-synthetic/bm25/*.json"))
    writers = [subprocess.Popen([sys.executable, "-c", CROWD, str(source), str(tmp_path), str(i)]) for i in range(1, 4)]
    while any(writer.poll() is None for writer in writers):
        list(Store(tmp_path)) if tmp_path.joinpath("limit-small-synthetic").is_dir() else None
        time.sleep(0.02)
    assert [writer.returncode for writer in writers] == [0, 0, 0]
    digests = {r.configuration_digest for r in Store(tmp_path)}
    assert len(digests) == 3 * 60 + 1
    assert not list(tmp_path.rglob("*.part"))


# ------------------------------------------------------------------------------------------------- published result files


def test_records_become_result_files_of_mteb(store: Path, cli, tmp_path: Path) -> None:
    """A file a model and task, whose scores are the records' means; our own reader and mteb's take them."""
    code, out, err = cli("results", "export", "--format", "mteb", "--results", store, "--out", tmp_path / "m")
    assert code == 0, err
    records = [r for r in Store(store) if r.dataset.name == "limit-small-synthetic"]
    assert out.strip().startswith(f"Wrote {len(list(Store(store)))} files")
    found = read_scores(tmp_path / "m")
    for r in records:
        (row,) = [scores for model, scores in found.items() if model.partition("/")[2] == r.retriever.name]
        assert row["LimitSmallSynthetic"] == r.measures["Recall@2"].mean
    (path,) = (tmp_path / "m" / "limitbench__bm25,stemmer=none").rglob("LimitSmallSynthetic.json")
    told = json.loads(path.read_text())
    r = next(r for r in records if r.retriever.name == "bm25,stemmer=none")
    assert told["scores"]["test"][0]["ndcg_at_10"] == r.measures["nDCG@10"].mean
    assert told["dataset_revision"] == r.dataset.sha256
    assert cli("results", "export", "--format", "mteb", "--results", store)[0] == 2
    mteb = pytest.importorskip("mteb.results", reason="needs limitbench[mteb]")
    assert mteb.TaskResult.from_disk(path).get_score() == r.measures["Recall@2"].mean


def test_an_entry_for_the_leaderboard_is_prepared(store: Path, cli, tmp_path: Path) -> None:
    """The records, checked and copied so that they can be read again, and a text that says what they are and how to send them."""
    out = tmp_path / "entry"
    code, _, err = cli(
        "results", "submit", "--results", store, "-d", "limit-small-synthetic", "--out", out, "--owner", "A | B"
    )
    assert code == 0, err
    assert {r.retriever.name for r in Store(out)} == set(SPECS)
    text = (out / "SUBMISSION.md").read_text()
    assert "# Submission of A \\| B" in text
    assert all(str(r.provenance["command"]) in text for r in Store(out))
    assert cli("results", "submit", "--results", store, "-d", "limit-small-synthetic", "--out", out)[0] == 0, (
        "twice is as once"
    )
    one = digests(store)["limit-small-synthetic/bm25"]
    rows = json.loads(cli("results", "submit", one, "--results", store, "--out", tmp_path / "one", "--json")[1])[
        "records"
    ]
    assert [row["retriever"] for row in rows] == ["bm25"]


@pytest.mark.parametrize(
    ("told", "says"),
    [
        ({"dataset": {"name": "ours"}}, "none of the catalogue"),
        ({"dataset": {"sha256": "0" * 64}}, "are not the catalogue's"),
        ({"provenance": {}}, "it has no command"),
        ({"evidence": "published"}, "published figures"),
    ],
)
def test_what_nobody_else_can_check_is_not_submitted(store: Path, told: dict, says: str, cli, tmp_path: Path) -> None:
    """Foreign data, no command, another's figures: an error that names it, and nothing is written."""
    from limitbench.errors import InputError
    from limitbench.report.submission import submit
    from limitbench.results import configuration_digest

    r = next(r for r in Store(store) if r.retriever.name == "bm25" and r.dataset.name == "limit-small-synthetic")
    dataset = r.dataset.model_copy(update=told.get("dataset", {}))
    digest = configuration_digest(dataset.sha256, r.retriever.configuration, list(r.measures))
    changed = r.model_copy(update={**told, "dataset": dataset, "configuration_digest": digest})
    with pytest.raises(InputError, match=says):
        submit([r, changed], tmp_path / "entry")
    assert not (tmp_path / "entry").exists()


def test_an_entry_says_what_its_readers_should_know(store: Path, tmp_path: Path) -> None:
    """Own folders, services, URLs and imported runs are told, also inside a hybrid."""
    from limitbench.report.submission import checked
    from limitbench.results import configuration_digest

    r = next(r for r in Store(store) if r.retriever.name == "bm25" and r.dataset.name == "limit-small-synthetic")
    options = {
        "adapter": "hybrid",
        "members": [
            {"adapter": "endpoint", "url": "http://inner.example/v1", "model": "m"},
            {"adapter": "dense", "model": "./mine"},
        ],
    }
    by = r.retriever.model_copy(update={"configuration": options})
    digest = configuration_digest(r.dataset.sha256, options, list(r.measures))
    found = checked(r.model_copy(update={"retriever": by, "configuration_digest": digest}))
    assert found.forbids == ()
    told = " ".join(found.cautions)
    assert all(part in told for part in ("'./mine'", "a service may change", "http://inner.example/v1"))


def published(folder: Path, scores: dict[str, dict[str, float]]) -> Path:
    """Result files as mteb writes them: a folder a model and revision, a file a task, a score a subset."""
    for model, tasks in scores.items():
        place = folder / model.replace("/", "__") / "0123abc"
        place.mkdir(parents=True)
        (place / "model_meta.json").write_text(json.dumps({"name": model, "revision": "0123abc"}))
        for task, value in tasks.items():
            rows = [{"hf_subset": "a", "main_score": value - 0.01}, {"hf_subset": "b", "main_score": value + 0.01}]
            (place / f"{task}.json").write_text(
                json.dumps({"task_name": task, "scores": {"test": rows}, "mteb_version": "2"})
            )
    return folder


def test_ranks_that_tasks_can_tell_apart(tmp_path: Path, cli) -> None:
    """A model that is better on every task is above; two that win in turn are one group, and their ranks overlap."""
    rng = np.random.default_rng(0)
    base = rng.uniform(0.3, 0.6, 20)
    noise = rng.normal(0, 0.05, 20)
    scores = {
        "a/best": {f"T{i}": float(base[i] + 0.2) for i in range(20)},
        "b/one": {f"T{i}": float(base[i] + noise[i] - noise.mean()) for i in range(20)},
        "c/two": {f"T{i}": float(base[i] + 0.001) for i in range(19)} | {"Only": 0.5, "T19": float(base[19])},
    }
    found = separated(read_scores(published(tmp_path / "r", scores)))
    assert found.models[0].model == "a/best"
    best, second, third = found.models
    assert (best.lowest, best.highest, best.group) == (1, 1, "a")
    assert second.group == third.group == "b"
    assert {(second.lowest, second.highest), (third.lowest, third.highest)} == {(2, 3)}
    assert (len(found.tasks), found.left_out) == (20, 1)
    assert best.mean == pytest.approx(base.mean() + 0.2)
    code, out, err = cli("results", "separate", "--mteb", tmp_path / "r")
    assert (code, "20 shared tasks" in out, "1 tasks are left out" in err) == (0, True, True), err
    assert json.loads(cli("results", "separate", "--mteb", tmp_path / "r", "--json")[1])["left_out"] == 1


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ('{"task_name": "T", "scores": {"test": [{"main_score": "high"}]}}', "no number"),
        ('{"task_name": "T", "scores": {"test": [{"main_score": NaN}]}}', "NaN"),
        ('{"other": 1}', "has no result file"),
        ('{"task_name": "T", "scores": {"test": [{"main_score": 0.5}]}}', "2 and 5 or more"),
    ],
)
def test_result_files_that_are_none(tmp_path: Path, cli, content: str, says: str) -> None:
    """One sentence each; files of other kinds are passed over."""
    (tmp_path / "m" / "r").mkdir(parents=True)
    (tmp_path / "m" / "r" / "T.json").write_text(content)
    code, _, err = cli("results", "separate", "--mteb", tmp_path)
    assert (code, says in err) == (2, True), err
    assert cli("results", "separate")[0] == 2
