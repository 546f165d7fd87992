"""`tune`, `filters`, `churn` and the losses of engines, on vectors whose exact answers NumPy gives."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_engines import unit, vectors_folder

from limitbench import evaluate, load
from limitbench.errors import DataError, InputError, SpecError
from limitbench.evaluation import Options, churn, filters, losses, read_runbook, tune, vector_set, write_vector_set
from limitbench.evaluation.churn import RUNBOOKS, Step, runbook
from limitbench.evaluation.tuning import TuningPoint
from limitbench.results import Store
from limitbench.retrievers.engines import engine_class
from limitbench.retrievers.engines.agreement import PARTS, shares, spread
from limitbench.retrievers.engines.contract import Settings
from limitbench.retrievers.vectors import scores_of

SMALL = "limit-small-synthetic"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """800 documents and 50 questions of 24 dimensions, as a dataset and as vectors."""
    return vectors_folder(tmp_path_factory.mktemp("runs"), unit(800, 24), unit(50, 24, seed=1))


def spec(folder: Path, engine: str = "qdrant-edge", **options: Any) -> dict[str, Any]:
    return {"name": f"engine:{engine}", "of": f"vectors:{folder / 'v'}", **options}


# -------------------------------------------------------------------------------------------------------------- agreement


@pytest.mark.parametrize("similarity", ["dot", "euclidean", "manhattan"])
def test_shares_are_those_of_sets(similarity: str) -> None:
    """Against sorting and sets, with and without a filter; what ties with the last counts."""
    documents, query = unit(200, 8), unit(1, 8, seed=1)[0]
    scores = scores_of(query, documents, similarity)
    best = np.argsort(-scores)
    found = np.r_[best[:7], best[100:103]]
    assert shares(found, scores, 10) == (0.7, 0.7)
    among = np.arange(0, 200, 2)
    of_those = among[np.argsort(-scores[among])]
    assert shares(of_those[:4], scores, 5, among) == (0.8, 0.8)
    assert (
        shares(best[:10], scores, 10, among)[0] == len({*best[:10]} & {*of_those[:10]}) / 10
    )  # intruders do not count
    assert shares(np.empty(0, np.int64), scores, 3) == (0.0, 0.0)
    assert shares(np.array([0, 0, 0]), np.array([3.0, 2.0, 1.0]), 2) == (0.5, 0.5)  # one document, however often
    tied = np.array([1.0, 1.0, 1.0, 0.0])
    assert shares(np.array([2, 1]), tied, 2) == (1.0, 1.0)
    near = np.array([1.0, 1.0 - 1e-9, 0.5])
    assert shares(np.array([1]), near, 1) == (0.0, 1.0)
    assert shares(np.array([], np.int64), near, 1, np.array([], np.int64)) == (1.0, 1.0)


def test_ids_are_spread_evenly() -> None:
    """A tenth passes a filter of a tenth, whatever the ids are."""
    for ids in ([f"d{i}" for i in range(20_000)], [str(i) for i in range(20_000)]):
        assert np.mean(spread(ids) < 100_000) == pytest.approx(0.1, abs=0.01)


# ------------------------------------------------------------------------------------------------------------------- tune


def test_tuning_finds_the_cheapest_setting(folder: Path) -> None:
    """More candidates find more; the target is reached and bisected; every build and setting is a point, with its costs."""
    found = tune(folder / "data", spec(folder), m=(4, 16), ef_construction=(32,), target=0.9, repeats=2, sample=40)
    builds = {tuple(p.build.items()) for p in found.points}
    assert len(builds) == 2
    for build in builds:
        mine = sorted(
            (p for p in found.points if tuple(p.build.items()) == build and not p.repeat), key=lambda p: p.value or 0
        )
        assert mine[-1].found.agreement.mean >= mine[0].found.agreement.mean
        assert mine[-1].effective["ef"] == mine[-1].value
        assert mine[-1].effective["m"] == dict(build)["m"]
    best = found.best
    assert best is not None
    assert best.found.agreement.mean >= 0.9
    assert all(
        p.found.agreement.mean >= 0.9 for p in found.points if (p.build, p.value) == (best.build, best.value)
    )  # in every build of it
    for p in found.points:
        assert 0 < p.found.p50 <= p.found.p95 <= p.found.p99
        assert p.found.agreement.low <= p.found.agreement.mean <= p.found.agreement_by_score.high
        assert p.found.queries == 40
        assert "800 of 800" in p.index_used
    assert found.throughput(0.9) >= best.found.qps
    assert found.throughput(1.01) is None
    assert 0 <= found.spread <= 1
    front = [p for p in found.points if p.on_frontier]
    assert front
    for p in found.points:
        beaten = any(
            o.found.agreement.mean > p.found.agreement.mean and o.found.qps > p.found.qps for o in found.points
        )
        assert not (beaten and p.on_frontier)


def test_a_sample_is_drawn_by_its_seed(folder: Path) -> None:
    """The same seed, the same questions; engines that scan have one point, with nothing to adjust."""
    a, b = (tune(folder / "data", spec(folder, "sqlite-vec"), sample=9, seed=3) for _ in range(2))
    assert [p.found.agreement for p in a.points] == [p.found.agreement for p in b.points]
    (point,) = a.points
    assert (point.name, point.found.queries, point.found.agreement.mean) == (None, 9, 1)


@pytest.mark.parametrize("engine", ["chroma", "milvus"])
def test_batches_are_timed_apart_and_find_the_same(engine: str, folder: Path) -> None:
    """Where a client searches many vectors at once."""
    settings = {"index": "hnsw", "ef": 50}
    made = engine_class(engine)(Settings(**settings))
    documents, queries = unit(300, 24), unit(5, 24, seed=1)
    made.build(documents, "cosine", lambda *_: None)
    together = made.batch(queries, 7)
    for query, (numbers, scores) in zip(queries, together, strict=True):
        alone = made.search(query, 7)
        assert alone[0].tolist() == numbers.tolist()
        assert alone[1] == pytest.approx(scores, abs=1e-6)
    made.close()
    found = tune(folder / "data", spec(folder, engine, index="hnsw"), sample=10, target=0.5)
    assert all(p.found.batch_qps > 0 for p in found.points)


def test_tune_on_the_command_line(folder: Path, cli, tmp_path: Path) -> None:
    """A table, the best, throughputs at agreements, a figure; 1 where the target is out of reach; JSON with all points."""
    place = f"engine:qdrant-edge,of=vectors:{folder / 'v'}"
    code, out, err = cli(
        "tune", "-d", folder / "data", "-r", place, "--sample", 20, "--target", 0.5, "--plot", tmp_path / "a.svg"
    )
    assert code == 0, err
    assert "cheapest for 0.5: " in err
    assert "agreement 0.9: " in err
    assert "ef=10" in out
    assert "<svg" in (tmp_path / "a.svg").read_text()
    assert cli("tune", "-d", folder / "data", "-r", place, "--sample", 5, "--plot", tmp_path / "a.gif")[0] == 2
    told = json.loads(cli("tune", "-d", folder / "data", "-r", place, "--sample", 20, "--repeats", 2, "--json")[1])
    assert {p["repeat"] for p in told["points"]} == {0, 1}
    assert told["provenance"]
    assert told["seed"] == 0
    poor = f"{place},dtype=binary"
    code, _, err = cli("tune", "-d", folder / "data", "-r", poor, "--sample", 20, "--target", 0.99)
    assert (code, "no setting reaches an agreement of 0.99" in err) == (1, True)


def test_a_figure_is_drawn_in_every_format(folder: Path, tmp_path: Path) -> None:
    """Also where all points find everything, and a logit would be infinite."""
    from limitbench.report.tuning import draw

    found = tune(folder / "data", spec(folder, "sqlite-vec"), sample=5, target=1.0)
    for suffix in ("svg", "png", "pdf"):
        draw(found, tmp_path / f"a.{suffix}")
        assert (tmp_path / f"a.{suffix}").stat().st_size > 1000


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"m": (0,)}, "whole numbers from 1 on"), ({"target": 0}, "target 0"), ({"sample": 0}, "sample 0"), ({"depth": 0}, "depth 0"),
        ({"lists": (4,)}, "no setting 'lists'"), ({"repeats": 0}, "0 repeats"),
    ],
)  # fmt: skip
def test_bad_numbers_are_told_before_any_build(options: dict, says: str, folder: Path, monkeypatch) -> None:
    """In one line each."""
    monkeypatch.setattr(engine_class("qdrant-edge"), "build", lambda *_: pytest.fail("it was built"))
    with pytest.raises(InputError, match=says):
        tune(folder / "data", spec(folder), **options)


@pytest.mark.parametrize("by", ["bm25", "engine:tantivy", "wordllama", "engine:qdrant-edge,of=wordllama,filter=0.5"])
def test_what_is_no_engine_of_vectors_is_refused(by: str) -> None:
    """The message says what to give."""
    for measured in (tune, filters, churn):
        with pytest.raises(SpecError, match="is no engine|searches texts|leave out filter"):
            measured(SMALL, by)


def test_the_best_holds_in_every_build() -> None:
    """A setting that reached the target in one build of two is no setting that reaches it."""
    from limitbench.evaluation import Tuning
    from limitbench.evaluation.engine_runs import Searched
    from limitbench.statistics import Interval

    def point(repeat: int, value: int, mean: float, qps: float) -> TuningPoint:
        one = Interval(mean, mean, mean, 0.95)
        return TuningPoint(
            {"m": 8}, repeat, "ef", value, Searched(9, 9, one, one, 0, qps, None, 0.1, 0.1, 0.1), 1, 1, {}, ""
        )

    points = (
        point(0, 10, 0.96, 900),
        point(1, 10, 0.90, 900),
        point(0, 20, 0.97, 500),
        point(1, 20, 0.99, 400),
        point(0, 40, 1, 300),
    )
    found = Tuning("d", "r", 0.95, 0, points, None, None, {})
    assert found.best is not None
    assert (found.best.value, found.best.found.qps) == (20, 400)
    assert found.spread == pytest.approx(0.06)


# ---------------------------------------------------------------------------------------------------------------- filters


@pytest.mark.parametrize("engine", ["sqlite-vec", "qdrant-edge"])
def test_filters_are_compared_with_exact_search_of_what_passes(engine: str, folder: Path) -> None:
    """A scan loses nothing to any filter; the shares of documents are those asked for; near documents are near."""
    found = filters(folder / "data", spec(folder, engine, index="flat"), selectivities=(0.01, 0.3), sample=20)
    assert [(p.kind, p.passing) for p in found.points] == [
        (kind, n) for kind in ("random", "near", "far") for n in (8, 240)
    ]
    assert all(p.found.agreement.mean == 1 for p in found.points)
    assert all(p.found.short == 0 for p in found.points)
    assert found.unfiltered.agreement.mean == 1


def test_a_filter_that_loses_is_seen(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An engine that searches first and filters then gives few rows: agreement falls, and the short ones are counted."""
    kind = engine_class("sqlite-vec")

    def after(self: Any, query: Any, depth: int, below: dict[str, int]) -> Any:
        numbers, scores = self.search(query, depth)
        ((name, bound),) = below.items()
        kept = self.attributes[name][numbers] < bound
        return numbers[kept], scores[kept]

    whole = kind.filtered
    monkeypatch.setattr(kind, "search", lambda self, query, depth: whole(self, query, depth, {}))
    monkeypatch.setattr(kind, "filtered", after)
    found = filters(folder / "data", spec(folder, "sqlite-vec"), selectivities=(0.1,), kinds=("random",), sample=30)
    (point,) = found.points
    assert point.found.agreement.mean < 0.3
    assert point.found.short == 30


def test_filters_on_the_command_line(folder: Path, cli) -> None:
    """A table, JSON, and a gate with three exit codes."""
    given = (
        "filters",
        "-d",
        folder / "data",
        "-r",
        f"engine:sqlite-vec,of=vectors:{folder / 'v'}",
        "--selectivity",
        "0.1",
        "--sample",
        20,
    )
    code, out, _ = cli(*given)
    assert (code, "no filter" in out, "far" in out) == (0, True, True)
    assert len(json.loads(cli(*given, "--json")[1])["points"]) == 3
    assert cli(*given, "--least", 0.5)[0] == 0
    code, _, err = cli(*given, "--least", 0.999)
    assert (code, "not decided by this sample" in err) == (3, True)
    poor = (*given[:4], f"engine:sqlite-vec,of=vectors:{folder / 'v'},dtype=binary", *given[5:])
    assert cli(*poor, "--least", 0.99)[0] == 1
    for more, says in (
        (("--kind", "sideways"), "found kinds"),
        (("--selectivity", "x"), "expected shares"),
        (("--selectivity", "1.5"), "(0, 1)"),
    ):
        code, _, err = cli(*given, *more)
        assert (code, says in err) == (2, True)


# ------------------------------------------------------------------------------------------------------------------ churn


@pytest.mark.parametrize("name", RUNBOOKS)
@pytest.mark.parametrize("engine", ["sqlite-vec", "qdrant-edge"])
def test_churn_is_compared_with_what_is_there(name: str, engine: str, folder: Path) -> None:
    """A scan finds all of what is there after every round; the counts are those of the runbook."""
    found = churn(folder / "data", spec(folder, engine, index="flat"), steps=name, rounds=2, sample=10)
    counts = {"sliding-window": [400, 400, 400], "expiring": [800, 600, 400], "growing": [400, 600, 800]}[name]
    assert [p.documents for p in found.points] == counts
    assert all(p.found.agreement.mean == 1 for p in found.points)
    assert found.rebuilt.agreement.mean == 1
    assert found.points[0].change_seconds > 0


def test_an_engine_that_forgets_inserts_is_seen(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was inserted and not indexed is missing from the answers."""
    insert = engine_class("sqlite-vec").insert

    def forgetful(engine: Any, *given: Any) -> None:
        if not engine.points:  # while it is built
            insert(engine, *given)

    monkeypatch.setattr(engine_class("sqlite-vec"), "insert", forgetful)
    found = churn(folder / "data", spec(folder, "sqlite-vec"), steps="growing", rounds=2, sample=10)
    means = [p.found.agreement.mean for p in found.points]
    assert means[0] == 1 > means[1] > means[2]


def test_runbooks_are_read_in_big_anns_form(tmp_path: Path) -> None:
    """YAML and JSON; a file of several datasets; what is no step is told with its number."""
    text = "msturing:\n  max_pts: 100\n  1:\n    operation: insert\n    start: 0\n    end: 50\n  2:\n    operation: search\n  3:\n    operation: delete\n    start: 0\n    end: 9\n"
    (tmp_path / "a.yaml").write_text(text)
    steps = [Step("insert", 0, 50), Step("search"), Step("delete", 0, 9)]
    assert read_runbook(tmp_path / "a.yaml") == steps
    (tmp_path / "a.json").write_text(
        json.dumps({"1": {"operation": "insert", "start": 0, "end": 50}, "2": {"operation": "search"}})
    )
    assert read_runbook(tmp_path / "a.json") == steps[:2]
    (tmp_path / "two.yaml").write_text(text + text.replace("msturing", "other").replace("50", "60"))
    assert read_runbook(tmp_path / "two.yaml", "other")[0] == Step("insert", 0, 60)
    for content, says in (
        (text + text.replace("msturing", "other"), "name one of them"), ("[1]", "no table of steps"), ("{", "YAML"),
        ('{"1": {"operation": "replace", "start": 0, "end": 1}}', "step 1: found"), ('{"x": {"max_pts": 3}}', "no numbered step"),
    ):  # fmt: skip
        (tmp_path / "bad").write_text(content)
        with pytest.raises(DataError, match=says):
            read_runbook(tmp_path / "bad")


@pytest.mark.parametrize(
    ("steps", "says"),
    [
        ([Step("search")], "begins with an insert"), ([Step("insert", 0, 9)], "has a search"),
        ([Step("insert", 0, 9), Step("insert", 5, 12), Step("search")], "step 2 .*insert of documents that are there"),
        ([Step("insert", 0, 9), Step("delete", 5, 12), Step("search")], "step 2 .*delete of documents that are not there"),
        ([Step("insert", 0, 9000), Step("search")], "there are 800"), ([Step("insert", 3, 9), Step("search")], "expected from 0"),
        ([Step("insert", 0, 9), Step("delete", 0, 9), Step("search")], "search without a document"),
    ],
)  # fmt: skip
def test_runbooks_that_cannot_be_run_are_told_before_a_build(
    steps: list[Step], says: str, folder: Path, monkeypatch
) -> None:
    """With the step's number."""
    monkeypatch.setattr(engine_class("sqlite-vec"), "build", lambda *_: pytest.fail("it was built"))
    with pytest.raises(InputError, match=says):
        churn(folder / "data", spec(folder, "sqlite-vec"), steps=steps)
    with pytest.raises(InputError, match="expected one of sliding-window"):
        runbook("tidal", 800)


def test_churn_on_the_command_line(folder: Path, cli, tmp_path: Path) -> None:
    """A table with the rebuilt index, JSON, a gate, a file."""
    given = ("churn", "-d", folder / "data", "-r", f"engine:sqlite-vec,of=vectors:{folder / 'v'}", "--sample", 10)
    code, out, _ = cli(*given, "--rounds", 2)
    assert (code, "rebuilt" in out) == (0, True)
    (tmp_path / "a.json").write_text(
        json.dumps({"1": {"operation": "insert", "start": 0, "end": 50}, "2": {"operation": "search"}})
    )
    told = json.loads(cli(*given, "--runbook", tmp_path / "a.json", "--json")[1])
    assert [p["documents"] for p in told["points"]] == [50]
    assert cli(*given, "--rounds", 2, "--least", 0.5)[0] == 0
    code, _, err = cli(*given, "--runbook", tmp_path / "nope")
    assert (code, "nope" in err) == (2, True)


# ------------------------------------------------------------------------------------------------------- loss by a filter


@pytest.mark.parametrize(
    ("by", "parts"),
    [
        (
            "engine:qdrant-edge,of=wordllama,dtype=int8,ef=4,m=2,filter=0.3",
            ["model", "engine", "dtype", "index", "filter"],
        ),
        ('engine:sqlite-vec,of="wordllama,dim=64",filter=0.2', ["model", "truncation", "engine", "filter"]),
        ("engine:lancedb,of=wordllama,index=hnsw,dtype=int8", ["model", "engine", "dtype and index"]),
        ("engine:milvus,of=wordllama,index=hnsw,filter=0.1", ["model", "engine", "index", "filter"]),
        ("engine:chroma,of=wordllama,filter=0.5", ["model", "engine and index", "filter"]),
    ],
)
def test_the_parts_of_a_filtered_loss_add_up(by: str, parts: list[str], tmp_path: Path) -> None:
    """Exactly; all parts are of the same questions, and a scan loses nothing by its filter."""
    found = losses(SMALL, by, measure="Recall@2", options=Options(store=Store(tmp_path / "r")))
    assert [part.name for part in found.parts] == parts
    assert sum((part.lost for part in found.parts), Fraction(0)) == found.whole == 1 - found.parts[-1].value
    assert len({part.result.dataset.queries for part in found.parts}) == 1
    if "sqlite-vec" in by:
        assert found.parts[-1].lost == 0
    if "filter" in by:
        share = float(by.rpartition("=")[2])
        passing = int((spread(load(SMALL).corpus.ids) < round(share * PARTS)).sum())
        assert found.parts[-1].result.retriever.facts["pass_the_filter"] == passing
        assert found.parts[0].result.dataset.documents == passing


def test_a_filter_is_an_option_of_engines_that_have_it() -> None:
    """Others refuse it before a text is embedded; shares are between 0 and 1."""
    for by, says in (
        ("engine:tantivy,filter=0.5", "neither filters"), ("engine:weaviate,of=wordllama,filter=0.5", "neither filters"),
        ("engine:sqlite-vec,of=wordllama,filter=1.5", "filter"),
    ):  # fmt: skip
        with pytest.raises(SpecError, match=says):
            evaluate(SMALL, by)
    with pytest.raises(InputError, match="no relevant document passes"):
        losses(SMALL, "engine:sqlite-vec,of=wordllama,filter=0.000002", measure="Recall@2")


# ----------------------------------------------------------------------------------------------------------- vector files


def read_vecs(path: Path, kind: str) -> Any:
    raw = np.fromfile(path, kind)
    width = int(np.fromfile(path, "<i4", 1)[0])
    return raw.reshape(-1, width + 1)[:, 1:]


@pytest.mark.parametrize("similarity", ["cosine", "dot", "euclidean"])
def test_exported_vectors_have_exact_answers(similarity: str, tmp_path: Path) -> None:
    """Read back in every format: the vectors, the nearest by NumPy in fp64, their distances, and margins by their definition."""
    h5py = pytest.importorskip("h5py", reason="needs pip install 'limitbench[hdf5]'")
    scale = 1 if similarity == "cosine" else 3
    documents, queries = scale * unit(90, 12), scale * unit(20, 12, seed=1)
    place = vectors_folder(tmp_path, documents, queries)
    found = vector_set(place / "data", f"vectors:{place / 'v'},similarity={similarity}", depth=10)
    a, b = found.documents.astype(np.float64), found.queries.astype(np.float64)
    scores = -np.linalg.norm(b[:, None] - a, axis=2) if similarity == "euclidean" else b @ a.T
    nearest = np.argsort(-scores, axis=1)[:, :10]
    assert found.neighbours.tolist() == nearest.tolist()
    for q in range(20):  # question q wants document q alone
        assert found.margins[q] == pytest.approx(scores[q, q] - np.delete(scores[q], q).max(), abs=1e-9)
    assert not found.tied.any()
    for form, base, truth, kinds in (
        ("fvecs", "base.fvecs", "groundtruth.ivecs", ("<f4", "<i4")), ("fbin", "base.fbin", "groundtruth.ibin", ("<f4", "<i4")),
    ):  # fmt: skip
        write_vector_set(found, tmp_path / form, form)
        if form == "fvecs":
            assert read_vecs(tmp_path / form / base, kinds[0]).tolist() == found.documents.tolist()
            assert read_vecs(tmp_path / form / truth, kinds[1]).tolist() == nearest.tolist()
        else:
            assert np.fromfile(tmp_path / form / base, "<u4", 2).tolist() == [90, 12]
            assert (
                np.fromfile(tmp_path / form / base, "<f4", offset=8).reshape(90, 12).tolist()
                == found.documents.tolist()
            )
            told = np.fromfile(tmp_path / form / truth, "<i4", 200, offset=8).reshape(20, 10)
            assert told.tolist() == nearest.tolist()
            far = np.fromfile(tmp_path / form / truth, "<f4", offset=8 + 800).reshape(20, 10)
            assert (np.diff(far, axis=1) >= 0).all()
        assert np.load(tmp_path / form / "margins.npy").tolist() == found.margins.tolist()
    if similarity == "dot":
        with pytest.raises(InputError, match="write --format fvecs or fbin"):
            write_vector_set(found, tmp_path / "a.hdf5", "hdf5")
        return
    write_vector_set(found, tmp_path / "a.hdf5", "hdf5")
    with h5py.File(tmp_path / "a.hdf5") as h5:
        assert h5.attrs["distance"] == {"cosine": "angular", "euclidean": "euclidean"}[similarity]
        assert (h5["train"].shape, h5["test"].shape, h5["neighbors"].shape) == ((90, 12), (20, 12), (20, 10))
        assert h5["neighbors"][:].tolist() == nearest.tolist()
        assert (np.diff(h5["distances"][:], axis=1) >= 0).all()


def test_free_embeddings_are_a_stress_test_with_margins(cli, tmp_path: Path) -> None:
    """All margins of solved embeddings are above 0; two equal documents at the cut are told as a tie."""
    given = ("export-vectors", "-d", "graph-petersen", "-r", "free:graph-petersen,dim=6,seconds=20", "--depth", 2)
    code, out, err = cli(*given, "--format", "fvecs", "--out", tmp_path / "v", "--json")
    assert code == 0, err
    told = json.loads(out)
    assert told["answered"] == told["queries"] == 15
    assert told["least_margin"] > 0
    assert cli(*given, "--format", "fvecs", "--out", tmp_path / "v")[0] == 2
    assert cli(*given, "--format", "fvecs", "--out", tmp_path / "v", "--overwrite")[0] == 0
    for more, says in ((("--format", "csv"), "expected one of hdf5"), (("-r", "bm25"), "has not one fp32 vector")):
        code, _, err = cli(*given, "--out", tmp_path / "w", *more)
        assert (code, says in err) == (2, True)
    documents = np.vstack([unit(5, 4), unit(5, 4)[:1]])
    place = vectors_folder(tmp_path / "tied", documents, documents[:1])
    assert vector_set(place / "data", f"vectors:{place / 'v'}", depth=1).tied.tolist() == [True]


def test_reports_and_comparisons_tell_what_an_index_finds(cli, tmp_path: Path) -> None:
    """A column of its own where an approximate index is compared, and none where none is."""
    for spec in ("bm25", "engine:qdrant-edge,of=wordllama,ef=2,m=2"):
        assert cli("run", "-d", SMALL, "-r", spec, "--measures", "Recall@2", "--results", tmp_path / "r")[0] == 0
    code, _, err = cli("report", "--results", tmp_path / "r", "--out", tmp_path / "r.md", "--format", "md")
    assert code == 0, err
    assert "of exact" in (tmp_path / "r.md").read_text()
    rows = json.loads(cli("compare", "--results", tmp_path / "r", "--json")[1])["comparisons"][0]["rows"]
    known = {row["system"]: row["of_exact"] for row in rows if row["source"] == "ours"}
    assert known["bm25"] is None
    assert 0 < known["engine:qdrant-edge,of=wordllama,ef=2,m=2"] <= 1
    assert cli("run", "-d", SMALL, "-r", "bm25", "--measures", "Recall@2", "--results", tmp_path / "b")[0] == 0
    assert cli("report", "--results", tmp_path / "b", "--out", tmp_path / "b.md", "--format", "md")[0] == 0
    assert "of exact" not in (tmp_path / "b.md").read_text()


# ------------------------------------------------------------------------------------------------------------------ mutants


def test_an_engine_that_ignores_filters_or_deletes_is_seen(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Documents that should have been left out take places, and count for nothing; the proof after deletes fails too."""
    kind = engine_class("sqlite-vec")
    whole = kind.filtered
    with monkeypatch.context() as patch:
        patch.setattr(kind, "filtered", lambda self, query, depth, below: whole(self, query, depth, {}))
        found = filters(folder / "data", spec(folder, "sqlite-vec"), selectivities=(0.1,), sample=20)
        assert all(p.found.agreement.mean < 0.9 for p in found.points if p.kind != "near")
    monkeypatch.setattr(kind, "delete", lambda *_: None)
    churned = churn(folder / "data", spec(folder, "sqlite-vec"), steps="expiring", rounds=4, sample=20)
    means = [p.found.agreement.mean for p in churned.points]
    assert means[0] == 1 > means[1] > means[-1]
    monkeypatch.setattr(kind, "delete", lambda self, numbers: setattr(self, "points", self.points - len(numbers)))
    assert not churn(folder / "data", spec(folder, "sqlite-vec"), steps="expiring", rounds=2, sample=5).index.used


def test_what_is_rebuilt_is_what_was_searched_last(folder: Path) -> None:
    """Changes after the last search do not count."""
    steps = [Step("insert", 0, 50), Step("search"), Step("delete", 0, 49)]
    found = churn(folder / "data", spec(folder, "sqlite-vec"), steps=steps, sample=5)
    assert found.points[-1].documents == 50
    assert found.rebuilt.agreement.mean == 1


def test_tuning_goes_on_until_its_target(folder: Path, cli) -> None:
    """Beyond 0.999 where more is asked; at a depth that no value covers, the usual setting is measured."""
    found = tune(folder / "data", spec(folder, m=4, ef_construction=8), target=1.0, sample=30)
    assert max(p.value or 0 for p in found.points) >= 320 or max(p.found.agreement.mean for p in found.points) == 1
    deep = tune(folder / "data", spec(folder), depth=5000, sample=3)
    assert deep.points
    with pytest.raises(InputError, match="1024 at most"):
        tune(folder / "data", spec(folder), m=(100_000_000,))


def test_a_scan_loses_nothing_to_a_filter_though_scores_tie() -> None:
    """Ties across the cut are gathered behind a filter as well."""
    found = losses(SMALL, "engine:sqlite-vec,of=wordllama,dtype=binary,filter=0.5", measure="Recall@2")
    assert found.parts[-1].name == "filter"
    assert found.parts[-1].lost == 0


def test_what_a_client_raises_is_one_line(folder: Path, cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also a full disk, and dimensions that an engine does not take."""
    kind = engine_class("sqlite-vec")
    given = ("filters", "-d", folder / "data", "-r", f"engine:sqlite-vec,of=vectors:{folder / 'v'}", "--sample", 3)

    def failing(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(kind, "search", failing)
    code, _, err = cli(*given)
    assert (code, "found no room on the disk ([Errno 28] No space left" in err) == (2, True)
    code, _, err = cli("filters", "-d", SMALL, "-r", 'engine:sqlite-vec,of="gaussian,dim=9000"')
    assert (code, "9000 dimensions, and it takes 8192" in err) == (2, True)
