"""The bridge to mteb, held to the installed mteb. Skips where that is not installed: pip install 'limitbench[mteb]'."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    mteb = pytest.importorskip("mteb", reason="needs mteb: pip install 'limitbench[mteb]'")

from limitbench import evaluate, load
from limitbench.collection import Corpus, Dataset, Queries
from limitbench.errors import InputError, LimitbenchError, OfflineError, SpecError
from limitbench.measures import Measure, TiedRanking, parse_measures
from limitbench.mteb_bridge import as_retriever, as_search_model, as_task
from limitbench.rankings import Run
from limitbench.relevance import Qrels
from limitbench.retrievers import retriever

pytestmark = pytest.mark.filterwarnings("ignore")  # other people's deprecations

MEASURES = parse_measures("Recall@1,2,5,10,20,nDCG@10,MRR@10,MAP@100,Precision@2")
TITLES = {"Recall": "recall", "nDCG": "ndcg", "MRR": "mrr", "MAP": "map", "Precision": "precision"}


def theirs(model, data: Dataset) -> dict:
    found = mteb.evaluate(model, as_task(data), cache=None, show_progress_bar=False)
    return found.task_results[0].scores["test"][0]


def ours(by, data: Dataset) -> dict[Measure, float]:
    kept: list[Run] = []
    evaluate(data, by, measures=MEASURES, keep=kept.append)
    ranking = TiedRanking.of(kept[0], data.qrels, "trec")
    return {m: float(m.on(ranking).mean()) for m in MEASURES}


def same(model, by, data: Dataset) -> None:
    scores = theirs(model, data)
    for m, value in ours(by, data).items():
        assert scores[f"{TITLES[m.name]}_at_{m.cutoff}"] == pytest.approx(value, abs=1e-5), m


@pytest.mark.parametrize("name", ["bm25", "minilm", "random", "tfidf-items"])
def test_scores_through_mteb_are_ours(name: str) -> None:
    """Through mteb's evaluator a retriever of ours scores on the twin what it scores here, ties broken as trec_eval does."""
    same(as_search_model(name), name, load("limit-small-synthetic"))


@pytest.mark.parametrize("name", ["bm25", "minilm"])
def test_scores_through_mteb_on_the_real_limit_small(name: str, limit_small: Path) -> None:
    """On the real LIMIT-small likewise, to 1e-5."""
    same(as_search_model(name), name, load(limit_small))


def packaged():
    from mteb.models.sentence_transformer_wrapper import SentenceTransformerEncoderWrapper

    from limitbench.retrievers.model_files import model_source

    return SentenceTransformerEncoderWrapper(str(model_source("minilm", None).folder))


def test_an_encoder_of_mteb_is_a_retriever_of_ours() -> None:
    """mteb's encoder of MiniLM, as our retriever, has the figures of `minilm`, and mteb's own evaluation agrees."""
    data, encoder = load("limit-small-synthetic"), packaged()
    by = as_retriever(encoder)
    same(encoder, by, data)
    assert ours(by, data) == pytest.approx(ours("minilm", data), abs=2e-3)
    assert evaluate(data, as_retriever(encoder, dim=64, dtype="int8")).retriever.facts["dim"] == 64


def test_a_search_model_of_mteb_is_a_retriever_of_ours() -> None:
    """A search model comes back with the same figures, ties included; it has no dimension to cut."""
    data = load("limit-small-synthetic")
    there_and_back = as_retriever(as_search_model("bm25"))
    assert evaluate(data, there_and_back).measures == evaluate(data, "bm25").measures
    with pytest.raises(SpecError, match="searches by itself"):
        evaluate(data, as_retriever(as_search_model("bm25"), dim=8))


def test_titles_spaces_and_grades_survive() -> None:
    """Titles, ids with spaces and graded judgements reach mteb as they are."""
    data = Dataset("odd name", Corpus(("d 1", "d2"), ("tea", "go tea"), ("", "board")), Queries(("q 1", "q2"), ("go", "tea")),
                   Qrels.from_judgements({"q 1": {"d2": 3}, "q2": {"d 1": 1, "d2": -1}}, ["q 1", "q2"], ["d 1", "d2"]))  # fmt: skip
    task = as_task(data)
    assert task.metadata.name == "OddName"
    assert task.dataset["default"]["test"]["relevant_docs"] == {"q 1": {"d2": 3}, "q2": {"d 1": 1, "d2": 0}}
    same(as_search_model("bm25,stemmer=none,stopwords=none"), "bm25,stemmer=none,stopwords=none", data)


def test_what_cannot_be_bridged_is_said() -> None:
    """Nothing relevant, no such model, no such task, searching first: each in one sentence."""
    empty = Dataset("none", Corpus(("d",), ("x",)), Queries(("q",), ("x",)), Qrels.from_sets([[]], 1))
    with pytest.raises(InputError, match="no relevant document"):
        as_task(empty)
    with pytest.raises(OfflineError, match="has no model"):
        evaluate(load("graph-petersen"), "mteb:nobody/nothing")
    with pytest.raises(LimitbenchError, match="has no task"):
        evaluate(load("graph-petersen"), as_retriever(packaged(), task="Nope"))
    with pytest.raises(InputError, match="search before index"):
        as_search_model(retriever("bm25")).search(None, top_k=1)
