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


def theory_scale() -> None:
    """A bracket of a sparse matrix, 10 relevant documents a query. Bars: 60 s and 4 GB at 10^6 x 10^6; linear growth."""
    code = """
import resource, sys, time
import numpy as np
from limitbench.relevance import Qrels
from limitbench.theory import bracket
m = n = int(sys.argv[1]); k = 10
rng = np.random.default_rng(0)
indices = np.sort(rng.integers(0, n, (m, k)), axis=1)
while (bad := (np.diff(indices, axis=1) == 0).any(axis=1)).any():
    indices[bad] = np.sort(rng.integers(0, n, (int(bad.sum()), k)), axis=1)
qrels = Qrels(np.arange(m + 1) * k, indices.ravel(), np.ones(m * k, np.int64), n)
start = time.perf_counter()
found = bracket(qrels, sys.argv[2], budget_s=5)
seconds = time.perf_counter() - start
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
print(f"{seconds:.1f} s, {peak:.2f} GB, {found.lower.value} to {found.upper.value}")
"""
    for size in (100_000, 1_000_000):
        for notion in ("order_preserving", "sign_rank"):
            done = subprocess.run(
                [sys.executable, "-c", code, str(size), notion], check=True, capture_output=True, text=True
            )
            print(f"bracket, {size:,} queries x {size:,} documents, k = 10, {notion}: {done.stdout.strip()} "
                  "(bars at 1,000,000: 60 s, 4 GB)")  # fmt: skip


def limit_small_bracket() -> None:
    """The two exact ranks of LIMIT-small's matrix. Bar: 5 s."""
    code = "import limitbench as l; q = l.load('limit-small-synthetic').qrels; print(*(l.bracket(q, n).exact for n in " \
           "('sign_rank', 'order_preserving')))"  # fmt: skip
    found = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.strip()
    print(f"LIMIT-small's matrix: sign rank, order-preserving rank = {found}; "
          f"{median_seconds([sys.executable, '-c', code], 3):.2f} s with start-up (bar: 5 s)")  # fmt: skip


def capacity_speed() -> None:
    """Time to solve of `anneal` against `paper`, one thread each, at n = floor(0.9 published), 4 fresh seeds. Bar: 50x, median."""
    import torch

    from limitbench.capacity import Problem
    from limitbench.capacity.anneal import Annealer, arithmetic
    from limitbench.capacity.law import published
    from limitbench.capacity.paper import InfoNCE

    torch.set_num_threads(1)
    ratios = []
    for d in range(5, 13):
        n = int(0.9 * published()[d])
        problem, row = Problem.all_subsets(n, 2), []
        for seed in range(9000, 9004):
            taken, solved = [], []
            for solver in (Annealer(problem, d), InfoNCE(problem, d)):
                start = time.perf_counter()
                with arithmetic():
                    solved.append(solver.attempt([seed]).solved)
                taken.append(time.perf_counter() - start)
            row.append((taken[1] / taken[0], *taken, *solved))
        ratios += [ratio for ratio, *_ in row]
        ours, papers = (statistics.median(r[i] for r in row) for i in (1, 2))
        print(f"d = {d}, n = {n}: anneal {ours:.3f} s ({sum(r[3] for r in row)}/4 solved), paper {papers:.3f} s "
              f"({sum(r[4] for r in row)}/4 solved), ratio {statistics.median(r[0] for r in row):.0f}x", flush=True)  # fmt: skip
    print(f"anneal against paper: {statistics.median(ratios):.0f}x at the median of {len(ratios)} runs (bar: 50x)")


def capacity_minute() -> None:
    """The largest verified n within 60 s of search, fp32, two threads, beside the published one."""
    from limitbench.capacity import Search, Task
    from limitbench.capacity.law import published

    bars = {4: 36, 5: 64, 6: 121, 8: 163, 10: 206, 12: 390, 16: 329}
    for d, bar in bars.items():
        found = Search(Task(d, 2, budget_s=60)).run()
        print(
            f"d = {d}: n = {found.solved_n} verified in {found.seconds:.0f} s (bar: {bar}; published: {published()[d]})",
            flush=True,
        )


BENCHES = {
    "start-up": start_up,
    "limit-small-bracket": limit_small_bracket,
    "theory-scale": theory_scale,
    "capacity-speed": capacity_speed,
    "capacity-minute": capacity_minute,
}


def main() -> None:
    """Run the benches named on the command line, or all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", default=list(BENCHES), help=", ".join(BENCHES))
    for name in parser.parse_args().names:
        BENCHES[name]()


if __name__ == "__main__":
    main()
