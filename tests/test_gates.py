"""The gate table: every gate with its figures, in every format, on green too."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from gallery import BASE, FILES, M, Project, measured, qrels, run

from limitbench.checks import check
from limitbench.checks.config import read_project
from limitbench.checks.ratchet import init

GATE = measured("max_drop = 0.5\nmin = 0.1\n", end=BASE.format(mark=""))


def lost_one() -> str:
    """The perfect run, but for query q0, which gets another document first."""
    lines = run().splitlines(True)
    return "".join(["q0 Q0 d5 1 0.95 prod\n", *lines])


def recorded(folder: Path, config: str = GATE, **now: str) -> Path:
    """A project whose baseline is that of the perfect run; then these files."""
    path = Project(config, files=FILES).write(folder)
    init(read_project(path))
    for name, text in now.items():
        (folder / f"{name}.trec" if name == "run" else folder / f"{name}.tsv").write_text(text)
    return path


def test_a_loss_that_is_allowed_is_seen(tmp_path: Path) -> None:
    """One of eight queries lost, half allowed: green, and the table says what fell, by how much, and which way the interval lies."""
    report = check(recorded(tmp_path, run=lost_one()))
    assert (report.exit_code, report.verdict) == (0, "passed")
    (gate,) = report.gates
    assert (gate.state, gate.why, gate.queries, gate.min, gate.max_drop) == ("passed", "", M, 0.1, 0.5)
    assert (gate.before, gate.now, gate.lost, gate.gained) == (1.0, (M - 1) / M, 1, 0)
    assert gate.difference == pytest.approx(-1 / M)
    assert gate.difference_low is not None
    assert gate.difference_high is not None
    assert gate.difference_low <= gate.difference <= gate.difference_high <= 0
    assert gate.p == 1.0, "one changed query shows nothing"
    assert gate.detectable is not None
    assert gate.detectable > 0


@pytest.mark.parametrize("form", ["text", "json", "junit", "sarif", "github", "markdown"])
def test_every_format_has_the_table(form: str, cli, tmp_path: Path) -> None:
    """Before, now, the change with its sign and what was lost stand in each format of a check that passed."""
    path = recorded(tmp_path, run=lost_one())
    out = tmp_path / "out"
    assert cli("check", "--config", path, "-o", f"{form}={out}")[0] == 0
    text = out.read_text()
    assert "0.875" in text
    assert "-0.125" in text
    if form == "json":
        assert json.loads(text)["gates"][0]["lost"] == 1
    else:
        assert "1.000" in text
        assert ("1, 0" if form == "markdown" else "fell for 1 of 8 queries, rose for 0") in text


def test_gates_that_ended_otherwise_say_how(tmp_path: Path) -> None:
    """Violated, undecided and not measured, each with its reason; a gate without a baseline has no before."""
    floor = check(
        Project(measured("min = 0.99\n"), files={**FILES, "run.trec": run(first=1)}).write(tmp_path / "floor")
    )
    (gate,) = floor.gates
    assert (floor.exit_code, gate.state, gate.now, gate.before) == (1, "violated", 0.0, None)
    assert "the floor is 0.99" in gate.why
    gone = check(
        Project(measured("min = 0.5\n").replace("run.trec", "gone.trec"), files=FILES).write(tmp_path / "gone")
    )
    assert (gone.exit_code, gone.gates[0].state, gone.gates[0].now) == (3, "undecided", None)
    asked = measured("min = 0.5\n").replace('run = "run.trec"', 'python = "rag:retrieve"')
    fast = check(Project(asked, files=FILES).write(tmp_path / "python"), tier="fast")
    assert (fast.exit_code, fast.gates[0].state, "fast tier" in fast.gates[0].why) == (3, "undecided", True)
    ignored = check(tmp_path / "python", ignore=["LB3"])
    assert (ignored.exit_code, ignored.gates[0].state) == (0, "not measured")


def test_data_that_changed_leave_no_before(tmp_path: Path) -> None:
    """Four queries left of eight are too few to show a drop; three are less than half, and have no before. Both say why."""
    path = recorded(tmp_path, qrels=qrels(n=4))
    report = check(path)
    (gate,) = report.gates
    assert (report.exit_code, gate.state, gate.now, gate.compared) == (3, "undecided", 1.0, 4)
    assert "too few to show a drop" in gate.why
    few = check(recorded(tmp_path / "few", qrels=qrels(n=3))).gates[0]
    assert (few.state, few.before) == ("undecided", None)
    assert few.no_before == "only 3 of 8 queries can be compared: 5 no longer judged"


def test_queries_that_are_what_they_were_are_compared(tmp_path: Path) -> None:
    """One question is no longer judged: the other seven are compared, the check is green, and the row says so."""
    report = check(recorded(tmp_path, qrels=qrels(n=M - 1)))
    (gate,) = report.gates
    assert (report.exit_code, gate.before, gate.compared) == (0, 1.0, M - 1)
    assert gate.remark == "7 of 7 queries are compared with the baseline; the others: 1 no longer judged"


def test_a_gate_of_an_unreadable_workload_is_in_the_table(tmp_path: Path) -> None:
    """Judgements that are not UTF-8: the gate stands in the table as undecided, with the reason, and the check is undecided."""
    path = Project(measured("min = 0.5\n"), files=FILES).write(tmp_path)
    (tmp_path / "qrels.tsv").write_bytes(b"query-id\tcorpus-id\tscore\nq\xff\td0\t1\n")
    report = check(path)
    (gate,) = report.gates
    assert (report.exit_code, gate.state, gate.queries, gate.now) == (3, "undecided", 0, None)
    assert "UTF-8" in gate.why


# ---------------------------------------------------------------------------------------------------------- gates of engines


@pytest.mark.parametrize(
    ("engine", "model", "code", "says"),
    [
        ("of_exact = 0.5", "engine:sqlite-vec,of=wordllama", 0, "passed"),
        ("of_exact = 0.999", "engine:sqlite-vec,of=wordllama", 3, "not decided by these queries"),
        ("of_exact = 0.5", "bm25", 3, "not measured by an engine over vectors"),
        ("filtered = 0.5", "engine:weaviate,of=wordllama", 3, "neither filters"),
        ("of_exact = 0.5", "engine:qdrant,of=wordllama,url=http://127.0.0.1:1", 3, "does not answer"),
        ("churned = 0.5", "engine:sqlite-vec,of=wordllama", 3, "sliding-window"),
    ],
)
def test_gates_of_engines_end_in_every_way(engine: str, model: str, code: int, says: str, cli, tmp_path: Path) -> None:
    """Passed, undecided by few queries, and undecided where there is no such measurement: never green unmeasured."""
    from gallery import Project, measured

    text = measured(f"engine = {{ {engine} }}\n", texts=True).replace('run = "run.trec"', f'model = "{model}"')
    path = Project(text).write(tmp_path)
    found, out, err = cli("check", "--config", path, "--select", "LB314,LB315,LB316", "-o", "json")
    assert found == code, out + err
    assert says in out
    assert cli("check", "--config", path, "--select", "LB314,LB315,LB316", "--tier", "fast")[0] in (0, 3)


def test_references_of_an_engine_are_its_scan_and_its_whole_vectors(tmp_path: Path) -> None:
    """LB304 to LB306 compare an engine with itself without an index, without a dtype, without truncation."""
    from limitbench.checks.measurement import _spared
    from limitbench.retrievers import RetrieverSpec

    spec = RetrieverSpec.parse('engine:qdrant-edge,of="wordllama,dim=64",dtype=int8,m=8,ef=9')
    found = {name: str(_spared(spec, name)) for name in ("ann", "quantisation", "truncation")}
    assert found == {
        "ann": 'engine:qdrant-edge,of="wordllama,dim=64",dtype=int8,index=flat',
        "quantisation": 'engine:qdrant-edge,of="wordllama,dim=64",index=flat',
        "truncation": "engine:qdrant-edge,index=flat,of=wordllama",
    }
    assert str(_spared(RetrieverSpec.parse("engine:chroma,of=wordllama,ef=9"), "ann")) == "wordllama"
    assert str(_spared(RetrieverSpec.parse("wordllama,dim=8,dtype=int8,index=hnsw"), "truncation")) == "wordllama"
