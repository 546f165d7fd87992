"""All singletons and edges that no cycle holds: a lower bound of 3."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from limitbench.certificates.claims import Proof
from limitbench.certificates.kinds.graphs import graph
from limitbench.certificates.matrices import Matrix
from limitbench.certificates.work import Steps, require


def proofs(matrix: Matrix, data: Mapping[str, Any], _steps: Steps) -> list[Proof]:
    """All singletons, and edges that no n-cycle holds (a vertex of degree 3, or a shorter cycle): rop >= 3.

    In the plane the points are the corners of a polygon, and a separable pair is a side of it.
    """
    n, _, asked = graph(matrix)
    chosen = {frozenset(edge) for edge in data["edges"]}
    require(all(len(edge) == 2 and asked(edge) for edge in chosen), "an edge is no row")
    degree = Counter(v for edge in chosen for v in edge)
    if max(degree.values(), default=0) >= 3:
        return [("order_preserving", "lower", 3)]
    # all degrees at most 2: a closed walk that misses some vertex
    require(all(d == 2 for d in degree.values()) and 0 < len(degree) < n, "the edges fit into a cycle through all")
    return [("order_preserving", "lower", 3)]
