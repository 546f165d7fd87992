"""Stage the pages of the site and build it: `python docs/build_site.py`, or `make site`.

README.md, CHANGELOG.md, docs/, theory/ and the leaderboard keep their places to one another, so that links hold. A link to a file
of the repository that is no page becomes plain text.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
_LINK = re.compile(r"(!?)\[([^\]]*)\]\((?!https?:|#|mailto:)([^)#\s]+)(#[^)\s]*)?\)")
# a session of Python's, which Markdown would quote
_EXAMPLE = re.compile(r"\n((?:>>> .*(?:\n(?!\n|$).*)*(?:\n\n(?=>>> ))?)+)(?=\n\n|\n?$)")
_FOLDERS = ("docs", "theory")
_SHOWN = (".md", ".svg", ".png")


def stage(out: Path) -> list[Path]:
    """Copy the pages and pictures into `out`; the pages."""
    shutil.rmtree(out, ignore_errors=True)
    sources = [ROOT / "README.md", ROOT / "CHANGELOG.md", ROOT / "results" / "README.md"]
    sources += [path for folder in _FOLDERS for path in sorted((ROOT / folder).rglob("*")) if path.suffix in _SHOWN]
    places = {path: out / _place(path.relative_to(ROOT)) for path in sources}
    for path, place in places.items():
        place.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".md":
            text = _LINK.sub(lambda m, p=path: _linked(m, p, places), path.read_text("utf-8"))
            place.write_text(_EXAMPLE.sub(r"\n```pycon\n\1\n```\n", text), "utf-8")
        else:
            shutil.copyfile(path, place)
    return [place for place in places.values() if place.suffix == ".md"]


def _place(path: Path) -> Path:
    return Path("index.md") if path == Path("README.md") else path


def _linked(match: re.Match[str], page: Path, places: dict[Path, Path]) -> str:
    """The link to where its page is staged, or its text alone where it leads to no page."""
    mark, text, target, anchor = match.groups()
    path = (page.parent / target).resolve()
    if path.is_dir() and (path / "README.md") in places:
        path = path / "README.md"
    if path not in places:
        return text
    up = "../" * len(_place(page.relative_to(ROOT)).parent.parts)
    return f"{mark}[{text}]({up}{_place(path.relative_to(ROOT)).as_posix()}{anchor or ''})"


def add_leaderboard(folder: Path) -> None:
    """The leaderboard with its filters and records, beside the page that lists it, which gets a link."""
    from limitbench.report.gathered import gather
    from limitbench.report.leaderboard import page

    (folder / "leaderboard.html").write_text(page(gather(ROOT / "results", read_data=False)), "utf-8")
    listed = folder / "README.md"
    title, _, rest = listed.read_text("utf-8").partition("\n")
    listed.write_text(f"{title}\n\n[The same with filters and each row's record](leaderboard.html)\n{rest}", "utf-8")


def main() -> int:
    """Stage and build; the exit code of the generator."""
    place = ROOT / "build"
    stage(place / "pages")
    add_leaderboard(place / "pages" / "results")
    shutil.copyfile(ROOT / "docs" / "mkdocs.yml", place / "mkdocs.yml")
    command = [sys.executable, "-m", "zensical", "build", "--clean", "--config-file", str(place / "mkdocs.yml")]
    return subprocess.run(command, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
