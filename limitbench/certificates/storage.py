"""Certificates in JSON files."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from limitbench.certificates.claims import SCHEMA, Certificate
from limitbench.errors import DataError, InputError
from limitbench.files import atomic_write


def write(certificates: Sequence[Certificate], path: Path) -> None:
    """Write certificates as one JSON file, whole or not at all."""
    with atomic_write(path) as out:
        text = json.dumps(
            {"schema": SCHEMA, "certificates": [c.to_json() for c in certificates]}, separators=(",", ":")
        )
        out.write(text.encode() + b"\n")


def read(path: Path) -> list[Certificate]:
    """The certificates of a JSON file, which holds one or a list of them. Raises `DataError` where it cannot."""
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
        held = raw.get("certificates") if isinstance(raw, dict) else None
        listed = held if isinstance(held, list) else [raw]
        if not listed:
            raise InputError("the file holds no certificate")
        return [Certificate.from_json(one) for one in listed]
    except OSError as error:
        raise DataError(path, f"cannot be read ({error.strerror}); check the path") from None
    except (ValueError, RecursionError, TypeError) as error:
        raise DataError(path, f"is not JSON ({error}); expected a certificate") from None
    except InputError as error:
        raise DataError(path, str(error)) from None
