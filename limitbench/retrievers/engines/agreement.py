"""How much of exact search an engine found: by documents, and by scores, of vectors in NumPy."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from limitbench.retrievers.engines.contract import Numbers

SLACK = 1e-6  # of the kth score: what rounding may change
PARTS = 1_000_000  # into which ids are spread for a filter by share


def shares(
    found: Numbers, exact: npt.NDArray[np.floating[Any]], depth: int, among: Numbers | None = None
) -> tuple[float, float]:
    """Of exact search's best `depth` documents, the share found: by documents, and by scores.

    `exact` are the scores of all documents; only those in `among` count, where it is given: one that should have been left out
    takes a place. By documents, one that ties with the last of the best counts as well. By scores, so does one that is as near as
    the last, `SLACK` aside.
    """
    exact = exact.astype(np.float64)  # or the slack would be rounded away
    allowed = exact if among is None else exact[among]
    depth = min(depth, len(allowed))
    if not depth:
        return 1.0, 1.0
    last = float(np.partition(allowed, len(allowed) - depth)[len(allowed) - depth])
    got = exact[np.unique(found[:depth]) if among is None else np.intersect1d(found[:depth], among)]
    return shares_of(got, last, depth)


def shares_of(got: npt.NDArray[np.floating[Any]], last: float, depth: int) -> tuple[float, float]:
    """The same from the exact scores of what was found, each document once, and that of exact search's last of the best."""
    near = got >= last - SLACK * max(1.0, abs(last))
    return min(int((got >= last).sum()), depth) / depth, min(int(near.sum()), depth) / depth


def spread(ids: Sequence[str]) -> Numbers:
    """A whole number below `PARTS` of each id, by its CRC-32: a filter below `share * PARTS` lets about that share pass."""
    return np.array([zlib.crc32(name.encode()) % PARTS for name in ids], np.int64)
