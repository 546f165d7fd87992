"""`limitbench init`: look at a repository, find evaluation data, and write a commented configuration that passes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from limitbench.checks.config import read_project
from limitbench.checks.engine import check, measured_cases
from limitbench.checks.measurement import Measured
from limitbench.checks.schema import FILE
from limitbench.checks.settings import Settings
from limitbench.datasets.evaluation_sets import Mapped, onto_corpus, read_examples
from limitbench.datasets.folders import read_texts, write_folder
from limitbench.errors import InputError, LimitbenchError
from limitbench.files import atomic_write
from limitbench.rankings import read_trec_run
from limitbench.relevance import iter_judgements

SKIPPED = {
    ".git",
    ".hg",
    ".venv",
    "venv",
    "node_modules",
    "__pycache__",
    ".tox",
    ".mypy_cache",
    "site-packages",
    "dist",
    "build",
}
_MOST_FILES, _DEEPEST = 20_000, 8
_QRELS = (".tsv", ".qrels", ".qrel", ".txt", ".jsonl", ".trec")
_RUNS = (".trec", ".run", ".txt")


@dataclass(frozen=True)
class Data:
    """Files of one evaluation, paths relative to the repository."""

    qrels: Path
    corpus: Path | None
    queries: Path | None
    run: Path | None


def find_data(root: Path) -> Data | None:
    """The first evaluation data in the repository: judgements, with a corpus, queries and a run where they lie beside or above."""
    files = sorted(_files(root), key=lambda path: (len(path.parts), path.as_posix()))
    named = [
        p for p in files if p.suffix in _QRELS and ("qrel" in p.as_posix().lower() or p.name in ("test.tsv", "dev.tsv"))
    ]
    qrels = next((path for path in named if _reads(root / path)), None)
    if qrels is None:
        return None

    def near(stem: str) -> Path | None:
        places = [qrels.parent, *qrels.parents]
        return next((p / f"{stem}.jsonl" for p in places if (root / p / f"{stem}.jsonl").is_file()), None)

    runs = (path for path in files if path.suffix in _RUNS and path != qrels)
    return Data(qrels, near("corpus"), near("queries"), next((path for path in runs if _ranks(root / path)), None))


def _files(root: Path) -> Iterator[Path]:
    seen = 0
    for folder, folders, names in os.walk(root, followlinks=False):
        here = Path(folder).relative_to(root)
        folders[:] = sorted(f for f in folders if f not in SKIPPED and len(here.parts) < _DEEPEST)
        for name in sorted(names):
            seen += 1
            if seen > _MOST_FILES:
                return
            if (here / name).suffix in {*_QRELS, *_RUNS} and (root / here / name).is_file():
                yield here / name


def _reads(path: Path) -> bool:
    """Whether the first judgements of the file can be read."""
    try:
        return next(iter(iter_judgements(path)), None) is not None
    except LimitbenchError:
        return False


def _ranks(path: Path) -> bool:
    """Whether the file is a TREC run; large ones are told by their first line."""
    try:
        with path.open(encoding="utf-8") as lines:
            first = lines.readline(10_000).split()
        return (
            len(first) == 6 and first[1].upper() == "Q0" and (path.stat().st_size > 10**8 or bool(read_trec_run(path)))
        )
    except (OSError, ValueError, LimitbenchError):
        return False


def import_data(root: Path, source: Path, corpus: Path | None, out: Path) -> tuple[Data, Mapped, str]:
    """Write another tool's evaluation set into a folder of the repository, whole or not at all: its data, what was lost, the tool.

    `corpus` is the corpus.jsonl that the questions are about; without one, the file's own texts are. Raises `DataError` and
    `InputError`, and writes nothing then.
    """
    if not out.resolve().is_relative_to(root.resolve()):
        raise InputError(f"{out} is outside of {root}; a configuration reads nothing from there: give a folder inside")
    if corpus is not None and not corpus.resolve().is_relative_to(root.resolve()):
        raise InputError(f"{corpus} is outside of {root}; copy it inside")
    if out.exists() and any(out.iterdir()):
        raise InputError(f"{out} is there already and not empty; give another folder: --out")
    found = read_examples(source)
    mapped = onto_corpus(found, None if corpus is None else read_texts(corpus), source.name)
    write_folder(mapped.dataset, out)
    place = out.resolve().relative_to(root.resolve())
    if corpus is not None and corpus.is_file():
        (out / "corpus.jsonl").unlink()
    own = place / "corpus.jsonl" if corpus is None or corpus.is_dir() else corpus.resolve().relative_to(root.resolve())
    return Data(place / "qrels" / "test.tsv", own, place / "queries.jsonl", None), mapped, found.tool


def write_starter(root: Path, *, force: bool = False, data: Data | None = None) -> tuple[Path, Data | None]:
    """Write limitbench.toml into `root`, check that it passes, and return its path and what data were found.

    Raises `InputError` where the file is there already, unless `force`.
    """
    path = root / FILE
    if path.exists() and not force:
        raise InputError(f"{path} is there already; check it with: limitbench check, or write it anew with --force")
    before = path.read_bytes() if path.exists() else None
    data = data or find_data(root)
    try:
        _write(path, starter(data))
        if data is not None and data.run is not None:
            _write(path, starter(data, floor=_floor(path)))
        report = check(path)
        if report.exit_code:
            _write(
                path,
                starter(
                    data,
                    ignored=sorted(
                        {f.about or f.rule for f in report.shown if f.severity == "error" or f.rule == "LB902"}
                    ),
                ),
            )
    except BaseException:
        if before is None:
            path.unlink(missing_ok=True)
        else:
            path.write_bytes(before)
        raise
    return path, data


def _write(path: Path, text: str) -> None:
    with atomic_write(path) as out:
        out.write(text.encode())


def _floor(path: Path) -> float | None:
    """The lower confidence limit that the run has now, rounded down."""
    from limitbench.statistics import lower_limit

    for case in measured_cases(read_project(path), Settings(tier="fast")):
        found = case.measured()
        if isinstance(found, Measured):
            return int(100 * lower_limit(case.values(found))) / 100
    return None


def starter(data: Data | None, *, floor: float | None = None, ignored: list[str] | None = None) -> str:
    """The text of the file."""
    if data is None:
        workload = (
            "# No evaluation data was found, so the workload is a pattern: all pairs of 1,000 documents. With your own:\n"
            '#   qrels = "eval/qrels.tsv"      # BEIR (tsv with a header), jsonl or TREC\n'
            '#   corpus = "eval/corpus.jsonl"\n#   queries = "eval/queries.jsonl"\n'
            'pattern = { kind = "all-k", n = 1000, k = 2 }\n'
        )
    else:
        lines = [("qrels", data.qrels), ("corpus", data.corpus), ("queries", data.queries)]
        workload = "".join(f"{key} = {_quoted(path)}\n" for key, path in lines if path is not None)
    measure = (
        '# [retriever.planned.measure]      # one of run, model, endpoint, python, command\n# run = "eval/prod.trec"\n'
        if data is None or data.run is None
        else f"[retriever.planned.measure]\nrun = {_quoted(data.run)}\n"
    )
    lower = "min = 0.0\n"
    if floor is not None:
        lower = f"min = {floor:.2f}                       # the lower confidence limit of today's run\n"
    gate = (
        "# [[gate]]                          # what must hold; needs a measurement\n"
        '# workload = "main"\n# retriever = "planned"\n# metric = "Recall@10"\n# min = 0.90\n'
        "# max_drop = 0.01                   # against a baseline: limitbench baseline init\n"
        if data is None or data.run is None
        else f'[[gate]]\nworkload = "main"\nretriever = "planned"\nmetric = "Recall@10"\n{lower}'
        "# max_drop = 0.01                   # against a baseline: limitbench baseline init\n"
    )
    off = "".join(
        f'{rule} = "off"      # found when this file was written: see limitbench check --explain {rule}\n'
        for rule in ignored or []
    )
    return (
        "# What limitbench check holds this project to; docs/checks.md explains every key.\n"
        "version = 1\n\n"
        "[workload.main]                     # what must be retrievable\n"
        f"{workload}"
        "# top_k = 10                        # documents handed on; default: the largest number of relevant ones\n"
        "# growth = 10.0                     # must still hold at ten times the documents\n\n"
        "[retriever.planned]                 # a plan: no model needed\n"
        'kind = "dense"\n'
        "dim = 768\n"
        'metric = "cosine"\n'
        'dtype = "fp32"\n'
        "# margin = 0.05                     # the half-gap that the scores need\n\n"
        f"{measure}\n{gate}" + (f"\n[severity]\n{off}" if off else "") + "\n[baseline]\n"
        'path = ".limitbench/baseline.json"\n\n'
        "# [[suppress]]\n"
        '# id = "LB104"\n# until = "2027-03-01"\n# reason = "why, for whoever reads this next"\n'
    )


def _quoted(path: Path) -> str:
    escaped = path.as_posix().replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
