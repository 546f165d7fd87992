"""Before and now: the queries of a gate that are what they were when the baseline was recorded, and what was left out.

A query is compared where its question, its judgements and the texts judged relevant are unchanged. Documents that are added to the
corpus, or reworded without being judged, change no query: what they cost is a drop like any other.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from limitbench.checks.baseline import Baseline, Line
from limitbench.checks.findings import Outcome, Undecided
from limitbench.checks.measurement import Case, Floats, Measured
from limitbench.checks.secrets import hidden
from limitbench.checks.workloads import Loaded
from limitbench.rankings import overlap

_CHANGED = 1e-9  # of a query's figure: rounding is no change
_REASONS = ("new", "reworded", "judged otherwise", "a judged page changed")
DECIMALS = 9  # of a figure that is recorded or compared


@dataclass(frozen=True)
class Pair:
    """What a gate compares. Arrays have a value for each query, fractions.

    `changed_before` and `changed_now` are of the queries that both know by their id, and that are not what they were. They decide
    nothing alone; a drop that is only among them leaves a gate undecided.
    """

    rows: tuple[int, ...]  # numbers of the compared queries in the workload
    before: Floats
    now: Floats
    lines: tuple[Line, ...]  # the baseline's, of the compared queries
    left_out: Counter[str]  # today's queries that are not compared, by reason
    gone: int  # the baseline's queries that are no longer judged
    changed_before: Floats
    changed_now: Floats
    retriever: str  # its name in the baseline
    renamed: str | None = None  # the baseline's gate, where it had another name

    @property
    def lost(self) -> list[int]:
        """Positions of the compared queries whose figure fell, the largest fall first."""
        fall = self.before - self.now
        return [int(i) for i in np.argsort(-fall, kind="stable") if fall[i] > _CHANGED]

    @property
    def all_known(self) -> tuple[Floats, Floats]:
        """Before and now of every query that both know by its id, those that changed counted in."""
        return np.concatenate([self.before, self.changed_before]), np.concatenate([self.now, self.changed_now])

    @property
    def gained(self) -> int:
        """How many queries have a higher figure than before."""
        return int((self.now > self.before + _CHANGED).sum())

    @property
    def remark(self) -> str | None:
        """What is compared, where that is not every judged query, and under which name. None where there is nothing to say."""
        parts = []
        if self.left_out or self.gone:
            why = [f"{count} {reason}" for reason, count in self.left_out.items()]
            why += [f"{self.gone} no longer judged"] if self.gone else []
            parts.append(
                f"{len(self.rows)} of {len(self.rows) + self.left_out.total()} queries are compared with the baseline; "
                f"the others: {', '.join(why)}"
            )
        if len(self.changed_now):
            was, now = float(self.changed_before.mean()), float(self.changed_now.mean())
            parts.append(f"the {len(self.changed_now)} that changed had {was:.3f} and have {now:.3f}")
        if self.renamed:
            parts.append(f"compared with '{self.renamed}' of the baseline, which is no longer a gate")
        return "; ".join(parts) or None


def unchanged(workload: Loaded, baseline: Baseline) -> tuple[dict[str, Line], Counter[str], int]:
    """The baseline's lines of the queries that are what they were; why the others are not; how many are no longer judged."""
    recorded = baseline.workloads.get(workload.name, {})
    if workload.name in baseline.whole:  # schema 1 knows all of the data alone
        same = baseline.whole[workload.name] == workload.fingerprint
        kept = {query: recorded[query] for query in workload.query_ids if same and query in recorded}
        left = Counter({"not known to be unchanged (a baseline of schema 1)": len(workload.query_ids) - len(kept)})
        return kept, +left, 0
    kept, why = {}, Counter[str]()
    for query, identity in workload.identities.items():
        line = recorded.get(query)
        reason = "new" if line is None else difference(line.identity, identity)
        if line is None or reason:
            why[reason or ""] += 1
        else:
            kept[query] = line
    left_out = Counter({reason: why[reason] for reason in _REASONS if why[reason]})
    return kept, left_out, len(recorded.keys() - workload.identities.keys())


def difference(before: str | None, now: str) -> str | None:
    """What of a query changed; None where nothing did that both sides know."""
    parts = zip(_REASONS[1:], (before or "-:-:-").split(":"), now.split(":"), strict=True)
    return next((reason for reason, was, is_now in parts if was != is_now and "-" not in (was, is_now)), None)


def before_and_now(case: Case) -> Pair | Outcome | None:
    """What the gate compares, or why it cannot; None where the configuration wants no comparison.

    Undecided where fewer queries are unchanged than could show any drop at the gate's confidence.
    """
    if case.gate.compares is None:
        return None
    found = case.measured()
    if not isinstance(found, Measured):
        return found
    plan = case.project.config.baseline
    assert plan is not None
    quiet = case.quiet
    if case.baseline is None:
        if plan.missing == "ignore":
            return None
        return Undecided(f"there is no baseline at {plan.path}", "record one: limitbench baseline init", quiet=quiet)
    pair = compared(case, found, case.baseline)
    if pair is None:
        if plan.missing == "ignore":
            return None
        return Undecided(f"the baseline has no {case.key}", "record it: limitbench baseline update", quiet=quiet)
    known = len(pair.rows) + max(pair.gone + len(pair.changed_now), pair.left_out.total())
    if 2 * len(pair.rows) < known:
        return Undecided(
            f"only {len(pair.rows)} of {known} queries can be compared: {reasons(pair)}",
            "look at the figures, then record them: limitbench baseline update",
        )
    return pair


def reasons(pair: Pair) -> str:
    """Why queries are not compared, with counts."""
    why = [f"{count} {reason}" for reason, count in pair.left_out.items()]
    return ", ".join(why + ([f"{pair.gone} no longer judged"] if pair.gone else []))


def too_few(case: Case, pair: Pair) -> Undecided | None:
    """Why no test can show anything on the compared queries: even if all fell, chance would explain it. None where one can."""
    if can_show(len(pair.rows), case.gate.confidence):
        return None
    why = reasons(pair)
    return Undecided(
        f"{len(pair.rows)} queries can be compared{f' ({why})' if why else ''}, too few to show a drop",
        "look at the figures, then record them: limitbench baseline update"
        if why
        else "judge more queries, or count: max_lost",
    )


def can_show(m: int, confidence: float) -> bool:
    """Whether m queries can give a p-value of at most 1 - confidence: the least is 2^-m."""
    return bool(0.5**m <= 1 - confidence)


def compared(case: Case, found: Measured, baseline: Baseline) -> Pair | None:
    """The queries that are what they were, before and now; None where the baseline does not know the gate."""
    workload, gate = case.workload, case.gate
    kept, left_out, gone = unchanged(workload, baseline)
    name = f"{gate.retriever}/{gate.metric}"
    renamed = None
    if not baseline.values(case.key):
        renamed = renamed_from(case, baseline)
        if renamed is None:
            return None
        other, _, name = renamed.partition("/")
        if other != workload.name:
            stand_in = Baseline(versions={}, workloads={workload.name: baseline.workloads[other]})
            kept, left_out, gone = unchanged(workload, stand_in)
    unmeasured = [query for query, line in kept.items() if name not in line.values]
    if unmeasured:
        left_out = left_out + Counter({"without a figure in the baseline": len(unmeasured)})
    retriever = name.partition("/")[0]
    kept_lines = baseline.workloads.get((renamed or case.key).partition("/")[0], {})
    figures = agreements(case, found, kept_lines, retriever) if gate.agreement else case.values(found)
    now = np.round(figures, DECIMALS)
    rows: list[int] = []
    moved: list[int] = []
    recorded = baseline.values(renamed or case.key)
    for row, query in enumerate(workload.query_ids):
        if query in recorded:
            (rows if query in kept and name in kept[query].values else moved).append(row)
    lines = tuple(kept[workload.query_ids[row]] for row in rows)

    def before(chosen: list[int]) -> Floats:
        return np.array([recorded[workload.query_ids[row]] for row in chosen], np.float64)

    return Pair(
        tuple(rows),
        before(rows),
        now[rows],
        lines,
        left_out,
        gone,
        before(moved),
        now[moved],
        retriever,
        renamed,
    )


def renamed_from(case: Case, baseline: Baseline) -> str | None:
    """The baseline's gate that this one was: of the same metric, no longer in the configuration, and the only such one."""
    config, gate = case.project.config, case.gate
    named = {f"{g.workload}/{g.retriever}/{g.metric}" for g in config.gate}
    found = []
    for key in baseline.keys:
        workload, retriever, metric = key.split("/", 2)
        moved = (workload != gate.workload) + (retriever != gate.retriever)
        still = (workload != gate.workload and workload in config.workload) or (
            retriever != gate.retriever and retriever in config.retriever
        )
        if key not in named and metric == gate.metric and moved and not still:
            found.append(key)
    return found[0] if len(found) == 1 else None


def agreements(case: Case, found: Measured, lines: Mapping[str, Line], retriever: str) -> Floats:
    """The overlap of each query's documents with those that a baseline keeps, within the gate's cutoff; 0 where it keeps none."""
    depth, now = case.gate.measure.cutoff, hidden(found.first(case.gate.measure.cutoff))  # as the baseline holds them
    kept = [lines[query].top.get(retriever) if query in lines else None for query in case.workload.query_ids]
    return np.array(
        [0.0 if top is None else overlap(top[:depth], row) for top, row in zip(kept, now, strict=True)], np.float64
    )


def agreement(pair: Pair, found: Measured) -> float | None:
    """Rank-biased overlap of today's first documents with the baseline's, the mean over the compared queries; no judgement enters.

    1: the same documents in the same order. Source: Webber, Moffat and Zobel, TOIS 2010. None where the baseline kept no documents.
    """
    kept = [
        (line.top[pair.retriever], row)
        for line, row in zip(pair.lines, pair.rows, strict=True)
        if pair.retriever in line.top
    ]
    if not kept:
        return None
    now = hidden(found.first(max(len(top) for top, _ in kept) or 1))  # as the baseline holds them
    return float(np.mean([overlap(top, now[row][: len(top)]) for top, row in kept]))
