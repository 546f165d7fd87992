"""LB4xx: whether the same check tomorrow would measure the same thing."""

from __future__ import annotations

import json
from pathlib import Path

from limitbench.checks.baseline import Baseline
from limitbench.checks.config import Config, Retriever
from limitbench.checks.findings import Fails, Outcome, Passes
from limitbench.provenance import versions

_PACKAGED = {"minilm", "wordllama"}

# from the models' cards, read November 2026: the prompt that queries need, by a part of the id
_PROMPTS = {
    "intfloat/e5-": "query: ",
    "intfloat/multilingual-e5-": "query: ",
    "baai/bge-small-en": "Represent this sentence for searching relevant passages: ",
    "baai/bge-base-en": "Represent this sentence for searching relevant passages: ",
    "baai/bge-large-en": "Represent this sentence for searching relevant passages: ",
    "snowflake/snowflake-arctic-embed": "Represent this sentence for searching relevant passages: ",
    "mixedbread-ai/mxbai-embed-large": "Represent this sentence for searching relevant passages: ",
    "nomic-ai/nomic-embed-text": "search_query: ",
    "qwen/qwen3-embedding": "Instruct: ...\\nQuery: ",
    "alibaba-nlp/gte-qwen2": "Instruct: ...\\nQuery: ",
    "intfloat/e5-mistral": "Instruct: ...\\nQuery: ",
}


def model_of(retriever: Retriever) -> tuple[str | None, bool, bool]:
    """(id or folder, whether its revision is pinned, whether a query prompt is set) of the plan's or the measurement's model."""
    spec = retriever.measure.model if retriever.measure is not None else None
    head, *options = (spec or "").split(",")
    adapter, colon, argument = head.partition(":")
    given = retriever.model or (argument if colon and adapter in ("dense", "maxsim", "splade", "rerank") else None)
    if given is None:
        return None, True, True
    keys = {option.partition("=")[0].strip() for option in options}
    name, at, _ = given.partition("@")
    prompted = retriever.query_prompt is not None or "query_prompt" in keys
    return name, bool(at) or retriever.revision is not None or "revision" in keys, prompted


def floating_revision(retriever: Retriever, folder: Path) -> Outcome | None:
    """LB401."""
    name, pinned, _ = model_of(retriever)
    if name is None or name in _PACKAGED or (folder / name).is_dir() or Path(name).is_absolute():
        return None
    if pinned:
        return Passes()
    return Fails(
        f"model '{name}' has no revision: its weights may change under the same name",
        f"pin a commit: {name}@COMMIT",
        expected="ID@COMMIT",
        observed=name,
    )


def prompt_missing(retriever: Retriever, folder: Path) -> Outcome | None:
    """LB402."""
    name, _, prompted = model_of(retriever)
    if name is None:
        return None
    wanted = _from_folder(folder / name) or next(
        (prompt for part, prompt in _PROMPTS.items() if name.lower().startswith(part)), None
    )
    if wanted is None:
        return None
    if prompted:
        return Passes()
    return Fails(
        f"the card of model '{name}' asks for the query prompt '{wanted}', and none is set",
        'set query_prompt (query_prompt = "" says that none is meant)',
        expected=wanted,
        observed="none",
    )


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
