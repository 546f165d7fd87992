"""What pydantic found wrong, as a place and a sentence."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError


@dataclass(frozen=True)
class Problem:
    """The first thing that is wrong: where, and what was found or expected."""

    where: str
    message: str
    kind: str = ""  # pydantic's name of it, such as missing
    found: Any = None
    place: tuple[int | str, ...] = ()
    cause: BaseException | None = None  # what a validator of ours raised

    @property
    def raw(self) -> str:
        """The message as pydantic words it: what our own validators raise is marked."""
        return f"Value error, {self.message}" if self.kind == "value_error" else self.message

    def __str__(self) -> str:
        return f"{self.where}: {self.message}"


def first_problem(error: ValidationError, whole: str = "the file") -> Problem:
    """The first problem of an error; `whole` stands for a place that has no name. Of missing fields, all are named."""
    first = error.errors()[0]
    place = tuple(first["loc"])
    missing = [one["loc"] for one in error.errors() if one["type"] == "missing"]
    if first["type"] == "missing" and len(missing) > 1:
        names = ", ".join(".".join(map(str, loc)) for loc in missing)
        return Problem(names, f"{len(missing)} fields are required", "missing", first.get("input"), place)
    return Problem(
        ".".join(map(str, place)) or whole,
        first["msg"].removeprefix("Value error, "),
        first["type"],
        first.get("input"),
        place,
        first.get("ctx", {}).get("error"),
    )
