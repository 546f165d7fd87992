"""The margin of stored vectors, bounded in floating point and, where that does not decide, computed in rationals."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from limitbench.capacity.problem import Problem
from limitbench.dtypes import FLOAT64_ROUNDOFF
from limitbench.dtypes import Values as Floats
from limitbench.errors import CertificateError

_CHUNK = 4_000_000  # scores at a time
_MOST_RATIONAL = 20_000_000  # products of rationals, over all rows that floating point leaves in doubt
LARGEST = 1e100  # of a coordinate, and the inverse of the least that is not 0: scores and squares stay within float64


@dataclass(frozen=True)
class Checked:
    """What the check of a witness found: the least margin of its rows, and how many were decided in rationals."""

    margin: float | None  # rounded down; None where there is no row to be strict
    rows: int
    rational_rows: int

    @property
    def vacuous(self) -> bool:
        """Whether nothing was asked: no query has both relevant and other documents, as for k = n."""
        return self.rows == 0


def strict_margin(u: Floats, v: Floats, problem: Problem, claimed: float = 0.0) -> Checked:
    """The least margin over the rows of queries u (m, d) and documents v (n, d), proved. Raises `CertificateError` for a row
    that is not strict or has less than the claimed margin."""
    d = v.shape[1]
    unit_roundoff = d * FLOAT64_ROUNDOFF
    largest = float(np.sqrt((v * v).sum(1)).max()) * (1 + (d + 4) * FLOAT64_ROUNDOFF)
    relative = unit_roundoff / (1 - unit_roundoff) * (1 + 1e-9)
    least, rational, left = math.inf, 0, _MOST_RATIONAL
    for at, s in _scores(u, v):
        rows = slice(at, at + len(s))
        index = problem.relevant[rows]
        lengths = np.sqrt((u[rows] ** 2).sum(1)) * (1 + (d + 4) * FLOAT64_ROUNDOFF)
        bound = relative * lengths * largest
        low = np.take_along_axis(s, index, 1).min(1)
        np.put_along_axis(s, index, -np.inf, 1)
        gap = low - s.max(1) - 2 * bound
        scale = 2 * lengths * largest
        with np.errstate(divide="ignore", invalid="ignore"):
            margin = np.where(scale > 0, gap / scale, 0.0) * (1 - 1e-12)
        doubtful = np.flatnonzero(~(gap > 0) | ~(margin >= claimed))
        for r in doubtful:
            rational += 1
            margin[r], spent = _exact_margin(
                u[at + r], v, index[r], s[r], float(bound[r]), largest, at + int(r), claimed, left
            )
            left -= spent
        least = min(least, float(margin.min()))
    return Checked(least if problem.m else None, problem.m, rational)


def _scores(u: Floats, v: Floats) -> Iterator[tuple[int, Floats]]:
    step = max(1, _CHUNK // len(v))
    for at in range(0, len(u), step):
        yield at, u[at : at + step] @ v.T


def _exact_margin(
    u: Floats,
    v: Floats,
    relevant: npt.NDArray[np.int64],
    s: Floats,
    bound: float,
    largest: float,
    row: int,
    claimed: float,
    left: int,
) -> tuple[float, int]:
    """The margin of one row in rational arithmetic, and the products that took, at most `left`; documents whose float64 scores
    leave no doubt are not looked at.
    """
    some = np.flatnonzero(u)  # other coordinates add nothing
    exact_u = [Fraction(x) for x in u[some].tolist()]

    def score(j: int) -> Fraction:
        return sum((a * Fraction(b) for a, b in zip(exact_u, v[j][some].tolist(), strict=True)), Fraction(0))

    inside = [int(p) for p in np.unique(relevant)]
    rivals = np.setdiff1d(np.flatnonzero(~(s < s.max() - 2 * bound)), inside)
    spent = (len(inside) + len(rivals)) * len(some)
    if spent > left:
        raise CertificateError(
            f"row {row} and others need more than {_MOST_RATIONAL:,} products of rationals: too many scores are too close "
            "for float64"
        )
    gap = min(map(score, inside)) - max(score(int(j)) for j in rivals)
    if gap <= 0:
        raise CertificateError(f"row {row} is not strict: the gap of {inside} is {float(gap):.3g}")
    scale = 4 * sum(x * x for x in exact_u) * Fraction(largest) ** 2  # at least (2 |u| max|v|)^2
    if claimed > 0 and gap * gap < Fraction(claimed) ** 2 * scale:
        raise CertificateError(f"row {row} has less than the claimed margin {claimed:.3g}")
    return math.sqrt(gap * gap / scale) * (1 - 1e-12), spent


def gram_of(v: Floats, k: int) -> tuple[npt.NDArray[np.int64], int]:
    """Inner products (n, n) of integer vectors, exact, and the largest squared length.

    A query that sums k of them scores at most k top^2 d, and its squared length is at most k^2 top^2 d: both stay below 2^61.
    """
    top = int(min(np.abs(v).max(initial=0), 2.0**31))
    if not (v == np.rint(v)).all() or top * top * v.shape[1] * (k + 1) ** 2 >= 2**61:
        raise CertificateError(
            "queries that are sums of documents need integer coordinates whose squares sum to less than 2^61 over (k + 1)^2; "
            "store the queries"
        )
    whole = v.astype(np.int64)
    gram = whole @ whole.T
    return gram, int(gram.diagonal().max())


def check_sums(v: Floats, problem: Problem, claimed: float) -> Checked:
    """Queries that are the sums of their documents, for integer vectors: exact."""
    gram, largest = gram_of(v, problem.degree)
    least = math.inf
    step = max(1, _CHUNK // problem.n)
    for at in range(0, problem.m, step):
        index = problem.relevant[at : at + step]
        repeated = _repeats(index)
        s = (gram[index] * ~repeated[..., None]).sum(1)  # (c, n)
        squares = (np.take_along_axis(s, index, 1) * ~repeated).sum(1)  # |u|^2
        low = np.take_along_axis(s, index, 1).min(1)
        np.put_along_axis(s, index, np.iinfo(np.int64).min, 1)
        least = min(least, _least(low - s.max(1), squares, largest, at))
    return with_claim(least, problem.m, claimed)


def with_claim(least: float, rows: int, claimed: float) -> Checked:
    """The check of so many rows with this least margin. Raises `CertificateError` where it is below the claim."""
    if not least >= claimed:  # also where it is no number
        raise CertificateError(f"the least margin is {least:.6g}, the claim {claimed:.6g}")
    return Checked(least if rows else None, rows, rows)


def _repeats(index: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    out = np.zeros(index.shape, bool)
    out[:, 1:] = index[:, 1:] == index[:, :-1]
    return out


def pairs(gram: npt.NDArray[np.int64], largest: int) -> float:
    """The least margin over all pairs {i, l}: the query scores G_ij + G_lj on document j, so for each i the best rival of the
    pair is max_j (G_ij + G_lj), a row of G added to all others."""
    n, least = len(gram), math.inf
    narrow = np.int32 if int(np.abs(gram).max()) < 2**28 else np.int64
    gram, never = gram.astype(narrow), np.iinfo(narrow).min // 4
    for i in range(n - 1):
        s = gram[i + 1 :] + gram[i]  # (n - i - 1, n)
        row = np.arange(len(s))
        low = np.minimum(s[:, i], s[row, row + i + 1])
        squares = s[:, i].astype(np.int64) + s[row, row + i + 1]
        s[:, i] = never
        s[row, row + i + 1] = never
        least = min(least, _least(low - s.max(1), squares, largest, i))
    return least


def _least(gaps: npt.NDArray[np.int64], squares: npt.NDArray[np.int64], largest: int, where: int) -> float:
    if (gaps <= 0).any():
        raise CertificateError(f"a row at {where} is not strict: its gap is {int(gaps.min())}")
    if (squares <= 0).any():
        raise CertificateError(f"a row at {where} has a query of no length")
    return float((gaps / (2 * np.sqrt(squares.astype(float) * float(largest)))).min() * (1 - 1e-12))
