from __future__ import annotations

import errno
import gzip
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from limitbench import files
from limitbench.errors import DataError, StorageError


@given(st.text(min_size=1))
def test_escaping_is_reversible(identifier: str) -> None:
    """Any id survives escaping, and the escaped one holds no white space."""
    try:
        identifier.encode()
    except UnicodeEncodeError:
        return
    token = files.escape_id(identifier)
    assert token.split() == [token]
    assert files.unescape_id(token) == identifier


@pytest.mark.parametrize("token", ["100%", "a%2", "%41", "50%off", "%ff", "%zz"])
def test_foreign_percent_signs_stay(token: str) -> None:
    """A token that our escaping cannot have written is read as it stands."""
    assert files.unescape_id(token) == token


def test_gzip_is_seen_through(tmp_path: Path) -> None:
    """A gzipped file reads like a plain one, whatever its name."""
    (tmp_path / "a.jsonl").write_bytes(gzip.compress(b'{"a": 1}\n\n{"a": 2}'))
    assert list(files.read_jsonl(tmp_path / "a.jsonl")) == [(1, {"a": 1}), (3, {"a": 2})]


@pytest.mark.parametrize(
    ("content", "says"),
    [(b'{"a": 1}\nnot json\n', ":2: found 'not json', expected one JSON object"), (b"[1]\n", ":1: found a list"),
     (b"\xff\xfe\n", "not UTF-8"), (b"\x1f\x8bbroken", "gzip stream is broken"), (b"[" * 100_000, "expected one JSON")],
)  # fmt: skip
def test_broken_lines_are_named(tmp_path: Path, content: bytes, says: str) -> None:
    """What cannot be read is named by path and line, and said what to expect instead."""
    path = tmp_path / "x.jsonl"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"x\.jsonl") as caught:
        list(files.read_jsonl(path))
    assert says in str(caught.value)


def test_atomic_write_leaves_nothing_half_done(tmp_path: Path) -> None:
    """An error in the middle leaves the old content and no scrap."""
    path = tmp_path / "f"
    path.write_text("old")
    with pytest.raises(ZeroDivisionError), files.atomic_write(path) as out:
        out.write(b"new")
        raise ZeroDivisionError
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["f"]


def test_disk_full_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk becomes a `StorageError` that says what to do, and no file appears."""

    def full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(StorageError, match="disk is full; free some room"), files.atomic_write(tmp_path / "f") as out:
        out.write(b"x")
    assert os.listdir(tmp_path) == []


def test_exclusive_write_keeps_the_first(tmp_path: Path) -> None:
    """With `exclusive` the file that is already there stays."""
    for text, fails in ((b"first", False), (b"second", True)):
        try:
            with files.atomic_write(tmp_path / "f", exclusive=True) as out:
                out.write(text)
        except FileExistsError:
            assert fails
    assert (tmp_path / "f").read_bytes() == b"first"


def test_gzip_bytes_are_reproducible(tmp_path: Path) -> None:
    """Gzipped files hold neither time nor name."""
    for name in "ab":
        with files.atomic_write(tmp_path / name, gz=True) as out:
            out.write(b"content")
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert gzip.decompress((tmp_path / "a").read_bytes()) == b"content"
