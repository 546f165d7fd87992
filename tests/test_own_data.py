"""What a user starts from: templates that work as they are, specs by their path, vocabularies from a file."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from limitbench import load
from limitbench.cli.new import NAMES, TEMPLATES
from limitbench.datasets.language import forms
from limitbench.errors import DataError, InputError, SpecError
from limitbench.evaluation import read_suite
from limitbench.retrievers import RetrieverSpec


def test_templates_work_as_they_are(cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each is written once, and does what its comments say."""
    monkeypatch.chdir(tmp_path)
    for kind, name in NAMES.items():
        code, _, err = cli("new", kind)
        assert (code, f"wrote {name}" in err) == (0, True), err
        code, _, err = cli("new", kind)
        assert (code, "is there already" in err) == (2, True), err
        assert cli("new", kind, "--overwrite")[0] == 0
    code, out, err = cli("run", "-d", "./my-data.toml", "-r", "bm25", "--results", "r", "--measures", "Recall@2")
    assert (code, "my-data: 100 documents, 50 queries" in out) == (0, True), err
    assert cli("generate", "./my-data.toml", "--out", "my-data")[0] == 0
    assert load("./my-data.toml").digest == load(tmp_path / "my-data").digest
    suite = read_suite("my-suite.toml")
    assert suite.datasets == ["limit-small-synthetic"]
    assert [RetrieverSpec.parse(one).label for one in suite.retrievers] == [None, "words"]
    assert cli("new", "poem")[0] == 2


def test_commented_lines_of_templates_are_valid_too(tmp_path: Path) -> None:
    """Every option that stands in a comment is one that there is."""
    for kind in ("dataset", "suite"):
        text = TEMPLATES[kind]
        for line in text.splitlines():
            stripped = line.strip()
            if (
                stripped.startswith("# ")
                and "=" in stripped
                and not stripped.startswith(("# kind", "# source", '# "', "# {"))
            ):
                text = text.replace(line, stripped.removeprefix("# "))
        told = tomllib.loads(text)
        if kind == "dataset":
            told["language"] |= {"hard_negatives": 0}
            from limitbench.datasets.spec import parse_spec

            assert parse_spec(told, "x").language.asked_at == "anywhere"
    for line in ('"ours=dense:./my-model,dim=256,dtype=int8"', '"hybrid:bm25+minilm,fusion=sum,weights=0.9+0.1"'):
        assert line in TEMPLATES["suite"]
        assert RetrieverSpec.parse(line.strip('"')).adapter in ("dense", "hybrid")


def test_the_template_of_a_retriever_is_one(tmp_path: Path) -> None:
    """It follows the contract, and ranks by shared words."""
    (tmp_path / "my_retriever.py").write_text(TEMPLATES["retriever"])
    program = (
        "from my_retriever import Mine; import limitbench; from limitbench.retrievers import Retriever\n"
        "assert isinstance(Mine(), Retriever)\n"
        "print(limitbench.evaluate('graph-petersen', Mine(shortest=4), measures='Recall@2').measures['Recall@2'].mean)"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) > 0.5


def test_a_vocabulary_may_be_a_file(tmp_path: Path) -> None:
    """One attribute a line, or what documents say, a tab, and what queries say."""
    path = tmp_path / "words.txt"
    path.write_text("# mine\n" + "\n".join(f"thing{i}\tsynonym{i}" for i in range(60)) + "\n")
    (tmp_path / "d.toml").write_text(
        f'title = "t"\nlicence = "l"\n[pattern]\nkind = "all-k"\nn = 6\nk = 2\n[language]\nvocabulary = "{path}"\nper_document = 10\n'
    )
    found = load(tmp_path / "d.toml")
    assert all("synonym" in text for text in found.queries.texts)
    assert all("thing" in text for text in found.corpus.texts)
    assert forms(str(path))[0] == ("thing0", "synonym0")
    path.write_text("a\nb\na\n")
    with pytest.raises(DataError, match="names 'a' twice"):
        forms(str(path))
    with pytest.raises(DataError, match="cannot be read"):
        forms(str(tmp_path / "none.txt"))


def test_wrong_specs_are_told_at_once(tmp_path: Path) -> None:
    """All missing fields together; a sha256 that is not that of the data; a split that there is not."""
    path = tmp_path / "d.toml"
    path.write_text('[pattern]\nkind = "all-k"\nn = 6\nk = 2\n')
    with pytest.raises(SpecError, match="title, licence: 2 fields are required"):
        load(path)
    path.write_text(f'title = "t"\nlicence = "l"\nsha256 = "{"0" * 64}"\n[pattern]\nkind = "all-k"\nn = 6\nk = 2\n')
    with pytest.raises(InputError, match="came out with sha256"):
        load(path)
    with pytest.raises(InputError, match="has one split"):
        load(path, split="dev")
