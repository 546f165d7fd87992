"""The numbers of the annealer: its setting, and the temperature and rate of every step."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Setting:
    """The numbers of the solver. The defaults are frozen: one setting and one formula for every n, d and k.

    Temperatures are in units of the score of unit vectors, rates those of Adam.
    """

    hot: float = 0.05
    cold: float = 2e-6
    rate_hot: float = 0.15
    rate_cold: float = 3e-5
    beta1: float = 0.9
    beta2: float = 0.99
    spread: int = 60  # Adam steps on the documents alone that lower the largest |cosine|, where d >= 4k - 1
    large: int = 1_000_000  # and the scores are at least so many: else a few steps cost less
    centroid: bool = True  # queries start at unit(sum of the relevant - k mean), else at random
    reach: float = 6.0  # rows with a gap above reach * T rest until the next block
    block: int = 16  # steps between two looks at all rows, and between two reads from the device
    exact_queries: int = (
        8  # every so many blocks failing queries are replaced by the best ones, computed exactly; 0: never
    )
    failing: int = 4  # if at most so many times n fail
    few: int = 8  # and in every block where at most so many fail
    length: float = 1.0  # a factor on the number of steps
    opening: int = 64  # cold steps before the schedule proper, at most an eighth of its length; 0: none

    def steps(self, d: int, k: int) -> int:
        """How many steps the schedule takes at most: 200 + 12000 (2k/d)^3, the second part at most 40500."""
        return int(self.length * (200 + 12000 * min(1.5, 2 * k / d) ** 3))

    def schedule(self, steps: int, skipped: float = 0.0) -> Schedule:
        """The schedule proper, without its first `skipped` part."""
        return Schedule(
            steps, self.hot, self.cold, self.rate_hot, self.rate_cold, self.beta1, self.reach, int(skipped * steps)
        )

    def first(self, steps: int) -> Schedule:
        """The opening of a schedule of so many steps: what is far from critical-n is solved in a few steps at one temperature."""
        return Schedule(min(self.opening, steps // 8), 0.03, 0.03, 0.1, 0.1, 0.75, math.inf)


@dataclass(frozen=True)
class Schedule:
    """Temperature and rate of every step, both geometric, Adam's first moment, and which rows rest."""

    steps: int
    hot: float
    cold: float
    rate_hot: float
    rate_cold: float
    beta1: float
    reach: float  # rows with a gap above reach * T rest
    first: int = 0  # the step to begin with

    def temperature(self, step: int) -> float:
        """The temperature of this step."""
        return self.hot * math.pow(self.cold / self.hot, step / self.steps)

    def rate(self, step: int) -> float:
        """Adam's rate in this step."""
        return self.rate_hot * math.pow(self.rate_cold / self.rate_hot, step / self.steps)


DEFAULT = Setting()
