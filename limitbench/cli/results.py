"""`limitbench results`: list, show, diff, tell apart, export and submit what is recorded."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from limitbench.cli.options import (
    IgnoreIdenticalIds,
    JsonFlag,
    LeadMeasure,
    MinGrade,
    RecordsOf,
    ResultsFolder,
    SkipUnanswerable,
    Split,
    dataset_names,
    lead,
    read_dataset,
    reading,
    say_remarks,
)
from limitbench.cli.output import echo_json, print_table, say
from limitbench.errors import InputError

if TYPE_CHECKING:
    from limitbench.results import Result

_RESULTS = Path("results")


def register(app: typer.Typer) -> None:
    """Add the commands."""
    results = typer.Typer(no_args_is_help=True, help="Look into recorded results.")
    results.command("list")(list_)
    results.command("import")(import_)
    for command in (show, diff, separate, export, submit):
        results.command()(command)
    app.add_typer(results, name="results")


def _records(folder: Path, datasets: list[str] | None) -> list[Result]:
    from limitbench.results import Store

    names = dataset_names(datasets)
    found = [r for r in Store(folder) if not names or r.dataset.name in names]
    if not found:
        wanted = f" for {', '.join(names)}" if names else ""
        raise InputError(f"there are no records{wanted} in {folder}; run: limitbench run embedded --results {folder}")
    return found


def _one(given: str, folder: Path) -> Result:
    """The record at a path, or with a digest that starts so."""
    from limitbench.results import Store, read

    if Path(given).is_file():
        return read(Path(given))
    fits = [r for r in Store(folder) if r.configuration_digest.startswith(given.lower())] if len(given) >= 4 else []
    if len(fits) != 1:
        what = "no record" if not fits else f"{len(fits)} records"
        raise InputError(
            f"{what} in {folder} for '{given}', expected a file or at least 4 digits of a digest; see: limitbench results list"
        )
    return fits[0]


def import_(
    run: Annotated[Path, typer.Argument(help="A TREC run: query Q0 document rank score tag.")],
    dataset: Annotated[str, typer.Option("-d", "--dataset", help="The dataset that it ranks: name or folder.")],
    name: Annotated[str, typer.Option(help="What to call the system.")],
    measures: Annotated[
        str | None, typer.Option(help="For example Recall@2,10; all that the depth allows without.")
    ] = None,
    results: ResultsFolder = _RESULTS,
    split: Split = "test",
    min_grade: MinGrade = 1,
    skip_unanswerable: SkipUnanswerable = False,
    ignore_identical_ids: IgnoreIdenticalIds = None,
    json: JsonFlag = False,
) -> None:
    """Score another system's TREC run and record it; `limitbench run --save-runs` writes such runs."""
    from limitbench.evaluation import imported
    from limitbench.report import percent
    from limitbench.results import Store

    store = Store(results)
    store.require_writable()
    data = read_dataset(dataset, reading(split, min_grade, skip_unanswerable, ignore_identical_ids))
    found = imported(data, run, name, measures=measures)
    say_remarks(found)
    known = store.find(found.dataset.name, found.retriever.name, found.configuration_digest)
    path = store.write(found)
    if known is not None:
        say(f"this run was recorded before, and its record stays: {path}")
    if json:
        echo_json({"path": str(path), **found.summary()})
        return
    print_table(["measure", "percent"], [[title, percent(means)] for title, means in found.measures.items()],
                title=f"{name} on {found.dataset.name}, {found.depth} documents deep")  # fmt: skip
    if known is None:
        typer.echo(f"Wrote {path}.")


def list_(results: ResultsFolder = _RESULTS, dataset: RecordsOf = None, json: JsonFlag = False) -> None:
    """List the records: digest, dataset, retriever, first measure, when."""
    found = _records(results, dataset)
    if json:
        rows = [{**r.summary(), "time": r.provenance.get("time")} for r in found]
        echo_json({"schema_version": 1, "records": rows})
        return
    from limitbench.report import first_measure, percent

    table = []
    for r in found:
        title = first_measure(r.measures)
        when = str(r.provenance.get("time", ""))[:16]
        table.append(
            [
                r.configuration_digest[:12],
                r.retriever.name,
                r.dataset.name,
                f"{title} {percent(r.measures[title])}",
                when,
            ]
        )
    print_table(["digest", "retriever", "dataset", "first measure", "when"], table, keep=3)


def show(
    record: Annotated[str, typer.Argument(help="A record's file, or the start of its digest.")],
    results: ResultsFolder = _RESULTS,
    failing: Annotated[int, typer.Option(min=0, help="Also list so many of the worst queries.")] = 0,
    data: Annotated[str | None, typer.Option("--data", help="Folder of the dataset, for ids and texts.")] = None,
    split: Annotated[str, typer.Option(help="Which qrels of that folder.")] = "test",
    json: JsonFlag = False,
) -> None:
    """Show one record: every measure with its 95 % interval, options, cost, how to run it again; and which queries fail."""
    from limitbench.report import duration, interval, percent, size
    from limitbench.statistics import shown_interval

    r = _one(record, results)
    limits = {title: shown_interval(values) for title, values in r.per_query.items() if values}
    if json:
        intervals = {title: {"low": found.low, "high": found.high} for title, found in limits.items()}
        echo_json({**r.model_dump(mode="json"), "intervals": intervals})
        return
    rows = []
    for title, means in r.measures.items():
        zeros = sum(value == 0 for value in r.per_query.get(title, []))
        rows.append([title, percent(means), interval(limits.get(title)), str(zeros)])
    print_table(
        ["measure", "percent", "95 % interval", "queries at 0"], rows,
        title=f"{r.retriever.name} on {r.dataset.name}: {r.dataset.documents} documents, {r.dataset.queries} queries",
    )  # fmt: skip
    options = ", ".join(f"{key}={value}" for key, value in r.retriever.configuration.items())
    for line in (
        f"digest {r.configuration_digest[:12]}; {options}",
        "no cost was measured"
        if r.cost is None
        else f"index {size(r.cost.index_bytes)}, a query {duration(r.cost.query_latency_p50_seconds)} at the median",
        f"{r.provenance.get('time', '')}  {r.provenance.get('command', '')}",
    ):
        typer.echo(line)
    if failing:
        _print_failing(r, failing, data, split)


def _print_failing(r: Result, most: int, place: str | None, split: str) -> None:
    from limitbench.report import first_measure
    from limitbench.report.gathered import at_hand

    b = r.breakdown
    if b is None:
        raise InputError(
            f"record {r.configuration_digest[:12]} has no breakdown of queries; measure again with --fresh"
        )
    known = at_hand([r], [place] if place else [], {"split": split}).get(r.dataset.sha256)
    title = first_measure(r.per_query)
    values = r.per_query[title]
    rows = []
    for i in sorted(range(len(b.queries)), key=lambda i: (not b.fails(i), values[b.queries[i]]))[:most]:
        q, last = b.queries[i], b.last[i]
        names = [known.corpus.ids[d] if known else f"document {d}" for d in b.above[i][:2]]
        rows.append(
            [
                f"{known.queries.ids[q]}: {known.queries.texts[q]}" if known else f"query {q}",
                f"{100 * values[q]:.0f}",
                f"below {b.depth}" if last is None else f"{last:g}",
                str(b.others[i]),
                ", ".join(names),
            ]
        )
    print_table(
        ["query", title, "last relevant at rank", "others at or above it", "the first of them"],
        rows,
        title="the worst queries",
    )


def diff(
    first: Annotated[str, typer.Argument(help="A record's file, or the start of its digest.")],
    second: Annotated[str, typer.Argument(help="Another.")],
    results: ResultsFolder = _RESULTS,
    json: JsonFlag = False,
) -> None:
    """Name what changed between two records: data, configuration, code, environment, command, numbers."""
    from limitbench.results.differences import differences

    found = differences(_one(first, results), _one(second, results))
    if json:
        echo_json({"schema_version": 1, **found})
        return
    rows = []
    for group, changes in found.items():
        for name, change in changes.items():
            if group == "numbers":
                values = ["" if v is None else f"{100 * v:.2f}" for v in (change["before"], change["after"])]
                other = "other data" if "sha256" in found["data"] else "no values by query"
                told = f"p = {change['p']:.2g}" if "p" in change else "in one only" if "" in values else other
                rows.append([group, name, *values, told])
            else:
                rows.append([group, name, *(_short(value) for value in change), ""])
    if not rows:
        say("nothing differs")
        return
    print_table(["what", "name", "first", "second", ""], rows, keep=4)


def _short(value: object) -> str:
    text = "" if value is None else str(value)
    return text if len(text) <= 40 else f"{text[:37]}..."


def separate(
    dataset: Annotated[str | None, typer.Option("-d", "--dataset", help="The dataset.")] = None,
    mteb: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER", help="Result files of mteb instead, MODEL/REVISION/Task.json: which ranks hold."
        ),
    ] = None,
    measure: LeadMeasure = None,
    level: Annotated[float, typer.Option(min=0.0001, max=0.5, help="Of false findings, over all pairs.")] = 0.05,
    results: ResultsFolder = _RESULTS,
    json: JsonFlag = False,
) -> None:
    """Tell retrievers apart: paired randomisation tests of all pairs, corrected by Holm, and the groups that remain.

    The units are the queries of a dataset; of mteb's result files, the tasks that all models have.
    """
    if (dataset is None) == (mteb is None):
        raise InputError("expected -d DATASET or --mteb FOLDER, one of them")
    if mteb is not None:
        _show_ranks(mteb, level, json)
        return
    assert dataset is not None
    from limitbench.report import interval
    from limitbench.statistics import (
        compare_all,
        group_letters,
        inseparable_groups,
        shown_interval,
    )

    title, values = _values_of(results, dataset, measure)
    comparisons = compare_all(values)
    groups = inseparable_groups(comparisons, level=level)
    if json:
        rows = [{**c.__dict__, "separated": c.corrected < level} for c in comparisons]
        echo_json(
            {"schema_version": 1, "dataset": dataset, "measure": title, "level": level, "pairs": rows, "groups": groups}
        )
        return
    ranked = list(dict.fromkeys([*(c.first for c in comparisons), *(c.second for c in comparisons)]))
    letters = group_letters(groups)
    table = []
    for name in ranked:
        limits = shown_interval(values[name])
        table.append([name, letters[name], f"{100 * limits.mean:.1f}", interval(limits)])
    print_table(["retriever", "group", title, "95 % interval"], table, title=f"{dataset} (percent)",
                caption=f"one letter: not told apart at {100 * level:g} %, all pairs, paired randomisation, Holm")  # fmt: skip
    apart = [c for c in comparisons if c.corrected < level]
    print_table(["better", "than", "by", "p", "p, corrected"],
                [[c.first, c.second, f"{100 * c.difference:.2f}", f"{c.p:.2g}", f"{c.corrected:.2g}"] for c in apart],
                caption=f"{len(apart)} of {len(comparisons)} pairs are told apart; --json has all of them")  # fmt: skip


def _values_of(results: Path, dataset: str, measure: str | None) -> tuple[str, dict[str, list[float]]]:
    """The measure that a dataset's retrievers are told apart by, and each one's value for every query."""
    from limitbench.report import compare, rows_of

    here = [r for r in _records(results, [dataset]) if r.dataset.part_of is None]
    digests = {r.dataset.sha256 for r in here}
    if len(digests) > 1:
        raise InputError(
            f"'{dataset}' names {len(digests)} different data in {results} (other grades or another split); "
            "measure each with a --results folder of its own"
        )
    title = lead(measure) or next((one.headline for one in compare(here)), "Recall@2")
    found = [r for r in here if title in r.per_query]
    values = {row.system: row.values[title] for row in rows_of(found)}
    if len(values) < 2:
        raise InputError(f"found {len(values)} records of {dataset} with {title}, expected at least two to tell apart")
    return title, values


def _show_ranks(folder: Path, level: float, json: bool) -> None:
    import dataclasses

    from limitbench.results.mteb_files import read_scores, separated

    if not folder.is_dir():
        raise InputError(f"{folder} is no folder, expected one with MODEL/REVISION/Task.json")
    found = separated(read_scores(folder), level=level)
    if json:
        echo_json({"schema_version": 1, "level": level, **dataclasses.asdict(found)})
        return
    rows = [
        [str(one.rank), one.model, f"{100 * one.mean:.2f}", one.group, f"{one.lowest} to {one.highest}"]
        for one in found.models
    ]
    print_table(["rank", "model", "mean, %", "group", "95 % of ranks"], rows, title=f"{len(found.tasks)} shared tasks", keep=3,
                caption=f"one letter: not told apart at {100 * level:g} %, tasks as units, paired randomisation, Holm; ranks: over "
                        "draws of tasks")  # fmt: skip
    if found.left_out:
        say(f"{found.left_out} tasks are left out: some model has no result for them")


def submit(
    records: Annotated[
        list[str] | None, typer.Argument(metavar="[RECORD]...", help="Files, or starts of digests; all without.")
    ] = None,
    results: ResultsFolder = _RESULTS,
    dataset: RecordsOf = None,
    out: Annotated[Path, typer.Option(metavar="FOLDER", help="Where the entry is written.")] = Path("submission"),
    owner: Annotated[str, typer.Option(help="Who submits it.")] = "",
    json: JsonFlag = False,
) -> None:
    """Prepare a leaderboard entry: check the records, copy them to a folder, and write what to send with them."""
    from limitbench.report import submission

    chosen = [_one(given, results) for given in records] if records else _records(results, dataset)
    found = submission.submit(chosen, out, owner=owner)
    if json:
        rows = [{"record": one.record.configuration_digest, "retriever": one.record.retriever.name,
                 "dataset": one.record.dataset.name, "cautions": one.cautions} for one in found]  # fmt: skip
        echo_json({"schema_version": 1, "folder": str(out), "records": rows})
        return
    for line in dict.fromkeys(f"{one.record.retriever.name}: {caution}" for one in found for caution in one.cautions):
        say(line)
    typer.echo(
        f"Wrote {len(found)} record{'s' if len(found) > 1 else ''} and {out / 'SUBMISSION.md'}, which says how to send them."
    )


def export(
    out: Annotated[
        Path | None, typer.Option(help="A file, or a folder for mteb; stdout without, for csv and markdown.")
    ] = None,
    form: Annotated[
        str, typer.Option("--format", help="csv, parquet, markdown, or mteb: result files, MODEL/REVISION/Task.json.")
    ] = "csv",
    results: ResultsFolder = _RESULTS,
    dataset: RecordsOf = None,
) -> None:
    """Export the records: a row for each record and measure, with 95 % intervals, or result files of mteb."""
    from limitbench.files import atomic_write
    from limitbench.report import markdown
    from limitbench.results import export as tables

    if form not in ("csv", "parquet", "markdown", "mteb"):
        raise InputError(f"found --format {form}, expected csv, parquet, markdown or mteb")
    if form == "parquet" and out is None:
        raise InputError("parquet is no text; give it a file: --out results.parquet")
    if form == "mteb":
        from limitbench.results.mteb_files import write_scores

        if out is None:
            raise InputError("result files of mteb lie in a folder; name it: --out mteb-results")
        written = write_scores(_records(results, dataset), out)
        typer.echo(f"Wrote {len(written)} files below {out}.")
        return
    table = tables.rows(_records(results, dataset))
    if form == "parquet":
        assert out is not None
        tables.write_parquet(table, out)
        return
    shown = ["" if row[c] is None else f"{row[c]}" for row in table for c in tables.COLUMNS]
    width = len(tables.COLUMNS)
    lines = [shown[at : at + width] for at in range(0, len(shown), width)]
    text = tables.as_csv(table) if form == "csv" else markdown(list(tables.COLUMNS), lines) + "\n"
    if out is None:
        typer.echo(text, nl=False)
    else:
        with atomic_write(out) as stream:
            stream.write(text.encode())
