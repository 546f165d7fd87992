"""The examples where teams live: pytest, GitHub, pre-commit, and a RAG service over FAISS whose index change is caught."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT

EXAMPLES = ROOT / "examples"
BIN = Path(sys.executable).parent


def copied(name: str, folder: Path) -> Path:
    """The example in a folder of its own, which is a project of its own."""
    shutil.copytree(EXAMPLES / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / name / ".git").mkdir()
    return folder / name


def call(*command: object, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    clean = {
        key: value for key, value in os.environ.items() if key not in ("CI", "GITHUB_ACTIONS", "GITHUB_STEP_SUMMARY")
    }
    path = f"{BIN}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        list(map(str, command)), cwd=cwd, capture_output=True, text=True, env={**clean, "PATH": path, **environment}, timeout=280
    )  # fmt: skip


@pytest.mark.process
def test_a_change_of_the_index_is_caught(tmp_path: Path) -> None:
    """The RAG service passes with the flat index; with product quantisation the check fails with LB302 and says the drop."""
    pytest.importorskip("sentence_transformers", reason="needs limitbench[models]")
    pytest.importorskip("faiss", reason="needs limitbench[ann]")
    home = copied("rag-faiss", tmp_path)
    check = ("limitbench", "check", "--tier", "full", "--json")
    done = call(*check, cwd=home)
    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads(done.stdout)["findings"] == []
    (home / "index.toml").write_text('kind = "PQ16x4"\n')
    done = call(*check, cwd=home)
    found = {finding["rule"]: finding for finding in json.loads(done.stdout)["findings"]}
    assert (done.returncode, {"LB301", "LB302"} <= set(found)) == (1, True)
    assert found["LB302"]["numbers"]["drop"] > 0.2
    assert json.loads(call(*check, "--no-exec", cwd=home).stdout)["exit_code"] == 3


def test_the_data_of_the_example_are_what_the_script_writes(tmp_path: Path) -> None:
    """make_data.py writes the committed files again, byte for byte."""
    home = copied("rag-faiss", tmp_path)
    before = {path.name: path.read_bytes() for path in (home / "eval").iterdir()}
    assert call(sys.executable, "make_data.py", cwd=home).returncode == 0
    assert {path.name: path.read_bytes() for path in (home / "eval").iterdir()} == before


def test_a_plan_in_continuous_integration(tmp_path: Path) -> None:
    """The example of a plan passes, says what growth assumes, and fails where the plan is mended into what cannot be."""
    home = copied("ci-check", tmp_path)
    done = call("limitbench", "check", cwd=home)
    assert (done.returncode, "assumes: workload 'support' at growth 2" in done.stdout) == (0, True), done.stdout
    text = (home / "limitbench.toml").read_text()
    (home / "limitbench.toml").write_text(text.replace("dim = 384", "dim = 2"))
    done = call("limitbench", "check", cwd=home)
    assert (done.returncode, "LB101" in done.stdout) == (1, True)


def test_the_action_runs_the_check(tmp_path: Path) -> None:
    """The composite action's last step, run by bash as GitHub does, annotates, writes SARIF and the summary, and ends as the check."""
    yaml = pytest.importorskip("yaml", reason="needs PyYAML, which limitbench[models] brings")
    action = yaml.safe_load((ROOT / ".github" / "actions" / "check" / "action.yml").read_text())
    step = next(step for step in action["runs"]["steps"] if step.get("id") == "check")
    home = copied("ci-check", tmp_path)
    (home / "limitbench.toml").write_text((home / "limitbench.toml").read_text().replace("dim = 384", "dim = 2"))
    inputs = {name: str(entry["default"]) for name, entry in action["inputs"].items()} | {
        "sarif": "out.sarif",
        "junit": "out.xml",
    }
    given = {
        key: inputs[value[len("${{ inputs.") : -len(" }}")]] if value.startswith("${{ inputs.") else sys.executable
        for key, value in step["env"].items()
    }
    place = str(ROOT / ".github" / "actions" / "check")
    done = call(
        "bash",
        "-eo",
        "pipefail",
        "-c",
        step["run"],
        cwd=home,
        GITHUB_ACTIONS="true",
        GITHUB_ACTION_PATH=place,
        GITHUB_OUTPUT=str(home / "outputs"),
        GITHUB_STEP_SUMMARY=str(home / "s.md"),
        **given,
    )
    assert done.returncode == 1, done.stderr
    assert "::error file=limitbench.toml,line=" in done.stderr
    assert "**failed**" in (home / "s.md").read_text()
    assert json.loads((home / "out.sarif").read_text())["runs"][0]["results"][0]["ruleId"] == "LB101"
    assert (home / "out.xml").exists()
    assert (home / "outputs").read_text() == "verdict=violated\nexit-code=1\n"
    used = yaml.safe_load((EXAMPLES / "ci-check" / "workflow.yml").read_text())["jobs"]["check"]["steps"][1]
    assert used["uses"].split("@")[0].endswith("/.github/actions/check")
    assert set(used["with"]) <= set(action["inputs"])


def test_the_hooks_run(tmp_path: Path) -> None:
    """Every pre-commit hook's entry is a command that runs, and the example names one of them."""
    yaml = pytest.importorskip("yaml", reason="needs PyYAML, which limitbench[models] brings")
    hooks = {hook["id"]: hook for hook in yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())}
    home = copied("ci-check", tmp_path)
    assert call(*shlex.split(hooks["limitbench-check"]["entry"]), cwd=home).returncode == 0
    (home / "eval" / "qrels").mkdir()
    (home / "eval" / "qrels.tsv").rename(home / "eval" / "qrels" / "test.tsv")
    assert call(*shlex.split(hooks["limitbench-lint"]["entry"]), "eval", cwd=home).returncode == 0
    config = yaml.safe_load((EXAMPLES / "ci-check" / "pre-commit-config.yaml").read_text())
    assert {hook["id"] for repo in config["repos"] for hook in repo["hooks"]} <= set(hooks)


def pytest_in(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return call(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments, cwd=home)


@pytest.mark.process
def test_the_pytest_plugin(tmp_path: Path) -> None:
    """The fixture and --limitbench pass on a sound plan; on another each finding is a failing test, with its reason."""
    home = copied("ci-check", tmp_path)
    done = pytest_in(home)
    assert (done.returncode, "1 passed" in done.stdout) == (0, True), done.stdout + done.stderr
    done = pytest_in(home, "--limitbench")
    assert "2 passed" in done.stdout, done.stdout
    (home / "limitbench.toml").write_text((home / "limitbench.toml").read_text().replace("dim = 384", "dim = 2"))
    done = pytest_in(home, "--limitbench", "limitbench.toml")
    assert (done.returncode, "2 failed" in done.stdout) == (1, True), done.stdout
    assert "LB101 [proved] dimension 2 cannot carry all 2-subsets of 24 documents" in done.stdout
    done = pytest_in(home)
    assert (done.returncode, "LB101" in done.stdout, "Traceback" in done.stdout) == (1, True, False)
    (home / "limitbench.toml").write_text("version = 9\n")
    done = pytest_in(home, "--limitbench", "limitbench.toml")
    assert (done.returncode, "newer limitbench" in done.stdout) == (2, True), done.stdout


def test_the_pytest_plugin_is_light() -> None:
    """Loading the plugin, as every pytest session does where limitbench is installed, imports neither numpy nor pydantic."""
    code = "import sys, limitbench.pytest_plugin; print(sorted({'numpy', 'pydantic', 'limitbench.checks', 'typer'} & set(sys.modules)))"
    assert call(sys.executable, "-c", code, cwd=ROOT).stdout.strip() == "[]"


@pytest.mark.process
def test_the_losses_example_measures_and_names_wrong_options(tmp_path: Path) -> None:
    """All pairs of 5 documents in 4 dimensions by both losses; the file holds what was tried; other names are told, exit 2."""
    pytest.importorskip("torch", reason="needs limitbench[models]")
    script, out = ROOT / "examples" / "losses.py", tmp_path / "losses.json"
    command = [sys.executable, str(script), "--n", "5", "--budget", "30", "--criteria", "rows", "--out", str(out)]
    subprocess.run(command, check=True, capture_output=True, text=True)
    rows = json.loads(out.read_text())
    assert [(row["loss"], row["least"]) for row in rows] == [("infonce", 4), ("sigmoid", 4)]
    wrong = subprocess.run(
        [sys.executable, str(script), "--losses", "foo"], capture_output=True, text=True, check=False
    )
    assert (wrong.returncode, "found foo" in wrong.stderr) == (2, True)


@pytest.mark.docs
def test_the_words_of_distractors_are_counted(tmp_path: Path) -> None:
    """docs/fine-tuning.md's count is what the script prints."""
    done = call(sys.executable, EXAMPLES / "distractor_words.py", "limit-test", cwd=tmp_path)
    assert done.stdout == "limit-test: 49,954 distractors list 85 different attributes\n", done.stderr
    page = " ".join((ROOT / "docs" / "fine-tuning.md").read_text(encoding="utf-8").split())
    assert "the distractors of `limit-test` list 85 different attributes" in page
