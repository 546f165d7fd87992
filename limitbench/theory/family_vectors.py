"""The constructions of other families as arrays: MaxSim tokens, sparse vectors and first-stage vectors that return given sets.

Documents are numbered 0 .. n - 1 and get their vectors by number; queries get theirs from the set that they ask for. Fields are
prime here, so that a polynomial's values are sums modulo q.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from limitbench.theory import families
from limitbench.theory.constructions import PolynomialCode, is_prime

Floats = npt.NDArray[np.float64]
_CHUNK = 1 << 22  # inner products at a time


@dataclass(frozen=True)
class Graphs:
    """Documents as 0/1 graphs of polynomials of degree at most r over q elements, at l of them: they meet in at most r."""

    q: int
    r: int
    points: int

    @classmethod
    def smallest(cls, n: int, k: int) -> Graphs:
        """The graphs of least dimension q l for n documents, with l > k r: the union of k graphs holds no other.

        Raises `ValueError` where no field that is tried has room.
        """
        found = [
            cls(q, r, k * r + 1) for q, r in families.codes(n, families.MOST_FIELD) if is_prime(q) and k * r + 1 <= q
        ]
        if not found:
            raise ValueError(
                f"no field of up to {families.MOST_FIELD} elements has room for {n} documents and sets of {k}"
            )
        return min(found, key=lambda one: one.q * one.points)

    def documents(self, numbers: Sequence[int]) -> npt.NDArray[np.int8]:
        """(documents, q l) of 0 and 1."""
        return PolynomialCode(self.q, self.r, 1, self.points).documents(numbers)

    def document_tokens(self, numbers: Sequence[int]) -> Floats:
        """(documents, 2, q l + 1): the graph, and a floor that all documents share."""
        graphs = self.documents(numbers)
        out = np.zeros((len(graphs), 2, graphs.shape[1] + 1))
        out[:, 0, :-1] = graphs
        out[:, 1, -1] = 1
        return out

    def query_tokens(self, wanted: Sequence[int]) -> Floats:
        """(|wanted|, q l + 1): one token a document, which scores 2 l on its own and l + r on every other."""
        graphs = self.documents(wanted)
        return np.hstack([2.0 * graphs, np.full((len(graphs), 1), self.points + self.r)])


def polarity_prime(n: int) -> int:
    """The least prime q whose polarity graph has n edges: q (q + 1)^2 / 2 >= n."""
    q = 2
    while q * (q + 1) ** 2 // 2 < n or not is_prime(q):
        q += 1
    return q


def polarity_edges(q: int, n: int) -> npt.NDArray[np.int64]:
    """(n, 2): the first n pairs a < b of points of the projective plane over a prime q whose inner product is 0 modulo q."""
    points = np.array(
        [(1, y, z) for y in range(q) for z in range(q)] + [(0, 1, z) for z in range(q)] + [(0, 0, 1)], np.int64
    )
    out: list[npt.NDArray[np.int64]] = []
    found, step = 0, max(1, _CHUNK // len(points))
    for start in range(0, len(points), step):
        at, other = np.nonzero(points[start : start + step] @ points.T % q == 0)
        pairs = np.stack([at + start, other], 1)
        out.append(pairs[pairs[:, 0] < pairs[:, 1]])
        found += len(out[-1])
        if found >= n:
            break
    return np.concatenate(out)[:n]


def pair_weights(wanted: Sequence[tuple[int, int]], edges: frozenset[tuple[int, int]]) -> Mapping[int, float]:
    """Query weights under which one or two edges of a graph without 4-cycle score above all its other edges.

    theory/sparse.md: of two edges that share no end, the pairs across have at most one end in common, the hub.
    """
    if len(wanted) == 1:
        return dict.fromkeys(wanted[0], 1.0)
    (a, b), (c, d) = wanted
    shared = {a, b} & {c, d}
    if shared:
        return {x: 2.0 if x in shared else 1.0 for x in (a, b, c, d)}
    across = [pair for pair in ((a, c), (a, d), (b, c), (b, d)) if (min(pair), max(pair)) in edges]
    if not across:
        return dict.fromkeys((a, b, c, d), 1.0)
    hub = next(x for x in across[0] if all(x in pair for pair in across))
    partner = {a: b, b: a, c: d, d: c}[hub]
    return {x: 1.0 if x == hub else 4.0 if x == partner else 3.0 for x in (a, b, c, d)}


def curve(n: int, dim: int) -> Floats:
    """(n, dim): documents at equal steps of the trigonometric curve (cos jt, sin jt), j <= dim / 2."""
    at = 2 * np.pi * np.arange(n) / n
    return np.concatenate([[np.cos(j * at), np.sin(j * at)] for j in range(1, dim // 2 + 1)]).T


def arcs_query(wanted: Sequence[int], n: int, dim: int) -> tuple[Floats, int]:
    """(query, documents let in): up to a constant, scores are positive on at most dim / 2 arcs that hold the wanted documents.

    They are negative elsewhere. The smallest gaps between wanted documents are let in (theory/two-stages.md).
    """
    at = sorted(wanted)
    gaps = [(after - here, here) for here, after in pairwise([*at, at[0] + n])]  # steps to the next, in a circle
    arcs = dim // 2
    kept = sorted(sorted(gaps, reverse=True)[:arcs], key=lambda gap: gap[1])
    let_in = n - len(at) - sum(step - 1 for step, _ in kept)
    zeros = [(here + 0.5, here + step - 0.5) for step, here in kept]
    roots = 2 * np.pi * np.array([x for ends in zeros for x in ends]) / n
    steps = 2 * arcs + 1
    sampled = np.prod(np.sin((2 * np.pi * np.arange(steps)[:, None] / steps - roots) / 2), axis=1)
    middle = np.prod(np.sin((2 * np.pi * at[0] / n - roots) / 2))
    found = np.fft.rfft(sampled * np.sign(middle)) * 2 / steps
    query = np.zeros(dim)
    used = min(arcs, len(kept))
    query[0 : 2 * used : 2], query[1 : 2 * used : 2] = found.real[1 : used + 1], -found.imag[1 : used + 1]
    return query, let_in
