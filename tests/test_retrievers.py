from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from conftest import embedding_answer
from hypothesis import assume, given
from hypothesis import strategies as st

from limitbench import catalog, load, registry
from limitbench.collection import Corpus, Queries
from limitbench.datasets import read_folder
from limitbench.errors import DataError, InputError, MissingExtra, RetrievalError, SpecError, UnknownName
from limitbench.evaluation import Options, evaluate, read_suite, run_all
from limitbench.evaluation.sweep import Point, sweep
from limitbench.measures import parse_measures, score
from limitbench.rankings import Run
from limitbench.results import Store
from limitbench.retrievers import Retriever, RetrieverSpec, retriever
from limitbench.retrievers.base import TextVectors
from limitbench.retrievers.index_files import load_index, save_index

LIGHT = [
    "bm25", "bm25,stemmer=none,stopwords=none", "rank-bm25", "rank-bm25,variant=plus", "tfidf-items", "exact", "random",
    "random-tokens,dim=64", "feedback,documents=1,terms=1", "hybrid:bm25+rank-bm25", "hybrid:bm25+tfidf-items,fusion=sum,normalise=z-score",
]  # fmt: skip
NEURAL = [
    "minilm", "minilm,dim=32", "wordllama", "wordllama,dtype=int8", "wordllama,dtype=binary", "wordllama,index=flat", "hybrid",
    "minilm-maxsim", "minilm-maxsim,index=muvera,pool=2", "minilm-maxsim,index=plaid,probes=1000", "engine:qdrant-edge,of=wordllama,index=flat", "engine:qdrant-edge,index=flat,dtype=fp16", "engine:tantivy",
]  # fmt: skip
MADE = ["splade", "rerank", "endpoint"]  # of models that the tests make

CORPUS = Corpus(
    ("d 1", "ü", "d3", "d4"),
    (
        "Ada likes tea, chess and oak trees.",
        "Bo likes tea and Käse.",
        "Cy likes chess and oak trees.",
        "Di likes 茶 and go.",
    ),
)
QUERIES = Queries(
    ("q1", "q2", "q3", "q4"), ("Who likes tea?", "Who likes oak trees?", "Who likes Käse?", "Who likes tea?")
)


@pytest.fixture(params=[*LIGHT, *NEURAL, *MADE])
def made(request: pytest.FixtureRequest) -> Retriever:
    """Every retriever that answers to any text."""
    spec = request.param
    if spec in NEURAL:
        pytest.importorskip("sentence_transformers", reason="needs limitbench[models]")
    elif spec == "splade":
        spec = f"splade:{request.getfixturevalue('splade')}"
    elif spec == "rerank":
        spec = f"rerank:{request.getfixturevalue('cross_encoder')},candidates=4"
    elif spec == "endpoint":
        pytest.importorskip("httpx", reason="needs limitbench[endpoint]")
        stub = request.getfixturevalue("stub")
        stub.answers = [embedding_answer]
        spec = f"endpoint:m,url={stub.url},wait=0"
    return retriever(spec).retriever


@pytest.fixture(params=["vectors", "free"])
def by_id(request: pytest.FixtureRequest) -> Retriever:
    """The retrievers that know one dataset's ids alone."""
    if request.param == "free":
        pytest.importorskip("torch", reason="needs limitbench[models]")
        return retriever("free:graph-petersen,dim=4").retriever
    return retriever(f"vectors:{request.getfixturevalue('made_elsewhere')},dtype=int8").retriever


def rows(made: Retriever, corpus: Corpus, queries: Queries, depth: int = 10) -> list[dict[str, float]]:
    run = made.index(corpus).search(queries, depth).run
    assert (run.query_ids, run.document_ids) == (queries.ids, corpus.ids)
    for number in range(len(run)):
        scores = [value for _, value in run.row(number)]
        assert scores == sorted(scores, reverse=True)
        assert len(dict(run.row(number))) == len(scores)
    return [dict(run.row(number)) for number in range(len(run))]


def test_contract_protocol(made: Retriever) -> None:
    """Every adapter is a `Retriever`, with a configuration that JSON can hold and an index that knows its size."""
    import json

    assert isinstance(made, Retriever)
    assert json.loads(json.dumps(made.configuration)) == made.configuration
    assert made.index(CORPUS).facts.nbytes >= 0


def test_contract_deterministic(made: Retriever) -> None:
    """Indexing and searching twice gives the same run, and equal queries the same scores."""
    first, second = rows(made, CORPUS, QUERIES), rows(made, CORPUS, QUERIES)
    assert first == second
    if made.configuration["adapter"] != "random":  # whose scores belong to the query's id
        assert first[0] == first[3]


def test_contract_permuted_documents(made: Retriever) -> None:
    """The order of the corpus changes nothing but the order of ties."""
    order = [2, 0, 3, 1]
    other = Corpus(tuple(CORPUS.ids[i] for i in order), tuple(CORPUS.texts[i] for i in order))
    for ours, theirs in zip(rows(made, CORPUS, QUERIES), rows(made, other, QUERIES), strict=True):
        assert ours == pytest.approx(theirs, rel=1e-5, abs=1e-6)


@pytest.mark.parametrize("texts", [("",), ("   ",), ("?",), ("the of and",), ("\u200b",), ("zzzz" * 2000,)])
def test_contract_odd_queries(made: Retriever, texts: tuple[str, ...]) -> None:
    """Empty, blank, stop-word and enormous queries give a run; a query that a model gives the zero vector is refused by its id."""
    with refusing_zeros("q", texts):
        rows(made, CORPUS, Queries(("q",), texts))


def test_contract_odd_corpora(made: Retriever) -> None:
    """One document, an empty document, a corpus of nothing but empty ones, and repeated texts all index, zero vectors aside."""
    for texts in (("Ada likes tea.",), ("", "Ada likes tea."), ("", ""), ("Ada likes tea.",) * 3):
        corpus = Corpus(tuple(f"d{i}" for i in range(len(texts))), texts)
        with refusing_zeros("d0", texts):
            rows(made, corpus, QUERIES)


@contextmanager
def refusing_zeros(name: str, texts: tuple[str, ...]) -> Iterator[None]:
    """A model may give an empty text the zero vector, which is refused with the text's id; nothing else is."""
    from limitbench.errors import RetrievalError

    refused = None
    try:
        yield
    except RetrievalError as error:
        refused = str(error)
    assert refused is None or ("" in texts and f"the text '{name}' (empty) got the zero vector" in refused), refused


def test_contract_depth(made: Retriever) -> None:
    """Depth 1 gives the first of the full ranking and its ties; a depth beyond the corpus gives no more than it."""
    for ours, full in zip(rows(made, CORPUS, QUERIES, 1), rows(made, CORPUS, QUERIES, 99), strict=True):
        best = max(full.values(), default=None)
        assert set(ours) == {name for name, value in full.items() if value == best}


def test_contract_repeated_texts_tie(made: Retriever) -> None:
    """Documents with the same text get the same score, whatever stands around them."""
    if made.configuration["adapter"] == "random":
        return
    corpus = Corpus(
        ("a", "b", "c", "d"), ("Ada likes tea.", "Bo likes chess and go.", "Ada likes tea.", "Cy likes go.")
    )
    (row,) = rows(made, corpus, Queries(("q",), ("Who likes tea?",)))
    assert row["a"] == row["c"]


def test_contract_save_and_load(made: Retriever, tmp_path: Path) -> None:
    """What was saved and loaded gives the same run, and is refused for another corpus or configuration, or when cut off."""
    saved_and_loaded(made, CORPUS, QUERIES, tmp_path)


def saved_and_loaded(made: Retriever, corpus: Corpus, queries: Queries, folder: Path) -> None:
    index, path = made.index(corpus), folder / "index.npz"
    save_index(made, index, corpus, path)
    ours, theirs = (x.search(queries, 3).run for x in (index, load_index(made, corpus, path)))
    assert [dict(ours.row(q)) for q in range(len(ours))] == [dict(theirs.row(q)) for q in range(len(theirs))]
    with pytest.raises(DataError, match="saved for another corpus"):
        load_index(made, Corpus(corpus.ids, corpus.ids), path)
    with pytest.raises(DataError, match="saved for another configuration"):
        load_index(retriever("random,seed=7").retriever, corpus, path)
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(DataError, match="not a whole index"):
        load_index(made, corpus, path)


def test_contract_without_text(by_id: Retriever, tmp_path: Path) -> None:
    """What answers by ids is deterministic, keeps the rule of depth and ties, saves and loads, and has a size."""
    data = load("graph-petersen")
    run = by_id.index(data.corpus).search(data.queries, 99).run
    assert rows(by_id, data.corpus, data.queries, 99) == [dict(run.row(q)) for q in range(len(run))]
    for ours, full in zip(rows(by_id, data.corpus, data.queries, 1), map(dict, map(run.row, range(15))), strict=True):
        assert set(ours) == {name for name, value in full.items() if value == max(full.values())}
    assert by_id.index(data.corpus).facts.nbytes > 0
    saved_and_loaded(by_id, data.corpus, data.queries, tmp_path)


def test_what_is_saved_is_not_computed_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Loading BM25 builds no score matrix, and loading a hybrid builds none of its members that kept theirs."""
    import bm25s

    for spec in ("bm25", "bm25,variant=bm25+", "hybrid:bm25+random"):
        made = retriever(spec).retriever
        save_index(made, made.index(CORPUS), CORPUS, tmp_path / "i.npz")
        with monkeypatch.context() as patch:
            patch.setattr(bm25s.BM25, "index", None)
            load_index(made, CORPUS, tmp_path / "i.npz").search(QUERIES, 2)


def recall(made: Retriever, folder: Path, measures: str) -> list[float]:
    data = read_folder(folder)
    run = made.index(data.corpus).search(data.queries, 20).run
    return [100 * value.mean for value in score(run, data.qrels, parse_measures(measures)).values()]


@pytest.mark.parametrize(
    ("spec", "published", "within"),
    [("bm25", (97.8, 100, 100), 0.1), ("bm25,stemmer=none", (99.1, 100, 100), 0.1), ("tfidf-items", (100, 100, 100), 0),
     ("rank-bm25", (99.15, 100, 100), 0.1), ("rank-bm25,tokens=split", (40.35, 56.65, 69.95), 0.1)],
)  # fmt: skip
def test_lexical_figures_on_limit_small(
    limit_small: Path, spec: str, published: tuple[float, ...], within: float
) -> None:
    """The lexical retrievers have the known recall@2, 10 and 20 on the real LIMIT-small; BM25's is the paper's."""
    found = recall(retriever(spec).retriever, limit_small, "Recall@2,10,20")
    assert found == pytest.approx(published, abs=within)


@pytest.mark.parametrize(
    ("spec", "published"),
    [("minilm", (16.2, 48.0, 69.5)), ("minilm,dim=256", (12.6, 43.0, 66.5)), ("minilm,dim=32", (8.95, 32.3, 55.1))],
)
def test_minilm_figures_on_limit_small(limit_small: Path, spec: str, published: tuple[float, ...]) -> None:
    """MiniLM's recall on the real LIMIT-small is mteb's 0.162 at 2, and its truncations' as measured."""
    pytest.importorskip("sentence_transformers", reason="needs limitbench[models]")
    assert recall(retriever(spec).retriever, limit_small, "Recall@2,10,20") == pytest.approx(published, abs=0.3)


def test_same_shape_on_the_twin() -> None:
    """On the synthetic twin exact items are perfect, BM25 stumbles a little, and the floor is the floor."""
    data = load("limit-small-synthetic")
    found = {
        spec: score(retriever(spec).retriever.index(data.corpus).search(data.queries, 20).run, data.qrels)[
            "Recall@2"
        ].mean
        for spec in ("tfidf-items", "bm25", "bm25,stemmer=none", "rank-bm25,tokens=split")
    }
    assert found["tfidf-items"] == 1
    assert 0.94 < found["bm25"] < found["bm25,stemmer=none"] < 1
    assert found["rank-bm25,tokens=split"] < 0.6


def test_random_is_the_floor() -> None:
    """Over seeds, random recall@2 is 2/46 within sampling error."""
    data = load("limit-small-synthetic")
    found = [
        score(retriever(f"random,seed={seed}").retriever.index(data.corpus).search(data.queries, 2).run, data.qrels)
        ["Recall@2"].mean for seed in range(30)
    ]  # fmt: skip
    error = math.sqrt(2 / 46 * (44 / 46) / 2 / 1000 / 30)
    assert np.mean(found) == pytest.approx(2 / 46, abs=4 * error)


def test_bm25_scores_are_those_of_bm25s() -> None:
    """The adapter's ranking is what calling bm25s directly gives."""
    import bm25s
    import Stemmer

    data = load("limit-small-synthetic")
    engine = bm25s.BM25(method="lucene", k1=1.5, b=0.75)
    stemmer = Stemmer.Stemmer("english")
    tokens = bm25s.tokenize(list(data.corpus.contents), stopwords="en", stemmer=stemmer, show_progress=False)
    engine.index(tokens, show_progress=False)
    asked = bm25s.tokenize(list(data.queries.texts), stopwords="en", stemmer=stemmer, show_progress=False)
    _, theirs = engine.retrieve(asked, k=10, show_progress=False)
    run = retriever("bm25").retriever.index(data.corpus).search(data.queries, 10).run
    for number in range(len(run)):
        ours = [value for _, value in run.row(number)][:10]
        assert ours == pytest.approx(theirs[number][: len(ours)], rel=1e-5)


def test_dense_agrees_with_the_models_own_evaluator() -> None:
    """sentence-transformers' InformationRetrievalEvaluator reports the same recall."""
    pytest.importorskip("sentence_transformers", reason="needs limitbench[models]")
    from sentence_transformers.sentence_transformer.evaluation import InformationRetrievalEvaluator

    from limitbench.retrievers.dense import Dense, Encoder

    data = load("limit-small-synthetic")
    keep = range(0, 1000, 10)
    queries = {data.queries.ids[i]: data.queries.texts[i] for i in keep}
    sets = list(data.qrels.sets())
    relevant = {data.queries.ids[i]: {data.corpus.ids[d] for d in sets[i]} for i in keep}
    evaluator = InformationRetrievalEvaluator(
        queries, dict(zip(data.corpus.ids, data.corpus.contents, strict=True)), relevant,
        precision_recall_at_k=[2, 10], show_progress_bar=False,
    )  # fmt: skip
    made = Dense(model="wordllama")
    theirs = evaluator(Encoder.of(made).model.engine)
    run = made.index(data.corpus).search(Queries(tuple(queries), tuple(queries.values())), 10).run
    qrels = type(data.qrels).from_sets([sets[i] for i in keep], len(data.corpus))
    ours = score(run, qrels, parse_measures("Recall@2,10"))
    assert ours["Recall@2"].mean == pytest.approx(theirs["cosine_recall@2"], abs=1e-6)
    assert ours["Recall@10"].mean == pytest.approx(theirs["cosine_recall@10"], abs=1e-6)


@pytest.mark.parametrize(
    ("spec", "error", "says"),
    [("bm52", UnknownName, "did you mean 'bm25'"), ("bm25,k3=1", SpecError, "there is no option 'k3'; it has: variant, k1"),
     ("bm25,stemmer=klingon", SpecError, "option 'stemmer': found 'klingon'"), ("bm25,k1", SpecError, "KEY=VALUE"),
     ("bm25:x", SpecError, "takes no argument"), ("bm25,b=2", SpecError, "option 'b'"), ("", UnknownName, "known:")],
)  # fmt: skip
def test_wrong_specs_are_named(spec: str, error: type[Exception], says: str) -> None:
    """A retriever spec that does not parse names the culprit and what is allowed."""
    with pytest.raises(error, match=says):
        retriever(spec)


def test_wrong_dense_specs_are_named(tmp_path: Path) -> None:
    """dense without a model, with too many dimensions, with pickled weights or an unknown id is answered clearly."""
    pytest.importorskip("sentence_transformers", reason="needs limitbench[models]")
    with pytest.raises(SpecError, match="expected dense:MODEL"):
        retriever("dense")
    with pytest.raises(SpecError, match="found dim=999, expected at most the model's 256"):
        retriever("wordllama,dim=999").retriever.index(CORPUS)
    (tmp_path / "pytorch_model.bin").touch()
    with pytest.raises(SpecError, match="pickled weights"):
        retriever(f"dense:{tmp_path}").retriever.index(CORPUS)
    from limitbench.errors import OfflineError

    with pytest.raises(OfflineError, match="give a folder"):
        retriever("dense:nobody/nothing").retriever.index(CORPUS)


def test_missing_extra_has_the_pip_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """A retriever whose libraries are absent says what to type."""
    monkeypatch.setitem(registry.ADAPTERS, "dense", ("no_such_library.module:X", "models"))
    with pytest.raises(MissingExtra, match=r"pip install 'limitbench\[models\]'"):
        retriever("minilm")


@pytest.mark.parametrize("name", catalog.names("retrievers"))
def test_every_catalogue_retriever_resolves(name: str) -> None:
    """Each TOML in retrievers/ names an adapter, a licence and options that the adapter takes."""
    entry = catalog.entry("retrievers", name)
    assert {"title", "licence", "adapter"} <= set(entry)
    if registry.adapters()[entry["adapter"]][1]:
        pytest.importorskip("sentence_transformers", reason="needs limitbench[models]")
    assert retriever(name).name == name


# ------------------------------------------------------------------------------------------------------------------- specs

OPTION_VALUES = st.text(min_size=1, max_size=12).filter(lambda text: text == text.strip())


@given(
    name=st.sampled_from(["bm25", "dense", "hybrid", "anything"]),
    argument=st.none() | st.from_regex(r"[A-Za-z0-9./@+:_-]{1,12}", fullmatch=True),
    options=st.dictionaries(st.from_regex(r"[a-z_]{1,10}", fullmatch=True), OPTION_VALUES, max_size=4),
)
def test_a_spec_is_read_as_it_is_written(name: str, argument: str | None, options: dict[str, str]) -> None:
    """Whatever values hold, commas and quotes too, the line of a spec is parsed into the same spec; a table gives it as well."""
    assume("reuse" not in options and "name" not in options)
    spec = RetrieverSpec(name, argument, tuple(options.items()))
    assert RetrieverSpec.parse(str(spec)) == spec
    head = name if argument is None else f"{name}:{argument}"
    assert RetrieverSpec.parse({"name": head, **options}) == spec


@pytest.mark.parametrize(
    ("line", "options"),
    [
        ('dense:m,query_prompt="a, b: ",dim=8', {"query_prompt": "a, b: ", "dim": "8"}),
        ("dense:m,query_prompt=query: ", {"query_prompt": "query: "}),
        ('dense:m,query_prompt="say "this"', {"query_prompt": '"say "this"'}),
        ('dense:m,query_prompt="open', {"query_prompt": '"open'}),
        ("bm25, k1 = 1.2", {"k1": "1.2"}),
    ],
)
def test_values_with_commas_stand_in_quotes(line: str, options: dict[str, str]) -> None:
    """A quoted value may hold commas; a quote that is not closed is a character like others."""
    assert dict(RetrieverSpec.parse(line).options) == options


@pytest.mark.parametrize(
    "table",
    [
        {"name": "hybrid", "members": ["bm25,k1=1.2", "random"]},
        {"name": "hybrid", "members": ["bm25", {"name": "random", "seed": 3}], "weights": [0.3, 0.7], "fusion": "sum"},
        {"name": "hybrid", "members": ["tfidf-items", "hybrid:bm25+random"]},
        {"name": "bm25", "k1": 1.2, "language": "german"},
        {"name": "minilm", "query_prompt": "find, please: ", "dim": 8},
        {"name": "minilm", "query_prompt": '"a', "document_prompt": 'b"'},
        {"name": "hybrid", "members": [{"name": "minilm", "query_prompt": "find: "}, "random"]},
        {"name": "hybrid", "members": [{"name": "minilm", "query_prompt": "find + "}, "random"]},
        {"name": "hybrid", "members": ["bm25", "random"], "weights": [1e20, 1.0], "fusion": "sum"},
        {"name": "dense:minilm", "trust_remote_code": True, "document_prompt": ' "quoted" '},
        {"name": "rerank:minilm", "first": {"name": "bm25", "k1": 1.2, "language": "german"}, "candidates": 5},
    ],
)
def test_the_line_of_a_table_makes_the_same_retriever(table: dict) -> None:
    """Lists, tables inside tables, numbers and yes or no are written as a line that makes an equal retriever."""
    if table["name"] not in ("hybrid", "bm25"):
        pytest.importorskip("sentence_transformers", reason="needs limitbench[models]")
    spec = RetrieverSpec.parse(table)
    again = RetrieverSpec.parse(str(spec))
    assert str(again) == str(spec)
    assert again.made() == spec.made()
    assert again.made().configuration == spec.made().configuration


_TEXTS = st.text(st.sampled_from('ab ",+[]=:{}\\\n'), max_size=6)
_MEMBERS = st.lists(
    st.fixed_dictionaries(
        {"name": st.sampled_from(["minilm", "dense:minilm"]), "query_prompt": _TEXTS, "document_prompt": _TEXTS}
    ),
    min_size=1,
    max_size=3,
)


@given(members=_MEMBERS)
def test_the_line_of_any_table_reads_as_the_table(members: list[dict]) -> None:
    """Whatever characters a prompt holds: alone, and inside a list of members."""
    for member in members:
        spec = RetrieverSpec.parse(member)
        assert dict(RetrieverSpec.parse(str(spec)).options) == dict(spec.options)
    whole = RetrieverSpec.parse({"name": "hybrid", "members": members})
    again = RetrieverSpec.parse(str(whole))
    assert str(again) == str(whole)
    assert again.parts == whole.parts


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ("hybrid:[x", "JSON list"),
        ("hybrid:[x]+bm25", "JSON list"),
        ({"name": "hybrid", "members": [1, "bm25"]}, "found 1, expected a retriever's line"),
        ("hybrid:bm25", "^retriever 'hybrid:bm25': expected at least two members"),
        ("hybrid:bm25+random,weights=1", "^retriever 'hybrid:bm25.random,weights=1': expected 2 weights"),
        ({"name": "bm25", "k1": {"a": 1}}, "option 'k1': found {'a': 1}"),
    ],
)
def test_a_broken_spec_says_what_is_wrong(given: str | dict, says: str) -> None:
    """A `SpecError` in every case, with the option or the list that is wrong."""
    with pytest.raises(SpecError, match=says):
        retriever(given)
    with contextlib.suppress(SpecError):
        _ = RetrieverSpec.parse(given).parts


def test_a_hybrid_counts_every_member_that_it_builds() -> None:
    """A member that is named twice takes its bytes twice."""
    twice, once = (evaluate("limit-small-synthetic", spec).cost.index_bytes for spec in ("hybrid:bm25+bm25", "bm25"))
    assert twice == 2 * once


@pytest.mark.parametrize(
    ("spec", "swept"),
    [
        ("wordllama,dtype=int8", {"dims": [16]}),
        ("wordllama,index=flat", {"dims": [16]}),
        ({"name": "wordllama", "dim": 8}, {"dims": [16]}),
        ("rerank:minilm,candidates=5", {"candidates": [2]}),
    ],
)
def test_a_sweep_replaces_no_option_that_was_asked_for(spec: str | dict, swept: dict) -> None:
    """An option that the spec has and the sweep sets is refused before any work: one of the two would be ignored."""
    with pytest.raises(SpecError, match="is given twice"):
        next(sweep("limit-small-synthetic", spec, **swept))


def test_a_sweep_leaves_the_words_of_a_spec() -> None:
    """A record's name is the line that was asked for with the point's options, so that finished points are found again."""
    point = Point(16, "fp32", "exact")
    assert point.of("wordllama,query-prompt=x") == "wordllama,query-prompt=x,dim=16,dtype=fp32,index=exact"
    assert str(point.of({"name": "wordllama"})) == "wordllama,dim=16,dtype=fp32,index=exact"


def test_tables_name_what_they_lack() -> None:
    """A table needs a name, and its options are those of the adapter; the retriever of a table is that of the line."""
    with pytest.raises(SpecError, match="without a name"):
        RetrieverSpec.parse({"k1": 1.2})
    with pytest.raises(SpecError, match="'query_prompt' is given twice"):
        RetrieverSpec.parse({"name": "minilm", "query-prompt": "a", "query_prompt": "b"})
    with pytest.raises(SpecError, match="a comma after the colon"):
        RetrieverSpec.parse({"name": "dense:./a,b"})
    assert str(RetrieverSpec.parse({"name": "bm25", "k1": None})) == "bm25"
    with pytest.raises(SpecError, match="no option 'k9'"):
        retriever({"name": "bm25", "k9": 1})
    table, line = retriever({"name": "bm25", "k1": 1.2}), retriever("bm25,k1=1.2")
    assert (table.retriever, table.name) == (line.retriever, line.name)
    hybrid = retriever({"name": "hybrid", "members": ["bm25", {"name": "random", "seed": 3}]})
    assert [member["adapter"] for member in hybrid.retriever.configuration["members"]] == ["bm25", "random"]
    assert [str(part) for part in RetrieverSpec.parse("hybrid:bm25+random").parts] == ["bm25", "random"]
    assert [str(part) for part in RetrieverSpec.parse("hybrid").parts] == ["bm25", "minilm"]


def test_a_suite_takes_tables(tmp_path: Path) -> None:
    """A suite's retriever may be a table: its record is that of the line."""
    path = tmp_path / "suite.toml"
    path.write_text('datasets = ["graph-petersen"]\nretrievers = ["random", {name = "bm25", k1 = 1.2}]\n')
    plan = read_suite(str(path))
    found = list(run_all(plan.datasets, plan.retrievers, options=Options(measures="Recall@2", store=Store(tmp_path))))
    assert [outcome.retriever for outcome in found] == ["random", "bm25,k1=1.2"]
    options = Options(measures="Recall@2", store=Store(tmp_path))
    (again,) = run_all(["graph-petersen"], ["bm25,k1=1.2"], options=options)
    assert again.reused


def test_objects_are_told_what_they_lack() -> None:
    """An object that is nearly a retriever is refused with the members that it lacks, and one whose search gives a bare run too."""

    class Nearly:
        configuration = {"adapter": "nearly"}
        card: dict[str, str] = {}

        def index(self, corpus: Corpus, progress: object = None) -> object:
            raise AssertionError

    with pytest.raises(InputError, match=r"Nearly without restored\(corpus, arrays\)"):
        evaluate("graph-petersen", Nearly())

    class Bare(type(retriever("random").retriever)):  # type: ignore[misc]
        def index(self, corpus: Corpus, progress: object = None) -> object:
            made = super().index(corpus)
            object.__setattr__(made, "search", lambda *_: Run.from_mapping({}, query_ids=(), document_ids=(), depth=1))
            return made

    with pytest.raises(RetrievalError, match=r"return Retrieved\(run\)"):
        evaluate("graph-petersen", Bare())


def test_vectors_of_texts_are_shared_by_members(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """`sharing` reaches the members of a hybrid and a reranker's first stage: a smaller corpus embeds nothing again."""
    pytest.importorskip("sentence_transformers", reason="needs limitbench[models]")
    monkeypatch.setenv("LIMITBENCH_CACHE", str(tmp_path))
    monkeypatch.setenv("LIMITBENCH_EMBEDDINGS_GB", "0")
    shared: TextVectors = {}
    made = retriever("hybrid:bm25+wordllama").retriever.sharing(shared)  # type: ignore[attr-defined]
    made.index(CORPUS)
    (rows,) = shared.values()
    assert set(rows) == set(CORPUS.contents)
    smaller = made.index(Corpus(CORPUS.ids[:2], CORPUS.texts[:2]))
    assert smaller.facts.more["wordllama"]["documents_from_cache"] == 2


@pytest.mark.parametrize("model", ["./no-model", "/no/model", "~/no-model"])
def test_a_folder_that_is_not_there_is_no_hub_id(model: str) -> None:
    """It is said to be missing, and nothing is asked of a network."""
    pytest.importorskip("sentence_transformers", reason="needs limitbench[models]")
    with pytest.raises(SpecError, match="there is no folder"):
        evaluate("graph-petersen", f"dense:{model}")
