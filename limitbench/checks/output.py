"""Reports in the formats that teams read: text, Markdown, JSON (canonical), JUnit, SARIF 2.1.0, GitHub's and GitLab's.

JSON is the report; the others are projections. Nothing here decides anything.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from limitbench.checks.findings import (
    Report,
)
from limitbench.checks.formats.github import github
from limitbench.checks.formats.gitlab import gitlab
from limitbench.checks.formats.json import all_json, joined_with
from limitbench.checks.formats.junit import junit
from limitbench.checks.formats.markdown import markdown
from limitbench.checks.formats.sarif import sarif
from limitbench.checks.formats.text import text
from limitbench.errors import StorageError
from limitbench.files import atomic_write

FORMATS: dict[str, Callable[[Sequence[Report]], str]] = {
    "text": joined_with(text, "== "), "json": all_json, "junit": junit, "sarif": sarif, "github": joined_with(github),
    "markdown": joined_with(markdown, "## "), "gitlab": gitlab,
}  # fmt: skip


def write(reports: Sequence[Report], name: str, path: Path) -> None:
    """Write the reports in a format, whole or not at all. Raises `StorageError`."""
    with atomic_write(path) as out:
        out.write(FORMATS[name](reports).encode("utf-8", "replace"))


def append_step_summary(reports: Sequence[Report]) -> None:
    """Append the Markdown to GitHub's step summary, where there is one. Raises `StorageError`."""
    place = os.environ.get("GITHUB_STEP_SUMMARY")
    if not place:
        return
    try:
        with Path(place).open("a", encoding="utf-8", errors="replace") as out:
            out.write(FORMATS["markdown"](reports) + "\n")
    except OSError as error:
        raise StorageError(f"GITHUB_STEP_SUMMARY {place} cannot be written ({error.strerror}); check it") from None
