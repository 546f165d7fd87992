"""What fine-tuning a single-vector model mends: trained on the test set itself, trained on another vocabulary, and not trained.

The LIMIT paper's Table 3 asks this by dimension. Beside the test set go other datasets, which tell what training costs elsewhere.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from limitbench.collection import Dataset
from limitbench.datasets import load
from limitbench.errors import InputError
from limitbench.evaluation.options import Options
from limitbench.results import Result
from limitbench.retrievers import RetrieverSpec
from limitbench.retrievers.model_files import PACKAGED

if TYPE_CHECKING:
    from limitbench.retrievers.embedder_training import EmbedderTraining, Watch


@dataclass(frozen=True)
class FineTuned:
    """One model on one dataset: what it was trained on, None for the start, how many dimensions, its spec and its result."""

    trained_on: str | None
    dim: int
    retriever: str
    result: Result


def fine_tune(
    train_on: Sequence[Dataset | str],
    evaluate_on: Sequence[Dataset | str],
    dims: Sequence[int],
    *,
    out: Path,
    how: EmbedderTraining | None = None,
    options: Options | None = None,
    watch: Watch | None = None,
) -> Iterator[FineTuned]:
    """A model trained on each dataset in each dimension, measured on each of the others; its start is measured too.

    Models lie in folders of `out` that are named by dataset and dimension; one that is there already is not trained again. Raises
    `InputError` without a dimension or a dataset, or where two of the datasets to train on share a name.
    """
    from limitbench.retrievers.embedder_training import EmbedderTraining, train_embedder

    measured, how = options or Options(), how or EmbedderTraining()
    if not dims or not evaluate_on or any(dim < 1 for dim in dims):
        raise InputError(f"found dims {list(dims)} and {len(evaluate_on)} datasets, expected at least one of each")
    sources = [load(source) if isinstance(source, str) else source for source in train_on]
    names = [source.name for source in sources]
    if len({_plain(name) for name in names}) < len(names):
        raise InputError(
            f"found the datasets {', '.join(names)} to train on; give each once, and names that differ by letters"
        )
    if "," in str(out):
        raise InputError(f"found a comma in {out}, which a retriever's line cannot hold; choose another --out")
    tests = [load(test) if isinstance(test, str) else test for test in evaluate_on]
    if measured.store is not None:
        measured.store.require_writable()
    for dim in dict.fromkeys(dims):
        models: list[tuple[str | None, str]] = [(None, how.base)]
        for source in sources:
            folder = out / f"{_plain(source.name)}-{dim}"
            train_embedder(folder, source, how.model_copy(update={"dim": dim}), watch)
            models.append((source.name, str(folder)))
        for trained_on, model in models:
            one = measured.retriever(_spec(model, dim))
            for test in tests:
                yield FineTuned(trained_on, dim, one.name, measured.find_or_measure(test, one).stored)


def _plain(name: str) -> str:
    """A dataset's name as a folder's."""
    return re.sub(r"[^\w.-]+", "_", name)


def _spec(model: str, dim: int) -> RetrieverSpec:
    options = (("dim", str(dim)),)
    return RetrieverSpec(model, None, options) if model in PACKAGED else RetrieverSpec("dense", model, options)
