"""Dataset folders: read in every layout that `layouts` finds, written in BEIR's, MTEB's or TREC's."""

from __future__ import annotations

import contextlib
import errno
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from limitbench.collection import Corpus, Dataset, Queries
from limitbench.datasets.layouts import LAYOUTS, corpus_files, qrels_files, qrels_names, queries_files, rows, shown
from limitbench.datasets.on_disk import Lines, StoredTexts
from limitbench.errors import DataError, InputError, UnknownName
from limitbench.files import Lookalikes, atomic_write, is_plain, is_text, storing
from limitbench.relevance import Judgements, Qrels, graded_note, read_qrels, trec_qrels_line

LARGE = 256 * 2**20  # bytes of a corpus.jsonl from which on its texts are not held in memory


def read_folder(
    path: Path | str, *, split: str = "test", name: str | None = None, min_grade: int = 1, skip_unanswerable: bool = False,
    ignore_identical_ids: bool | None = None,
) -> Dataset:  # fmt: skip
    """The dataset in a folder, in any layout of `layouts`: BEIR's, MTEB's, or the Hugging Face hub's.

    Queries that the split does not judge are left out. Grades below `min_grade` count as 0. With `skip_unanswerable`, judged
    queries without a relevant document are left out too. `ignore_identical_ids` leaves a query's own document out of its results;
    None does what the folder's card (README.md) says. The dataset's `notes` say what was left out and assumed. Raises `DataError`
    with path and line for anything that an evaluation could not trust: broken lines, repeated ids, judgements of documents or
    queries that are not there, judged queries without a relevant document, an empty corpus.
    """
    path = Path(path)
    if not path.is_dir():
        found = "a file" if path.exists() else "nothing"
        raise DataError(path, f"found {found}, expected a folder with corpus.jsonl, queries.jsonl and qrels; check it")
    read = _Read.of(path, split, min_grade)
    barren = read.barren(skip_unanswerable)
    corpus, texts, judgements = read.corpus, read.texts, read.judgements
    judged = [identifier for identifier in texts if identifier in judgements and identifier not in barren]
    theirs = {name: place for place, name in enumerate(corpus.ids) if name in texts}
    forms = ({name: column[at] for name, at in theirs.items()} for column in (corpus.contents, corpus.texts))
    own = own_documents(judged, texts, *forms)
    leave = card_says(path, "ignore_identical_ids") if ignore_identical_ids is None else ignore_identical_ids
    qrels = Qrels.from_judgements(judgements, judged, corpus.ids)
    notes = (
        _left_out(len(texts) - len(judgements), len(texts), shown(read.qrels_paths)),
        f"{len(barren)} judged queries have no relevant document and are left out" if barren else None,
        _own(own, leave),
        graded_note(qrels) if min_grade <= 1 else f"grades from {min_grade} on count as relevant",
    )
    called = name or path.resolve().name
    return Dataset(
        called if split == "test" else f"{called}:{split}",
        corpus,
        Queries(tuple(judged), tuple(texts[identifier] for identifier in judged)),
        qrels,
        notes=tuple(note for note in notes if note is not None),
        ignore_identical_ids=leave,
    )


@dataclass(frozen=True)
class _Read:
    """A folder's three parts, read and checked against each other."""

    corpus: Corpus
    texts: dict[str, str]
    judgements: Judgements
    qrels_paths: list[Path]

    @classmethod
    def of(cls, path: Path, split: str, min_grade: int) -> _Read:
        """The parts; grades below `min_grade` count as 0. Raises `DataError` for what an evaluation could not trust."""
        corpus_paths, queries_paths = corpus_files(path, split), queries_files(path, split)
        qrels_paths = qrels_files(path, split)
        corpus, texts, judgements = _corpus(corpus_paths), _queries(queries_paths), read_qrels(qrels_paths)
        if min_grade > 1:
            judgements = {
                query: {document: grade if grade >= min_grade else min(grade, 0) for document, grade in row.items()}
                for query, row in judgements.items()
            }
        _check(judgements, texts, set(corpus.ids), queries_paths, corpus_paths, qrels_paths[0])
        return cls(corpus, texts, judgements, qrels_paths)

    def barren(self, skip: bool) -> set[str]:
        """The judged queries without a relevant document. Raises `DataError` for one, unless they are skipped, and for all."""
        out = {query for query, row in self.judgements.items() if max(row.values()) <= 0}
        if out and not skip:
            first = next(query for query in self.judgements if query in out)
            raise DataError(
                self.qrels_paths[0],
                f"{len(out)} judged queries have no relevant document, the first '{first}'; "
                "leave them out with --skip-unanswerable, add one, or drop the query's judgements",
            )
        if len(out) == len(self.judgements):
            raise DataError(self.qrels_paths[0], "no judged query has a relevant document; expected at least one")
        return out


def _left_out(count: int, of: int, where: str) -> str | None:
    return f"{count} of {of} queries have no judgement in {where} and are left out" if count else None


def own_documents(
    judged: Sequence[str], questions: Mapping[str, str], *documents: Mapping[str, str]
) -> tuple[int, int]:
    """How many judged queries share their id with a document, and how many of those its text too: ids may just be numbers.

    `documents` are the forms that a query may have of it, by id: with its title, without. Blanks do not count.
    """
    shared = [name for name in judged if name in documents[0]]

    def alike(name: str) -> bool:
        question = questions.get(name, "").split()
        return bool(question) and any(form[name].split() == question for form in documents)

    return len(shared), sum(map(alike, shared))


def _own(counts: tuple[int, int], leave: bool | None) -> str | None:
    """What is said of queries whose own id is a document's."""
    shared, count = counts
    if leave and shared:
        return f"{shared} queries share their id with a document, which is left out of their results"
    if not count or leave:
        return None
    return (
        f"{count} queries are documents too, by id and text, and find themselves; --ignore-identical-ids leaves each out of its "
        "own results, as BEIR and mteb do for ArguAna and Quora"
    )


def card_says(folder: Path, key: str) -> bool:
    """Whether the folder's card, the front matter of README.md, has the line `KEY: true`."""
    card = folder / "README.md"
    if not card.is_file():
        return False
    lines = iter(card.read_text(encoding="utf-8", errors="replace").splitlines())
    if next(lines, "").strip() != "---":
        return False
    for line in lines:
        if line.strip() == "---":
            return False
        name, _, value = line.partition(":")
        if name.strip() == key:
            return value.strip().lower() == "true"
    return False


def _text(path: Path, line: int, row: dict[str, Any], key: str, default: str | None = None) -> str:
    value = row.get(key, default)
    if value is None and default is not None:
        return default
    if not isinstance(value, str):
        found = "nothing" if value is None else repr(value)[:40]
        raise DataError(path, f"found {found} for '{key}', expected a string; mend the line", line=line)
    if not is_text(value):
        raise DataError(path, f"'{key}' holds half a surrogate pair, which is not Unicode text; mend it", line=line)
    return value


def _identifier(path: Path, line: int, row: dict[str, Any]) -> str:
    """The id of a row, under `_id` as BEIR has it, or `id` as mteb does."""
    key = "_id" if row.get("_id") is not None else "id"
    value = row.get(key)
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if value is None:
        raise DataError(path, f"found neither '_id' nor 'id' among {sorted(row)}; mend the line", line=line)
    if value == "":
        raise DataError(path, f"found an empty '{key}', expected a name; mend the line", line=line)
    return _text(path, line, row, key)


def _records(paths: Sequence[Path], kind: str) -> Iterator[tuple[Path, int, str, dict[str, Any]]]:
    seen: dict[str, int] = {}
    for path in paths:
        for line, row in rows(path):
            identifier = _identifier(path, line, row)
            if identifier in seen:
                first = seen[identifier]
                raise DataError(
                    path, f"the {kind} id '{identifier}' stands already in line {first}; rename or drop one", line=line
                )
            seen[identifier] = line
            yield path, line, identifier, row


def document_ids(paths: Sequence[Path]) -> list[str]:
    """The ids of a corpus, without its texts."""
    return [identifier for _, _, identifier, _ in _records(paths, "document")]


def _corpus(paths: Sequence[Path]) -> Corpus:
    """The documents of these files. Texts of a large one that is not packed stay in it."""
    first = paths[0]
    stays = len(paths) == 1 and first.suffix == ".jsonl" and is_plain(first) and first.stat().st_size > LARGE
    ids, texts, titles = [], [], []
    lines = Lines.of(first) if stays else None
    for path, line, identifier, row in _records(paths, "document"):
        ids.append(identifier)
        text, title = _text(path, line, row, "text"), _text(path, line, row, "title", "")
        if lines is None:
            texts.append(text)
            titles.append(title)
    if not ids:
        raise DataError(paths[0], "the corpus is empty; expected at least one document")
    if lines is None:
        return Corpus(tuple(ids), tuple(texts), tuple(titles))
    if len(lines) != len(ids):
        raise DataError(paths[0], "was changed while it was read; start again")
    return Corpus(tuple(ids), StoredTexts(lines, "text"), StoredTexts(lines, "title"))


_PROSE = (".md", ".markdown", ".txt", ".rst")


def read_texts(path: Path) -> Corpus:
    """The documents of a corpus.jsonl, of a folder that has one, or of a folder of prose files, whose ids are their relative paths.

    Raises `DataError` where there is none, or a file cannot be read.
    """
    if path.is_file():
        return _corpus([path])
    if not path.is_dir():
        raise DataError(path, "found no file and no folder; expected corpus.jsonl or a folder of texts; check the path")
    with contextlib.suppress(DataError):
        return _corpus(corpus_files(path))
    prose = sorted(file for file in path.rglob("*") if file.suffix.lower() in _PROSE and file.is_file())
    if not prose:
        raise DataError(
            path, f"found no corpus.jsonl and no file ending in {', '.join(_PROSE)}; give a folder that has some"
        )
    texts = []
    for file in prose:
        try:
            texts.append(file.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
            raise DataError(file, f"cannot be read ({reason}); mend or move it") from None
    return Corpus(tuple(file.relative_to(path).as_posix() for file in prose), tuple(texts))


def _queries(paths: Sequence[Path]) -> dict[str, str]:
    out = {identifier: _text(path, line, row, "text") for path, line, identifier, row in _records(paths, "query")}
    if not out:
        raise DataError(paths[0], "there is no query; expected at least one")
    return out


def _check(
    judgements: Judgements,
    queries: dict[str, str],
    documents: set[str],
    queries_paths: Sequence[Path],
    corpus_paths: Sequence[Path],
    path: Path,
) -> None:
    if not judgements:
        raise DataError(path, "there is no judgement; expected at least one")
    unknown = [query for query in judgements if query not in queries]
    if unknown:
        raise DataError(
            path,
            f"{len(unknown)} judged queries, the first '{unknown[0]}', are not in {shown(queries_paths)}; "
            f"add them or drop their judgements{Lookalikes.of(queries).hint(unknown[0])}",
        )
    dangling = [(q, d) for q, row in judgements.items() for d in row if d not in documents]
    if dangling:
        query, document = dangling[0]
        raise DataError(
            path,
            f"{len(dangling)} judgements name documents that are not in {shown(corpus_paths)}, the first '{document}' for "
            f"query '{query}'; add the documents or drop the judgements{Lookalikes.of(documents).hint(document)}",
        )


def write_folder(dataset: Dataset, path: Path | str, *, gz: bool = False, qrels: str = "beir") -> Path:
    """Write corpus.jsonl, queries.jsonl and the judgements into a folder; each file appears whole or not at all.

    `qrels` is the layout of the judgements: "beir" (qrels/test.tsv, quoted as Python's csv does), "mteb" (qrels.jsonl) or "trec"
    (qrels/test.qrels; ids are escaped where they must be, and those lines say so). All files are written beside the folder's own
    first and then moved into place, so a full disk leaves what was there before; judgements in another layout and files of the
    other kind (plain or gzipped) make way. No byte depends on time, path, host or versions.
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
    try:
        trec = (trec_qrels_line(*judged) for judged in dataset.judged())
        lines = {"beir": dataset.qrels_lines(), "mteb": dataset.qrels_json_lines(), "trec": trec}
        files = {
            "corpus.jsonl": dataset.corpus_lines(),
            "queries.jsonl": dataset.query_lines(),
            LAYOUTS[qrels]: lines[qrels],
        }
        for name, content in files.items():
            with atomic_write(staging / f"{name}{suffix}", gz=gz) as out:
                out.writelines(content)
        move_into_place(staging, path, gz=gz, qrels=qrels)
        if dataset.ignore_identical_ids and not (path / "README.md").exists():
            with atomic_write(path / "README.md") as card:
                card.write(b"---\nignore_identical_ids: true\n---\n")
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
            for stale in (*qrels_names("test"), *LAYOUTS.values()):
                (path / stale).unlink(missing_ok=True)
                (path / f"{stale}.gz").unlink(missing_ok=True)
        if "/" in LAYOUTS[qrels]:
            (path / "qrels").mkdir(exist_ok=True)
        for name in names:
            if (staging / f"{name}{suffix}").exists():
                (path / (name if gz else f"{name}.gz")).unlink(missing_ok=True)
                (staging / f"{name}{suffix}").replace(path / f"{name}{suffix}")
