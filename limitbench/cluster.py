"""Points of a run on many machines by Ray: tasks that are made again where a worker or a node dies.

Nothing else of limitbench knows Ray. A function and its data are sent once, items one by one, and only as many at a time as there
are cores for, so that a driver's memory is bounded. What comes back is stored by the driver as it comes.
"""

from __future__ import annotations

import contextlib
import os
import platform
import socket
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, partial
from importlib.metadata import version
from typing import Any, Self

from limitbench.errors import ClusterError, LimitbenchError, MissingExtra
from limitbench.progress import Failed
from limitbench.provenance import versions

_PATIENCE = 5.0  # seconds for an address to answer
_RETRIES = 3  # of a task whose worker or node died
_AHEAD = 2  # tasks a core that are sent before one is done
_FULL = "the cluster's shared memory, and the disk below it, are full; start its nodes with more --object-store-memory"
_STORE = 512 * 2**20  # bytes of shared memory of a local cluster, unless there is less


def _ray() -> Any:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # Ray's coming default; it warns without
    try:
        import ray
    except ModuleNotFoundError:
        raise MissingExtra("--cluster", "ray", "ray") from None
    return ray


def _about() -> dict[str, str]:
    """What this machine runs, where it can move a number."""
    return {**versions(), "ray": version("ray"), "machine": platform.machine()}


@cache
def _about_once() -> dict[str, str]:
    """The same, looked up once a process."""
    return _about()


def _done(call: Callable[[Any], Any], driver: Mapping[str, str], item: Any) -> Any:
    """What a call gives on a node, or its error; nodes that joined late are compared with the driver here."""
    other = differing(driver, _about_once())
    if other:
        return Failed(
            "ClusterError", f"node {platform.node()} has other versions: {other}; install the same on every node"
        )
    try:
        return call(item)
    except LimitbenchError as error:
        return Failed.by(error)


@dataclass
class Cluster:
    """A connection to a cluster: `local` starts one on this machine's cores and ends it; an address joins one that runs.

    Use it in a `with`; it is an `Each`. `gpus` is what every task asks for. `told` gets a line of how far the work is.
    Raises `ClusterError` where the address does not answer, or a node has other versions.
    """

    address: str
    cores: int | None = None  # of a local cluster
    gpus: float = 0.0
    told: Callable[[str], None] = lambda _line: None
    _ray: Any = field(default=None, init=False, repr=False)

    def __enter__(self) -> Self:
        ray = self._ray = _ray()
        if ray.is_initialized():
            raise ClusterError("this process is connected to a Ray cluster already; call ray.shutdown() first")
        quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
        start = time.perf_counter()
        self.told("starting a local cluster" if self.address == "local" else f"joining {self.address}")
        try:
            if self.address == "local":
                room = {"num_cpus": self.cores or _usable(), "object_store_memory": _store()}
                ray.init(address="local", include_dashboard=False, **room, **quiet)
            else:
                _require_answer(self.address)
                ray.init(address=self.address, **quiet)
        except LimitbenchError:
            raise
        except Exception as error:
            reason = " ".join(str(error).split())[:240]
            raise ClusterError(
                f"the cluster at {self.address} could not be joined ({reason}); see: ray status; one that asks for a token needs "
                "RAY_AUTH_MODE=token here"
            ) from None
        try:
            self._require_room()
            self._require_versions()
        except BaseException:
            ray.shutdown()
            raise
        self.told(f"{self.size} cores on {len(self._nodes())} nodes after {time.perf_counter() - start:.1f} s")
        return self

    def __exit__(self, *_error: object) -> None:
        self._ray.shutdown()

    @property
    def size(self) -> int:
        """The cores of all nodes."""
        return max(1, int(self._ray.cluster_resources().get("CPU", 1)))

    def _nodes(self) -> list[dict[str, Any]]:
        return [node for node in self._ray.nodes() if node["Alive"]]

    def _require_room(self) -> None:
        """Refuse a cluster on which no task could ever start: Ray would wait for ever."""
        there = self._ray.cluster_resources()
        for name, least in (("CPU", 1.0), ("GPU", self.gpus)):
            if there.get(name, 0.0) < least:
                raise ClusterError(
                    f"the cluster at {self.address} has {there.get(name, 0.0):g} {name}s, and a point needs {least:g}; add a node "
                    "that has it, or leave out --device"
                )

    def _require_versions(self) -> None:
        """Refuse a node whose packages are others than this machine's: its figures would be too."""
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        mine = _about()
        asked = self._ray.remote(_about)
        for node in self._nodes():
            if not node["Resources"].get("CPU"):
                continue
            there = NodeAffinitySchedulingStrategy(node_id=node["NodeID"], soft=False)
            where = node.get("NodeManagerAddress", node["NodeID"][:8])
            try:
                told = self._ray.get(asked.options(num_cpus=0, scheduling_strategy=there).remote(), timeout=60)
            except Exception as error:
                reason = " ".join(str(error).split())[-160:]
                raise ClusterError(
                    f"node {where} cannot run limitbench ({reason}); install the same there as here"
                ) from None
            other = differing(mine, told)
            if other:
                raise ClusterError(f"node {where} has other versions: {other}; install the same on every node")

    def __call__(
        self,
        call: Callable[[Any], Any],
        items: Sequence[Any],
        *,
        label: Callable[[Any], str] = str,
        light: bool = False,
    ) -> Iterator[tuple[int, Any]]:
        """What `call` gives for each item, with the item's place, as they are done; an item that fails gives its error."""
        ray = self._ray
        if not items:
            return
        shared = self._shared(call)
        gpus = 0.0 if light else self.gpus
        run = ray.remote(_done).options(num_cpus=1, num_gpus=gpus, max_retries=_RETRIES)
        waiting = deque(range(len(items)))
        under_way: dict[Any, tuple[int, str]] = {}
        start, finished, mine = time.perf_counter(), 0, _about()
        try:
            while waiting or under_way:
                while waiting and len(under_way) < _AHEAD * self.size:
                    item = items[waiting[0]]
                    task = self._sent(partial(run.remote, shared, mine, item))
                    if task is None and under_way:
                        break  # there is room when others are done
                    place, name = waiting.popleft(), label(item)
                    if task is None:
                        yield place, ClusterError(f"{name}: {_FULL}")
                    else:
                        under_way[task] = place, name
                if not under_way:
                    continue
                (ready,), _ = ray.wait(list(under_way), num_returns=1)
                place, name = under_way.pop(ready)
                try:
                    value = self._value(ready, name)
                except LimitbenchError as error:
                    value = error
                finished += 1
                self.told(_line(finished, len(items), time.perf_counter() - start))
                yield place, value
        finally:
            for task in under_way if ray.is_initialized() else ():
                with contextlib.suppress(Exception):
                    ray.cancel(task, force=True)

    def _sent(self, send: Callable[[], Any]) -> Any:
        """What sending gives; None where the cluster has no room for it."""
        try:
            return send()
        except (self._ray.exceptions.ObjectStoreFullError, self._ray.exceptions.OutOfDiskError):
            return None

    def _shared(self, call: Callable[[Any], Any]) -> Any:
        """A function and its data in the cluster's shared memory, sent once."""
        try:
            shared = self._sent(partial(self._ray.put, call))
            if shared is None:
                raise ClusterError(_FULL)
            return shared
        except TypeError as error:
            reason = " ".join(str(error).split())[:160]
            raise ClusterError(
                f"what is to be done cannot be sent to other machines ({reason}); run it without --cluster"
            ) from None

    def _value(self, ready: Any, what: str) -> Any:
        """What a task gave; Ray's own errors in one line."""
        kinds = self._ray.exceptions
        try:
            value = self._ray.get(ready)
        except kinds.OutOfMemoryError:
            raise ClusterError(
                f"{what}: its worker ran out of memory on every try; give nodes more, or ask for less"
            ) from None
        except (kinds.ObjectStoreFullError, kinds.OutOfDiskError):
            raise ClusterError(f"{what}: {_FULL}") from None
        except (kinds.WorkerCrashedError, kinds.NodeDiedError, kinds.ActorDiedError, kinds.ObjectLostError) as error:
            reason = " ".join(str(error).split())[:160]
            raise ClusterError(
                f"{what}: its worker or node was lost {1 + _RETRIES} times ({reason}); the others are kept"
            ) from None
        except kinds.RayTaskError as error:
            cause = error.cause if isinstance(getattr(error, "cause", None), BaseException) else error
            reason = " ".join(str(cause).split())[-200:]
            raise ClusterError(f"{what}: failed on its node ({type(cause).__name__}: {reason})") from None
        if isinstance(value, Failed):
            raise value.error()
        return value


def differing(mine: Mapping[str, str], theirs: Mapping[str, str]) -> str:
    """Which versions differ, the first three: "torch 2.13.0 here and 2.12.0 there"; "" where all are the same."""
    names = [name for name in sorted({*mine, *theirs}) if mine.get(name) != theirs.get(name)]
    told = [f"{name} {mine.get(name, 'missing')} here and {theirs.get(name, 'missing')} there" for name in names]
    return ", ".join([*told[:3], *([f"and {len(told) - 3} more"] if len(told) > 3 else [])])


def _require_answer(address: str) -> None:
    """Raise at once where nothing listens: Ray itself would try for minutes."""
    if address == "auto":
        return
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not host or not port.isdecimal() or "://" in host:
        raise ClusterError(f"found --cluster {address}, expected local, auto, or HOST:PORT such as 10.0.0.1:6379")
    try:
        with socket.create_connection((host, int(port)), timeout=_PATIENCE):
            pass
    except (OSError, OverflowError) as error:
        raise ClusterError(
            f"no Ray cluster answers at {address} ({error}); start one there: ray start --head --port {port}"
        ) from None


def _usable() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _store() -> int:
    """Bytes of shared memory for a local cluster: a quarter of what is free, at most half a gigabyte."""
    try:
        free = os.statvfs("/dev/shm")
        return int(max(80 * 2**20, min(_STORE, free.f_bavail * free.f_frsize // 4)))
    except OSError:
        return _STORE


def _line(done: int, of: int, seconds: float) -> str:
    left = seconds / done * (of - done)
    return f"{done} of {of} done, about {left:.0f} s left"
