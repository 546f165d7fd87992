"""`limitbench check`: the gallery, the formats, the configuration, the baseline, and what is hostile."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from datetime import date
from pathlib import Path

import jsonschema
import pytest
from conftest import ROOT
from gallery import PROJECTS, Project, corpus, measured, plan, qrels, queries, run

import limitbench
from limitbench.checks import RULES, check
from limitbench.checks.config import read_project
from limitbench.checks.positions import key_lines, line_of
from limitbench.errors import DataError, InputError

PARAMETERS = [pytest.param(name, id=name.replace(" ", "-")) for name in PROJECTS]


@pytest.fixture(autouse=True)
def not_ci(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests behave the same under CI and outside."""
    for name in ("CI", "GITHUB_ACTIONS", "GITHUB_STEP_SUMMARY"):
        monkeypatch.delenv(name, raising=False)


def prepared(project: Project, folder: Path, cli) -> Path:
    """The project on disk, with its baseline where it has one."""
    path = project.write(folder)
    if project.before is not None:
        Project(project.config, files=project.before).write(folder)
        assert cli("baseline", "init", "--config", path)[0] == 0
        if project.versions:
            kept = json.loads((folder / "baseline.json").read_text())
            kept["versions"].update(project.versions)
            (folder / "baseline.json").write_text(json.dumps(kept))
        if project.commit:
            committed(folder)
        project.write(folder)
    return path


def committed(folder: Path, message: str = "recorded") -> None:
    """Everything in the folder, committed to a git repository there."""
    git = [
        "git",
        "-C",
        str(folder),
        "-c",
        "user.name=t",
        "-c",
        "user.email=t@example.org",
        "-c",
        "commit.gpgsign=false",
    ]
    for command in (["init", "-q"], ["add", "-A"], ["commit", "-q", "--allow-empty", "-m", message]):
        subprocess.run([*git, *command], check=True, capture_output=True)


# ---------------------------------------------------------------------------------------------------------------- gallery


@pytest.mark.parametrize("name", PARAMETERS)
def test_gallery(name: str, cli, tmp_path: Path) -> None:
    """Each project triggers exactly its rule: id, severity, evidence, exit code and line."""
    project = PROJECTS[name]
    if "full" in project.arguments:
        pytest.importorskip("torch", reason="needs limitbench[models]")
    path = prepared(project, tmp_path, cli)
    code, out, err = cli("check", "--config", path, *project.arguments, "-o", "json")
    report = json.loads(out)
    assert [f["rule"] for f in report["findings"]] == list(project.rules), report["findings"] or err
    assert (code, report["exit_code"]) == (project.code, project.code)
    for finding in report["findings"]:
        assert (finding["severity"], finding["evidence"], finding["line"]) == (
            project.severity, project.evidence, project.line,
        ), finding  # fmt: skip
        assert finding["path"] == "limitbench.toml"
        assert finding["message"]
        assert finding["remedy"]
    counts = report["counts"]
    assert counts["ran"] == counts["passed"] + counts["violated"] + counts["undecided"]


def test_gallery_has_every_rule_and_a_clean_project() -> None:
    """At least 30 projects, one at least for each rule, and several without a finding."""
    assert len(PROJECTS) >= 30
    assert {rule for project in PROJECTS.values() for rule in project.rules} == set(RULES)
    assert sum(not project.rules for project in PROJECTS.values()) >= 5


@pytest.mark.parametrize("rule", RULES)
def test_every_rule_has_a_page_and_its_evidence_is_sound(rule: str, cli) -> None:
    """--explain prints the page, which says evidence and severity; empirical rules are never errors, and a group has one kind."""
    code, out, _ = cli("check", "--explain", rule)
    one = RULES[rule]
    assert (code, out.startswith(f"# {rule}: {one.name}")) == (0, True)
    assert f"Evidence: *{one.evidence}*. Severity: {one.severity}. Tier: {one.tier}." in out
    assert all(f"## {title}" in out for title in ("What it means", "How it is decided", "What to do", "Example"))
    assert one.evidence != "empirical" or one.severity == "warning"
    groups = {"LB0": "measured", "LB2": "empirical", "LB3": "measured", "LB4": "measured", "LB9": "measured"}
    assert one.evidence in (("proved", "constructed") if rule.startswith("LB1") else (groups[rule[:3]],))
    errors = {
        "LB001",
        "LB101",
        "LB103",
        "LB105",
        "LB106",
        "LB107",
        "LB301",
        "LB302",
        "LB310",
        "LB311",
        "LB312",
        "LB313",
        "LB314",
        "LB315",
        "LB316",
    }
    assert (one.severity == "error") == (rule in errors)


def test_pages_of_rules_are_their_docstrings() -> None:
    """docs/rules has the page of every rule, as its module says it, a table of all, and nothing else.

    LIMITBENCH_WRITE_GOLDEN=1 writes them.
    """
    folder = ROOT / "docs" / "rules"
    table = [
        f"| [{name}]({name}.md) | {r.name} | {r.evidence} | {r.severity} | {r.tier} | {r.title} |"
        for name, r in RULES.items()
    ]
    head = ["| rule | name | evidence | severity | tier | a finding says |", "| --- | --- | --- | --- | --- | --- |"]
    readme = folder / "README.md"
    before, _, _ = readme.read_text().partition("| rule |")
    wanted = {f"{name}.md": rule.page for name, rule in RULES.items()}
    wanted["README.md"] = before + "\n".join([*head, *table]) + "\n"
    if os.environ.get("LIMITBENCH_WRITE_GOLDEN"):
        for name, text in wanted.items():
            (folder / name).write_text(text)
    assert {path.name: path.read_text() for path in folder.iterdir()} == wanted


def test_rules_declare_what_spares_them() -> None:
    """A rule names no rule that does not exist, and only one that is decided on the same kind of subject."""
    for rule in RULES.values():
        for other in (*rule.spared_by, *rule.needless_after):
            assert RULES[other].scope == rule.scope
            assert RULES[other].decide is not None
        assert rule.decide is not None or rule.id.startswith("LB9")


def test_proved_findings_come_from_exact_arithmetic(monkeypatch: pytest.MonkeyPatch, cli, tmp_path: Path) -> None:
    """Without any optimizer, and with a bracket whose bound is a solver's word, nothing proved changes or appears."""
    from limitbench.checks import plan as module
    from limitbench.checks.rules import lb104

    for name, project in PROJECTS.items():
        if project.evidence != "proved":
            continue
        folder = tmp_path / name.replace(" ", "-")
        with monkeypatch.context() as patch:
            patch.setattr(lb104, "best_half_gap", None)
            patch.setattr(module, "best_half_gap", None)  # the one that uses floating point
            patch.setattr(module, "_root", None)
            report = check(project.write(folder))
        assert [f.rule for f in report.findings if f.evidence == "proved"] == list(project.rules)
    made = module.bracket

    def a_solvers_word(*args, **kwargs):
        found = made(*args, **kwargs)
        return type(found)(
            **{
                **found.__dict__,
                "lower": type(found.lower)(**{**found.lower.__dict__, "evidence": "measured", "established": "solver"}),
            }
        )

    monkeypatch.setattr(module, "bracket", a_solvers_word)
    report = check(PROJECTS["LB101 judged sets"].write(tmp_path / "solver"))
    assert not [f for f in report.findings if f.evidence == "proved"]


# ---------------------------------------------------------------------------------------------------------------- formats


@pytest.fixture(scope="module")
def junit_schema():
    """Jenkins' schema of JUnit reports."""
    xmlschema = pytest.importorskip("xmlschema", reason="needs limitbench[dev]")
    return xmlschema.XMLSchema(str(ROOT / "tests" / "schemas" / "jenkins-junit.xsd"))


def normal(text: str) -> str:
    """A report without what differs from run to run."""
    import re

    text = re.sub(r'("seconds": |time=")[0-9.]+', r"\g<1>0", text)
    return text.replace(limitbench.__version__, "VERSION")


FORMATS = {"text": "txt", "json": "json", "junit": "xml", "sarif": "sarif", "github": "github", "markdown": "md"}


@pytest.mark.parametrize("form", FORMATS)
def test_formats_are_as_agreed(form: str, cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request) -> None:
    """Each format of one report with errors, warnings, a suppression and an assumption is the golden file, byte for byte."""
    project = Project(
        'version = 1\n[workload."a|b <c>"]\npattern = { kind = "all-k", n = 46, k = 2 }\ngrowth = 2.0\n'
        '[retriever.prod]\ndim = 3\nmodel = "a/b"\n[retriever.next]\ndim = 64\nmodel = "a/c"\n'
        '[[suppress]]\nid = "LB401"\nretriever = "next"\nreason = "% : , soon"\nuntil = "2999-01-01"\n'
    )
    path = project.write(tmp_path)
    out = tmp_path / "out"
    assert cli("check", "--config", path, "-o", f"{form}={out}")[0] == 1
    golden = ROOT / "tests" / "golden" / f"check.{FORMATS[form]}"
    found = normal(out.read_text(encoding="utf-8"))
    if os.environ.get("LIMITBENCH_WRITE_GOLDEN"):
        golden.write_text(found, encoding="utf-8")
    assert found == golden.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", PARAMETERS)
def test_formats_are_valid(name: str, cli, tmp_path: Path, junit_schema) -> None:
    """JUnit by Jenkins' XSD, SARIF by OASIS' schema, JSON by the shipped one, for every project of the gallery, in one call."""
    project = PROJECTS[name]
    if "full" in project.arguments:
        pytest.skip("the full tier's report has the same shape; needs no second optimisation")
    path = prepared(project, tmp_path, cli)
    outputs = [f"-o{form}={tmp_path / form}" for form in FORMATS]
    code, out, _ = cli("check", "--config", path, *project.arguments, *outputs)
    assert (code, out) == (project.code, "")
    schemas = ROOT / "tests" / "schemas"
    junit_schema.validate(str(tmp_path / "junit"))
    sarif = json.loads((tmp_path / "sarif").read_text())
    jsonschema.validate(sarif, json.loads((schemas / "sarif-2.1.0-rtm.5.json").read_text()))
    report = json.loads((tmp_path / "json").read_text())
    jsonschema.validate(report, json.loads((ROOT / "docs" / "schemas" / "report.json").read_text()))
    assert [r["ruleId"] for r in sarif["runs"][0]["results"]] == [f["rule"] for f in report["findings"]]
    prints = [r["partialFingerprints"]["limitbench/v1"] for r in sarif["runs"][0]["results"]]
    assert len(set(prints)) == len(prints)


def test_shipped_schemas_are_the_models(cli, tmp_path: Path) -> None:
    """`limitbench schema` prints what docs/schemas/ holds, and the schema accepts every configuration of the gallery."""
    import tomllib

    for what in ("config", "report", "baseline"):
        code, out, _ = cli("schema", what)
        path = ROOT / "docs" / "schemas" / f"{what}.json"
        if os.environ.get("LIMITBENCH_WRITE_GOLDEN"):
            path.parent.mkdir(exist_ok=True)
            path.write_text(out, encoding="utf-8")
        assert (code, out) == (0, path.read_text(encoding="utf-8"))
        jsonschema.Draft202012Validator.check_schema(json.loads(out))
    schema = json.loads((ROOT / "docs" / "schemas" / "config.json").read_text())
    for project in PROJECTS.values():
        jsonschema.validate(json.loads(json.dumps(tomllib.loads(project.config), default=str)), schema)
    kept = prepared(PROJECTS["clean ratchet"], tmp_path, cli).parent / "baseline.json"
    jsonschema.validate(
        json.loads(kept.read_text()), json.loads((ROOT / "docs" / "schemas" / "baseline.json").read_text())
    )
    assert cli("schema", "nope")[0] == 2


def test_github_annotations_go_to_stderr_and_only_there(cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Annotations appear under GITHUB_ACTIONS=true alone, on stderr, escaped; the summary is appended; stdout stays clean."""
    path = PROJECTS["LB101"].write(tmp_path)
    assert cli("check", "--config", path, "-o", "github")[1:] == ("", "")
    summary = tmp_path / "summary.md"
    summary.write_text("before\n")
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    code, out, err = cli("check", "--config", path, "-o", "github", "-o", "json")
    assert (code, json.loads(out)["verdict"]) == (1, "violated")
    assert err.startswith(
        "::error file=limitbench.toml,line=5,title=LB101 dimension-too-small::dimension 3 cannot carry"
    )
    assert summary.read_text().startswith("before\n### limitbench: **failed**")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path))
    code, _, err = cli("check", "--config", path, "-o", "github")
    assert (code, "GITHUB_STEP_SUMMARY" in err) == (2, True)


@pytest.mark.parametrize(
    ("given", "says"),
    [(("-o", "yaml"), "expected one of text, json"), (("-o", "text", "-o", "json"), "on stdout"), (("-o", "json="), "found -o json="),
     (("-o", "json=x", "-o", "text=x"), "one file for two"), (("--tier", "slow"), "tier = 'slow'"), (("--select", "LB7"), "there is no rule 'LB7'"),
     (("--ignore", ""), "there is no rule ''"), (("--time-budget", "0"), "time budget"), (("--explain", "LB999"), "rule 'LB999'"),
     (("-o", "json=/dev/null/x"), "cannot be written")],
)  # fmt: skip
def test_wrong_options_are_named(given: tuple[str, ...], says: str, cli, tmp_path: Path) -> None:
    """Wrong formats, files, tiers and rules end with 2 and a sentence."""
    path = PROJECTS["clean plan"].write(tmp_path)
    code, _, err = cli("check", "--config", path, *given)
    assert (code, says in err) == (2, True), err


# ---------------------------------------------------------------------------------------------------------- configuration

GOOD = plan(46, 2, "dim = 64\n")
WRONG = {
    "not TOML": ("version = \n", 1, "is not TOML"),
    "a newer version": (GOOD.replace("version = 1", "version = 2"), 1, "newer limitbench"),
    "no version": (GOOD.replace("version = 1\n", ""), 1, "version: is missing"),
    "an unknown key": (GOOD + "dimm = 3\n", 6, "there is no such key; expected one of kind, dim"),
    "an unknown table": (GOOD + "[gates]\n", 6, "there is no such key; expected one of version, workload"),
    "a wrong type": (GOOD.replace("64", '"64"'), 5, "retriever.r.dim: input should be a valid integer"),
    "a boolean for a number": (GOOD.replace("64", "true"), 5, "valid integer"),
    "a wrong dtype": (GOOD + 'dtype = "fp8"\n', 6, "retriever.r.dtype"),
    "no workload": ("version = 1\n[retriever.r]\n", 1, "workload: is missing"),
    "two sources": (GOOD.replace("pattern", 'qrels = "x"\npattern'), 2, "expected one of them"),
    "an unknown pattern": (GOOD.replace("all-k", "al-k"), 3, "did you mean 'all-k'?"),
    "a pattern that cannot be": (GOOD.replace("k = 2", "k = 99"), 3, "1 <= k <= n"),
    "a gate on nothing": (GOOD + '[[gate]]\nworkload = "w"\nretriever = "x"\nmetric = "Recall@1"\n', 8, "there is no retriever 'x'"),
    "a wrong measure": (GOOD + '[[gate]]\nworkload = "w"\nretriever = "r"\nmetric = "Recal@1"\n', 9, "did you mean 'Recall'?"),
    "two measures": (GOOD + '[[gate]]\nworkload = "w"\nretriever = "r"\nmetric = "Recall@1,2"\n', 9, "expected one measure"),
    "a second gate": (GOOD + '[[gate]]\nworkload = "w"\nretriever = "r"\nmetric = "Recall@1"\n\n[[gate]]\nworkload = "w"\n'
                      'retriever = "r"\nmetric = "Recall@1"\nmin = 7.0\n', 15, "gate.1.min"),
    "max_drop without a baseline": (GOOD + '[[gate]]\nworkload = "w"\nretriever = "r"\nmetric = "Recall@1"\nmax_drop = 0.1\n', 10, "needs a [baseline]"),
    "a margin of no cosine": (GOOD + 'margin = 0.1\nmetric = "dot"\n', 4, "a margin is one of unit vectors"),
    "an unknown rule": (GOOD + '[severity]\nLB999 = "off"\n', 7, "there is no rule 'LB999'"),
    "an empirical error": (GOOD + '[severity]\nLB201 = "error"\n', 7, "never above warning"),
    "a suppression without reason": (GOOD + '[[suppress]]\nid = "LB101"\n', 6, "reason: is missing"),
    "a day that is none": (GOOD + '[[suppress]]\nid = "LB101"\nreason = "x"\nuntil = "soon"\n', 6, "expected a day such as"),
    "two ways to measure": (GOOD + '[retriever.r.measure]\nrun = "x"\nmodel = "minilm"\n', 6, "expected exactly one of run"),
    "a path outside": (GOOD.replace('pattern = { kind = "all-k", n = 46, k = 2 }', 'qrels = "../../etc/passwd"'), 3, "leads out of"),
    "an absolute path outside": (GOOD + '[retriever.r.measure]\nrun = "/etc/passwd"\n', 7, "leads out of"),
    "a file that is not there": (GOOD.replace('pattern = { kind = "all-k", n = 46, k = 2 }', 'qrels = "nowhere.tsv"'), 3, "is not a file"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_wrong_configurations_name_the_line(name: str, cli, tmp_path: Path) -> None:
    """A configuration that cannot be used ends with 2, and the sentence starts with file and line."""
    text, line, says = WRONG[name]
    path = tmp_path / "limitbench.toml"
    path.write_text(text)
    code, out, err = cli("check", "--config", path)
    assert (code, out) == (2, "")
    assert says in err
    assert f"{path}:{line}: " in err, err


def test_configurations_that_are_no_files(cli, tmp_path: Path) -> None:
    """A missing, binary or enormous file, and a folder without one, are said in a sentence; a folder with one is fine."""
    for given, says in ((tmp_path / "x.toml", "limitbench init"), (tmp_path, "limitbench init")):
        code, _, err = cli("check", "--config", given)
        assert (code, says in err) == (2, True)
    (tmp_path / "limitbench.toml").write_bytes(b"\xff\xfe")
    assert "not UTF-8" in cli("check", "--config", tmp_path)[2]
    with (tmp_path / "limitbench.toml").open("wb") as out:
        out.truncate(11_000_000)
    assert "larger than 10 MB" in cli("check", "--config", tmp_path)[2]
    (tmp_path / "limitbench.toml").write_text("a = " + "[" * 5000)
    assert "is not TOML" in cli("check", "--config", tmp_path)[2]
    (tmp_path / "limitbench.toml").write_text(GOOD)
    assert cli("check", "--config", tmp_path)[0] == 0


def test_lines_of_keys() -> None:
    """Dotted and quoted keys, arrays of tables, values that span lines and brackets in strings all keep their lines."""
    lines = key_lines(
        'a = 1\n"b c".d = [\n  1,\n  "]",\n]\n[t.\'u v\']\nx = """\ny = 3\n"""\nz = "[[" # [\n\n[[g]]\nm = 1\n[[g]]\nm = 2\n[g.sub]\nn = 3\n'
    )
    wanted = {("a",): 1, ("b c", "d"): 2, ("t", "u v"): 6, ("t", "u v", "x"): 7, ("t", "u v", "z"): 10, ("g", 0, "m"): 13,
              ("g", 1): 14, ("g", 1, "m"): 15, ("g", 1, "sub", "n"): 17}  # fmt: skip
    assert {key: lines[key] for key in wanted} == wanted
    assert ("y",) not in lines
    assert line_of(lines, ("t", "u v", "missing")) == 6
    assert line_of(lines, ("nothing",)) == 1


def test_growth_prints_its_assumption(cli, tmp_path: Path) -> None:
    """A grown workload is judged as all k-subsets, and the report says so whether it passes or not."""
    path = PROJECTS["growth within reach"].write(tmp_path)
    _, out, _ = cli("check", "--config", path)
    assert "assumes: workload 'w' at growth 10 is judged as all 1-subsets of 80 documents, its largest k" in out
    report = check(path)
    assert len(report.assumptions) == 1


def test_unjudged_documents_do_not_raise_the_bound(tmp_path: Path) -> None:
    """A corpus of many documents beyond the judged ones changes n and not the certified bound of the judged sets."""
    few = 'version = 1\n[workload.w]\nqrels = "qrels.tsv"\n[retriever.r]\ndim = 2\n'
    many = few.replace('"qrels.tsv"', '"qrels.tsv"\ncorpus = "corpus.jsonl"')
    ids = [*(f"d{i}" for i in range(10)), *(f"x{i}" for i in range(500))]
    for name, text in (("few", few), ("many", many)):
        path = Project(text, files={"corpus.jsonl": corpus(ids, [f"text {i}" for i in ids])}).write(tmp_path / name)
        assert not [f for f in check(path).findings if f.rule == "LB101"]


def test_suppressions_hold_until_their_day(tmp_path: Path) -> None:
    """A suppressed finding is kept and does not fail; on the day after it fails again, and the suppression is stale."""
    text = plan(46, 2, "dim = 3\n") + '[[suppress]]\nid = "LB101"\nuntil = 2027-03-01\nreason = "moving to 768"\n'
    path = Project(text).write(tmp_path)
    report = check(path, today=date(2027, 3, 1))
    (finding,) = report.findings
    assert (report.exit_code, finding.suppressed, finding.reason, report.counts.suppressed) == (
        0,
        True,
        "moving to 768",
        1,
    )
    late = check(path, today=date(2027, 3, 2))
    assert (late.exit_code, [f.rule for f in late.shown]) == (1, ["LB101", "LB903"])
    scoped = Project(text + 'retriever = "r"\nworkload = "w"\n').write(tmp_path / "scoped")
    assert check(scoped, today=date(2027, 1, 1)).exit_code == 0
    other = text.replace("[[suppress]]", "[retriever.other]\ndim = 3\n[[suppress]]") + 'retriever = "other"\n'
    assert check(Project(other).write(tmp_path / "other"), today=date(2027, 1, 1)).exit_code == 1


def test_the_front_door_and_a_loaded_project(tmp_path: Path) -> None:
    """`limitbench.check` takes a path or a project, and raises `InputError` for what is exit code 2."""
    path = PROJECTS["LB101"].write(tmp_path)
    assert limitbench.check(path).exit_code == limitbench.check(read_project(path)).exit_code == 1
    with pytest.raises(InputError, match="limitbench init"):
        limitbench.check(tmp_path / "nowhere.toml")


def test_fast_checks_load_nothing_heavy(tmp_path: Path) -> None:
    """A plan-only check in the fast tier imports neither torch nor matplotlib nor scipy.stats, and opens no socket."""
    path = PROJECTS["LB104"].write(tmp_path)
    code = (
        "import sys, socket\n"
        "def refuse(*a, **k): raise AssertionError('network')\n"
        "socket.socket.connect = socket.create_connection = refuse\n"
        "from limitbench.cli import invoke\n"
        f"code = invoke(['check', '--config', {str(path)!r}, '-o', 'json={tmp_path / 'o'}'])\n"
        "heavy = {'torch', 'matplotlib', 'transformers', 'scipy.stats', 'scipy.optimize', 'faiss', 'bm25s'}\n"
        "print(code, sorted(heavy & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "0 []"


# --------------------------------------------------------------------------------------------------------------- baseline


def test_baseline_is_recorded_compared_and_ratcheted(cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """init records once; diff tells; update refuses to fall, and under CI, without a flag; data that changed force a new one."""
    project = PROJECTS["clean ratchet"]
    path = project.write(tmp_path)
    base = ("--config", path)
    code, out, _ = cli("baseline", "update", *base)
    assert code == 2
    code, out, _ = cli("baseline", "init", *base, "--json")
    assert (code, json.loads(out)["gates"]) == (0, {"w/r/Recall@1": {"before": None, "now": 1.0}})
    first = (tmp_path / "baseline.json").read_bytes()
    assert "there already" in cli("baseline", "init", *base)[2]
    assert "nothing differs" in cli("baseline", "diff", *base)[2]
    (tmp_path / "run.trec").write_text(run(first=1))
    code, out, _ = cli("baseline", "diff", *base, "--json")
    assert json.loads(out)["gates"]["w/r/Recall@1"] == {"before": 1.0, "now": 0.0}
    code, _, err = cli("baseline", "update", *base)
    assert (code, "--allow-drop" in err, (tmp_path / "baseline.json").read_bytes() == first) == (2, True, True)
    monkeypatch.setenv("CI", "true")
    code, _, err = cli("baseline", "update", *base, "--allow-drop")
    assert (code, "under CI" in err) == (2, True)
    assert cli("baseline", "update", *base, "--allow-drop", "--allow-ci")[0] == 0
    monkeypatch.delenv("CI")
    (tmp_path / "run.trec").write_text(run())
    assert cli("baseline", "update", *base)[0] == 0, "an improvement needs no flag"
    first = (tmp_path / "baseline.json").read_bytes()
    assert cli("baseline", "update", *base)[0] == 0
    assert (tmp_path / "baseline.json").read_bytes() == first, "nothing changed, so nothing is written"
    (tmp_path / "qrels.tsv").write_text(qrels() + "q0\td9\t1\n")
    code, out, _ = cli("check", *base, "--json")
    assert (code, json.loads(out)["findings"], json.loads(out)["gates"][0]["compared"]) == (0, [], 7)
    assert "--allow-drop" in cli("baseline", "update", *base)[2], "a lower figure is meant, whatever lowers it"
    assert cli("baseline", "update", *base, "--allow-drop")[0] == 0
    assert cli("check", *base)[0] == 0


@pytest.mark.parametrize(
    ("harm", "says"),
    [("", "is empty"), ("{", "not whole JSON"), ("[]", "broken at the file"), ('{"schema_version": 3}', "newer"),
     ('{"schema_version": 2}', "broken at"),
     ('{"schema_version": 1}', "broken at recorded"), ("\x00", "not whole JSON")],
)  # fmt: skip
def test_broken_baselines_fail(harm: str, says: str, cli, tmp_path: Path) -> None:
    """An empty, broken or newer baseline is exit code 2, never a pass."""
    path = prepared(PROJECTS["clean ratchet"], tmp_path, cli)
    (tmp_path / "baseline.json").write_text(harm)
    code, _, err = cli("check", "--config", path)
    assert (code, says in err) == (2, True), err
    (tmp_path / "baseline.json").unlink()
    (tmp_path / "baseline.json").mkdir()
    assert cli("check", "--config", path)[0] == 2


def test_baseline_needs_a_place_and_a_gate(cli, tmp_path: Path) -> None:
    """Without [baseline], without a max_drop, or where a gate cannot be measured, nothing is written and a sentence says why."""
    for name, text, says in (
        ("a", measured("min = 0.5\n"), "has no [baseline]; add"),
        ("b", measured("min = 0.5\n", end='[baseline]\npath = "b.json"\n'), "no gate"),
        (
            "c",
            measured("max_drop = 0.5\n", end='[baseline]\npath = "b.json"\n').replace("run.trec", "gone"),
            "cannot be measured",
        ),
    ):
        path = Project(text).write(tmp_path / name)
        code, _, err = cli("baseline", "init", "--config", path)
        assert (code, says in err, (tmp_path / name / "b.json").exists()) == (2, True, False), err


# ------------------------------------------------------------------------------------------------------------------- init


@pytest.mark.parametrize("layout", ["beir", "trec", "jsonl", "nothing"])
def test_init_writes_a_configuration_that_passes(layout: str, cli, tmp_path: Path) -> None:
    """BEIR, TREC and jsonl data are found, and what is written passes; a second call refuses, and --force does it."""
    home = tmp_path / "eval"
    home.mkdir()
    if layout == "beir":
        (home / "qrels").mkdir()
        (home / "qrels" / "test.tsv").write_text(qrels())
        (home / "corpus.jsonl").write_text(corpus())
        (home / "queries.jsonl").write_text(queries())
        (home / "prod.trec").write_text(run())
    elif layout == "trec":
        (home / "my.qrels").write_text("".join(f"q{i} 0 d{i} 1\n" for i in range(8)))
    elif layout == "jsonl":
        rows = ({"query-id": f"q{i}", "corpus-id": f"d{i}", "score": 1} for i in range(8))
        (home / "qrels.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    code, out, err = cli("init", tmp_path)
    text = (tmp_path / "limitbench.toml").read_text()
    assert (code, out.strip()) == (0, str(tmp_path / "limitbench.toml"))
    assert ("pattern = { kind" in text) == (layout == "nothing"), err
    assert ('run = "eval/prod.trec"\n\n[[gate]]' in text) == (layout == "beir")
    assert text.count("#") > 8
    assert cli("check", "--config", tmp_path)[0] == 0
    code, _, err = cli("init", tmp_path)
    assert (code, "--force" in err) == (2, True)
    assert cli("init", tmp_path, "--force")[0] == 0
    assert cli("init", tmp_path / "nowhere")[0] == 2


# ----------------------------------------------------------------------------------------------- measuring by other means


def executing(way: str, *, timeout: float = 20.0) -> str:
    text = measured("min = 0.9\n", texts=True).replace('run = "run.trec"\n', f"{way}\ntimeout = {timeout}\n")
    return text.replace("[retriever.r]", '[retriever.r]\nkind = "other"')


COMMAND = (
    "import json, os, sys\n"
    "print('noise', file=sys.stderr)\n"
    "for line in sys.stdin:\n"
    "    q = json.loads(line)\n"
    "    print(q['_id'], 'Q0', 'd' + q['_id'][1:], 1, 1.0, 'x')\n"
)


def test_measuring_by_command_and_python(cli, tmp_path: Path) -> None:
    """A command reads queries and prints a run; a function returns scores; the fast tier and --no-exec run neither."""
    command = executing(f'command = ["{sys.executable}", "retrieve.py"]')
    python = executing('python = "mine.search:retrieve"')
    body = "def retrieve(queries, top_k):\n    print('noise')\n    return {q: {'d' + q[1:]: 1.0} for q in queries}\n"
    files = {"retrieve.py": COMMAND, "mine/__init__.py": "", "mine/search.py": body}
    for name, text in (("command", command), ("python", python)):
        path = Project(text, files=files).write(tmp_path / name)
        code, out, _ = cli("check", "--config", path, "--tier", "full")
        assert code == 0, out
        assert cli("check", "--config", path)[0] == 0, "auto measures what a gate asks for"
        code, out, _ = cli("check", "--config", path, "--tier", "fast", "--json")
        assert (code, [f["rule"] for f in json.loads(out)["findings"]]) == (3, ["LB902"]), (
            "a floor that nobody measured"
        )
        code, out, _ = cli("check", "--config", path, "--tier", "full", "--no-exec", "--json")
        assert (code, [f["rule"] for f in json.loads(out)["findings"]]) == (3, ["LB902"])


HOSTILE = {
    "hangs": ("import time; time.sleep(600)", "was not done after"),
    "hangs and catches": (
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)",
        "was not done after",
    ),
    "dies": ("import sys; sys.exit('no \\x1b[31m index')", "ended with code 1: no"),
    "is killed": ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "was killed by signal 9"),
    "forks and hangs": ("import os, time; os.fork(); os.fork(); time.sleep(600)", "was not done after"),
    "prints without end": ("while True: print('x' * 1000)", "printed more than"),
    "prints rubbish": ("print('hello world')", "printed no TREC run and no JSON at line 1"),
    "prints NaN": ("print('q0 Q0 d0 1 nan x')", "found the score NaN"),
    "prints nothing": ("pass", "it is empty"),
    "prints strangers": ("print('z Q0 d0 1 1.0 x')", "answers none of the 8 judged queries"),
    "screams": ("import sys; sys.stderr.write('x' * 5_000_000); sys.exit(3)", "ended with code 3"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_commands(name: str, cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A command that hangs, forks, screams or dies is stopped in time, named in a finding, and never green."""
    from limitbench.checks import execution

    monkeypatch.setattr(execution, "_MOST_OUTPUT", 1_000_000)
    body, says = HOSTILE[name]
    text = executing(f'command = "{sys.executable} hostile.py"', timeout=1.5)
    path = Project(text, files={"hostile.py": body}).write(tmp_path)
    code, out, _ = cli("check", "--config", path, "--tier", "full", "--json")
    (finding,) = json.loads(out)["findings"]
    assert (code, finding["rule"], says in finding["message"]) == (3, "LB902", True), finding
    assert "\x1b" not in cli("check", "--config", path, "--tier", "full")[1]


def test_no_child_outlives_the_check(cli, tmp_path: Path) -> None:
    """What a stopped command has started is gone with it."""
    body = "import os, time\nif os.fork() == 0:\n    open('child', 'w').write(str(os.getpid()))\ntime.sleep(600)\n"
    path = Project(
        executing(f'command = "{sys.executable} hostile.py"', timeout=2.0), files={"hostile.py": body}
    ).write(tmp_path)
    assert cli("check", "--config", path, "--tier", "full")[0] == 3
    child = int((tmp_path / "child").read_text())
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline and Path(f"/proc/{child}").exists():
        state = Path(f"/proc/{child}/stat").read_text().split(")")[-1].split()[0]
        if state == "Z":
            break
        time.sleep(0.05)
    else:
        assert not Path(f"/proc/{child}").exists()


@pytest.mark.parametrize(
    ("body", "says"),
    [("def retrieve(queries, top_k):\n    return 7\n", "ended with code 1"), ("def other(): pass\n", "ended with code 1"),
     ("def retrieve(queries, top_k):\n    return {q: {'d0': float('nan')} for q in queries}\n", "of numbers"),
     ("raise SystemExit(0)\n", "of numbers")],
)  # fmt: skip
def test_hostile_functions(body: str, says: str, cli, tmp_path: Path) -> None:
    """A Python entry point that fails, is missing or returns something else is a finding."""
    path = Project(executing('python = "mine:retrieve"'), files={"mine.py": body}).write(tmp_path)
    code, out, _ = cli("check", "--config", path, "--tier", "full", "--json")
    (finding,) = json.loads(out)["findings"]
    assert (code, finding["rule"], says in finding["message"]) == (3, "LB902", True), finding


def test_measuring_by_model_tells_the_losses(cli, tmp_path: Path) -> None:
    """A model of limitbench is measured in the full tier, its truncation and dtype against itself without them."""
    pytest.importorskip("sentence_transformers", reason="needs limitbench[models]")
    data = limitbench.load("limit-small-synthetic")
    from limitbench.datasets import write_folder

    write_folder(data, tmp_path / "eval")
    text = (
        'version = 1\n[workload.w]\nqrels = "eval/qrels/test.tsv"\ncorpus = "eval/corpus.jsonl"\nqueries = "eval/queries.jsonl"\n'
        '[retriever.r]\ndim = 32\ndtype = "binary"\n[retriever.r.measure]\nmodel = "minilm,dim=32,dtype=binary"\n'
        '[[gate]]\nworkload = "w"\nretriever = "r"\nmetric = "Recall@2"\nmin = 0.0\n'
    )
    (tmp_path / "limitbench.toml").write_text(text)
    code, out, _ = cli("check", "--config", tmp_path, "--tier", "full", "--select", "LB3", "--json")
    found = {f["rule"]: f for f in json.loads(out)["findings"]}
    assert code == 0
    assert {"LB303", "LB304", "LB307"} <= set(found)
    assert found["LB304"]["numbers"]["without"] > found["LB304"]["numbers"]["with"]


# ---------------------------------------------------------------------------------------------------------------- hostile


def test_links_out_and_in_circles(cli, tmp_path: Path) -> None:
    """A link that leads out of the project is refused at its line; links in a circle are said, not followed for ever."""
    home = tmp_path / "home"
    path = Project(measured("min = 0.5\n")).write(home)
    (tmp_path / "secret").write_text(run())
    (home / "run.trec").unlink()
    (home / "run.trec").symlink_to(tmp_path / "secret")
    code, _, err = cli("check", "--config", path)
    assert (code, "leads out of" in err, ":6: " in err) == (2, True, True), err
    (home / "run.trec").unlink()
    (home / "run.trec").symlink_to(home / "other")
    (home / "other").symlink_to(home / "run.trec")
    code, _, err = cli("check", "--config", path)
    assert code in (2, 3)
    (home / "loop").symlink_to(home)
    assert cli("init", home, "--force")[0] == 0, "a folder that holds itself is not walked in circles"


BROKEN = {
    "a line of 10 MB": {"qrels.tsv": qrels() + "q0\t" + "x" * 10_000_000 + "\t1\n"},
    "a column too few": {"qrels.tsv": qrels() + "q1\td1\n"},
    "an empty file": {"qrels.tsv": ""},
    "a header alone": {"qrels.tsv": "query-id\tcorpus-id\tscore\n"},
    "no JSON": {"corpus.jsonl": corpus() + "{oops\n"},
    "deep JSON": {"corpus.jsonl": corpus() + "[" * 100_000 + "\n"},
    "an empty corpus": {"corpus.jsonl": ""},
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_data_are_findings(name: str, cli, tmp_path: Path) -> None:
    """What `run` refuses is a finding: an error, or undecided and never green; and the check ends."""
    text = measured("min = 0.5\n", texts=True)
    path = Project(text, files=BROKEN[name]).write(tmp_path)
    code, out, err = cli("check", "--config", path, "--json")
    assert code in (1, 3), err
    report = json.loads(out)
    assert {f["rule"] for f in report["findings"]} & {"LB001", "LB902"}
    assert len(out) < 20_000


def test_bytes_that_are_no_text(cli, tmp_path: Path) -> None:
    """Data that are not UTF-8 leave the workload undecided, with file and line."""
    path = Project(measured("min = 0.5\n", texts=True)).write(tmp_path)
    (tmp_path / "corpus.jsonl").write_bytes(b'{"_id": "d0", "text": "\xff\xfe"}\n')
    code, out, _ = cli("check", "--config", path, "--json")
    (finding,) = json.loads(out)["findings"]
    assert (code, finding["rule"], finding["path"]) == (3, "LB902", "corpus.jsonl")


def test_odd_runs(cli, tmp_path: Path) -> None:
    """NaN, infinity, unknown documents, missing queries and unicode ids: a clear finding or a figure, never a crash."""
    cases = {
        "nan": (run().replace("0.9", "nan", 1), 3), "infinite": (run().replace("0.9", "inf", 1), 0),
        "stranger": (run() + "q0 Q0 nobody 9 0.1 x\n", 0), "one query": (run(n=1), 1), "empty": ("", 3), "words": ("a b c\n", 3),
        "twice": (run() + run(), 3),
    }  # fmt: skip
    for name, (text, wanted) in cases.items():
        path = Project(measured("min = 0.9\n"), files={"run.trec": text}).write(tmp_path / name)
        code, out, err = cli("check", "--config", path, "--json")
        assert code == wanted, (name, out, err)


def test_a_time_budget_is_kept(cli, tmp_path: Path) -> None:
    """What is not done when the budget ends is undecided, and errors among it are exit code 3."""
    path = PROJECTS["clean plan"].write(tmp_path)
    code, out, _ = cli("check", "--config", path, "--time-budget", "0.000001", "--json")
    report = json.loads(out)
    assert (code, report["counts"]["passed"], {f["rule"] for f in report["findings"]}) == (3, 0, {"LB902"})


def test_a_time_budget_ends_a_command(cli, tmp_path: Path) -> None:
    """A budget shorter than a command's own time stops the command, and leaves the rest undecided."""
    path = Project(
        executing(f'command = "{sys.executable} hostile.py"', timeout=300.0),
        files={"hostile.py": "import time; time.sleep(600)"},
    )
    code, found, _ = findings(cli, path.write(tmp_path), "--tier", "full", "--time-budget", "2")
    assert (code, {f["rule"] for f in found}) == (3, {"LB902"})
    stopped = re.search(r"was not done after (\d+) s", " ".join(f["message"] for f in found))
    assert stopped is not None
    assert int(stopped[1]) <= 2  # the budget, not the command's 300 s


def test_names_with_spaces_and_other_scripts(cli, tmp_path: Path) -> None:
    """Workloads, retrievers and ids in any script work, and reports in every format can be written."""
    text = 'version = 1\n[workload."früh stück"]\npattern = { kind = "all-k", n = 46, k = 2 }\n[retriever."検索 1"]\ndim = 3\n'
    path = Project(text).write(tmp_path / "ä b")
    outputs = [f"-o{form}={tmp_path / form}" for form in FORMATS]
    code, _, _ = cli("check", "--config", path, *outputs)
    assert code == 1
    assert all("検索 1" in (tmp_path / form).read_text(encoding="utf-8") for form in ("text", "json", "junit", "sarif"))


def test_narrow_terminal(tmp_path: Path) -> None:
    """The list of rules fits a terminal of 60 columns, and text output has no trailing blanks."""
    done = subprocess.run(
        [sys.executable, "-m", "limitbench", "check", "--config", str(PROJECTS["LB101"].write(tmp_path))],
        capture_output=True, text=True, env={**os.environ, "COLUMNS": "60"},
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (1, "")
    assert all(line == line.rstrip() for line in done.stdout.splitlines())


def test_reading_a_baseline_raises_for_the_path(tmp_path: Path) -> None:
    """The error of a broken baseline carries its path, for editors."""
    from limitbench.checks.baseline import read_baseline

    assert read_baseline(tmp_path / "none.json") is None
    (tmp_path / "b.json").write_text("{")
    with pytest.raises(DataError) as caught:
        read_baseline(tmp_path / "b.json")
    assert caught.value.path == tmp_path / "b.json"


# ------------------------------------------------------------------------------------------------ what a review found


def findings(cli, path: Path, *arguments: object) -> tuple[int, list[dict], dict]:
    code, out, err = cli("check", "--config", path, *arguments, "--json")
    assert out, err
    return code, json.loads(out)["findings"], json.loads(out)["counts"]


def judged(sets: list[list[int]]) -> str:
    return "query-id\tcorpus-id\tscore\n" + "".join(f"q{i}\td{d}\t1\n" for i, row in enumerate(sets) for d in row)


OWN = 'version = 1\n[workload.w]\nqrels = "qrels.tsv"\n[retriever.r]\n'


def test_a_query_that_asks_for_everything_hides_nothing(cli, tmp_path: Path) -> None:
    """All pairs of 46 documents need 4 dimensions whatever else is judged: a row of all documents changes no verdict."""
    pairs = [[i, j] for i in range(46) for j in range(i)]
    for name, sets in (("pairs", pairs), ("and all", [*pairs, list(range(46))])):
        path = Project(OWN + "dim = 3\n", files={"qrels.tsv": judged(sets)}).write(tmp_path / name)
        code, found, _ = findings(cli, path)
        assert (code, [f["rule"] for f in found]) == (1, ["LB101"])


@pytest.mark.slow
def test_constructions_serve_every_size_that_is_asked_for(cli, tmp_path: Path) -> None:
    """A query with nearly all documents relevant is as easy as its complement, and says nothing of the others."""
    rng = __import__("random").Random(0)
    threes = [sorted(rng.sample(range(40), 3)) for _ in range(60)]
    for name, sets in (("threes", threes), ("and 39", [*threes, list(range(39))])):
        path = Project(OWN + "dim = 4\n", files={"qrels.tsv": judged(sets)}).write(tmp_path / name)
        assert [f["rule"] for f in findings(cli, path)[1]] == ["LB102"], name
        path = Project(OWN + "dim = 6\n", files={"qrels.tsv": judged(sets)}).write(tmp_path / f"{name} 6")
        assert "LB102" not in [f["rule"] for f in findings(cli, path)[1]]


def test_cosines_are_not_inner_products(cli, tmp_path: Path) -> None:
    """Prefixes of a line are ranked by one inner product, and by no unit vectors of one dimension."""
    files = {"qrels.tsv": judged([list(range(i)) for i in range(1, 6)] + [[5]])}
    dot = Project(OWN + 'dim = 1\nmetric = "dot"\n', files=files).write(tmp_path / "dot")
    cosine = Project(OWN + "dim = 1\n", files=files).write(tmp_path / "cosine")
    assert not {"LB101", "LB102"} & {f["rule"] for f in findings(cli, dot)[1]}
    assert {"LB101", "LB102"} & {f["rule"] for f in findings(cli, cosine)[1]}


def test_gates_of_different_depths_share_a_measurement_that_is_deep_enough(cli, tmp_path: Path) -> None:
    """The order of two gates on one command changes nothing."""
    body = (
        "import json, os, sys\n"
        "k = int(os.environ['LIMITBENCH_TOP_K'])\n"
        "for line in sys.stdin:\n"
        "    q = json.loads(line)['_id']\n"
        "    ranked = [f'd{(int(q[1:]) + 1 + i) % 10}' for i in range(10)]\n"
        "    for rank, d in enumerate(ranked[:k]):\n"
        "        print(q, 'Q0', d, rank + 1, 1 - rank / 100, 'x')\n"
    )
    text = executing(f'command = ["{sys.executable}", "retrieve.py"]').replace("min = 0.9", "min = 0.0")
    other = '[[gate]]\nworkload = "w"\nretriever = "r"\nmetric = "Recall@10"\nmin = 0.9\n'
    head, gate, tail = text.partition("[[gate]]")
    for name, config in (("first", head + other + gate + tail), ("last", text + other)):
        path = Project(config, files={"retrieve.py": body}).write(tmp_path / name)
        code, found, _ = findings(cli, path, "--tier", "full", "--ignore", "LB303")
        assert (code, found) == (0, []), name


def test_what_cannot_be_measured_is_never_green(cli, tmp_path: Path) -> None:
    """A gate with a metric alone, or with its floor's rule off, still says that its run is missing; an error among them is 3."""
    text = measured("", texts=True).replace("run.trec", "gone.trec") + '[severity]\nLB303 = "error"\n'
    code, found, counts = findings(cli, Project(text).write(tmp_path / "a"))
    assert (code, [f["rule"] for f in found], counts["undecided"] >= 2) == (3, ["LB902"], True)
    text = measured("max_drop = 0.5\nmin = 0.5\n", end='[baseline]\npath = "b.json"\nmissing = "warning"\n', texts=True)
    text = text.replace('run = "run.trec"', 'command = "x"')
    code, found, counts = findings(cli, Project(text).write(tmp_path / "b"), "--select", "LB302,LB9")
    assert (code, [f["rule"] for f in found], counts["undecided"]) == (3, ["LB902"], 1)
    text = measured("max_drop = 0.5\n", end='[baseline]\npath = "b.json"\nmissing = "warning"\n')
    assert findings(cli, Project(text).write(tmp_path / "c"), "--fail-on", "warning")[0] == 3
    assert findings(cli, Project(text + '[severity]\nLB902 = "error"\n').write(tmp_path / "d"))[0] == 3
    text = measured("min = 0.5\n")
    files = {"qrels.tsv": "query-id\tcorpus-id\tscore\nq0\td0\t0\n"}
    code, found, _ = findings(cli, Project(text, files=files).write(tmp_path / "e"))
    assert (code, {f["rule"] for f in found}) == (3, {"LB003", "LB902"})


def test_few_queries_promise_nothing(cli, tmp_path: Path) -> None:
    """Four queries cannot reach 5 %, however far they fall: LB006 says so, and LB302 is undecided, never passed."""
    text = measured("max_drop = 0.5\n", end='[baseline]\npath = "baseline.json"\n')
    project = Project(text, before={}, files={"qrels.tsv": qrels(n=4)})
    path = project.write(tmp_path)
    assert cli("baseline", "init", "--config", path)[0] == 0
    (tmp_path / "run.trec").write_text(run(first=1))
    code, found, _ = findings(cli, path)
    assert (code, [f["rule"] for f in found]) == (3, ["LB006", "LB902"])
    assert "they can show no drop" in found[0]["message"]


def test_a_floor_that_is_met_exactly_holds(cli, tmp_path: Path) -> None:
    """Nine queries that each find 9 of 10 have a recall of 0.9, whatever floating point sums to."""
    sets = "query-id\tcorpus-id\tscore\n" + "".join(f"q{q}\td{q}x{d}\t1\n" for q in range(9) for d in range(10))
    ranked = "".join(f"q{q} Q0 d{q}x{d} {d + 1} {1 - d / 100} x\n" for q in range(9) for d in range(9))
    text = measured("min = 0.9\n").replace("Recall@1", "Recall@10")
    assert findings(cli, Project(text, files={"qrels.tsv": sets, "run.trec": ranked}).write(tmp_path))[:2] == (0, [])


ODD = {
    "a number of 5000 digits": (GOOD.replace("64", "6" * 5000), "is not TOML"),
    "a path of 5000 characters": (measured("min = 0.5\n").replace("qrels.tsv", "q" * 5000), "cannot be followed"),
    "a name with a slash": (GOOD.replace("retriever.r", 'retriever."a/b"'), "without '/'"),
    "a name with a line break": (GOOD.replace("retriever.r", '"retriever"."a\\nb"'), "without '/'"),
    "edges outside": (GOOD.replace('kind = "all-k", n = 46, k = 2', 'kind = "graph", edges = "/etc/passwd"'), "leads out of"),
    "a source outside": (GOOD.replace('kind = "all-k", n = 46, k = 2', 'kind = "like", source = "/etc"'), "leads out of"),
    "a source on the hub": (GOOD.replace('kind = "all-k", n = 46, k = 2', 'kind = "like", source = "limit"'), "there is no limit in the project"),
    "an enormous pattern": (GOOD.replace('kind = "all-k", n = 46, k = 2', 'kind = "power-law", n = 100000000, m = 3, k = 2'), "expected at most"),
    "a model that runs code": (GOOD + '[retriever.r.measure]\nmodel = "dense:a/b,trust_remote_code=true"\n', "drop it"),
    "a suppression of LB903": (GOOD + '[[suppress]]\nid = "LB903"\nreason = "x"\n', "cannot be suppressed"),
    "too much confidence": (GOOD + '[[gate]]\nworkload = "w"\nretriever = "r"\nmetric = "Recall@1"\nconfidence = 0.99995\n', "confidence"),
}  # fmt: skip


@pytest.mark.parametrize("name", ODD)
def test_odd_configurations_are_refused(name: str, cli, tmp_path: Path) -> None:
    """What no check can use, or must not read, is exit code 2 in one sentence, and nothing of a file outside is shown."""
    text, says = ODD[name]
    code, out, err = cli("check", "--config", Project(text).write(tmp_path))
    assert (code, out, says in err, "root:" in err) == (2, "", True, False), err


def test_graphs_and_likes_of_the_project_are_read(cli, tmp_path: Path) -> None:
    """Edges lie beside the configuration, wherever the check is called from; a generated dataset is a source."""
    pattern = 'kind = "all-k", n = 46, k = 2'
    text = GOOD.replace(pattern, 'kind = "graph", edges = "edges.txt"')
    assert findings(cli, Project(text, files={"edges.txt": "0 1\n1 2\n"}).write(tmp_path / "a"))[0] == 0
    assert (
        findings(cli, Project(GOOD.replace(pattern, 'kind = "like", source = "graph-petersen"')).write(tmp_path / "b"))[
            0
        ]
        == 0
    )


def test_nothing_outside_the_project_is_told(cli, tmp_path: Path) -> None:
    """The prompt in a folder outside the project is not read; one inside is."""
    for home in (tmp_path / "out", tmp_path / "in" / "model"):
        home.mkdir(parents=True)
        (home / "config_sentence_transformers.json").write_text('{"prompts": {"query": "SECRET"}}')
    outside = Project(GOOD + f'model = "{tmp_path / "out"}"\n').write(tmp_path / "in")
    assert "SECRET" not in cli("check", "--config", outside)[1]
    inside = Project(GOOD + 'model = "./model"\n').write(tmp_path / "in")
    assert "SECRET" in cli("check", "--config", inside)[1]


def test_a_part_that_does_not_parse_hides_no_other_part(cli, tmp_path: Path) -> None:
    """The models of a measured retriever are looked at one by one: a broken first stage leaves the reranker's model seen."""
    text = GOOD + 'model = "a/b@0123abc"\nmeasure = { model = "%s" }\n'
    for spec in (
        "rerank:c/d,first=foo",
        "hybrid:dense:c/d+nothing,candidates=5",
        'hybrid,members=\\"dense:c/d+bm25,k1\\"',
    ):
        _, found, _ = findings(cli, Project(text % spec).write(tmp_path), "--select", "LB4")
        assert [f["rule"] for f in found] == ["LB401"], spec
        assert "c/d" in found[0]["message"]


@pytest.mark.parametrize(
    ("model", "rules"),
    [("intfloat/e5-mistral-7b-instruct@0123abc", ["LB402"]), ("foo/bar@main", ["LB401"]), ("foo/bar@", ["LB401"]), ("foo/bar@0123abc", [])],
)  # fmt: skip
def test_revisions_and_prompts(model: str, rules: list[str], cli, tmp_path: Path) -> None:
    """A branch pins nothing; the longest known name decides which prompt is asked for."""
    _, found, _ = findings(cli, Project(GOOD + f'model = "{model}"\n').write(tmp_path))
    assert [f["rule"] for f in found] == rules
    if rules == ["LB402"]:
        assert "Instruct" in found[0]["message"]


def test_a_plans_revision_does_not_speak_for_the_measured_model(cli, tmp_path: Path) -> None:
    """What is measured is judged by its own options."""
    text = (
        GOOD
        + 'model = "foo/bar@0123abc"\nquery_prompt = ""\n[retriever.r.measure]\nmodel = "dense:intfloat/e5-small-v2"\n'
    )
    assert [f["rule"] for f in findings(cli, Project(text).write(tmp_path))[1]] == ["LB401", "LB402"]


def test_large_margins_in_many_dimensions_are_decided(cli, tmp_path: Path) -> None:
    """A margin near 1 in a million dimensions; powers of a million digits would outlast the suite's limit for a test."""
    code, found, _ = findings(cli, Project(OWN + "dim = 1000000\nmargin = 0.99999999\n").write(tmp_path))
    assert (code, "LB103" in [f["rule"] for f in found]) == (1, True)


def test_a_terminated_check_takes_its_child_along(tmp_path: Path) -> None:
    """SIGTERM, as CI cancels a job, ends the command that is being measured too."""
    import signal

    body = "import os, time\nopen('child', 'w').write(str(os.getpid()))\ntime.sleep(600)\n"
    path = Project(
        executing(f'command = "{sys.executable} hostile.py"', timeout=500.0), files={"hostile.py": body}
    ).write(tmp_path)
    command = [sys.executable, "-m", "limitbench", "check", "--config", str(path), "--tier", "full"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while not (tmp_path / "child").exists() or not (tmp_path / "child").read_text():
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=30) != 0
    child = Path(f"/proc/{(tmp_path / 'child').read_text()}")
    deadline = time.monotonic() + 10
    while child.exists() and child.joinpath("stat").read_text().split(")")[-1].split()[0] != "Z":
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_baselines_hold_shares_and_are_kept_under_ci(cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """NaN and figures beyond 1 are a broken baseline; --force does not write over one under CI."""
    path = prepared(PROJECTS["clean ratchet"], tmp_path, cli)
    kept = (tmp_path / "baseline.json").read_text()
    for value in ("NaN", "1.5"):
        (tmp_path / "baseline.json").write_text(kept.replace('"r/Recall@1": 1.0', f'"r/Recall@1": {value}', 1))
        assert cli("check", "--config", path)[0] == 2
    (tmp_path / "baseline.json").write_text(kept)
    monkeypatch.setenv("CI", "1")
    assert cli("baseline", "init", "--config", path, "--force")[0] == 2
    assert cli("baseline", "init", "--config", path, "--force", "--allow-ci")[0] == 0


def test_an_error_that_nobody_foresaw_is_no_violation(cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An internal error is exit code 2 and one sentence, without a traceback."""
    from limitbench.checks import subjects

    monkeypatch.setattr(subjects, "Plan", None)
    code, out, err = cli("check", "--config", PROJECTS["clean plan"].write(tmp_path))
    assert (code, out, "internal error (TypeError" in err, "Traceback" in err) == (2, "", True, False)


def test_junit_tells_the_undecided_beside_a_violation(cli, tmp_path: Path) -> None:
    """An undecided gate is an error in JUnit also where something else fails; quiet ones are neither."""
    from xml.etree import ElementTree

    text = measured("min = 0.5\n", plan="dim = 1\n").replace("run.trec", "gone.trec")
    files = {"qrels.tsv": judged([[i, (i + 1) % 8] for i in range(8)])}
    path = Project(text.replace("Recall@1", "Recall@2"), files=files).write(tmp_path)
    assert cli("check", "--config", path, "-o", f"junit={tmp_path / 'j.xml'}")[0] == 1
    root = ElementTree.parse(tmp_path / "j.xml").getroot()
    assert (root.get("failures"), root.get("errors")) == ("1", "1")


def test_suppressions_are_judged_where_they_hold(cli, tmp_path: Path) -> None:
    """A suppression for a retriever on which its rule was not decided is not called useless; a suppressed LB106 leaves LB301 alone."""
    text = GOOD + '[retriever.s]\nkind = "sparse"\n[[suppress]]\nid = "LB101"\nretriever = "s"\nreason = "x"\n'
    assert findings(cli, Project(text).write(tmp_path / "a"))[1] == []
    text = PROJECTS["LB106"].config + '[[suppress]]\nid = "LB106"\nreason = "x"\n'
    code, found, _ = findings(cli, Project(text).write(tmp_path / "b"))
    assert (code, [(f["rule"], f["suppressed"]) for f in found]) == (3, [("LB106", True), ("LB902", False)])


def test_lines_that_only_some_readers_break() -> None:
    """U+2028 is no line break in TOML, and a quoted key may hold brackets, equals signs and escapes."""
    lines = key_lines('# a\u2028b\nx = 1\n"r=[x".dim = 3\n"caf\\u00e9" = 2\ny = 4\n')
    assert [lines[key] for key in (("x",), ("r=[x", "dim"), ("café",), ("y",))] == [2, 3, 4, 5]


def test_data_ids_do_not_become_markup(cli, tmp_path: Path) -> None:
    """Ids in Markdown neither link nor call anybody."""
    path = Project(
        measured("min = 0.5\n", texts=True),
        files={"corpus.jsonl": corpus(["![x](http://e.org) @team", *[f"d{i}" for i in range(1, 10)]])},
    )
    assert cli("check", "--config", path.write(tmp_path), "-o", f"markdown={tmp_path / 'm'}")[0] == 1
    text = (tmp_path / "m").read_text()
    assert "![x]" not in text
    assert "@team" not in text


def test_a_graver_rule_is_told_beside_a_lighter_one(cli, tmp_path: Path) -> None:
    """The same missing run is said once for rules that warn, and once more for the one that makes the check fail."""
    text = measured("min = 0.5\n", texts=True).replace("run.trec", "gone.trec")
    text += '[severity]\nLB301 = "warning"\nLB303 = "error"\n'
    code, found, _ = findings(cli, Project(text).write(tmp_path))
    assert (code, [(f["about"], f["fails"]) for f in found]) == (3, [("LB301", False), ("LB303", True)])
