"""Measures as values: `nDCG @ 10` is its identity and its title, and turns (Run, Qrels) into one number per query.

**Ties are honest.** Equal scores have no order, so a measure is by default its *expected* value over breaking ties
uniformly at random, in closed form for every measure here (McSherry and Najork, ECIR 2008, for the rank-based ones).
`ties="worst"` and `"best"` give the range, and `ties="trec"` trec_eval's order: scores as 32-bit floats, then document
ids falling.

Within a row, a *tie group* starts after A better documents, holds g documents, r of them relevant, and has a relevant
documents before it. Positions p count from 1, and R is the number of relevant documents of the query.
A query without relevant documents scores 0, as in trec_eval. Grades count in nDCG alone; elsewhere above 0 is relevant.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from limitbench.errors import InputError, SpecError, UnknownName
from limitbench.rankings import Run
from limitbench.relevance import Qrels

Ties: TypeAlias = Literal["expected", "worst", "best", "trec"]
Floats: TypeAlias = npt.NDArray[np.float64]


@dataclass(frozen=True, order=True)
class Measure:
    """One measure at one cutoff k; call it on a run and its qrels.

    >>> Recall @ 10
    Recall@10
    """

    name: str
    cutoff: int

    def __call__(self, run: Run, qrels: Qrels, ties: Ties = "expected") -> Floats:
        """One number in [0, 1] per query, (m,), under the given tie rule."""
        return self.on(TiedRanking.of(run, qrels, ties))

    def on(self, ranking: TiedRanking) -> Floats:
        """The same on a ranking already joined with its qrels; several measures can share one."""
        values = _FORMULAS[self.name](ranking, self.cutoff)
        return np.where(ranking.n_relevant > 0, values, 0.0)

    def __repr__(self) -> str:
        return f"{self.name}@{self.cutoff}"


@dataclass(frozen=True)
class Family:
    """A measure without its cutoff: `Recall @ 10` is a `Measure`."""

    name: str

    def __matmul__(self, cutoff: int) -> Measure:
        if cutoff < 1:
            raise SpecError(f"measure '{self.name}@{cutoff}': the cutoff must be at least 1")
        return Measure(self.name, cutoff)


def parse_measures(text: str) -> tuple[Measure, ...]:
    """The measures of a comma-separated list; a bare number repeats the name before it, each measure counts once.

    >>> parse_measures("Recall@2,10, nDCG@10")
    (Recall@2, Recall@10, nDCG@10)
    """
    known = {name.lower(): name for name in _FORMULAS}
    out: dict[Measure, None] = {}
    name = ""
    for part in filter(None, (piece.strip() for piece in text.split(","))):
        match = re.fullmatch(r"(?:([A-Za-z]+)@)?([0-9]{1,9})", part)
        if match is None or not (match[1] or name):
            raise SpecError(f"found the measure '{part}', expected NAME@CUTOFF such as Recall@10")
        if match[1]:
            if match[1].lower() not in known:
                raise UnknownName("measure", match[1], _FORMULAS)
            name = known[match[1].lower()]
        out[Family(name) @ int(match[2])] = None
    if not out:
        raise SpecError("found no measure, expected a list such as Recall@2,10,nDCG@10")
    return tuple(out)


def as_measures(given: str | Measure | Iterable[Measure | str]) -> tuple[Measure, ...]:
    """The measures of a list in text, or of measures and texts in any mixture; each counts once. Raises `InputError`."""
    if isinstance(given, str):
        return parse_measures(given)
    parts: list[Any] = [given] if isinstance(given, Measure) or not isinstance(given, Iterable) else list(given)
    out: dict[Measure, None] = {}
    for part in parts:
        if isinstance(part, str):
            out.update(dict.fromkeys(parse_measures(part)))
        elif isinstance(part, Measure) and part.name in _FORMULAS and type(part.cutoff) is int and part.cutoff > 0:
            out[part] = None
        else:
            raise InputError(f"found the measure {part!r:.40}, expected one such as Recall @ 10 or 'Recall@10'")
    if not out:
        raise InputError("found no measure, expected at least one, such as Recall@10")
    return tuple(out)


def one_measure(given: str | Measure) -> Measure:
    """The measure that is named. Raises `SpecError` for several."""
    found = as_measures(given)
    if len(found) != 1:
        raise SpecError(f"found {len(found)} measures, {', '.join(map(repr, found))}; expected one, such as nDCG@10")
    return found[0]


def joined(
    scores: Mapping[str, Mapping[str, float]], query_ids: Sequence[str], document_ids: Sequence[str], qrels: Qrels
) -> tuple[Run, Qrels]:
    """A run of these queries, and the qrels over the same documents: those of the corpus, then those that the run alone names."""
    known = set(document_ids)
    foreign = dict.fromkeys(d for query in query_ids for d in scores.get(query, ()) if d not in known)
    documents = (*document_ids, *foreign)
    run = Run.from_mapping(scores, query_ids=query_ids, document_ids=documents)
    return run, Qrels(qrels.indptr, qrels.indices, qrels.grades, len(documents)) if foreign else qrels


def run_remarks(run: Run, qrels: Qrels, depth: int, *, missing: int = 0) -> list[str]:
    """What to know of a run before its numbers, as sentences: queries that got no document, and queries that got fewer than
    `depth` and lack a relevant one. `missing` of the first kind are told of elsewhere.
    """
    counts, wanted = np.diff(run.indptr), min(depth, len(run.document_ids))
    found = np.bincount(run.rows[_grades(run, qrels) > 0], minlength=len(run))
    empty = int((counts == 0).sum()) - missing
    short = counts[(counts > 0) & (counts < wanted) & (found < qrels.sizes)]
    out = []
    if empty > 0:
        out.append(f"{empty} of {len(run)} queries got no document and count as failed")
    if len(short):
        out.append(
            f"{len(short)} of {len(run)} queries got fewer than {wanted} documents (the fewest: {short.min()}) and lack a "
            "relevant one"
        )
    return out


@dataclass(frozen=True)
class TiedRanking:
    """A run joined with its qrels: every entry knows its tie group. Entries stand by query, then by rank."""

    row: npt.NDArray[np.int64]  # (entries,) query number
    position: npt.NDArray[np.int64]  # (entries,) p, from 1
    above: npt.NDArray[np.int64]  # (entries,) A of its group
    size: npt.NDArray[np.int64]  # (entries,) g
    hits: npt.NDArray[np.int64]  # (entries,) r
    before: npt.NDArray[np.int64]  # (entries,) a
    gain: Floats  # (entries,) mean grade of its group
    length: npt.NDArray[np.int64]  # (m,) documents in the row
    n_relevant: npt.NDArray[np.int64]  # (m,) R
    ideal: Qrels  # for nDCG's denominator

    @classmethod
    def of(cls, run: Run, qrels: Qrels, ties: Ties = "expected") -> TiedRanking:
        """Join run and qrels, row by row; rows and document numbers must be those of one dataset."""
        if (len(run), len(run.document_ids)) != qrels.shape:
            raise InputError(
                f"found a run of {len(run)} queries over {len(run.document_ids)} documents and qrels of "
                f"{qrels.n_queries} x {qrels.n_documents}; expected both from one dataset"
            )
        grade = _grades(run, qrels)
        row, scores = run.rows, run.scores
        if ties == "trec":
            with np.errstate(over="ignore"):  # beyond 32 bits: infinite, as in trec_eval
                scores = scores.astype(np.float32).astype(np.float64)
            name_rank = np.empty(len(run.document_ids), np.int64)
            name_rank[sorted(range(len(run.document_ids)), key=run.document_ids.__getitem__)] = np.arange(
                len(run.document_ids)
            )
            order = np.lexsort((-name_rank[run.indices], -scores, row))
        elif ties in ("worst", "best"):
            order = np.lexsort((grade if ties == "worst" else -grade, -scores, row))
        elif ties == "expected":
            order = np.arange(len(row))
        else:
            raise UnknownName("tie rule", ties, ("expected", "worst", "best", "trec"))
        grade, scores = grade[order], scores[order]

        new = np.ones(len(row), bool)  # True where a tie group starts
        if ties == "expected":
            new[1:] = (row[1:] != row[:-1]) | (scores[1:] != scores[:-1])
        group = np.cumsum(new) - 1
        starts = np.flatnonzero(new)
        length = np.diff(run.indptr)
        position = np.arange(len(row)) - run.indptr[row] + 1
        relevant = grade > 0
        size = np.bincount(group, minlength=len(starts))
        hits = np.bincount(group, weights=relevant, minlength=len(starts)).astype(np.int64)
        gain = np.bincount(group, weights=grade, minlength=len(starts)) / np.maximum(size, 1)
        running = np.concatenate([[0], np.cumsum(relevant)])  # relevant entries before each entry, over all rows
        before = (running[starts] - running[run.indptr[row[starts]]]) if len(starts) else np.empty(0, np.int64)
        return cls(
            row=row,
            position=position,
            above=(position[starts] - 1)[group],
            size=size[group],
            hits=hits[group],
            before=before[group],
            gain=gain[group],
            length=length,
            n_relevant=qrels.sizes,
            ideal=qrels,
        )

    def total(self, values: Floats) -> Floats:
        """The sum of one value per entry over each row, (m,)."""
        return np.bincount(self.row, weights=values, minlength=len(self.length)).astype(np.float64)

    def first(self, chosen: npt.NDArray[np.bool_]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """(rows, entries): the first chosen entry of each row that has one."""
        entries = np.flatnonzero(chosen)
        rows, where = np.unique(self.row[entries], return_index=True)
        return rows, entries[where]


def _grades(run: Run, qrels: Qrels) -> npt.NDArray[np.int64]:
    """The grade of every entry of the run, 0 where unjudged; negative grades count as 0. (entries,)."""
    keys = qrels.rows * qrels.n_documents + qrels.indices  # ascending: rows ascend, and indices within a row
    wanted = run.rows * qrels.n_documents + run.indices
    if not len(keys):
        return np.zeros(len(wanted), np.int64)
    at = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    return np.where(keys[at] == wanted, np.maximum(qrels.grades[at], 0), 0)


def _all_drawn_from(x: npt.NDArray[np.int64], g: npt.NDArray[np.int64], s: npt.NDArray[np.int64]) -> Floats:
    """The probability C(x, s) / C(g, s) that s draws without replacement from g things all hit one x of them."""
    out = np.ones(len(x))
    for i in range(int(s.max(initial=0))):
        drawing = i < s
        out[drawing] *= np.maximum(x[drawing] - i, 0) / (g[drawing] - i)
    return out


def _expected_hits(t: TiedRanking, k: int) -> Floats:
    """The expected number of relevant documents in the top k: the sum of r/g over its positions. (m,)."""
    return t.total(np.where(t.position <= k, t.hits / np.maximum(t.size, 1), 0.0))


def _recall(t: TiedRanking, k: int) -> Floats:
    return _expected_hits(t, k) / np.maximum(t.n_relevant, 1)


def _precision(t: TiedRanking, k: int) -> Floats:
    return _expected_hits(t, k) / k


def _success(t: TiedRanking, k: int) -> Floats:
    """P(a relevant document is in the top k): the first group with one decides."""
    out = np.zeros(len(t.length))
    rows, at = t.first((t.hits > 0) & (t.above < k))
    slots = np.minimum(k - t.above[at], t.size[at])
    out[rows] = 1.0 - _all_drawn_from(t.size[at] - t.hits[at], t.size[at], slots)
    return out


def _exact_set(t: TiedRanking, k: int) -> Floats:
    """P(the top k documents, or all where fewer were retrieved, are exactly the relevant set)."""
    out = np.zeros(len(t.length))
    depth = np.minimum(k, t.length)
    rows, at = t.first(t.position == depth[t.row])
    possible = (depth[rows] == t.n_relevant[rows]) & (t.before[at] == t.above[at])
    rows, at = rows[possible], at[possible]
    out[rows] = _all_drawn_from(t.hits[at], t.size[at], depth[rows] - t.above[at])
    return out


def _mrr(t: TiedRanking, k: int) -> Floats:
    """The expected reciprocal rank of the first relevant document; 0 beyond k."""
    out = np.zeros(len(t.length))
    rows, at = t.first((t.hits > 0) & (t.above < k))
    above, g, r = t.above[at], t.size[at], t.hits[at]
    none_yet = np.ones(len(rows))  # P(no relevant document among the group's first j - 1)
    for j in range(1, int(np.minimum(g - r + 1, k - above).max(initial=0)) + 1):
        live = (j <= g - r + 1) & (j <= k - above)
        here = r[live] / (g[live] - j + 1)
        out[rows[live]] += none_yet[live] * here / (above[live] + j)
        none_yet[live] *= 1.0 - here
    return out


def _map(t: TiedRanking, k: int) -> Floats:
    """Expected average precision, cut at k and divided by R, as trec_eval's map_cut."""
    j = t.position - t.above  # place within the group
    earlier = (j - 1) * (t.hits - 1) / np.maximum(t.size - 1, 1)  # expected hits before j, given a hit at j
    precision = (t.before + 1 + earlier) / np.maximum(t.position, 1)
    values = np.where((t.position <= k) & (t.hits > 0), t.hits / np.maximum(t.size, 1) * precision, 0.0)
    return t.total(values) / np.maximum(t.n_relevant, 1)


def _ndcg(t: TiedRanking, k: int) -> Floats:
    """Discounted gain sum grade / log2(p + 1) over the top k, relative to the best possible order."""
    dcg = t.total(np.where(t.position <= k, t.gain / np.log2(t.position + 1.0), 0.0))
    qrels = t.ideal
    order = np.lexsort((-qrels.grades, qrels.rows))
    grades = np.maximum(qrels.grades[order], 0)
    place = np.arange(len(grades)) - qrels.indptr[qrels.rows] + 1
    best = np.where(place <= k, grades / np.log2(place + 1.0), 0.0)
    ideal = np.bincount(qrels.rows, weights=best, minlength=len(t.length))
    return dcg / np.where(ideal > 0, ideal, 1.0)


_FORMULAS: dict[str, Callable[[TiedRanking, int], Floats]] = {
    "Recall": _recall,
    "Precision": _precision,
    "nDCG": _ndcg,
    "MRR": _mrr,
    "MAP": _map,
    "Success": _success,
    "ExactSet": _exact_set,
}
FAMILIES = tuple(_FORMULAS)
Recall, Precision, nDCG, MRR, MAP, Success, ExactSet = map(Family, FAMILIES)  # noqa: N816  # nDCG is its name
DEFAULT_MEASURES = parse_measures("Recall@1,2,5,10,20,100,nDCG@10,MRR@10,MAP@100,ExactSet@2")


@dataclass(frozen=True)
class Score:
    """One measure over all queries: expected, worst and best values per query (m,), and their means."""

    measure: Measure
    expected: Floats
    worst: Floats
    best: Floats

    @property
    def mean(self) -> float:
        """The mean over all queries of the expected value."""
        return float(self.expected.mean()) if len(self.expected) else 0.0

    def means(self) -> dict[str, float]:
        """{"mean", "worst", "best"}: means over all queries, fractions in [0, 1]."""
        bounds = {
            side: float(values.mean()) if len(values) else 0.0
            for side, values in (("worst", self.worst), ("best", self.best))
        }
        return {"mean": self.mean, **bounds}


def score(run: Run, qrels: Qrels, measures: Iterable[Measure] = DEFAULT_MEASURES) -> dict[str, Score]:
    """Each measure's score, keyed by its title, in the order given."""
    expected, worst, best = (TiedRanking.of(run, qrels, ties) for ties in ("expected", "worst", "best"))
    return {repr(m): Score(m, m.on(expected), m.on(worst), m.on(best)) for m in measures}
