"""Keep secrets out of what is printed: the values of environment variables that are named like keys, tokens or passwords.

Also the passwords inside addresses, whatever holds them: scheme://user:PASSWORD@host.
"""

from __future__ import annotations

import base64
import html
import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus, unquote

_NAMED = re.compile(
    r"(?:^|_)(?:API|ACCESS|PRIVATE|SECRET|SIGNING|ENCRYPTION)?"
    r"(?:KEYS?|TOKEN|SECRETS?|CREDENTIALS?|DSN|COOKIE|CONNECTION|PASS|PAT|BEARER)(?:_|$)"
    r"|(?:PASSWORD|PASSWD|PASSPHRASE|APIKEY|TOKEN|SECRET)(?:_|$)",
    re.IGNORECASE,
)
_ADDRESS = re.compile(r"(?<=://)([^/\s:@'\"]*):([^@/\s'\"]+)@")
_SHORTEST = 6  # characters; a shorter value stands in too many other words
_STAND_IN = "***"
_OURS = frozenset(
    {
        "tier",
        "verdict",
        "fail_on",
        "severity",
        "evidence",
        "rule",
        "name",
        "about",
        "state",
        "metric",
        "limitbench",
        "path",
        "config",
    }
)  # fields that hold words of ours or of the configuration


def values(environment: Mapping[str, str] | None = None) -> list[str]:
    """The values to hide, the longest first, in the forms in which they may be printed.

    Values of fewer than six characters, numbers and paths that exist are no secrets.
    """
    found: set[str] = set()
    for name, value in (os.environ if environment is None else environment).items():
        secret = {value} if _NAMED.search(name) else set()
        for _, password in _ADDRESS.findall(value):
            secret |= {value, password, unquote(password)}
        for text in secret:
            for part in {text, text.strip(), *text.splitlines()}:
                found |= _forms(part)
    return sorted(found, key=lambda value: (-len(value), value))


def _forms(text: str) -> set[str]:
    """A secret as it is, as JSON, Python, HTML and URLs write it, and in base64; none for what is too plain to be one."""
    plain = text.strip()
    number = plain.replace(".", "").replace("-", "").isdigit()
    if len(plain) < _SHORTEST or number or (os.sep in plain and Path(plain).exists()):
        return set()
    bytes_of = text.encode("utf-8", "surrogatepass")
    urls = {quote(text, safe="", errors="replace"), quote(text, errors="replace"), quote_plus(text, errors="replace")}
    lower = {re.sub("%[0-9A-F]{2}", lambda found: found[0].lower(), url) for url in urls}
    written = {
        json.dumps(text)[1:-1],
        json.dumps(text, ensure_ascii=False)[1:-1],
        repr(text)[1:-1],
        repr(bytes_of)[2:-1],
        html.escape(text),
    }
    return {text, *written, *urls, *lower, base64.b64encode(bytes_of).decode()}


def hidden(said: Any, secrets: list[str] | None = None) -> Any:
    """A text, or a JSON-ready table, with three stars in place of every secret value, and of passwords in addresses.

    Keys of tables stay, and so do the fields that hold words of ours, such as a verdict.
    """
    known = values() if secrets is None else secrets
    if isinstance(said, str):
        for value in known:
            said = said.replace(value, _STAND_IN)
        return _ADDRESS.sub(lambda found: f"{found[1]}:{_STAND_IN}@", said) if "://" in said else said
    if isinstance(said, Mapping):
        return {key: value if key in _OURS else hidden(value, known) for key, value in said.items()}
    if isinstance(said, list | tuple):
        return type(said)(hidden(value, known) for value in said)
    return said
