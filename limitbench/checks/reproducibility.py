"""LB4xx: whether the same check tomorrow would measure the same thing."""

from __future__ import annotations

import contextlib
import json
import re
from dataclasses import dataclass
from pathlib import Path

from limitbench.checks.baseline import Baseline
from limitbench.checks.config import Config, Project, Retriever
from limitbench.checks.findings import Fails, Outcome, Passes
from limitbench.errors import DataError, LimitbenchError
from limitbench.provenance import versions
from limitbench.retrievers.spec import RetrieverSpec

_PACKAGED = {"minilm", "wordllama"}

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
_COMMIT = re.compile(r"[0-9a-f]{7,64}")
_LONGEST = 500  # characters of a model's name


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
        name, _, revision = retriever.model.partition("@")
        out.append(Model(name, retriever.revision or revision, retriever.query_prompt is not None))
    if retriever.measure is not None and retriever.measure.model:
        with contextlib.suppress(LimitbenchError):  # a spec that does not parse is told of where it is measured
            out += map(_named, _leaves(RetrieverSpec.parse(retriever.measure.model)))
    return [model for model in out if len(model.name) <= _LONGEST]


def _leaves(spec: RetrieverSpec) -> list[RetrieverSpec]:
    """The retrievers with a model by id that a spec is made of."""
    own = [spec] if spec.argument and spec.name in ("dense", "maxsim", "splade", "rerank") else []
    return [*own, *(leaf for part in spec.parts for leaf in _leaves(part))]


def _named(spec: RetrieverSpec) -> Model:
    name, _, revision = str(spec.argument).partition("@")
    return Model(name, str(spec.get("revision") or revision), spec.get("query_prompt") is not None)


def floating_revision(retriever: Retriever, project: Project) -> Outcome | None:
    """LB401."""
    named = [m for m in models_of(retriever) if m.name not in _PACKAGED and _folder(project, m.name) is None]
    named = [m for m in named if not m.name.startswith((".", "/", "~"))]
    if not named:
        return None
    floating = [m for m in named if not _COMMIT.fullmatch(m.revision.lower())]
    if not floating:
        return Passes()
    name, revision = floating[0].name, floating[0].revision
    what = f"has the revision '{revision}', which may move" if revision else "has no revision"
    return Fails(
        f"model '{name}' {what}: its weights may change under the same name",
        f"pin a commit: {name}@COMMIT",
        expected="ID@COMMIT",
        observed=f"{name}@{revision}" if revision else name,
    )


def prompt_missing(retriever: Retriever, project: Project) -> Outcome | None:
    """LB402."""
    wanted = {model.name: _wanted(project, model.name) for model in models_of(retriever)}
    concerned = [model for model in models_of(retriever) if wanted[model.name]]
    if not concerned:
        return None
    silent = [model for model in concerned if not model.prompted]
    if not silent:
        return Passes()
    name = silent[0].name
    return Fails(
        f"the card of model '{name}' asks for the query prompt '{wanted[name]}', and none is set",
        'set query_prompt (query_prompt = "" says that none is meant)',
        expected=wanted[name] or "",
        observed="none",
    )


def _wanted(project: Project, name: str) -> str | None:
    """The prompt that queries need: of the longest known beginning of the id, or of a folder of the project."""
    known = max((part for part in _PROMPTS if name.lower().startswith(part)), key=len, default=None)
    folder = _folder(project, name)
    return _PROMPTS[known] if known else None if folder is None else _from_folder(folder)


def _folder(project: Project, name: str) -> Path | None:
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


def environment(config: Config) -> dict[str, str]:
    """The versions that can move the figures: limitbench's, Python's minor, and models' libraries where one is measured."""
    found = versions()
    found["python"] = ".".join(found["python"].split(".")[:2])
    ways = {r.measure.way for r in config.retriever.values() if r.measure is not None}
    names = [
        "limitbench",
        "python",
        *(["torch", "sentence-transformers", "transformers", "bm25s", "faiss-cpu"] if "model" in ways else []),
    ]
    return {name: found[name] for name in names if name in found}


def drift(config: Config, baseline: Baseline | None) -> Outcome | None:
    """LB403."""
    if baseline is None:
        return None
    now = environment(config)
    moved = {
        n: (baseline.versions[n], v) for n, v in now.items() if n in baseline.versions and baseline.versions[n] != v
    }
    if not moved:
        return Passes()
    says = ", ".join(f"{name} {old} -> {new}" for name, (old, new) in moved.items())
    return Fails(
        f"versions are not those of the baseline: {says}",
        "install the baseline's versions, or record a new one: limitbench baseline update",
        expected=", ".join(f"{n} {old}" for n, (old, _) in moved.items()),
        observed=", ".join(f"{n} {new}" for n, (_, new) in moved.items()),
    )
