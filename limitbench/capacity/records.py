"""Where capacity results lie: `<results>/capacity/<name>-<digest>.json`, one write-once record a finished point, its witness
beside it as .npz, or as .certificate.json for symmetric codes. A record is written after its witness, whole or not at all, so
that whatever stops a sweep leaves only finished points.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from filelock import FileLock

from limitbench.capacity import orbits, witness
from limitbench.capacity.record import SCHEMA, CapacityRecord, read
from limitbench.capacity.search import Search
from limitbench.capacity.solvers import Say
from limitbench.capacity.task import CapacityResult, Task
from limitbench.errors import CertificateError, DataError, InputError
from limitbench.files import atomic_write
from limitbench.provenance import provenance


class Records:
    """The capacity records below one results folder."""

    def __init__(self, results: Path) -> None:
        self.folder = results / "capacity"

    def stem(self, task: Task) -> str:
        """The file name, without suffix, of this task's record."""
        digest = hashlib.sha256(json.dumps(task.key(), sort_keys=True).encode()).hexdigest()[:12]
        what = "qrels" if task.qrels is not None else f"k{task.k}" if task.n is None else f"n{task.n}-k{task.k}"
        return f"d{task.d}-{what}-{task.solver}-{task.dtype}-{digest}"

    def find(self, task: Task) -> CapacityRecord | None:
        """The finished record of this task, or None; one whose witness is gone, or another, does not count."""
        path = self.folder / f"{self.stem(task)}.json"
        if not path.exists():
            return None
        record = read(path)
        name = record.shown.witness
        if name is None:
            return record
        try:
            if name.endswith(orbits.SUFFIX):
                return record if orbits.read(self.folder / name).digest == record.witness_digest else None
            held, digest = witness.read(self.folder / name)
        except DataError:
            return None
        return record if held.digest == digest == record.witness_digest else None

    def find_or_solve(self, task: Task, say: Say | None = None, *, fresh: bool = False) -> CapacityRecord:
        """The finished record of a task, unless `fresh`, or that of a search that is run now."""
        kept = None if fresh else self.find(task)
        return kept or self.write(Search(task, say, kept=self.partial(task, fresh)).run())

    def partial(self, task: Task, fresh: bool = False) -> Partial | None:
        """Where a search for this task keeps the largest symmetric code while it is under way; None for other solvers. `fresh`
        forgets what an interrupted one left."""
        if task.solver != "orbit" or task.n is not None:
            return None
        kept = Partial(self.folder / f".{self.stem(task)}.partial{orbits.SUFFIX}")
        if fresh:
            kept.clear()
        return kept

    def write(self, result: CapacityResult, made: dict[str, Any] | None = None) -> CapacityRecord:
        """Store the witness, then the record, and return the record; `made` is the provenance, this process's without."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with FileLock(
            self.folder / ".lock"
        ):  # another process may write the same record, and remove the witness of this one
            return self._written(result, made or provenance())

    def _written(self, result: CapacityResult, made: dict[str, Any]) -> CapacityRecord:
        task, stem = result.task, self.stem(result.task)
        name, digest = None, None
        if result.witness is not None:
            digest = result.witness.digest
            name = f"{stem}-{digest[:8]}{'.npz' if isinstance(result.witness, witness.Witness) else orbits.SUFFIX}"
            result.witness.write(self.folder / name)
        record = CapacityRecord.model_validate(
            {
                "schema": SCHEMA,
                "key": task.key(),
                **({"point": result.point(name)} if task.n is None else {"cell": result.cell(name)}),
                "tried": [one.__dict__ | {"seeds": list(one.seeds)} for one in result.tried],
                "witness_digest": digest,
                "provenance": made,
            }
        )
        with atomic_write(self.folder / f"{stem}.json") as out:
            out.write((json.dumps(record.to_json(), indent=1, ensure_ascii=False) + "\n").encode())
        for old in self.folder.glob(f"{stem}-*"):
            if old.name != name and old.name.endswith((".npz", orbits.SUFFIX)):
                old.unlink(missing_ok=True)
        kept = self.partial(task)
        if kept is not None:
            kept.clear()
        return record

    def __iter__(self) -> Iterator[CapacityRecord]:
        """Every record, by file name."""
        for path in sorted(self.folder.glob("*.json")):
            if not path.name.endswith(orbits.SUFFIX):
                yield read(path)


class Partial:
    """The largest code of a search that is not finished, so that an interrupted one goes on from there; gone once it is."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self) -> orbits.OrbitCode | None:
        """The code, if a search left one that its checker accepts."""
        try:
            code = orbits.read(self.path) if self.path.exists() else None
            if code is not None:
                orbits.check(code)
        except (InputError, CertificateError):
            return None
        return code

    def write(self, code: orbits.OrbitCode) -> None:
        """Keep this code instead of the one before."""
        code.write(self.path)

    def clear(self) -> None:
        """Remove the file of the unfinished search."""
        self.path.unlink(missing_ok=True)
