"""How long work tells how far it is: a stage, what is done, and of how much."""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[str, int, int], None]  # (stage, done, of)


def no_progress(_stage: str, _done: int, _of: int) -> None:
    """Report nothing."""
