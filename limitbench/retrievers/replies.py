"""Answers of paid services by content, and what they may cost.

An answer is kept as soon as it is there, under the sha256 of all that was asked, so nothing paid for is lost: an interrupted run
goes on with the first question that has none. `limitbench cache --clear-replies` removes kept answers, and nothing else does.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from limitbench import catalog
from limitbench.errors import LimitbenchError, RetrievalError, StorageError
from limitbench.files import atomic_write, require_writable


@dataclass(frozen=True)
class ReplyCache:
    """One JSON file an answer, in a folder."""

    folder: Path

    @classmethod
    def default(cls) -> ReplyCache:
        """The cache of this user."""
        return cls(catalog.cache_folder() / "replies")

    @classmethod
    def ready(cls) -> ReplyCache:
        """The cache of this user, tried first. Raises `StorageError` where no answer could be kept: before anything is paid for."""
        found = cls.default()
        try:
            require_writable(found.folder)
        except StorageError as error:
            raise StorageError(
                f"answers of a paid service could not be kept: {error}; or set LIMITBENCH_CACHE"
            ) from None
        return found

    def _path(self, asked: Mapping[str, Any]) -> Path:
        key = hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()
        return self.folder / key[:2] / f"{key}.json"

    def get(self, asked: Mapping[str, Any]) -> dict[str, Any] | None:
        """What was answered to this, or None. A file that is cut off or altered counts for nothing, and is removed."""
        path = self._path(asked)
        try:
            raw = path.read_bytes()
        except OSError:  # none, or one that cannot be read now: it may be paid for
            return None
        try:
            kept = json.loads(raw)
            body = kept["answer"]
            if kept["sha256"] == _digest(path.stem, body):
                return dict(body)
        except (ValueError, KeyError, TypeError, RecursionError):
            pass
        with contextlib.suppress(OSError):
            path.unlink()
        return None

    def put(self, asked: Mapping[str, Any], answer: Mapping[str, Any]) -> None:
        """Keep an answer. A disk that is full costs a question asked twice, not the result."""
        path = self._path(asked)
        record = {"answer": dict(answer), "sha256": _digest(path.stem, answer)}
        with contextlib.suppress(LimitbenchError), atomic_write(path) as out:
            out.write(json.dumps(record, sort_keys=True).encode())

    def files(self) -> list[tuple[Path, int]]:
        """(path, bytes) of every file."""
        found = []
        for path in self.folder.glob("??/*.json"):
            with contextlib.suppress(OSError):
                found.append((path, path.stat().st_size))
        return found

    def clear(self) -> int:
        """Remove all answers; how many that were."""
        files = self.files()
        for path, _ in files:
            path.unlink(missing_ok=True)
        return len(files)


def _digest(key: str, answer: Mapping[str, Any]) -> str:
    return hashlib.sha256(f"{key}{json.dumps(answer, sort_keys=True)}".encode()).hexdigest()


@dataclass(eq=False)
class Budget:
    """How many requests may be sent from now on, and how many tokens they may take; None: as many as there are.

    Threads share it, and so does all of one process that asks one model under the same limits (`shared`). A request is counted
    before it is sent, with an estimate of its tokens that the service's own count replaces.
    """

    most_calls: int | None = None
    most_tokens: int | None = None
    calls: int = 0
    tokens: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False)

    @classmethod
    def shared(cls, model: tuple[str, ...], most_calls: int | None, most_tokens: int | None = None) -> Budget:
        """The budget of this process for a model under these limits: several datasets and depths of a command draw on one."""
        return _SHARED.setdefault((*model, most_calls, most_tokens), cls(most_calls, most_tokens))

    def reserve(self, what: str, tokens: int, kept: str) -> None:
        """Count one more request of about so many tokens. Raises `RetrievalError` where that is more than was allowed."""
        with self._lock:
            for name, most, after in (
                ("max_calls", self.most_calls, self.calls + 1),
                ("max_tokens", self.most_tokens, self.tokens + tokens),
            ):
                if most is not None and after > most:
                    raise RetrievalError(
                        f"{what}: the next request would pass {name}={most}, after {self.calls} requests and about {self.tokens} "
                        f"tokens; {kept}: allow more, and run the same command again"
                    )
            self.calls += 1
            self.tokens += tokens

    def correct(self, estimated: int, told: int | None) -> None:
        """Put the service's own count in the place of an estimate."""
        if told is not None:
            with self._lock:
                self.tokens += told - estimated


_SHARED: dict[tuple[Any, ...], Budget] = {}
