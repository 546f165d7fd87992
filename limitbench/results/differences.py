"""What differs between two records: data, options, code, environment, numbers; and whether the data tell the numbers apart."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from limitbench.results.record import Result
from limitbench.statistics import paired_randomisation

Change = tuple[Any, Any]


def differences(a: Result, b: Result) -> dict[str, dict[str, Any]]:
    """By group (data, configuration, code, environment, command, numbers): what differs, as [of a, of b], JSON-ready.

    The configuration is the retriever's name, options, card and what was in force (facts), the depth and the evidence; numbers are
    measures and a first stage's ceilings.

    On the same data a measure's change has a two-sided p-value by the paired randomisation test.
    """
    versions_a, versions_b = (dict(r.provenance.get("versions", {})) for r in (a, b))
    code = {"limitbench": [versions_a.pop("limitbench", None), versions_b.pop("limitbench", None)]}
    hardware = (r.provenance.get("hardware", {}) for r in (a, b))
    environment = {**_changed(versions_a, versions_b), **_changed(*hardware)}
    same_data = a.dataset.sha256 == b.dataset.sha256
    numbers: dict[str, Any] = {}
    for title in dict.fromkeys([*a.measures, *b.measures]):
        one, two = a.measures.get(title), b.measures.get(title)
        if one == two and a.per_query.get(title) == b.per_query.get(title):
            continue
        numbers[title] = {"before": one and one.mean, "after": two and two.mean}
        if same_data and title in a.per_query and title in b.per_query:
            numbers[title]["p"] = paired_randomisation(a.per_query[title], b.per_query[title])
    for title in dict.fromkeys([*(a.ceiling or {}), *(b.ceiling or {})]):
        one, two = (r.ceiling.get(title) if r.ceiling else None for r in (a, b))
        if one != two:
            numbers[f"{title} ceiling"] = {"before": one and one.mean, "after": two and two.mean}
    return {
        "data": _changed(_flat(a.dataset.model_dump()), _flat(b.dataset.model_dump())),
        "configuration": _changed(_configuration(a), _configuration(b)),
        "code": {name: pair for name, pair in code.items() if pair[0] != pair[1]},
        "environment": environment,
        "command": _changed({"command": a.provenance.get("command")}, {"command": b.provenance.get("command")}),
        "numbers": numbers,
    }


def _configuration(r: Result) -> dict[str, Any]:
    told = {"name": r.retriever.name, "card": r.retriever.card, "facts": r.retriever.facts, "evidence": r.evidence}
    seeds = {"seeds": r.provenance.get("seeds", {})}
    return {**_flat(r.retriever.configuration), **_flat({**told, **seeds}), "depth": r.depth}


def _changed(a: Mapping[str, Any], b: Mapping[str, Any]) -> dict[str, list[Any]]:
    return {key: [a.get(key), b.get(key)] for key in dict.fromkeys([*a, *b]) if a.get(key) != b.get(key)}


def _flat(table: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested options as dotted names."""
    out: dict[str, Any] = {}
    for key, value in table.items():
        if isinstance(value, dict):
            out.update(_flat(value, f"{prefix}{key}."))
        else:
            out[f"{prefix}{key}"] = value
    return out
