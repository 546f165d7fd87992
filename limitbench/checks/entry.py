"""The process in which a Python entry point runs: `python -m limitbench.checks.entry MODULE:FUNCTION`, queries as JSON on stdin."""

from __future__ import annotations

import importlib
import json
import os
import sys
from pathlib import Path


def main() -> None:
    """Call the function and print {query id: {document id: score}}; whatever else it prints goes to stderr."""
    target = sys.argv[1]
    module, _, name = target.partition(":")
    sys.path.insert(0, str(Path.cwd()))
    out, sys.stdout = sys.stdout, sys.stderr
    function = getattr(importlib.import_module(module), name)
    found = function(json.load(sys.stdin), int(os.environ["LIMITBENCH_TOP_K"]))
    rows = {str(query): {str(d): float(score) for d, score in dict(row).items()} for query, row in dict(found).items()}
    json.dump(rows, out)
    out.flush()


if __name__ == "__main__":
    main()
