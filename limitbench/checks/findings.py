"""What a check gives: findings, what was skipped or left undecided, and the exit code that follows.

The JSON of a `Report` is the canonical output; every other format is a projection of it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel, ConfigDict

from limitbench.checks.rule import Evidence

PASSED, VIOLATED, BROKEN, UNDECIDED = 0, 1, 2, 3
Numbers = dict[str, int | float | str | None]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Cause(_Model):
    """What explains a failed gate, read from the run: a hint, never a verdict.

    `counted`: it is a fact of the run, of its index or of its settings. Else it is a pattern among the questions that failed.
    """

    name: str
    message: str
    counted: bool = True
    numbers: Numbers = {}


@dataclass(frozen=True)
class Fails:
    """A rule is violated: why, with the numbers, and what to do."""

    message: str
    remedy: str
    expected: str = ""
    observed: str = ""
    numbers: Numbers | None = None
    assumptions: tuple[str, ...] = ()
    path: str | None = None  # where it is not the configuration that is wrong, but a file
    line: int | None = None
    causes: tuple[Cause, ...] = ()


@dataclass(frozen=True)
class Undecided:
    """A rule could not be decided."""

    reason: str
    remedy: str
    quiet: bool = False  # a warning at most: the configuration says so
    path: str | None = None
    line: int | None = None


@dataclass(frozen=True)
class Skipped:
    """A check was not made: the caller said so, or there is nothing to make it with."""

    reason: str
    remedy: str


class Passes:
    """The rule holds on this subject."""


Outcome = Passes | Fails | Undecided | Skipped


class Finding(_Model):
    """What one rule found on one subject, with its severity, evidence and what to do."""

    rule: str
    name: str
    severity: Literal["error", "warning"]
    evidence: Evidence
    subject: str
    message: str
    expected: str = ""
    observed: str = ""
    remedy: str
    numbers: Numbers = {}
    assumptions: list[str] = []
    causes: list[Cause] = []
    about: str | None = None  # the rule that a finding of LB9xx is about
    path: str
    line: int
    fails: bool = False  # whether it is among those that make the exit code other than 0
    suppressed: bool = False
    reason: str | None = None  # why it is suppressed

    @property
    def fingerprint(self) -> str:
        """What stays when lines move: rule, what it is about, subject and file."""
        return hashlib.sha256("\0".join((self.rule, self.about or "", self.subject, self.path)).encode()).hexdigest()[
            :32
        ]


class Counts(_Model):
    """How many checks there were; a check is a rule on one subject."""

    ran: int
    passed: int
    violated: int
    undecided: int
    skipped: int
    suppressed: int


GateState = Literal["passed", "violated", "undecided", "not measured"]


class LostQuestion(_Model):
    """A question whose figure fell: what it asks and wants, where that stood before and stands now, and what stands above it.

    `before_rank` and `now_rank` count from 1; None where the document was not among those that were kept or returned.
    """

    query: str
    text: str
    section: str
    wanted: str
    before: float
    now: float
    before_rank: int | None
    now_rank: int | None
    above: list[str]


class GateRow(_Model):
    """One gate: what it asks, what was measured, how that compares with the baseline, and what its queries can show.

    Figures are fractions, intervals 95 % bootstrap limits over queries; `p` is two-sided, of a paired randomisation of before and
    now. `lost` and `gained` count queries whose figure fell or rose. `detectable` is the drop beyond the allowed one that so many
    queries show with 95 % power. `compared` counts the queries that are what they were, and `remark` says why others are not
    compared. `agreement` is the rank-biased overlap with the baseline's documents: no judgement enters it. What was not measured,
    or has no baseline, is None; `no_before` says why.
    """

    number: int
    workload: str
    retriever: str
    metric: str
    state: GateState
    why: str = ""
    queries: int
    min: float | None = None
    max_drop: float | None = None
    max_lost: int | None = None
    must_find: int | None = None  # how many questions it names
    not_worse: float | None = None
    max_decline: float | None = None
    confidence: float
    now: float | None = None
    now_low: float | None = None
    now_high: float | None = None
    before: float | None = None
    now_compared: float | None = None  # on the queries that are compared with before
    difference: float | None = None
    difference_low: float | None = None
    difference_high: float | None = None
    p: float | None = None
    lost: int | None = None
    gained: int | None = None
    detectable: float | None = None
    compared: int | None = None
    agreement: float | None = None
    remark: str | None = None
    no_before: str | None = None
    causes: list[Cause] = []
    lost_questions: list[LostQuestion] = []  # by section, the largest fall first


class Report(_Model):
    """The result of a check."""

    schema_version: Literal[1] = 1
    limitbench: str
    config: str
    tier: Literal["fast", "auto", "full"]
    fail_on: Literal["error", "warning"]
    exit_code: Literal[0, 1, 2, 3]
    verdict: Literal["passed", "violated", "broken", "undecided"]
    error: str | None = None  # why nothing was checked, with file and line: exit code 2
    counts: Counts
    gates: list[GateRow] = []  # every gate, passed or not
    findings: list[Finding]
    assumptions: list[str]
    notes: list[str] = []  # what to know of the measurements before their numbers are read, each with its count
    seconds: float

    @classmethod
    def broken(cls, config: str, error: str, *, version: str, tier: str, fail_on: str) -> Report:
        """The report of a configuration or baseline that cannot be used."""
        none = Counts(ran=0, passed=0, violated=0, undecided=0, skipped=0, suppressed=0)
        return cls(
            limitbench=version, config=config, tier=tier, fail_on=fail_on, exit_code=BROKEN, verdict="broken", error=error,
            counts=none, findings=[], assumptions=[], seconds=0.0,
        )  # fmt: skip

    @property
    def shown(self) -> list[Finding]:
        """The findings that are not suppressed."""
        return [finding for finding in self.findings if not finding.suppressed]


def exit_code(findings: Sequence[Finding], undecided: Sequence[str], fail_on: str) -> Literal[0, 1, 3]:
    """1 for a violation, else 3 where something at or above `fail_on` was undecided, else 0.

    `undecided` holds the severities of what could not be decided and is not suppressed.
    """
    if any(f.fails and f.rule != "LB902" for f in findings):
        return 1
    return 3 if failing(fail_on) & set(undecided) else 0


def failing(fail_on: str) -> set[str]:
    """The severities that make a check fail."""
    return {"error"} if fail_on == "error" else {"error", "warning"}
