"""`limitbench.toml`: workloads, retrievers as plans, gates, severities, baseline, suppressions.

Everything but `version`, one workload and one retriever is optional. Paths are relative to the file's folder and stay within the
project: the nearest folder above that holds .git, or else the file's own.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from limitbench.checks.positions import Key, key_lines, line_of
from limitbench.checks.schema import (
    FILE,
    At,
    Baseline,
    Config,
    Gate,
    Measurement,
    References,
    Retriever,
    Source,
    Suppression,
    Workload,
)
from limitbench.errors import DataError, LimitbenchError
from limitbench.validation import first_problem

_LARGEST_FILE = 10_000_000  # bytes of a configuration


@dataclass(frozen=True)
class Project:
    """A configuration with its place: which file, which lines, and where its paths may lead."""

    path: Path
    config: Config
    text: str

    @cached_property
    def lines(self) -> dict[Key, int]:
        """The line of every key of the file."""
        return key_lines(self.text)

    def line(self, *key: str | int) -> int:
        """The line of a key."""
        return line_of(self.lines, key)

    @cached_property
    def root(self) -> Path:
        """The project's folder, resolved: the nearest above the file with .git, or the file's own."""
        home = self.path.resolve().parent
        return next((folder for folder in (home, *home.parents) if (folder / ".git").exists()), home)

    @property
    def shown(self) -> str:
        """The file's path as reports show it: relative to the root."""
        return self.path.resolve().relative_to(self.root).as_posix()

    def resolve(self, given: str, *key: str | int) -> Path:
        """A path of the configuration. Raises `DataError` at its line where it leaves the project, links followed."""
        try:
            place = (self.path.resolve().parent / given).resolve()
            inside = place.is_relative_to(self.root)
            place.is_file()  # raises for what no file system takes
        except (OSError, RuntimeError, ValueError) as error:
            raise DataError(
                self.path, f"the path '{given[:200]}' cannot be followed ({error}); mend it", line=self.line(*key)
            ) from None
        if not inside:
            raise DataError(
                self.path, f"the path '{given}' leads out of {self.root}; give one inside", line=self.line(*key)
            )
        return place

    def paths(self) -> Iterator[tuple[str, Key]]:
        """Every path that the configuration names, and its key."""
        for name, workload in self.config.workload.items():
            for field in ("qrels", "corpus", "queries", "chunks"):
                if (value := getattr(workload, field)) is not None:
                    yield value, ("workload", name, field)
        for name, retriever in self.config.retriever.items():
            if retriever.measure is None:
                continue
            if retriever.measure.run is not None:
                yield retriever.measure.run, ("retriever", name, "measure", "run")
            for field in ("truncation", "quantisation", "ann"):
                value = getattr(retriever.measure.references, field)
                key = ("retriever", name, "measure", "references", field)
                if isinstance(value, str):
                    yield value, key
                elif value is not None and value.run is not None:
                    yield value.run, (*key, "run")
        if self.config.baseline is not None:
            yield self.config.baseline.path, ("baseline", "path")


def read_project(path: Path | str = FILE) -> Project:
    """The project of a configuration file. Raises `DataError` with file, line and what to do."""
    path = Path(path)
    if path.is_dir():
        path = path / FILE
    try:
        if path.stat().st_size > _LARGEST_FILE:
            raise DataError(path, f"is larger than {_LARGEST_FILE // 10**6} MB; a configuration is not")
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise DataError(path, "there is no such file; write one with: limitbench init") from None
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise DataError(path, f"cannot be read ({reason}); mend it") from None
    try:
        table = tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # of TOML, or of a number with thousands of digits
        message = str(error) or "nested too deeply"
        line = re.search(r"at line (\d+)", message)
        raise DataError(path, f"is not TOML: {message}; mend it", line=int(line[1]) if line else None) from None
    project = Project(path, _config(path, table, text), text)
    for value, key in project.paths():
        project.resolve(value, *key)
    return project


def _config(path: Path, table: dict[str, Any], text: str) -> Config:
    lines = key_lines(text)
    version = table.get("version")
    if isinstance(version, int) and not isinstance(version, bool) and version > 1:
        raise DataError(
            path,
            f"found version = {version}, written for a newer limitbench; upgrade it, or expected 1",
            line=line_of(lines, ("version",)),
        )
    try:
        return Config.model_validate(table)
    except ValidationError as error:
        found = first_problem(error)
        key: Key = found.cause.key if isinstance(found.cause, At) else found.place
        message = found.message
        where = ".".join(str(part) for part in key if part != "[key]") or "the file"
        if found.kind == "extra_forbidden":
            message = f"there is no such key; expected one of {', '.join(_known(key[:-1]))}"
        elif found.kind == "missing":
            message = "is missing; add it"
        else:
            message = message[0].lower() + message[1:] if message[1:2].islower() else message
        raise DataError(path, f"{where}: {message}", line=line_of(lines, key)) from None
    except LimitbenchError as error:
        raise DataError(path, str(error)) from None


def _known(key: Key) -> list[str]:
    """The keys that the table at this place may have."""
    models: dict[str, type[BaseModel]] = {
        "workload": Workload, "retriever": Retriever, "gate": Gate, "suppress": Suppression, "baseline": Baseline,
    }  # fmt: skip
    model: type[BaseModel] = models.get(str(key[0]), Config) if key else Config
    if "measure" in key:
        model = References if key[-1] == "references" else Source if "references" in key else Measurement
    return list(model.model_fields)


def under_ci() -> bool:
    """Whether this process runs in continuous integration."""
    return os.environ.get("CI", "").lower() not in ("", "0", "false") or bool(os.environ.get("GITHUB_ACTIONS"))
