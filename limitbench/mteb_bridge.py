"""The bridge to mteb, both ways: our datasets as its tasks, our retrievers as its search models, its models as our retrievers.

    import mteb
    from limitbench import load
    from limitbench.mteb_bridge import as_search_model, as_task

    mteb.evaluate(as_search_model("bm25"), as_task(load("limit-small-synthetic")), cache=None)

Needs `pip install 'limitbench[mteb]'`. Retrieval scores of mteb break ties as trec_eval does: they equal ours with `ties="trec"`
where every query has a relevant document. Queries without one count as 0 here, and are left out there.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from limitbench.collection import Corpus, Dataset, Queries
from limitbench.errors import InputError, MissingExtra
from limitbench.results.mteb_files import task_name
from limitbench.retrievers import NamedRetriever, Retriever, retriever

if TYPE_CHECKING:
    from limitbench.retrievers.mteb_model import MtebModel

try:
    from mteb.abstasks.retrieval import AbsTaskRetrieval
    from mteb.models.model_meta import ModelMeta

    from datasets import Dataset as Table  # type: ignore[attr-defined]  # mypy sees the folder datasets/ here
    from limitbench.retrievers import mteb_model
except ModuleNotFoundError as error:
    raise MissingExtra("the mteb bridge", error.name or "mteb", "mteb") from None

__all__ = ["as_retriever", "as_search_model", "as_task"]


def as_task(dataset: Dataset, *, name: str | None = None) -> AbsTaskRetrieval:
    """The dataset as a task of mteb, loaded, with the cutoffs (1, 2, 3, 5, 10, 20, 100, 1000) and main score of its LIMIT tasks.

    `name` is what mteb calls it; by default the dataset's, in letters and digits. Negative grades count as not relevant. Raises
    `InputError` for a dataset where no query has a relevant document: mteb has no score for it.
    """
    if not dataset.qrels.sizes.any():
        raise InputError(f"dataset '{dataset.name}' has no relevant document; expected at least one")
    title = name or task_name(dataset.name)
    kind = type(title, (_Task,), {"metadata": mteb_model.task_metadata(title, path=dataset.name or "limitbench")})
    task: AbsTaskRetrieval = kind()
    task.dataset = {"default": {"test": _split(dataset)}}
    task.data_loaded = True
    return task


class _Task(AbsTaskRetrieval):  # type: ignore[misc]  # mteb need not be installed where types are checked
    """A retrieval task whose data are given to it."""

    k_values = (1, 2, 3, 5, 10, 20, 100, 1000)
    metadata = mteb_model.task_metadata("Limitbench")

    def load_data(self, *_args: Any, **_kwargs: Any) -> None:
        """Nothing: the data are there."""


def _split(dataset: Dataset) -> dict[str, Any]:
    corpus, queries, qrels = dataset.corpus, dataset.queries, dataset.qrels
    judged: dict[str, dict[str, int]] = {}
    for row, column, grade in zip(qrels.rows.tolist(), qrels.indices.tolist(), qrels.grades.tolist(), strict=True):
        judged.setdefault(queries.ids[row], {})[corpus.ids[column]] = max(0, grade)
    return {
        "corpus": Table.from_dict({"id": list(corpus.ids), "text": list(corpus.texts), "title": list(corpus.titles)}),
        "queries": Table.from_dict({"id": list(queries.ids), "text": list(queries.texts)}),
        "relevant_docs": judged,
        "top_ranked": None,
    }


def as_search_model(by: Retriever | NamedRetriever | str) -> SearchModel:
    """A retriever of ours as a search model of mteb."""
    if isinstance(by, str):
        by = retriever(by)
    named = (
        by if isinstance(by, NamedRetriever) else NamedRetriever(str(by.configuration.get("adapter", "retriever")), by)
    )
    return SearchModel(named)


class SearchModel:
    """What mteb's SearchProtocol asks for: `index`, `search` and `mteb_model_meta`."""

    def __init__(self, named: NamedRetriever) -> None:
        self.named = named
        self._index: Any = None

    @property
    def mteb_model_meta(self) -> ModelMeta:
        """The name `limitbench/RETRIEVER`, limitbench's version as the revision, and the options."""
        name = re.sub(r"[^A-Za-z0-9._-]+", "_", self.named.name)
        told = {
            "name": f"limitbench/{name}",
            "revision": version("limitbench"),
            "experiment_kwargs": {key: str(value) for key, value in self.named.retriever.configuration.items()},
        }
        return ModelMeta.create_empty(told)

    def index(self, corpus: Any, **_where: Any) -> None:
        """Index a table with the columns id, text and, where it has them, title."""
        titles = tuple(corpus["title"]) if "title" in corpus.column_names else ()
        texts = Corpus(tuple(corpus["id"]), tuple(corpus["text"]), tuple(title or "" for title in titles))
        self._index = self.named.retriever.index(texts)

    def search(
        self, queries: Any, *, top_k: int, top_ranked: Mapping[str, Any] | None = None, **_where: Any
    ) -> dict[str, dict[str, float]]:
        """{query id: {document id: score}}, `top_k` documents and every tie across that cut. `top_ranked` is refused."""
        if self._index is None:
            raise InputError("found search before index; expected the corpus first")
        if top_ranked is not None:
            raise InputError("limitbench's retrievers search the whole corpus, not mteb's candidates; use rerank:MODEL")
        found: dict[str, dict[str, float]] = self._index.search(
            Queries(tuple(queries["id"]), tuple(queries["text"])), top_k
        ).run.mapping()
        return found


def as_retriever(model: Any, **options: Any) -> NamedRetriever:
    """A model object of mteb, encoder or search model, as a retriever of ours: for `evaluate` and the contract of all others.

    `options` are those of `mteb:NAME`: `dim`, `dtype`, `index`, `batch_size`, `task`.
    """
    name = str(model.mteb_model_meta.name or type(model).__name__)
    made: MtebModel = mteb_model.MtebModel(model=name, **options)
    return NamedRetriever(f"mteb:{name}", mteb_model.Wrapped(model, made))
