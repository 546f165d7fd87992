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
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from limitbench.capacity.dtypes import Floats, decode
from limitbench.capacity.problem import Problem, subsets
from limitbench.errors import CertificateError, DataError, InputError
from limitbench.files import atomic_write
from limitbench.relevance import Qrels

SCHEMA = "limitbench.witness.v1"
_CHUNK = 4_000_000  # scores at a time
_PACKED = 4_000_000  # bytes; larger arrays of random bits are written as they are
_MOST_MEMORY, _MOST_WORK = 4 * 10**9, 1e12  # bytes at once, and products, of a check
_MOST_RATIONAL = 20_000_000  # products of rationals, over all rows that floating point leaves in doubt
_MOST_BYTES, _MOST_HEADER = 2 * 10**9, 16 * 10**6  # of arrays and of the header, unpacked
_LARGEST = 1e100  # of a coordinate, and the inverse of the least that is not 0: scores and squares stay within float64
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
        """The dimension."""
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


@dataclass(frozen=True)
class Checked:
    """What the check of a witness found: the least margin of its rows, and how many were decided in rationals."""

    margin: float | None  # rounded down; None where there is no row to be strict
    rows: int
    rational_rows: int

    @property
    def vacuous(self) -> bool:
        """Whether nothing was asked: no query has both relevant and other documents, as for k = n."""
        return self.rows == 0


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
            gram, largest = _gram(v, 2)
            return _claimed(_pairs(gram, largest), m, witness.margin)
        return _check_sums(v, _problem(witness.matrix, qrels), witness.margin)
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
    if not np.isfinite(x).all() or (size > _LARGEST).any() or ((size < 1 / _LARGEST) & (x != 0)).any():
        wanted = (
            f"0, or between {1 / _LARGEST:g} and {_LARGEST:g} in size, where products neither overflow nor underflow"
        )
        raise CertificateError(f"the {what} hold a number that is not {wanted}")
    return x


def strict_margin(u: Floats, v: Floats, problem: Problem, claimed: float = 0.0) -> Checked:
    """The least margin over the rows of queries u (m, d) and documents v (n, d), proved. Raises `CertificateError` for a row
    that is not strict or has less than the claimed margin."""
    d = v.shape[1]
    unit_roundoff = d * 2.0**-53
    largest = float(np.sqrt((v * v).sum(1)).max()) * (1 + (d + 4) * 2.0**-53)
    relative = unit_roundoff / (1 - unit_roundoff) * (1 + 1e-9)
    least, rational, left = math.inf, 0, _MOST_RATIONAL
    for at, s in _scores(u, v):
        rows = slice(at, at + len(s))
        index = problem.relevant[rows]
        lengths = np.sqrt((u[rows] ** 2).sum(1)) * (1 + (d + 4) * 2.0**-53)
        bound = relative * lengths * largest
        low = np.take_along_axis(s, index, 1).min(1)
        np.put_along_axis(s, index, -np.inf, 1)
        gap = low - s.max(1) - 2 * bound
        scale = 2 * lengths * largest
        with np.errstate(divide="ignore", invalid="ignore"):
            margin = np.where(scale > 0, gap / scale, 0.0) * (1 - 1e-12)
        doubtful = np.flatnonzero(~(gap > 0) | ~(margin >= claimed))
        for r in doubtful:
            rational += 1
            margin[r], spent = _exact_margin(
                u[at + r], v, index[r], s[r], float(bound[r]), largest, at + int(r), claimed, left
            )
            left -= spent
        least = min(least, float(margin.min()))
    return Checked(least if problem.m else None, problem.m, rational)


def _scores(u: Floats, v: Floats) -> Iterator[tuple[int, Floats]]:
    step = max(1, _CHUNK // len(v))
    for at in range(0, len(u), step):
        yield at, u[at : at + step] @ v.T


def _exact_margin(
    u: Floats,
    v: Floats,
    relevant: npt.NDArray[np.int64],
    s: Floats,
    bound: float,
    largest: float,
    row: int,
    claimed: float,
    left: int,
) -> tuple[float, int]:
    """The margin of one row in rational arithmetic, and the products that took, at most `left`; documents whose float64 scores
    leave no doubt are not looked at.
    """
    some = np.flatnonzero(u)  # other coordinates add nothing
    exact_u = [Fraction(x) for x in u[some].tolist()]

    def score(j: int) -> Fraction:
        return sum((a * Fraction(b) for a, b in zip(exact_u, v[j][some].tolist(), strict=True)), Fraction(0))

    inside = [int(p) for p in np.unique(relevant)]
    rivals = np.setdiff1d(np.flatnonzero(~(s < s.max() - 2 * bound)), inside)
    spent = (len(inside) + len(rivals)) * len(some)
    if spent > left:
        raise CertificateError(
            f"row {row} and others need more than {_MOST_RATIONAL:,} products of rationals: too many scores are too close "
            "for float64"
        )
    gap = min(map(score, inside)) - max(score(int(j)) for j in rivals)
    if gap <= 0:
        raise CertificateError(f"row {row} is not strict: the gap of {inside} is {float(gap):.3g}")
    scale = 4 * sum(x * x for x in exact_u) * Fraction(largest) ** 2  # at least (2 |u| max|v|)^2
    if claimed > 0 and gap * gap < Fraction(claimed) ** 2 * scale:
        raise CertificateError(f"row {row} has less than the claimed margin {claimed:.3g}")
    return math.sqrt(gap * gap / scale) * (1 - 1e-12), spent


def _gram(v: Floats, k: int) -> tuple[npt.NDArray[np.int64], int]:
    """Inner products (n, n) of integer vectors, exact, and the largest squared length.

    A query that sums k of them scores at most k top^2 d, and its squared length is at most k^2 top^2 d: both stay below 2^61.
    """
    top = int(min(np.abs(v).max(initial=0), 2.0**31))
    if not (v == np.rint(v)).all() or top * top * v.shape[1] * (k + 1) ** 2 >= 2**61:
        raise CertificateError(
            "queries that are sums of documents need integer coordinates whose squares sum to less than 2^61 over (k + 1)^2; "
            "store the queries"
        )
    whole = v.astype(np.int64)
    gram = whole @ whole.T
    return gram, int(gram.diagonal().max())


def _check_sums(v: Floats, problem: Problem, claimed: float) -> Checked:
    """Queries that are the sums of their documents, for integer vectors: exact."""
    gram, largest = _gram(v, problem.degree)
    least = math.inf
    step = max(1, _CHUNK // problem.n)
    for at in range(0, problem.m, step):
        index = problem.relevant[at : at + step]
        repeated = _repeats(index)
        s = (gram[index] * ~repeated[..., None]).sum(1)  # (c, n)
        squares = (np.take_along_axis(s, index, 1) * ~repeated).sum(1)  # |u|^2
        low = np.take_along_axis(s, index, 1).min(1)
        np.put_along_axis(s, index, np.iinfo(np.int64).min, 1)
        least = min(least, _least(low - s.max(1), squares, largest, at))
    return _claimed(least, problem.m, claimed)


def _claimed(least: float, rows: int, claimed: float) -> Checked:
    if not least >= claimed:  # also where it is no number
        raise CertificateError(f"the least margin is {least:.6g}, the claim {claimed:.6g}")
    return Checked(least if rows else None, rows, rows)


def _repeats(index: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    out = np.zeros(index.shape, bool)
    out[:, 1:] = index[:, 1:] == index[:, :-1]
    return out


def _pairs(gram: npt.NDArray[np.int64], largest: int) -> float:
    """The least margin over all pairs {i, l}: the query scores G_ij + G_lj on document j, so for each i the best rival of the
    pair is max_j (G_ij + G_lj), a row of G added to all others."""
    n, least = len(gram), math.inf
    narrow = np.int32 if int(np.abs(gram).max()) < 2**28 else np.int64
    gram, never = gram.astype(narrow), np.iinfo(narrow).min // 4
    for i in range(n - 1):
        s = gram[i + 1 :] + gram[i]  # (n - i - 1, n)
        row = np.arange(len(s))
        low = np.minimum(s[:, i], s[row, row + i + 1])
        squares = s[:, i].astype(np.int64) + s[row, row + i + 1]
        s[:, i] = never
        s[row, row + i + 1] = never
        least = min(least, _least(low - s.max(1), squares, largest, i))
    return least


def _least(gaps: npt.NDArray[np.int64], squares: npt.NDArray[np.int64], largest: int, where: int) -> float:
    if (gaps <= 0).any():
        raise CertificateError(f"a row at {where} is not strict: its gap is {int(gaps.min())}")
    if (squares <= 0).any():
        raise CertificateError(f"a row at {where} has a query of no length")
    return float((gaps / (2 * np.sqrt(squares.astype(float) * float(largest)))).min() * (1 - 1e-12))
