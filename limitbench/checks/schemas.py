"""JSON Schemas of what teams write and read, made from the models; the copies in docs/schemas/ are compared by the tests."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from limitbench.checks.baseline import Baseline
from limitbench.checks.findings import Report
from limitbench.checks.schema import Config
from limitbench.results import Result

SCHEMAS: dict[str, type[BaseModel]] = {"config": Config, "report": Report, "baseline": Baseline, "result": Result}


def json_schema(what: str) -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of a configuration, a report, a baseline or a record."""
    made = SCHEMAS[what].model_json_schema(mode="serialization" if what == "report" else "validation")
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": f"limitbench {what}", **made}
