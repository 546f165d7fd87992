"""How long work tells how far it is, and how many pieces of it are done by others."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

Progress = Callable[[str, int, int], None]  # (stage, done, of)


def no_progress(_stage: str, _done: int, _of: int) -> None:
    """Report nothing."""


class Each(Protocol):
    """Something that calls a function with each of many items, here or on other machines: (place of an item, what came back), as
    they are done. Functions, items and what comes back can be pickled; an error ends it.
    """

    def __call__(
        self, call: Callable[[Any], Any], items: Sequence[Any], *, label: Callable[[Any], str] = str
    ) -> Iterator[tuple[int, Any]]:
        """The pairs; `label` names an item in messages."""
