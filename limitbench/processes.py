"""Pieces of work on this machine's cores: a pool of processes, one thread each, that is an `Each`."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from limitbench.errors import LimitbenchError, OutOfMemory
from limitbench.progress import Failed

_AHEAD = 2  # items a process that are sent before one is done
_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")
_call: Callable[[Any], Any]  # what a process of the pool was sent once


@dataclass(frozen=True)
class ProcessPool:
    """So many processes at a time. Each call starts them and ends them; the function is sent to each once."""

    count: int

    def __call__(
        self,
        call: Callable[[Any], Any],
        items: Sequence[Any],
        *,
        label: Callable[[Any], str] = str,  # noqa: ARG002
        light: bool = False,  # noqa: ARG002
    ) -> Iterator[tuple[int, Any]]:
        """What `call` gives for each item, with the item's place, as they are done; an item that fails gives its error.

        A script that asks for this needs `if __name__ == "__main__":`. Raises `OutOfMemory` where a process dies.
        """
        if not items:
            return
        method = multiprocessing.get_context("spawn")  # torch's thread pools do not survive a fork
        with one_thread(), ProcessPoolExecutor(self.count, method, initializer=_begin, initargs=(call,)) as pool:
            waiting, under_way = iter(range(len(items))), dict[Future[Any], int]()
            try:
                while True:
                    for place in waiting:
                        under_way[pool.submit(_one, items[place])] = place
                        if len(under_way) >= _AHEAD * self.count:
                            break
                    if not under_way:
                        return
                    done, _ = wait(under_way, return_when=FIRST_COMPLETED)
                    for future in done:
                        value = future.result()
                        yield under_way.pop(future), value.error() if isinstance(value, Failed) else value
            except BrokenProcessPool:
                raise OutOfMemory(
                    "a process of the pool died, as it does when memory runs out; choose fewer --jobs"
                ) from None
            finally:
                pool.shutdown(wait=not under_way, cancel_futures=True)


def _begin(call: Callable[[Any], Any]) -> None:
    """Keep what this process is to do; Ctrl-C is for the process that started it, and without that there is no use for this."""
    global _call
    _call = call
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _one(item: Any) -> Any:
    try:
        return _call(item)
    except LimitbenchError as error:
        return Failed.by(error)


@contextmanager
def one_thread() -> Iterator[None]:
    """Processes that start while it is open have one thread each."""
    before = {name: os.environ.get(name) for name in _THREADS}
    os.environ.update(dict.fromkeys(_THREADS, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
