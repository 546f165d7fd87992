"""`limitbench check`, `baseline`, `init` and `schema`."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from limitbench import __version__
from limitbench.cli.options import JsonFlag
from limitbench.cli.output import echo_json, print_table, say, status_line
from limitbench.errors import InputError

if TYPE_CHECKING:
    from limitbench.checks import Report
    from limitbench.checks.ratchet import Recorded

ConfigFile = Annotated[Path, typer.Option("--config", help="The configuration, or its folder.")]
Tier = Annotated[
    str,
    typer.Option(
        help="auto: measure what the gates ask for, by what is installed; fast: run files alone, nothing executed; full: also "
        "optimise free embeddings."
    ),
]
NoExec = Annotated[bool, typer.Option("--no-exec", help="Run no command and no Python of the configuration.")]
_CONFIG = Path("limitbench.toml")


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(check)
    app.command()(init)
    app.command()(schema)
    baseline = typer.Typer(no_args_is_help=True, help="Record what gates compare with: the figures of today.")
    for command in (baseline_init, baseline_update, baseline_diff, baseline_merge):
        baseline.command(command.__name__.removeprefix("baseline_"))(command)
    app.add_typer(baseline, name="baseline")


def check(
    config: Annotated[
        list[Path] | None,
        typer.Option(
            "--config",
            help="A configuration, its folder, or a folder with several below; repeats. Default: limitbench.toml.",
        ),
    ] = None,
    select: Annotated[
        list[str] | None, typer.Option(help="Only these rules: ids or prefixes, with commas; repeats.")
    ] = None,
    ignore: Annotated[list[str] | None, typer.Option(help="Not these rules.")] = None,
    fail_on: Annotated[str, typer.Option(help="error or warning.")] = "error",
    tier: Tier = "auto",
    time_budget: Annotated[float | None, typer.Option(help="Seconds; what is not done by then is undecided.")] = None,
    no_exec: NoExec = False,
    output: Annotated[
        list[str] | None,
        typer.Option(
            "-o",
            "--output",
            help="text, json, junit, sarif, github, gitlab or markdown, with =PATH to a file; repeats.",
        ),
    ] = None,
    explain: Annotated[str | None, typer.Option(help="Print a rule's page, or the list of rules: all.")] = None,
    json: Annotated[bool, typer.Option("--json", help="As -o json.")] = False,
) -> None:
    """Check that the planned or running retriever can carry the workload, as limitbench.toml says.

    Exit codes: 0 passed; 1 violated; 2 a configuration or baseline that cannot be used; 3 a rule of severity error undecided. Of
    several configurations: 2 before 1 before 3.
    """

    if explain is not None:
        _explain(explain)
        return
    outputs = _outputs([*(output or []), *(["json"] if json else [])])
    options: dict[str, Any] = {
        "select": _listed(select), "ignore": _listed(ignore), "fail_on": fail_on, "tier": tier, "time_budget": time_budget,
        "no_exec": no_exec,
    }  # fmt: skip
    _checked(_configurations(config or [_CONFIG]), outputs, options)


def _checked(places: list[Path], outputs: list[tuple[str, Path | None]], options: dict[str, Any]) -> None:
    """Check each configuration, deliver what was found of all, end with the worst exit code. One that is broken stops no other."""
    from limitbench.checks import Report
    from limitbench.checks import check as run
    from limitbench.checks.formats.common import worst
    from limitbench.checks.rules import TIERS
    from limitbench.errors import LimitbenchError

    reports, errors = [], []
    for place in places:
        try:
            with status_line() as show, _no_traceback():
                reports.append(run(place, watch=show, **options))
        except LimitbenchError as error:
            if options["tier"] not in TIERS or options["fail_on"] not in ("error", "warning"):
                raise  # the command line is at fault, not the configuration
            errors.append(error)
            given = {"version": __version__, "tier": options["tier"], "fail_on": options["fail_on"]}
            reports.append(Report.broken(place.as_posix(), str(error), **given))
    if len(errors) == 1 == len(reports):
        _deliver(
            reports, [(name, path) for name, path in outputs if path is not None or name not in ("text", "markdown")]
        )
        raise errors[0]
    _deliver(reports, outputs)
    if code := worst(reports):
        raise typer.Exit(code)


def _configurations(given: list[Path]) -> list[Path]:
    """The configurations that were named; of a folder without one, all below it."""
    out: list[Path] = []
    for place in given:
        below = [] if not place.is_dir() or (place / _CONFIG).exists() else _below(place)
        out += below or [place]
    return list(dict.fromkeys(out))


def _below(folder: Path) -> list[Path]:
    """Every limitbench.toml below a folder, sorted; hidden folders and those of packages are passed over."""
    from limitbench.checks.starter import SKIPPED

    found = []
    for root, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if name not in SKIPPED and not name.startswith("."))
        if _CONFIG.name in names:
            found.append(Path(root) / _CONFIG)
    return sorted(found)


@contextmanager
def _no_traceback() -> Iterator[None]:
    """Turn an error that nobody foresaw into one sentence and exit code 2: 1 would say that the plan is at fault.

    No message shows the value of a variable that is named like a key.
    """
    from limitbench.checks.secrets import hidden
    from limitbench.errors import LimitbenchError

    try:
        yield
    except LimitbenchError as error:
        if (shown := hidden(str(error))) == str(error):
            raise
        raise LimitbenchError(shown) from None
    except Exception as error:
        logging.getLogger("limitbench").debug("internal error", exc_info=True)
        reason = hidden(" ".join(str(error).split()))[:200]
        raise LimitbenchError(
            f"internal error ({type(error).__name__}: {reason}); please report it with your limitbench.toml"
        ) from None


def _listed(given: list[str] | None) -> list[str]:
    """Ids, with commas or repeated."""
    return [part.strip().upper() for text in given or [] for part in text.split(",")]


def _outputs(given: list[str]) -> list[tuple[str, Path | None]]:
    from limitbench.checks.output import FORMATS

    out: list[tuple[str, Path | None]] = []
    for text in given or ["text"]:
        name, equals, path = text.partition("=")
        if name not in FORMATS or (equals and not path):
            raise InputError(f"found -o {text}, expected one of {', '.join(FORMATS)}, with =PATH for a file")
        out.append((name, Path(path) if path else None))
    plain = [name for name, path in out if path is None and name != "github"]
    if len(plain) > 1:
        raise InputError(f"found {' and '.join(plain)} on stdout; give all but one a file: -o {plain[-1]}=PATH")
    places = [path for _, path in out if path is not None]
    if len(set(places)) < len(places):
        raise InputError("found one file for two outputs; give each its own")
    return out


def _deliver(reports: list[Report], outputs: list[tuple[str, Path | None]]) -> None:
    from limitbench.checks.output import FORMATS, append_step_summary, write

    for name, path in outputs:
        if path is not None:
            write(reports, name, path)
        elif name == "github":
            if os.environ.get("GITHUB_ACTIONS") == "true":
                typer.echo(FORMATS[name](reports), err=True, nl=False)
                append_step_summary(reports)
        else:
            typer.echo(FORMATS[name](reports), nl=False)


def _explain(rule: str) -> None:
    from limitbench.checks.rules import RULES, page

    if rule != "all":
        typer.echo(page(rule.upper()))
        return
    rows = [[name, r.name, r.evidence, r.severity, r.tier, r.title] for name, r in RULES.items()]
    print_table(["rule", "name", "evidence", "severity", "tier", "a finding says"], rows)


def init(
    folder: Annotated[Path, typer.Argument(help="The repository.")] = Path(),
    force: Annotated[bool, typer.Option("--force", help="Write over a limitbench.toml.")] = False,
    source: Annotated[
        Path | None,
        typer.Option(
            "--from", help="An evaluation set: CSV, JSON lines, or of ragas, deepeval, LlamaIndex or promptfoo."
        ),
    ] = None,
    corpus: Annotated[
        Path | None, typer.Option("--corpus", help="With --from: the corpus.jsonl of the chunks that are searched.")
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", help="With --from: the folder to write; default: eval.")] = None,
) -> None:
    """Write a commented limitbench.toml for this repository, from the evaluation data found in it; it passes.

    With --from, the questions and judgements of another tool's file are written beside it first; texts are matched to chunks.
    """
    from limitbench.checks.schema import FILE
    from limitbench.checks.starter import import_data, write_starter

    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder; give the repository's")
    if source is None and (corpus is not None or out is not None):
        raise InputError("found --corpus or --out without --from; give the evaluation set: --from FILE")
    data = None
    if source is not None:
        if (folder / FILE).exists() and not force:
            raise InputError(
                f"{folder / FILE} is there already; check it with: limitbench check, or write it anew with --force"
            )
        data, mapped, tool = import_data(folder, source, corpus, folder / "eval" if out is None else out)
        say(
            f"{source.name} ({tool}): {len(mapped.dataset.queries)} questions over {len(mapped.dataset.corpus)} documents"
        )
        if mapped.questions_left_out:
            first = mapped.questions_left_out[0][:60]
            say(
                f"{len(mapped.questions_left_out)} questions have no document in the corpus and are left out, the first '{first}'"
            )
        if mapped.unmatched:
            say(f"{mapped.unmatched} ids or texts match no document")
        if mapped.empty:
            say(f"{mapped.empty} rows say of nothing that it is relevant")
        say("no gate is on yet: say in limitbench.toml how the retriever is measured, and what must hold")
    path, data = write_starter(folder, force=force, data=data)
    found = "no evaluation data, so the workload is a pattern" if data is None else f"judgements in {data.qrels}"
    say(f"found {found}; mend the plan in {path}, then: limitbench check")
    typer.echo(str(path))


def schema(
    what: Annotated[str, typer.Argument(help="config, report, baseline or result.")] = "config",
) -> None:
    """Print the JSON Schema of limitbench.toml, of the JSON report, of the baseline, or of a recorded result."""
    from limitbench.checks.schemas import SCHEMAS, json_schema

    if what not in SCHEMAS:
        raise InputError(f"there is no schema '{what}'; expected one of {', '.join(SCHEMAS)}")
    echo_json(json_schema(what))


def baseline_init(
    config: ConfigFile = _CONFIG,
    force: Annotated[bool, typer.Option("--force", help="Start anew where one is there.")] = False,
    allow_ci: Annotated[bool, typer.Option("--allow-ci", help="Start anew also under CI.")] = False,
    tier: Tier = "auto",
    no_exec: NoExec = False,
    json: JsonFlag = False,
) -> None:
    """Record the first baseline: per-query figures of every gate that compares with one."""
    from limitbench.checks.config import read_project
    from limitbench.checks.ratchet import init as record

    with _no_traceback():
        found = record(read_project(config), force=force, allow_ci=allow_ci, tier=tier, no_exec=no_exec)
    _told(found, json=json, written=True)


def baseline_update(
    config: ConfigFile = _CONFIG,
    allow_ci: Annotated[bool, typer.Option("--allow-ci", help="Also under CI, where it is refused.")] = False,
    allow_drop: Annotated[bool, typer.Option("--allow-drop", help="Also where a figure falls.")] = False,
    tier: Tier = "auto",
    no_exec: NoExec = False,
    json: JsonFlag = False,
) -> None:
    """Record the present figures; a lower mean, over all queries that both know, only with --allow-drop."""
    from limitbench.checks.config import read_project
    from limitbench.checks.ratchet import update as record

    with _no_traceback():
        found = record(read_project(config), allow_ci=allow_ci, allow_drop=allow_drop, tier=tier, no_exec=no_exec)
    _told(found, json=json, written=found.differs)


def baseline_diff(
    config: ConfigFile = _CONFIG, tier: Tier = "auto", no_exec: NoExec = False, json: JsonFlag = False
) -> None:
    """Show what an update would change: figures, data, versions."""
    from limitbench.checks.config import read_project
    from limitbench.checks.ratchet import compare

    with _no_traceback():
        found = compare(read_project(config), tier=tier, no_exec=no_exec)
    _told(found, json=json, written=False)


def baseline_merge(
    ancestor: Annotated[Path, typer.Argument(help="The common ancestor's file: %O.")],
    ours: Annotated[Path, typer.Argument(help="Our file, which is written: %A.")],
    theirs: Annotated[Path, typer.Argument(help="Their file: %B.")],
) -> None:
    """Join the baselines of two branches, as a merge driver of git.

    git config merge.limitbench.driver "limitbench baseline merge %O %A %B", and in .gitattributes: .limitbench/baseline.json
    merge=limitbench
    """
    from limitbench.checks.ratchet import merge_files

    for said in merge_files(ancestor, ours, theirs):
        say(f"{said}; measure anew: limitbench baseline update")


def _told(found: Recorded, *, json: bool, written: bool) -> None:
    changes = found.changes
    if json:
        echo_json({"schema_version": 1, "path": str(found.path), "written": written, **changes})
        return
    rows = [
        [key, *("" if v is None else f"{v:.4f}" for v in (row["before"], row["now"]))]
        for key, row in changes["gates"].items()
    ]
    if rows:
        print_table(["gate", "before", "now"], rows)
    for name, counts in changes["data"].items():
        says = ", ".join(f"{count} {what}" for what, count in counts.items() if count)
        say(f"workload '{name}': queries {says}")
    for name, moved in changes["settings"].items():
        say(f"retriever '{name}': {', '.join(f'{key} {old} -> {new}' for key, (old, new) in moved.items())}")
    for name, (old, new) in changes["versions"].items() if found.old is not None else ():
        say(f"{name}: {old or 'none'} -> {new or 'none'}")
    if not found.differs:
        say("nothing differs from the baseline")
    if written:
        typer.echo(str(found.path))
