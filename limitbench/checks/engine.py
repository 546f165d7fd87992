"""The check itself: every rule that applies, on every subject, and the report that follows."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from functools import partial
from itertools import chain
from pathlib import Path

from limitbench import __version__
from limitbench.checks import against_baseline, capacity, causes, data, gates, measured, reproducibility, secrets
from limitbench.checks import baseline as recorded
from limitbench.checks.baseline import Baseline
from limitbench.checks.config import Project, Suppression, read_project
from limitbench.checks.findings import (
    Cause,
    Counts,
    Fails,
    Finding,
    GateRow,
    GateState,
    Outcome,
    Passes,
    Report,
    Skipped,
    Undecided,
    exit_code,
    failing,
)
from limitbench.checks.measurement import Case, Measured, Settings
from limitbench.checks.rules import RULES, TIERS, Level, chosen
from limitbench.checks.workloads import Loaded, OutOfTime, read_workload
from limitbench.errors import DataError, InputError, LimitbenchError

Key = tuple[str | int, ...]
_ASKED = ("LB301", "LB302", "LB310", "LB311", "LB312", "LB313")  # what a gate itself asks for
_CEILINGS = ("LB106", "LB107")
_WORST: tuple[GateState, ...] = ("passed", "not measured", "undecided", "violated")
_VERDICTS = {0: "passed", 1: "violated", 3: "undecided"}


@dataclass(frozen=True)
class Check:
    """A rule on one subject: what to call, and where the configuration speaks of it."""

    rule: str
    subject: str
    key: Key
    call: Callable[[], Outcome | None]
    workload: str | None = None
    retriever: str | None = None


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
    wanted = chosen(select or [], ignore or [])
    deadline = float("inf") if time_budget is None else start + time_budget
    settings = Settings(tier, no_exec, deadline)
    run = _Run(project, settings, wanted, today or date.today(), fail_on=fail_on)
    for one in run.checks():
        watch(f"{one.rule} {one.subject}")
        run.settle(one)
    run.stale_suppressions()
    code = exit_code(run.findings, run.undecided, fail_on)
    report = Report(
        limitbench=__version__, config=project.shown, tier=settings.tier, fail_on=fail_on, exit_code=code,
        verdict=_VERDICTS[code], gates=run.gate_rows(),
        counts=run.counts(), findings=run.findings, assumptions=run.assumptions(), notes=run.notes(),
        seconds=round(time.monotonic() - start, 3),
    )  # fmt: skip
    return Report.model_validate(secrets.hidden(report.model_dump()))


class _Run:
    """One check under way."""

    def __init__(
        self,
        project: Project,
        settings: Settings,
        wanted: frozenset[str],
        today: date,
        *,
        fail_on: str = "error",
        compare: bool = True,
    ) -> None:
        self.project, self.config, self.settings = project, project.config, settings
        self.wanted = frozenset(rule for rule in wanted if project.config.level(rule) != "off")
        self.today = today
        self.findings: list[Finding] = []
        self.undecided: list[Level] = []  # severities of rules left undecided and not suppressed
        self.seen: Counter[str] = Counter()
        self.used: set[int] = set()
        self.fatal = failing(fail_on)
        self.made: set[tuple[str, str | None, str | None]] = set()  # rule, workload, retriever of what was decided
        self.told: dict[tuple[str | None, str | None, str], bool] = {}  # what was said of whom: does it fail the check
        self.gate_states: dict[int, tuple[GateState, str]] = {}  # of the gate's number: the worst outcome, and why
        self.ceilings: set[int] = set()  # gates whose floor is proved to be out of reach, and shown to be
        self.loaded: dict[str, Loaded] = {}
        self.unreadable: dict[str, Undecided] = {}
        # what was measured, and what explains it, shared by the gates
        self.explained: dict[tuple[int, bytes], tuple[Cause, ...]] = {}
        self.runs: dict[tuple[str, str, str], Measured | Undecided | Skipped] = {}
        self.baseline = self._baseline() if compare else None

    def _baseline(self) -> Baseline | None:
        plan = self.config.baseline
        return None if plan is None else recorded.read_baseline(self.project.resolve(plan.path, "baseline", "path"))

    def load(self) -> None:
        """Read the workloads."""
        for name, plan in self.config.workload.items():
            try:
                self.loaded[name] = read_workload(self.project, name, self._in_time)
            except DataError as error:
                if error.path == self.project.path:
                    raise
                self.unreadable[name] = Undecided(str(error), "mend the file", path=str(error.path), line=error.line)
            except OutOfTime as error:
                self.unreadable[name] = Undecided(str(error), "give more: --time-budget")
            except LimitbenchError as error:
                key = ("workload", name, "pattern" if plan.pattern is not None else "qrels")
                raise DataError(self.project.path, str(error), line=self.project.line(*key)) from None

    def _in_time(self) -> None:
        """Raise `OutOfTime` where the time budget is used up while data are read."""
        if self.settings.seconds(1.0) <= 0:
            raise OutOfTime("the time budget was used up while the data were read")

    # ---------------------------------------------------------------------------------------------------------- checks

    def checks(self) -> Iterator[Check]:
        """Every check that the rules wanted and the tier allow, one at a time: what the last gave may spare the next."""
        self.load()
        for one in chain(self._on_workloads(), self._on_plans(), self._on_gates(), self._on_retrievers()):
            if one.rule not in self.wanted:
                continue
            if TIERS.index(RULES[one.rule].tier) > TIERS.index(self.settings.tier):
                self.seen["skipped"] += 1
                continue
            yield one

    def _on_workloads(self) -> Iterator[Check]:
        rules: dict[str, Callable[[Loaded], Outcome | None]] = {
            "LB001": data.dangling, "LB002": data.conflicting, "LB003": data.nothing_relevant, "LB004": data.unsafe_ids,
            "LB005": lambda workload: data.data_changed(workload, self.baseline),
        }  # fmt: skip
        for name in self.config.workload:
            for rule, call in rules.items():
                key = ("workload", name, "qrels" if self.config.workload[name].pattern is None else "pattern")
                if name in self.loaded:
                    yield Check(rule, f"workload {name}", key, partial(call, self.loaded[name]), workload=name)
                elif rule == "LB001":
                    yield Check(rule, f"workload {name}", key, partial(_as_is, self.unreadable[name]), workload=name)

    def _on_plans(self) -> Iterator[Check]:
        rules: dict[str, tuple[Callable[[capacity.Plan], Outcome | None], str]] = {
            "LB101": (capacity.dimension_too_small, "dim"), "LB102": (capacity.dimension_open, "dim"),
            "LB103": (capacity.margin_impossible, "margin"), "LB104": (capacity.dtype_too_coarse, "dtype"),
            "LB105": (capacity.code_space_too_small, "dtype"),
            "LB201": (lambda plan: capacity.free_embeddings_miss(plan, seconds=self.settings.seconds(60.0)), "dim"),
            "LB202": (capacity.little_headroom, "dim"),
        }  # fmt: skip
        for workload, retriever in self._pairs():
            if workload not in self.loaded:
                continue
            plan = capacity.Plan(self.loaded[workload], self.config.retriever[retriever], self.settings.seconds(5.0))
            if plan.applies:
                for rule, (call, field) in rules.items():
                    subject, key = f"{retriever} on {workload}", ("retriever", retriever, field)
                    yield Check(rule, subject, key, partial(call, plan), workload=workload, retriever=retriever)

    def _pairs(self) -> list[tuple[str, str]]:
        """The pairs that gates name, and every pair of a workload or retriever that no gate names."""
        named = dict.fromkeys((gate.workload, gate.retriever) for gate in self.config.gate)
        workloads, retrievers = {w for w, _ in named}, {r for _, r in named}
        every = ((w, r) for w in self.config.workload for r in self.config.retriever)
        return list(named | dict.fromkeys((w, r) for w, r in every if w not in workloads or r not in retrievers))

    def _on_gates(self) -> Iterator[Check]:
        rules: dict[str, tuple[Callable[[Case], Outcome | None], str]] = {
            "LB106": (measured.top_k_too_small, "min"), "LB107": (measured.recall_out_of_reach, "min"),
            "LB301": (measured.below_floor, "min"), "LB302": (against_baseline.regression, "max_drop"),
            "LB310": (against_baseline.too_many_lost, "max_lost"), "LB311": (against_baseline.must_find, "must_find"),
            "LB312": (against_baseline.not_shown_as_good, "not_worse"), "LB313": (against_baseline.decline, "max_decline"),
            "LB303": (measured.bm25_is_better, "metric"), "LB304": (measured.truncation_loss, "metric"),
            "LB305": (measured.quantisation_loss, "metric"), "LB306": (measured.ann_loss, "metric"),
            "LB307": (measured.ties_at_the_cut, "metric"), "LB308": (measured.scores_too_close, "metric"),
            "LB309": (measured.texts_cut, "metric"),
        }  # fmt: skip
        cases = self.cases()
        for workload in self.loaded:
            asking = [case for case in cases if case.gate.workload == workload and case.gate.max_drop is not None]
            if asking:
                key = ("gate", asking[0].number, "max_drop")
                call_all = partial(against_baseline.too_few_queries, asking)
                yield Check("LB006", f"workload {workload}", key, call_all, workload=workload)
        for case in cases:
            for rule, (call, field) in rules.items():
                gate = case.gate
                subject = f"gate {case.number + 1}: {gate.metric} of {gate.retriever} on {gate.workload}"
                one = Check(
                    rule, subject, ("gate", case.number, field), partial(call, case), gate.workload, gate.retriever
                )
                if rule == "LB301" and case.number in self.ceilings and case.retriever.measure is None:
                    continue  # what is proved, and shown, needs no measurement
                yield one

    def cases(self) -> list[Case]:
        """The gates whose workloads could be read."""
        depths: dict[tuple[str, str], int] = {}
        for gate in self.config.gate:
            pair = (gate.workload, gate.retriever)
            top_k = self.loaded[gate.workload].top_k if gate.workload in self.loaded else 0
            depths[pair] = max(depths.get(pair, 0), gate.measure.cutoff, top_k)
        return [
            Case(
                number,
                gate,
                self.loaded[gate.workload],
                self.config.retriever[gate.retriever],
                self.project,
                self.settings,
                self.baseline,
                depths[gate.workload, gate.retriever],
                self.runs,
                self.explained,
            )
            for number, gate in enumerate(self.config.gate)
            if gate.workload in self.loaded
        ]

    def _on_retrievers(self) -> Iterator[Check]:
        for name, retriever in self.config.retriever.items():
            key = ("retriever", name, "model") if retriever.model else ("retriever", name, "measure", "model")
            for rule, call in (("LB401", reproducibility.floating_revision), ("LB402", reproducibility.prompt_missing)):
                yield Check(rule, f"retriever {name}", key, partial(call, retriever, self.project), retriever=name)
        yield Check("LB403", "project", ("baseline", "path"), lambda: reproducibility.drift(self.config, self.baseline))

    # --------------------------------------------------------------------------------------------------------- outcomes

    def settle(self, one: Check) -> None:
        """Make the check and take down what it gives."""
        if self.settings.seconds(1.0) <= 0:
            outcome: Outcome | None = Undecided("the time budget is used up", "give more: --time-budget")
        else:
            try:
                outcome = one.call()
            except LimitbenchError as error:
                outcome = Undecided(str(error), "mend what it says, and check again")
            except MemoryError:
                outcome = Undecided("it does not fit into memory", "check on a machine with more")
        if outcome is None:
            return
        if (
            isinstance(outcome, Skipped) and one.rule in _ASKED
        ):  # never green on what a gate asks for and nobody measured
            outcome = Undecided(outcome.reason, outcome.remedy)
        self._on_gate(one, outcome)
        level = self.config.level(one.rule)
        assert level != "off"
        self.made.add((one.rule, one.workload, one.retriever))
        if isinstance(outcome, Passes):
            self.seen["passed"] += 1
        elif isinstance(outcome, Fails):
            self.seen["violated"] += 1
            self._add(one, one.rule, level, outcome)
            if one.rule in _CEILINGS and not self.findings[-1].suppressed:
                self.ceilings.add(int(one.key[1]))
        elif isinstance(outcome, Skipped):
            self.seen["skipped"] += 1
            self._meta(one, "LB901", Fails(f"{one.rule} was skipped: {outcome.reason}", outcome.remedy))
        else:
            self.seen["undecided"] += 1
            said = Fails(
                f"{one.rule} could not be decided: {outcome.reason}",
                outcome.remedy,
                path=outcome.path,
                line=outcome.line,
            )
            count: Level = "warning" if outcome.quiet else level
            if self.config.level("LB902") == "error":
                count = "error"
            if not self._meta(one, "LB902", said, fails=count in self.fatal):
                self.undecided.append(count)

    def gate_rows(self) -> list[GateRow]:
        """A row for every gate, in their order, those of workloads that cannot be read included."""
        read = {case.number: case for case in self.cases()}
        return [
            gates.row(read[number], self.gate_states)
            if number in read
            else gates.unread(number, gate, self.unreadable[gate.workload])
            for number, gate in enumerate(self.config.gate)
        ]

    def _on_gate(self, one: Check, outcome: Outcome) -> None:
        """Keep how a gate ended: by what it asks for, and by a ceiling that is proved below its floor."""
        if one.rule not in (*_ASKED, *_CEILINGS):
            return
        state: GateState = "passed"
        if isinstance(outcome, Fails):
            state = "violated"
        elif isinstance(outcome, Undecided):
            state = "undecided"
        elif isinstance(outcome, Skipped):
            state = "not measured"
        elif one.rule in _CEILINGS:
            return  # a ceiling above the floor says nothing of the gate
        why = outcome.message if isinstance(outcome, Fails) else "" if isinstance(outcome, Passes) else outcome.reason
        number = int(one.key[1])
        old = self.gate_states.get(number)
        if old is None or _WORST.index(state) > _WORST.index(old[0]):
            self.gate_states[number] = (state, why)

    def _meta(self, one: Check, rule: str, said: Fails, *, fails: bool | None = None) -> bool:
        """Add a finding about a check; whether it is suppressed. Switched off or ignored, it is not shown but still counts.

        What was said of one measurement already, with the same reason and no less weight, is not said again for the next rule.
        """
        by = self._suppression(one, one.rule)
        if by is None and not (
            rule == "LB902" and one.rule in _ASKED
        ):  # what a gate asks for is suppressed by its own rule alone
            by = self._suppression(one, rule)
        told = (one.workload, one.retriever, said.message.partition(": ")[2])
        news = told not in self.told or bool(fails) > self.told[told]
        if rule in self.wanted and (news or by is not None):
            self._add(one, rule, self.config.level(rule), said, about=one.rule, by=by, fails=fails)
            if by is None:
                self.told[told] = bool(fails)
        return by is not None

    def _add(
        self,
        one: Check,
        rule: str,
        level: Level,
        said: Fails,
        *,
        about: str | None = None,
        by: Suppression | None = None,
        fails: bool | None = None,
    ) -> None:
        assert level != "off"
        by = by or self._suppression(one, rule)
        if by is not None:
            self.seen["suppressed"] += 1
        self.findings.append(
            Finding(
                rule=rule, name=RULES[rule].name, severity=level, evidence=RULES[rule].evidence, subject=one.subject,
                message=said.message, expected=said.expected, observed=said.observed, remedy=said.remedy,
                numbers=said.numbers or {}, assumptions=list(said.assumptions), causes=list(said.causes), about=about,
                path=self._shown(said.path) if said.path else self.project.shown,
                line=said.line or 1 if said.path else self.project.line(*one.key),
                fails=by is None and (level in self.fatal if fails is None else fails), suppressed=by is not None,
                reason=by and by.reason,
            )
        )  # fmt: skip

    def _shown(self, path: str) -> str:
        try:
            return Path(path).resolve().relative_to(self.project.root).as_posix()
        except ValueError:
            return path

    def _suppression(self, one: Check, rule: str) -> Suppression | None:
        for number, suppression in enumerate(self.config.suppress):
            if suppression.id != rule or (suppression.until is not None and suppression.until < self.today):
                continue
            if suppression.workload in (None, one.workload) and suppression.retriever in (None, one.retriever):
                self.used.add(number)
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
            elif number not in self.used and self._was_decided(suppression):
                said = Fails(f"{what} hides nothing", "remove it")
            else:
                self.seen["passed"] += 1
                continue
            one = Check(
                "LB903", f"suppression {number + 1}", ("suppress", number, "until" if expired else "id"), Passes
            )
            self.seen["violated"] += 1
            self._add(one, "LB903", self.config.level("LB903"), said)

    def _was_decided(self, suppression: Suppression) -> bool:
        """Whether the suppressed rule was decided where the suppression holds."""
        return any(
            rule == suppression.id
            and suppression.workload in (None, workload)
            and suppression.retriever in (None, retriever)
            for rule, workload, retriever in self.made
        )

    def counts(self) -> Counts:
        """How the checks ended."""
        seen = self.seen
        ran = seen["passed"] + seen["violated"] + seen["undecided"]
        names = ("passed", "violated", "undecided", "skipped", "suppressed")
        return Counts(ran=ran, **{name: seen[name] for name in names})

    def notes(self) -> list[str]:
        """What to know of every measurement before its numbers are read, whether anything is violated or not."""
        out = []
        for (workload, retriever, reference), found in self.runs.items():
            if isinstance(found, Measured):
                name = f"{retriever}{f' without loss by {reference}' if reference else ''}" if retriever else "BM25"
                who = f"{name} on {workload}"
                out += [f"{who}: {note}" for note in dict.fromkeys((*found.notes, *(cut.remark for cut in found.cut)))]
        for case in self.cases():
            seen = self.runs.get((case.gate.workload, case.gate.retriever, ""))
            if isinstance(seen, Measured):
                out += [f"{case.gate.retriever} on {case.gate.workload}: {said}" for said in causes.facts(case, seen)]
        return list(dict.fromkeys(out))

    def assumptions(self) -> list[str]:
        """What growth assumes of each workload."""
        return [said for loaded in self.loaded.values() if (said := loaded.assumption) is not None]


def _as_is(outcome: Outcome) -> Outcome:
    return outcome


def measured_cases(project: Project, settings: Settings) -> list[Case]:
    """The gates of a project, ready to be measured, without their baseline.

    Raises `LimitbenchError` where a workload cannot be read.
    """
    run = _Run(project, settings, frozenset(RULES), date.today(), compare=False)
    run.load()
    for name, problem in run.unreadable.items():
        raise InputError(f"workload '{name}' cannot be read: {problem.reason}")
    return run.cases()
