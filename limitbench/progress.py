"""How long work tells how far it is, and how many pieces of it are done by others."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, Self

from limitbench import errors
from limitbench.errors import LimitbenchError

Progress = Callable[[str, int, int], None]  # (stage, done, of)


def no_progress(_stage: str, _done: int, _of: int) -> None:
    """Report nothing."""


class Each(Protocol):
    """Something that calls a function with each of many items, here or on other machines: (place of an item, what came back), as
    they are done. Functions, items and what comes back can be pickled. An item that fails comes back as a `LimitbenchError`, and
    the others go on.
    """

    def __call__(
        self,
        call: Callable[[Any], Any],
        items: Sequence[Any],
        *,
        label: Callable[[Any], str] = str,
        light: bool = False,
    ) -> Iterator[tuple[int, Any]]:
        """The pairs; `label` names an item in messages, `light` work runs no model."""


def raised(found: Iterator[tuple[int, Any]]) -> Iterator[tuple[int, Any]]:
    """The same pairs; the first item that failed is raised."""
    for place, value in found:
        if isinstance(value, LimitbenchError):
            raise value
        yield place, value


@dataclass(frozen=True)
class Failed:
    """An error of ours, as it crosses processes: not every error can be made again from its message."""

    kind: str
    message: str

    @classmethod
    def by(cls, error: LimitbenchError) -> Self:
        """What crosses in place of the error."""
        return cls(type(error).__name__, str(error))

    def error(self) -> LimitbenchError:
        """The error again, with its class and its message."""
        kind = getattr(errors, self.kind, LimitbenchError)
        made: LimitbenchError = kind.__new__(kind)
        Exception.__init__(made, self.message)
        return made
