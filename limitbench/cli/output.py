"""Printing: tables that fit the terminal, JSON for machines, progress on stderr."""

from __future__ import annotations

import json
import math
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import typer

from limitbench.errors import InputError
from limitbench.progress import Each, Progress

if TYPE_CHECKING:
    from rich.console import Console


def echo_json(value: Any) -> None:
    """One JSON object on stdout, exact; what is no finite number is null, since JSON has no word for it."""
    typer.echo(json.dumps(_finite(value), ensure_ascii=False, indent=2, allow_nan=False))


def _finite(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    return [_finite(item) for item in value] if isinstance(value, list | tuple) else value


_WIDEST_NUMBER = 40  # characters of a cell that is a number, with its interval and unit


def say(message: str) -> None:
    """Print one line on stderr, under limitbench's name."""
    line = " ".join("".join(c if c.isprintable() or c.isspace() else ascii(c)[1:-1] for c in message).split())
    typer.echo(f"limitbench: {line}", err=True)


def console(*, stderr: bool = False) -> Console:
    """A rich console; as wide as need be where the output is not a terminal: a file or a pipe gets everything."""
    from rich.console import Console

    stream = sys.stderr if stderr else sys.stdout
    return Console(stderr=stderr, width=None if stream.isatty() else 100_000, soft_wrap=False, highlight=False)


def print_table(
    head: Sequence[str], rows: Sequence[Sequence[str]], *, title: str = "", caption: str = "", keep: int = 2
) -> None:
    """A table whose later columns are dropped where the terminal is too narrow; the first `keep` always stay."""
    from rich.table import Table
    from rich.text import Text

    out = console()
    widths = [max(map(len, (name, *(row[i] for row in rows)))) for i, name in enumerate(head)]
    shown = len(head)
    while shown > keep and sum(widths[:shown]) + 3 * shown + 1 > out.width:
        shown -= 1
    if title:
        out.print(Text(title, style="bold"), soft_wrap=True)
    table = Table()
    for i, name in enumerate(head[:shown]):
        numeric = (
            i > 0 and widths[i] <= _WIDEST_NUMBER and all(not row[i] or row[i][0] in "-0123456789" for row in rows)
        )
        table.add_column(Text(name), justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell) for cell in row[:shown]))
    out.print(table)
    if caption:
        out.print(Text(caption), soft_wrap=True)
    if shown < len(head):
        out.print(Text(f"(not shown at this width: {', '.join(head[shown:])}; --json has all)"), soft_wrap=True)


@contextmanager
def status_line() -> Iterator[Callable[[str], None]]:
    """A function that shows what is under way and for how long, on stderr; silent when that is not a terminal."""
    out = console(stderr=True)
    if not out.is_terminal:
        yield lambda _message: None
        return
    from rich.progress import Progress as Bars
    from rich.progress import SpinnerColumn, TextColumn, TimeElapsedColumn

    with Bars(
        SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn(), console=out, transient=True
    ) as bars:
        task = bars.add_task("starting", total=None)
        yield lambda message: bars.update(task, description=message)


@contextmanager
def working(
    cluster: str | None, device: str | None = None, jobs: int = 1
) -> Iterator[tuple[Callable[[str], Progress], Each | None]]:
    """What reports on points (`progress_bars`), and what measures them elsewhere: on a cluster, where one line says how many are
    done, or in processes where there are several `jobs`; None: here. Raises `InputError` for both."""
    if cluster is not None and jobs > 1:
        raise InputError("found --cluster together with --jobs; give one of them")
    if cluster is None:
        from limitbench.processes import ProcessPool

        with progress_bars() as bars:
            yield bars, ProcessPool(jobs) if jobs > 1 else None
        return
    from limitbench.cluster import Cluster

    gpus = 1.0 if device is not None and device.startswith("cuda") else 0.0
    with status_line() as told, Cluster(cluster, gpus=gpus, told=told) as each:
        yield (lambda _label: lambda _stage, _done, _of: None), each


@contextmanager
def progress_bars() -> Iterator[Callable[[str], Progress]]:
    """A function from a label to a progress callback `(stage, done, of)`; silent when stderr is not a terminal."""
    out = console(stderr=True)
    if not out.is_terminal:
        yield lambda _label: lambda _stage, _done, _of: None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bars

    throughput = TextColumn("{task.fields[rate]}")
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), throughput, TimeRemainingColumn())
    with Bars(*columns, console=out, transient=True) as bars:

        def start(label: str) -> Progress:
            tasks: dict[str, Any] = {}
            began: dict[str, tuple[float, int]] = {}

            def report(stage: str, done: int, of: int) -> None:
                if stage not in tasks:
                    tasks[stage] = bars.add_task(f"{label}: {stage}", total=of, rate="")
                    began[stage] = time.perf_counter(), done
                start, at = began[stage]
                rate = (done - at) / max(time.perf_counter() - start, 1e-9)
                bars.update(tasks[stage], completed=done, total=of, rate=f"{rate:.3g}/s" if done > at else "")

            return report

        yield start
