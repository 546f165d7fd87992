"""Reading and writing files the same way everywhere: gzip seen through, errors with their line, writes atomic.

Also here: how ids are written in text files, because qrels and runs both need it. TREC's files separate by white space, so an id
that holds some is percent-encoded there, and its line says so in a column that TREC's readers ignore: the tag of a run, the
iteration of qrels. Ids are decoded in such lines alone: a `%20` in anybody else's file is part of the id.
"""

from __future__ import annotations

import contextlib
import csv
import errno
import gzip
import json
import os
import re
import tempfile
import unicodedata
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any
from urllib.parse import quote, unquote

from limitbench.errors import DataError, MissingExtra, StorageError

_UNSAFE = re.compile(r"^\ufeff|[\s\x00-\x1f\x7f%]")  # readers take U+FEFF at a file's start for a byte order mark
_GZIP_MAGIC = b"\x1f\x8b"
ESCAPED = "escaped-ids"  # what a line with percent-encoded ids says: the iteration of qrels, or the end of a run's tag


def escape_id(identifier: str) -> str:
    """The id with white space, control characters, '%' and a leading U+FEFF percent-encoded: TREC's readers keep it whole."""
    return _UNSAFE.sub(lambda found: quote(found[0], safe=""), identifier)


def breaks_trec(identifier: str) -> bool:
    """Whether the id holds white space, control characters or a leading U+FEFF: a TREC file cannot hold it as it is."""
    return escape_id(identifier.replace("%", "")) != identifier.replace("%", "")


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


def trec_pair(query: str, document: str) -> tuple[str, str, bool]:
    """The two ids of a TREC line, and whether they had to be escaped, which the line must then say; most go as they are."""
    if breaks_trec(query) or breaks_trec(document):
        return escape_id(query), escape_id(document), True
    return query, document, False


def tsv_fields(path: Path, number: int, line: str) -> list[str]:
    """The fields of one line of tab-separated values, quoted as Python's csv module writes them (and BEIR reads them)."""
    if '"' not in line:
        return line.split("\t")
    try:
        return next(csv.reader([line], delimiter="\t", strict=True))
    except csv.Error:
        raise DataError(
            path, f"found {line[:40]!r}, whose quotes do not match; write a field that begins with a quote as "
            'csv does: in quotes, each inner one doubled ("a ""b""")', line=number,
        ) from None  # fmt: skip


def tsv_line(*fields: object) -> bytes:
    """One line of tab-separated values, quoted where csv's own writer would."""
    texts = map(str, fields)
    return (
        "\t".join(f'"{t.replace(chr(34), chr(34) * 2)}"' if _QUOTED.search(t) else t for t in texts) + "\n"
    ).encode()


_QUOTED = re.compile(r'["\t\r\n]')


@dataclass(frozen=True)
class Lookalikes:
    """Why an id is not found that seems to be there: another normal form, blanks, or escaping."""

    by_form: dict[str, str]

    @classmethod
    def of(cls, known: Iterable[str]) -> Lookalikes:
        """The look-alikes of these ids."""
        return cls({_plain(name): name for name in known})

    def hint(self, name: str) -> str:
        """A clause that names the id meant, spelt so that the eye sees the difference; "" where none is near."""
        near = self.by_form.get(_plain(name)) or self.by_form.get(_plain(unescape_id(name)))
        if near is None or near == name:
            return ""
        if unescape_id(name) == near:
            return (
                f"; it reads as '{near}' percent-encoded: where that is meant, let the line say so, by '+{ESCAPED}' at the end of "
                f"a run's tag or '{ESCAPED}' as the second column of qrels"
            )
        return f"; {name!a} here is {near!a} there: they differ in blanks or in Unicode's normal form"


def _plain(name: str) -> str:
    """What two ids share that look the same: composed, without blanks and invisible characters."""
    return "".join(
        c
        for c in unicodedata.normalize("NFKC", name)
        if not c.isspace() and unicodedata.category(c) not in ("Cf", "Cc")
    )


def is_plain(path: Path) -> bool:
    """Whether a file can be read and is not gzipped, whatever its name says."""
    try:
        with path.open("rb") as raw:
            return raw.read(2) != _GZIP_MAGIC
    except OSError:
        return False


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


def read_parquet(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """The rows of a parquet file as objects, numbered from 1, in bounded memory. Raises `MissingExtra` without pyarrow."""
    try:
        import pyarrow
        from pyarrow import parquet
    except ModuleNotFoundError as error:
        raise MissingExtra(f"reading {path.name}", error.name or "pyarrow", "hub") from None
    number = 0
    try:
        with parquet.ParquetFile(path) as stream:
            for batch in stream.iter_batches(batch_size=16_384):
                for row in batch.to_pylist():
                    number += 1
                    yield number, row
    except (pyarrow.ArrowException, OSError) as error:
        reason = " ".join(str(error).split())[:120]
        raise DataError(path, f"is not a whole parquet file ({reason}); fetch or write it again") from None


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
