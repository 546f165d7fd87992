"""How far a check may go: its tier, whether it may run code, and until when."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    pass


@dataclass(frozen=True)
class Settings:
    """How far a check may go."""

    tier: str = "auto"
    no_exec: bool = False
    deadline: float = math.inf  # time.monotonic()

    def seconds(self, most: float) -> float:
        """Seconds left, at most so many."""
        return max(0.0, min(most, self.deadline - time.monotonic()))
