"""The ledger of a check: how every rule ended on every subject, as findings, counts, gate states and what was suppressed."""

from __future__ import annotations

from collections import Counter
from datetime import date
from pathlib import Path

from limitbench.checks.config import Project
from limitbench.checks.findings import (
    Counts,
    Fails,
    Finding,
    GateState,
    Outcome,
    Passes,
    Skipped,
    Undecided,
    failing,
)
from limitbench.checks.rules import RULES, Level, Rule
from limitbench.checks.schema import Suppression
from limitbench.checks.subjects import Subject

_WORST: tuple[GateState, ...] = ("passed", "not measured", "undecided", "violated")


class Ledger:
    """What was decided so far. `wanted` are the rules that the caller selected and the configuration does not switch off."""

    def __init__(self, project: Project, wanted: frozenset[str], today: date, fail_on: str) -> None:
        self.project, self.config, self.wanted, self.today = project, project.config, wanted, today
        self.fatal = failing(fail_on)
        self.findings: list[Finding] = []
        self.undecided: list[Level] = []  # severities of rules left undecided and not suppressed
        self.gate_states: dict[int, tuple[GateState, str]] = {}  # of the gate's number: the worst outcome, and why
        self._seen: Counter[str] = Counter()
        self._used: set[int] = set()  # suppressions that hid something
        self._decided: set[tuple[str, str | None, str | None]] = set()  # rule, workload, retriever
        self._told: dict[tuple[str | None, str | None, str], bool] = {}  # what was said of whom: does it fail the check
        self._violated: set[tuple[str, str]] = set()  # rule and subject of violations that are shown

    def level(self, rule: str) -> Level:
        """The severity of a rule here."""
        return self.config.level(rule)

    def shown_violated(self, rule: str, subject: Subject) -> bool:
        """Whether a rule was violated on this subject and is not suppressed."""
        return (rule, subject.name) in self._violated

    def left_out(self) -> None:
        """Count a check that this tier does not make."""
        self._seen["skipped"] += 1

    def settle(self, rule: Rule, subject: Subject, outcome: Outcome) -> None:
        """Take down how a rule ended on a subject."""
        if isinstance(outcome, Skipped) and rule.asked:  # never green on what a gate asks for and nobody measured
            outcome = Undecided(outcome.reason, outcome.remedy)
        self._on_gate(rule, subject, outcome)
        level = self.level(rule.id)
        self._decided.add((rule.id, subject.workload, subject.retriever))
        if isinstance(outcome, Passes):
            self._seen["passed"] += 1
        elif isinstance(outcome, Fails):
            self._seen["violated"] += 1
            self._add(subject, rule, level, outcome)
            if not self.findings[-1].suppressed:
                self._violated.add((rule.id, subject.name))
        elif isinstance(outcome, Skipped):
            self._seen["skipped"] += 1
            self._meta(
                subject,
                rule,
                "LB901",
                Fails(f"{rule.id} was skipped: {outcome.reason}", outcome.remedy),
                outcome.reason,
            )
        else:
            self._settle_undecided(rule, subject, outcome)

    def _settle_undecided(self, rule: Rule, subject: Subject, outcome: Undecided) -> None:
        self._seen["undecided"] += 1
        said = Fails(
            f"{rule.id} could not be decided: {outcome.reason}", outcome.remedy, path=outcome.path, line=outcome.line
        )
        count: Level = "warning" if outcome.quiet else self.level(rule.id)
        if self.level("LB902") == "error":
            count = "error"
        if not self._meta(subject, rule, "LB902", said, outcome.reason, fails=count in self.fatal):
            self.undecided.append(count)

    def _on_gate(self, rule: Rule, subject: Subject, outcome: Outcome) -> None:
        """Keep how a gate ended: by what it asks for, and by a ceiling that is proved below its floor."""
        if not (rule.asked or rule.ceiling):
            return
        state: GateState = "passed"
        if isinstance(outcome, Fails):
            state = "violated"
        elif isinstance(outcome, Undecided):
            state = "undecided"
        elif isinstance(outcome, Skipped):
            state = "not measured"
        elif rule.ceiling:
            return  # a ceiling above the floor says nothing of the gate
        why = outcome.message if isinstance(outcome, Fails) else "" if isinstance(outcome, Passes) else outcome.reason
        number = int(subject.key[1])
        old = self.gate_states.get(number)
        if old is None or _WORST.index(state) > _WORST.index(old[0]):
            self.gate_states[number] = (state, why)

    def _meta(
        self, subject: Subject, about: Rule, rule: str, said: Fails, reason: str, *, fails: bool | None = None
    ) -> bool:
        """Add a finding about a check; whether it is suppressed. Switched off or ignored, it is not shown but still counts.

        What was said of one measurement already, with the same reason and no less weight, is not said again for the next rule.
        """
        by = self._suppression(subject, about.id)
        if by is None and not (
            rule == "LB902" and about.asked
        ):  # what a gate asks for is suppressed by its own rule alone
            by = self._suppression(subject, rule)
        told = (subject.workload, subject.retriever, reason)
        news = told not in self._told or bool(fails) > self._told[told]
        if rule in self.wanted and (news or by is not None):
            self._add(subject, RULES[rule], self.level(rule), said, about=about, by=by, fails=fails)
            if by is None:
                self._told[told] = bool(fails)
        return by is not None

    def _add(
        self,
        subject: Subject,
        rule: Rule,
        level: Level,
        said: Fails,
        *,
        about: Rule | None = None,
        by: Suppression | None = None,
        fails: bool | None = None,
    ) -> None:
        """Add a finding; where a suppression hides it, with its reason."""
        assert level != "off"
        by = by or self._suppression(subject, rule.id)
        if by is not None:
            self._seen["suppressed"] += 1
        field = (about or rule).field
        key = (*subject.key, field) if field else subject.key
        self.findings.append(
            Finding(
                rule=rule.id, name=rule.name, severity=level, evidence=rule.evidence, subject=subject.name,
                message=said.message, expected=said.expected, observed=said.observed, remedy=said.remedy,
                numbers=said.numbers or {}, assumptions=list(said.assumptions), causes=list(said.causes),
                about=about.id if about else None, path=self._shown(said.path) if said.path else self.project.shown,
                line=said.line or 1 if said.path else self.project.line(*key),
                fails=by is None and (level in self.fatal if fails is None else fails), suppressed=by is not None,
                reason=by and by.reason,
            )
        )  # fmt: skip

    def _shown(self, path: str) -> str:
        try:
            return Path(path).resolve().relative_to(self.project.root).as_posix()
        except ValueError:
            return path

    def _suppression(self, subject: Subject, rule: str) -> Suppression | None:
        for number, suppression in enumerate(self.config.suppress):
            if suppression.id != rule or (suppression.until is not None and suppression.until < self.today):
                continue
            if suppression.workload in (None, subject.workload) and suppression.retriever in (None, subject.retriever):
                self._used.add(number)
                return suppression
        return None

    def stale_suppressions(self) -> None:
        """LB903: suppressions past their day, or of a rule that was decided and hid nothing."""
        if "LB903" not in self.wanted:
            return
        for number, suppression in enumerate(self.config.suppress):
            what = f"the suppression of {suppression.id} ({suppression.reason})"
            expired = suppression.until is not None and suppression.until < self.today
            if expired:
                said = Fails(
                    f"{what} expired on {suppression.until}", "mend what it hid, or give it a new day and reason"
                )
            elif number not in self._used and self._was_decided(suppression):
                said = Fails(f"{what} hides nothing", "remove it")
            else:
                self._seen["passed"] += 1
                continue
            one = Subject(f"suppression {number + 1}", ("suppress", number, "until" if expired else "id"), None)
            self._seen["violated"] += 1
            self._add(one, RULES["LB903"], self.level("LB903"), said)

    def _was_decided(self, suppression: Suppression) -> bool:
        """Whether the suppressed rule was decided where the suppression holds."""
        return any(
            rule == suppression.id
            and suppression.workload in (None, workload)
            and suppression.retriever in (None, retriever)
            for rule, workload, retriever in self._decided
        )

    def counts(self) -> Counts:
        """How many checks ended in which way."""
        seen = self._seen
        ran = seen["passed"] + seen["violated"] + seen["undecided"]
        names = ("passed", "violated", "undecided", "skipped", "suppressed")
        return Counts(ran=ran, **{name: seen[name] for name in names})
