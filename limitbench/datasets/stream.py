"""Writing a planned dataset of any size in constant memory, so that an interrupted run can go on.

Lines go into a hidden folder inside the target; only whole files are moved out of it. After every part of the corpus its length
is noted, so the next run with the same plan goes on behind the last noted part. Gzip files hold one member a part. A lock keeps
a second process out.
"""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from limitbench.datasets.folders import FILES, move_into_place
from limitbench.datasets.plan import Plan
from limitbench.errors import InputError, StorageError
from limitbench.files import atomic_write, storing

Progress = Callable[[str, int, int], None]
PART = 50_000  # documents between two notes
_HIDDEN = ".limitbench-generate"


@dataclass(frozen=True)
class Written:
    """A dataset on disk. `resumed` documents were there from an interrupted run; `discarded` tells of an unusable one."""

    folder: Path
    files: tuple[str, ...]
    sha256: str
    resumed: int
    discarded: bool


def write_plan(
    plan: Plan, folder: Path | str, key: str, *, gz: bool = False, progress: Progress | None = None, expected: str | None = None
) -> Written:  # fmt: skip
    """Write the plan's dataset as a BEIR folder, going on from an interrupted run with the same `key`.

    `key` identifies the plan. Raises `StorageError` for what the file system refuses, or at once where there is clearly too little
    room; `InputError` where another process is at work in the folder, or where the content has not the `expected` sha256.
    """
    folder = Path(folder)
    hidden = folder / _HIDDEN
    with storing(folder):
        (folder / "qrels").mkdir(parents=True, exist_ok=True)
        hidden.mkdir(exist_ok=True)
    with _alone(hidden):
        suffix = ".gz" if gz else ""
        key = hashlib.sha256(f"{key} {gz} {PART}".encode()).hexdigest()
        corpus = _Growing(hidden / f"corpus.jsonl{suffix}.part", hidden / "state.json", key, gz)
        done, discarded = corpus.resume(plan.n)
        _require_room(plan, folder, gz, done)
        digest = hashlib.sha256()
        for chunk in corpus.content():
            digest.update(chunk)
        for start in range(done, plan.n, PART):
            stop = min(plan.n, start + PART)
            with corpus.part(stop) as out:
                for number, line in enumerate(plan.corpus_lines(start, stop), start + 1):
                    out.write(line)
                    digest.update(line)
                    if progress and (number % 1000 == 0 or number == plan.n):
                        progress("documents", number, plan.n)
        for name, lines in (("queries.jsonl", plan.query_lines()), ("qrels/test.tsv", plan.qrels_lines())):
            with atomic_write(hidden / f"{name}{suffix}", gz=gz) as out:
                for line in lines:
                    out.write(line)
                    digest.update(line)
        sha256 = digest.hexdigest()
        if expected is not None and sha256 != expected:
            shutil.rmtree(hidden, ignore_errors=True)
            raise InputError(
                f"the dataset came out with sha256 {sha256}, its spec says {expected}; the spec, a vocabulary or the "
                "generator was changed: set sha256 to the new value if that is meant"
            )
        with storing(folder):
            corpus.path.replace(hidden / f"corpus.jsonl{suffix}")
        move_into_place(hidden, folder, gz=gz)
        shutil.rmtree(hidden, ignore_errors=True)
    return Written(folder, tuple(f"{name}{suffix}" for name in FILES), sha256, done, discarded)


def folder_digest(folder: Path) -> str | None:
    """sha256 of the content of a BEIR folder as `Dataset.digest` has it, read in pieces; None where a file is missing or broken."""
    state = hashlib.sha256()
    for name in FILES:
        plain, packed = folder / name, folder / f"{name}.gz"
        path = plain if plain.exists() else packed
        try:
            with gzip.open(path) if path == packed else path.open("rb") as stream:
                while chunk := stream.read(1 << 20):
                    state.update(chunk)
        except (OSError, EOFError):
            return None
    return state.hexdigest()


class _Growing:
    """A file that grows by parts, each noted when it is safely on the disk."""

    def __init__(self, path: Path, notes: Path, key: str, gz: bool) -> None:
        self.path, self.notes, self.key, self.gz = path, notes, key, gz

    def resume(self, most: int) -> tuple[int, bool]:
        """How many documents an earlier run left whole, the rest cut off, and whether something unusable was thrown away."""
        there = self.path.exists() or self.notes.exists()
        with storing(self.path):
            try:
                noted = json.loads(self.notes.read_text())
                done, size = int(noted["documents"]), int(noted["bytes"])
                if noted["key"] == self.key and 0 < done <= most and self.path.stat().st_size >= size:
                    os.truncate(self.path, size)
                    return done, False
            except (OSError, ValueError, KeyError, TypeError):
                pass
            for left in (self.path, self.notes):
                left.unlink(missing_ok=True)
        return 0, there

    def content(self) -> Iterator[bytes]:
        """What is there, unpacked."""
        if not self.path.exists():
            return
        with gzip.open(self.path) if self.gz else self.path.open("rb") as stream:
            while chunk := stream.read(1 << 20):
                yield chunk

    @contextlib.contextmanager
    def part(self, documents: int) -> Iterator[IO[bytes]]:
        """A stream for the part that ends with this many documents; noted at the end."""
        with storing(self.path):
            with self.path.open("ab") as raw:
                if self.gz:
                    with gzip.GzipFile(filename="", mode="wb", fileobj=raw, mtime=0) as packed:
                        yield packed  # type: ignore[misc]  # a binary stream in all but its declared type
                else:
                    yield raw
                raw.flush()
                os.fsync(raw.fileno())
                size = raw.tell()
            with atomic_write(self.notes) as out:
                out.write(json.dumps({"key": self.key, "documents": documents, "bytes": size}).encode())


def _require_room(plan: Plan, folder: Path, gz: bool, done: int) -> None:
    """Refuse work that the disk has clearly no room for, by the size of the first documents."""
    sample = [len(line) for line in plan.corpus_lines(0, min(plan.n, 64))]
    needed = sum(sample) / len(sample) * (plan.n - done) * (0.25 if gz else 0.95)
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise StorageError(
            f"{folder}: {plan.n} documents take about {needed / 1e6:.0f} MB, and {free / 1e6:.0f} MB are free; free some room, "
            "choose another folder, add --gz or ask for fewer documents"
        )


@contextlib.contextmanager
def _alone(hidden: Path) -> Iterator[None]:
    """Keep a second process out of the folder while this one writes."""
    try:
        import fcntl
    except ImportError:  # Windows: no lock; the files still appear whole
        yield
        return
    lock: Any
    with storing(hidden):
        lock = (hidden / "lock").open("a")
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InputError(
                f"another process is writing into {hidden.parent}; wait for it, or choose another folder"
            ) from None
        yield
