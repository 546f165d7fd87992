"""Why d dimensions of a dtype are enough for all k-subsets of n documents: one function a construction or theorem."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

from limitbench.theory import constructions as build
from limitbench.theory import margin as margins
from limitbench.theory.bounds import Evidence
from limitbench.theory.closed_form import closed_form
from limitbench.theory.codes import best_code, named
from limitbench.theory.exact import root_rounded_down, rounded_down
from limitbench.theory.reasons import Reason

WIDEST = 1 << 20  # constructions are sought in so many dimensions, and padded with zeros to more
_CHECKED_BY = "python examples/orbit_codes.py results/reference/orbit-codes.json --check"


@dataclass(frozen=True)
class Asked:
    """What is to be carried: all k-subsets of n documents in d dimensions of a dtype, with a half-gap of `gamma` (0: none)."""

    n: int
    k: int
    d: int
    dtype: str
    gamma: Fraction

    @property
    def square(self) -> Fraction:
        """The half-gap squared, which is rational where half-gaps of constructions are."""
        return self.gamma * self.gamma

    @property
    def zero_one(self) -> bool:
        """Whether 0/1 coordinates of equal weight are exact: one bit a coordinate keeps their order, and no margin."""
        return self.dtype != "binary" or not self.gamma


def _reason(method: str, inequality: str, citation: str, evidence: Evidence, *assumptions: str) -> Reason:
    return Reason("possible", method, inequality, citation, evidence, assumptions)


def rank(a: Asked) -> Reason | None:
    """The order-preserving rank: exact numbers without a margin."""
    order = closed_form(a.n, a.k, "order_preserving")
    if a.gamma or a.dtype != "real" or a.d < order:
        return None
    return _reason(
        "order-preserving rank", f"d = {a.d} >= {order} = order-preserving rank of all {a.k}-subsets of {a.n}",
        "theory/all-subsets.md", "proved", "exact real numbers; no finite precision is promised",
    )  # fmt: skip


def integer_curve(a: Asked) -> Reason | None:
    """The moment curve with coordinates that the dtype holds exactly."""
    if a.gamma or a.dtype == "real" or a.d < 2 * a.k or not build.moment_curve_witness(a.n, a.k, a.dtype):
        return None
    return _reason(
        "integer moment curve", f"d = {a.d} >= 2k = {2 * a.k}, and every coordinate is an integer that {a.dtype} holds",
        "theory/moment-curve.md", "constructed", "scores are computed exactly",
    )  # fmt: skip


def trigonometric_curve(a: Asked) -> Reason | None:
    """The trigonometric moment curve with its margin; for k above 64 that is n^-128 at best, and not looked at."""
    dims, square = build.trigonometric_curve(a.n, a.k) if a.k <= 64 else (2 * a.k, Fraction(0))
    if not a.gamma or a.dtype != "real" or a.d < dims or square < a.square:
        return None
    return _reason(
        "trigonometric moment curve", f"d = {a.d} >= 2k = {2 * a.k}; half-gap at least {math.sqrt(square):.3g}",
        "theory/moment-curve.md", "proved", "exact real numbers",
    )  # fmt: skip


def symmetric_code(a: Asked) -> Reason | None:
    """A symmetric code of the table that is shipped."""
    code = best_code(a.n, a.k, a.d, a.dtype) if a.dtype != "binary" else None
    if code is None or code[1] < a.gamma:
        return None
    held, kept = code
    return _reason(
        "symmetric code", f"all {named(a.k)} of {held.n} >= {a.n} documents in {held.d} dimensions; half-gap "
        f"{float(rounded_down(kept, 4)):.4g} in {a.dtype}", "theory/orbit.md", "constructed", "scores are computed exactly",
        f"found by search and checked: {_CHECKED_BY}",
    )  # fmt: skip


def axes(a: Asked) -> Reason | None:
    """One document an axis."""
    if a.d < a.n or Fraction(1, 4 * a.k) < a.square or not a.zero_one:
        return None
    return _reason(
        "one document an axis", f"d = {a.d} >= n = {a.n}; half-gap 1/(2 sqrt(k)) = {0.5 / math.sqrt(a.k):.4g}",
        "one-hot documents, indicator queries", "constructed",
    )  # fmt: skip


def simplex(a: Asked) -> Reason | None:
    """The regular simplex."""
    if a.dtype != "real" or a.d < a.n - 1 or margins.ceiling_squared(a.n, a.k) < a.square:
        return None
    return _reason(
        "regular simplex",
        f"d = {a.d} >= n - 1 = {a.n - 1}; half-gap eps*/2 = {margins.ceiling_rounded(a.n, a.k)} (rounded up)",
        "theory/margin-ceiling.md", "constructed", "exact real numbers",
    )  # fmt: skip


def simplices(a: Asked) -> Reason | None:
    """Orthogonal regular simplices."""
    square = build.orthogonal_simplices(a.n, a.k, a.d)
    if a.dtype != "real" or not square or square < a.square:
        return None
    number = a.n - a.d
    return _reason(
        "orthogonal simplices", f"{number} regular simplices of {a.n // number} documents or more in d = {a.d}; half-gap at "
        f"least {root_rounded_down(square)}", "theory/margin-ceiling.md", "constructed", "exact real numbers",
    )  # fmt: skip


def polynomial_code(a: Asked) -> Reason | None:
    """Graphs of polynomials over a finite field."""
    code = build.best_polynomial_code(min(a.d, WIDEST), a.k, n=a.n, gamma=a.gamma) if a.zero_one else None
    if code is None:
        return None
    return _reason(
        "polynomial code", f"q = {code.q}, degree {code.r}, {code.points} points: {code.q}^{code.r + 1} >= {a.n} documents "
        f"in {code.dimension} dimensions with half-gap {math.sqrt(code.gap_squared):.4g}; k r = {a.k * code.r} < "
        f"{code.points}", "DeVore 2007; theory/polynomial-code.md", "constructed",
        "0/1 coordinates of equal weight: exact in every dtype, and one bit a coordinate keeps their order",
    )  # fmt: skip


def random_signs(a: Asked) -> Reason | None:
    """Random signs, by the union bound."""
    if a.dtype == "binary" or a.k > 12:
        return None
    d = min(a.d, 1 << 13)  # the rest may be zeros
    for used in (d, *(() if not a.gamma else range(d - 1, max(0, d - 16), -1))):
        if build.random_signs_cover(a.n, a.k, used, a.gamma):
            share = f" * P(fewer than {max(1, math.ceil(a.gamma * used))} separating coordinates)"
            return _reason(
                "random signs", f"C({a.n}, {a.k}) ({a.n} - {a.k}){share} < 1 at d = {used}", "theory/random-signs.md", "proved",
                "the vectors exist by the union bound; documents of +-1, queries of -1, 0 and 1",
            )  # fmt: skip
    return None


def random_coherence(a: Asked) -> Reason | None:
    """Random signs as documents with centroid queries, by Hoeffding's inequality."""
    if a.dtype not in ("real", "fp64", "fp32"):
        return None
    used = min(a.d, WIDEST)  # the rest may be zeros
    square = build.random_coherence(a.n, a.k, used)
    if square <= 0 or square < a.square:
        return None
    return _reason(
        "random coherence", f"{a.n} random +-1 documents in {used} dimensions have half-gap at least "
        f"{math.sqrt(square):.4g} with centroid queries", "theory/random-signs.md", "proved",
        "the vectors exist by Hoeffding's inequality and the union bound; entries are integers up to k",
    )  # fmt: skip


CONSTRUCTIONS: tuple[Callable[[Asked], Reason | None], ...] = (
    rank, integer_curve, trigonometric_curve, symmetric_code, axes, simplex, simplices, polynomial_code, random_signs,
    random_coherence,
)  # fmt: skip


def reasons(a: Asked, *, without: Callable[[Asked], Reason | None] | None = None) -> list[Reason]:
    """All that apply; the first is enough. `without` leaves one out."""
    if a.k in (0, a.n):
        return [_reason("constant rows", "every document is relevant, or none: any vectors do", "", "proved")]
    found = (construction(a) for construction in CONSTRUCTIONS if construction is not without)
    return [reason for reason in found if reason is not None]
