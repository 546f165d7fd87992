"""What a retriever returns: for each query, documents and scores, best first. The tie rule is stated here, once.

**Ties.** A row holds the `depth` best documents *and every other document whose score equals the last of them*, so that
a measure can tell what breaking ties at random would give. Equal scores stand in document order; that order means
nothing. A document that was not retrieved (score minus infinity) is in no row; in a run file, minus infinity is a score like
another and ranks last, as in trec_eval.
"""

from __future__ import annotations

import itertools
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from limitbench.errors import DataError, InputError, RetrievalError
from limitbench.files import ESCAPED, Lookalikes, atomic_write, escape_id, read_lines, trec_pair, unescape_id

_BLOCK = 32  # columns looked at together by their largest score
_LAST = -float(np.finfo(np.float64).max)  # what stands for a score of minus infinity in a row
_MOST_ENTRIES = 200_000_000  # 3.2 GB of documents and scores; only scores that are nearly all equal come near it


def lots(ids: Sequence[str]) -> npt.NDArray[np.int64]:
    """A number for each id, the same everywhere, by which some of equal documents are taken: their order in a corpus may tell
    which are relevant."""
    return np.array([zlib.crc32(name.encode("utf-8", "replace")) for name in ids], np.int64)


def _kth_best(scores: npt.NDArray[Any], k: int) -> npt.NDArray[Any]:
    """The k-th best score of every row, (m, 1): it lies in the k blocks of columns whose largest scores are the largest."""
    m, n = scores.shape
    blocks = n // _BLOCK
    if blocks > 4 * k:
        body = scores[:, : blocks * _BLOCK].reshape(m, blocks, _BLOCK)
        chosen = np.argpartition(body.max(2), blocks - k, axis=1)[:, blocks - k :]
        inside = np.take_along_axis(body, chosen[..., None], 1).reshape(m, -1)
        scores = np.concatenate([inside, scores[:, blocks * _BLOCK :]], axis=1)
    return np.asarray(np.partition(scores, scores.shape[1] - k, axis=1)[:, scores.shape[1] - k, None])


def best_entries(
    rows: npt.NDArray[np.int64], columns: npt.NDArray[np.int64], scores: npt.NDArray[np.float64], m: int, depth: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """The best `depth` entries of each of m queries with every tie across the cut, best first, ties by document number."""
    order = np.lexsort((columns, -scores, rows))
    rows, columns, scores = rows[order], columns[order], scores[order]
    start = np.searchsorted(rows, np.arange(m))
    at_cut = np.arange(len(rows)) - start[rows] == depth - 1
    last = np.full(m, -np.inf)
    last[rows[at_cut]] = scores[at_cut]
    within = scores >= last[rows]
    return rows[within], columns[within], scores[within]


def require_entries(count: int) -> None:
    """Raise `RetrievalError` where a run would have more entries than fit in memory."""
    if count > _MOST_ENTRIES:
        raise RetrievalError(
            "nearly all scores are equal, so the ties across the cut do not fit in memory; "
            "check the model, or ask for a smaller depth"
        )


@dataclass(frozen=True, eq=False, repr=False)
class Run:
    """The rankings of m queries over one corpus.

    Row q ranks the documents `indices[indptr[q]:indptr[q + 1]]`, numbers into `document_ids`, with falling `scores`.
    """

    query_ids: tuple[str, ...]
    document_ids: tuple[str, ...]
    indptr: npt.NDArray[np.int64]  # (m + 1,)
    indices: npt.NDArray[np.int64]  # (entries,)
    scores: npt.NDArray[np.float64]  # (entries,)

    def __post_init__(self) -> None:
        for name, dtype in (("indptr", np.int64), ("indices", np.int64), ("scores", np.float64)):
            array = np.ascontiguousarray(getattr(self, name), dtype=dtype).view()
            array.flags.writeable = False
            object.__setattr__(self, name, array)
        if len(self.indptr) != len(self.query_ids) + 1 or not len(self.indices) == len(self.scores) == self.indptr[-1]:
            raise InputError(f"found {len(self.indptr) - 1} rows for {len(self.query_ids)} queries; expected one each")

    @classmethod
    def from_entries(
        cls,
        rows: npt.NDArray[np.int64],
        columns: npt.NDArray[np.int64],
        scores: npt.NDArray[Any],
        *,
        query_ids: Sequence[str],
        document_ids: Sequence[str],
        depth: int,
    ) -> Run:
        """The run of the entries (query number, document number, score), in any order, cut at `depth` and its ties."""
        if np.isnan(scores).any():
            raise RetrievalError(f"found {int(np.isnan(scores).sum())} scores that are not numbers; check the model")
        kept = scores > -np.inf
        rows, columns, scores = rows[kept], columns[kept], scores[kept].astype(np.float64)
        rows, columns, scores = best_entries(rows, columns, scores, len(query_ids), depth)
        indptr = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=len(query_ids)))])
        return cls(tuple(query_ids), tuple(document_ids), indptr, columns, scores)

    @classmethod
    def concatenate(cls, stream: Iterable[Run]) -> Run:
        """One run from parts over the same corpus, their queries in turn; refused as soon as it grows out of bounds."""
        parts: list[Run] = []
        entries = 0
        for part in stream:
            parts.append(part)
            entries += len(part.indices)
            require_entries(entries)
        if not parts:
            raise InputError("there is no run to join; expected at least one")
        offsets = np.cumsum([0, *(len(part.indices) for part in parts)])
        return cls(
            sum((part.query_ids for part in parts), ()),
            parts[0].document_ids,
            np.concatenate([[0], *(part.indptr[1:] + offset for part, offset in zip(parts, offsets, strict=False))]),
            np.concatenate([part.indices for part in parts]),
            np.concatenate([part.scores for part in parts]),
        )

    @classmethod
    def from_scores(
        cls, scores: npt.NDArray[Any], *, query_ids: Sequence[str], document_ids: Sequence[str], depth: int
    ) -> Run:
        """The run of a full score matrix (m, n); minus infinity marks what was not retrieved."""
        m, n = scores.shape
        if (m, n) != (len(query_ids), len(document_ids)):
            raise RetrievalError(f"found scores of shape {m} x {n}, expected {len(query_ids)} x {len(document_ids)}")
        if np.isnan(scores).any():
            raise RetrievalError(f"found {int(np.isnan(scores).sum())} scores that are not numbers; check the model")
        if depth < n:
            cut = _kth_best(scores, depth)
            rows, columns = np.nonzero((scores >= cut) & (scores > -np.inf))
        else:
            rows, columns = np.nonzero(scores > -np.inf)
        return cls.from_entries(
            rows, columns, scores[rows, columns], query_ids=query_ids, document_ids=document_ids, depth=depth
        )

    @classmethod
    def from_mapping(
        cls,
        mapping: Mapping[str, Mapping[str, float]],
        *,
        query_ids: Sequence[str] | None = None,
        document_ids: Sequence[str] | None = None,
        depth: int | None = None,
    ) -> Run:
        """The run of {query id: {document id: score}}; without ids given, those that occur, in order of appearance.

        Queries of `query_ids` that the mapping lacks get an empty row; queries that it has beyond them are left out. A score of
        minus infinity ranks last.
        """
        queries = tuple(mapping) if query_ids is None else tuple(query_ids)
        if document_ids is None:
            document_ids = tuple(dict.fromkeys(document for row in mapping.values() for document in row))
        column = {name: number for number, name in enumerate(document_ids)}
        rows, columns, scores = [], [], []
        for number, query in enumerate(queries):
            for document, score in mapping.get(query, {}).items():
                if document not in column:
                    raise InputError(
                        f"the run ranks document '{document}' for query '{query}', which the corpus does not hold; "
                        f"use the run with the corpus that it was made on{Lookalikes.of(column).hint(document)}"
                    )
                rows.append(number)
                columns.append(column[document])
                scores.append(max(score, _LAST))
        return cls.from_entries(
            np.array(rows, np.int64),
            np.array(columns, np.int64),
            np.array(scores, np.float64),
            query_ids=queries,
            document_ids=document_ids,
            depth=depth or max(1, len(document_ids)),
        )

    def __len__(self) -> int:
        return len(self.query_ids)

    def __repr__(self) -> str:
        return f"Run({len(self)} queries over {len(self.document_ids)} documents, {len(self.indices)} entries)"

    @cached_property
    def rows(self) -> npt.NDArray[np.int64]:
        """The query number of every entry, (entries,)."""
        return np.repeat(np.arange(len(self)), np.diff(self.indptr))

    def row(self, number: int) -> list[tuple[str, float]]:
        """The (document id, score) pairs of one query, best first."""
        part = slice(self.indptr[number], self.indptr[number + 1])
        names = [self.document_ids[i] for i in self.indices[part]]
        return list(zip(names, self.scores[part].tolist(), strict=True))

    def best_by_lot(self, k: int, lots: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Where the k best entries of every query are, query by query, the best first; equal ones by their documents' lots (n,)."""
        order = np.lexsort((lots[self.indices], -self.scores, self.rows))
        return np.asarray(order[np.arange(len(order)) - self.indptr[:-1][self.rows[order]] < k])

    def without_own(self, depth: int) -> Run:
        """The run without the document that has a query's own id, cut at `depth` and its ties."""
        column = {name: number for number, name in enumerate(self.document_ids)}
        own = np.array([column.get(name, -1) for name in self.query_ids], np.int64)
        kept = self.indices != own[self.rows]
        return Run.from_entries(
            self.rows[kept], self.indices[kept], self.scores[kept],
            query_ids=self.query_ids, document_ids=self.document_ids, depth=depth,
        )  # fmt: skip

    def mapping(self) -> dict[str, dict[str, float]]:
        """{query id: {document id: score}}, the form that pytrec_eval and ranx take."""
        return {query: dict(self.row(number)) for number, query in enumerate(self.query_ids)}


@dataclass(frozen=True)
class RunFile:
    """What a TREC run file holds: {query id: {document id: score}}, and what in it is odd."""

    scores: dict[str, dict[str, float]]
    infinite: int = 0  # lines with the score minus infinity
    against_ranks: int = 0  # queries whose scores rise somewhere as their ranks rise

    def missing(self, query_ids: Sequence[str]) -> list[str]:
        """The queries that the run does not answer."""
        return [name for name in query_ids if name not in self.scores]

    def remarks(self, query_ids: Sequence[str], document_ids: Sequence[str]) -> list[str]:
        """What to know before its numbers, as sentences: what is missing, foreign or odd, each with its count."""
        asked, known = set(query_ids), set(document_ids)
        missing = self.missing(query_ids)
        foreign = [name for name in self.scores if name not in asked]
        unknown = [d for name in query_ids for d in self.scores.get(name, ()) if d not in known]
        out = []
        if missing:
            out.append(
                f"{len(missing)} of {len(query_ids)} judged queries are not in the run, the first '{missing[0]}'; they count "
                "as failed"
            )
        if foreign:
            hint = Lookalikes.of(missing).hint(foreign[0])
            out.append(
                f"{len(foreign)} queries of the run are not judged, the first '{foreign[0]}'; they are left out{hint}"
            )
        if unknown:
            distinct = dict.fromkeys(unknown)
            hint = Lookalikes.of(document_ids).hint(unknown[0])
            out.append(
                f"{len(unknown)} of the documents ranked ({len(distinct)} ids, the first '{unknown[0]}') are not in the corpus; "
                f"they hold their ranks and count as not relevant{hint}"
            )
        if self.infinite:
            out.append(f"{self.infinite} scores are minus infinity; they rank last, as in trec_eval")
        if self.against_ranks:
            out.append(
                f"the ranks contradict the scores in {self.against_ranks} of {len(self.scores)} queries; scores decide, larger "
                "first, as in trec_eval: distances must be negated"
            )
        return out


def read_run_file(path: Path | str) -> RunFile:
    """A run of 'query Q0 document rank score tag' lines. Scores decide the order; ranks are only compared with them.

    Ids are read as they stand, and decoded only in a line that says that they are escaped. Raises `DataError` with path and line.
    """
    path = Path(path)
    out: dict[str, dict[str, float]] = {}
    ranks: dict[str, list[str]] = {}
    infinite = 0
    for number, line in read_lines(path):
        if not line.strip():
            continue
        fields = line.split()
        if len(fields) != 6:
            raise DataError(
                path,
                f"found {len(fields)} columns, expected TREC's 'query Q0 document rank score tag'; "
                "mend the line, or write ids without spaces",
                line=number,
            )
        query, document = fields[0], fields[2]
        if fields[5].endswith(f"+{ESCAPED}"):
            query, document = unescape_id(query), unescape_id(document)
        try:
            score = float(fields[4])
        except ValueError:
            raise DataError(path, f"found the score '{fields[4]}', expected a number; mend it", line=number) from None
        if score != score:
            raise DataError(path, "found the score NaN, expected a number; mend it", line=number)
        row = out.setdefault(query, {})
        if document in row:
            raise DataError(
                path, f"document '{document}' is ranked twice for query '{query}'; keep one line", line=number
            )
        row[document] = score
        infinite += score == -np.inf
        ranks.setdefault(query, []).append(fields[3])
    against = sum(_contradict(ranks[query], list(row.values())) for query, row in out.items())
    return RunFile(out, infinite, against)


def read_trec_run(path: Path | str) -> dict[str, dict[str, float]]:
    """{query id: {document id: score}} of a run file, as `read_run_file` reads it."""
    return read_run_file(path).scores


def _contradict(ranks: Sequence[str], scores: Sequence[float]) -> bool:
    """Whether a better rank has a lower score. Ranks that are no distinct numbers say nothing."""
    if not all(rank.isascii() and rank.isdigit() for rank in ranks) or len(set(ranks)) < len(ranks):
        return False
    ordered = [score for _, score in sorted(zip(map(int, ranks), scores, strict=True), key=lambda pair: pair[0])]
    return any(after > before for before, after in itertools.pairwise(ordered))


def write_trec_run(run: Run, path: Path | str, *, tag: str = "limitbench", keep_ties: bool = False) -> None:
    """Write a run as TREC lines with real ranks, ids escaped where they must be; the tag of such a line says so.

    trec_eval ignores the ranks, sorts by score (as 32-bit floats) and puts ties in falling order of document id.
    So scores are written strictly falling: a tie becomes the next smaller 32-bit float. `keep_ties` writes them as
    they are.
    """
    # a tag that was given says nothing of escaping: only this function does, and where it is true
    name = (escape_id(tag) or "limitbench").replace(f"+{ESCAPED}", f"-{ESCAPED}")
    names = {False: name, True: f"{name}+{ESCAPED}"}
    with atomic_write(Path(path)) as out:
        for number, query in enumerate(run.query_ids):
            before = np.float32(np.inf)
            for rank, (document, exact) in enumerate(run.row(number), 1):
                score: float = -np.inf if exact == _LAST else exact
                if not keep_ties:
                    below = np.nextafter(before, np.float32(-np.inf))
                    before = below if exact == _LAST else min(np.float32(exact), below)
                    score = float(before)
                asked, found, escaped = trec_pair(query, document)
                out.write(f"{asked} Q0 {found} {rank} {score!r} {names[escaped]}\n".encode())


def overlap(a: Sequence[str], b: Sequence[str], persistence: float = 0.9) -> float:
    """Rank-biased overlap of two rankings, extrapolated from the depth of the longer one; two empty ones agree.

    Where the shorter list ends, it agrees with nothing. With a persistence of 0.9 the first ten documents have 86 % of the weight.
    Source: Webber, Moffat and Zobel, TOIS 2010.
    """
    depth = max(len(a), len(b))
    if depth == 0:
        return 1.0
    seen_a: set[str] = set()
    seen_b: set[str] = set()
    total = 0.0
    for rank in range(1, depth + 1):
        seen_a.update(a[rank - 1 : rank])
        seen_b.update(b[rank - 1 : rank])
        total += persistence**rank * len(seen_a & seen_b) / rank
    return total * (1 - persistence) / persistence + persistence**depth * len(seen_a & seen_b) / depth
