"""LB106, LB107, LB301 and LB303 to LB309: what a measurement of the retriever says, by per-query values and paired tests."""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction

import numpy as np

from limitbench import statistics
from limitbench.checks.against_baseline import drop_p_value, explained
from limitbench.checks.comparison import Pair, before_and_now
from limitbench.checks.findings import Fails, Outcome, Passes, Skipped
from limitbench.checks.measurement import Case, Measured, retrieved
from limitbench.dtypes import typical_score_error
from limitbench.theory.exact import rounded_up
from limitbench.theory.recall import MOST_DIMENSIONS, MOST_LISTED, not_below, recall

_ROUNDING = 1e-9  # a mean of 0.9 may be summed to a little less
_BM25_DOCUMENTS = 50_000  # that BM25 is tried on in the fast tier


def top_k_too_small(case: Case) -> Outcome | None:
    """LB106. Exact: a mean of fractions."""
    gate, workload = case.gate, case.workload
    if gate.min is None or gate.agreement or gate.measure.name != "Recall":
        return None
    cut = min(gate.measure.cutoff, workload.top_k)
    sizes = workload.ceiling_sizes
    total = sum(sizes.values())
    if not total:
        return None
    ceiling = sum(count * Fraction(min(cut, size), size) for size, count in sizes.items()) / total
    if ceiling >= Fraction(str(gate.min)):
        return Passes()
    return Fails(
        f"{gate.metric} of the {cut} documents handed on cannot exceed {float(ceiling):.4f}, below the floor of {gate.min:g}: "
        f"queries have up to {max(sizes)} relevant documents",
        f"hand on more documents (top_k, and the cutoff), or lower min to at most {math.floor(10_000 * ceiling) / 10_000:g}",
        expected=f"a ceiling of at least {gate.min:g}",
        observed=f"{float(ceiling):.4f}",
        numbers={"ceiling": float(ceiling), "min": gate.min, "cut": cut, "most_relevant": max(sizes)},
        assumptions=() if workload.assumption is None else (workload.assumption,),
    )


def recall_out_of_reach(case: Case) -> Outcome | None:
    """LB107. Exact: lists of documents are counted."""
    gate, workload, retriever = case.gate, case.workload, case.retriever
    if (
        gate.min is None
        or gate.agreement
        or gate.measure.name != "Recall"
        or not workload.all_subsets
        or retriever.kind != "dense"
    ):
        return None
    n, k, at = workload.grown, workload.degree, min(gate.measure.cutoff, workload.grown)
    if retriever.dim is None or not 0 < k < n or at > MOST_LISTED or retriever.dim >= MOST_DIMENSIONS:
        return None
    if Fraction(min(at, k), k) < Fraction(str(gate.min)):  # the list is too short for any system: LB106 says so
        return None
    d = retriever.dim + (retriever.metric == "euclidean")  # distances are inner products with one coordinate more
    found = recall(n, k, d, at=at, dtype=retriever.dtype)
    if found.ceiling is not None and found.ceiling >= Fraction(str(gate.min)):
        return Passes()
    least = recall(n, k, recall=str(gate.min), at=at, dtype=retriever.dtype).least_dim
    plan = "" if least is None else f"plan {least - (d - retriever.dim)} dimensions or more, "
    assert found.ceiling is not None
    return Fails(
        f"{gate.metric} over all {k}-subsets of {n:,} documents cannot exceed {rounded_up(found.ceiling, 4)} with {retriever.dim} "
        f"dimensions of {retriever.dtype}{' (distances count one more)' if d > retriever.dim else ''}, below the floor of "
        f"{gate.min:g}: {found.because}",
        f"{plan}more bits, or longer lists; or lower min to at most {math.floor(10_000 * found.ceiling) / 10_000:g}",
        expected=f"a ceiling of at least {gate.min:g}",
        observed=rounded_up(found.ceiling, 4),
        numbers={"ceiling": not_below(found.ceiling), "min": gate.min, "at": at, "dim": retriever.dim, "n": n, "k": k},
        assumptions=(*found.assumptions, *(() if workload.assumption is None else (workload.assumption,))),
    )


def below_floor(case: Case) -> Outcome | None:
    """LB301."""
    gate = case.gate
    if gate.min is None:
        return None
    found = case.measured()
    if not isinstance(found, Measured):
        return found
    pair = before_and_now(case)
    if gate.agreement and not isinstance(pair, Pair):
        return pair  # there is nothing to agree with
    values = pair.now if gate.agreement and isinstance(pair, Pair) else case.values(found)
    low = statistics.lower_limit(values, confidence=gate.confidence)
    if low >= gate.min - _ROUNDING:
        return Passes()
    mean = float(values.mean())
    why = explained(case, pair if isinstance(pair, Pair) else None)
    sure = "it is below its floor" if mean < gate.min else "its mean is above, but these queries do not show it"
    return Fails(
        f"{gate.metric} is {mean:.4f} on {len(values)} queries, at least {low:.4f} at {100 * gate.confidence:g} % confidence; "
        f"the floor is {gate.min:g}: {sure}",
        "mend the retriever; or judge more queries, where only the limit is below"
        if mean >= gate.min
        else "mend the retriever, or lower min",
        expected=f">= {gate.min:g}",
        observed=f"{low:.4f}",
        numbers={
            "mean": mean,
            "lower_limit": low,
            "min": gate.min,
            "confidence": gate.confidence,
            "queries": len(values),
        },
        causes=why,
    )


def bm25_is_better(case: Case) -> Outcome | None:
    """LB303."""
    workload, gate = case.workload, case.gate
    if (
        case.gate.agreement
        or case.retriever.kind == "sparse"
        or case.retriever.measure is None
        or not workload.texts
        or not workload.questions
    ):
        return None
    if case.settings.tier != "full" and len(workload.texts) > _BM25_DOCUMENTS:
        size = f"{len(workload.texts):,} documents"
        return Skipped(f"BM25 on {size} belongs to the full tier", "run: limitbench check --tier full")
    found = case.measured()
    if not isinstance(found, Measured):
        return found
    key = (gate.workload, "", "bm25")
    if key not in case.runs:
        asked = {name: workload.questions.get(name, "") for name in workload.query_ids}
        depth = max(100, *(gate.measure.cutoff for gate in case.project.config.gate))
        answer = retrieved("bm25", workload, asked, depth, case.settings, case.project)
        # that BM25 finds what shares a word, and no more, is its way
        case.runs[key] = Measured.of(answer, workload, depth, tell_short=False)
    theirs = case.runs[key]
    assert isinstance(theirs, Measured)
    ours, lexical = found.values(gate), theirs.values(gate)
    p = statistics.paired_randomisation(lexical, ours, alternative="greater")
    if p > 0.05:
        return Passes()
    return Fails(
        f"BM25 has {gate.metric} {lexical.mean():.4f} where '{gate.retriever}' has {ours.mean():.4f} (p = {p:.2g})",
        "try both together: limitbench run -r hybrid:bm25+MODEL, or rerank BM25's candidates",
        expected=f"at least {lexical.mean():.4f}",
        observed=f"{ours.mean():.4f}",
        numbers={"bm25": float(lexical.mean()), "measured": float(ours.mean()), "p": p},
    )


def _loss(reference: str, what: str, remedy: str) -> Callable[[Case], Outcome | None]:
    def rule(case: Case) -> Outcome | None:
        plan = case.retriever.measure
        if plan is None or case.gate.agreement:
            return None
        given = getattr(plan.references, reference)
        if given is None:
            before = {"truncation": "quantisation", "quantisation": "ann", "ann": ""}[reference]
            by_model = plan.way in ("model", "endpoint") and case.settings.tier != "fast"
            if not by_model or case.spec(reference) == case.spec(before):
                return None
        else:
            before = ""
        full, now = case.measured(reference), case.measured(before)
        if not isinstance(now, Measured):
            return now
        if not isinstance(full, Measured):
            return full
        a, b = full.values(case.gate), now.values(case.gate)
        p = drop_p_value(a, b, case.allowed)
        if p > 1 - case.gate.confidence:
            return Passes()
        return Fails(
            f"{what} costs {case.gate.metric} {a.mean() - b.mean():.4f}, from {a.mean():.4f} to {b.mean():.4f}; "
            f"{case.allowed:g} is allowed (p = {p:.2g})",
            remedy,
            expected=f"a loss of at most {case.allowed:g}",
            observed=f"{a.mean() - b.mean():.4f}",
            numbers={"without": float(a.mean()), "with": float(b.mean()), "allowed": case.allowed, "p": p},
        )

    return rule


truncation_loss = _loss("truncation", "truncating the vectors", "keep more dimensions: limitbench sweep shows how many")
quantisation_loss = _loss(
    "quantisation", "the dtype", "store a finer dtype, or rescore the best candidates in full precision"
)
ann_loss = _loss(
    "ann", "approximate search", "search wider (efSearch, nprobe), or use an index with less loss, such as flat or HNSW"
)


def ties_at_the_cut(case: Case) -> Outcome | None:
    """LB307."""
    if case.retriever.measure is None or case.gate.agreement:
        return None
    found = case.measured()
    if not isinstance(found, Measured):
        return found
    worst, best = (float(found.values(case.gate, ties).mean()) for ties in ("worst", "best"))
    if best - worst <= case.allowed:
        return Passes()
    return Fails(
        f"equal scores at the cut leave {case.gate.metric} anywhere from {worst:.4f} to {best:.4f}",
        "keep more of each score, or break ties by a second score; a coarse dtype makes them",
        expected=f"an interval of at most {case.allowed:g}",
        observed=f"{best - worst:.4f}",
        numbers={"worst": worst, "best": best, "allowed": case.allowed},
    )


def scores_too_close(case: Case) -> Outcome | None:
    """LB308."""
    plan = case.retriever
    if (
        plan.measure is None
        or plan.kind != "dense"
        or plan.metric != "cosine"
        or plan.dim is None
        or plan.dtype == "binary"
    ):
        return None
    found = case.measured()
    if not isinstance(found, Measured):
        return found
    scores = found.run.scores
    gaps = found.gaps_at(case.gate.measure.cutoff)
    gaps = gaps[gaps > 0]  # equal scores are LB307's
    if not len(gaps) or np.abs(scores).max(initial=0.0) > 1.001:  # no cosines
        return None
    step, middle = typical_score_error(plan.dtype, plan.dim), float(np.median(gaps))
    if middle >= step:
        return Passes()
    return Fails(
        f"half of the queries have scores closer than {middle:.2g} at rank {case.gate.measure.cutoff}, and rounding to "
        f"{plan.dtype} moves a score by {step:.2g}",
        "store a finer dtype, or rescore the best candidates in full precision",
        expected=f"a median gap of at least {step:.2g}",
        observed=f"{middle:.2g}",
        numbers={"median_gap": middle, "typical_error": step, "queries": len(gaps)},
    )


def texts_cut(case: Case) -> Outcome | None:
    """LB309."""
    plan = case.retriever.measure
    if plan is None or plan.way != "model":
        return None
    found = case.measured()
    if not isinstance(found, Measured):
        return found
    if not found.cut:
        return Passes()
    worst = max(found.cut, key=lambda cut: cut.count / cut.of)
    return Fails(
        "; ".join(cut.remark.partition(";")[0] for cut in found.cut) + ": what comes after is not read",
        "split long texts into passages, use a model that reads more tokens, or accept it in [[suppress]]",
        expected="texts that the model reads whole",
        observed=f"{worst.count} of {worst.of} cut",
        numbers={
            f"{cut.side}_{name}": getattr(cut, name)
            for cut in found.cut
            for name in ("count", "of", "longest", "limit")
        },
    )
