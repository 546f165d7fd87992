"""The table of symmetric codes that `limitbench design` and the rules LB102 and LB104 know: the largest corpora found for each
dimension and half-gap.

    python examples/orbit_codes.py results/reference/orbit-codes.json --budget 10 [--dims 4,6,8]
    python examples/orbit_codes.py results/reference/orbit-codes.json --check [--most 2000]
    python examples/orbit_codes.py results/reference/orbit-codes.json --table --laws

The first searches and adds what is better than the table; the second finds the queries of each code in the table again and
proves, with integers, that all its pairs have the half-gap that the table gives. A row is constructed: it says nothing of larger
corpora.
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

from limitbench.capacity import Search, Task, orbits
from limitbench.capacity.orbit_solver import Orbits
from limitbench.capacity.orbits import Orbit, OrbitCode, quantised, stored_margin
from limitbench.errors import CertificateError
from limitbench.files import atomic_write
from limitbench.provenance import provenance
from limitbench.theory.codes import Code

SCHEMA = "limitbench.orbit-codes.v1"
DIMENSIONS = (4, 5, 6, 7, 8, 9, 10, 12, 14, 16, 18, 20, 24, 28, 32, 48, 64)
GAPS = (
    0.0,
    1e-5,
    1e-4,
    1e-3,
    3e-3,
    8e-3,
    0.0101,
    0.019,
    0.03,
    0.05,
    0.1003,
)  # half-gaps; 0 is the least that fp32 keeps
NARROW = ("int8", "fp32")  # dtypes whose rows are checked as stored
ROWS = 2000  # documents up to which they are


def searched(d: int, gap: float, dtype: str, budget: float, seed: int) -> OrbitCode | None:
    """The code of the largest corpus that a search finds."""
    code = Search(Task(d, 2, "orbit", dtype, seed=seed, seeds=1, budget_s=budget, margin=gap)).run().witness
    return code if isinstance(code, OrbitCode) else None


def row_of(code: OrbitCode) -> dict[str, Any]:
    """The table's row: what is proved, and of which documents. Half-gaps are rounded down a little, so that queries that are
    found again, on another machine too, reach them."""
    gap = Fraction(down(0.9998 * float(code.half_gap)))
    row = {
        "d": code.d, "n": code.orbit.n, "half_gap": f"{gap.numerator}/{gap.denominator}",
        "frequencies": list(code.orbit.frequencies), "amplitudes": list(code.orbit.amplitudes), "stored": {},
    }  # fmt: skip
    return row | {"stored": stored(row)}


def stored(row: dict[str, Any]) -> dict[str, float]:
    """Of the dtypes whose rows are checked as stored: half of the half-gap that queries found anew keep. Rounding to few bits is
    chaotic, and the other half is for other machines."""
    out: dict[str, float] = {}
    if row["n"] > ROWS:
        return out
    code = solved(row, best=True)
    for dtype in NARROW:
        try:
            margin = stored_margin(OrbitCode(code.orbit, 2, code.queries, code.half_gap, dtype, 0.0))
        except CertificateError:
            continue
        out[dtype] = down(0.5 * margin) if margin > 1e-6 else 0.0
    return out


def solved(row: dict[str, Any], *, best: bool) -> OrbitCode:
    """The row's orbit with queries found anew. Raises `CertificateError` where they are not found."""
    orbit = Orbit(row["n"], tuple(row["frequencies"]), tuple(row["amplitudes"]))
    f, a = np.array(orbit.frequencies), np.array(orbit.amplitudes) / math.sqrt(orbit.norm)
    gap = Fraction(row["half_gap"])
    solver, wanted = Orbits(orbit.n, len(a)), 2 * float(gap) * (1 + 2e-5)
    found = None if best else solver.solve(f, a, need=wanted, best=False, deadline=math.inf)
    found = found or solver.solve(f, a, need=wanted, best=True, deadline=math.inf)
    if found is None:
        raise CertificateError(f"no queries were found for n = {orbit.n}, d = {orbit.d}")
    return OrbitCode(orbit, 2, quantised(found.directions, float(gap) / 256), gap, "real", 0.0)


def down(x: float) -> float:
    """x rounded down to five significant digits."""
    shown = float(f"{x:.4e}")
    return shown if shown <= x else float(f"{x - 0.5 * 10.0 ** (math.floor(math.log10(x)) - 4):.4e}")


def better(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows that no other row covers: fewer dimensions, more documents, a larger half-gap, as many dtypes."""

    def covers(one: dict[str, Any], other: dict[str, Any]) -> bool:
        return (
            one["d"] <= other["d"] and one["n"] >= other["n"] and Fraction(one["half_gap"]) >= Fraction(other["half_gap"])
            and all(one["stored"].get(dtype, -1.0) >= margin for dtype, margin in other["stored"].items())
        )  # fmt: skip

    kept: list[dict[str, Any]] = []
    for row in sorted(rows, key=lambda r: (r["d"], -r["n"], -Fraction(r["half_gap"]))):
        if not any(covers(one, row) for one in kept):
            kept.append(row)
    return kept


def check(row: dict[str, Any]) -> str:
    """Find the queries again and prove the row; how, as `orbits.check` says. Raises `CertificateError`."""
    code = solved(row, best=bool(row["stored"]))
    if code.d != row["d"]:
        raise CertificateError(f"n = {row['n']}: the documents have {code.d} dimensions, the row says {row['d']}")
    for dtype, margin in row["stored"].items():
        if stored_margin(OrbitCode(code.orbit, 2, code.queries, code.half_gap, dtype, 0.0)) < margin:
            raise CertificateError(
                f"n = {row['n']}, d = {row['d']}: arrays in {dtype} have less than the half-gap {margin:g}"
            )
    return orbits.check(code)


def table(rows: list[dict[str, Any]]) -> str:
    """The largest n by dimension, dtype and half-gap as stored, as a Markdown table."""
    goals = [
        ("fp32", 0.0),
        ("fp16", 0.0),
        ("bf16", 0.0),
        ("int8", 0.0),
        ("fp32", 0.01),
        ("bf16", 0.01),
        ("int8", 0.01),
        ("fp32", 0.1),
    ]
    lines = [
        "| d | " + " | ".join(f"{dtype}, {margin:g}" for dtype, margin in goals) + " |",
        "| ---: |" + " ---: |" * len(goals),
    ]
    known = [Code.of_row(row) for row in rows]
    for d in sorted({code.d for code in known}):
        cells = []
        for dtype, margin in goals:
            kept = [c.n for c in known if c.d <= d and (gap := c.kept(dtype)) is not None and gap >= margin]
            cells.append(f"{max(kept):,}" if kept else "")
        lines.append(f"| {d} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def laws(rows: list[dict[str, Any]]) -> str:
    """For each dimension with at least five codes of 50 documents or more: half-gap = c n^p by least squares of the logarithms."""
    lines = []
    for d in sorted({row["d"] for row in rows}):
        points = [(row["n"], float(Fraction(row["half_gap"]))) for row in rows if row["d"] == d and row["n"] >= 50]
        if len(points) >= 5:
            n, gap = np.log(np.array(points, float)).T
            slope, _ = np.polyfit(n, gap, 1)
            spread = np.corrcoef(n, gap)[0, 1] ** 2
            lines.append(
                f"d = {d}: n^{slope:.2f} (n = {min(points)[0]} to {max(points)[0]}, {len(points)} codes, R2 {spread:.3f})"
            )
    return "\n".join(lines)


def main() -> None:
    """Search, or check."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("table", type=Path)
    parser.add_argument("--budget", type=float, default=10.0)
    parser.add_argument("--dims", default=",".join(map(str, DIMENSIONS)))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--check", action="store_true")
    parser.add_argument(
        "--table", dest="table_only", action="store_true", help="print the largest corpora by dtype and margin"
    )
    parser.add_argument("--laws", action="store_true", help="print how the half-gap falls with n")
    parser.add_argument("--most", type=int, default=10**9, help="documents of a row that is checked")
    options = parser.parse_args()
    rows = json.loads(options.table.read_text())["codes"] if options.table.exists() else []
    if options.table_only:
        print(table(rows))
    if options.laws:
        print(laws(rows))
    if options.table_only or options.laws:
        return
    if options.check:
        chosen = [row for row in rows if row["n"] <= options.most]
        how = Counter(check(row) for row in chosen)
        print(
            f"{len(chosen)} of {len(rows)} rows proved: "
            + ", ".join(f"{count} with {name}" for name, count in how.items())
        )
        return
    for d in map(int, options.dims.split(",")):
        for gap, dtype in [*((g, "fp32") for g in GAPS), (0.0, "int8")]:
            code = searched(d, gap, dtype, options.budget, options.seed)
            if code is not None:
                rows = better([*rows, row_of(code)])
                print(
                    f"d = {code.d}: {code.orbit.n} documents, half-gap {float(code.half_gap):.4g} ({dtype})", flush=True
                )
        with atomic_write(options.table) as out:
            told = {"schema": SCHEMA, "k": 2, "budget_s": options.budget, "provenance": provenance(), "codes": rows}
            out.write((json.dumps(told, indent=None, separators=(",", ":")).replace('{"d"', '\n{"d"') + "\n").encode())


if __name__ == "__main__":
    main()
