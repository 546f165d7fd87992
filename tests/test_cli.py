from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import typer

MAIN = [sys.executable, "-m", "limitbench"]


def test_run_json(cli, tmp_path: Path) -> None:
    """--json prints one object in the promised shape, fractions in [0, 1], names as typed, and nothing else."""
    code, out, err = cli(
        "run", "-d", "limit-small-synthetic", "-r", "bm25,stemmer=none", "-r", "random", "--results", tmp_path, "--json"
    )
    found = json.loads(out)
    assert (code, err, found["schema_version"]) == (0, "", 1)
    assert [(r["dataset"], r["retriever"]) for r in found["results"]] == [
        ("limit-small-synthetic", "bm25,stemmer=none"), ("limit-small-synthetic", "random")
    ]  # fmt: skip
    for result in found["results"]:
        assert set(result["measures"]["Recall@2"]) == {"mean", "worst", "best"}
        assert all(0 <= value <= 1 for means in result["measures"].values() for value in means.values())


def test_run_prints_a_table_and_says_what_was_reused(cli, tmp_path: Path) -> None:
    """People get a table with percent; a second run says on stderr that records were reused."""
    arguments = ("run", "-d", "limit-small-synthetic", "-r", "tfidf-items", "--results", tmp_path)
    code, out, err = cli(*arguments)
    assert (code, err) == (0, "")
    assert "Recall@2" in out
    assert "100.0" in out
    code, _, err = cli(*arguments)
    assert (code, "1 of 1 results were already in" in err) == (0, True)


def test_folder_datasets(cli, beir, tmp_path: Path) -> None:
    """A folder's dataset is named by its last component, and left-out queries are counted on stderr."""
    folder = beir(qrels="query-id\tcorpus-id\tscore\nq1\td 1\t1\n")
    code, out, err = cli(
        "run", "-d", folder, "-r", "bm25", "--results", tmp_path / "r", "--json", "--measures", "Recall@1"
    )
    assert (code, json.loads(out)["results"][0]["dataset"]) == (0, "data")
    assert "1 of 2 queries have no judgement" in err


def test_save_runs(cli, tmp_path: Path) -> None:
    """--save-runs writes each run as TREC, ids escaped, readable again."""
    from limitbench.rankings import read_trec_run

    code, _, _ = cli("run", "-d", "limit-small-synthetic", "-r", "bm25", "--results", tmp_path / "r",
                     "--save-runs", tmp_path / "t")  # fmt: skip
    (path,) = (tmp_path / "t" / "limit-small-synthetic" / "bm25").glob("*.trec")
    found = read_trec_run(path)
    assert (code, len(found)) == (0, 1000)
    assert all(" " in document for row in found.values() for document in row)


BAD = {
    "nothing to run": (("run",), "nothing to run"),
    "unknown dataset": (("run", "-d", "limit-smal", "-r", "bm25"), "did you mean 'limit-small'?"),
    "unknown retriever": (("run", "-d", "limit-small-synthetic", "-r", "bm52"), "did you mean 'bm25'?"),
    "missing folder": (("run", "-d", "./nowhere", "-r", "bm25"), "found nothing, expected a folder"),
    "unknown suite": (("run", "embeded"), "did you mean 'embedded'?"),
    "unknown measure": (("run", "embedded", "--measures", "Recal@2"), "did you mean 'Recall'?"),
    "unknown option": (("run", "--colour"), "No such option"),
    "unknown command": (("rum",), "No such command 'rum'"),
    "suite and dataset": (("run", "embedded", "-d", "x"), "give the one or the others"),
    "unwritable results": (("run", "embedded", "--results", "/dev/null/x"), "cannot be written"),
    "no records": (("compare", "--results", "/dev/null/x"), "there is no results folder"),
    "unknown generated": (("generate", "nope", "--out", "x"), "is not in the catalogue"),
    "hub is not generated": (("generate", "limit", "--out", "x"), "is fetched, not generated"),
    "describe nothing": (("describe", "./nowhere"), "found nothing"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_line_and_exit_2(cli, case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bad input exits with 2, prints one line on stderr that says what to do, nothing on stdout, and leaves no file."""
    monkeypatch.chdir(tmp_path)
    arguments, says = BAD[case]
    code, out, err = cli(*arguments)
    assert (code, out) == (2, "")
    assert says in err
    assert len(err.strip().splitlines()) == 1
    assert not [p for p in tmp_path.rglob("*") if p.is_file()]


def test_describe(cli) -> None:
    """describe prints the paper's densities to six digits."""
    code, out, _ = cli("describe", "limit-small-synthetic")
    assert code == 0
    for figure in ("0.085481", "28.4653", "0.966184"):
        assert figure in out
    assert json.loads(cli("describe", "limit-small-synthetic", "--json")[1])["queries"] == 1000


def test_generate(cli, tmp_path: Path) -> None:
    """generate writes the three files; the same again is fine; another dataset in the way is not overwritten unasked."""
    code, out, _ = cli("generate", "limit-small-synthetic", "--out", tmp_path)
    assert (code, out.split()[0]) == (0, "sha256")
    assert {str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*") if p.is_file()} == {
        "corpus.jsonl", "queries.jsonl", "qrels/test.tsv"
    }  # fmt: skip
    assert cli("generate", "limit-small-synthetic", "--out", tmp_path)[0] == 0
    (tmp_path / "corpus.jsonl").write_text('{"_id": "mine", "text": "mine"}\n')
    code, _, err = cli("generate", "limit-small-synthetic", "--out", tmp_path)
    assert (code, "already holds" in err) == (2, True)
    assert cli("generate", "limit-small-synthetic", "--out", tmp_path, "--overwrite", "--json")[0] == 0


@pytest.mark.parametrize("command", ["list", "doctor"])
def test_overviews(cli, command: str) -> None:
    """list and doctor print for people and for machines."""
    code, out, err = cli(command)
    assert (code, err) == (0, "")
    assert "bm25" in out
    assert json.loads(cli(command, "--json")[1])["schema_version"] == 1


def test_compare(cli, tmp_path: Path) -> None:
    """compare shows ours beside the published rows, as table, Markdown and JSON."""
    cli("run", "-d", "limit-small-synthetic", "-r", "bm25", "--results", tmp_path)
    for option in ((), ("--markdown",)):
        _, out, _ = cli("compare", "--results", tmp_path, *option)
        assert "GTE-ModernColBERT" in out
        assert "on the real limit-small" in out
    rows = json.loads(cli("compare", "--results", tmp_path, "--json")[1])["comparisons"][0]["rows"]
    assert {row["source"] for row in rows} == {"ours", "published"}
    assert next(r for r in rows if r["system"] == "BM25")["measures"]["Recall@2"]["mean"] == pytest.approx(0.978)


def test_records_are_chosen_by_what_run_takes(cli, tmp_path: Path) -> None:
    """A folder names its records for compare, report and results; the report says on the terminal what it found."""
    cli("generate", "limit-small-synthetic", "--out", tmp_path / "my notes")
    at = ("-d", f"{tmp_path}/my notes/", "--results", tmp_path / "r")
    cli("run", *at, "-r", "bm25")
    assert "my notes" in cli("compare", *at)[1]
    assert "my notes" in cli("results", "list", *at)[1]
    code, out, _ = cli("report", *at)
    assert code == 0
    assert "- my notes: among the first 2 documents, bm25 finds 97.8 %" in out
    assert json.loads(cli("report", *at, "--json")[1])["at_a_glance"][0].startswith("my notes: ")
    assert cli("compare", "-d", tmp_path, "--results", tmp_path / "r")[0] == 2


def test_narrow_terminals_keep_the_first_columns(cli, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """At 40 columns the table drops its last columns and says which, rather than cutting numbers."""
    from rich.console import Console

    import limitbench.cli.output as output

    monkeypatch.setattr(output, "console", lambda **_: Console(width=40))
    _, out, _ = cli("run", "-d", "limit-small-synthetic", "-r", "bm25", "--results", tmp_path)
    assert "not shown at this width" in out
    assert max(map(len, (line for line in out.splitlines() if line[:1] in "┏┃│└"))) <= 40


def test_help_and_version() -> None:
    """--help, --version and no argument at all answer."""
    for arguments, code in ((["--help"], 0), (["--version"], 0), ([], 2), (["run", "--help"], 0)):
        done = subprocess.run([*MAIN, *arguments], capture_output=True, text=True, check=False)
        assert done.returncode == code, arguments
        assert "Traceback" not in done.stderr


@pytest.mark.process
def test_ctrl_c_exits_130_and_keeps_what_was_done(tmp_path: Path) -> None:
    """An interrupted suite exits with 130, leaves whole records only, and resumes."""
    command = [
        *MAIN,
        "run",
        "-d",
        "limit-small-synthetic",
        *(f"--retriever=random,seed={i}" for i in range(40)),
        "--results",
        str(tmp_path),
    ]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while not list(tmp_path.glob("*/*/*.json")) and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    records = list(tmp_path.glob("*/*/*.json"))
    assert process.returncode == 130, err
    assert 0 < len(records) < 40
    assert all(json.loads(p.read_text())["schema_version"] == 3 for p in records)
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert f"{len(records)} of 40 results were already in" in done.stderr


def test_a_closed_pipe_is_no_error() -> None:
    """`limitbench list | head -1` ends quietly."""
    done = subprocess.run(
        f"'{sys.executable}' -m limitbench list | head -1", shell=True, capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_no_colour_in_pipes() -> None:
    """Piped output holds no escape sequences."""
    done = subprocess.run(
        [*MAIN, "list"], capture_output=True, text=True, check=True, env={**os.environ, "TERM": "xterm"}
    )
    assert "\x1b" not in done.stdout


def test_two_processes_on_one_results_folder(tmp_path: Path) -> None:
    """Two runs at once both finish, and leave one whole record each configuration."""
    command = [*MAIN, "run", "-d", "limit-small-synthetic", "-r", "bm25", "-r", "random", "--results", str(tmp_path)]
    processes = [subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) for _ in range(2)]
    assert [p.wait(60) for p in processes] == [0, 0]
    for process in processes:
        assert process.stderr is not None
        process.stderr.close()
    assert len(list(tmp_path.glob("*/*/*.json"))) == 2
    assert not list(tmp_path.rglob("*.part"))


def test_every_command_stands_in_one_group(cli) -> None:
    """The help has groups, each command in one, with its whole first sentence."""
    from limitbench.cli import SECTIONS, app

    known = set(typer.main.get_command(app).commands)  # type: ignore[attr-defined]
    grouped = [name for names in SECTIONS.values() for name in names]
    assert len(grouped) == len(set(grouped))
    assert set(grouped) == known
    code, out, _ = cli("--help")
    assert (code, "..." in out.partition("Benchmark:")[2], "Others:" in out) == (0, False, False)


@pytest.mark.parametrize("device", ["gpu", "", "cuda:x", "CPU"])
def test_a_device_that_is_none_is_refused(cli, tmp_path: Path, device: str) -> None:
    """Also where no retriever would have used it."""
    code, _, err = cli("run", "-d", "graph-petersen", "-r", "bm25", "--device", device, "--results", tmp_path)
    assert (code, "expected auto, cpu, cuda" in err) == (2, True), err
