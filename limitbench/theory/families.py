"""Design questions for other families: MaxSim over several vectors, sparse vectors, and two stages.

Each family proposes claims (`limitbench.design_proof`) for a system, for both answers. A claim counts once the checker accepts it:
every "possible" and "impossible" has a certificate. Only what rests on a margin has none; it is decided here, with integers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from fractions import Fraction
from functools import lru_cache
from typing import Any

from limitbench.certificates import AllSubsets
from limitbench.design_proof import Claim, System, holds
from limitbench.design_proof.counting import is_prime_power
from limitbench.dtypes import DTYPES
from limitbench.errors import InputError, UnknownName
from limitbench.theory.bounds import Evidence
from limitbench.theory.exact import as_count, as_fraction
from limitbench.theory.reasons import Answer, Reason

MOST = 10**12  # of dimensions, terms or candidates that are asked about; the checker takes no more


@dataclass(frozen=True)
class FamilyVerdict:
    """Whether a system of a family returns all k-subsets of n documents, and why.

    `system` has its sizes; the one that was left out is None, and `asked` names it. `verdict` is None then, `least_sufficient` is
    the least size found that is enough, and `greatest_insufficient` the greatest proved too small; None where none was found.
    `claims` are the certificates of `reasons`, or of the two sizes; what rests on a margin has none.
    """

    family: str
    verdict: Answer | None
    n: int
    k: int
    system: dict[str, Any]
    margin: Fraction | None
    reasons: tuple[Reason, ...]
    assumptions: tuple[str, ...]
    asked: str | None = None
    least_sufficient: int | None = None
    greatest_insufficient: int | None = None
    claims: tuple[Claim, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """JSON-ready values; the margin as a decimal number, integers exact."""
        return {
            **self.__dict__,
            "margin": None if self.margin is None else float(self.margin),
            "reasons": [reason.to_json() for reason in self.reasons],
            "assumptions": list(self.assumptions),
            "claims": [claim.to_json() for claim in self.claims],
        }


@dataclass(frozen=True)
class Argument:
    """A claim, or None where a margin decides, with the inequality in words, the page, and what kind of evidence it is."""

    claim: Claim | None
    answer: Answer
    method: str
    inequality: str
    citation: str
    evidence: Evidence
    assumptions: tuple[str, ...] = ()

    @property
    def reason(self) -> Reason:
        """The argument as a reason of a verdict."""
        return Reason(self.answer, self.method, self.inequality, self.citation, self.evidence, self.assumptions)


Arguments = Callable[[System, Answer], Iterable[Argument]]


def as_workload(n: int | str, k: int | str) -> tuple[int, int]:
    """n and k as integers, 1 <= k < n. Raises `InputError`."""
    n, k = as_count(n, "n"), as_count(k, "k")
    AllSubsets(n, k)
    if not 1 <= k < n:
        raise InputError(f"found k = {k} of n = {n}, expected 1 <= k < n")
    return n, k


def as_size(value: int | str | None, what: str) -> int | None:
    """A size of a system, at least 1, or None. Raises `InputError`."""
    if value is None:
        return None
    size = as_count(value, what)
    if not 1 <= size <= MOST:
        raise InputError(f"found {what} = {size}, expected 1 to {MOST}")
    return size


def as_dtype(dtype: str) -> str:
    """The name of a dtype. Raises `UnknownName`."""
    if not isinstance(dtype, str) or dtype not in DTYPES:
        raise UnknownName("dtype", str(dtype), DTYPES)
    return dtype


def as_margin(margin: float | str | Fraction | None) -> Fraction | None:
    """A half-gap above 0 and at most 1, exact, or None. Raises `InputError`."""
    gamma = None if margin is None else as_fraction(margin, "margin")
    if gamma is not None and not 0 < gamma <= 1:
        raise InputError(f"found margin = {margin}, expected a half-gap above 0 and at most 1")
    return gamma


def decide(
    n: int,
    k: int,
    make: Callable[[int], System],
    size: int | None,
    asked: str,
    arguments: Arguments,
    *,
    assumptions: tuple[str, ...],
    margin: Fraction | None = None,
    least: int = 1,
) -> FamilyVerdict:
    """The verdict on the system of this size; without a size, the least found enough and the greatest proved too small.

    `arguments` proposes reasons for an answer; those whose claim the checker refuses are left out. `least` is the smallest size
    that makes a system.
    """

    def why(at: int, answer: Answer) -> list[Argument]:
        return [one for one in arguments(make(at), answer) if one.claim is None or holds(one.claim)]

    def first(at: int, answer: Answer) -> Argument | None:
        return next((one for one in arguments(make(at), answer) if one.claim is None or holds(one.claim)), None)

    if size is not None:
        against = why(size, "impossible")
        found = against or why(size, "possible")
        answer: Answer = "impossible" if against else "possible" if found else "open"
        system = make(size)
        return FamilyVerdict(
            system.family, answer, n, k, asdict(system), margin, tuple(one.reason for one in found), assumptions,
            claims=tuple(one.claim for one in found if one.claim is not None),
        )  # fmt: skip
    small = _greatest(lambda at: first(at, "impossible") is not None, least)
    large = _least(lambda at: first(at, "possible") is not None, small or least - 1)
    ends: list[tuple[int, Answer]] = []
    if small is not None:
        ends.append((small, "impossible"))
    if large is not None:
        ends.append((large, "possible"))
    kept = [one for at, answer in ends if (one := first(at, answer)) is not None]
    system = make(least)
    return FamilyVerdict(
        system.family, None, n, k, {**asdict(system), asked: None}, margin, tuple(one.reason for one in kept), assumptions, asked,
        large, small, tuple(one.claim for one in kept if one.claim is not None),
    )  # fmt: skip


def _greatest(refuted: Callable[[int], bool], least: int) -> int | None:
    """The greatest size found that is refuted, by doubling and bisection; None where the least is not."""
    if not refuted(least):
        return None
    low, high = least, 2 * least + 1
    while high <= MOST and refuted(high):
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if refuted(middle) else (low, middle)
    return low


def _least(enough: Callable[[int], bool], below: int) -> int | None:
    """The least size above `below` that is found enough, by doubling and bisection; None where none up to `MOST` is."""
    low, step = below, 1
    while not enough(low + step):
        low, step = low + step, 2 * step
        if low + step > MOST:
            return None
    high = low + step
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high


@lru_cache(maxsize=64)
def codes(n: int, most: int) -> tuple[tuple[int, int], ...]:
    """(q, r) for the prime powers q <= most with r < q: the least degree r with q^(r + 1) >= n polynomials."""

    def each() -> Iterator[tuple[int, int]]:
        for q in range(2, most + 1):
            if is_prime_power(q):
                r, count = 0, q
                while count < n and r < q:
                    r, count = r + 1, count * q
                if count >= n and r < q:
                    yield q, r

    return tuple(each())


MOST_FIELD = 4096  # elements of fields that are tried
