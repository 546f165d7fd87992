"""Whether the sign rank is at most 2, decided in polynomial time, with a witness either way (theory/rank-two.md)."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from limitbench.theory.bounds import Bound
from limitbench.theory.case import Case
from limitbench.theory.methods.embeddings import expanded

_LEAST = 1.0  # seconds to make a counterexample small, whatever is left
Signs = npt.NDArray[np.int8]  # (m, n) of +1 and -1


def bounds(case: Case) -> Iterator[Bound]:
    """A lower bound of 3 (2 for ranking), or an embedding in as many dimensions as the decider found."""
    m, n = case.m, case.n
    if m * n > 40_000 or m * n * n > 4_000_000:
        return
    signs: Signs = (2 * case.reduced.dense - 1).astype(np.int8)
    order = column_order(signs if case.signs else _with_ones(signs))
    if order is None:
        rows, columns = _shrunk(signs, case.signs, max(case.deadline, time.monotonic() + _LEAST))
        data = {"rows": case.row_numbers(rows), "columns": case.column_numbers(columns)}
        detail = f"a {len(rows)} x {len(columns)} sub-matrix is not of sign rank 2"
        yield case.bound("lower", 3 if case.signs else 2, "rank-two", data, detail=detail)
    elif case.signs:
        u, v = _in_the_plane(signs, *order)
        if u is not None:
            yield expanded(case, u, v, 0, "columns in the order of their angle")
    elif case.notion == "order_preserving":
        place = np.argsort(order[0])[case.reduced.column_of]
        spread = np.lexsort((np.arange(case.qrels.n_documents), place)).tolist()
        detail = "every row is a beginning or an end of one order"
        yield case.bound("upper", 1, "sign-changes", {"order": spread}, evidence="constructed", detail=detail)


def _with_ones(signs: Signs) -> Signs:
    return np.concatenate([np.ones((1, signs.shape[1]), np.int8), signs])


def column_order(signs: Signs) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int8]] | None:
    """(column order, column signs) that show sign rank 2 or less, or None where it is more.

    Columns are negated so that the first row is all +. Up to sign, as many different rows as different columns are left, or the
    rank is more. For some column c, the rows turned to be + at c must be nested; columns then stand in the order in which rows lose
    them.
    """
    turned = signs * signs[:1]
    rows = np.unique(turned * turned[:, :1], axis=0)
    kept, inverse = np.unique(rows, axis=1, return_inverse=True)
    m, n = kept.shape
    if n != m:
        return None
    for c in range(n):
        agree = kept == kept[:, [c]]
        agree = agree[np.argsort(agree.sum(axis=1), kind="stable")]
        if (agree[:-1] <= agree[1:]).all():
            rank = np.argsort(np.argsort((~agree).sum(axis=0), kind="stable"), kind="stable")
            return np.argsort(rank[inverse.ravel()], kind="stable").astype(np.int64), signs[0]
    return None


def _shrunk(signs: Signs, sign_rank: bool, deadline: float) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """(rows, columns) of a sub-matrix, small by greedy deletion, that the decider still refuses."""
    kept = [list(range(size)) for size in signs.shape]

    def refused(rows: list[int], columns: list[int]) -> bool:
        part = signs[np.ix_(rows, columns)]
        return column_order(part if sign_rank else _with_ones(part)) is None

    for axis in (0, 1):
        step = max(1, len(kept[axis]) // 2)
        while step and time.monotonic() < deadline:
            at = 0
            while at < len(kept[axis]) and time.monotonic() < deadline:
                fewer = kept[axis][:at] + kept[axis][at + step :]
                if fewer and refused(*((fewer, kept[1]) if axis == 0 else (kept[0], fewer))):
                    kept[axis] = fewer
                else:
                    at += step
            step //= 2
    return tuple(kept[0]), tuple(kept[1])


def _in_the_plane(signs: Signs, order: npt.NDArray[np.int64], flips: npt.NDArray[np.int8]) -> tuple[Any, Any]:
    """Integer vectors in the plane: columns (1, t) in their order, negated where flipped; rows cut between two of them."""
    n = len(order)
    place = np.argsort(order)
    v = np.stack([flips.astype(np.int64), 2 * place * flips.astype(np.int64)], axis=1)
    u = []
    for row in signs:
        turned = (row * flips)[order]
        changes = np.flatnonzero(turned[1:] != turned[:-1]) + 1
        if len(changes) > 1:
            return None, None
        cut = 2 * int(changes[0]) - 1 if len(changes) else -1
        side = int(turned[n - 1])
        u.append([-cut * side, side])
    return np.array(u, np.int64), v
