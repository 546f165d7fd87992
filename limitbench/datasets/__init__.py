"""Datasets: patterns of relevance, put into words; folders and the hub read; `load` is the front door."""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

from limitbench import catalog
from limitbench.collection import Dataset
from limitbench.datasets.folders import read_folder, write_folder
from limitbench.datasets.spec import DatasetSpec, dataset_spec, generate, parse_spec, published_as, recipe
from limitbench.errors import DataError, InputError, LimitbenchError, UnknownName
from limitbench.files import storing

__all__ = [
    "DatasetSpec",
    "Reading",
    "dataset_spec",
    "find",
    "generate",
    "load",
    "published_as",
    "read_folder",
    "write_folder",
]

log = logging.getLogger("limitbench")


@dataclass(frozen=True, kw_only=True)
class Reading:
    """How a dataset is read: `load`'s options, to hand on together."""

    split: str = "test"
    min_grade: int = 1
    skip_unanswerable: bool = False
    ignore_identical_ids: bool | None = None

    def load(self, source: str | Path) -> Dataset:
        """The dataset of a catalogue name, a spec's file or a folder. Raises `UnknownName`, `DataError` or `OfflineError`."""
        place = find(source)
        if place is not None and place.is_file():
            return self._of_spec(place)
        return _from_catalog(str(source), self) if place is None else self.folder(place)

    def _of_spec(self, path: Path) -> Dataset:
        """The dataset that a file like those of `datasets/` describes, made now. Raises `SpecError` for one that is none."""
        spec = parse_spec(catalog.read_toml(path), path.stem)
        if spec.hub is not None or self.min_grade > 1 or self.split != "test":
            raise InputError(
                f"{path}: a generated dataset has one split, of grade 1, and no hub; give a [pattern] or [typed]"
            )
        made = generate(spec, path.stem)
        if spec.sha256 is not None and made.digest != spec.sha256:
            raise InputError(
                f"{path}: came out with sha256 {made.digest}, and says {spec.sha256}; mend the one or the other"
            )
        leave = spec.ignore_identical_ids if self.ignore_identical_ids is None else self.ignore_identical_ids
        return replace(made, ignore_identical_ids=leave)

    def folder(self, place: str | Path, name: str | None = None) -> Dataset:
        """The dataset in a folder."""
        return read_folder(
            place, split=self.split, name=name, min_grade=self.min_grade, skip_unanswerable=self.skip_unanswerable,
            ignore_identical_ids=self.ignore_identical_ids,
        )  # fmt: skip


def load(
    source: str | Path, *, split: str = "test", min_grade: int = 1, skip_unanswerable: bool = False,
    ignore_identical_ids: bool | None = None,
) -> Dataset:  # fmt: skip
    """The dataset of a catalogue name, else of a folder (`./NAME` forces the folder).

    A generated dataset is made on first use and kept in the cache (`LIMITBENCH_CACHE`); one of the hub is fetched at its pinned
    revision, unless `LIMITBENCH_<NAME>` (for `limit-small`: `LIMITBENCH_LIMIT_SMALL`) names a folder that holds it. `split`
    chooses the qrels of a folder; the other options are `read_folder`'s, and the catalogue's entry is the card of a dataset that
    it names. Raises `UnknownName`, `DataError` or `OfflineError`.
    """
    how = Reading(
        split=split, min_grade=min_grade, skip_unanswerable=skip_unanswerable, ignore_identical_ids=ignore_identical_ids
    )
    return how.load(source)


def find(source: str | Path) -> Path | None:
    """The folder or the spec's file that a source means, or None where it is a catalogue name. Raises `UnknownName` for neither.

    Nothing is read: this is how names are checked before any work.
    """
    name = str(source)
    if isinstance(source, str) and name in catalog.names("datasets"):
        return None
    try:
        path: Path | None = Path(name).expanduser()
        there = path is not None and path.exists()
    except (OSError, RuntimeError, ValueError):  # too long, no such user, a null byte
        path, there = None, False
        name = name[:60]
    if path is not None and there and path.is_file() and path.suffix == ".toml":
        return path
    if there or isinstance(source, Path) or name.startswith((".", "/", "~")) or "/" in name:
        if path is None or not name or not path.is_dir():
            found = "a file" if path is not None and path.is_file() else "nothing"
            raise DataError(
                name, f"found {found}, expected a folder with corpus.jsonl, queries.jsonl and qrels; check it"
            )
        return path
    where = "the catalogue, and no folder of that name is here"
    raise UnknownName("dataset", name, catalog.names("datasets"), where=where)


def _from_catalog(name: str, how: Reading) -> Dataset:
    spec = dataset_spec(name)
    leave = spec.ignore_identical_ids if how.ignore_identical_ids is None else how.ignore_identical_ids
    if spec.hub is not None:
        local = os.environ.get(f"LIMITBENCH_{name.upper().replace('-', '_')}")
        if not local:
            from limitbench.datasets import hub

            local = str(hub.fetch(spec.hub.repo, spec.hub.revision))
        found = replace(how, ignore_identical_ids=leave).folder(local, name)
        if how.split != "test" or how.min_grade > 1:
            return found
        if spec.sha256 is not None and replace(found, ignore_identical_ids=False).digest != spec.sha256:
            log.warning("%s holds other data than the published %s (sha256 %s)", local, name, found.digest[:12])
            return found
        return replace(found, spec=recipe(spec))
    if how.min_grade > 1:
        raise InputError(f"dataset '{name}' has no grade above 1; drop --min-grade")
    place = catalog.cache_folder() / "datasets" / f"{name}-{(spec.sha256 or 'unpinned')[:12]}"
    with contextlib.suppress(LimitbenchError):
        kept = read_folder(place, name=name)
        if kept.digest == spec.sha256:
            return replace(kept, spec=recipe(spec), notes=(), ignore_identical_ids=leave)
    if place.exists():
        log.warning("the cached dataset at %s is not whole; it is made again", place)
    made = generate(spec, name)
    if spec.sha256 is not None and made.digest != spec.sha256:
        raise InputError(
            f"dataset '{name}' came out with sha256 {made.digest}, but its spec says {spec.sha256}; "
            "the spec, a vocabulary or the generator was changed: set sha256 to the new value if that is meant"
        )
    try:
        _keep(made, place)
    except LimitbenchError as error:
        log.warning("the dataset is used from memory, not kept: %s (LIMITBENCH_CACHE names another cache)", error)
    return replace(made, ignore_identical_ids=leave)


def _keep(made: Dataset, place: Path) -> None:
    """Move a finished folder to its place in the cache, so that another process sees all of it or nothing."""
    with storing(place):
        place.parent.mkdir(parents=True, exist_ok=True)
        aside = Path(tempfile.mkdtemp(prefix=f".{place.name}.", suffix=".part", dir=place.parent))
    try:
        write_folder(made, aside / "new")
        with storing(place):
            if place.exists():  # broken, or made by another process meanwhile: either way ours is right
                with contextlib.suppress(OSError):
                    place.replace(aside / "old")
            with contextlib.suppress(OSError):
                (aside / "new").replace(place)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
