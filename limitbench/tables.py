"""Results as tables of other libraries, and as what a notebook shows."""

from __future__ import annotations

import html
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Generic, TypeVar

from limitbench.errors import LimitbenchError

Item = TypeVar("Item")
_MOST_ROWS = 40  # that a notebook shows
_MOST_REPR = 1000  # characters of the items in a repr
_MOST_TEXT = 60  # characters of a text in a repr


class Tabular(ABC):
    """Something with rows: a table in a notebook, and a data frame of pandas, polars or Arrow where they are installed."""

    @abstractmethod
    def table_rows(self) -> list[dict[str, Any]]:
        """One dict a row, all with the same keys: text, numbers, None."""

    def to_pandas(self) -> Any:
        """A `pandas.DataFrame`. Raises `LimitbenchError` without pandas."""
        return _library("pandas").DataFrame(self.table_rows())

    def to_polars(self) -> Any:
        """A `polars.DataFrame`. Raises `LimitbenchError` without polars."""
        return _library("polars").DataFrame(self.table_rows(), infer_schema_length=None)

    def to_arrow(self) -> Any:
        """A `pyarrow.Table`. Raises `LimitbenchError` without pyarrow."""
        return _library("pyarrow").Table.from_pylist(self.table_rows())

    def _repr_html_(self) -> str:
        return as_html(self.table_rows())


class Rows(Tabular, Sequence[Item], Generic[Item]):
    """A tuple of things that are each one or more rows of a table, such as the points of a sweep."""

    def __init__(self, items: Iterable[Item]) -> None:
        self._items = tuple(items)

    def __getitem__(self, place: Any) -> Any:
        found = self._items[place]
        return type(self)(found) if isinstance(place, slice) else found

    def __len__(self) -> int:
        return len(self._items)

    def __iter__(self) -> Iterator[Item]:
        return iter(self._items)

    def table_rows(self) -> list[dict[str, Any]]:
        """The rows of all items; a key that some lack is None there."""
        rows = [row for item in self._items for row in item.table_rows()]  # type: ignore[attr-defined]
        keys = dict.fromkeys(key for row in rows for key in row)
        return [{key: row.get(key) for key in keys} for row in rows]

    def __repr__(self) -> str:
        """The first ones, as far as they fit."""
        lines, room = [], _MOST_REPR
        for number, item in enumerate(self._items):
            told = repr(item)
            room -= len(told)
            if number and room < 0:
                lines.append(f"and {len(self) - number} more")
                break
            lines.append(told)
        return "\n".join([f"{len(self)} result{'s' if len(self) != 1 else ''}:", *lines])


def as_html(rows: Sequence[dict[str, Any]]) -> str:
    """A small HTML table; numbers to four significant digits, later rows counted."""
    if not rows:
        return "<p>nothing</p>"
    head = "".join(f"<th>{html.escape(str(key))}</th>" for key in rows[0])
    body = "".join(
        f"<tr>{''.join(f'<td>{html.escape(_shown(value))}</td>' for value in row.values())}</tr>"
        for row in rows[:_MOST_ROWS]
    )
    more = f"<p>and {len(rows) - _MOST_ROWS} more</p>" if len(rows) > _MOST_ROWS else ""
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{more}"


def short(text: str, most: int = _MOST_TEXT) -> str:
    """A text on one line, cut where it is long."""
    plain = " ".join(text.split())
    return plain if len(plain) <= most else f"{plain[: most - 1]}…"


def _shown(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:.4g}" if isinstance(value, float) else short(str(value))


def _library(name: str) -> Any:
    import importlib

    try:
        return importlib.import_module(name)
    except ModuleNotFoundError:
        raise LimitbenchError(
            f"a table of {name} needs '{name}', which is not installed; type: pip install {name}"
        ) from None
