"""What a loss needs: the least dimension in which free embeddings solve all pairs of n documents, for InfoNCE and the sigmoid loss.

    python examples/losses.py --n 20 --budget 60

Two criteria. `rows`: each query's relevant documents score above all others. `common`: one threshold parts them for all queries at
once, which is close to the margin around zero of arXiv 2605.23556. A dimension that is not solved was not solved by this loss, with
these seeds in this time; it is never impossible: 4 dimensions are enough for every n, in exact arithmetic.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

from limitbench.capacity.paper import InfoNCE
from limitbench.capacity.problem import Problem
from limitbench.capacity.sigmoid import Sigmoid
from limitbench.files import atomic_write
from limitbench.provenance import provenance

LOSSES = {"infonce": InfoNCE, "sigmoid": Sigmoid}


def solved(loss: str, n: int, d: int, common: bool, seeds: int, budget_s: float, device: str) -> dict[str, object]:
    """Whether this loss solves all pairs of n documents in d dimensions, after how many steps and seconds."""
    start = time.monotonic()
    solver = LOSSES[loss](Problem.all_subsets(n, 2), d, device=device, common=common)
    found = solver.attempt(list(range(seeds)), deadline=start + budget_s)
    took = round(time.monotonic() - start, 1)
    return {"d": d, "solved": found.solved, "steps": found.steps, "stopped": found.stopped, "seconds": took}


def main() -> None:
    """Go up from `--low` until a dimension is solved, for every n, loss and criterion; write what was tried."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n", default="20", help="corpora, such as 20,100,200")
    parser.add_argument("--losses", default="infonce,sigmoid")
    parser.add_argument("--criteria", default="rows,common")
    parser.add_argument("--low", type=int, default=4, help="the first dimension")
    parser.add_argument("--high", type=int, default=40, help="the last dimension")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--budget", type=float, default=60, help="seconds a dimension")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--out", type=Path, help="add the results to this JSON file")
    options = parser.parse_args()
    if not all(part.isdigit() and int(part) > 2 for part in options.n.split(",")):
        parser.error(f"found --n {options.n}, expected numbers above 2 such as 20,100")
    if unknown := (set(options.losses.split(",")) - set(LOSSES)) | (
        set(options.criteria.split(",")) - {"rows", "common"}
    ):
        parser.error(f"found {', '.join(sorted(unknown))}, expected losses infonce, sigmoid and criteria rows, common")
    for n in map(int, options.n.split(",")):
        for loss in options.losses.split(","):
            for criterion in options.criteria.split(","):
                tried = []
                for d in range(options.low, options.high + 1):
                    tried.append(
                        solved(loss, n, d, criterion == "common", options.seeds, options.budget, options.device)
                    )
                    print(n, loss, criterion, tried[-1], file=sys.stderr, flush=True)
                    if tried[-1]["solved"]:
                        break
                least = tried[-1]["d"] if tried[-1]["solved"] else None
                print(f"n = {n}, {loss}, {criterion}: least dimension solved {least}", flush=True)
                if options.out is not None:
                    entry = {"n": n, "loss": loss, "criterion": criterion, "least": least, "seeds": options.seeds,
                             "budget_s": options.budget, "device": options.device, "tried": tried,
                             "provenance": provenance()}  # fmt: skip
                    rows = json.loads(options.out.read_text()) if options.out.is_file() else []
                    key = (n, loss, criterion)
                    rows = [row for row in rows if (row["n"], row["loss"], row["criterion"]) != key] + [entry]
                    rows.sort(key=lambda row: (row["n"], row["loss"], row["criterion"]))
                    with atomic_write(options.out) as out:
                        out.write(json.dumps(rows, indent=1).encode() + b"\n")


if __name__ == "__main__":
    main()
