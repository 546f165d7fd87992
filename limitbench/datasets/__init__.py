"""Datasets: patterns of relevance, put into words; folders and the hub read; `load` is the front door."""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
from pathlib import Path

from limitbench import catalog
from limitbench.collection import Dataset
from limitbench.datasets.folders import read_folder, write_folder
from limitbench.datasets.spec import DatasetSpec, dataset_spec, generate
from limitbench.errors import InputError, LimitbenchError, UnknownName

__all__ = ["DatasetSpec", "dataset_spec", "generate", "load", "read_folder", "write_folder"]

log = logging.getLogger("limitbench")


def load(source: str | Path, *, split: str = "test") -> Dataset:
    """The dataset of a catalogue name, else of a folder (`./NAME` forces the folder).

    A generated dataset is made on first use and kept in the cache (`LIMITBENCH_CACHE`); one of the hub is fetched at
    its pinned revision, unless `LIMITBENCH_<NAME>` (for `limit-small`: `LIMITBENCH_LIMIT_SMALL`) names a folder that
    holds it. `split` chooses the qrels of a folder. Raises `UnknownName`, `DataError` or `OfflineError`.
    """
    name = str(source)
    if isinstance(source, str) and name in catalog.names("datasets"):
        return _from_catalog(name, split)
    if Path(name).exists() or isinstance(source, Path) or name.startswith((".", "/", "~")) or "/" in name:
        return read_folder(Path(name).expanduser(), split=split)
    raise UnknownName(
        "dataset", name, catalog.names("datasets"), where="the catalogue, and no folder of that name is here"
    )


def _from_catalog(name: str, split: str) -> Dataset:
    spec = dataset_spec(name)
    if spec.hub is not None:
        local = os.environ.get(f"LIMITBENCH_{name.upper().replace('-', '_')}")
        if local:
            return read_folder(local, split=split, name=name)
        from limitbench.datasets import hub

        return read_folder(hub.fetch(spec.hub.repo, spec.hub.revision), split=split, name=name)
    place = catalog.cache_folder() / "datasets" / f"{name}-{(spec.sha256 or 'unpinned')[:12]}"
    with contextlib.suppress(LimitbenchError):
        kept = read_folder(place, name=name)
        if kept.digest == spec.sha256:
            return Dataset(name, kept.corpus, kept.queries, kept.qrels, spec=_recipe(spec))
    if place.exists():
        log.warning("the cached dataset at %s is not whole; it is made again", place)
        shutil.rmtree(place, ignore_errors=True)
    made = generate(spec, name)
    if spec.sha256 is not None and made.digest != spec.sha256:
        raise InputError(
            f"dataset '{name}' came out with sha256 {made.digest}, but its spec says {spec.sha256}; "
            "the spec, a vocabulary or the generator was changed: set sha256 to the new value if that is meant"
        )
    try:
        write_folder(made, place)
    except LimitbenchError as error:
        log.warning("the dataset is used from memory, not kept: %s (LIMITBENCH_CACHE names another cache)", error)
    return made


def _recipe(spec: DatasetSpec) -> dict[str, object]:
    return spec.model_dump(mode="json", exclude={"title", "card", "sha256", "licence"}, exclude_none=True)
