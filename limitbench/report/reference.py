"""The paper's published tables as records in the schema of our own: `results/reference/records.jsonl`, from `limit-paper.json`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from typing import Any

from limitbench import catalog
from limitbench.datasets import dataset_spec
from limitbench.results import DatasetFacts, Means, Result, RetrieverFacts, configuration_digest, read_lines_of_records

_TABLES = {  # table of the paper              dataset        documents
    "table3_finetuning_limit": ("limit", 50_000),
    "table4_limit_small": ("limit-small", 46),
    "table5_limit_full": ("limit", 50_000),
}


@cache
def paper() -> dict[str, Any]:
    """The paper's figures, as in `results/reference/limit-paper.json`."""
    out: dict[str, Any] = json.loads((catalog.folder("reference") / "limit-paper.json").read_text(encoding="utf-8"))
    return out


@cache
def published_records() -> tuple[Result, ...]:
    """Every row of the paper's Tables 3, 4 and 5, in the paper's order."""
    return tuple(read_lines_of_records(catalog.folder("reference") / "records.jsonl"))


def transcribe(figures: dict[str, Any]) -> Iterator[Result]:
    """The records of the paper's tables: means alone, as fractions of 1; `dim` is among the retriever's facts."""
    for table, (dataset, documents) in _TABLES.items():
        sha256 = dataset_spec(dataset).sha256 or ""
        for row in figures[table]:
            measures = {
                key.capitalize(): Means(mean=share, worst=share, best=share)
                for key, value in row.items()
                if key.startswith("recall@") and value is not None
                for share in (round(value / 100, 6),)
            }
            tuned = {"trained_on": row["trained_on"].lower()} if "trained_on" in row else {}
            name = row.get("model") or f"a model fine-tuned on LIMIT's {row['trained_on'].lower()} split"
            options = {"adapter": "published", "model": name, "dim": row["dim"], **tuned}
            number = table.removeprefix("table")[0]
            yield Result(
                configuration_digest=configuration_digest(sha256, options, list(measures)),
                dataset=DatasetFacts(
                    name=dataset,
                    sha256=sha256,
                    documents=documents,
                    queries=1000,
                    relevant=2000,
                    published_as=dataset,
                ),
                retriever=RetrieverFacts(name=name, configuration=options, facts={"dim": row["dim"]}),
                depth=max(int(title.partition("@")[2]) for title in measures),
                evidence="published",
                measures=measures,
                per_query={},
                provenance={"source": f"arXiv 2508.21038v2, Table {number}"},
            )
