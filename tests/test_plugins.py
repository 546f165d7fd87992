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
    points = table["entry-points"]["limitbench.retrievers"]
    (info / "entry_points.txt").write_text(
        "[limitbench.retrievers]\n" + "".join(f"{k} = {v}\n" for k, v in points.items())
    )
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
