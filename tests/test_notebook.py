"""limitbench in a notebook: short reprs, tables, data frames, objects as retrievers, labels, and one kind of error."""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import limitbench
from limitbench import Result, bracket, evaluate, load
from limitbench.errors import InputError, LimitbenchError, RetrievalError, SpecError
from limitbench.rankings import write_trec_run
from limitbench.results import Store
from limitbench.retrievers import RetrieverSpec, retriever
from limitbench.tables import Rows, as_html

DATA = load("graph-petersen")


def test_reprs_are_short() -> None:
    """Of everything that the front door gives, whatever its size."""
    large = load("limit-small-synthetic")
    result = evaluate(large, "bm25")
    some = limitbench.compare([result])
    shown = [
        large,
        large.corpus,
        large.queries,
        large.qrels,
        result,
        bracket(DATA.qrels),
        some,
        some[0],
        Rows([result] * 500),
    ]
    for one in shown:
        assert len(repr(one)) < 2000, type(one)
    assert repr(large) == "Dataset('limit-small-synthetic', 46 documents, 1000 queries, 2000 relevant pairs)"
    assert repr(result).startswith("Result(bm25 on limit-small-synthetic: Recall@1 0.")
    assert "at least 2 (proved" in repr(bracket(DATA.qrels))


def test_tables_in_a_notebook() -> None:
    """Escaped, a row each, and the rest counted."""
    rows: list[dict[str, Any]] = [{"name": "<b>&", "value": 0.123456, "none": None}] * 50
    text = as_html(rows)
    assert "&lt;b&gt;&amp;" in text
    assert "<td>0.1235</td><td></td>" in text
    assert "and 10 more" in text
    assert as_html([]) == "<p>nothing</p>"
    for one in (evaluate(DATA, "bm25"), bracket(DATA.qrels), DATA, limitbench.compare([evaluate(DATA, "bm25")])):
        assert "<table>" in one._repr_html_()


def test_results_become_data_frames() -> None:
    """One row a measure, with what was measured on what; a sweep's points are told apart."""
    pd = pytest.importorskip("pandas")
    found = limitbench.sweep(DATA, "random-tokens", dims=[8, 16], measures=["Recall@2", "nDCG@10"])
    frame = found.to_pandas()
    assert isinstance(frame, pd.DataFrame)
    assert frame[["dim", "measure"]].to_numpy().tolist() == [
        [8, "Recall@2"],
        [8, "nDCG@10"],
        [16, "Recall@2"],
        [16, "nDCG@10"],
    ]
    assert frame["mean"].between(0, 1).all()
    assert list(bracket(DATA.qrels).to_pandas()["side"].unique()) == ["lower", "upper"]
    compared = limitbench.compare(found, measure="nDCG@10").to_pandas()
    assert compared["system"].nunique() == 2
    pytest.importorskip("pyarrow")
    assert found.to_arrow().num_rows == 4


def test_a_library_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the line that installs it."""
    monkeypatch.setitem(sys.modules, "polars", None)
    with pytest.raises(LimitbenchError, match="pip install polars"):
        evaluate(DATA, "bm25").to_polars()


def vectors(texts: Any) -> np.ndarray:
    """Words as columns."""
    words = ["likes", "Who", *sorted({word for text in DATA.corpus.texts for word in text.split()})]
    return np.array([[1e-3 + text.count(word) for word in words] for text in texts])


class Model:
    """One tower, and one that has two."""

    similarity_fn_name = "dot"

    def encode(self, texts: Any) -> np.ndarray:
        """As the function."""
        return vectors(texts)


class Towers(Model):
    """Queries are embedded otherwise."""

    def encode_document(self, texts: Any) -> np.ndarray:
        """As they are."""
        return vectors(texts)

    def encode_query(self, texts: Any) -> np.ndarray:
        """Backwards."""
        return -vectors(texts)


def test_a_function_and_a_model_are_retrievers() -> None:
    """Each text once; a model's own similarity and towers are used; nothing of them is taken from a record."""
    seen: list[str] = []

    def counted(texts: Any) -> np.ndarray:
        seen.extend(texts)
        return vectors(texts)

    found = evaluate(DATA, counted, measures="Recall@2")
    assert found.retriever.name == "counted"
    assert found.retriever.facts["similarity"] == "cosine"
    assert set(seen) == {*DATA.corpus.contents, *DATA.queries.texts}
    one = evaluate(DATA, Model(), measures="Recall@2")
    assert (one.retriever.name, one.retriever.facts["similarity"]) == ("Model", "dot")
    assert evaluate(DATA, Towers(), measures="Recall@2").measures["Recall@2"].mean < one.measures["Recall@2"].mean
    assert evaluate(DATA, Model(), measures="Recall@2").configuration_digest != one.configuration_digest
    assert "object of a Python session" in one.retriever.card["label"]


def test_a_sentence_transformer_is_a_retriever(tmp_path: Path) -> None:
    """Without a spec, and with the same figures as by its folder."""
    pytest.importorskip("sentence_transformers", reason="needs limitbench[models]")
    from conftest import static_tower
    from sentence_transformers import SentenceTransformer

    rng = np.random.default_rng(0)
    words = {word: rng.standard_normal(8).tolist() for text in DATA.corpus.texts for word in text.split()}
    model = SentenceTransformer(modules=[static_tower({**words, "Who": [0.1] * 8})], device="cpu")
    model.save(str(tmp_path / "m"))
    by_object = evaluate(DATA, model, measures=["Recall@2", "nDCG@10"])
    by_folder = evaluate(DATA, f"dense:{tmp_path / 'm'}", measures=["Recall@2", "nDCG@10"])
    assert by_object.measures == by_folder.measures


def test_a_run_file_is_a_retriever(tmp_path: Path) -> None:
    """A path is a run that another system made."""
    run = retriever("bm25").retriever.index(DATA.corpus).search(DATA.queries, 10).run
    write_trec_run(run, tmp_path / "theirs.trec")
    found = evaluate(DATA, tmp_path / "theirs.trec", measures="Recall@2")
    assert (found.retriever.name, found.measures["Recall@2"].mean) == ("theirs", 1.0)


@pytest.mark.parametrize(
    ("by", "says"),
    [
        (lambda texts: np.zeros(len(texts)), "expected numbers of shape"),
        (lambda texts: [["a"] for _ in texts], "expected numbers of shape"),
        (lambda _texts: np.zeros((1, 3)), "expected numbers of shape"),
        (lambda texts: np.full((len(texts), 2), np.nan), "NaN"),
        (lambda _texts: 1 / 0, "failed .ZeroDivisionError"),
        (42, "found int, expected a retriever"),
        (Model, "found type, expected a retriever"),
    ],
)
def test_what_is_no_retriever_is_told(by: Any, says: str) -> None:
    """One sentence, and never another kind of error."""
    with pytest.raises((RetrievalError, InputError), match=says):
        evaluate(DATA, by)


def test_front_door_of_suites_and_reports(tmp_path: Path) -> None:
    """A suite's cells as rows, drowning, and the page; a cell that fails is told at the end, and the others are kept."""
    (tmp_path / "s.toml").write_text(
        'datasets = ["graph-petersen"]\nretrievers = ["bm25", "random"]\nmeasures = "Recall@2"\n'
    )
    found = limitbench.suite(str(tmp_path / "s.toml"), results=tmp_path / "r")
    assert [one.retriever.name for one in found] == ["bm25", "random"]
    assert len(list(Store(tmp_path / "r"))) == 2
    page = limitbench.write_report(tmp_path / "r")
    assert "Among the first 2 documents, bm25 finds 100.0 %" in page.read_text()
    (tmp_path / "t.toml").write_text(f'datasets = ["graph-petersen"]\nretrievers = ["random", "vectors:{tmp_path}"]\n')
    with pytest.raises(LimitbenchError, match="1 of 2 cells failed"):
        limitbench.suite(str(tmp_path / "t.toml"), results=tmp_path / "r")
    small = load("limit-hard")
    curves = limitbench.drown(small, ["random"], sizes=[46, 100], seeds=1, measures="Recall@2")
    assert [one.dataset.documents for one in curves] == [100, 46]
    assert all(isinstance(one, Result) for one in curves)


def test_one_value_several_or_a_line() -> None:
    """What the command line takes with commas, Python takes as one value, several, or that line; nothing is read letter by letter."""
    for dims in (8, [8], "8"):
        (one,) = limitbench.sweep(DATA, "random-tokens", dims=dims, dtypes="int8", measures="Recall@2")
        assert one.retriever.name == "random-tokens,dim=8,dtype=int8,index=exact"
    assert len(limitbench.sweep(DATA, "random-tokens", dims="8,full", measures="Recall@2")) == 2
    curves = limitbench.drown(load("limit-hard"), "random", sizes="46,100", seeds=1, measures="Recall@2")
    assert [one.dataset.documents for one in curves] == [100, 46]
    assert limitbench.design(n=1e6, k=2, margin=0.1) == limitbench.design(n=10**6, k=2, margin=0.1)


def test_the_front_door_has_one_kind_of_error(tmp_path: Path) -> None:
    """What is no result, no measure and no folder is told as such."""
    result = evaluate(DATA, "bm25", measures="Recall@2,nDCG@10")
    assert str(result) == repr(result)
    assert len(repr(limitbench.compare(result)[0].rows[0])) < 200
    for wrong in (None, 3, [result, "x"]):
        with pytest.raises(InputError, match="expected a folder of records or results"):
            limitbench.compare(wrong)  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"no record here has MRR@3; they have: Recall@2, nDCG@10"):
        limitbench.compare(result, measure="MRR@3")
    with pytest.raises(LimitbenchError):
        limitbench.compare(result, measure="nope")
    with pytest.raises(InputError, match="expected a folder of records"):
        limitbench.write_report([result])  # type: ignore[arg-type]
    with pytest.raises(LimitbenchError):
        limitbench.suite(tmp_path / "no-suite.toml")
    with pytest.raises(SpecError, match=r"limitbench\.evaluate takes functions"):
        limitbench.sweep(DATA, lambda texts: np.ones((len(texts), 2)), dims=[2])  # type: ignore[arg-type]


# --------------------------------------------------------------------------------------------------------------- labels


def test_labels_are_shown_and_decide_nothing(tmp_path: Path, cli) -> None:
    """In tables and records; the digest is that of the retriever without it."""
    assert evaluate(DATA, "ours=bm25,k1=1.2", measures="Recall@2").configuration_digest == (
        evaluate(DATA, "bm25,k1=1.2", measures="Recall@2").configuration_digest
    )
    code, out, err = cli(
        "run", "-d", "graph-petersen", "-r", "my words = bm25", "--results", tmp_path, "--measures", "Recall@2"
    )
    assert (code, "my words" in out) == (0, True), err
    assert [record.retriever.name for record in Store(tmp_path)] == ["my words"]
    assert RetrieverSpec.parse({"name": "bm25", "label": "x"}).label == "x"
    swept = limitbench.sweep(DATA, "ours=random-tokens", dims=[8, 16], measures="Recall@2")
    assert [one.retriever.name for one in swept] == [
        "ours,dim=8,dtype=fp32,index=exact",
        "ours,dim=16,dtype=fp32,index=exact",
    ]


def test_the_newest_label_names_the_row(tmp_path: Path) -> None:
    """Of one configuration under several names, whatever their lengths."""
    for number, line in enumerate(["bm25", "production engine=bm25", "now=bm25"]):
        result = evaluate(DATA, line, measures="Recall@2")
        result.provenance["time"] = f"2026-01-0{number + 1}T00:00:00+00:00"
        Store(tmp_path).write(result)
    assert [row.system for row in limitbench.compare(tmp_path)[0].rows] == ["now"]


@pytest.mark.parametrize(
    "line", ["bm25=wordllama", "dense=bm25", "a=b=bm25", "a/b=bm25", "x" * 61 + "=bm25", "\t=bm25", "a\x07=bm25"]
)
def test_labels_that_cannot_be_are_refused(line: str) -> None:
    """Two of them, another retriever's name, too long, or with signs that a spec has."""
    with pytest.raises(LimitbenchError):
        retriever(line)


@pytest.mark.parametrize("line", ["minilm,dim=3", "dense:./a=b", "hybrid:bm25+minilm", "bm25", "vectors:a=b,dim=2"])
def test_lines_without_a_label_have_none(line: str) -> None:
    """An equals sign behind a colon or a comma is no label's."""
    spec = RetrieverSpec.parse(line)
    assert spec.label is None
    assert str(spec) == line
    with pytest.raises(SpecError, match="label"):
        RetrieverSpec.parse({"name": "bm25", "label": ""})


# ------------------------------------------------------------------------------------------------------------ publishing


def test_comparisons_as_files(tmp_path: Path, cli) -> None:
    """By suffix; LaTeX escapes what it must and marks the best; the others hold what was measured, exactly."""
    store = tmp_path / "r"
    for by in ("bm25", "a & b_50%=random", "words=random-tokens,dim=16"):
        Store(store).write(evaluate(DATA, by, measures="Recall@2,nDCG@10"))
    for suffix in (".tex", ".md", ".csv", ".jsonl", ".parquet"):
        code, out, err = cli("compare", "--results", store, "--out", tmp_path / f"t{suffix}")
        assert (code, out, "3 rows" in err) == (0, "", True), err
    tex = (tmp_path / "t.tex").read_text()
    assert r"a \& b\_50\% & measured" in tex
    assert r"\textbf{100.0}" in tex
    Store(store).write(evaluate(DATA, "exact", measures="Recall@2,nDCG@10"))
    cli("compare", "--results", store, "--out", tmp_path / "o.tex")
    oracle = next(line for line in (tmp_path / "o.tex").read_text().splitlines() if "exact" in line)
    assert "textbf" not in oracle  # the oracle is no competitor
    assert "exact (ceiling)" in cli("compare", "--results", store)[1]
    assert tex.count(r"\\") == 4
    assert "| bm25 | measured |" in (tmp_path / "t.md").read_text()
    rows = list(csv.DictReader((tmp_path / "t.csv").read_text().splitlines()))
    told = [json.loads(line) for line in (tmp_path / "t.jsonl").read_text().splitlines()]
    assert [float(row["Recall@2"]) for row in rows] == [row["Recall@2"] for row in told]
    assert {row["system"] for row in told} == {"bm25", "a & b_50%", "words"}
    pq = pytest.importorskip("pyarrow.parquet")
    assert pq.read_table(tmp_path / "t.parquet").to_pylist() == told
    code, _, err = cli("compare", "--results", store, "--out", tmp_path / "t.docx")
    assert (code, "ends in .tex" in err) == (2, True), err
