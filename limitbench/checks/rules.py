"""The rules: stable ids, what each is about, which evidence it rests on, and its severity where the configuration is silent.

Every rule has a page in docs/rules/, printed by `limitbench check --explain ID`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from limitbench import catalog
from limitbench.errors import InputError, UnknownName

Level: TypeAlias = Literal["error", "warning", "off"]
Evidence: TypeAlias = Literal["proved", "constructed", "measured", "empirical"]
Scope: TypeAlias = Literal["workload", "plan", "retriever", "gate", "project"]
Tier: TypeAlias = Literal["fast", "auto", "full"]
TIERS: tuple[Tier, ...] = ("fast", "auto", "full")


@dataclass(frozen=True)
class Rule:
    """One rule. A plan is a retriever on a workload."""

    name: str
    scope: Scope
    evidence: Evidence
    severity: Level
    tier: Tier  # the least one in which the rule is made
    title: str


RULES: dict[str, Rule] = {
    # id          name, scope, evidence, severity, tier; what a finding says
    "LB001": Rule("dangling-judgement", "workload", "measured", "error", "fast",
                  "judgements name documents or queries that are not there"),
    "LB002": Rule("conflicting-labels", "workload", "measured", "warning", "fast",
                  "the same text, or the same pair, is judged in two ways"),
    "LB003": Rule("nothing-relevant", "workload", "measured", "warning", "fast",
                  "judged queries have no relevant document"),
    "LB004": Rule("unsafe-id", "workload", "measured", "warning", "fast",
                  "ids hold white space, which breaks TREC's readers"),
    "LB005": Rule("data-changed", "workload", "measured", "warning", "fast",
                  "most queries are not those of the baseline"),
    "LB006": Rule("too-few-queries", "workload", "measured", "warning", "fast",
                  "the queries are too few to see a drop of max_drop"),
    "LB101": Rule("dimension-too-small", "plan", "proved", "error", "fast",
                  "the dimension is below the certified lower bound"),
    "LB102": Rule("dimension-open", "plan", "constructed", "warning", "fast",
                  "the dimension lies between the bound and the best construction"),
    "LB103": Rule("margin-impossible", "plan", "proved", "error", "fast",
                  "no vectors of this dimension have the margin asked for"),
    "LB104": Rule("dtype-too-coarse", "plan", "constructed", "warning", "fast",
                  "no known construction survives the dtype's resolution"),
    "LB105": Rule("code-space-too-small", "plan", "proved", "error", "fast",
                  "the stored bits make fewer vectors than there are sets to tell apart"),
    "LB106": Rule("top-k-too-small", "gate", "proved", "error", "fast",
                  "more documents are relevant than are handed on: a ceiling below the gate"),
    "LB107": Rule("recall-out-of-reach", "gate", "proved", "error", "fast",
                  "vectors of this size have too few lists for the recall asked for"),
    "LB201": Rule("free-embeddings-miss", "plan", "empirical", "warning", "full",
                  "optimised vectors did not reach the target"),
    "LB202": Rule("little-headroom", "plan", "empirical", "warning", "fast",
                  "more documents than vectors were seen to carry"),
    "LB301": Rule("below-floor", "gate", "measured", "error", "fast",
                  "the lower confidence limit of the metric is below its floor"),
    "LB302": Rule("regression", "gate", "measured", "error", "fast",
                  "the metric dropped against the baseline by more than is allowed"),
    "LB303": Rule("bm25-is-better", "gate", "measured", "warning", "fast",
                  "BM25 beats the plan"),
    "LB304": Rule("truncation-loss", "gate", "measured", "warning", "fast",
                  "truncating the vectors costs more than is allowed"),
    "LB305": Rule("quantisation-loss", "gate", "measured", "warning", "fast",
                  "the dtype costs more than is allowed"),
    "LB306": Rule("ann-loss", "gate", "measured", "warning", "fast",
                  "approximate search costs more than is allowed"),
    "LB307": Rule("ties-at-the-cut", "gate", "measured", "warning", "fast",
                  "equal scores at the cut leave the metric to chance"),
    "LB308": Rule("scores-too-close", "gate", "measured", "warning", "fast",
                  "scores at the cut are closer than the dtype can tell apart"),
    "LB309": Rule("texts-cut", "gate", "measured", "warning", "auto",
                  "texts are longer than the model reads"),
    "LB310": Rule("questions-lost", "gate", "measured", "error", "fast",
                  "more questions were lost than max_lost allows"),
    "LB311": Rule("must-find", "gate", "measured", "error", "fast",
                  "a question that must be answered finds no relevant document"),
    "LB312": Rule("not-shown-as-good", "gate", "measured", "error", "fast",
                  "the metric is not shown to be as good as the baseline's"),
    "LB313": Rule("decline", "gate", "measured", "error", "fast",
                  "the metric declined over the last baselines"),
    "LB401": Rule("floating-revision", "retriever", "measured", "warning", "fast",
                  "the model's revision is not pinned"),
    "LB402": Rule("prompt-missing", "retriever", "measured", "warning", "fast",
                  "the model's card asks for a prompt, and none is set"),
    "LB403": Rule("environment-drift", "project", "measured", "warning", "fast",
                  "versions differ from those of the baseline"),
    "LB901": Rule("skipped", "project", "measured", "warning", "fast",
                  "a check that the configuration asks for was skipped"),
    "LB902": Rule("undecided", "project", "measured", "warning", "fast",
                  "a check could not be decided"),
    "LB903": Rule("stale-suppression", "project", "measured", "warning", "fast",
                  "a suppression is expired or hides nothing"),
}  # fmt: skip


def page(rule: str) -> str:
    """The rule's page, Markdown. Raises `UnknownName`."""
    if rule not in RULES:
        raise UnknownName("rule", rule, RULES)
    path: Path = catalog.folder("rules") / f"{rule}.md"
    return path.read_text(encoding="utf-8")


def chosen(select: list[str], ignore: list[str]) -> frozenset[str]:
    """The ids that `select` names (all where it is empty), less those of `ignore`; a prefix such as LB1 stands for all it starts.

    Raises `InputError` for an id or prefix that no rule has.
    """
    for given in (*select, *ignore):
        if not given or not any(rule.startswith(given) for rule in RULES):
            raise InputError(
                f"there is no rule '{given}'; expected ids or prefixes such as LB101 or LB1; see: limitbench check --explain all"
            )
    wanted = {rule for rule in RULES if not select or any(rule.startswith(given) for given in select)}
    return frozenset(rule for rule in wanted if not any(rule.startswith(given) for given in ignore))
