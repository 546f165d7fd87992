"""`limitbench list`."""

from __future__ import annotations

import typer

from limitbench.cli.options import JsonFlag
from limitbench.cli.output import echo_json, print_table


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("list")(list_)


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
        names = {
            "patterns": sorted(registry.patterns()),
            "worlds": sorted(registry.WORLDS),
            "measures": [f"{name}@k" for name in FAMILIES],
        }
        echo_json({"schema_version": 1, **titles, "adapters": adapters, **names})
        return
    for noun, entries in titles.items():
        print_table([noun, "title"], [[name, title] for name, title in entries.items()])
    rest = (
        ("adapters", ", ".join(f"{name} ({note})" if note else name for name, note in sorted(adapters.items()))),
        ("patterns", ", ".join(sorted(registry.patterns()))),
        ("worlds", ", ".join(sorted(registry.WORLDS))),
        ("measures", ", ".join(f"{name}@k" for name in FAMILIES)),
    )
    print_table(["kind", "names"], [list(row) for row in rest])
