"""Bounds on the embedding dimension of a relevance matrix, each with its evidence; margin, precision, design."""

from __future__ import annotations

from limitbench.certificates import AllSubsets
from limitbench.theory.bounds import Bound, Bracket
from limitbench.theory.bracket import bracket, brackets, exact_all_k
from limitbench.theory.design import Verdict, design
from limitbench.theory.matrix import matrix_name

__all__ = ["AllSubsets", "Bound", "Bracket", "Verdict", "bracket", "brackets", "design", "exact_all_k", "matrix_name"]
