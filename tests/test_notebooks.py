"""The notebooks of examples/ run, and say what their committed outputs say; LIMITBENCH_WRITE_GOLDEN=1 writes those."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT

NOTEBOOKS = sorted((ROOT / "examples" / "notebooks").glob("*.ipynb"))


def said(notebook: Any) -> list[list[str]]:
    """What each code cell printed and showed, as text."""
    return [
        [out.get("text") or out["data"]["text/plain"] for out in cell.outputs]
        for cell in notebook.cells
        if cell.cell_type == "code"
    ]


@pytest.mark.docs
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_says_what_it_said(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every cell runs, in an empty folder, and its output is the committed one; warnings on stderr are no output."""
    nbformat = pytest.importorskip("nbformat", reason="needs limitbench[dev]")
    nbclient = pytest.importorskip("nbclient", reason="needs limitbench[dev]")
    pytest.importorskip("sentence_transformers", reason="needs limitbench[models]")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    kept = nbformat.read(path, as_version=4)
    fresh = nbformat.read(path, as_version=4)
    runner = nbclient.NotebookClient(
        fresh, timeout=280, record_timing=False, resources={"metadata": {"path": tmp_path}}
    )
    runner.execute()
    for cell in fresh.cells:
        if cell.cell_type == "code":
            cell.outputs = [out for out in cell.outputs if out.get("name") != "stderr"]
    fresh.metadata = kept.metadata
    if os.environ.get("LIMITBENCH_WRITE_GOLDEN"):
        nbformat.write(fresh, path)
        return
    assert said(fresh) == said(kept)
    assert all(cell.execution_count for cell in kept.cells if cell.cell_type == "code")


def test_notebooks_are_there() -> None:
    """Three: measure, ask what is possible, search for capacity; no output names a place of the machine that made it."""
    assert [path.stem for path in NOTEBOOKS] == ["capacity", "measure", "possible"]
    for path in NOTEBOOKS:
        text = path.read_text(encoding="utf-8")
        assert '"outputs"' in text
        assert not [place for place in ("/home/", "/root/", "/tmp/", "site-packages") if place in text]
