"""Evaluation sets of other tools, as questions with what is relevant: CSV, JSON lines, ragas, deepeval, LlamaIndex, promptfoo.

A file is told by its content. What a system *retrieved* (ragas' retrieved_contexts, deepeval's retrieval_context) is no judgement
and is never taken for one.
"""

from __future__ import annotations

import ast
import csv
import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from limitbench.collection import Corpus, Dataset, Queries
from limitbench.datasets.mining import Words, words
from limitbench.errors import DataError
from limitbench.relevance import Qrels

_QUESTION = ("question", "query", "user_input", "input", "prompt")
_IDS = (
    "reference_context_ids", "relevant_ids", "relevant_id", "document_ids", "document_id", "doc_ids", "doc_id",
    "chunk_ids", "chunk_id", "corpus-id", "source_id",
)  # fmt: skip
_TEXTS = (
    "reference_contexts", "ground_truth_contexts", "ground_truth_context", "relevant_texts", "relevant_text", "contexts", "context",
    "passage", "chunk",
)  # fmt: skip
_RETRIEVED = ("retrieved_contexts", "retrieval_context", "retrieved_context_ids")
_SHINGLE = 5  # words in a row by which two texts are compared
_ALIKE = 0.8  # of the shorter one's shingles must stand in the other


@dataclass(frozen=True)
class Example:
    """One question with the ids, the texts, or both, of what is relevant."""

    question: str
    ids: tuple[str, ...] = ()
    texts: tuple[str, ...] = ()


@dataclass(frozen=True)
class Examples:
    """What a file holds: which tool's it is, its examples, the corpus that it brings, and rows that say nothing is relevant."""

    tool: str
    rows: tuple[Example, ...]
    corpus: Mapping[str, str]
    empty: int = 0


def read_examples(path: Path) -> Examples:
    """The examples of a file. Raises `DataError` with what was found and what was expected."""
    suffix = path.suffix.lower()
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise DataError(path, f"cannot be read ({reason}); give a CSV, JSON, JSON lines or YAML file") from None
    if suffix in (".csv", ".tsv"):
        rows: Iterable[Any] = csv.DictReader(
            text.splitlines(keepends=True), delimiter="\t" if suffix == ".tsv" else ","
        )
        return _table(path, suffix[1:], list(rows))
    if suffix == ".jsonl":
        return _table(
            path,
            "jsonl",
            [_json(path, line, number) for number, line in enumerate(text.splitlines(), 1) if line.strip()],
        )
    if suffix in (".yaml", ".yml"):
        return _promptfoo(path, _yaml(path, text))
    if suffix != ".json":
        raise DataError(path, f"found a file ending in '{suffix}', expected .csv, .tsv, .json, .jsonl, .yaml or .yml")
    found = _json(path, text)
    if isinstance(found, dict) and {"queries", "corpus", "relevant_docs"} <= found.keys():
        return _llama_index(path, found)
    if isinstance(found, dict) and "tests" in found:
        return _promptfoo(path, found)
    for key, tool in (("examples", "llama-index"), ("goldens", "deepeval"), ("samples", "ragas"), ("data", "json")):
        if isinstance(found, dict) and isinstance(found.get(key), list):
            return _table(path, tool, found[key])
    if isinstance(found, list):
        return _table(path, "json", found)
    raise DataError(
        path,
        f"found {_keys(found)}, expected a list of rows, or LlamaIndex's queries, corpus and relevant_docs, or promptfoo's tests",
    )


def _json(path: Path, text: str, line: int | None = None) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DataError(path, f"is not JSON: {str(error)[:100]}; mend it", line=line) from None


def _yaml(path: Path, text: str) -> Any:
    try:
        import yaml  # type: ignore[import-untyped]
    except ModuleNotFoundError:
        raise DataError(path, "reading YAML needs PyYAML; type: pip install pyyaml, or give the same as JSON") from None
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise DataError(path, f"is not YAML: {' '.join(str(error).split())[:120]}; mend it") from None


def _keys(found: Any) -> str:
    return (
        f"an object with {', '.join(map(str, list(found)[:8])) or 'nothing'}"
        if isinstance(found, dict)
        else f"a {type(found).__name__}"
    )


def _table(path: Path, tool: str, rows: Sequence[Any]) -> Examples:
    """Rows with a question and ids or texts, by the names of their columns."""
    if not rows:
        raise DataError(path, "holds no row; expected a question in each")
    if not all(isinstance(row, dict) for row in rows):
        raise DataError(path, "holds rows that are no objects; expected a question and what is relevant in each")
    names = set().union(*(row.keys() for row in rows)) - {None}
    question = next((name for name in _QUESTION if name in names), None)
    ids, texts = (next((name for name in known if name in names), None) for known in (_IDS, _TEXTS))
    told = f"found the columns {', '.join(sorted(map(str, names))[:12])}"
    if question is None:
        raise DataError(path, f"{told}, expected one of {', '.join(_QUESTION)}")
    if ids is None and texts is None:
        retrieved = [name for name in _RETRIEVED if name in names]
        hint = f"; {retrieved[0]} is what a system returned, not what is relevant" if retrieved else ""
        raise DataError(
            path, f"{told}, expected ids ({', '.join(_IDS[:5])} ...) or texts ({', '.join(_TEXTS[:4])} ...){hint}"
        )
    if texts == "contexts" and "answer" in names:
        raise DataError(
            path,
            f"{told}: contexts beside an answer are what a system returned, not what is relevant; expected ids or "
            "reference_contexts",
        )
    tool = {"user_input": "ragas", "input": "deepeval", "query": tool}.get(question, tool)
    out, empty = [], 0
    for number, row in enumerate(rows, 1):
        asked = row.get(question)
        if not isinstance(asked, str) or not asked.strip():
            raise DataError(path, f"row {number} has no text as its {question}; mend or drop it")
        example = Example(
            asked.strip(), tuple(_listed(row.get(ids))) if ids else (), tuple(_listed(row.get(texts))) if texts else ()
        )
        if example.ids or example.texts:
            out.append(example)
        else:
            empty += 1
    return _some(path, Examples(tool, tuple(out), {}, empty))


def _some(path: Path, found: Examples) -> Examples:
    if not found.rows:
        raise DataError(path, f"says of none of its {found.empty} questions what is relevant; add ids or texts")
    return found


def _listed(value: Any) -> Iterator[str]:
    """The texts of a cell: a list, a list written as text (as ragas' to_csv does), or one text."""
    if isinstance(value, str) and value.strip()[:1] == "[":
        for reader in (json.loads, ast.literal_eval):
            try:
                value = reader(value)
                break
            except (ValueError, SyntaxError, RecursionError, MemoryError):
                continue
    for part in value if isinstance(value, list | tuple) else [value]:
        if isinstance(part, dict):
            part = part.get("text", part.get("page_content", part.get("id")))
        if isinstance(part, str | int) and str(part).strip():
            yield str(part).strip()


def _llama_index(path: Path, found: dict[str, Any]) -> Examples:
    """EmbeddingQAFinetuneDataset: queries and corpus by id, and relevant_docs."""
    queries, corpus, relevant = found["queries"], found["corpus"], found["relevant_docs"]
    if not all(isinstance(table, dict) for table in (queries, corpus, relevant)):
        raise DataError(path, "found queries, corpus or relevant_docs that are no objects by id; mend the file")
    rows = [Example(str(text), tuple(map(str, relevant.get(name) or ()))) for name, text in queries.items()]
    kept = tuple(row for row in rows if row.ids)
    return _some(
        path, Examples("llama-index", kept, {str(k): str(v) for k, v in corpus.items()}, len(rows) - len(kept))
    )


def _promptfoo(path: Path, found: Any) -> Examples:
    """promptfoo's tests: each with vars, among them the question and the context that answers it."""
    tests = found.get("tests") if isinstance(found, dict) else found
    if not isinstance(tests, list) or not all(
        isinstance(test, dict) and isinstance(test.get("vars"), dict) for test in tests
    ):
        raise DataError(path, f"found {_keys(found)}, expected promptfoo's tests: a list of objects with vars")
    made = _table(path, "promptfoo", [test["vars"] for test in tests])
    files = sum(text.startswith("file://") for row in made.rows for text in row.texts)
    if files:
        raise DataError(path, f"{files} contexts are file:// references; write their text into the file")
    return Examples("promptfoo", made.rows, {}, made.empty)


# ------------------------------------------------------------------------------------------------------------- onto a corpus


@dataclass(frozen=True)
class Mapped:
    """The examples as a dataset, and what was lost: questions without a document, and ids and texts that no document matches."""

    dataset: Dataset
    questions_left_out: tuple[str, ...]
    unmatched: int


def onto_corpus(found: Examples, corpus: Corpus | None, name: str) -> Mapped:
    """The examples over a corpus: by id, or by text where five words in a row agree for four fifths of the shorter text.

    Without a corpus, the file's own is taken, else its distinct texts. Raises `DataError` where no question has a document.
    """
    if corpus is None:
        texts = dict(found.corpus) or {
            f"text-{i:04d}": text for i, text in enumerate(dict.fromkeys(t for r in found.rows for t in r.texts), 1)
        }
        corpus = Corpus(tuple(texts), tuple(texts.values()))
    known = {identifier: number for number, identifier in enumerate(corpus.ids)}
    matcher = _Matcher(corpus)
    questions: dict[str, set[int]] = {}
    unmatched = 0
    for row in found.rows:
        hits = {known[identifier] for identifier in row.ids if identifier in known}
        unmatched += sum(identifier not in known for identifier in row.ids)
        if not hits:
            for text in row.texts:
                matched = matcher.documents(text)
                unmatched += not matched
                hits |= matched
        questions.setdefault(row.question, set()).update(hits)
    kept = {question: hits for question, hits in questions.items() if hits}
    if not kept:
        example = next(iter([*found.rows[0].ids, *found.rows[0].texts]))
        raise DataError(
            Path(name), f"no question's ids or texts are in the corpus of {len(corpus)} documents (the first: '{example[:60]}'); "
            "give the corpus that the questions are about: --corpus",
        )  # fmt: skip
    ids = tuple(f"q{number:04d}" for number in range(1, len(kept) + 1))
    made = Dataset(name, corpus, Queries(ids, tuple(kept)), Qrels.from_sets(map(sorted, kept.values()), len(corpus)))
    return Mapped(made, tuple(question for question in questions if question not in kept), unmatched)


class _Matcher:
    """Which documents hold a text, or lie within it, up to small changes."""

    def __init__(self, corpus: Corpus) -> None:
        self.rows = [words(text) for text in corpus.contents]
        self.bare = [words(text) for text in corpus.texts]
        self.by_shingle: dict[Words, list[int]] = defaultdict(list)
        for number, row in enumerate(self.rows):
            for shingle in _shingles(row):
                self.by_shingle[shingle].append(number)

    def documents(self, text: str) -> set[int]:
        """Their numbers; empty where nothing is alike."""
        row = words(text)
        if not row:
            return set()
        equal = {number for number, own in enumerate(self.bare) if own == row} or {
            n for n, own in enumerate(self.rows) if own == row
        }
        if equal or len(row) < _SHINGLE:
            return equal
        asked = _shingles(row)
        shared = Counter(number for shingle in asked for number in self.by_shingle.get(shingle, ()))
        return {
            n
            for n, count in shared.items()
            if count >= _ALIKE * min(len(asked), len(_shingles(self.bare[n])) or len(asked))
        }


def _shingles(row: Words) -> set[Words]:
    return {row[i : i + _SHINGLE] for i in range(len(row) - _SHINGLE + 1)}
