"""Where things stand in a TOML file: tomllib gives values without lines, and a finding should point at one."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import TypeAlias

Key: TypeAlias = tuple[str | int, ...]
_PART = re.compile(r"""\s*(?:"((?:[^"\\]|\\.)*)"|'([^']*)'|([A-Za-z0-9_-]+))\s*""")
_STRINGS = ('"""', "'''")


def key_lines(text: str) -> dict[Key, int]:
    """The line, from 1, of every table, array element and key of a valid TOML text; `line_of` finds the nearest.

    A line scan: of what spans lines (strings, arrays, inline tables) the first line counts.
    """
    out: dict[Key, int] = {(): 1}
    table: Key = ()
    counts: dict[Key, int] = {}
    waiting = ""  # what ends a value that spans lines
    depth = 0
    for number, line in enumerate(text.split("\n"), 1):
        if waiting:
            if waiting in line:
                waiting = ""
            continue
        if depth > 0:
            depth += _depth(line)
            continue
        stripped = line.strip()
        if stripped.startswith("[["):
            name = _resolved(_parts(stripped[2:]), counts)
            place = counts.get(name, -1) + 1
            counts[name] = place
            table = (*name, place)
            out.setdefault(name, number)
            out[table] = number
        elif stripped.startswith("["):
            table = _resolved(_parts(stripped[1:]), counts)
            for stop in range(1, len(table) + 1):
                out.setdefault(table[:stop], number)
        elif stripped and not stripped.startswith("#"):
            parts = _parts(stripped)
            for stop in range(1, len(parts) + 1):
                out.setdefault((*table, *parts[:stop]), number)
            value = stripped[_end(stripped) :].partition("=")[2].strip()
            waiting = next((quote for quote in _STRINGS if value.startswith(quote) and value.count(quote) == 1), "")
            depth = 0 if waiting else max(0, _depth(value))
    return out


def line_of(lines: Mapping[Key, int], key: Key) -> int:
    """The line of a key, or of the innermost table around it that has one."""
    while key and key not in lines:
        key = key[:-1]
    return lines.get(key, 1)


def _parts(text: str) -> Key:
    """The dotted key that a line starts with."""
    out: list[str] = []
    at = 0
    while match := _PART.match(text, at):
        out.append(_decoded(match))
        at = match.end()
        if text[at : at + 1] != ".":
            break
        at += 1
    return tuple(out)


def _end(text: str) -> int:
    """Where the dotted key that a line starts with ends."""
    at = 0
    while match := _PART.match(text, at):
        at = match.end()
        if text[at : at + 1] != ".":
            break
        at += 1
    return at


def _decoded(match: re.Match[str]) -> str:
    basic, literal, bare = match.groups()
    if basic is None:
        return literal if literal is not None else bare
    try:
        return str(json.loads(f'"{basic}"'))
    except ValueError:
        return str(basic)


def _resolved(name: Key, counts: Mapping[Key, int]) -> Key:
    """A table's key with the number of each array of tables that it stands in."""
    out: Key = ()
    for position, part in enumerate(name):
        out = (*out, part)
        if out in counts and position < len(name) - 1:
            out = (*out, counts[out])
    return out


def _depth(text: str) -> int:
    """Brackets opened less those closed, outside strings and comments."""
    bare = re.sub(r'"(?:[^"\\]|\\.)*"|\'[^\']*\'', "", text).partition("#")[0]
    return sum(bare.count(c) for c in "[{") - sum(bare.count(c) for c in "]}")
