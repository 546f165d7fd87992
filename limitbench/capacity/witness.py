"""Witness files: arrays that realise a relevance matrix, and a check of them that needs no torch.

A witness is an .npz file with a JSON header (what is claimed, and how it was found), the documents and, unless the queries
are the exact sums of their documents, the queries, as stored. The claim: for every query, every relevant score is strictly
above every other, scores being exact real numbers computed from the stored coordinates.

The check computes scores in float64. For x, y of length d, any order of summation and fused operations or not,
|fl(<x, y>) - <x, y>| <= g |x| |y| with g = d e / (1 - d e), e = 2^-53 (Higham 2002, sec. 3.1, and Cauchy-Schwarz). Rows whose gap
is within twice that are decided in rational arithmetic. Nothing is taken on trust but IEEE 754.
"""

from __future__ import annotations

import hashlib
import io
import json
import math
import struct
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from limitbench.capacity.exact_margin import (
    LARGEST,
    Checked,
    check_sums,
    gram_of,
    pairs,
    strict_margin,
    with_claim,
)
from limitbench.capacity.problem import Problem, subsets
from limitbench.dtypes import Values as Floats
from limitbench.dtypes import decode
from limitbench.errors import CertificateError, DataError, InputError
from limitbench.files import atomic_write
from limitbench.relevance import Qrels

SCHEMA = "limitbench.witness.v1"
_PACKED = 4_000_000  # bytes; larger arrays of random bits are written as they are
_MOST_MEMORY, _MOST_WORK = 4 * 10**9, 1e12  # bytes at once, and products, of a check
_MOST_BYTES, _MOST_HEADER = 2 * 10**9, 16 * 10**6  # of arrays and of the header, unpacked
_BROKEN = (  # what json, zipfile and numpy raise on a file made to break them: it is then unreadable, not a traceback
    ValueError, KeyError, TypeError, IndexError, AttributeError, EOFError, NotImplementedError, MemoryError, RuntimeError,
    struct.error, zlib.error, zipfile.BadZipFile, zipfile.LargeZipFile,
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class Witness:
    """Documents (n, d) and queries (m, d) as stored, and what they are said to do.

    `queries` is None where the query of a set is the sum of its documents; that needs integer coordinates. `margin` is a lower
    bound of half the least gap over |u| max|v|, the half-gap on unit vectors where documents are unit.
    """

    matrix: Mapping[str, Any]
    dtype: str
    documents: npt.NDArray[Any]
    queries: npt.NDArray[Any] | None
    margin: float
    found: Mapping[str, Any]  # solver, seed, start, budget, setting, provenance

    @property
    def d(self) -> int:
        """The dimension of the stored vectors."""
        return int(self.documents.shape[1])

    def header(self) -> dict[str, Any]:
        """What the file says beside the arrays, all but the digest."""
        return {
            "schema": SCHEMA, "matrix": dict(self.matrix), "d": self.d, "dtype": self.dtype, "margin": self.margin,
            "queries": "sums of documents" if self.queries is None else "stored", **self.found,
        }  # fmt: skip

    @property
    def digest(self) -> str:
        """sha256, in hex, of the header and the arrays."""
        state = hashlib.sha256(json.dumps(self.header(), sort_keys=True).encode() + b"\n")
        for array in (self.documents, self.queries):
            state.update(b"none" if array is None else f"{array.dtype.str} {array.shape}\n".encode() + array.tobytes())
        return state.hexdigest()

    def write(self, path: Path) -> None:
        """Write the file, whole or not at all."""
        arrays = {"documents": self.documents} | ({} if self.queries is None else {"queries": self.queries})
        with atomic_write(path) as out, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
            told = json.dumps({**self.header(), "digest": self.digest}, indent=1, allow_nan=False)
            archive.writestr(zipfile.ZipInfo("header.json"), told)
            for name, array in arrays.items():
                held = io.BytesIO()
                np.lib.format.write_array(held, np.ascontiguousarray(array), allow_pickle=False)
                entry = zipfile.ZipInfo(f"{name}.npy")
                entry.compress_type = zipfile.ZIP_DEFLATED if array.nbytes < _PACKED else zipfile.ZIP_STORED
                archive.writestr(entry, held.getvalue())


def is_witness(path: Path) -> bool:
    """Whether the file is a witness rather than JSON."""
    try:
        return zipfile.is_zipfile(path)
    except OSError:
        return False


def read(path: Path) -> tuple[Witness, str]:
    """The witness in a file, and the digest that the file gives. Raises `DataError` where it is broken."""
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
            odd = [e.filename for e in entries if e.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)]
            if odd or len(entries) > 3 or len({e.filename for e in entries}) < len(entries):
                raise ValueError("entries")  # others unpack by pieces of any size, before anything can be judged
            held = [name for name in ("documents", "queries") if f"{name}.npy" in archive.namelist()]
            sizes = {name: _size_told(archive, f"{name}.npy") for name in held}
            told = archive.getinfo("header.json").file_size
            if told > _MOST_HEADER or sum(sizes.values()) > _MOST_BYTES:
                raise DataError(
                    path, f"says that it holds {max(told, sum(sizes.values())) / 1e9:.3g} GB unpacked, expected at most "
                    f"{_MOST_BYTES / 1e9:g} GB of arrays and {_MOST_HEADER / 1e6:g} MB of header; nothing was unpacked",
                )  # fmt: skip
            with archive.open("header.json") as stream:
                header = json.loads(stream.read(_MOST_HEADER), parse_constant=_no_number)
            arrays = {name: _array(archive, f"{name}.npy") for name in held}
        if header["schema"] != SCHEMA:
            raise DataError(
                path, f"has schema {header['schema']!r}, expected {SCHEMA!r}; update limitbench or the file"
            )
        digest, _ = str(header.pop("digest")), header.pop("schema")
        matrix, d, dtype, margin, queries = (header.pop(name) for name in ("matrix", "d", "dtype", "margin", "queries"))
        witness = Witness(matrix, dtype, arrays["documents"], arrays.get("queries"), margin, header)
        if not (
            isinstance(matrix, dict) and isinstance(dtype, str) and type(margin) in (int, float) and 0 <= margin <= 1
        ):
            raise ValueError("matrix, dtype or margin")
        if (
            any(array.ndim != 2 for array in arrays.values())
            or d != witness.d
            or queries != witness.header()["queries"]
        ):
            raise ValueError("d or queries")
    except OSError as error:
        raise DataError(path, f"cannot be read ({error.strerror}); check the path") from None
    except _BROKEN as error:
        raise DataError(path, f"is not a witness ({error!r}); expected a file that limitbench capacity wrote") from None
    return witness, digest


def _size_told(archive: zipfile.ZipFile, name: str) -> int:
    """The bytes of an array by its own header, of which alone so much is unpacked."""
    with archive.open(name) as stream:
        shape, dtype = _told(stream)
        return math.prod(shape) * int(dtype.itemsize)


def _told(stream: Any) -> tuple[tuple[int, ...], Any]:
    """Shape and type of an array by its .npy header; the stream stands behind it then. Raises `ValueError`."""
    if np.lib.format.read_magic(stream) != (1, 0):  # whose header is at most 64 kB; others say how much of it to read
        raise ValueError("array version")
    shape, fortran, dtype = np.lib.format.read_array_header_1_0(stream)
    if fortran or dtype.hasobject or any(side < 0 for side in shape):
        raise ValueError("array")
    return shape, dtype


def _no_number(name: str) -> Any:
    """Refuse NaN and Infinity, which JSON has no word for."""
    raise ValueError(name)


def _array(archive: zipfile.ZipFile, name: str) -> npt.NDArray[Any]:
    """The array of an entry; no more is unpacked than its header says."""
    with archive.open(name) as stream:
        shape, dtype = _told(stream)
        size = int(math.prod(shape)) * dtype.itemsize
        raw = stream.read(size)
        if len(raw) != size:
            raise ValueError("array")
        return np.frombuffer(raw, dtype).reshape(shape)


def check(witness: Witness, qrels: Qrels | None = None) -> Checked:
    """The margin that the arrays have. Raises `CertificateError`, saying where, unless every row is strict and the claimed
    margin holds; `InputError` where the qrels are needed and missing."""
    if not 0 <= witness.margin <= 1:
        raise CertificateError(f"the claimed margin is {witness.margin}, expected 0 to 1")
    _affordable(witness, qrels)
    v = _finite(decode(witness.documents, witness.dtype), "documents")
    n, m, k = _named(witness.matrix, qrels)
    if v.shape[0] != n or v.shape[1] < 1:
        raise CertificateError(f"found {v.shape[0]} documents of {v.shape[1]} dimensions, expected {n} documents")
    if witness.queries is None:
        if k == 2 and n > 2:  # all pairs, without listing them
            gram, largest = gram_of(v, 2)
            return with_claim(pairs(gram, largest), m, witness.margin)
        return check_sums(v, _problem(witness.matrix, qrels), witness.margin)
    u = _finite(decode(witness.queries, witness.dtype), "queries")
    if u.shape != (m, v.shape[1]):
        raise CertificateError(f"found queries of shape {u.shape}, expected {(m, v.shape[1])}")
    problem = _problem(witness.matrix, qrels)
    if problem.m == 0:
        return Checked(None, 0, 0)
    return strict_margin(u if problem.rows is None else u[problem.rows], v, problem, witness.margin)


def _affordable(witness: Witness, qrels: Qrels | None) -> None:
    """Refuse what the sizes alone show to be too much: more than 4 GB at once, or more than 10^12 products (some minutes)."""
    arrays = [array for array in (witness.documents, witness.queries) if array is not None]
    wide = 8 * sum(array.size for array in arrays)
    n, m, k = _named(witness.matrix, qrels)
    d, sums = witness.d, witness.queries is None
    gram = 16 * n * n if sums else 0
    listed = 0 if sums and k == 2 else 8 * m * max(1, k if k is not None else 1)
    work = (
        n * n * (d + n / 2)
        if sums and k == 2
        else m * n * (d if not sums else max(1, k or 1)) + (n * n * d if sums else 0)
    )
    if max(wide, gram + listed) > _MOST_MEMORY or work > _MOST_WORK:
        raise CertificateError(
            f"the check of {m} queries over {n} documents of {d} dimensions would take {max(wide, gram + listed) / 1e9:.3g} GB and "
            f"{work:.2g} products, expected at most {_MOST_MEMORY / 1e9:g} GB and {_MOST_WORK:g}"
        )


def _named(matrix: Mapping[str, Any], qrels: Qrels | None) -> tuple[int, int, int | None]:
    """(documents, stored queries, k) of the matrix that is named, before anything is listed."""
    if set(matrix) not in ({"n", "k"}, {"sha256", "queries", "documents"}):
        raise CertificateError(
            f"the matrix is not named: found {sorted(matrix)}, expected n and k, or a digest and sizes"
        )
    if "sha256" in matrix:
        if qrels is None:
            raise InputError("this witness is about given qrels; pass them (on the command line: --qrels FOLDER|FILE)")
        if qrels.relevant.digest != matrix["sha256"]:
            raise CertificateError("the witness is about other qrels: the digests differ")
        if (matrix["queries"], matrix["documents"]) != qrels.shape:
            raise CertificateError("the witness names another number of queries or documents than its digest")
        return qrels.n_documents, qrels.n_queries, None
    if qrels is not None:
        raise CertificateError(f"the witness is about all subsets ({dict(matrix)}), not about the qrels given")
    n, k = matrix["n"], matrix["k"]
    if type(n) is not int or type(k) is not int or not 1 <= k <= n:
        raise CertificateError(f"the matrix is not named: found {dict(matrix)}, expected 1 <= k <= n")
    return n, 0 if k == n else subsets(n, k), k


def _problem(matrix: Mapping[str, Any], qrels: Qrels | None) -> Problem:
    return Problem.of(qrels) if qrels is not None else Problem.all_subsets(matrix["n"], matrix["k"])


def _finite(x: Floats, what: str) -> Floats:
    size = np.abs(x)
    if not np.isfinite(x).all() or (size > LARGEST).any() or ((size < 1 / LARGEST) & (x != 0)).any():
        wanted = f"0, or between {1 / LARGEST:g} and {LARGEST:g} in size, where products neither overflow nor underflow"
        raise CertificateError(f"the {what} hold a number that is not {wanted}")
    return x
