"""Intervals with the promised coverage, paired tests with the promised errors, and agreement with scipy on shared ground."""

from __future__ import annotations

import math

import numpy as np
import pytest
from conftest import examples
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from limitbench.checks.drops import detectable, drop_p_value, planned_deviation
from limitbench.errors import InputError
from limitbench.statistics import (
    _counted,
    _drawn,
    _written_out,
    bootstrap_interval,
    bounded_interval,
    compare_all,
    group_letters,
    holm,
    inseparable_groups,
    lower_limit,
    minimum_detectable_difference,
    paired_randomisation,
    queries_needed,
)

values = st.lists(st.sampled_from([0.0, 0.25, 0.5, 1.0]), min_size=2, max_size=12)

# what one query's recall looks like: a share found of two, a smooth score, nearly always right
DRAWS = {
    "halves": (lambda rng, m: rng.binomial(2, 0.6, m) / 2, 0.6),
    "smooth": (lambda rng, m: rng.beta(5, 1.5, m), 5 / 6.5),
    "rarely wrong": (lambda rng, m: rng.binomial(1, 0.9, m).astype(float), 0.9),
}


def coverage(name: str, m: int, trials: int) -> float:
    draw, mean = DRAWS[name]
    rng = np.random.default_rng(7)
    hits = 0
    for seed in range(trials):
        found = bootstrap_interval(draw(rng, m), resamples=1999, seed=seed)
        hits += found.low <= mean <= found.high
    return hits / trials


@pytest.mark.parametrize("name", DRAWS)
def test_intervals_cover(name: str) -> None:
    """Nominal 95 % intervals cover the mean in 93 to 97 % of simulated data sets, within the error of 200 trials."""
    assert 0.93 - 0.04 <= coverage(name, 200, 200) <= 0.97 + 0.03


@pytest.mark.long
@pytest.mark.parametrize("name", DRAWS)
@pytest.mark.parametrize("m", [100, 400])
def test_intervals_cover_in_thousands(name: str, m: int) -> None:
    """Over 4,000 data sets the coverage is 93 to 97 %."""
    assert 0.93 <= coverage(name, m, 4000) <= 0.97


def test_intervals_agree_with_scipy() -> None:
    """On values without ties, the limits are scipy's BCa limits within resampling error."""
    x = np.random.default_rng(0).beta(4, 2, 120)
    theirs = stats.bootstrap((x,), np.mean, n_resamples=20_000, method="BCa", rng=np.random.default_rng(1))
    ours = bootstrap_interval(x, resamples=20_000)
    spread = ours.high - ours.low
    assert ours.low == pytest.approx(theirs.confidence_interval.low, abs=0.03 * spread)
    assert ours.high == pytest.approx(theirs.confidence_interval.high, abs=0.03 * spread)
    assert ours.mean == pytest.approx(x.mean())


@given(values, st.integers(0, 99))
@examples(60)
def test_intervals_hold_the_mean_and_the_range(x: list[float], seed: int) -> None:
    """Limits lie within the values, around the mean, and are the mean where all values are equal; more confidence is wider."""
    found = bootstrap_interval(x, resamples=499, seed=seed)
    assert min(x) - 1e-12 <= found.low <= found.high <= max(x) + 1e-12
    wide = bootstrap_interval(x, resamples=499, seed=seed, confidence=0.99)
    assert wide.low <= found.low + 1e-12
    assert found.high <= wide.high + 1e-12
    if len(set(x)) == 1:
        assert found.low == found.mean == found.high
    assert lower_limit(x, resamples=499, seed=seed) >= found.low - 1e-12


def test_one_seed_one_answer() -> None:
    """The same seed gives the same limits and p-values; the order of queries changes nothing but noise."""
    rng = np.random.default_rng(3)
    a, b = rng.random(300), rng.random(300)
    assert bootstrap_interval(a, seed=5) == bootstrap_interval(a, seed=5)
    assert paired_randomisation(a, b, seed=5) == paired_randomisation(a, b, seed=5)


@given(values, st.integers(0, 99))
@examples(60)
def test_randomisation_is_scipys_permutation_test(x: list[float], seed: int) -> None:
    """On few queries all exchanges are counted, and p is that of scipy's exact paired permutation test, on every side."""
    y = np.random.default_rng(seed).permutation(x)
    for side in ("two-sided", "greater", "less"):
        theirs = stats.permutation_test(
            (np.array(x), y),
            lambda a, b: np.mean(a - b),
            permutation_type="samples",
            alternative=side,
            n_resamples=np.inf,
        )
        assert paired_randomisation(x, y, alternative=side) == pytest.approx(theirs.pvalue, abs=1e-9)


def test_randomisation_by_drawing_agrees_with_counting() -> None:
    """Drawn exchanges give the counted p within their error, for grouped and for distinct differences; and counting has no floor."""
    rng = np.random.default_rng(11)
    for m in (16, 300):
        a, b = rng.binomial(2, 0.6, m) / 2, rng.binomial(2, 0.55, m) / 2
        d = (a - b)[a != b]
        least, most = _drawn(d, 20_000, 1)
        assert paired_randomisation(a, b) == pytest.approx(2 * min(least, most), abs=0.02)
        assert paired_randomisation(a, b, alternative="greater") == pytest.approx(most, abs=0.02)
        fine = rng.random(m) - 0.5
        assert _counted(fine) is None
        if m == 16:
            assert _written_out(fine) == pytest.approx(_drawn(fine, 20_000, 1), abs=0.02)
    half = np.full(60, 0.5)
    assert paired_randomisation(half, 0 * half) == pytest.approx(2.0**-59)
    assert _drawn(half, 199, 0, bounded=False)[1] == pytest.approx(1 / 200)
    assert paired_randomisation(half, half) == 1.0


@pytest.mark.parametrize("m", [2_000, 30_000, 100_000])
@pytest.mark.parametrize("step", [0.5, 0.0])
def test_p_of_many_queries_follows_the_normal_tail(m: int, step: float) -> None:
    """However many queries differ, and whether or not by a common unit, p is that of the normal tail or a bound not far above it."""
    rng = np.random.default_rng(m)
    a, b = (
        (rng.binomial(2, 0.51, m) / 2, rng.binomial(2, 0.49, m) / 2) if step else (rng.random(m) + 0.01, rng.random(m))
    )
    d = a - b
    z = d.sum() / math.sqrt(float(d @ d))
    normal = 2 * stats.norm.sf(abs(z))
    found = paired_randomisation(a, b)
    assert normal / 1.5 < found <= max(1.5 * normal + 1e-3, 2.001 * math.exp(-z * z / 2))
    assert found <= 2.001 * math.exp(-z * z / 2) + 1e-12
    assert 0 < paired_randomisation(a + 1, a) < 1e-250


def test_small_differences_beside_large_ones_count() -> None:
    """Three thousand small gains beside one large gain and one large loss are as likely as drawing says, not forgotten."""
    d = np.r_[1, -1, np.full(3000, 0.0000499)]
    assert paired_randomisation(d, 0 * d, alternative="greater") == pytest.approx(0.25, abs=0.02)
    tiny = np.full(20, 5e-7)
    assert paired_randomisation(tiny, 0 * tiny) < 1e-3


@pytest.mark.slow
def test_many_systems_can_still_be_told_apart() -> None:
    """Forty systems far apart are forty groups after Holm's correction, for values of two kinds and for values of many."""
    rng = np.random.default_rng(2)
    coarse = {f"s{i}": (rng.random(3000) < 0.02 + 0.024 * i).astype(float) * (i >= 0) for i in range(40)}
    fine = {f"s{i}": rng.random(400) * 0.1 + i / 40 for i in range(40)}
    assert len(inseparable_groups(compare_all(fine, resamples=999))) == 40
    corrected = {frozenset((c.first, c.second)): c.corrected for c in compare_all(coarse)}
    assert all(corrected[frozenset((f"s{i}", f"s{i + 4}"))] < 0.05 for i in range(36))


def test_letters_go_on_after_z() -> None:
    """Systems of several groups have several letters, and the 27th group is aa."""
    groups = [[f"s{i}", f"s{i + 1}"] for i in range(28)]
    letters = group_letters(groups)
    assert (letters["s0"], letters["s1"], letters["s26"], letters["s27"]) == ("a", "a b", "z aa", "aa bb")


def test_detectable_differences() -> None:
    """The formula is Student's; it falls as 1 / sqrt(m); `queries_needed` is the least m, and t tests have the promised power."""
    assert minimum_detectable_difference(101, 0.3) == pytest.approx(2 * stats.t.ppf(0.95, 100) * 0.3 / math.sqrt(101))
    assert minimum_detectable_difference(1, 0.3) == math.inf
    assert minimum_detectable_difference(50, 0.0) == 0
    m = queries_needed(0.05, 0.3)
    assert minimum_detectable_difference(m, 0.3) <= 0.05 < minimum_detectable_difference(m - 1, 0.3)
    rng = np.random.default_rng(5)
    shift = minimum_detectable_difference(80, 0.3)
    found = np.mean(
        [stats.ttest_1samp(rng.normal(shift, 0.3, 80), 0, alternative="greater").pvalue < 0.05 for _ in range(1000)]
    )
    assert found == pytest.approx(0.95, abs=0.025)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holm_is_the_step_down(p: list[float]) -> None:
    """Corrected p-values are no smaller, keep the order, and the smallest is m times itself."""
    found = holm(p)
    assert all(corrected >= raw for corrected, raw in zip(found, p, strict=True))
    order = np.argsort(p, kind="stable")
    assert all(found[a] <= found[b] for a, b in zip(order, order[1:], strict=False))
    assert min(found) == pytest.approx(min(1.0, len(p) * min(p)))


def test_groups_of_what_the_data_do_not_separate() -> None:
    """Two equal systems form a group, a far better one stands alone; comparisons are corrected for their number."""
    rng = np.random.default_rng(2)
    base = rng.random(200)
    systems = {"b": base, "c": base + rng.normal(0, 0.01, 200), "a": np.minimum(1, base + 0.4)}
    found = compare_all(systems, resamples=1999)
    assert [c.first for c in found].count("a") == 2
    assert all(c.corrected >= c.p for c in found)
    assert [sorted(group) for group in inseparable_groups(found)] == [["a"], ["b", "c"]]


@pytest.mark.parametrize(
    "call",
    [lambda: bootstrap_interval([]), lambda: bootstrap_interval([math.nan]), lambda: bootstrap_interval([[1.0]]),
     lambda: bootstrap_interval([1.0], confidence=1), lambda: lower_limit([0.0, 1.0], confidence=0.5),
     lambda: paired_randomisation([1.0], [1.0, 0.0]), lambda: paired_randomisation([1.0], [0.0], alternative="more"),
     lambda: minimum_detectable_difference(5, -1.0), lambda: queries_needed(0.0, 0.1)],
)  # fmt: skip
def test_wrong_input_is_said(call) -> None:
    """No values, NaN, matrices, confidences and sides that are none raise `InputError`."""
    with pytest.raises(InputError, match="expected"):
        call()


# ------------------------------------------------------------------------------------------------- the regression rule


def pair(rng: np.random.Generator, kind: str, m: int, drop: float) -> tuple[np.ndarray, np.ndarray]:
    """Per-query values before and after, whose means differ by `drop`: independent runs, rare whole losses, or small ones."""
    if kind == "independent":
        return rng.binomial(2, 0.9, m) / 2, rng.binomial(2, 0.9 - drop, m) / 2
    if kind == "rare":
        before = np.ones(m)
        before[rng.random(m) < 0.1] = 0.5
        moves = rng.random(m)
        return before, before - np.where(moves < 0.01 + 2 * drop, 0.5, np.where(moves > 0.99, -0.5, 0.0))
    before = rng.random(m)
    return before, before - drop + rng.normal(0, 0.05, m)


def rates(kind: str, m: int, allowed: float, drop: float, trials: int) -> tuple[float, float, int]:
    """(how often LB302 fires, how often where LB006 promised it could, how often it promised)."""
    rng = np.random.default_rng(13)
    fired = promised = both = 0
    for seed in range(trials):
        before, now = pair(rng, kind, m, drop)
        fires = drop_p_value(before, now, allowed, resamples=1999, seed=seed) <= 0.05
        could = detectable(m, planned_deviation(before - now, allowed), 0.95) <= allowed
        fired, promised, both = fired + fires, promised + could, both + (fires and could)
    return fired / trials, both / max(1, promised), promised


KINDS = {"independent": 6000, "rare": 1500, "small": 1500}  # and queries enough for a promise, at 2 % allowed


@pytest.mark.parametrize("kind", KINDS)
def test_the_regression_rule(kind: str) -> None:
    """50 simulated pairs: no drop never fires (at most 5 %), the allowed drop seldom, twice the allowed nearly always."""
    assert rates(kind, KINDS[kind], 0.02, 0.0, 50)[0] <= 0.05
    assert rates(kind, KINDS[kind], 0.02, 0.02, 50)[0] <= 0.065 + 0.1
    _, found, promised = rates(kind, KINDS[kind], 0.02, 0.04, 50)
    assert promised >= 25
    assert found >= 0.93 - 0.07


@pytest.mark.long
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("share", [0.1, 0.3, 1.0, 2.0])
def test_the_regression_rule_in_thousands(kind: str, share: float) -> None:
    """1,000 pairs: at most 5 % at no drop, 6.5 % at the allowed one; at twice that at least 93 % where LB006 promised."""
    m = max(20, round(share * KINDS[kind]))
    assert rates(kind, m, 0.02, 0.0, 1000)[0] <= 0.05
    assert rates(kind, m, 0.02, 0.02, 1000)[0] <= 0.065
    _, found, promised = rates(kind, m, 0.02, 0.04, 1000)
    assert found >= 0.93 or not promised


def test_too_few_queries_are_never_promised() -> None:
    """Where 100 queries could miss a drop of 4 % made of whole losses, LB006 promises nothing, whatever they happened to show."""
    assert rates("rare", 100, 0.02, 0.04, 50)[2] == 0
    assert detectable(4, 0.0, 0.95) == math.inf
    assert detectable(5, 0.0, 0.95) == 0
    assert planned_deviation(np.zeros(500), 0.01) == pytest.approx(math.sqrt(0.02 - 0.0004))


@pytest.mark.parametrize("m", [5, 20, 100, 300])
@pytest.mark.parametrize("margin", [0.02, 0.1])
def test_a_fall_at_the_margin_is_rarely_taken_for_less(m: int, margin: float) -> None:
    """At a true fall of the margin, by whole losses or by small ones, a p-value of 5 % comes in at most 5 % of cases (and some luck)."""
    from limitbench.statistics import not_below_p_value

    rng = np.random.default_rng(0)
    for size in (1.0, 0.5):
        wrong = 0
        for _ in range(400):
            lost = rng.random(m) < margin / size
            wrong += not_below_p_value(np.ones(m), 1 - size * lost, margin) <= 0.05
        assert wrong <= 400 * 0.05 + 12


def test_what_refutes_a_fall() -> None:
    """No loss among m queries refutes a fall of x where (1 - x)^m is at most half of 5 %; a loss raises the p-value; bounds hold it."""
    from limitbench.statistics import not_below_p_value

    ones = np.ones(36)
    assert not_below_p_value(ones, ones, 0.1) == pytest.approx(2 * 0.9**36)
    one_lost = np.where(np.arange(36) == 0, 0.0, 1.0)
    assert not_below_p_value(ones, one_lost, 0.1) > not_below_p_value(ones, ones, 0.1)
    assert not_below_p_value(ones, np.zeros(36), 0.1) == 1.0
    with pytest.raises(InputError):
        not_below_p_value(ones, ones, 0.0)


@pytest.mark.parametrize("p", [0.01, 0.2, 0.5, 0.9, 0.999])
def test_bounded_limits_hold_as_often_as_they_say(p: float) -> None:
    """Counted out over all outcomes of 30 yes-or-no queries: the limits hold the truth at least 95 times in 100."""
    held = 0.0
    for k in range(31):
        found = bounded_interval([1.0] * k + [0.0] * (30 - k))
        held += math.comb(30, k) * p**k * (1 - p) ** (30 - k) * (found.low <= p <= found.high)
    assert held >= 0.95


def test_bounded_limits_of_equal_values_are_no_point() -> None:
    """200 ones tell of at least 0.025^(1/200); values outside [0, 1] are refused."""
    found = bounded_interval([1.0] * 200)
    assert (found.mean, found.high) == (1, 1)
    assert found.low == pytest.approx(0.025 ** (1 / 200), abs=1e-9)
    with pytest.raises(InputError, match=r"expected them in \[0, 1\]"):
        bounded_interval([0.5, 1.5])
