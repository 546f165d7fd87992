"""Claims that carry their proof, and the small checker that accepts or refuses them.

A certificate says: for this matrix, this notion of dimension is at least (or at most) this value, because of this data. The checker
is a kernel: it takes rows and a digest, needs the standard library alone, and shares no code with what searches for bounds (the
search for symmetric codes takes cosines and necklaces from `orbits`, in which their proof is written). It computes with
Python's integers and `fractions`: no floating point, no numpy. Each kind of proof is one file in `kinds/` whose function gives what
its data prove; the claim is accepted when it follows by the inequalities between the notions (`claims`).

**Work.** Whatever a certificate holds, its check ends: it does at most about `MOST_STEPS` steps beyond some readings of the
matrix and of the data (a step is a set operation, or a product of 64-bit words), and refuses what would need more. Readings put
rows into Python's sets, so the bound leaves out rows that somebody chose so that their hashes collide: those cost time, and no
verdict.
"""

from __future__ import annotations

from limitbench.certificates.checker import check, verify
from limitbench.certificates.claims import KINDS, NOTIONS, SCHEMA, Certificate, Notion, Proof, Side
from limitbench.certificates.matrices import AllSubsets, Explicit, HasRows, Matrix, Relevance
from limitbench.certificates.storage import read, write
from limitbench.certificates.work import MOST_STEPS

__all__ = [
    "KINDS", "MOST_STEPS", "NOTIONS", "SCHEMA", "AllSubsets", "Certificate", "Explicit", "HasRows", "Matrix", "Notion", "Proof",
    "Relevance", "Side", "check", "read", "verify", "write",
]  # fmt: skip
