"""Where results lie: `<results>/<dataset>/<retriever>/<first 12 hex digits of the configuration digest>.json`.

Records are written once and whole. Reading one that limitbench did not write, or not this version, is a clear error.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from pydantic import ValidationError

from limitbench.errors import DataError, StorageError
from limitbench.files import atomic_write, read_jsonl, read_record, require_writable
from limitbench.results.record import SCHEMA_VERSION, Result
from limitbench.validation import first_problem

if TYPE_CHECKING:
    from limitbench.capacity.records import Records

_RECORD = re.compile(r"[0-9a-f]{12}\.json")

_OTHERS = ("limitbench.capacity.", "limitbench.certificate.")  # schemas of what lies in a folder of capacity results


class Store:
    """The records below one folder."""

    def __init__(self, root: Path | str) -> None:
        self.root = Path(root)

    @property
    def capacity(self) -> Records:
        """The capacity records of this folder, with their witnesses."""
        from limitbench.capacity.records import Records  # checks witnesses, which no other record needs

        return Records(self.root)

    def require_writable(self) -> None:
        """Raise `StorageError` now rather than after hours of work."""
        require_writable(self.root)

    def path(self, dataset: str, retriever: str, digest: str) -> Path:
        """Where a record lies; names are made safe for a file system."""
        return self.root / _safe(dataset) / _safe(retriever) / f"{digest[:12]}.json"

    def find(self, dataset: str, retriever: str, digest: str) -> Result | None:
        """The record with this digest, or None."""
        path = self.path(dataset, retriever, digest)
        if not path.exists():
            return None
        found = read(path)
        return found if found.configuration_digest == digest else None

    def write(self, result: Result, *, replace: bool = False) -> Path:
        """Store a record and return its path. One that is already there stays, unless `replace`."""
        path = self.path(result.dataset.name, result.retriever.name, result.configuration_digest)
        with (
            contextlib.suppress(FileExistsError),
            atomic_write(path, exclusive=not replace) as out,
        ):
            out.write(result.to_json())
        return path

    def __iter__(self) -> Iterator[Result]:
        """Every record, by path. Raises `DataError` for a file that should be one and is not."""
        if not self.root.is_dir():
            raise StorageError(
                f"there is no results folder {self.root}; run: limitbench run embedded --results {self.root}"
            )
        for path in sorted(self.root.glob("*/*/*.json")):
            raw = read_record(path)
            if isinstance(raw, dict) and str(raw.get("schema", "")).startswith(_OTHERS):
                continue  # of a results folder inside this one
            found = _checked(path, raw)
            if not _RECORD.fullmatch(path.name) or not found.configuration_digest.startswith(path.stem):
                expected = f"{found.configuration_digest[:12]}.json"
                raise DataError(path, f"is named for another configuration, expected {expected}; rename or remove it")
            yield found


def read(path: Path) -> Result:
    """The record in a file. Raises `DataError` where it is broken, foreign or of a newer version."""
    return _checked(path, read_record(path))


def read_lines_of_records(path: Path) -> Iterator[Result]:
    """The records of a .jsonl, one a line, as published figures are kept. Raises `DataError` as `read` does."""
    for _, raw in read_jsonl(path):
        yield _checked(path, raw)


def _checked(path: Path, raw: Any) -> Result:
    version = raw.get("schema_version") if isinstance(raw, dict) else None
    if isinstance(version, int) and version > SCHEMA_VERSION:
        raise DataError(path, f"has schema version {version}, expected at most {SCHEMA_VERSION}; update limitbench")
    try:
        return Result.model_validate(raw)
    except ValidationError as error:
        found = first_problem(error, "the whole")
        raise DataError(path, f"is not a limitbench record ({found}); move it elsewhere") from None


def _safe(name: str) -> str:
    out = quote(name, safe=" ,=@+-._") or "%"
    if len(out) > 120:  # file systems stop at 255 bytes
        out = f"{out[:100]}-{hashlib.sha256(name.encode()).hexdigest()[:12]}"
    return f"%2E{out[1:]}" if out.startswith(".") else out
