"""Where the catalogue lies: `_catalog/<noun>` in an installed wheel, `<root>/<noun>` in a checkout. Data only."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path
from typing import Any

import platformdirs

from limitbench.errors import LimitbenchError, SpecError, UnknownName

_PLACES = {  # noun         in the wheel    in a checkout
    "datasets": ("datasets", "datasets"),
    "retrievers": ("retrievers", "retrievers"),
    "theory": ("theory", "theory"),
    "reference": ("reference", "results/reference"),
    "suites": ("suites", "results/suites"),
}


def folder(noun: str) -> Path:
    """The folder that holds the catalogue of this noun."""
    package = Path(__file__).parent
    shipped, checkout = _PLACES[noun]
    for place in (package / "_catalog" / shipped, package.parent / checkout):
        if place.is_dir():
            return place
    raise LimitbenchError(f"the catalogue of {noun} is missing from this installation; install limitbench again")


def names(noun: str) -> list[str]:
    """The names of all entries of a catalogue, sorted."""
    return sorted(path.stem for path in folder(noun).glob("*.toml"))


def entry(noun: str, name: str, *, advice: str = "") -> dict[str, Any]:
    """The TOML table of one entry. Raises `UnknownName`, with the nearest name, where there is none."""
    if name not in names(noun):
        kind = {"datasets": "dataset", "retrievers": "retriever", "suites": "suite"}.get(noun, noun)
        raise UnknownName(kind, name, names(noun), where="the catalogue", advice=advice)
    return read_toml(folder(noun) / f"{name}.toml")


def read_toml(path: Path) -> dict[str, Any]:
    """The tables of a TOML file. Raises `SpecError` with the parser's line where it does not parse."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SpecError(f"{path} cannot be read ({error.strerror}); check the path") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SpecError(f"{path} is not valid TOML: {error}") from None


def cache_folder() -> Path:
    """Where generated datasets are kept: `LIMITBENCH_CACHE`, else the platform's cache folder."""
    chosen = os.environ.get("LIMITBENCH_CACHE")
    return Path(chosen) if chosen else Path(platformdirs.user_cache_dir("limitbench", appauthor=False))
