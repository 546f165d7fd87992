from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT

import limitbench

FRONT_DOOR = {
    "Corpus", "Dataset", "LimitbenchError", "Measure", "Qrels", "Queries", "Result", "Run", "bracket", "check", "compare",
    "design", "drown", "evaluate", "load", "suite", "sweep", "write_report",
}  # fmt: skip


def test_front_door() -> None:
    """The public names are exactly these, and each one loads."""
    assert set(limitbench.__all__) == FRONT_DOOR
    assert all(getattr(limitbench, name) for name in FRONT_DOOR)


@pytest.mark.parametrize("statement", ["import limitbench", "import limitbench.cli", "from limitbench import load"])
def test_import_is_light(statement: str) -> None:
    """Importing the package, its front door or its command line loads no torch and no matplotlib."""
    heavy = {"torch", "matplotlib", "transformers"} | ({"typer"} if "cli" not in statement else set())
    code = f"import sys; {statement}; print(*sorted({heavy!r} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == ""


@pytest.mark.parametrize("noun", ["datasets", "retrievers", "theory", "results"])
def test_catalogue_holds_no_code(noun: str) -> None:
    """The catalogue folders hold data only, so none of them can shadow an installed package's code."""
    assert not [path for path in (ROOT / noun).rglob("*.py") if "local" not in path.parts]


@pytest.mark.process
def test_sentence_transformers_imports_from_the_root() -> None:
    """Standing in the repo root does not shadow Hugging Face's `datasets`."""
    pytest.importorskip("sentence_transformers", reason="needs limitbench[models]")
    code = "import datasets; assert hasattr(datasets, 'Dataset'); import sentence_transformers"
    subprocess.run([sys.executable, "-W", "ignore", "-c", code], cwd=ROOT, check=True, capture_output=True)


def test_catalogue_ships_in_the_package_list() -> None:
    """Every package of limitbench and every catalogue folder with files is in pyproject's explicit list."""
    import tomllib

    table = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    folders = {".".join(p.parent.relative_to(ROOT).parts) for p in (ROOT / "limitbench").rglob("__init__.py")}
    assert folders <= set(table["packages"])
    assert set(table["package-dir"]) == {name for name in table["packages"] if "_catalog" in name}
    assert all((ROOT / place).is_dir() for place in table["package-dir"].values())


def test_the_lock_serves_every_python_that_is_promised() -> None:
    """No locked package, as it is installed here, asks for a newer Python than the first of those that pyproject promises."""
    import tomllib
    from importlib.metadata import distributions

    from packaging.specifiers import SpecifierSet
    from packaging.utils import canonicalize_name

    promised = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["requires-python"]
    first = promised.removeprefix(">=") + ".0"
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    locked = {canonicalize_name(name): v for name, _, v in (line.partition("==") for line in lines) if v}
    asked = {
        f"{found.name} {found.version}": found.metadata["Requires-Python"]
        for found in distributions()
        if locked.get(canonicalize_name(found.name)) == found.version
    }
    assert len(asked) > 20
    assert not [name for name, needs in asked.items() if needs and not SpecifierSet(needs).contains(first)]


def _tests() -> list[tuple[Path, ast.FunctionDef]]:
    return [
        (path, node)
        for path in sorted((ROOT / "tests").glob("test_*.py"))
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    ]


def test_every_test_says_what_it_promises() -> None:
    """Each test's docstring is one sentence that states the behaviour."""
    silent = [f"{path.name}:{node.name}" for path, node in _tests() if not ast.get_docstring(node)]
    assert not silent
