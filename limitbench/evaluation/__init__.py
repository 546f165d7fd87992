"""Dataset x retriever x measures -> results: one at a time, as a suite, over a sweep, over corpus sizes, or of a foreign run."""

from __future__ import annotations

from limitbench.evaluation.attached import Attached, attached
from limitbench.evaluation.churn import Churn, churn, read_runbook
from limitbench.evaluation.corpus_size import drown
from limitbench.evaluation.encoding import encode
from limitbench.evaluation.filters import Filters, filters
from limitbench.evaluation.fine_tuning import FineTuned, fine_tune
from limitbench.evaluation.fusion import Fusion, learn_fusion
from limitbench.evaluation.imported import imported
from limitbench.evaluation.loss import Losses, Part, losses
from limitbench.evaluation.options import Found, Options
from limitbench.evaluation.single import evaluate
from limitbench.evaluation.suite import Outcome, Suite, read_suite, run_all
from limitbench.evaluation.surface import Surface, surface
from limitbench.evaluation.sweep import Point, sweep
from limitbench.evaluation.tuning import Tuning, tune
from limitbench.evaluation.vector_sets import VectorSet, vector_set, write_vector_set

__all__ = [
    "Attached",
    "Churn",
    "Filters",
    "FineTuned",
    "Found",
    "Fusion",
    "Losses",
    "Options",
    "Outcome",
    "Part",
    "Point",
    "Suite",
    "Surface",
    "Tuning",
    "VectorSet",
    "attached",
    "churn",
    "drown",
    "encode",
    "evaluate",
    "filters",
    "fine_tune",
    "imported",
    "learn_fusion",
    "losses",
    "read_runbook",
    "read_suite",
    "run_all",
    "surface",
    "sweep",
    "tune",
    "vector_set",
    "write_vector_set",
]
