"""Where the files of a dataset folder stand, in the layouts of BEIR, of MTEB and of the Hugging Face hub, and their rows.

- Corpus: corpus.jsonl as BEIR and LIMIT have it, or corpus/*.parquet or corpus.parquet as the hub and mteb do. Queries likewise.
- Judgements of a split: qrels/SPLIT.tsv, .jsonl, .qrels or .trec, and for test also qrels.jsonl; or SPLIT.parquet or
  SPLIT-*.parquet in qrels/, default/ or data/.

Text files may be gzipped. Parquet may be cut into shards, `NAME-00000-of-00003.parquet`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from limitbench.errors import DataError
from limitbench.files import read_jsonl, read_parquet, with_gz

LAYOUTS = {"beir": "qrels/test.tsv", "mteb": "qrels.jsonl", "trec": "qrels/test.qrels"}  # where judgements are written
FILES = ("corpus.jsonl", "queries.jsonl", LAYOUTS["beir"])  # of a BEIR folder
_PARQUET_QRELS = ("qrels", "default", "data")  # folders of the hub's configurations
_SHARD = re.compile(r"(?P<split>.+?)-(?P<number>\d{5})-of-(?P<count>\d{5})(-[0-9a-f]+)?")


def corpus_files(folder: Path, split: str = "test") -> list[Path]:
    """The corpus of a folder: one text file, or all shards. Raises `DataError` that names what was looked for."""
    return _texts(folder, "corpus", split)


def queries_files(folder: Path, split: str = "test") -> list[Path]:
    """The queries of a folder: one text file, or all shards. Raises `DataError` that names what was looked for."""
    return _texts(folder, "queries", split)


def qrels_files(folder: Path, split: str = "test") -> list[Path]:
    """The judgements of a folder's split, in whatever layout; `DataError` names the splits that are there."""
    *own, whole = (folder / name for name in qrels_names(split))
    for candidate in own:
        if found := with_gz(candidate):
            return [found]
    shards = {place: _shards(folder / place) for place in _PARQUET_QRELS}
    for found_here in shards.values():
        if split in found_here:
            return found_here[split]
    test = with_gz(whole)  # LIMIT's one file, which names no split, is the test's
    if test is not None and split == "test":
        return [test]
    written = {"test"} if test is not None else set()
    if (folder / "qrels").is_dir():
        written |= {p.name.split(".")[0] for p in (folder / "qrels").glob("*.*") if p.suffix != ".parquet"}
    splits = sorted(written.union(*shards.values()))
    hint = f"splits found: {', '.join(splits)}; choose one with --split" if splits else "add the judgements"
    raise DataError(
        folder,
        f"has no judgements of the split '{split}': looked for {', '.join(qrels_names(split))}, and {split}.parquet or "
        f"{split}-*.parquet in {', '.join(f'{name}/' for name in _PARQUET_QRELS)}; {hint}",
    )


def qrels_names(split: str) -> tuple[str, ...]:
    """Where the judgements of a split may stand as text, in the order of preference."""
    return (f"qrels/{split}.tsv", f"qrels/{split}.jsonl", f"qrels/{split}.qrels", f"qrels/{split}.trec", "qrels.jsonl")


def rows(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """The rows of a .jsonl or .parquet file, numbered from 1."""
    return read_parquet(path) if path.suffix == ".parquet" else read_jsonl(path)


def _texts(folder: Path, what: str, split: str) -> list[Path]:
    if found := with_gz(folder / f"{what}.jsonl"):
        return [found]
    if (folder / f"{what}.parquet").is_file():
        return [folder / f"{what}.parquet"]
    shards = _shards(folder / what)
    if split in shards or len(shards) == 1:
        return shards.get(split) or next(iter(shards.values()))
    if shards:
        raise DataError(folder / what, f"holds {', '.join(sorted(shards))}; choose one with --split")
    raise DataError(
        folder, f"{what}.jsonl is missing: looked for {what}.jsonl, plain or .gz, {what}.parquet and {what}/*.parquet; "
        "expected a folder in the layout of BEIR, MTEB or the Hugging Face hub",
    )  # fmt: skip


def _shards(folder: Path) -> dict[str, list[Path]]:
    """The parquet files of a folder by split, each split whole. Raises `DataError` where a shard is missing."""
    found: dict[str, list[Path]] = {}
    wanted: dict[str, list[str]] = {}
    numbers: dict[str, list[str]] = {}
    for path in sorted(folder.glob("*.parquet")) if folder.is_dir() else ():
        shard = _SHARD.fullmatch(path.stem)
        name = path.stem if shard is None else shard["split"]
        found.setdefault(name, []).append(path)
        numbers.setdefault(name, []).append("" if shard is None else shard["number"])
        wanted[name] = [""] if shard is None else [f"{i:05d}" for i in range(int(shard["count"]))]
    for name, there in numbers.items():
        if sorted(there) != wanted[name]:
            raise DataError(
                folder, f"holds the shards {', '.join(sorted(there))} of '{name}', expected each of {len(wanted[name])} once; "
                "fetch what is missing, and remove what is there twice",
            )  # fmt: skip
    return found


def shown(paths: Sequence[Path]) -> str:
    """The name of a file or of its shards, for messages."""
    return paths[0].name if len(paths) == 1 else f"{paths[0].parent.name}/*.parquet"
