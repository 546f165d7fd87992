"""One contract for every engine, and the traps that engines set: each of these fails without the mend that it names."""

from __future__ import annotations

import gc
import json
import math
import re
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import write_beir

from limitbench import evaluate, load
from limitbench.collection import Corpus, Queries
from limitbench.datasets import read_folder
from limitbench.errors import DataError, InputError, MissingExtra, RetrievalError, SpecError, StorageError, UnknownName
from limitbench.evaluation import Options, losses
from limitbench.results import Store
from limitbench.retrievers import RetrieverSpec, retriever
from limitbench.retrievers.engines import ENGINES, engine_class
from limitbench.retrievers.engines.contract import ChangeableEngine, Proof, Settings, TextEngine, VectorEngine

SMALL = "limit-small-synthetic"
VECTOR_ENGINES = ["qdrant-edge", "pgvector", "sqlite-vec", "lancedb", "chroma", "milvus"]
FLAT = [name for name in VECTOR_ENGINES if name != "chroma"]
GRAPHS = [name for name in VECTOR_ENGINES if name != "sqlite-vec"]
TEXT_ENGINES = ["tantivy", "postgres-text"]
DTYPES = {
    # engine        indexes            dtypes
    "qdrant-edge": (("flat", "hnsw"), ("fp16", "int8", "binary")),
    "pgvector": (("flat", "hnsw", "ivfflat"), ("fp16", "binary")),
    "sqlite-vec": (("flat",), ("int8", "binary")),
    "lancedb": (("ivf", "hnsw"), ("int8", "pq")),
    "milvus": (("ivf", "hnsw"), ("int8",)),
}
LEAST = {"fp16": 1e-6, "int8": 1e-4, "pq": 1e-2, "binary": 1e-1}  # by which some score must change


@pytest.fixture(autouse=True)
def server(request: pytest.FixtureRequest) -> None:
    """A server for the engines that need one."""
    given = getattr(request.node, "callspec", None)
    if given is not None and str(given.params.get("name")) in ("pgvector", "postgres-text"):
        request.getfixturevalue("postgres")


def test_every_engine_is_under_the_contract() -> None:
    """A new engine joins the tables above, or those of `test_servers`."""
    from test_servers import SERVERS, TEXT_SERVERS

    assert {*VECTOR_ENGINES, *TEXT_ENGINES, *SERVERS, *TEXT_SERVERS} == {*ENGINES}


def unit(rows: int, d: int, seed: int = 0) -> Any:
    x = np.random.default_rng(seed).standard_normal((rows, d)).astype(np.float32)
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def built(name: str, documents: Any, **settings: Any) -> VectorEngine:
    made: VectorEngine = engine_class(name)(Settings(**settings))
    made.build(documents, "cosine", lambda *_: None)
    return made


def vectors_folder(folder: Path, documents: Any, queries: Any) -> Path:
    """A dataset of texts with odd ids, and a folder of vectors for it."""
    ids = [f"d {i}: \u00e9/%'" for i in range(len(documents))]
    corpus = "".join(json.dumps({"_id": name, "text": f"text {i}"}) + "\n" for i, name in enumerate(ids))
    asked = "".join(json.dumps({"_id": f"q{i}", "text": f"question {i}"}) + "\n" for i in range(len(queries)))
    qrels = "query-id\tcorpus-id\tscore\n" + "".join(f"q{i}\t{ids[i]}\t1\n" for i in range(len(queries)))
    write_beir(folder / "data", corpus, asked, qrels)
    (folder / "v").mkdir()
    np.save(folder / "v" / "documents.npy", documents)
    np.save(folder / "v" / "queries.npy", queries)
    (folder / "v" / "documents.ids").write_text("\n".join(ids) + "\n", encoding="utf-8")
    (folder / "v" / "queries.ids").write_text("".join(f"q{i}\n" for i in range(len(queries))), encoding="utf-8")
    return folder


# ---------------------------------------------------------------------------------------------------------------- contract


@pytest.mark.parametrize("name", FLAT)
def test_without_an_index_an_engine_finds_what_exact_search_finds(name: str) -> None:
    """The best ten and their scores; and as many rows as were asked for, or as there are documents."""
    documents, queries = unit(400, 24), unit(30, 24, seed=1)
    engine = built(name, documents, index="flat")
    try:
        for query in queries:
            exact = documents @ query
            numbers, scores = engine.search(query, 10)
            assert numbers.tolist() == np.argsort(-exact)[:10].tolist()
            assert scores == pytest.approx(exact[numbers], abs=1e-5)
        assert [len(engine.search(queries[0], depth)[0]) for depth in (1, 100, 400, 1000)] == [1, 100, 400, 400]
    finally:
        engine.close()


@pytest.mark.parametrize("name", GRAPHS)
def test_an_index_is_proved_used_also_for_few_documents(name: str) -> None:
    """Engines scan small collections, and report a recall of 1 that is no index's; ours are made to build it, and tell."""
    engine = built(name, unit(300, 24))
    try:
        proof = engine.proof()
        assert proof.used
        assert "300 of 300" in proof.how
        few = built(name, unit(2000, 48), index="hnsw", m=4 if name == "lancedb" else 2, ef_construction=4, ef=1)
        queries, documents = unit(60, 48, seed=1), unit(2000, 48)
        shares = [len({*few.search(q, 10)[0]} & {*np.argsort(-(documents @ q))[:10]}) / 10 for q in queries]
        assert np.mean(shares) < 0.9  # a scan would find them all, whatever the graph is
        few.close()
    finally:
        engine.close()


@pytest.mark.parametrize(
    ("name", "index", "dtype"),
    [(name, index, dtype) for name, (indexes, dtypes) in DTYPES.items() for index in indexes for dtype in dtypes],
)
def test_a_dtype_changes_scores(name: str, index: str, dtype: str) -> None:
    """An engine may keep quantised vectors for later and search the whole ones: then nothing of the dtype is measured."""
    documents, queries = unit(500, 64), unit(10, 64, seed=1)
    engine = built(name, documents, index=index, dtype=dtype)
    try:
        off = []
        for query in queries:
            numbers, scores = engine.search(query, 20)
            off.append(np.abs(scores - documents[numbers] @ query).max())
        assert max(off) > LEAST[dtype]
        assert engine.effective()["dtype"] == dtype
    finally:
        engine.close()


@pytest.mark.parametrize("name", VECTOR_ENGINES)
def test_an_engine_opens_again_and_leaves_nothing(name: str) -> None:
    """What was built is there after closing and opening, with equal answers; the folder goes when the engine is closed."""
    engine, query = (
        built(name, unit(300, 24), **({"index": "hnsw", "ef": 200} if name in GRAPHS else {})),
        unit(1, 24, seed=1)[0],
    )
    before = engine.search(query, 20)
    assert engine.nbytes > 300 * 24 * 4
    engine.reopen()
    after = engine.search(query, 20)
    assert after[0].tolist() == before[0].tolist()
    assert engine.proof().used
    folder = vars(engine).get("folder")
    engine.close()
    engine.close()
    assert folder is None or not folder.exists()


@pytest.mark.parametrize("name", FLAT)
@pytest.mark.parametrize("similarity", ["dot", "euclidean", "manhattan"])
def test_similarities_are_those_of_exact_search(name: str, similarity: str, tmp_path: Path) -> None:
    """Vectors of any length, by the similarity of their retriever."""
    rng = np.random.default_rng(0)
    documents = rng.standard_normal((60, 8)) * rng.uniform(0.5, 2, (60, 1))
    place = vectors_folder(tmp_path, documents, rng.standard_normal((12, 8)))
    data = read_folder(place / "data")
    spec = f"vectors:{place / 'v'},similarity={similarity}"
    exact = retriever(spec).retriever.index(data.corpus).search(data.queries, 5).run
    made = retriever({"name": f"engine:{name}", "of": spec, "index": "flat"}).retriever
    if similarity not in engine_class(name).similarities:
        with pytest.raises(SpecError, match=f"no {similarity} similarity"):
            made.index(data.corpus)
        return
    found = made.index(data.corpus)
    run = found.search(data.queries, 5).run
    for a, b, c in zip(run.indptr, run.indptr[1:], exact.indptr, strict=False):
        assert run.indices[a : min(a + 5, b)].tolist() == exact.indices[c : c + 5].tolist()
        assert run.scores[a : a + 5] == pytest.approx(exact.scores[c : c + 5], abs=1e-4)


def test_ids_of_any_text_come_back(tmp_path: Path) -> None:
    """Qdrant takes integers and UUIDs alone; documents go in by number, and their ids stay ours."""
    documents = unit(40, 16)
    place = vectors_folder(tmp_path, documents, documents[:10])
    result = evaluate(
        place / "data", {"name": "engine:qdrant-edge", "of": f"vectors:{place / 'v'}"}, measures="Recall@1"
    )
    assert result.measures["Recall@1"].mean == 1
    facts = result.retriever.facts
    assert facts["index_used"].startswith("40 of 40")
    assert facts["settings"] == {
        "index": "hnsw",
        "m": 16,
        "ef_construction": 100,
        "ef": 100,
        "dtype": "fp32",
    }
    assert facts["agreement_with_exact"] == 1
    assert facts["similarity"] == "cosine"
    assert "qdrant-edge-py" in result.retriever.configuration["version"]


@pytest.mark.parametrize(("bad", "says"), [(0.0, "zero"), (np.nan, "NaN"), (np.inf, "infinity")])
def test_vectors_that_rank_nothing_never_reach_an_engine(bad: float, says: str, tmp_path: Path, monkeypatch) -> None:
    """Engines drop, keep or refuse them, each in its own way; here they are refused first, with the id."""
    documents = unit(12, 4)
    documents[3] = bad
    place = vectors_folder(tmp_path, documents, unit(2, 4))
    monkeypatch.setattr(VectorEngine, "build", lambda *_: pytest.fail("it reached the engine"))
    with pytest.raises(DataError, match=says):
        evaluate(place / "data", {"name": "engine:qdrant-edge", "of": f"vectors:{place / 'v'}"})


def test_two_documents_of_one_id_never_reach_an_engine() -> None:
    """Engines overwrite the first, refuse both or keep both."""
    with pytest.raises(InputError, match="twice|duplicate"):
        Corpus(("a", "a"), ("x", "y"))


def test_an_index_that_is_not_used_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """A recall that a scan reached is not reported as an index's."""
    kind = engine_class("qdrant-edge")
    monkeypatch.setattr(kind, "proof", lambda _self: Proof(False, "0 of 46 vectors indexed"))
    with pytest.raises(RetrievalError, match="does not use its index: 0 of 46"):
        evaluate(SMALL, "engine:qdrant-edge,of=wordllama")


@pytest.mark.parametrize(
    ("index", "dtype", "says"),
    [(None, None, "0 of 20 vectors in a graph"), ("flat", "int8", "0 of 20 vectors quantised")],
)
def test_what_qdrant_does_not_build_for_few_vectors_is_told(
    index: str | None, dtype: str | None, says: str, tmp_path: Path
) -> None:
    """Below 1 KB there is no graph and nothing is quantised, whatever is asked for; a scan of whole vectors is fine."""
    documents = unit(20, 8)
    place = vectors_folder(tmp_path, documents, documents[:5])
    asked = {"name": "engine:qdrant-edge", "of": f"vectors:{place / 'v'}"}
    with pytest.raises(RetrievalError, match=f"{says}; Qdrant builds nothing for less than 1 KB"):
        evaluate(place / "data", {**asked, "index": index, "dtype": dtype})
    assert evaluate(place / "data", {**asked, "index": "flat"}, measures="Recall@1").measures["Recall@1"].mean == 1


def test_a_scan_is_no_proof(monkeypatch: pytest.MonkeyPatch) -> None:
    """A graph that Qdrant scans past is not in use, though all its vectors are indexed: the threshold is read back."""
    import qdrant_edge

    whole = qdrant_edge.HnswIndexConfig
    monkeypatch.setattr(
        qdrant_edge, "HnswIndexConfig", lambda **given: whole(**{**given, "full_scan_threshold": 10_000})
    )
    engine = built("qdrant-edge", unit(2000, 48), m=2, ef_construction=4, ef=1)
    proof = engine.proof()
    assert (proof.used, proof.how.partition(";")[0]) == (False, "0 of 2000 vectors in a graph")
    engine.close()


def test_a_full_disk_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Qdrant maps its files, and a process that writes to a mapped file on a full disk is killed: so room is asked for first."""
    import shutil
    from types import SimpleNamespace

    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=1_000_000))
    made: VectorEngine = engine_class("qdrant-edge")(Settings())
    with pytest.raises(StorageError, match=r"needs about \d+ MB in .* set TMPDIR"):
        made.build(unit(4, 4), "cosine", lambda *_: None)
    made.close()


@pytest.mark.parametrize("value", [1e6, 1e-9])
def test_vectors_that_fp16_cannot_hold_are_refused(value: float, tmp_path: Path) -> None:
    """An engine would rank infinite and zero vectors all the same."""
    place = vectors_folder(tmp_path, value * unit(40, 16), value * unit(3, 16))
    with pytest.raises(SpecError, match="fp16"):
        evaluate(
            place / "data",
            {"name": "engine:qdrant-edge", "of": f"vectors:{place / 'v'},similarity=dot", "dtype": "fp16"},
        )


@pytest.mark.parametrize("spec", ["engine:tantivy", "engine:qdrant-edge,of=wordllama,index=flat,dtype=binary"])
def test_ties_across_the_cut_come_along(spec: str) -> None:
    """A measure does not depend on which other measures were asked for, where the engine looks at every document."""
    alone = evaluate(SMALL, spec, measures="Recall@2").measures["Recall@2"]
    among = evaluate(SMALL, spec, measures="Recall@2,Recall@30").measures["Recall@2"]
    assert (alone.mean, alone.worst, alone.best) == pytest.approx((among.mean, among.worst, among.best), abs=1e-12)
    assert alone.worst < alone.best


def test_wrong_settings_are_refused_before_any_text_is_embedded(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a service, embedding costs money."""
    from limitbench.retrievers.embedded import EmbeddedIndex

    monkeypatch.setattr(EmbeddedIndex, "built", lambda *_, **__: pytest.fail("texts were embedded"))
    for spec in (
        "engine:qdrant-edge,of=wordllama,dtype=zzz",
        "engine:qdrant-edge,of=hybrid",
        "engine:qdrant-edge,ef=10000000000",
    ):
        with pytest.raises(SpecError):
            losses(SMALL, spec)


def test_records_tell_engines_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings and the engine's version are in the configuration; the device of no model is not."""
    specs = [
        "engine:qdrant-edge",
        "engine:qdrant-edge,ef=9",
        "engine:qdrant-edge,m=9",
        "engine:qdrant-edge,index=flat",
        "engine:tantivy",
    ]
    found = [json.dumps(retriever(spec).retriever.configuration, sort_keys=True) for spec in specs]
    assert len(set(found)) == len(specs)
    assert json.dumps(retriever("engine:tantivy", device="cpu").retriever.configuration, sort_keys=True) == found[-1]
    import importlib.metadata

    monkeypatch.setattr(importlib.metadata, "version", lambda _: "99")
    assert retriever("engine:tantivy").retriever.configuration["version"] == "tantivy 99"


def test_fewer_rows_than_asked_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """pgvector returns 40 rows of 100 by default, and a filter may leave none: the numbers come with a remark."""
    kind = engine_class("qdrant-edge")
    whole = kind.search
    monkeypatch.setattr(kind, "search", lambda self, query, depth: whole(self, query, min(depth, 7)))
    result = evaluate(SMALL, "engine:qdrant-edge,of=wordllama", measures="Recall@10")
    assert any("1000 of 1000 queries got fewer than 10 documents from the engine" in note for note in result.notes)


@pytest.mark.parametrize(
    ("spec", "error", "says"),
    [
        ("engine:foo", UnknownName, "engine 'foo'"),
        ("engine:tantivy,of=minilm", SpecError, "searches texts"),
        ("engine:tantivy,ef=3", SpecError, "no setting 'ef'"),
        ("engine:tantivy,language=klingon", SpecError, "language=klingon"),
        ("engine:qdrant-edge,of=bm25", SpecError, "no single vector"),
        ('engine:qdrant-edge,of="wordllama,dtype=int8"', SpecError, "give dtype and index to the engine"),
        ("engine:qdrant-edge,of=wordllama,dtype=int4", SpecError, "expected one of fp32"),
        ("engine:qdrant-edge,of=wordllama,language=german", SpecError, "no setting 'language'"),
        ("engine:qdrant-edge,of=wordllama,m=1", SpecError, "option 'm'"),
        ("engine:qdrant-edge,of=wordllama,index=flat,ef=100", SpecError, "no setting 'ef'"),
    ],
)
def test_what_an_engine_lacks_is_refused(spec: str, error: type[Exception], says: str) -> None:
    """A setting that would be ignored in silence is an error."""
    with pytest.raises(error, match=says):
        evaluate(SMALL, spec)


def test_a_missing_client_names_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """The pip line, not a traceback."""
    monkeypatch.setitem(ENGINES, "tantivy", ("limitbench.retrievers.engines.not_there:X", "tantivy"))
    import importlib

    def absent(name: str) -> Any:
        raise ModuleNotFoundError(name="tantivy")

    monkeypatch.setattr(importlib, "import_module", absent)
    with pytest.raises(MissingExtra, match=r"limitbench\[tantivy\]"):
        engine_class("tantivy")


def test_an_engine_goes_with_its_index() -> None:
    """Nothing is left in the temporary folder of an index that is no longer held."""
    data = load(SMALL)
    index: Any = retriever("engine:tantivy").retriever.index(data.corpus)
    folder = index.engine.folder
    assert folder.exists()
    del index
    gc.collect()
    assert not folder.exists()


# -------------------------------------------------------------------------------------------------------------------- text


@pytest.mark.parametrize("name", TEXT_ENGINES)
def test_an_engine_of_texts_finds_words_alone(name: str) -> None:
    """Best first; no character of a question is syntax; questions without words find nothing; texts may be empty."""
    engine: TextEngine = engine_class(name)(Settings())
    engine.build(
        ["jon has pears and pears", "eve", "", "pears for a long while in an old garden", "nul\0 \\ 'quote"],
        lambda *_: None,
    )
    try:
        numbers, scores = engine.search("pears", 5)
        assert numbers.tolist() == [0, 3]
        assert scores[0] > scores[1] > 0
        for question in (
            "jon",
            "jon AND",
            '"jon',
            "jon)",
            "+jon -apples",
            "jon:*",
            "!jon",
            "jon <-> jon",
            "'jon\\",
            "JON",
        ):
            assert 0 in engine.search(question, 3)[0]
        assert [len(engine.search(question, 3)[0]) for question in ("", "?!", "zzz", "\0")] == [0, 0, 0, 0]
        assert len(engine.search("quote nul", 3)[0]) == 1
        assert engine.proof().used
        before = engine.search("eve pears", 5)
        engine.reopen()
        assert engine.search("eve pears", 5)[0].tolist() == before[0].tolist()
        assert engine.nbytes > 0
    finally:
        engine.close()


def tantivy(texts: list[str], **settings: Any) -> TextEngine:
    made: TextEngine = engine_class("tantivy")(Settings(**settings))
    made.build(texts, lambda *_: None)
    return made


def test_tantivy_scores_are_bm25s() -> None:
    """By the formula, on documents of fewer than 40 words, whose lengths tantivy keeps exactly."""
    texts = ["jon likes apples", "ann likes pears and apples and apples", "eve likes plums", "nobody"]
    words = [text.split() for text in texts]
    mean = np.mean([len(w) for w in words])
    engine = tantivy(texts)
    numbers, scores = engine.search("apples likes", 10)
    for number, score in zip(numbers, scores, strict=True):
        expected = 0.0
        for word in ("apples", "likes"):
            df = sum(word in w for w in words)
            tf = words[number].count(word)
            norm = tf + 1.2 * (1 - 0.75 + 0.75 * len(words[number]) / mean)
            expected += math.log(1 + (len(texts) - df + 0.5) / (df + 0.5)) * tf * 2.2 / norm
        assert score == pytest.approx(expected, rel=1e-5)
    assert set(numbers) == {0, 1, 2}
    engine.reopen()
    assert engine.search("apples likes", 10)[0].tolist() == numbers.tolist()
    engine.close()


@pytest.mark.parametrize("query", ["id:jon", "jon AND", '"jon', "jon)", "+jon -apples", "jon^2", "jon~", "JON"])
def test_no_character_of_a_question_is_syntax(query: str) -> None:
    """tantivy's query language has fields, phrases and boosts; questions are words."""
    engine = tantivy(["jon likes pears", "eve", "id"])
    assert 0 in engine.search(query, 3)[0]
    engine.close()


def test_questions_without_words_find_nothing() -> None:
    """Nothing is searched for, and nothing found; a corpus of empty texts is searched too."""
    engine = tantivy(["jon", "", "eve"])
    assert [len(engine.search(query, 3)[0]) for query in ("", "?!", "zzz")] == [0, 0, 0]
    assert engine.proof().used
    engine.close()
    empty = tantivy(["", ""])
    assert len(empty.search("jon", 1)[0]) == 0
    empty.close()


def test_a_language_stems() -> None:
    """With `language=english`, an apple is found in apples."""
    plain, stemmed = tantivy(["apples", "pears"]), tantivy(["apples", "pears"], language="english")
    assert (len(plain.search("apple", 2)[0]), stemmed.search("apple", 2)[0].tolist()) == (0, [0])
    plain.close()
    stemmed.close()


# ---------------------------------------------------------------------------------------------------------------- pipeline


def test_engines_are_retrievers_like_others(tmp_path: Path) -> None:
    """A hybrid of two engines; records that are found again."""
    store = Store(tmp_path / "r")
    spec = "hybrid:engine:tantivy+engine:qdrant-edge"
    assert [str(part) for part in RetrieverSpec.parse(spec).parts] == ["engine:tantivy", "engine:qdrant-edge"]
    options = Options(store=store, measures="Recall@2")
    one = options.retriever("engine:tantivy")
    first = options.find_or_measure(load(SMALL), one)
    again = options.find_or_measure(load(SMALL), options.retriever("engine:tantivy"))
    assert (first.reused, again.reused) == (False, True)
    assert first.result.measures["Recall@2"].mean > 0.97
    both = evaluate(SMALL, spec, measures="Recall@2")
    assert both.measures["Recall@2"].mean > 0.4


def test_an_engines_files_stay_inside_a_project(tmp_path: Path) -> None:
    """`located` reaches the vectors behind an engine."""
    made: Any = retriever({"name": "engine:qdrant-edge", "of": "vectors:./v"}).retriever
    moved = made.located(lambda path: str(tmp_path / path))
    assert moved.source.folder == str(tmp_path / "./v")
    assert [
        part.adapter for part in RetrieverSpec.parse({"name": "engine:qdrant-edge", "of": "vectors:./v"}).parts
    ] == ["vectors"]


@pytest.mark.parametrize(
    ("spec", "parts"),
    [
        ("wordllama", ["model"]),
        ("wordllama,dim=32,dtype=binary,index=hnsw", ["model", "truncation", "dtype", "index"]),
        (
            'engine:qdrant-edge,of="wordllama,dim=64",dtype=int8,ef=8',
            ["model", "truncation", "engine", "dtype", "index"],
        ),
        ("engine:qdrant-edge,of=wordllama,index=flat,dtype=binary", ["model", "engine", "dtype"]),
        ('engine:qdrant-edge,of="free:limit-small-synthetic,dim=8,seconds=5"', ["model", "engine", "index"]),
    ],
)
def test_the_parts_of_a_loss_add_up(spec: str, parts: list[str], tmp_path: Path) -> None:
    """Exactly, as fractions; and every value is that of the retriever beside it, measured alone."""
    found = losses(SMALL, spec, measure="Recall@2", options=Options(store=Store(tmp_path / "r")))
    assert [part.name for part in found.parts] == parts
    assert sum((part.lost for part in found.parts), Fraction(0)) == found.whole == 1 - found.parts[-1].value
    alone = evaluate(SMALL, spec, measures="Recall@2").measures["Recall@2"].mean
    assert float(found.parts[-1].value) == pytest.approx(alone, abs=0.02)  # two graphs of one engine may differ
    assert found.parts[-1].retriever == str(RetrieverSpec.parse(spec))
    first = found.parts[0]
    assert float(first.value) == evaluate(SMALL, first.retriever, measures="Recall@2").measures["Recall@2"].mean
    if "engine" in parts:
        engine = next(part for part in found.parts if part.name == "engine")
        assert abs(engine.lost) < Fraction(1, 1000)  # a scan of the same vectors: rounding alone


def test_a_loss_has_parts_only_where_one_thing_changes_at_a_time(cli, tmp_path: Path) -> None:
    """Texts have no model, no dtype and no index; the command says so, and prints the parts of others."""
    for spec in ("bm25", "engine:tantivy"):
        with pytest.raises(SpecError, match=r"no parts"):
            losses(SMALL, spec)
        assert cli("loss", "-d", SMALL, "-r", spec, "--results", tmp_path / "r")[0] == 2
    code, out, _ = cli(
        "loss", "-d", SMALL, "-r", "wordllama,dim=16", "--measure", "Recall@2", "--results", tmp_path / "r", "--json"
    )
    told = json.loads(out)
    assert (code, [part["part"] for part in told["parts"]]) == (0, ["model", "truncation"])
    assert sum(Fraction(part["lost_exact"]) for part in told["parts"]) == Fraction(told["whole_exact"])
    code, out, _ = cli(
        "loss", "-d", SMALL, "-r", "wordllama,dim=16", "--measure", "Recall@2", "--results", tmp_path / "r"
    )
    assert (code, "truncation" in out, "whole" in out) == (0, True, True)


def test_queries_alone_are_no_batch() -> None:
    """One query after another gives what all give together."""
    data = load(SMALL)
    index = retriever("engine:qdrant-edge,of=wordllama").retriever.index(data.corpus)
    both = Queries(data.queries.ids[:3], data.queries.texts[:3])
    together = index.search(both, 5).run
    for i in range(3):
        single = index.search(Queries((both.ids[i],), (both.texts[i],)), 5).run
        a, b = together.indptr[i], together.indptr[i + 1]
        assert single.indices.tolist() == together.indices[a:b].tolist()


# ----------------------------------------------------------------------------------------- filters, changes, adjustments

CHANGEABLE = [name for name in VECTOR_ENGINES if issubclass(engine_class(name), ChangeableEngine)]
ADJUSTABLE = [name for name in VECTOR_ENGINES if "ef" in engine_class(name).adjustable]


def filled(name: str, documents: Any, **settings: Any) -> ChangeableEngine:
    """An engine whose documents have the attributes `number`'s twin and its half."""
    made: ChangeableEngine = engine_class(name)(Settings(**settings))
    made.attributes = {"twin": np.arange(len(documents)), "half": np.arange(len(documents)) // 2}
    made.build(documents, "cosine", lambda *_: None)
    return made


@pytest.mark.parametrize("name", CHANGEABLE)
def test_a_filter_is_kept(name: str) -> None:
    """No document that fails it is found; without an index, those that exact search among the others finds."""
    documents, queries = unit(600, 16), unit(10, 16, seed=1)
    kinds = [{"index": "flat"}] * (name in FLAT) + [{"index": "hnsw"}] * (name in GRAPHS)
    for settings in kinds:
        engine = filled(name, documents, **settings)
        for query in queries:
            numbers, _ = engine.filtered(query, 10, {"twin": 200, "half": 50})
            assert len(numbers) == 10
            assert max(numbers) < 100
            few = engine.filtered(query, 10, {"twin": 3})[0]
            assert {*few.tolist()} <= {0, 1, 2}  # Milvus lite's graph gives fewer, which `filters` tells
            assert len(engine.filtered(query, 10, {"twin": 0})[0]) == 0
            if settings["index"] == "flat":
                assert len(few) == 3
                assert numbers.tolist() == np.argsort(-(documents[:100] @ query))[:10].tolist()
        engine.close()


@pytest.mark.parametrize("name", CHANGEABLE)
def test_documents_come_and_go(name: str) -> None:
    """Those deleted are not found, those inserted are, with their attributes; the index is used all the same."""
    documents, queries = unit(700, 16), unit(20, 16, seed=1)
    settings = {"index": "hnsw"} if name in GRAPHS else {}
    engine: ChangeableEngine = engine_class(name)(Settings(**settings))
    engine.attributes = {"twin": np.arange(700)}
    engine.build(documents[:500], "cosine", lambda *_: None)
    engine.delete(np.arange(100, 300))
    engine.insert(np.arange(500, 700), documents[500:])
    engine.settle()
    alive = np.r_[0:100, 300:700]
    shares = []
    for query in queries:
        numbers, _ = engine.search(query, 10)
        assert {*numbers.tolist()} <= {*alive.tolist()}
        shares.append(len({*numbers} & {*alive[np.argsort(-(documents[alive] @ query))[:10]]}) / 10)
    assert np.mean(shares) > 0.8
    assert max(engine.filtered(queries[0], 500, {"twin": 600})[0]) >= 500
    assert engine.points == 500
    engine.close()


@pytest.mark.parametrize("name", ADJUSTABLE)
def test_searches_are_adjusted_without_a_build(name: str) -> None:
    """More candidates find more, at once: Chroma notes a new `ef` and goes on with the old one, unless it is opened again."""
    documents, queries = unit(3000, 48), unit(40, 48, seed=1)
    poor: dict[str, Any] = {"index": "hnsw", "m": 4, "ef_construction": 16}
    engine = built(name, documents, **poor, ef=10)
    found = []
    for ef in (10, 400):
        engine.adjust(Settings(**poor, ef=ef))
        found.append(
            np.mean([len({*engine.search(q, 10)[0]} & {*np.argsort(-(documents @ q))[:10]}) / 10 for q in queries])
        )
        assert engine.effective()["ef"] == ef
    assert found[1] > found[0] + 0.1
    with pytest.raises(SpecError, match="m counts while it is built"):
        engine.adjust(Settings(**{**poor, "m": 8}))
    engine.close()


@pytest.mark.parametrize("name", sorted(ENGINES))
def test_every_engine_has_a_recipe(name: str) -> None:
    """In the docs: a section of its own, with a command whose spec is read."""
    text = (Path(__file__).parent.parent / "docs" / "engine-recipes.md").read_text()
    section = text.partition(f"\n## {name}\n")[2].partition("\n## ")[0]
    specs = re.findall(r"limitbench run -d \S+ -r (\S+)", section)
    assert specs
    for line in specs:
        spec = RetrieverSpec.parse(line)
        assert spec.argument == name
        spec.made().kind_of_engine.check(spec.made().settings)


def test_random_directions_are_a_control() -> None:
    """The same for the same seed and id; unit vectors; queries and documents of one id differ; recall is chance's."""
    made: Any = retriever("gaussian,dim=32").retriever
    reseeded: Any = retriever("gaussian,dim=32,seed=1").retriever
    one, other = made.vectors("document", ["a", "b"]), made.vectors("document", ["b", "a"])
    assert one.tolist() == other[::-1].tolist()
    assert np.linalg.norm(one, axis=1) == pytest.approx(1)
    assert made.vectors("query", ["a"]).tolist() != one[:1].tolist()
    assert reseeded.vectors("document", ["a"]).tolist() != one[:1].tolist()
    assert 0.02 < evaluate(SMALL, "gaussian,dim=32", measures="Recall@2").measures["Recall@2"].mean < 0.08
