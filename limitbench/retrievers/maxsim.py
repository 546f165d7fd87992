"""Late interaction: one vector a token, and for each query token the best document token (Khattab and Zaharia 2020).

Any ColBERT or PyLate checkpoint by id or folder; `minilm` stands in with MiniLM's token states, which were not trained for this.
Documents' token vectors are kept in one matrix; scoring goes in chunks of documents, so memory is bounded whatever the corpus.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any, ClassVar, Literal, Self

import numpy as np
import torch
from pydantic import Field, model_validator

from limitbench.collection import Corpus, Queries
from limitbench.rankings import Run, lots
from limitbench.retrievers.base import Arrays, Index, IndexFacts, Progress, Retrieved, no_progress
from limitbench.retrievers.best_columns import Floats, best
from limitbench.retrievers.candidates_of_tokens import Muvera, Plaid, TokenIndex, pooled
from limitbench.retrievers.embedded import PLURAL, UnusableVector, naming
from limitbench.retrievers.model_files import PACKAGED, Source
from limitbench.retrievers.models import Held, Loaded, ModelAdapter, loaded

_BUILT: dict[str, Callable[..., TokenIndex]] = {"muvera": Muvera.built, "plaid": Plaid.built}
_OF_INDEX: dict[str, tuple[str, ...]] = {  # the options of what chooses candidates
    "exact": (), "muvera": ("repetitions", "planes", "projected", "seed"), "plaid": ("centroids", "probes", "seed")
}  # fmt: skip
_LOOKED_AT = 200  # queries that are compared with exact search
SIMILARITIES = 1 << 24  # query tokens x document tokens at a time: 64 MB


class MaxSim(ModelAdapter):
    """`maxsim:MODEL`: a sentence-transformers MultiVectorEncoder, by id, `id@revision` or folder, or `minilm`.

    `pool` merges the tokens of a document into one for so many. `index=muvera` and `index=plaid` choose `candidates` documents
    without comparing all tokens, and score those exactly; how far that is from exact search is recorded. The other options are
    those of `candidates_of_tokens`.
    """

    adapter: ClassVar[str] = "maxsim"
    pool: int = Field(1, ge=1, le=64)
    kind: Literal["exact", "muvera", "plaid"] = Field("exact", alias="index")
    candidates: int = Field(1000, ge=1)
    repetitions: int = Field(20, ge=1, le=1000)  # of muvera
    planes: int = Field(4, ge=1, le=10)
    projected: int = Field(16, ge=1, le=1024)
    centroids: int | None = Field(None, ge=1)  # of plaid
    probes: int = Field(2, ge=1)
    seed: int = Field(0, ge=0, lt=2**31)

    @model_validator(mode="after")
    def _counts(self) -> Self:
        """An option of another index than the one asked for would count for nothing."""
        foreign = sorted(self._foreign & self.model_fields_set)
        if foreign:
            raise ValueError(f"{foreign[0]} is of another index than index={self.kind}; leave it out")
        return self

    @property
    def _foreign(self) -> set[str]:
        """The options that count for nothing with this index."""
        every = {"candidates", *(name for names in _OF_INDEX.values() for name in names)}
        return every - {*_OF_INDEX[self.kind], *(() if self.kind == "exact" else ("candidates",))}

    @property
    def configuration(self) -> dict[str, Any]:
        """Every option that counts, and which weights they stand for."""
        needless = {
            *(("index",) if self.kind == "exact" else ()),
            *(("pool",) if self.pool == 1 else ()),
            *self._foreign,
        }
        return {name: value for name, value in super().configuration.items() if name not in needless}

    def chosen(self, tokens: Floats, starts: np.ndarray[Any, np.dtype[np.int64]]) -> TokenIndex | None:
        """What chooses candidates among these tokens; None where all are compared."""
        if self.kind == "exact" or not len(tokens):
            return None
        options: dict[str, Any] = {name: getattr(self, name) for name in _OF_INDEX[self.kind]}
        return _BUILT[self.kind](tokens, starts, **options)

    @property
    def card(self) -> dict[str, Any]:
        """The model; where it stands in, that it was not trained for this."""
        return {**super().card, **({"label": "not trained for late interaction"} if self.model in PACKAGED else {})}

    def index(self, corpus: Corpus, progress: Progress = no_progress) -> Index:
        """The corpus as token vectors."""
        encoder = _Encoder.of(self)
        with naming(corpus.ids, corpus.contents):
            vectors = encoder.encode(corpus.contents, "document", progress)
        vectors = pooled(vectors, self.pool)
        lengths = np.array([len(x) for x in vectors], np.int64)
        tokens = np.concatenate(vectors) if lengths.sum() else np.zeros((0, 1), np.float32)
        starts = np.concatenate([[0], np.cumsum(lengths)])
        return MaxSimIndex(corpus.ids, tokens, starts, encoder, self.chosen(tokens, starts))

    def restored(self, corpus: Corpus, arrays: Arrays) -> Index:
        """The token vectors that were saved."""
        tokens, starts = arrays["tokens"], arrays["starts"]
        return MaxSimIndex(corpus.ids, tokens, starts, _Encoder.of(self), self.chosen(tokens, starts))


@dataclass(eq=False)
class _Encoder:
    """Turns texts into token vectors."""

    options: MaxSim
    held: Held

    @classmethod
    def of(cls, options: MaxSim) -> _Encoder:
        """The encoder of these options."""
        return cls(options, Held(partial(load, options)))

    def encode(self, texts: Sequence[str], side: str, progress: Progress = no_progress) -> list[Floats]:
        """Token vectors (tokens, d) of each text, unit rows. Raises `UnusableVector` for NaN and infinity."""
        engine, options = self.held.model.engine, self.options
        self.held.watch(texts, side)
        call = engine.encode_query if side == "query" else engine.encode_document
        distinct = sorted(dict.fromkeys(texts), key=lambda text: (-len(text), text))
        made: dict[str, Floats] = {}
        step = 8 * options.batch
        for start in range(0, len(distinct), step):
            batch = distinct[start : start + step]
            found = call(batch, batch_size=options.batch, show_progress_bar=False, convert_to_numpy=True)
            for text, x in zip(batch, found, strict=True):
                made[text] = np.asarray(x, np.float32)
                if not np.isfinite(made[text]).all():
                    raise UnusableVector(text, "a token vector with NaN or infinity")
            progress(f"encode {PLURAL[side]}", min(start + step, len(distinct)), len(distinct))
        return [made[text] for text in texts]


@dataclass(eq=False)
class MaxSimIndex:
    """Token vectors (tokens, d) of all documents, document i's from `starts[i]` to `starts[i + 1]`."""

    document_ids: tuple[str, ...]
    tokens: Floats
    starts: np.ndarray[Any, np.dtype[np.int64]]
    encoder: _Encoder
    chooser: TokenIndex | None = None
    seen: dict[str, Any] = field(default_factory=dict)  # what the first search found out

    @property
    def arrays(self) -> dict[str, Any]:
        """Token vectors, and where each document's begin."""
        return {"tokens": self.tokens, "starts": self.starts}

    @property
    def facts(self) -> IndexFacts:
        """Dimension, number and bytes of the token vectors; how long the model took to load, and what it cuts."""
        held = self.encoder.held
        return IndexFacts(
            nbytes=self.tokens.nbytes + (0 if self.chooser is None else self.chooser.nbytes),
            load_seconds=held.load_seconds,
            dim=int(self.tokens.shape[1]),
            kind=None if self.chooser is None else self.encoder.options.kind,
            similarity="MaxSim",
            more={"tokens": len(self.tokens), **self.seen},
            cut_texts=held.cut_texts,
        )

    def search(self, queries: Queries, depth: int, progress: Progress = no_progress) -> Retrieved:
        """The run of these queries: exact, or of the candidates that the index chooses."""
        with naming(queries.ids, queries.texts):
            asked = self.encoder.encode(queries.texts, "query", progress)
        if self.chooser is not None:
            return self._by_candidates(self.chooser, asked, queries, depth, progress)

        def parts() -> Iterator[Run]:
            for start in range(0, len(queries), 32):
                part = slice(start, start + 32)
                yield best(self.scores(asked[part]), queries.ids[part], self.document_ids, depth)
                progress("search", min(start + 32, len(queries)), len(queries))

        return Retrieved(Run.concatenate(parts()))

    @cached_property
    def lots(self) -> np.ndarray[Any, np.dtype[np.int64]]:
        """By which documents of equal estimates are taken."""
        return lots(self.document_ids)

    @cached_property
    def first(self) -> np.ndarray[Any, np.dtype[np.int64]]:
        """For each document the first with the same token vectors: its score stands for both, since a product of matrices may
        differ in its last bits by where a row stands."""
        seen: dict[bytes, int] = {}
        spans = zip(self.starts[:-1].tolist(), self.starts[1:].tolist(), strict=True)
        blocks = (hashlib.sha256(np.ascontiguousarray(self.tokens[low:high]).data).digest() for low, high in spans)
        return np.array([seen.setdefault(digest, i) for i, digest in enumerate(blocks)], np.int64)

    def _by_candidates(
        self, chooser: TokenIndex, asked: Sequence[Floats], queries: Queries, depth: int, progress: Progress
    ) -> Retrieved:  # fmt: skip
        """Exact scores of each query's candidates alone; the first search of several looks how far that is from all."""
        most, looking = self.encoder.options.candidates, len(queries) > 1 and "agreement_with_exact" not in self.seen
        rows, columns, estimates, scores, shares = [], [], [], [], []
        for number, query in enumerate(asked):
            estimate = chooser.scores(query)
            looked = int(np.isfinite(estimate).sum())
            chosen = np.sort(np.lexsort((self.lots, -estimate))[: min(most, looked)])
            found = self._exact_of(query, chosen)
            if looking and number < _LOOKED_AT:
                shares.append(_agreement(found, chosen, self.scores([query])[0], depth))
            rows.append(np.full(len(chosen), number))
            columns.append(chosen)
            estimates.append(estimate[chosen])
            scores.append(found)
            if (number + 1) % 32 == 0 or number + 1 == len(queries):
                progress("search", number + 1, len(queries))
        if looking and shares:
            self.seen |= {"agreement_with_exact": float(np.mean(shares)), "agreement_at": depth}
        ids: Any = {"query_ids": queries.ids, "document_ids": self.document_ids}
        entries = [np.concatenate(part) if part else np.empty(0) for part in (rows, columns, scores, estimates)]
        r, c = entries[0].astype(np.int64), entries[1].astype(np.int64)
        run = Run.from_entries(r, c, entries[2], **ids, depth=depth)
        return Retrieved(run, Run.from_entries(r, c, entries[3], **ids, depth=most))

    def _exact_of(self, query: Floats, chosen: np.ndarray[Any, np.dtype[np.int64]]) -> Floats:
        """MaxSim (chosen,) of a query with these documents."""
        once, back = np.unique(self.first[chosen], return_inverse=True)
        lengths = np.diff(self.starts)[once]
        places = np.concatenate(
            [np.arange(self.starts[d], self.starts[d + 1]) for d in once.tolist()] or [np.empty(0, int)]
        )
        found: Floats = maxsim([query], self.tokens[places], np.concatenate([[0], np.cumsum(lengths)]))[0]
        return found[back]

    def scores(self, asked: Sequence[Floats]) -> Floats:
        """The sum over a query's tokens of the largest inner product with a document's, (queries, n); 0 without tokens."""
        return maxsim(asked, self.tokens, self.starts)[:, self.first]


def _agreement(found: Floats, chosen: np.ndarray[Any, np.dtype[np.int64]], exact: Floats, depth: int) -> float:
    """The share of exact search's best documents that were found, those that tie with the last counted."""
    depth = min(depth, len(exact))
    last = np.partition(exact, len(exact) - depth)[len(exact) - depth]
    best_found = chosen[np.argsort(-found, kind="stable")[:depth]]
    return min(int((exact[best_found] >= last).sum()), depth) / max(1, depth)


def maxsim(asked: Sequence[Floats], tokens: Floats, starts: np.ndarray[Any, np.dtype[np.int64]]) -> Floats:
    """For token vectors (tokens, d) of each query, and of all documents, document i's from `starts[i]` to `starts[i + 1]`: the sum
    over a query's tokens of the largest inner product with a document's, (queries, n); 0 without tokens."""
    ends = np.concatenate([[0], np.cumsum([len(x) for x in asked])])
    together = torch.from_numpy(np.concatenate(asked))  # (t, d)
    out = np.zeros((len(asked), len(starts) - 1), np.float32)
    room = max(1, SIMILARITIES // max(1, len(together)))
    at, n = 0, len(starts) - 1
    while at < n:
        stop = max(at + 1, int(np.searchsorted(starts, starts[at] + room, "right")) - 1)
        stop = min(stop, n)
        low, high = starts[at], starts[stop]
        filled = np.flatnonzero(np.diff(starts[at : stop + 1]))  # documents without a token have no segment
        if len(filled) and len(together):
            similar = (together @ torch.from_numpy(tokens[low:high]).T).numpy()  # (t, tokens)
            most = np.maximum.reduceat(similar, starts[at:stop][filled] - low, axis=1)  # (t, documents)
            whole = np.flatnonzero(np.diff(ends))
            out[np.ix_(whole, at + filled)] = np.add.reduceat(most, ends[:-1][whole], axis=0)
        at = stop
    return out


def load(options: MaxSim) -> Loaded:
    """The model of these options, from the pool."""
    from sentence_transformers import MultiVectorEncoder
    from sentence_transformers.multi_vector_encoder.modules import MultiVectorMask
    from sentence_transformers.sentence_transformer.modules import Normalize, Transformer

    chosen = None if options.device == "auto" else options.device

    def make(source: Source) -> Any:
        folder = str(source.folder)
        if options.model not in PACKAGED:
            return MultiVectorEncoder(folder, device=chosen, model_kwargs={"use_safetensors": True})
        states = Normalize(module_input_name="token_embeddings", module_output_name="token_embeddings")
        return MultiVectorEncoder(
            modules=[Transformer(folder, max_seq_length=512), states, MultiVectorMask()], device=chosen
        )

    return loaded("multi-vector model", options, make, unread=True, own=options.model in PACKAGED)
