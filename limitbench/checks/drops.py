"""Drops against a baseline: the test that finds them, what a number of queries can show, and how both are put into words."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from limitbench import statistics
from limitbench.checks.comparison import Pair, can_show
from limitbench.checks.findings import Undecided
from limitbench.checks.measurement import Case, Floats

_SEEN = 20  # losses from which their size is taken; with fewer, a loss is planned as a whole one


def most_fallen(case: Case, pair: Pair) -> str:
    """The three queries that fell most."""
    return ", ".join(f"'{case.workload.query_ids[pair.rows[i]]}'" for i in pair.lost[:3])


def counted_on(pair: Pair) -> str:
    """On how many queries a comparison rests."""
    return f"{len(pair.rows)} queries" + (" that are unchanged" if pair.left_out else "")


def among_changed(case: Case, pair: Pair, allowed: float) -> Undecided | None:
    """Undecided where a drop shows only when the queries that changed are counted in: a reworded question may hide it."""
    if not len(pair.changed_now):
        return None
    if drop_p_value(*pair.all_known, allowed) > 1 - case.gate.confidence:
        return None
    return Undecided(
        f"{case.gate.metric} fell from {pair.changed_before.mean():.4f} to {pair.changed_now.mean():.4f} on the "
        f"{len(pair.changed_now)} queries that changed, and not on the others",
        "look at them; if they are as they should be: limitbench baseline update --allow-drop",
    )


def drop_p_value(
    before: npt.ArrayLike, now: npt.ArrayLike, allowed: float, *, resamples: int = 9999, seed: int = 0
) -> float:
    """The p-value against "the mean fell by more than `allowed`": what LB302 compares with 1 - confidence."""
    return statistics.paired_randomisation(
        before, now, alternative="greater", shift=allowed, resamples=resamples, seed=seed
    )


def planned_deviation(differences: npt.ArrayLike, allowed: float) -> float:
    """The standard deviation of per-query differences to plan with: what was seen, or what a drop of 2 `allowed` would make.

    A mean drop of 2 D, made of losses of size g, has a variance of 2 D g - 4 D^2; g is the size of the losses seen (their mean
    square over their mean), or 1 where fewer than twenty queries changed: one small change says nothing of the next.
    """
    x = np.abs(np.asarray(differences, np.float64))
    size = float((x**2).sum() / x.sum()) if np.count_nonzero(x) >= _SEEN else 1.0
    seen = float(np.std(np.asarray(differences), ddof=1)) if len(x) > 1 else 0.0
    return max(seen, math.sqrt(max(0.0, 2 * allowed * size - 4 * allowed**2)))


def detectable(m: int, deviation: float, confidence: float) -> float:
    """The least drop beyond the allowed one that LB302 finds with 95 % power; infinite where 2^-m, its least p, is too large."""
    if not can_show(m, confidence):
        return math.inf
    return statistics.minimum_detectable_difference(m, deviation, confidence=confidence)


def shows(case: Case, pair: Pair | None) -> tuple[float, float, int]:
    """What a gate with a max_drop can show: the least drop beyond the allowed one, the deviation planned with, and the queries."""
    gate = case.gate
    assert gate.max_drop is not None
    differences: Floats = pair.before - pair.now if pair is not None else np.zeros(0)
    m = len(pair.rows) if pair is not None else len(case.workload.query_ids)
    deviation = planned_deviation(differences, gate.max_drop)
    return detectable(m, deviation, gate.confidence), deviation, m
