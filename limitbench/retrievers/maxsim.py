"""Late interaction: one vector a token, and for each query token the best document token (Khattab and Zaharia 2020).

Any ColBERT or PyLate checkpoint by id or folder; `minilm` stands in with MiniLM's token states, which were not trained for this.
Documents' token vectors are kept in one matrix; scoring goes in chunks of documents, so memory is bounded whatever the corpus.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import numpy as np
import torch

from limitbench.collection import Corpus, Queries
from limitbench.rankings import Run
from limitbench.retrievers.base import Arrays, Index, IndexFacts, Progress, Retrieved, no_progress
from limitbench.retrievers.best_columns import Floats, best
from limitbench.retrievers.embedded import PLURAL, UnusableVector, naming
from limitbench.retrievers.model_files import PACKAGED, Source
from limitbench.retrievers.models import Held, Loaded, ModelAdapter, loaded

SIMILARITIES = 1 << 24  # query tokens x document tokens at a time: 64 MB


class MaxSim(ModelAdapter):
    """`maxsim:MODEL`: a sentence-transformers MultiVectorEncoder, by id, `id@revision` or folder, or `minilm`."""

    adapter: ClassVar[str] = "maxsim"

    @property
    def card(self) -> dict[str, Any]:
        """The model; where it stands in, that it was not trained for this."""
        return {**super().card, **({"label": "not trained for late interaction"} if self.model in PACKAGED else {})}

    def index(self, corpus: Corpus, progress: Progress = no_progress) -> Index:
        """The corpus as token vectors."""
        encoder = _Encoder.of(self)
        with naming(corpus.ids, corpus.contents):
            vectors = encoder.encode(corpus.contents, "document", progress)
        lengths = np.array([len(x) for x in vectors], np.int64)
        tokens = np.concatenate(vectors) if lengths.sum() else np.zeros((0, 1), np.float32)
        return MaxSimIndex(corpus.ids, tokens, np.concatenate([[0], np.cumsum(lengths)]), encoder)

    def restored(self, corpus: Corpus, arrays: Arrays) -> Index:
        """The token vectors that were saved."""
        return MaxSimIndex(corpus.ids, arrays["tokens"], arrays["starts"], _Encoder.of(self))


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


@dataclass(frozen=True, eq=False)
class MaxSimIndex:
    """Token vectors (tokens, d) of all documents, document i's from `starts[i]` to `starts[i + 1]`."""

    document_ids: tuple[str, ...]
    tokens: Floats
    starts: np.ndarray[Any, np.dtype[np.int64]]
    encoder: _Encoder

    @property
    def arrays(self) -> dict[str, Any]:
        """Token vectors, and where each document's begin."""
        return {"tokens": self.tokens, "starts": self.starts}

    @property
    def facts(self) -> IndexFacts:
        """Dimension, number and bytes of the token vectors; how long the model took to load, and what it cuts."""
        held = self.encoder.held
        return IndexFacts(
            nbytes=self.tokens.nbytes,
            load_seconds=held.load_seconds,
            dim=int(self.tokens.shape[1]),
            similarity="MaxSim",
            more={"tokens": len(self.tokens)},
            cut_texts=held.cut_texts,
        )

    def search(self, queries: Queries, depth: int, progress: Progress = no_progress) -> Retrieved:
        """The exact run of these queries."""
        with naming(queries.ids, queries.texts):
            asked = self.encoder.encode(queries.texts, "query", progress)

        def parts() -> Iterator[Run]:
            for start in range(0, len(queries), 32):
                part = slice(start, start + 32)
                yield best(self.scores(asked[part]), queries.ids[part], self.document_ids, depth)
                progress("search", min(start + 32, len(queries)), len(queries))

        return Retrieved(Run.concatenate(parts()))

    def scores(self, asked: Sequence[Floats]) -> Floats:
        """The sum over a query's tokens of the largest inner product with a document's, (queries, n); 0 without tokens."""
        return maxsim(asked, self.tokens, self.starts)


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

    return loaded("multi-vector model", options, make, unread=True)
