"""The command line: a thin skin that parses options, calls the library and prints.

Results go to stdout, everything else to stderr. Exit codes: 0 done, 2 bad input in one line, 130 Ctrl-C.
Commands import what they need when they run, so `--help` is quick.
"""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
import typer.core

from limitbench import __version__
from limitbench.cli import (
    atlas,
    attach,
    cache,
    capacity,
    catalogue,
    checks,
    compare,
    datasets,
    design,
    doctor,
    encode,
    engines,
    fuse,
    loss,
    new,
    plan,
    prompts,
    report,
    results,
    run,
    sweep,
    theory,
    training,
)
from limitbench.errors import LimitbenchError

# typer carries a click of its own since 0.26 and used the installed one before; this finds the right class in either
_STOPPED = 130  # what typer makes of Ctrl-C
_UsageError: Any = typer.BadParameter.__mro__[1]

SECTIONS = {
    "Benchmark": ("run", "sweep", "drown", "encode", "plan", "fuse", "prompts", "train"),
    "Engines": ("loss", "tune", "filters", "churn", "attach", "export-vectors"),
    "Data": ("list", "new", "generate", "adapt", "mine", "convert", "lint", "describe"),
    "Results": ("compare", "report", "leaderboard", "results", "cache"),
    "Theory": ("bounds", "design", "atlas", "verify"),
    "Capacity": ("capacity", "frontier"),
    "Checks in CI": ("init", "check", "baseline", "schema"),
    "This machine": ("doctor",),
}


class _Sections(typer.core.TyperGroup):
    """The commands in groups, each with its whole first sentence."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write a section for each group; a command of no group stands in the last one."""
        grouped = {name for names in SECTIONS.values() for name in names}
        others = tuple(name for name in self.list_commands(ctx) if name not in grouped)
        for title, names in {**SECTIONS, "Others": others}.items():
            known = [(name, self.get_command(ctx, name)) for name in names]
            rows = [(name, command.get_short_help_str(limit=400)) for name, command in known if command is not None]
            if rows:
                with formatter.section(title):
                    formatter.write_dl(rows)


app = typer.Typer(
    name="limitbench",
    cls=_Sections,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Measure, bound and check what a retriever can carry.",
)
COMMANDS = (
    run, sweep, encode, plan, fuse, prompts, new, loss, engines, attach, cache, compare, results, report, datasets, catalogue,
    theory, atlas,
    design, capacity, checks, training, doctor,
)  # fmt: skip
for module in COMMANDS:
    module.register(app)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"limitbench {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    _version_option: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("limitbench: %(message)s"))
    logger = logging.getLogger("limitbench")
    logger.handlers[:] = [handler]
    logger.propagate = False


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit with its code."""
    sys.exit(invoke(arguments))


def invoke(arguments: list[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    for name in ("stdout", "stderr"):
        stream: Any = getattr(sys, name)
        if stream is None:  # closed by the caller, as `>&-` does
            setattr(sys, name, Path(os.devnull).open("w"))  # noqa: SIM115  # lives as long as the process
        elif (stream.encoding or "utf-8").lower().replace("-", "") != "utf8" and hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    try:
        code: Any = app(arguments, standalone_mode=False)
        sys.stdout.flush()
        if code == _STOPPED:
            raise KeyboardInterrupt
        return int(code or 0)
    except LimitbenchError as error:
        return _fail(str(error))
    except _UsageError as error:
        message = error.format_message()
        if "Usage:" in message:  # no arguments at all: the whole help
            typer.echo(message, err=True)
            return 2
        name = error.ctx.command_path if error.ctx else "limitbench"
        return _fail(f"{message.rstrip('.')}; see: {name} --help")
    except (KeyboardInterrupt, typer.Abort):
        typer.echo("limitbench: stopped; what was finished is kept, and the same command goes on from there", err=True)
        return 130
    except BrokenPipeError:  # the reader of our output went away, as `| head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        if sys.stdout.closed or error.filename is not None:
            return _internal(error)
        return _fail(f"the output cannot be written ({error.strerror}); free some room or redirect it elsewhere")
    except Exception as error:
        return _internal(error)


def _internal(error: Exception) -> int:
    """Say an error that nobody foresaw in one line: what users need is the line, what we need is the traceback."""
    if os.environ.get("LIMITBENCH_DEBUG"):
        raise error
    reason = " ".join(str(error).split())[:200]
    return _fail(
        f"internal error ({type(error).__name__}: {reason}); what was finished is kept; please report it with the command "
        "and what LIMITBENCH_DEBUG=1 prints"
    )


def _fail(message: str) -> int:
    typer.echo(f"limitbench: {' '.join(message.split())}", err=True)
    return 2
