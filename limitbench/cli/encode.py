"""`limitbench encode`: a corpus as shards of vectors."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from limitbench.cli.options import (
    ClusterAt,
    Device,
    JsonFlag,
    MinGrade,
    OneDataset,
    Precision,
    Split,
    read_dataset,
    reading,
)
from limitbench.cli.output import echo_json, say, working
from limitbench.errors import InputError


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(encode)


def encode(
    dataset: OneDataset,
    retriever: Annotated[str, typer.Option("-r", "--retriever", help="A dense retriever: name or spec.")],
    out: Annotated[
        str, typer.Option(metavar="FOLDER|URL", help="Where shards are written: a folder, or such as s3://bucket/x.")
    ],
    size: Annotated[int, typer.Option("--shard-size", min=1, help="Documents of a shard.")] = 50_000,
    split: Split = "test",
    min_grade: MinGrade = 1,
    device: Device = None,
    precision: Precision = None,
    cluster: ClusterAt = None,
    json: JsonFlag = False,
) -> None:
    """Encode a corpus once, as shards of vectors that -r shards:FOLDER searches exactly.

    A shard that is there is not made again: the same command goes on where it stopped.
    """
    from limitbench.evaluation import Options
    from limitbench.evaluation import encode as shards
    from limitbench.retrievers.sharded import here

    if out.startswith("memory:"):
        raise InputError("found --out memory://, which ends with this command; give a folder or a store")
    data = read_dataset(dataset, reading(split, min_grade))
    by = Options(device=device, precision=precision).retriever(retriever)
    start, before, seen = time.perf_counter(), 0, 0

    with working(cluster, device) as (bars, each):
        progress = bars(f"{data.name} {retriever}")

        def told(done: int, of: int, reused: bool) -> None:
            nonlocal before, seen
            before, seen = (done if reused else before), of
            progress("encode shards", done, of)

        found = shards(data.corpus, by, out, size=size, each=each or here, told=told)
    seconds = time.perf_counter() - start
    made = seen - before
    if before:
        say(f"{before} of {seen} shards were there already")
    if json:
        echo_json({
            "schema_version": 1, "folder": out, "shards": len(found.shards), "made": made, "documents": len(data.corpus),
            "dim": found.dim, "seconds": round(seconds, 2),
        })  # fmt: skip
        return
    rate = len(data.corpus) * made / max(1, seen) / max(seconds, 1e-9)
    several = "1 shard" if made == 1 else f"{made} shards"
    wrote = f"Wrote {several} of {found.dim} dimensions in {seconds:.1f} s ({rate:,.0f} documents a second)."
    typer.echo(
        f"{wrote if made else 'Nothing was to be made.'} Search them: limitbench run -d {dataset} -r shards:{out}"
    )
