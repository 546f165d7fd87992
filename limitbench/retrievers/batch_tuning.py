"""Batch size and threads of an encoder, chosen by a short probe: the first texts are encoded under each, and the fastest stays.

What the probe encodes is kept, so it costs nothing but the slower candidates' lag.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from limitbench.retrievers.best_columns import Floats

Encode = Callable[[Sequence[str], int], Floats]  # (texts, batch size) -> (texts, d)
DEFAULT_BATCH = 32
_SIZES = (16, 32, 64)
_WARM, _SLICE = 16, 48  # texts: before anything is timed, and for each candidate
_CLEARLY = 1.1  # by which fewer threads must be faster: noise should not decide
_PROBE = _WARM + _SLICE * (len(_SIZES) + 1)


@dataclass(eq=False)
class BatchTuner:
    """The batch size in force; None until the probe has chosen one. `rates` are characters a second by candidate."""

    size: int | None = None
    threads: int | None = None
    rates: dict[str, float] = field(default_factory=dict)

    @property
    def facts(self) -> dict[str, Any]:
        """The batch size, the threads where the probe chose them, and what it measured."""
        chosen = {"batch_size": self.size or DEFAULT_BATCH}
        threads = {} if self.threads is None else {"threads": self.threads}
        return {**chosen, **threads, **({"probe_characters_per_second": self.rates} if self.rates else {})}

    def encode(self, texts: Sequence[str], encode: Encode, *, on_cpu: bool) -> Floats:
        """The texts encoded; a first call with enough of them, and no size given, is the probe."""
        if self.size is not None or len(texts) < _PROBE:
            with _threads(self.threads):
                return encode(texts, self.size or DEFAULT_BATCH)
        parts = [encode(texts[:_WARM], DEFAULT_BATCH)]
        at = _WARM
        for size in _SIZES:
            parts.append(self._timed(texts[at : at + _SLICE], encode, size, f"batch {size}"))
            at += _SLICE
        self.size = max(_SIZES, key=lambda size: self.rates[f"batch {size}"])
        whole = torch.get_num_threads()
        if on_cpu and whole > 1 and not os.environ.get("OMP_NUM_THREADS"):
            name = f"batch {self.size}, {whole // 2} threads"
            with _threads(whole // 2):
                parts.append(self._timed(texts[at : at + _SLICE], encode, self.size, name))
            at += _SLICE
            faster = self.rates[name] > _CLEARLY * self.rates[f"batch {self.size}"]
            self.threads = whole // 2 if faster else whole
        if at < len(texts):
            with _threads(self.threads):
                parts.append(encode(texts[at:], self.size))
        return np.concatenate(parts)

    def _timed(self, texts: Sequence[str], encode: Encode, size: int, name: str) -> Floats:
        start = time.perf_counter()
        out = encode(texts, size)
        self.rates[name] = round(sum(map(len, texts)) / max(time.perf_counter() - start, 1e-9), 1)
        return out


@contextmanager
def _threads(count: int | None) -> Iterator[None]:
    """Run with so many torch threads, and with as many as before afterwards: the choice is one encoder's, not the process's."""
    before = torch.get_num_threads()
    if count is None or count == before:
        yield
        return
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
