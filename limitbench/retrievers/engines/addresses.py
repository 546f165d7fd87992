"""Addresses of servers: none may hold a secret, since addresses are recorded and shown."""

from __future__ import annotations

from urllib.parse import urlsplit

from limitbench.errors import SpecError


def plain_url(engine: str, url: str | None, usual: str) -> str:
    """The URL, or the usual one. Raises `SpecError` for one that is none, or that holds a user, a password or a query."""
    given = url or usual
    if "@" in given or "?" in given or "#" in given:  # not shown
        raise SpecError(
            f"engine '{engine}': the url holds a user, a password, a query or a fragment; keys belong in the environment: name the "
            "variable by key_env"
        )
    try:
        parts = urlsplit(given)
        known = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        known = False
    if not known or not given.isprintable() or " " in given:
        raise SpecError(f"engine '{engine}': found url={given[:80]}, expected http://HOST:PORT or https://HOST:PORT")
    return given.rstrip("/")
