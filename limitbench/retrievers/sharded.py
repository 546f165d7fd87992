"""Exact search in parts: the shards of a corpus are searched apart, here or on other machines, and the best are merged.

Whatever the number of shards, ids, scores and ties are the same, to the bit. A product of matrices may differ in its last bits by
the shape of its parts; so it only chooses candidates, with the bound on its error as slack, and a candidate's score is computed
anew: products and pairwise sums in fp64, rounded once to fp32.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from limitbench.errors import DataError, LimitbenchError, RetrievalError
from limitbench.progress import Each, raised
from limitbench.rankings import Run, best_entries, require_entries
from limitbench.retrievers.best_columns import Floats

_ROWS = 1 << 15  # documents at a time
_ENTRIES = 1 << 24  # of a product at a time: 64 MB
_PAIRS = 1 << 22  # numbers of exact products at a time, in fp64: 32 MB


@dataclass(frozen=True)
class Entries:
    """Query numbers, document numbers of the whole corpus, and scores: what a shard has of the best."""

    rows: npt.NDArray[np.int64]
    columns: npt.NDArray[np.int64]
    scores: npt.NDArray[np.float64]

    @classmethod
    def none(cls) -> Entries:
        """No entry."""
        return cls(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0))

    def with_best_of(self, other: Entries, m: int, depth: int) -> Entries:
        """The best `depth` of each of m queries among these and others, and their ties. Raises `RetrievalError` for too many."""
        require_entries(len(self.rows) + len(other.rows))
        rows, columns, scores = (
            np.concatenate([getattr(self, name), getattr(other, name)]) for name in ("rows", "columns", "scores")
        )
        return Entries(*best_entries(rows, columns, scores, m, depth))


def here(
    call: Callable[[Any], Any],
    items: Sequence[Any],
    *,
    label: Callable[[Any], str] = str,  # noqa: ARG001
    light: bool = False,  # noqa: ARG001
) -> Iterator[tuple[int, Any]]:
    """An `Each` that calls one after another in this process."""
    for place in range(len(items)):
        try:
            value = call(items[place])
        except LimitbenchError as error:
            value = error
        yield place, value


def merged(parts: Iterable[Entries], query_ids: Sequence[str], document_ids: Sequence[str], depth: int) -> Run:
    """The run of all parts; only the best so far, with their ties, are held."""
    kept = Entries.none()
    for part in parts:
        kept = kept.with_best_of(part, len(query_ids), depth)
    return Run.from_entries(
        kept.rows, kept.columns, kept.scores, query_ids=query_ids, document_ids=document_ids, depth=depth
    )


def shares(seconds: float, queries: int) -> npt.NDArray[np.float64]:
    """Each query's share of a search of all: to ask them one by one would read every shard again for each."""
    return np.full(max(1, queries), seconds / max(1, queries))


@dataclass(frozen=True)
class VectorShard:
    """Rows of a .npy file: unit vectors or others, fp32, whose first is document `first` of the corpus."""

    path: Path
    first: int
    count: int

    def __str__(self) -> str:
        return f"documents {self.first:,} to {self.first + self.count - 1:,}"

    def rows(self) -> Floats:
        """The vectors (count, d), mapped from the disk. Raises `DataError` where the file is not whole."""
        try:
            found: Floats = np.load(self.path, mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:
            raise DataError(self.path, f"is not a whole .npy file ({error}); encode it again") from None
        if found.ndim != 2 or len(found) != self.count or found.dtype != np.float32:
            raise DataError(
                self.path, f"holds {found.dtype} {found.shape}, expected float32 of {self.count} rows; encode it again"
            )
        return found


def search_vectors(
    queries: Floats, query_ids: Sequence[str], document_ids: Sequence[str], shards: Sequence[VectorShard], depth: int,
    each: Each = here,
) -> Run:  # fmt: skip
    """The run of the largest inner products of query vectors (m, d) with the documents of all shards, ties across the cut kept."""
    call = partial(best_of_shard, np.ascontiguousarray(queries, np.float32), depth)
    parts = (entries for _, entries in raised(each(call, shards, label=str, light=True)))
    return merged(parts, query_ids, document_ids, depth)


def best_of_shard(queries: Floats, depth: int, shard: VectorShard) -> Entries:
    """What a shard has of the best `depth` documents of each query, and of their ties."""
    return best_products(queries, shard.rows(), depth, shard.first)


def best_products(queries: Floats, documents: Floats, depth: int, first: int = 0) -> Entries:
    """The entries of the `depth` largest inner products of each query (m, d) with documents (n, d), and of their ties."""
    m = len(queries)
    if not np.isfinite(queries).all():
        raise RetrievalError("found query vectors with NaN or infinity; check the model")
    lengths = np.linalg.norm(queries.astype(np.float64), axis=1)
    least = np.full(m, -np.inf)  # the score that is needed, of what was seen
    best = Entries.none()
    step = max(1, min(_ROWS, _ENTRIES // max(1, m)))
    for start in range(0, len(documents), step):
        part = np.ascontiguousarray(documents[start : start + step])
        if not np.isfinite(part).all():
            raise RetrievalError(
                f"found vectors with NaN or infinity among documents {start + first} and after; check the model"
            )
        with np.errstate(over="ignore", invalid="ignore"):
            fast = queries @ part.T
        longest = float(np.linalg.norm(part.astype(np.float64), axis=1).max(initial=0.0))
        nothing = queries.shape[1] * 2.0**-126  # products that fp32 may round to nothing
        slack = _error(queries.shape[1]) * lengths * longest + nothing
        floor = least - slack
        odd = ~np.isfinite(fast)  # products beyond fp32: their scores tell
        if len(part) > depth and not odd.any():  # of this part alone, so many are at least as good
            floor = np.maximum(floor, np.partition(fast, len(part) - depth, axis=1)[:, len(part) - depth] - 2 * slack)
        rows, columns = np.nonzero(odd | (fast >= floor[:, None]))
        require_entries(len(best.rows) + len(rows))
        found = Entries(rows, columns + start + first, products(queries, part, rows, columns))
        best = best.with_best_of(found, m, depth)
        full = np.bincount(best.rows, minlength=m) >= depth
        lowest = np.full(m, np.inf)
        np.minimum.at(lowest, best.rows, best.scores)
        least[full] = lowest[full]
    return best


def _error(d: int) -> float:
    """A bound on how far a product in fp32 and its exact value rounded to fp32 are apart, over the product of the lengths."""
    return 4.0 * (d + 2) * 2.0**-24


def products(
    queries: Floats, documents: Floats, rows: npt.NDArray[np.int64], columns: npt.NDArray[np.int64]
) -> npt.NDArray[np.float64]:
    """The inner products of these pairs, each by itself: whatever else is computed, a pair has one value."""
    out = np.empty(len(rows), np.float32)
    step = max(1, _PAIRS // max(1, queries.shape[1]))
    for start in range(0, len(rows), step):
        part = slice(start, start + step)
        both = queries[rows[part]].astype(np.float64) * documents[columns[part]].astype(np.float64)
        with np.errstate(over="ignore"):
            out[part] = np.add.reduce(np.ascontiguousarray(both), axis=1)
    if not np.isfinite(out).all():
        raise RetrievalError("found scores that are larger than fp32 holds; scale the vectors")
    return out.astype(np.float64)
