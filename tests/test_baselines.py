"""Baselines that settle arguments: random vectors of words, feedback, learned fusion, fine-tuning on the test set and beside it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from limitbench import Corpus, Dataset, Queries, evaluate, load
from limitbench.errors import InputError, SpecError
from limitbench.evaluation import Options, fine_tune, learn_fusion, surface
from limitbench.evaluation.fusion import Setting, _settings
from limitbench.evaluation.surface import said
from limitbench.relevance import Qrels
from limitbench.results import Store
from limitbench.retrievers import RetrieverSpec, retriever
from limitbench.retrievers.hybrid import Hybrid

SMALL = load("limit-small-synthetic")
FOUR = Corpus(
    ("a", "b", "c", "d"),
    ("red red apple", "green pear tree", "red pear", "a song of ice"),
)


# ------------------------------------------------------------------------------------------------------- random vectors


def test_random_tokens_are_sums_of_the_words_vectors() -> None:
    """As often as a word stands there, by its rarity; words of a query that no document has count too."""
    made = retriever("random-tokens,dim=64,seed=3,language=none").retriever
    index = made.index(FOUR)
    vector = index.encoder.vector  # type: ignore[attr-defined]
    queries = Queries(("q",), ("red zebra",))
    asked, wanted = vector("red") + vector("zebra"), []
    for text in FOUR.texts:
        row = sum(vector(word) for word in text.split())
        wanted.append(float(row @ asked / np.linalg.norm(row) / np.linalg.norm(asked)))
    found = dict(index.search(queries, 4).run.row(0))
    assert [found[name] for name in FOUR.ids] == pytest.approx(wanted, abs=1e-6)
    assert np.linalg.norm(vector("red")) == pytest.approx(np.log1p(4 / 2), rel=1e-6)
    assert np.linalg.norm(vector("zebra")) == pytest.approx(np.log1p(4), rel=1e-6)
    plain = retriever("random-tokens,dim=64,weight=none").retriever.index(FOUR).encoder  # type: ignore[attr-defined]
    assert np.linalg.norm(plain.vector("red")) == pytest.approx(1, rel=1e-6)


def test_random_tokens_estimate_bags_of_words() -> None:
    """The error of an inner product falls with the root of the dimension, and recall rises with it."""
    recalls = [
        evaluate(SMALL, f"random-tokens,dim={dim}", measures="Recall@2").measures["Recall@2"].mean
        for dim in (64, 512, 4096)
    ]
    assert recalls[0] < 0.3 < 0.5 < recalls[1] < 0.75 < recalls[2]


# ------------------------------------------------------------------------------------------------------------- feedback


def test_feedback_adds_the_words_of_the_first_documents() -> None:
    """Those that tell them from the others, by hand; a query that finds nothing is asked as it is."""
    index = retriever("feedback,of=bm25,documents=1,terms=1,keep=1").retriever.index(FOUR)
    run = index.search(Queries(("q", "z"), ("green", "zebra")), 4).run
    assert index.added("green", [1]) == ["tree"]  # type: ignore[attr-defined]  # rarer than pear
    assert [name for name, _ in run.row(0)] == ["b"]
    assert len(run.row(1)) == 0
    wide = retriever("feedback,documents=1,terms=2,keep=1").retriever.index(FOUR)
    found = wide.search(Queries(("q",), ("green",)), 4).run
    assert [name for name, _ in found.row(0)] == ["b", "c"]  # by pear, which the query does not have


def test_feedback_goes_with_any_retriever() -> None:
    """Its parts are told; one of vectors is asked with the longer text."""
    spec = RetrieverSpec.parse("feedback,of=random-tokens,documents=1,terms=1,keep=1")
    assert [str(part) for part in spec.parts] == ["random-tokens"]
    plain = retriever("random-tokens").retriever.index(FOUR)
    longer = plain.search(Queries(("q",), ("green tree",)), 4).run
    assert spec.made().index(FOUR).search(Queries(("q",), ("green",)), 4).run.row(0) == longer.row(0)
    with pytest.raises(SpecError, match="language"):
        retriever("feedback,language=klingon")


# --------------------------------------------------------------------------------------------------------------- fusion


def worlds(seed: int) -> tuple[Dataset, list[str]]:
    """A dataset of which bm25 finds half of the queries by a shared word, and nothing of the others."""
    rng = np.random.default_rng(seed)
    words = [f"w{i}" for i in range(400)]
    texts = [" ".join(rng.choice(words, 12, replace=False)) for _ in range(120)]
    queries = [texts[i].split()[0] if i % 2 else f"nothing{i}" for i in range(60)]
    qrels = Qrels.from_sets([[i] for i in range(60)], 120)
    data = Dataset(
        "mixed",
        Corpus(tuple(f"d{i}" for i in range(120)), tuple(texts)),
        Queries(tuple(f"q{i}" for i in range(60)), tuple(queries)),
        qrels,
    )
    return data, ["bm25", "random-tokens,dim=32"]


def test_the_chosen_setting_is_what_the_hybrid_does() -> None:
    """The spec that is printed gives, run by itself, the values that the learner computed."""
    found = learn_fusion(SMALL, ["bm25", "random-tokens,dim=128"], measure="Recall@2")
    values = {row.name: row.interval.mean for row in found.fixed}
    rrf = evaluate(SMALL, {"name": "hybrid", "members": ["bm25", "random-tokens,dim=128"]}, measures="Recall@2")
    assert values["rrf, equal weights"] == pytest.approx(rrf.measures["Recall@2"].mean, abs=1e-12)
    best = evaluate(SMALL, found.retriever, measures="Recall@2").measures["Recall@2"].mean
    assert best >= max(values.values()) - 1e-12
    assert found.learned.interval.mean >= values["bm25"] - 0.01
    assert (found.against, len(found.chosen)) == ("bm25", 2)


def test_held_out_queries_do_not_teach(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where each fold's best setting is the other's worst, the learned row is that worst: nothing leaks."""
    from limitbench.evaluation import fusion

    folds = np.random.default_rng(0).permutation(len(SMALL.queries)) % 2
    settings = list(_settings(2))
    calls = iter(range(len(settings)))

    class Planted:
        """Setting 7 is right on fold 0 alone, setting 9 on fold 1 alone, the others never."""

        @staticmethod
        def of(*_: object) -> np.ndarray:
            number = next(calls)
            return np.where(folds == {7: 0, 9: 1}.get(number, 2), 1.0, 0.0)

    monkeypatch.setattr(fusion, "TiedRanking", Planted)
    monkeypatch.setattr("limitbench.measures.Measure.on", lambda _self, planted: planted)
    found = learn_fusion(SMALL, ["bm25", "random"], measure="Recall@2")
    assert found.learned.interval.mean == 0.0
    assert [settings.index(one) for one in found.chosen] == [9, 7]


@pytest.mark.parametrize("members", [2, 3, 4, 5])
def test_weights_are_a_grid_of_the_simplex(members: int) -> None:
    """They sum to 1, are each once, and every fusion has them; equal weights come first."""
    found = list(_settings(members))
    assert all(sum(one.weights) == pytest.approx(1) for one in found)
    assert found[0] == Setting("rrf", (1 / members,) * members)
    grids = {kind: {one.weights for one in found if one.fusion == kind} for kind in ("rrf", "min-max", "z-score")}
    assert grids["min-max"] == grids["z-score"]
    assert len({(one.fusion, tuple(np.round(one.weights, 9))) for one in found}) >= len(found) - 3


def test_a_setting_reads_back_as_a_retriever() -> None:
    """Whatever its members hold; weight 0 leaves one out, weight 1 is the member itself."""
    members = ("bm25", "random-tokens,dim=32", "minilm")
    made = RetrieverSpec.parse(Setting("z-score", (0.25, 0.75, 0.0)).spec(members)).made()
    assert isinstance(made, Hybrid)
    assert (made.members, made.weights, made.normalise) == (members[:2], (0.25, 0.75), "z-score")
    assert Setting("rrf", (0.0, 1.0, 0.0)).spec(members) == "random-tokens,dim=32"
    assert Setting("rrf", (0.5, 0.0, 0.5)).spec(members) == "hybrid:bm25+minilm,fusion=rrf,weights=0.5+0.5"


@pytest.mark.parametrize(
    ("members", "options", "says"),
    [
        (["bm25"], {}, "two or more, each once"),
        (["bm25", "bm25"], {}, "two or more, each once"),
        (["bm25", "random"], {"folds": 1}, "2 folds or more"),
        (["bm25", "random"], {"folds": 600}, "2 queries in each"),
    ],
)
def test_wrong_fusions_are_refused(members: list[str], options: dict[str, int], says: str) -> None:
    """Before anything is searched."""
    with pytest.raises(InputError, match=says):
        learn_fusion(SMALL, members, measure="Recall@2", **options)


def test_fuse_command(cli) -> None:
    """A table, the settings, and the retriever as the last line; the same as JSON."""
    given = ("fuse", "-d", "graph-petersen", "-r", "bm25", "-r", "random-tokens,dim=16", "--measure", "Recall@2")
    code, out, err = cli(*given)
    assert (code, "fold 2 is scored by" in err, "learned, held out" in out) == (0, True, True), err
    told = json.loads(cli(*given, "--json")[1])
    assert told["retriever"] == out.strip().splitlines()[-1]


# ---------------------------------------------------------------------------------------------------------- fine-tuning


@pytest.mark.slow
def test_training_on_the_test_set_and_beside_it(tmp_path: Path, cli) -> None:
    """On the test set it learns the answers, on other words hardly; a seed gives the same weights, and none is trained twice."""
    pytest.importorskip("sentence_transformers", reason="needs limitbench[models]")
    from limitbench.retrievers.embedder_training import EmbedderTraining, train_embedder

    how = EmbedderTraining(steps=300, seed=1)
    done: list[int] = []
    options = Options(measures="Recall@2", store=Store(tmp_path / "r"))
    found = list(
        fine_tune(
            ["limit-small-test", "limit-small-train"], ["limit-small-test"], [32], out=tmp_path / "m", how=how,
            options=options, watch=lambda step, _of, _loss: done.append(step),
        )
    )  # fmt: skip
    recalls = {row.trained_on: row.result.measures["Recall@2"].mean for row in found}
    assert recalls["limit-small-test"] > 0.8 > 0.4 > recalls["limit-small-train"]
    assert recalls[None] < 0.2
    assert len(done) == 2 * 15
    assert found[1].result.retriever.card["label"] == "fine-tuned by limitbench on the judgements of limit-small-test"
    again = how.model_copy(update={"dim": 32})
    train_embedder(tmp_path / "again", load("limit-small-test"), again)
    train_embedder(
        tmp_path / "m" / "limit-small-test-32", load("limit-small-test"), again, lambda *_: pytest.fail("trained again")
    )
    files = [tmp_path / folder / "model.safetensors" for folder in ("again", "m/limit-small-test-32")]
    assert files[0].read_bytes() == files[1].read_bytes()
    code, out, err = cli(
        "train", "embedder", "--out", tmp_path / "m", "--train-on", "graph-petersen", "-d", "limit-small-test", "--dims", "8,16",
        "--steps", 3, "--results", tmp_path / "r", "--plot", tmp_path / "f.svg", "--measures", "Recall@2",
    )  # fmt: skip
    assert (code, "graph-petersen" in out) == (0, True), err
    assert b"not trained" in (tmp_path / "f.svg").read_bytes()


def test_train_embedder_refuses(tmp_path: Path, cli) -> None:
    """More dimensions than there are, another suffix, a rate that is none."""
    pytest.importorskip("sentence_transformers", reason="needs limitbench[models]")
    for option, value, says in (
        ("--dims", "512", "expected at most 256"),
        ("--plot", "x.txt", "ends in .svg"),
        ("--rate", "-1", "a number above 0"),
        ("--train-on", "no-such-data", "no-such-data"),
    ):
        code, _, err = cli("train", "embedder", "--out", tmp_path / "m", "--steps", 1, option, value)
        assert (code, says in err) == (2, True), err


# ------------------------------------------------------------------------------------------------------------- wordings


def test_wordings_are_measured_and_spread() -> None:
    """Each as if it had been asked so; what a retriever does not read changes nothing."""
    data = load("graph-petersen")
    found = surface(data, "bm25", templates=["{}", "lower", "Who likes it? {}", "nothing{}"], measure="Recall@2")
    means = {wording.query: wording.interval.mean for wording in found.wordings}
    assert means["{}"] == means["lower"] == 1.0
    assert found.spread == pytest.approx(max(means.values()) - min(means.values()))
    plain = evaluate(data, "bm25", measures="Recall@2").measures["Recall@2"].mean
    assert means["{}"] == plain
    both = surface(data, "bm25", templates=["{}"], document_templates=["{}", "gone {}"], measure="Recall@2")
    assert [wording.document for wording in both.wordings] == ["{}", "gone {}"]
    assert said("Is it (so)?", "no-punctuation") == "Is it so"


@pytest.mark.parametrize("template", ["no place", "{} and {}", ""])
def test_wrong_templates_are_refused(template: str) -> None:
    """Before anything is measured."""
    with pytest.raises(InputError, match="a single {}"):
        surface("graph-petersen", "bm25", templates=[template])


def test_prompts_command(cli) -> None:
    """A table from the best to the worst, and the spread in words."""
    code, out, err = cli("prompts", "-d", "graph-petersen", "-r", "random-tokens,dim=16", "--measure", "Recall@2")
    assert (code, "wordings move the mean by" in err, "search_query" in out) == (0, True, True), err
    told = json.loads(cli("prompts", "-d", "graph-petersen", "-r", "bm25", "--template", "{}", "--json")[1])
    assert (told["spread"], len(told["wordings"])) == (0.0, 1)


@pytest.mark.slow
def test_a_card_vouches_for_its_weights_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A training that is cut off leaves no card; weights that were changed are trained again; a foreign folder is left alone."""
    pytest.importorskip("sentence_transformers", reason="needs limitbench[models]")
    from limitbench.retrievers import embedder_training as module

    data, out = load("graph-petersen"), tmp_path / "m"
    first = module.EmbedderTraining(steps=2, queries=4)
    card = module.train_embedder(out, data, first)
    weights = (out / "model.safetensors").read_bytes()

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(module, "_optimise", interrupted)
        with pytest.raises(KeyboardInterrupt):
            module.train_embedder(out, data, first.model_copy(update={"steps": 3}))
    assert not (out / "limitbench.json").exists()
    (out / "limitbench.json").write_text(json.dumps(card))
    (out / "model.safetensors").write_bytes(weights[:-4] + b"\0\0\0\1")
    assert module.train_embedder(out, data, first) == card
    assert (out / "model.safetensors").read_bytes() == weights
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match="something else"):
        module.train_embedder(tmp_path / "theirs", data, first)


def test_folders_of_trainings_do_not_collide(tmp_path: Path) -> None:
    """Names that differ by signs alone, and a comma in the folder, are refused."""
    data = load("graph-petersen")
    one, two = (Dataset(name, data.corpus, data.queries, data.qrels) for name in ("a/b", "a_b"))
    with pytest.raises(InputError, match="differ by letters"):
        list(fine_tune([one, two], [data], [8], out=tmp_path))
    with pytest.raises(InputError, match="a comma in"):
        list(fine_tune([one], [data], [8], out=tmp_path / "x,y"))


def test_a_fusion_is_printed_whole() -> None:
    """With the candidates that it was learned for; several measures, and numbers that are none, are refused."""
    found = learn_fusion(SMALL, ["bm25", "random-tokens,dim=64"], measure="Recall@2", candidates=5)
    best = evaluate(SMALL, found.retriever, measures="Recall@2").measures["Recall@2"].mean
    assert "candidates=5" in found.retriever or found.retriever == "bm25"
    assert best >= max(row.interval.mean for row in found.fixed) - 1e-12
    setting = Setting("z-score", (0.5, 0.5))
    assert "candidates=5" in setting.spec(["bm25", "random"], 5)
    for wrong in ({"measure": "Recall@2,10"}, {"candidates": 0}, {"seed": -1}):
        with pytest.raises((InputError, SpecError), match="found"):
            learn_fusion(SMALL, ["bm25", "random"], **{"measure": "Recall@2", **wrong})  # type: ignore[arg-type]


def test_titles_are_part_of_what_is_worded() -> None:
    """A document's template stands around title and text."""
    data = load("graph-petersen")
    titled = Dataset("t", Corpus(data.corpus.ids, data.corpus.texts, ("Title",) * 10), data.queries, data.qrels)
    seen: list[str] = []

    def encode(texts: object) -> np.ndarray:
        seen.extend(texts)  # type: ignore[arg-type]
        return np.ones((len(texts), 2))  # type: ignore[arg-type]

    surface(titled, encode, templates=["{}"], document_templates=["passage: {}"], measure="Recall@2")
    assert any(text.startswith("passage: Title ") for text in seen)
