"""A capacity record: one finished point or given cell, everything that was tried, and whose witness it is."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from limitbench.errors import DataError
from limitbench.files import read_record
from limitbench.validation import first_problem

SCHEMA: Literal["limitbench.capacity.v1"] = "limitbench.capacity.v1"


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True, serialize_by_alias=True)


class Point(_Part):
    """Critical-n of one task: `solved_n` documents solved and verified, `failed_n` the fewest above it that were not.

    `margin` is the half-gap of the witness, whose file `witness` names; `budget_s` and `seconds` are seconds. `found_by` is the
    solver that found it, where several were asked. What is left out in a file was not known when it was written.
    """

    d: int
    k: int | None
    solver: str
    dtype: str
    solved_n: int | None
    failed_n: int | None
    margin: float | None
    status: str
    witness: str | None
    seed: int = 0
    seeds: int = 0
    budget_s: float = 0.0
    margin_asked: float = 0.0
    seconds: float = 0.0
    evidence: Literal["measured", "constructed"] = "measured"
    found_by: str | None = None


class Cell(_Part):
    """One given (d, n): whether it was solved, and its witness."""

    d: int
    n: int
    k: int | None
    solver: str
    solved: bool
    verified: bool
    margin: float | None
    seconds: float
    witness: str | None
    dtype: str
    status: str
    found_by: str | None = None

    @property
    def solved_n(self) -> int | None:
        """The documents that were solved and verified; None where they were not."""
        return self.n if self.verified else None


class TriedSize(_Part):
    """One corpus size that was tried: by which seeds, for how many seconds, and why it stopped."""

    n: int
    solved: bool
    seeds: list[int]
    seconds: float
    stopped: str
    steps: int = 0
    margin: float | None = None
    asked: float | None = None


class CapacityRecord(_Part):
    """A finished search. `key` is what decides its result; exactly one of `point` and `cell` is there."""

    format: Literal["limitbench.capacity.v1"] = Field(SCHEMA, alias="schema")
    key: dict[str, Any]
    point: Point | None = None
    cell: Cell | None = None
    tried: list[TriedSize]
    witness_digest: str | None
    provenance: dict[str, Any]

    @model_validator(mode="after")
    def _one_of_two(self) -> CapacityRecord:
        if (self.point is None) == (self.cell is None):
            raise ValueError("expected a point or a cell")
        return self

    @property
    def shown(self) -> Point | Cell:
        """The point or the cell."""
        found = self.point or self.cell
        assert found is not None
        return found

    def to_json(self) -> dict[str, Any]:
        """JSON-ready values, those that were given, in the order of the fields."""
        return self.model_dump(mode="json", exclude_unset=True)


def read(path: Path) -> CapacityRecord:
    """The record in a file. Raises `DataError` where it is broken or foreign."""
    raw = read_record(path)
    if not isinstance(raw, dict) or raw.get("schema") != SCHEMA:
        raise DataError(path, f"is not a capacity record of this version ({SCHEMA}); move it elsewhere")
    try:
        return CapacityRecord.model_validate(raw)
    except ValidationError as error:
        found = first_problem(error, "the whole")
        raise DataError(
            path, f"is not a whole capacity record ({found}); delete it and run its command again"
        ) from None
