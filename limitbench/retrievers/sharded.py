"""Exact search in parts: the shards of a corpus are searched apart, here or on other machines, and the best are merged.

Whatever the number of shards, ids, scores and ties are the same, to the bit. A product of matrices may differ in its last bits by
the shape of its parts; so it only chooses candidates, with the bound on its error as slack, and a candidate's score is computed
anew: products and pairwise sums in fp64, rounded once to fp32.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from limitbench.errors import DataError, LimitbenchError, RetrievalError
from limitbench.progress import Each, raised
from limitbench.rankings import Run, best_entries, require_entries
from limitbench.retrievers.best_columns import Floats
from limitbench.retrievers.engines.agreement import shares_of
from limitbench.retrievers.faiss_index import faiss_index, loaded_faiss
from limitbench.retrievers.shard_files import Folder

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

    def least(self, m: int) -> npt.NDArray[np.float64]:
        """The lowest score of each of m queries; infinity where it has none."""
        out = np.full(m, np.inf)
        np.minimum.at(out, self.rows, self.scores)
        return out

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

    folder: Folder
    name: str
    first: int
    count: int

    def __str__(self) -> str:
        return f"documents {self.first:,} to {self.first + self.count - 1:,}"

    def rows(self) -> Floats:
        """The vectors (count, d). Raises `DataError` where the file is not whole."""
        found = self.folder.vectors(self.name)
        if found.ndim != 2 or len(found) != self.count or found.dtype != np.float32:
            raise DataError(
                self.folder.at(self.name),
                f"holds {found.dtype} {found.shape}, expected float32 of {self.count} rows; encode it again",
            )
        return found


class ShardRows:
    """The vectors (n, d) of all shards, read as of one array: by numbers and slices. No more than what is asked for is held."""

    def __init__(self, shards: Sequence[VectorShard], dim: int) -> None:
        self.shards, self.shape = shards, (sum(shard.count for shard in shards), dim)
        self.starts = np.array([shard.first for shard in shards])
        self._open: tuple[int, Floats] | None = None  # the shard that was read last: one under a URL is read whole
        self.nbytes = 4 * self.shape[0] * dim

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, place: Any) -> Floats:
        numbers = range(len(self))[place]
        return self.at(np.array(numbers, np.int64)) if isinstance(numbers, range) else self.at(np.array([numbers]))[0]

    def at(self, numbers: npt.NDArray[np.int64]) -> Floats:
        """The rows (numbers, d)."""
        out = np.empty((len(numbers), self.shape[1]), np.float32)
        shard = np.searchsorted(self.starts, numbers, "right") - 1
        for one in np.unique(shard).tolist():
            there = shard == one
            out[there] = self._rows(one)[numbers[there] - self.shards[one].first]
        return out

    def _rows(self, number: int) -> Floats:
        if self._open is None or self._open[0] != number:
            self._open = number, self.shards[number].rows()
        return self._open[1]

    def agreement(
        self, queries: Floats, found: Sequence[npt.NDArray[np.int64]], depth: int, among: npt.NDArray[np.int64] | None = None
    ) -> list[tuple[float, float]]:  # fmt: skip
        """How many of exact search's best each query found, by documents and by scores, as `agreement.shares` has it.

        The truth is computed shard by shard. `among` are the documents that may be found.
        """
        queries = np.ascontiguousarray(queries, np.float32)
        truth, m = Entries.none(), len(queries)
        for shard in self.shards:
            truth = truth.with_best_of(_best_among(queries, shard, depth, among), m, depth)
        depth = min(depth, len(self) if among is None else len(among))
        if not depth:
            return [(1.0, 1.0)] * m
        last = truth.least(m)
        kept = [np.unique(one[:depth]) if among is None else np.intersect1d(one[:depth], among) for one in found]
        rows = np.repeat(np.arange(m), [len(one) for one in kept])
        columns = np.concatenate(kept).astype(np.int64)
        distinct, place = np.unique(columns, return_inverse=True)
        scores = products(queries, self.at(distinct), rows, place)
        return [shares_of(scores[rows == q], float(last[q]), depth) for q in range(m)]


def _best_among(queries: Floats, shard: VectorShard, depth: int, among: npt.NDArray[np.int64] | None) -> Entries:
    """The best documents of a shard, of those that may be found."""
    if among is None:
        return best_of_shard(queries, depth, shard)
    inside = among[(among >= shard.first) & (among < shard.first + shard.count)]
    best = best_products(queries, shard.rows()[inside - shard.first], depth)
    return Entries(best.rows, inside[best.columns], best.scores)


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


@dataclass(frozen=True)
class Approximate:
    """What an approximate index of a shard found, and the truth of the first queries beside it."""

    found: Entries  # scores as the index has them
    exact: npt.NDArray[np.float64]  # of what was found, for the first queries: their true scores
    truth: Entries  # the best of the shard, of the first queries
    nbytes: int  # of the index


def search_approximately(
    queries: Floats, query_ids: Sequence[str], document_ids: Sequence[str], shards: Sequence[VectorShard], depth: int, kind: str,
    each: Each = here, checked: int = 200,
) -> tuple[Run, dict[str, Any], int]:  # fmt: skip
    """The run of an approximate index a shard, how far it is from exact search, and the bytes of all indexes.

    The truth of the first `checked` queries is computed where their shard is: nobody holds all vectors. Agreement is as
    `engines.agreement.shares` has it.
    """
    call = partial(_approximately, np.ascontiguousarray(queries, np.float32), depth, kind, checked)
    m, few = len(query_ids), min(checked, len(query_ids))
    kept, truth, nbytes = Entries.none(), Entries.none(), 0
    exact: dict[tuple[int, int], float] = {}
    for _, one in raised(each(call, shards, label=str, light=True)):
        kept, truth = kept.with_best_of(one.found, m, depth), truth.with_best_of(one.truth, few, depth)
        nbytes += one.nbytes
        first = one.found.rows < few
        pairs = zip(one.found.rows[first].tolist(), one.found.columns[first].tolist(), strict=True)
        exact.update(zip(pairs, one.exact.tolist(), strict=True))
        first = kept.rows < few
        alive = zip(kept.rows[first].tolist(), kept.columns[first].tolist(), strict=True)
        exact = {pair: exact[pair] for pair in alive}  # or it would grow with the number of shards
    run = Run.from_entries(
        kept.rows, kept.columns, kept.scores, query_ids=query_ids, document_ids=document_ids, depth=depth
    )
    depth = min(depth, len(document_ids))
    told = _agreement(run, truth, exact, few, depth) if few and depth else {}
    return run, told, nbytes


def _agreement(run: Run, truth: Entries, exact: dict[tuple[int, int], float], few: int, depth: int) -> dict[str, Any]:
    """How many of exact search's best were found, by documents and by scores; ties with the last are among them."""
    last, pairs = truth.least(few), []
    for q in range(few):
        found = run.indices[run.indptr[q] : run.indptr[q + 1]][:depth].tolist()
        pairs.append(shares_of(np.array([exact[q, document] for document in found]), float(last[q]), depth))
    by_id, by_score = np.mean(pairs, axis=0).tolist()
    return {"agreement_with_exact": by_id, "agreement_by_score": by_score, "agreement_at": depth}


def _approximately(queries: Floats, depth: int, kind: str, checked: int, shard: VectorShard) -> Approximate:
    """A shard indexed and searched, and searched exactly for the first queries."""
    rows = np.ascontiguousarray(shard.rows())
    if not np.isfinite(rows).all():
        raise RetrievalError(f"found vectors with NaN or infinity among {shard}; check the model")
    index = faiss_index(kind, rows, "dot")
    scores, columns = index.search(queries, min(depth + 1, len(rows)))  # one more, for a tie across the cut
    row, place = np.nonzero(columns >= 0)
    column = columns[row, place].astype(np.int64)
    found = Entries(row.astype(np.int64), column + shard.first, scores[row, place].astype(np.float64))
    first = row < checked
    return Approximate(
        found, products(queries, rows, row[first], column[first]), best_products(queries[:checked], rows, depth, shard.first),
        len(loaded_faiss().serialize_index(index)),
    )  # fmt: skip


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
        least[full] = best.least(m)[full]
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
