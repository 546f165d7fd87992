"""The rules: a file each, with its decision, where the configuration speaks of it, and its page as the docstring.

`limitbench check --explain ID` prints a page; docs/rules holds the same pages for reading, written from the docstrings.
"""

from __future__ import annotations

from limitbench.checks.rule import TIERS, Level, Rule
from limitbench.checks.rules import (
    lb001,
    lb002,
    lb003,
    lb004,
    lb005,
    lb006,
    lb101,
    lb102,
    lb103,
    lb104,
    lb105,
    lb106,
    lb107,
    lb201,
    lb202,
    lb301,
    lb302,
    lb303,
    lb304,
    lb305,
    lb306,
    lb307,
    lb308,
    lb309,
    lb310,
    lb311,
    lb312,
    lb313,
    lb314,
    lb315,
    lb316,
    lb401,
    lb402,
    lb403,
    lb901,
    lb902,
    lb903,
)
from limitbench.errors import InputError, UnknownName

__all__ = ["RULES", "TIERS", "Level", "Rule", "chosen", "page"]

RULES: dict[str, Rule] = {
    module.RULE.id: module.RULE
    for module in (
        lb001,
        lb002,
        lb003,
        lb004,
        lb005,
        lb006,
        lb101,
        lb102,
        lb103,
        lb104,
        lb105,
        lb106,
        lb107,
        lb201,
        lb202,
        lb301,
        lb302,
        lb303,
        lb304,
        lb305,
        lb306,
        lb307,
        lb308,
        lb309,
        lb310,
        lb311,
        lb312,
        lb313,
        lb314,
        lb315,
        lb316,
        lb401,
        lb402,
        lb403,
        lb901,
        lb902,
        lb903,
    )
}


def page(rule: str) -> str:
    """The rule's page, Markdown. Raises `UnknownName`."""
    if rule not in RULES:
        raise UnknownName("rule", rule, RULES)
    return RULES[rule].page


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
