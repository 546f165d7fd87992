"""Every form in which a relevance matrix can be given, turned into `Qrels` or `AllSubsets`; and its reduction.

Reduced are what changes nothing: repeated columns; repeated rows; for the order-preserving rank also constant rows, and
a row beside its complement (negating a query turns its order round).
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt

from limitbench.certificates import AllSubsets
from limitbench.errors import InputError
from limitbench.relevance import Qrels

if TYPE_CHECKING:
    from scipy import sparse

_UNJUDGED = (
    "unjudged is not irrelevant, and no bound here is about partial matrices; judge them, set them to 0 if that is meant, "
    "or drop their rows or columns"
)
Relevance: TypeAlias = "Qrels | AllSubsets | npt.ArrayLike | sparse.sparray | sparse.spmatrix | tuple[Any, Any]"


def _is_sparse(value: Any) -> bool:
    """Whether it is a scipy sparse matrix; without scipy.sparse loaded, nothing is."""
    module: Any = sys.modules.get("scipy.sparse")
    return module is not None and bool(module.issparse(value))


def as_matrix(relevance: Any) -> Qrels | AllSubsets:
    """Qrels, a 0/1 array, a scipy sparse matrix, (list of sets, n documents), or (n, k) for all k-subsets.

    Of graded qrels, grades above 0 are relevant, as everywhere (`Qrels.at_least` asks for more). Raises `InputError` for arrays
    with entries other than 0 and 1 (NaN: unjudged is not irrelevant), a k outside 0..n and empty matrices.
    """
    if isinstance(relevance, AllSubsets):
        return relevance
    if isinstance(relevance, Qrels):
        out = relevance.relevant
    elif isinstance(relevance, tuple) and len(relevance) == 2 and isinstance(relevance[1], int | np.integer):
        first, second = relevance
        if isinstance(first, int | float | np.number):
            if not np.isfinite(first) or int(first) != first:
                raise InputError(f"found (n, k) = {relevance!r}, expected whole numbers")
            return AllSubsets(int(first), int(second))
        out = _from_sets(first, int(second))
    elif isinstance(relevance, tuple) and all(isinstance(x, int | float | np.number) for x in relevance):
        raise InputError(f"found {relevance!r}, expected (n, k) as whole numbers or (sets, number of documents)")
    elif _is_sparse(relevance):
        given: Any = relevance
        from scipy import sparse

        _only_0_and_1(sparse.csr_array(given).data)
        out = Qrels.from_matrix(given)
    else:
        try:
            array = np.asarray(relevance)
        except ValueError:
            raise InputError("found rows of different lengths; sets are given as (sets, number of documents)") from None
        if np.ma.is_masked(relevance):
            raise InputError(
                f"found {int(np.ma.getmaskarray(relevance).sum())} missing judgements (masked): {_UNJUDGED}"
            )
        if array.ndim != 2:
            raise InputError(
                f"found an array of {array.ndim} dimensions, expected a 0/1 matrix (queries, documents); sets are given "
                "as (sets, number of documents)"
            )
        _only_0_and_1(array)
        out = Qrels.from_matrix(array.astype(np.int64))
    if out.n_queries == 0 or out.n_documents == 0:
        raise InputError(f"found a matrix of {out.n_queries} x {out.n_documents}; expected at least one of each")
    return out


def _from_sets(sets: Iterable[Iterable[int]], n: int) -> Qrels:
    if isinstance(sets, str | bytes):
        raise InputError(f"found {sets!r}, expected a list of sets of document numbers")
    try:
        return Qrels.from_sets(sets, n)
    except (TypeError, ValueError, OverflowError):
        raise InputError("found something else than a list of sets of document numbers") from None


def _only_0_and_1(values: Any) -> None:
    try:
        if np.iscomplexobj(values):
            raise TypeError
        array = np.asarray(values, float)
    except (TypeError, ValueError):
        raise InputError("found entries that are not numbers, expected 0 and 1") from None
    if np.isnan(array).any():
        raise InputError(f"found {int(np.isnan(array).sum())} missing judgements (NaN): {_UNJUDGED}")
    other = array[(array != 0) & (array != 1)]
    if other.size:
        raise InputError(f"found the entry {other.flat[0]:g}, expected 0 and 1; choose a threshold, e.g. matrix >= 0.5")


def matrix_name(matrix: Qrels | AllSubsets) -> dict[str, Any]:
    """How a certificate names the matrix that it is about."""
    if isinstance(matrix, AllSubsets):
        return {"n": matrix.n, "k": matrix.k, "at_most": matrix.at_most}
    return {"sha256": matrix.relevant.digest, "queries": matrix.n_queries, "documents": matrix.n_documents}


@dataclass(frozen=True)
class Reduced:
    """A matrix without repetitions, and where its rows and columns stand in the original."""

    original: Qrels
    matrix: sparse.csr_array  # (m', n') of 0 and 1, int64
    rows: npt.NDArray[np.int64]  # (m',) a row of the original for each
    columns: npt.NDArray[np.int64]  # (n',) likewise
    column_of: npt.NDArray[np.int64]  # (n,) reduced column of each original one

    @property
    def shape(self) -> tuple[int, int]:
        """The numbers of rows and columns that are left."""
        return int(self.matrix.shape[0]), int(self.matrix.shape[1])

    @cached_property
    def by_column(self) -> sparse.csc_array:
        """The reduced matrix, stored by columns."""
        return self.matrix.tocsc()

    @cached_property
    def dense(self) -> npt.NDArray[np.int8]:
        """The reduced matrix as a dense array."""
        return np.asarray(self.matrix.toarray(), np.int8)


def reduce(qrels: Qrels, *, complements: bool, constants: bool) -> Reduced:
    """The matrix without repeated rows and columns; rows equal up to complement count as repeated if `complements`,
    constant rows are dropped if `constants`. Linear in the number of judgements.

    Sums of random weights find the groups; every member of a group is then compared with its first, so that no choice of rows,
    however it was made, merges two that differ.
    """
    relevant = qrels.relevant
    m, n = qrels.shape
    generator = np.random.Generator(np.random.PCG64(0x11317))
    weights = generator.integers(1, 1 << 62, n, dtype=np.uint64)
    keys = _sums(weights[relevant.indices], relevant.indptr)
    if complements:
        keys = np.minimum(keys, weights.sum(dtype=np.uint64) - keys)
    sizes = relevant.sizes
    keep = np.flatnonzero((sizes > 0) & (sizes < n)) if constants else np.arange(m)
    rows = keep[_firsts(keys[keep], relevant.indptr, relevant.indices, keep, n if complements else None)[0]]
    matrix = relevant.csr()[rows] if len(rows) != m else relevant.csr()
    by_column = matrix.tocsc()
    by_column.sort_indices()
    row_weights = generator.integers(1, 1 << 62, max(1, len(rows)), dtype=np.uint64)
    column_keys = _sums(row_weights[by_column.indices], by_column.indptr)
    columns, inverse = _firsts(column_keys, by_column.indptr, by_column.indices, np.arange(n), None)
    if len(columns) != n:
        matrix = by_column[:, columns].tocsr()
    return Reduced(qrels, matrix, rows.astype(np.int64), columns.astype(np.int64), inverse)


def _sums(values: npt.NDArray[np.uint64], indptr: npt.NDArray[Any]) -> npt.NDArray[np.uint64]:
    """The sum of the values of every row, modulo 2^64."""
    running = np.concatenate([np.zeros(1, np.uint64), np.cumsum(values, dtype=np.uint64)])
    out: npt.NDArray[np.uint64] = running[indptr[1:]] - running[indptr[:-1]]
    return out


def _firsts(
    keys: npt.NDArray[np.uint64],
    indptr: npt.NDArray[Any],
    indices: npt.NDArray[Any],
    rows: npt.NDArray[np.int64],
    n: int | None,
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """(places of the first of each group of equal rows, in order, and every row's group), for `rows` of a CSR matrix.

    Rows of one key that are not equal (nor, with n columns given, complements) get groups of their own.
    """
    _, first, group = np.unique(keys, return_index=True, return_inverse=True)
    leader = first[group]
    own = np.flatnonzero(leader != np.arange(len(keys)))
    wrong = own[~_equal(indptr, indices, rows[own], rows[leader[own]], n)]
    if len(wrong):  # made on purpose: chance does not do it
        seen: dict[bytes, int] = {}
        for place in wrong.tolist():
            held = indices[indptr[rows[place]] : indptr[rows[place] + 1]].astype(np.int64)
            leader[place] = seen.setdefault(held.tobytes(), place)
    places, inverse = np.unique(leader, return_inverse=True)
    return places.astype(np.int64), inverse.astype(np.int64)


def _equal(
    indptr: npt.NDArray[Any],
    indices: npt.NDArray[Any],
    one: npt.NDArray[np.int64],
    other: npt.NDArray[np.int64],
    n: int | None,
) -> npt.NDArray[np.bool_]:
    """Whether the rows `one` and `other` of a CSR matrix hold the same columns or, of n, together each once."""
    length = np.diff(indptr)
    same = np.zeros(len(one), bool)
    alike = np.flatnonzero(length[one] == length[other])
    for part in _chunks(alike, length[one]):
        a, b = (_gathered(indptr, indices, side[part]) for side in (one, other))
        differ = np.bincount(np.repeat(np.arange(len(part)), length[one[part]])[a != b], minlength=len(part))
        same[part] = differ == 0
    if n is not None:
        opposite = np.flatnonzero(~same & (length[one] + length[other] == n))
        for part in _chunks(opposite, length[one] + length[other]):
            counts = length[one[part]] + length[other[part]]
            rows = np.concatenate([np.repeat(np.arange(len(part)), length[side[part]]) for side in (one, other)])
            held = rows * np.int64(n) + np.concatenate(
                [_gathered(indptr, indices, side[part]) for side in (one, other)]
            )
            distinct = np.bincount(np.unique(held) // n, minlength=len(part))
            same[part] |= distinct == counts
    return same


def _chunks(places: npt.NDArray[np.int64], lengths: npt.NDArray[Any]) -> Iterator[npt.NDArray[np.int64]]:
    """The places in parts whose lengths sum to about 4 million."""
    if len(places):
        ends = np.cumsum(lengths[places])
        cuts = np.searchsorted(ends, np.arange(4_000_000, ends[-1], 4_000_000))
        yield from (part for part in np.split(places, cuts) if len(part))


def _gathered(
    indptr: npt.NDArray[Any], indices: npt.NDArray[Any], rows: npt.NDArray[np.int64]
) -> npt.NDArray[np.int64]:
    """The columns of these rows, one after another."""
    length = np.diff(indptr)[rows]
    starts = np.cumsum(length) - length
    at = np.arange(int(length.sum())) + np.repeat(indptr[rows] - starts, length)
    out: npt.NDArray[np.int64] = indices[at].astype(np.int64)
    return out
