"""Embeddings by content: what was encoded once, under the same model, prompt and text, is not encoded again.

One file a batch of texts, named by the sha256 of everything that decides its rows, so an interrupted encode goes on with the
first batch that is missing, later runs share it, and two processes write the same file twice at worst. A file that is broken
or not its name's is removed and made again. `LIMITBENCH_EMBEDDINGS_GB` bounds the folder (default 5, 0 turns it off): the files
used longest ago go first.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from limitbench import catalog
from limitbench.errors import InputError, LimitbenchError
from limitbench.files import atomic_write

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class EmbeddingCache:
    """The cache in a folder, of at most so many bytes."""

    folder: Path
    most_bytes: int

    @classmethod
    def default(cls) -> EmbeddingCache:
        """The cache of this user."""
        text = os.environ.get("LIMITBENCH_EMBEDDINGS_GB", "5")
        try:
            most = float(text)
            if not 0 <= most < float("inf"):
                raise ValueError
        except ValueError:
            raise InputError(
                f"found LIMITBENCH_EMBEDDINGS_GB={text}, expected a number of gigabytes, such as 5"
            ) from None
        return cls(catalog.cache_folder() / "embeddings", int(most * 1e9))

    def rows(
        self,
        identity: Mapping[str, Any],
        texts: Sequence[str],
        encode: Callable[[Sequence[str]], Floats],
        *,
        reuse: bool = True,
    ) -> tuple[Floats, bool]:
        """The embeddings (texts, d) of one batch, and whether they were there. `identity` is what else decides them.

        Without `reuse` they are made and kept anew.
        """
        if not self.most_bytes:
            return encode(texts), False
        key = hashlib.sha256(json.dumps([identity, list(texts)], sort_keys=True).encode()).hexdigest()
        path = self.folder / key[:2] / f"{key}.npy"
        kept = _read(path, key, len(texts)) if reuse else None
        if kept is not None:
            with contextlib.suppress(OSError):
                os.utime(path)
            return kept, True
        made = np.ascontiguousarray(encode(texts), np.float32)
        with contextlib.suppress(LimitbenchError), atomic_write(path) as out:  # a full disk costs time, not the result
            out.write(_packed(made, key))
        return made, False

    def files(self) -> list[tuple[Path, int, float]]:
        """(path, bytes, time of last use) of every file, the one used longest ago first."""
        out = []
        for path in self.folder.glob("??/*.npy"):
            with contextlib.suppress(OSError):
                status = path.stat()
                out.append((path, status.st_size, status.st_mtime))
        return sorted(out, key=lambda row: row[2])

    def prune(self, most_bytes: int | None = None) -> tuple[int, int]:
        """Remove the files used longest ago until the rest fits; how many files and bytes that were."""
        most = self.most_bytes if most_bytes is None else most_bytes
        files = self.files()
        over = sum(size for _, size, _ in files) - most
        removed = freed = 0
        for path, size, _ in files:
            if over <= freed:
                break
            with contextlib.suppress(OSError):
                path.unlink()
                removed, freed = removed + 1, freed + size
        return removed, freed


def _packed(rows: Floats, key: str) -> bytes:
    """An .npy file with the key and the sha256 of its bytes behind it."""
    stream = io.BytesIO()
    np.save(stream, rows, allow_pickle=False)
    body = stream.getvalue()
    return body + hashlib.sha256(key.encode() + body).digest()


def _read(path: Path, key: str, count: int) -> Floats | None:
    """The rows in a file, or None where it is missing, cut off, altered or another's; such a file is removed."""
    try:
        raw = path.read_bytes()
    except OSError:
        return None
    body, tail = raw[:-32], raw[-32:]
    if hashlib.sha256(key.encode() + body).digest() == tail:
        with contextlib.suppress(ValueError, EOFError):
            rows: Floats = np.load(io.BytesIO(body), allow_pickle=False)
            if rows.ndim == 2 and len(rows) == count and rows.dtype == np.float32:
                return rows
    with contextlib.suppress(OSError):
        path.unlink()
    return None
