"""The process in which a Python function runs: `python -m limitbench.checks.worker MODULE:FUNCTION`, queries as JSON on stdin."""

from __future__ import annotations

import importlib
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def main() -> None:
    """Call the function and print its answer as JSON; whatever else it prints goes to stderr."""
    target = sys.argv[1]
    module, _, name = target.partition(":")
    sys.path.insert(0, str(Path.cwd()))
    out, sys.stdout = sys.stdout, sys.stderr
    function = getattr(importlib.import_module(module), name)
    found = function(json.load(sys.stdin), int(os.environ["LIMITBENCH_TOP_K"]))
    json.dump(answer(dict(found)), out)
    out.flush()


def answer(found: dict[Any, Any]) -> dict[str, Any]:
    """What a function returned, JSON-ready: a run alone, or a table of run, settings, ids and probe. Raises for what is neither."""
    run = found.get("run")
    wrapped = isinstance(run, Mapping) and set(found) <= {"run", "settings", "ids", "probe"}
    if run is not None and wrapped and all(isinstance(row, Mapping) for row in run.values()):
        ids = {} if found.get("ids") is None else {"ids": [str(name) for name in found["ids"]]}
        probe = {str(name): float(cosine) for name, cosine in dict(found.get("probe") or {}).items()}
        return {"run": rows(run), "settings": dict(found.get("settings") or {}), "probe": probe, **ids}
    return rows(found)


def rows(run: Mapping[Any, Any]) -> dict[str, dict[str, float]]:
    """{query id: {document id: score}} with texts and numbers."""
    return {str(query): {str(d): float(score) for d, score in dict(row).items()} for query, row in dict(run).items()}


if __name__ == "__main__":
    main()
