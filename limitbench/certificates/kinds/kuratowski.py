"""All singletons and a graph that is not planar: a lower bound of 4."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from limitbench.certificates.claims import Proof
from limitbench.certificates.kinds.graphs import graph
from limitbench.certificates.matrices import Matrix
from limitbench.certificates.work import Steps, require


def proofs(matrix: Matrix, data: Mapping[str, Any], _steps: Steps) -> list[Proof]:
    """All singletons, and edges that subdivide K5 or K3,3: rop >= 4.

    Singletons put the points in convex position, and a separable pair of vertices of a polytope is an edge of it; the
    edges of a polytope in 3 dimensions form a planar graph (Steinitz 1922, Kuratowski 1930).
    """
    _, _, asked = graph(matrix)
    chosen = {frozenset(edge) for edge in data["edges"]}
    require(all(len(edge) == 2 and asked(edge) for edge in chosen), "an edge of the subdivision is no row")
    around: dict[int, set[int]] = {}
    for a, b in map(tuple, chosen):
        around.setdefault(a, set()).add(b)
        around.setdefault(b, set()).add(a)
    for v in [v for v, near in around.items() if len(near) == 2]:
        a, b = around.pop(v)
        require(b not in around[a], "smoothing a vertex doubles an edge")
        around[a].remove(v)
        around[b].remove(v)
        around[a].add(b)
        around[b].add(a)
    degrees = Counter(map(len, around.values()))
    if degrees == {4: 5}:
        return [("order_preserving", "lower", 4)]
    require(degrees == {3: 6}, "the branch vertices are not those of K5 or K3,3")
    side = around[next(iter(around))]
    require(len(side) == 3 and all(around[v] == set(around) - side for v in side), "the cubic graph is not K3,3")
    return [("order_preserving", "lower", 4)]
