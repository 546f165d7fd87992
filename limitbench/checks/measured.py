"""LB006 and LB3xx: what a measurement of the retriever says, by per-query values, intervals and paired tests."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt

from limitbench import statistics
from limitbench.checks.baseline import Baseline
from limitbench.checks.config import Gate, Measurement, Project, Retriever
from limitbench.checks.execution import run_command, run_python
from limitbench.checks.findings import Fails, Outcome, Passes, Skipped, Undecided
from limitbench.checks.workloads import Loaded
from limitbench.collection import Corpus, Queries
from limitbench.errors import DataError, LimitbenchError
from limitbench.measures import TiedRanking
from limitbench.rankings import Run, read_trec_run
from limitbench.relevance import Qrels

Floats = npt.NDArray[np.float64]
Scores = Mapping[str, Mapping[str, float]]
_ALLOWED = 0.01  # loss by truncation, dtype, index or ties where the gate has no max_drop
_ROUNDING = 1e-9  # a mean of 0.9 may be summed to a little less
_BM25_DOCUMENTS = 50_000  # that BM25 is tried on in the fast tier


@dataclass(frozen=True)
class Settings:
    """How far a check may go."""

    tier: str = "fast"
    no_exec: bool = False
    deadline: float = math.inf  # time.monotonic()

    def seconds(self, most: float) -> float:
        """Seconds left, at most so many."""
        return max(0.0, min(most, self.deadline - time.monotonic()))


@dataclass(frozen=True, eq=False)
class Measured:
    """A ranking of the workload's judged queries, over its documents and those that the run adds."""

    run: Run
    qrels: Qrels

    @classmethod
    def of(cls, scores: Scores, workload: Loaded) -> Measured:
        """The ranking of these scores. Raises `LimitbenchError` where it answers none of the judged queries."""
        assert workload.qrels is not None
        answered = [query for query in workload.query_ids if query in scores]
        if workload.query_ids and not answered:
            example = next(iter(scores), None)
            raise LimitbenchError(
                f"the run answers none of the {len(workload.query_ids)} judged queries"
                f"{f' (its first is {example!r})' if example is not None else ': it is empty'}; use the queries' ids as judged"
            )
        known = set(workload.document_ids)
        more = dict.fromkeys(d for query in answered for d in scores[query] if d not in known)
        documents = (*workload.document_ids, *more)
        run = Run.from_mapping(scores, query_ids=workload.query_ids, document_ids=documents)
        qrels = workload.qrels
        return cls(run, Qrels(qrels.indptr, qrels.indices, qrels.grades, len(documents)))

    def values(self, gate: Gate, ties: Any = "expected") -> Floats:
        """The gate's metric for every judged query, (m,)."""
        return gate.measure.on(TiedRanking.of(self.run, self.qrels, ties))

    def gaps_at(self, cutoff: int) -> Floats:
        """The score at the cutoff less the next one, of every query that has both."""
        starts, counts = self.run.indptr[:-1], np.diff(self.run.indptr)
        at = starts[counts > cutoff] + cutoff
        return np.asarray(self.run.scores[at - 1] - self.run.scores[at], np.float64)


@dataclass
class Case:
    """One gate with its workload, retriever and baseline; measurements are made once and shared."""

    number: int
    gate: Gate
    workload: Loaded
    retriever: Retriever
    project: Project
    settings: Settings
    baseline: Baseline | None
    depth: int = 0  # documents to retrieve: for the deepest of the gates that share this measurement
    runs: dict[tuple[str, str, str], Measured | Undecided | Skipped] = field(
        default_factory=dict
    )  # shared between cases

    @property
    def key(self) -> str:
        """The gate's name in a baseline."""
        return f"{self.gate.workload}/{self.gate.retriever}/{self.gate.metric}"

    @property
    def allowed(self) -> float:
        """The loss that is allowed."""
        return self.gate.max_drop if self.gate.max_drop is not None else _ALLOWED

    def measured(self, reference: str = "") -> Measured | Undecided | Skipped:
        """The ranking of the retriever, or of one of its references (truncation, quantisation, ann)."""
        key = (self.gate.workload, self.gate.retriever, reference)
        if key not in self.runs:
            self.runs[key] = self._measure(reference)
        return self.runs[key]

    def _measure(self, reference: str) -> Measured | Undecided | Skipped:
        plan = self.retriever.measure
        if plan is None:
            return Skipped(
                f"retriever '{self.gate.retriever}' has no measurement",
                f"add [retriever.{self.gate.retriever}.measure]",
            )
        if self.workload.qrels is None or not self.workload.query_ids:
            return Undecided(
                "the workload has no judged queries with ids to measure on", "give it qrels; a pattern has no texts"
            )
        given = getattr(plan.references, reference) if reference else plan.run
        try:
            if given is not None:
                where = ("measure", "references", reference) if reference else ("measure", "run")
                path = self.project.resolve(given, "retriever", self.gate.retriever, *where)
                if not path.is_file():
                    return Undecided(f"{given} is not a file", "write the run there, or mend the path")
                return Measured.of(read_trec_run(path), self.workload)
            if self.settings.tier == "fast":
                return Skipped(f"measuring by {plan.way} belongs to the full tier", "run: limitbench check --tier full")
            if self.settings.no_exec and plan.way in ("python", "command"):
                return Undecided(f"measuring by {plan.way} is forbidden by --no-exec", "allow it, or give a run file")
            if self.settings.seconds(1.0) <= 0:
                return Undecided("the time budget is used up", "give more: --time-budget")
            return Measured.of(self._scores(plan, reference), self.workload)
        except DataError as error:
            return Undecided(str(error), "mend the file", path=str(error.path), line=error.line)
        except LimitbenchError as error:
            return Undecided(str(error), "mend what it says, and check again")
        except MemoryError:
            return Undecided(
                "the measurement does not fit into memory", "measure on a machine with more, and give the run file"
            )

    def _scores(self, plan: Measurement, reference: str) -> Scores:
        missing = [name for name in self.workload.query_ids if name not in self.workload.questions]
        if missing:
            raise LimitbenchError(
                f"{len(missing)} judged queries, the first '{missing[0]}', have no text; give the workload its queries file"
            )
        asked = {name: self.workload.questions[name] for name in self.workload.query_ids}
        depth = self.depth + 1  # one more: what lies just below the cut decides LB307 and LB308
        seconds = self.settings.seconds(plan.timeout)
        folder = self.project.path.resolve().parent
        if plan.command is not None:
            return _parsed_run(run_command(plan.command, asked, depth, folder, seconds))
        if plan.python is not None:
            return _parsed_json(run_python(plan.python, asked, depth, folder, seconds))
        if not self.workload.texts:
            raise LimitbenchError("the workload has no corpus to index; give it a corpus file")
        return _retrieved(self.spec(reference), self.workload, asked, depth, self.settings, self.project)

    def spec(self, reference: str = "") -> str:
        """The retriever's spec of a measurement by model or endpoint, without the loss that a reference is about."""
        plan = self.retriever.measure
        assert plan is not None
        spec = plan.model or f"endpoint:{plan.name},url={plan.endpoint},timeout={plan.timeout}" + (
            f",key_env={plan.key_env}" if plan.key_env else ""
        )
        drop = {"truncation": {"dim", "dtype", "index"}, "quantisation": {"dtype", "index"}, "ann": {"index"}}.get(
            reference, set()
        )
        head, *options = spec.split(",")
        return ",".join([head, *(option for option in options if option.partition("=")[0].strip() not in drop)])


def _parsed_run(printed: bytes) -> Scores:
    import tempfile
    from pathlib import Path

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "stdout"
        path.write_bytes(printed)
        try:
            return read_trec_run(path)
        except DataError as error:
            line = f" at line {error.line}" if error.line else ""
            raise LimitbenchError(f"the command printed no TREC run{line}: {str(error).partition(': ')[2]}") from None


def _parsed_json(printed: bytes) -> Scores:
    try:
        found = json.loads(printed)
        assert isinstance(found, dict)
        assert all(isinstance(row, dict) for row in found.values())
        assert all(
            isinstance(value, int | float) and not math.isnan(float(value))
            for row in found.values()
            for value in row.values()
        )
    except (ValueError, AssertionError, RecursionError, OverflowError):
        raise LimitbenchError(
            "the Python function gave no {query id: {document id: score}} of numbers; mend what it returns"
        ) from None
    return found


def _retrieved(
    spec: str,
    workload: Loaded,
    asked: Mapping[str, str],
    depth: int,
    settings: Settings,
    project: Project | None = None,
) -> Scores:
    from limitbench.retrievers import retriever

    for part in spec.replace("+", ",").split(","):  # a folder of weights must be the project's
        name = part.rpartition(":")[2].partition("@")[0]
        if project is not None and name.startswith((".", "/", "~")):
            project.resolve(name)
    made = retriever(spec).retriever

    def progress(_stage: str, _done: int, _of: int) -> None:
        if settings.seconds(1.0) <= 0:
            raise LimitbenchError("the time budget was used up while measuring")

    try:
        index = made.index(Corpus(tuple(workload.texts), tuple(workload.texts.values())), progress)
        return index.search(Queries(tuple(asked), tuple(asked.values())), depth, progress).mapping()
    except LimitbenchError:
        raise
    except Exception as error:  # whatever a model's libraries raise
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise LimitbenchError(f"retriever '{spec}' failed ({type(error).__name__}: {reason})") from None


# ------------------------------------------------------------------------------------------------------------------- rules


def top_k_too_small(case: Case) -> Outcome | None:
    """LB106. Exact: a mean of fractions."""
    gate, workload = case.gate, case.workload
    if gate.min is None or gate.measure.name != "Recall":
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


def below_floor(case: Case) -> Outcome | None:
    """LB301."""
    gate = case.gate
    if gate.min is None:
        return None
    found = case.measured()
    if not isinstance(found, Measured):
        return found
    values = found.values(gate)
    low = statistics.lower_limit(values, confidence=gate.confidence)
    if low >= gate.min - _ROUNDING:
        return Passes()
    mean = float(values.mean())
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
    )


def _against_baseline(case: Case) -> tuple[Floats, Floats] | Outcome | None:
    """(before, now) of the gate's queries, or why there are none."""
    if case.gate.max_drop is None:
        return None
    found = case.measured()
    if not isinstance(found, Measured):
        return found
    plan = case.project.config.baseline
    assert plan is not None
    if case.baseline is None:
        if plan.missing == "ignore":
            return None
        return Undecided(
            f"there is no baseline at {plan.path}",
            "record one: limitbench baseline init",
            quiet=plan.missing == "warning",
        )
    if case.baseline.fingerprints.get(case.gate.workload) != case.workload.fingerprint:
        return Undecided(
            "the data are not those of the baseline, so the figures cannot be compared",
            "record a new one: limitbench baseline update",
        )
    entry = case.baseline.gates.get(case.key)
    if entry is None:
        return Undecided(f"the baseline has no {case.key}", "record it: limitbench baseline update")
    if set(entry.values) != set(case.workload.query_ids):
        return Undecided(
            "the baseline's queries are not the judged ones", "record a new one: limitbench baseline update"
        )
    return np.array([entry.values[name] for name in case.workload.query_ids]), found.values(case.gate)


def regression(case: Case) -> Outcome | None:
    """LB302."""
    pair = _against_baseline(case)
    if not isinstance(pair, tuple):
        return pair
    before, now = pair
    gate = case.gate
    assert gate.max_drop is not None
    p = drop_p_value(before, now, gate.max_drop)
    if p > 1 - gate.confidence:
        return Passes()
    drop = float(before.mean() - now.mean())
    worst = np.argsort(now - before, kind="stable")[:3]
    lost = ", ".join(f"'{case.workload.query_ids[i]}'" for i in worst if now[i] < before[i])
    return Fails(
        f"{gate.metric} fell from {before.mean():.4f} to {now.mean():.4f}, by more than the {gate.max_drop:g} allowed "
        f"(p = {p:.2g}, paired randomisation, {len(now)} queries); most at {lost}",
        "mend the regression; or, if it is meant: limitbench baseline update --allow-drop",
        expected=f"a drop of at most {gate.max_drop:g}",
        observed=f"{drop:.4f}",
        numbers={
            "before": float(before.mean()),
            "now": float(now.mean()),
            "drop": drop,
            "max_drop": gate.max_drop,
            "p": p,
            "queries": len(now),
        },
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
    square over their mean), or 1 where none was.
    """
    x = np.abs(np.asarray(differences, np.float64))
    size = float((x**2).sum() / x.sum()) if x.sum() > 0 else 1.0
    seen = float(np.std(np.asarray(differences), ddof=1)) if len(x) > 1 else 0.0
    return max(seen, math.sqrt(max(0.0, 2 * allowed * size - 4 * allowed**2)))


def detectable(m: int, deviation: float, confidence: float) -> float:
    """The least drop beyond the allowed one that LB302 finds with 95 % power; infinite where 2^-m, its least p, is too large."""
    if 0.5**m > 1 - confidence:
        return math.inf
    return statistics.minimum_detectable_difference(m, deviation, confidence=confidence)


def too_few_queries(case: Case) -> Outcome | None:
    """LB006."""
    gate, workload = case.gate, case.workload
    if gate.max_drop is None or workload.m is None or not workload.m:
        return None
    pair = _against_baseline(case)
    if isinstance(pair, tuple) and drop_p_value(*pair, gate.max_drop) <= 1 - gate.confidence:
        return Passes()  # they were enough to see this one
    differences = pair[0] - pair[1] if isinstance(pair, tuple) else np.zeros(0)
    deviation = planned_deviation(differences, gate.max_drop)
    least = detectable(workload.m, deviation, gate.confidence)
    if least <= gate.max_drop:
        return Passes()
    needed = statistics.queries_needed(gate.max_drop, deviation, confidence=gate.confidence)
    needed = max(needed, math.ceil(-math.log2(1 - gate.confidence)))
    return Fails(
        f"{workload.m} queries find a drop of {2 * gate.max_drop:g} with less than 95 % power: they see {least:.3g} beyond what is "
        f"allowed, and max_drop is {gate.max_drop:g}",
        f"judge about {needed:,} queries, or allow a larger drop",
        expected=f"about {needed:,} queries",
        observed=f"{workload.m}",
        numbers={
            "detectable": least if math.isfinite(least) else None,
            "max_drop": gate.max_drop,
            "queries": workload.m,
            "needed": needed,
            "deviation": deviation,
        },
    )


def bm25_is_better(case: Case) -> Outcome | None:
    """LB303."""
    workload, gate = case.workload, case.gate
    if (
        case.retriever.kind == "sparse"
        or case.retriever.measure is None
        or not workload.texts
        or not workload.questions
    ):
        return None
    if case.settings.tier == "fast" and len(workload.texts) > _BM25_DOCUMENTS:
        size = f"{len(workload.texts):,} documents"
        return Skipped(f"BM25 on {size} belongs to the full tier", "run: limitbench check --tier full")
    found = case.measured()
    if not isinstance(found, Measured):
        return found
    key = (gate.workload, "", "bm25")
    if key not in case.runs:
        asked = {name: workload.questions.get(name, "") for name in workload.query_ids}
        depth = max(100, *(gate.measure.cutoff for gate in case.project.config.gate))
        scores = _retrieved("bm25", workload, asked, depth, case.settings)
        case.runs[key] = Measured.of(scores, workload)
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
        if plan is None:
            return None
        given = getattr(plan.references, reference)
        if given is None:
            before = {"truncation": "quantisation", "quantisation": "ann", "ann": ""}[reference]
            by_model = plan.way in ("model", "endpoint") and case.settings.tier == "full"
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
    if case.retriever.measure is None:
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


def typical_error(dtype: str, d: int) -> float:
    """The standard deviation of a score of two unit vectors of d dimensions, rounded to this dtype, about.

    Floats: each coordinate is off by a uniform relative error. int8: by a uniform step, a 255th of the range, about 8 / sqrt(d).
    """
    if dtype == "int8":
        return math.sqrt(2 / 12) * 8 / math.sqrt(d) / 255
    relative = {"fp64": 2.0**-53, "fp32": 2.0**-24, "bf16": 2.0**-9, "fp16": 2.0**-11}[dtype]
    return math.sqrt(2 / 3) * relative / math.sqrt(d)


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
    step, middle = typical_error(plan.dtype, plan.dim), float(np.median(gaps))
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
