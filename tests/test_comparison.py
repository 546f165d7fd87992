"""Before and now over a living corpus: which queries are compared, what a baseline keeps, how two branches join, what a run explains."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import ROOT
from gallery import BASE, WORDS, M, Project, corpus, measured, qrels, queries, run
from hypothesis import given
from hypothesis import strategies as st

from limitbench.checks import Report, check, secrets
from limitbench.checks.baseline import Baseline, Line, layout, merge, parse_baseline, read_baseline
from limitbench.checks.config import read_project
from limitbench.checks.evidence import section
from limitbench.checks.output import FORMATS
from limitbench.checks.ratchet import init, update
from limitbench.errors import InputError
from limitbench.rankings import overlap

GATED = (
    measured("max_drop = 0.2\nmin = 0.1\n", texts=True, end=BASE.format(mark=""))
    + '[severity]\nLB303 = "off"\nLB006 = "off"\n'
)


@pytest.fixture(autouse=True)
def not_ci(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests behave the same under CI and outside."""
    for name in ("CI", "GITHUB_ACTIONS", "GITHUB_STEP_SUMMARY"):
        monkeypatch.delenv(name, raising=False)


def text_of(report: Report) -> str:
    """The report as text."""
    return FORMATS["text"]([report])


def recorded(folder: Path, config: str = GATED, **files: str) -> Path:
    """A project whose baseline is that of the perfect run."""
    path = Project(config, files=files).write(folder)
    init(read_project(path))
    return path


TEXTS = [f"Somebody likes {word}." for word in WORDS]
HARMLESS = {
    # name: files that change, queries compared, what the row says
    "a page is added": ({"corpus.jsonl": corpus() + corpus(["new"], ["Nobody likes rain."])}, M, None),
    "a page is added at the top": ({"corpus.jsonl": corpus(["new"], ["Nobody likes rain."]) + corpus()}, M, None),
    "a page that nobody judged is reworded": ({"corpus.jsonl": corpus(texts=[*TEXTS[:9], "Ink, who likes it?"])}, M, None),
    "a judged page is reworded": ({"corpus.jsonl": corpus(texts=["Tea is liked.", *TEXTS[1:]])}, M - 1, "1 a judged page changed"),
    "a question is reworded": ({"queries.jsonl": queries().replace("Who likes tea?", "Tea: who?")}, M - 1, "1 reworded"),
    "a judgement of grade 0 is added": ({"qrels.tsv": qrels() + "q0\td9\t0\n"}, M, None),
    "a judgement is added": ({"qrels.tsv": qrels() + "q0\td0\t1\nq0\td9\t1\n"}, M - 1, "1 judged otherwise"),
    "a grade is raised": ({"qrels.tsv": qrels().replace("q0\td0\t1", "q0\td0\t2")}, M - 1, "1 judged otherwise"),
    "a question is added": (
        {"queries.jsonl": queries(M + 1), "qrels.tsv": qrels(n=M + 1), "run.trec": run(n=M + 1)}, M, "1 new",
    ),
    "an unjudged question is added": ({"queries.jsonl": queries(M + 1)}, M, None),
    "a question is no longer judged": ({"qrels.tsv": qrels(n=M - 1)}, M - 1, "1 no longer judged"),
    "lines are in another order": (
        {"qrels.tsv": qrels().splitlines(True)[0] + "".join(reversed(qrels().splitlines(True)[1:]))}, M, None,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", HARMLESS)
def test_a_change_of_the_data_that_loses_nothing_is_green(name: str, tmp_path: Path) -> None:
    """Exit code 0 without a finding; the row says how many queries are compared, and why the others are not."""
    files, compared, says = HARMLESS[name]
    path = recorded(tmp_path)
    Project(GATED, files=files).write(tmp_path)
    report = check(path)
    (gate,) = report.gates
    assert (report.exit_code, [f.rule for f in report.findings], gate.compared) == (0, [], compared)
    assert gate.remark == says or (says is not None and gate.remark is not None and says in gate.remark)


def test_a_renamed_gate_is_compared(tmp_path: Path) -> None:
    """Another name of the retriever, or of the workload: compared with the gate that is gone, and the row says so."""
    for number, (old, new) in enumerate((("retriever.r", "retriever.next"), ("workload.w", "workload.help"))):
        path = recorded(tmp_path / str(number))
        noun, _, name = new.partition(".")
        kind, _, was = old.partition(".")
        path.write_text(GATED.replace(old, new).replace(f'{kind} = "{was}"', f'{noun} = "{name}"'))
        report = check(path)
        (gate,) = report.gates
        assert (report.exit_code, gate.compared, gate.before) == (0, M, 1.0), report.findings
        assert gate.remark is not None
        assert "compared with 'w/r/Recall@1' of the baseline" in gate.remark


def test_a_drop_is_seen_among_the_unchanged(tmp_path: Path) -> None:
    """A judged page changed and all questions were lost: the seven others show the drop, and rewording hides nothing."""
    path = recorded(tmp_path)
    Project(GATED, files={"corpus.jsonl": corpus(texts=["Tea.", *TEXTS[1:]]), "run.trec": run(first=1)}).write(tmp_path)
    report = check(path)
    assert (report.exit_code, [f.rule for f in report.findings]) == (1, ["LB301", "LB302"])
    assert "7 queries that are unchanged" in report.findings[1].message
    with pytest.raises(InputError, match="1.0000 to 0.0000 on 8 queries"):
        update(read_project(path))
    every = corpus(texts=[text + " Really." for text in TEXTS])
    Project(GATED, files={"corpus.jsonl": every, "run.trec": run(first=1)}).write(tmp_path)
    assert check(path, ignore=["LB301"]).exit_code == 3, "nothing can be compared, and nothing is green"
    with pytest.raises(InputError, match="1.0000 to 0.0000 on 8 queries"):
        update(read_project(path))
    update(read_project(path), allow_drop=True)


def reworded(count: int, m: int = 40) -> str:
    """Questions, so many of them with another word."""
    rows = [{"_id": f"q{i}", "text": f"Who likes thing {i}{' please' if i < count else ''}?"} for i in range(m)]
    return "".join(json.dumps(row) + "\n" for row in rows)


def many(folder: Path, asks: str, *, lost: int = 0, words: int = 0, m: int = 40, metric: str = "Recall@1") -> Path:
    """A project of forty questions, of which the first are lost, and the first are reworded."""
    files = {
        "corpus.jsonl": "".join(json.dumps({"_id": f"d{i}", "text": f"Thing {i}."}) + "\n" for i in range(m + 1)),
        "queries.jsonl": reworded(words, m), "qrels.tsv": "query-id\tcorpus-id\tscore\n" + "".join(f"q{i}\td{i}\t1\n" for i in range(m)),
        "run.trec": "".join(f"q{i} Q0 d{m if i < lost else i} 1 0.9 t\n" for i in range(m)),
    }  # fmt: skip
    text = measured(asks, texts=True, end=BASE.format(mark="")) + '[severity]\nLB303 = "off"\nLB006 = "off"\n'
    return Project(text.replace("Recall@1", metric), files=files).write(folder)


@pytest.mark.parametrize("asks", ["max_drop = 0.05\n", "max_lost = 2\n", "not_worse = 0.3\n"])
def test_a_lost_question_that_was_reworded_is_not_green(asks: str, tmp_path: Path) -> None:
    """Fifteen of forty are lost, and exactly those have another word: undecided, and an update refuses. Reworded alone: green."""
    path = many(tmp_path, asks)
    init(read_project(path))
    many(tmp_path, asks, words=15)
    assert check(path).exit_code == 0
    many(tmp_path, asks, words=15, lost=15)
    report = check(path)
    assert (report.exit_code, "queries that changed" in report.gates[0].why) == (3, True), report.gates[0].why
    with pytest.raises(InputError, match="the baseline would fall"):
        update(read_project(path))
    many(tmp_path, asks, words=25)
    assert check(path).exit_code == 3, "less than half can be compared"


def test_no_way_round_the_flag(tmp_path: Path) -> None:
    """A drop is not recorded without --allow-drop: by another metric, another name, two names for one gate, or gains beside losses."""
    base = many(tmp_path, "max_drop = 0.05\n")
    init(read_project(base))
    with pytest.raises(InputError, match="no longer a gate"):
        update(read_project(many(tmp_path, "max_drop = 0.05\n", lost=20, metric="Recall@2")))
    path = many(tmp_path, "max_drop = 0.05\n", lost=20)
    text = path.read_text()
    path.write_text(text.replace('retriever = "r"', 'retriever = "r2"') + '[retriever.r2.measure]\nrun = "run.trec"\n')
    with pytest.raises(InputError, match="no longer a gate"):
        update(read_project(path))
    (tmp_path / "good.trec").write_text("".join(f"q{i} Q0 d{i} 1 0.9 t\n" for i in range(40)))
    one, gate = text.replace("retriever.r", "retriever.r2").partition("[[gate]]")[::2]
    extra = '[retriever.exact.measure]\nrun = "good.trec"\n'
    second = '[[gate]]\nworkload = "w"\nretriever = "exact"\nmetric = "Recall@1"\nmax_drop = 0.05\n'
    path.write_text(one + extra + "[[gate]]" + gate.replace('retriever = "r"', 'retriever = "r2"') + second)
    with pytest.raises(InputError, match="w/r2/Recall@1: 1.0000 to 0.5000"):
        update(read_project(path))
    half = many(tmp_path / "half", "max_lost = 0\n", lost=10)
    init(read_project(half))
    swapped = "".join(f"q{i} Q0 d{40 if 10 <= i < 20 else i} 1 0.9 t\n" for i in range(40))
    (tmp_path / "half" / "run.trec").write_text(swapped)
    assert check(half).exit_code == 1
    with pytest.raises(InputError, match="10 queries lost, and 0 may be"):
        update(read_project(half))


def test_an_update_writes_only_what_changed(tmp_path: Path) -> None:
    """The same figures leave the file as it is; one question that is judged otherwise changes its own line alone."""
    path = recorded(tmp_path)
    place = tmp_path / "baseline.json"
    before, when = place.read_bytes(), place.stat().st_mtime_ns
    update(read_project(path))
    assert (place.read_bytes(), place.stat().st_mtime_ns) == (before, when)
    (tmp_path / "run.trec").write_text(run(scores=(0.9001, 0.5, 0.2)))
    update(read_project(path))
    assert place.read_bytes() == before, "a score that moved by a thousandth is no news"
    (tmp_path / "qrels.tsv").write_text(qrels() + "q3\td3\t1\nq3\td9\t1\n")
    with pytest.raises(InputError, match="1.0000 to 0.9375 on 8 queries"):
        update(read_project(path))
    update(read_project(path), allow_drop=True)
    pairs = zip(before.decode().splitlines(), place.read_text().splitlines(), strict=True)
    changed = [now for was, now in pairs if was != now]
    assert [line.partition(":")[0] for line in changed] == ['"q3"']


def test_baselines_of_schema_1_are_read(tmp_path: Path) -> None:
    """On data that did not change they compare as before; on other data they say what is missing; an update writes schema 2."""
    path = recorded(tmp_path)
    new = read_baseline(tmp_path / "baseline.json")
    assert new is not None
    from limitbench.checks.workloads import read_workload

    digest = read_workload(read_project(path), "w").fingerprint
    old = {
        "schema_version": 1, "recorded": "2026-01-01", "versions": new.versions, "fingerprints": {"w": digest},
        "gates": {"w/r/Recall@1": {"values": new.values("w/r/Recall@1")}},
    }  # fmt: skip
    (tmp_path / "baseline.json").write_text(json.dumps(old))
    (gate,) = check(path).gates
    assert (gate.compared, gate.before, gate.remark, gate.agreement) == (M, 1.0, None, None)
    Project(GATED, files={"corpus.jsonl": corpus() + corpus(["x"], ["y"])}).write(tmp_path)
    report = check(path)
    assert (report.exit_code, "schema 1" in report.findings[-1].message) == (3, True), report.findings
    update(read_project(path))
    assert json.loads((tmp_path / "baseline.json").read_text())["schema_version"] == 2
    assert check(path).exit_code == 0


# ---------------------------------------------------------------------------------------------------------------- two branches


def line(value: float, identity: str = "a:b:c") -> Line:
    """A query's line with one figure."""
    return Line(identity=identity, values={"r/Recall@1": value}, top={"r": ["d1"]}, best={"r": 0.5})


def of(**lines: Line) -> Baseline:
    """A baseline of one workload."""
    return Baseline(versions={"limitbench": "1"}, workloads={"w": lines})


LINES = st.dictionaries(
    st.sampled_from(["q1", "q2", "q3"]),
    st.builds(line, st.sampled_from([0.0, 0.5, 1.0]), st.sampled_from(["a:b:c", "x:b:c"])),
    min_size=1,
)


@given(LINES, LINES, LINES)
def test_a_merge_keeps_what_one_branch_changed(was: dict, mine: dict, other: dict) -> None:
    """Query by query: what both agree on or one changed stands; no figure that both know falls; the text reads back the same."""
    merged, said = merge(of(**was), of(**mine), of(**other))
    if any("ours are kept" in one for one in said):
        assert merged == of(**mine)
        return
    found = merged.workloads.get("w", {})
    for query in {*was, *mine, *other}:
        a, b, before = mine.get(query), other.get(query), was.get(query)
        if a == b or b == before:
            assert found.get(query) == a
        elif a == before:
            assert found.get(query) == b
        elif a and b and a.identity == b.identity:
            mine_is_news = before is None or before.identity != a.identity
            figures = (a.values["r/Recall@1"], b.values["r/Recall@1"])
            if mine_is_news or before.values["r/Recall@1"] not in figures:
                assert found[query].values["r/Recall@1"] == max(figures)
    assert parse_baseline(layout(merged), Path("b")) == merged


def test_git_joins_two_branches(tmp_path: Path) -> None:
    """Two branches record neighbouring questions: with the merge driver git joins them without a conflict, and both are there."""
    git = ["git", "-C", str(tmp_path), "-c", "user.name=t", "-c", "user.email=t@example.org"]
    driver = f"merge.limitbench.driver={sys.executable} -m limitbench baseline merge %O %A %B"

    def call(*words: str) -> None:
        done = subprocess.run([*git, "-c", driver, *words], capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr

    def save(message: str, **lines: Line) -> None:
        (tmp_path / "baseline.json").write_text(layout(of(**lines)))
        call("add", "-A")
        call("commit", "-qm", message)

    call("init", "-q", "-b", "main")
    (tmp_path / ".gitattributes").write_text("baseline.json merge=limitbench\n")
    save("first", q1=line(0.5))
    call("checkout", "-qb", "mine")
    save("mine", q1=line(0.5), q2=line(1.0))
    call("checkout", "-q", "main")
    save("theirs", q1=line(1.0), q3=line(0.0))
    call("merge", "-q", "mine", "-m", "joined")
    found = read_baseline(tmp_path / "baseline.json")
    assert found is not None
    assert found.values("w/r/Recall@1") == {"q1": 1.0, "q2": 1.0, "q3": 0.0}


# -------------------------------------------------------------------------------------------------------------- gates of counts


def test_gates_of_counts_and_names(tmp_path: Path) -> None:
    """max_lost counts, must_find names, not_worse asks for proof: each passes and fails where it should."""
    one_lost = run().replace("q0 Q0 d0 1 0.9 prod", "q0 Q0 d0 1 0.1 prod")
    for number, (asks, files, rules) in enumerate((
        ("max_lost = 1\n", {"run.trec": one_lost}, []),
        ("max_lost = 0\n", {"run.trec": one_lost}, ["LB310"]),
        ('must_find = ["q1", "q2"]\n', {"run.trec": one_lost}, []),
        ('must_find = ["q0", "q1"]\n', {"run.trec": one_lost}, ["LB311"]),
        ('must_find = ["gone"]\n', {}, ["LB902"]),
        ("not_worse = 0.4\n", {}, []),
        ("not_worse = 0.4\n", {"run.trec": one_lost}, ["LB312"]),
        ("not_worse = 0.1\n", {}, ["LB312"]),
    )):  # fmt: skip
        text = measured(asks, texts=True, end=BASE.format(mark="")) + '[severity]\nLB303 = "off"\nLB006 = "off"\n'
        path = Project(text).write(tmp_path / str(number))
        if "must_find" not in asks:
            init(read_project(path))
        Project(text, files=files).write(tmp_path / str(number))
        report = check(path)
        assert [f.rule for f in report.findings] == rules, (asks, report.findings)
        assert report.exit_code == (3 if rules == ["LB902"] else bool(rules))
        assert report.gates[0].state == {0: "passed", 1: "violated", 3: "undecided"}[report.exit_code]


@pytest.mark.process
def test_slow_decay_is_caught(tmp_path: Path) -> None:
    """Ten commits, each two questions of sixty lower than the last: no step is a regression, together they are a decline."""
    m = 60
    text = measured("max_drop = 0.05\nmax_decline = 0.05\n", end=BASE.format(mark="")) + '[severity]\nLB006 = "off"\n'
    rows = "query-id\tcorpus-id\tscore\n" + "".join(f"q{i}\td{i}\t1\n" for i in range(m))

    def answers(lost: int) -> str:
        return "".join(f"q{i} Q0 {'x' if i < lost else f'd{i}'} 1 0.9 t\n" for i in range(m))

    from test_checks import committed

    path = Project(text, files={"qrels.tsv": rows, "run.trec": answers(0)}).write(tmp_path)
    assert check(path).exit_code == 3, "without a commit there is nothing to look back at"
    init(read_project(path))
    codes = []
    for lost in range(0, 20, 2):
        (tmp_path / "run.trec").write_text(answers(lost))
        report = check(path, ignore=["LB005"]) if lost else None
        codes.append([f.rule for f in report.findings] if report else [])
        update(read_project(path), allow_drop=True)
        committed(tmp_path)
    assert "LB302" not in {rule for found in codes for rule in found}, codes
    assert codes[1] == []
    assert codes[-1] == ["LB313"], codes


def test_lost_questions_stand_in_every_format(cli, tmp_path: Path) -> None:
    """Text, wanted document, rank before and now, and what stands above it; ten in text, all in JSON and Markdown."""
    path = recorded(tmp_path)
    (tmp_path / "run.trec").write_text(run(first=1))
    code, out, _ = cli("check", "--config", path, "--json")
    (gate,) = json.loads(out)["gates"]
    assert (code, len(gate["lost_questions"])) == (1, M)
    lost = {one["query"]: one for one in gate["lost_questions"]}["q0"]
    assert (lost["text"], lost["wanted"], lost["before_rank"], lost["now_rank"]) == ("Who likes tea?", "d0", 1, None)
    assert lost["above"] == ["d1", "d2", "d3"]
    _, text, _ = cli("check", "--config", path)
    assert "lost 'q0' 'Who likes tea?': wants d0, rank 1 -> not returned; above it now: d1, d2, d3" in text
    _, page, _ = cli("check", "--config", path, "-o", "markdown")
    assert "8 lost questions of gate 1" in page
    assert "q7: Who likes moss?" in page


# ---------------------------------------------------------------------------------------------------------------------- overlap


def test_rank_biased_overlap() -> None:
    """1 for equal lists, 0 for disjoint ones, and the published weights between: two lists that swap the first two of three."""
    assert overlap(["a", "b", "c"], ["a", "b", "c"]) == pytest.approx(1.0)
    assert overlap(["a", "b"], ["c", "d"]) == 0.0
    assert (overlap([], []), overlap([], ["a"])) == (1.0, 0.0)
    p = 0.9
    expected = (1 - p) / p * (0 * p + 1.0 * p**2 + 1.0 * p**3) + p**3
    assert overlap(["a", "b", "c"], ["b", "a", "c"]) == pytest.approx(expected)


def test_agreement_is_the_mean_overlap(tmp_path: Path) -> None:
    """Of a run whose lists are shifted by one, and of one that returns a single document: the mean of each question's overlap."""
    path = recorded(tmp_path)
    Project(GATED, files={"run.trec": run(first=1)}).write(tmp_path)
    (gate,) = check(path).gates
    assert gate.agreement == pytest.approx(overlap(["a", "b", "c"], ["b", "c", "d"]))
    Project(GATED, files={"run.trec": run(scores=(0.9,))}).write(tmp_path)
    (gate,) = check(path).gates
    assert gate.agreement == pytest.approx(overlap(["a", "b", "c"], ["a"]))
    assert gate.agreement < 0.5


@given(st.permutations("abcdef"), st.permutations("abcdef"))
def test_overlap_is_symmetric_and_a_share(a: list[str], b: list[str]) -> None:
    """Between 0 and 1, the same either way, and 1 only for the same order."""
    found = overlap(a, b)
    assert 0 <= found <= 1 + 1e-12
    assert found == pytest.approx(overlap(b, a))
    assert (found > 1 - 1e-9) == (a == b)


# ----------------------------------------------------------------------------------------------------------------- what answers say

WRAPPED = (
    "def retrieve(queries, top_k):\n"
    "    run = {q: {'d' + q[1:]: 1.0, 'd9': 0.5} for q in queries}\n"
    "    return {'run': run, 'settings': {'model': 'a', 'ef': 64}, 'ids': ['d%d' % i for i in range(9)]}\n"
)


def asked(way: str, gate: str = "max_drop = 0.2\n") -> str:
    """A project that is measured this way."""
    text = measured(gate, texts=True, end=BASE.format(mark="")) + '[severity]\nLB303 = "off"\nLB006 = "off"\n'
    return text.replace('run = "run.trec"', way)


def test_services_report_settings_and_their_index(tmp_path: Path) -> None:
    """Settings go into the baseline, and a later drop names which changed; documents that the index lacks are a note on green."""
    text = asked('python = "rag:retrieve"')
    path = Project(text, files={"rag.py": WRAPPED}).write(tmp_path)
    init(read_project(path))
    report = check(path)
    assert report.exit_code == 0, report.findings
    assert any("the index lacks 1 of the corpus's 10 documents, the first 'd9'" in said for said in report.notes)
    worse = WRAPPED.replace("'d' + q[1:]", "'d8'").replace("'ef': 64", "'ef': 8")
    (tmp_path / "rag.py").write_text(worse)
    report = check(path)
    causes = {cause.name: cause.message for cause in report.gates[0].causes}
    assert "ef 64 -> 8" in causes["settings-changed"]
    assert [c.name for c in report.findings[-1].causes] == [c.name for c in report.gates[0].causes]
    assert "likely cause: settings changed" in text_of(report)


def test_a_command_may_print_json(tmp_path: Path) -> None:
    """The JSON that a function may return; ids with spaces need no escaping there. Rubbish that looks like JSON is refused."""
    body = "import json, sys\nprint(json.dumps({'run': {json.loads(l)['_id']: {'a b': 1.0} for l in sys.stdin}}))\n"
    files = {"qrels.tsv": "query-id\tcorpus-id\tscore\n" + "".join(f"q{i}\ta b\t1\n" for i in range(M))}
    files["corpus.jsonl"] = corpus(["a b"], ["x"])
    text = asked(f'command = ["{sys.executable}", "c.py"]', "min = 0.9\n")
    path = Project(text, files={**files, "c.py": body}).write(tmp_path)
    assert check(path, ignore=["LB004"]).exit_code == 0
    for bad, says in (("{", "of numbers"), ('{"run": {}}', "answers none"), ('{"run": {"q0": {"d": 1}}, "ids": 3}', "no list"),
                      ('{"run": {"q0": {"d": 1}}, "settings": []}', "no table")):  # fmt: skip
        (tmp_path / "c.py").write_text(f"print({bad!r})")
        report = check(path, ignore=["LB004"])
        assert report.exit_code == 3
        assert any(says in f.message for f in report.findings), (bad, report.findings)


def test_answers_that_differ_are_told(tmp_path: Path) -> None:
    """repeat = 2 asks twice: a service that answers at random is named; one that does not is silent."""
    steady = "def retrieve(queries, top_k):\n    return {q: {'d' + q[1:]: 1.0} for q in queries}\n"
    shaky = (
        "import os\ndef retrieve(queries, top_k):\n    return {q: {'d' + q[1:]: 1.0 + os.getpid()} for q in queries}\n"
    )
    for name, body, said in (("steady", steady, False), ("shaky", shaky, True)):
        path = Project(asked('python = "rag:retrieve"\nrepeat = 2', "min = 0.5\n"), files={"rag.py": body}).write(
            tmp_path / name
        )
        report = check(path)
        assert (report.exit_code, any("not deterministic" in note for note in report.notes)) == (0, said), report.notes


# ------------------------------------------------------------------------------------------------------------------------ safety


@pytest.mark.process
def test_secrets_never_reach_an_output(cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A child that prints, raises, returns or names documents after a key: no format, no message and no baseline shows it."""
    value = 'sk-"quoted"/9x7'
    monkeypatch.setenv("MY_API_KEY", value)
    bodies = {
        "raises": "import os\ndef retrieve(queries, top_k):\n    raise ValueError(os.environ['MY_API_KEY'])\n",
        "returns": "import os\ndef retrieve(queries, top_k):\n    k = os.environ['MY_API_KEY']\n"
                   "    return {'run': {q: {k: 2.0, 'd' + q[1:]: 1.0} for q in queries}, 'settings': {'key': k}}\n",
        "exits": "import os, sys\nsys.exit(os.environ['MY_API_KEY'])\n",
    }  # fmt: skip
    forms = ("text", "json", "junit", "sarif", "github", "markdown")
    for name, body in bodies.items():
        path = Project(asked('python = "rag:retrieve"', "max_drop = 0.2\n"), files={"rag.py": body}).write(
            tmp_path / name
        )
        code, _, err = cli("baseline", "init", "--config", path)
        written = (tmp_path / name / "baseline.json").read_text() if code == 0 else ""
        outputs = [f"-o{form}={tmp_path / name / form}" for form in forms]
        said = cli("check", "--config", path, *outputs)
        everything = [err, written, said[1], said[2], *((tmp_path / name / form).read_text() for form in forms)]
        assert not any(part in text for text in everything for part in (value, "9x7", "sk-")), name
        assert "***" in "".join(everything), name


def test_values_to_hide() -> None:
    """By the variable's name, in the forms in which they may be printed; plain words, numbers, paths and our own words stay."""
    found = secrets.values(
        {"DB_PASSWORD": "a b/c+é", "PATH": "/usr/bin", "X_TOKEN": "abc", "PRIVATE_KEY": "first line\nsecond line"}
    )
    assert {
        "a b/c+é",
        "a%20b%2Fc%2B%C3%A9",
        "a+b%2Fc%2B%C3%A9",
        "a%20b%2fc%2b%c3%a9",
        "YSBiL2Mrw6k=",
        "second line",
    } <= set(found)
    assert not {"/usr/bin", "abc"} & set(found)
    assert secrets.hidden({"k a b/c+é": ["x a b/c+é", 3], "tier": "a b/c+é"}, found) == {
        "k a b/c+é": ["x ***", 3],
        "tier": "a b/c+é",
    }
    ordinary = {
        "PWD": "/docs/deep", "OLDPWD": "/docs/deep", "TOKENIZERS_PARALLELISM": "false", "MAX_TOKENS": "100000", "GIT_AUTHOR_NAME": "power",
        "AUTH_LEVEL": "passed", "KEYBOARD": "english", "MONKEY": "capuchin", "XAUTHORITY": "somewhere", "SSH_AUTH_SOCK": "somewhere",
        "API_KEY_FILE": "/tmp",
    }  # fmt: skip
    assert secrets.values(ordinary) == []
    hides = ("GITHUB_PAT", "DB_PASS", "AZURE_STORAGE_CONNECTION", "HF_TOKEN", "APIKEY", "OPENAI_API_KEY", "PGPASSWORD")
    assert all("s3cret-value" in secrets.values({name: "s3cret-value"}) for name in hides)
    assert "hunter22" in secrets.values({"REDIS_URL": "redis://me:hunter22@host/0"})
    assert secrets.hidden("at postgres://me:pw@host/db", []) == "at postgres://me:***@host/db"


def test_no_part_of_a_secret_is_printed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A child's last words are hidden before they are cut or their white space is made one."""
    value = "".join(chr(ord("a") + i % 26) for i in range(52))
    monkeypatch.setenv("OPENAI_API_KEY", value)
    monkeypatch.setenv("OTHER_TOKEN", "left\tright  side")
    body = "import os, sys\nsys.exit(os.environ['OPENAI_API_KEY'] + os.environ['OTHER_TOKEN'] + 'x' * 270)\n"
    report = check(
        Project(asked(f'command = "{sys.executable} d.py"', "min = 0.5\n"), files={"d.py": body}).write(tmp_path)
    )
    said = report.model_dump_json()
    assert (value[-12:] in said, "left right" in said, "side" in said) == (False, False, False)


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="needs /proc")
def test_a_child_that_leaves_its_group_is_stopped(tmp_path: Path) -> None:
    """setsid and a second fork do not save what a stopped command has started."""
    body = (
        "import os, time\n"
        "if os.fork() == 0:\n"
        "    os.setsid()\n"
        "    if os.fork() == 0:\n"
        "        open('child', 'w').write(str(os.getpid()))\n"
        "        time.sleep(600)\n"
        "    os._exit(0)\n"
        "time.sleep(600)\n"
    )
    text = asked(f'command = "{sys.executable} d.py"\ntimeout = 3.0', "min = 0.5\n")
    report = check(Project(text, files={"d.py": body}).write(tmp_path))
    assert report.exit_code == 3
    child = Path("/proc") / (tmp_path / "child").read_text()
    deadline = time.monotonic() + 10
    while child.exists() and child.joinpath("stat").read_text().rpartition(")")[2].split()[0] != "Z":
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_time_budget_bounds_reading(tmp_path: Path) -> None:
    """A corpus that takes longer to read than the budget leaves its workload undecided, soon."""
    path = Project(measured("min = 0.5\n", texts=True)).write(tmp_path)
    with (tmp_path / "corpus.jsonl").open("a") as out:
        for i in range(400_000):
            out.write(f'{{"_id": "x{i}", "text": "t"}}\n')
    report = check(path, time_budget=0.2)
    assert report.exit_code == 3
    assert "while the data were read" in report.gates[0].why


def test_sections_of_ids() -> None:
    """What stands before the first mark."""
    assert [section(name) for name in ("billing/refunds#3", "a#1", "x:y/z", "plain", "/rooted")] == [
        "billing",
        "a",
        "x",
        "",
        "",
    ]


@pytest.mark.process
def test_a_core_install_says_which_extra(tmp_path: Path) -> None:
    """Without torch: a dense plan is checked, the full tier skips what optimises, and a model's gate names its extra."""
    (tmp_path / "blocked").mkdir()
    (tmp_path / "blocked" / "sitecustomize.py").write_text(
        "import sys\nclass Block:\n    def find_spec(self, name, path=None, target=None):\n"
        "        if name.split('.')[0] in ('torch', 'sentence_transformers', 'faiss'):\n"
        "            raise ModuleNotFoundError(f'No module named {name!r}', name=name)\n"
        "sys.meta_path.insert(0, Block())\n"
    )
    from gallery import plan

    dense = Project(plan(46, 2, "dim = 64\n")).write(tmp_path / "plan")
    model = Project(asked('model = "minilm"', "min = 0.5\n")).write(tmp_path / "model")
    env = {**os.environ, "PYTHONPATH": f"{tmp_path / 'blocked'}"}
    for path, tier, code, says in (
        (dense, "auto", 0, "passed"),
        (dense, "full", 0, "needs torch"),
        (model, "auto", 3, "limitbench[models]"),
    ):
        words = [sys.executable, "-m", "limitbench", "check", "--config", str(path), "--tier", tier]
        done = subprocess.run(words, capture_output=True, text=True, env=env, cwd=ROOT)
        assert (done.returncode, says in done.stdout) == (code, True), done.stdout + done.stderr


# ------------------------------------------------------------------------------------------------------- what two reviews found


def causes_seen(path: Path) -> set[str]:
    """The causes of the gates."""
    return {cause.name for gate in check(path).gates for cause in gate.causes}


def test_copies_and_foreign_documents_are_named(tmp_path: Path) -> None:
    """Eight questions get a near copy of what they want: near-duplicates; an index that lists more than the corpus: index-foreign."""
    twins = "".join(
        json.dumps({"_id": f"t{i}", "text": f"Somebody likes {word}!"}) + "\n" for i, word in enumerate(WORDS)
    )
    body = "def retrieve(queries, top_k):\n    return {'run': {q: {'t' + q[1:]: 1.0} for q in queries}, 'ids': IDS}\n"
    ids = [f"{kind}{i}" for kind in "dt" for i in range(10)]
    text = asked('python = "rag:retrieve"', "min = 0.9\n")
    files = {"corpus.jsonl": corpus() + twins, "rag.py": f"IDS = {ids!r}\n{body}"}
    path = Project(text + 'LB002 = "off"\n', files=files).write(tmp_path)
    assert causes_seen(path) == {"near-duplicates"}
    (tmp_path / "rag.py").write_text(f"IDS = {[*ids, 'gone']!r}\n{body}")
    assert causes_seen(path) == {"near-duplicates", "index-foreign"}
    (tmp_path / "corpus.jsonl").write_text(corpus(texts=["Nothing here is alike."] * 10) + twins)
    assert "near-duplicates" not in causes_seen(path)


def test_documents_that_tie_are_not_found(tmp_path: Path) -> None:
    """must_find is not met by chance: equal scores put the document anywhere."""
    path = Project(measured('must_find = ["q0"]\n'), files={"run.trec": run(scores=(0.5, 0.5, 0.5))}).write(tmp_path)
    report = check(path)
    assert (report.exit_code, [f.rule for f in report.findings if f.fails]) == (1, ["LB311"])


def test_a_gate_is_not_suppressed_by_what_says_that_it_is_undecided(tmp_path: Path) -> None:
    """[[suppress]] of LB902 leaves an unmeasured gate undecided; one of its own rule accepts it."""
    text = measured("min = 0.9\n").replace("run.trec", "gone.trec") + '[[suppress]]\nid = "{}"\nreason = "x"\n'
    for rule, code in (("LB902", 3), ("LB301", 0)):
        report = check(Project(text.format(rule)).write(tmp_path / rule), ignore=["LB903"])
        assert (report.exit_code, report.gates[0].state) == (code, "undecided"), report.findings


def test_more_baselines_ask_for_more_queries(tmp_path: Path) -> None:
    """Six queries can show a decline against one baseline, and not against four at once: only as many are used as can be shown."""
    from test_checks import committed

    path = many(tmp_path, "max_decline = 0.05\n", m=6)
    init(read_project(path))
    text = (tmp_path / "baseline.json").read_text()
    for best in (0.9, 0.8, 0.7, 0.6):
        (tmp_path / "baseline.json").write_text(text.replace('"best": {"r": 0.9}', f'"best": {{"r": {best}}}'))
        committed(tmp_path, f"{best}")
    many(tmp_path, "max_decline = 0.05\n", m=6, lost=6)
    report = check(path)
    (finding,) = [f for f in report.findings if f.rule == "LB313"]
    assert (report.exit_code, finding.numbers["baselines"]) == (1, 3), finding
    p = finding.numbers["p"]
    assert isinstance(p, float)
    assert p == pytest.approx(3 / 2**6), "the p-value of one comparison, times three"


@pytest.mark.process
def test_baselines_of_the_past(tmp_path: Path) -> None:
    """A shallow clone says what to fetch; a baseline that was moved keeps its past; one that was deleted for a while is passed over."""
    from test_checks import committed

    home = tmp_path / "home"
    path = many(home, "max_decline = 0.05\n")
    init(read_project(path))
    committed(home)
    place, text = home / "baseline.json", (home / "baseline.json").read_text()
    place.unlink()
    committed(home, "deleted")
    place.write_text(text)
    committed(home, "again")
    many(home, "max_decline = 0.05\n", lost=20)
    assert [f.rule for f in check(path).findings] == ["LB313"]
    subprocess.run(["git", "-C", str(home), "mv", "baseline.json", "moved.json"], check=True)
    path.write_text(path.read_text().replace("baseline.json", "moved.json"))
    committed(home, "moved")
    assert [f.rule for f in check(path).findings] == ["LB313"]
    subprocess.run(["git", "clone", "-q", "--depth", "1", f"file://{home}", str(tmp_path / "shallow")], check=True)
    report = check(tmp_path / "shallow")
    assert (report.exit_code, "fetch-depth: 0" in report.gates[0].why) == (3, True)


def test_ten_lost_questions_of_all_sections_stand_in_text(tmp_path: Path) -> None:
    """Of thirty lost ones, the first of each section in turn; how many each section lost; and how many more there are."""
    m = 30
    names = [f"{'abc'[i % 3]}/p{i}" for i in range(m)]
    files = {
        "qrels.tsv": "query-id\tcorpus-id\tscore\n" + "".join(f"q{i}\t{name}\t1\n" for i, name in enumerate(names)),
        "run.trec": "".join(f"q{i} Q0 {name} 1 0.9 t\n" for i, name in enumerate(names)),
    }
    text = measured("max_drop = 0.2\n", end=BASE.format(mark=""))
    path = Project(text, files=files).write(tmp_path)
    init(read_project(path))
    (tmp_path / "run.trec").write_text("".join(f"q{i} Q0 x 1 0.9 t\n" for i in range(m)))
    report = check(path)
    said = text_of(report)
    assert "lost by section, gate 1: a 10, b 10, c 10" in said
    assert (said.count("    lost 'q"), "and 20 more lost questions" in said) == (10, True)
    assert [said.index(f"wants {name}") for name in names[:3]] == sorted(
        said.index(f"wants {name}") for name in names[:3]
    )
    assert len(report.gates[0].lost_questions) == m


def test_odd_answers_and_baselines_are_refused_with_a_reason(cli, tmp_path: Path) -> None:
    """Numbers beyond floats, ids that are no text, figures without a retriever, identities of two parts: a sentence, never a traceback."""
    for number, body in enumerate(('{"q0": {"d0": 1' + "0" * 400 + "}}", '{"q0": {"\\ud800": 1.0}}')):
        path = Project(
            asked(f'command = ["{sys.executable}", "c.py"]', "min = 0.5\n"), files={"c.py": f"print({body!r})"}
        )
        report = check(path.write(tmp_path / str(number)))
        assert (report.exit_code, report.gates[0].state) == (3, "undecided"), report.findings
    path = recorded(tmp_path / "baseline")
    place = tmp_path / "baseline" / "baseline.json"
    good = place.read_text()
    for harm in (
        good.replace('"r/Recall@1": 1.0', '"foo": 1.0', 1),
        good.replace('"identity": "', '"identity": "x:', 1),
    ):
        place.write_text(harm)
        code, _, err = cli("check", "--config", path)
        assert (code, "the baseline is broken at" in err) == (2, True), err
    place.write_text("\ufeff" + good)
    assert cli("check", "--config", path)[0] == 0


UNJUDGED = (
    'version = 1\n[workload.live]\nqueries = "queries.jsonl"\n[retriever.r]\n[retriever.r.measure]\nrun = "run.trec"\n'
    '[[gate]]\nworkload = "live"\nretriever = "r"\nmetric = "Agreement@3"\nmin = 0.8\nmax_drop = 0.1\n'
    + BASE.format(mark="") + '[severity]\nLB006 = "off"\n'
)  # fmt: skip


def test_agreement_needs_no_judgement(cli, tmp_path: Path) -> None:
    """Questions alone: the same answers agree, others do not, and a new release is recorded; nobody judged anything."""
    path = Project(UNJUDGED).write(tmp_path)
    for text in (
        UNJUDGED,
        UNJUDGED.replace("max_drop = 0.1\n", ""),
        UNJUDGED.replace("min = 0.8\nmax_drop = 0.1\n", ""),
    ):
        report = check(Project(text).write(tmp_path))
        assert (report.exit_code, report.gates[0].state) == (
            (3, "undecided") if "min" in text else (0, "not measured")
        ), report.findings
    path = Project(UNJUDGED).write(tmp_path)
    assert cli("baseline", "init", "--config", path)[0] == 0
    report = check(path)
    (gate,) = report.gates
    assert (report.exit_code, report.findings, gate.now, gate.compared, gate.queries) == (0, [], 1.0, M, M)
    (tmp_path / "run.trec").write_text(run(first=1))
    report = check(path)
    (gate,) = report.gates
    assert [f.rule for f in report.findings if f.fails] == ["LB301", "LB302"]
    assert gate.now == pytest.approx(overlap(["a", "b", "c"], ["b", "c", "d"]))
    assert (gate.lost, gate.lost_questions, gate.causes) == (M, [], [])
    assert cli("baseline", "update", "--config", path)[0] == 0
    assert check(path).exit_code == 0
    (tmp_path / "queries.jsonl").write_text(queries().replace("tea", "green tea"))
    (gate,) = check(path).gates
    assert (gate.state, gate.compared) == ("passed", M - 1)


def test_agreement_is_with_the_baseline_that_is_meant(tmp_path: Path) -> None:
    """A retriever or workload with another name agrees with what was recorded under the old one; a decline, with each of the past."""
    from test_checks import committed

    path = Project(UNJUDGED).write(tmp_path)
    init(read_project(path))
    committed(tmp_path)
    for number, text in enumerate(
        (UNJUDGED.replace("retriever.r", "retriever.s").replace('"r"', '"s"'), UNJUDGED.replace("live", "next"))
    ):
        path.write_text(text)
        for first, state in ((0, "passed"), (1, "violated")):
            (tmp_path / "run.trec").write_text(run(first=first))
            (gate,) = check(path).gates
            assert (gate.state, gate.compared) == (state, M), (number, gate.why)
    path.write_text(UNJUDGED.replace("min = 0.8\nmax_drop = 0.1\n", "max_decline = 0.1\n"))
    (tmp_path / "run.trec").write_text(run(first=1))
    update(read_project(path))
    committed(tmp_path, "next")
    assert [f.rule for f in check(path).findings] == ["LB313"], (
        "it is what was recorded last, and not what was recorded first"
    )


def test_agreement_is_asked_for_rightly(cli, tmp_path: Path) -> None:
    """A metric that needs judgements, no baseline, must_find: each refused at its line; beside judgements agreement works too."""
    for number, (old, new, says) in enumerate((
        ("Agreement@3", "Recall@3", "has no judgements; expected a metric such as Agreement@10"),
        (BASE.format(mark=""), "", "agreement needs a [baseline]"), ("min = 0.8\n", 'must_find = ["q0"]\n', "drop must_find"),
        ('queries = "queries.jsonl"\n', "", "or queries alone"), ("Agreement@3", "Agreement@0", "is not known"),
    )):  # fmt: skip
        code, _, err = cli("check", "--config", Project(UNJUDGED.replace(old, new)).write(tmp_path / str(number)))
        assert (code, says in err) == (2, True), err
    path = Project(GATED.replace("Recall@1", "Agreement@3")).write(tmp_path / "judged")
    init(read_project(path))
    assert check(path).exit_code == 0
    (tmp_path / "judged" / "run.trec").write_text(run(scores=(0.9,)))
    (gate,) = check(path).gates
    assert (gate.state, gate.lost_questions) == ("violated", [])
