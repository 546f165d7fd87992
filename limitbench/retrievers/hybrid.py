"""Several retrievers as one: reciprocal rank fusion (Cormack et al. 2009), or a weighted sum of normalised scores.

Documents that a member ties share its mean rank, so the order among equals decides nothing.
"""

from __future__ import annotations

from collections.abc import Callable
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
    CutTexts,
    Index,
    Progress,
    Retriever,
    Reuse,
    cut_of,
    no_progress,
    remarks_of,
)
from limitbench.retrievers.saved import Arrays, nested, restored_part


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

    @field_validator("members", "weights", mode="before")
    @classmethod
    def _split(cls, value: Any) -> Any:
        return tuple(part.strip() for part in value.split("+")) if isinstance(value, str) else value

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
        """The members."""
        from limitbench.retrievers import retriever

        return tuple(
            retriever(spec, device=self.device, precision=self.precision, reuse=self.reuse).retriever
            for spec in self.members
        )

    def located(self, place: Callable[[str], str]) -> Self:
        """The same with every member's files in their places."""
        out = self.model_copy()
        out.__dict__["retrievers"] = tuple(m.located(place) if isinstance(m, Adapter) else m for m in self.retrievers)
        return out

    @property
    def configuration(self) -> dict[str, Any]:
        """Every option, and the members' own configurations."""
        return {**super().configuration, "members": [member.configuration for member in self.retrievers]}

    @property
    def card(self) -> dict[str, Any]:
        """The members' cards."""
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
    def nbytes(self) -> int:
        """Bytes of all members' indexes."""
        return sum(member.nbytes for member in self.members)

    @property
    def load_seconds(self) -> float:
        """Seconds that the members' models took to load."""
        return float(sum(getattr(member, "load_seconds", 0.0) for member in self.members))

    @property
    def facts(self) -> dict[str, Any]:
        """What the members report."""
        return {
            spec: facts
            for spec, member in zip(self.options.members, self.members, strict=True)
            if (facts := getattr(member, "facts", {}))
        }

    def remarks(self) -> list[str]:
        """What the members have to say, each named; what they cut stands in `cut_texts`."""
        cut = {found.remark for found in self.cut_texts()}
        pairs = zip(self.options.members, self.members, strict=True)
        return [f"{spec}: {remark}" for spec, member in pairs for remark in remarks_of(member) if remark not in cut]

    def cut_texts(self) -> list[CutTexts]:
        """The texts that members cut."""
        return [found for member in self.members for found in cut_of(member)]

    def search(self, queries: Queries, depth: int, progress: Progress = no_progress) -> Run:
        """The fused run of these queries."""
        options, n = self.options, len(self.document_ids)
        weights = options.weights or (1.0,) * len(self.members)
        keys, values = [], []
        for member, weight in zip(self.members, weights, strict=True):
            run = member.search(queries, max(depth, options.candidates), progress)
            points = (
                1 / (options.k + mean_ranks(run)) if options.fusion == "rrf" else normalised(run, options.normalise)
            )
            keys.append(run.rows * n + run.indices)
            values.append(weight * points)
        distinct, place = np.unique(np.concatenate(keys), return_inverse=True)
        scores = np.bincount(place, weights=np.concatenate(values), minlength=len(distinct))
        return Run.from_entries(
            distinct // n, distinct % n, scores, query_ids=queries.ids, document_ids=self.document_ids, depth=depth
        )


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
