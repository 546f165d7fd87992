from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
import pytrec_eval
from conftest import examples
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from limitbench.errors import SpecError, UnknownName
from limitbench.measures import (
    DEFAULT_MEASURES,
    FAMILIES,
    Family,
    Measure,
    Recall,
    nDCG,
    parse_measures,
    score,
)
from limitbench.rankings import Run
from limitbench.relevance import Qrels

N = 6


def run_of(scores: np.ndarray, depth: int = N) -> Run:
    m, n = scores.shape
    return Run.from_scores(
        scores.astype(float),
        query_ids=[f"q{i}" for i in range(m)],
        document_ids=[f"d{i}" for i in range(n)],
        depth=depth,
    )


tables = st.tuples(
    hnp.arrays(np.int64, (2, N), elements=st.integers(0, 3)),  # scores, with many ties
    hnp.arrays(np.int64, (2, N), elements=st.sampled_from([0, 0, 1, 2])),  # grades
)
TREC = {
    "Recall": "recall_{k}", "Precision": "P_{k}", "nDCG": "ndcg_cut_{k}", "MAP": "map_cut_{k}", "Success": "success_{k}",
}  # fmt: skip


@given(tables, st.integers(1, N))
def test_trec_order_agrees_with_pytrec_eval(table: tuple[np.ndarray, np.ndarray], k: int) -> None:
    """With `ties="trec"` every measure equals pytrec_eval's, graded, tied and empty qrels included."""
    scores, grades = table
    run, qrels = run_of(scores), Qrels.from_matrix(grades)
    judged = {f"q{i}": {f"d{j}": int(grades[i, j]) for j in range(N)} for i in range(2)}
    names = {f"{name.format(k=k).rsplit('_', 1)[0]}.{k}" for name in TREC.values()} | {"recip_rank"}
    theirs = pytrec_eval.RelevanceEvaluator(judged, names).evaluate(run.mapping())
    for family, name in TREC.items():
        ours = (Family(family) @ k)(run, qrels, "trec")
        assert ours == pytest.approx([theirs[q][name.format(k=k)] for q in run.query_ids], abs=1e-9), family
    ours = (Family("MRR") @ N)(run, qrels, "trec")
    assert ours == pytest.approx([theirs[q]["recip_rank"] for q in run.query_ids], abs=1e-9)


def by_enumeration(measure: Measure, scores: np.ndarray, grades: np.ndarray) -> np.ndarray:
    """The measure of one query under every order of the documents that the scores allow."""
    n = len(scores)
    orders = [o for o in permutations(range(n)) if all(scores[a] >= scores[b] for a, b in zip(o, o[1:], strict=False))]
    strict = np.zeros((len(orders), n))
    for row, order in enumerate(orders):
        strict[row, list(order)] = np.arange(n, 0, -1)
    return measure(run_of(strict, n), Qrels.from_matrix(np.tile(grades, (len(orders), 1))))


@examples(60)
@given(
    st.sampled_from(FAMILIES),
    st.integers(1, 6),
    hnp.arrays(np.int64, 5, elements=st.integers(0, 2)),
    hnp.arrays(np.int64, 5, elements=st.sampled_from([0, 0, 1, 2])),
)
def test_ties_are_honest(family: str, k: int, scores: np.ndarray, grades: np.ndarray) -> None:
    """Expected, worst and best are the mean, minimum and maximum over all orders that the scores allow."""
    measure = Family(family) @ k
    every = by_enumeration(measure, scores, grades)
    run, qrels = run_of(scores[None, :], 5), Qrels.from_matrix(grades[None, :])
    for ties, value in (("expected", every.mean()), ("worst", every.min()), ("best", every.max())):
        assert measure(run, qrels, ties)[0] == pytest.approx(value, abs=1e-12), ties


@given(tables, st.integers(1, 4))
def test_a_shallower_run_scores_the_same(table: tuple[np.ndarray, np.ndarray], k: int) -> None:
    """A run cut at the cutoff, its ties kept, gives what the full ranking gives, under every tie rule."""
    scores, grades = table
    qrels = Qrels.from_matrix(grades)
    for family in FAMILIES:
        for ties in ("expected", "worst", "best", "trec"):
            measure = Family(family) @ k
            shallow, deep = (measure(run_of(scores, depth), qrels, ties) for depth in (k, N))
            assert shallow == pytest.approx(deep, abs=1e-12), (family, ties)


@given(tables, st.permutations(range(N)))
def test_permuting_documents_changes_nothing(table: tuple[np.ndarray, np.ndarray], order: list[int]) -> None:
    """Measures do not depend on the order of the documents, ties included."""
    scores, grades = table
    for title, ours in score(run_of(scores), Qrels.from_matrix(grades)).items():
        other = score(run_of(scores[:, order]), Qrels.from_matrix(grades[:, order]))[title]
        for side in ("expected", "worst", "best"):
            assert getattr(ours, side) == pytest.approx(getattr(other, side), abs=1e-12)


@given(tables)
def test_worst_expected_best_are_ordered_fractions(table: tuple[np.ndarray, np.ndarray]) -> None:
    """0 <= worst <= expected <= best <= 1 for every query and measure."""
    for values in score(run_of(table[0]), Qrels.from_matrix(table[1])).values():
        stack = np.stack([np.zeros(2), values.worst, values.expected, values.best, np.ones(2)])
        assert (np.diff(stack, axis=0) >= -1e-12).all()


def test_exact_set_is_the_papers_notion_of_solved() -> None:
    """ExactSet@k is 1 exactly where the top k is the relevant set, and shares ties by counting."""
    qrels = Qrels.from_sets([[0, 1]] * 4, 4)
    run = run_of(np.array([[4, 3, 2, 1], [4, 1, 3, 2], [1, 1, 1, 0], [2, 1, 1, 0]]), 4)
    assert Measure("ExactSet", 2)(run, qrels) == pytest.approx([1, 0, 1 / 3, 1 / 2])


def test_measures_are_values() -> None:
    """A measure is its title: repr, equality and hash go together."""
    assert repr(Recall @ 10) == "Recall@10"
    assert {Recall @ 10, Measure("Recall", 10)} == {Recall @ 10}
    assert parse_measures("recall@1,2, ndcg@10 ,nDCG@10") == (Recall @ 1, Recall @ 2, nDCG @ 10)
    assert ",".join(map(repr, DEFAULT_MEASURES)) == (
        "Recall@1,Recall@2,Recall@5,Recall@10,Recall@20,Recall@100,nDCG@10,MRR@10,MAP@100,ExactSet@2"
    )


@pytest.mark.parametrize(
    ("text", "error", "says"),
    [("Recal@10", UnknownName, "did you mean 'Recall'"), ("10", SpecError, "expected NAME@CUTOFF"),
     ("Recall@0", SpecError, "at least 1"), ("", SpecError, "found no measure"), ("Recall@x", SpecError, "NAME@CUTOFF")],
)  # fmt: skip
def test_wrong_measures_are_named(text: str, error: type[Exception], says: str) -> None:
    """A measure that does not parse is named with what is allowed."""
    with pytest.raises(error, match=says):
        parse_measures(text)
