"""Texts of a large corpus that stay in its file: only their places are held.

Who reads one after another gets blocks of lines; who asks for one gets that line.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from limitbench.collection import Stored
from limitbench.errors import DataError
from limitbench.files import parse_object

_BLOCK = 1024  # lines that are read at a time


@dataclass(eq=False)
class Lines:
    """The objects of a JSON-lines file by their number, and where each line begins (n + 1,). Raises `DataError` where the file is
    not what it was."""

    path: Path
    starts: npt.NDArray[np.int64]
    stamp: tuple[int, int]
    # the number of the first line that is held, and the lines: replaced as one, since threads may read at the same time
    _held: tuple[int, list[dict[str, Any]]] = field(default=(0, []), init=False, repr=False)

    @classmethod
    def of(cls, path: Path) -> Lines:
        """The places of a file's lines that hold an object. Whether each is one, its reader sees."""
        stamp, starts, at = _stamp(path), [], 0
        with path.open("rb") as stream:
            for line in stream:
                if b"{" in line:
                    starts.append(at)
                at += len(line)
        return cls(path, np.array([*starts, at], np.int64), stamp)

    def __len__(self) -> int:
        return len(self.starts) - 1

    def row(self, number: int) -> dict[str, Any]:
        """The object of this number."""
        first, held = self._held
        if not 0 <= number - first < len(held):
            follows = number == first + len(held) or number % _BLOCK == 0
            first, held = number, self._read(number, min(len(self), number + (_BLOCK if follows else 1)))
            self._held = first, held
        return held[number - first]

    def _read(self, first: int, last: int) -> list[dict[str, Any]]:
        if _stamp(self.path) != self.stamp:
            raise DataError(self.path, "was changed while it was in use; start again")
        a, b = int(self.starts[first]), int(self.starts[last])
        with self.path.open("rb") as stream:
            stream.seek(a)
            lines = stream.read(b - a).decode("utf-8").split("\n")
        return [
            parse_object(self.path, first + number, line.removeprefix("\ufeff"))
            for number, line in enumerate(line for line in lines if "{" in line)
        ]


class StoredTexts(Stored):
    """One column of such a file."""

    def __init__(self, lines: Lines, column: Literal["text", "title"]) -> None:
        self.lines, self.column = lines, column

    def __len__(self) -> int:
        return len(self.lines)

    def one(self, number: int) -> str:
        """A text; a title that is not there is empty."""
        return str(self.lines.row(number).get(self.column) or "")


def _stamp(path: Path) -> tuple[int, int]:
    """What tells that a file is another: its size and when it was written."""
    try:
        found = path.stat()
    except OSError as error:
        raise DataError(path, f"cannot be read ({error.strerror}); it is needed until the command ends") from None
    return found.st_size, found.st_mtime_ns
