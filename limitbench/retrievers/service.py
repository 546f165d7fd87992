"""Models behind a URL: what every adapter of one shares, and one request with its retries.

A request is tried again a bounded number of times where trying again can help: no answer, 429, 5xx, an answer that is not JSON or
tells of an error. The key is read from the environment when a request is made; it is in no option, record, message or log.
"""

from __future__ import annotations

import email.utils
import json
import os
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from queue import SimpleQueue
from typing import Any, ClassVar, TypeVar
from urllib.parse import urlsplit

import httpx
from pydantic import Field, field_validator
from tenacity import RetryCallState, Retrying, retry_if_exception_type, stop_after_attempt

from limitbench.errors import LimitbenchError, RetrievalError
from limitbench.retrievers.base import Adapter, Progress, Reuse
from limitbench.retrievers.replies import Budget

Item = TypeVar("Item")
Answer = TypeVar("Answer")
_LONGEST_WAIT = 60.0  # seconds between two tries, whatever the server asks for
_MOST_BYTES = 1 << 28  # of an answer
_BYTES_PER_TOKEN = 3  # by which tokens are estimated: English has about 4, other scripts fewer


def kept_by(reuse: Reuse | None, what: str) -> str:
    """What is said of answers when work stops: whether the same command finds them again."""
    if reuse == "all":
        return f"{what} are kept"
    return f"{what} are kept, and a run without --fresh finds them; a fresh run and a check ask anew"


def estimated_tokens(text: str) -> int:
    """About how many tokens a text has, at one for three bytes."""
    return -(-len(text.encode("utf-8", "replace")) // _BYTES_PER_TOKEN)


class ServiceAdapter(Adapter):
    """Base of the adapters that ask a service: where it is, and how patiently it is asked."""

    argument: ClassVar[str | None] = "model"
    path_fields: ClassVar[tuple[str, ...] | None] = ()
    model: str = Field(min_length=1)
    url: str = "https://api.openai.com/v1"
    key_env: str = "OPENAI_API_KEY"
    timeout: float = Field(60, gt=0, allow_inf_nan=False)  # seconds a request may take
    retries: int = Field(4, ge=0, le=20)
    wait: float = Field(1.0, ge=0, le=60)  # seconds before the first retry, doubled with each
    per_minute: float | None = Field(None, gt=0, allow_inf_nan=False)  # requests at most
    reuse: Reuse = Field("all", exclude=True)  # set by what asks, never by a spec

    @field_validator("url")
    @classmethod
    def _plain(cls, value: str) -> str:
        parts = urlsplit(value)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("expected http://HOST/v1 or https://HOST/v1")
        if parts.username or parts.password or parts.query or parts.fragment:
            raise ValueError("expected a URL without user, password, query or fragment: keys belong in the environment")
        return value.rstrip("/")

    @property
    def card(self) -> dict[str, Any]:
        """The model's name and where it is asked."""
        return {"id": self.model, "url": self.url}


class PaidAdapter(ServiceAdapter):
    """Base of the adapters whose every answer is paid for, and kept by its content.

    How patiently a service is asked, how many requests go at a time, and with which key, decides no answer: it is in no
    configuration. `max_calls` bounds the requests of one process to this model, retries counted; answers that are kept cost
    nothing.
    """

    key_env: str = Field("OPENAI_API_KEY", exclude=True)
    timeout: float = Field(60, gt=0, allow_inf_nan=False, exclude=True)
    retries: int = Field(4, ge=0, le=20, exclude=True)
    wait: float = Field(1.0, ge=0, le=60, exclude=True)
    per_minute: float | None = Field(None, gt=0, allow_inf_nan=False, exclude=True)
    parallel: int = Field(4, ge=1, le=256, exclude=True)  # requests at a time
    max_calls: int | None = Field(None, ge=1, exclude=True)


class _TryAgain(Exception):
    """A request failed in a way that another try may mend; `after` is how many seconds the service asked to wait."""

    def __init__(self, problem: str, after: float | None = None) -> None:
        self.after = after
        super().__init__(problem)


class Refused(Exception):
    """The service refused a request as it is (400, 413, 422); the text has the status and what it said."""


@dataclass(eq=False)
class Service:
    """One path of a service, such as /embeddings. Threads may share it.

    `holds` is the key that an answer has where it is no error. `kept` says what of the work so far is not lost. Every request that
    goes out, a retry too, is counted in the `budget` before.
    """

    options: ServiceAdapter
    path: str
    holds: str
    kept: str
    budget: Budget = field(default_factory=Budget)
    sent: int = field(default=0, init=False)  # requests that went out, retries too
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False)
    _free_at: float = field(default=0.0, init=False)  # when the next request may be sent, by time.monotonic
    _stopped: threading.Event = field(default_factory=threading.Event, init=False)

    @property
    def name(self) -> str:
        """The service and the model, for messages."""
        return f"{self.options.adapter} {self.options.url}, model '{self.options.model}'"

    @cached_property
    def _http(self) -> httpx.Client:
        """The connections, kept open as long as this object."""
        made = httpx.Client(timeout=self.options.timeout, follow_redirects=True)
        weakref.finalize(self, made.close)
        return made

    def ask(self, payload: dict[str, Any], tokens: int = 0) -> tuple[Any, float]:
        """The service's answer as parsed JSON, and the seconds that it took, without waits and tries before it.

        `tokens` is about how many it may take. Raises `Refused` for a request that it does not take as it is, `RetrievalError` for
        what trying again does not mend.
        """
        options = self.options
        tries = Retrying(
            stop=stop_after_attempt(options.retries + 1), wait=self._pause, sleep=self._sleep,
            retry=retry_if_exception_type(_TryAgain), reraise=True,
        )  # fmt: skip
        try:
            found: tuple[Any, float] = tries(self._once, payload, tokens)
            return found
        except _TryAgain as problem:
            raise RetrievalError(
                f"{self.name}: {problem}, {options.retries + 1} times; {self.kept}: run the same command again later"
            ) from None

    def _pause(self, state: RetryCallState) -> float:
        """Seconds to wait: what the service asked for, else doubling."""
        problem = state.outcome.exception() if state.outcome is not None else None
        asked = problem.after if isinstance(problem, _TryAgain) else None
        return min(_LONGEST_WAIT, self.options.wait * 2.0 ** (state.attempt_number - 1) if asked is None else asked)

    def _take_turn(self) -> None:
        """Wait until `per_minute` allows another request."""
        rate = self.options.per_minute
        if rate is None:
            return
        with self._lock:
            now = time.monotonic()
            due, self._free_at = max(now, self._free_at), max(now, self._free_at) + 60 / rate
        self._sleep(max(0.0, due - now))

    def _sleep(self, seconds: float) -> None:
        if self._stopped.wait(seconds):
            raise RetrievalError(f"{self.name}: stopped; {self.kept}")

    @property
    def stopped(self) -> bool:
        """Whether nothing more is to be sent."""
        return self._stopped.is_set()

    def stop(self) -> None:
        """Have all threads send nothing more, until `resume`."""
        self._stopped.set()

    def resume(self) -> None:
        """Send again."""
        self._stopped.clear()

    def _once(self, payload: dict[str, Any], tokens: int) -> tuple[Any, float]:
        options = self.options
        self._sleep(0)
        self._take_turn()
        self.budget.reserve(self.name, tokens, self.kept)
        with self._lock:
            self.sent += 1
        key = os.environ.get(options.key_env, "")
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        start = time.perf_counter()
        try:
            status, asked_to_wait, body = self._posted(payload, headers)
        except httpx.TimeoutException:
            raise _TryAgain(f"no answer within {options.timeout:g} s") from None
        except httpx.HTTPError as error:
            raise _TryAgain(f"cannot be reached ({type(error).__name__})") from None
        except (ValueError, UnicodeError):
            raise LimitbenchError(f"the key in {options.key_env} is not one line of ASCII; mend the variable") from None
        seconds = time.perf_counter() - start
        if status != 200:
            self.budget.correct(tokens, 0)  # a refusal takes no tokens
        if status == 429 or status >= 500:
            raise _TryAgain(f"answered {status}", _seconds(asked_to_wait))
        said = " ".join(self.without_key(body[:20_000].decode("utf-8", "replace")).split())[:200]
        if status in (400, 413, 422):
            raise Refused(f"{status} ({said})")
        if status != 200:
            raise RetrievalError(
                f"{self.name}: answered {status} ({said}); check the URL, the model and {options.key_env}"
            )
        try:
            content = json.loads(body)
        except (ValueError, RecursionError):
            raise _TryAgain("answered what is not JSON") from None
        if isinstance(content, dict) and content.get("error") and not content.get(self.holds):
            raise _TryAgain(f"answered an error ({said})")
        return content, seconds

    def without_key(self, text: str) -> str:
        """The text without the key, which a service may well repeat."""
        key = os.environ.get(self.options.key_env, "")
        return text.replace(key, "[key]") if key else text

    def _posted(self, payload: dict[str, Any], headers: dict[str, str]) -> tuple[int, str, bytes]:
        """Status, Retry-After and body; a body that trickles in or never ends is given up."""
        end = time.monotonic() + self.options.timeout
        parts, size = [], 0
        with self._http.stream("POST", f"{self.options.url}{self.path}", json=payload, headers=headers) as answer:
            for part in answer.iter_bytes():
                parts.append(part)
                size += len(part)
                if size > _MOST_BYTES:
                    raise RetrievalError(f"{self.name}: answered more than {_MOST_BYTES >> 20} MB; check the URL")
                if time.monotonic() > end:
                    raise httpx.ReadTimeout("the answer trickles in")
        return answer.status_code, answer.headers.get("Retry-After", ""), b"".join(parts)


def in_parallel(
    service: Service, work: Callable[[Item], Answer], items: Sequence[Item], threads: int, progress: Progress, stage: str
) -> list[Answer]:  # fmt: skip
    """The work of each item, in their order, so many at a time.

    The first error stops the others, once the requests that are under way are answered: they may be paid for. An interrupt waits
    for nothing, so threads are daemons, which a pool's are not.
    """
    todo, done = deque(range(len(items))), SimpleQueue[tuple[int, Answer | None, BaseException | None]]()
    service.resume()

    def run() -> None:
        with suppress(IndexError):
            while not service.stopped:
                number = todo.popleft()
                try:
                    done.put((number, work(items[number]), None))
                except BaseException as error:  # whatever it is, it is raised where it is waited for
                    done.put((number, None, error))

    running = [threading.Thread(target=run, daemon=True) for _ in range(min(threads, len(items)))]
    for thread in running:
        thread.start()
    out: dict[int, Any] = {}
    try:
        while len(out) < len(items):
            number, out[number], error = done.get()
            if error is not None:
                service.stop()
                for thread in running:
                    thread.join()
                raise error
            progress(stage, len(out), len(items))
    except BaseException:  # also where progress raises, and at an interrupt: nothing more is sent
        service.stop()
        raise
    return [out[number] for number in range(len(items))]


def _seconds(after: str) -> float | None:
    """What a Retry-After says: seconds, or a date; None where it says nothing that can be read."""
    try:
        return max(0.0, float(after))
    except ValueError:
        pass
    try:
        return max(0.0, email.utils.parsedate_to_datetime(after).timestamp() - time.time())
    except (TypeError, ValueError):
        return None
