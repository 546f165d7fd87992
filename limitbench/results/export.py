"""Records as tables for other tools: one row for each record and measure."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from limitbench.errors import MissingExtra
from limitbench.files import atomic_write
from limitbench.results.record import Result

COLUMNS = (
    "dataset", "dataset_sha256", "retriever", "digest", "measure", "mean", "worst", "best", "low", "high", "queries", "documents",
    "index_bytes", "query_latency_p50_seconds", "time", "limitbench", "command",
)  # fmt: skip


def rows(records: Iterable[Result]) -> list[dict[str, Any]]:
    """One row for each record and measure; `low` and `high` are 95 % bootstrap limits, None without per-query values."""
    from limitbench.statistics import shown_interval

    out = []
    for r in records:
        for title, means in r.measures.items():
            values = r.per_query.get(title)
            interval = shown_interval(values) if values else None
            told = (
                r.dataset.name, r.dataset.sha256, r.retriever.name, r.configuration_digest[:12], title, means.mean, means.worst,
                means.best, interval and interval.low, interval and interval.high, r.dataset.queries, r.dataset.documents,
                r.cost and r.cost.index_bytes, r.cost and r.cost.query_latency_p50_seconds, r.provenance.get("time"),
                r.provenance.get("versions", {}).get("limitbench"), r.provenance.get("command"),
            )  # fmt: skip
            out.append(dict(zip(COLUMNS, told, strict=True)))
    return out


def as_csv(table: Iterable[dict[str, Any]]) -> str:
    """RFC 4180, with a header."""
    stream = io.StringIO()
    writer = csv.DictWriter(stream, COLUMNS, lineterminator="\r\n")
    writer.writeheader()
    writer.writerows(table)
    return stream.getvalue()


def write_parquet(table: list[dict[str, Any]], path: Path) -> None:
    """One Parquet file. Raises `MissingExtra` without pyarrow, `StorageError`."""
    try:
        import pyarrow
        from pyarrow import parquet
    except ModuleNotFoundError as error:
        raise MissingExtra("parquet", error.name or "pyarrow", "models") from None
    columns = {name: [row[name] for row in table] for name in COLUMNS}
    with atomic_write(path) as out:
        parquet.write_table(pyarrow.table(columns), out)
