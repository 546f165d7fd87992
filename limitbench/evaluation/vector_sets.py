"""Vectors of a dataset with their exact answers and margins, as files that others' harnesses of approximate search read.

Scores are computed in fp64 of the fp32 vectors that are written. A margin is how much nearer the last relevant document is than the
best other one: what an index, or a dtype, may spoil before the answer changes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from limitbench.collection import Dataset
from limitbench.datasets import load
from limitbench.errors import InputError, MissingExtra, SpecError, StorageError
from limitbench.files import atomic_write
from limitbench.progress import Progress, no_progress
from limitbench.retrievers import Given, RetrieverSpec
from limitbench.retrievers.embedded import usable
from limitbench.retrievers.vectors import SingleVectorIndex, scores_of

FORMATS = ("hdf5", "fvecs", "fbin")
_ENTRIES = 1 << 23  # of a score matrix in fp64 at a time: 64 MB
_UNIT = 1e-4  # how far from 1 a length may be


@dataclass(frozen=True, eq=False)
class VectorSet:
    """Documents (n, d) and queries (m, d), fp32; `neighbours` and `scores` (m, depth), the best first, larger is nearer.

    `margins` (m,) are the last relevant document's score less the best other one's: below 0 where the vectors do not answer the
    query, NaN without a relevant document or another. `tied` (m,) tells where the first document beyond the depth scores as the
    last one within: an answer with the other is as right.
    """

    name: str
    similarity: str
    documents: npt.NDArray[np.float32]
    queries: npt.NDArray[np.float32]
    neighbours: npt.NDArray[np.int32]
    scores: npt.NDArray[np.float64]
    margins: npt.NDArray[np.float64]
    tied: npt.NDArray[np.bool_]


def vector_set(
    dataset: Dataset | str | Path, by: Given, *, depth: int = 100, progress: Progress = no_progress
) -> VectorSet:
    """The vectors of one single-vector retriever on a dataset, with exact answers; depth is the corpus' size at most.

    Raises `SpecError` for a retriever without one fp32 vector a document, `InputError` for a depth below 1 or data without queries.
    """
    data = dataset if isinstance(dataset, Dataset) else load(dataset)
    if data.ignore_identical_ids:
        raise InputError(
            f"dataset '{data.name}' leaves a query's own document out, which no file of vectors can say; choose another"
        )
    if depth < 1 or not len(data.queries) or not len(data.corpus):
        sizes = f"{len(data.queries)} queries and {len(data.corpus)} documents"
        raise InputError(f"found depth {depth}, {sizes}, expected 1 or more of each")
    spec = RetrieverSpec.parse(by)
    index = spec.made().index(data.corpus, progress)
    if not isinstance(index, SingleVectorIndex) or index.vectors.storage.dtype != "fp32":
        raise SpecError(
            f"retriever '{spec}' has not one fp32 vector a document; give one such as minilm or free:{data.name},dim=8"
        )
    kept = index.vectors
    documents, queries = usable(kept.documents, data.corpus.ids), index.asked(data.queries, progress)
    depth = min(depth, len(documents))
    found = list(_answers(documents, queries, data, kept.similarity, depth, progress))
    neighbours, scores, margins, tied = (np.concatenate(column) for column in zip(*found, strict=True))
    name = f"{data.name}, {spec}"
    return VectorSet(name, kept.similarity, documents, queries, neighbours.astype(np.int32), scores, margins, tied)


def _answers(
    documents: Any, queries: Any, data: Dataset, similarity: str, depth: int, progress: Progress
) -> Iterator[tuple[Any, Any, Any, Any]]:
    """(neighbours, scores, margins, tied) of chunks of queries; equal scores in the corpus' order."""
    wide = documents.astype(np.float64)
    relevant = data.qrels.relevant
    chunk = max(1, _ENTRIES // len(documents))
    for start in range(0, len(queries), chunk):
        asked = queries[start : start + chunk].astype(np.float64)
        scores = scores_of(asked, wide, similarity)
        order = np.argsort(-scores, axis=1, kind="stable")[:, : depth + 1]
        best = np.take_along_axis(scores, order, axis=1)
        tied = best[:, depth] == best[:, depth - 1] if best.shape[1] > depth else np.zeros(len(asked), bool)
        margins = np.full(len(asked), np.nan)
        for i, row in enumerate(scores):
            a, b = relevant.indptr[start + i], relevant.indptr[start + i + 1]
            inside = np.zeros(len(row), bool)
            inside[relevant.indices[a:b]] = True
            if inside.any() and not inside.all():
                margins[i] = row[inside].min() - row[~inside].max()
        yield order[:, :depth], best[:, :depth], margins, tied
        progress("exact search", min(start + chunk, len(queries)), len(queries))


def require_format(form: str) -> None:
    """Raise `InputError` for a format that there is not."""
    if form not in FORMATS:
        raise InputError(f"found the format '{form}', expected one of {', '.join(FORMATS)}")


def write_vector_set(found: VectorSet, out: Path, form: str) -> list[Path]:
    """Write the files of a format; their paths.

    `hdf5` is one file in ann-benchmarks' layout: train, test, neighbors, distances, and our margins and tied. `fvecs` is a folder
    with base.fvecs, query.fvecs and groundtruth.ivecs, `fbin` one with base.fbin, query.fbin and groundtruth.ibin as in
    big-ann-benchmarks; both with margins.npy. Raises `InputError` for another format or a similarity that it has no name for,
    `MissingExtra` without h5py.
    """
    require_format(form)
    if form == "hdf5":
        return [_hdf5(found, out)]
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(f"{out}: cannot be made a folder ({error.strerror}); choose another place") from None
    write, ending = (_vecs, "vecs") if form == "fvecs" else (_bin, "bin")
    arrays = {
        f"base.f{ending}": (found.documents.astype("<f4"),),
        f"query.f{ending}": (found.queries.astype("<f4"),),
        f"groundtruth.i{ending}": (found.neighbours.astype("<i4"), _distances(found).astype("<f4")),
    }
    for name, (rows, *more) in arrays.items():
        with atomic_write(out / name) as file:
            write(file, rows, more)
    with atomic_write(out / "margins.npy") as file:
        np.save(file, found.margins)
    return [*(out / name for name in arrays), out / "margins.npy"]


def _vecs(file: Any, rows: Any, _more: Any) -> None:
    """Each row behind its length."""
    lengths = np.full((len(rows), 1), rows.shape[1], "<i4")
    file.write(np.hstack([lengths.view(np.uint8), np.ascontiguousarray(rows).view(np.uint8)]).tobytes())


def _bin(file: Any, rows: Any, more: Any) -> None:
    """Count and width, the rows, and of answers their distances."""
    file.write(np.array(rows.shape, "<u4").tobytes() + np.ascontiguousarray(rows).tobytes())
    for array in more:
        file.write(np.ascontiguousarray(array).tobytes())


def _distances(found: VectorSet) -> npt.NDArray[np.float64]:
    """Smaller is nearer: 1 less a cosine, a distance, or an inner product with its sign turned."""
    return 1 - found.scores if found.similarity == "cosine" else -found.scores


def _hdf5(found: VectorSet, out: Path) -> Path:
    try:
        import h5py
    except ModuleNotFoundError:
        raise MissingExtra("writing HDF5", "h5py", "hdf5") from None
    unit = all((np.abs(np.linalg.norm(x, axis=1) - 1) < _UNIT).all() for x in (found.documents, found.queries))
    names = {"cosine": "angular", "euclidean": "euclidean", **({"dot": "angular"} if unit else {})}
    if found.similarity not in names:
        raise InputError(
            f"ann-benchmarks has no {found.similarity} distance of these vectors; write --format fvecs or fbin"
        )
    distances = 1 - found.scores if names[found.similarity] == "angular" else -found.scores
    with atomic_write(out) as file, h5py.File(file, "w") as h5:
        h5.attrs.update(
            {
                "type": "dense",
                "distance": names[found.similarity],
                "dimension": found.documents.shape[1],
                "point_type": "float",
            }
        )
        h5.attrs["made_by"] = f"limitbench: {found.name}"
        arrays = {
            "train": found.documents, "test": found.queries, "neighbors": found.neighbours,
            "distances": distances.astype(np.float32), "margins": found.margins, "tied": found.tied,
        }  # fmt: skip
        for name, array in arrays.items():
            h5.create_dataset(name, data=array)
    return out
