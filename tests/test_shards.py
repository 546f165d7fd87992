"""Search in shards: ids, scores and ties of one search, whatever the number of shards; a corpus encoded once, whatever stops it."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import examples
from hypothesis import given
from hypothesis import strategies as st

from limitbench import evaluate, load, rankings
from limitbench.collection import Corpus, Dataset
from limitbench.datasets import write_folder
from limitbench.errors import DataError, InputError, RetrievalError, SpecError
from limitbench.rankings import Run
from limitbench.relevance import Qrels
from limitbench.retrievers import retriever
from limitbench.retrievers.engines.agreement import shares
from limitbench.retrievers.shard_files import LocalFolder, folder_of
from limitbench.retrievers.sharded import ShardRows, VectorShard, best_products, merged, products, search_vectors
from limitbench.retrievers.shards import MANIFEST, read_manifest


def same(a: Run, b: Run) -> bool:
    """Whether two runs are equal to the bit."""
    return all(np.array_equal(getattr(a, name), getattr(b, name)) for name in ("indptr", "indices", "scores"))


def cut(folder: Path, documents: np.ndarray, edges: list[int]) -> list[VectorShard]:
    """The documents as .npy files with these edges."""
    out = []
    for a, b in zip([0, *edges], [*edges, len(documents)], strict=True):
        name = f"{len(edges)}-{a}-{b}.npy"
        np.save(folder / name, documents[a:b])
        out.append(VectorShard(LocalFolder(folder), name, a, b - a))
    return out


@examples(40)
@given(
    seed=st.integers(0, 2**32), depth=st.integers(1, 30), cuts=st.lists(st.integers(1, 199), max_size=9, unique=True)
)
def test_shards_of_vectors_are_one_search(seed: int, depth: int, cuts: list[int], tmp_path_factory: Any) -> None:
    """With copies of documents, which tie, on both sides of the cut: the run is that of the exact score matrix."""
    rng = np.random.default_rng(seed)
    d = int(rng.integers(1, 70))
    some = (rng.standard_normal((60, d)) * rng.choice([1e-3, 1.0, 1e3])).astype(np.float32)
    documents, queries = some[rng.integers(0, 60, 200)], rng.standard_normal((7, d)).astype(np.float32)
    ids, asked = tuple(map(str, range(200))), tuple(map(str, range(7)))
    found = search_vectors(queries, asked, ids, cut(tmp_path_factory.mktemp("s"), documents, sorted(cuts)), depth)
    exact = np.array([[np.add.reduce(q.astype(float) * x.astype(float)) for x in documents] for q in queries])
    assert same(found, Run.from_scores(exact.astype(np.float32), query_ids=asked, document_ids=ids, depth=depth))


def test_close_scores_are_not_lost_to_rounding(tmp_path: Path) -> None:
    """Documents that differ in their last bits: products in fp32 order them otherwise, the search does not."""
    rng = np.random.default_rng(3)
    base = rng.standard_normal(384).astype(np.float32)
    documents = np.repeat(base[None], 4000, 0)
    documents[np.arange(4000), rng.integers(0, 384, 4000)] *= np.float32(1) + np.float32(2.0**-22)
    queries = rng.standard_normal((5, 384)).astype(np.float32)
    whole = best_products(queries, documents, 50)
    exact = np.array([[np.add.reduce(q.astype(float) * x.astype(float)) for x in documents] for q in queries])
    ids, asked = tuple(map(str, range(4000))), tuple(map(str, range(5)))
    wanted = Run.from_scores(exact.astype(np.float32), query_ids=asked, document_ids=ids, depth=50)
    assert same(merged([whole], asked, ids, 50), wanted)
    parts = (best_products(queries, documents[a : a + 700], 50, a) for a in range(0, 4000, 700))
    assert same(merged(parts, asked, ids, 50), wanted)


@pytest.mark.parametrize("variant", ["lucene", "robertson", "atire", "bm25l", "bm25+"])
@pytest.mark.parametrize("name", ["limit-small-synthetic", "limit-small-operators"])
def test_shards_of_bm25_are_one_index(variant: str, name: str) -> None:
    """Scores to the bit, in ten shards and in more than there are documents."""
    data = load(name)
    whole = retriever(f"bm25,variant={variant}").retriever.index(data.corpus).search(data.queries, 20).run
    for count in (10, 1000):
        made = retriever(f"bm25,variant={variant},shards={count}").retriever
        assert same(made.index(data.corpus).search(data.queries, 20).run, whole)


def test_odd_corpora_of_bm25_in_shards() -> None:
    """No words at all, empty texts, words of one shard alone, unknown words."""
    for texts in (["", ""], ["tea", "", "tea go", "go"], ["!", "tea"]):
        corpus = Corpus(tuple(f"d{i}" for i in range(len(texts))), tuple(texts))
        from limitbench.collection import Queries

        queries = Queries(("a", "b", "c", "e"), ("tea", "go tea tea", "none of it", ""))
        for variant in ("lucene", "bm25l"):
            whole = retriever(f"bm25,variant={variant}").retriever.index(corpus).search(queries, 2).run
            parts = retriever(f"bm25,variant={variant},shards=2").retriever.index(corpus).search(queries, 2).run
            assert same(whole, parts)


def test_one_shard_goes_without_saying() -> None:
    """The digest of records from before there were shards stays."""
    assert "shards" not in retriever("bm25").retriever.configuration
    assert retriever("bm25,shards=3").retriever.configuration["shards"] == 3


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A dataset with its texts in a folder."""
    return write_folder(load("limit-hard"), tmp_path / "data")


def test_a_corpus_is_encoded_once_and_searched_in_shards(cli: Any, folder: Path, tmp_path: Path) -> None:
    """The figures of the retriever itself; what is there is not made again, what is broken is."""
    pytest.importorskip("wordllama", reason="needs limitbench[models]")
    out = tmp_path / "v"
    asked = ("encode", "-d", folder, "-r", "wordllama", "--out", out, "--shard-size", 300, "--json")
    code, said, err = cli(*asked)
    assert code == 0, err
    assert {k: json.loads(said)[k] for k in ("shards", "made", "dim")} == {"shards": 4, "made": 4, "dim": 256}
    data = load(folder)
    plain, parts = (
        evaluate(data, "wordllama", measures="Recall@2,10"),
        evaluate(data, f"shards:{out}", measures="Recall@2,10"),
    )
    assert parts.measures == plain.measures
    assert (parts.retriever.facts["dim"], parts.retriever.facts["shards"]) == (256, 4)
    files = sorted(out.glob("*.npy"))
    before = [path.stat().st_mtime_ns for path in files]
    files[2].write_bytes(files[2].read_bytes()[:1000])
    assert json.loads(cli(*asked)[1])["made"] == 1
    after = [path.stat().st_mtime_ns for path in files]
    assert [a == b for a, b in zip(before, after, strict=True)] == [True, True, False, True]
    digest = evaluate(data, f"shards:{out}", measures="Recall@2").configuration_digest
    other = tmp_path / "w"
    cli("encode", "-d", folder, "-r", "wordllama", "--out", other, "--shard-size", 77)
    assert evaluate(data, f"shards:{other}", measures="Recall@2").configuration_digest == digest


def test_shards_of_another_corpus_or_encoder_are_refused(cli: Any, folder: Path, tmp_path: Path) -> None:
    """Another corpus, another retriever behind the manifest, no manifest, a shard that is gone."""
    pytest.importorskip("wordllama", reason="needs limitbench[models]")
    out, data = tmp_path / "v", load(folder)
    assert cli("encode", "-d", folder, "-r", "wordllama,dim=8", "--out", out)[0] == 0
    with pytest.raises(DataError, match="of another corpus"):
        evaluate(load("limit-small-synthetic"), f"shards:{out}", measures="Recall@2")
    told = json.loads((out / MANIFEST).read_text())
    (out / MANIFEST).write_text(json.dumps({**told, "retriever": {**told["retriever"], "dim": 9}}))
    with pytest.raises(InputError, match="another version or weights"):
        evaluate(data, f"shards:{out}", measures="Recall@2")
    (out / MANIFEST).write_text(json.dumps({**told, "more": 1}))
    with pytest.raises(DataError, match="is no manifest"):
        read_manifest(LocalFolder(out))
    (out / MANIFEST).write_text(json.dumps(told))
    for path in out.glob("*.npy"):
        path.unlink()
    with pytest.raises(DataError, match="encode it again"):
        evaluate(data, f"shards:{out}", measures="Recall@2")
    (out / MANIFEST).unlink()
    with pytest.raises(DataError, match="limitbench encode"):
        evaluate(data, f"shards:{out}", measures="Recall@2")


def test_shards_lie_under_a_url(cli: Any, folder: Path, tmp_path: Path) -> None:
    """Of any file system of fsspec: the figures of a folder; what is there is not made again, what is broken or gone is."""
    fsspec = pytest.importorskip("fsspec", reason="needs limitbench[models]")
    pytest.importorskip("wordllama", reason="needs limitbench[models]")
    from limitbench.evaluation import encode

    data, url = load(folder), f"memory://{tmp_path.name}/v"
    asked = ("encode", "-d", folder, "-r", "wordllama,dim=16", "--shard-size", 300, "--json", "--out")
    by, seen = retriever("wordllama,dim=16"), []
    assert cli(*asked, url)[0] == 2, "it ends with the command"
    encode(data.corpus, by, url, size=300)
    assert cli(*asked, tmp_path / "v")[0] == 0
    remote, local = (evaluate(data, f"shards:{at}", measures="Recall@2") for at in (url, tmp_path / "v"))
    assert (remote.measures, remote.configuration_digest) == (local.measures, local.configuration_digest)
    store, names = fsspec.filesystem("memory"), [one.file for one in read_manifest(folder_of(url)).shards]
    path = f"{tmp_path.name}/v/"
    store.pipe_file(path + names[1], store.cat_file(path + names[1])[:-4])
    store.pipe_file(path + names[2], b"no array")
    store.rm_file(path + names[3])
    for name in names[1:]:
        assert folder_of(url).shape(name) is None
        with pytest.raises(DataError, match="encode it again"):
            folder_of(url).vectors(name)
    encode(data.corpus, by, url, size=300, told=lambda done, _of, there: seen.append((done, there)))
    assert seen == [(1, True), (2, False), (3, False), (4, False)]
    store.pipe_file(path + names[0] + ".json", b'{"side": "docu')
    with pytest.raises(DataError, match="is not whole; delete it"):
        encode(data.corpus, by, url, size=300)
    store.rm_file(path + names[0] + ".json")
    assert not [name for name in store.ls(path, detail=False) if "probe" in name]
    assert evaluate(data, f"shards:{url}", measures="Recall@2").measures == local.measures
    with pytest.raises(DataError, match="limitbench encode"):
        evaluate(data, f"shards:memory://{tmp_path.name}/nothing", measures="Recall@2")


@pytest.mark.parametrize("kind", ["flat", "hnsw", "ivf", "pq", "sq8"])
def test_an_approximate_index_a_shard_has_its_truth_beside_it(kind: str, folder: Path, tmp_path: Path) -> None:
    """Agreement is that of the whole score matrix, which nobody held; a complete scan agrees in all, and has the same figures."""
    pytest.importorskip("faiss", reason="needs limitbench[ann]")
    pytest.importorskip("wordllama", reason="needs limitbench[models]")
    from limitbench.evaluation import encode

    data = load(folder)
    size = 500 if kind == "pq" else 400
    encode(data.corpus, retriever("wordllama,dim=16"), tmp_path / "v", size=size)
    exact, made = (retriever(f"shards:{tmp_path / 'v'}{option}") for option in ("", f",index={kind}"))
    index: Any = made.retriever.index(data.corpus)
    run = index.search(data.queries, 10).run
    told, asked = index.facts, index.encoder.asked(data.queries)
    whole = np.concatenate([shard.rows() for shard in index.shards])
    scores = [products(asked, whole, np.full(len(whole), q), np.arange(len(whole))) for q in range(200)]
    wanted = [shares(run.indices[run.indptr[q] : run.indptr[q + 1]], scores[q], 10) for q in range(200)]
    found = [told.more[name] for name in ("agreement_with_exact", "agreement_by_score")]
    assert found == pytest.approx(np.mean(wanted, axis=0).tolist(), abs=1e-12)
    assert (told.kind, told.more["agreement_at"], told.more["shards"]) == (kind, 10, -(-1000 // size))
    assert (kind == "flat") == (told.more["agreement_with_exact"] == 1.0) or kind in ("hnsw", "sq8")
    if kind == "flat":
        plain, parts = (evaluate(data, by, measures="Recall@2,10").measures for by in (exact, made))
        assert plain == parts
    assert made.retriever.configuration["shards"] == ([500, 500] if kind == "pq" else [400, 400, 200])
    if kind == "pq":
        encode(data.corpus, retriever("wordllama,dim=16"), tmp_path / "w", size=400)
        with pytest.raises(SpecError, match="256 documents of each shard or more, and one has 200"):
            evaluate(data, f"shards:{tmp_path / 'w'},index=pq", measures="Recall@2")
    assert "shards" not in exact.retriever.configuration


@examples(25)
@given(seed=st.integers(0, 2**32), depth=st.integers(1, 40), part=st.sampled_from([None, 0.0, 0.1, 0.6]))
def test_agreement_by_shards_is_that_of_the_whole(
    seed: int, depth: int, part: float | None, tmp_path_factory: Any
) -> None:
    """With ties, doubles, documents that a filter excludes, and fewer documents than asked for; rows are read as of one array."""
    rng = np.random.default_rng(seed)
    some = rng.standard_normal((50, 8)).astype(np.float32)
    documents, queries = some[rng.integers(0, 50, 120)], rng.standard_normal((4, 8)).astype(np.float32)
    rows = ShardRows(cut(tmp_path_factory.mktemp("r"), documents, [1, 40, 90]), 8)
    assert (rows.shape, len(rows), rows.nbytes) == (documents.shape, 120, documents.nbytes)
    for place in (slice(0, 2000), slice(35, 95), slice(100, 3, -7), slice(0, 0), slice(-5, None)):
        assert np.array_equal(rows[place], documents[place])
    assert all(np.array_equal(rows[place], documents[place]) for place in (41, -1, 0))
    among = None if part is None else np.flatnonzero(rng.random(120) < part)
    exact = [products(queries, documents, np.full(120, q), np.arange(120)) for q in range(4)]
    found = [rng.permutation(np.argsort(-scores)[: 2 * depth])[: rng.integers(0, 2 * depth + 1)] for scores in exact]
    wanted = [shares(one, scores, depth, among) for one, scores in zip(found, exact, strict=True)]
    assert rows.agreement(queries, found, depth, among) == wanted


@pytest.mark.parametrize("more", ["", ",filter=0.4"])
def test_an_engine_is_filled_from_shards(more: str, folder: Path, tmp_path: Path) -> None:
    """The figures and the agreement of the same engine over the retriever itself; other measurements of it refuse shards."""
    pytest.importorskip("qdrant_edge", reason="needs limitbench[qdrant-edge]")
    pytest.importorskip("wordllama", reason="needs limitbench[models]")
    from limitbench.evaluation import encode

    data, out = load(folder), tmp_path / "v"
    encode(data.corpus, retriever("wordllama,dim=16"), out, size=300)
    by = f"engine:qdrant-edge,index=flat{more},of="
    plain, parts = (
        evaluate(data, f"{by}{of}", measures="Recall@2,10") for of in ('"wordllama,dim=16"', f"shards:{out}")
    )
    assert plain.measures == parts.measures
    keys = ("agreement_with_exact", "agreement_by_score", "agreement_at", "similarity", "dim")
    assert [parts.retriever.facts[key] for key in keys] == [plain.retriever.facts[key] for key in keys]
    from limitbench.evaluation.engine_runs import Bench

    with pytest.raises(SpecError, match="is for run"):
        Bench.of(data, f"engine:qdrant-edge,of=shards:{out}", sample=5, depth=5, seed=0)
    with pytest.raises(SpecError, match="give dtype and index to the engine"):
        evaluate(data, f'engine:qdrant-edge,of="shards:{out},index=hnsw"', measures="Recall@2")


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("nosuchstore://bucket/v", "Protocol not known: nosuchstore"),
        ("s3://bucket/v", "s3fs"),
        ("http://127.0.0.1:9/v", "check the URL, the network"),
        ("s3://", "expected a store and a folder in it"),
        ("://v", "expected a store and a folder in it"),
        ("ftp://user:secret@host/v", "holds a password"),
        ("s3://bucket/v?token=secret", "holds a password, a query"),
    ],
)
def test_a_store_that_cannot_be_used_is_told_in_a_line(url: str, says: str, cli: Any, folder: Path) -> None:
    """No such store, a package that is missing, an address that does not answer: before anything is encoded."""
    pytest.importorskip("fsspec", reason="needs limitbench[models]")
    if url == "s3://bucket/v" and importlib.util.find_spec("s3fs"):
        pytest.skip("s3fs is installed")
    code, _, err = cli("encode", "-d", folder, "-r", "wordllama", "--out", url)
    assert (code, says in err, err.count("\n"), "secret" in err) == (2, True, 1, False), err


def test_a_check_reads_no_shards_under_a_url() -> None:
    """Not even of this machine's own files: what a check reads is in its project."""
    for spec in ("shards:file:///etc/v", "engine:qdrant-edge,of=shards:local:///etc/v"):
        with pytest.raises(SpecError, match="outside of the project"):
            retriever(spec).retriever.located(lambda value: value)  # type: ignore[attr-defined]  # of an adapter


@pytest.mark.slow
def test_shards_are_searched_as_they_were_encoded(cli: Any, tmp_path: Path) -> None:
    """A label, a device, a precision and a prompt: questions are encoded by the same; texts that are cut are told."""
    pytest.importorskip("sentence_transformers", reason="needs limitbench[models]")
    from limitbench.evaluation import Options, encode

    data = load("limit-small-synthetic")
    for spec, usual in (
        ("ours=minilm,dim=64", {"device": "cpu"}),
        ('minilm,query_prompt="find: "', {"precision": "bf16"}),
    ):
        options = Options(measures="Recall@2,10", **usual)
        by, out = options.retriever(spec), tmp_path / spec[:4]
        encode(data.corpus, by, out, size=46)
        assert (
            evaluate(data, f"shards:{out}", measures="Recall@2,10").measures
            == evaluate(data, by, measures="Recall@2,10").measures
        )
    long = Dataset(
        "long",
        Corpus(("a", "b", "c"), ("tea " * 400, "go", "tea " * 300)),
        data.queries,
        Qrels.from_sets([[0]] * 1000, 3),
    )
    encode(long.corpus, options.retriever("minilm"), tmp_path / "long", size=1)
    found = evaluate(long, f"shards:{tmp_path / 'long'}", measures="Recall@2")
    assert found.notes[0].startswith("2 of 3 documents are longer than")


def test_vectors_with_nan_or_without_bounds_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """NaN and infinity, in documents or queries; products beyond fp32; and ties that do not fit in memory."""
    good = np.ones((5, 3), np.float32)
    bad = good.copy()
    bad[3, 1] = np.nan
    for queries, documents in ((good, bad), (bad, good)):
        with pytest.raises(RetrievalError, match="NaN or infinity"):
            best_products(queries, documents, 2)
    with pytest.raises(RetrievalError, match="larger than fp32 holds"):
        best_products(good * np.float32(1e30), good * np.float32(1e30), 2)
    large = best_products(good * np.float32(1e19), np.concatenate([good, -good]) * np.float32(1e19), 2)
    assert len(large.rows) == 25, "all five tie"
    tiny = np.full((4, 7), 1e-23, np.float32) * np.arange(1, 5, dtype=np.float32)[:, None]
    whole = best_products(tiny, tiny, 1)
    assert same(
        merged([best_products(tiny, tiny[i : i + 1], 1, i) for i in range(4)], "abcd", "abcd", 1),
        merged([whole], "abcd", "abcd", 1),
    )
    monkeypatch.setattr(rankings, "_MOST_ENTRIES", 100_000)
    with pytest.raises(RetrievalError, match="nearly all scores are equal"):
        best_products(np.ones((300, 2), np.float32), np.ones((2_000, 2), np.float32), 10)


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ("bm25", "has no single vectors"),
        ("wordllama,dtype=int8", "not searched exactly in fp32"),
        ("random-tokens,dim=64", "depends on the other texts"),
    ],
)
def test_what_has_no_vectors_in_fp32_is_not_encoded(spec: str, says: str, cli: Any, tmp_path: Path) -> None:
    """One line that names the retriever, and no manifest."""
    pytest.importorskip("wordllama", reason="needs limitbench[models]")
    code, _, err = cli("encode", "-d", "graph-petersen", "-r", spec, "--out", tmp_path / "v")
    assert (code, says in err, (tmp_path / "v" / MANIFEST).exists()) == (2, True, False), err


def test_a_plan_counts_what_is_missing(cli: Any, tmp_path: Path) -> None:
    """Texts, bytes and time grow with the corpus; services are not asked; what is recorded, and what cannot be made, is said."""
    store = tmp_path / "r"
    assert cli("run", "-d", "limit-hard", "-r", "random", "--measures", "Recall@2", "--results", store)[0] == 0
    suite = tmp_path / "s.toml"
    suite.write_text(
        'datasets = ["limit-hard"]\nretrievers = ["bm25", "random", "vectors:./none"]\nmeasures = "Recall@2"\n'
    )
    code, out, err = cli("plan", suite, "--results", store, "--json")
    assert code == 0, err
    told = json.loads(out)
    assert [bool(cell["why"]) for cell in told["cells"]] == [False, True, True]
    assert (told["missing"], told["texts"]) == (1, 2000)
    ten = json.loads(cli("plan", suite, "--results", store, "--json", "--documents", 10_000)[1])
    bm25 = told["cells"][0], ten["cells"][0]
    assert bm25[1]["index_bytes"] == pytest.approx(10 * bm25[0]["index_bytes"], rel=0.01)
    assert ten["missing"] == 2, "of another size, nothing is recorded"
    small = json.loads(cli("plan", "-d", "graph-petersen", "-r", "bm25", "--documents", 1_000_000, "--json")[1])[
        "cells"
    ][0]
    assert small["seconds"] > 1, "ten documents at a rate of tens of thousands a second"
    service = 'endpoint:m,url="http://127.0.0.1:9/v1"'
    assert (
        "asks a service"
        in json.loads(cli("plan", "-d", "graph-petersen", "-r", service, "--json")[1])["cells"][0]["why"]
    )
    plain = cli("plan", suite, "--results", store)[1]
    assert "1 of 3 points to measure: 2,000 texts" in plain
    assert "Cost" not in plain
    large = ("plan", "-d", "limit-hard", "-r", "random", "--documents", 10**9, "--workers", 3, "--price", 2.5)
    paid = json.loads(cli(*large, "--json")[1])
    assert paid["cost"] == pytest.approx(3 * 2.5 * paid["hours"])
    assert "paid until the last point is done" in cli(*large)[1]


def test_runs_without_a_corpus_are_refused() -> None:
    """An empty corpus has no shard."""
    from limitbench.evaluation import encode

    data: Dataset = load("graph-petersen")
    with pytest.raises(InputError, match="at least one document"):
        encode(Corpus((), ()), retriever("random"), Path("nowhere"))
    with pytest.raises(InputError, match="at least one"):
        encode(data.corpus, retriever("random"), Path("nowhere"), size=0)
