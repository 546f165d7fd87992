"""Singletons plus the edges of a graph: the order-preserving rank is 2, 3 or 4 by a cycle and by planarity (networkx)."""

from __future__ import annotations

import importlib.util
import math
import time
from collections.abc import Iterator
from typing import Any

import numpy as np

from limitbench.certificates import Side
from limitbench.theory.bounds import Bound
from limitbench.theory.case import Case
from limitbench.theory.matrix import Reduced

_LEAST = 1.0  # seconds to make a counterexample small, whatever is left: a large one takes longer to check
_VALUES = {"planar-embedding": 3, "kuratowski": 4, "not-in-cycle": 3}


def bounds(case: Case) -> Iterator[Bound]:
    """What a cycle and planarity say, where the rows are all singletons and edges."""
    edges = graph_of(case.reduced)
    if edges is None:
        return
    if importlib.util.find_spec("networkx") is None:
        case.notes.append("planarity was not looked at: it needs networkx; pip install 'limitbench[graphs]'")
        return
    own = [(int(case.reduced.columns[a]), int(case.reduced.columns[b])) for a, b in edges]
    found = decide(own, case.qrels.n_documents, max(case.deadline, time.monotonic() + _LEAST))
    if all(kind == "not-in-cycle" for _, kind, _ in found):
        case.notes.append(
            "the graph is not planar, but there was no time to find the part that proves it; raise the budget"
        )
    for side, kind, data in found:
        value = _VALUES[kind] + (side == "upper" and case.notion != "order_preserving")
        yield case.bound(side, value, kind, data, detail="all singletons and the edges of a graph")


def graph_of(reduced: Reduced) -> list[tuple[int, int]] | None:
    """The edges, where the rows are all singletons and otherwise pairs, of at least 4 documents; else None."""
    m, n = reduced.shape
    sizes = np.diff(reduced.matrix.indptr)
    if n < 4 or m == 0 or n != reduced.original.n_documents or not set(sizes.tolist()) <= {1, 2}:
        return None
    starts = reduced.matrix.indptr[:-1]
    singles = reduced.matrix.indices[starts[sizes == 1]]
    if len(set(singles.tolist())) != n:
        return None
    at = starts[sizes == 2]
    return list(zip(reduced.matrix.indices[at].tolist(), reduced.matrix.indices[at + 1].tolist(), strict=True))


def _shrunk(edges: list[tuple[int, int]], deadline: float) -> list[tuple[int, int]] | None:
    """Few edges that are still not planar: blocks are dropped while what is left is not planar, then smaller blocks.

    None where the time was too short. networkx's own counterexample drops edges one by one, which is quadratic.
    """
    import networkx as nx

    size = len(edges)
    while size >= 1:
        at = 0
        while at < len(edges):
            if time.monotonic() > deadline:
                return None
            rest = edges[:at] + edges[at + size :]
            if nx.check_planarity(nx.Graph(rest))[0]:
                at += size
            else:
                edges = rest
        size //= 2
    return edges


def decide(edges: list[tuple[int, int]], n: int, deadline: float = math.inf) -> list[tuple[Side, str, dict[str, Any]]]:
    """(side, kind, certificate data) of what planarity says; the values are 3 or 4, as the kind's checker finds.

    A graph that is not planar goes without its proof where the deadline comes first.
    """
    import networkx as nx

    graph: Any = nx.Graph()
    graph.add_nodes_from(range(n))
    graph.add_edges_from(edges)
    out: list[tuple[Side, str, dict[str, Any]]] = []
    found: Any
    planar, found = nx.check_planarity(graph)
    if planar:
        rotation = [[int(w) for w in found.neighbors_cw_order(v)] for v in range(n)]
        out.append(("upper", "planar-embedding", {"rotation": rotation}))
    elif (few := _shrunk(list(graph.edges), deadline)) is not None:
        _, found = nx.check_planarity(nx.Graph(few), counterexample=True)
        out.append(("lower", "kuratowski", {"edges": [sorted(map(int, edge)) for edge in found.edges]}))
    busy = next((v for v, degree in graph.degree if degree >= 3), None)
    if busy is not None:
        near = sorted(graph[busy])[:3]
        out.append(("lower", "not-in-cycle", {"edges": [sorted((int(busy), int(w))) for w in near]}))
    else:
        for component in nx.connected_components(graph):
            part = graph.subgraph(component)
            if len(component) < n and part.number_of_edges() == len(component):
                out.append(("lower", "not-in-cycle", {"edges": [sorted(map(int, e)) for e in part.edges]}))
                break
    return out
