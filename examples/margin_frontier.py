"""The margin frontier: the smallest dimension with a verified witness of half-gap gamma, beside the proved lower bound.

    python examples/margin_frontier.py results/margin-frontier.json [--budget 20] [--n 46,100]

For each gamma and n, dimensions are tried downward from the least that a construction or a shipped code has, each with the budget
given. The lower bound is proved for every method and dtype (`limitbench.design`); the witness is measured: a smaller one may
exist.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from limitbench import design
from limitbench.capacity import Search, Task
from limitbench.provenance import provenance


def smallest(n: int, gamma: float, budget: float) -> dict[str, object]:
    """The smallest d solved by `auto`, going down from the one that `limitbench design` knows; and the proved bound."""
    proved = (design(n, 2, None, "real", gamma).greatest_insufficient_dim or 0) + 1
    # a construction, or a code of the shipped table
    known = design(n, 2, None, "fp32", gamma).least_sufficient_dim or n - 1
    best: tuple[int, float | None, str] = (known, gamma, "limitbench design")
    d = known
    misses = 0
    d = best[0] - 1
    while d >= proved and misses < 2:  # downward, until two in a row are not solved
        better = attempt(n, d, gamma, budget)
        best, misses = (better, 0) if better else (best, misses + 1)
        d -= 1
    return {
        "n": n,
        "gamma": gamma,
        "proved_at_least": proved,
        "witness_d": best[0],
        "witness_margin": best[1],
        "solver": best[2],
    }


def attempt(n: int, d: int, gamma: float, budget: float) -> tuple[int, float | None, str] | None:
    """(d, margin, solver) where some solver reaches the half-gap, verified; else None."""
    found = Search(Task(d, 2, "auto", n=n, margin=gamma, budget_s=budget)).run()
    if found.solved_n is None:
        return None
    return d, found.margin, found.found_by


def main() -> None:
    """Run and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--budget", type=float, default=20.0)
    parser.add_argument("--n", default="10,20,46,100,200,500,1000,2000")
    options = parser.parse_args()
    rows = []
    print("| gamma | n | proved at least | verified witness in | found by |\n| ---: | ---: | ---: | ---: | --- |")
    for gamma in (0.1, 0.01):
        for n in map(int, options.n.split(",")):
            row = smallest(n, gamma, options.budget)
            rows.append(row)
            print(f"| {gamma} | {n} | {row['proved_at_least']} | {row['witness_d']} | {row['solver']} |", flush=True)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(
        json.dumps({"budget_s": options.budget, "rows": rows, "provenance": provenance()}, indent=1) + "\n"
    )


if __name__ == "__main__":
    main()
