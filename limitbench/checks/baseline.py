"""The recorded figures that a ratchet compares with: per query, with fingerprints of the data and the versions in use."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from limitbench.errors import DataError
from limitbench.files import atomic_write


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Entry(_Model):
    """One gate: its metric for every judged query, fractions in [0, 1]."""

    values: dict[str, Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]] = Field(min_length=1)

    @property
    def mean(self) -> float:
        """The mean over the queries."""
        return sum(self.values.values()) / len(self.values)


class Baseline(_Model):
    """The file: figures by WORKLOAD/RETRIEVER/METRIC, fingerprints by workload."""

    schema_version: Literal[1] = 1
    recorded: str
    versions: dict[str, str]
    fingerprints: dict[str, str]
    gates: dict[str, Entry] = Field(min_length=1)


def read_baseline(path: Path) -> Baseline | None:
    """The baseline in a file, None where there is none. Raises `DataError` for what is unreadable, empty, newer or broken."""
    try:
        text = path.read_text(encoding="utf-8")
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
    try:
        table = json.loads(text)
        version = table.get("schema_version") if isinstance(table, dict) else None
        if type(version) is int and version > 1:
            raise DataError(
                path, f"the baseline has schema_version {version}, from a newer limitbench; upgrade this one"
            )
        return Baseline.model_validate(table)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the file"
        raise DataError(
            path, f"the baseline is broken at {where} ({first['msg'].lower()}); restore it from version control"
        ) from None
    except (ValueError, RecursionError):
        raise DataError(path, "the baseline is not whole JSON; restore it from version control") from None


def write_baseline(baseline: Baseline, path: Path) -> None:
    """Write the file, whole or not at all, keys sorted so that changes read well. Raises `StorageError`."""
    body = json.dumps(baseline.model_dump(mode="json"), indent=1, sort_keys=True, ensure_ascii=False)
    with atomic_write(path) as out:
        out.write((body + "\n").encode("utf-8", "surrogatepass"))


def now() -> str:
    """The time, UTC."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def differences(old: Baseline, new: Baseline) -> dict[str, Any]:
    """What changed, JSON-ready: gates with both means, workloads whose data differ, versions."""
    gates = {}
    for key in sorted({*old.gates, *new.gates}):
        before, after = old.gates.get(key), new.gates.get(key)
        if before != after:
            gates[key] = {"before": before and before.mean, "now": after and after.mean}
    names = sorted({*old.versions, *new.versions})
    drifted = {
        n: [old.versions.get(n), new.versions.get(n)] for n in names if old.versions.get(n) != new.versions.get(n)
    }
    changed = sorted(
        n for n in {*old.fingerprints, *new.fingerprints} if old.fingerprints.get(n) != new.fingerprints.get(n)
    )
    return {"gates": gates, "data": changed, "versions": drifted}
