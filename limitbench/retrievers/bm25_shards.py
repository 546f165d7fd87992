"""BM25 over shards: statistics of the whole corpus, postings of each shard, scores to the bit as of one index.

bm25s weighs each pair of a word and a document by itself, and adds a query's words in their order. So a shard that is weighed with
the document frequencies and the mean length of all has the scores of the whole.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import bm25s
import numpy as np
import numpy.typing as npt
from bm25s import scoring

from limitbench.collection import Corpus, Queries
from limitbench.progress import Each, raised
from limitbench.rankings import Run, best_entries
from limitbench.retrievers.base import Arrays, IndexFacts, Progress, Retrieved, no_progress
from limitbench.retrievers.sharded import Entries, merged, shares
from limitbench.retrievers.words import Splitter, Tokens


@dataclass(frozen=True)
class TextShard:
    """Texts of a corpus, the first of which is its document `first`."""

    texts: tuple[str, ...]
    first: int

    def __str__(self) -> str:
        return f"documents {self.first:,} to {self.first + len(self.texts) - 1:,}"


@dataclass(frozen=True, eq=False)
class TextShards(Sequence[TextShard]):
    """Shards with these edges (shards + 1,), each read where it is asked for."""

    texts: Sequence[str]
    edges: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.edges) - 1

    def __getitem__(self, place: Any) -> Any:
        if not 0 <= place < len(self):
            raise IndexError(place)
        a, b = self.edges[place : place + 2]
        return TextShard(tuple(self.texts[a:b]), a)


@dataclass(frozen=True)
class Statistics:
    """Of a whole corpus: in how many documents each word is, how many words and how many documents there are."""

    frequencies: dict[str, int]
    words: int
    documents: int

    @property
    def mean_length(self) -> np.float64:
        """Words a document; NumPy's number, with which bm25s weighs in fp64."""
        return np.float64(self.words) / np.float64(max(1, self.documents))


@dataclass(frozen=True)
class Weights:
    """bm25s's variant and its constants, and how texts become words, in what can be sent: a stemmer cannot."""

    variant: str
    k1: float
    b: float
    delta: float
    tokens: Tokens
    stem: str
    stop: str

    def splitter(self, texts: Sequence[str]) -> list[list[str]]:
        """The words of these texts."""
        return Splitter.of(self.tokens, self.stem, self.stop, ())(texts)


class _Shard(bm25s.BM25):  # type: ignore[misc]  # bm25s has no types
    """bm25s's index of some documents, weighed by the statistics of all."""

    def __init__(self, weights: Weights, statistics: Statistics) -> None:
        super().__init__(method=weights.variant, k1=weights.k1, b=weights.b, delta=weights.delta)
        self.statistics = statistics

    def index(self, documents: list[list[str]]) -> None:
        words = sorted({word for document in documents for word in document})
        self.vocab_dict = {word: number for number, word in enumerate(words)}
        ids = [[self.vocab_dict[word] for word in document] for document in documents]
        n = self.statistics.documents
        of_all = {number: self.statistics.frequencies[word] for word, number in self.vocab_dict.items()}
        of_shard: dict[int, int] = dict.fromkeys(of_all, 0)
        for document in ids:
            for number in set(document):
                of_shard[number] += 1
        common = {"compute_idf_fn": scoring._select_idf_scorer(self.idf_method), "dtype": self.dtype}
        lengths = {"k1": self.k1, "b": self.b, "delta": self.delta}
        mean = self.statistics.mean_length
        self.nonoccurrence_array = None
        if self.method in self.methods_requiring_nonoccurrence:
            self.nonoccurrence_array = scoring._build_nonoccurrence_array(
                doc_frequencies=of_all, n_docs=n, calculate_tfc_fn=scoring._select_tfc_scorer(self.method), l_d=mean, l_avg=mean,
                **lengths, **common,
            )  # fmt: skip
        idf = scoring._build_idf_array(doc_frequencies=of_all, n_docs=n, **common)
        values, rows, columns = scoring._build_scores_and_indices_for_matrix(
            corpus_token_ids=ids, idf_array=idf, avg_doc_len=mean, doc_frequencies=of_shard, show_progress=False,
            leave_progress=False, dtype=self.dtype, int_dtype=self.int_dtype, method=self.method,
            nonoccurrence_array=self.nonoccurrence_array, **lengths,
        )  # fmt: skip
        data, indices, indptr = self._np_csc(data=values, rows=rows, cols=columns, shape=(len(ids), len(words)))
        self.scores = {"data": data.astype(self.dtype), "indices": indices, "indptr": indptr, "num_docs": len(ids)}


def counted(weights: Weights, shard: TextShard) -> tuple[Counter[str], int, int]:
    """A shard's part of the statistics: document frequencies, words, and bytes of its texts."""
    frequencies: Counter[str] = Counter()
    words = 0
    for document in weights.splitter(shard.texts):
        frequencies.update(set(document))
        words += len(document)
    return frequencies, words, sum(len(text.encode()) for text in shard.texts)


def best_of_texts(
    weights: Weights, statistics: Statistics, asked: Sequence[Sequence[str]], depth: int, shard: TextShard
) -> Entries:
    """What a shard has of the best `depth` documents of each query (its words), and of their ties."""
    documents = weights.splitter(shard.texts)
    if not any(documents):
        return Entries.none()
    engine = _Shard(weights, statistics)
    engine.index(documents)
    n, parts = len(shard.texts), []
    absent = _absent(weights, statistics, engine)
    for row, words in enumerate(asked):
        known = [word for word in words if word in statistics.frequencies]
        kept = [engine.vocab_dict[word] for word in known if word in engine.vocab_dict]
        if not kept:
            continue
        value = engine._compute_relevance_from_scores(
            data=engine.scores["data"], indptr=engine.scores["indptr"], indices=engine.scores["indices"], num_docs=n,
            query_tokens_ids=np.asarray(kept, np.dtype(engine.int_dtype)), dtype=np.dtype(engine.dtype),
        )  # fmt: skip
        if absent is not None:
            value = value + np.array([absent[word] for word in known], engine.dtype).sum()
        holds = np.zeros(n, bool)
        for token in kept:
            holds[engine.scores["indices"][engine.scores["indptr"][token] : engine.scores["indptr"][token + 1]]] = True
        found = np.flatnonzero(holds if weights.variant != "lucene" else value > 0)
        scores = value[found].astype(np.float64)
        parts.append(best_entries(np.full(len(found), row), found + shard.first, scores, len(asked), depth))
    return Entries(*map(np.concatenate, zip(*parts, strict=True))) if parts else Entries.none()


def _absent(weights: Weights, statistics: Statistics, engine: _Shard) -> dict[str, Any] | None:
    """What a word adds to a document without it, by word, for the variants that have that; also of words the shard lacks."""
    if engine.nonoccurrence_array is None:
        return None
    whole = sorted(statistics.frequencies)
    numbers = {i: statistics.frequencies[word] for i, word in enumerate(whole)}
    mean = statistics.mean_length
    array = scoring._build_nonoccurrence_array(
        doc_frequencies=numbers, n_docs=statistics.documents, compute_idf_fn=scoring._select_idf_scorer(engine.idf_method),
        calculate_tfc_fn=scoring._select_tfc_scorer(engine.method), l_d=mean, l_avg=mean, k1=weights.k1, b=weights.b,
        delta=weights.delta, dtype=engine.dtype,
    )  # fmt: skip
    return dict(zip(whole, array, strict=True))


@dataclass(eq=False)
class ShardedBM25Index:
    """A corpus in shards; the statistics are known, postings are made where a shard is searched."""

    corpus: Corpus
    shards: TextShards
    weights: Weights
    statistics: Statistics
    nbytes: int
    each: Each
    seconds: npt.NDArray[np.float64] | None = None  # each query's share of the last search of several

    @classmethod
    def built(cls, corpus: Corpus, weights: Weights, count: int, each: Each) -> ShardedBM25Index:
        """The index of a corpus in so many shards of equal size."""
        edges = np.linspace(0, len(corpus), min(count, max(1, len(corpus))) + 1).astype(int).tolist()
        shards = TextShards(corpus.contents, tuple(edges))
        frequencies: Counter[str] = Counter()
        words = nbytes = 0
        for _, (some, more, size) in raised(each(partial(counted, weights), shards, label=str, light=True)):
            frequencies.update(some)
            words += more
            nbytes += size
        return cls(corpus, shards, weights, Statistics(dict(frequencies), words, len(corpus)), nbytes, each)

    @property
    def arrays(self) -> Arrays:
        """Nothing: shards are indexed where they are searched."""
        return {}

    @property
    def facts(self) -> IndexFacts:
        """Bytes of the texts, and how many shards."""
        return IndexFacts(nbytes=self.nbytes, more={"shards": len(self.shards)}, query_seconds=self.seconds)

    def search(self, queries: Queries, depth: int, progress: Progress = no_progress) -> Retrieved:
        """The run of these queries."""
        asked = self.weights.splitter(queries.texts)
        call = partial(best_of_texts, self.weights, self.statistics, asked, depth)

        def parts() -> Any:
            found = raised(self.each(call, self.shards, label=str, light=True))
            for done, (_, entries) in enumerate(found, 1):
                progress("search", done, len(self.shards))
                yield entries

        start = time.perf_counter()
        run: Run = merged(parts(), queries.ids, self.corpus.ids, depth)
        self.seconds = shares(time.perf_counter() - start, len(queries))
        return Retrieved(run)
