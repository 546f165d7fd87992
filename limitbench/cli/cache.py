"""`limitbench cache`: the embeddings that are kept, and their removal."""

from __future__ import annotations

from typing import Annotated

import typer

from limitbench.cli.options import JsonFlag
from limitbench.cli.output import echo_json, say


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(cache)


def cache(
    prune: Annotated[
        bool, typer.Option("--prune", help="Remove what was used longest ago, down to --keep-gb.")
    ] = False,
    keep_gb: Annotated[float, typer.Option("--keep-gb", min=0, help="Gigabytes that --prune leaves.")] = 0.0,
    json: JsonFlag = False,
) -> None:
    """Show the cached embeddings, or remove them."""
    from limitbench.report import size
    from limitbench.retrievers.cache import EmbeddingCache

    kept = EmbeddingCache.default()
    removed = kept.prune(int(keep_gb * 1e9)) if prune else (0, 0)
    files = kept.files()
    total = sum(count for _, count, _ in files)
    if json:
        found = {"folder": str(kept.folder), "files": len(files), "bytes": total, "most_bytes": kept.most_bytes}
        echo_json({"schema_version": 1, **found, "removed_files": removed[0], "removed_bytes": removed[1]})
        return
    if prune:
        say(f"removed {removed[0]} files, {size(removed[1])}")
    typer.echo(f"{kept.folder}: {len(files)} batches of embeddings, {size(total)} of at most {size(kept.most_bytes)}")
