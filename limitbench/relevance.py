"""The relevance matrix: which documents each query asks for. Everything else in limitbench starts from it.

`Qrels` knows nothing of names or texts, only of row and column numbers, so theory, capacity and evaluation
share it. Names enter through `Judgements`, the field's common currency: {query id: {document id: grade}}.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from limitbench.certificates import Explicit
from limitbench.errors import DataError, InputError
from limitbench.files import (
    ESCAPED,
    atomic_write,
    is_text,
    parse_object,
    read_lines,
    read_parquet,
    trec_pair,
    tsv_fields,
    unescape_id,
)

if TYPE_CHECKING:
    from scipy import sparse  # slow to import, and what closed forms answer needs none of it

Judgements: TypeAlias = dict[str, dict[str, int]]
IntArray: TypeAlias = npt.NDArray[np.int64]


def _readonly(array: npt.ArrayLike, dtype: Any) -> Any:
    out = np.array(array, dtype=dtype, order="C", copy=True)
    out.flags.writeable = False
    return out


@dataclass(frozen=True, eq=False, repr=False)
class Qrels:
    """A relevance matrix of m queries by n documents, by rows.

    Row q judges the documents `indices[indptr[q]:indptr[q + 1]]`, ascending, with `grades` beside them; a grade above 0
    means relevant. Documents that are not listed are unjudged, which evaluation treats as not relevant. Arrays are
    read-only and equality is by content. Raises `InputError` where the arrays do not describe such a matrix.
    """

    indptr: IntArray  # (m + 1,)
    indices: IntArray  # (judgements,)
    grades: IntArray  # (judgements,)
    n_documents: int

    def __post_init__(self) -> None:
        for name in ("indptr", "indices", "grades"):
            object.__setattr__(self, name, _readonly(getattr(self, name), np.int64))
        indptr, indices = self.indptr, self.indices
        if self.n_documents < 0:
            raise InputError(f"found {self.n_documents} documents, expected at least 0")
        if indptr.ndim != 1 or len(indptr) < 1 or indptr[0] != 0 or (np.diff(indptr) < 0).any():
            raise InputError("indptr must start at 0 and never fall; expected the row pointers of a CSR matrix")
        if indptr[-1] != len(indices) or len(indices) != len(self.grades):
            raise InputError(f"found {len(indices)} indices and {len(self.grades)} grades for {indptr[-1]} judgements")
        if len(indices) and (indices.min() < 0 or indices.max() >= self.n_documents):
            raise InputError(
                f"found document number {indices.min() if indices.min() < 0 else indices.max()}, "
                f"expected 0 to {self.n_documents - 1}"
            )
        falls = np.diff(indices) <= 0
        falls[indptr[1:-1][(indptr[1:-1] > 0) & (indptr[1:-1] < len(indices))] - 1] = False
        if falls.any():
            raise InputError("the documents of a query must be distinct and ascending; sort them and drop repetitions")

    @classmethod
    def from_sets(cls, sets: Iterable[Iterable[int]], n_documents: int) -> Qrels:
        """The binary matrix whose row q is relevant to the document numbers in the q-th set."""
        rows = [np.unique(np.array(list(row) or np.empty(0, np.int64))) for row in sets]
        if any(row.dtype.kind not in "iu" for row in rows):
            raise InputError("found a document that is not a whole number; expected sets of document numbers")
        indices = np.concatenate(rows) if rows else np.empty(0, np.int64)
        indptr = np.cumsum([0, *map(len, rows)])
        return cls(indptr, indices, np.ones(len(indices), np.int64), n_documents)

    @classmethod
    def from_matrix(cls, matrix: npt.ArrayLike | sparse.sparray | sparse.spmatrix) -> Qrels:
        """The matrix (m, n) of grades, dense or scipy sparse; 0 means unjudged."""
        from scipy import sparse

        csr: Any = sparse.csr_array(matrix)  # type: ignore[arg-type]  # the stubs know no ArrayLike here
        csr.sum_duplicates()
        csr.eliminate_zeros()
        csr.sort_indices()
        if len(csr.data) and (csr.data != np.floor(csr.data)).any():
            raise InputError(
                "found a grade that is not a whole number; choose a threshold and pass matrix >= threshold"
            )
        return cls(csr.indptr, csr.indices, csr.data, int(csr.shape[1]))

    @classmethod
    def from_judgements(
        cls, judgements: Mapping[str, Mapping[str, int]], query_ids: Sequence[str], document_ids: Sequence[str]
    ) -> Qrels:
        """The matrix with one row a query id and one column a document id, in the order given."""
        column = {name: number for number, name in enumerate(document_ids)}
        indices: list[int] = []
        grades: list[int] = []
        indptr = [0]
        for query in query_ids:
            for document, grade in judgements.get(query, {}).items():
                if document not in column:
                    raise InputError(
                        f"qrels name the document '{document}' for query '{query}', which the corpus does not hold; "
                        "add it to the corpus or drop the judgement"
                    )
                indices.append(column[document])
                grades.append(grade)
            order = np.argsort(indices[indptr[-1] :], kind="stable")
            indices[indptr[-1] :] = np.array(indices[indptr[-1] :], np.int64)[order].tolist()
            grades[indptr[-1] :] = np.array(grades[indptr[-1] :], np.int64)[order].tolist()
            indptr.append(len(indices))
        return cls(np.array(indptr), np.array(indices, np.int64), np.array(grades, np.int64), len(document_ids))

    @property
    def n_queries(self) -> int:
        """m, the number of rows."""
        return len(self.indptr) - 1

    @property
    def shape(self) -> tuple[int, int]:
        """(m queries, n documents)."""
        return self.n_queries, self.n_documents

    def __len__(self) -> int:
        return self.n_queries

    @cached_property
    def rows(self) -> IntArray:
        """The query number of every judgement, (judgements,)."""
        return _readonly(np.repeat(np.arange(self.n_queries), np.diff(self.indptr)), np.int64)  # type: ignore[no-any-return]

    @cached_property
    def relevant(self) -> Qrels:
        """The binary matrix of what is relevant: grades above 0 become 1, the rest is dropped."""
        if (self.grades == 1).all():
            return self
        keep = self.grades > 0
        counts = np.bincount(self.rows[keep], minlength=self.n_queries)
        indptr = np.concatenate([[0], np.cumsum(counts)])
        return Qrels(indptr, self.indices[keep], np.ones(int(keep.sum()), np.int64), self.n_documents)

    @cached_property
    def sizes(self) -> IntArray:
        """The number of relevant documents of each query, (m,)."""
        return _readonly(np.bincount(self.rows[self.grades > 0], minlength=self.n_queries), np.int64)  # type: ignore[no-any-return]

    @property
    def is_graded(self) -> bool:
        """True where a grade other than 1 occurs."""
        return bool((self.grades != 1).any())

    def degree(self) -> int:
        """K, the largest number of relevant documents of any query; 0 without queries."""
        return int(self.sizes.max(initial=0))

    def at_least(self, grade: int) -> Qrels:
        """The binary matrix in which grades from this one on are relevant."""
        keep = self.grades >= grade
        indptr = np.concatenate([[0], np.cumsum(keep)])[self.indptr]
        return Qrels(indptr, self.indices[keep], np.ones(int(keep.sum()), np.int64), self.n_documents)

    def sets(self) -> Iterator[tuple[int, ...]]:
        """The relevant document numbers of each query, ascending."""
        relevant = self.relevant
        for start, stop in zip(relevant.indptr[:-1], relevant.indptr[1:], strict=True):
            yield tuple(relevant.indices[start:stop].tolist())

    def csr(self) -> sparse.csr_array:
        """The binary relevance matrix (m, n) as a scipy sparse array of int64."""
        relevant = self.relevant
        from scipy import sparse

        return sparse.csr_array((relevant.grades, relevant.indices, relevant.indptr), shape=self.shape)

    def dense(self) -> npt.NDArray[np.int8]:
        """The binary relevance matrix A, (m, n), entries 0 and 1."""
        out = np.zeros(self.shape, np.int8)
        out[self.relevant.rows, self.relevant.indices] = 1
        return out

    def signs(self) -> npt.NDArray[np.int8]:
        """The sign matrix 2A - 1, (m, n), entries -1 and +1."""
        return (2 * self.dense() - 1).astype(np.int8)

    @cached_property
    def digest(self) -> str:
        """sha256 of shape and judgements, in hex: equal matrices have equal digests on every platform."""
        state = hashlib.sha256(f"limitbench.qrels.v1 {self.n_queries} {self.n_documents}\n".encode())
        for array in (self.indptr, self.indices, self.grades):
            state.update(array.astype("<i8").tobytes())
        return state.hexdigest()

    def explicit(self) -> Explicit:
        """The relevant documents of every row as sets, with the digest of what is relevant: what certificates are checked on."""
        return Explicit(tuple(map(frozenset, self.sets())), self.n_documents, self.relevant.digest)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Qrels) and self.digest == other.digest

    def __hash__(self) -> int:
        return hash(self.digest)

    def __repr__(self) -> str:
        return f"Qrels({self.n_queries} queries x {self.n_documents} documents, {int(self.sizes.sum())} relevant)"


# ---------------------------------------------------------------------------------------------------------- files


def read_qrels_alone(path: Path) -> tuple[Qrels, list[str], list[str]]:
    """(the matrix, query ids, document ids) of a qrels file without a corpus: the judged documents are the corpus.

    Raises `DataError` for a file that does not parse or has no judgement.
    """
    judgements = read_qrels(path)
    if not judgements:
        raise DataError(path, "there is no judgement; expected at least one")
    documents = list(dict.fromkeys(document for row in judgements.values() for document in row))
    return Qrels.from_judgements(judgements, list(judgements), documents), list(judgements), documents


Layout: TypeAlias = Literal["beir", "jsonl", "trec"]


def iter_judgements(
    path: Path, *, broken: Callable[[DataError], None] | None = None, layout: Layout | None = None
) -> Iterator[tuple[int, str, str, int]]:
    """(line, query id, document id, grade) from a qrels file: BEIR tsv with header, jsonl, or TREC; gz too.

    The layout is told by the suffix and the first line, unless it is given. Ids are read as they stand; TREC's are decoded only
    in a line that says that they are escaped. Repeated pairs come as often as they stand. A line that cannot
    be read raises `DataError`, or is handed to `broken` and passed over.
    """
    name = path.name.removesuffix(".gz")
    if name.endswith(".parquet"):
        for number, row in read_parquet(path):
            yield number, *_judgement(path, number, row)
        return
    json_suffix = layout is None and name.endswith((".jsonl", ".json", ".ndjson"))
    parse = _parse_json if json_suffix or layout == "jsonl" else _parse_trec if layout == "trec" else None
    for number, line in read_lines(path):
        if not line.strip():
            continue
        if parse is None:
            header = line.split("\t")[0].strip().strip('"').lower() in _HEADS and line.count("\t") >= 2
            parse = _parse_beir if header or layout == "beir" else _parse_trec
            if header:
                continue
        try:
            yield number, *parse(path, number, line)
        except DataError as error:
            if broken is None:
                raise
            broken(error)


_HEADS = {"query-id", "query_id", "qid"}


def _parse_beir(path: Path, number: int, line: str) -> tuple[str, str, int]:
    fields = tsv_fields(path, number, line)
    if len(fields) != 3:
        wanted = "query-id, corpus-id and score with tabs between"
        raise DataError(path, f"found {len(fields)} columns, expected {wanted}; mend the line", line=number)
    query, document = (_identifier(path, number, field) for field in fields[:2])
    return query, document, _grade(path, number, fields[2])


def _parse_trec(path: Path, number: int, line: str) -> tuple[str, str, int]:
    parts = line.split()
    if len(parts) != 4:
        raise DataError(
            path,
            f"found {len(parts)} columns, expected TREC's 'query iter document grade', or a first line "
            "'query-id<TAB>corpus-id<TAB>score'; mend the line, or write ids without spaces",
            line=number,
        )
    query, document = (unescape_id(part) if parts[1] == ESCAPED else part for part in (parts[0], parts[2]))
    return query, document, _grade(path, number, parts[3])


def _parse_json(path: Path, number: int, line: str) -> tuple[str, str, int]:
    return _judgement(path, number, parse_object(path, number, line))


def _judgement(path: Path, number: int, row: Mapping[str, Any]) -> tuple[str, str, int]:
    query, document = row.get("query-id", row.get("query_id")), row.get("corpus-id", row.get("corpus_id"))
    if query is None or document is None:
        wanted = '{"query-id", "corpus-id", "score"}'
        raise DataError(path, f"found keys {sorted(row)}, expected {wanted}; mend the line", line=number)
    return (
        _identifier(path, number, query), _identifier(path, number, document), _grade(path, number, row.get("score", 1)),
    )  # fmt: skip


def _identifier(path: Path, line: int, value: Any) -> str:
    text = str(value)
    if not text or not is_text(text):
        raise DataError(path, f"found the id {ascii(text)[:60]}, expected Unicode text that is not empty", line=line)
    return text


def _grade(path: Path, line: int, value: Any) -> int:
    try:
        grade = float(value)
        if grade != int(grade) or abs(grade) > 2**31:
            raise ValueError
    except (TypeError, ValueError, OverflowError):
        raise DataError(path, f"found the grade {value!r}, expected a whole number; mend it", line=line) from None
    return int(grade)


def read_qrels(paths: Path | str | Sequence[Path]) -> Judgements:
    """The judgements of a qrels file, or of its shards, in any layout that `iter_judgements` reads.

    Raises `DataError` where a pair is judged twice with different grades.
    """
    out: Judgements = {}
    for path in [Path(paths)] if isinstance(paths, str | Path) else paths:
        for line, query, document, grade in iter_judgements(path):
            row = out.setdefault(query, {})
            if row.setdefault(document, grade) != grade:
                raise DataError(
                    path,
                    f"query '{query}' and document '{document}' are judged {row[document]} and {grade}; keep one of them",
                    line=line,
                )
    return out


def graded_note(qrels: Qrels) -> str | None:
    """What is assumed of grades other than 0 and 1, in a sentence; None where there are none."""
    other = qrels.grades[(qrels.grades != 0) & (qrels.grades != 1)]
    if not len(other):
        return None
    low, high = int(qrels.grades.min()), int(qrels.grades.max())
    negative = "; those below 0 are judged and not relevant" if low < 0 else ""
    return f"grades from {low} to {high}: those above 0 count as relevant{negative}; --min-grade N asks for more"


def write_trec_qrels(judgements: Mapping[str, Mapping[str, int]], path: Path | str, *, gz: bool = False) -> None:
    """Write 'query 0 document grade' lines, ids escaped where they must be, so that `read_qrels` gives the same ids back."""
    with atomic_write(Path(path), gz=gz) as out:
        for query, row in judgements.items():
            for document, grade in row.items():
                out.write(trec_qrels_line(query, document, grade))


def trec_qrels_line(query: str, document: str, grade: int) -> bytes:
    """One line of TREC's qrels; it says where its ids are escaped."""
    query, document, escaped = trec_pair(query, document)
    return f"{query} {ESCAPED if escaped else 0} {document} {grade}\n".encode()
