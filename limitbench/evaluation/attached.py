"""How much of exact search a collection finds that a user already has: sampled, read only, with an interval.

Searches are the user's own, through the index in place. Beside each goes an exact search of the same vectors. Nothing is judged:
what counts is what the index loses.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from limitbench.errors import InputError
from limitbench.evaluation.single import naming
from limitbench.progress import Progress, no_progress
from limitbench.retrievers.engines import collection_class
from limitbench.retrievers.engines.agreement import SLACK
from limitbench.retrievers.engines.collection import Address, Collection, Ranked
from limitbench.retrievers.engines.contract import Proof
from limitbench.statistics import Interval, bounded_interval


@dataclass(frozen=True)
class Attached:
    """What was found of one collection. Shares are of exact search's best `depth`; seconds are of one search, by our clock.

    `agreement` counts documents found, ties with the last of the best among them; `agreement_by_score` allows `SLACK` besides.
    """

    engine: str
    collection: str
    rows: int
    dim: int
    depth: int
    queries: int
    unanswered: int  # queries left out: exact search gives nothing for them
    of: str  # where the queries come from
    agreement: Interval
    agreement_by_score: Interval
    short: int  # queries that got fewer documents than exact search
    seconds: Mapping[str, float]
    exact_seconds: Mapping[str, float]
    index: Proof
    settings: Mapping[str, Any]
    lost: tuple[tuple[str, float], ...]  # queries and their agreement, the worst first


def attached(
    engine: str,
    address: Address,
    *,
    queries: npt.NDArray[np.float32] | None = None,
    sample: int = 200,
    depth: int = 10,
    seed: int = 0,
    confidence: float = 0.95,
    progress: Progress = no_progress,
) -> Attached:
    """Search a user's collection by its index and exactly, for `queries` (m, d) or for vectors that are sampled from it.

    A sampled vector's own document is left out of both answers. Raises `UnknownName`, `MissingExtra`, `InputError` for a collection
    that is not there or queries of other dimensions, `RetrievalError` where the server stops.
    """
    if depth < 1 or sample < 1:
        raise InputError(f"found depth {depth} and sample {sample}, expected both to be 1 or more")
    remedy = "is it another service, or a version that limitbench does not know?"
    with naming(f"engine '{engine}'", remedy), collection_class(engine)(address) as found:
        names, asked = _asked(found, queries, sample, seed)
        own = queries is None
        proof = found.proof(asked[0], depth)
        rows: list[tuple[float, float, bool]] = []
        kept: list[str] = []  # queries that have an answer: a filter may leave none, and a zero vector has no cosine
        seconds: tuple[list[float], list[float]] = ([], [])
        for number, (name, query) in enumerate(zip(names, asked, strict=True), 1):
            both = []
            for side, search in enumerate((found.search, found.exact)):
                start = time.perf_counter()
                ranked = search(query, depth + own)
                seconds[side].append(time.perf_counter() - start)
                both.append(_without(ranked, name if own else None, depth))
            if both[1][0]:
                rows.append(_compared(*both))
                kept.append(name)
            progress("search", number, len(asked))
        if not rows:
            raise InputError("no query has an answer by exact search; look at the condition and at the vectors")
        overlap, by_score, short = (list(column) for column in zip(*rows, strict=True))
        worst = sorted(zip(kept, overlap, strict=True), key=lambda pair: pair[1])
        return Attached(
            engine=engine, collection=address.collection, rows=found.rows, dim=found.dim, depth=depth, queries=len(rows),
            unanswered=len(asked) - len(rows),
            of=f"vectors sampled from the collection, seed {seed}" if own else "vectors given",
            agreement=bounded_interval(overlap, confidence=confidence),
            agreement_by_score=bounded_interval(by_score, confidence=confidence),
            short=sum(short), seconds=_percentiles(seconds[0]), exact_seconds=_percentiles(seconds[1]), index=proof,
            settings=dict(found.effective()), lost=tuple(pair for pair in worst[:10] if pair[1] < 1),
        )  # fmt: skip


def _asked(
    found: Collection, queries: npt.NDArray[np.float32] | None, sample: int, seed: int
) -> tuple[Sequence[str], Sequence[Any]]:
    if queries is None:
        names, asked = found.sample(sample, seed)
        if len(names) < 2:
            raise InputError(f"the collection has {len(names)} documents with a vector, expected 2 or more")
        return names, asked
    if queries.ndim != 2 or not len(queries) or queries.shape[1] != found.dim:
        raise InputError(
            f"found queries of shape {queries.shape}, expected (m, {found.dim}): the collection's dimension"
        )
    if not np.isfinite(queries).all() or not queries.any(axis=1).all():
        raise InputError("found a query with NaN or infinity, or one that is zero; leave it out")
    return [str(i) for i in range(len(queries))], [found.query(row) for row in queries.astype(np.float32)]


def _without(ranked: Ranked, own: str | None, depth: int) -> Ranked:
    names, scores = ranked
    kept = [i for i, name in enumerate(names) if name != own][:depth]
    return [names[i] for i in kept], scores[kept]


def _compared(found: Ranked, exact: Ranked) -> tuple[float, float, bool]:
    """(share of exact's documents found, ties with its last counted; share as near as that; whether there are too few)."""
    (names, scores), (wanted, best) = found, exact
    last, known = float(best[-1]), set(wanted)
    got = dict(zip(names, scores.tolist(), strict=True))
    by_id = sum(name in known or score >= last for name, score in got.items())
    near = sum(name in known or score >= last - SLACK * max(1.0, abs(last)) for name, score in got.items())
    return min(by_id, len(wanted)) / len(wanted), min(near, len(wanted)) / len(wanted), len(names) < len(wanted)


def _percentiles(seconds: Sequence[float]) -> dict[str, float]:
    return {f"p{share}": float(np.percentile(seconds, share)) for share in (50, 95, 99)}
