"""Constructed vectors as a retriever: what a theorem says that a family of systems can do, measured like any other.

They read no text: documents get vectors by number, queries from the dataset's own qrels. They show a construction at work, and no
model.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field
from scipy import sparse

from limitbench.collection import Corpus
from limitbench.errors import InputError
from limitbench.retrievers.base import Adapter, Index, Progress, ScoredIndex, no_progress
from limitbench.retrievers.maxsim import maxsim
from limitbench.retrievers.own_dataset import own_dataset, require_own
from limitbench.theory import family_vectors as build
from limitbench.theory.family_vectors import polarity_prime

Scores = Callable[[Sequence[Sequence[int]]], npt.NDArray[Any]]  # the wanted documents of queries -> (queries, n)


class Constructed(Adapter):
    """`constructed:DATASET,family=multi-vector`: vectors that theory/ builds for that dataset's sets; it answers its queries alone.

    single-vector and multi-vector return every set in full; so does sparse. two-stages has sets among its first candidates, whose
    number its facts tell; `dim` is the dimension of the first stage.
    """

    adapter: ClassVar[str] = "constructed"
    argument: ClassVar[str | None] = "dataset"
    path_fields: ClassVar[tuple[str, ...] | None] = ("dataset",)
    dataset: str = Field(min_length=1)
    family: Literal["single-vector", "multi-vector", "sparse", "two-stages"] = "multi-vector"
    dim: int = Field(2, ge=2, multiple_of=2)

    @property
    def card(self) -> dict[str, Any]:
        """That it was made from the answers."""
        return {"label": "constructed from the test set's own qrels: what a theorem promises, not a retriever"}

    def index(self, corpus: Corpus, progress: Progress = no_progress) -> Index:
        """Vectors of every document; a query's vectors are made when it is asked."""
        data = own_dataset(self.adapter, self.dataset, corpus)
        wanted = dict(zip(data.queries.ids, map(sorted, data.qrels.sets()), strict=True))
        most = max(map(len, wanted.values()), default=0)
        if not 0 < most < len(corpus):
            raise InputError(
                f"found a query with {most} of {len(corpus)} documents relevant, expected some and not all"
            )
        try:
            score, facts, nbytes = getattr(self, "_" + self.family.replace("-", "_"))(
                len(corpus), most, list(wanted.values())
            )
        except ValueError as error:
            raise InputError(f"constructed:{self.dataset}: {error}") from None
        progress("index", len(corpus), len(corpus))

        def scores(ids: Sequence[str], _texts: Sequence[str]) -> npt.NDArray[Any]:
            require_own("constructed vectors", wanted, ids)
            made: npt.NDArray[Any] = score([wanted[name] for name in ids])
            return made

        return ScoredIndex.bounded(corpus.ids, scores, nbytes, more=facts)

    def _single_vector(self, n: int, k: int, _sets: Sequence[Sequence[int]]) -> tuple[Scores, dict[str, Any], int]:
        """Graphs of polynomials, and the indicator of their union."""
        graphs = build.Graphs.smallest(n, k)
        documents = graphs.documents(range(n)).astype(np.float32)

        def score(asked: Sequence[Sequence[int]]) -> npt.NDArray[Any]:
            return np.stack([graphs.documents(one).max(0) for one in asked]).astype(np.float32) @ documents.T

        return score, {"dim": documents.shape[1], "construction": "polynomial-code"}, documents.nbytes

    def _multi_vector(self, n: int, k: int, _sets: Sequence[Sequence[int]]) -> tuple[Scores, dict[str, Any], int]:
        """Two tokens a document, one query token for each relevant document."""
        graphs = build.Graphs.smallest(n, 1)
        tokens = graphs.document_tokens(range(n)).reshape(2 * n, -1).astype(np.float32)
        starts = 2 * np.arange(n + 1)

        def score(asked: Sequence[Sequence[int]]) -> npt.NDArray[Any]:
            return maxsim([graphs.query_tokens(one).astype(np.float32) for one in asked], tokens, starts)

        facts = {
            "dim": tokens.shape[1],
            "tokens": len(tokens),
            "query_tokens": k,
            "similarity": "MaxSim",
            "construction": "maxsim-code",
        }
        return score, facts, tokens.nbytes

    def _sparse(self, n: int, k: int, _sets: Sequence[Sequence[int]]) -> tuple[Scores, dict[str, Any], int]:
        """Pairs of terms without a 4-cycle where k <= 2, else graphs of polynomials."""
        if k <= 2:
            q = polarity_prime(n)
            pairs = build.polarity_edges(q, n)
            edges = frozenset(map(tuple, pairs.tolist()))
            terms, weight = q * q + q + 1, 2
            rows, columns = np.repeat(np.arange(n), 2), pairs.reshape(-1)

            def asked_for(one: Sequence[int]) -> Mapping[int, float]:
                return build.pair_weights([tuple(pairs[i].tolist()) for i in one], edges)

        else:
            graphs = build.Graphs.smallest(n, k)
            terms, weight = graphs.q * graphs.points, graphs.points
            rows, columns = np.nonzero(graphs.documents(range(n)))

            def asked_for(one: Sequence[int]) -> Mapping[int, float]:
                return dict.fromkeys(np.nonzero(graphs.documents(one).any(0))[0].tolist(), 1.0)

        documents = sparse.csr_array((np.ones(len(rows), np.float32), (rows, columns)), shape=(n, terms))

        def score(asked: Sequence[Sequence[int]]) -> npt.NDArray[Any]:
            weights = [(row, term, x) for row, one in enumerate(asked) for term, x in asked_for(one).items()]
            at, on, size = (np.array(part) for part in zip(*weights, strict=True))
            queries = sparse.csr_array((size.astype(np.float32), (at, on)), shape=(len(asked), terms))
            return np.asarray((queries @ documents.T).toarray())

        facts = {
            "terms": terms,
            "document_terms": weight,
            "construction": "polarity-graph" if k <= 2 else "packing-code",
        }
        return score, facts, documents.data.nbytes + documents.indices.nbytes

    def _two_stages(self, n: int, _k: int, sets: Sequence[Sequence[int]]) -> tuple[Scores, dict[str, Any], int]:
        """Documents on a circle, and queries that are high on dim / 2 arcs."""
        documents = build.curve(n, self.dim)

        def score(asked: Sequence[Sequence[int]]) -> npt.NDArray[Any]:
            return np.stack([build.arcs_query(one, n, self.dim)[0] for one in asked]) @ documents.T

        promised = max(
            len(one) + max(0, len(one) - self.dim // 2) * (n - len(one)) // len(one) for one in sets if len(one)
        )
        return score, {"dim": self.dim, "candidates": promised, "construction": "merged-gaps"}, documents.nbytes
