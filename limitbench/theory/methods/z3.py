"""z3's word on tiny matrices: optional, labelled as a solver's, never proved, because it leaves no proof to check."""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Iterator
from typing import Any

from limitbench.errors import MissingExtra
from limitbench.theory.bounds import Bound
from limitbench.theory.case import Case


def bounds(case: Case) -> Iterator[Bound]:
    """Lower bounds that z3 claims, one dimension after another, in 10 seconds each at most; none where it is not installed."""
    if case.m * case.n > 64 or not available() or case.notion not in ("sign_rank", "order_preserving"):
        return
    matrix = (2 * case.reduced.dense.astype(int) - 1).tolist()
    if not case.signs:
        matrix = [[1] * case.n, *matrix]
    for value in range(case.lower, case.upper):
        left = min(10.0, case.deadline - time.monotonic())
        if left <= 0 or sign_rank_at_most(matrix, value + (not case.signs), timeout_s=left) is not False:
            return
        detail = f"z3 finds no embedding in {value} dimensions; there is no proof to check"
        yield Bound("lower", value + 1, case.notion, "z3", "z3, QF_NRA", "measured", "solver", detail=detail)


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
