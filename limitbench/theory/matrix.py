"""Every form in which a relevance matrix can be given, turned into `Qrels` or `AllSubsets`; and its reduction.

Reduced are what changes nothing: repeated columns; repeated rows; for the order-preserving rank also constant rows, and
a row beside its complement (negating a query turns its order round).
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
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
        """(m', n')."""
        return int(self.matrix.shape[0]), int(self.matrix.shape[1])

    @cached_property
    def by_column(self) -> sparse.csc_array:
        """The same, by columns."""
        return self.matrix.tocsc()

    @cached_property
    def dense(self) -> npt.NDArray[np.int8]:
        """The same, dense."""
        return np.asarray(self.matrix.toarray(), np.int8)


def reduce(qrels: Qrels, *, complements: bool, constants: bool) -> Reduced:
    """The matrix without repeated rows and columns; rows equal up to complement count as repeated if `complements`,
    constant rows are dropped if `constants`. Linear in the number of judgements.
    """
    relevant = qrels.relevant
    m, n = qrels.shape
    generator = np.random.Generator(np.random.PCG64(0x11317))  # fixed: only speeds up grouping, checked below
    weights = generator.integers(1, 1 << 62, n, dtype=np.uint64)
    keys = np.zeros(m + 1, np.uint64)
    np.cumsum(weights[relevant.indices], out=(sums := np.empty(len(relevant.indices), np.uint64)))
    padded = np.concatenate([np.zeros(1, np.uint64), sums])
    keys = padded[relevant.indptr[1:]] - padded[relevant.indptr[:-1]]
    if complements:
        keys = np.minimum(keys, weights.sum(dtype=np.uint64) - keys)
    sizes = relevant.sizes
    keep = np.flatnonzero((sizes > 0) & (sizes < n)) if constants else np.arange(m)
    # rows with equal keys are equal but for a chance below 2^-20 even at 10^12 pairs; a false merge would only drop a row
    # from a *search*: every certificate is checked against the original matrix
    _, first = np.unique(keys[keep], return_index=True)
    rows = keep[np.sort(first)]
    matrix = relevant.csr()[rows] if len(rows) != m else relevant.csr()
    by_column = matrix.tocsc()
    row_weights = generator.integers(1, 1 << 62, max(1, len(rows)), dtype=np.uint64)
    padded = np.concatenate([np.zeros(1, np.uint64), np.cumsum(row_weights[by_column.indices], dtype=np.uint64)])
    column_keys = padded[by_column.indptr[1:]] - padded[by_column.indptr[:-1]]
    _, first, inverse = np.unique(column_keys, return_index=True, return_inverse=True)
    order = np.argsort(first)
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))
    columns = first[order]
    if len(columns) != n:
        matrix = by_column[:, columns].tocsr()
    return Reduced(qrels, matrix, rows.astype(np.int64), columns.astype(np.int64), rank[inverse])
