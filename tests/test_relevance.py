from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from limitbench.errors import DataError, InputError
from limitbench.rankings import Run, read_trec_run, write_trec_run
from limitbench.relevance import Qrels, read_qrels, write_trec_qrels

matrices = hnp.arrays(np.int64, st.tuples(st.integers(0, 6), st.integers(1, 6)), elements=st.integers(0, 2))


@given(matrices)
def test_qrels_round_trip_through_matrices_and_sets(matrix: np.ndarray) -> None:
    """Matrix, sets and sparse form describe the same relevance."""
    qrels = Qrels.from_matrix(matrix)
    assert (qrels.dense() == (matrix > 0)).all()
    assert Qrels.from_sets(qrels.sets(), matrix.shape[1]) == qrels.relevant
    assert (qrels.csr().toarray() == qrels.dense()).all()
    assert qrels.degree() == (matrix > 0).sum(axis=1).max(initial=0)
    assert (qrels.signs() == 2 * (matrix > 0).astype(int) - 1).all()


@given(matrices)
def test_digest_tells_matrices_apart(matrix: np.ndarray) -> None:
    """Equal matrices have equal digests, and one changed entry changes it."""
    qrels = Qrels.from_matrix(matrix)
    assert qrels == Qrels.from_matrix(matrix.copy())
    if matrix.size:
        other = matrix.copy()
        other.flat[0] = 2 - other.flat[0] if other.flat[0] != 1 else 0
        assert qrels != Qrels.from_matrix(other)


def test_qrels_are_frozen() -> None:
    """Arrays handed out cannot be written to."""
    with pytest.raises(ValueError, match="read-only"):
        Qrels.from_sets([[0]], 2).indices[0] = 1


@pytest.mark.parametrize(("sets", "n", "says"), [([[3]], 3, "document number 3"), ([[-1]], 3, "document number -1")])
def test_impossible_matrices_are_refused(sets: list[list[int]], n: int, says: str) -> None:
    """Document numbers outside the matrix are named."""
    with pytest.raises(InputError, match=says):
        Qrels.from_sets(sets, n)


def test_rows_must_ascend() -> None:
    """Repeated or unsorted documents within a row are refused; a fall between rows is not one."""
    with pytest.raises(InputError, match="distinct and ascending"):
        Qrels(np.array([0, 2]), np.array([1, 1]), np.ones(2), 3)
    assert Qrels(np.array([0, 1, 1, 2]), np.array([2, 0]), np.ones(2), 3).shape == (3, 3)


LAYOUTS = {
    "beir.tsv": "query-id\tcorpus-id\tscore\nq\td 1\t2\nq\te\t0\n",
    "lines.jsonl": '{"query-id": "q", "corpus-id": "d 1", "score": 2}\n{"query-id": "q", "corpus-id": "e", "score": 0}\n',
    "trec.qrels": "q escaped-ids d%201 2\nq 0 e 0\n",
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_every_layout_reads_alike(tmp_path: Path, name: str) -> None:
    """BEIR tsv, jsonl and TREC give the same judgements."""
    (tmp_path / name).write_text(LAYOUTS[name])
    assert read_qrels(tmp_path / name) == {"q": {"d 1": 2, "e": 0}}


@pytest.mark.parametrize(
    ("text", "says"),
    [("q 0 d\n", ":1: found 3 columns"), ("q 0 d x\n", "found the grade 'x'"), ("q 0 d 0.5\n", "expected a whole number"),
     ("q 0 d 1\nq 0 d 2\n", ":2: query 'q' and document 'd' are judged 1 and 2"),
     ("query-id\tcorpus-id\tscore\nq\td\n", "found 2 columns"), ("q 0 two words 1\n", "found 5 columns")],
)  # fmt: skip
def test_broken_qrels_are_named(tmp_path: Path, text: str, says: str) -> None:
    """Each broken line is refused with path, line and remedy."""
    (tmp_path / "q.txt").write_text(text)
    with pytest.raises(DataError) as caught:
        read_qrels(tmp_path / "q.txt")
    assert says in str(caught.value)


ids = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=6)


@given(st.dictionaries(ids, st.dictionaries(ids, st.integers(-1, 3), min_size=1, max_size=3), max_size=3))
@example({"\ufeff": {"0": 0}})
@example({"\ufeffq": {"\ufeff d%": 1}})
def test_trec_qrels_round_trip(tmp_path_factory: pytest.TempPathFactory, judgements: dict[str, dict[str, int]]) -> None:
    """Ids with spaces, controls and percent signs come back as they were."""
    path = tmp_path_factory.mktemp("trec") / "q"
    write_trec_qrels(judgements, path)
    assert read_qrels(path) == judgements


@given(st.dictionaries(ids, st.dictionaries(ids, st.floats(-9, 9, width=32), min_size=1, max_size=4), max_size=3))
@example({"\ufeff": {"0": 0.0}})
def test_trec_runs_round_trip(tmp_path_factory: pytest.TempPathFactory, mapping: dict[str, dict[str, float]]) -> None:
    """A run written with its ties comes back value for value; by default scores fall strictly, in the same order."""
    run = Run.from_mapping(mapping)
    path = tmp_path_factory.mktemp("trec") / "run"
    write_trec_run(run, path, keep_ties=True)
    assert read_trec_run(path) == mapping
    write_trec_run(run, path)
    for number, (query, row) in enumerate(read_trec_run(path).items()):
        assert list(row) == [name for name, _ in run.row(run.query_ids.index(query))], number
        scores = np.array(list(row.values()), np.float32)
        assert (np.diff(scores) < 0).all()


def test_ties_across_the_cut_are_kept() -> None:
    """A row holds `depth` documents and all that tie with the last; minus infinity is not retrieved."""
    scores = np.array([[3.0, 1, 2, 1, 1], [5, -np.inf, -np.inf, 4, 4], [-np.inf] * 5])
    run = Run.from_scores(scores, query_ids=list("abc"), document_ids=list("vwxyz"), depth=3)
    assert [[name for name, _ in run.row(i)] for i in range(3)] == [["v", "x", "w", "y", "z"], ["v", "y", "z"], []]


def test_scores_that_are_no_numbers_are_refused() -> None:
    """NaN cannot be ranked, and is said so rather than sorted somewhere."""
    from limitbench.errors import RetrievalError

    with pytest.raises(RetrievalError, match="1 scores that are not numbers"):
        Run.from_scores(np.array([[1.0, np.nan]]), query_ids=["q"], document_ids=["a", "b"], depth=1)


@pytest.mark.parametrize(
    ("text", "says"),
    [("q Q0 d 1 x t\n", "found the score 'x'"), ("q Q0 d 1 nan t\n", "NaN"), ("q Q0 d 1 2\n", "5 columns"),
     ("q Q0 d 1 2 t\nq Q0 d 2 1 t\n", "ranked twice")],
)  # fmt: skip
def test_broken_runs_are_named(tmp_path: Path, text: str, says: str) -> None:
    """Each broken line of a run is refused with path and line."""
    (tmp_path / "run").write_text(text)
    with pytest.raises(DataError) as caught:
        read_trec_run(tmp_path / "run")
    assert says in str(caught.value)
