"""Several retrievers as one: reciprocal rank fusion (Cormack et al. 2009), or a weighted sum of normalised scores.

Documents that a member ties share its mean rank, so the order among equals decides nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, Literal, Self

import numpy as np
import numpy.typing as npt
from pydantic import Field, field_validator, model_validator

from limitbench.collection import Corpus, Queries
from limitbench.rankings import Run
from limitbench.retrievers.base import (
    Adapter,
    Arrays,
    Index,
    IndexFacts,
    Progress,
    Retrieved,
    Retriever,
    Reuse,
    TextVectors,
    no_progress,
    summed_seconds,
)
from limitbench.retrievers.index_files import nested, restored_part
from limitbench.retrievers.spec import RetrieverSpec, members_of


class Hybrid(Adapter):
    """Members as `hybrid:bm25+minilm`, or a list of specs in a TOML.

    `fusion=rrf` scores sum 1 / (k + rank); `fusion=sum` scores sum weight * normalised score, 0 for what a member does not rank.
    Each member ranks `candidates` documents, or the depth asked for where that is more.
    """

    adapter: ClassVar[str] = "hybrid"
    argument: ClassVar[str | None] = "members"
    members: tuple[str, ...] = ("bm25", "minilm")
    fusion: Literal["rrf", "sum"] = "rrf"
    k: float = Field(60, gt=0, allow_inf_nan=False)
    normalise: Literal["min-max", "z-score"] = "min-max"
    weights: tuple[float, ...] | None = None
    candidates: int = Field(1000, ge=1)
    device: str | None = None  # of members that do not say
    precision: str | None = None
    reuse: Reuse | None = Field(None, exclude=True)

    @field_validator("weights", mode="before")
    @classmethod
    def _numbers(cls, value: Any) -> Any:
        return tuple(part.strip() for part in value.split("+")) if isinstance(value, str) else value

    @field_validator("members", mode="before")
    @classmethod
    def _lines(cls, value: Any) -> Any:
        return tuple(map(str, members_of(value))) if isinstance(value, (str, list, tuple)) else value

    @model_validator(mode="after")
    def _fits(self) -> Hybrid:
        if len(self.members) < 2:
            raise ValueError("expected at least two members, such as bm25+minilm")
        if self.weights is not None and (
            len(self.weights) != len(self.members) or not all(w > 0 for w in self.weights)
        ):
            raise ValueError(f"expected {len(self.members)} weights above 0, such as 0.3+0.7")
        return self

    @cached_property
    def retrievers(self) -> tuple[Retriever, ...]:
        """The members as retrievers, made once."""
        usual = {"device": self.device, "precision": self.precision, "reuse": self.reuse}
        return tuple(RetrieverSpec.parse(spec).made(**usual) for spec in self.members)

    def located(self, place: Callable[[str], str]) -> Self:
        """The same with every member's files in their places."""
        return self._of(lambda member: member.located(place))

    def sharing(self, vectors: TextVectors) -> Self:
        """The same with members that share these vectors of texts."""
        return self._of(lambda member: member.sharing(vectors))

    def _of(self, changed: Callable[[Adapter], Adapter]) -> Self:
        """The same with every member changed, those of other packages aside."""
        out = self.model_copy()
        out.__dict__["retrievers"] = tuple(changed(m) if isinstance(m, Adapter) else m for m in self.retrievers)
        return out

    @property
    def configuration(self) -> dict[str, Any]:
        """Every option, and the members' own configurations."""
        return {**super().configuration, "members": [member.configuration for member in self.retrievers]}

    @property
    def card(self) -> dict[str, Any]:
        """The cards of the members, by their specs."""
        return {spec: member.card for spec, member in zip(self.members, self.retrievers, strict=True) if member.card}

    def index(self, corpus: Corpus, progress: Progress = no_progress) -> Index:
        """The corpus indexed by every member."""
        return _HybridIndex(corpus.ids, tuple(member.index(corpus, progress) for member in self.retrievers), self)

    def restored(self, corpus: Corpus, arrays: Arrays) -> Index:
        """The members' indexes that were saved."""
        parts = (restored_part(m, corpus, arrays, str(number)) for number, m in enumerate(self.retrievers))
        return _HybridIndex(corpus.ids, tuple(parts), self)


@dataclass(frozen=True, eq=False)
class _HybridIndex:
    document_ids: tuple[str, ...]
    members: tuple[Index, ...]
    options: Hybrid

    @property
    def arrays(self) -> dict[str, Any]:
        """The members', by their numbers."""
        return nested({str(number): member for number, member in enumerate(self.members)})

    @property
    def facts(self) -> IndexFacts:
        """What the members report, by their specs; bytes and seconds in all."""
        told = [(spec, member.facts) for spec, member in zip(self.options.members, self.members, strict=True)]
        return IndexFacts(
            nbytes=sum(facts.nbytes for _, facts in told),
            load_seconds=sum(facts.load_seconds for _, facts in told),
            more={spec: facts.record for spec, facts in told if facts.record},
            remarks=[f"{spec}: {remark}" for spec, facts in told for remark in facts.remarks],
            cut_texts=[cut for _, facts in told for cut in facts.cut_texts],
            query_seconds=summed_seconds(*(facts.query_seconds for _, facts in told)),
        )

    def search(self, queries: Queries, depth: int, progress: Progress = no_progress) -> Retrieved:
        """The fused run of these queries."""
        o = self.options
        runs = [member.search(queries, max(depth, o.candidates), progress).run for member in self.members]
        points = [1 / (o.k + mean_ranks(run)) if o.fusion == "rrf" else normalised(run, o.normalise) for run in runs]
        return Retrieved(fused(runs, points, o.weights or (1.0,) * len(runs), depth))


def fused(runs: Sequence[Run], points: Sequence[npt.NDArray[np.float64]], weights: Sequence[float], depth: int) -> Run:
    """The run of weighted sums: `points` are those of each run's entries; what a run does not rank adds 0."""
    n = len(runs[0].document_ids)
    keys = np.concatenate([run.rows * n + run.indices for run in runs])
    values = np.concatenate([weight * row for weight, row in zip(weights, points, strict=True)])
    distinct, place = np.unique(keys, return_inverse=True)
    scores = np.bincount(place, weights=values, minlength=len(distinct))
    ids = {"query_ids": runs[0].query_ids, "document_ids": runs[0].document_ids}
    return Run.from_entries(distinct // n, distinct % n, scores, **ids, depth=depth)


def mean_ranks(run: Run) -> npt.NDArray[np.float64]:
    """The rank of every entry in its row, from 1; equal scores share the mean of theirs."""
    position = np.asarray(np.arange(len(run.indices)) - run.indptr[run.rows] + 1, np.float64)
    if not len(position):
        return position
    group = np.cumsum(np.r_[True, (np.diff(run.scores) != 0) | (np.diff(run.rows) != 0)]) - 1
    return np.asarray((np.bincount(group, weights=position) / np.bincount(group))[group], np.float64)


def normalised(run: Run, how: str) -> npt.NDArray[np.float64]:
    """Scores by row, scaled to [0, 1] or to mean 0 and deviation 1; a row of equal scores becomes 1, or 0."""
    m, rows, scores = len(run), run.rows, run.scores
    counts = np.maximum(np.bincount(rows, minlength=m), 1)
    if how == "min-max":
        low, high = np.full(m, np.inf), np.full(m, -np.inf)
        np.minimum.at(low, rows, scores)
        np.maximum.at(high, rows, scores)
        width = (high - low)[rows]
        return np.where(width > 0, (scores - low[rows]) / np.where(width > 0, width, 1), 1.0)
    mean = (np.bincount(rows, weights=scores, minlength=m) / counts)[rows]
    spread = np.sqrt(np.bincount(rows, weights=(scores - mean) ** 2, minlength=m) / counts)[rows]
    return np.where(spread > 0, (scores - mean) / np.where(spread > 0, spread, 1), 0.0)
