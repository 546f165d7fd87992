"""The models that a configuration names, with their revisions and prompts."""

from __future__ import annotations

import contextlib
import json
from dataclasses import dataclass
from pathlib import Path

from limitbench.checks.config import Project
from limitbench.checks.schema import Retriever
from limitbench.errors import DataError, LimitbenchError
from limitbench.retrievers.spec import Given, RetrieverSpec, model_and_revision

PACKAGED = {"minilm", "wordllama"}


# the prompt that queries need, by the beginning of the id; from common knowledge, not checked against the cards
_PROMPTS = {
    "intfloat/e5-": "query: ",
    "intfloat/multilingual-e5-": "query: ",
    "intfloat/e5-mistral": "Instruct: ...\\nQuery: ",
    "baai/bge-small-en": "Represent this sentence for searching relevant passages: ",
    "baai/bge-base-en": "Represent this sentence for searching relevant passages: ",
    "baai/bge-large-en": "Represent this sentence for searching relevant passages: ",
    "snowflake/snowflake-arctic-embed": "Represent this sentence for searching relevant passages: ",
    "snowflake/snowflake-arctic-embed-m-v2": "query: ",
    "snowflake/snowflake-arctic-embed-l-v2": "query: ",
    "mixedbread-ai/mxbai-embed-large": "Represent this sentence for searching relevant passages: ",
    "nomic-ai/nomic-embed-text": "search_query: ",
    "qwen/qwen3-embedding": "Instruct: ...\\nQuery: ",
    "alibaba-nlp/gte-qwen2": "Instruct: ...\\nQuery: ",
}


_LONGEST = 500  # characters of a model's name


@dataclass(frozen=True)
class Planned:
    """A retriever of the configuration, whatever it is used on."""

    retriever: Retriever
    project: Project


@dataclass(frozen=True)
class Model:
    """A model as a plan or a measurement names it."""

    name: str
    revision: str
    prompted: bool


def models_of(retriever: Retriever) -> list[Model]:
    """The plan's model and the measured one, each with its own revision and prompt: one does not speak for the other."""
    out = []
    if retriever.model is not None:
        name, revision = model_and_revision(retriever.model)
        out.append(Model(name, retriever.revision or revision, retriever.query_prompt is not None))
    if retriever.measure is not None and retriever.measure.model:
        out += map(_named, _leaves(retriever.measure.model))
    return [model for model in out if len(model.name) <= _LONGEST]


def _leaves(given: Given | RetrieverSpec) -> list[RetrieverSpec]:
    """The retrievers with a model by id that a spec is made of; a part that does not parse is told of where it is measured."""
    own: list[RetrieverSpec] = []
    with contextlib.suppress(LimitbenchError):
        spec = RetrieverSpec.parse(given)
        own += [spec] if spec.argument and spec.name in ("dense", "maxsim", "splade", "rerank") else []
        own += [leaf for part in spec.written_parts for leaf in _leaves(part)]
    return own


def _named(spec: RetrieverSpec) -> Model:
    name, revision = model_and_revision(str(spec.argument))
    return Model(name, str(spec.get("revision") or revision), spec.get("query_prompt") is not None)


def wanted_prompt(project: Project, name: str) -> str | None:
    """The prompt that queries need: of the longest known beginning of the id, or of a folder of the project."""
    known = max((part for part in _PROMPTS if name.lower().startswith(part)), key=len, default=None)
    folder = folder_of(project, name)
    return _PROMPTS[known] if known else None if folder is None else _from_folder(folder)


def folder_of(project: Project, name: str) -> Path | None:
    """The folder of the project that a model's name is; nothing outside is looked at."""
    try:
        place = project.resolve(name)
        return place if place.is_dir() else None
    except (DataError, OSError):
        return None


def _from_folder(folder: Path) -> str | None:
    """The prompt named query in a sentence-transformers folder, where it has one."""
    path = folder / "config_sentence_transformers.json"
    try:
        found = json.loads(path.read_text(encoding="utf-8")).get("prompts", {}).get("query") if path.is_file() else None
    except (OSError, ValueError, AttributeError):
        return None
    return found if isinstance(found, str) and found else None
