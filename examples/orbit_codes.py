"""The table of symmetric codes that `limitbench design` and the rules LB102 and LB104 know: the largest corpora found for each
dimension and half-gap.

    python examples/orbit_codes.py results/reference/orbit-codes.json --budget 10 [--dims 4,6,8] [--k 3] [--device cuda]
    python examples/orbit_codes.py results/reference/orbit-codes.json --merge OTHER.json
    python examples/orbit_codes.py results/reference/orbit-codes.json --check [--most 2000]
    python examples/orbit_codes.py results/reference/orbit-codes.json --table --laws

The first searches and adds what is better than the table. The second adds the rows of another table. The third finds the queries of
each code again and proves that all its sets have the half-gap that the table gives. The last prints what is in the table. A row
is constructed: it says nothing of larger corpora.
"""

from __future__ import annotations

import argparse
import json
import math
from collections import Counter
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from limitbench import design
from limitbench.capacity import Search, Task, orbits
from limitbench.capacity.fit import published
from limitbench.capacity.orbit_sets import Necklaces
from limitbench.capacity.orbit_solver import Orbits
from limitbench.capacity.orbits import Orbit, OrbitCode, quantised, stored_margin
from limitbench.errors import CertificateError
from limitbench.files import atomic_write
from limitbench.provenance import provenance
from limitbench.theory.codes import Code
from limitbench.theory.exact import rounded_down

SCHEMA = "limitbench.orbit-codes.v1"
DIMENSIONS = (4, 5, 6, 7, 8, 9, 10, 12, 14, 16, 18, 20, 24, 28, 32, 48, 64)
GAPS = (0.0, 1e-5, 1e-4, 1e-3, 3e-3, 0.01, 0.03, 0.05, 0.1)  # half-gaps as stored; 0 is the least that is strict
GOALS = (
    *(("fp32", gap) for gap in GAPS),
    *((dtype, gap) for dtype in ("fp16", "bf16", "int8") for gap in (0.0, 0.01, 0.1)),
)
FEW_GOALS = (("fp32", 0.0), ("fp16", 0.0), ("int8", 0.0), ("fp32", 0.01))  # for larger k
NARROW = ("int8", "fp32")  # dtypes whose rows are checked as stored
ROWS, MOST_SETS = 2000, 2_000_000  # documents and sets up to which they are


def searched(d: int, k: int, gap: float, dtype: str, budget: float, seed: int, device: str) -> OrbitCode | None:
    """The code of the largest corpus that a search finds."""
    task = Task(d, k, "orbit", dtype, seed=seed, seeds=1, budget_s=budget, margin=gap, device=device)
    code = Search(task).run().witness
    return code if isinstance(code, OrbitCode) else None


def row_of(code: OrbitCode) -> dict[str, Any]:
    """The table's row: what is proved, and of which documents. Half-gaps are rounded down a little, so that queries that are
    found again, on another machine too, reach them."""
    gap = Fraction(float(rounded_down(0.9998 * float(code.half_gap), 5)))
    row = {
        "d": code.d, "n": code.orbit.n, "k": code.k, "half_gap": f"{gap.numerator}/{gap.denominator}",
        "frequencies": list(code.orbit.frequencies), "amplitudes": list(code.orbit.amplitudes), "stored": {},
        "found": {name: code.found[name] for name in ("seed", "budget_s", "device") if name in code.found},
    }  # fmt: skip
    return row | {"stored": stored(row)}


def stored(row: dict[str, Any]) -> dict[str, float]:
    """Of the dtypes whose rows are checked as stored: half of the half-gap that queries found anew keep. Rounding to few bits is
    chaotic, and the other half is for other machines."""
    out: dict[str, float] = {}
    if row["n"] > ROWS or math.comb(row["n"], row["k"]) > MOST_SETS:
        return out
    code = solved(row, best=True)
    for dtype in NARROW:
        try:
            margin = stored_margin(OrbitCode(code.orbit, code.k, code.queries, code.half_gap, dtype, 0.0))
        except CertificateError:
            continue
        out[dtype] = float(rounded_down(0.5 * margin, 5)) if margin > 1e-6 else 0.0
    return out


def solved(row: dict[str, Any], *, best: bool, device: str = "cpu") -> OrbitCode:
    """The row's orbit with queries found anew. Raises `CertificateError` where they are not found."""
    orbit = Orbit(row["n"], tuple(row["frequencies"]), tuple(row["amplitudes"]))
    f, a = np.array(orbit.frequencies), np.array(orbit.amplitudes) / math.sqrt(orbit.norm)
    gap = Fraction(row["half_gap"])
    k, wanted = row.get("k", 2), 2 * float(gap) * (1 + 2e-5)
    solver = Orbits(orbit.n, len(a), device) if k == 2 else Necklaces(orbit.n, len(a), k, device)
    found = None if best else solver.solve(f, a, need=wanted, best=False, deadline=math.inf)
    found = found or solver.solve(f, a, need=wanted, best=True, deadline=math.inf)
    if found is None:
        raise CertificateError(f"no queries were found for n = {orbit.n}, d = {orbit.d}")
    return OrbitCode(orbit, k, quantised(found.directions, float(gap) / 256), gap, "real", 0.0)


def better(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows that no other row covers: fewer dimensions, more documents, a larger half-gap, as many dtypes."""

    def covers(one: dict[str, Any], other: dict[str, Any]) -> bool:
        return (
            one.get("k", 2) == other.get("k", 2) and one["d"] <= other["d"] and one["n"] >= other["n"]
            and Fraction(one["half_gap"]) >= Fraction(other["half_gap"])
            and all(one["stored"].get(dtype, -1.0) >= margin for dtype, margin in other["stored"].items())
        )  # fmt: skip

    kept: list[dict[str, Any]] = []
    for row in sorted(rows, key=lambda r: (r.get("k", 2), r["d"], -r["n"], -Fraction(r["half_gap"]))):
        if not any(covers(one, row) for one in kept):
            kept.append(row)
    return kept


def check(row: dict[str, Any], device: str = "cpu") -> str:
    """Find the queries again and prove the row; how, as `orbits.check` says. Raises `CertificateError`."""
    code = solved(row, best=bool(row["stored"]), device=device)
    if code.d != row["d"]:
        raise CertificateError(f"n = {row['n']}: the documents have {code.d} dimensions, the row says {row['d']}")
    for dtype, margin in row["stored"].items():
        if stored_margin(OrbitCode(code.orbit, code.k, code.queries, code.half_gap, dtype, 0.0)) < margin:
            raise CertificateError(
                f"n = {row['n']}, d = {row['d']}: arrays in {dtype} have less than the half-gap {margin:g}"
            )
    return orbits.check(code)


def table(rows: list[dict[str, Any]]) -> str:
    """The largest n by dimension, dtype and half-gap as stored, as Markdown tables: pairs, then larger sets."""
    goals = [(dtype, margin) for margin in (0.0, 0.01, 0.1) for dtype in ("fp32", "fp16", "bf16", "int8")]
    tables = [pivot(rows, 2, goals)]
    tables += [pivot(rows, k, list(FEW_GOALS)) for k in sorted({row.get("k", 2) for row in rows} - {2})]
    return "\n\n".join(tables)


def pivot(rows: list[dict[str, Any]], k: int, goals: list[tuple[str, float]]) -> str:
    """The table of one k."""
    known = [code for row in rows if (code := Code.of_row(row)).k == k]
    head = [f"k = {k}, d", *(f"{dtype}, {margin:g}" for dtype, margin in goals)]
    head += ["paper", "0.01 impossible from", "0.1 impossible from"] if k == 2 else []
    lines = [head, ["---:"] * len(head)]
    paper = published()
    for d in sorted({code.d for code in known}):
        best = [
            max((c.n for c in known if c.d <= d and (gap := c.kept(dtype)) is not None and gap >= margin), default=0)
            for dtype, margin in goals
        ]
        line = [str(d), *(f"{n:,}" if n else "" for n in best)]
        if k == 2:
            ends = [design(None, 2, d, margin=margin).smallest_impossible_n or 0 for margin in ("0.01", "0.1")]
            line += [str(paper.get(d, "")), *(f"{n:,}" if n < 10**6 else f"{n:.1e}" for n in ends)]
        lines.append(line)
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def laws(rows: list[dict[str, Any]]) -> str:
    """For each dimension with at least five codes of 50 documents or more: half-gap = c n^p by least squares of the logarithms."""
    lines = []
    for d in sorted({row["d"] for row in rows}):
        points = [
            (row["n"], float(Fraction(row["half_gap"])))
            for row in rows
            if (row["d"], row.get("k", 2)) == (d, 2) and row["n"] >= 50
        ]
        if len(points) >= 5:
            n, gap = np.log(np.array(points, float)).T
            slope, _ = np.polyfit(n, gap, 1)
            spread = np.corrcoef(n, gap)[0, 1] ** 2
            lines.append(
                f"d = {d}: n^{slope:.2f} (n = {min(points)[0]} to {max(points)[0]}, {len(points)} codes, R2 {spread:.3f})"
            )
    return "\n".join(lines)


def read(path: Path) -> list[dict[str, Any]]:
    """The rows of a table; none where there is no file."""
    return json.loads(path.read_text(encoding="utf-8"))["codes"] if path.exists() else []


def write(path: Path, rows: list[dict[str, Any]]) -> None:
    """Write a table, whole or not at all. A row says how it was found; rows of before that was recorded do not."""
    with atomic_write(path) as out:
        told = {"schema": SCHEMA, "provenance": provenance(), "codes": rows}
        out.write((json.dumps(told, indent=None, separators=(",", ":")).replace('{"d"', '\n{"d"') + "\n").encode())


def search(options: argparse.Namespace) -> None:
    """Add what searches find to the table, and write it after each dimension."""
    rows = read(options.table)
    for d in map(int, options.dims.split(",")):
        for dtype, gap in GOALS if options.k == 2 else FEW_GOALS:
            code = searched(d, options.k, gap, dtype, options.budget, options.seed, options.device)
            if code is not None:
                rows = better([*rows, row_of(code)])
                told = f"{code.orbit.n} documents, half-gap {float(code.half_gap):.4g} ({dtype} at {gap:g})"
                print(f"d = {code.d}, k = {code.k}: {told}", flush=True)
        write(options.table, rows)


def main() -> None:
    """Search, merge, check or print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("table", type=Path)
    parser.add_argument("--budget", type=float, default=10.0, help="seconds for one dimension, dtype and half-gap")
    parser.add_argument("--dims", default=",".join(map(str, DIMENSIONS)))
    parser.add_argument("--k", type=int, default=2, help="documents of a set")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--merge", type=Path, nargs="+", default=[], help="add the rows of these tables")
    parser.add_argument("--check", action="store_true", help="find all queries again and prove each row")
    parser.add_argument("--most", type=int, default=10**9, help="documents of a row that is checked")
    parser.add_argument(
        "--table", dest="printed", action="store_true", help="print the largest corpora by dtype and margin"
    )
    parser.add_argument("--laws", action="store_true", help="print how the half-gap falls with n")
    options = parser.parse_args()
    rows = read(options.table)
    if options.merge:
        write(options.table, better([*rows, *(row for path in options.merge for row in read(path))]))
    elif options.check:
        chosen = [row for row in rows if row["n"] <= options.most]
        how = Counter(check(row, options.device) for row in chosen)
        shown = ", ".join(f"{count} with {name}" for name, count in how.items())
        print(f"{len(chosen)} of {len(rows)} rows proved: {shown}")
    elif options.printed or options.laws:
        print("\n\n".join([table(rows)] * options.printed + [laws(rows)] * options.laws))
    else:
        search(options)


if __name__ == "__main__":
    main()
