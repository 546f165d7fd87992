"""What is looked at to explain that questions failed: which failed, which did not, and what each wants."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property

from limitbench.checks.comparison import Pair
from limitbench.checks.measurement import Case, Measured


@dataclass(frozen=True)
class Evidence:
    """What causes are read from: a measurement, which questions failed, and what they want.

    `failed` are row numbers: the questions whose figure fell, or where nothing is compared, those that miss a relevant document.
    """

    case: Case
    found: Measured
    pair: Pair | None

    @cached_property
    def cutoff(self) -> int:
        """The cutoff of the gate's metric."""
        return self.case.gate.measure.cutoff

    @cached_property
    def top(self) -> list[list[str]]:
        """The documents within the cutoff, by row."""
        return self.found.first(self.cutoff)

    @cached_property
    def relevant(self) -> list[list[str]]:
        """The ids of the relevant documents, by row."""
        qrels, ids = self.found.qrels, self.found.run.document_ids
        return [
            [ids[column] for column in qrels.indices[start:stop]]
            for start, stop in zip(qrels.indptr[:-1], qrels.indptr[1:], strict=True)
        ]

    @cached_property
    def failed(self) -> list[int]:
        """Row numbers of the questions to explain."""
        if self.pair is not None and self.pair.lost:
            return [self.pair.rows[i] for i in self.pair.lost]
        return [row for row, wanted in enumerate(self.relevant) if set(wanted) - set(self.top[row])]

    @cached_property
    def kept(self) -> list[int]:
        """Row numbers of the others that found something: those that are compared, where any are."""
        failed = set(self.failed)
        rows = range(len(self.relevant)) if self.pair is None else self.pair.rows
        return [row for row in rows if row not in failed and set(self.relevant[row]) & set(self.top[row])]

    def wanted(self, row: int) -> list[str]:
        """The relevant documents that a question misses; all of them where it misses none."""
        seen = set(self.top[row])
        return [name for name in self.relevant[row] if name not in seen] or self.relevant[row]

    def text(self, document: str) -> str:
        """A document's text; empty where there is none."""
        return self.case.workload.texts.get(document, "")


def section(document: str) -> str:
    """The part of an id before the first '/', '#' or ':'; empty where it has none."""
    head, mark, _ = re.split(r"([/#:])", document, maxsplit=1) if re.search(r"[/#:]", document) else ("", "", "")
    return head if mark else ""
