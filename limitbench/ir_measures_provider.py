"""Measures with honest ties for ir_measures: equal scores have no order, so a value is expected over all orders of the tied.

    from ir_measures import nDCG, R, RR
    from limitbench.ir_measures_provider import TiesProvider

    TiesProvider().calc_aggregate([nDCG @ 10, R @ 2, RR @ 10], qrels, run)

Its other providers break ties by document ids, or as they stand (ir_measures issue 18), so that a run with many ties has other
figures by each. Needs `pip install 'limitbench[ir-measures]'`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from limitbench.errors import MissingExtra, UnknownName
from limitbench.measures import Measure, TiedRanking, Ties
from limitbench.rankings import Run
from limitbench.relevance import Qrels

try:
    from ir_measures import Metric, measures, providers, util
    from ir_measures.providers.base import NOT_PROVIDED, Choices
    from ir_measures.providers.base import Any as Anything
except ModuleNotFoundError as error:
    raise MissingExtra("the provider for ir_measures", error.name or "ir_measures", "ir-measures") from None

__all__ = ["TiesProvider"]

_OURS = {"P": "Precision", "R": "Recall", "nDCG": "nDCG", "RR": "MRR", "AP": "MAP", "Success": "Success"}
_RULES: tuple[Ties, ...] = ("expected", "worst", "best", "trec")
_WHOLE = 2**31 - 1  # the cutoff of a measure without one
_ALL = {"judged_only": Choices(False)}


class TiesProvider(providers.Provider):  # type: ignore[misc]  # ir_measures has no types
    """P, R, nDCG, RR, AP and Success of ir_measures by a tie rule: expected, worst, best, or trec (trec_eval's order).

    RR and AP may be without a cutoff. `rel` is the least grade that counts as relevant; a query without a relevant document has
    0, as in trec_eval. Raises `UnknownName` for another rule.
    """

    NAME = "limitbench"
    SUPPORTED_MEASURES = (
        measures._P(cutoff=Anything(required=True), rel=Anything(), **_ALL),
        measures._R(cutoff=Anything(required=True), rel=Anything(), **_ALL),
        measures._nDCG(cutoff=Anything(), dcg=Choices("log2"), gains=Choices(NOT_PROVIDED), **_ALL),
        measures._RR(cutoff=Anything(), rel=Anything(), **_ALL),
        measures._AP(cutoff=Anything(), rel=Anything(), **_ALL),
        measures._Success(cutoff=Anything(required=True), rel=Anything(), **_ALL),
    )

    def __init__(self, ties: Ties = "expected") -> None:
        super().__init__()
        if ties not in _RULES:
            raise UnknownName("tie rule", ties, _RULES)
        self.ties = ties

    def _evaluator(self, measures: Iterable[Any], qrels: Any) -> _Evaluator:
        return _Evaluator(list(measures), util.QrelsConverter(qrels).as_dict_of_dict(), self.ties)


class _Evaluator(providers.Evaluator):  # type: ignore[misc]
    def __init__(self, measures: list[Any], judgements: dict[str, dict[str, int]], ties: Ties) -> None:
        super().__init__(measures, set(judgements))
        self.judgements = judgements
        self.ties = ties

    def _iter_calc(self, run: Any) -> Iterator[Any]:
        found = util.RunConverter(run).as_dict_of_dict()
        queries = list(self.judgements)
        named = (
            document for query in queries for row in (self.judgements[query], found.get(query, {})) for document in row
        )
        documents = list(dict.fromkeys(named))
        ranked = Run.from_mapping(found, query_ids=queries, document_ids=documents)
        qrels = Qrels.from_judgements(self.judgements, queries, documents)
        joined: dict[int, TiedRanking] = {}
        for measure in self.measures:
            grade = 1 if measure.NAME == "nDCG" else int(measure["rel"])
            if grade not in joined:
                joined[grade] = TiedRanking.of(ranked, qrels if grade == 1 else qrels.at_least(grade), self.ties)
            cutoff = measure["cutoff"]
            ours = Measure(_OURS[measure.NAME], _WHOLE if cutoff is NOT_PROVIDED else int(cutoff))
            for query, value in zip(queries, ours.on(joined[grade]).tolist(), strict=True):
                yield Metric(query_id=query, measure=measure, value=value)
