"""Texts of a large corpus that stay in its file: only their places are held.

Who reads one after another gets blocks of lines; who asks for one gets that line.
"""

from __future__ import annotations

from collections.abc import Iterator
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
    _first: int = field(default=0, init=False, repr=False)  # of those that are held
    _held: list[dict[str, Any]] = field(default_factory=list, init=False, repr=False)

    @classmethod
    def of(cls, path: Path) -> Lines:
        """The lines of a file that was found to be whole: those that hold an object."""
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
        place = number - self._first
        if not 0 <= place < len(self._held):
            follows = place == len(self._held) or number % _BLOCK == 0
            self._first, place = number, 0
            self._held = self._read(number, min(len(self), number + (_BLOCK if follows else 1)))
        return self._held[place]

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
    """One column of such a file; `contents` is title and text as `Corpus.contents` joins them."""

    def __init__(self, lines: Lines, column: Literal["text", "title", "contents"]) -> None:
        self.lines, self.column = lines, column

    def __len__(self) -> int:
        return len(self.lines)

    def __getitem__(self, place: Any) -> Any:
        if isinstance(place, slice):
            return tuple(self._of(i) for i in range(*place.indices(len(self))))
        number = place + len(self) if place < 0 else place
        if not 0 <= number < len(self):
            raise IndexError(place)
        return self._of(number)

    def __iter__(self) -> Iterator[str]:
        return map(self._of, range(len(self)))

    def joined(self) -> Stored:
        """Titles and texts together."""
        return StoredTexts(self.lines, "contents")

    def _of(self, number: int) -> str:
        row = self.lines.row(number)
        text, title = row["text"], row.get("title") or ""
        if self.column == "contents":
            return f"{title} {text}" if title else str(text)
        return str(text if self.column == "text" else title)


def _stamp(path: Path) -> tuple[int, int]:
    """What tells that a file is another: its size and when it was written."""
    try:
        found = path.stat()
    except OSError as error:
        raise DataError(path, f"cannot be read ({error.strerror}); it is needed until the command ends") from None
    return found.st_size, found.st_mtime_ns
