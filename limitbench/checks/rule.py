"""What a rule is: its id and what it is about, how it is decided, and where the configuration speaks of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

if TYPE_CHECKING:
    from limitbench.checks.findings import Outcome


Level: TypeAlias = Literal["error", "warning", "off"]
Evidence: TypeAlias = Literal["proved", "constructed", "measured", "empirical"]
Scope: TypeAlias = Literal["workload", "gates", "plan", "gate", "retriever", "project"]
Tier: TypeAlias = Literal["fast", "auto", "full"]
TIERS: tuple[Tier, ...] = ("fast", "auto", "full")
_SHOWN = {"gates": "workload"}  # the gates of a workload, together


@dataclass(frozen=True, kw_only=True)
class Rule:
    """One rule; its module's docstring is its page.

    `scope` names the subjects that it is decided on: a plan is a retriever on a workload, `gates` are those of one workload.
    `decide` gets the subject; None for the rules about checks themselves. `applies` says whether it is about this subject at all.
    `field` is the key of the configuration that a finding points at.

    `spared_by`: where one of these rules is violated on the same subject, this one passes, since its question has no interest then.
    `needless_after`: where one of these is violated on the same subject, and shown, and there is nothing to measure with, this one
    is not made. `asked`: a gate itself asks for it, so that it must not stay green unmeasured. `ceiling`: it proves that a gate's
    floor is out of reach. `tells_unreadable`: it tells of workloads that cannot be read.
    """

    id: str
    name: str
    scope: Scope
    evidence: Evidence
    severity: Level
    tier: Tier = "fast"  # the least one in which it is made
    decide: Callable[[Any], Outcome | None] | None = None
    applies: Callable[[Any], bool] | None = None
    field: str | None = None
    spared_by: tuple[str, ...] = ()
    needless_after: tuple[str, ...] = ()
    asked: bool = False
    ceiling: bool = False
    tells_unreadable: bool = False
    doc: str = ""

    @property
    def title(self) -> str:
        """What a finding says: the first sentence of its page, as a part of a sentence."""
        first = self.doc.strip().splitlines()[0].rstrip(".")
        return first if first[1:2].isupper() else first[0].lower() + first[1:]

    @property
    def shown_scope(self) -> str:
        """The scope as users know it."""
        return _SHOWN.get(self.scope, self.scope)

    @property
    def page(self) -> str:
        """The rule's page, Markdown."""
        first, _, rest = self.doc.strip().partition("\n")
        about = (
            f"Evidence: *{self.evidence}*. Severity: {self.severity}. Tier: {self.tier}. "
            f"Subject: one {self.shown_scope}."
        )
        return f"# {self.id}: {self.name}\n\n{first}\n\n{about}\n\n{rest.strip()}\n"
