"""Where teams live: the action's scripts with stubs of pip and gh, recipes of other CI systems, several configurations, engines."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import types
from pathlib import Path

import pytest
from conftest import ROOT
from gallery import PROJECTS, Project, measured, plan

from limitbench.checks import check

ACTION = ROOT / ".github" / "actions" / "check"
PASSING, FAILING = plan(1000, 2, "dim = 768\n"), plan(46, 2, "dim = 3\n")


@pytest.fixture(autouse=True)
def not_ci(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests behave the same under CI and outside."""
    for name in ("CI", "GITHUB_ACTIONS", "GITHUB_STEP_SUMMARY"):
        monkeypatch.delenv(name, raising=False)


def bash(script: Path, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a script of the action as GitHub does, with `folder`/bin before the path."""
    path = f"{folder / 'bin'}{os.pathsep}{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    env = {
        **os.environ,
        "PATH": path,
        "GITHUB_OUTPUT": str(folder / "output"),
        "RUNNER_TEMP": str(folder),
        **environment,
    }
    return subprocess.run(["bash", str(script)], cwd=folder, env=env, capture_output=True, text=True)


def stub(folder: Path, name: str, body: str) -> None:
    """A program that notes how it was called."""
    (folder / "bin").mkdir(exist_ok=True)
    (folder / "bin" / name).write_text(f'#!/usr/bin/env bash\necho "$@" >> "{folder}/calls"\n{body}\n')
    (folder / "bin" / name).chmod(0o755)


# ------------------------------------------------------------------------------------------------------------------ the action


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ({}, "limitbench[all]"), ({"TIER": "fast"}, "limitbench"), ({"EXTRAS": "models,ann"}, "limitbench[models,ann]"),
        ({"ACTION_REF": "v0.3.1"}, "limitbench[all]==0.3.1"), ({"ACTION_REF": "main"}, "limitbench[all]"), ({"ACTION_REF": "v1"}, "limitbench[all]"),
        ({"VERSION": "==0.2.0", "ACTION_REF": "v0.3.1"}, "limitbench[all]==0.2.0"), ({"VERSION": "./here", "TIER": "fast"}, "./here"),
    ],
)  # fmt: skip
def test_the_action_installs_what_its_tag_and_tier_say(given: dict[str, str], wanted: str, tmp_path: Path) -> None:
    """The tag's version, the tier's extras, the caller's Python; what is asked for stands above both."""
    stub(tmp_path, "mypython", "")
    none = {"ACTION_REF": "", "EXTRAS": "", "PYTHON": "mypython", "TIER": "auto", "VERSION": ""}
    done = bash(ACTION / "install.sh", tmp_path, **{**none, **given})
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "calls").read_text().split()[-1] == wanted
    assert (tmp_path / "output").read_text() == "python=mypython\n"


def run_action(folder: Path, config: str) -> tuple[int, dict[str, str]]:
    """check.sh on these configurations: its exit code and outputs."""
    none = {
        "CONFIG": config, "FAIL_ON": "error", "JSON": "r.json", "JUNIT": "r.xml", "MARKDOWN": "r.md", "NO_EXEC": "false", "SARIF": "r.sarif",
        "TIER": "auto", "LIMITBENCH_PYTHON": sys.executable,
    }  # fmt: skip
    done = bash(ACTION / "check.sh", folder, **none)
    return done.returncode, dict(line.split("=", 1) for line in (folder / "output").read_text().splitlines())


@pytest.mark.parametrize(
    ("configs", "code", "verdict"),
    [
        ({"a": PASSING}, 0, "passed"), ({"a": PASSING, "b": FAILING}, 1, "violated"), ({"a": "version = 9\n"}, 2, "broken"),
        ({"a": FAILING, "b": "version = 9\n"}, 2, "broken"),
    ],
)  # fmt: skip
@pytest.mark.process
def test_the_action_reports_whatever_the_exit_code(
    configs: dict[str, str], code: int, verdict: str, tmp_path: Path
) -> None:
    """Outputs and all four files are there for passed, violated and broken, for one configuration and for several."""
    for name, text in configs.items():
        Project(text).write(tmp_path / name)
    ended, outputs = run_action(tmp_path, "".join(f"{name}\n" for name in configs))
    assert (ended, outputs) == (code, {"verdict": verdict, "exit-code": str(code)})
    for name in ("r.json", "r.xml", "r.md", "r.sarif"):
        assert (tmp_path / name).stat().st_size > 0, name
    report = json.loads((tmp_path / "r.json").read_text())
    assert report["exit_code"] == code
    assert len(report["reports"] if len(configs) > 1 else [report]) == len(configs)
    if verdict == "broken":
        assert "newer limitbench" in (tmp_path / "r.md").read_text()


@pytest.mark.parametrize(
    ("before", "method"), [("", "POST repos/o/r/issues/7/comments"), ("41", "PATCH repos/o/r/issues/comments/41")]
)
def test_the_comment_is_kept_up_to_date(before: str, method: str, tmp_path: Path) -> None:
    """The first time a comment is made; later the marked one is changed. Without a report nothing is asked of GitHub."""
    stub(
        tmp_path,
        "gh",
        f'for word in "$@"; do case $word in --paginate) echo "{before}" | grep . || true;; body=@*) cp "${{word#body=@}}" said;; esac; done',
    )
    given = {"MARKDOWN": "r.md", "NAME": "w j c", "PULL_REQUEST": "7", "REPOSITORY": "o/r"}
    assert bash(ACTION / "comment.sh", tmp_path, **given).returncode == 0
    assert not (tmp_path / "calls").exists()
    (tmp_path / "r.md").write_text("### limitbench: passed\n")
    done = bash(ACTION / "comment.sh", tmp_path, **given)
    assert done.returncode == 0, done.stderr
    assert method in (tmp_path / "calls").read_text().splitlines()[-1]
    mark, *rest = (tmp_path / "said").read_text().splitlines()
    assert (re.fullmatch(r"<!-- limitbench check [0-9a-f]{12} -->", mark) is not None, rest) == (
        True,
        ["### limitbench: passed"],
    )
    (tmp_path / "r.md").write_text("### limitbench: failed\n<details>\n" + "| ä |\n" * 30_000)
    assert bash(ACTION / "comment.sh", tmp_path, **given).returncode == 0
    long = (tmp_path / "said").read_text(encoding="utf-8")
    assert (len(long) < 60_000, long.endswith("r.md of this run.\n"), "</details>" in long) == (True, True, True)
    stub(tmp_path, "gh", "exit 4")
    done = bash(ACTION / "comment.sh", tmp_path, **given)
    assert (done.returncode, "::warning" in done.stdout) == (0, True), "a token that may not comment fails nothing"


# ------------------------------------------------------------------------------------------------------ several configurations


def test_a_folder_of_several_is_checked_whole(cli, tmp_path: Path) -> None:
    """Every limitbench.toml below a folder; the worst exit code; one that is broken stops no other; each format holds all."""
    import jsonschema

    for name, text in (
        ("one", PASSING),
        ("two/deep", FAILING),
        (".hidden", "version = 9\n"),
        ("node_modules/x", "version = 9\n"),
    ):
        Project(text).write(tmp_path / name)
    forms = ("text", "json", "junit", "sarif", "github", "markdown", "gitlab")
    code, _, _ = cli("check", "--config", tmp_path, *(f"-o{form}={tmp_path / form}" for form in forms))
    assert code == 1
    report = json.loads((tmp_path / "json").read_text())
    assert [one["exit_code"] for one in report["reports"]] == [0, 1]
    assert "== " in (tmp_path / "text").read_text()
    sarif = json.loads((tmp_path / "sarif").read_text())
    jsonschema.validate(sarif, json.loads((ROOT / "tests" / "schemas" / "sarif-2.1.0-rtm.5.json").read_text()))
    assert len(sarif["runs"]) == 2
    assert (tmp_path / "junit").read_text().count("<testsuite ") == 2
    Project("version = 9\n").write(tmp_path / "three")
    code, out, _ = cli(
        "check",
        "--config",
        tmp_path / "one",
        "--config",
        tmp_path / "three",
        "--config",
        tmp_path / "two",
        "-o",
        "json",
    )
    found = json.loads(out)
    assert (code, found["exit_code"], [one["verdict"] for one in found["reports"]]) == (
        2,
        2,
        ["passed", "broken", "violated"],
    )
    assert "newer limitbench" in found["reports"][1]["error"]


@pytest.mark.parametrize("form", ["json", "junit", "sarif", "github", "gitlab", "markdown"])
def test_a_broken_configuration_is_reported_in_every_format(form: str, cli, tmp_path: Path) -> None:
    """Exit code 2 leaves a file that says why, valid in its format."""
    path = Project("version = 9\n").write(tmp_path)
    code, _, err = cli("check", "--config", path, "-o", f"{form}={tmp_path / 'out'}")
    text = (tmp_path / "out").read_text()
    assert (code, "newer limitbench" in err, "newer limitbench" in text) == (2, True, True)
    if form == "junit":
        xmlschema = pytest.importorskip("xmlschema", reason="needs limitbench[dev]")
        xmlschema.XMLSchema(str(ROOT / "tests" / "schemas" / "jenkins-junit.xsd")).validate(str(tmp_path / "out"))


def test_gitlab_issues_have_what_gitlab_needs(cli, tmp_path: Path) -> None:
    """description, check_name, fingerprint, severity and location of each finding, fingerprints distinct."""
    path = PROJECTS["LB302"].write(tmp_path)
    assert cli("baseline", "init", "--config", Project(PROJECTS["LB302"].config).write(tmp_path))[0] == 0
    PROJECTS["LB302"].write(tmp_path)
    assert cli("check", "--config", path, "-o", f"gitlab={tmp_path / 'gl.json'}")[0] == 1
    issues = json.loads((tmp_path / "gl.json").read_text())
    assert [issue["check_name"] for issue in issues] == ["LB302 regression"]
    for issue in issues:
        assert set(issue) == {"description", "check_name", "fingerprint", "severity", "location"}
        assert issue["severity"] in ("info", "minor", "major", "critical", "blocker")
        assert issue["location"]["lines"]["begin"] > 0
    assert len({issue["fingerprint"] for issue in issues}) == len(issues)


# ------------------------------------------------------------------------------------------------------------- other CI systems


def commands(name: str) -> list[str]:
    """The commands of a recipe."""
    text = (ROOT / "examples" / "ci" / name).read_text()
    if name == "Jenkinsfile":
        return re.findall(r"sh '(.*)'", text)
    yaml = pytest.importorskip("yaml", reason="needs PyYAML")
    found = yaml.safe_load(text)
    if name == "gitlab-ci.yml":
        assert set(found["limitbench"]["artifacts"]["reports"]) == {"codequality", "junit"}
        return list(found["limitbench"]["script"])
    return [step["script"] for step in found["steps"] if "script" in step]


@pytest.mark.parametrize("name", ["gitlab-ci.yml", "azure-pipelines.yml", "Jenkinsfile"])
@pytest.mark.process
def test_recipes_run(name: str, tmp_path: Path) -> None:
    """The recipe's own lines, with pip replaced by a stub, pass on a sound plan and fail on another; the files it publishes are there."""
    stub(tmp_path, "pip", "")
    published = set(re.findall(r"[\w-]+\.(?:xml|json)", (ROOT / "examples" / "ci" / name).read_text()))
    for text, code in ((PASSING, 0), (FAILING, 1)):
        Project(text).write(tmp_path)
        script = tmp_path / "script.sh"
        script.write_text("set -e\n" + "\n".join(commands(name)) + "\n")
        done = bash(script, tmp_path)
        assert done.returncode == code, done.stderr
        assert "LB101" in done.stdout or code == 0
        assert all((tmp_path / file).stat().st_size > 0 for file in published)
    assert '"limitbench[all]"' in " ".join(commands(name)) or "limitbench[all]" in (tmp_path / "calls").read_text()


# --------------------------------------------------------------------------------------------------------------------- engines

TABLE = {"d0": [1.0, 0.0], "d1": [0.0, 1.0], "d2": [0.6, 0.8]}


def nearest(vector: list[float], k: int) -> list[tuple[str, float]]:
    """Ids and cosines, best first."""
    scored = [(name, sum(a * b for a, b in zip(vector, row, strict=True))) for name, row in TABLE.items()]
    return sorted(scored, key=lambda pair: -pair[1])[:k]


def module(name: str, **members: object) -> types.ModuleType:
    """A module with these members."""
    made = types.ModuleType(name)
    for key, value in members.items():
        setattr(made, key, value)
    return made


class Stub:
    """A client of any engine: what the recipes call, answered from TABLE. `asked` keeps what was passed."""

    def __init__(self, *given: object, **named: object) -> None:
        self.asked = (given, named)
        self.version = 1

    def query_points(self, name: str, query: list[float], limit: int, with_payload: list[str]) -> types.SimpleNamespace:
        assert (name, with_payload) == ("documents", ["id"])
        points = [types.SimpleNamespace(payload={"id": n}, score=s) for n, s in nearest(query, limit)]
        return types.SimpleNamespace(points=points)

    config = types.SimpleNamespace(hnsw_config="m=16", quantization_config=None)
    configuration = types.MappingProxyType({"hnsw": {"ef_search": 64}})

    def open_table(self, _name: str) -> Stub:
        return self

    def get_collection(self, _name: str) -> Stub:
        return self

    def list_indices(self) -> list:
        return [types.SimpleNamespace(index_type="IvfPq")]

    def distance_type(self, kind: str) -> Stub:
        assert kind == "cosine"
        return self

    def limit(self, k: int) -> Stub:
        self.k = k
        return self

    def to_list(self) -> list[dict]:
        return [{"id": n, "_distance": 1 - s} for n, s in nearest(self.vector, self.k)]

    def query(self, query_embeddings: list, n_results: int, include: list[str]) -> dict:
        assert include == ["distances"]
        rows = [nearest(vector, n_results) for vector in query_embeddings]
        return {"ids": [[n for n, _ in row] for row in rows], "distances": [[1 - s for _, s in row] for row in rows]}

    def get(self, include: list) -> dict:
        return {"ids": list(TABLE)} if include == [] else {}

    def search(self, *given: object, **named: object) -> object:
        if "query" in named:  # elasticsearch
            word = named["query"]["match"]["text"].split()[-1]  # type: ignore[index]
            hits = [{"_id": n, "_score": s} for n, s in nearest(TABLE[word], int(named["size"]))]  # type: ignore[call-overload]
            return {"hits": {"hits": hits}}
        if "data" in named:  # milvus
            return [[{"id": n, "distance": s} for n, s in nearest(v, int(named["limit"]))] for v in named["data"]]  # type: ignore[attr-defined, call-overload]
        self.vector = given[0]  # lancedb
        return self

    def __enter__(self) -> Stub:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def execute(self, sql: str, values: dict | None = None) -> Stub:
        self.rows = [("64",)] if values is None else nearest(json.loads(values["v"]), values["k"])
        assert values is None or (sql.count("<=>") == 2 and "LIMIT" in sql)
        return self

    def fetchall(self) -> list:
        return self.rows

    def fetchone(self) -> tuple:
        return self.rows[0]


MODULES = {
    "search_qdrant": {"qdrant_client": module("qdrant_client", QdrantClient=Stub)},
    "search_pgvector": {"psycopg": module("psycopg", connect=Stub)},
    "search_lancedb": {"lancedb": module("lancedb", connect=Stub)},
    "search_chroma": {"chromadb": module("chromadb", PersistentClient=Stub)},
    "search_milvus": {"pymilvus": module("pymilvus", MilvusClient=Stub)},
    "search_elastic": {"elasticsearch": module("elasticsearch", Elasticsearch=Stub)},
}


@pytest.mark.parametrize("name", MODULES)
def test_engine_recipes(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each recipe, against a stub of its client that answers from a table: the right documents, larger scores better, few lines."""
    for key, made in MODULES[name].items():
        monkeypatch.setitem(sys.modules, key, made)
    monkeypatch.setitem(
        sys.modules, "embedding", module("embedding", embed=lambda texts: [TABLE[t.split()[-1]] for t in texts])
    )
    for variable in ("QDRANT_URL", "DATABASE_URL", "LANCEDB", "CHROMA", "MILVUS_URI", "ELASTICSEARCH_URL"):
        monkeypatch.setenv(variable, "x")
    text = (ROOT / "examples" / "recipes" / f"{name}.py").read_text()
    space: dict = {"__name__": name}
    exec(compile(text, name, "exec"), space)
    answer = space["retrieve"]({"q0": "find d0", "q1": "find d1"}, 2)
    assert [list(answer["run"][q]) for q in ("q0", "q1")] == [["d0", "d2"], ["d1", "d2"]]
    for row in answer["run"].values():
        scores = list(row.values())
        assert scores[0] > scores[1]
    body = text[text.index("def retrieve") :].splitlines()[2:]
    assert 4 <= len([line for line in body if line.strip()]) <= 8


def test_the_docs_have_the_recipes() -> None:
    """docs/recipes.md shows each file of examples/recipes as it is."""
    text = (ROOT / "docs" / "recipes.md").read_text(encoding="utf-8")
    for path in (ROOT / "examples" / "recipes").glob("*.py"):
        assert f"```python\n{path.read_text(encoding='utf-8').rstrip()}\n```" in text, path.name
    assert set(MODULES) == {path.stem for path in (ROOT / "examples" / "recipes").glob("*.py")}


# ---------------------------------------------------------------------------------------------------------------------- pytest


@pytest.mark.process
def test_the_check_runs_once_under_xdist(tmp_path: Path) -> None:
    """Three workers collect the configuration; the service is asked once, and every finding is one test."""
    body = "def retrieve(queries, top_k):\n    open('asked', 'a').write('x')\n    return {q: {'d9': 1.0} for q in queries}\n"
    text = (
        measured("min = 0.5\n", texts=True).replace('run = "run.trec"', 'python = "rag:retrieve"')
        + '[severity]\nLB303 = "off"\n'
    )
    Project(text, files={"rag.py": body}).write(tmp_path)
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "-n",
        "3",
        "--limitbench",
        "limitbench.toml",
    ]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, "2 failed" in done.stdout) == (1, True), done.stdout + done.stderr
    assert (tmp_path / "asked").read_text() == "x"


# ---------------------------------------------------------------------------------------------------------------- realistic plans

AT_100 = '[[gate]]\nworkload = "w"\nretriever = "r"\nmetric = "Recall@100"\nmin = 0.9\n'
REALISTIC = {  # rule: a plan that a team might make, and how far the check must go
    "LB101": (
        plan(10**6, 20, "dim = 32\n"),
        "auto",
    ),  # vectors cut to 32 coordinates; questions with up to 20 documents
    "LB102": (plan(10**6, 2, "dim = 96\nmargin = 0.1\n"), "auto"),
    "LB103": (plan(10**7, 10, "dim = 64\nmargin = 0.1\n"), "auto"),
    "LB104": (plan(10**6, 5, 'dim = 384\ndtype = "int8"\n'), "auto"),
    "LB105": (plan(10**6, 10, 'dim = 64\ndtype = "binary"\n'), "auto"),
    "LB106": (measured("min = 0.9\n", more="top_k = 2\n"), "auto"),  # four relevant documents, two handed on
    "LB107": (plan(10**6, 100, 'dim = 1024\ndtype = "binary"\n') + AT_100, "auto"),
    "LB201": (plan(46, 2, 'dim = 12\ndtype = "binary"\n'), "full"),
    "LB202": (plan(10**7, 2, "dim = 384\n"), "auto"),
}
FOUR = "query-id\tcorpus-id\tscore\n" + "".join(f"q{q}\td{(q + i) % 10}\t1\n" for q in range(8) for i in range(4))


@pytest.mark.parametrize("rule", REALISTIC)
def test_a_realistic_plan_for_each_rule_of_theory(rule: str, tmp_path: Path) -> None:
    """The rule fires, and its remedy says in a plain sentence what to do, or that nothing is shown to be wrong."""
    text, tier = REALISTIC[rule]
    if tier == "full":
        pytest.importorskip("torch", reason="needs limitbench[models]")
    report = check(
        Project(
            text.replace('Recall@1"\n', 'Recall@2"\n') if rule == "LB106" else text, files={"qrels.tsv": FOUR}
        ).write(tmp_path),
        tier=tier,
    )
    found = {finding.rule: finding for finding in report.findings}
    assert rule in found, found
    open_question = found[rule].evidence in ("constructed", "empirical")
    assert open_question == found[rule].remedy.startswith("nothing is shown to be wrong: ")
    assert open_question or re.match(r"(plan|ask for|hand on|lower)\b", found[rule].remedy), found[rule].remedy
    assert (report.exit_code == 1) == (not open_question)


def test_own_judgements_are_not_told_of_unknown_constructions(tmp_path: Path) -> None:
    """LB104 speaks of patterns alone: with a team's own judgements the dtype is measured."""
    text = 'version = 1\n[workload.w]\nqrels = "qrels.tsv"\n[retriever.r]\ndim = 16\ndtype = "binary"\n'
    report = check(Project(text).write(tmp_path))
    assert "LB104" not in {finding.rule for finding in report.findings}
