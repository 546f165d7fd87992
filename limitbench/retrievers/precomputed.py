"""Vectors that were made elsewhere: a folder with a matrix and ids for documents and for queries."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from pydantic import Field

from limitbench.collection import Corpus, Queries
from limitbench.errors import DataError, MissingExtra
from limitbench.files import read_lines
from limitbench.retrievers.base import Adapter, Arrays, Index, IndexFacts, Progress, Retrieved, no_progress
from limitbench.retrievers.best_columns import Floats
from limitbench.retrievers.vectors import Dtype, Kind, Similarity, VectorIndex, truncated


class Precomputed(Adapter):
    """`vectors:FOLDER`: documents.npy and queries.npy, or vectors.safetensors with both; documents.ids and queries.ids.

    Matrices are (documents, d) and (queries, d), of any float type; the ids stand one a line, in the order of the rows. More ids
    than the dataset has are fine. Rows of length 0, NaN and infinities are refused.
    """

    adapter: ClassVar[str] = "vectors"
    argument: ClassVar[str | None] = "folder"
    path_fields: ClassVar[tuple[str, ...] | None] = ("folder",)
    folder: str = Field(min_length=1)
    similarity: Similarity = "cosine"
    dim: int | None = Field(None, ge=1)
    dtype: Dtype = "fp32"
    kind: Kind = Field("exact", alias="index")

    @cached_property
    def tables(self) -> dict[str, tuple[dict[str, int], Floats]]:
        """Row numbers by id, and the matrix, of documents and of queries."""
        folder = Path(self.folder).expanduser()
        if not folder.is_dir():
            raise DataError(folder, "found no folder; expected one with documents.npy, queries.npy and their .ids")
        return {side: _table(folder, side) for side in ("documents", "queries")}

    @property
    def configuration(self) -> dict[str, Any]:
        """Every option, and a hash of the vectors."""
        state = hashlib.sha256()
        for ids, matrix in self.tables.values():
            state.update("\n".join(ids).encode())
            state.update(np.ascontiguousarray(matrix).tobytes())
        return {**super().configuration, "vectors": f"sha256 {state.hexdigest()}"}

    def index(self, corpus: Corpus, progress: Progress = no_progress) -> Index:
        """The corpus's vectors in the stored dtype, behind the index asked for."""
        documents = self.rows("documents", corpus.ids)
        if self.dim is not None and self.dim > documents.shape[1]:
            raise DataError(self.folder, f"found dim={self.dim}, expected at most the vectors' {documents.shape[1]}")
        progress("index", len(corpus), len(corpus))
        kept = truncated(documents, self.dim, self.similarity == "cosine")
        vectors = VectorIndex.built(corpus.ids, kept, dtype=self.dtype, kind=self.kind, similarity=self.similarity)
        return _PrecomputedIndex(vectors, self)

    def restored(self, corpus: Corpus, arrays: Arrays) -> Index:
        """The index that was saved."""
        vectors = VectorIndex.restored(corpus.ids, arrays, dtype=self.dtype, kind=self.kind, similarity=self.similarity)
        return _PrecomputedIndex(vectors, self)

    def rows(self, side: str, ids: Sequence[str]) -> Floats:
        """The vectors of these ids. Raises `DataError` where one is missing, or the zero vector."""
        known, matrix = self.tables[side]
        missing = [name for name in ids if name not in known]
        if missing:
            raise DataError(
                Path(self.folder) / f"{side}.ids",
                f"{len(missing)} {side}, the first '{missing[0]}', have no vector; add them",
            )
        found = matrix[[known[name] for name in ids]]
        empty = np.flatnonzero(~found[:, : self.dim].any(1))
        if len(empty):
            where = f" in its first {self.dim} coordinates" if self.dim else ""
            raise DataError(
                Path(self.folder) / side,
                f"the vector of '{ids[int(empty[0])]}' is zero{where}, which cannot be ranked ({len(empty)} in all); mend them",
            )
        return found


@dataclass(frozen=True, eq=False)
class _PrecomputedIndex:
    vectors: VectorIndex
    options: Precomputed

    @property
    def arrays(self) -> Arrays:
        """The arrays of the vectors, to keep on disk."""
        return self.vectors.arrays

    @property
    def facts(self) -> IndexFacts:
        """The facts of the vectors: dimension, dtype, kind of index, similarity."""
        return self.vectors.facts

    def asked(self, queries: Queries, _progress: Progress = no_progress) -> Floats:
        """The vectors (m, d) of these queries, found by their ids."""
        rows = self.options.rows("queries", queries.ids)
        return truncated(rows, self.options.dim, self.options.similarity == "cosine")

    def search(self, queries: Queries, depth: int, progress: Progress = no_progress) -> Retrieved:
        """The run of these queries."""
        return Retrieved(self.vectors.search(self.asked(queries), queries.ids, depth, progress))


def _table(folder: Path, side: str) -> tuple[dict[str, int], Floats]:
    packed, plain, names = folder / "vectors.safetensors", folder / f"{side}.npy", folder / f"{side}.ids"
    if packed.is_file():
        matrix = _safetensors(packed, side)
    else:
        try:
            matrix = np.load(plain, allow_pickle=False)
        except FileNotFoundError:
            raise DataError(
                folder, f"{side}.npy is missing, and there is no vectors.safetensors; add one of them"
            ) from None
        except (OSError, ValueError, EOFError) as error:
            raise DataError(plain, f"is not a whole .npy file ({error}); write it again") from None
    path = packed if packed.is_file() else plain
    if matrix.ndim != 2 or matrix.dtype.kind not in "fiu":
        raise DataError(path, f"found shape {matrix.shape} of {matrix.dtype}, expected a matrix of numbers ({side}, d)")
    ids: dict[str, int] = {}
    for line, name in read_lines(names):
        if name in ids:
            raise DataError(names, f"the id '{name}' stands twice; drop one", line=line)
        ids[name] = line - 1
    if len(ids) != len(matrix):
        raise DataError(names, f"found {len(ids)} ids for {len(matrix)} rows; expected one a row")
    with np.errstate(over="ignore", invalid="ignore"):  # beyond fp32: infinite, and refused
        found = matrix.astype(np.float32)
    if not np.isfinite(found).all():
        row = int(np.flatnonzero(~np.isfinite(found).all(1))[0])
        name = next(name for name, number in ids.items() if number == row)
        raise DataError(path, f"row {row}, of '{name}', holds NaN or infinity, or more than fp32 holds; mend it")
    return ids, found


def _safetensors(path: Path, side: str) -> Any:
    try:
        from safetensors import SafetensorError, deserialize
    except ModuleNotFoundError as error:
        raise MissingExtra("vectors.safetensors", error.name or "safetensors", "models") from None
    try:
        found: dict[str, Any] = dict(deserialize(path.read_bytes()))  # type: ignore[no-untyped-call]
    except (SafetensorError, OSError) as error:
        raise DataError(path, f"is not a whole safetensors file ({error}); write it again") from None
    if side not in found:
        raise DataError(
            path, f"found the tensors {', '.join(sorted(found)) or 'none'}, expected 'documents' and 'queries'"
        )
    kind, shape, raw = found[side]["dtype"], found[side]["shape"], found[side]["data"]
    if kind == "BF16":  # the upper half of an fp32's bits
        bits = np.frombuffer(raw, "<u2").astype(np.uint32) << 16
        return bits.view(np.float32).reshape(shape)
    if kind not in _SAFETENSORS:
        wanted = ", ".join(("BF16", *_SAFETENSORS))
        raise DataError(path, f"'{side}' is of dtype {kind}, expected one of {wanted}; store it in one of them")
    return np.frombuffer(raw, _SAFETENSORS[kind]).reshape(shape)


_SAFETENSORS = {
    "F64": "<f8", "F32": "<f4", "F16": "<f2", "I8": "i1", "U8": "u1", "I16": "<i2", "I32": "<i4", "I64": "<i8",
}  # fmt: skip
