"""A server that speaks JSON over HTTP: one connection, errors of one line, and a key that is never shown."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from typing import Any

import httpx

from limitbench.errors import RetrievalError, SpecError, StorageError

_FULL = ("no space left", "disk usage exceeded", "flood_stage", "flood-stage", "disk is full", "not enough space")


class Rest:
    """Calls to one server. `header` is where a key goes, after `scheme`."""

    def __init__(
        self, engine: str, url: str, key_env: str | None, *, header: str = "Authorization", scheme: str = "Bearer "
    ) -> None:
        self.engine, self.url, self.key_env = engine, url, key_env
        self._key = os.environ.get(key_env, "").strip() if key_env else ""
        if key_env and not self._key:
            raise SpecError(f"engine '{engine}': the variable {key_env}, named by key_env, is not set")
        if not self._key.isprintable() or not self._key.isascii():
            raise SpecError(
                f"engine '{engine}': the key in {key_env} holds characters that no header can; set it again"
            )
        headers = {header: scheme + self._key} if self._key else {}
        self._http = httpx.Client(base_url=url, headers=headers, timeout=httpx.Timeout(60, connect=10))

    def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        lines: Iterable[Any] | None = None,
        seconds: float | None = None,
    ) -> Any:
        """What the server answers, as JSON; `lines` go as one JSON document a line, `seconds` is how long to wait."""
        content, kind = None, "application/json"
        if lines is not None:
            content, kind = "".join(json.dumps(line) + "\n" for line in lines).encode(), "application/x-ndjson"
        elif body is not None:
            content = json.dumps(body).encode()
        try:
            answer = self._http.request(
                method, path, content=content, headers={"Content-Type": kind} if content is not None else {},
                timeout=httpx.USE_CLIENT_DEFAULT if seconds is None else seconds,
            )  # fmt: skip
        except httpx.TimeoutException:
            raise self._error("gave no answer in time; what was measured is kept") from None
        except httpx.HTTPError as error:
            raise self._error(
                f"does not answer ({type(error).__name__}); start it and run again: what was measured is kept"
            ) from None
        if answer.status_code in (401, 403):
            where = (
                f"the key in {self.key_env}" if self.key_env else "calls without a key; name its variable by key_env"
            )
            raise self._error(f"refuses {where} (HTTP {answer.status_code})")
        if answer.is_error:
            self._refuse(answer)
        try:
            return answer.json() if answer.content else {}
        except ValueError:
            raise self._error("answers no JSON; is it another service?") from None

    def first(self, path: str) -> Any:
        """The first call, a GET; where it fails, the connection is closed."""
        try:
            return self.call("GET", path)
        except BaseException:
            self.close()
            raise

    def _refuse(self, answer: httpx.Response) -> None:
        text = " ".join(answer.text.split())
        if self._key:
            text = text.replace(self._key, "***")
        if any(piece in text.lower() for piece in _FULL):
            raise StorageError(
                f"engine '{self.engine}' at {self.url}: the server's disk is full; free some room there and run again"
            )
        raise self._error(f"says HTTP {answer.status_code}: {text[:200]}")

    def _error(self, problem: str) -> RetrievalError:
        return RetrievalError(f"engine '{self.engine}': {self.url} {problem}")

    def close(self) -> None:
        """Close the connection."""
        self._http.close()
