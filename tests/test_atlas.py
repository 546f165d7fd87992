"""The atlas: brackets of many qrels files, kept and resumed; and the searches that it rests on."""

from __future__ import annotations

import json
import time
from pathlib import Path

import numpy as np
import pytest

from limitbench.certificates import read, verify
from limitbench.errors import DataError, InputError
from limitbench.relevance import Qrels
from limitbench.theory import atlas as module
from limitbench.theory import orders
from limitbench.theory.atlas import as_markdown, atlas, collection_name, qrels_files, read_entries
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
    assert as_markdown(read_entries(tmp_path / "store")).count("\n| ") == 3


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
    assert "| pairs.test | 21 | 7 | 42 | 2 | 4 |" in (tmp_path / "atlas.md").read_text()
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
    with pytest.raises(InputError, match="found no entry"):
        read_entries(tmp_path)
    code, _, err = cli("atlas", tmp_path, "--budget", "soon")
    assert (code, "such as 60s" in err) == (2, True)
    assert collection_name(tmp_path / "qrels.a.b.txt.gz", tmp_path) == "a.b"


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


@pytest.mark.slow
@pytest.mark.skipif(not SHARED.is_dir(), reason="needs the shared qrels, which are not part of the project")
def test_brackets_of_real_judgements_are_no_wider_than_they_were(tmp_path: Path) -> None:
    """The loose ones of a first pass: nfcorpus [3, 134] is at most 60 now, leetcode 6, climate-fever 8; pony exactly 4."""
    for name in ("nfcorpus.test", "leetcode", "climate-fever.test", "pony"):
        (path,) = SHARED.glob(f"*{name}.txt")
        (tmp_path / path.name).write_bytes(path.read_bytes())
    found = {
        entry.name.split("-")[-1]: (entry.lower, entry.upper) for entry in atlas(tmp_path, tmp_path / "s", budget_s=5)
    }
    assert found["nfcorpus.test"][0] >= 3
    assert found["nfcorpus.test"][1] <= 60
    assert found["leetcode"][1] <= 6
    assert found["fever.test"][0] >= 5
    assert found["fever.test"][1] <= 8
    assert found["pony"] == (4, 4)
