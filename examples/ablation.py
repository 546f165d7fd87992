"""What moves critical-n: each part of the solver left out or changed, with equal restarts and fresh seeds.

    python examples/ablation.py results/ablation.json
    python examples/ablation.py results/ablation-hard.json --cells 4:70,5:110,6:180 --limit 20 \\
        --only frozen,re-query,2e-5,half,twice,initial,warm

Every variant gets the same cells and the same four fresh seeds, one thread, and the same limit of seconds a run. A cell says
how many of four seeds solved it, and the median seconds of a run, solved or not.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from limitbench.capacity import Problem
from limitbench.capacity.anneal import Annealer
from limitbench.capacity.paper import PAPER, InfoNCE
from limitbench.capacity.schedule import DEFAULT, Setting
from limitbench.capacity.scores import arithmetic
from limitbench.provenance import provenance

CELLS = "4:10,4:40,6:28,6:100,8:45,8:160,12:80"
SEEDS = (7001, 7002, 7003, 7004)
VARIANTS: dict[str, Any] = {
    "paper, T = 0.1 (as published)": PAPER,
    "paper, T = 0.05": replace(PAPER, temperature=0.05),
    "paper, T = 0.02": replace(PAPER, temperature=0.02),
    "paper, T = 0.01": replace(PAPER, temperature=0.01),
    "anneal (frozen setting)": DEFAULT,
    "without annealing: T = 0.01": replace(DEFAULT, hot=0.01, cold=0.01),
    "without annealing: T = 0.001": replace(DEFAULT, hot=0.001, cold=0.001),
    "cold end at 2e-5": replace(DEFAULT, cold=2e-5),
    "hot start at 0.2": replace(DEFAULT, hot=0.2),
    "rate a third": replace(DEFAULT, rate_hot=0.05, rate_cold=1e-5),
    "rate constant at 0.01": replace(DEFAULT, rate_hot=0.01, rate_cold=0.01),
    "without document spread": replace(DEFAULT, spread=0),
    "random initial queries": replace(DEFAULT, centroid=False),
    "without re-query": replace(DEFAULT, exact_queries=0),
    "half as many steps": replace(DEFAULT, length=0.5),
    "twice as many steps": replace(DEFAULT, length=2.0),
    "warm start from 0.8 n": "warm",
}


def run(problem: Problem, d: int, variant: Any, seed: int, limit: float) -> tuple[bool, float]:
    """Whether this variant solves the problem with this seed, and its seconds."""
    start = time.perf_counter()
    with arithmetic():
        deadline = time.monotonic() + limit
        if variant == "warm":
            small = Annealer(Problem.all_subsets(int(0.8 * problem.n), 2), d).attempt([seed], deadline=deadline)
            found = Annealer(problem, d).attempt([seed], deadline=deadline, warm=small.documents, heat=0.3)
        elif isinstance(variant, Setting):
            found = Annealer(problem, d, setting=variant).attempt([seed], deadline=deadline)
        else:
            found = InfoNCE(problem, d, protocol=variant).attempt([seed], deadline=deadline)
    return found.solved, time.perf_counter() - start


def main() -> None:
    """Run and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--cells", default=CELLS)
    parser.add_argument("--limit", type=float, default=8.0, help="seconds a run")
    parser.add_argument("--only", default="", help="variants whose name holds one of these words")
    options = parser.parse_args()
    cells = [(int(d), int(n)) for d, n in (cell.split(":") for cell in options.cells.split(","))]
    chosen = {name: v for name, v in VARIANTS.items() if any(word in name for word in options.only.split(","))}
    torch.set_num_threads(1)
    rows = []
    print("| variant | " + " | ".join(f"({d}, {n})" for d, n in cells) + " |\n| --- |" + " ---: |" * len(cells))
    for name, variant in chosen.items():
        shown = []
        for d, n in cells:
            problem = Problem.all_subsets(n, 2)
            runs = [run(problem, d, variant, seed, options.limit) for seed in SEEDS]
            solved, seconds = sum(s for s, _ in runs), statistics.median(t for _, t in runs)
            rows.append(
                {
                    "variant": name,
                    "d": d,
                    "n": n,
                    "solved": solved,
                    "of": len(SEEDS),
                    "median_seconds": round(seconds, 3),
                }
            )
            shown.append(f"{solved}/4, {seconds:.1f} s")
        print(f"| {name} | " + " | ".join(shown) + " |", flush=True)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(
        json.dumps({"seeds": SEEDS, "limit_s": options.limit, "rows": rows, "provenance": provenance()}, indent=1)
        + "\n"
    )


if __name__ == "__main__":
    main()
