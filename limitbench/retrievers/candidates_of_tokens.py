"""Candidates for late interaction without comparing all token vectors: fixed-dimensional encodings, and centroids.

- MUVERA (Dhulipala et al. 2024, arXiv 2405.19504) gives a text one vector. Random hyperplanes cut the space into cells; a query's
  block for a cell is the sum of its tokens there, a document's is their mean. A document without a token in a cell takes the one
  whose cell differs in the fewest hyperplanes. Blocks are projected by random signs, and all is repeated with other hyperplanes.
  The inner product of two such vectors estimates MaxSim.
- PLAID (Santhanam et al. 2022, arXiv 2205.09707) gives a token the nearest of some centroids. A query looks at documents with a
  token at one of the `probes` centroids that are nearest to a token of its own, and scores them by centroids in place of tokens.

Both only choose which documents are scored exactly.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from limitbench.errors import SpecError
from limitbench.retrievers.best_columns import Floats
from limitbench.retrievers.faiss_index import loaded_faiss

Numbers = npt.NDArray[np.int64]


class TokenIndex(ABC):
    """Chooses documents by their token vectors; documents are numbered."""

    @property
    @abstractmethod
    def nbytes(self) -> int:
        """Bytes of what it keeps beside the token vectors."""

    @abstractmethod
    def scores(self, query: Floats) -> Floats:
        """An estimate (n,) of every document's MaxSim with a query (tokens, d); minus infinity where it does not look."""


@dataclass(eq=False)
class Muvera(TokenIndex):
    """Fixed-dimensional encodings of all documents, (n, repetitions * 2^planes * projected)."""

    planes: Floats  # (repetitions, planes, d)
    signs: Floats  # (repetitions, d, projected)
    documents: Floats

    @classmethod
    def built(
        cls, tokens: Floats, starts: Numbers, *, repetitions: int = 20, planes: int = 4, projected: int = 16, seed: int = 0
    ) -> Muvera:  # fmt: skip
        """The encodings of documents with token vectors (t, d), document i's from `starts[i]` to `starts[i + 1]`."""
        d = tokens.shape[1]
        rng = np.random.default_rng(seed)
        normals = rng.standard_normal((repetitions, planes, d)).astype(np.float32)
        signs = np.where(rng.random((repetitions, d, min(projected, d))) < 0.5, -1, 1) / np.sqrt(min(projected, d))
        made = cls(normals, signs.astype(np.float32), np.empty((0, 0), np.float32))
        made.documents = np.stack([made.of_document(tokens[a:b]) for a, b in pairwise(starts)])
        return made

    @property
    def nbytes(self) -> int:
        """Of the encodings."""
        return int(self.documents.nbytes)

    def cells(self, tokens: Floats, repetition: int) -> Numbers:
        """The cell of each token: the hyperplanes that it lies above, as bits."""
        above = tokens @ self.planes[repetition].T > 0
        return np.asarray(above @ (1 << np.arange(above.shape[1])), np.int64)

    def of_query(self, tokens: Floats) -> Floats:
        """Sums by cell."""
        return self._encoded(tokens, means=False)

    def of_document(self, tokens: Floats) -> Floats:
        """Means by cell; an empty cell takes the token of the nearest one, the first of several."""
        return self._encoded(tokens, means=True)

    def _encoded(self, tokens: Floats, *, means: bool) -> Floats:
        repetitions, planes, d = self.planes.shape
        count = 1 << planes
        bits = np.array([number.bit_count() for number in range(count)])
        blocks = []
        for repetition in range(repetitions):
            block = np.zeros((count, d), np.float32)
            if len(tokens):
                cells = self.cells(tokens, repetition)
                np.add.at(block, cells, tokens)
                if means:
                    sizes = np.bincount(cells, minlength=count)
                    block /= np.maximum(sizes, 1)[:, None]
                    empty = np.flatnonzero(sizes == 0)
                    apart = bits[empty[:, None] ^ cells[None, :]]  # (empty, tokens)
                    block[empty] = tokens[apart.argmin(axis=1)]
            blocks.append((block @ self.signs[repetition]).ravel())
        return np.concatenate(blocks)

    def scores(self, query: Floats) -> Floats:
        """Inner products of encodings, over the repetitions."""
        return np.asarray(self.documents @ self.of_query(query) / len(self.planes), np.float32)


@dataclass(eq=False)
class Plaid(TokenIndex):
    """Centroids (c, d) of token vectors, the centroid of every token, and the documents of every centroid."""

    centroids: Floats
    of_token: Numbers  # (t,)
    starts: Numbers
    probes: int
    lists: list[Numbers] = field(default_factory=list)  # of each centroid: documents, ascending

    @classmethod
    def built(
        cls, tokens: Floats, starts: Numbers, *, centroids: int | None = None, probes: int = 2, seed: int = 0
    ) -> Plaid:
        """k-means of the tokens by faiss; 16 times the root of their number of centroids, as ColBERTv2 has, unless told.

        Raises `SpecError` for more centroids than tokens, `MissingExtra` without faiss.
        """
        t = len(tokens)
        count = min(t, int(2 ** np.floor(np.log2(16 * np.sqrt(max(1, t)))))) if centroids is None else centroids
        if not 1 <= count <= t:
            raise SpecError(f"found {count} centroids for {t} token vectors; ask for fewer")
        faiss = loaded_faiss()
        means = faiss.Kmeans(tokens.shape[1], count, niter=10, seed=seed, min_points_per_centroid=1, verbose=False)
        means.train(tokens)
        _, nearest = means.index.search(tokens, 1)
        made = cls(np.asarray(means.centroids, np.float32), nearest[:, 0].astype(np.int64), starts, probes)
        documents = np.repeat(np.arange(len(starts) - 1), np.diff(starts))
        order = np.lexsort((documents, made.of_token))
        ends = np.searchsorted(made.of_token[order], np.arange(count + 1))
        made.lists = [np.unique(documents[order[a:b]]) for a, b in pairwise(ends)]
        return made

    @property
    def nbytes(self) -> int:
        """Of centroids, tokens' numbers and lists."""
        return int(self.centroids.nbytes + self.of_token.nbytes + sum(row.nbytes for row in self.lists))

    def scores(self, query: Floats) -> Floats:
        """For each query token the best centroid of a document's tokens, summed, over the documents of the probed centroids."""
        n = len(self.starts) - 1
        out = np.full(n, -np.inf, np.float32)
        if not len(query):
            return out
        near = query @ self.centroids.T  # (q, c)
        probes = min(self.probes, near.shape[1])
        probed = np.unique(np.argpartition(-near, probes - 1, axis=1)[:, :probes])
        looked = np.unique(np.concatenate([self.lists[c] for c in probed.tolist()]))
        for document in looked.tolist():
            own = self.of_token[self.starts[document] : self.starts[document + 1]]
            out[document] = near[:, own].max(axis=1).sum()
        return out


def pooled(vectors: Sequence[Floats], factor: int) -> list[Floats]:
    """Token vectors of each text merged into one for about `factor` of them (Clavie et al. 2024, arXiv 2409.14683).

    Ward's clusters of the tokens; the mean of each, scaled back to length 1.
    """
    from scipy.cluster.hierarchy import fcluster, linkage

    out = []
    for tokens in vectors:
        count = max(1, len(tokens) // factor)
        if factor == 1 or len(tokens) <= count or len(tokens) < 2:
            out.append(tokens)
            continue
        labels = fcluster(linkage(tokens.astype(np.float64), "ward"), count, criterion="maxclust") - 1
        sums = np.zeros((labels.max() + 1, tokens.shape[1]), np.float64)
        np.add.at(sums, labels, tokens)
        lengths = np.linalg.norm(sums, axis=1, keepdims=True)
        out.append((sums / np.maximum(lengths, 1e-12)).astype(np.float32))
    return out
