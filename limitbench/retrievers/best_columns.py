"""The best columns of a score matrix, as runs with every tie across the cut."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from limitbench.rankings import Run

Floats = npt.NDArray[np.float32]
_BLOCK = 32  # columns looked at by their largest score first


def best(scores: Floats, query_ids: Sequence[str], document_ids: Sequence[str], depth: int) -> Run:
    """The run of a score matrix (m, n), with every tie across the cut."""
    m, n = scores.shape
    if depth + 1 >= n or m == 0:
        return Run.from_scores(scores, query_ids=query_ids, document_ids=document_ids, depth=depth)
    columns = _top(scores, depth + 1)  # (m, depth + 1), best first
    found = sorted_run(np.take_along_axis(scores, columns, 1), columns, query_ids, document_ids, depth)
    return found or Run.from_scores(scores, query_ids=query_ids, document_ids=document_ids, depth=depth)


def sorted_run(
    scores: Floats, columns: npt.NDArray[np.int64], query_ids: Sequence[str], document_ids: Sequence[str], depth: int
) -> Run | None:
    """The run of the depth + 1 best of every row, best first; None where the cut falls between equal scores, or on no number."""
    if not np.isfinite(scores).all() or (scores[:, depth] == scores[:, depth - 1]).any():
        return None
    m = len(scores)
    columns, scores = columns[:, :depth], scores[:, :depth]
    if (scores[:, 1:] == scores[:, :-1]).any():  # equal scores stand in document order
        rows = np.repeat(np.arange(m), depth)
        return Run.from_entries(
            rows, columns.ravel(), scores.ravel(), query_ids=query_ids, document_ids=document_ids, depth=depth
        )
    return Run(
        tuple(query_ids),
        tuple(document_ids),
        np.arange(m + 1) * depth,
        columns.ravel(),
        scores.ravel().astype(np.float64),
    )


def _top(scores: Floats, k: int) -> npt.NDArray[np.int64]:
    """The columns of k best of every row, best first.

    Looks at blocks of columns by their largest score first: the k best lie in the k best blocks. (If not, more than k scores are
    at least the k-th best, and so the k blocks hold k of them: the tie at the cut is seen either way.)
    """
    m, n = scores.shape
    blocks = n // _BLOCK
    if blocks < 4 * k:
        return _best_columns(scores, k)
    body = scores[:, : blocks * _BLOCK].reshape(m, blocks, _BLOCK)
    chosen = np.argpartition(body.max(2), blocks - k, axis=1)[:, blocks - k :]  # (m, k)
    inside = np.take_along_axis(body, chosen[..., None], 1).reshape(m, -1)
    places = (chosen[..., None] * _BLOCK + np.arange(_BLOCK)).reshape(m, -1)
    tail = np.broadcast_to(np.arange(blocks * _BLOCK, n), (m, n - blocks * _BLOCK))
    values = np.concatenate([inside, scores[:, blocks * _BLOCK :]], axis=1)
    return np.take_along_axis(np.concatenate([places, tail], axis=1), _best_columns(values, k), 1)


def _best_columns(scores: Floats, k: int) -> npt.NDArray[np.int64]:
    """The same, by looking at every column."""
    part = np.argpartition(scores, scores.shape[1] - k, axis=1)[:, -k:]
    order = np.argsort(-np.take_along_axis(scores, part, 1), axis=1, kind="stable")
    return np.take_along_axis(part, order, 1)
