"""Indexes on disk: one .npz a retriever and corpus, checked against both before it is used.

The arrays of an index are written as they are, and its retriever's `restored(corpus, arrays)` makes it of them again. An index
without arrays is quick to build: only who it belongs to is written, and loading builds it. Nothing is pickled.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from limitbench.collection import Corpus
from limitbench.errors import DataError
from limitbench.files import atomic_write
from limitbench.retrievers.base import Arrays, Index, Progress, Retriever, no_progress

_MANIFEST = "manifest"


def save_index(retriever: Retriever, index: Index, corpus: Corpus, path: Path) -> None:
    """Write the index to one .npz file, whole or not at all. Raises `StorageError`."""
    manifest = {"format": 1, "configuration": retriever.configuration, "corpus": corpus.digest}
    with atomic_write(path) as out:
        np.savez(out, **{_MANIFEST: _bytes(json.dumps(manifest, sort_keys=True).encode())}, **index.arrays)  # type: ignore[arg-type]


def load_index(retriever: Retriever, corpus: Corpus, path: Path, progress: Progress = no_progress) -> Index:
    """The index in the file. Raises `DataError` where it is broken, or belongs to another configuration or corpus."""
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as kept:
            arrays = dict(kept)
    except FileNotFoundError:
        raise DataError(path, "there is no such index; save one first") from None
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise DataError(path, f"is not a whole index ({error}); save it again") from None
    try:
        manifest = json.loads(arrays.pop(_MANIFEST).tobytes())
        belongs = (manifest["format"], manifest["configuration"], manifest["corpus"])
    except (KeyError, ValueError, TypeError):
        raise DataError(path, "is no index of limitbench's; save one first") from None
    found = dict(zip(("format", "configuration", "corpus"), belongs, strict=True))
    wanted = {"format": 1, "configuration": json.loads(json.dumps(retriever.configuration)), "corpus": corpus.digest}
    for name, value in wanted.items():
        if found[name] != value:
            raise DataError(path, f"was saved for another {name}; save it again for this one")
    return retriever.restored(corpus, arrays) if arrays else retriever.index(corpus, progress)


def nested(parts: Mapping[str, Index]) -> dict[str, npt.NDArray[Any]]:
    """The arrays of several indexes, each under its name and a slash."""
    return {f"{name}/{key}": array for name, index in parts.items() for key, array in index.arrays.items()}


def restored_part(retriever: Retriever, corpus: Corpus, arrays: Arrays, name: str) -> Index:
    """One of several indexes, from what `nested` gave; built again where it kept nothing."""
    own = {key.partition("/")[2]: array for key, array in arrays.items() if key.partition("/")[0] == name}
    return retriever.restored(corpus, own) if own else retriever.index(corpus)


def _bytes(raw: bytes) -> npt.NDArray[np.uint8]:
    return np.frombuffer(raw, np.uint8)


def packed(value: Any) -> npt.NDArray[np.uint8]:
    """Something JSON-ready as an array of bytes."""
    return _bytes(json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass"))


def unpacked(array: npt.NDArray[Any]) -> Any:
    """The value that `packed` was given."""
    return json.loads(array.tobytes().decode("utf-8", "surrogatepass"))
