"""BEIR folders, as BEIR and MTEB/LIMIT write them: read both layouts, gzipped or not; write BEIR's."""

from __future__ import annotations

import errno
import shutil
import tempfile
from collections.abc import Container, Iterator
from pathlib import Path
from typing import Any

from limitbench.collection import Corpus, Dataset, Queries
from limitbench.errors import DataError, InputError, UnknownName
from limitbench.files import atomic_write, escape_id, is_text, read_jsonl, storing, with_gz
from limitbench.relevance import Judgements, Qrels, read_qrels

LAYOUTS = {"beir": "qrels/test.tsv", "mteb": "qrels.jsonl", "trec": "qrels/test.qrels"}  # where judgements stand
FILES = ("corpus.jsonl", "queries.jsonl", LAYOUTS["beir"])  # of a BEIR folder


def read_folder(path: Path | str, *, split: str = "test", name: str | None = None) -> Dataset:
    """The dataset in a folder with corpus.jsonl, queries.jsonl and qrels/<split>.tsv, qrels/<split>.qrels or qrels.jsonl.

    Queries that the split does not judge are left out, and the dataset's `notes` say how many. Raises `DataError`
    with path and line for anything that an evaluation could not trust: broken lines, repeated ids, judgements of
    documents or queries that are not there, judged queries without a relevant document, an empty corpus.
    """
    path = Path(path)
    if not path.is_dir():
        found = "a file" if path.exists() else "nothing"
        raise DataError(path, f"found {found}, expected a folder with corpus.jsonl, queries.jsonl and qrels; check it")
    corpus_path, queries_path, qrels_path = corpus_file(path), queries_file(path), qrels_file(path, split)
    corpus = _corpus(corpus_path)
    texts = _queries(queries_path)
    judgements = as_known(read_qrels(qrels_path), texts, set(corpus.ids))
    _check(judgements, texts, set(corpus.ids), queries_path, corpus_path, qrels_path)
    judged = [identifier for identifier in texts if identifier in judgements]
    left_out = len(texts) - len(judged)
    notes = (f"{left_out} of {len(texts)} queries have no judgement in {qrels_path.name} and are left out",)
    return Dataset(
        name or path.resolve().name,
        corpus,
        Queries(tuple(judged), tuple(texts[identifier] for identifier in judged)),
        Qrels.from_judgements(judgements, judged, corpus.ids),
        notes=notes if left_out else (),
    )


def known_as(name: str, names: Container[str]) -> str:
    """The id as queries or corpus have it: one that only looks escaped, as a URL's %20, was meant literally."""
    return escaped if name not in names and (escaped := escape_id(name)) in names else name


def as_known(judgements: Judgements, queries: Container[str], documents: Container[str]) -> Judgements:
    """The judgements with ids as queries and corpus have them."""
    return {
        known_as(query, queries): {known_as(document, documents): grade for document, grade in row.items()}
        for query, row in judgements.items()
    }


def _file(folder: Path, name: str) -> Path:
    found = with_gz(folder / name)
    if found is None:
        raise DataError(folder, f"{name} is missing (plain or .gz); expected a BEIR folder")
    return found


def _qrels_names(split: str) -> tuple[str, ...]:
    """Where the judgements of a split may stand, in the order of preference."""
    return (f"qrels/{split}.tsv", f"qrels/{split}.jsonl", f"qrels/{split}.qrels", f"qrels/{split}.trec", "qrels.jsonl")


def corpus_file(folder: Path) -> Path:
    """The corpus of a folder, plain or gzipped."""
    return _file(folder, "corpus.jsonl")


def queries_file(folder: Path) -> Path:
    """The queries of a folder, plain or gzipped."""
    return _file(folder, "queries.jsonl")


def qrels_file(folder: Path, split: str = "test") -> Path:
    """The judgements of a folder's split, in whatever layout; `DataError` names the splits that are there."""
    for candidate in (folder / name for name in _qrels_names(split)):
        if found := with_gz(candidate):
            return found
    splits = (
        sorted({p.name.split(".")[0] for p in (folder / "qrels").glob("*.*")}) if (folder / "qrels").is_dir() else []
    )
    hint = f"splits found: {', '.join(splits)}; choose one with --split" if splits else "add the judgements"
    raise DataError(folder, f"neither qrels/{split}.tsv nor qrels.jsonl is there; {hint}")


def _text(path: Path, line: int, row: dict[str, Any], key: str, default: str | None = None) -> str:
    value = row.get(key, default)
    if value is None and default is not None:
        return default
    if key == "_id" and isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if not isinstance(value, str):
        found = "nothing" if value is None else repr(value)[:40]
        raise DataError(path, f"found {found} for '{key}', expected a string; mend the line", line=line)
    if not is_text(value):
        raise DataError(path, f"'{key}' holds half a surrogate pair, which is not Unicode text; mend it", line=line)
    if key == "_id" and not value:
        raise DataError(path, "found an empty '_id', expected a name; mend the line", line=line)
    return value


def _records(path: Path, kind: str) -> Iterator[tuple[int, str, dict[str, Any]]]:
    seen: dict[str, int] = {}
    for line, row in read_jsonl(path):
        identifier = _text(path, line, row, "_id")
        if identifier in seen:
            first = seen[identifier]
            raise DataError(
                path, f"the {kind} id '{identifier}' stands already in line {first}; rename or drop one", line=line
            )
        seen[identifier] = line
        yield line, identifier, row


def document_ids(path: Path) -> list[str]:
    """The ids of a corpus, without its texts."""
    return [identifier for _, identifier, _ in _records(path, "document")]


def _corpus(path: Path) -> Corpus:
    ids, texts, titles = [], [], []
    for line, identifier, row in _records(path, "document"):
        ids.append(identifier)
        texts.append(_text(path, line, row, "text"))
        titles.append(_text(path, line, row, "title", ""))
    if not ids:
        raise DataError(path, "the corpus is empty; expected at least one document")
    return Corpus(tuple(ids), tuple(texts), tuple(titles))


def _queries(path: Path) -> dict[str, str]:
    out = {identifier: _text(path, line, row, "text") for line, identifier, row in _records(path, "query")}
    if not out:
        raise DataError(path, "there is no query; expected at least one")
    return out


def _check(
    judgements: Judgements,
    queries: dict[str, str],
    documents: set[str],
    queries_path: Path,
    corpus_path: Path,
    path: Path,
) -> None:
    if not judgements:
        raise DataError(path, "there is no judgement; expected at least one")
    unknown = [query for query in judgements if query not in queries]
    if unknown:
        raise DataError(
            path,
            f"{len(unknown)} judged queries, the first '{unknown[0]}', are not in {queries_path.name}; "
            "add them or drop their judgements",
        )
    dangling = [(q, d) for q, row in judgements.items() for d in row if d not in documents]
    if dangling:
        query, document = dangling[0]
        raise DataError(
            path,
            f"{len(dangling)} judgements name documents that are not in {corpus_path.name}, the first '{document}' for "
            f"query '{query}'; add the documents or drop the judgements",
        )
    barren = [query for query, row in judgements.items() if max(row.values()) <= 0]
    if barren:
        raise DataError(
            path,
            f"{len(barren)} judged queries have no relevant document, the first '{barren[0]}'; "
            "add one or drop the query's judgements",
        )


def write_folder(dataset: Dataset, path: Path | str, *, gz: bool = False, qrels: str = "beir") -> Path:
    """Write corpus.jsonl, queries.jsonl and the judgements into a folder; each file appears whole or not at all.

    `qrels` is the layout of the judgements: "beir" (qrels/test.tsv), "mteb" (qrels.jsonl) or "trec" (qrels/test.qrels, ids
    escaped reversibly). All three files are written beside the folder's own first and then moved into place, so a full disk
    leaves what was there before; judgements in another layout and files of the other kind (plain or gzipped) make way. No byte
    depends on time, path, host or versions.
    """
    path = Path(path)
    if qrels not in LAYOUTS:
        raise UnknownName("qrels layout", qrels, LAYOUTS)
    if qrels == "beir" and any(set(name) & set("\t\r\n") for name in (*dataset.queries.ids, *dataset.corpus.ids)):
        raise InputError(
            f"dataset '{dataset.name}': an id holds a tab or a line break, which qrels/test.tsv cannot; choose mteb or trec"
        )
    suffix = ".gz" if gz else ""
    with storing(path):
        path.mkdir(parents=True, exist_ok=True)
        staging = Path(tempfile.mkdtemp(prefix=".limitbench-", suffix=".part", dir=path))
    lines = {"beir": dataset.qrels_lines, "mteb": dataset.qrels_json_lines, "trec": dataset.qrels_trec_lines}[qrels]
    try:
        files = {
            "corpus.jsonl": dataset.corpus_lines(),
            "queries.jsonl": dataset.query_lines(),
            LAYOUTS[qrels]: lines(),
        }
        for name, content in files.items():
            with atomic_write(staging / f"{name}{suffix}", gz=gz) as out:
                out.writelines(content)
        move_into_place(staging, path, gz=gz, qrels=qrels)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return path


def move_into_place(staging: Path, path: Path, *, gz: bool = False, qrels: str = "beir") -> None:
    """Move a dataset's finished files from a folder beside them into their folder.

    First the old judgements go, whatever their layout, and last the new ones come: a folder that has judgements is whole. What is
    in its place already is passed over, so an interrupted move can be gone on with.
    """
    suffix = ".gz" if gz else ""
    names = ("corpus.jsonl", "queries.jsonl", LAYOUTS[qrels])
    with storing(path):
        for name in names:
            if (path / f"{name}{suffix}").is_dir():
                raise IsADirectoryError(errno.EISDIR, "is a folder", str(path / f"{name}{suffix}"))
        if (staging / f"{LAYOUTS[qrels]}{suffix}").exists():
            for stale in (*_qrels_names("test"), *LAYOUTS.values()):
                (path / stale).unlink(missing_ok=True)
                (path / f"{stale}.gz").unlink(missing_ok=True)
        if "/" in LAYOUTS[qrels]:
            (path / "qrels").mkdir(exist_ok=True)
        for name in names:
            if (staging / f"{name}{suffix}").exists():
                (path / (name if gz else f"{name}.gz")).unlink(missing_ok=True)
                (staging / f"{name}{suffix}").replace(path / f"{name}{suffix}")
