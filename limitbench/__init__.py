"""limitbench: whether a retriever can carry a workload, known before it is built.

The names below are the front door. They load on first use, so `import limitbench` is light.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from limitbench.checks import check
    from limitbench.collection import Corpus, Dataset, Queries
    from limitbench.datasets import load
    from limitbench.errors import LimitbenchError
    from limitbench.evaluation import evaluate
    from limitbench.front import compare, drown, suite, sweep, write_report
    from limitbench.measures import Measure
    from limitbench.rankings import Run
    from limitbench.relevance import Qrels
    from limitbench.results import Result
    from limitbench.theory import bracket, design

__version__ = "0.1.0"

_HOME = {
    "Corpus": "collection",
    "Dataset": "collection",
    "LimitbenchError": "errors",
    "Measure": "measures",
    "Qrels": "relevance",
    "Queries": "collection",
    "Result": "results",
    "Run": "rankings",
    "bracket": "theory",
    "compare": "front",
    "check": "checks",
    "design": "theory",
    "drown": "front",
    "evaluate": "evaluation",
    "load": "datasets",
    "write_report": "front",
    "suite": "front",
    "sweep": "front",
}
__all__ = [
    "Corpus",
    "Dataset",
    "LimitbenchError",
    "Measure",
    "Qrels",
    "Queries",
    "Result",
    "Run",
    "bracket",
    "check",
    "compare",
    "design",
    "drown",
    "evaluate",
    "load",
    "suite",
    "sweep",
    "write_report",
]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(f"limitbench.{_HOME[name]}"), name)
    raise AttributeError(f"module 'limitbench' has no attribute '{name}'")


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
