"""Answers of a running retriever: what a command printed, a function returned, or a model of limitbench ranked."""

from __future__ import annotations

import itertools
import json
import math
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from limitbench.checks.baseline import Setting
from limitbench.checks.config import Project
from limitbench.checks.secrets import hidden
from limitbench.checks.settings import Settings
from limitbench.checks.workloads import Loaded
from limitbench.collection import Corpus, Queries
from limitbench.errors import DataError, LimitbenchError
from limitbench.files import is_text
from limitbench.rankings import RunFile, read_run_file

if TYPE_CHECKING:
    from limitbench.retrievers import CutTexts, RetrieverSpec

_CHUNKS = 4  # chunks asked for, for each document wanted, where documents are made of chunks


@dataclass(frozen=True)
class Answer:
    """What a retriever gave: its scores, and what it told of itself.

    `notes` are remarks of limitbench's own retrievers; None: the run itself is looked at. `ids` lists what the index holds. `probe`
    tells of some documents how close the stored vector is to that of the same text embedded now, as a cosine.
    """

    file: RunFile
    notes: tuple[str, ...] | None = None
    cut: tuple[CutTexts, ...] = ()
    settings: Mapping[str, Setting] = field(default_factory=dict)
    ids: tuple[str, ...] | None = None
    probe: Mapping[str, float] = field(default_factory=dict)

    def by_document(self, document_of: Callable[[str], str]) -> Answer:
        """The answer over documents: each with the best score of its chunks."""
        scores: dict[str, dict[str, float]] = {}
        for query, row in self.file.scores.items():
            best = scores.setdefault(query, {})
            for chunk, score in row.items():
                best[document_of(chunk)] = max(score, best.get(document_of(chunk), score))
        ids = None if self.ids is None else tuple(dict.fromkeys(map(document_of, self.ids)))
        return replace(self, file=replace(self.file, scores=scores), ids=ids)


def printed(output: bytes) -> Answer:
    """What a command printed: JSON, or a TREC run."""
    if output.lstrip()[:1] == b"{":
        return returned(output, "the command")
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "stdout"
        path.write_bytes(output)
        try:
            return Answer(read_run_file(path))
        except DataError as error:
            line = f" at line {error.line}" if error.line else ""
            raise LimitbenchError(
                f"the command printed no TREC run and no JSON{line}: {str(error).partition(': ')[2]}"
            ) from None


def returned(printed: bytes, who: str) -> Answer:
    """The answer of JSON: {query id: {document id: score}}, or that as "run" beside "settings", "ids" and "probe".

    Checked without `assert`, which `python -O` leaves out.
    """
    try:
        found = json.loads(printed)
    except (ValueError, RecursionError, OverflowError):
        found = None
    table = found if _wrapped(found) else {"run": found}
    run, settings, ids, probe = table["run"], table.get("settings", {}), table.get("ids"), table.get("probe", {})
    if not isinstance(run, dict) or not all(
        isinstance(row, dict) and all(_is_number(value) for value in row.values()) for row in run.values()
    ):
        raise LimitbenchError(f"{who} gave no {{query id: {{document id: score}}}} of numbers; mend what it gives")
    names = (name for query, row in run.items() for name in (query, *row))
    if not all(
        map(is_text, (*names, *(ids if isinstance(ids, list) and all(isinstance(i, str) for i in ids) else ())))
    ):
        raise LimitbenchError(f"{who} gave ids that are no text (lone surrogates); mend what it gives")
    if not isinstance(settings, dict) or not all(
        isinstance(v, str | int | float | bool | None) for v in settings.values()
    ):
        raise LimitbenchError(f"{who} gave settings that are no table of texts and numbers; mend them")
    if ids is not None and not (isinstance(ids, list) and all(isinstance(name, str) for name in ids)):
        raise LimitbenchError(f'{who} gave "ids" that are no list of texts; give the ids of all documents in the index')
    if not isinstance(probe, dict) or not all(_is_number(value) for value in probe.values()):
        raise LimitbenchError(f'{who} gave a "probe" that is no table of document ids and cosines; mend it')
    infinite = sum(value == -math.inf for row in run.values() for value in row.values())
    # a table has no ranks; one that is listed worst first, all through, was meant the other way
    against = sum(len(row) > 2 and all(b > a for a, b in itertools.pairwise(row.values())) for row in run.values())
    return Answer(
        RunFile(run, infinite, against), settings=settings, ids=None if ids is None else tuple(ids), probe=probe
    )


def _wrapped(found: Any) -> bool:
    """Whether an answer is a table of "run" and what goes with it. A run alone has rows of numbers, never of rows."""
    if not isinstance(found, dict) or "run" not in found or not found.keys() <= {"run", "settings", "ids", "probe"}:
        return False
    return isinstance(found["run"], dict) and all(isinstance(row, dict) for row in found["run"].values())


def _is_number(value: Any) -> bool:
    try:
        return isinstance(value, int | float) and not isinstance(value, bool) and not math.isnan(float(value))
    except OverflowError:
        return False


def retrieved(
    spec: RetrieverSpec | str,
    workload: Loaded,
    asked: Mapping[str, str],
    depth: int,
    settings: Settings,
    project: Project,
) -> Answer:
    """What a retriever of limitbench ranks for these queries, `depth` documents each. Raises `LimitbenchError`.

    Embeddings of documents may come from the cache, where the model's files, or the service's canary, are those that made them;
    queries of a service are asked now. Files that the spec names are read inside the project alone.
    """
    from limitbench.retrievers import Adapter, retriever

    made = retriever(spec, reuse="documents").retriever
    if isinstance(made, Adapter):
        made = made.located(partial(placed, project))

    def progress(_stage: str, _done: int, _of: int) -> None:
        if settings.seconds(1.0) <= 0:
            raise LimitbenchError("the time budget was used up while measuring")

    try:
        texts = workload.parts or workload.texts
        if workload.parts:  # several chunks of one document may come first
            depth *= _CHUNKS
        index = made.index(Corpus(tuple(texts), tuple(texts.values())), progress)
        run = index.search(Queries(tuple(asked), tuple(asked.values())), min(depth, len(texts)), progress).run
        facts = index.facts
        return Answer(RunFile(run.mapping()), tuple(facts.remarks), tuple(facts.cut_texts))
    except LimitbenchError:
        raise
    except Exception as error:  # whatever a model's libraries raise
        reason = " ".join(hidden(str(error)).split())[:200] or type(error).__name__
        raise LimitbenchError(f"retriever '{spec}' failed ({type(error).__name__}: {reason})") from None


def placed(project: Project, value: str) -> str:
    """The file or folder of the project that an option names, resolved; a name that is none comes back as it is.

    Paths are relative to the configuration's folder. Raises `DataError` for one that leads out of the project, links followed, and
    where a name is that of something in another working folder, which an adapter would read in the name's place.
    """
    place = project.resolve(os.path.expanduser(value), "retriever")  # noqa: PTH111  # Path's raises for unknown users
    for folder, below, files in os.walk(place):  # links inside may lead out as well
        for name in (*below, *files):
            if os.path.islink(os.path.join(folder, name)):  # noqa: PTH114, PTH118  # a folder may hold very many
                project.resolve(os.path.join(folder, name), "retriever")  # noqa: PTH118
    if place.exists() or value.startswith((".", "/", "~")):
        return str(place)
    if Path(value).exists():
        project.resolve(str(Path(value).resolve()), "retriever")
    return value
