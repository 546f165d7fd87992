"""Docs that cannot drift: the how-tos run and print what they say, the command line's reference is the commands', links lead somewhere."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest
from conftest import ROOT
from test_examples import call

DOCS = ROOT / "docs"
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.M | re.S)


@pytest.mark.docs
@pytest.mark.parametrize("reader", ["researcher", "theorist", "ci"])
def test_a_how_to_does_what_it_says(reader: str, tmp_path: Path) -> None:
    """Every block runs, in order, in an empty folder, and prints what the page says that it prints."""
    pytest.importorskip("sentence_transformers", reason="needs limitbench[models]")
    pytest.importorskip("matplotlib", reason="needs limitbench[plots]")
    printed, ran = "", 0
    for language, code in BLOCK.findall((DOCS / f"howto-{reader}.md").read_text(encoding="utf-8")):
        if language == "text":
            for line in filter(None, map(str.strip, code.splitlines())):
                assert line in printed, f"{line!r} is not in what was printed:\n{printed}"
            continue
        command = ("bash", "-euo", "pipefail", "-c", code) if language == "sh" else (sys.executable, "-c", code)
        done = call(*command, cwd=tmp_path, OMP_NUM_THREADS="1", GIT_CONFIG_GLOBAL=os.devnull)
        assert done.returncode == 0, f"{code}\n{done.stdout}{done.stderr}"
        printed, ran = done.stdout + done.stderr, ran + 1
    assert ran >= 4


def test_the_command_line_reference_is_current() -> None:
    """docs/cli.md is what typer renders of the commands; `make docs` writes it."""
    locked = re.search(r"^typer==(.+)$", (ROOT / "constraints.txt").read_text(), re.M)
    assert locked is not None
    if version("typer") != locked[1]:
        pytest.skip(f"needs typer {locked[1]}, whose rendering docs/cli.md has")
    render = [
        sys.executable,
        "-m",
        "typer",
        "limitbench.cli",
        "utils",
        "docs",
        "--name",
        "limitbench",
        "--title",
        "The command line",
    ]
    environment = {**os.environ, "COLUMNS": "80", "NO_COLOR": "1", "TERM": "dumb"}
    text = subprocess.run(render, capture_output=True, text=True, check=True, env=environment).stdout.rstrip() + "\n"
    path = DOCS / "cli.md"
    if os.environ.get("LIMITBENCH_WRITE_GOLDEN"):
        path.write_text(text, encoding="utf-8")
    assert path.read_text(encoding="utf-8") == text


def test_every_command_is_in_the_readme_or_the_reference() -> None:
    """A command that exists is documented."""
    text = (DOCS / "cli.md").read_text(encoding="utf-8")
    for command in (
        "run",
        "sweep",
        "drown",
        "report",
        "leaderboard",
        "results import",
        "results diff",
        "check",
        "bounds",
    ):
        assert f"## `limitbench {command}`" in text


PAGES = sorted(path for path in (*ROOT.glob("*.md"), *DOCS.rglob("*.md"), *(ROOT / "results").glob("*.md")))


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(page: Path) -> None:
    """Every relative link of a page names a file or folder of this repository."""
    for target in re.findall(r"\]\((?!https?:|#|mailto:)([^)#\s]+)", page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), target


@pytest.mark.docs
def test_figures_of_the_docs_are_drawn_from_the_records(cli, tmp_path: Path) -> None:
    """docs/figures are what `limitbench report --format svg` draws of results/ today."""
    pytest.importorskip("matplotlib", reason="needs limitbench[plots]")
    locked = re.search(r"^matplotlib==(.+)$", (ROOT / "constraints.txt").read_text(), re.M)
    assert locked is not None
    if version("matplotlib") != locked[1]:
        pytest.skip(f"needs matplotlib {locked[1]}, whose drawing docs/figures have")
    names = ("limit-small", "limit-small-synthetic", "limit-synthetic")
    asked = [argument for name in names for argument in ("-d", name)]
    assert cli("report", "--results", ROOT / "results", "--format", "svg", "--out", tmp_path, *asked)[0] == 0
    kept = sorted((DOCS / "figures").glob("*.svg"))
    assert len(kept) >= 4
    for path in kept:
        if os.environ.get("LIMITBENCH_WRITE_GOLDEN"):
            path.write_bytes((tmp_path / path.name).read_bytes())
        assert path.read_bytes() == (tmp_path / path.name).read_bytes(), path.name
