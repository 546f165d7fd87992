"""Every error that limitbench raises on purpose, so that one `except` clause catches them all.

LimitbenchError
├── InputError            something given is wrong; the message says what was found, what was expected, what to do
│   ├── DataError         a file: the message starts with its path and line
│   ├── UnknownName       a name that no registry or catalogue knows, with the nearest one that is known
│   └── SpecError         a specification (TOML, retriever spec, measure) that does not parse
├── MissingExtra          an optional dependency is not installed; the message holds the pip line
├── OfflineError          a hub is needed and cannot be reached
├── StorageError          a file or folder cannot be written: permissions, disk full
├── CertificateError      a certificate does not prove its claim; the message says where it fails
├── OutOfMemory           a problem does not fit into memory, even in smaller parts
├── ClusterError          a cluster does not answer, has other versions, or lost a worker for good
└── RetrievalError        a retriever returned something that cannot be ranked (NaN, wrong shape)
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from pathlib import Path


class LimitbenchError(Exception):
    """Root of the tree above; the command line prints it in one line and exits with 2."""


class InputError(LimitbenchError):
    """Something given is wrong."""


class DataError(InputError):
    """A file does not hold what it should."""

    def __init__(self, path: Path | str, message: str, *, line: int | None = None) -> None:
        self.path, self.line = Path(path), line
        super().__init__(f"{path}{'' if line is None else f':{line}'}: {message}")


class UnknownName(InputError):
    """A name is not in a registry or catalogue."""

    def __init__(self, kind: str, name: str, known: Iterable[str], *, where: str = "", advice: str = "") -> None:
        known = sorted(known)
        near = difflib.get_close_matches(name.lower(), known, n=1, cutoff=0.5)
        place = f" in {where}" if where else " known"
        hint = f"did you mean '{near[0]}'?" if near else f"known: {', '.join(known)}"
        super().__init__(f"{kind} '{name}' is not{place}; {hint}{f' {advice}' if advice else ''}")


class SpecError(InputError):
    """A specification does not parse."""


class MissingExtra(LimitbenchError):
    """An optional dependency is not installed."""

    def __init__(self, what: str, module: str, extra: str) -> None:
        super().__init__(f"{what} needs '{module}', which is not installed; type: pip install 'limitbench[{extra}]'")


class OfflineError(LimitbenchError):
    """A hub is needed and cannot be reached."""


class StorageError(LimitbenchError):
    """A file or folder cannot be written."""


class CertificateError(LimitbenchError):
    """A certificate does not prove its claim."""


class OutOfMemory(LimitbenchError):
    """A problem does not fit into memory, even in smaller parts."""


class ClusterError(LimitbenchError):
    """A cluster cannot do what it is asked."""


class RetrievalError(LimitbenchError):
    """A retriever returned something that cannot be ranked."""
