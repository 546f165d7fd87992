"""`limitbench attach`: what the index of a collection that is already there loses, read only."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from limitbench.cli.options import JsonFlag
from limitbench.cli.output import echo_json, print_table, progress_bars, say

if TYPE_CHECKING:
    from limitbench.evaluation.attached import Attached


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(attach)


def attach(
    engine: Annotated[str, typer.Argument(help="pgvector or qdrant.")],
    collection: Annotated[str, typer.Argument(help="The table or collection, as the engine calls it.")],
    vector: Annotated[
        str | None, typer.Option(metavar="NAME", help="Its vectors' column, index or name, where there are several.")
    ] = None,
    key: Annotated[
        str | None, typer.Option("--id", metavar="COLUMN", help="The column of ids; the primary key is usual.")
    ] = None,
    where: Annotated[str | None, typer.Option(help="A condition of every search: SQL, or the engine's JSON.")] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="A setting of searches, by the engine's name."),
    ] = None,
    url: Annotated[str | None, typer.Option(help="The server's address.")] = None,
    dsn_env: Annotated[str | None, typer.Option(metavar="VARIABLE", help="The variable that holds the DSN.")] = None,
    key_env: Annotated[str | None, typer.Option(metavar="VARIABLE", help="The variable that holds the key.")] = None,
    queries: Annotated[
        Path | None,
        typer.Option(metavar="FILE.npy", help="Vectors to ask with; without it, some of the collection's own."),
    ] = None,
    sample: Annotated[int, typer.Option(min=1, help="How many of its own vectors to ask with.")] = 200,
    depth: Annotated[int, typer.Option(min=1, help="How many documents a search asks for.")] = 10,
    seed: Annotated[int, typer.Option(min=0, help="Of the sample.")] = 0,
    timeout: Annotated[float, typer.Option(min=0.001, max=86_400, help="Seconds that a search may take.")] = 60.0,
    least: Annotated[
        float | None,
        typer.Option(min=0, max=1, help="Exit with 1 if agreement is below, with 3 if that is not decided."),
    ] = None,
    json: JsonFlag = False,
) -> None:
    """Compare the index of your own collection with exact search of the same vectors; nothing is written.

    Exit codes: 0 done; 2 bad input; with `--least`, 1 if the whole interval is below it, 3 if it lies inside or no index is used.
    """
    from limitbench.evaluation.attached import attached
    from limitbench.retrievers.engines.collection import Address

    address = Address(
        collection=collection, vector=vector, id=key, where=where, settings=_settings(set_ or []), url=url, dsn_env=dsn_env,
        key_env=key_env, timeout=timeout,
    )  # fmt: skip
    asked = None if queries is None else _read(queries)
    with progress_bars() as bars:
        shown = bars(f"{engine} {collection}")
        found = attached(engine, address, queries=asked, sample=sample, depth=depth, seed=seed, progress=shown)
    _remark(found)
    if json:
        echo_json({"schema_version": 1, **dataclasses.asdict(found)})
    else:
        _print(found)
    code = 0 if least is None else _verdict(found, least)
    if code:
        raise typer.Exit(code)


def _remark(found: Attached) -> None:
    """Say what to know before the numbers."""
    what = f"{found.engine} {found.collection}"
    if not found.index.used:
        say(f"{what}: searches go through no index: {found.index.how}")
    if found.short:
        say(f"{what}: {found.short} of {found.queries} queries got fewer documents than exact search")
    if found.unanswered:
        say(f"{what}: {found.unanswered} queries are left out: exact search gives nothing for them")


def _settings(given: list[str]) -> dict[str, str]:
    from limitbench.errors import SpecError

    pairs = [text.partition("=") for text in given]
    for name, equals, _ in pairs:
        if not equals or not name:
            raise SpecError(f"--set: found {name!r}, expected NAME=VALUE, such as hnsw.ef_search=200")
    return {name.strip(): value.strip() for name, _, value in pairs}


def _read(path: Path) -> Any:
    import numpy as np

    from limitbench.errors import DataError

    try:
        found = np.load(path, allow_pickle=False)
        if not isinstance(found, np.ndarray) or found.dtype.kind not in "fiu":
            raise ValueError("it holds no array of numbers")
        return found
    except (OSError, ValueError, EOFError) as error:
        raise DataError(path, f"cannot be read as an array of NumPy ({error}); save it with numpy.save") from None


def _print(found: Attached) -> None:
    def share(interval: Any) -> str:
        return f"{100 * interval.mean:.1f} [{100 * interval.low:.1f}, {100 * interval.high:.1f}]"

    def milliseconds(seconds: Any) -> str:
        return " / ".join(f"{1000 * value:.2f}" for value in seconds.values())

    settings = ", ".join(f"{name} {value}" for name, value in found.settings.items())
    limits = f"{100 * found.agreement.confidence:g} % limits, for any distribution"
    print_table(
        ["what", "found"],
        [
            ["documents", f"{found.rows} of {found.dim} dimensions"],
            ["queries", f"{found.queries} {found.of}"],
            [f"of exact search's best {found.depth}, %", share(found.agreement)],
            ["as near as the last of them, %", share(found.agreement_by_score)],
            ["ms a search, p50 / p95 / p99", milliseconds(found.seconds)],
            ["ms exactly, p50 / p95 / p99", milliseconds(found.exact_seconds)],
            ["index used", f"{'yes' if found.index.used else 'NO'}: {found.index.how}"],
            ["settings", settings],
        ],
        title=f"{found.engine} {found.collection}: what its index finds ({limits})",
    )


def _verdict(found: Attached, least: float) -> int:
    agreement = found.agreement
    if not found.index.used:
        return 3
    if agreement.high < least:
        say(f"agreement is below {least:g}: at most {agreement.high:.3f}")
        return 1
    if agreement.low < least:
        say(
            f"whether agreement is {least:g} is not decided by {found.queries} queries: give more by --sample or --queries"
        )
        return 3
    return 0
