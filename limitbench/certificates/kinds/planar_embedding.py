"""All singletons and the edges of a planar drawing: an upper bound of 3."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from limitbench.certificates.claims import Proof
from limitbench.certificates.kinds.graphs import graph
from limitbench.certificates.matrices import Matrix
from limitbench.certificates.work import Steps, require


def proofs(matrix: Matrix, data: Mapping[str, Any], _steps: Steps) -> list[Proof]:
    """All singletons and the edges of a planar graph: rop <= 3 (Steinitz 1922: a triangulation that holds the graph is
    the edge graph of a polytope, and every edge and corner of a polytope is cut off by a plane).

    Planarity is proved by a rotation system of genus 0: Euler's formula over its faces.
    """
    n, rows, _ = graph(matrix)
    rotation: list[list[int]] = data["rotation"]
    require(len(rotation) == n, "expected the neighbours of each vertex in their cyclic order")
    require(all(type(w) is int and 0 <= w < n for near in rotation for w in near), "a neighbour is no document")
    edges = {frozenset((v, w)) for v, near in enumerate(rotation) for w in near}
    require(all(len(edge) == 2 for edge in edges), "a document is its own neighbour")
    require(all(len(set(near)) == len(near) for near in rotation), "a neighbour is named twice")
    require(sum(map(len, rotation)) == 2 * len(edges), "the rotation system names an edge once")
    every = frozenset(range(n))
    require(all(row in edges or every - row in edges for row in rows), "a row is no edge of the drawing")
    # every dart v -> w has one next dart and is the next of one, since neighbours are distinct and edges named from both ends
    after = {(v, w): near[(i + 1) % len(near)] for v, near in enumerate(rotation) for i, w in enumerate(near)}
    darts, faces = set(after), 0
    for start in after:
        if start not in darts:
            continue
        v, w = start
        faces += 1
        while True:
            darts.discard((v, w))
            v, w = w, after[w, v]
            if (v, w) == start:
                break
    component = list(range(n))

    def root(v: int) -> int:
        while component[v] != v:
            component[v] = component[component[v]]
            v = component[v]
        return v

    for a, b in map(tuple, edges):
        component[root(a)] = root(b)
    joined = Counter(root(v) for v in range(n))
    isolated = sum(1 for size in joined.values() if size == 1)
    # each component with edges has its own outer face: V - E + F = 2 for every one of them
    parts = len(joined) - isolated
    require((n - isolated) - len(edges) + faces == 2 * parts, "the rotation system is not that of a planar drawing")
    return [("order_preserving", "upper", 3)]
