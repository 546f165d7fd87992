"""Earlier baselines, from version control: what `max_decline` looks back at."""

from __future__ import annotations

import subprocess
from pathlib import Path

from limitbench.checks.baseline import Baseline, parse_baseline
from limitbench.errors import DataError, LimitbenchError

_SECONDS = 30.0


def earlier(path: Path, most: int) -> list[tuple[str, Baseline]]:
    """Up to `most` committed versions of a baseline, the newest first, each with its commit. Unreadable ones are left out.

    Raises `LimitbenchError` where the file is in no git repository, or the clone is shallow and holds fewer than were asked for.
    """
    folder = next((place for place in (path.parent, *path.parents) if place.is_dir()), Path("/"))
    wanted = ("--follow", "--diff-filter=AMR", "--name-only", "--format=%x00%H")
    log = _git(folder, "log", f"--max-count={most}", *wanted, "--", path.relative_to(folder).as_posix())
    commits = [
        (lines[0], lines[-1])
        for entry in log.split("\0")
        if len(lines := entry.split("\n")) and (lines := [x for x in lines if x])
    ]
    if len(commits) < most and _git(folder, "rev-parse", "--is-shallow-repository").strip() == "true":
        raise LimitbenchError(
            f"the clone is shallow and holds {len(commits)} of the last {most} baselines; fetch the history: "
            "fetch-depth: 0 in actions/checkout, or git fetch --unshallow"
        )
    found = []
    for commit, name in commits:
        try:
            found.append((commit, parse_baseline(_git(folder, "show", f"{commit}:{name}"), path)))
        except DataError:
            continue
    return found


def _git(folder: Path, *arguments: str) -> str:
    """What git prints, without a pager or a file-system monitor."""
    command = ["git", "--no-pager", "-c", "core.fsmonitor=false", *arguments]
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, timeout=_SECONDS, check=False)
    except FileNotFoundError:
        raise LimitbenchError("git is not installed, so earlier baselines cannot be read; install it") from None
    except (OSError, subprocess.TimeoutExpired) as error:
        raise LimitbenchError(
            f"git did not answer ({type(error).__name__}), so earlier baselines cannot be read"
        ) from None
    if done.returncode:
        said = " ".join(done.stderr.decode("utf-8", "replace").split())[:200]
        raise LimitbenchError(f"earlier baselines cannot be read from git: {said}")
    return done.stdout.decode("utf-8", "surrogateescape")
