"""The systems that claims are about: multi-vector, sparse, and two stages."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal, TypeAlias, get_args

Answer: TypeAlias = Literal["possible", "impossible"]
QueryWeights: TypeAlias = Literal["real", "nonnegative", "equal", "containment"]
QUERY_WEIGHTS: tuple[QueryWeights, ...] = get_args(QueryWeights)


@dataclass(frozen=True)
class MultiVector:
    """MaxSim: the sum over `query_tokens` vectors of the largest inner product with one of a document's `document_tokens` vectors.

    All vectors have `dim` coordinates of `dtype`.
    """

    family: ClassVar[str] = "multi-vector"
    dim: int
    query_tokens: int
    document_tokens: int
    dtype: str = "real"


@dataclass(frozen=True)
class Sparse:
    """Inner products over a vocabulary of `terms`.

    Documents have non-negative weights of `dtype` on at most `document_terms` terms, on exactly so many where they are binary.
    Queries use at most `query_terms`.

    Query weights are any reals, non-negative reals, or all equal to one positive number. With "containment" a document counts as
    returned where the query names all its terms.
    """

    family: ClassVar[str] = "sparse"
    terms: int
    document_terms: int
    query_terms: int
    dtype: str = "real"
    query_weights: QueryWeights = "real"


@dataclass(frozen=True)
class TwoStages:
    """Single vectors of `dim` coordinates of `dtype` propose `candidates` documents, which an exact reranker orders.

    A set is served where no more than `candidates` documents score as high as its lowest.
    """

    family: ClassVar[str] = "two-stages"
    dim: int
    candidates: int
    dtype: str = "real"


System: TypeAlias = MultiVector | Sparse | TwoStages
SYSTEMS: dict[str, type[MultiVector] | type[Sparse] | type[TwoStages]] = {
    system.family: system for system in (MultiVector, Sparse, TwoStages)
}
