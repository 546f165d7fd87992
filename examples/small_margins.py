"""The largest half-gap found for all pairs of few documents, beside what is proved to be the most.

    python examples/small_margins.py [--budget 5]

For d >= n - 1 the ceiling (theory/margin-ceiling.md) is proved and reached by the regular simplex. Below, the proved bound is
that of `limitbench design`, and what lies between is open. A dash: no vectors do it at all, or d > n - 1, where one dimension
fewer does as well.
"""

from __future__ import annotations

import argparse

from limitbench import design
from limitbench.capacity import Search, Task


def most(n: int, d: int) -> float:
    """The least half-gap, to four digits and rounded up, that `design` proves impossible in d dimensions."""
    low, high = 0, 10_000
    while high - low > 1:
        middle = (low + high) // 2
        impossible = design(n, 2, d, margin=f"{middle}/10000").verdict == "impossible"
        low, high = (low, middle) if impossible else (middle, high)
    return high / 10_000


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--budget", type=float, default=5.0)
    budget = parser.parse_args().budget
    dimensions = range(2, 8)
    print("| n | " + " | ".join(f"d = {d}" for d in dimensions) + " |\n| ---: |" + " ---: |" * len(dimensions))
    for n in range(3, 9):
        cells = []
        for d in dimensions:
            if d > n - 1 or design(n, 2, d).verdict == "impossible":
                cells.append("-")
                continue
            found = Search(Task(d, 2, "auto", "fp64", n=n, maximise=True, budget_s=budget)).run()
            cells.append(f"{found.margin or 0:.4f} (at most {most(n, d):.4f})")
        print(f"| {n} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
