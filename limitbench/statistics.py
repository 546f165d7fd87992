"""Intervals, paired tests and what a number of queries can tell apart: pure functions on scipy.

Values are one number a query, fractions in [0, 1] as `measures` gives them, in the same order for both systems. Randomness comes
from a seed that is an argument. `confidence` is one-sided for limits and tests of one side, and says so.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from limitbench.errors import InputError

Floats = npt.NDArray[np.float64]
Alternative = Literal["two-sided", "greater", "less"]
_BLOCK = 1 << 22  # signs or picks drawn at a time: bounds memory


@dataclass(frozen=True)
class Interval:
    """A mean and its confidence limits."""

    mean: float
    low: float
    high: float
    confidence: float


def bootstrap_interval(
    values: npt.ArrayLike, *, confidence: float = 0.95, resamples: int = 9999, seed: int = 0
) -> Interval:
    """The mean of per-query values with bias-corrected accelerated bootstrap limits (Efron 1987), two-sided.

    Of values that are all equal the limits are that value: a bootstrap cannot know more. Raises `InputError` for no values,
    for what is not finite and for a confidence outside (0, 1).
    """
    x = _values(values)
    _confidence(confidence)
    mean = float(x.mean())
    if len(x) == 1 or np.ptp(x) == 0:
        return Interval(mean, mean, mean, confidence)
    from scipy.special import ndtr, ndtri

    means = _resampled_means(x, resamples, seed)
    below = (np.sum(means < mean) + 0.5 * np.sum(means == mean)) / resamples
    bias = ndtri(min(max(below, 0.5 / resamples), 1 - 0.5 / resamples))
    jack = (x.sum() - x) / (len(x) - 1)
    centred = jack.mean() - jack
    acceleration = np.sum(centred**3) / (6 * np.sum(centred**2) ** 1.5)
    tails = bias + ndtri(np.array([(1 - confidence) / 2, (1 + confidence) / 2]))
    levels = ndtr(bias + tails / (1 - acceleration * tails))
    low, high = np.quantile(means, levels)
    return Interval(mean, float(low), float(high), confidence)


def bounded_interval(values: npt.ArrayLike, *, confidence: float = 0.95) -> Interval:
    """The mean of values in [0, 1] with limits that hold for any distribution of them (Hoeffding 1963, theorem 1), two-sided.

    Wider than a bootstrap's, and honest where all values are equal: 200 ones tell of at least 0.98. Raises `InputError` for no
    values, for values outside [0, 1] and for a confidence outside (0, 1).
    """
    x = _values(values)
    _confidence(confidence)
    if x.min() < 0 or x.max() > 1:
        raise InputError(f"found values from {x.min():g} to {x.max():g}, expected them in [0, 1]")
    mean, tail = float(x.mean()), (1 - confidence) / 2

    def farthest(of: float) -> float:
        """The largest expectation that so low a mean is not too unlikely for."""
        low, high = of, 1.0
        for _ in range(60):
            middle = (low + high) / 2
            low, high = (middle, high) if _hoeffding(of, middle, len(x)) > tail else (low, middle)
        return high

    return Interval(mean, 1 - farthest(1 - mean), farthest(mean), confidence)


def shown_interval(values: npt.ArrayLike) -> Interval:
    """The 95 % interval that tables, figures and exports show: the same everywhere, and quick."""
    return bootstrap_interval(values, resamples=1999)


def lower_limit(values: npt.ArrayLike, *, confidence: float = 0.95, resamples: int = 9999, seed: int = 0) -> float:
    """The one-sided lower confidence limit of the mean, by the same bootstrap."""
    _confidence(confidence)
    if confidence <= 0.5:
        raise InputError(f"found confidence {confidence:g} for a lower limit, expected more than 0.5; give 0.95, say")
    return bootstrap_interval(values, confidence=2 * confidence - 1, resamples=resamples, seed=seed).low


def paired_randomisation(
    a: npt.ArrayLike,
    b: npt.ArrayLike,
    *,
    alternative: Alternative = "two-sided",
    shift: float = 0.0,
    resamples: int = 9999,
    seed: int = 0,
) -> float:
    """The p-value of mean(a) - mean(b) being `shift`, by exchanging the two systems query by query (Fisher 1935).

    "greater": against mean(a) - mean(b) > shift. Exchanges are counted, all of them, where they are no more than `resamples`, or
    where shift is 0 and differences are multiples of a common unit, as those of recall at small cutoffs are. Else that many are
    drawn, and the observed one counted in; with shift 0, p is then at most Hoeffding's bound on the tail (1963, Theorem 2), so
    that it has no floor. Exact for systems that may be exchanged, that is for shift 0; for another shift it tests a mean,
    and holds as m grows.
    """
    x, y = _values(a), _values(b)
    if len(x) != len(y):
        raise InputError(f"found {len(x)} and {len(y)} values; expected one for every query of both systems")
    d = x - y - shift
    d = np.where(np.abs(d) < 1e-12, 0.0, d)
    moving = d[d != 0]  # a difference of 0 is itself either way
    tails = _written_out(moving) if 2 ** min(len(moving), 60) <= resamples else _counted(moving) if shift == 0 else None
    least, most = tails or _drawn(moving, resamples, seed, bounded=shift == 0)
    if alternative == "greater":
        return float(most)
    if alternative == "less":
        return float(least)
    if alternative != "two-sided":
        raise InputError(f"found alternative '{alternative}', expected two-sided, greater or less")
    return float(min(1.0, 2 * min(least, most)))


def not_below_p_value(before: npt.ArrayLike, now: npt.ArrayLike, margin: float) -> float:
    """A p-value against "the mean of values in [0, 1] fell by `margin` or more"; it holds for every number of queries.

    The smaller of two bounds, doubled: on the losses alone, gains not counted in, by Hoeffding (1963, Theorem 1), or by the
    binomial tail where each query is lost or not; and on all differences, by Hoeffding. Raises `InputError` for a margin that is
    not above 0.
    """
    x, y = _values(before), _values(now)
    if len(x) != len(y) or not 0 < margin <= 1:
        raise InputError(
            f"found {len(x)} and {len(y)} values and a margin of {margin:g}; expected as many, and a margin in (0, 1]"
        )
    d = x - y
    losses = np.maximum(d, 0.0)
    first = _hoeffding(float(losses.mean()), margin, len(d))
    if len(d) <= 1000 and np.isin(losses, (0.0, 1.0)).all():
        m, lost = len(d), int(losses.sum())
        first = math.fsum(math.comb(m, i) * margin**i * (1 - margin) ** (m - i) for i in range(lost + 1))
    second = _hoeffding((float(d.mean()) + 1) / 2, (margin + 1) / 2, len(d))
    return float(min(1.0, 2 * min(first, second)))


def _hoeffding(mean: float, expected: float, m: int) -> float:
    """The chance that m independent values in [0, 1] of this expectation have so low a mean, at most."""
    if mean >= expected:
        return 1.0
    x, mu = max(mean, 0.0), expected
    divergence = (x * math.log(x / mu) if x > 0 else 0.0) + (
        (1 - x) * math.log((1 - x) / (1 - mu)) if mu < 1 else math.inf
    )
    return math.exp(-m * divergence)


_MOST_STEPS = 4 * 10**8  # of adding up a distribution: about a second
_MOST_SIGNS = 10**9  # drawn for one test
_UNITS = (1, 2, 3, 4, 5, 6, 8, 10, 12, 15, 20, 24, 30, 40, 60, 100, 120, 200, 840, 1000, 2520)


def _counted(d: Floats) -> tuple[float, float] | None:
    """The chance, over all signs of d, of a sum at most and at least the observed one; None without a small common unit.

    With d = u s for whole s, a sum is u (2 S - sum |s|), where S is the sum of those |s| whose sign is plus. Values have nine
    decimals, so that u may be off by as much.
    """
    size = np.abs(d)
    whole = next((np.rint(size * n) for n in _UNITS if (np.abs(size * n - np.rint(size * n)) < 3e-9 * n).all()), None)
    if whole is None or whole.min() < 1 or len(d) * whole.sum() > _MOST_STEPS:
        return None
    weights = np.ones(1)  # of S = 0, 1, ...
    for s in np.sort(whole).astype(np.int64).tolist():
        longer = np.zeros(len(weights) + s)
        longer[: len(weights)] += 0.5 * weights
        longer[s:] += 0.5 * weights
        weights = longer
    observed = int(whole[d > 0].sum())
    smallest = np.finfo(float).tiny  # 2^-m underflows from a thousand queries on
    return max(smallest, float(weights[: observed + 1].sum())), max(smallest, float(weights[observed:].sum()))


def _written_out(d: Floats) -> tuple[float, float]:
    """The same, sign by sign: 2^m sums."""
    sums = np.zeros(1)
    for value in d:
        sums = np.concatenate([sums + value, sums - value])
    slack = 1e-9 * max(1.0, float(np.abs(d).sum()))
    return float(np.mean(sums <= d.sum() + slack)), float(np.mean(sums >= d.sum() - slack))


def _drawn(d: Floats, resamples: int, seed: int, *, bounded: bool = True) -> tuple[float, float]:
    """The same over exchanges drawn at random, the observed one counted in; `bounded` by Hoeffding's exp(-s^2 / (2 sum d^2))."""
    draws = max(999, min(resamples, _MOST_SIGNS // max(1, len(d)))) if resamples > 999 else resamples
    sums, observed = _flipped_sums(d, draws, seed), float(d.sum())
    slack = 1e-9 * max(1.0, float(np.abs(d).sum()))
    least = float((np.sum(sums <= observed + slack) + 1) / (draws + 1))
    most = float((np.sum(sums >= observed - slack) + 1) / (draws + 1))
    if bounded:
        tail = max(float(np.finfo(float).tiny), math.exp(-(observed**2) / (2 * float(d @ d))))
        least, most = (min(least, tail), most) if observed < 0 else (least, min(most, tail))
    return least, most


def minimum_detectable_difference(m: int, deviation: float, *, confidence: float = 0.95, power: float = 0.95) -> float:
    """The least true difference of means that a one-sided paired test on m queries finds with this power.

    `deviation` is the standard deviation of per-query differences. (t_confidence + t_power) deviation / sqrt(m), Student's t
    with m - 1 degrees of freedom; infinite for fewer than 2 queries.
    """
    _confidence(confidence)
    _confidence(power)
    if deviation < 0 or not math.isfinite(deviation):
        raise InputError(f"found a deviation of {deviation}, expected a finite number from 0 on")
    if m < 2:
        return math.inf
    from scipy.special import stdtrit

    return float((stdtrit(m - 1, confidence) + stdtrit(m - 1, power)) * deviation / math.sqrt(m))


def queries_needed(difference: float, deviation: float, *, confidence: float = 0.95, power: float = 0.95) -> int:
    """The least number of queries whose minimum detectable difference is at most `difference`."""
    if difference <= 0:
        raise InputError(f"found a difference of {difference:g}, expected more than 0")
    low, high = 1, 2
    while minimum_detectable_difference(high, deviation, confidence=confidence, power=power) > difference:
        low, high = high, 2 * high
        if high > 10**12:
            raise InputError(f"a difference of {difference:g} needs more than 10^12 queries; allow a larger one")
    while high - low > 1:
        middle = (low + high) // 2
        found = minimum_detectable_difference(middle, deviation, confidence=confidence, power=power)
        low, high = (middle, high) if found > difference else (low, middle)
    return high


def holm(p: Sequence[float]) -> list[float]:
    """p-values corrected for being several: the chance of any false finding stays below the level (Holm 1979)."""
    order = sorted(range(len(p)), key=p.__getitem__)
    out = [0.0] * len(p)
    most = 0.0
    for rank, index in enumerate(order):
        most = max(most, min(1.0, (len(p) - rank) * p[index]))
        out[index] = most
    return out


@dataclass(frozen=True)
class Comparison:
    """Two systems on the same queries: the difference of means (first - second), p, and p corrected for all pairs."""

    first: str
    second: str
    difference: float
    p: float
    corrected: float


def compare_all(values: Mapping[str, npt.ArrayLike], *, resamples: int = 9999, seed: int = 0) -> list[Comparison]:
    """Every pair of systems by the paired randomisation test, corrected by Holm; best mean first."""
    arrays = {name: _values(row) for name, row in values.items()}
    names = sorted(arrays, key=lambda name: -arrays[name].mean())
    pairs = [(a, b) for i, a in enumerate(names) for b in names[i + 1 :]]
    p = [paired_randomisation(arrays[a], arrays[b], resamples=resamples, seed=seed) for a, b in pairs]
    return [
        Comparison(a, b, float(arrays[a].mean() - arrays[b].mean()), value, corrected)
        for (a, b), value, corrected in zip(pairs, p, holm(p), strict=True)
    ]


def inseparable_groups(comparisons: Sequence[Comparison], *, level: float = 0.05) -> list[list[str]]:
    """The largest runs of systems, in falling order of mean, of which the data separate no two; they may overlap."""
    names = list(dict.fromkeys([*(c.first for c in comparisons), *(c.second for c in comparisons)]))
    apart = {frozenset((c.first, c.second)) for c in comparisons if c.corrected < level}
    groups: list[list[str]] = []
    for start in range(len(names)):
        stop = start + 1
        while stop < len(names) and all(frozenset((names[stop], name)) not in apart for name in names[start:stop]):
            stop += 1
        if not groups or stop > names.index(groups[-1][-1]) + 1:
            groups.append(names[start:stop])
    return groups


def group_letters(groups: Sequence[Sequence[str]]) -> dict[str, str]:
    """By system, the letters of its groups, such as "a b"; after z comes aa."""
    letters = [chr(ord("a") + i % 26) * (1 + i // 26) for i in range(len(groups))]
    names = dict.fromkeys(name for group in groups for name in group)
    return {name: " ".join(x for x, group in zip(letters, groups, strict=True) if name in group) for name in names}


def _values(values: npt.ArrayLike) -> Floats:
    x = np.asarray(values, np.float64)
    if x.ndim != 1 or not len(x):
        raise InputError(f"found values of shape {x.shape}, expected one number for each of at least one query")
    if not np.isfinite(x).all():
        raise InputError("found NaN or infinity among the values; expected a finite number for each query")
    return x


def _confidence(value: float) -> None:
    if not 0 < value < 1:
        raise InputError(f"found a confidence of {value:g}, expected one between 0 and 1, such as 0.95")


def _resampled_means(x: Floats, resamples: int, seed: int) -> Floats:
    """Means of m values drawn with replacement, (resamples,). Equal values are drawn together, by a multinomial."""
    distinct, counts = np.unique(x, return_counts=True)
    generator = np.random.default_rng(seed)
    if len(distinct) <= 64:
        return np.asarray(generator.multinomial(len(x), counts / len(x), resamples) @ distinct / len(x))
    rows = max(1, _BLOCK // len(x))
    parts = [
        x[generator.integers(0, len(x), (min(rows, resamples - at), len(x)))].mean(1)
        for at in range(0, resamples, rows)
    ]
    return np.concatenate(parts)


def _flipped_sums(d: Floats, resamples: int, seed: int) -> Floats:
    """Sums of differences (moving,) under random signs, (resamples,). Differences of one size share a binomial."""
    sizes, counts = np.unique(np.abs(d), return_counts=True)
    generator = np.random.default_rng(seed)
    if len(sizes) <= 64:
        plus = generator.binomial(counts, 0.5, (resamples, len(sizes)))
        return np.asarray((2 * plus - counts) @ sizes)
    rows = max(1, _BLOCK // len(d))
    parts = [
        (2.0 * generator.integers(0, 2, (min(rows, resamples - at), len(d))) - 1) @ d
        for at in range(0, resamples, rows)
    ]
    return np.concatenate(parts)
