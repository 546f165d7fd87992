"""What pydantic found wrong, as a place and a sentence."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import ValidationError


@dataclass(frozen=True)
class Problem:
    """The first thing that is wrong: where, and what was found or expected."""

    where: str
    message: str

    def __str__(self) -> str:
        return f"{self.where}: {self.message}"


def first_problem(error: ValidationError, whole: str = "the file") -> Problem:
    """The first problem of an error; `whole` stands for a place that has no name."""
    first = error.errors()[0]
    return Problem(".".join(map(str, first["loc"])) or whole, first["msg"].removeprefix("Value error, "))
