"""LB1xx and LB2xx: what geometry, margin, bits and optimisers say of a plan. No model, no text.

`proved` comes from integers and fractions alone: closed forms, certificates, exact packing; `constructed` from a construction that
exists, or the lack of one that is known; `empirical` from optimisers, and never says more than "was not found".
"""

from __future__ import annotations

import math
from collections import Counter
from fractions import Fraction
from functools import cached_property

from limitbench.certificates import Notion
from limitbench.checks.config import Retriever
from limitbench.checks.findings import Fails, Outcome, Passes, Skipped, Undecided
from limitbench.checks.workloads import Loaded
from limitbench.dtypes import DTYPES, score_error
from limitbench.theory import bracket, design, exact_all_k
from limitbench.theory import constructions as build
from limitbench.theory import margin as margins
from limitbench.theory.bounds import STRICT, Bracket
from limitbench.theory.codes import best_code, kept_by
from limitbench.theory.design import Reason, published_cubic
from limitbench.theory.exact import log2_ceiling
from limitbench.theory.packing import too_many_sets

_CLOSED_FORM = 10**9  # documents up to which constructions are looked for


class Plan:
    """One retriever on one workload; what rules share is computed once."""

    def __init__(self, workload: Loaded, retriever: Retriever, budget: float) -> None:
        self.workload, self.retriever, self.budget = workload, retriever, budget
        self._bracket: Bracket | None = None

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

    def bracket(self) -> Bracket:
        """Certified bounds on the dimension that the judged sets need: of unit documents where scores are cosines."""
        if self._bracket is None:
            assert self.workload.qrels is not None
            self._bracket = bracket(self.workload.qrels.relevant, self.notion, budget_s=self.budget)
        return self._bracket

    def least(self) -> tuple[int, str]:
        """The proved lower bound on the dimension by this metric, and whose it is."""
        if self.workload.all_subsets:
            value, source = exact_all_k(self.n, self.k, self.notion), "theory/all-subsets.md"
        else:
            bound = self.bracket().lower
            value, source = (bound.value, bound.citation) if bound.evidence == "proved" else (0, "")
        if self.retriever.metric == "euclidean":  # an order of inner products with one coordinate more, |v|^2
            return max(0, value - 1), f"{source}, one less for distances"
        return value, source

    def known(self, dtype: str) -> bool:
        """Whether some construction carries the sets in this dtype and with the margin asked for."""
        k, d = self.covering, self.d
        if dtype == "real" and self.gamma is None and d >= self._enough():
            return True
        if self.n > _CLOSED_FORM and dtype != "real":
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
            return min(most, self.bracket().upper.value)
        return min(most, exact_all_k(self.n, self.k, self.notion))

    def impossible(self, *methods: str) -> list[Reason]:
        """The proved reasons of these methods against all k-subsets."""
        found = design(self.n, self.k, self.d, self.retriever.dtype, self.gamma)
        return [r for r in found.reasons if r.verdict == "impossible" and r.method in methods]

    @cached_property
    def refuted(self) -> bool:
        """Whether a proved rule speaks against the plan; what is open is then of no interest."""
        return any(isinstance(r(self), Fails) for r in (dimension_too_small, margin_impossible, code_space_too_small))

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


def dimension_too_small(plan: Plan) -> Outcome:
    """LB101."""
    least, source = plan.least()
    if plan.d >= least:
        return Passes()
    return Fails(
        f"dimension {plan.d} cannot carry {plan.sets}: at least {least} are needed",
        f"plan at least {least} dimensions, more with a margin or a dtype: limitbench bounds --n {plan.n} --k {plan.k}",
        expected=f"dim >= {least}",
        observed=f"dim = {plan.d}",
        numbers={"dim": plan.d, "bound": least, "n": plan.n, "k": plan.k, "source": source},
        assumptions=plan.assumptions,
    )


def margin_impossible(plan: Plan) -> Outcome | None:
    """LB103."""
    gamma = plan.gamma
    if gamma is None:
        return None
    if plan.workload.all_subsets:
        reasons = plan.impossible("margin ceiling", "Radon partition", "monotone packing", "spherical caps")
        why = [reason.inequality for reason in reasons]
    else:
        count = plan.distinct
        why = []
        if margins.caps_forbid(count, gamma, plan.d):
            why = [
                f"{count} incomparable sets, {2 * float(gamma):g} apart, do not fit on the unit sphere of {plan.d} dimensions"
            ]
        why += [
            f"{count} different sets of {size} documents are too many for {plan.d} dimensions"
            for size, count in plan.sets_by_size.items()
            if too_many_sets(count, size, gamma, plan.d)
        ]
    if not why:
        return Passes()
    return Fails(
        f"half-gap {float(gamma):g} is impossible for {plan.sets} in {plan.d} dimensions: {why[0]}",
        "ask for a smaller margin, plan more dimensions, or split the workload over several indexes",
        expected="a margin that some vectors have",
        observed=f"margin = {float(gamma):g}",
        numbers={"margin": float(gamma), "dim": plan.d, "n": plan.n, "k": plan.k},
        assumptions=plan.assumptions,
    )


def code_space_too_small(plan: Plan) -> Outcome:
    """LB105."""
    bits = DTYPES[plan.retriever.dtype].bits
    assert bits is not None
    if plan.workload.all_subsets:
        why = [reason.inequality for reason in plan.impossible("code space", "code space of documents")]
    else:
        count = plan.distinct
        why = (
            [f"{bits} x {plan.d} bits make at most 2^{bits * plan.d} queries, fewer than the {count} sets of one size"]
            if count > 1 and log2_ceiling(count) > bits * plan.d
            else []
        )
    if not why:
        return Passes()
    return Fails(
        f"{plan.retriever.dtype} vectors of {plan.d} dimensions cannot carry {plan.sets}: {why[0]}",
        "plan more dimensions or a wider dtype",
        expected="as many vectors as sets",
        observed=f"{bits} bits x {plan.d} dimensions",
        numbers={"bits": bits, "dim": plan.d, "n": plan.n, "k": plan.k},
        assumptions=("queries are stored in the same dtype", *plan.assumptions[1:]),
    )


def dimension_open(plan: Plan) -> Outcome:
    """LB102."""
    if plan.refuted or plan.known("real"):
        return Passes()
    wanted = "" if plan.gamma is None else f" with half-gap {float(plan.gamma):g}"
    enough = (
        design(plan.n, plan.covering, None, "real", plan.gamma).least_sufficient_dim if plan.n <= _CLOSED_FORM else None
    )
    enough_are = f"{enough} dimensions are known to be enough" if enough else "a smaller margin is known to do"
    advice = f"nothing is shown to be wrong: {enough_are}"
    return Fails(
        f"whether {plan.d} dimensions carry {plan.sets}{wanted} is open: no bound forbids it, and "
        "limitbench knows no construction that does it",
        f"{advice}; or let an optimiser try: limitbench check --tier full --select LB201",
        expected="a construction",
        observed=f"dim = {plan.d}",
        numbers={"dim": plan.d, "enough": enough, "n": plan.n, "k": plan.k},
        assumptions=plan.assumptions,
    )


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


def dtype_too_coarse(plan: Plan) -> Outcome | None:
    """LB104."""
    dtype = plan.retriever.dtype
    if plan.workload.plan.qrels is not None:
        return None  # constructions are for all k-subsets; a team's own judgements ask for far less, and a measurement tells more
    if plan.refuted or not plan.known("real") or plan.known(dtype):
        return Passes()
    gap, name = (
        best_half_gap(plan.n, plan.covering, plan.d, plan.pairs_alone) if plan.n <= _CLOSED_FORM else (0.0, "none")
    )
    step = score_error(dtype, plan.d)
    shown = (
        f"the best known half-gap, {gap:.2g} ({name}), is below {dtype}'s resolution of {step:.2g}"
        if gap < step
        else f"no known construction is exact in {dtype}"
    )
    return Fails(
        f"exact numbers of {plan.d} dimensions carry {plan.sets}, but {shown}: whether {dtype} vectors do is open",
        "nothing is shown to be wrong: measure the retriever and gate on what it does, or plan more dimensions or a finer dtype",
        expected=f"a construction that {dtype} keeps",
        observed=f"half-gap {gap:.2g}",
        numbers={
            "best_half_gap": gap,
            "resolution": step,
            "construction": name,
            "dim": plan.d,
            "n": plan.n,
            "k": plan.k,
        },
        assumptions=plan.assumptions,
    )


def free_embeddings_miss(plan: Plan, *, seconds: float, seeds: int = 3) -> Outcome | None:
    """LB201: optimise the vectors themselves on the sets. Skipped where torch is not installed."""
    try:
        from limitbench.capacity.anneal import Annealer, arithmetic
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        return Skipped(
            "optimising free embeddings needs torch", "type: pip install 'limitbench[models]', or leave out --tier full"
        )
    from limitbench.capacity.problem import Problem
    from limitbench.datasets.patterns import all_k

    if plan.workload.all_subsets:
        rows = math.comb(plan.n, plan.k) if plan.n < 10**6 else 10**12
        if rows * plan.n > 50_000_000:
            return Undecided(
                f"{plan.sets} are too many to optimise on", "lower growth, or ignore LB201 here", quiet=True
            )
        qrels = all_k(plan.n, plan.k)
    else:
        assert plan.workload.qrels is not None
        qrels = plan.workload.qrels.relevant
        if qrels.n_queries * plan.n > 50_000_000:
            return Undecided(f"{plan.sets} are too many to optimise on", "ignore LB201 here", quiet=True)
    import time

    deadline = time.monotonic() + seconds
    margin = 0.0 if plan.gamma is None else float(plan.gamma)
    with arithmetic():
        solver = Annealer(Problem.of(qrels), plan.d, dtype=plan.retriever.dtype, margin=margin)
        for seed in range(seeds):
            if solver.attempt([seed], deadline=deadline).solved:
                return Passes()
            if time.monotonic() > deadline:
                return Undecided(
                    f"seed {seed} of {seeds} was not finished in {seconds:.0f} s",
                    "give more: --time-budget",
                    quiet=True,
                )
    return Fails(
        f"free embeddings of {plan.d} dimensions in {plan.retriever.dtype} did not reach {plan.sets} from {seeds} "
        "seeds; not found is not impossible",
        "nothing is shown to be wrong: plan more dimensions or a finer dtype, or measure the retriever",
        expected="one seed that reaches it",
        observed=f"0 of {seeds}",
        numbers={"seeds": seeds, "dim": plan.d, "n": plan.n, "k": plan.k},
    )


def little_headroom(plan: Plan) -> Outcome | None:
    """LB202: the corpus against the largest that vectors were seen to carry, k = 2 alone."""
    if plan.k != 2 or not plan.workload.all_subsets or plan.gamma is not None:
        return None
    most, source = frontier(plan.d)
    if plan.n <= most or plan.refuted:
        return Passes()
    return Fails(
        f"{plan.n:,} documents are more than vectors of {plan.d} dimensions were seen to carry: {most:,} ({source})",
        "nothing is shown to be wrong: measure before you decide, plan more dimensions, or lower growth",
        expected=f"n <= {most}",
        observed=f"n = {plan.n}",
        numbers={"n": plan.n, "frontier": most, "dim": plan.d, "source": source},
    )


# largest n solved and verified: limitbench capacity --dim 4,5,6,8,10,12 --budget 60s (docs/capacity.md)
_SOLVED = {4: 76, 5: 150, 6: 193, 8: 384, 10: 486, 12: 576}


def frontier(d: int) -> tuple[int, str]:
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
