"""How large a corpus d dimensions carry: free embeddings, constructions, critical-n as a bracket, witnesses.

torch is imported by the optimizers alone, when they run; checking a witness needs numpy only.
"""

from __future__ import annotations

from limitbench.capacity.problem import Problem
from limitbench.capacity.search import Search
from limitbench.capacity.task import SOLVERS, CapacityResult, Status, Task
from limitbench.capacity.witness import Witness

__all__ = ["SOLVERS", "CapacityResult", "Problem", "Search", "Status", "Task", "Witness"]
