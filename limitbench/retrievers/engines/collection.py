"""What is read of a collection that a user already has: some of its vectors, its own search, and an exact search beside it.

Nothing is written. The search is the user's: with the settings that the server, the role or `settings` give, and with a scan
where the engine's planner chooses one.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

from limitbench.errors import InputError
from limitbench.retrievers.engines.contract import Proof

# ids of the documents found, the best first, and their scores by the stored vectors: larger is nearer
Ranked = tuple[list[str], npt.NDArray[np.float64]]


@dataclass(frozen=True, kw_only=True)
class Address:
    """Which collection, and how it is reached; `settings` are the engine's, by its own names, for these searches alone."""

    collection: str
    vector: str | None = None  # its column, field or name, where there are several
    id: str | None = None  # the column that names a document; None: the primary key
    where: str | None = None  # a condition of every search, in the engine's language
    settings: Mapping[str, str] = field(default_factory=dict)
    url: str | None = None
    dsn_env: str | None = None
    key_env: str | None = None
    timeout: float = 60.0  # seconds a search may take


class Collection(ABC):
    """A collection of the user's, read and never written. Queries are in the engine's form, from `sample` or `query`."""

    name: ClassVar[str]

    @property
    @abstractmethod
    def rows(self) -> int:
        """How many documents it has, as the engine tells it; an estimate where counting would read all of them."""

    @property
    @abstractmethod
    def dim(self) -> int:
        """The dimension of its vectors."""

    @abstractmethod
    def effective(self) -> Mapping[str, Any]:
        """The index and the settings in force, as the engine tells them."""

    @abstractmethod
    def sample(self, count: int, seed: int) -> tuple[list[str], list[Any]]:
        """Ids and vectors of some documents, at most `count`."""

    @abstractmethod
    def query(self, vector: npt.NDArray[np.float32]) -> Any:
        """A vector (d,) as the engine is asked with it."""

    @abstractmethod
    def search(self, query: Any, depth: int) -> Ranked:
        """What the user's index finds."""

    @abstractmethod
    def exact(self, query: Any, depth: int) -> Ranked:
        """What a scan of the same vectors finds."""

    @abstractmethod
    def proof(self, query: Any, depth: int) -> Proof:
        """Whether `search` goes through an index."""

    @abstractmethod
    def close(self) -> None:
        """Let go of the connection."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def the_one(engine: str, wanted: str | None, found: Mapping[str, Any], what: str) -> Any:
    """The value of the name wanted, or of the only one; `what` is their plural. Raises `InputError` that lists the names."""
    if wanted is None and len(found) == 1:
        return next(iter(found.values()))
    if wanted is not None and wanted in found:
        return found[wanted]
    if not found:
        raise InputError(f"engine '{engine}': there are no {what}")
    asked = "several" if wanted is None else f"no '{wanted}'"
    raise InputError(f"engine '{engine}': found {asked} among the {what}; name one of {', '.join(found)} by --vector")
