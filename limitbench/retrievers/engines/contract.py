"""What every engine does: build and wait, prove that its index is used, search, tell its settings, open again, close.

Documents go in by number, 0 to n - 1: some engines take integers only, and ids of any text stay ours. Vectors are checked before
they come here: engines drop, keep or refuse NaN and zero vectors, each in its own way.
"""

from __future__ import annotations

import shutil
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from limitbench.errors import SpecError, StorageError
from limitbench.progress import Progress, no_progress

Floats = npt.NDArray[np.float32]
Numbers = npt.NDArray[np.int64]
# numbers of the documents found, the best first, and their scores: larger is nearer
Hits = tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What a user asks of an engine; None leaves it to the engine.

    `index` is the kind of index, flat for none; `dtype` is how vectors are stored. `m` and `ef_construction` are HNSW's links and
    candidates while it is built, `ef` its candidates in a search. `lists` is how many parts an IVF has, `probes` how many of them a
    search looks at. `language` is that of the words, for its stemmer. `url` is a server's address; `dsn_env` and `key_env` name the
    environment variables that hold a DSN and a key, which are in no option, record, message or log.
    """

    index: str | None = None
    dtype: str | None = None
    m: int | None = None
    ef_construction: int | None = None
    ef: int | None = None
    lists: int | None = None
    probes: int | None = None
    language: str | None = None
    url: str | None = None
    dsn_env: str | None = None
    key_env: str | None = None

    def require(self, engine: str, known: Mapping[str, Sequence[str] | None]) -> None:
        """Raise `SpecError` for a setting that an engine does not have, or a value that it does not take: it would be ignored.

        `known` gives the values of a setting, None where any will do.
        """
        for name, value in vars(self).items():
            if value is None:
                continue
            if name not in known:
                raise SpecError(f"engine '{engine}': there is no setting '{name}'; it has: {', '.join(known)}")
            values = known[name]
            if values is not None and value not in values:
                raise SpecError(f"engine '{engine}': found {name}={value}, expected one of {', '.join(values)}")


@dataclass(frozen=True)
class Proof:
    """Whether searches go through the index that was asked for, and how that is known: the state of segments, a query plan."""

    used: bool
    how: str


class Engine(ABC):
    """An engine with what was put into it, in a folder or on a server; `close` removes what it made."""

    name: ClassVar[str]
    package: ClassVar[str | None]  # whose version decides what is found; None: a server, which tells its own

    def __init__(self, settings: Settings) -> None:
        self.check(settings)
        self.settings = settings

    @cached_property
    def folder(self) -> Path:
        """A folder of its own, made when it is asked for."""
        return Path(tempfile.mkdtemp(prefix=f"limitbench-{self.name}-"))

    @classmethod
    @abstractmethod
    def check(cls, settings: Settings) -> None:
        """Raise `SpecError` for settings that it does not have. Nothing is started."""

    @property
    @abstractmethod
    def exhaustive(self) -> bool:
        """Whether a search looks at every document, so that a longer answer begins with the shorter one."""

    @abstractmethod
    def search(self, query: Any, depth: int) -> Hits:
        """The best `depth` documents for a query, as the engine's index finds them; fewer where it returns fewer."""

    @abstractmethod
    def proof(self) -> Proof:
        """Whether the index is used."""

    @abstractmethod
    def effective(self) -> Mapping[str, Any]:
        """The settings in force, the defaults too, as the engine tells them."""

    @abstractmethod
    def reopen(self) -> None:
        """Close what was built and open it again, as another process would."""

    @abstractmethod
    def release(self) -> None:
        """Close the engine."""

    @property
    def nbytes(self) -> int:
        """Bytes of the index on disk."""
        return bytes_below(self.folder)

    def close(self) -> None:
        """Close it and remove what it made; once more does nothing."""
        self.release()
        if "folder" in vars(self):
            shutil.rmtree(self.folder, ignore_errors=True)


class VectorEngine(Engine):
    """An engine that searches vectors by a similarity; queries are (d,).

    `adjustable` are the settings that count in a search alone, so that one index serves all their values.
    """

    similarities: ClassVar[tuple[str, ...]]
    adjustable: ClassVar[tuple[str, ...]] = ()
    scans: ClassVar[bool] = True  # whether it has index=flat
    indexes: ClassVar[bool] = True  # whether it has anything else

    @classmethod
    def usual_dtype(cls, settings: Settings) -> str:
        """How vectors are stored where `dtype` is not given."""
        del settings
        return "fp32"

    def adjust(self, settings: Settings) -> None:
        """Search with these settings from now on. Raises `SpecError` where others than the adjustable differ."""
        self.check(settings)
        for name, value in vars(settings).items():
            if name not in self.adjustable and value != getattr(self.settings, name):
                raise SpecError(f"engine '{self.name}': {name} counts while it is built; build it anew")
        self.settings = settings
        self._adjusted()

    def _adjusted(self) -> None:
        """Tell the engine, where it keeps settings of searches."""

    def batch(self, queries: Floats, depth: int) -> list[Hits] | None:
        """The best documents for queries (m, d) in one call; None where the engine's client has no such call here."""
        del queries, depth
        return None

    @abstractmethod
    def build(self, documents: Floats, similarity: str, progress: Progress) -> None:
        """Store documents (n, d), index them, and come back when the index is there. Rows of a cosine are unit vectors."""


class ChangeableEngine(VectorEngine):
    """A vector engine whose searches can be filtered, and in which documents come and go.

    `attributes` are whole numbers from 0 on, one a document, by which a search may be filtered; they are set before the engine is
    filled. `points` is how many documents are there.
    """

    attributes: Mapping[str, Numbers] = MappingProxyType({})

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self.points = 0

    @property
    def batch_size(self) -> int:
        """Documents that one call stores."""
        return 2000

    @abstractmethod
    def filtered(self, query: Floats, depth: int, below: Mapping[str, int]) -> Hits:
        """The best documents among those whose attributes are below these bounds."""

    def search(self, query: Floats, depth: int) -> Hits:
        """The best documents, without a filter."""
        return self.filtered(query, depth, {})

    def insert(self, numbers: Numbers, rows: Floats, progress: Progress = no_progress) -> None:
        """Store these documents too, under their numbers, with their attributes, in batches."""
        n = len(numbers)
        for start in range(0, n, self.batch_size):
            end = min(start + self.batch_size, n)
            self._add(numbers[start:end], rows[start:end])
            self.points += end - start
            progress("insert", end, n)

    def delete(self, numbers: Numbers) -> None:
        """Remove these documents."""
        self._remove(numbers)
        self.points -= len(numbers)

    def settle(self) -> None:
        """Wait until what came and went is indexed, as the engine does by itself."""

    @abstractmethod
    def _add(self, numbers: Numbers, rows: Floats) -> None:
        """Store one batch."""

    @abstractmethod
    def _remove(self, numbers: Numbers) -> None:
        """Remove documents by their numbers."""

    def _row_attributes(self, number: int) -> dict[str, int]:
        return {name: int(values[number]) for name, values in self.attributes.items()}


class TextEngine(Engine):
    """An engine that searches texts by their words; queries are texts."""

    @abstractmethod
    def build(self, texts: Sequence[str], progress: Progress) -> None:
        """Index the texts, and come back when they can be found."""


def bytes_below(folder: Path) -> int:
    """The bytes that the files below a folder take; holes in them take none."""
    return sum(512 * path.stat().st_blocks for path in folder.rglob("*") if path.is_file())


def require_room(engine: str, folder: Path, needed: int) -> None:
    """Raise `StorageError` unless so many bytes are free where the engine keeps its files."""
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise StorageError(
            f"engine '{engine}' needs about {needed / 1e6:.0f} MB in {folder.parent}, and {free / 1e6:.0f} MB are free; free some "
            f"room, or set TMPDIR to another folder"
        )
