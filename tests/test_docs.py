"""Docs that cannot drift: the how-tos run and print what they say, the command line's reference is the commands', links lead somewhere."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
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


@pytest.mark.docs
@pytest.mark.process
def test_the_site_builds_offline_and_its_links_lead_somewhere(tmp_path: Path) -> None:
    """`make site`, from a copy: every page is there, every link and anchor leads somewhere, and nothing comes from elsewhere."""
    pytest.importorskip("zensical", reason="needs limitbench[site]")
    root = tmp_path / "repository"
    for name in ("docs", "theory", "results"):
        shutil.copytree(ROOT / name, root / name)
    for name in ("README.md", "CHANGELOG.md"):
        shutil.copyfile(ROOT / name, root / name)
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "http_proxy": "http://127.0.0.1:9",
        "https_proxy": "http://127.0.0.1:9",
    }
    built = subprocess.run(
        [sys.executable, "docs/build_site.py"], cwd=root, env=environment, capture_output=True, text=True, check=False
    )
    assert built.returncode == 0, built.stdout + built.stderr
    site = root / "build" / "site"
    pages = {path: _Page.of(path) for path in site.rglob("*.html") if path.name != "404.html"}
    assert len(pages) > 90
    assert "evaluate" in (site / "docs" / "api.html").read_text()
    for path, page in pages.items():
        assert not [link for link in page.assets if link.startswith("http")], path
        for link in (*page.links, *page.assets):
            target, _, anchor = link.partition("#")
            if link.startswith(("http", "mailto:", "data:")):
                continue
            place = (path.parent / target.partition("?")[0]).resolve() if target else path
            place = place / "index.html" if place.is_dir() else place
            assert place.exists(), (path.name, link)
            assert not anchor or place not in pages or anchor in pages[place].ids or anchor.startswith("__"), (
                path.name,
                link,
            )


class _Page(HTMLParser):
    """The ids, links and assets of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.ids: set[str] = set()
        self.links: list[str] = []
        self.assets: list[str] = []

    @classmethod
    def of(cls, path: Path) -> _Page:
        """The page in a file."""
        made = cls()
        made.feed(path.read_text(encoding="utf-8"))
        return made

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note what a tag refers to."""
        told = {name: value for name, value in attrs if value}
        self.ids.add(told.get("id", ""))
        if tag == "a" and "href" in told:
            self.links.append(told["href"])
        if tag in ("script", "link", "img", "iframe"):
            self.assets += [told[name] for name in ("src", "href") if name in told]
