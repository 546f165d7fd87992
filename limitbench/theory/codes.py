"""Symmetric codes that searches have found, from the table that ships: all k-subsets of n documents in d dimensions.

Each row was checked when it was recorded (theory/orbit.md): with integers, or, for a few large ones, in floating point with
directed bounds. `python examples/orbit_codes.py TABLE --check` finds the queries again and says which. A row is constructed: what
is not in the table is open, not impossible. A corpus of fewer documents, or more dimensions, is covered too.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from typing import Any

from limitbench.catalog import folder
from limitbench.certificates.orbits import dimension
from limitbench.dtypes import half_gap_kept

TABLE = "orbit-codes.json"


@dataclass(frozen=True)
class Code:
    """All k-subsets of n documents in d dimensions with this half-gap on unit vectors.

    `stored` has the half-gaps that were checked row by row for arrays in a narrow dtype, 0 for strict rows.
    """

    d: int
    n: int
    k: int
    half_gap: Fraction
    frequencies: tuple[int, ...]
    amplitudes: tuple[int, ...]
    stored: dict[str, float]

    def kept(self, dtype: str) -> Fraction | None:
        """The half-gap of the arrays as stored in this dtype, None where they are not known to be strict."""
        found = [Fraction(self.stored[dtype])] if dtype in self.stored else []
        bound = half_gap_kept(self.half_gap, dtype, self.d)
        return max([*found, *([bound] if bound > 0 else [])], default=None)

    @classmethod
    def of_row(cls, row: dict[str, Any]) -> Code:
        """The code of a row of the table."""
        f, a = tuple(row["frequencies"]), tuple(row["amplitudes"])
        return cls(dimension(row["n"], f), row["n"], row.get("k", 2), Fraction(row["half_gap"]), f, a, row["stored"])


def named(k: int) -> str:
    """What all sets of k documents are called."""
    return "pairs" if k == 2 else f"{k}-subsets"


@cache
def codes() -> tuple[Code, ...]:
    """The symmetric codes of the shipped table, by dimension."""
    path = folder("reference") / TABLE
    if not path.exists():
        return ()
    return tuple(Code.of_row(row) for row in json.loads(path.read_text(encoding="utf-8"))["codes"])


def best_code(n: int, k: int, d: int, dtype: str = "real") -> tuple[Code, Fraction] | None:
    """The code for all k-subsets of n documents in d dimensions with the largest half-gap as stored, and that half-gap."""
    found = [pair for pair in kept_by(dtype, k) if pair[0].d <= d and pair[0].n >= n]
    return max(found, key=lambda pair: pair[1], default=None)


@cache
def kept_by(dtype: str, k: int) -> tuple[tuple[Code, Fraction], ...]:
    """The codes for all k-subsets that are known to be strict as stored in this dtype, with the half-gap that is left."""
    return tuple((code, kept) for code in codes() if code.k == k and (kept := code.kept(dtype)) is not None)
