"""What every method of a bracket gets: the matrix, its reduction, the clock, chance, and the bounds found so far."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from limitbench.certificates import AllSubsets, Certificate, Explicit, Notion, Side, verify
from limitbench.relevance import Qrels
from limitbench.theory.bounds import Bound, Established, Evidence, best
from limitbench.theory.matrix import Reduced, matrix_name, reduce

CITATIONS = {
    "antipodal-shattering": "theory/antipodal-shattering.md",
    "vc-dimension": "Paturi and Simon 1986; Alon, Moran and Yehudayoff 2016",
    "z2-connectivity": "theory/z2-connectivity.md",
    "rank-two": "theory/rank-two.md",
    "forster": "Forster 2002, Theorem 2.2",
    "kuratowski": "Steinitz 1922; Kuratowski 1930; theory/planarity.md",
    "not-in-cycle": "theory/planarity.md",
    "planar-embedding": "Steinitz 1922; theory/planarity.md",
    "sign-changes": "Alon, Frankl and Roedl 1985",
    "moment-curve": "Gale 1963; Alon, Frankl and Roedl 1985; theory/moment-curve.md",
    "trivial": "one dimension a document or a query",
    "rank": "theory/ranks.md",
    "embedding": "integer factors, every score recomputed",
    "blocks": "theory/blocks.md",
    "closed-form": "theory/all-subsets.md",
}
_SMALL = 2_000_000  # entries of a reduced matrix that dense methods look at


def made(
    matrix: Qrels | AllSubsets,
    notion: Notion,
    side: Side,
    value: int,
    kind: str,
    data: dict[str, Any],
    *,
    evidence: Evidence = "proved",
    established: Established = "certificate",
    detail: str = "",
) -> Bound:
    """A bound with the certificate of this kind and data."""
    certificate = Certificate(notion, side, value, kind, matrix_name(matrix), data)
    return Bound(
        side, value, notion, kind, CITATIONS[kind], evidence, established, certificate=certificate, detail=detail
    )


@dataclass
class Case:
    """A given matrix, one notion of dimension, and what is known of it by now."""

    qrels: Qrels
    notion: Notion
    deadline: float  # time.monotonic()
    rng: np.random.Generator
    bounds: list[Bound] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)  # what a method could not do, as sentences

    @cached_property
    def reduced(self) -> Reduced:
        """The matrix without what changes nothing for this notion."""
        constants = self.notion in ("order_preserving", "cosine")
        return reduce(self.qrels, complements=self.notion != "global_threshold", constants=constants)

    @cached_property
    def rows(self) -> Explicit:
        """The rows as the checker takes them; made once."""
        return self.qrels.explicit()

    @property
    def m(self) -> int:
        """Rows of the reduced matrix."""
        return self.reduced.shape[0]

    @property
    def n(self) -> int:
        """Columns of the reduced matrix."""
        return self.reduced.shape[1]

    @property
    def signs(self) -> bool:
        """Whether the sign rank is asked for: the notions of ranking allow one more affine dimension."""
        return self.notion == "sign_rank"

    @cached_property
    def sparsity(self) -> int:
        """K: the most documents of a row's smaller side, relevant or not."""
        sizes = np.diff(self.reduced.matrix.indptr)
        return int(np.minimum(sizes, self.n - sizes).max(initial=0))

    @property
    def small(self) -> bool:
        """Whether the reduced matrix may be looked at in full."""
        return self.m * self.n <= _SMALL

    @property
    def lower(self) -> int:
        """The best lower bound by now."""
        return best(self.bounds, "lower").value

    @property
    def upper(self) -> int:
        """The best upper bound by now."""
        return best(self.bounds, "upper").value

    def until(self, share: float) -> float:
        """The time by which a method that gets this share of what is left of the budget must be done."""
        now = time.monotonic()
        return now + max(0.0, self.deadline - now) * share

    @property
    def over(self) -> bool:
        """Whether the budget is used up."""
        return time.monotonic() >= self.deadline

    def bound(
        self,
        side: Side,
        value: int,
        kind: str,
        data: dict[str, Any],
        *,
        evidence: Evidence = "proved",
        established: Established = "certificate",
        detail: str = "",
    ) -> Bound:
        """A bound on this case with the certificate of this kind and data."""
        return made(
            self.qrels, self.notion, side, value, kind, data, evidence=evidence, established=established, detail=detail
        )

    def holds(self, bound: Bound) -> bool:
        """Whether the checker accepts a bound; what has no certificate is a solver's word, and never in a bracket."""
        return bound.certificate is None or verify(bound.certificate, self.rows)

    def row_numbers(self, numbers: Sequence[int]) -> list[int]:
        """Where rows of the reduced matrix stand in the original, in order."""
        return sorted(int(self.reduced.rows[i]) for i in numbers)

    def column_numbers(self, numbers: Sequence[int]) -> list[int]:
        """Where columns of the reduced matrix stand in the original."""
        return [int(self.reduced.columns[i]) for i in numbers]
