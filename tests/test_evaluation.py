from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from limitbench import evaluate, load
from limitbench.errors import DataError, LimitbenchError, RetrievalError, SpecError, StorageError
from limitbench.evaluation import Options, read_suite, run_all
from limitbench.measures import parse_measures
from limitbench.report import compare, paper, percent, published
from limitbench.results import Means, Result, Store
from limitbench.results.store import read
from limitbench.retrievers import NamedRetriever, RetrieverSpec, retriever


def test_evaluate_names_everything() -> None:
    """A result carries its numbers, per-query values, cost, data digest, versions, hardware and seeds."""
    found = evaluate("limit-small-synthetic", "bm25")
    assert found.measures["Recall@2"].worst <= found.measures["Recall@2"].mean <= found.measures["Recall@2"].best
    assert all(len(values) == 1000 for values in found.per_query.values())
    assert sum(found.per_query["Recall@2"]) / 1000 == pytest.approx(found.measures["Recall@2"].mean, abs=1e-8)
    assert found.dataset.sha256 == load("limit-small-synthetic").digest
    assert found.retriever.configuration["k1"] == 1.5
    assert {"command", "time", "versions", "hardware", "seeds"} <= set(found.provenance)
    assert found.provenance["seeds"] == {"dataset": 0}
    assert found.cost.query_latency_p50_seconds <= found.cost.query_latency_p95_seconds
    assert found.cost.index_bytes > 0
    assert found.evidence == "measured"


def run(store: Store, *names: str, fresh: bool = False, **options):
    return list(run_all(["limit-small-synthetic"], names, options=Options(store=store, fresh=fresh), **options))


def test_equal_configurations_are_reused(tmp_path: Path) -> None:
    """The second run reads the record; --fresh measures again; another option is another record."""
    store = Store(tmp_path)
    (first,), (second,), (third,) = run(store, "bm25"), run(store, "bm25"), run(store, "bm25", fresh=True)
    assert (first.reused, second.reused, third.reused) == (False, True, False)
    assert second.result == first.result
    run(store, "bm25,k1=1.2")
    assert len(list(store)) == 2


def test_record_path_is_the_promised_one(tmp_path: Path) -> None:
    """<results>/<dataset>/<retriever>/<first 12 hex digits>.json."""
    (outcome,) = run(Store(tmp_path), "random")
    assert outcome.result is not None
    name = f"{outcome.result.configuration_digest[:12]}.json"
    assert (tmp_path / "limit-small-synthetic" / "random" / name).is_file()
    assert (
        Result.model_validate_json((tmp_path / "limit-small-synthetic" / "random" / name).read_bytes())
        == outcome.result
    )


def test_interrupted_runs_resume(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was finished before Ctrl-C is reused by the same command."""
    store = Store(tmp_path)

    class Stop:
        configuration = {"adapter": "stop"}
        card: dict[str, str] = {}

        def index(self, corpus, progress):
            raise KeyboardInterrupt

    import limitbench.evaluation.options as evaluation

    real = evaluation.retriever
    with monkeypatch.context() as patched:
        patched.setattr(
            evaluation, "retriever", lambda s, **_usual: NamedRetriever(s, Stop()) if s == "stop" else real(s)
        )
        with pytest.raises(KeyboardInterrupt):
            run(store, "bm25", "stop", "random")
    assert [o.reused for o in run(store, "bm25", "random")] == [True, False]


def test_one_failing_cell_does_not_stop_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An error in one retriever comes back in its outcome, and the next one still runs."""
    made = retriever("random")

    class Broken:
        configuration = {"adapter": "broken"}
        card: dict[str, str] = {}

        def index(self, corpus, progress):
            raise RetrievalError("the model is made of cheese")

    import limitbench.evaluation.options as evaluation

    monkeypatch.setattr(
        evaluation, "retriever", lambda s, **_usual: NamedRetriever(s, Broken()) if s == "broken" else made
    )
    broken, fine = run(Store(tmp_path), "broken", "random")
    assert (str(broken.error), broken.result) == ("the model is made of cheese", None)
    assert fine.result is not None


def test_a_full_disk_loses_no_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A record that cannot be written still comes back, beside the error."""
    monkeypatch.setattr(Store, "write", lambda *_, **__: (_ for _ in ()).throw(StorageError("disk is full")))
    (outcome,) = run(Store(tmp_path), "random")
    assert outcome.result is not None
    assert "disk is full" in str(outcome.error)


def test_a_results_folder_that_cannot_be_written_is_said_first(tmp_path: Path) -> None:
    """The folder is tried before any work."""
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="choose another"):
        run(Store(tmp_path / "file" / "below"), "random")


@pytest.mark.parametrize(
    ("change", "says"),
    [(lambda raw: raw[:50], "not whole JSON"), (lambda raw: b'{"schema_version": 4}', "update limitbench"),
     (lambda raw: b'{"a": 1}', "not a limitbench record"), (lambda raw: raw.replace(b'"depth": 100', b'"depth": "x"'), "depth")],
)  # fmt: skip
def test_broken_records_are_named(tmp_path: Path, change, says: str) -> None:
    """A truncated, newer, foreign or damaged record is an error that names the file, never a silent skip."""
    store = Store(tmp_path)
    run(store, "random")
    (path,) = tmp_path.glob("*/*/*.json")
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(DataError, match=says) as caught:
        list(store)
    assert str(path) in str(caught.value)


def test_records_are_written_once(tmp_path: Path) -> None:
    """Writing an equal configuration again leaves the first record's bytes."""
    store = Store(tmp_path)
    (first,) = run(store, "random")
    assert first.result is not None
    other = first.result.model_copy(update={"provenance": {"command": "another"}})
    path = store.write(other)
    assert read(path) == first.result
    assert read(store.write(other, replace=True)) == other


@pytest.mark.parametrize("name", ["..", "a/b", "./x", "dense:org/model@rev,dim=3", "naïve 模型", "a:b"])
def test_names_become_safe_paths(tmp_path: Path, name: str) -> None:
    """Whatever a dataset or retriever is called, its record lies inside the results folder."""
    path = Store(tmp_path).path(name, name, "0" * 64)
    assert path.resolve().is_relative_to(tmp_path.resolve())
    assert path.relative_to(tmp_path).parts[2:] == ("0" * 12 + ".json",)


def test_suites() -> None:
    """The shipped suites parse, name only datasets of the catalogue, and every retriever of them can be made."""
    from limitbench import catalog

    for name in catalog.names("suites"):
        suite = read_suite(name)
        assert set(suite.datasets) <= set(catalog.names("datasets"))
        for spec in map(RetrieverSpec.parse, suite.retrievers):
            spec.made()
        assert parse_measures(suite.measures or "Recall@2")


def test_bad_suites_are_named(tmp_path: Path) -> None:
    """A suite file that is missing, not TOML or of another shape is answered with what to mend."""
    path = tmp_path / "s.toml"
    with pytest.raises(SpecError, match="cannot be read"):
        read_suite(str(path))
    path.write_text("datasets = [")
    with pytest.raises(SpecError, match="not valid TOML"):
        read_suite(str(path))
    path.write_text('datasets = ["a"]\nretriever = ["b"]\n')
    with pytest.raises(LimitbenchError, match="retriever"):
        read_suite(str(path))


def test_published_rows_are_the_references() -> None:
    """Every published figure shown is the one in results/reference, to the digit."""
    for dataset, table in (("limit-small", "table4_limit_small"), ("limit", "table5_limit_full")):
        rows = published(dataset, all_dims=True)
        assert len(rows) == len(paper()[table])
        for row, entry in zip(rows, paper()[table], strict=True):
            assert (row.system, row.dim) == (entry["model"], entry["dim"])
            for key, value in entry.items():
                if key.startswith("recall@"):
                    assert 100 * row.means[key.replace("recall", "Recall")].mean == pytest.approx(value)


def test_reference_is_the_shared_one() -> None:
    """The shipped reference holds the figures of the shared one, where that is at hand."""
    from conftest import ROOT

    shared = ROOT.parent / "shared" / "reference" / "limit_paper_tables.json"
    if not shared.exists():
        pytest.skip("needs the team's shared reference tables beside the checkout")
    assert json.loads(shared.read_text()) == paper()


def test_comparison_keeps_like_with_like(tmp_path: Path) -> None:
    """Ours and published rows stand in one table, labelled, sorted by the first measure both have."""
    store = Store(tmp_path)
    run(store, "bm25", "random")
    (found,) = compare(store)
    assert found.published_as == "limit-small"
    assert "real limit-small" in found.caption
    assert {row.source for row in found.rows} == {"ours", "published"}
    shown = [row.means["Recall@2"].mean for row in found.rows]
    assert shown == sorted(shown, reverse=True)


def test_percent_shows_ties() -> None:
    """One decimal, and the range where ties move it."""
    assert percent(Means(mean=0.97825, worst=0.9775, best=0.979)) == "97.8 [97.8, 97.9]"
    assert percent(Means(mean=0.5, worst=0.5, best=0.5)) == "50.0"
    assert percent(None) == ""


def test_results_folder_needs_no_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the cache cannot be written, the dataset is used from memory and that is said."""
    if os.geteuid() == 0:
        (tmp_path / "file").touch()
        monkeypatch.setenv("LIMITBENCH_CACHE", str(tmp_path / "file" / "cache"))
    else:
        tmp_path.chmod(0o500)
        monkeypatch.setenv("LIMITBENCH_CACHE", str(tmp_path / "cache"))
    assert len(load("limit-small-synthetic").queries) == 1000


def test_loading_is_told_once_and_indexing_takes_time() -> None:
    """A model that an earlier index loaded is not loaded again, so nothing is taken off the next index's time."""
    pytest.importorskip("sentence_transformers", reason="needs limitbench[models]")
    from limitbench.retrievers.models import POOL

    POOL.clear()
    first, second = (evaluate("graph-petersen", "wordllama,dim=8", measures="Recall@2").cost for _ in range(2))
    assert first is not None
    assert second is not None
    assert first.load_seconds > 0 == second.load_seconds
    assert min(first.index_seconds, second.index_seconds) > 0
