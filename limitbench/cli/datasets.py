"""`limitbench generate`, `adapt`, `mine`, `convert`, `lint` and `describe`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from limitbench.cli.options import ClusterAt, JsonFlag, MinGrade, SkipUnanswerable, Split, read_dataset, reading
from limitbench.cli.output import echo_json, print_table, progress_bars, say, working
from limitbench.errors import DataError, InputError
from limitbench.validation import first_problem

if TYPE_CHECKING:
    from limitbench.datasets.latent import Language, LatentTable
    from limitbench.datasets.spec import DatasetSpec

OutFolder = Annotated[Path, typer.Option("--out", help="Folder to write into.")]
Gz = Annotated[bool, typer.Option("--gz", help="Write gzipped files.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace another dataset in the folder.")]

_MOST_DOCUMENTS = 10**10


def register(app: typer.Typer) -> None:
    """Add the commands."""
    for command in (generate, adapt, mine, convert, lint, describe):
        app.command()(command)


def generate(
    name: Annotated[str, typer.Argument(help="A dataset of the catalogue, or a spec: a TOML file.")],
    out: OutFolder,
    documents: Annotated[
        str | None, typer.Option("--documents", help="So many in all, such as 1e6: distractors are added.")
    ] = None,
    per_document: Annotated[
        str | None, typer.Option("--per-document", help="Attributes a document lists: 45, or 30:60.")
    ] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Another seed than the spec's.")] = None,
    part: Annotated[
        str | None, typer.Option(help="train or test: half of the attributes, sharing none with the other.")
    ] = None,
    gz: Gz = False,
    overwrite: Overwrite = False,
    jobs: Annotated[int, typer.Option("--jobs", min=1, help="Parts made at the same time, in processes.")] = 1,
    cluster: ClusterAt = None,
    json: JsonFlag = False,
) -> None:
    """Write a generated dataset as a BEIR folder, in constant memory; the same spec gives the same bytes everywhere.

    An interrupted run goes on where it was when the same command is given again.
    """
    from limitbench.datasets.spec import table_of
    from limitbench.datasets.stream import already_written, is_underway

    spec, title = _spec(name, documents, per_document, seed, part)
    if spec.typed is not None:
        if cluster is not None or jobs > 1:
            raise InputError(
                f"{title} has typed attributes, and is made in memory, at once; leave out --jobs and --cluster"
            )
        _write_typed(spec, title, out, gz=gz, overwrite=overwrite, json=json)
        return
    made = table_of(spec, title)
    if not overwrite and _present(out) and not is_underway(made, out, gz=gz):
        sha256 = already_written(made, out, expected=spec.sha256)
        if sha256 is None:
            raise InputError(
                f"{out} already holds {_present(out)[0].name} of something else; choose another or add --overwrite"
            )
        say(f"{out} holds {title} already, whole")
        _report(title, sha256, out, [str(f.relative_to(out)) for f in _present(out)], 0, json)
        return
    _write(made, out, title, gz=gz, expected=spec.sha256, json=json, jobs=jobs, cluster=cluster)
    (out / "ids.tsv").unlink(missing_ok=True)  # of an adapted dataset that stood here


def _write_typed(spec: DatasetSpec, title: str, out: Path, *, gz: bool, overwrite: bool, json: bool) -> None:
    """Write a dataset of typed attributes, which is small enough to be made in memory."""
    from limitbench.datasets import generate as made_of
    from limitbench.datasets import read_folder, write_folder

    data = made_of(spec, title)
    if not overwrite and _present(out):
        if read_folder(out).digest != data.digest:
            raise InputError(
                f"{out} already holds {_present(out)[0].name} of something else; choose another or add --overwrite"
            )
        say(f"{out} holds {title} already, whole")
        _report(title, data.digest, out, [str(path.relative_to(out)) for path in _present(out)], 0, json)
        return
    write_folder(data, out, gz=gz)
    files = [str(path.relative_to(out)) for path in _present(out)]
    say(f"wrote {', '.join(files)} to {out}: {len(data.corpus)} documents, {len(data.queries)} queries")
    _report(title, data.digest, out, files, 0, json)


def _spec(
    name: str, documents: str | None, per_document: str | None, seed: int | None, part: str | None
) -> tuple[DatasetSpec, str]:
    """The spec with the command line's changes, which unpin its sha256."""
    from limitbench import catalog
    from limitbench.datasets.spec import dataset_spec, parse_spec
    from limitbench.theory.exact import as_count

    title = Path(name).stem if name.endswith(".toml") else name
    spec = parse_spec(catalog.read_toml(Path(name)), title) if name.endswith(".toml") else dataset_spec(name)
    changes: dict[str, Any] = {}
    if spec.typed is not None and (per_document is not None or part is not None):
        raise InputError(f"{title} has typed attributes: --per-document and --part are for lists of words")
    if per_document is not None:
        changes["per_document"] = _range(per_document)
    if part is not None:
        changes["part"] = part
    table = spec.model_dump(mode="json", exclude_none=True)
    if documents is not None:
        from limitbench.datasets.spec import pattern_size

        wanted, there = as_count(documents, "--documents"), pattern_size(spec, title)
        if wanted > _MOST_DOCUMENTS:
            raise InputError(f"found --documents {documents}, expected at most {_MOST_DOCUMENTS:.0e}")
        if wanted < there:
            raise InputError(f"found --documents {wanted}, expected at least the pattern's own {there}")
        changes["distractors"] = wanted - there
    if changes or seed is not None:
        table["language"] = {**table["language"], **changes}
        table["seed"] = spec.seed if seed is None else seed
        if {k: table["language"].get(k) for k in changes} != {
            k: spec.language.model_dump(mode="json")[k] for k in changes
        } or table["seed"] != spec.seed:
            table.pop("sha256", None)
            table.pop("published_as", None)
        spec = parse_spec(table, title)
    return spec, title


def _range(text: str) -> int | list[int]:
    try:
        parts = [int(part) for part in text.split(":")]
    except ValueError:
        parts = []
    if not 1 <= len(parts) <= 2:
        raise InputError(f"found --per-document {text}, expected a number such as 45, or a range such as 30:60")
    return parts[0] if len(parts) == 1 else parts


def _present(out: Path) -> list[Path]:
    from limitbench.datasets.layouts import FILES

    places = (out / f"{name}{suffix}" for name in FILES for suffix in ("", ".gz"))
    return [place for place in places if place.exists()]


def _write(
    table: LatentTable, out: Path, title: str, *, gz: bool, json: bool, expected: str | None = None, extra: Any = None,
    jobs: int = 1, cluster: str | None = None,
) -> None:  # fmt: skip
    from limitbench.datasets.stream import write_table

    with working(cluster, jobs=jobs) as (bars, each):
        written = write_table(table, out, gz=gz, expected=expected, progress=bars(title), each=each)
    if written.resumed:
        say(f"went on from an interrupted run: {written.resumed} of {table.n} documents were there")
    elif written.discarded:
        say("an earlier run was interrupted too early, or asked for something else; started clean")
    say(f"wrote {', '.join(written.files)} to {out}: {table.n} documents, {table.pattern.n_queries} queries")
    _report(title, written.sha256, out, list(written.files), written.resumed, json, extra)


def _report(title: str, sha256: str, out: Path, files: list[str], resumed: int, json: bool, extra: Any = None) -> None:
    if json:
        found = {"schema_version": 1, "dataset": title, "sha256": sha256, "folder": str(out), "files": files}
        echo_json({**found, "resumed_documents": resumed, **(extra or {})})
    else:
        typer.echo(f"sha256 {sha256}")


def adapt(
    qrels: Annotated[str, typer.Argument(help="Your BEIR folder, dataset name or qrels file (BEIR, MTEB or TREC).")],
    out: OutFolder,
    min_grade: MinGrade = 1,
    world: Annotated[str, typer.Option(help="people, products, reports, german, french or spanish.")] = "people",
    vocabulary: Annotated[
        str, typer.Option(help="Of the world's language, such as attributes, synonyms, composed, german.")
    ] = "attributes",
    operators: Annotated[
        str, typer.Option(help="Query operators in turn: one,denies,and,or,not,two-of,and-or,and-not.")
    ] = "one",
    seed: Annotated[int, typer.Option(min=0, help="Of words and names.")] = 0,
    split: Split = "test",
    gz: Gz = False,
    overwrite: Overwrite = False,
    json: JsonFlag = False,
) -> None:
    """Write a LIMIT-style dataset with the relevance structure of your own qrels, and none of your text.

    ids.tsv tells which of your queries and documents each of its own stands for.
    """
    from limitbench.datasets.adapt import adapt as made_of
    from limitbench.datasets.adapt import correspondence
    from limitbench.files import atomic_write, tsv_line

    if not overwrite and _present(out):
        raise InputError(f"{out} already holds {_present(out)[0].name}; choose another or add --overwrite")
    matrix, query_ids, document_ids = _judged(qrels, split, min_grade)
    language = _language(world=world, vocabulary=vocabulary, operators=tuple(operators.split(",")))
    made = made_of(matrix, language, seed=seed)
    for note in made.notes:
        say(note)
    rows = correspondence(made, query_ids, document_ids)
    with atomic_write(out / "ids.tsv") as stream:
        stream.write(tsv_line("kind", "theirs", "ours"))
        stream.writelines(tsv_line(*row) for row in rows)
    extra = {"notes": list(made.notes), "ids": str(out / "ids.tsv")}
    _write(made.plan, out, Path(qrels).name, gz=gz, json=json, extra=extra)


def _judged(source: str, split: str, min_grade: int) -> tuple[Any, list[str], list[str]]:
    """The relevance matrix with the ids of its rows and columns; a qrels file's judged documents are the corpus."""
    from limitbench.datasets import find, load
    from limitbench.datasets.folders import document_ids as ids_of
    from limitbench.datasets.layouts import corpus_files, qrels_files
    from limitbench.files import Lookalikes
    from limitbench.relevance import Qrels, read_qrels, read_qrels_alone

    path = Path(source).expanduser()
    place = None if path.is_file() else find(source)
    if place is not None:
        document_ids = ids_of(corpus_files(place, split))
        known = set(document_ids)
        judgements = read_qrels(qrels_files(place, split))
        for row in judgements.values():
            for document in row:
                if document not in known:
                    raise DataError(
                        place,
                        f"a judgement names document '{document}', which the corpus does not hold"
                        f"{Lookalikes.of(known).hint(document)}; see: limitbench lint",
                    )
        query_ids = list(judgements)
        matrix = Qrels.from_judgements(judgements, query_ids, document_ids)
    elif path.is_file():
        matrix, query_ids, document_ids = read_qrels_alone(path)
    else:
        data = load(source, split=split)
        matrix, query_ids, document_ids = data.qrels, list(data.queries.ids), list(data.corpus.ids)
    return matrix.at_least(min_grade), query_ids, document_ids


def _language(**options: Any) -> Language:
    from pydantic import ValidationError

    from limitbench.datasets.latent import Language

    try:
        return Language(**options)
    except ValidationError as error:
        found = first_problem(error)
        raise InputError(f"--{found.where.partition('.')[0]}: {found.message}") from None


def mine(
    corpus: Annotated[
        Path, typer.Argument(help="corpus.jsonl, a folder with one, or a folder of .md, .txt and .rst files.")
    ],
    out: OutFolder,
    questions: Annotated[int, typer.Option(min=1, help="So many questions, spread over the kinds.")] = 200,
    kinds: Annotated[
        str, typer.Option(help="title, heading, phrase, all-of, any-of, but-not; with commas.")
    ] = "title,heading,phrase,all-of,any-of,but-not",
    largest: Annotated[int, typer.Option(min=2, max=8, help="Phrases that a combination joins, at most.")] = 3,
    most: Annotated[int, typer.Option(min=1, help="Relevant documents of a question, at most.")] = 3,
    seed: Annotated[int, typer.Option(min=0, help="Of the choice of questions.")] = 0,
    overwrite: Overwrite = False,
    json: JsonFlag = False,
) -> None:
    """Write questions mined from your own texts, without a language model, each judged exactly by a rule about its words.

    Known items (titles, headings, rare phrases) and combinations of phrases that few documents share. mined.jsonl says how each was
    made.
    """
    from limitbench.datasets.folders import read_texts, write_folder
    from limitbench.datasets.mining import dataset, write_provenance
    from limitbench.datasets.mining import mine as found_in

    if not overwrite and _present(out):
        raise InputError(f"{out} already holds {_present(out)[0].name}; choose another or add --overwrite")
    texts = read_texts(corpus)
    with progress_bars() as bars:
        mined = found_in(
            texts, questions=questions, kinds=[kind.strip() for kind in kinds.split(",") if kind.strip()], largest=largest,
            most=most, seed=seed, progress=bars("mine"),
        )  # fmt: skip
    data = dataset(texts, mined)
    digest = data.digest  # before its file may be replaced
    write_folder(data, out)
    write_provenance(data, mined, out)
    counts = {kind: sum(one.kind == kind for one in mined) for kind in dict.fromkeys(one.kind for one in mined)}
    say(
        f"wrote {len(mined)} questions over {len(texts)} documents to {out}: {', '.join(f'{n} {k}' for k, n in counts.items())}"
    )
    if len(mined) < questions:
        say(f"the texts give no more: {len(mined)} of the {questions} that were asked for")
    files = ["corpus.jsonl", "queries.jsonl", "qrels/test.tsv", "mined.jsonl", "README.md"]
    _report(data.name, digest, out, files, 0, json, {"questions": counts})


def convert(
    dataset: Annotated[str, typer.Argument(help="Name or folder.")],
    out: OutFolder,
    qrels: Annotated[str, typer.Option(help="Layout of the judgements: beir, mteb or trec.")] = "beir",
    split: Split = "test",
    min_grade: MinGrade = 1,
    skip_unanswerable: SkipUnanswerable = False,
    gz: Gz = False,
    overwrite: Overwrite = False,
    json: JsonFlag = False,
) -> None:
    """Write a dataset as a folder of another layout; ids are escaped reversibly where TREC needs it."""
    from limitbench.datasets import write_folder
    from limitbench.datasets.layouts import LAYOUTS

    if not overwrite and _present(out):
        raise InputError(f"{out} already holds {_present(out)[0].name}; choose another or add --overwrite")
    data = read_dataset(dataset, reading(split, min_grade, skip_unanswerable))
    digest = data.digest  # before its file may be replaced
    write_folder(data, out, gz=gz, qrels=qrels)
    files = [f"{name}{'.gz' if gz else ''}" for name in ("corpus.jsonl", "queries.jsonl", LAYOUTS[qrels])]
    say(f"wrote {', '.join(files)} to {out}: {len(data.corpus)} documents, {len(data.queries)} queries")
    _report(data.name, digest, out, files, 0, json)


def lint(
    dataset: Annotated[str, typer.Argument(help="Name, folder, spec's file or qrels file.")],
    split: Split = "test",
    json: JsonFlag = False,
) -> None:
    """Report what is wrong with a dataset, with counts and examples; reads leniently. Of a qrels file alone, its own lines.

    Exit 0 clean, 1 findings, 2 unreadable.
    """
    from limitbench.datasets import find, load
    from limitbench.datasets.lint import lint_dataset, lint_files, lint_folder

    file = Path(dataset).expanduser()
    if file.is_file() and file.suffix == ".toml":
        found = lint_dataset(load(dataset))
    elif file.is_file():
        found = lint_files(None, None, [file]).flaws
    else:
        place = find(dataset)
        found = lint_folder(place, split=split) if place is not None else lint_dataset(load(dataset, split=split))
    if json:
        echo_json(
            {"schema_version": 1, "dataset": dataset, "clean": not found, "findings": [f.to_json() for f in found]}
        )
    elif found:
        rows = [[f.check, str(f.count), "; ".join(f.examples), f.meaning] for f in found]
        print_table(["check", "count", "examples", "meaning"], rows, title=dataset, keep=3)
    else:
        typer.echo(f"{dataset}: clean")
    if found:
        raise typer.Exit(1)


def describe(
    dataset: Annotated[str, typer.Argument(help="Name or folder.")],
    split: Split = "test",
    min_grade: MinGrade = 1,
    skip_unanswerable: SkipUnanswerable = False,
    budget: Annotated[float, typer.Option("--budget", help="Seconds of search for the bracket of the rank.")] = 5.0,
    json: JsonFlag = False,
) -> None:
    """Print sizes, densities (the paper's Table 2), text statistics and the dimension that a dataset needs."""
    from limitbench.datasets.density import describe as facts

    data = read_dataset(dataset, reading(split, min_grade, skip_unanswerable))
    found = facts(data, budget_s=budget)
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
