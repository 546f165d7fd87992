"""Evaluation sets of other tools, as questions with what is relevant: CSV, JSON lines, ragas, deepeval, LlamaIndex, promptfoo.

A file is told by its content. What a system *retrieved* (ragas' retrieved_contexts, deepeval's retrieval_context) is no judgement
and is never taken for one.
"""

from __future__ import annotations

import ast
import csv
import io
import json
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from limitbench.collection import Corpus, Dataset, Queries
from limitbench.datasets.phrases import Words, words
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
_HOP = re.compile(r"^<\d+-hop>\s*")  # ragas' mark of a text of several
_ARRAY = re.compile(r"""(["'])\s+\1""")
_LONGEST_CELL = 50_000_000  # characters
_LABELS = ("relevant", "relevance", "label", "grade", "score")  # a row of 0 or less is not relevant
_SHINGLE = 5  # words in a row by which two texts are compared
_SHARED = 0.8  # of the shorter one's shingles must stand in the other
_CONTAINED = 8  # shingles that a chunk must have to be found inside a longer text: shorter ones are boilerplate


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
        return _table(path, suffix[1:], _cells(path, text, "\t" if suffix == ".tsv" else ","))
    if suffix == ".jsonl":  # no other line ends than these: text may hold U+2028
        rows = [_json(path, line, number) for number, line in enumerate(text.split("\n"), 1) if line.strip()]
        return _table(path, "jsonl", rows)
    if suffix in (".yaml", ".yml"):
        return _promptfoo(path, parsed_yaml(path, text))
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


def _cells(path: Path, text: str, delimiter: str) -> list[dict[str, Any]]:
    """The rows of a CSV file, by column."""
    before = csv.field_size_limit(_LONGEST_CELL)
    try:
        return list(csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter))
    except csv.Error as error:
        raise DataError(path, f"is not CSV: {error}; mend it") from None
    finally:
        csv.field_size_limit(before)


def _json(path: Path, text: str, line: int | None = None) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DataError(path, f"is not JSON: {str(error)[:100]}; mend it", line=line) from None


def parsed_yaml(path: Path, text: str) -> Any:
    """What a YAML text holds. Raises `DataError` that names the path, also without PyYAML."""
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
    rows = [{str(key).strip().lower(): value for key, value in row.items() if key is not None} for row in rows]
    names = set().union(*(row.keys() for row in rows))
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
    bars = question == "input" and tool in ("csv", "tsv")  # deepeval joins the contexts of a cell by bars
    tool = {"user_input": "ragas", "input": "deepeval"}.get(question, tool)
    out, empty = [], 0
    for number, row in enumerate(rows, 1):
        asked = row.get(question)
        if not isinstance(asked, str) or not asked.strip() or asked.lstrip().startswith("[{"):
            raise DataError(
                path,
                f"row {number} has no text as its {question} (conversations of several turns are not read); mend or drop it",
            )
        if any(_not_relevant(row.get(label)) for label in _LABELS if label in names and label not in (ids, texts)):
            empty += 1
            continue
        found = tuple(_listed(path, row.get(texts))) if texts else ()
        if bars:
            found = tuple(part.strip() for text in found for part in text.split("|") if part.strip())
        found = tuple(_HOP.sub("", text) for text in found)
        example = Example(asked.strip(), tuple(_listed(path, row.get(ids))) if ids else (), found)
        if example.ids or example.texts:
            out.append(example)
        else:
            empty += 1
    return _some(path, Examples(tool, tuple(out), {}, empty))


def _some(path: Path, found: Examples) -> Examples:
    if not found.rows:
        raise DataError(path, f"says of none of its {found.empty} questions what is relevant; add ids or texts")
    return found


def _not_relevant(value: Any) -> bool:
    """Whether a label says that a row is not relevant."""
    try:
        return value is not None and str(value).strip() != "" and float(value) <= 0
    except (TypeError, ValueError):
        return str(value).strip().lower() in ("false", "no")


def _listed(path: Path, value: Any) -> Iterator[str]:
    """The texts of a cell: a list, a list written as text (as ragas' to_csv does), or one text."""
    if isinstance(value, str) and value.strip()[:1] == "[":
        if _ARRAY.search(value):
            raise DataError(path, "found lists without commas, as numpy prints them; write them as JSON")
        for reader in (json.loads, ast.literal_eval):
            try:
                value = reader(value)
                break
            except (ValueError, SyntaxError, RecursionError, MemoryError):
                continue
    for part in value if isinstance(value, list | tuple) else [value]:
        if isinstance(part, dict):
            part = part.get("text", part.get("page_content", part.get("id")))
        if isinstance(part, float) and part.is_integer():
            part = int(part)  # how pandas writes ids where one is missing
        if isinstance(part, str | int) and not isinstance(part, bool) and str(part).strip():
            yield str(part).strip()


def _llama_index(path: Path, found: dict[str, Any]) -> Examples:
    """EmbeddingQAFinetuneDataset: queries and corpus by id, and relevant_docs."""
    queries, corpus, relevant = found["queries"], found["corpus"], found["relevant_docs"]
    if not all(isinstance(table, dict) for table in (queries, corpus, relevant)):
        raise DataError(path, "found queries, corpus or relevant_docs that are no objects by id; mend the file")
    rows = []
    for name, text in queries.items():
        ids = tuple(map(str, relevant.get(name) or ()))
        rows.append(Example(str(text), ids, tuple(str(corpus[i]) for i in ids if i in corpus)))
    kept = tuple(row for row in rows if row.ids)
    return _some(
        path, Examples("llama-index", kept, {str(k): str(v) for k, v in corpus.items()}, len(rows) - len(kept))
    )


def _promptfoo(path: Path, found: Any) -> Examples:
    """promptfoo's tests: each with vars, among them the question and the context that answers it.

    file:// values are read beside the configuration; a test without vars is counted as saying nothing.
    """
    tests = found.get("tests") if isinstance(found, dict) else found
    if isinstance(tests, str):
        return read_examples(_beside(path, tests))
    if not isinstance(tests, list) or not all(isinstance(test, dict) for test in tests):
        raise DataError(path, f"found {_keys(found)}, expected promptfoo's tests: a list of objects with vars")
    rows = [test["vars"] for test in tests if isinstance(test.get("vars"), dict)]
    made = _table(path, "promptfoo", [{key: _contents(path, value) for key, value in row.items()} for row in rows])
    return Examples("promptfoo", made.rows, {}, made.empty + len(tests) - len(rows))


def _contents(path: Path, value: Any) -> Any:
    if isinstance(value, list):
        return [_contents(path, part) for part in value]
    if not isinstance(value, str) or not value.startswith("file://"):
        return value
    try:
        return _beside(path, value).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        raise DataError(path, f"the context '{value}' cannot be read; write its text into the file") from None


def _beside(path: Path, reference: str) -> Path:
    """The file of a file:// reference, in the configuration's folder or below. Raises `DataError` for one outside."""
    place = (path.parent / reference.removeprefix("file://")).resolve()
    if not place.is_relative_to(path.parent.resolve()):
        raise DataError(path, f"'{reference}' leads out of the folder; copy the file beside it")
    return place


# ------------------------------------------------------------------------------------------------------------- onto a corpus


@dataclass(frozen=True)
class Mapped:
    """The examples as a dataset, and what was lost: questions without a document, and ids and texts that no document matches."""

    dataset: Dataset
    questions_left_out: tuple[str, ...]
    unmatched: int
    empty: int


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
        named = [
            part
            for name in row.ids
            for part in ([name] if name in known else [p.strip() for p in re.split("[;|,]", name)])
        ]
        hits = {known[name] for name in named if name in known}
        matched = [] if hits else [matcher.documents(text) for text in row.texts]
        unmatched += (
            sum(name not in known for name in named) if hits or not row.texts else sum(not one for one in matched)
        )
        hits = hits.union(*matched)
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
    return Mapped(made, tuple(question for question in questions if question not in kept), unmatched, found.empty)


class _Matcher:
    """Which documents hold a text, or lie within it, up to small changes."""

    def __init__(self, corpus: Corpus) -> None:
        self.equal: dict[str, set[int]] = defaultdict(set)
        self.sizes: list[int] = []  # shingles of each document
        self.by_shingle: dict[int, list[int]] = defaultdict(list)
        for number, (text, whole) in enumerate(zip(corpus.texts, corpus.contents, strict=True)):
            for form in {_plain(text), _plain(whole)}:
                self.equal[form].add(number)
            self.sizes.append(len(_shingles(text)))
            for shingle in _shingles(whole):
                self.by_shingle[shingle].append(number)

    def documents(self, text: str) -> set[int]:
        """Their numbers: of equal texts, else of those that share four fifths of the shorter one's five-word runs.

        A document of fewer than twelve words is found only where it is equal, or holds the text.
        """
        if (same := self.equal.get(_plain(text))) is not None:
            return same
        asked = _shingles(text)
        shared = Counter(number for shingle in asked for number in self.by_shingle.get(shingle, ()))
        return {
            number for number, count in shared.items()
            if count >= _SHARED * len(asked) or (self.sizes[number] >= _CONTAINED and count >= _SHARED * self.sizes[number])
        }  # fmt: skip


def _plain(text: str) -> str:
    """A text for comparison: composed, without case, white space made one."""
    return " ".join(unicodedata.normalize("NFC", text).casefold().split())


def _shingles(text: str) -> set[int]:
    """Hashes of each five words in a row; sixty-four bits, so that a large corpus fits into memory."""
    row: Words = words(text)
    return {hash(row[i : i + _SHINGLE]) for i in range(len(row) - _SHINGLE + 1)}
