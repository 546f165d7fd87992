"""Vectors in every dtype and index, the embedding cache, fusion, reranking and late interaction."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import embedding_answer, examples
from hypothesis import given
from hypothesis import strategies as st

from limitbench import load
from limitbench.collection import Corpus, Queries
from limitbench.datasets import read_folder
from limitbench.errors import InputError, SpecError, UnknownName
from limitbench.evaluation import Options, evaluate, sweep
from limitbench.measures import parse_measures, score
from limitbench.rankings import Run
from limitbench.relevance import Qrels
from limitbench.results import Store
from limitbench.retrievers import retriever
from limitbench.retrievers.best_columns import best
from limitbench.retrievers.cache import EmbeddingCache
from limitbench.retrievers.hybrid import mean_ranks, normalised
from limitbench.retrievers.vectors import DTYPES, Storage, VectorIndex, truncated


def unit(seed: int, n: int, d: int) -> np.ndarray:
    x = np.random.default_rng(seed).standard_normal((n, d)).astype(np.float32)
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def names(prefix: str, n: int) -> tuple[str, ...]:
    return tuple(f"{prefix}{i}" for i in range(n))


# ---------------------------------------------------------------------------------------------------------------- storage


def test_half_floats_round_as_torch_does() -> None:
    """bf16 and fp16 keep what torch's conversions keep, bit for bit."""
    torch = pytest.importorskip("torch", reason="needs limitbench[models]")
    x = np.concatenate([unit(0, 200, 33).ravel(), np.float32([0, -0.0, 1e-30, 6e-8, 1, 65504])]).reshape(-1, 1)
    for dtype, kind in (("bf16", torch.bfloat16), ("fp16", torch.float16)):
        theirs = torch.from_numpy(x.copy()).to(kind).float().numpy()
        assert np.array_equal(Storage.fitted(dtype, x)(x), theirs)


def test_int8_shares_the_documents_ranges() -> None:
    """int8 is an affine code by coordinate: within half a step inside the documents' ranges, clipped outside, for queries too."""
    v = unit(1, 500, 16)
    kept = Storage.fitted("int8", v)
    assert (np.abs(kept(v) - v) <= kept.step * 0.5001).all()
    assert len(np.unique(kept(v)[:, 0])) <= 256
    assert (kept(10 * v) <= v.max(0) + 1e-6).all()
    assert np.allclose(kept(kept(v)), kept(v), atol=1e-6)


def test_binary_is_hamming_and_ties_are_honest() -> None:
    """Binary scores are dimensions less twice the Hamming distance; equal ones are ties, and the measures say so."""
    v, u = unit(2, 100, 16), unit(3, 20, 16)
    index = VectorIndex.built(names("d", 100), v, dtype="binary")
    assert index.nbytes == 100 * 16 // 8
    run = index.search(u, names("q", 20), 5)
    hamming = ((u < 0)[:, None, :] != (v < 0)[None]).sum(2)
    for q in range(20):
        for document, value in run.row(q):
            assert value == 16 - 2 * hamming[q, int(document[1:])]
    assert (np.diff(run.indptr) > 5).any()
    qrels = Qrels.from_sets([[int(np.argmin(row))] for row in hamming], 100)
    found = score(run, qrels, parse_measures("Recall@5"))["Recall@5"].means()
    assert found["worst"] < found["mean"] < found["best"]


@given(st.integers(0, 99), st.sampled_from(DTYPES))
@examples(20)
def test_rotating_both_sides_by_a_permutation_changes_nothing(seed: int, dtype: str) -> None:
    """Permuting coordinates of documents and queries alike leaves every run as it is."""
    v, u = unit(seed, 30, 8), unit(seed + 1, 5, 8)
    order = np.random.default_rng(seed).permutation(8)
    one, two = (
        VectorIndex.built(names("d", 30), a, dtype=dtype).search(b, names("q", 5), 4)
        for a, b in ((v, u), (v[:, order], u[:, order]))
    )
    for q in range(5):
        assert dict(one.row(q)) == pytest.approx(dict(two.row(q)), abs=1e-5)


def test_truncation_is_renormalised() -> None:
    """The first coordinates, of length 1 again where the similarity is the cosine; a zero vector stays zero."""
    x = unit(4, 10, 8)
    assert np.allclose(np.linalg.norm(truncated(x, 3, True), axis=1), 1)
    assert np.array_equal(truncated(x, 3, False), x[:, :3])
    assert not truncated(np.zeros((1, 4), np.float32), 2, True).any()


# ----------------------------------------------------------------------------------------------------------------- search


def test_exact_sets_are_those_of_faiss_and_torch() -> None:
    """Chunked exact search, faiss Flat and torch find identical sets."""
    torch = pytest.importorskip("torch", reason="needs limitbench[models]")
    pytest.importorskip("faiss", reason="needs limitbench[ann]")
    v, u = unit(5, 5000, 64), unit(6, 100, 64)
    ours, flat = (
        VectorIndex.built(names("d", 5000), v, kind=kind).search(u, names("q", 100), 20) for kind in ("exact", "flat")
    )
    theirs = torch.topk(torch.from_numpy(u) @ torch.from_numpy(v).T, 20).indices.tolist()
    for q in range(100):
        expected = {f"d{i}" for i in theirs[q]}
        assert {d for d, _ in ours.row(q)} == {d for d, _ in flat.row(q)[:20]} == expected


@pytest.mark.parametrize("kind", ["flat", "hnsw", "ivf", "pq", "sq8"])
def test_approximate_indexes_report_their_gap(kind: str) -> None:
    """Each kind of faiss index searches, knows its size and how much of exact search it finds."""
    pytest.importorskip("faiss", reason="needs limitbench[ann]")
    v, u = unit(7, 2000, 32), unit(8, 50, 32)
    index = VectorIndex.built(names("d", 2000), v, kind=kind)
    assert index.nbytes > 0
    found = index.gap(u, 10)
    assert found == 1.0 if kind == "flat" else 0.2 < found <= 1.0
    assert all(len(index.search(u, names("q", 50), 10).row(q)) >= 10 for q in range(50))


@pytest.mark.parametrize("repeats", [1, 3])
def test_search_on_a_device_is_exact_search(repeats: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The way that CUDA takes gives the runs of the way that the CPU takes, in chunks, ties across the cut included."""
    pytest.importorskip("torch", reason="needs limitbench[models]")
    from limitbench.retrievers import vectors

    monkeypatch.setattr(vectors, "_ENTRIES", 1000)
    v, u = np.repeat(unit(10, 100, 8), repeats, axis=0), unit(11, 30, 8)
    ids = names("d", len(v))
    index = VectorIndex.built(ids, v)
    for depth in (1, 10, len(v) - 1, 2 * len(v)):
        there = Run.concatenate(index._on_device(u, names("q", 30), depth, lambda *_: None))
        here = index.search(u, names("q", 30), depth)
        for q in range(30):
            assert dict(there.row(q)) == pytest.approx(dict(here.row(q)), abs=1e-6)


def test_search_on_cuda() -> None:
    """Documents sent to CUDA are searched there, with the CPU's result."""
    torch = pytest.importorskip("torch", reason="needs limitbench[models]")
    if not torch.cuda.is_available():
        pytest.skip("needs CUDA")
    v, u = unit(12, 20_000, 64), unit(13, 50, 64)
    there, here = (
        VectorIndex.built(names("d", 20_000), v, device=device).search(u, names("q", 50), 20)
        for device in ("cuda", "cpu")
    )
    assert [set(dict(there.row(q))) for q in range(50)] == [set(dict(here.row(q))) for q in range(50)]


def test_ties_across_the_cut_are_all_kept() -> None:
    """Repeated documents at the cut all stay, whichever way the top was found."""
    v = np.repeat(unit(9, 4, 6), 5, axis=0)
    run = VectorIndex.built(names("d", 20), v).search(v[:1], ("q",), 3)
    assert {d for d, _ in run.row(0)} == {"d0", "d1", "d2", "d3", "d4"}
    assert len(best(np.zeros((1, 50), np.float32), ("q",), names("d", 50), 3).row(0)) == 50


def test_unknown_kinds_are_named() -> None:
    """A wrong dtype or index, and too few documents to train on, are said with what is allowed."""
    v = unit(0, 8, 4)
    with pytest.raises(SpecError, match="expected one of fp32, bf16"):
        VectorIndex.built(names("d", 8), v, dtype="int4")
    with pytest.raises(SpecError, match="expected one of exact, flat"):
        VectorIndex.built(names("d", 8), v, kind="annoy")
    pytest.importorskip("faiss", reason="needs limitbench[ann]")
    with pytest.raises(SpecError, match="use index=flat"):
        VectorIndex.built(names("d", 8), v, kind="pq")


# ------------------------------------------------------------------------------------------------------------------ cache


@pytest.fixture
def kept(tmp_path: Path) -> EmbeddingCache:
    return EmbeddingCache(tmp_path / "embeddings", 10**9)


def rows_of(texts) -> np.ndarray:
    return np.array([[len(text), ord(text[0])] for text in texts], np.float32)


def never(_texts):
    raise AssertionError("encoded again")


def test_what_was_encoded_is_not_encoded_again(kept: EmbeddingCache) -> None:
    """The same model, prompt and texts come from the cache; anything else does not."""
    made, there = kept.rows({"weights": "a", "prompt": ""}, ["x", "yy"], rows_of)
    again, found = kept.rows({"weights": "a", "prompt": ""}, ["x", "yy"], never)
    assert (there, found) == (False, True)
    assert np.array_equal(made, again)
    for identity, texts in (
        ({"weights": "b", "prompt": ""}, ["x", "yy"]),
        ({"weights": "a", "prompt": "q: "}, ["x", "yy"]),
        ({"weights": "a", "prompt": ""}, ["yy", "x"]),
    ):
        assert kept.rows(identity, texts, rows_of)[1] is False


@pytest.mark.parametrize("harm", ["truncated", "altered", "empty", "another's"])
def test_a_broken_file_is_made_again(kept: EmbeddingCache, harm: str) -> None:
    """A file cut off, altered, empty or of other texts is noticed and replaced; the rows are right."""
    kept.rows({}, ["x", "y"], rows_of)
    ((path, _, _),) = kept.files()
    raw = path.read_bytes()
    other = EmbeddingCache(kept.folder.parent / "other", 10**9)
    other.rows({}, ["a", "b"], rows_of)
    broken = {
        "truncated": raw[:-40],
        "altered": raw[:130] + bytes([raw[130] ^ 1]) + raw[131:],
        "empty": b"",
        "another's": other.files()[0][0].read_bytes(),
    }
    path.write_bytes(broken[harm])
    found, there = kept.rows({}, ["x", "y"], rows_of)
    assert (there, found.tolist()) == (False, rows_of(["x", "y"]).tolist())
    assert kept.rows({}, ["x", "y"], never)[1] is True


def test_the_cache_is_bounded(kept: EmbeddingCache) -> None:
    """Pruning removes what was used longest ago until the rest fits."""
    for number, text in enumerate("abcd"):
        kept.rows({}, [text], rows_of)
        for path, _, _ in kept.files():
            if path.stat().st_mtime > 1e9:
                os.utime(path, (number, number))
    size = kept.files()[0][1]
    assert kept.prune(2 * size) == (2, 2 * size)
    assert kept.rows({}, ["d"], never)[1] is True
    assert kept.rows({}, ["a"], rows_of)[1] is False


def test_a_cache_that_cannot_be_written_costs_nothing_but_time(tmp_path: Path) -> None:
    """A file in the way of the folder does not stop an encode."""
    (tmp_path / "f").write_text("")
    made, there = EmbeddingCache(tmp_path / "f" / "x", 10**9).rows({}, ["x"], rows_of)
    assert (made.tolist(), there) == (rows_of(["x"]).tolist(), False)


def test_cache_size_is_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    """LIMITBENCH_EMBEDDINGS_GB takes a number; 0 turns the cache off."""
    monkeypatch.setenv("LIMITBENCH_EMBEDDINGS_GB", "much")
    with pytest.raises(InputError, match="expected a number of gigabytes"):
        EmbeddingCache.default()
    monkeypatch.setenv("LIMITBENCH_EMBEDDINGS_GB", "0")
    assert EmbeddingCache.default().rows({}, ["x"], rows_of)[1] is False


def _write_both(folder: str, count: int) -> None:
    cache = EmbeddingCache(Path(folder), 10**9)
    for i in range(count):
        found, _ = cache.rows({}, [f"text {i}"], rows_of)
        assert found.tolist() == rows_of([f"text {i}"]).tolist()


def test_two_processes_share_a_cache(tmp_path: Path) -> None:
    """Two processes that encode the same texts at once both get the right rows."""
    context = multiprocessing.get_context("spawn")
    both = [context.Process(target=_write_both, args=(str(tmp_path), 60)) for _ in range(2)]
    for process in both:
        process.start()
    for process in both:
        process.join(60)
        assert process.exitcode == 0
    assert len(EmbeddingCache(tmp_path, 10**9).files()) == 60


@pytest.mark.process
def test_a_killed_encode_goes_on(tmp_path: Path) -> None:
    """Killed in the middle of an encode, the next run takes every finished batch from the cache."""
    pytest.importorskip("sentence_transformers", reason="needs limitbench[models]")
    code = (
        "import sys\nfrom limitbench import load\nfrom limitbench.retrievers import retriever\n"
        "data = load('pattern-random')\n"
        "def told(stage, done, of):\n    print(done, flush=True)\n"
        "index = retriever('wordllama,batch_size=4').retriever.index(data.corpus, told)\n"
        "print('seen', index.seen['documents_from_cache'], flush=True)\n"
    )  # fmt: skip
    env = {**os.environ, "LIMITBENCH_CACHE": str(tmp_path), "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen([sys.executable, "-W", "ignore", "-c", code], stdout=subprocess.PIPE, text=True, env=env)
    for line in process.stdout:
        if int(line) >= 500:
            break
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=30)
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, env=env, timeout=120
    )
    assert 500 <= int(done.stdout.split()[-1]) < 2000, done.stderr


# ------------------------------------------------------------------------------------------------------------------ sweep


def test_the_probe_keeps_what_it_encodes_and_takes_the_fastest(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every text is encoded once, in order; the batch size with the best rate stays, and so do threads if they help."""
    torch = pytest.importorskip("torch", reason="needs limitbench[models]")
    from limitbench.retrievers import batch_tuning

    clock, asked = [0.0], []
    monkeypatch.setattr(batch_tuning.time, "perf_counter", lambda: clock[0])
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    before = torch.get_num_threads()

    def encode(texts, size):
        asked.append((size, len(texts)))
        clock[0] += len(texts) * (1 if size == 64 else 2) * (0.5 if torch.get_num_threads() == 1 else 1)
        return np.array([[float(text)] for text in texts], np.float32)

    torch.set_num_threads(2)
    try:
        texts = [str(i) for i in range(256)]
        chosen = batch_tuning.BatchTuner()
        assert chosen.encode(texts, encode, on_cpu=True).ravel().tolist() == list(range(256))
        assert chosen.encode(texts, encode, on_cpu=True).ravel().tolist() == list(range(256))
        assert (chosen.facts["batch_size"], chosen.facts["threads"], torch.get_num_threads()) == (64, 1, 2)
        assert asked[-1] == (64, 256)
        assert set(chosen.facts["probe_characters_per_second"]) == {
            "batch 16", "batch 32", "batch 64", "batch 64, 1 threads"
        }  # fmt: skip
    finally:
        torch.set_num_threads(before)
    few = batch_tuning.BatchTuner()
    few.encode(texts[:100], encode, on_cpu=True)
    assert (few.size, few.facts) == (None, {"batch_size": 32})
    assert batch_tuning.BatchTuner(8).encode(texts, encode, on_cpu=True).shape == (256, 1)
    assert asked[-1] == (8, 256)


def test_device_and_precision_hold_where_the_spec_is_silent(cli, tmp_path: Path) -> None:
    """--device and --precision reach members and first stages, lose to the spec, mean nothing to BM25, and are checked."""
    pytest.importorskip("sentence_transformers", reason="needs limitbench[models]")
    usual = {"device": "cpu", "precision": "bf16"}
    members = retriever("hybrid:bm25+wordllama", **usual).retriever.configuration["members"]
    assert [members[1][key] for key in usual] == ["cpu", "bf16"]
    first = retriever("rerank:minilm,first=wordllama", **usual).retriever.configuration["first"]
    assert [first[key] for key in usual] == ["cpu", "bf16"]
    assert retriever("wordllama,precision=fp32", **usual).retriever.configuration["precision"] == "fp32"
    assert retriever("bm25", **usual).retriever == retriever("bm25").retriever
    command = ("run", "-d", "graph-petersen", "-r", "wordllama", "-r", "bm25", "--results", tmp_path, "--device", "cpu")
    code, out, _ = cli(*command, "--precision", "bf16", "--json")
    assert (code, len(json.loads(out)["results"])) == (0, 2)
    code, _, err = cli(*command, "--precision", "fp8")
    assert (code, "option 'precision': found 'fp8'" in err) == (2, True)
    code, _, err = cli(*command[:-1], "nowhere", "--fresh")
    assert (code, "found device 'nowhere', expected auto, cpu" in err) == (2, True)


def test_sweep_points_are_separate_runs_of_one_encode(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each point equals an evaluation of its own, and after the first nothing is encoded again."""
    pytest.importorskip("sentence_transformers", reason="needs limitbench[models]")
    monkeypatch.setenv("LIMITBENCH_CACHE", str(tmp_path / "cache"))
    data = load("limit-small-operators")
    measures = parse_measures("Recall@2,10")
    found = list(
        sweep(
            data,
            "wordllama",
            dims=[32, 256],
            dtypes=["fp32", "binary"],
            options=Options(measures=measures, store=Store(tmp_path / "r")),
        )
    )
    assert [(p.dim, p.dtype, p.index) for p, _ in found] == [
        (32, "fp32", "exact"),
        (32, "binary", "exact"),
        (256, "fp32", "exact"),
        (256, "binary", "exact"),
    ]
    assert [r.retriever.facts["documents_from_cache"] for _, r in found] == [0, 46, 46, 46]
    alone = evaluate(data, "wordllama,dim=32,dtype=binary", measures=measures)
    assert found[1][1].measures == alone.measures
    assert alone.measures["Recall@2"].worst < alone.measures["Recall@2"].best
    assert [
        r.configuration_digest
        for _, r in sweep(data, "wordllama", dims=[32], options=Options(measures=measures, store=Store(tmp_path / "r")))
    ] == [found[0][1].configuration_digest]


def test_sweep_command(cli, tmp_path: Path) -> None:
    """The command prints a row a point; JSON has run's schema with dim, dtype and index; wrong points are refused first."""
    pytest.importorskip("sentence_transformers", reason="needs limitbench[models]")
    code, out, err = cli(
        "sweep",
        "-d",
        "graph-petersen",
        "-r",
        "wordllama",
        "--dims",
        "32,full",
        "--dtypes",
        "fp32,int8",
        "--results",
        tmp_path,
        "--json",
    )
    assert code == 0, err
    rows = json.loads(out)["results"]
    assert [(r["dim"], r["dtype"], r["index"]) for r in rows] == [
        (32, "fp32", "exact"),
        (32, "int8", "exact"),
        (256, "fp32", "exact"),
        (256, "int8", "exact"),
    ]
    assert {"dataset", "retriever", "measures", "cost", "provenance"} <= set(rows[0])
    for options, says in (
        (("--dims", "x"), "or full"),
        (("--dtypes", "int3"), "dtype"),
        (("--index", "x"), "index"),
        (("--dims", "0"), "dim"),
    ):
        code, _, err = cli("sweep", "-d", "graph-petersen", "-r", "wordllama", *options, "--results", tmp_path)
        assert (code, says in err, err.count("\n")) == (2, True, 1), err


def test_cache_command(cli) -> None:
    """The cache tells its folder, number and size, and gives back what it holds."""
    code, out, _ = cli("cache", "--json")
    found = json.loads(out)
    assert (code, found["most_bytes"]) == (0, 5 * 10**9)
    code, out, _ = cli("cache", "--prune", "--json")
    assert json.loads(out)["removed_files"] == found["files"]
    assert json.loads(out)["files"] == 0


# ----------------------------------------------------------------------------------------------------------------- fusion


def run_of(rows: list[dict[str, float]], documents: tuple[str, ...]) -> Run:
    return Run.from_mapping({f"q{i}": row for i, row in enumerate(rows)}, document_ids=documents)


def test_mean_ranks_and_scales() -> None:
    """Ties share their mean rank; scores are scaled row by row; equal scores become 1, or 0."""
    run = run_of([{"a": 3.0, "b": 2.0, "c": 2.0, "d": 1.0}, {"a": 5.0, "b": 5.0}], ("a", "b", "c", "d"))
    assert mean_ranks(run).tolist() == [1, 2.5, 2.5, 4, 1.5, 1.5]
    assert normalised(run, "min-max").tolist() == [1, 0.5, 0.5, 0, 1, 1]
    z = normalised(run, "z-score")
    assert (z[:4].mean(), z[:4].std(), z[4:].tolist()) == (pytest.approx(0), pytest.approx(1), [0, 0])
    empty = run_of([{}], ("a",))
    assert len(mean_ranks(empty)) == len(normalised(empty, "min-max")) == len(normalised(empty, "z-score")) == 0


def test_fusion_is_the_formula() -> None:
    """Reciprocal rank fusion and the weighted sum are what their definitions give from the members' runs."""
    data = load("limit-small-operators")
    members = [
        retriever(name).retriever.index(data.corpus).search(data.queries, 1000).run for name in ("bm25", "rank-bm25")
    ]
    fused = retriever("hybrid:bm25+rank-bm25,k=10").retriever.index(data.corpus).search(data.queries, 1000).run
    summed = (
        retriever("hybrid:bm25+rank-bm25,fusion=sum,weights=0.3+0.7")
        .retriever.index(data.corpus)
        .search(data.queries, 1000)
        .run
    )
    for q in (0, 7, 123):
        wanted: dict[str, float] = {}
        wanted_sum: dict[str, float] = {}
        for run, weight in zip(members, (0.3, 0.7), strict=True):
            row = run.row(q)
            values = [value for _, value in row]
            for document, value in row:
                ranks = [i + 1 for i, other in enumerate(values) if other == value]
                wanted[document] = wanted.get(document, 0) + 1 / (10 + sum(ranks) / len(ranks))
                wanted_sum[document] = wanted_sum.get(document, 0) + weight * (value - min(values)) / (
                    max(values) - min(values)
                )
        assert dict(fused.row(q)) == pytest.approx(wanted)
        assert dict(summed.row(q)) == pytest.approx(wanted_sum)


@pytest.mark.parametrize(
    ("spec", "error", "says"),
    [("hybrid:bm25", SpecError, "at least two"), ("hybrid:bm25+bm52", UnknownName, "did you mean 'bm25'"),
     ("hybrid:bm25+random,weights=1", SpecError, "2 weights above 0"), ("hybrid:bm25+random,k=0", SpecError, "option 'k'")],
)  # fmt: skip
def test_wrong_hybrids_are_named(spec: str, error: type[Exception], says: str) -> None:
    """Too few members, unknown members and wrong weights are said before any work."""
    with pytest.raises(error, match=says):
        _ = retriever(spec).retriever.configuration


# ----------------------------------------------------------------------------------------------------------------- rerank


@pytest.mark.slow
def test_reranking_keeps_the_candidates_and_shows_the_ceiling(cli, cross_encoder: Path, tmp_path: Path) -> None:
    """Only candidates come back, by the model's raw scores; the ceiling is that of a perfect order, printed beside the result."""
    data = load("limit-small-operators")
    made = retriever(f"rerank:{cross_encoder},candidates=5").retriever
    index = made.index(data.corpus)
    part = Queries(data.queries.ids[:20], data.queries.texts[:20])
    run = index.search(part, 10).run
    first = retriever("bm25").retriever.index(data.corpus).search(part, 5).run
    for q in range(20):
        assert set(dict(run.row(q))) <= set(dict(first.row(q)))
        assert len(run.row(q)) <= 5
    result = evaluate(data, f"rerank:{cross_encoder},candidates=5", measures="Recall@2,10")
    sets = list(data.qrels.sets())
    whole = retriever("bm25").retriever.index(data.corpus).search(data.queries, 5).run
    found = [
        len({data.corpus.ids[d] for d in sets[q]} & {d for d, _ in whole.row(q)[:5]}) / len(sets[q])
        for q in range(len(sets))
    ]
    assert result.ceiling["Recall@10"].mean == pytest.approx(np.mean(found))
    assert result.measures["Recall@2"].mean <= result.ceiling["Recall@2"].mean
    code, out, err = cli(
        "run", "-d", "limit-small-operators", "-r", f"rerank:{cross_encoder},candidates=5", "--results", tmp_path
    )
    assert (code, "first stage's ceiling" in out) == (0, True), err


def test_depths_are_swept_with_each_pair_scored_once(cli, cross_encoder: Path, tmp_path: Path) -> None:
    """Every depth is the run of its own, with its ceiling; the deepest scores all pairs, the others none."""
    data, spec = load("graph-petersen"), f"rerank:{cross_encoder},first=random"
    found = dict(sweep(data, spec, candidates=[2, 8, 4], options=Options(measures="Recall@2")))
    assert [point.candidates for point in found] == [8, 4, 2]
    scored = [result.retriever.facts["pairs_scored"] for result in found.values()]
    assert scored == [15 * 8, 0, 0]
    for point, result in found.items():
        alone = evaluate(data, f"{spec},candidates={point.candidates}", measures="Recall@2")
        assert (alone.measures, alone.ceiling) == (result.measures, result.ceiling)
        assert result.retriever.configuration["candidates"] == point.candidates
    ceilings = [result.ceiling["Recall@2"].mean for result in found.values()]
    assert ceilings == sorted(ceilings, reverse=True)
    command = ("sweep", "-d", "graph-petersen", "-r", spec, "--candidates", "2,4", "--results", tmp_path)
    code, out, _ = cli(*command)
    assert (code, "Recall@2 ceiling" in out) == (0, True)
    code, out, _ = cli(*command, "--json")
    assert [row["candidates"] for row in json.loads(out)["results"]] == [4, 2]
    assert cli(*command[:-4], "--candidates", "2,x")[0] == 2
    code, _, err = cli(*command, "--dims", "3")
    assert (code, "give the one or the others" in err) == (2, True)


def test_a_wrong_reranker_is_named(tmp_path: Path) -> None:
    """A folder without a model, and an unknown first stage, are said in one sentence."""
    pytest.importorskip("sentence_transformers", reason="needs limitbench[models]")
    with pytest.raises(UnknownName, match="did you mean 'bm25'"):
        _ = retriever(f"rerank:{tmp_path},first=bm52").retriever.configuration
    made = retriever(f"rerank:{tmp_path}").retriever.index(Corpus(("d",), ("Ada likes tea.",)))
    with pytest.raises(Exception, match="cannot be loaded"):
        made.search(Queries(("q",), ("Who likes tea?",)), 1)


# ------------------------------------------------------------------------------------------------------------ late interaction


def test_maxsim_is_its_definition(monkeypatch: pytest.MonkeyPatch) -> None:
    """Scores are the sum of each query token's best document token, whatever the chunks; documents without tokens score 0."""
    from limitbench.retrievers import maxsim as module

    pytest.importorskip("sentence_transformers", reason="needs limitbench[models]")
    rng = np.random.default_rng(0)
    documents = [unit(i, n, 8) for i, n in enumerate(rng.integers(0, 6, 30))]
    queries = [unit(100 + i, n, 8) for i, n in enumerate([3, 0, 5])]
    lengths = [len(x) for x in documents]
    index = module.MaxSimIndex(
        names("d", 30), np.concatenate(documents), np.concatenate([[0], np.cumsum(lengths)]), None
    )
    wanted = np.array([[sum((d @ t).max() for t in q) if len(d) and len(q) else 0 for d in documents] for q in queries])
    for room in (1, 60, 1 << 24):
        monkeypatch.setattr(module, "SIMILARITIES", room)
        assert np.allclose(index.scores(queries), wanted, atol=1e-5)


@pytest.mark.slow
def test_maxsim_agrees_with_the_librarys_evaluator() -> None:
    """sentence-transformers' own multi-vector evaluator reports the same recall on the same vectors."""
    pytest.importorskip("sentence_transformers", reason="needs limitbench[models]")
    from sentence_transformers.multi_vector_encoder.evaluation import MultiVectorInformationRetrievalEvaluator

    from limitbench.retrievers.maxsim import MaxSim
    from limitbench.retrievers.maxsim import load as load_model

    data = load("limit-small-synthetic")
    keep = range(0, 1000, 25)
    sets = list(data.qrels.sets())
    part = Queries(tuple(data.queries.ids[i] for i in keep), tuple(data.queries.texts[i] for i in keep))
    evaluator = MultiVectorInformationRetrievalEvaluator(
        dict(zip(part.ids, part.texts, strict=True)), dict(zip(data.corpus.ids, data.corpus.contents, strict=True)),
        {data.queries.ids[i]: {data.corpus.ids[d] for d in sets[i]} for i in keep}, precision_recall_at_k=[2, 10], show_progress_bar=False,
    )  # fmt: skip
    theirs = evaluator(load_model(MaxSim(model="minilm")).engine)
    run = retriever("minilm-maxsim").retriever.index(data.corpus).search(part, 10).run
    ours = score(run, Qrels.from_sets([sets[i] for i in keep], 46), parse_measures("Recall@2,10"))
    for k in (2, 10):
        (name,) = [key for key in theirs if key.lower().endswith(f"recall@{k}")]
        assert ours[f"Recall@{k}"].mean == pytest.approx(theirs[name], abs=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("spec", "published", "within"),
    [("minilm-maxsim", (96.0, 99.95, 99.95), 0.5), ("minilm,dim=128", (11.15, 38.95, 63.1), 0.3), ("minilm,dim=64", (9.45, 36.75, 59.6), 0.3), ("exact", (100, 100, 100), 0)],
)  # fmt: skip
def test_figures_on_limit_small(limit_small: Path, spec: str, published: tuple[float, ...], within: float) -> None:
    """Late interaction over MiniLM's token states and MiniLM's truncations have the known figures on the real LIMIT-small."""
    pytest.importorskip("sentence_transformers", reason="needs limitbench[models]")
    data = read_folder(limit_small)
    run = retriever(spec).retriever.index(data.corpus).search(data.queries, 20).run
    found = [100 * value.mean for value in score(run, data.qrels, parse_measures("Recall@2,10,20")).values()]
    assert found == pytest.approx(published, abs=within)


@pytest.mark.slow
def test_binary_minilm_has_a_tie_interval(limit_small: Path) -> None:
    """384 bits of MiniLM tie on the real LIMIT-small: recall@2 lies between 10.75 and 12.8, the expected value inside."""
    pytest.importorskip("sentence_transformers", reason="needs limitbench[models]")
    data = read_folder(limit_small)
    run = retriever("minilm,dtype=binary").retriever.index(data.corpus).search(data.queries, 20).run
    found = score(run, data.qrels, parse_measures("Recall@2"))["Recall@2"].means()
    assert 100 * found["worst"] == pytest.approx(10.75, abs=0.3)
    assert 100 * found["best"] == pytest.approx(12.8, abs=0.3)
    assert found["worst"] < found["mean"] < found["best"]


def test_the_oracle_reads_operators() -> None:
    """Exact logic is perfect on operators, and on synonyms where it is told of them; without, it finds nothing."""
    for name, spec, perfect in (
        ("limit-small-operators", "exact", True), ("limit-small-synonyms", "exact,vocabulary=synonyms", True), ("limit-small-synonyms", "exact", False),
    ):  # fmt: skip
        data = load(name)
        run = retriever(spec).retriever.index(data.corpus).search(data.queries, 2).run
        assert (score(run, data.qrels, parse_measures("Recall@2"))["Recall@2"].mean == 1) is perfect


# ------------------------------------------------------------------------------------------------- vectors made elsewhere


def test_precomputed_vectors_are_found_by_id(made_elsewhere: Path) -> None:
    """Vectors come by id, whatever their order and however many more there are; npy and safetensors give the same."""
    data = load("graph-petersen")
    made = retriever(f"vectors:{made_elsewhere}").retriever
    run = made.index(data.corpus).search(data.queries, 2).run
    assert score(run, data.qrels, parse_measures("Recall@2"))["Recall@2"].mean == 1
    order = np.random.default_rng(0).permutation(10)
    np.save(made_elsewhere / "documents.npy", np.concatenate([np.eye(10)[order], np.ones((1, 10))]))
    (made_elsewhere / "documents.ids").write_text("".join(f"{data.corpus.ids[i]}\n" for i in order) + "another\n")
    again = retriever(f"vectors:{made_elsewhere}").retriever
    assert [dict(again.index(data.corpus).search(data.queries, 2).run.row(q)) for q in range(15)] == [
        dict(run.row(q)) for q in range(15)
    ]
    assert again.configuration["vectors"] != made.configuration["vectors"]
    safetensors = pytest.importorskip("safetensors.numpy", reason="needs limitbench[models]")
    tables = {side: np.load(made_elsewhere / f"{side}.npy").astype(np.float16) for side in ("documents", "queries")}
    safetensors.save_file(tables, made_elsewhere / "vectors.safetensors")
    third = retriever(f"vectors:{made_elsewhere}").retriever.index(data.corpus).search(data.queries, 2).run
    assert score(third, data.qrels, parse_measures("Recall@2"))["Recall@2"].mean == 1


@pytest.mark.parametrize(
    ("harm", "says"),
    [
        (lambda p: (p / "queries.npy").unlink(), "queries.npy is missing"),
        (lambda p: (p / "documents.npy").write_bytes(b"x"), "not a whole .npy file"),
        (lambda p: (p / "documents.ids").write_text("a\na\n"), "stands twice"),
        (lambda p: (p / "documents.ids").write_text("a\n"), "found 1 ids for 10 rows"),
        (lambda p: np.save(p / "documents.npy", np.full((10, 10), np.nan)), "row 0, of '.*', holds NaN"),
        (lambda p: np.save(p / "documents.npy", np.zeros(10)), "expected a matrix"),
        (lambda p: (p / "documents.ids").write_text("\n".join(map(str, range(10)))), "10 documents, the first"),
        (lambda p: (p / "vectors.safetensors").write_bytes(b"x" * 9), "not a whole safetensors file"),
    ],
)
def test_broken_vectors_are_named(made_elsewhere: Path, harm, says: str) -> None:
    """Missing, broken, repeated and unmatched vectors and ids are said with the file."""
    harm(made_elsewhere)
    with pytest.raises(Exception, match=says):
        retriever(f"vectors:{made_elsewhere}").retriever.index(load("graph-petersen").corpus)


def test_free_embeddings_are_a_ceiling() -> None:
    """In 4 dimensions free embeddings carry the Petersen graph's edges; they answer that dataset alone, and say what they are."""
    pytest.importorskip("torch", reason="needs limitbench[models]")
    data = load("graph-petersen")
    result = evaluate(data, "free:graph-petersen,dim=4", measures="Recall@2")
    assert (result.measures["Recall@2"].worst, result.retriever.facts["solved"]) == (1, True)
    assert "own qrels" in result.retriever.card["label"]
    with pytest.raises(InputError, match="another corpus"):
        evaluate(load("all-3-of-12"), "free:graph-petersen,dim=4")


def test_learned_sparse_scores_are_the_models(splade: Path) -> None:
    """The inverted index gives the inner products of the model's own term weights."""
    data = load("graph-petersen")
    from limitbench.retrievers.splade import SparseTextEncoder

    made = retriever(f"splade:{splade}").retriever
    run = made.index(data.corpus).search(data.queries, 10).run
    documents, queries = (
        SparseTextEncoder.of(made).weights(texts, side, lambda *_: None).toarray()
        for texts, side in ((data.corpus.contents, "document"), (data.queries.texts, "query"))
    )
    wanted = queries @ documents.T
    for q in range(15):
        for name, value in run.row(q):
            assert value == pytest.approx(wanted[q, data.corpus.ids.index(name)], rel=1e-4)


# --------------------------------------------------------------------------------------------------------------- endpoint


def endpoint(stub, **options) -> str:
    pytest.importorskip("httpx", reason="needs limitbench[endpoint]")
    chosen = {
        "url": stub.url,
        "wait": 0,
        "retries": 2,
        "timeout": 0.5,
        "batch_size": 20,
        "key_env": "STUB_KEY",
        **options,
    }
    return "endpoint:m," + ",".join(f"{key}={value}" for key, value in chosen.items())


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LIMITBENCH_CACHE", str(tmp_path / "cache"))
    return tmp_path


def test_an_endpoint_embeds(stub, own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows are matched by their index, prompts stand first, the key goes into the header and nowhere else."""
    monkeypatch.setenv("STUB_KEY", "secret-key-123")
    stub.answers = [embedding_answer]
    result = evaluate(load("limit-small-operators"), endpoint(stub, query_prompt="q: "), measures="Recall@2")
    assert set(stub.keys) == {"Bearer secret-key-123"}
    assert any(text.startswith("q: Who") for payload in stub.asked for text in payload["input"])
    assert "secret-key-123" not in result.to_json().decode()
    assert not [p for p in own_cache.rglob("*") if p.is_file() and b"secret-key" in p.read_bytes()]
    assert result.retriever.facts["dim"] == 3


TROUBLES = {
    "times out": (("hang", b""), "no answer within 0.5 s, 3 times"),
    "429": ((429, {"error": "slow down"}), "answered 429, 3 times"),
    "500": ((500, b"oops"), "answered 500, 3 times"),
    "not JSON": ((200, b"<html>"), "answered what is not JSON, 3 times"),
}


@pytest.mark.parametrize("trouble", TROUBLES)
def test_troubles_are_tried_again_and_then_said_once(
    cli, stub, own_cache: Path, trouble: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bounded retries, then one clear line without the key; what was encoded before is kept for the next run."""
    monkeypatch.setenv("STUB_KEY", "secret-key-123")
    answer, says = TROUBLES[trouble]
    stub.answers = [embedding_answer, embedding_answer, answer]  # the canary, the first batch of documents, and trouble
    code, out, err = cli("run", "-d", "limit-small-operators", "-r", endpoint(stub), "--results", own_cache / "r")
    assert (code, says in err, "what was encoded is kept" in err) == (2, True, True), err
    assert "secret-key-123" not in out + err
    assert len(stub.asked) == 5
    stub.answers = [embedding_answer]
    code, _, err = cli(
        "run",
        "-d",
        "limit-small-operators",
        "-r",
        endpoint(stub),
        "--results",
        own_cache / "r",
        "--measures",
        "Recall@2",
    )
    assert code == 0, err
    first = stub.asked[1]["input"]
    assert not any(payload["input"] == first for payload in stub.asked[5:])


def test_a_passing_trouble_passes(stub, own_cache: Path) -> None:
    """One 429 and one 503 are waited out; the result is that of an endpoint without them."""
    stub.answers = [lambda _: (429, b"", {"Retry-After": "0"}), (503, b""), embedding_answer]
    troubled = evaluate(load("graph-petersen"), endpoint(stub), measures="Recall@2")
    stub.answers = [embedding_answer]
    assert (
        evaluate(load("graph-petersen"), endpoint(stub, batch_size=19), measures="Recall@2").measures
        == troubled.measures
    )


FINAL = {
    "wrong number of rows": (lambda p: (200, {"data": embedding_answer(p)[1]["data"][1:]}, {}), "expected one row each"),
    "other dimensions": (lambda p: (200, {"data": [{"index": i, "embedding": [1.0] * (4 if len(p["input"]) == 20 else 3)} for i in range(len(p["input"]))]}, {}), "dimensions after 3"),
    "another form": (lambda _: (200, {"embeddings": []}, {}), "another form than OpenAI's"),
    "401 that tells the key": (lambda _: (401, b"bad key secret-key-123", {}), r"answered 401 \(bad key \[key\]\)"),
}  # fmt: skip


@pytest.mark.parametrize("case", FINAL)
def test_wrong_answers_are_not_tried_again(stub, own_cache: Path, case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What trying again cannot mend is said at once."""
    monkeypatch.setenv("STUB_KEY", "secret-key-123")
    answer, says = FINAL[case]
    stub.answers = [answer]
    with pytest.raises(Exception, match=says):
        evaluate(load("limit-small-operators"), endpoint(stub), measures="Recall@2")
    assert len(stub.asked) <= 3


def test_keys_do_not_belong_into_urls() -> None:
    """A URL with a password or a query is refused: options are recorded."""
    pytest.importorskip("httpx", reason="needs limitbench[endpoint]")
    for url in ("https://me:secret@host/v1", "https://host/v1?key=secret", "ftp://host", "host"):
        with pytest.raises(SpecError, match="url"):
            retriever(f"endpoint:m,url={url}")


def test_requests_are_spread_over_the_minute(stub, own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """per_minute bounds the rate: the client sleeps until the next request is due."""
    from limitbench.retrievers import service as module

    pytest.importorskip("httpx", reason="needs limitbench[endpoint]")
    slept = []
    monkeypatch.setattr(module.Service, "_sleep", lambda _, seconds: slept.append(seconds))
    stub.answers = [embedding_answer]
    index = retriever(endpoint(stub, per_minute=6, batch_size=5)).retriever.index(load("graph-petersen").corpus)
    assert index.facts.nbytes == 10 * 3 * 4
    assert sum(wait > 9 for wait in slept) == 2  # after the canary, and between two batches


def test_the_kth_best_is_found_by_blocks() -> None:
    """Looking at blocks first gives the k-th best of a plain partition, with ties, infinities and odd sizes."""
    from limitbench.rankings import _kth_best

    rng = np.random.default_rng(0)
    for n, k in ((1000, 3), (1003, 7), (4097, 10), (64, 5)):
        scores = rng.integers(0, 50, (20, n)).astype(np.float32)
        scores[rng.random((20, n)) < 0.3] = -np.inf
        assert np.array_equal(_kth_best(scores, k)[:, 0], np.sort(scores, axis=1)[:, n - k])


@pytest.mark.parametrize("repeats", [1, 3])
def test_brute_force_by_faiss_is_exact_search(repeats: int) -> None:
    """From 10,000 documents on exact search is faiss's brute force; runs and ties are those of the score matrix."""
    pytest.importorskip("faiss", reason="needs limitbench[ann]")
    v, u = np.repeat(unit(1, 12_000 // repeats, 16), repeats, axis=0), unit(2, 10, 16)
    run = VectorIndex.built(names("d", len(v)), v).search(u, names("q", 10), 5)
    wanted = Run.from_scores(u @ v.T, query_ids=names("q", 10), document_ids=names("d", len(v)), depth=5)
    for q in range(10):
        assert dict(run.row(q)) == pytest.approx(dict(wanted.row(q)), abs=1e-5)
