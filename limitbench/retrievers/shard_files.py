"""Where shards lie: in a folder of this machine, or under a URL that fsspec knows, such as s3://bucket/vectors."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Protocol
from uuid import uuid4

import numpy as np

from limitbench.errors import DataError, InputError, MissingExtra, StorageError
from limitbench.files import atomic_write, require_writable
from limitbench.retrievers.best_columns import Floats

_HEADER = 4096  # bytes of a .npy file that hold its header
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*", re.IGNORECASE)
# stores in which a folder must be made; in others that would make a bucket
_WITH_FOLDERS = ("file", "local", "ftp", "sftp", "ssh", "smb", "hdfs", "webhdfs", "memory")


class Folder(Protocol):
    """Files by their names; each appears whole or is not taken for one. It can be sent to other machines."""

    def __str__(self) -> str:
        """The folder as it is named."""

    def at(self, name: str) -> str:
        """Where a file is, for messages."""

    def require_writable(self) -> None:
        """Raise `StorageError` now rather than after hours of work."""

    def read(self, name: str) -> bytes | None:
        """A file's bytes; None where there is none."""

    def write(self, name: str, data: bytes | memoryview) -> None:
        """Put a file in its place."""

    def shape(self, name: str) -> tuple[int, int] | None:
        """The shape of vectors that are there and whole, in fp32; None of anything else."""

    def vectors(self, name: str) -> Floats:
        """Vectors (n, d) in fp32. Raises `DataError` where the file is not there, or not whole."""


def folder_of(text: str | Path) -> Folder:
    """The folder that a path or a URL names. Raises `InputError` for a URL that is none or holds a password, `MissingExtra` without
    fsspec."""
    scheme, separator, rest = str(text).partition("://")
    if not separator:
        return LocalFolder(Path(text).expanduser().resolve())
    user, at, _ = rest.partition("@")
    if "?" in rest or "#" in rest or (at and ":" in user):  # not shown
        raise InputError(
            f"the {scheme} URL holds a password, a query or a fragment; credentials belong where the store's package looks for them"
        )
    if not _SCHEME.fullmatch(scheme) or not rest.strip("/"):
        raise InputError(f"found the URL '{text}', expected a store and a folder in it, such as s3://bucket/vectors")
    _fsspec()
    return RemoteFolder(f"{scheme}://{rest.rstrip('/')}")


@dataclass(frozen=True)
class LocalFolder:
    """A folder of this machine; vectors are mapped from the disk."""

    path: Path

    def __str__(self) -> str:
        return str(self.path)

    def at(self, name: str) -> str:
        """The file's path or URL."""
        return str(self.path / name)

    def require_writable(self) -> None:
        """Try to write there."""
        require_writable(self.path)

    def read(self, name: str) -> bytes | None:
        """A file's bytes; None where there is none."""
        place = self.path / name
        try:
            return place.read_bytes() if place.is_file() else None
        except OSError as error:
            raise DataError(place, f"cannot be read ({error.strerror}); check its permissions") from None

    def write(self, name: str, data: bytes | memoryview) -> None:
        """Put a file in its place."""
        with atomic_write(self.path / name) as stream:
            stream.write(data)

    def shape(self, name: str) -> tuple[int, int] | None:
        """By the header and the size of the file."""
        try:
            found = np.load(self.path / name, mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError, EOFError):
            return None
        return (len(found), found.shape[1]) if found.ndim == 2 and found.dtype == np.float32 else None

    def vectors(self, name: str) -> Floats:
        """The vectors (n, d)."""
        try:
            found: Floats = np.load(self.path / name, mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:
            raise DataError(self.at(name), f"is not a whole .npy file ({error}); encode it again") from None
        return found


@dataclass(frozen=True)
class RemoteFolder:
    """A folder under a URL; vectors are read into memory. Who uses it needs the package and the credentials of its store."""

    url: str

    def __str__(self) -> str:
        return self.url

    def at(self, name: str) -> str:
        """The file's path or URL."""
        return f"{self.url}/{name}"

    def require_writable(self) -> None:
        """Try to write there."""
        with _told(self.url):
            system, path = _system(self.url)
            if self.url.partition("://")[0] in _WITH_FOLDERS:
                system.makedirs(path, exist_ok=True)
            probe = f"{path}/.probe-{uuid4().hex}"
            system.pipe_file(probe, b"")
            system.rm_file(probe)

    def read(self, name: str) -> bytes | None:
        """A file's bytes; None where there is none."""
        with _told(self.at(name)):
            system, path = _system(self.url)
            try:
                return bytes(system.cat_file(f"{path}/{name}"))
            except FileNotFoundError:
                return None

    def write(self, name: str, data: bytes | memoryview) -> None:
        """Put a file in its place."""
        with _told(self.at(name)):
            system, path = _system(self.url)
            system.pipe_file(f"{path}/{name}", bytes(data))

    def shape(self, name: str) -> tuple[int, int] | None:
        """By the header and the size of the file."""
        with _told(self.at(name)):
            system, path = _system(self.url)
            try:
                size = int(system.size(f"{path}/{name}"))
                start = io.BytesIO(system.cat_file(f"{path}/{name}", start=0, end=min(size, _HEADER)))
            except FileNotFoundError:
                return None
        try:
            version = np.lib.format.read_magic(start)
            read: Any = (
                np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
            )
            shape, by_column, dtype = read(start)
        except ValueError:
            return None
        whole = (
            len(shape) == 2 and dtype == np.float32 and not by_column and size == start.tell() + 4 * shape[0] * shape[1]
        )
        return (int(shape[0]), int(shape[1])) if whole else None

    def vectors(self, name: str) -> Floats:
        """The vectors (n, d)."""
        data = self.read(name)
        try:
            found: Floats = np.load(io.BytesIO(data or b""), allow_pickle=False)
        except (ValueError, EOFError) as error:
            reason = "it is not there" if data is None else error
            raise DataError(self.at(name), f"is not a whole .npy file ({reason}); encode it again") from None
        return found


def _fsspec() -> Any:
    try:
        import fsspec  # type: ignore[import-untyped]
    except ModuleNotFoundError:
        raise MissingExtra("a folder under a URL", "fsspec", "ray") from None
    return fsspec


@cache
def _system(url: str) -> tuple[Any, str]:
    """fsspec's file system of a URL, and the path in it."""
    system, path = _fsspec().core.url_to_fs(url)
    return system, str(path).rstrip("/")


@contextmanager
def _told(what: str) -> Iterator[None]:
    """Errors of a store and of its package, in one line."""
    try:
        yield
    except ImportError as error:
        raise InputError(f"{what}: {' '.join(str(error).split())}, on every machine that uses it") from None
    except Exception as error:  # every store has its own
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise StorageError(
            f"{what} cannot be used ({reason}); check the URL, the network and the store's credentials"
        ) from None
