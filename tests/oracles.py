"""Scores by their definition and linear programs: what tests hold bounds and constructions against."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.optimize import linprog


def maxsim(query: np.ndarray, tokens: Sequence[np.ndarray] | np.ndarray) -> np.ndarray:
    """Scores of documents (n, t, d) for one query (s, d), by the definition."""
    return np.array([sum(max(u @ v for v in document) for u in query) for document in tokens])


def separable(documents: np.ndarray, wanted: tuple[int, ...], signed: bool) -> bool:
    """Whether some weights put these documents above all others, by a linear program."""
    others = [i for i in range(len(documents)) if i not in wanted]
    rows = [np.append(documents[o] - documents[w], 1.0) for w in wanted for o in others]
    bounds = [(-1 if signed else 0, 1)] * documents.shape[1] + [(None, 1)]
    found = linprog([0.0] * documents.shape[1] + [-1.0], A_ub=rows, b_ub=np.zeros(len(rows)), bounds=bounds)
    return bool(found.status == 0 and found.x[-1] > 1e-9)


def edge_documents(edges: list[list[int]], terms: int) -> np.ndarray:
    documents = np.zeros((len(edges), terms))
    for row, (a, b) in enumerate(edges):
        documents[row, [a, b]] = 1
    return documents
