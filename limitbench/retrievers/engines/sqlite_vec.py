"""sqlite-vec, vectors in one SQLite file: no index, every search scans.

Many Pythons are built without SQLite's loading of extensions; `pysqlite3` has it, and is used where it is installed.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import sqlite_vec

from limitbench.errors import RetrievalError, SpecError
from limitbench.progress import Progress
from limitbench.retrievers.engines.contract import (
    ChangeableEngine,
    Floats,
    Hits,
    Numbers,
    Proof,
    Settings,
    require_room,
)

try:
    import pysqlite3 as sqlite3
except ModuleNotFoundError:
    import sqlite3

_METRICS = {"cosine": "cosine", "euclidean": "l2", "manhattan": "l1"}
_MOST = 4096  # rows that a search gives
_MOST_DIMENSIONS = 8192
_COLUMNS = {
    # dtype    column          how a vector becomes one
    "fp32": ("float[{d}]", "?"),
    "int8": ("int8[{d}]", "vec_quantize_int8(?, 'unit')"),
    "binary": ("bit[{d}]", "vec_quantize_binary(?)"),
}


class SqliteVec(ChangeableEngine):
    """One virtual table in one file."""

    name = "sqlite-vec"
    package = "sqlite-vec"
    similarities = tuple(_METRICS)
    indexes = False

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self.db: Any = None
        self.dim = 0
        self.metric = "cosine"

    @classmethod
    def check(cls, settings: Settings) -> None:
        """A dtype is all that can be set."""
        settings.require(cls.name, {"index": ("flat",), "dtype": tuple(_COLUMNS)})

    @property
    def exhaustive(self) -> bool:
        """Every vector is compared."""
        return True

    @property
    def dtype(self) -> str:
        """How vectors are stored."""
        return self.settings.dtype or "fp32"

    @property
    def _bits(self) -> int:
        """Columns of bits have whole bytes."""
        return -(-self.dim // 8) * 8 if self.dtype == "binary" else self.dim

    def build(self, documents: Floats, similarity: str, progress: Progress) -> None:
        """Insert in batches, one transaction each."""
        n, self.dim = documents.shape
        if self.dim > _MOST_DIMENSIONS:
            raise SpecError(
                f"engine '{self.name}': found {self.dim} dimensions, and it takes {_MOST_DIMENSIONS}; give dim to the vectors"
            )
        if self.dtype == "int8" and similarity != "cosine":
            raise SpecError(f"engine '{self.name}': dtype=int8 is for vectors of length 1; give it vectors of a cosine")
        require_room(self.name, self.folder, 3 * documents.nbytes + 1_000_000)
        self.metric = _METRICS[similarity]
        self._open()
        column, _ = _COLUMNS[self.dtype]
        more = "".join(f", {name} integer" for name in self.attributes)
        metric = "" if self.dtype == "binary" else f" distance_metric={self.metric}"
        self.db.execute(f"CREATE VIRTUAL TABLE docs USING vec0(v {column.format(d=self._bits)}{metric}{more})")
        self.insert(np.arange(n), documents, progress)

    def _add(self, numbers: Numbers, rows: Floats) -> None:
        names = "".join(f", {name}" for name in self.attributes)
        value, more = _COLUMNS[self.dtype][1], ", ?" * len(self.attributes)
        said = f"INSERT INTO docs(rowid, v{names}) VALUES (?, {value}{more})"
        pairs = zip(numbers.tolist(), rows, strict=True)
        with self.db:
            self.db.executemany(
                said, ((number, self._bytes(row), *self._row_attributes(number).values()) for number, row in pairs)
            )

    def _remove(self, numbers: Numbers) -> None:
        with self.db:
            self.db.executemany("DELETE FROM docs WHERE rowid = ?", ((number,) for number in numbers.tolist()))

    def _open(self) -> None:
        self.db = sqlite3.connect(str(self.folder / "vectors.db"))
        try:
            self.db.enable_load_extension(True)
            sqlite_vec.load(self.db)
        except (AttributeError, sqlite3.Error) as error:
            raise RetrievalError(
                f"engine '{self.name}': this Python's SQLite loads no extensions ({error}); pip install pysqlite3-binary"
            ) from None

    def _bytes(self, row: Floats) -> bytes:
        return np.pad(row, (0, self._bits - self.dim)).astype("<f4").tobytes()

    def filtered(self, query: Floats, depth: int, below: Mapping[str, int]) -> Hits:
        """Among the rows that pass; of more than 4,096 the first 4,096."""
        value, more = _COLUMNS[self.dtype][1], "".join(f" AND {name} < ?" for name in below)
        said = f"SELECT rowid, distance FROM docs WHERE v MATCH {value} AND k = ?{more}"
        rows = self.db.execute(said, (self._bytes(query), min(depth, _MOST), *map(int, below.values()))).fetchall()
        numbers = np.array([row[0] for row in rows], np.int64)
        distances = np.array([row[1] for row in rows], np.float64)
        return numbers, (1.0 if self.metric == "cosine" and self.dtype != "binary" else 0.0) - distances

    def proof(self) -> Proof:
        """There is no index."""
        rows = self.db.execute("SELECT count(*) FROM docs").fetchone()[0]
        return Proof(rows == self.points, f"{rows} of {self.points} rows; it has no index, as asked for")

    def effective(self) -> Mapping[str, Any]:
        """The dtype, the metric, and the most rows of a search."""
        metric = "hamming" if self.dtype == "binary" else self.metric
        return {"index": "flat", "dtype": self.dtype, "metric": metric, "most_rows": _MOST}

    def reopen(self) -> None:
        """Close the file and open it again."""
        self.db.close()
        self._open()

    def release(self) -> None:
        """Close the file."""
        if self.db is not None:
            with contextlib.suppress(sqlite3.Error):
                self.db.close()
            self.db = None
