"""A plan: one retriever on one workload, and what geometry says of it. No model, no text.

`proved` comes from integers and fractions alone: closed forms, certificates, exact packing; `constructed` from a construction that
exists, or the lack of one that is known; `empirical` from optimisers, and never says more than "was not found".
"""

from __future__ import annotations

import math
from collections import Counter
from fractions import Fraction
from functools import cached_property

from limitbench.certificates import Notion
from limitbench.checks.schema import Retriever
from limitbench.checks.settings import Settings
from limitbench.checks.workloads import Loaded
from limitbench.dtypes import score_error
from limitbench.theory import bracket, design, exact_all_k
from limitbench.theory import constructions as build
from limitbench.theory import margin as margins
from limitbench.theory.bounds import STRICT, Bracket
from limitbench.theory.codes import best_code, kept_by
from limitbench.theory.design import published_cubic
from limitbench.theory.reasons import Reason

CLOSED_FORM = 10**9  # documents up to which constructions are looked for
_BRACKET_SECONDS = 5.0


class Plan:
    """One retriever on one workload; what rules share is computed once."""

    def __init__(self, workload: Loaded, retriever: Retriever, settings: Settings) -> None:
        self.workload, self.retriever, self.settings = workload, retriever, settings

    @property
    def d(self) -> int:
        """The plan's dimension."""
        assert self.retriever.dim is not None
        return self.retriever.dim

    @property
    def n(self) -> int:
        """The documents to hold at."""
        return self.workload.grown

    @cached_property
    def sizes(self) -> list[int]:
        """The different numbers of relevant documents of a query; none and all ask for nothing, and are left out."""
        if self.workload.all_subsets:
            return [self.workload.degree] if 0 < self.workload.degree < self.n else []
        return sorted(size for size in self.workload.ceiling_sizes if 0 < size < self.n)

    @property
    def k(self) -> int:
        """Relevant documents of the largest query that asks for something."""
        return max(self.sizes, default=0)

    @property
    def notion(self) -> Notion:
        """What dimension means here: cosines are inner products with unit documents."""
        return "cosine" if self.retriever.metric == "cosine" else "order_preserving"

    @property
    def covering(self) -> int:
        """The k whose constructions serve every query: a set of s documents is told apart as its complement is, by -u."""
        return max(min(size, self.n - size) for size in self.sizes)

    @property
    def pairs_alone(self) -> bool:
        """Whether every set is a pair, or all but a pair: what symmetric codes are proved for."""
        return {min(size, self.n - size) for size in self.sizes} == {2}

    @property
    def gamma(self) -> Fraction | None:
        """The half-gap asked for, exactly as written."""
        return None if self.retriever.margin is None else Fraction(str(self.retriever.margin))

    @property
    def applies(self) -> bool:
        """Whether rules about dimension say anything of it."""
        return self.retriever.kind == "dense" and self.retriever.dim is not None and bool(self.sizes)

    @property
    def sets(self) -> str:
        """What must be carried, in words."""
        if self.workload.all_subsets:
            return f"all {self.k}-subsets of {self.n:,} documents"
        m = self.workload.m
        return f"the {m:,} judged sets over {self.n:,} documents"

    @property
    def assumptions(self) -> tuple[str, ...]:
        """What a verdict rests on."""
        grown = self.workload.assumption
        return (STRICT, *(() if grown is None else (grown,)))

    @cached_property
    def bracket(self) -> Bracket:
        """Certified bounds on the dimension that the judged sets need: of unit documents where scores are cosines."""
        assert self.workload.qrels is not None
        return bracket(self.workload.qrels.relevant, self.notion, budget_s=self.settings.seconds(_BRACKET_SECONDS))

    def least(self) -> tuple[int, str]:
        """The proved lower bound on the dimension by this metric, and whose it is."""
        if self.workload.all_subsets:
            value, source = exact_all_k(self.n, self.k, self.notion), "theory/all-subsets.md"
        else:
            bound = self.bracket.lower
            value, source = (bound.value, bound.citation) if bound.evidence == "proved" else (0, "")
        if self.retriever.metric == "euclidean":  # an order of inner products with one coordinate more, |v|^2
            return max(0, value - 1), f"{source}, one less for distances"
        return value, source

    def known(self, dtype: str) -> bool:
        """Whether some construction carries the sets in this dtype and with the margin asked for."""
        k, d = self.covering, self.d
        if dtype == "real" and self.gamma is None and d >= self._enough():
            return True
        if self.n > CLOSED_FORM and dtype != "real":
            return False
        if self.retriever.metric == "euclidean" and dtype != "real" and d >= self.n:
            return True  # one document an axis
        found = [r.method for r in design(self.n, k, d, dtype, self.gamma).reasons if r.verdict == "possible"]
        # the closed form is about sets of one size; what else there is serves smaller sets too
        found = [method for method in found if method != "order-preserving rank"]
        if not self.pairs_alone or (dtype != "real" and self.retriever.metric != "dot"):
            # rounded rows were checked by inner products; cosines and distances have the bound below
            found = [method for method in found if method != "symmetric code"]
        if self.retriever.metric == "dot":
            return bool(found)
        # cosines and distances: documents of equal length, which all constructions have but the integers on the moment curve
        if any(method != "integer moment curve" for method in found):
            return True
        spare = best_half_gap(self.n, k, d, self.pairs_alone)[0] - float(self.gamma or 0)
        # |u - v|^2 moves twice as far
        moved = score_error(dtype, self.d) * (2 if self.retriever.metric == "euclidean" else 1)
        return dtype != "real" and spare > moved

    def _enough(self) -> int:
        """Dimensions that carry the sets in exact arithmetic, without a margin."""
        most = min(2 * self.covering, self.n - 1)  # the trigonometric moment curve, or the simplex: unit documents
        if not self.workload.all_subsets:
            return min(most, self.bracket.upper.value)
        return min(most, exact_all_k(self.n, self.k, self.notion))

    def impossible(self, *methods: str) -> list[Reason]:
        """The proved reasons of these methods against all k-subsets."""
        found = design(self.n, self.k, self.d, self.retriever.dtype, self.gamma)
        return [r for r in found.reasons if r.verdict == "impossible" and r.method in methods]

    @cached_property
    def sets_by_size(self) -> dict[int, int]:
        """How many different judged sets there are of each size: of one size, no two of them hold one another."""
        qrels = self.workload.qrels
        assert qrels is not None
        return dict(Counter(len(row) for row in {row for row in qrels.relevant.sets() if 0 < len(row) < self.n}))

    @property
    def distinct(self) -> int:
        """The largest number of different judged sets of one size."""
        return max(self.sets_by_size.values(), default=0)


def best_half_gap(n: int, k: int, d: int, pairs_alone: bool = False) -> tuple[float, str]:
    """The largest half-gap of a known construction for all k-subsets of n in d dimensions, and its name; 0.0 without one.

    Symmetric codes count where every set is a pair.
    """
    found: list[tuple[Fraction, str]] = []
    held = best_code(n, k, d) if pairs_alone else None
    if held is not None:
        found.append((held[1] ** 2, "symmetric code"))
    if d >= n - 1 and 0 < k < n:
        found.append((margins.ceiling_squared(n, k), "regular simplex"))
    code = build.best_polynomial_code(min(d, 1 << 20), k, n=n)
    if code is not None:
        found.append((code.gap_squared, "polynomial code"))
    found.append((build.random_coherence(n, k, min(d, 1 << 20)), "random coherence"))
    if d >= 2 * k and k <= 64:
        found.append((build.trigonometric_curve(n, k)[1], "trigonometric moment curve"))
    square, name = max(found, key=lambda pair: pair[0])
    return (_root(square), name) if square > 0 else (0.0, "none")


def _root(square: Fraction) -> float:
    """A square root that does not underflow before its time; only for showing."""
    exponent = (math.log(square.numerator) - math.log(square.denominator)) / 2
    return math.exp(exponent) if exponent > -700 else 0.0


# largest n solved and verified: limitbench capacity --dim 4,5,6,8,10,12 --budget 60s (docs/capacity.md)
_SOLVED = {4: 76, 5: 150, 6: 193, 8: 384, 10: 486, 12: 576}


def seen_to_carry(d: int) -> tuple[int, str]:
    """The largest n that vectors of d dimensions were seen to carry for all pairs in fp32, or the paper's cubic beyond, and which
    it is."""
    solved = max((n for dim, n in _SOLVED.items() if dim <= d), default=3)
    code = max((code.n for code, _ in kept_by("fp32", 2) if code.d <= d), default=0)
    if code > solved and code > (published_cubic(d) if d >= 4 else 0):
        return code, "a symmetric code, k = 2, fp32"
    cubic = int(published_cubic(d)) if d >= 4 else 0
    if cubic > solved:
        beyond = "extrapolated" if d > 45 else "fitted"
        return cubic, f"the paper's cubic, {beyond}"
    return solved, "solved by limitbench capacity, k = 2, fp32"
