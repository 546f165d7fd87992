"""Writing a dataset of any size in constant memory, so that an interrupted run can go on.

Lines go into a hidden folder inside the target; only whole files are moved out of it. After every part of the corpus its length
is noted, so the next run of the same latent table goes on behind the last noted part. Gzip files hold one member a part. A lock
keeps a second process out. Parts may be made by other processes or machines (`Each`), to the same bytes: they are joined in order,
and one that comes too early waits on the disk.
"""

from __future__ import annotations

import contextlib
import errno
import gzip
import hashlib
import io
import json
import os
import shutil
import zlib
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, Any

from limitbench.datasets.folders import move_into_place
from limitbench.datasets.latent import LatentTable
from limitbench.datasets.layouts import FILES
from limitbench.errors import InputError, StorageError
from limitbench.files import atomic_write, storing
from limitbench.progress import Each, Progress, no_progress, raised

PART = 50_000  # documents between two notes
_HIDDEN = ".limitbench-generate"
_NOTE = ".limitbench.json"  # which latent table's dataset a finished folder holds


@dataclass(frozen=True)
class Written:
    """A dataset on disk. `resumed` documents were there from an interrupted run; `discarded` tells of an unusable one."""

    folder: Path
    files: tuple[str, ...]
    sha256: str
    resumed: int
    discarded: bool


def write_table(
    table: LatentTable, folder: Path | str, *, gz: bool = False, progress: Progress = no_progress, expected: str | None = None,
    each: Each | None = None,
) -> Written:  # fmt: skip
    """Write the latent table's dataset as a BEIR folder, going on from an interrupted run of an equal table.

    `each` makes the parts of the corpus, in processes or on other machines; None: here, line by line. Raises `StorageError` for
    what the file system refuses, or at once where there is clearly too little room; `InputError` where another process is at work
    in the folder, or where the content has not the `expected` sha256.
    """
    folder = Path(folder)
    hidden = folder / _HIDDEN
    suffix = ".gz" if gz else ""
    files = tuple(f"{name}{suffix}" for name in FILES)
    with storing(folder):
        (folder / "qrels").mkdir(parents=True, exist_ok=True)
        for name in files:
            if (folder / name).is_dir():
                raise IsADirectoryError(errno.EISDIR, "is a folder", str(folder / name))
        hidden.mkdir(exist_ok=True)
    with _alone(hidden):
        corpus = _Growing(hidden / f"corpus.jsonl{suffix}.part", hidden / "state.json", _key(table, gz), gz)
        state = corpus.resume(table.n)
        if state.moving:
            _finish(hidden, folder, corpus.key, state.digest.hexdigest(), gz=gz, pinned=expected is not None)
            return Written(folder, files, state.digest.hexdigest(), table.n, False)
        digest, done = state.digest, state.documents
        _require_room(table, folder, gz, done)
        edges = [(start, min(table.n, start + PART)) for start in range(done, table.n, PART)]
        if each is None:
            _write_lines(table, edges, corpus, digest, progress)
        else:
            corpus.begin(done, digest)
            _join(table, edges, corpus, digest, each, progress)
        for name, lines in (("queries.jsonl", table.query_lines()), ("qrels/test.tsv", table.qrels_lines())):
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
        corpus.note(table.n, 0, sha256, moving=True)
        _finish(hidden, folder, corpus.key, sha256, gz=gz, pinned=expected is not None)
    return Written(folder, files, sha256, done, state.discarded)


def _write_lines(
    table: LatentTable, edges: Sequence[tuple[int, int]], corpus: _Growing, digest: Any, progress: Progress
) -> None:
    """Write these parts of the corpus one after another; no more than a line is held."""
    for start, stop in edges:
        with corpus.part(stop, digest) as out:
            for number, line in enumerate(table.corpus_lines(start, stop), start + 1):
                out.write(line)
                digest.update(line)
                if number % 1000 == 0 or number == table.n:
                    progress("documents", number, table.n)


def _part(table: LatentTable, gz: bool, edges: tuple[int, int]) -> bytes:
    """A part of the corpus as it stands in the file: lines, or a gzip member of them."""
    made = io.BytesIO()
    with _packed(made) if gz else contextlib.nullcontext(made) as out:
        for line in table.corpus_lines(*edges):
            out.write(line)
    return made.getvalue()


def _join(
    table: LatentTable, edges: Sequence[tuple[int, int]], corpus: _Growing, digest: Any, each: Each, progress: Progress
) -> None:  # fmt: skip
    """Have parts made that are not there, and put them into the file in their order, whatever the order in which they come."""
    missing = [(start, stop) for start, stop in edges if not corpus.waits(start)]
    waiting = deque(edges)

    def append() -> None:
        while waiting and corpus.waits(waiting[0][0]):
            start, stop = waiting.popleft()
            corpus.append(stop, corpus.taken(start), digest)
            progress("documents", stop, table.n)

    append()
    for place, data in raised(each(partial(_part, table, corpus.gz), missing)):
        corpus.put_aside(missing[place][0], data)
        append()


def _finish(hidden: Path, folder: Path, key: str, sha256: str, *, gz: bool, pinned: bool) -> None:
    """Move the dataset into place; where no spec pins its sha256, leave a note of which table it is."""
    move_into_place(hidden, folder, gz=gz)
    if pinned:
        (folder / _NOTE).unlink(missing_ok=True)
    else:
        with atomic_write(folder / _NOTE) as out:
            out.write(json.dumps({"key": key, "sha256": sha256}).encode())
    shutil.rmtree(hidden, ignore_errors=True)


def already_written(table: LatentTable, folder: Path, *, expected: str | None = None) -> str | None:
    """The sha256 of the folder's content where it is this table's, whole; else None."""
    found = folder_digest(folder)
    if found is None:
        return None
    if expected is not None:
        return found if found == expected else None
    try:
        noted = json.loads((folder / _NOTE).read_text())
        same = noted["key"] in (_key(table, True), _key(table, False)) and noted["sha256"] == found
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return found if same else None


def is_underway(table: LatentTable, folder: Path, *, gz: bool) -> bool:
    """Whether an interrupted run of an equal table waits in the folder to be gone on with."""
    try:
        noted = json.loads((folder / _HIDDEN / "state.json").read_text())
        return bool(noted["key"] == _key(table, gz))
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _key(table: LatentTable, gz: bool) -> str:
    return hashlib.sha256(f"{table.digest} {gz} {PART}".encode()).hexdigest()


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


@dataclass(frozen=True)
class _State:
    """What an interrupted run left: whole documents and the hash of their lines, or a dataset that only has to be moved."""

    documents: int
    digest: Any
    moving: bool
    discarded: bool


class _Noted:
    """A digest of which only the value is known."""

    def __init__(self, value: str) -> None:
        self.value = value

    def hexdigest(self) -> str:
        return self.value


class _Growing:
    """A file that grows by parts, each noted with the hash of all lines so far when it is safely on the disk."""

    def __init__(self, path: Path, notes: Path, key: str, gz: bool) -> None:
        self.path, self.notes, self.key, self.gz = path, notes, key, gz

    def resume(self, most: int) -> _State:
        """What an earlier run of the same key left whole, its unfinished part cut off; anything else is thrown away."""
        there = self.path.exists() or self.notes.exists()
        with storing(self.path):
            try:
                noted = json.loads(self.notes.read_text())
                done, size, known = int(noted["documents"]), int(noted["bytes"]), str(noted["sha256"])
                if noted["key"] == self.key and noted["moving"]:
                    return _State(most, _Noted(known), True, False)
                if noted["key"] == self.key and 0 <= done <= most and self.path.stat().st_size >= size:
                    os.truncate(self.path, size)
                    digest = self._digest()
                    if digest.hexdigest() == known:
                        return _State(done, digest, False, False)
            except (OSError, ValueError, KeyError, TypeError, EOFError, zlib.error):
                pass
            for left in (self.path, self.notes, *self.path.parent.glob(f"{self.path.name}-*")):
                left.unlink(missing_ok=True)
        return _State(0, hashlib.sha256(), False, there)

    def begin(self, documents: int, digest: Any) -> None:
        """Note whose parts these will be, before the first is there."""
        if not documents:
            with storing(self.path):
                self.path.touch()
            self.note(0, 0, digest.hexdigest())

    def put_aside(self, start: int, data: bytes) -> None:
        """Keep the part that begins with this document until its turn comes."""
        with atomic_write(self._aside(start)) as out:
            out.write(data)

    def waits(self, start: int) -> bool:
        """Whether such a part was put aside."""
        return self._aside(start).exists()

    def taken(self, start: int) -> bytes:
        """A part that was put aside, which is there no more."""
        with storing(self.path):
            data = self._aside(start).read_bytes()
            self._aside(start).unlink()
        return data

    def _aside(self, start: int) -> Path:
        return self.path.with_name(f"{self.path.name}-{start}")

    def append(self, documents: int, data: bytes, digest: Any) -> None:
        """Add a whole part, which ends with this many documents, and note it."""
        digest.update(gzip.decompress(data) if self.gz else data)
        with storing(self.path), self.path.open("ab") as raw:
            raw.write(data)
            self._settle(raw, documents, digest)

    def _settle(self, raw: IO[bytes], documents: int, digest: Any) -> None:
        """See what was written onto the disk, and note it."""
        raw.flush()
        os.fsync(raw.fileno())
        self.note(documents, raw.tell(), digest.hexdigest())

    def _digest(self) -> Any:
        """The hash of what is there, unpacked."""
        digest = hashlib.sha256()
        with gzip.open(self.path) if self.gz else self.path.open("rb") as stream:
            while chunk := stream.read(1 << 20):
                digest.update(chunk)
        return digest

    @contextlib.contextmanager
    def part(self, documents: int, digest: Any) -> Iterator[IO[bytes]]:
        """A stream for the part that ends with this many documents; noted at the end."""
        with storing(self.path), self.path.open("ab") as raw:
            if self.gz:
                with _packed(raw) as packed:
                    yield packed
            else:
                yield raw
            self._settle(raw, documents, digest)

    def note(self, documents: int, size: int, sha256: str, *, moving: bool = False) -> None:
        """Write down how far the file is."""
        state = {"key": self.key, "documents": documents, "bytes": size, "sha256": sha256, "moving": moving}
        with atomic_write(self.notes) as out:
            out.write(json.dumps(state).encode())


def _packed(raw: IO[bytes]) -> Any:
    """A stream that packs what is written into one gzip member, whose bytes depend on nothing else."""
    return gzip.GzipFile(filename="", mode="wb", fileobj=raw, mtime=0)


def _require_room(table: LatentTable, folder: Path, gz: bool, done: int) -> None:
    """Refuse work that the disk has clearly no room for, by the size of the first documents."""
    sample = [len(line) for line in table.corpus_lines(0, min(table.n, 64))]
    needed = sum(sample) / len(sample) * (table.n - done) * (0.25 if gz else 0.95)
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise StorageError(
            f"{folder}: {table.n} documents take about {needed / 1e6:.0f} MB, and {free / 1e6:.0f} MB are free; free some room, "
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
