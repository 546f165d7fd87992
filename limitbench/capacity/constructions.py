"""Constructions with stored arrays: what the theorems of `limitbench.theory` promise, built and measured in a dtype.

Each builder gives documents and queries for all k-subsets of n documents in at most d dimensions, or None where the construction
has none. None of them is ever a start of an optimizer.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from limitbench.capacity.max_margin_query import best_query
from limitbench.capacity.problem import Problem
from limitbench.dtypes import Values as Floats
from limitbench.dtypes import stored as stored_values
from limitbench.theory.constructions import best_polynomial_code, orthogonal_simplices, simplex_and_centre


@dataclass(frozen=True, eq=False)
class Built:
    """Documents (n, d) and queries (m, d) before storing; `queries` None: the sums of their documents, integers."""

    documents: npt.NDArray[Any]
    queries: npt.NDArray[Any] | None


def centroids(v: Floats, problem: Problem) -> Floats:
    """unit(sum of the relevant - k mean), (m, d)."""
    centred = v - v.mean(0)
    out = centred[problem.relevant].sum(1)
    return np.asarray(out / np.maximum(np.linalg.norm(out, axis=1, keepdims=True), 1e-300))


def cyclic(problem: Problem, d: int, dtype: str, _seed: int) -> Built | None:
    """The cyclic polytope on the trigonometric moment curve (cos jt, sin jt), j <= d/2, at n equispaced t; all unit.

    d >= 2k. The queries are those of largest margin for the documents as stored; with the closed form -prod (1 - cos(t - s)),
    which uses 2k of the dimensions, where they do not exist. Turning t by a step is a rotation, so that one query a necklace of
    k-subsets is computed and the others are rotated from it.
    """
    n, k = problem.n, problem.degree
    half = d // 2
    if half < k or problem.k is None or n <= k:
        return None
    t = 2 * math.pi * np.arange(n) / n
    v = np.zeros((n, d))
    for j in range(1, half + 1):
        v[:, 2 * j - 2], v[:, 2 * j - 1] = np.cos(j * t), np.sin(j * t)
    v /= math.sqrt(half)
    stored = stored_values(v, dtype, scale="together")
    first = problem.relevant - problem.relevant[:, :1]  # turned so that the least is document 0
    bases: dict[tuple[int, ...], Floats] = {}
    queries = np.zeros((problem.m, d))
    for row, (turned, shift) in enumerate(
        zip(map(tuple, first.tolist()), problem.relevant[:, 0].tolist(), strict=True)
    ):
        if turned not in bases:
            found = best_query(v, turned)
            bases[turned] = found.u if found.u is not None else _closed_form(turned, n, d)
        queries[row] = _turned(bases[turned], 2 * math.pi * shift / n, half)
    # rounding the documents moves them: what fails in the stored dtype is asked again, for the documents as stored
    rounded = stored_values(queries, dtype, scale="each")
    for row in _failing(rounded, stored, problem):
        found = best_query(stored, problem.relevant[row])
        if found.u is not None:
            queries[row] = found.u
    return Built(v, queries)


def _closed_form(chosen: tuple[int, ...], n: int, d: int) -> Floats:
    """The coefficients of -prod_{s in S} (1 - cos(t - s)) on cos jt, sin jt, padded with zeros."""
    k = len(chosen)
    coefficients = np.zeros(2 * k + 1, complex)  # of e^{ijt}, j = -k..k
    coefficients[k] = 1
    for s in chosen:
        a = np.exp(-2j * math.pi * s / n)
        coefficients = coefficients - 0.5 * (np.roll(coefficients, 1) * a + np.roll(coefficients, -1) * np.conj(a))
    out = np.zeros(d)
    for j in range(1, k + 1):
        out[2 * j - 2], out[2 * j - 1] = -2 * coefficients[k + j].real, 2 * coefficients[k + j].imag
    return np.asarray(out / np.linalg.norm(out))


def _turned(u: Floats, angle: float, half: int) -> Floats:
    """The query u rotated as the curve is by this angle."""
    out = u.copy()
    for j in range(1, half + 1):
        c, s = math.cos(j * angle), math.sin(j * angle)
        x, y = u[2 * j - 2], u[2 * j - 1]
        out[2 * j - 2], out[2 * j - 1] = c * x - s * y, s * x + c * y
    return out


def _failing(u: Floats, v: Floats, problem: Problem) -> list[int]:
    out: list[int] = []
    step = max(1, 4_000_000 // problem.n)
    for at in range(0, problem.m, step):
        s = u[at : at + step] @ v.T
        index = problem.relevant[at : at + step]
        low = np.take_along_axis(s, index, 1).min(1)
        np.put_along_axis(s, index, -np.inf, 1)
        out += (at + np.flatnonzero(low <= s.max(1))).tolist()
    return out


def random_sign(problem: Problem, d: int, _dtype: str, seed: int) -> Built:
    """Random +-1 documents; the query of a set is the sum of its documents, exact in integers."""
    return Built(np.random.default_rng(seed).choice([-1, 1], (problem.n, d)).astype(np.int8), None)


def gaussian(problem: Problem, d: int, _dtype: str, seed: int) -> Built:
    """Random unit documents with centroid queries."""
    v = np.random.default_rng(seed).standard_normal((problem.n, d))
    v /= np.linalg.norm(v, axis=1, keepdims=True)
    return Built(v, centroids(v, problem))


def simplex(problem: Problem, d: int, _dtype: str, _seed: int) -> Built | None:
    """The regular simplex, n <= d + 1 documents, with centroid queries: the largest margin any dimension allows."""
    n = problem.n
    if n > d + 1:
        return None
    corners = np.eye(n) - 1.0 / n
    basis = np.linalg.svd(corners)[0][:, : n - 1]
    v = np.zeros((n, d))
    v[:, : n - 1] = corners @ basis
    v /= np.linalg.norm(v, axis=1, keepdims=True)
    return Built(v, centroids(v, problem))


def simplices(problem: Problem, d: int, _dtype: str, _seed: int) -> Built | None:
    """n - d regular simplices in orthogonal spaces, each of more than k documents, or one and its centre, whichever has the larger
    half-gap (theory/margin-ceiling.md).

    The query of a set is the sum over the simplices of the centroid of its documents there, over the centroid's squared length;
    beside a centre, the sum of its documents.
    """
    n, k = problem.n, problem.degree
    joined, centred = orthogonal_simplices(n, k, d), simplex_and_centre(n, k, d)
    if not joined and not centred:
        return None
    if centred > joined:
        corners = np.eye(n - 1) - 1.0 / (n - 1)
        outer = corners @ np.linalg.svd(corners)[0][:, : n - 2]
        v = np.concatenate([outer / np.linalg.norm(outer, axis=1, keepdims=True), np.zeros((1, d))])
        return Built(v, v[problem.relevant].sum(1))
    v, at = np.zeros((n, d)), 0
    parts = np.array_split(np.arange(n), n - d)
    for part in parts:
        corners = np.eye(len(part)) - 1.0 / len(part)
        v[part, at : at + len(part) - 1] = corners @ np.linalg.svd(corners)[0][:, : len(part) - 1]
        at += len(part) - 1
    v /= np.linalg.norm(v, axis=1, keepdims=True)
    simplex_of = np.repeat(np.arange(len(parts)), list(map(len, parts)))
    own = simplex_of[problem.relevant]
    together = (own[:, :, None] == own[:, None]).sum(2)  # relevant documents in it
    size = np.array(list(map(len, parts)))[own]
    weight = (size - 1) / (size - together)  # 1 / (documents in it times the squared length of their centroid)
    return Built(v, (v[problem.relevant] * weight[:, :, None]).sum(1))


def polynomial(problem: Problem, d: int, dtype: str, _seed: int) -> Built | None:
    """The polynomial code: 0/1 documents of equal weight; the query of a set is the sum of its documents, in integers."""
    code = best_polynomial_code(d, problem.degree, n=problem.n)
    if code is None or not _is_prime(code.q) or problem.k is None:
        return None
    v = np.zeros((problem.n, d), np.int8)
    v[:, : code.dimension] = code.documents(range(problem.n))
    return Built(2 * v - 1 if dtype == "binary" else v, None)  # of equal weight: 2v - 1 keeps every order


def _is_prime(q: int) -> bool:
    return q >= 2 and all(q % p for p in range(2, math.isqrt(q) + 1))


BUILDERS: dict[str, Callable[[Problem, int, str, int], Built | None]] = {
    "cyclic": cyclic,
    "random-sign": random_sign,
    "gaussian": gaussian,
    "simplex": simplex,
    "simplices": simplices,
    "polynomial": polynomial,
}
