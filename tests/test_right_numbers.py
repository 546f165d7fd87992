"""Right numbers on everybody's files, models and services: cases from public bug reports, each with its kind and its right value."""

from __future__ import annotations

import base64
import csv
import json
import os
import shutil
import struct
import subprocess
import sys
import unicodedata
from email.utils import formatdate
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT, embedding_answer, static_model, static_tower, write_beir
from hypothesis import given
from hypothesis import strategies as st

from limitbench import dtypes, load
from limitbench.collection import Corpus, Dataset, Queries
from limitbench.datasets import read_folder, write_folder
from limitbench.errors import DataError, LimitbenchError, RetrievalError, SpecError
from limitbench.evaluation import evaluate, imported
from limitbench.files import tsv_fields, tsv_line
from limitbench.measures import parse_measures
from limitbench.rankings import Run, read_run_file, read_trec_run, write_trec_run
from limitbench.relevance import Qrels, read_qrels
from limitbench.results import Store
from limitbench.retrievers import IndexFacts, Retrieved, retriever
from limitbench.retrievers.vectors import VectorIndex


def needs_models() -> None:
    pytest.importorskip("sentence_transformers", reason="needs limitbench[models]")


def dataset(
    texts: dict[str, str], questions: dict[str, str], relevant: dict[str, dict[str, int]], **options
) -> Dataset:
    corpus, queries = Corpus(tuple(texts), tuple(texts.values())), Queries(tuple(questions), tuple(questions.values()))
    return Dataset("own", corpus, queries, Qrels.from_judgements(relevant, queries.ids, corpus.ids), **options)


def recall(data: Dataset, by) -> float:
    return evaluate(data, by, measures="Recall@1").measures["Recall@1"].mean


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LIMITBENCH_CACHE", str(tmp_path / "cache"))
    return tmp_path


# ids that look escaped -----------------------------------------------------------------------------------------------------


LITERAL = ["urn:a%2Fb", "100%", "a%25b", "%20", "caf\u00e9%20x", "x%C3%A9"]


def test_ids_that_look_escaped_are_meant_literally(cli, tmp_path: Path) -> None:
    """Percent signs in ids of runs and qrels are part of them, in run, import, check, adapt, convert and lint alike."""
    ids = LITERAL
    lines = "".join(f"q{i}%20 0 {name} 1\n" for i, name in enumerate(ids))
    folder = write_beir(
        tmp_path / "data",
        "".join(json.dumps({"_id": name, "text": f"word{i}"}) + "\n" for i, name in enumerate(ids)),
        "".join(json.dumps({"_id": f"q{i}%20", "text": f"word{i}"}) + "\n" for i in range(len(ids))),
        "",
    )
    (folder / "qrels" / "test.tsv").unlink()
    (folder / "qrels" / "test.qrels").write_text(lines)
    (folder / "run.trec").write_text("".join(f"q{i}%20 Q0 {name} 1 2.0 them\n" for i, name in enumerate(ids)))
    results = tmp_path / "r"
    assert (
        cli(
            "run",
            "-d",
            folder,
            "-r",
            "bm25",
            "--measures",
            "Recall@1",
            "--results",
            results,
            "--save-runs",
            results / "runs",
        )[0]
        == 0
    )
    assert cli("results", "import", folder / "run.trec", "-d", folder, "--name", "them", "--results", results)[0] == 0
    assert [r.measures["Recall@1"].mean for r in Store(results)] == [1.0, 1.0]
    (saved,) = (results / "runs").glob("*/*/*.trec")
    assert {line.split()[2] for line in saved.read_text().splitlines()} == set(ids), "nothing here needs escaping"
    assert json.loads(cli("lint", folder, "--json")[1])["clean"]
    assert cli("adapt", folder / "qrels" / "test.qrels", "--out", tmp_path / "adapted")[0] == 0
    with (tmp_path / "adapted" / "ids.tsv").open(newline="") as stream:
        told = list(csv.reader(stream, delimiter="\t"))
    assert {row[1] for row in told if row[0] == "document"} == set(ids)
    assert cli("convert", folder, "--out", tmp_path / "again", "--qrels", "trec")[0] == 0
    assert read_folder(tmp_path / "again").corpus.ids == tuple(ids)
    (folder / "limitbench.toml").write_text(
        'version = 1\n[workload.w]\nqrels = "qrels/test.qrels"\ncorpus = "corpus.jsonl"\n[retriever.r]\nkind = "other"\n'
        '[retriever.r.measure]\nrun = "run.trec"\n[[gate]]\nworkload = "w"\nretriever = "r"\nmetric = "Recall@1"\nmin = 0.6\n'
    )
    code, out, _ = cli("check", "--config", folder, "--json")
    assert (code, json.loads(out)["findings"], json.loads(out)["notes"]) == (0, [], [])


def test_escaped_lines_say_so_and_travel_with_their_file(tmp_path: Path) -> None:
    """Ids with blanks are escaped, on lines that say so; copied elsewhere they read back, and beside literal ones."""
    run = Run.from_mapping({"q 1": {"a b": 3.0, "a%20b": 2.0, "c%25": 1.0}, "q%201": {"a b": 1.0, "c": 0.5}})
    write_trec_run(run, tmp_path / "a.trec")
    shutil.copy(tmp_path / "a.trec", tmp_path / "b.trec")
    assert {q: list(row) for q, row in read_trec_run(tmp_path / "b.trec").items()} == {
        q: list(row) for q, row in run.mapping().items()
    }
    assert "q%201 Q0 c 2 0.5 limitbench\n" in (tmp_path / "b.trec").read_text(), "a line without a blank stays as it is"


def test_an_id_that_only_looks_the_same_is_shown_so_that_the_eye_sees_it(beir, tmp_path: Path) -> None:
    """Other normal forms, blanks and undeclared escaping are named beside the id that was meant."""
    composed, decomposed = "caf\u00e9", unicodedata.normalize("NFD", "caf\u00e9")
    corpus = "".join(json.dumps({"_id": name, "text": "x"}) + "\n" for name in (composed, "a b", "c"))
    queries = '{"_id": "q", "text": "x"}\n'
    for name, says in (
        (decomposed, "'cafe\\u0301' here is 'caf\\xe9' there"),
        ("c\u00a0", "'c\\xa0' here is 'c' there"),
        ("a%20b", "it reads as 'a b' percent-encoded"),
    ):
        folder = write_beir(
            tmp_path / str(len(name)) / ascii(name), corpus, queries, f"query-id\tcorpus-id\tscore\nq\t{name}\t1\n"
        )
        with pytest.raises(DataError) as refused:
            read_folder(folder)
        assert says in str(refused.value)


# runs that contradict the task ---------------------------------------------------------------------------------------------


def told(folder: Path, run: str, cli) -> tuple[list[str], list[str]]:
    """What import and check say of a run of a dataset in a folder."""
    (folder / "run.trec").write_text(run)
    found = imported(folder, folder / "run.trec", "x", measures="Recall@2")
    (folder / "limitbench.toml").write_text(
        'version = 1\n[workload.w]\nqrels = "qrels/test.tsv"\ncorpus = "corpus.jsonl"\nqueries = "queries.jsonl"\ntop_k = 2\n'
        '[retriever.r]\nkind = "other"\n[retriever.r.measure]\nrun = "run.trec"\n'
        '[[gate]]\nworkload = "w"\nretriever = "r"\nmetric = "Recall@2"\nmin = 0.0\n'
    )
    code, out, _ = cli("check", "--config", folder, "--json")
    assert code in (0, 1)
    return found.notes, [note.removeprefix("r on w: ") for note in json.loads(out)["notes"]]


ODD = {
    "unanswered": ("q0 Q0 d0 1 2 x\nq0 Q0 d1 2 1 x\n", "2 of 3 judged queries are not in the run, the first 'q1'"),
    "distances": ("".join(f"q{i} Q0 d{j} {j + 1} 0.{j} x\n" for i in range(3) for j in range(3)), "the ranks contradict the scores in 3 of 3 queries"),
    "foreign documents": ("".join(f"q{i} Q0 z{j} {j} -{j} x\n" for i in range(3) for j in range(3)) + "q0 Q0 d0 9 -9 x\n", "9 of the documents ranked (3 ids, the first 'z0') are not in the corpus"),
    "infinite": ("".join(f"q{i} Q0 d{j} 0 {s} x\n" for i in range(3) for j, s in ((0, 1), (1, "-inf"), (2, "-inf"))), "6 scores are minus infinity; they rank last"),
    "short": ("".join(f"q{i} Q0 d{(i + 1) % 3} 0 1 x\n" for i in range(3)) + "q0 Q0 d2 0 0.5 x\n", "2 of 3 queries got fewer than 2 documents (the fewest: 1) and lack a relevant one"),
}  # fmt: skip


@pytest.mark.parametrize("name", ODD)
def test_a_run_that_contradicts_the_task_is_told_with_numbers(name: str, cli, tmp_path: Path) -> None:
    """Import and check say the same of it, on green too."""
    folder = write_beir(
        tmp_path,
        "".join(f'{{"_id": "d{i}", "text": "x{i}"}}\n' for i in range(3)),
        "".join(f'{{"_id": "q{i}", "text": "x{i}"}}\n' for i in range(3)),
        "query-id\tcorpus-id\tscore\n" + "".join(f"q{i}\td{i}\t1\n" for i in range(3)),
    )
    run, says = ODD[name]
    by_import, by_check = told(folder, run, cli)
    assert any(says in note for note in by_import), by_import
    assert by_import == by_check


def test_run_tells_queries_that_got_nothing() -> None:
    """A retriever that finds nothing for a query has that in its record, with the number."""
    data = dataset(
        {"a": "tea", "b": "go"},
        {"q": "tea", "r": "zzz", "s": "go"},
        {"q": {"a": 1}, "r": {"b": 1}, "s": {"b": 1, "a": 1}},
    )
    notes = evaluate(data, "bm25", measures="Recall@2").notes
    assert "1 of 3 queries got no document and count as failed" in notes
    assert "1 of 3 queries got fewer than 2 documents (the fewest: 1) and lack a relevant one" in notes


def test_documents_unknown_to_the_corpus_hold_their_ranks(tmp_path: Path) -> None:
    """As in trec_eval: a foreign document above a relevant one costs a rank, and is not relevant."""
    data = dataset({"a": "x", "b": "y"}, {"q": "x"}, {"q": {"a": 1}})
    (tmp_path / "run").write_text("q Q0 z 1 3 s\nq Q0 a 2 2 s\n")
    found = imported(data, tmp_path / "run", "s", measures="MRR@2,Recall@1")
    assert (found.measures["MRR@2"].mean, found.measures["Recall@1"].mean) == (0.5, 0.0)


def test_imported_runs_of_two_names_are_two_rows(cli, tmp_path: Path) -> None:
    """Names decide rows: two systems that rank alike stay two, in compare and in the report; a third import is told."""
    data = load("graph-petersen")
    write_trec_run(retriever("bm25").retriever.index(data.corpus).search(data.queries, 5).run, tmp_path / "run")
    for name in ("first", "second", "second"):
        assert (
            cli(
                "results",
                "import",
                tmp_path / "run",
                "-d",
                "graph-petersen",
                "--name",
                name,
                "--results",
                tmp_path / "r",
            )[0]
            == 0
        )
    rows = json.loads(cli("compare", "--results", tmp_path / "r", "--json")[1])["comparisons"][0]["rows"]
    assert sorted(row["system"] for row in rows if row["source"] == "ours") == ["first", "second"]


GRADES = st.integers(-2, 3)
NAMES = ["q%20", "\u00e9\u00e8", "q2", "\u6771\u4eac", "a%25"]
DOCS = ["d%20x", "\u00fc", "d2", "d3", "\u5317", "d%2F", "z"]


@pytest.mark.parametrize("seed", range(20))
def test_measures_equal_trec_evals(seed: int, tmp_path: Path) -> None:
    """Runs with ties, negative grades, odd ids, missing queries and -inf: what is saved and imported scores as pytrec_eval's."""
    pytrec_eval = pytest.importorskip("pytrec_eval", reason="needs limitbench[dev]")
    rng = np.random.default_rng(seed)
    judged = {q: {d: int(rng.integers(-2, 4)) for d in DOCS if rng.random() < 0.7} for q in NAMES}
    for row in judged.values():
        row[DOCS[int(rng.integers(len(DOCS)))]] = 1
    scores = {
        q: {d: float(rng.choice([0.5, 1.0, 2.0, rng.normal(), -np.inf])) for d in DOCS if rng.random() < 0.8}
        or {"z": 1.0}
        for q in NAMES[: int(rng.integers(2, 6))]
    }
    data = dataset({d: d for d in DOCS}, {q: q for q in NAMES}, judged)
    write_folder(data, tmp_path / "data")
    (tmp_path / "theirs").write_text(
        "".join(f"{q} Q0 {d} 0 {s!r} them\n" for q, row in scores.items() for d, s in row.items())
    )
    measures = parse_measures("Recall@2,5,nDCG@3,10,MAP@4,Precision@2,MRR@3")
    first = imported(
        tmp_path / "data",
        tmp_path / "theirs",
        "them",
        measures=[m for m in measures if m.cutoff <= max(map(len, scores.values()))],
    )
    write_trec_run(
        Run.from_mapping(scores, query_ids=data.queries.ids, document_ids=data.corpus.ids), tmp_path / "ours"
    )
    again = imported(
        tmp_path / "data",
        tmp_path / "ours",
        "us",
        measures=list(first.measures),
    )
    names = {"Recall": "recall", "nDCG": "ndcg_cut", "MAP": "map_cut", "Precision": "P", "MRR": "recip_rank"}
    asked = {
        "recip_rank",
        *(f"{names[t.partition('@')[0]]}.{t.partition('@')[2]}" for t in first.measures if t[:3] != "MRR"),
    }
    grades = {q: dict(row) for q, row in judged.items()}
    for result, path in ((again, tmp_path / "ours"), (first, None)):
        run = (
            read_trec_run(path)
            if path
            else {q: {d: max(s, -1e30) for d, s in row.items()} for q, row in scores.items()}
        )
        theirs = pytrec_eval.RelevanceEvaluator(grades, asked).evaluate(run)
        for title, values in result.per_query.items():
            name, _, cutoff = title.partition("@")
            for query, value in zip(data.queries.ids, values, strict=True):
                if query not in run:
                    assert value == 0
                    continue
                if path is None and len(set(run[query].values())) < len(run[query]):
                    name_of = Run.from_mapping(scores, query_ids=data.queries.ids, document_ids=data.corpus.ids)
                    value = float(
                        parse_measures(title)[0](name_of, data.qrels, ties="trec")[data.queries.ids.index(query)]
                    )
                if name == "MRR":
                    rank = theirs[query]["recip_rank"]
                    wanted = rank if rank >= 1 / int(cutoff) - 1e-12 else 0.0
                else:
                    wanted = theirs[query][f"{names[name]}_{cutoff}"]
                assert value == pytest.approx(wanted, abs=1e-9), (title, query)


@pytest.mark.parametrize("seed", range(5))
def test_saved_runs_score_as_their_records(seed: int, cli, tmp_path: Path) -> None:
    """`run --save-runs` writes, and `results import` reads, what the record says: pytrec_eval on the file agrees to 1e-9 where nothing
    ties, and both ways the figures are the same."""
    pytrec_eval = pytest.importorskip("pytrec_eval", reason="needs limitbench[dev]")
    rng = np.random.default_rng(seed)
    judged = {q: {d: int(rng.integers(-2, 4)) for d in DOCS if rng.random() < 0.7} | {DOCS[seed]: 2} for q in NAMES}
    data = dataset({d: d for d in DOCS}, {q: q for q in NAMES}, judged)
    folder = write_folder(data, tmp_path / "data")
    for side, ids in (("documents", DOCS), ("queries", NAMES)):
        np.save(folder / f"{side}.npy", rng.normal(size=(len(ids), 3)))
        (folder / f"{side}.ids").write_text("".join(f"{name}\n" for name in ids), encoding="utf-8")
    asked = ("--measures", "Recall@2,5,nDCG@5,MAP@5,Precision@2", "--results", tmp_path / "r")
    assert cli("run", "-d", folder, "-r", f"vectors:{folder}", *asked, "--save-runs", tmp_path / "runs")[0] == 0
    (saved,) = (tmp_path / "runs").glob("*/*/*.trec")
    assert cli("results", "import", saved, "-d", folder, "--name", "again", *asked)[0] == 0
    one, two = Store(tmp_path / "r")
    assert one.per_query == two.per_query
    names = {"Recall": "recall", "nDCG": "ndcg_cut", "MAP": "map_cut", "Precision": "P"}
    wanted = {f"{names[t.partition('@')[0]]}.{t.partition('@')[2]}" for t in one.measures}
    theirs = pytrec_eval.RelevanceEvaluator(judged, wanted).evaluate(read_trec_run(saved))
    for title, values in one.per_query.items():
        name, _, cutoff = title.partition("@")
        for query, value in zip(NAMES, values, strict=True):
            assert value == pytest.approx(theirs[query][f"{names[name]}_{cutoff}"], abs=1e-9)


# towers, similarities, dtypes ----------------------------------------------------------------------------------------------


def words(rng: np.random.Generator, names: list[str], width: int = 6) -> dict[str, list[float]]:
    return {name: rng.normal(size=width).tolist() for name in names}


@pytest.mark.parametrize("layout", ["strict", "default", "one tower and a dense layer"])
def test_queries_and_documents_go_through_their_own_towers(layout: str, tmp_path: Path) -> None:
    """A Router model's figures are those of sentence-transformers' own evaluator, with and without a default route."""
    needs_models()
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.base.modules import Router
    from sentence_transformers.sentence_transformer.evaluation import InformationRetrievalEvaluator
    from sentence_transformers.sentence_transformer.modules import Dense, Normalize

    rng = np.random.default_rng(3)
    asked, answers = [f"ask{i}" for i in range(6)], [f"say{i}" for i in range(6)]
    told = words(rng, answers)
    query = {
        a: [x + 0.3 * float(rng.normal()) for x in told[b]]
        for a, b in zip(asked, answers[1:] + answers[:1], strict=True)
    }
    document = {**told, **words(rng, asked)}
    more = {"strict": {}, "default": {"default_route": "document"}}.get(layout, {})
    extra = [Dense(6, 4), Normalize()] if layout.startswith("one") else []
    router = Router.for_query_document([static_tower(query), *extra], [static_tower(document), *extra], **more)
    SentenceTransformer(modules=[router], device="cpu").save(str(tmp_path / "model"))
    data = dataset(
        {f"d{i}": answers[i] for i in range(6)},
        {f"q{i}": asked[i] for i in range(6)},
        {f"q{i}": {f"d{(i + 1) % 6}": 1} for i in range(6)},
    )
    theirs = InformationRetrievalEvaluator(
        dict(zip(data.queries.ids, data.queries.texts, strict=True)), dict(zip(data.corpus.ids, data.corpus.texts, strict=True)),
        {f"q{i}": {f"d{(i + 1) % 6}"} for i in range(6)}, precision_recall_at_k=[1, 3], mrr_at_k=[3], show_progress_bar=False,
    )(SentenceTransformer(str(tmp_path / "model"), device="cpu"))  # fmt: skip
    ours = evaluate(data, f"dense:{tmp_path / 'model'}", measures="Recall@1,3,MRR@3").measures
    for title, key in (("Recall@1", "cosine_recall@1"), ("Recall@3", "cosine_recall@3"), ("MRR@3", "cosine_mrr@3")):
        assert ours[title].mean == pytest.approx(theirs[key], abs=1e-9)
    if layout != "one tower and a dense layer":
        assert ours["Recall@1"].mean == 1.0, "the towers were made for each other"


@pytest.mark.parametrize("similarity", ["euclidean", "manhattan"])
def test_a_declared_distance_is_the_similarity(similarity: str, tmp_path: Path) -> None:
    """Documents on one ray at other lengths: by distance each query finds its own, which cosines cannot tell apart."""
    needs_models()
    vectors = {f"w{i}": [1.0 * (i + 1), 0.5 * (i + 1), 0.0] for i in range(5)}
    place = static_model(tmp_path / "model", vectors, similarity_fn_name=similarity)
    data = dataset(
        {f"d{i}": f"w{i}" for i in range(5)},
        {f"q{i}": f"w{i}" for i in range(5)},
        {f"q{i}": {f"d{i}": 1} for i in range(5)},
    )
    found = evaluate(data, f"dense:{place}", measures="Recall@1")
    assert (found.measures["Recall@1"].mean, found.retriever.facts["similarity"]) == (1.0, similarity)
    assert recall(data, f"dense:{place},similarity=cosine") < 1.0


@pytest.mark.parametrize("similarity", ["euclidean", "manhattan"])
@pytest.mark.parametrize("kind", ["exact", "flat", "hnsw", "ivf", "sq8", "pq"])
def test_distances_in_every_index(similarity: str, kind: str) -> None:
    """Exact and flat search give scipy's distances with the sign turned; what cannot search by them says so."""
    from scipy.spatial.distance import cdist

    if kind != "exact":
        pytest.importorskip("faiss", reason="needs limitbench[ann]")
    rng = np.random.default_rng(1)
    v, u = rng.normal(size=(300, 8)).astype(np.float32) + 5, rng.normal(size=(7, 8)).astype(np.float32) + 5
    names = [tuple(f"{p}{i}" for i in range(n)) for p, n in (("d", 300), ("q", 7))]
    if similarity == "manhattan" and kind in ("ivf", "sq8", "pq"):
        with pytest.raises(SpecError, match=f"index={kind} cannot search by Manhattan distance"):
            VectorIndex.built(names[0], v, kind=kind, similarity=similarity)
        return
    run = VectorIndex.built(names[0], v, kind=kind, similarity=similarity).search(u, names[1], 10)
    wanted = cdist(u, v, "euclidean" if similarity == "euclidean" else "cityblock")
    for q in range(7):
        got = run.row(q)
        assert [score for _, score in got] == sorted((score for _, score in got), reverse=True)
        if kind in ("exact", "flat"):
            assert [-score for _, score in got] == pytest.approx(np.sort(wanted[q])[:10], rel=1e-4)


def worst_pair(name: str, dim: int, seed: int) -> float:
    """How far a score moves, for the worst pair of unit vectors found by random starts and coordinate climbing."""
    rng = np.random.default_rng(seed)

    def stored(x: np.ndarray, top: float | None = None) -> np.ndarray:
        if name == "int8":
            step = (np.abs(x).max() if top is None else top) / 127
            return np.rint(x / step) * step
        if name == "binary":
            return np.where(x < 0, -1.0, 1.0) / np.sqrt(dim)
        if name == "bf16":
            bits = x.astype(np.float32).view(np.uint32)
            return ((bits + 0x7FFF + (bits >> 16 & 1)) & np.uint32(0xFFFF0000)).view(np.float32).astype(np.float64)
        return x.astype({"fp16": np.float16, "fp32": np.float32, "fp64": np.float64}[name]).astype(np.float64)

    def moved(u: np.ndarray, v: np.ndarray, top: float | None) -> float:
        summing = np.float64 if name in ("fp64", "int8", "binary") else np.float32
        score = np.dot(stored(u).astype(summing), stored(v, top).astype(summing))
        return abs(float(score) - float(np.dot(u.astype(np.longdouble), v.astype(np.longdouble))))

    def unit(x: np.ndarray) -> np.ndarray:
        return x / np.linalg.norm(x)

    half = {"int8": 1 / 254, "bf16": 2.0**-9, "fp16": 2.0**-12, "fp32": 2.0**-25, "fp64": 2.0**-54, "binary": 0.1}[name]
    best = 0.0
    for start in range(12):
        ties = 2.0 ** -np.ceil(np.log2(np.sqrt(dim))) * (1 + 0.999 * (2 * half if name != "int8" else half))
        u = [np.abs(rng.normal(size=dim)), np.full(dim, ties), np.r_[1.0, np.full(dim - 1, 0.499 / 127)]][start % 3]
        v = [np.abs(rng.normal(size=dim)), u.copy(), np.r_[0.7, np.full(dim - 1, 0.7 / np.sqrt(dim))]][start // 3 % 3]
        u, v = unit(u), unit(v)
        top = 1.0 if name == "int8" and start % 2 else None
        value = moved(u, v, top)
        for _ in range(150):
            signs = np.sign(stored(u) - u) + 1e-3 * rng.normal(size=dim)
            a, b = (
                unit(u + rng.choice([0.0, 0.1, 1e-3]) * rng.normal(size=dim) / np.sqrt(dim)),
                unit(v + rng.choice([0.0, 0.3, 0.03]) * signs / np.sqrt(dim)),
            )
            if (now := moved(a, b, top)) > value:
                u, v, value = a, b, now
        best = max(best, value)
    return best


@pytest.mark.parametrize("name", ["fp64", "fp32", "bf16", "fp16", "int8", "binary"])
@pytest.mark.parametrize("dim", [4, 64, 768])
def test_no_pair_moves_further_than_the_bound(name: str, dim: int, capsys) -> None:
    """A random search with climbing for the worst pair of unit vectors stays within the bound of its dtype, and comes near it."""
    worst = max(worst_pair(name, dim, seed) for seed in range(2))
    ratio = worst / dtypes.score_error(name, dim)
    with capsys.disabled():
        if os.environ.get("LIMITBENCH_SHOW"):
            print(f"{name} d={dim}: worst pair found moves {worst:.3g}, {ratio:.2f} of the bound")
    assert ratio <= 1 + 1e-6
    assert ratio > 0.2 or name in ("fp32", "fp64"), "there the bound is mostly that of the sum, which seldom adds up"


def test_the_int8_bound_holds_where_the_old_one_broke() -> None:
    """A unit pair with one large coordinate moves by far more than 2 sqrt(2) / 254, which was claimed for all."""
    dim = 600
    u = np.r_[1.0, np.full(dim - 1, 0.4999 / 127)]
    u /= np.linalg.norm(u)
    v = np.r_[0.0, np.full(dim - 1, 1.0)] / np.sqrt(dim - 1)
    step = u.max() / 127
    moved = abs(float(np.dot(np.rint(u / step) * step, v) - np.dot(u, v)))
    assert 2 * np.sqrt(2) / 254 < 0.09 < moved <= dtypes.score_error("int8", dim)


@pytest.mark.parametrize("name", ["fp32", "bf16", "fp16"])
def test_the_typical_error_is_what_random_vectors_show(name: str) -> None:
    """Within 15 %, over 4,000 pairs of 64 dimensions; bf16 has eight bits of significand, so u = 2^-8."""
    rng = np.random.default_rng(0)
    x, y = (rng.normal(size=(4000, 64)) for _ in range(2))
    x, y = (z / np.linalg.norm(z, axis=1, keepdims=True) for z in (x, y))
    from limitbench.retrievers.vectors import Storage

    if name == "fp32":
        a, b = x.astype(np.float32).astype(np.float64), y.astype(np.float32).astype(np.float64)
    else:
        a, b = (Storage(name)(z.astype(np.float32)).astype(np.float64) for z in (x, y))
    shown = np.std((a * b).sum(1) - (x * y).sum(1))
    assert shown == pytest.approx(dtypes.typical_score_error(name, 64), rel=0.15)
    assert dtypes.DTYPES["bf16"].unit_roundoff == 2.0**-8


def test_scores_do_not_depend_on_what_was_imported(made_elsewhere: Path) -> None:
    """The same vectors give the same scores, bit for bit, whether torch was imported before or not."""
    code = (
        "import sys\n{}\nfrom limitbench import load\nfrom limitbench.retrievers import retriever\n"
        "import numpy as np\nfrom limitbench.retrievers.vectors import VectorIndex\n"
        "x = np.random.default_rng(0).normal(size=(500, 37)).astype(np.float32)\n"
        "run = VectorIndex.built([f'd{{i}}' for i in range(500)], x).search(x[:50] * 1.1, [f'q{{i}}' for i in range(50)], 20)\n"
        "import hashlib; print(hashlib.sha256(run.scores.tobytes() + run.indices.tobytes()).hexdigest(), 'torch' in sys.modules)"
    )
    pytest.importorskip("torch", reason="needs limitbench[models]")
    out = [
        subprocess.run(
            [sys.executable, "-c", code.format(first)], capture_output=True, text=True, check=True
        ).stdout.split()
        for first in ("import torch", "")
    ]
    assert out[0][0] == out[1][0]
    assert [row[1] for row in out] == ["True", "False"]


def test_a_hybrid_of_three_models_loads_three(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An index owns its model: each is loaded once, however many queries follow, and no cost is negative."""
    needs_models()
    from limitbench.retrievers import dense
    from limitbench.retrievers.models import POOL

    rng = np.random.default_rng(0)
    names = [f"w{i}" for i in range(8)]
    places = [static_model(tmp_path / f"m{i}", words(rng, names)) for i in range(3)]
    loads: list[str] = []
    made = dense.SentenceTransformer
    monkeypatch.setattr(
        dense, "SentenceTransformer", lambda folder, **kw: (loads.append(folder), made(folder, **kw))[1]
    )
    POOL.clear()
    data = dataset({f"d{n}": n for n in names}, {f"q{n}": n for n in names}, {f"q{n}": {f"d{n}": 1} for n in names})
    found = evaluate(data, "hybrid:" + "+".join(f"dense:{place}" for place in places), measures="Recall@1")
    assert sorted(loads) == sorted(map(str, places))
    assert found.measures["Recall@1"].mean == 1.0
    cost = found.cost.model_dump()
    assert all(value >= 0 for value in cost.values() if isinstance(value, int | float))
    assert cost["load_seconds"] > 0


# what cannot be ranked -----------------------------------------------------------------------------------------------------


BAD = {"zero": [0.0, 0.0, 0.0], "nan": [1.0, float("nan"), 0.0], "infinite": [1.0, float("inf"), 0.0]}


@pytest.mark.parametrize("bad", BAD)
@pytest.mark.parametrize("side", ["document", "query"])
def test_a_model_that_gives_nonsense_is_refused_by_the_texts_id(bad: str, side: str, own_cache: Path) -> None:
    """Never ranked, and never cached: once the model is mended, the same texts are embedded anew."""
    needs_models()
    data = dataset(
        {"fine": "go", "one": "tea" if side == "query" else "odd"},
        {"ok": "go", "two": "odd" if side == "query" else "tea"},
        {"ok": {"fine": 1}, "two": {"one": 1}},
    )
    good = {"go": [1.0, 0.0, 0.1], "tea": [0.0, 1.0, 0.1]}
    place = static_model(own_cache / "model", {**good, "odd": BAD[bad]})
    with pytest.raises(RetrievalError, match=f"the text '{'one' if side == 'document' else 'two'}' \\('odd'\\) got"):
        evaluate(data, f"dense:{place}", measures="Recall@1")
    for file in own_cache.rglob("*.npy"):
        rows = np.frombuffer(file.read_bytes()[:-32][-24:], "<f4")
        assert np.isfinite(rows).all()
    shutil.rmtree(place)
    static_model(place, {**good, "odd": good["tea"]})
    assert recall(data, f"dense:{place}") == 1.0


def test_files_of_vectors_are_refused_by_the_texts_id(made_elsewhere: Path) -> None:
    """A zero row, also one that truncation makes zero, and NaN are named by id."""
    data = load("graph-petersen")
    vectors = np.load(made_elsewhere / "documents.npy")
    for change, spec, says in (
        (np.zeros(10), "", "is zero, which"),
        (np.r_[np.zeros(9), 1.0], ",dim=3", "is zero in its first 3 coordinates"),
        (np.full(10, np.inf), "", "holds NaN or infinity"),
    ):
        broken = vectors.copy() + 0.01
        broken[4] = change
        np.save(made_elsewhere / "documents.npy", broken)
        with pytest.raises(DataError, match=says) as refused:
            evaluate(data, f"vectors:{made_elsewhere}{spec}", measures="Recall@1")
        assert data.corpus.ids[4] in str(refused.value)


def test_bfloat16_is_read_and_float8_refused_in_a_line(cli, made_elsewhere: Path, tmp_path: Path) -> None:
    """bf16 safetensors score as their values; what numpy has no type for is one sentence, exit 2."""
    torch = pytest.importorskip("torch", reason="needs limitbench[models]")
    from safetensors.torch import save_file

    tensors = {
        side: torch.from_numpy(np.load(made_elsewhere / f"{side}.npy").astype(np.float32))
        for side in ("documents", "queries")
    }
    save_file({side: x.to(torch.bfloat16) for side, x in tensors.items()}, made_elsewhere / "vectors.safetensors")
    found = evaluate(load("graph-petersen"), f"vectors:{made_elsewhere}", measures="Recall@2")
    assert found.measures["Recall@2"].mean == pytest.approx(1.0)
    save_file({side: x.to(torch.float8_e4m3fn) for side, x in tensors.items()}, made_elsewhere / "vectors.safetensors")
    code, _, err = cli("run", "-d", "graph-petersen", "-r", f"vectors:{made_elsewhere}", "--results", tmp_path / "r")
    assert (code, "is of dtype F8_E4M3, expected one of BF16, F64" in err, "Traceback" in err) == (2, True, False)


@pytest.mark.parametrize("adapter", ["rerank", "splade", "dense"])
def test_a_checkpoint_with_missing_weights_is_refused(
    adapter: str, splade: Path, cross_encoder: Path, tmp_path: Path
) -> None:
    """A model of another kind would be scored at random: the missing weights are named, and nothing is measured."""
    needs_models()
    from safetensors.torch import load_file, save_file

    if adapter == "dense":
        shutil.copytree(cross_encoder, tmp_path / "m")
        kept = {
            name: x
            for name, x in load_file(tmp_path / "m" / "model.safetensors").items()
            if "layer.0.attention.self.query" not in name
        }
        save_file(kept, tmp_path / "m" / "model.safetensors", metadata={"format": "pt"})
        place, says = tmp_path / "m", "layer.0.attention.self.query"
    else:
        place, says = {"rerank": (splade, "classifier"), "splade": (cross_encoder, "SparseAutoEncoder.*encoder")}[
            adapter
        ]
    with pytest.raises(SpecError, match=f"its checkpoint has no .*{says}.*made up at random"):
        evaluate(load("graph-petersen"), f"{adapter}:{place}", measures="Recall@2")


@pytest.mark.parametrize("line", ["splade:minilm", "rerank:minilm", "splade:wordllama"])
def test_a_packaged_model_of_another_kind_is_refused(line: str) -> None:
    """As by its folder: its head would be made up at random, another one each time."""
    needs_models()
    with pytest.raises(LimitbenchError, match=r"made up at random|cannot be loaded"):
        evaluate(load("graph-petersen"), line, measures="Recall@2")


def test_a_missing_pooler_is_nothing(cross_encoder: Path, tmp_path: Path) -> None:
    """Token states are pooled by the library itself, so an encoder without pooler weights is whole."""
    needs_models()
    from safetensors.torch import load_file, save_file

    shutil.copytree(cross_encoder, tmp_path / "m")
    kept = {name: x for name, x in load_file(tmp_path / "m" / "model.safetensors").items() if "pooler" not in name}
    save_file(kept, tmp_path / "m" / "model.safetensors", metadata={"format": "pt"})
    assert 0 <= recall(load("graph-petersen"), f"dense:{tmp_path / 'm'}") <= 1


# what a cache may serve ----------------------------------------------------------------------------------------------------


CODE = """
import torch
from torch import nn


class Turn(nn.Module):
    SIGN = {sign}

    def forward(self, features):
        x = features["sentence_embedding"]
        features["sentence_embedding"] = torch.where(x[:, :1] > 0, x * self.SIGN, x)
        return features

    def save(self, path, *args, **kwargs):
        pass

    @classmethod
    def load(cls, path, *args, **kwargs):
        return cls()
"""


@pytest.mark.parametrize("part", ["code", "tokenizer"])
def test_whatever_of_a_folder_decides_a_vector_is_its_identity(
    part: str, cli, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A changed module or tokenizer is another model: neither the record nor the cached embeddings stand for it."""
    needs_models()
    from transformers import dynamic_module_utils

    rng = np.random.default_rng(5)
    names = [f"w{i}" for i in range(8)]
    place = static_model(own_cache / "model", words(rng, names))
    if part == "code":
        modules = json.loads((place / "modules.json").read_text())
        modules.append({"idx": 1, "name": "1", "path": "", "type": "turn.Turn"})
        (place / "modules.json").write_text(json.dumps(modules))
        (place / "turn.py").write_text(CODE.format(sign=1.0))
    data = dataset(
        {f"d{n}": f"{n} {n}" for n in names},
        {f"q{n}": f"{n} {m} {n}" for n, m in zip(names, names[1:] + names[:1], strict=True)},
        {f"q{n}": {f"d{n}": 1} for n in names},
    )
    folder = write_folder(data, own_cache / "data")
    spec = f"dense:{place},trust_remote_code=true"

    monkeypatch.setattr(dynamic_module_utils, "HF_MODULES_CACHE", str(own_cache / "code"))
    monkeypatch.setattr(sys, "path", list(sys.path))

    def measured(*extra: str) -> tuple[str, int]:
        code, out, err = cli(
            "run", "-d", folder, "-r", spec, "--results", own_cache / "r", "--measures", "MRR@8", "--json", *extra
        )
        assert code == 0, err
        (row,) = json.loads(out)["results"]
        return row["configuration_digest"], row["retriever_facts"]["facts"]["documents_from_cache"]

    before = measured()
    assert measured("--fresh") == (before[0], 8), "the same model's embeddings come from the cache"
    if part == "code":
        (place / "turn.py").write_text(CODE.format(sign=-1.0))
    else:
        text = (place / "tokenizer.json").read_text()
        (place / "tokenizer.json").write_text(
            text.replace('"w1"', '"w_"').replace('"w2"', '"w1"').replace('"w_"', '"w2"')
        )
    after = measured("--fresh")
    assert after[0] != before[0]
    assert after[1] == 0


def test_libraries_and_device_are_part_of_the_identity(own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After an upgrade of a library the cached embeddings are those of another identity."""
    needs_models()
    from limitbench.retrievers import dense

    place = static_model(own_cache / "model", {"a": [1.0, 0.2], "b": [0.1, 1.0]})
    data = dataset({"x": "a", "y": "b"}, {"q": "a", "r": "b"}, {"q": {"x": 1}, "r": {"y": 1}})

    def served() -> int:
        return evaluate(data, f"dense:{place}", measures="Recall@1").retriever.facts["documents_from_cache"]

    assert (served(), served()) == (0, 2)
    real = dense.environment
    monkeypatch.setattr(dense, "environment", lambda engine: {**real(engine), "libraries": {"torch": "99"}})
    assert served() == 0


def endpoint(stub, **options) -> str:
    pytest.importorskip("httpx", reason="needs limitbench[endpoint]")
    chosen = {"url": stub.url, "wait": 0, "retries": 1, "timeout": 2, **options}
    return "endpoint:m," + ",".join(f"{key}={value}" for key, value in chosen.items())


def answering(vector, **more):
    """A service that answers every text with `vector(text)`."""

    def answer(payload: dict) -> tuple:
        return (
            200,
            {"data": [{"index": i, "embedding": vector(text)} for i, text in enumerate(payload["input"])], **more},
            {},
        )

    return answer


def by_length(text: str) -> list[float]:
    return [float(len(text)), float(sum(map(ord, text)) % 97), 1.0]


PAIR = dataset({"x": "some tea", "y": "a game of go"}, {"q": "tea", "r": "go and go"}, {"q": {"x": 1}, "r": {"y": 1}})


def test_a_service_that_changed_starts_a_new_identity_and_says_so(stub, own_cache: Path) -> None:
    """A canary at the start of every use decides what the cache may serve; noise within the tolerance changes nothing."""
    spec = endpoint(stub)
    stub.answers = [embedding_answer]
    first = evaluate(PAIR, spec, measures="Recall@1")
    assert first.notes == []
    noisy = answering(lambda text: [x * 1.001 for x in by_length(text)])
    stub.answers = [noisy]
    assert evaluate(PAIR, spec, measures="Recall@1").retriever.facts["documents_from_cache"] == 2
    stub.answers = [answering(lambda text: [x + 40 for x in by_length(text)])]
    changed = evaluate(PAIR, spec, measures="Recall@1")
    assert changed.retriever.facts["documents_from_cache"] == 0
    assert "the service answers other vectors than when its embeddings were cached" in changed.notes[0]
    assert changed.retriever.facts["service"] != first.retriever.facts["service"]
    stub.answers = [embedding_answer]
    again = evaluate(PAIR, spec, measures="Recall@1")
    assert (again.retriever.facts["service"], again.retriever.facts["documents_from_cache"]) == (
        first.retriever.facts["service"],
        2,
    )


def test_fresh_asks_the_service_for_everything(cli, stub, own_cache: Path) -> None:
    """`run --fresh` takes nothing of a service from the cache."""
    stub.answers = [embedding_answer]
    folder = write_folder(PAIR, own_cache / "data")
    command = (
        "run",
        "-d",
        folder,
        "-r",
        endpoint(stub),
        "--results",
        own_cache / "r",
        "--measures",
        "Recall@1",
        "--json",
    )
    cli(*command)
    for extra, count in (((), None), (("--fresh",), 0)):
        stub.asked.clear()
        facts = json.loads(cli(*command, *extra)[1])["results"][0]["retriever_facts"]["facts"]
        if count is not None:
            assert (facts["documents_from_cache"], facts["queries_from_cache"]) == (0, 0)
            assert {text for p in stub.asked for text in p["input"]} >= {*PAIR.corpus.texts, *PAIR.queries.texts}


@pytest.mark.parametrize("state", ["zeros", "NaN", "down", "other vectors"])
def test_a_gate_measures_the_running_service(
    state: str, cli, stub, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It passed once, and its documents are cached; a service that broke since then does not pass."""
    pytest.importorskip("httpx", reason="needs limitbench[endpoint]")
    from limitbench.retrievers import service as module

    monkeypatch.setattr(module.Service, "_sleep", lambda *_: None)  # between two tries
    folder = write_folder(PAIR, own_cache / "data")
    (folder / "limitbench.toml").write_text(
        'version = 1\n[workload.w]\nqrels = "qrels/test.tsv"\ncorpus = "corpus.jsonl"\nqueries = "queries.jsonl"\n[retriever.r]\n'
        f'kind = "dense"\n[retriever.r.measure]\nendpoint = "{stub.url}"\nname = "m"\ntimeout = 1\n'
        '[[gate]]\nworkload = "w"\nretriever = "r"\nmetric = "Recall@1"\nmin = 0.4\n'
    )
    good = {"tea": [1.0, 0.1], "some tea": [1.0, 0.0], "go and go": [0.0, 1.0], "a game of go": [0.1, 1.0]}
    stub.answers = [answering(lambda text: good.get(text, [0.5, len(text) / 100]))]
    check = ("check", "--config", folder, "--tier", "full", "--select", "LB301", "--json")
    assert cli(*check)[0] == 0
    stub.asked.clear()
    assert cli(*check)[0] == 0
    asked = {text for payload in stub.asked for text in payload["input"]}
    assert asked >= set(PAIR.queries.texts), "queries are asked now"
    assert not asked & set(PAIR.corpus.texts), "documents of the same service may come from the cache"
    swapped = {"tea": good["go and go"], "go and go": good["tea"]}
    stub.answers = {
        "zeros": [answering(lambda _: [0.0, 0.0])], "NaN": [answering(lambda _: [float("nan"), 1.0])], "down": [(503, b"")],
        "other vectors": [answering(lambda text: swapped.get(text, good.get(text, [0.5, len(text) / 90])))],
    }[state]  # fmt: skip
    code, out, _ = cli(*check)
    assert code == (1 if state == "other vectors" else 3), out


# endpoints as they are -----------------------------------------------------------------------------------------------------


def test_answers_without_index_and_in_base64(stub, own_cache: Path) -> None:
    """The order of the texts where no index is given; little-endian floats in base64; both give what plain answers do."""
    stub.answers = [answering(by_length)]
    plain = evaluate(PAIR, endpoint(stub), measures="MRR@2").per_query
    stub.answers = [lambda p: (200, {"data": [{"embedding": by_length(t)} for t in p["input"]]}, {})]
    assert evaluate(PAIR, endpoint(stub, batch_size=63), measures="MRR@2").per_query == plain
    packed = lambda text: base64.b64encode(struct.pack("<3f", *by_length(text))).decode()  # noqa: E731
    stub.answers = [answering(packed)]
    assert evaluate(PAIR, endpoint(stub, encoding="base64"), measures="MRR@2").per_query == plain
    assert {payload["encoding_format"] for payload in stub.asked[-3:]} == {"base64"}


def test_indexes_that_name_no_text_are_refused(stub, own_cache: Path) -> None:
    """Which vector is whose is not guessed: every row with index 0 is an error that says what to do."""
    stub.answers = [lambda p: (200, {"data": [{"index": 0, "embedding": by_length(t)} for t in p["input"]]}, {})]
    with pytest.raises(RetrievalError, match="the vectors' indexes are not 0 to 3, .*batch_size=1"):
        evaluate(PAIR, endpoint(stub), measures="MRR@2")


def test_dimensions_are_asked_for_and_part_of_the_identity(stub, own_cache: Path) -> None:
    """`dimensions=` goes into every request; embeddings of another width are another identity."""
    stub.answers = [
        lambda p: (
            200,
            {
                "data": [
                    {"index": i, "embedding": by_length(t)[: p.get("dimensions", 3)]} for i, t in enumerate(p["input"])
                ]
            },
            {},
        )
    ]
    assert evaluate(PAIR, endpoint(stub), measures="MRR@2").retriever.facts["dim"] == 3
    found = evaluate(PAIR, endpoint(stub, dimensions=2), measures="MRR@2")
    assert (found.retriever.facts["dim"], found.retriever.facts["documents_from_cache"]) == (2, 0)


@pytest.mark.parametrize("limit", ["texts", "tokens"])
def test_a_service_that_takes_less_gets_less(limit: str, stub, own_cache: Path) -> None:
    """A batch that is refused is halved until it is taken; `batch_tokens` does not ask for more in the first place."""
    texts = {f"d{i}": f"document number {i} of some length" for i in range(9)}
    data = dataset(texts, {f"q{i}": texts[f"d{i}"] for i in range(9)}, {f"q{i}": {f"d{i}": 1} for i in range(9)})

    def answer(payload: dict) -> tuple:
        if limit == "texts" and len(payload["input"]) > 2:
            return 400, {"error": {"message": "batch size is invalid, it should not be larger than 2"}}, {}
        if limit == "tokens" and sum(len(t) for t in payload["input"]) > 90 and len(payload["input"]) > 1:
            return 413, b"too many tokens", {}
        return answering(by_length)(payload)

    stub.answers = [answer]
    options = {} if limit == "texts" else {"batch_tokens": 30}
    evaluate(data, endpoint(stub, **options), measures="Recall@1")
    if limit == "tokens":
        documents = [p for p in stub.asked if any("document number" in t for t in p["input"])]
        assert all(sum(map(len, p["input"])) <= 90 for p in documents)


def test_a_service_without_encoding_format_is_asked_without(stub, own_cache: Path) -> None:
    """A 422 about the field is answered by leaving it out from then on."""
    stub.answers = [
        lambda p: (
            (422, {"detail": "encoding_format: extra fields not permitted"}, {})
            if "encoding_format" in p
            else answering(by_length)(p)
        )
    ]
    evaluate(PAIR, endpoint(stub), measures="MRR@2")
    assert sum("encoding_format" in payload for payload in stub.asked) == 1


def test_waits_as_long_as_the_service_asks(stub, own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Retry-After in seconds, with a fraction, or as a date; what cannot be read falls back to doubling."""
    pytest.importorskip("httpx", reason="needs limitbench[endpoint]")
    from limitbench.retrievers import service as module

    slept: list[float] = []
    monkeypatch.setattr(module.Service, "_sleep", lambda _, seconds: slept.append(seconds))
    now = module.time.time()
    for header, low, high in (
        ("0.25", 0.25, 0.25),
        (formatdate(now + 30, usegmt=True), 27, 31),
        (formatdate(now - 99, usegmt=True), 0, 0),
        ("soon", 2, 2),
    ):
        slept.clear()
        stub.answers = [lambda _, header=header: (429, b"", {"Retry-After": header}), embedding_answer]
        retriever(endpoint(stub, wait=2)).retriever.index(PAIR.corpus)
        wait = max(slept)  # the other sleeps are of no time
        assert low <= wait <= high, (header, slept)


# BM25, a baseline for everybody --------------------------------------------------------------------------------------------


def test_words_of_one_character_are_words() -> None:
    """vitamin K, iPhone 7, C and R: each query's words stand in one document; the paper's setting, by its own name, drops them."""
    texts = {
        "k": "vitamin K in leaves",
        "b": "vitamin B in bread",
        "7": "phone 7 review",
        "9": "phone 9 review",
        "c": "the C language",
        "r": "the R language",
    }
    asked = {
        "q1": "vitamin K",
        "q2": "vitamin B",
        "q3": "phone 7",
        "q4": "phone 9",
        "q5": "C language",
        "q6": "R language",
    }
    data = dataset(texts, asked, {q: {d: 1} for q, d in zip(asked, texts, strict=True)})
    assert recall(data, "bm25") == 1.0
    assert recall(data, "bm25-paper") == 0.5
    assert retriever("bm25-paper").retriever.configuration["tokens"] == "bm25s"


SCRIPTS = {
    "chinese": (["\u5317\u4eac\u7684\u79cb\u5929\u5f88\u7f8e", "\u4e0a\u6d77\u7684\u591c\u666f\u8457\u540d", "\u5e7f\u5dde\u7684\u65e9\u8336\u4e30\u5bcc"], ["\u79cb\u5929", "\u591c\u666f", "\u65e9\u8336"], "bigrams"),
    "thai": (["\u0e09\u0e31\u0e19\u0e0a\u0e2d\u0e1a\u0e01\u0e34\u0e19\u0e21\u0e30\u0e21\u0e48\u0e27\u0e07", "\u0e40\u0e02\u0e32\u0e44\u0e1b\u0e15\u0e25\u0e32\u0e14\u0e17\u0e38\u0e01\u0e27\u0e31\u0e19"], ["\u0e21\u0e30\u0e21\u0e48\u0e27\u0e07", "\u0e15\u0e25\u0e32\u0e14"], "bigrams"),
    "hindi": (["\u0939\u093f\u0928\u094d\u0926\u0940 \u092d\u093e\u0937\u093e \u0938\u0941\u0902\u0926\u0930 \u0939\u0948", "\u0926\u093f\u0932\u094d\u0932\u0940 \u092c\u0921\u093c\u093e \u0936\u0939\u0930 \u0939\u0948"], ["\u0939\u093f\u0928\u094d\u0926\u0940", "\u0926\u093f\u0932\u094d\u0932\u0940"], "words"),
    "korean": (["\uc11c\uc6b8\uc740 \ub300\ud55c\ubbfc\uad6d\uc758 \uc218\ub3c4", "\ubd80\uc0b0\uc740 \ud56d\uad6c \ub3c4\uc2dc"], ["\uc218\ub3c4", "\ud56d\uad6c"], "words"),
}  # fmt: skip


@pytest.mark.parametrize("script", SCRIPTS)
def test_texts_of_other_scripts_are_found(script: str) -> None:
    """Pairs of characters where a corpus writes no spaces, whole words with their marks elsewhere; which it was is recorded."""
    texts, asked, tokens = SCRIPTS[script]
    data = dataset(
        {f"d{i}": t for i, t in enumerate(texts)},
        {f"q{i}": t for i, t in enumerate(asked)},
        {f"q{i}": {f"d{i}": 1} for i in range(len(texts))},
    )
    found = evaluate(data, "bm25", measures="Recall@1")
    assert (found.measures["Recall@1"].mean, found.retriever.facts["tokens"]) == (1.0, tokens)


def test_a_script_that_words_do_not_fit_is_told() -> None:
    """A few Japanese texts among English ones, and rank-bm25, which has words alone: counted and told, not 0.0 in silence."""
    japanese = "\u6771\u4eac\u3067\u4f1a\u8b70\u304c\u958b\u304b\u308c\u305f"
    data = dataset(
        {"a": "tea and chess all day long", "b": "go and maps and salt", "c": japanese},
        {"q": "\u4f1a\u8b70"},
        {"q": {"c": 1}},
    )
    says = "1 of 3 documents are in a script without spaces between words"
    for name in ("bm25", "rank-bm25"):
        assert any(says in note for note in evaluate(data, name, measures="Recall@1").notes)
    assert recall(data, "bm25,tokens=bigrams") == 1.0


def test_language_chooses_stemmer_and_stop_words() -> None:
    """By name or code, among those that PyStemmer has; a text of which nothing is left is counted."""
    data = dataset(
        {"a": "die H\u00e4user am Meer", "b": "der Hund am See", "c": "..."},
        {"q": "Haus", "r": "Hunde", "s": "!?"},
        {"q": {"a": 1}, "r": {"b": 1}, "s": {"b": 1}},
    )
    for name in ("german", "de"):
        found = evaluate(data, f"bm25,language={name}", measures="Recall@1")
        assert found.per_query["Recall@1"] == [1.0, 1.0, 0.0]
    assert "1 of 3 documents have no word left and are never found" in found.notes
    assert "1 of 3 queries have no word left and find nothing" in found.notes
    assert retriever("bm25,language=ar").retriever.configuration["language"] == "ar"
    with pytest.raises(SpecError, match="expected none or a language"):
        retriever("bm25,language=klingon")


def test_a_text_of_stop_words_alone_keeps_them() -> None:
    """ "to be or not to be" asks for something."""
    data = dataset({"a": "to be or not to be", "b": "the play"}, {"q": "to be or not to be"}, {"q": {"a": 1}})
    assert recall(data, "bm25") == 1.0


# texts that a model does not read to their end -----------------------------------------------------------------------------


@pytest.mark.slow
def test_texts_that_are_cut_are_counted(cli, tmp_path: Path, splade: Path, cross_encoder: Path) -> None:
    """Dense, late interaction, sparse and rerankers say how many texts are longer than they read, and by how much."""
    needs_models()
    long = "tea and chess " * 300
    data = dataset({"a": "tea", "b": long, "c": "go"}, {"q": "tea", "r": long}, {"q": {"a": 1}, "r": {"b": 1}})
    for spec, says in (
        ("minilm", "1 of 3 documents is longer than the 256 tokens that the model reads (the longest: 902)"),
        ("minilm-maxsim", "1 of 3 documents is longer than the 512 tokens"),
        (f"splade:{splade}", "1 of 2 queries is longer than the 512 tokens"),
        (f"rerank:{cross_encoder}", "3 of 4 pairs of query and document are longer than the 512 tokens"),
        ("hybrid:bm25+minilm", "1 of 2 queries is longer than the 256 tokens"),
    ):
        notes = evaluate(data, spec, measures="Recall@1").notes
        assert any(says in note for note in notes), (spec, notes)
    folder = write_folder(data, tmp_path / "data")
    code, _, err = cli("run", "-d", folder, "-r", "minilm", "--results", tmp_path / "r", "--measures", "Recall@1")
    assert (code, "1 of 3 documents is longer than the 256 tokens" in err) == (0, True)
    assert cli("report", "--results", tmp_path / "r", "--format", "md", "--out", tmp_path / "report.md")[0] == 0
    assert "1 of 3 documents is longer than the 256 tokens" in (tmp_path / "report.md").read_text()


# files as others write them ------------------------------------------------------------------------------------------------


@given(
    st.lists(st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=6), min_size=2, max_size=2)
)
def test_tab_separated_values_are_those_of_csv(fields: list[str]) -> None:
    """What csv writes is read, and what is written csv reads, whatever the quotes."""
    line = tsv_line(*fields, 1).decode()
    assert next(csv.reader([line], delimiter="\t", strict=True)) == [*fields, "1"]
    assert tsv_fields(Path("x"), 1, line.rstrip("\n")) == [*fields, "1"]


def test_quoted_ids_go_both_ways(cli, tmp_path: Path) -> None:
    """Ids with quotes, as Python's csv module writes them, are read and written; an open quote is refused with its line."""
    ids = ['say "hi"', '"open', "plain", 'in"side']
    data = dataset(
        {name: f"word{i}" for i, name in enumerate(ids)},
        {f"q{i}": f"word{i}" for i in range(4)},
        {f"q{i}": {name: 1} for i, name in enumerate(ids)},
    )
    write_folder(data, tmp_path / "a")
    with (tmp_path / "a" / "qrels" / "test.tsv").open(newline="") as stream:
        assert list(csv.reader(stream, delimiter="\t"))[1:] == [[f"q{i}", name, "1"] for i, name in enumerate(ids)]
    with (tmp_path / "a" / "qrels" / "test.tsv").open("w", newline="") as stream:
        csv.writer(stream, delimiter="\t").writerows(
            [["query-id", "corpus-id", "score"], *([f"q{i}", name, 1] for i, name in enumerate(ids))]
        )
    assert read_folder(tmp_path / "a") == data
    (tmp_path / "a" / "qrels" / "test.tsv").write_text('query-id\tcorpus-id\tscore\nq0\t"open\t1\n')
    with pytest.raises(DataError, match=r"test.tsv:2: .*quotes do not match"):
        read_folder(tmp_path / "a")


@pytest.mark.parametrize("layout", ["mteb", "default", "data", "shards"])
def test_parquet_as_the_hub_lays_it_out(layout: str, tmp_path: Path, cli) -> None:
    """corpus/, queries/ and qrels/, default/ or data/, in shards or not, with `id` for `_id`: read, linted and measured."""
    pa = pytest.importorskip("pyarrow", reason="needs limitbench[hub]")
    from pyarrow import parquet

    documents = [{"id": f"d{i}", "title": f"T{i}", "text": f"word{i}"} for i in range(6)]
    queries = [{"id": f"q{i}", "text": f"word{i}"} for i in range(6)]
    judged = [{"query-id": f"q{i}", "corpus-id": f"d{i}", "score": 1} for i in range(6)]
    place = {"mteb": "qrels", "default": "default", "data": "data", "shards": "qrels"}[layout]

    def put(folder: str, rows: list[dict], split: str) -> None:
        (tmp_path / folder).mkdir(exist_ok=True)
        parts = [rows[:2], rows[2:]] if layout == "shards" else [rows]
        for number, part in enumerate(parts):
            name = f"{split}-{number:05d}-of-{len(parts):05d}.parquet" if layout != "default" else f"{split}.parquet"
            parquet.write_table(pa.Table.from_pylist(part), tmp_path / folder / name)

    put("corpus", documents, "corpus" if layout == "data" else "test")
    put("queries", queries, "queries" if layout == "data" else "test")
    put(place, judged, "test")
    data = read_folder(tmp_path)
    assert (len(data.corpus), data.corpus.contents[0], recall(data, "bm25")) == (6, "T0 word0", 1.0)
    assert json.loads(cli("lint", tmp_path, "--json")[1])["clean"]
    with pytest.raises(
        DataError, match=r"no judgements of the split 'dev': looked for qrels/dev.tsv.*splits found: test"
    ):
        read_folder(tmp_path, split="dev")
    if layout == "shards":
        (tmp_path / "corpus" / "test-00001-of-00002.parquet").unlink()
        with pytest.raises(DataError, match="holds the shards 00000 of 'test', expected each of 2 once"):
            read_folder(tmp_path)


def test_a_folder_without_files_names_what_was_looked_for(tmp_path: Path) -> None:
    """The message of an empty folder lists every layout."""
    with pytest.raises(DataError, match=r"looked for corpus.jsonl, plain or .gz, corpus.parquet and corpus/\*.parquet"):
        read_folder(tmp_path)


def test_graded_judgements_everywhere(cli, beir, tmp_path: Path) -> None:
    """Grades above 0 are relevant in describe, bounds and report as in run; negative ones are judged and not; a line says so."""
    folder = beir(qrels="query-id\tcorpus-id\tscore\nq1\td 1\t2\nq1\td2\t-1\nq2\td2\t1\n")
    code, out, err = cli("describe", folder, "--json")
    assert (code, json.loads(out)["relevant_pairs"], "grades from -1 to 2: those above 0 count as relevant" in err) == (
        0,
        2,
        True,
    )
    assert cli("bounds", "--qrels", folder, "--notion", "cosine")[0] == 0
    assert cli("run", "-d", folder, "-r", "bm25", "--results", tmp_path / "r", "--measures", "Recall@1")[0] == 0
    assert cli("report", "--results", tmp_path / "r", "--data", folder)[0] == 0
    code, _, err = cli("describe", folder, "--min-grade", 2)
    assert (code, "--skip-unanswerable" in err) == (2, True)
    code, out, _ = cli("describe", folder, "--min-grade", 2, "--skip-unanswerable", "--json")
    assert (code, json.loads(out)["relevant_pairs"], json.loads(out)["queries"]) == (0, 1, 1)


def test_a_query_that_is_a_document_can_be_left_out(cli, tmp_path: Path) -> None:
    """By option, by the dataset's card, in run, import and check alike; without, a notice says how many there are."""
    corpus = "".join(
        f'{{"_id": "{n}", "text": "{t}"}}\n'
        for n, t in (("a1", "tea time"), ("a2", "go game"), ("b1", "tea talk"), ("b2", "go talk"))
    )
    queries = '{"_id": "a1", "text": "tea time"}\n{"_id": "a2", "text": "go game"}\n'
    folder = write_beir(tmp_path / "self", corpus, queries, "query-id\tcorpus-id\tscore\na1\tb1\t1\na2\tb2\t1\n")
    code, out, err = cli(
        "run", "-d", folder, "-r", "bm25", "--results", tmp_path / "r", "--measures", "Recall@1", "--json"
    )
    assert (json.loads(out)["results"][0]["measures"]["Recall@1"]["mean"], "2 queries are documents too" in err) == (
        0.0,
        True,
    )
    runs = tmp_path / "runs"
    code, out, _ = cli(
        "run",
        "-d",
        folder,
        "-r",
        "bm25",
        "--results",
        tmp_path / "r",
        "--measures",
        "Recall@1",
        "--ignore-identical-ids",
        "--json",
        "--save-runs",
        runs,
    )
    assert (code, json.loads(out)["results"][0]["measures"]["Recall@1"]["mean"]) == (0, 1.0)
    assert len({r.dataset.sha256 for r in Store(tmp_path / "r")}) == 2, "another task: the records stay apart"
    (folder / "README.md").write_text("---\nlicense: mit\nignore_identical_ids: true\n---\n# Self\n")
    assert recall(read_folder(folder), "bm25") == 1.0
    assert not read_folder(folder, ignore_identical_ids=False).ignore_identical_ids
    (folder / "own.trec").write_text(
        "".join(
            f"{q} Q0 {d} 0 {s} x\n"
            for q, row in (("a1", ("a1", "b1")), ("a2", ("a2", "b2")))
            for s, d in enumerate(reversed(row))
        )
    )
    assert imported(folder, folder / "own.trec", "x", measures="Recall@1").measures["Recall@1"].mean == 1.0
    for line, passed in (
        ("ignore_identical_ids = false\n", False),
        ("ignore_identical_ids = true\n", True),
        ("", True),
    ):
        (folder / "limitbench.toml").write_text(
            f'version = 1\n[workload.w]\nqrels = "qrels/test.tsv"\ncorpus = "corpus.jsonl"\nqueries = "queries.jsonl"\n{line}[retriever.r]\n'
            'kind = "other"\n[retriever.r.measure]\nrun = "own.trec"\n[[gate]]\nworkload = "w"\nretriever = "r"\nmetric = "Recall@1"\nmin = 0.2\n'
        )
        code, out, _ = cli("check", "--config", folder, "--json")
        assert (code == 0) == passed
        assert any("2 queries are documents too" in note for note in json.loads(out)["notes"]) != passed


def test_splits_stay_apart_and_topics_without_an_answer_can_be_left_out(cli, beir, tmp_path: Path) -> None:
    """Another split is another dataset by name; a topic without a relevant document is left out where asked, and said."""
    folder = beir(qrels="query-id\tcorpus-id\tscore\nq1\td 1\t1\nq2\td2\t0\n")
    (folder / "qrels" / "dev.tsv").write_text("query-id\tcorpus-id\tscore\nq2\td2\t1\n")
    code, _, err = cli("run", "-d", folder, "-r", "bm25", "--results", tmp_path / "r")
    assert (code, "leave them out with --skip-unanswerable" in err) == (2, True)
    for extra in (("--skip-unanswerable",), ("--split", "dev")):
        assert cli("run", "-d", folder, "-r", "bm25", "--results", tmp_path / "r", *extra)[0] == 0
    assert sorted(r.dataset.name for r in Store(tmp_path / "r")) == ["data", "data:dev"]
    assert (
        "1 judged queries have no relevant document and are left out"
        in read_folder(folder, skip_unanswerable=True).notes
    )


# containment, the front, Python --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "spec",
    [
        "vectors:eval/../../outside",
        "hybrid:bm25+vectors:eval/../../outside",
        "dense:../outside",
        "free:../outside,dim=2",
        "vectors:link",
    ],
)
def test_no_spec_reads_outside_the_project(spec: str, cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Paths are resolved, then judged, in every adapter's spec, members and links included; the check is undecided, not passed."""
    needs_models()
    project, outside = tmp_path / "project", tmp_path / "outside"
    write_folder(PAIR, project / "eval")
    outside.mkdir()
    for side, ids in (("documents", PAIR.corpus.ids), ("queries", PAIR.queries.ids)):
        np.save(outside / f"{side}.npy", np.eye(2))
        (outside / f"{side}.ids").write_text("".join(f"{name}\n" for name in ids))
    (project / "link").symlink_to(outside)
    (project / "limitbench.toml").write_text(
        'version = 1\n[workload.w]\nqrels = "eval/qrels/test.tsv"\ncorpus = "eval/corpus.jsonl"\nqueries = "eval/queries.jsonl"\n'
        f'[retriever.r]\nkind = "other"\n[retriever.r.measure]\nmodel = "{spec}"\n[[gate]]\nworkload = "w"\nretriever = "r"\nmetric = "Recall@1"\nmin = 0.1\n'
    )
    monkeypatch.chdir(project)
    code, out, _ = cli("check", "--config", project, "--tier", "full", "--select", "LB3,LB9", "--json")
    assert code == 3
    assert any("leads out of" in finding["message"] for finding in json.loads(out)["findings"]), out


def test_paths_of_a_spec_are_the_projects(cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are relative to the configuration, wherever the check is run from; a folder of that name elsewhere is not read."""
    project, elsewhere = tmp_path / "project", tmp_path / "elsewhere"
    write_folder(PAIR, project / "eval")
    for place, matrix in ((project / "vectors", np.eye(2)), (elsewhere / "vectors", np.eye(2)[::-1])):
        place.mkdir(parents=True)
        for side, ids in (("documents", PAIR.corpus.ids), ("queries", PAIR.queries.ids)):
            np.save(place / f"{side}.npy", matrix if side == "documents" else np.eye(2))
            (place / f"{side}.ids").write_text("".join(f"{name}\n" for name in ids))
    (project / "limitbench.toml").write_text(
        'version = 1\n[workload.w]\nqrels = "eval/qrels/test.tsv"\ncorpus = "eval/corpus.jsonl"\nqueries = "eval/queries.jsonl"\n[retriever.r]\n'
        'kind = "other"\n[retriever.r.measure]\nmodel = "vectors:vectors"\n[[gate]]\nworkload = "w"\nretriever = "r"\nmetric = "Recall@1"\nmin = 0.1\n'
    )
    monkeypatch.chdir(elsewhere)
    assert cli("check", "--config", project, "--tier", "full", "--select", "LB301")[0] == 0
    shutil.rmtree(project / "vectors")
    assert cli("check", "--config", project, "--tier", "full", "--select", "LB301")[0] == 3


def test_answers_of_functions_are_judged_without_assertions(tmp_path: Path) -> None:
    """Under `python -O`, which drops assertions, a malformed answer is refused all the same."""
    code = (
        "from limitbench.checks.answers import returned\nfrom limitbench.errors import LimitbenchError\n"
        'for bad in (b\'[1]\', b\'{"q": 1}\', b\'{"q": {"d": "x"}}\', b\'{"q": {"d": NaN}}\', b\'{"q": {"d": true}}\', b\'nothing\'):\n'
        "    try:\n        returned(bad, 'the function')\n        print('accepted', bad)\n    except LimitbenchError:\n        print('refused')\n"
    )
    out = subprocess.run([sys.executable, "-O", "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.split() == ["refused"] * 6


def test_the_working_folder_is_a_dataset_as_any(cli, beir, monkeypatch: pytest.MonkeyPatch) -> None:
    """`lint .`, `describe .` and a qrels file work as with the whole path."""
    folder = beir()
    monkeypatch.chdir(folder)
    for command in (("lint", "."), ("describe", "."), ("lint", "qrels/test.tsv"), ("bounds", "--qrels", ".")):
        code, _, err = cli(*command)
        assert code == (1 if command[0] == "lint" else 0), err  # an id with a blank is a finding
        whole = cli(command[0], *command[1:-1], folder / command[-1])
        assert whole[0] == code


def test_what_nobody_foresaw_is_one_line(cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """An internal error is said with its kind, asks for a report, exits with 2, and shows where on request."""
    from limitbench.datasets import density

    monkeypatch.setattr(density, "describe", lambda *_args, **_kw: 1 / 0)
    code, _, err = cli("describe", "graph-petersen")
    assert (code, "internal error (ZeroDivisionError: division by zero)" in err, "Traceback" in err) == (2, True, False)
    monkeypatch.setenv("LIMITBENCH_DEBUG", "1")
    with pytest.raises(ZeroDivisionError):
        cli("describe", "graph-petersen")


class Constant:
    """A retriever that follows the contract and nothing else."""

    configuration = {"adapter": "constant"}
    card: dict = {}

    def index(self, corpus, progress=None):
        return ConstantIndex(corpus)

    def restored(self, corpus, arrays):
        return self.index(corpus)


class ConstantIndex:
    facts = IndexFacts(nbytes=0)
    arrays: dict = {}

    def __init__(self, corpus) -> None:
        self.ids = corpus.ids

    def search(self, queries, depth, progress=None):
        scores = np.tile(np.arange(len(self.ids), 0, -1.0), (len(queries), 1))
        return Retrieved(Run.from_scores(scores, query_ids=queries.ids, document_ids=self.ids, depth=depth))


def test_python_takes_objects_and_texts() -> None:
    """A retriever object and measures as texts are taken; whatever else is given is an InputError."""
    data = load("graph-petersen")
    found = evaluate(data, Constant(), measures=["nDCG@10", "Recall@2"])
    assert (found.retriever.name, list(found.measures)) == ("constant", ["nDCG@10", "Recall@2"])
    for by, measures in ((object(), "Recall@2"), ("bm25", [3]), ("bm25", 3), ("bm25", []), ("bm25", ["Nonsense@3"])):
        with pytest.raises(LimitbenchError):
            evaluate(data, by, measures=measures)


# what a hostile review found -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("adapter", ["maxsim", "splade"])
def test_a_bi_encoder_is_no_model_of_another_kind(adapter: str, tmp_path: Path) -> None:
    """A folder that lists its modules is no proof that the library adds none: what it adds is refused by name."""
    needs_models()
    from limitbench.retrievers.model_files import model_source

    place = shutil.copytree(model_source("minilm", None).folder, tmp_path / "m")
    with pytest.raises(SpecError, match=r"has no (Dense|SparseAutoEncoder)\..*made up at random"):
        evaluate(load("graph-petersen"), f"{adapter}:{place}", measures="Recall@2")


def test_parts_of_a_corpus_keep_the_rule(cli, tmp_path: Path) -> None:
    """`drown` leaves a query's own document out of every part as of the whole."""
    texts = {
        "q0": "tea time",
        "q1": "go game",
        "a0": "tea talk",
        "a1": "go talk",
        **{f"x{i}": f"word{i}" for i in range(6)},
    }
    asked = {"q0": "tea time", "q1": "go game"}
    data = dataset(texts, asked, {"q0": {"a0": 1, "q1": 1}, "q1": {"a1": 1, "q0": 1}}, ignore_identical_ids=True)
    folder = write_folder(data, tmp_path / "data")
    assert read_folder(folder) == data, "the card travels with what is written"
    out = cli(
        "drown",
        "-d",
        folder,
        "-r",
        "bm25",
        "--sizes",
        "4,7,10",
        "--seeds",
        1,
        "--measures",
        "Recall@1",
        "--results",
        tmp_path / "r",
        "--json",
    )[1]
    assert {point["mean"] for point in json.loads(out)["curves"][0]["points"]} == {0.5}


@pytest.mark.parametrize("scale", [1e20, 1e-13, 1e-25, 3e37])
def test_a_cosine_knows_no_length(scale: float) -> None:
    """Very long and very short vectors rank as others do, in exact search and out of it."""
    from limitbench.retrievers.vectors import truncated

    rng = np.random.default_rng(0)
    x = rng.normal(size=(40, 6)).astype(np.float32)
    some = x.copy()
    some[::2] *= np.float32(scale)
    assert np.allclose(truncated(some, None, True), truncated(x, None, True), atol=1e-6)


@pytest.mark.parametrize(("dtype", "scale"), [("fp16", 1e-9), ("bf16", 3.4e38)])
def test_a_dtype_that_makes_vectors_zero_or_infinite_is_refused(dtype: str, scale: float) -> None:
    """Rounding to nothing, or to more than there is, is said with the id of the first."""
    x = np.full((3, 2), scale, np.float32)
    with pytest.raises(SpecError, match=r"the vector of 'a' becomes (zero|infinite) \(3 in all do so\)"):
        VectorIndex.built(("a", "b", "c"), x, dtype=dtype)


def test_helpers_of_custom_code_are_part_of_the_identity(own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a module of a package imports from its own package decides vectors as it does itself."""
    needs_models()
    import importlib

    from sentence_transformers import SentenceTransformer

    from limitbench.retrievers.model_files import environment

    package = own_cache / "turns"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "helper.py").write_text("SIGN = 1.0\n")
    (package / "mod.py").write_text("from turns.helper import SIGN\n" + CODE.format(sign="SIGN"))
    monkeypatch.syspath_prepend(str(own_cache))
    made = SentenceTransformer(
        modules=[static_tower({"a": [1.0, 0.0]}), importlib.import_module("turns.mod").Turn()], device="cpu"
    )
    before = environment(made)["code"]
    (package / "helper.py").write_text("SIGN = -1.0\n")
    assert before
    assert environment(made)["code"] != before
    for name in [name for name in sys.modules if name.partition(".")[0] == "turns"]:
        del sys.modules[name]


def test_a_split_is_never_another_ones_judgements(beir) -> None:
    """LIMIT's one qrels.jsonl, which names no split, is the test's; a split that is not there is an error."""
    folder = beir()
    (folder / "qrels" / "test.tsv").unlink()
    (folder / "qrels.jsonl").write_text('{"query-id": "q1", "corpus-id": "d2", "score": 1}\n')
    assert len(read_folder(folder).queries) == 1
    with pytest.raises(DataError, match="no judgements of the split 'dev'.*splits found: test"):
        read_folder(folder, split="dev")


def test_a_saved_index_is_not_asked_by_another_service(stub, own_cache: Path) -> None:
    """The canary decides there too: documents of one service and queries of another are never compared."""
    from limitbench.retrievers.index_files import load_index, save_index

    made = retriever(endpoint(stub)).retriever
    stub.answers = [embedding_answer]
    save_index(made, made.index(PAIR.corpus), PAIR.corpus, own_cache / "i.npz")
    assert load_index(made, PAIR.corpus, own_cache / "i.npz").search(PAIR.queries, 1)
    stub.answers = [answering(lambda text: [x + 40 for x in by_length(text)])]
    with pytest.raises(RetrievalError, match="answers other vectors than when this index was saved"):
        load_index(made, PAIR.corpus, own_cache / "i.npz")


def test_words_have_one_spelling() -> None:
    """Composed and decomposed accents, full width and ligatures meet; a single character finds the texts that hold it."""
    pairs = {"\u00e9t\u00e9 chaud": "e\u0301te\u0301", "\uff21\uff22\uff23 shop": "abc", "the \ufb01le": "file"}
    data = dataset(
        {f"d{i}": text for i, text in enumerate(pairs)},
        {f"q{i}": text for i, text in enumerate(pairs.values())},
        {f"q{i}": {f"d{i}": 1} for i in range(3)},
    )
    assert recall(data, "bm25,language=none,stemmer=none,stopwords=none") == 1.0
    towns = dataset(
        {"a": "\u6771\u4eac", "b": "\u5927\u962a"}, {"q": "\u4eac", "r": "\u962a"}, {"q": {"a": 1}, "r": {"b": 1}}
    )
    assert recall(towns, "bm25") == 1.0
    with pytest.raises(SpecError, match="expected none or a language"):
        retriever("bm25,language=auto")


def test_a_shard_twice_does_not_stand_for_another(tmp_path: Path) -> None:
    """Numbers are looked at, not how many files there are."""
    pa = pytest.importorskip("pyarrow", reason="needs limitbench[hub]")
    from pyarrow import parquet

    for folder, rows in (
        ("corpus", [{"_id": "d", "text": "x"}]),
        ("queries", [{"_id": "q", "text": "x"}]),
        ("qrels", [{"query-id": "q", "corpus-id": "d", "score": 1}]),
    ):
        (tmp_path / folder).mkdir()
        for name in (
            ("test-00000-of-00002-aa.parquet", "test-00000-of-00002-bb.parquet")
            if folder == "qrels"
            else ("test.parquet",)
        ):
            parquet.write_table(pa.Table.from_pylist(rows), tmp_path / folder / name)
    with pytest.raises(DataError, match="holds the shards 00000, 00000 of 'test', expected each of 2 once"):
        read_folder(tmp_path)


def test_only_we_say_that_ids_are_escaped(tmp_path: Path) -> None:
    """A tag that looks so is changed, an empty one gets a name, and ids come back as they were."""
    run = Run.from_mapping({"q": {"a%20b": 1.0}})
    for tag in ("x+escaped-ids", ""):
        write_trec_run(run, tmp_path / "r", tag=tag)
        assert read_trec_run(tmp_path / "r") == {"q": {"a%20b": 1.0}}


def test_links_inside_a_folder_lead_nowhere_else(cli, tmp_path: Path) -> None:
    """A folder of the project whose files are links out of it is refused as the folder itself would be."""
    project, outside = tmp_path / "project", tmp_path / "outside"
    write_folder(PAIR, project / "eval")
    outside.mkdir()
    (project / "v").mkdir()
    for side, ids in (("documents", PAIR.corpus.ids), ("queries", PAIR.queries.ids)):
        np.save(outside / f"{side}.npy", np.eye(2))
        (outside / f"{side}.ids").write_text("".join(f"{name}\n" for name in ids))
        for suffix in ("npy", "ids"):
            (project / "v" / f"{side}.{suffix}").symlink_to(outside / f"{side}.{suffix}")
    (project / "limitbench.toml").write_text(
        'version = 1\n[workload.w]\nqrels = "eval/qrels/test.tsv"\ncorpus = "eval/corpus.jsonl"\nqueries = "eval/queries.jsonl"\n[retriever.r]\n'
        'kind = "other"\n[retriever.r.measure]\nmodel = "vectors:v"\n[[gate]]\nworkload = "w"\nretriever = "r"\nmetric = "Recall@1"\nmin = 0.1\n'
    )
    code, out, _ = cli("check", "--config", project, "--tier", "full", "--select", "LB3,LB9", "--json")
    assert (code, any("leads out of" in f["message"] for f in json.loads(out)["findings"])) == (3, True)


def test_a_run_of_100_is_100_deep_with_its_own_document(tmp_path: Path) -> None:
    """A query's own document may be one of the file's 100, and Recall@100 is told all the same, as BEIR does."""
    ids = [f"d{i}" for i in range(120)]
    data = dataset({d: f"text {d}" for d in ids}, {"d0": "text d0"}, {"d0": {"d5": 1}}, ignore_identical_ids=True)
    (tmp_path / "run").write_text("".join(f"d0 Q0 {d} 0 {100 - i} x\n" for i, d in enumerate(ids[:100])))
    assert imported(data, tmp_path / "run", "x", measures="Recall@100").measures["Recall@100"].mean == 1.0


def test_ids_that_are_just_numbers_are_no_notice(tmp_path: Path) -> None:
    """Queries and documents that share numbers and no text do not find themselves, and are not told to be left out."""
    corpus = "".join(f'{{"_id": "{i}", "text": "document {i}"}}\n' for i in range(3))
    queries = "".join(f'{{"_id": "{i}", "text": "question {i}"}}\n' for i in range(3))
    folder = write_beir(
        tmp_path / "n", corpus, queries, "query-id\tcorpus-id\tscore\n" + "".join(f"{i}\t{i}\t1\n" for i in range(3))
    )
    assert read_folder(folder).notes == ()


class Shuffled(Constant):
    """A retriever whose run is in another order than it was asked."""

    def index(self, corpus, progress=None):
        made = ConstantIndex(corpus)
        made.ids = corpus.ids[::-1]
        return made


class Nothing(Constant):
    """A retriever whose search gives nothing."""

    def index(self, corpus, progress=None):
        made = ConstantIndex(corpus)
        made.search = lambda *_args: None
        return made


class OddCard(Constant):
    """A retriever whose card is no table."""

    card = "hello"


def test_adapters_that_break_the_contract_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """A run in another order, no run at all, a card that is no table, measures of another shape: each is a LimitbenchError."""
    from limitbench.measures import Measure

    data = load("graph-petersen")
    for by, says in ((Shuffled(), "in another order"), (Nothing(), "search gave NoneType"), (OddCard(), "failed")):
        with pytest.raises(RetrievalError, match=says):
            evaluate(data, by, measures="Recall@2")
    for odd in (Measure("Bogus", 10), Measure("Recall", 0), Measure("Recall", "10")):
        with pytest.raises(LimitbenchError, match="found the measure"):
            evaluate(data, "bm25", measures=[odd])
    with pytest.raises(SpecError, match="no option 'reuse'"):
        retriever("endpoint:m,reuse=all")


# the inputs of the bug reports themselves ----------------------------------------------------------------------------------


CASES = Path(os.environ.get("LIMITBENCH_CASES") or ROOT.parent / "shared" / "cases")
VALUES = {
    "bf16": ("beir", "vectors:{}/v", 1.0), "bm25tok": ("beir", "bm25", 1.0), "cjk": ("beir", "bm25", 1.0),
    "custom": ("beir", "dense:{}/model,trust_remote_code=true", 0.875), "euclid": ("beir", "dense:{}/model", 1.0),
    "formats-hf_parquet": ("", "bm25", 1.0), "formats-id_key": ("", "bm25", 1.0), "pct": ("beir", "bm25", 1.0),
    "router": ("beir", "dense:{}/router_strict", 1.0), "tsvquote": ("beir", "bm25", 1.0),
}  # fmt: skip


@pytest.mark.parametrize("case", VALUES)
def test_a_reported_case_has_its_right_value(case: str, tmp_path: Path) -> None:
    """Recall@1 as the case's README says."""
    folder, spec, value = VALUES[case]
    if not (CASES / case).is_dir():
        pytest.skip("needs the reported cases: set LIMITBENCH_CASES to their folder")
    if "dense" in spec:
        needs_models()
    place = shutil.copytree(CASES / case, tmp_path / case, copy_function=shutil.copyfile)
    assert recall(read_folder(place / folder), spec.format(place)) == pytest.approx(value)


def test_qrels_in_text_are_read_as_they_stand(tmp_path: Path) -> None:
    """Reading qrels and runs keeps every character of an id that is no blank."""
    (tmp_path / "q").write_text("a%20b 0 c%2Fd 1\n")
    assert read_qrels(tmp_path / "q") == {"a%20b": {"c%2Fd": 1}}
    (tmp_path / "r").write_text("a%20b Q0 c%2Fd 1 2 x\n")
    assert read_run_file(tmp_path / "r").scores == {"a%20b": {"c%2Fd": 2.0}}


def test_no_query_pays_for_what_identifies_the_model(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files, libraries and code are looked at once an index, not once a query, where they cost more than small models."""
    from limitbench.collection import Corpus, Queries
    from limitbench.retrievers import dense, retriever

    asked, found = [], dense.environment
    monkeypatch.setattr(dense, "environment", lambda engine: (asked.append(engine), found(engine))[1])
    index = retriever("wordllama").retriever.index(Corpus(("a", "b"), ("one text", "another")))
    for text in ("one", "another", "text"):
        index.search(Queries((text,), (text,)), 1)
    assert len(asked) == 1
