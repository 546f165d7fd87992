"""`make bench`: each figure is a ratio or difference against a named peer in the same run; medians; never a test."""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time


def median_seconds(command: list[str], runs: int = 9) -> float:
    """The median wall time of a whole process, after one warm-up."""
    taken = []
    for _ in range(runs + 1):
        start = time.perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        taken.append(time.perf_counter() - start)
    return statistics.median(taken[1:])


def start_up() -> None:
    """`limitbench --help` over a bare interpreter. Bar: 0.5 s."""
    bare = median_seconds([sys.executable, "-c", "pass"])
    ours = median_seconds([sys.executable, "-m", "limitbench", "--help"])
    light = median_seconds([sys.executable, "-c", "import limitbench"])
    print(f"start-up: python -c pass {bare:.3f} s; import limitbench +{light - bare:.3f} s; "
          f"limitbench --help +{ours - bare:.3f} s (bar: +0.5 s)")  # fmt: skip


BENCHES = {"start-up": start_up}


def main() -> None:
    """Run the benches named on the command line, or all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", default=list(BENCHES), help=", ".join(BENCHES))
    for name in parser.parse_args().names:
        BENCHES[name]()


if __name__ == "__main__":
    main()
