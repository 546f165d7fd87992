"""`limitbench doctor`: what is installed, what is missing, what to type."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import requires
from typing import Any

import typer
from packaging.requirements import Requirement

from limitbench.cli.options import JsonFlag
from limitbench.cli.output import echo_json, print_table

_VARIABLES = (
    "LIMITBENCH_CACHE", "LIMITBENCH_LIMIT", "LIMITBENCH_LIMIT_SMALL", "HF_HUB_OFFLINE", "HF_HOME", "NO_COLOR",
)  # fmt: skip


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(doctor)


def doctor(json: JsonFlag = False) -> None:
    """Say what is installed, what is missing and what to type."""
    from limitbench import provenance

    packages = [_state(package, extra) for extra in _extras() for package in _packages(extra)]
    places = [_cache()]
    found = {
        "schema_version": 1,
        "healthy": not any(p["remedy"] for p in (*packages, *places)),
        "python": provenance.versions()["python"],
        "hardware": provenance.hardware(),
        "packages": packages,
        "places": places,
        "environment": {name: os.environ[name] for name in _VARIABLES if name in os.environ},
    }
    if json:
        echo_json(found)
    else:
        _print(found, packages, places)


def _extras() -> list[str]:
    """The core, and the extras that `all` stands for."""
    wanted = (Requirement(text) for text in requires("limitbench") or [])
    named = (
        one.extras
        for one in wanted
        if one.name == "limitbench" and one.marker and one.marker.evaluate({"extra": "all"})
    )
    return ["core", *sorted({extra for extras in named for extra in extras})]


def _packages(extra: str) -> Iterator[str]:
    """The distributions that an extra brings, as limitbench's own metadata tells; those of the core, by "core"."""
    for text in requires("limitbench") or []:
        wanted = Requirement(text)
        always = wanted.marker is None or wanted.marker.evaluate({"extra": ""})
        asked = wanted.marker is not None and wanted.marker.evaluate({"extra": extra})
        if wanted.name != "limitbench" and (always if extra == "core" else asked and not always):
            yield wanted.name


def _state(package: str, extra: str) -> dict[str, Any]:
    """A distribution: its version, or what to type."""
    from limitbench import provenance

    version = provenance.installed(package)
    missing = f"pip install {package}" if extra == "core" else f"pip install 'limitbench[{extra}]'"
    return {"package": package, "extra": extra, "version": version, "remedy": "" if version else missing}


def _cache() -> dict[str, Any]:
    """Whether the cache can be written."""
    from limitbench import catalog
    from limitbench.errors import LimitbenchError
    from limitbench.files import require_writable

    folder = catalog.cache_folder()
    try:
        require_writable(folder)
        remedy = ""
    except LimitbenchError as error:
        remedy = f"set LIMITBENCH_CACHE ({error})"
    return {"place": "cache", "path": str(folder), "writable": not remedy, "remedy": remedy}


def _print(found: Mapping[str, Any], packages: Sequence[dict[str, Any]], places: Sequence[dict[str, Any]]) -> None:
    print_table(
        ["package", "version", "extra", "what to type"],
        [[p["package"], p["version"] or "missing", p["extra"], p["remedy"]] for p in packages],
    )
    print_table(
        ["place", "path", "state"],
        [[p["place"], p["path"], "writable" if p["writable"] else p["remedy"]] for p in places],
    )
    hardware = found["hardware"]
    typer.echo(f"Python {found['python']}, {hardware['processor']}, {hardware['cores']} cores usable")
    typer.echo("all is well" if found["healthy"] else "what is missing is optional unless it says core")
