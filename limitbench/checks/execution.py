"""Running what a configuration names, a command or a Python function, in bounded time and memory.

The only door through which a configuration executes anything. A child gets its own process group, which is killed as a whole when
the time is up, when it prints too much, or when we are stopped, and so is what left the group, where /proc shows it; nothing goes
through a shell.
"""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from limitbench.checks.secrets import hidden
from limitbench.errors import LimitbenchError

_MOST_OUTPUT = 256_000_000  # bytes of a child's stdout
_MARK = "LIMITBENCH_CHILD"
_SHOWN = 300  # characters of its stderr in a message


class ExecutionError(LimitbenchError):
    """A child failed; the message says how, without the secrets that it may have printed."""

    def __init__(self, message: str) -> None:
        super().__init__(hidden(message))


def run_command(
    command: str | Sequence[str], queries: Mapping[str, str], top_k: int, folder: Path, seconds: float
) -> bytes:
    """The stdout of a program that reads queries as jsonl on its stdin; LIMITBENCH_TOP_K tells the depth."""
    try:
        words = shlex.split(command) if isinstance(command, str) else list(command)
    except ValueError as error:
        raise ExecutionError(f"the command does not parse ({error}); mend its quotes") from None
    lines = "".join(
        json.dumps({"_id": name, "text": text}, ensure_ascii=False) + "\n" for name, text in queries.items()
    )
    return _child(words, lines.encode("utf-8", "surrogatepass"), top_k, folder, seconds)


def run_python(target: str, queries: Mapping[str, str], top_k: int, folder: Path, seconds: float) -> bytes:
    """The JSON {query id: {document id: score}} of MODULE:FUNCTION, imported from `folder`, in a process of its own."""
    words = [sys.executable, "-m", "limitbench.checks.worker", target]
    return _child(words, json.dumps(dict(queries)).encode(), top_k, folder, seconds)


def _child(words: Sequence[str], given: bytes, top_k: int, folder: Path, seconds: float) -> bytes:
    mark = uuid.uuid4().hex
    environment = {**os.environ, "LIMITBENCH_TOP_K": str(top_k), _MARK: mark}
    name = words[0] if words else ""
    stopped, before = (
        _on_termination()
    )  # before the start: no moment is left in which SIGTERM would leave a child behind
    try:
        process = subprocess.Popen(
            list(words),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=folder,
            env=environment,
            start_new_session=True,
        )
    except (OSError, ValueError, IndexError) as error:
        _restore(before)
        raise ExecutionError(
            f"'{name}' cannot be started ({getattr(error, 'strerror', None) or error}); check the program and its path"
        ) from None
    out, err = _Reader(process.stdout, _MOST_OUTPUT), _Reader(process.stderr, 1 << 20, keep_last=True)
    writer = threading.Thread(target=_write, args=(process.stdin, given), daemon=True)
    deadline = time.monotonic() + seconds
    try:
        for thread in (out, err, writer):
            thread.start()
        while process.poll() is None and time.monotonic() < deadline and not out.full and not stopped.is_set():
            time.sleep(0.01)
        late = process.poll() is None
        _kill(process)
        _kill_marked(mark)
        out.join(timeout=max(0.0, min(2.0, deadline - time.monotonic())) + 0.5)
        err.join(timeout=0.5)
    finally:
        _kill(process)
        _kill_marked(mark)
        process.wait()
        _restore(before)
    if stopped.is_set():
        raise SystemExit(143)
    if out.full:
        raise ExecutionError(
            f"'{name}' printed more than {_MOST_OUTPUT // 10**6} MB and was stopped; print the top documents alone"
        )
    if late:
        raise ExecutionError(
            f"'{name}' was not done after {seconds:.0f} s and was stopped; give more with timeout, or --time-budget"
        )
    if process.returncode:
        ended = (
            f"was killed by signal {-process.returncode}"
            if process.returncode < 0
            else f"ended with code {process.returncode}"
        )
        tail = " ".join(hidden(err.text).split())[-_SHOWN:]  # hidden first: a part of a secret is one
        raise ExecutionError(f"'{name}' {ended}{': ' + tail if tail else ''}; run it by hand and mend it")
    return bytes(out.data)


def _on_termination() -> tuple[threading.Event, dict[int, Any]]:
    """Have SIGTERM, as CI sends it, and SIGHUP set an event, so that the child is ended before we are; and the handlers before."""
    stopped = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        return stopped, {}
    numbers = [signal.SIGTERM, *([signal.SIGHUP] if hasattr(signal, "SIGHUP") else [])]
    return stopped, {number: signal.signal(number, lambda _number, _frame: stopped.set()) for number in numbers}


def _restore(handlers: dict[int, Any]) -> None:
    for number, handler in handlers.items():
        signal.signal(number, handler)


def _kill(process: subprocess.Popen[bytes]) -> None:
    """End the child and all that it started in its group."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)


def _kill_marked(mark: str) -> None:
    """End what left the child's group (setsid), where /proc shows it: it still carries the mark in its environment."""
    for place in Path("/proc").glob("[0-9]*/environ"):
        with contextlib.suppress(OSError, ValueError):
            if f"{_MARK}={mark}".encode() in place.read_bytes().split(b"\0"):
                os.kill(int(place.parent.name), signal.SIGKILL)


def _write(stream: IO[bytes] | None, given: bytes) -> None:
    if stream is not None:
        with contextlib.suppress(OSError, ValueError), stream:
            stream.write(given)


class _Reader(threading.Thread):
    """Drains a stream into memory, up to a size: the first bytes, or the last."""

    def __init__(self, stream: IO[bytes] | None, most: int, *, keep_last: bool = False) -> None:
        super().__init__(daemon=True)
        self.stream, self.most, self.keep_last = stream, most, keep_last
        self.data = bytearray()
        self.full = False

    def run(self) -> None:
        """Read until the end of the stream, or until it is full."""
        if self.stream is None:
            return
        with contextlib.suppress(OSError, ValueError), self.stream:
            while chunk := self.stream.read1(1 << 16):  # type: ignore[attr-defined]  # pipes are buffered
                self.data += chunk
                if len(self.data) > self.most:
                    if not self.keep_last:
                        self.full = True
                        return
                    del self.data[: -self.most]

    @property
    def text(self) -> str:
        """What was read, as text."""
        return bytes(self.data).decode("utf-8", "replace")
