"""What all adapters of sentence-transformers models share: which files and code a model is, its loading, its owners.

Weights are read from safetensors only. A checkpoint that lacks weights which the model needs is refused, since the library would
fill them with random numbers. An index holds its model; a pool lets indexes of one process share it and forgets it when no index
is left, but for the two loaded last.
"""

from __future__ import annotations

import re
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self
from weakref import WeakValueDictionary

from pydantic import Field

from limitbench.errors import LimitbenchError, SpecError
from limitbench.files import read_record
from limitbench.retrievers.base import Adapter, CutTexts
from limitbench.retrievers.batch_tuning import DEFAULT_BATCH
from limitbench.retrievers.cut_texts import cut_texts
from limitbench.retrievers.model_files import (
    PACKAGED,
    Source,
    model_source,
    quiet,
)
from limitbench.retrievers.spec import model_and_revision

POOLER = re.compile(r"(^|\.)pooler\.")  # of an encoder whose token states are pooled: never read


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
        return DEFAULT_BATCH if self.batch_size == "auto" else self.batch_size

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
        """The model's name, licence where known, weights, and the label of one that limitbench trained."""
        known = PACKAGED.get(self.model, {"id": model_and_revision(self.model)[0]})
        trained = self.source.folder / "limitbench.json"
        told = read_record(trained) if trained.is_file() else {}
        label = {"label": told["label"]} if isinstance(told, dict) and "label" in told else {}
        return {**known, "weights": self.source.weights, **label}

    def located(self, place: Callable[[str], str]) -> Self:
        """The same with the model's folder in its place; a packaged name is no folder."""
        return self if self.model in PACKAGED else super().located(place)


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
    config = read_record(folder / "config.json") if (folder / "config.json").is_file() else {}
    if "HF_ColBERT" in (config.get("architectures") or ()):
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
        """Forget all models, so that the next use loads them again."""
        self.held.clear()
        self.latest.clear()


POOL = Pool()


def loaded(
    kind: str,
    options: ModelAdapter,
    make: Callable[[Source], Any],
    *extra: Any,
    unread: bool = False,
    own: bool = False,
) -> Loaded:
    """The model of an adapter's options from the pool, made by `make` from its source where it is not there.

    `unread`: a pooler's weights may be missing, since nothing reads its output. `own`: the modules behind the
    first are ours, and have no weights to train.
    """
    source = options.source

    def load() -> Any:
        with loading(kind, options.model, options.device, unread=POOLER if unread else None):
            engine = make(source)
        if not own:
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
