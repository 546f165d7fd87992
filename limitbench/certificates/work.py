"""What every kind of proof needs: a bound on work, and refusals that say why."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from limitbench.errors import CertificateError

MOST_STEPS = 200_000_000  # some minutes at the worst; what searches find takes a thousandth


WORD = 64  # bits of a product that counts as one step


def require(holds: bool, message: str) -> None:
    """Raise `CertificateError` with this message unless it holds."""
    if not holds:
        raise CertificateError(message)


@dataclass
class Steps:
    """Work done by one check, parts of its certificate together."""

    left: int = MOST_STEPS

    def spend(self, count: int) -> None:
        """Take down so many steps. Raises `CertificateError` where they are too many."""
        self.left -= count
        require(self.left >= 0, f"the check would take more than {MOST_STEPS:,} steps")


def words(values: Iterable[int]) -> int:
    """How many machine words the largest of some integers takes."""
    return 1 + max((abs(value).bit_length() for value in values), default=0) // WORD


def numbers(values: Any, below: int, what: str) -> list[int]:
    """The values, distinct whole numbers below a number. Raises `CertificateError`."""
    out = [value for value in values if type(value) is int and 0 <= value < below]
    require(len(out) == len(values) == len(set(out)), f"the {what} must be distinct numbers below {below}")
    return out
