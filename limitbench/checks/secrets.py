"""Keep secrets out of what is printed: the values of environment variables that are named like keys, tokens or passwords."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

_NAMED = re.compile(
    r"key|token|secret|passw|pwd|credential|auth|private|dsn|cookie|database_url|connection_string", re.I
)
_SHORTEST = 4  # characters; a shorter value stands in too many other words
_STAND_IN = "***"


def values(environment: Mapping[str, str] | None = None) -> list[str]:
    """The values to hide, the longest first, each as it is, as JSON writes it and as a URL does."""
    found: set[str] = set()
    for name, value in (os.environ if environment is None else environment).items():
        if _NAMED.search(name) and len(value) >= _SHORTEST and not value.isspace():
            found |= {value, json.dumps(value)[1:-1], json.dumps(value, ensure_ascii=False)[1:-1], repr(value)[1:-1]}
            found.add(quote(value, safe=""))
            found |= {line for line in value.splitlines() if len(line) >= _SHORTEST and not line.isspace()}
    return sorted(found, key=lambda value: (-len(value), value))


def hidden(said: Any, secrets: list[str] | None = None) -> Any:
    """A text, or a JSON-ready table, with three stars in place of every secret value."""
    known = values() if secrets is None else secrets
    if not known:
        return said
    if isinstance(said, str):
        for value in known:
            said = said.replace(value, _STAND_IN)
        return said
    if isinstance(said, Mapping):
        return {hidden(key, known): hidden(value, known) for key, value in said.items()}
    if isinstance(said, list | tuple):
        return type(said)(hidden(value, known) for value in said)
    return said
