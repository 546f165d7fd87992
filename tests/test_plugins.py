from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from conftest import ROOT

EXAMPLE = ROOT / "examples" / "limitbench-length"


def installed(tmp_path: Path) -> dict[str, str]:
    """An environment in which the example package is found as if pip had installed it."""
    import tomllib

    table = tomllib.loads((EXAMPLE / "pyproject.toml").read_text())["project"]
    place = tmp_path / "site"
    info = place / f"{table['name'].replace('-', '_')}-{table['version']}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {table['name']}\nVersion: {table['version']}\n")
    groups = table["entry-points"].items()
    lines = [line for group, points in groups for line in (f"[{group}]", *(f"{k} = {v}" for k, v in points.items()))]
    (info / "entry_points.txt").write_text("\n".join(lines) + "\n")
    (place / "limitbench_length.py").write_text((EXAMPLE / "limitbench_length.py").read_text())
    return {**os.environ, "PYTHONPATH": str(place)}


def test_a_third_party_retriever_is_found_and_measured(tmp_path: Path) -> None:
    """The example package's retriever is listed, takes its options, is recorded like ours, and its wrong options are named."""
    env = installed(tmp_path)
    run = [sys.executable, "-m", "limitbench"]
    listed = subprocess.run([*run, "list", "--json"], capture_output=True, text=True, env=env, check=True)
    assert "length" in json.loads(listed.stdout)["adapters"]
    command = [*run, "run", "-d", "graph-petersen", "--results", str(tmp_path / "r"), "--json", "-r"]
    done = subprocess.run([*command, "length,unit=words"], capture_output=True, text=True, env=env)
    assert done.returncode == 0, done.stderr
    (result,) = json.loads(done.stdout)["results"]
    assert result["retriever_facts"]["configuration"] == {"adapter": "length", "unit": "words"}
    assert 0 < result["measures"]["Recall@10"]["mean"] <= 1
    wrong = subprocess.run([*command, "length,unit=lines"], capture_output=True, text=True, env=env)
    assert (wrong.returncode, "option 'unit'" in wrong.stderr) == (2, True)


def test_the_example_keeps_the_contract(tmp_path: Path) -> None:
    """Permuted documents, an empty query, depth beyond the corpus and repeated texts: the example passes what ours pass."""
    code = (
        "from limitbench.collection import Corpus, Queries\nfrom limitbench.retrievers import Retriever, retriever\n"
        "made = retriever('length').retriever\nassert isinstance(made, Retriever)\n"
        "corpus = Corpus(('a', 'b', 'c'), ('xx', 'x', 'xx'))\n"
        "run = made.index(corpus).search(Queries(('q',), ('',)), 9).run\n"
        "assert dict(run.row(0)) == {'a': 2, 'c': 2, 'b': 1}\n"
        "other = Corpus(('c', 'b', 'a'), ('xx', 'x', 'xx'))\n"
        "assert dict(made.index(other).search(Queries(('q',), ('',)), 9).run.row(0)) == dict(run.row(0))\n"
        "assert len(made.index(corpus).search(Queries(('q',), ('',)), 1).run.row(0)) == 2\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=installed(tmp_path))
    assert done.returncode == 0, done.stderr


SPEC = (
    """title = "star"\nlicence = "CC0-1.0"\n[pattern]\nkind = "{kind}"\n{arguments}\n[language]\nper_document = 3\n"""
)


def generated(tmp_path: Path, env: dict[str, str], kind: str, arguments: str) -> subprocess.CompletedProcess[str]:
    """`limitbench generate` of a spec with this pattern."""
    spec = tmp_path / f"{kind}.toml"
    spec.write_text(SPEC.format(kind=kind, arguments=arguments))
    command = [sys.executable, "-m", "limitbench", "generate", str(spec), "--out", str(tmp_path / kind)]
    return subprocess.run(command, capture_output=True, text=True, env=env)


def test_a_third_party_pattern_is_generated(tmp_path: Path) -> None:
    """The example package's pattern is listed, and makes a dataset with its relevance; wrong arguments are named."""
    env = installed(tmp_path)
    run = [sys.executable, "-m", "limitbench"]
    listed = subprocess.run([*run, "list", "--json"], capture_output=True, text=True, env=env, check=True)
    assert "star" in json.loads(listed.stdout)["patterns"]
    done = generated(tmp_path, env, "star", "n = 5\nm = 3")
    assert done.returncode == 0, done.stderr
    rows = [line.split("\t") for line in (tmp_path / "star" / "qrels" / "test.tsv").read_text().splitlines()[1:]]
    by_query: dict[str, set[str]] = {}
    for query, document, _ in rows:
        by_query.setdefault(query, set()).add(document)
    assert [len(found) for found in by_query.values()] == [2, 2, 2]
    assert len(set.intersection(*by_query.values())) == 1
    for arguments, says in (("n = 5", "'star': m:"), ("n = 5\nm = 9", "1 <= m < n"), ('n = 5\nm = "3"', "'star': m:")):
        wrong = generated(tmp_path, env, "star", arguments)
        assert (wrong.returncode, says in wrong.stderr) == (2, True), wrong.stderr


def test_a_pattern_that_breaks_is_told(tmp_path: Path) -> None:
    """One that raises, and one that gives no matrix: one line that names it, no traceback."""
    env = installed(tmp_path)
    place = Path(env["PYTHONPATH"])
    (place / "broken.py").write_text("def raises():\n    return 1 // 0\n\n\ndef lists():\n    return [[0, 1]]\n")
    (info,) = place.glob("*.dist-info")
    (info / "entry_points.txt").write_text("[limitbench.patterns]\nraises = broken:raises\nlists = broken:lists\n")
    for kind, says in (("raises", "ZeroDivisionError"), ("lists", "gave list, expected")):
        done = generated(tmp_path, env, kind, "")
        assert (done.returncode, says in done.stderr, "Traceback" in done.stderr) == (2, True, False), done.stderr
