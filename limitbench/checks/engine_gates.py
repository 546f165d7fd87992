"""What a gate asks of an engine: agreement with exact search, build by build, behind filters, as documents come and go."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from limitbench.checks.findings import Fails, Numbers, Outcome, Passes, Skipped, Undecided
from limitbench.checks.measurement import Case
from limitbench.errors import LimitbenchError

if TYPE_CHECKING:
    from limitbench.collection import Dataset
    from limitbench.retrievers.engine import Engine
    from limitbench.retrievers.engines.contract import Proof
    from limitbench.statistics import Interval

MOST = 1000  # queries that are asked


Named = Iterable[tuple[str, "Interval"]]


def gate(
    asked: str, measured: Callable[[Case, Dataset, Engine], tuple[Named, Proof]], remedy: str
) -> Callable[[Case], Outcome | None]:
    """A rule's decision: whether what was measured of the gate's engine reaches the least that the gate's field `asked` gives.

    `measured` gives named intervals of agreement with exact search, and the proof that the index was in use. The decision is None
    where the gate does not have the field.
    """

    def decide(case: Case) -> Outcome | None:
        least: float | None = getattr(case.gate.engine, asked)
        if least is None:
            return None

        def outcome(data: Dataset, engine: Engine) -> Outcome:
            found, index = measured(case, data, engine)
            if not index.used:
                remedy_of_index = "see docs/engines.md for what each engine needs"
                return Undecided(f"the index is not in use: {index.how}", remedy_of_index)
            return decided(least, found, remedy)

        return on_engine(case, outcome)

    return decide


def on_engine(case: Case, measured: Callable[[Dataset, Engine], Outcome]) -> Outcome:
    """What a measurement of the gate's engine says, or why there is none."""
    plan = case.retriever.measure
    if plan is None:
        return Skipped(
            f"retriever '{case.gate.retriever}' has no measurement", f"add [retriever.{case.gate.retriever}.measure]"
        )
    if case.settings.tier == "fast":
        return Skipped("building an index is not for the fast tier", "leave --tier out")
    if case.settings.seconds(1.0) <= 0:
        return Undecided("the time budget is used up", "give more: --time-budget")
    missing = [name for name in case.workload.query_ids if name not in case.workload.questions]
    if missing or not case.workload.texts or not case.workload.query_ids:
        return Undecided(
            "an engine is filled with texts and asked with questions", "give the workload its corpus and queries files"
        )
    try:
        engine = _engine(case)
        if engine is None:
            return Undecided(
                f"retriever '{case.gate.retriever}' is not measured by an engine over vectors",
                'give measure.model = "engine:KIND,of=..."; see docs/engines.md',
            )
        return measured(_dataset(case), engine)
    except LimitbenchError as error:
        return Undecided(str(error), "mend what it says, and check again")


def _engine(case: Case) -> Engine | None:
    from limitbench.checks.answers import placed
    from limitbench.retrievers import retriever
    from limitbench.retrievers.engine import Engine

    measure = case.retriever.measure
    if measure is None or measure.model is None:
        return None
    made = retriever(measure.model, reuse="documents").retriever
    if not isinstance(made, Engine) or made.source is None:
        return None
    return made.located(lambda path: placed(case.project, path))


def _dataset(case: Case) -> Dataset:
    from limitbench.collection import Corpus, Dataset, Queries
    from limitbench.relevance import Qrels

    workload = case.workload
    texts = workload.parts or workload.texts
    corpus = Corpus(tuple(texts), tuple(texts.values()))
    queries = Queries(workload.query_ids, tuple(workload.questions[name] for name in workload.query_ids))
    return Dataset(workload.name, corpus, queries, Qrels.from_sets([[]] * len(queries), len(corpus)))


def decided(least: float, found: Named, remedy: str) -> Outcome:
    """Violated where a whole interval is below the least, undecided where one holds it; the lowest is told."""
    known = sorted(found, key=lambda pair: pair[1].mean)
    what, lowest = min(known, key=lambda pair: pair[1].high)
    numbers: Numbers = {"agreement": lowest.mean, "lower_limit": lowest.low, "upper_limit": lowest.high, "least": least}
    if lowest.high < least:
        return Fails(
            f"{what} finds {lowest.mean:.4f} of exact search's best, at most {lowest.high:.4f} at {100 * lowest.confidence:g} % "
            f"confidence; {least:g} is asked for",
            remedy,
            expected=f">= {least:g}",
            observed=f"{lowest.mean:.4f}",
            numbers=numbers,
        )
    unsure = next((pair for pair in known if pair[1].low < least), None)
    if unsure is None:
        return Passes()
    what, one = unsure
    return Undecided(
        f"{what} finds {one.mean:.4f} of exact search's best, {one.low:.4f} to {one.high:.4f} at {100 * one.confidence:g} % "
        f"confidence; whether that is {least:g} is not decided by these queries",
        "give the workload more queries, or ask for less",
    )
