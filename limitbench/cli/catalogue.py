"""`limitbench generate`, `describe` and `list`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from limitbench.cli.bench import JsonFlag
from limitbench.cli.output import echo_json, print_table, say
from limitbench.errors import DataError, InputError


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(generate)
    app.command()(describe)
    app.command("list")(list_)


def generate(
    name: Annotated[str, typer.Argument(help="A dataset of the catalogue.")],
    out: Annotated[Path, typer.Option("--out", help="Folder to write into.")],
    gz: Annotated[bool, typer.Option("--gz", help="Write gzipped files.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace another dataset in the folder.")] = False,
    json: JsonFlag = False,
) -> None:
    """Write a dataset of the catalogue as a BEIR folder; the same name gives the same bytes everywhere."""
    from limitbench.datasets import dataset_spec, read_folder, write_folder
    from limitbench.datasets import generate as make

    spec = dataset_spec(name)
    made = make(spec, name)
    if spec.sha256 is not None and made.digest != spec.sha256:
        raise InputError(f"'{name}' came out with sha256 {made.digest}, its spec says {spec.sha256}; mend the spec")
    files = [f"{file}{'.gz' if gz else ''}" for file in ("corpus.jsonl", "queries.jsonl", "qrels/test.tsv")]
    present = [f for f in ("corpus.jsonl", "queries.jsonl", "qrels/test.tsv") if _there(out / f)]
    if present and not overwrite:
        try:
            same = read_folder(out).digest == made.digest
        except DataError:
            same = False
        if not same:
            raise InputError(f"{out} already holds {present[0]} of something else; choose another or add --overwrite")
    write_folder(made, out, gz=gz)
    if json:
        echo_json({"schema_version": 1, "dataset": name, "sha256": made.digest, "folder": str(out), "files": files})
    else:
        say(f"wrote {', '.join(files)} to {out}: {len(made.corpus)} documents, {len(made.queries)} queries")
        typer.echo(f"sha256 {made.digest}")


def _there(path: Path) -> bool:
    return path.exists() or path.with_name(path.name + ".gz").exists()


def describe(
    dataset: Annotated[str, typer.Argument(help="Name or folder.")],
    split: Annotated[str, typer.Option(help="Which qrels of a folder.")] = "test",
    json: JsonFlag = False,
) -> None:
    """Print sizes, densities (the paper's Table 2) and text statistics of a dataset."""
    from limitbench.datasets import load
    from limitbench.datasets.density import describe as facts

    data = load(dataset, split=split)
    for note in data.notes:
        say(f"{data.name}: {note}")
    found = facts(data)
    if json:
        echo_json({"schema_version": 1, **found})
        return
    print_table(["property", "value"], [[key.replace("_", " "), _shown(value)] for key, value in found.items()])


def _shown(value: Any) -> str:
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: "-"}[value]
    if isinstance(value, float):
        return f"{value:.6f}"
    if isinstance(value, dict):
        return ", ".join(
            f"{key}: {item:.1f}" if isinstance(item, float) else f"{key}: {item}" for key, item in value.items()
        )
    return str(value)


def list_(
    json: JsonFlag = False,
) -> None:
    """List the datasets, retrievers, adapters, patterns, suites and measures that have a name."""
    from limitbench import catalog, registry
    from limitbench.measures import FAMILIES

    titles = {
        noun: {name: str(catalog.entry(noun, name).get("title", "")) for name in catalog.names(noun)}
        for noun in ("datasets", "retrievers", "suites")
    }
    adapters = {name: f"needs limitbench[{extra}]" if extra else "" for name, (_, extra) in registry.adapters().items()}
    if json:
        names = {"patterns": sorted(registry.PATTERNS), "measures": [f"{name}@k" for name in FAMILIES]}
        echo_json({"schema_version": 1, **titles, "adapters": adapters, **names})
        return
    for noun, entries in titles.items():
        print_table([noun, "title"], [[name, title] for name, title in entries.items()])
    rest = (
        ("adapters", ", ".join(f"{name} ({note})" if note else name for name, note in sorted(adapters.items()))),
        ("patterns", ", ".join(sorted(registry.PATTERNS))),
        ("measures", ", ".join(f"{name}@k" for name in FAMILIES)),
    )
    print_table(["kind", "names"], [list(row) for row in rest])
