"""A reason of a verdict: one inequality with its numbers, what it says, and whose it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from limitbench.theory.bounds import Evidence

Answer: TypeAlias = Literal["impossible", "possible", "open"]


@dataclass(frozen=True)
class Reason:
    """One inequality with its numbers, what it says, and whose it is."""

    verdict: Answer
    method: str
    inequality: str
    citation: str
    evidence: Evidence
    assumptions: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """JSON-ready values."""
        return {**self.__dict__, "assumptions": list(self.assumptions)}


def about(value: int) -> str:
    """A number as people read it: up to twelve digits as they are, then the power of ten."""
    text = str(value) if value.bit_length() < 400 else ""
    if text and len(text) <= 12:
        return text
    digits = value.bit_length() * 0.30103
    return f"about 10^{digits:.0f}"
