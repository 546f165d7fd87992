"""`limitbench run`, `sweep`, `cache` and `compare`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from limitbench.cli.options import IgnoreIdenticalIds, MinGrade, SkipUnanswerable, Split, read_dataset, say_notes
from limitbench.cli.output import echo_json, print_table, progress_bars, say
from limitbench.errors import InputError

if TYPE_CHECKING:
    from limitbench.results import Result

JsonFlag = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")]
Device = Annotated[str | None, typer.Option(help="Of models whose spec does not say: auto, cpu, cuda.")]
Precision = Annotated[str | None, typer.Option(help="In which models compute whose spec does not say: fp32, bf16.")]
ResultsFolder = Annotated[Path, typer.Option("--results", help="Folder of the records.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(run)
    app.command()(sweep)
    app.command()(drown)
    app.command()(cache)
    app.command()(compare)


def run(
    suite: Annotated[str | None, typer.Argument(help="A suite: a TOML file, or embedded, or paper.")] = None,
    dataset: Annotated[list[str] | None, typer.Option("-d", "--dataset", help="Name or folder; repeats.")] = None,
    retriever: Annotated[list[str] | None, typer.Option("-r", "--retriever", help="Name or spec; repeats.")] = None,
    measures: Annotated[str | None, typer.Option(help="For example Recall@2,10,nDCG@10.")] = None,
    results: ResultsFolder = Path("results"),
    split: Split = "test",
    min_grade: MinGrade = 1,
    skip_unanswerable: SkipUnanswerable = False,
    ignore_identical_ids: IgnoreIdenticalIds = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Measure again what is recorded.")] = False,
    save_runs: Annotated[Path | None, typer.Option(help="Also write each run there as TREC.")] = None,
    device: Device = None,
    precision: Precision = None,
    json: JsonFlag = False,
) -> None:
    """Evaluate retrievers on datasets; finished cells are recorded and reused.

    A retriever is a name of `limitbench list`, or a spec such as bm25,stemmer=none or dense:./my-model,dim=128.
    """
    from limitbench.measures import DEFAULT_MEASURES, parse_measures
    from limitbench.rankings import Run, write_trec_run
    from limitbench.results import Store
    from limitbench.runner import read_suite, run_all

    if suite is None and not (dataset and retriever):
        raise InputError(
            "nothing to run; expected a suite, or -d DATASET and -r RETRIEVER; try: limitbench run embedded"
        )
    if suite is not None and (dataset or retriever):
        raise InputError(f"found suite '{suite}' together with -d or -r; give the one or the others")
    plan = read_suite(suite) if suite else None
    datasets, retrievers = (plan.datasets, plan.retrievers) if plan else (dataset or [], retriever or [])
    listed = measures if measures is not None else plan.measures if plan else None
    chosen = parse_measures(listed) if listed is not None else DEFAULT_MEASURES
    store = Store(results)

    def keep(ranking: Run, where: str, name: str, digest: str) -> None:
        if save_runs is not None:
            write_trec_run(ranking, Store(save_runs).path(where, name, digest).with_suffix(".trec"), tag=name)

    done: list[Result] = []
    errors = []
    reused = 0
    with progress_bars() as bars:
        for outcome in run_all(
            datasets,
            retrievers,
            measures=chosen,
            store=store,
            fresh=fresh,
            split=split,
            min_grade=min_grade,
            skip_unanswerable=skip_unanswerable,
            ignore_identical_ids=ignore_identical_ids,
            progress=lambda data, name: bars(f"{data} {name}"),
            loaded=say_notes,
            keep=keep if save_runs else None,
            device=device,
            precision=precision,
        ):
            if outcome.error is not None:
                where = f"{outcome.dataset} x {outcome.retriever}" if outcome.retriever else outcome.dataset
                say(f"{where}: {outcome.error}")
                errors.append({"dataset": outcome.dataset, "retriever": outcome.retriever, "error": str(outcome.error)})
            if outcome.result is not None:
                say_remarks(outcome.result)
                done.append(outcome.result)
                reused += outcome.reused
    if reused:
        say(f"{reused} of {len(done)} results were already in {results}; --fresh measures them again")
    if json:
        payload = {"schema_version": 1, "results": [r.summary() for r in done]}
        echo_json({**payload, "errors": errors} if errors else payload)
    elif done:
        _print_results(done)
    if errors:
        raise typer.Exit(2)


def say_remarks(result: Result) -> None:
    """What to know of a result before its numbers are read."""
    for remark in result.notes:
        say(f"{result.dataset.name} x {result.retriever.name}: {remark}")


def _print_results(results: list[Result]) -> None:
    from limitbench.report import duration, percent, size

    for name, sha256 in dict.fromkeys((r.dataset.name, r.dataset.sha256) for r in results):
        part = [r for r in results if r.dataset.sha256 == sha256 and r.dataset.name == name]
        titles = list(dict.fromkeys(title for r in part for title in r.measures))
        first = [t for t in ("Recall@2", "Recall@10", "Recall@20", "ExactSet@2") if t in titles]
        titles = [*first, *(t for t in titles if t not in first)]
        facts = part[0].dataset
        print_table(
            ["retriever", *titles, "index", "p50 query"],
            [
                row
                for r in part
                for row in (
                    [
                        r.retriever.name,
                        *(percent(r.measures.get(t)) for t in titles),
                        "" if r.cost is None else size(r.cost.index_bytes),
                        "" if r.cost is None else duration(r.cost.query_latency_p50_seconds),
                    ],
                    ["  its first stage's ceiling", *(percent((r.ceiling or {}).get(t)) for t in titles), "", ""],
                )[: 1 if r.ceiling is None else 2]
            ],
            title=f"{name}: {facts.documents} documents, {facts.queries} queries (percent; [worst, best] over ties)",
        )


def sweep(
    dataset: Annotated[str, typer.Option("-d", "--dataset", help="Name or folder.")],
    retriever: Annotated[str, typer.Option("-r", "--retriever", help="A dense retriever: name or spec.")],
    dims: Annotated[str, typer.Option(help="Dimensions, such as 32,64,128; full is the model's own.")] = "full",
    dtypes: Annotated[str, typer.Option(help="Of fp32,bf16,fp16,int8,binary.")] = "fp32",
    index: Annotated[str, typer.Option("--index", help="Of exact,flat,hnsw,ivf,pq,sq8.")] = "exact",
    candidates: Annotated[str | None, typer.Option(help="Of a reranker instead: depths, such as 10,20,50.")] = None,
    measures: Annotated[str, typer.Option(help="For example Recall@2,10,nDCG@10.")] = "Recall@2,10,20",
    results: ResultsFolder = Path("results"),
    split: Split = "test",
    min_grade: MinGrade = 1,
    skip_unanswerable: SkipUnanswerable = False,
    ignore_identical_ids: IgnoreIdenticalIds = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Measure again what is recorded.")] = False,
    device: Device = None,
    precision: Precision = None,
    json: JsonFlag = False,
) -> None:
    """Encode once and measure every combination of dimension, dtype and index; or a reranker at every candidate depth."""
    from limitbench.measures import parse_measures
    from limitbench.report import percent, size
    from limitbench.results import Store
    from limitbench.runner import sweep as points

    try:
        sizes = [None if part == "full" else int(part) for part in dims.split(",")]
    except ValueError:
        raise InputError(f"found --dims {dims}, expected numbers with commas between, or full") from None
    depths = [int(part) if part.strip().isdigit() else 0 for part in candidates.split(",")] if candidates else []
    if not all(depths):
        raise InputError(f"found --candidates {candidates}, expected numbers from 1 on with commas between")
    if depths and (dims, dtypes, index) != ("full", "fp32", "exact"):
        raise InputError("found --candidates together with --dims, --dtypes or --index; give the one or the others")
    chosen = parse_measures(measures)
    store = Store(results)
    store.require_writable()
    data = read_dataset(
        dataset,
        split=split,
        min_grade=min_grade,
        skip_unanswerable=skip_unanswerable,
        ignore_identical_ids=ignore_identical_ids,
    )
    done = []
    with progress_bars() as bars:
        for point, result in points(
            data, retriever, dims=sizes, dtypes=dtypes.split(","), indexes=index.split(","), candidates=depths,
            measures=chosen, store=store, fresh=fresh, progress=bars(f"{data.name} {retriever}"), device=device,
            precision=precision,
        ):  # fmt: skip
            done.append((point, result))
    for said in dict.fromkeys(remark for _, result in done for remark in result.notes):
        say(f"{data.name} x {retriever}: {said}")
    if json:
        rows = [
            {**r.summary(), "candidates": p.candidates}
            if p.candidates
            else {**r.summary(), "dim": r.retriever.facts.get("dim", p.dim), "dtype": p.dtype, "index": p.index}
            for p, r in done
        ]
        echo_json({"schema_version": 1, "results": rows})
        return
    titles = [repr(measure) for measure in chosen]
    if depths:
        ceilings = [{} if r.ceiling is None else r.ceiling for _, r in done]
        print_table(
            ["candidates", *titles, *(f"{title} ceiling" for title in titles)],
            [
                [str(p.candidates), *(percent(r.measures[t]) for t in titles), *(percent(most.get(t)) for t in titles)]
                for (p, r), most in zip(done, ceilings, strict=True)
            ],
            title=f"{data.name}, {retriever} (percent; [worst, best] over ties; ceiling: of its first stage)",
        )
        return
    print_table(
        ["dim", "dtype", "index", *titles, "size", "found of exact"],
        [
            [
                str(r.retriever.facts.get("dim", p.dim)), p.dtype, p.index, *(percent(r.measures[t]) for t in titles),
                "" if r.cost is None else size(r.cost.index_bytes), _share(r.retriever.facts.get("agreement_with_exact")),
            ]
            for p, r in done
        ],
        title=f"{data.name}, {retriever} (percent; [worst, best] over ties)",
        keep=3,
    )  # fmt: skip


def _share(value: float | None) -> str:
    return "" if value is None else f"{100 * value:.1f}"


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


def compare(
    results: ResultsFolder = Path("results"),
    dataset: Annotated[list[str] | None, typer.Option("-d", "--dataset", help="Only these; repeats.")] = None,
    all_dims: Annotated[bool, typer.Option("--all-dims", help="The paper's rows at every dimension.")] = False,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print Markdown tables.")] = False,
    json: JsonFlag = False,
) -> None:
    """Put recorded results beside the paper's published figures."""
    from limitbench.report import compare as comparisons
    from limitbench.report import markdown as as_markdown
    from limitbench.report import percent
    from limitbench.results import Store

    found = [c for c in comparisons(Store(results), all_dims=all_dims) if not dataset or c.dataset in dataset]
    if not found and not dataset and any(True for _ in Store(results)):
        raise InputError(
            f"the records in {results} are of parts of larger corpora alone; see them with: limitbench report"
        )
    if not found:
        wanted = f" for {', '.join(dataset)}" if dataset else ""
        raise InputError(f"there are no records{wanted} in {results}; run: limitbench run embedded --results {results}")
    if json:
        echo_json(
            {
                "schema_version": 1,
                "comparisons": [
                    {
                        "dataset": c.dataset,
                        "published_as": c.published_as,
                        "rows": [
                            {
                                "system": row.system,
                                "source": row.source,
                                "dim": row.dim,
                                "measures": {title: means.model_dump() for title, means in row.means.items()},
                                "command": row.record.provenance.get("command") if row.record else None,
                            }
                            for row in c.rows
                        ],
                    }
                    for c in found
                ],
            }
        )
        return
    for c in found:
        theirs = {title for row in c.rows if row.source == "published" for title in row.means}
        titles = sorted(c.measures, key=lambda title: title not in theirs)
        head = ["system", "source", *titles[:4], "dim", *titles[4:]]
        rows = [
            [
                row.system,
                row.source,
                *(percent(row.means.get(t)) for t in titles[:4]),
                str(row.dim or ""),
                *(percent(row.means.get(t)) for t in titles[4:]),
            ]
            for row in c.rows
        ]
        if markdown:
            typer.echo(f"### {c.dataset}\n\n{c.caption}\n\n{as_markdown(head, rows)}\n")
        else:
            print_table(head, rows, title=f"{c.dataset} (percent)", caption=c.caption)


def drown(
    dataset: Annotated[str, typer.Option("-d", "--dataset", help="Name or folder.")],
    retriever: Annotated[list[str], typer.Option("-r", "--retriever", help="Name or spec; repeats.")],
    sizes: Annotated[str | None, typer.Option(help="Corpus sizes, such as 46,1000,10000,full.")] = None,
    seeds: Annotated[int, typer.Option(min=1, help="Draws of the distractors at each size.")] = 3,
    measures: Annotated[str, typer.Option(help="For example Recall@2,10,nDCG@10.")] = "Recall@2,10,20,100",
    results: ResultsFolder = Path("results"),
    split: Split = "test",
    min_grade: MinGrade = 1,
    skip_unanswerable: SkipUnanswerable = False,
    ignore_identical_ids: IgnoreIdenticalIds = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Measure again what is recorded.")] = False,
    device: Device = None,
    precision: Precision = None,
    json: JsonFlag = False,
) -> None:
    """Measure recall against corpus size: all relevant documents, and more and more distractors among which they drown."""
    from limitbench.measures import parse_measures
    from limitbench.report import interval
    from limitbench.report.drowning import curves
    from limitbench.results import Store
    from limitbench.runner import drown as points

    data = read_dataset(
        dataset,
        split=split,
        min_grade=min_grade,
        skip_unanswerable=skip_unanswerable,
        ignore_identical_ids=ignore_identical_ids,
    )
    listed = (
        [len(data.corpus) if part.strip() == "full" else part.strip() for part in sizes.split(",")] if sizes else []
    )
    try:
        wanted = [int(part) for part in listed]
    except ValueError:
        raise InputError(f"found --sizes {sizes}, expected numbers with commas between, or full") from None
    chosen = parse_measures(measures)
    with progress_bars() as bars:
        done = list(
            points(
                data, retriever, sizes=wanted, seeds=seeds, measures=chosen, store=Store(results), fresh=fresh,
                progress=lambda where, name: bars(f"{where} {name}"), device=device, precision=precision,
            )
        )  # fmt: skip
    found = [curve for curve in curves(done) if curve.dataset == data.name]
    if json:
        echo_json({"schema_version": 1, "curves": [curve.to_json() for curve in found]})
        return
    for title in map(repr, chosen):
        shown = [curve for curve in found if curve.measure == title]
        print_table(
            ["documents", *(curve.retriever for curve in shown)],
            [
                [str(size), *(f"{100 * p.mean:.1f} ({interval(p)})" for p in at)]
                for size, *at in zip(shown[0].sizes, *(curve.points for curve in shown), strict=True)
            ],
            title=f"{data.name}: {title} in percent against corpus size (95 % interval over queries)",
        )
