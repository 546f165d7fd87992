"""The reranker that limitbench trains: what it may see, that it learns, that it is the same again."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from limitbench import load
from limitbench.datasets.worlds import WORLD_FORMS
from limitbench.errors import InputError, SpecError
from limitbench.measures import parse_measures, score
from limitbench.retrievers import retriever

pytest.importorskip("sentence_transformers", reason="needs limitbench[models]")

from limitbench.retrievers import training  # needs the extra
from limitbench.retrievers.training import Training, free_attributes, stems, train_reranker


@pytest.mark.slow
def test_training_attributes_share_no_word_with_the_excluded() -> None:
    """No attribute to train on shares a word, plural or not, with any that the excluded datasets list or ask for."""
    sets = [load("limit-small-synthetic"), load("limit-synthetic")]
    free = {stem for word in free_attributes(sets) for stem in stems(word)}
    assert len(free_attributes(sets)) >= 500
    for data in sets:
        for text in data.corpus.texts[:2000]:
            for item in next(found for world in WORLD_FORMS if (found := world.listed(text))):
                assert not stems(item) & free
        for text in data.queries.texts:
            assert not {w.removesuffix("s").removesuffix("e") for w in re.findall(r"\w+", text[10:].lower())} & free


@pytest.mark.slow
def test_training_is_deterministic_and_says_what_it_is(tmp_path: Path) -> None:
    """Same steps and seed, same weights; another seed, others. The card is labelled and names what was excluded."""
    data = load("graph-petersen")
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        seen = []
        how = Training(steps=2, seed=seed, layers=1, pairs=2)
        train_reranker(
            tmp_path / name, exclude=[data], how=how, watch=lambda done, of, _apart, seen=seen: seen.append((done, of))
        )
        assert seen == [(1, 2), (2, 2)]
    weights = [(tmp_path / name / "model.safetensors").read_bytes() for name in "abc"]
    assert weights[0] == weights[1] != weights[2]
    card = json.loads((tmp_path / "a" / "limitbench.json").read_text())
    assert card["excluded"] == ["graph-petersen"]
    assert "no general reranker" in card["label"]
    assert retriever(f"rerank:{tmp_path / 'a'}").retriever.card["label"] == card["label"]


def test_too_few_attributes_and_foreign_texts_are_refused(
    tmp_path: Path, beir, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Excluding a dataset that is not in LIMIT's form, or nearly everything, is an error before any step."""
    from limitbench.datasets import read_folder

    foreign = read_folder(beir(corpus='{"_id": "d 1", "text": "x"}\n{"_id": "d2", "text": "y"}\n'))
    with pytest.raises(InputError, match="leave it out of --exclude"):
        train_reranker(tmp_path / "m", exclude=[foreign])
    monkeypatch.setattr(training, "_FEWEST", 10**6)
    with pytest.raises(SpecError, match="expected at least 1000000"):
        train_reranker(tmp_path / "m", exclude=[load("graph-petersen")])
    assert not (tmp_path / "m").exists()


def test_train_command(cli, tmp_path: Path) -> None:
    """The command writes a model, prints the spec that uses it, and refuses an unknown dataset and a file in its way."""
    out = tmp_path / "model"
    code, printed, err = cli(
        "train", "reranker", "--out", out, "--exclude", "graph-petersen", "--steps", 1, "--layers", 1
    )
    assert (code, printed.strip()) == (0, f"rerank:{out},first=bm25,candidates=10")
    assert "told apart" in err
    assert cli("train", "reranker", "--exclude", "nope", "--out", out)[0] == 2
    (tmp_path / "file").touch()
    code, _, err = cli("train", "reranker", "--out", tmp_path / "file", "--steps", 1)
    assert (code, "cannot be written" in err) == (2, True)


@pytest.mark.long
def test_the_reranker_learns(tmp_path: Path) -> None:
    """Trained without a word of the test's, it tells lists of 45 apart, and puts right what random candidates leave open."""
    data = load("limit-small-synthetic")
    card = train_reranker(tmp_path / "m", exclude=[data])
    assert (card["attributes_a_document"], card["told_apart"] > 0.95) == (45, True)
    made = retriever(f"rerank:{tmp_path / 'm'},first=random,candidates=46").retriever
    from limitbench.collection import Queries
    from limitbench.relevance import Qrels

    part = Queries(data.queries.ids[:100], data.queries.texts[:100])
    run = made.index(data.corpus).search(part, 2).run
    qrels = Qrels.from_sets(list(data.qrels.sets())[:100], len(data.corpus))
    assert score(run, qrels, parse_measures("Recall@2"))["Recall@2"].mean > 0.7
