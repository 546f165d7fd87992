"""Critical-n against d: a cubic by least squares, with confidence bands; and the paper's Table 6 beside it.

A fit of what an optimizer found. Beyond its data it is an extrapolation, and no bound anywhere.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
from scipy import stats

from limitbench.catalog import folder
from limitbench.errors import InputError

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Fit:
    """n = c0 + c1 d + ... + cp d^p, fitted to (d, n) by ordinary least squares.

    `coefficients` ascend in power, (p + 1,); `errors` are their standard errors; `r2` is the share of variance explained.
    """

    d: Floats
    n: Floats
    degree: int = 3

    def __post_init__(self) -> None:
        if len(self.d) < self.degree + 2:
            raise InputError(
                f"found {len(self.d)} points, expected at least {self.degree + 2} for a fit of degree {self.degree}"
            )

    @cached_property
    def _fitted(self) -> tuple[Floats, Floats]:
        """Coefficients, descending in power, and their covariance."""
        coefficients, covariance = np.polyfit(self.d, self.n, self.degree, cov=True)
        return np.asarray(coefficients), np.asarray(covariance)

    @property
    def coefficients(self) -> Floats:
        """(p + 1,), ascending in power."""
        return self._fitted[0][::-1]

    @property
    def errors(self) -> Floats:
        """Standard errors of the coefficients, (p + 1,)."""
        return np.asarray(np.sqrt(np.diag(self._fitted[1])))[::-1]

    @property
    def r2(self) -> float:
        """1 - residual over total sum of squares."""
        residual = self.n - np.polyval(self._fitted[0], self.d)
        return float(1 - residual @ residual / ((self.n - self.n.mean()) ** 2).sum())

    def at(self, d: npt.ArrayLike, confidence: float = 0.95) -> tuple[Floats, Floats, Floats]:
        """(fit, lower, upper) at dimensions d: the pointwise confidence band of the mean, by Student's t."""
        coefficients, covariance = self._fitted
        powers = np.vander(np.asarray(d, float), self.degree + 1)
        fit = powers @ coefficients
        spread = np.sqrt(np.einsum("ij,jk,ik->i", powers, covariance, powers).clip(0))
        t = float(stats.t.ppf((1 + confidence) / 2, len(self.d) - self.degree - 1))
        return fit, fit - t * spread, fit + t * spread


def fit(points: Mapping[int, int], degree: int = 3) -> Fit:
    """The fit of {d: n}. Raises `InputError` for too few points.

    >>> [float(f"{c:.3g}") for c in fit(published()).coefficients]
    [-10.5, 4.03, 0.052, 0.00368]
    """
    d = np.array(sorted(points), float)
    return Fit(d, np.array([points[int(x)] for x in d], float), degree)


def published() -> dict[int, int]:
    """Table 6 of the paper: {d: critical-n} for k = 2, d = 4..45."""
    raw = json.loads((folder("reference") / "limit-paper.json").read_text(encoding="utf-8"))
    return {int(d): int(n) for d, n in raw["table6_critical_n_k2"].items()}
