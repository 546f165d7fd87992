"""The recorded figures that a gate compares with: one line a judged query, so that two branches seldom touch the same line.

A query's line holds what it was when it was measured (its identity), each gate's figure, and the first documents that each
retriever returned. `merge` joins two branches line by line.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model

from limitbench.errors import DataError
from limitbench.files import atomic_write
from limitbench.validation import first_problem

Setting = str | int | float | bool | None
KEPT = 20  # documents of a retriever that a line keeps


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)  # most checks read none


class Line(_Model):
    """One judged query as it was measured."""

    identity: Annotated[str, Field(pattern=r"^[^:]+:[^:]+:[^:]+$")] | None = Field(
        None,
        description="Digests of the question, of its judgements and of the judged texts, as QUESTION:JUDGEMENTS:TEXTS; "
        "a part that is not known is '-'. None in a baseline of schema 1.",
    )
    values: dict[Annotated[str, Field(pattern="/")], Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]] = Field(
        description="The figure by RETRIEVER/METRIC, a fraction."
    )
    top: dict[str, list[str]] = Field({}, description="By retriever: the first documents that it returned, best first.")
    best: dict[str, float] = Field({}, description="By retriever: the best document's score, to four digits.")


class Baseline(_Model):
    """A recorded baseline: every gate's figures by query, the settings of each retriever, and the versions in force."""

    schema_version: Literal[2] = 2
    versions: dict[str, str] = Field(description="Versions of what can move a figure.")
    settings: dict[str, dict[str, Setting]] = Field(
        {}, description="By retriever: its plan, and what the service reported of itself."
    )
    workloads: dict[str, dict[str, Line]] = Field(min_length=1, description="By workload: a line a judged query.")
    whole: dict[str, str] = Field({}, description="Of a baseline of schema 1: one digest for all data of a workload.")

    def values(self, key: str) -> dict[str, float]:
        """The figures of WORKLOAD/RETRIEVER/METRIC by query; empty where there are none."""
        workload, _, gate = key.partition("/")
        return {
            query: line.values[gate] for query, line in self.workloads.get(workload, {}).items() if gate in line.values
        }

    @property
    def keys(self) -> list[str]:
        """Every WORKLOAD/RETRIEVER/METRIC that has a figure, sorted."""
        return sorted(
            {
                f"{name}/{gate}"
                for name, lines in self.workloads.items()
                for line in lines.values()
                for gate in line.values
            }
        )


def read_baseline(path: Path) -> Baseline | None:
    """The baseline in a file, None where there is none. Raises `DataError` for what is unreadable, empty, newer or broken."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8"
        raise DataError(path, f"the baseline cannot be read ({reason}); restore it from version control") from None
    if not text.strip():
        raise DataError(
            path,
            "the baseline is empty; restore it from version control, or record one: limitbench baseline init --force",
        )
    return parse_baseline(text, path)


def parse_baseline(text: str, path: Path) -> Baseline:
    """The baseline of a text; `path` is named in errors. Raises `DataError`."""
    try:
        table = json.loads(text)
        version = table.get("schema_version") if isinstance(table, dict) else None
        if type(version) is int and version > 2:
            raise DataError(
                path, f"the baseline has schema_version {version}, from a newer limitbench; upgrade this one"
            )
        return _of_schema_1(table) if version == 1 else Baseline.model_validate(table)
    except ValidationError as error:
        found = first_problem(error)
        raise DataError(
            path, f"the baseline is broken at {found.where} ({found.message.lower()}); restore it from version control"
        ) from None
    except (ValueError, RecursionError):
        raise DataError(path, "the baseline is not whole JSON; restore it from version control") from None


@cache
def _schema_1() -> type[BaseModel]:
    """A baseline as it was written before each query had an identity; made when one is read, for models take time to make."""
    share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
    entry = create_model("Entry", __base__=_Model, values=(dict[str, share], Field(min_length=1)))
    return create_model(
        "Schema1", __base__=_Model, schema_version=(Literal[1], 1), recorded=(str, ...), versions=(dict[str, str], ...),
        fingerprints=(dict[str, str], ...), gates=(dict[str, entry], Field(min_length=1)),
    )  # fmt: skip


def _of_schema_1(table: dict[str, Any]) -> Baseline:
    old = _schema_1().model_validate(table).model_dump()
    lines: dict[str, dict[str, dict[str, float]]] = {}
    for key, entry in old["gates"].items():
        workload, _, gate = key.partition("/")
        for query, value in entry["values"].items():
            lines.setdefault(workload, {}).setdefault(query, {})[gate] = value
    workloads = {name: {q: Line(values=values) for q, values in rows.items()} for name, rows in lines.items()}
    return Baseline(versions=old["versions"], workloads=workloads, whole=old["fingerprints"])


def write_baseline(baseline: Baseline, path: Path) -> None:
    """Write the file, whole or not at all, sorted, one line a query. Raises `StorageError`."""
    with atomic_write(path) as out:
        out.write(layout(baseline).encode("utf-8", "surrogatepass"))


def layout(baseline: Baseline) -> str:
    """The file's text: JSON in which every query, version and retriever's settings has a line of its own."""
    table = baseline.model_dump(mode="json")
    if not baseline.whole:
        del table["whole"]
    return "\n".join(_lines(table, deep=3)) + "\n"


def _lines(table: dict[str, Any], deep: int) -> Iterator[str]:
    """The JSON of a table, a line an entry, down to `deep` levels."""
    yield "{"
    names = sorted(table)
    for name in names:
        value, comma = table[name], "" if name == names[-1] else ","
        if isinstance(value, dict) and deep > 1 and value:
            first, *rest = _lines(value, deep - 1)
            yield f"{_json(name)}: {first}"
            yield from rest[:-1]
            yield rest[-1] + comma
        else:
            yield f"{_json(name)}: {_json(value)}{comma}"
    yield "}"


def _json(value: Any) -> str:
    return json.dumps(value, sort_keys=True, ensure_ascii=False)


def differences(old: Baseline | None, new: Baseline) -> dict[str, Any]:
    """What changed, JSON-ready: gates with both means, queries by workload (new, gone, changed), versions, settings."""
    old = old or Baseline.model_construct(versions={}, settings={}, workloads={}, whole={})
    gates = {}
    for key in sorted({*old.keys, *new.keys}):
        before, after = old.values(key), new.values(key)
        if before != after:
            gates[key] = {"before": _mean(before), "now": _mean(after)}
    data = {}
    for name in sorted({*old.workloads, *new.workloads}):
        was, now = old.workloads.get(name, {}), new.workloads.get(name, {})
        counts = {
            "new": len(now.keys() - was.keys()),
            "gone": len(was.keys() - now.keys()),
            "changed": sum(was[q].identity != now[q].identity for q in was.keys() & now.keys()),
        }
        if any(counts.values()):
            data[name] = counts
    names = sorted({*old.versions, *new.versions})
    drifted = {
        n: [old.versions.get(n), new.versions.get(n)] for n in names if old.versions.get(n) != new.versions.get(n)
    }
    return {"gates": gates, "data": data, "versions": drifted, "settings": changed_settings(old.settings, new.settings)}


def changed_settings(
    old: dict[str, dict[str, Setting]], new: dict[str, dict[str, Setting]]
) -> dict[str, dict[str, list[Setting]]]:
    """By retriever that both know: the settings that differ, as [before, now]."""
    out = {}
    for name in sorted(old.keys() & new.keys()):
        was, now = old[name], new[name]
        moved = {key: [was.get(key), now.get(key)] for key in sorted({*was, *now}) if was.get(key) != now.get(key)}
        if moved:
            out[name] = moved
    return out


def _mean(values: dict[str, float]) -> float | None:
    return sum(values.values()) / len(values) if values else None


def merge(ancestor: Baseline, ours: Baseline, theirs: Baseline) -> tuple[Baseline, list[str]]:
    """The baseline of two branches, and what to say of it: what one branch changed is taken, whatever the other did elsewhere.

    Where both gave a query another figure, the higher one stands, so that no merge hides a drop. Where both changed the query
    itself, its line is left out: nobody measured the joined one.
    """
    disputed = lost = 0
    workloads: dict[str, dict[str, Line]] = {}
    for name in sorted({*ours.workloads, *theirs.workloads}):
        base, mine, other = (side.workloads.get(name, {}) for side in (ancestor, ours, theirs))
        lines: dict[str, Line] = {}
        for query in sorted({*mine, *other}):
            was, a, b = base.get(query), mine.get(query), other.get(query)
            if a == b or b == was:
                chosen = a
            elif a == was:
                chosen = b
            elif a is None or b is None:
                chosen = a or b  # one branch dropped the query, the other measured it
            elif (
                a.identity != b.identity
            ):  # the line of the branch that changed the query: the other measured the old one
                chosen = next((line for line, kept in ((a, b), (b, a)) if was and kept.identity == was.identity), None)
                lost += chosen is None
            else:
                chosen, differs = _joined(was, a, b)
                disputed += differs
            if chosen is not None:
                lines[query] = chosen
        if lines:
            workloads[name] = lines
    if not workloads:
        return ours, ["no query is the same in both branches; ours are kept"]
    said = []
    if disputed:
        said.append(f"{disputed} queries were measured anew in both branches; the higher figures are kept")
    if lost:
        said.append(f"{lost} queries were changed in both branches; their lines are left out")
    versions = _either(ancestor.versions, ours.versions, theirs.versions)
    settings = _either(ancestor.settings, ours.settings, theirs.settings)
    return Baseline(versions=versions, settings=settings, workloads=workloads, whole=ours.whole), said


def _joined(was: Line | None, a: Line, b: Line) -> tuple[Line, bool]:
    """One line of two of the same query that differ, and whether a figure is in dispute."""
    was = was if was and was.identity == a.identity else None  # of another query, its figures say nothing
    old = was.values if was else {}
    values = _either(old, a.values, b.values)
    both = a.values.keys() & b.values.keys()
    disputed = {g for g in both if a.values[g] != b.values[g] and old.get(g) not in (a.values[g], b.values[g])}
    values.update({g: max(a.values[g], b.values[g]) for g in disputed})
    top, best = (
        _either(getattr(was, kind) if was else {}, getattr(a, kind), getattr(b, kind)) for kind in ("top", "best")
    )
    return Line(identity=a.identity, values=values, top=top, best=best), bool(disputed)


def _either(was: dict[str, Any], a: dict[str, Any], b: dict[str, Any]) -> dict[str, Any]:
    """A three-way merge of two tables: each entry of the side that changed it; of `a` where both did."""
    missing = object()
    out = {}
    for name in sorted({*a, *b}):
        before, mine, other = (side.get(name, missing) for side in (was, a, b))
        chosen = other if mine is before or mine == before else mine
        if chosen is not missing:
            out[name] = chosen
    return out
