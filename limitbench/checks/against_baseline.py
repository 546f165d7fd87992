"""LB006, LB302 and LB310 to LB313: a gate's figures against those of the baseline, query by query."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from limitbench import statistics
from limitbench.checks.causes import causes
from limitbench.checks.comparison import Pair, before_and_now, can_show, compared, too_few
from limitbench.checks.findings import Cause, Fails, Outcome, Passes, Undecided
from limitbench.checks.history import earlier
from limitbench.checks.measurement import Case, Floats, Measured

_SEEN = 20  # losses from which their size is taken; with fewer, a loss is planned as a whole one


def explained(case: Case, pair: Pair | None) -> tuple[Cause, ...]:
    """What explains a failed gate; nothing where it could not be measured."""
    found, key = case.measured(), (case.number, b"" if pair is None else pair.before.tobytes())
    if key not in case.explained:
        tells = isinstance(found, Measured) and not case.gate.agreement
        case.explained[key] = tuple(causes(case, found, pair)) if tells and isinstance(found, Measured) else ()
    return case.explained[key]


def _most(case: Case, pair: Pair) -> str:
    """The three queries that fell most."""
    return ", ".join(f"'{case.workload.query_ids[pair.rows[i]]}'" for i in pair.lost[:3])


def _on(pair: Pair) -> str:
    """On how many queries a comparison rests."""
    return f"{len(pair.rows)} queries" + (" that are unchanged" if pair.left_out else "")


def regression(case: Case) -> Outcome | None:
    """LB302."""
    gate = case.gate
    if gate.max_drop is None:
        return None
    pair = before_and_now(case)
    if not isinstance(pair, Pair):
        return pair
    if (few := too_few(case, pair)) is not None:
        return few
    p = drop_p_value(pair.before, pair.now, gate.max_drop)
    if p > 1 - gate.confidence:
        return among_changed(case, pair, gate.max_drop) or Passes()
    before, now, why = float(pair.before.mean()), float(pair.now.mean()), explained(case, pair)
    return Fails(
        f"{gate.metric} fell from {before:.4f} to {now:.4f}, by more than the {gate.max_drop:g} allowed "
        f"(p = {p:.2g}, paired randomisation, {_on(pair)}); most at {_most(case, pair)}",
        "mend the regression; or, if it is meant: limitbench baseline update --allow-drop",
        expected=f"a drop of at most {gate.max_drop:g}",
        observed=f"{before - now:.4f}",
        numbers={
            "before": before, "now": now, "drop": before - now, "max_drop": gate.max_drop, "p": p, "queries": len(pair.rows),
        },
        causes=why,
    )  # fmt: skip


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


def too_many_lost(case: Case) -> Outcome | None:
    """LB310. A count, not a test: it holds for sets of any size."""
    gate = case.gate
    if gate.max_lost is None:
        return None
    pair = before_and_now(case)
    if not isinstance(pair, Pair):
        return pair
    lost = len(pair.lost)
    if lost <= gate.max_lost:
        fell = int((pair.changed_now < pair.changed_before).sum())
        if lost + fell > gate.max_lost and fell > len(pair.changed_now) / 2:
            return Undecided(
                f"{fell} of the {len(pair.changed_now)} queries that changed have a lower figure now; {gate.max_lost} may be lost",
                "look at them; if they are as they should be: limitbench baseline update --allow-drop",
            )
        return Passes()
    why = explained(case, pair)
    return Fails(
        f"{gate.metric} fell for {lost} of {_on(pair)}, and {gate.max_lost} may be lost; most at {_most(case, pair)}",
        "look at the lost questions; or, if it is meant: limitbench baseline update --allow-drop",
        expected=f"at most {gate.max_lost} lost",
        observed=str(lost),
        numbers={"lost": lost, "gained": pair.gained, "max_lost": gate.max_lost, "queries": len(pair.rows)},
        causes=why,
    )


def must_find(case: Case) -> Outcome | None:
    """LB311."""
    gate = case.gate
    if gate.must_find is None:
        return None
    rows = {query: row for row, query in enumerate(case.workload.query_ids)}
    unknown = [query for query in gate.must_find if query not in rows]
    if unknown:
        return Undecided(
            f"must_find names {len(unknown)} queries that are not judged, the first '{unknown[0]}'",
            "judge them, or take them out of must_find",
        )
    found = case.measured()
    if not isinstance(found, Measured):
        return found
    values = found.values(gate, "worst")  # a document that only chance puts within the cutoff is not found
    named = list(dict.fromkeys(gate.must_find))
    missed = [query for query in named if values[rows[query]] <= 0]
    if not missed:
        return Passes()
    asks = case.workload.questions.get(missed[0], "")
    why = explained(case, None)
    return Fails(
        f"{len(missed)} of the {len(named)} questions that must be answered find no relevant document in the first "
        f"{gate.measure.cutoff}, the first '{missed[0]}'{f': {asks[:80]!r}' if asks else ''}",
        "mend the retriever; or take a question out of must_find",
        expected="all found",
        observed=f"{len(missed)} missed",
        numbers={"missed": len(missed), "must_find": len(named)},
        causes=why,
    )


def not_shown_as_good(case: Case) -> Outcome | None:
    """LB312. Passes only where a fall of `not_worse` or more is refuted, by a bound that holds for every number of queries."""
    gate = case.gate
    if gate.not_worse is None:
        return None
    pair = before_and_now(case)
    if not isinstance(pair, Pair):
        return pair
    p = statistics.not_below_p_value(pair.before, pair.now, gate.not_worse)
    if p <= 1 - gate.confidence:
        if statistics.not_below_p_value(*pair.all_known, gate.not_worse) <= 1 - gate.confidence or not len(
            pair.changed_now
        ):
            return Passes()
        return Undecided(
            f"{gate.metric} is not shown to be as good where the {len(pair.changed_now)} queries that changed are counted in",
            "look at them; if they are as they should be: limitbench baseline update --allow-drop",
        )
    drop = float(pair.before.mean() - pair.now.mean())
    worse = drop_p_value(pair.before, pair.now, 0.0) <= 1 - gate.confidence
    why = explained(case, pair) if worse else ()
    return Fails(
        f"{gate.metric} is not shown to be less than {gate.not_worse:g} below the baseline: it went from {pair.before.mean():.4f} "
        f"to {pair.now.mean():.4f} (p = {p:.2g}, {_on(pair)}); "
        + ("it is worse" if worse else "these queries do not show it"),
        "mend the regression" if worse else "judge more queries, or allow more: not_worse",
        expected=f"a fall below {gate.not_worse:g}, shown at {100 * gate.confidence:g} % confidence",
        observed=f"{drop:.4f}",
        numbers={"drop": drop, "not_worse": gate.not_worse, "p": p, "queries": len(pair.rows)},
        causes=why,
    )


def decline(case: Case) -> Outcome | None:
    """LB313. Each earlier baseline is a comparison of its own; p-values are multiplied by their number (Bonferroni)."""
    gate, plan = case.gate, case.project.config.baseline
    if gate.max_decline is None or plan is None:
        return None
    found = case.measured()
    if not isinstance(found, Measured):
        return found
    if plan.missing == "ignore" and case.baseline is None:
        return None
    past = earlier(case.project.resolve(plan.path, "baseline", "path"), gate.over)
    pairs = [(commit, pair) for commit, baseline in past if (pair := compared(case, found, baseline)) is not None]
    pairs.sort(key=lambda one: -len(one[1].rows))
    # each more baseline asks for a smaller p-value: those with the most queries come first, while their number can still be shown
    usable = [
        one for number, one in enumerate(pairs, 1) if can_show(len(one[1].rows), 1 - (1 - gate.confidence) / number)
    ]
    if not usable:
        return Undecided(
            f"version control holds {len(past)} baselines, and none has enough of today's queries unchanged to show a decline",
            "commit the baseline: limitbench baseline init; or judge more queries",
            quiet=case.quiet,
        )
    resamples = min(200_000, max(9999, math.ceil(20 * len(usable) / (1 - gate.confidence))))
    tested = [
        (drop_p_value(pair.before, pair.now, gate.max_decline, resamples=resamples) * len(usable), commit, pair)
        for commit, pair in usable
    ]
    p, commit, pair = min(tested, key=lambda one: one[0])
    if p > 1 - gate.confidence:
        return Passes()
    why = explained(case, pair)
    return Fails(
        f"{gate.metric} declined from {pair.before.mean():.4f} in the baseline of commit {commit[:10]} to {pair.now.mean():.4f}, "
        f"by more than the {gate.max_decline:g} allowed over {gate.over} baselines (p = {min(1.0, p):.2g} after correction for "
        f"{len(usable)}, {_on(pair)})",
        "mend what went wrong since then, or allow more: max_decline",
        expected=f"a decline of at most {gate.max_decline:g}",
        observed=f"{pair.before.mean() - pair.now.mean():.4f}",
        numbers={
            "before": float(pair.before.mean()), "now": float(pair.now.mean()), "max_decline": gate.max_decline, "p": min(1.0, p),
            "baselines": len(usable), "commit": commit,
        },
        causes=why,
    )  # fmt: skip


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


def too_few_queries(cases: Sequence[Case]) -> Outcome | None:
    """LB006, once for a workload: of its gates, the one whose drop needs the most queries beyond what there are."""
    asking = [case for case in cases if case.gate.max_drop is not None and case.workload.m]
    if not asking:
        return None
    seen = []
    for case in asking:
        pair, most = before_and_now(case), case.gate.max_drop or 0.0
        both = pair if isinstance(pair, Pair) else None
        if both is not None and drop_p_value(both.before, both.now, most) <= 1 - case.gate.confidence:
            continue  # they were enough to see this one
        least, deviation, m = shows(case, both)
        needed = statistics.queries_needed(most, deviation, confidence=case.gate.confidence)
        needed = max(needed, math.ceil(-math.log2(1 - case.gate.confidence)))
        seen.append((least > most, needed, least, deviation, m, case))
    short = [one for one in seen if one[0]]
    if not short:
        return Passes()
    _, needed, least, deviation, m, case = max(short, key=lambda one: one[1])
    allowed = case.gate.max_drop
    assert allowed is not None
    return Fails(
        f"{m} queries find a drop of {2 * allowed:g} in {case.gate.metric} with less than 95 % power: "
        + (
            f"they see {least:.3g} beyond what is allowed, and max_drop is {allowed:g}"
            if math.isfinite(least)
            else "they can show no drop"
        ),
        f"judge about {needed:,} queries, allow a larger drop, or count: max_lost",
        expected=f"about {needed:,} queries",
        observed=f"{m}",
        numbers={
            "detectable": least if math.isfinite(least) else None,
            "max_drop": allowed,
            "queries": m,
            "needed": needed,
            "deviation": deviation,
        },
    )
