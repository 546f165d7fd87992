"""The atlas: brackets of many qrels files, kept and resumed; and the searches that it rests on."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from limitbench.certificates import read, verify
from limitbench.errors import DataError
from limitbench.relevance import Qrels
from limitbench.theory import atlas as module
from limitbench.theory import orders
from limitbench.theory.atlas import as_markdown, atlas, collection_name, qrels_files
from limitbench.theory.matrix import reduce

SHARED = Path(__file__).parents[2] / "shared" / "qrels"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three collections (TREC, TSV in a BEIR folder, graded), a file that is no qrels, one with nothing relevant, a README."""
    home = tmp_path / "qrels"
    (home / "mine" / "qrels").mkdir(parents=True)
    (home / "qrels.pairs.test.txt").write_text(
        "".join(f"q{i}x{j} 0 doc-{d} 1\n" for i in range(7) for j in range(i) for d in (i, j))
    )
    rows = "".join(f"q{i}\tdoc-{i}\t1\n" for i in range(5))
    (home / "mine" / "qrels" / "dev.tsv").write_text("query-id\tcorpus-id\tscore\n" + rows)
    (home / "graded.qrels").write_text("q1 0 doc-a 2\nq1 0 doc-b 1\nq2 0 doc-b 2\nq2 0 doc-c 0\n")
    (home / "broken.txt").write_text("this is no judgement\n")
    (home / "zeros.txt").write_text("q1 0 doc-a 0\n")
    (home / "README.md").write_text("# no qrels\n")
    return home


def test_every_file_gets_a_line_and_certificates(folder: Path, tmp_path: Path) -> None:
    """Values known from theorems, certificates that pass, ids that stay out of what is kept, and what was left out."""
    told: list[str] = []
    found = {entry.name: entry for entry in atlas(folder, tmp_path / "store", budget_s=1, told=told.append)}
    assert list(found) == ["graded", "mine.dev", "pairs.test"]
    assert [(e.lower, e.upper) for e in found.values()] == [(1, 1), (2, 2), (4, 4)]
    assert (found["pairs.test"].queries, found["pairs.test"].documents, found["pairs.test"].widest) == (21, 7, 2)
    assert [line.split()[0] for line in told] == ["broken.txt", "zeros.txt"]
    for entry in found.values():
        listed = read(tmp_path / "store" / entry.certificates)
        assert {c.matrix["sha256"] for c in listed} == {entry.sha256}
    pairs = Qrels.from_sets([(i, j) for i in range(7) for j in range(i)], 7)
    assert all(
        verify(c, pairs) or c.matrix["sha256"] != pairs.relevant.digest
        for c in read(tmp_path / "store" / found["pairs.test"].certificates)
    )
    assert not any("doc-" in path.read_text() for path in (tmp_path / "store").iterdir())
    assert as_markdown(list(found.values())).count("\n| ") == 3


def test_what_is_kept_is_not_computed_again(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same file is read back; more time, another notion, other judgements, a lost certificate and `fresh` compute it."""
    calls = []
    real = module.bracket

    def counted(*args, **kwargs):
        calls.append(args)
        return real(*args, **kwargs)

    monkeypatch.setattr(module, "bracket", counted)
    store = tmp_path / "store"

    def new(**options) -> int:
        calls.clear()
        list(atlas(folder, store, **{"budget_s": 0.2, **options}))
        return len(calls)

    assert (new(), new(), new(budget_s=0.1)) == (3, 0, 0)
    assert new(budget_s=0.3) == 3
    assert new(notion="sign_rank") == 3
    assert new(fresh=True) == 3
    (store / "graded.order_preserving.certificates.json").unlink()
    assert new() == 1
    (folder / "graded.qrels").write_text("q1 0 doc-a 2\nq2 0 doc-b 2\n")
    assert new() == 1
    (store / "graded.order_preserving.json").write_text("{}")
    assert new() == 1
    assert new(min_grade=2) == 0, "the same matrix: both grades of 2"


def test_the_command_writes_a_table_and_goes_on(folder: Path, tmp_path: Path, cli) -> None:
    """`limitbench atlas`: a table, --json, --out, certificates that `verify` accepts with the qrels file."""
    results = tmp_path / "results"
    code, out, err = cli("atlas", folder, "--results", results, "--budget", "1s", "--out", tmp_path / "atlas.md")
    assert code == 0
    assert "pairs.test" in out
    assert "broken.txt is left out" in err
    assert "| pairs.test | 21 | 7 | 42 | 2 | 100% | 4 |" in (tmp_path / "atlas.md").read_text()
    code, out, _ = cli("atlas", folder, "--results", results, "--budget", "1s", "--json")
    entries = json.loads(out)["entries"]
    assert [e["upper"] for e in entries] == [1, 2, 4]
    proof = results / "atlas" / "pairs.test.order_preserving.certificates.json"
    code, out, _ = cli("verify", proof, "--qrels", folder / "qrels.pairs.test.txt")
    assert (code, out.count("accepted")) == (0, len(read(proof)))


def test_folders_without_qrels_are_named(tmp_path: Path, cli) -> None:
    """No folder, an empty one, one with other files, a budget that is none: one line that says what to give."""
    (tmp_path / "notes.txt").write_text("hello world\n")
    with pytest.raises(DataError, match="is no folder"):
        qrels_files(tmp_path / "none")
    with pytest.raises(DataError, match="no qrels file that can be read"):
        list(atlas(tmp_path, tmp_path / "store"))
    code, _, err = cli("atlas", tmp_path, "--budget", "soon")
    assert (code, "such as 60s" in err) == (2, True)
    assert collection_name(tmp_path / "qrels.a.b.txt.gz", tmp_path) == "a.b"


def test_a_worse_bracket_leaves_the_better_one(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`--fresh` with less time, or another process: each side keeps the best that is certified for the same matrix."""
    (good,) = (entry for entry in atlas(folder, tmp_path, budget_s=1) if entry.name == "pairs.test")
    real = module.bracket

    def worse(relevant, notion, *, budget_s):
        found = real(relevant, notion, budget_s=budget_s)
        uppers = [b for b in found.bounds if b.side == "upper"]
        return replace(
            found,
            upper=max(uppers, key=lambda b: b.value),
            lower=min((b for b in found.bounds if b.side == "lower"), key=lambda b: b.value),
        )

    monkeypatch.setattr(module, "bracket", worse)
    (again,) = (entry for entry in atlas(folder, tmp_path, budget_s=1, fresh=True) if entry.name == "pairs.test")
    assert (again.lower, again.upper) == (good.lower, good.upper) == (4, 4)
    pairs = Qrels.from_sets([(i, j) for i in range(7) for j in range(i)], 7)
    claims = {(c.side, c.value) for c in read(tmp_path / again.certificates) if c.matrix["sha256"] == again.sha256}
    assert claims == {("lower", 4), ("upper", 4)}
    assert pairs.n_queries == again.queries


def test_files_of_one_stem_are_two_collections(tmp_path: Path) -> None:
    """a.txt and a.tsv keep an entry each."""
    (tmp_path / "q").mkdir()
    (tmp_path / "q" / "a.txt").write_text("q1 0 d1 1\nq2 0 d2 1\nq3 0 d3 1\n")
    (tmp_path / "q" / "a.tsv").write_text("query-id\tcorpus-id\tscore\nq1\td1\t1\nq1\td2\t1\nq2\td3\t1\n")
    for _ in range(2):
        assert [entry.name for entry in atlas(tmp_path / "q", tmp_path / "s", budget_s=0.2)] == ["a.tsv", "a.txt"]
    assert len(list((tmp_path / "s").glob("*.certificates.json"))) == 2


def test_what_cannot_be_written_is_said_first(
    folder: Path, tmp_path: Path, cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A results folder that is a file, an unknown notion and a grade below 1: exit 2 with a sentence, and nothing is bracketed."""
    monkeypatch.setattr(module, "bracket", None)
    (tmp_path / "file").write_text("")
    for options, says in (
        (("--results", tmp_path / "file"), "file"), (("--notion", "rank"), "notion"), (("--min-grade", "0"), "min-grade"),
        (("--results", tmp_path / "r", "--out", tmp_path / "file" / "x.md"), "file"),
    ):  # fmt: skip
        code, _, err = cli("atlas", folder, *options)
        assert (code, says in err, "internal" in err) == (2, True, False), (options, err)


# orders --------------------------------------------------------------------------------------------------------------------


def test_paths_recover_intervals() -> None:
    """Rows that are intervals of a hidden order: a path of shared rows gets two changes a row, where moves of columns do not."""
    rng = np.random.default_rng(3)
    hidden = rng.permutation(120)
    rows = [sorted(hidden[start : start + 6].tolist()) for start in range(0, 115)]
    reduced = reduce(Qrels.from_sets(rows, 120), complements=True, constants=True)
    order, worst = orders._weighted_paths(reduced.matrix, 1, time.monotonic() + 20, rng)
    assert sorted(order.tolist()) == list(range(120))
    assert worst == 2


def test_weights_even_out_the_changes() -> None:
    """On random rows the worst row gets better with the paths that are tried, and what is told is what the order has."""
    rng = np.random.default_rng(0)
    rows = [rng.choice(80, 12, replace=False).tolist() for _ in range(60)]
    matrix = reduce(Qrels.from_sets(rows, 80), complements=True, constants=True).matrix

    def worst(order: np.ndarray) -> int:
        place = np.empty(80, np.int64)
        place[order] = np.arange(80)
        return int(orders.changes(matrix, place).max())

    first = worst(orders._path(matrix, np.ones(60), np.random.default_rng(0)))
    order, told = orders._weighted_paths(matrix, 1, time.monotonic() + 20, np.random.default_rng(0))
    assert told == worst(order) < first


def test_rows_too_wide_for_pairs_make_no_path(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where rows have more pairs than are kept, the search goes on without paths."""
    monkeypatch.setattr(orders, "_MOST_PAIRS", 10)
    reduced = reduce(Qrels.from_sets([range(9), range(4, 14), (1, 12)], 20), complements=True, constants=True)
    order, worst = orders.best_order(reduced, deadline=time.monotonic() + 1, rng=np.random.default_rng(0))
    assert sorted(order.tolist()) == list(range(reduced.shape[1]))
    assert worst <= 4


# intervals at five seconds, before weighted paths; those of the notes' first pass were wider still: nfcorpus [3, 134]
BEFORE = {
    "arguana.test": (2, 2), "climate-fever.test": (5, 10), "cqadupstack-wordpress.test": (2, 2), "fiqa.test": (2, 2),
    "hotpotqa.test": (2, 4), "nfcorpus.test": (3, 64), "scifact.test": (2, 2), "bright-biology": (2, 2), "bright-leetcode": (2, 3),
    "bright-pony": (4, 4), "cacm": (3, 4), "dl19-passage": (2, 2), "m-beir-edis-task2.test": (2, 4),
    "msmarco-passage.dev-subset": (2, 2),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.skipif(not SHARED.is_dir(), reason="needs the shared qrels, which are not part of the project")
def test_brackets_of_real_judgements_are_no_wider_than_they_were(tmp_path: Path) -> None:
    """All fourteen files at five seconds; nfcorpus is at most 60, leetcode 6, climate-fever 8."""
    found = {entry.name.removeprefix("beir-v1.0.0-"): entry for entry in atlas(SHARED, tmp_path, budget_s=5)}
    assert set(found) == set(BEFORE)
    for name, (low, high) in BEFORE.items():
        assert found[name].lower >= low, name
        assert found[name].upper <= high, name
    assert found["nfcorpus.test"].upper <= 60
    assert found["climate-fever.test"].upper <= 8
