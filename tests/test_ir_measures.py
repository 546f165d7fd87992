"""The provider for ir_measures: trec_eval's values where its ties are asked for, and means over all orders where not."""

from __future__ import annotations

from itertools import permutations
from typing import Any

import pytest
from conftest import examples
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("ir_measures", reason="needs limitbench[ir-measures]")

import ir_measures
from ir_measures import AP, RR, P, R, Success, nDCG

from limitbench.errors import UnknownName
from limitbench.ir_measures_provider import TiesProvider

MEASURES = [
    P @ 1,
    P @ 3,
    P(rel=2) @ 2,
    R @ 2,
    R(rel=2) @ 3,
    nDCG,
    nDCG @ 2,
    RR,
    RR(rel=2),
    AP,
    AP @ 3,
    Success @ 1,
    Success(rel=2) @ 2,
]
DOCUMENTS = "abcde"

judged = st.dictionaries(st.sampled_from(DOCUMENTS), st.integers(0, 3), min_size=1)
ranked = st.dictionaries(st.sampled_from(DOCUMENTS), st.sampled_from([0.0, 0.5, 1.0]), min_size=1)


def close(found: dict[Any, float], wanted: dict[Any, float]) -> None:
    assert {str(m): v for m, v in found.items()} == {str(m): pytest.approx(v, abs=1e-9) for m, v in wanted.items()}


@examples(100)
@given(
    st.dictionaries(st.sampled_from(["q1", "q2"]), judged, min_size=1),
    st.dictionaries(st.sampled_from(["q1", "q2", "q3"]), ranked),
)
def test_by_trec_evals_ties_values_are_trec_evals(qrels: dict, run: dict) -> None:
    """Missing queries, unjudged documents, grades and levels: with ties="trec" all values are pytrec_eval's."""
    found = TiesProvider("trec").calc_aggregate(MEASURES, qrels, run)
    close(found, ir_measures.pytrec_eval.calc_aggregate(MEASURES, qrels, run))


@examples(60)
@given(judged, ranked)
def test_by_default_values_are_means_over_all_orders(row: dict[str, int], scores: dict[str, float]) -> None:
    """The expected value is pytrec_eval's mean over every order that the scores allow; worst and best are its range."""
    runs = []
    for order in permutations(scores):
        if all(scores[a] >= scores[b] for a, b in zip(order, order[1:], strict=False)):
            runs.append({name: float(-place) for place, name in enumerate(order)})
    values = [ir_measures.pytrec_eval.calc_aggregate(MEASURES, {"q": row}, {"q": one}) for one in runs]
    for ties, summary in (("expected", lambda v: sum(v) / len(v)), ("worst", min), ("best", max)):
        found = TiesProvider(ties).calc_aggregate(MEASURES, {"q": row}, {"q": scores})  # type: ignore[arg-type]
        graded = max(row.values()) > 1
        for measure in MEASURES:
            if graded and ties != "expected" and measure.NAME != "nDCG" and measure["rel"] != 1:
                continue  # worst and best are by grade: another level has another worst order
            assert found[measure] == pytest.approx(summary([one[measure] for one in values]), abs=1e-9), (measure, ties)


def test_what_it_does_not_do_is_refused() -> None:
    """Another tie rule, and measures that it does not have, are named."""
    with pytest.raises(UnknownName, match="tie rule"):
        TiesProvider("first")  # type: ignore[arg-type]
    provider = TiesProvider()
    assert not provider.supports(ir_measures.Bpref)
    assert not provider.supports(nDCG(dcg="exp-log2") @ 10)
    assert not provider.supports(nDCG(judged_only=True) @ 10)
    assert provider.supports(RR)
