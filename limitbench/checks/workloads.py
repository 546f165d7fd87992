"""A workload as rules see it: its matrix, its sizes, what is wrong with its files. Read leniently, once."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from limitbench.checks.config import Project
from limitbench.checks.schema import Workload
from limitbench.errors import DataError, LimitbenchError, SpecError
from limitbench.files import read_lines
from limitbench.relevance import Qrels

if TYPE_CHECKING:
    from limitbench.datasets.lint import Flaw as Flaw

_MOST_ROWS = 2_000_000  # of a pattern that is written out
_MOST_DOCUMENTS = 5_000_000


@dataclass(frozen=True, eq=False)
class Loaded:
    """A workload with its data. `flaws` are the lint findings by check; ids are None where no file gives them."""

    name: str
    plan: Workload
    qrels: Qrels | None  # None: a pattern that its parameters describe, all k-subsets
    n: int
    degree: int
    query_ids: tuple[str, ...] = ()
    document_ids: tuple[str, ...] = ()
    texts: dict[str, str] = field(default_factory=dict)  # of documents, where there is a corpus
    questions: dict[str, str] = field(default_factory=dict)  # of queries
    flaws: dict[str, Flaw] = field(default_factory=dict)
    fingerprint: str = ""
    parts: dict[str, str] = field(default_factory=dict)  # texts of chunks, where documents are made of chunks
    document_of: Callable[[str], str] | None = None  # of a chunk
    card: bool = False  # whether the data's card says that a query's own document is left out

    @property
    def top_k(self) -> int:
        """How many documents are handed on."""
        return self.plan.top_k if self.plan.top_k is not None else max(1, self.degree)

    @property
    def grown(self) -> int:
        """The documents that the plan must hold at."""
        return int(-(-self.n * Fraction(str(self.plan.growth)) // 1))

    @property
    def all_subsets(self) -> bool:
        """Whether the sets to carry are all k-subsets: asked for as a pattern, or assumed of a corpus that grows."""
        return self.qrels is None or self.plan.growth > 1

    @property
    def assumption(self) -> str | None:
        """What growth assumes, in a sentence."""
        if self.plan.growth == 1:
            return None
        sets = f"all {self.degree}-subsets of {self.grown:,} documents"
        source = (
            ""
            if self.qrels is None
            else f"; it has {self.qrels.n_queries:,} judged queries over {self.n:,} documents now"
        )
        return f"workload '{self.name}' at growth {self.plan.growth:g} is judged as {sets}, its largest k{source}"

    @cached_property
    def own_ids(self) -> int:
        """How many judged queries have the id and the text of a document."""
        from limitbench.datasets.folders import own_documents

        return own_documents(self.query_ids, self.questions, self.texts)[1]

    @cached_property
    def identities(self) -> dict[str, str]:
        """What each judged query is, as QUESTION:JUDGEMENTS:TEXTS.

        Digests of its text, of the documents judged relevant with their grades, and of those documents' texts. A part of which no
        file tells is '-'. Judgements of grade 0 and the rest of the corpus are no part of it.
        """
        if self.qrels is None:
            return {}
        if self.plan.unjudged:
            return {query: f"{_digest(self.questions[query])}:-:-" for query in self.query_ids}
        # where chunks may be cut anew, a document is the set of its words: overlaps and borders do not change it
        told = (
            {n: " ".join(sorted(set(t.lower().split()))) for n, t in self.texts.items()}
            if self.document_of
            else self.texts
        )
        texts = {name: _digest(text) for name, text in told.items()}
        out = {}
        for row, query in enumerate(self.query_ids):
            cut = slice(self.qrels.indptr[row], self.qrels.indptr[row + 1])
            judged = sorted(
                (self.document_ids[column], int(grade))
                for column, grade in zip(self.qrels.indices[cut], self.qrels.grades[cut], strict=True)
            )
            question = _digest(self.questions[query]) if query in self.questions else "-"
            pages = _digest(json.dumps([texts.get(name) for name, _ in judged])) if texts else "-"
            out[query] = f"{question}:{_digest(json.dumps(judged))}:{pages}"
        return out

    @property
    def leaves_own(self) -> bool:
        """Whether a query's own document is left out of its results."""
        return self.card if self.plan.ignore_identical_ids is None else self.plan.ignore_identical_ids

    @cached_property
    def ceiling_sizes(self) -> dict[int, int]:
        """How many queries have how many relevant documents, those without any left out."""
        if self.qrels is None:
            return {self.degree: 1}
        sizes, counts = np.unique(self.qrels.sizes[self.qrels.sizes > 0], return_counts=True)
        return dict(zip(sizes.tolist(), counts.tolist(), strict=True))

    @property
    def m(self) -> int | None:
        """Judged queries; None for a pattern that is not written out."""
        return None if self.qrels is None else self.qrels.n_queries


def _digest(text: str) -> str:
    """Forty bits that stand for a text: enough to tell that it changed."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:10]


class OutOfTime(LimitbenchError):
    """The time budget was used up while data were read."""


def read_workload(project: Project, name: str, in_time: Callable[[], None] = lambda: None) -> Loaded:
    """The workload of this name. Raises `LimitbenchError` where nothing can be read at all.

    `in_time` is called every thousand lines and may raise `OutOfTime`.
    """
    plan = project.config.workload[name]
    return _pattern(project, name, plan) if plan.pattern is not None else _files(project, name, plan, in_time)


def _inside(project: Project, name: str, given: str, *, catalogue: bool) -> str:
    """A file or folder of the project, or a dataset that limitbench generates: nothing else is read, and nothing fetched."""
    from limitbench import catalog
    from limitbench.datasets.spec import dataset_spec

    if catalogue and given in catalog.names("datasets") and dataset_spec(given).pattern is not None:
        return given
    place = project.resolve(given, "workload", name, "pattern")
    if not place.exists():
        raise SpecError(
            f"workload '{name}': there is no {given} in the project, expected a file, a folder or a generated dataset"
        )
    return str(place)


def _pattern(project: Project, name: str, plan: Workload) -> Loaded:
    assert plan.pattern is not None
    arguments = dict(plan.pattern.model_extra or {})
    recipe = {"kind": plan.pattern.kind, **arguments}
    fingerprint = hashlib.sha256(json.dumps(recipe, sort_keys=True, default=str).encode()).hexdigest()
    n, k = arguments.get("n"), arguments.get("k")
    if plan.pattern.kind == "all-k":
        unknown = set(arguments) - {"n", "k"}
        if unknown or type(n) is not int or type(k) is not int or not 1 <= k <= n:
            raise SpecError(f"workload '{name}': found pattern {recipe}, expected kind, n and k, with 1 <= k <= n")
        return Loaded(name, plan, None, n, k, fingerprint=fingerprint)
    from limitbench.datasets.spec import Pattern, make_pattern  # closed forms need none of it

    for key, most in (("n", _MOST_DOCUMENTS), ("m", _MOST_ROWS)):
        if isinstance(arguments.get(key), int) and arguments[key] > most:
            raise SpecError(
                f"workload '{name}': found {key} = {arguments[key]}, expected at most {most:,} of a pattern written out"
            )
    for key in ("edges", "source"):
        if isinstance(recipe.get(key), str):
            recipe[key] = _inside(project, name, recipe[key], catalogue=key == "source")
    qrels = make_pattern(Pattern(**recipe), f"workload {name}")
    if qrels.n_queries > _MOST_ROWS:
        raise SpecError(
            f"workload '{name}': {qrels.n_queries:,} queries are more than a check looks at; expected at most {_MOST_ROWS:,}"
        )
    return Loaded(name, plan, qrels, qrels.n_documents, qrels.degree(), fingerprint=fingerprint)


def _files(project: Project, name: str, plan: Workload, in_time: Callable[[], None]) -> Loaded:
    from limitbench.datasets.folders import card_says  # patterns need none of it
    from limitbench.datasets.lint import lint_files

    def place(field_name: str) -> list[Path] | None:
        given = getattr(plan, field_name)
        if given is None:
            return None
        path = project.resolve(given, "workload", name, field_name)
        if not path.is_file():
            raise DataError(
                project.path, f"{given} is not a file; mend the path", line=project.line("workload", name, field_name)
            )
        return [path]

    qrels = place("qrels")
    corpus = place("corpus")
    found = lint_files(corpus, place("queries"), qrels or [], layout=plan.format, in_time=in_time)
    documents, grades, document_of = found.documents, found.grades, _chunk_map(project, name, plan, place("chunks"))
    if document_of is not None and all(document_of(chunk) == chunk for chunk in documents):
        document_of = None  # no document has several chunks, or a chunk of another name
    if document_of is not None:
        documents, grades = _grouped(documents, grades, document_of)
        if len(documents) == 1 < len(found.documents):
            key = "chunks" if plan.chunks else "chunk_separator"
            raise DataError(
                project.path,
                f"{key} makes one document of all {len(found.documents)} chunks; mend it",
                line=project.line("workload", name, key),
            )
    state = hashlib.sha256()
    for part in (found.documents, found.questions, found.grades):
        state.update(json.dumps(part, sort_keys=True, ensure_ascii=False).encode("utf-8", "surrogatepass"))
        state.update(b"\0")
    names = tuple(documents) or tuple(dict.fromkeys(d for row in grades.values() for d in row))
    matrix, queries = _matrix(grades, names)
    if qrels is None:  # questions alone: none has a relevant document
        queries = tuple(found.questions)
        matrix = Qrels.from_sets([[]] * len(queries), len(names))
    flaws = {flaw.check: flaw for flaw in found.flaws}
    leaves_own = card_says(corpus[0].parent, "ignore_identical_ids") if corpus else False
    return Loaded(
        name, plan, matrix, len(names), matrix.degree() if matrix.n_queries else 0, queries, names, documents,
        found.questions, flaws, state.hexdigest(), found.documents if document_of else {}, document_of, leaves_own,
    )  # fmt: skip


def _chunk_map(project: Project, name: str, plan: Workload, file: list[Path] | None) -> Callable[[str], str] | None:
    """Which document a chunk is of; None where chunks are not grouped. A chunk that the map lacks is a document of its own."""
    if plan.chunk_separator is not None:
        separator = plan.chunk_separator
        return lambda chunk: chunk.partition(separator)[0] or chunk
    if file is None:
        return None
    known: dict[str, str] = {}
    for number, line in read_lines(file[0]):
        fields = line.rstrip("\n").split("\t")
        if not line.strip():
            continue
        if len(fields) != 2 or not all(fields):
            raise DataError(file[0], "expected a chunk id, a tab and a document id; mend the line", line=number)
        if known.setdefault(*fields) != fields[1]:
            raise DataError(file[0], f"chunk '{fields[0]}' is of two documents; keep one line", line=number)
    if not known:
        raise DataError(
            project.path, f"{plan.chunks} maps no chunk; mend it", line=project.line("workload", name, "chunks")
        )
    return lambda chunk: known.get(chunk, chunk)


def _grouped(
    texts: dict[str, str], grades: dict[str, dict[str, int]], document_of: Callable[[str], str]
) -> tuple[dict[str, str], dict[str, dict[str, int]]]:
    """Texts and grades by document: chunks joined in their order, the best grade of a document's chunks."""
    whole: dict[str, list[str]] = {}
    for chunk, text in texts.items():
        whole.setdefault(document_of(chunk), []).append(text)
    judged: dict[str, dict[str, int]] = {}
    for query, row in grades.items():
        best = judged.setdefault(query, {})
        for chunk, grade in row.items():
            best[document_of(chunk)] = max(grade, best.get(document_of(chunk), grade))
    return {name: " ".join(parts) for name, parts in whole.items()}, judged


def _matrix(grades: dict[str, dict[str, int]], documents: tuple[str, ...]) -> tuple[Qrels, tuple[str, ...]]:
    """The graded relevance matrix of the queries that have a relevant document of the corpus, and their ids."""
    column = {name: number for number, name in enumerate(documents)}
    queries: list[str] = []
    ends, indices, values = [0], [], []
    for query, row in grades.items():
        relevant = sorted((column[d], grade) for d, grade in row.items() if grade > 0 and d in column)
        if relevant:
            queries.append(query)
            indices += [number for number, _ in relevant]
            values += [grade for _, grade in relevant]
            ends.append(len(indices))
    return Qrels(np.array(ends), np.array(indices, np.int64), np.array(values, np.int64), len(documents)), tuple(
        queries
    )
