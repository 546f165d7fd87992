"""A leaderboard entry: records that others can trust, with what stands in their way named before anything is sent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from limitbench import catalog
from limitbench.datasets import dataset_spec
from limitbench.errors import InputError
from limitbench.files import atomic_write
from limitbench.report.comparison import first_measure
from limitbench.report.numbers import escaped, interval, markdown, percent
from limitbench.results import Result, Store
from limitbench.retrievers.spec import texts_under
from limitbench.statistics import shown_interval

_UNPINNED = {"limit": 50_000}  # documents of datasets whose digest was never seen here
_SERVICES = ("endpoint", "rerank-endpoint", "rerank-llm", "long-context")


@dataclass(frozen=True)
class Checked:
    """One record: what forbids to send it, and what whoever reads it should know."""

    record: Result
    forbids: tuple[str, ...]
    cautions: tuple[str, ...]


def checked(record: Result) -> Checked:
    """What a record lacks for a leaderboard: data that others have, a command, weights that are named."""
    return Checked(record, tuple(_forbids(record)), tuple(_cautions(record)))


def _forbids(r: Result) -> list[str]:
    out = []
    if r.evidence == "published":
        out.append("it holds published figures, not a measurement")
    facts = r.dataset.part_of or r.dataset
    if facts.name not in catalog.names("datasets"):
        out.append(
            f"its dataset '{facts.name}' is none of the catalogue (limitbench list datasets), so that nobody else has it"
        )
    else:
        pinned = dataset_spec(facts.name).sha256
        if pinned is not None and pinned != facts.sha256:
            out.append(f"its data (sha256 {facts.sha256[:12]}) are not the catalogue's '{facts.name}' ({pinned[:12]})")
        if pinned is None and facts.documents != _UNPINNED.get(facts.name):
            out.append(f"its data have {facts.documents:,} documents, which the published '{facts.name}' has not")
    if not r.provenance.get("command"):
        out.append("it has no command")
    if not r.provenance.get("versions", {}).get("limitbench"):
        out.append("it does not name limitbench's version")
    return out


def _cautions(r: Result) -> list[str]:
    options = r.retriever.configuration
    out = list(r.notes)
    if (r.dataset.part_of or r.dataset).name in _UNPINNED:
        out.append("its data have no pinned digest: whoever reads it compares the sha256")
    if options.get("adapter") == "run":
        out.append("it is an imported run: send the run's file too, since the command does not make it")
    for path in texts_under(options, "model"):
        if path.startswith((".", "/", "~")) or "\\" in path:
            out.append(f"its model is a folder of yours ('{path}'): publish the weights, and say where")
    for adapter in texts_under(options, "adapter"):
        if adapter in _SERVICES:
            out.append(f"{adapter}: a service may change behind its name, and can then not be measured again")
    for url in texts_under(options, "url"):
        out.append(f"it names {url}: look whether that may be public")
    return list(dict.fromkeys(out))


def submit(records: Sequence[Result], folder: Path, *, owner: str = "") -> list[Checked]:
    """Write the records, laid out as in a results folder, and SUBMISSION.md, which tells what they are. What each one is, checked.

    Raises `InputError`, before anything is written, where a record cannot be sent, or where there is none.
    """
    if not records:
        raise InputError("there is no record to submit; run: limitbench run -d limit-small -r YOURS --results mine")
    found = [checked(record) for record in records]
    wrong = [
        f"{one.record.retriever.name} on {one.record.dataset.name}: {'; '.join(one.forbids)}"
        for one in found
        if one.forbids
    ]
    if wrong:
        more = f"; and {len(wrong) - 3} more" if len(wrong) > 3 else ""
        raise InputError(f"cannot be submitted: {'; '.join(wrong[:3])}{more}")
    store = Store(folder)
    store.require_writable()
    for record in records:
        store.write(record)
    with atomic_write(folder / "SUBMISSION.md") as stream:
        stream.write(_text(found, owner).encode())
    return found


def _text(found: Sequence[Checked], owner: str) -> str:
    rows = []
    for one in found:
        r = one.record
        title = first_measure(r.measures)
        values = r.per_query.get(title)
        limits = interval(shown_interval(values)) if values else ""
        rows.append(
            [
                r.retriever.name,
                r.dataset.name,
                f"{title} {percent(r.measures[title])}",
                limits,
                r.configuration_digest[:12],
            ]
        )
    commands = dict.fromkeys(str(one.record.provenance["command"]) for one in found)
    told = [f"- {escaped(one.record.retriever.name)}: {escaped(line)}" for one in found for line in one.cautions]
    parts = [
        f"# Submission{f' of {escaped(owner)}' if owner else ''}\n",
        markdown(["retriever", "dataset", "percent", "95 % interval", "record"], rows),
        "\n## Commands\n",
        *[f"- `{command}`" for command in commands],
        *(["\n## To know\n", *dict.fromkeys(told)] if told else []),
        "\n## How to send it\n",
        "1. Copy the folders beside this file into `results/` of a checkout of limitbench.",
        "2. Run `limitbench leaderboard` there. It reads every record again, and refuses one that contradicts itself.",
        "3. Commit both, and open a pull request with this file as its text.",
    ]
    return "\n".join(parts) + "\n"
