"""z3's word on tiny matrices: optional, labelled as a solver's, never proved, because it leaves no proof to check."""

from __future__ import annotations

import importlib.util
from typing import Any

from limitbench.errors import MissingExtra


def available() -> bool:
    """Whether z3 is installed."""
    return importlib.util.find_spec("z3") is not None


def sign_rank_at_most(signs: list[list[int]], r: int, *, timeout_s: float = 10.0) -> bool | None:
    """Whether the sign matrix has sign rank at most r, as z3 decides (QF_NRA), or None where it does not.

    The first r document vectors are the unit vectors up to sign, without loss of generality: generic ones can be
    transformed so. Raises `MissingExtra` without z3.
    """
    if not available():
        raise MissingExtra("the solver decision", "z3-solver", "solver")
    import z3

    m, n = len(signs), len(signs[0])
    if r >= min(m, n):
        return True
    v: list[list[Any]] = [
        [z3.RealVal(int(i == j)) for i in range(r)] if j < r else [z3.Real(f"v{j}_{i}") for i in range(r)]
        for j in range(n)
    ]
    solver = z3.SolverFor("QF_NRA")
    solver.set("timeout", int(timeout_s * 1000))
    for q, row in enumerate(signs):
        u = [z3.Real(f"u{q}_{i}") for i in range(r)]
        for j, sign in enumerate(row):
            score = z3.Sum([a * b for a, b in zip(u, v[j], strict=True)])
            solver.add(score >= 1 if sign > 0 else score <= -1)
    answer = solver.check()
    return True if answer == z3.sat else False if answer == z3.unsat else None
