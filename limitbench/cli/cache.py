"""`limitbench cache`: the embeddings and the answers of services that are kept, and their removal."""

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
    clear_replies: Annotated[
        bool, typer.Option("--clear-replies", help="Remove all answers of language models and rerank services.")
    ] = False,
    json: JsonFlag = False,
) -> None:
    """Show the cached embeddings and the kept answers of paid services, or remove them."""
    from limitbench.report import size
    from limitbench.retrievers.cache import EmbeddingCache
    from limitbench.retrievers.replies import ReplyCache

    kept = EmbeddingCache.default()
    removed = kept.prune(int(keep_gb * 1e9)) if prune else (0, 0)
    replies = ReplyCache.default()
    cleared = replies.clear() if clear_replies else 0
    files, answers = kept.files(), [count for _, count in replies.files()]
    total = sum(count for _, count, _ in files)
    if json:
        found = {"folder": str(kept.folder), "files": len(files), "bytes": total, "most_bytes": kept.most_bytes}
        gone = {"removed_files": removed[0], "removed_bytes": removed[1], "removed_replies": cleared}
        told = {"folder": str(replies.folder), "files": len(answers), "bytes": sum(answers)}
        echo_json({"schema_version": 1, **found, **gone, "replies": told})
        return
    if clear_replies:
        say(f"removed {cleared} answers")
    if prune:
        say(f"removed {removed[0]} files, {size(removed[1])}")
    typer.echo(f"{kept.folder}: {len(files)} batches of embeddings, {size(total)} of at most {size(kept.most_bytes)}")
    typer.echo(f"{replies.folder}: {len(answers)} answers of services, {size(sum(answers))}")
