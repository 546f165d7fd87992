"""Which service answered: a few fixed texts, embedded at the start of every use of an endpoint and compared with last time's.

A URL and a model's name do not decide a vector: a service may die, be replaced, or answer nonsense. So embeddings that came from
one are kept under the *generation* whose canary they match. The canary's vectors must agree to 2 % of their length; a service
that answers otherwise starts a new generation, and nothing that an older one made is served for it. What changes between the
canary and the end of the same use is not seen.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from limitbench import catalog
from limitbench.errors import LimitbenchError
from limitbench.files import atomic_write

Floats = npt.NDArray[np.float32]
PROBES = (
    "canary",
    "Who likes quokkas?",
    "The committee met on 14 March 1987 and postponed the vote on vitamin C, \u65e5\u672c\u8a9e and na\u00efve caf\u00e9s.",
    "0123456789 " * 12,
)
TOLERANCE = 0.02  # of a probe's length, by which its vector may differ


@dataclass(frozen=True)
class Generation:
    """One state of a service: its name, and how far the nearest known one was where this one is new."""

    name: str
    differs: float | None = None

    @property
    def remark(self) -> str | None:
        """What to say of a service that changed; None for one that is known, or was never seen."""
        if self.differs is None:
            return None
        how = "with other dimensions" if np.isinf(self.differs) else f"up to {100 * self.differs:.3g} % away"
        return (
            f"the service answers other vectors than when its embeddings were cached ({how}, {100 * TOLERANCE:g} % are allowed); "
            "none of them is used, and all texts are embedded anew"
        )


def generation(service: Mapping[str, Any], encode: Callable[[Sequence[str]], Floats]) -> Generation:
    """The generation of a service that answers the canary now. `service` is what names it, such as URL and model."""
    now = encode(PROBES)  # (probes, d)
    folder = _folder(service)
    nearest = float("inf")
    seen = False
    for path in sorted(folder.glob("*.npy")):
        kept = _read(path)
        if kept is None:
            continue
        seen = True
        apart = distance(kept, now)
        if apart <= TOLERANCE:
            return Generation(path.stem)
        nearest = min(nearest, apart)
    stream = io.BytesIO()
    np.save(stream, now, allow_pickle=False)
    name = hashlib.sha256(stream.getvalue()).hexdigest()[:24]
    with contextlib.suppress(LimitbenchError), atomic_write(folder / f"{name}.npy") as out:
        out.write(stream.getvalue())
    return Generation(name, nearest if seen else None)


def distance(a: Floats, b: Floats) -> float:
    """How far two answers (probes, d) are apart: the largest distance of a probe's vectors over its length; infinite across
    shapes."""
    if a.shape != b.shape:
        return float("inf")
    lengths = np.maximum(np.linalg.norm(a, axis=1), 1e-30)
    return float((np.linalg.norm(a - b, axis=1) / lengths).max())


def _folder(service: Mapping[str, Any]) -> Path:
    key = hashlib.sha256(json.dumps(service, sort_keys=True).encode()).hexdigest()
    return catalog.cache_folder() / "services" / key[:32]


def _read(path: Path) -> Floats | None:
    """The vectors in a file, or None where it is broken; such a file is removed."""
    with contextlib.suppress(OSError, ValueError, EOFError):
        found: Floats = np.load(path, allow_pickle=False)
        if found.ndim == 2 and len(found) == len(PROBES) and found.dtype == np.float32 and np.isfinite(found).all():
            return found
    with contextlib.suppress(OSError):
        path.unlink()
    return None
