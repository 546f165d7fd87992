"""Reading and writing files the same way everywhere: gzip seen through, errors with their line, writes atomic.

Also here: the reversible escaping of ids for TREC's whitespace-separated files, because both qrels and runs need it.
"""

from __future__ import annotations

import contextlib
import errno
import gzip
import json
import os
import re
import tempfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any
from urllib.parse import quote, unquote

from limitbench.errors import DataError, StorageError

_UNSAFE = re.compile(r"[\s\x00-\x1f\x7f%]")
_GZIP_MAGIC = b"\x1f\x8b"


def escape_id(identifier: str) -> str:
    """The id with white space, control characters and '%' percent-encoded, so that TREC's readers keep it whole."""
    return _UNSAFE.sub(lambda found: quote(found[0], safe=""), identifier)


def is_text(value: str) -> bool:
    """Whether a string can be written as UTF-8; JSON can smuggle in halves of surrogate pairs, which cannot."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def unescape_id(token: str) -> str:
    """The id that `escape_id` turned into this token; a token that it cannot have written comes back unchanged."""
    if "%" not in token:
        return token
    try:
        original = unquote(token, errors="strict")
    except UnicodeDecodeError:
        return token
    return original if escape_id(original) == token else token


def read_lines(path: Path) -> Iterator[tuple[int, str]]:
    """The lines of a UTF-8 text file, plain or gzipped, numbered from 1, without their line ends."""
    number = 0
    try:
        with path.open("rb") as raw:
            packed = raw.peek(2)[:2] == _GZIP_MAGIC
            stream: Any = gzip.GzipFile(fileobj=raw) if packed else raw
            for number, line in enumerate(stream, 1):
                text = line.decode("utf-8").rstrip("\r\n")
                yield number, text.removeprefix("\ufeff") if number == 1 else text
    except FileNotFoundError:
        raise DataError(path, "no such file; check the path") from None
    except UnicodeDecodeError as error:
        raise DataError(path, f"not UTF-8 text ({error.reason}); convert it, e.g. with iconv", line=number) from None
    except (gzip.BadGzipFile, zlib.error, EOFError) as error:
        raise DataError(path, f"the gzip stream is broken ({error}); fetch or write the file again") from None
    except OSError as error:
        raise DataError(path, f"cannot be read ({error.strerror}); check the path and its permissions") from None


def read_jsonl(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """The objects of a JSON-lines file, each with its line number; blank lines are passed over."""
    for number, line in read_lines(path):
        if line.strip():
            yield number, parse_object(path, number, line)


def parse_object(path: Path, number: int, line: str) -> dict[str, Any]:
    """The JSON object in a line. Raises `DataError` where it holds something else."""
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        start = line if len(line) <= 40 else line[:40] + "..."
        raise DataError(path, f"found {start!r}, expected one JSON object a line; mend it", line=number) from None
    if not isinstance(value, dict):
        raise DataError(path, f"found a {type(value).__name__}, expected a JSON object; mend it", line=number)
    return value


def with_gz(path: Path) -> Path | None:
    """The path itself, else the same with `.gz`, else None where neither exists; both at once are refused."""
    packed = path.with_name(path.name + ".gz")
    if path.exists() and packed.exists():
        raise DataError(path, f"stands beside {packed.name}, and they may differ; remove one of them")
    return path if path.exists() else packed if packed.exists() else None


@contextlib.contextmanager
def storing(path: Path) -> Iterator[None]:
    """Turn what the operating system says of a failed write into a `StorageError` that says what to do."""
    try:
        yield
    except OSError as error:
        advice = {
            errno.ENOSPC: "the disk is full; free some room and run the same command again",
            errno.EDQUOT: "the disk quota is used up; free some room and run the same command again",
            errno.EACCES: "permission denied; choose a folder that you may write to",
            errno.EPERM: "permission denied; choose a folder that you may write to",
            errno.EROFS: "the file system is read-only; choose another folder",
            errno.ENOTDIR: "a part of the path is a file, not a folder; choose another",
            errno.EEXIST: "something else is already there; choose another path",
            errno.EISDIR: "that is a folder, expected a file; choose another path",
        }.get(error.errno or 0, f"{error.strerror or error}; choose another path")
        raise StorageError(f"{path} cannot be written: {advice}") from error


@contextlib.contextmanager
def atomic_write(path: Path, *, gz: bool = False, exclusive: bool = False) -> Iterator[IO[bytes]]:
    """A binary stream whose content appears at `path` whole or not at all, also after a crash.

    With `exclusive`, a file that is already there stays and `FileExistsError` is raised at the end. Gzip headers hold
    neither time nor name, so equal content gives equal bytes.
    """
    with storing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
    part = Path(name)
    taken = False
    try:
        with storing(path):
            with os.fdopen(descriptor, "wb") as raw:
                if gz:
                    with gzip.GzipFile(filename="", mode="wb", fileobj=raw, mtime=0) as packed:
                        yield packed  # type: ignore[misc]  # GzipFile is a binary stream in all but its declared type
                else:
                    yield raw
                raw.flush()
                os.fsync(raw.fileno())
            umask = os.umask(0)
            os.umask(umask)
            part.chmod(0o666 & ~umask)
            if exclusive:
                try:
                    os.link(part, path)
                except FileExistsError:
                    taken = True
            else:
                part.replace(path)
    finally:
        with contextlib.suppress(OSError):
            part.unlink()
    if taken:
        raise FileExistsError(path)


def read_record(path: Path) -> Any:
    """The JSON value in a record that limitbench wrote. Raises `DataError` where the file is unreadable or not whole."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise DataError(path, f"cannot be read ({error.strerror}); check its permissions") from None
    except (ValueError, RecursionError):
        raise DataError(path, "is not whole JSON; delete it and run its command again") from None


def require_writable(folder: Path) -> None:
    """Make the folder and try to write in it. Raises `StorageError` now rather than after hours of work."""
    with storing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / f".probe-{os.getpid()}"
        probe.touch()
        probe.unlink()
