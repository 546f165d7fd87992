"""The check itself: every rule on every subject that it is about, and the report that follows."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path

from limitbench import __version__
from limitbench.checks import causes, gates, secrets
from limitbench.checks.config import Project, read_project
from limitbench.checks.findings import Fails, GateRow, Outcome, Passes, Report, Undecided, exit_code
from limitbench.checks.ledger import Ledger
from limitbench.checks.measurement import Case, Measured
from limitbench.checks.rule import Scope
from limitbench.checks.rules import RULES, TIERS, Rule, chosen
from limitbench.checks.settings import Settings
from limitbench.checks.subjects import Subject, Subjects
from limitbench.errors import InputError, LimitbenchError

_ORDER: tuple[Scope, ...] = ("workload", "plan", "gates", "gate", "retriever", "project")
_VERDICTS = {0: "passed", 1: "violated", 3: "undecided"}


def check(
    config: Path | str | Project = "limitbench.toml", *, select: list[str] | None = None, ignore: list[str] | None = None,
    fail_on: str = "error", tier: str = "auto", time_budget: float | None = None, no_exec: bool = False,
    today: date | None = None, watch: Callable[[str], None] = lambda _what: None,
) -> Report:  # fmt: skip
    """The report on a configuration: findings, counts and `exit_code` (0 passed, 1 violated, 3 undecided).

    `select` and `ignore` are rule ids or prefixes; `time_budget` is in seconds. `tier` says how far it may go: auto measures what
    the gates ask for, by what is installed; fast measures run files alone; full also optimises free embeddings. Raises `InputError`
    for a configuration or baseline that cannot be used: that is exit code 2.
    """
    start = time.monotonic()
    if fail_on not in ("error", "warning") or tier not in TIERS:
        raise InputError(
            f"found fail_on = '{fail_on}' and tier = '{tier}', expected error or warning, and one of {', '.join(TIERS)}"
        )
    if time_budget is not None and not 0 < time_budget < float("inf"):
        raise InputError(f"found a time budget of {time_budget}, expected seconds above 0")
    project = config if isinstance(config, Project) else read_project(config)
    asked = chosen(select or [], ignore or [])
    wanted = frozenset(rule for rule in asked if project.config.level(rule) != "off")
    settings = Settings(tier, no_exec, float("inf") if time_budget is None else start + time_budget)
    subjects, ledger = Subjects(project, settings), Ledger(project, wanted, today or date.today(), fail_on)
    for rule, subject in _wanted(subjects, ledger):
        watch(f"{rule.id} {subject.name}")
        outcome = _outcome(rule, subject, settings)
        if outcome is not None:
            ledger.settle(rule, subject, outcome)
    ledger.stale_suppressions()
    code = exit_code(ledger.findings, ledger.undecided, fail_on)
    report = Report(
        limitbench=__version__, config=project.shown, tier=settings.tier, fail_on=fail_on, exit_code=code,
        verdict=_VERDICTS[code], gates=_gate_rows(subjects, ledger),
        counts=ledger.counts(), findings=ledger.findings, assumptions=_assumptions(subjects), notes=_notes(subjects),
        seconds=round(time.monotonic() - start, 3),
    )  # fmt: skip
    return Report.model_validate(secrets.hidden(report.model_dump()))


def _wanted(subjects: Subjects, ledger: Ledger) -> Iterator[tuple[Rule, Subject]]:
    """Every rule that is wanted and in reach of the tier, on each of its subjects, one at a time: see `Rule.needless_after`."""
    reach = TIERS.index(subjects.settings.tier)
    for scope in _ORDER:
        rules = [rule for rule in _in_order(scope) if rule.id in ledger.wanted]
        for subject in subjects.of(scope):
            for rule in rules:
                if subject.unreadable is not None and not rule.tells_unreadable:
                    continue
                if TIERS.index(rule.tier) > reach:
                    ledger.left_out()
                    continue
                needless = any(ledger.shown_violated(other, subject) for other in rule.needless_after)
                if not needless or subject.measurable:
                    yield rule, subject


def _in_order(scope: Scope) -> list[Rule]:
    """The rules of a scope that are decided on a subject: ceilings first, then what gates ask for, then the others."""
    rules = [rule for rule in RULES.values() if rule.scope == scope and rule.decide is not None]
    return sorted(rules, key=lambda rule: (not rule.ceiling, not rule.asked))


def _outcome(rule: Rule, subject: Subject, settings: Settings) -> Outcome | None:
    """How a rule ends on a subject; None where it does not apply. An error leaves it undecided."""
    assert rule.decide is not None
    if settings.seconds(1.0) <= 0:
        return Undecided("the time budget is used up", "give more: --time-budget")
    if subject.unreadable is not None:
        return subject.unreadable
    try:
        if rule.applies is not None and not rule.applies(subject.of):
            return None
        return Passes() if _spared(rule, subject) else rule.decide(subject.of)
    except LimitbenchError as error:
        return Undecided(str(error), "mend what it says, and check again")
    except MemoryError:
        return Undecided("it does not fit into memory", "check on a machine with more")


def _spared(rule: Rule, subject: Subject) -> bool:
    """Whether another rule's violation on the same subject takes the interest out of this one's; switched off, it does so too."""
    others = (RULES[name].decide for name in rule.spared_by)
    return any(isinstance(decide(subject.of), Fails) for decide in others if decide is not None)


def _gate_rows(subjects: Subjects, ledger: Ledger) -> list[GateRow]:
    """A row for every gate, in their order, those of workloads that cannot be read included."""
    read = {case.number: case for case in subjects.cases}
    return [
        gates.row(read[number], ledger.gate_states)
        if number in read
        else gates.unread(number, gate, subjects.unreadable[gate.workload])
        for number, gate in enumerate(subjects.config.gate)
    ]


def _notes(subjects: Subjects) -> list[str]:
    """What to know of every measurement before its numbers are read, whether anything is violated or not."""
    out = []
    for (workload, retriever, reference), found in subjects.runs.items():
        if isinstance(found, Measured):
            name = f"{retriever}{f' without loss by {reference}' if reference else ''}" if retriever else "BM25"
            who = f"{name} on {workload}"
            out += [f"{who}: {note}" for note in dict.fromkeys((*found.notes, *(cut.remark for cut in found.cut)))]
    for case in subjects.cases:
        seen = subjects.runs.get((case.gate.workload, case.gate.retriever, ""))
        if isinstance(seen, Measured):
            out += [f"{case.gate.retriever} on {case.gate.workload}: {said}" for said in causes.facts(case, seen)]
    return list(dict.fromkeys(out))


def _assumptions(subjects: Subjects) -> list[str]:
    """What growth assumes of each workload."""
    return [said for loaded in subjects.loaded.values() if (said := loaded.assumption) is not None]


def measured_cases(project: Project, settings: Settings) -> list[Case]:
    """The gates of a project, ready to be measured, without their baseline.

    Raises `LimitbenchError` where a workload cannot be read.
    """
    subjects = Subjects(project, settings, compare=False)
    cases = subjects.cases
    for name, problem in subjects.unreadable.items():
        raise InputError(f"workload '{name}' cannot be read: {problem.reason}")
    return cases
