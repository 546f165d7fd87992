"""`limitbench capacity` and `frontier`."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from limitbench.cli.options import ClusterAt, GradesFrom, JsonFlag, ResultsFolder, Split, read_relevance, seconds
from limitbench.cli.output import echo_json, print_table, say, status_line, working
from limitbench.errors import InputError, MissingExtra, SpecError
from limitbench.files import require_writable

if TYPE_CHECKING:
    from limitbench.capacity import Task
    from limitbench.capacity.record import CapacityRecord
    from limitbench.capacity.records import Records
    from limitbench.relevance import Qrels


_MOST_DIMENSIONS = 10_000


# the options of `capacity`
Dimensions = Annotated[str | None, typer.Option("--dim", help="Dimensions: 4:16 (inclusive) or 4,6,8. [default: 4:16]")]
Relevant = Annotated[int, typer.Option("--k", help="Relevant documents per query.")]
SolverName = Annotated[
    str,
    typer.Option(
        help="anneal, orbit, auto (tries several, names the best), paper (InfoNCE), sigmoid, all, or a construction: "
        "cyclic, random-sign, gaussian, simplex, simplices, polynomial."
    ),
]
Seed = Annotated[int, typer.Option(help="The first seed.")]
Seeds = Annotated[int, typer.Option(help="Seeds tried before a corpus counts as not solved.")]
Budget = Annotated[str, typer.Option(help="Wall time of search per dimension: 60s, 5m, 1h.")]
Margin = Annotated[
    str, typer.Option(help="Half-gap on unit vectors to reach, or max: the largest found at given cells.")
]
StoredDtype = Annotated[str, typer.Option(help="Of the stored vectors: fp64, fp32, bf16, fp16, int8 or binary.")]
SearchDevice = Annotated[str, typer.Option(help="auto, cpu or cuda.")]
Cells = Annotated[str | None, typer.Option("--at", help="Given cells d:n, as 4:10,8:28, or paper: its 42 cells.")]
Carried = Annotated[str | None, typer.Option("--qrels", help="A dataset, folder or qrels file to carry instead.")]
SearchAgain = Annotated[bool, typer.Option("--fresh", help="Search again where a finished point lies.")]
Jobs = Annotated[int, typer.Option(help="Points searched at the same time, one core each.")]
Shard = Annotated[str, typer.Option(help="This machine's part of the points, i/N.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(capacity)
    app.command()(frontier)


def capacity(
    dim: Dimensions = None,
    k: Relevant = 2,
    solver: SolverName = "anneal",
    seed: Seed = 0,
    seeds: Seeds = 4,
    budget: Budget = "60s",
    margin: Margin = "0",
    dtype: StoredDtype = "fp32",
    device: SearchDevice = "auto",
    at: Cells = None,
    qrels: Carried = None,
    split: Split = "test",
    min_grade: GradesFrom = None,
    results: ResultsFolder = Path("results"),
    fresh: SearchAgain = False,
    jobs: Jobs = 1,
    shard: Shard = "1/1",
    cluster: ClusterAt = None,
    json: JsonFlag = False,
) -> None:
    """Find how large a corpus d dimensions carry: solved and verified below, not solved above.

    "Not solved" is what a solver did with these seeds in this time; it is never "impossible".
    """
    from limitbench.results import Store

    if qrels is not None and at is not None:
        raise InputError("found --qrels together with --at; the qrels have their own number of documents")
    common = {
        "dtype": dtype, "seed": seed, "seeds": seeds, "budget_s": seconds(budget), "device": _device(device),
        "margin": 0.0 if margin == "max" else _number(margin), "maximise": margin == "max",
    }  # fmt: skip
    given = None if qrels is None else read_relevance(qrels, split, min_grade)
    tasks = _part(_tasks(solver, k, dim, at, given, common), shard)
    records = Store(results).capacity
    require_writable(records.folder)
    kind = "cell" if at is not None else "point"
    found = []
    for record in _all(tasks, records, fresh, jobs, cluster):
        shown = record.shown.model_dump(mode="json", exclude_unset=True)
        file = record.shown.witness
        shown["witness"] = None if file is None else (records.folder / file).as_posix()
        found.append(shown)
        if not json:
            say(_line(shown, kind))
    if json:
        echo_json({"schema_version": 1, f"{kind}s": found})
        return
    _print(found, kind, records)


def _tasks(
    solver: str, k: int, dim: str | None, at: str | None, qrels: Qrels | None, common: dict[str, Any]
) -> list[Task]:
    """What to solve: every solver that was named, at every given cell or in every dimension. May raise `MissingExtra`."""
    from limitbench.capacity import SOLVERS, Task
    from limitbench.capacity.task import OPTIMIZERS, TORCH
    from limitbench.certificates.orbits import MOST_RELEVANT

    names = [name for name in SOLVERS if k <= MOST_RELEVANT or name != "orbit"] if solver == "all" else [solver]
    if qrels is not None and solver == "all":
        names = list(OPTIMIZERS)
    tasks: list[Task] = []
    for name in names:
        if at is not None:
            tasks += [Task(d, k, name, n=n, **common) for d, n in _cells(at, k)]
        else:
            tasks += [
                Task(d, None if qrels is not None else k, name, qrels=qrels, **common)
                for d in _dimensions(dim or "4:16")
            ]
    if any(task.solver in TORCH for task in tasks):
        _require_torch()
    return tasks


def _all(
    tasks: Sequence[Task], records: Records, fresh: bool, jobs: int, cluster: str | None
) -> Iterator[CapacityRecord]:
    """The records of all tasks, in order; finished ones are read, not searched again."""
    from limitbench.capacity.pool import elsewhere, pooled

    if jobs < 1:
        raise InputError(f"found --jobs {jobs}, expected at least 1")
    if cluster is not None:
        if jobs > 1 or int(os.environ.get("WORLD_SIZE", "1")) > 1:
            raise InputError("found --cluster together with --jobs or torchrun; give one of them")
        device = next((task.device for task in tasks if task.device != "cpu"), None)
        with working(cluster, device) as (_, each):
            assert each is not None
            yield from elsewhere(tasks, records, each, fresh)
        return
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        yield from _shared(tasks, records, fresh)
        return
    if jobs > 1:
        yield from pooled(tasks, records, jobs, fresh)
        return
    with status_line() as progress:
        for task in tasks:
            yield records.find_or_solve(task, progress, fresh=fresh)


def _shared(tasks: Sequence[Task], records: Records, fresh: bool) -> Iterator[CapacityRecord]:
    """Under torchrun: all processes solve each task together; the first writes, and yields, the records."""
    from limitbench.capacity import Search
    from limitbench.capacity.distributed import Processes

    with Processes(tasks[0].device if tasks else "cpu") as peers:
        held = [None if fresh else records.find(task) for task in tasks]
        peers.meet()
        for task, record in zip(tasks, held, strict=True):
            result = None if record else Search(task, peers=peers).run()
            if peers.rank == 0:
                yield record or records.write(result)  # type: ignore[arg-type]
    if peers.rank != 0:
        raise typer.Exit


def _line(shown: dict[str, Any], kind: str) -> str:
    from limitbench.capacity import Status

    if kind == "cell":
        told = "solved, verified" if shown["verified"] else "not solved"
        untried = {one.value for one in (Status.IMPOSSIBLE, Status.UNEQUAL, Status.MANY)}
        why = f" ({shown['status']})" if shown["status"] in untried else ""
        return f"d={shown['d']} n={shown['n']} {_solver(shown)}: {told}{why}"
    solved, failed = shown["solved_n"], shown["failed_n"]
    found = "nothing solved" if solved is None else f"solved {solved} documents"
    beyond = "no larger one failed" if failed is None else f"not solved {failed}"
    return f"d={shown['d']} k={shown['k']} {shown['solver']}: {found}; {beyond}"


def _print(found: Sequence[dict[str, Any]], kind: str, records: Records) -> None:
    if kind == "cell":
        head = ["d", "n", "k", "solver", "solved", "margin", "seconds", "witness"]
        rows = [
            [str(c["d"]), str(c["n"]), str(c["k"]), _solver(c), _verdict(c), _margin(c["margin"]),
             f"{c['seconds']:.2f}", Path(c["witness"]).name if c["witness"] else ""]
            for c in found
        ]  # fmt: skip
        solved = sum(c["verified"] for c in found)
        print_table(head, rows, caption=f"{solved} of {len(found)} cells solved and verified.", keep=5)
    else:
        head = ["d", "solver", "solved", "not solved", "margin", "dtype", "k", "status"]
        rows = [
            [str(p["d"]), _solver(p), _or_dash(p["solved_n"]), _or_dash(p["failed_n"]), _margin(p["margin"]), p["dtype"],
             str(p["k"]),
             p["status"]]
            for p in found
        ]  # fmt: skip
        print_table(head, rows, caption="Half-gaps are of the stored vectors; not solved is not impossible.", keep=4)
    if any(x["witness"] for x in found):
        typer.echo(f"Witnesses: {records.folder}; check one with: limitbench verify FILE")


def _solver(shown: dict[str, Any]) -> str:
    """The solver, and which one `auto` took."""
    return f"{shown['solver']}: {shown['found_by']}" if "found_by" in shown else str(shown["solver"])


def _verdict(cell: dict[str, Any]) -> str:
    """Solved, not solved, or impossible."""
    from limitbench.capacity import Status

    if cell["verified"]:
        return "yes, verified"
    return "no: impossible" if cell["status"] == Status.IMPOSSIBLE.value else "no"


def _or_dash(value: int | None) -> str:
    return "-" if value is None else str(value)


def _margin(value: float | None) -> str:
    return "-" if value is None else f"{value:.3g}"


def _dimensions(text: str) -> list[int]:
    try:
        out: list[int] = []
        for part in text.split(","):
            first, colon, last = part.partition(":")
            named = range(int(first), int(last if colon else first) + 1)
            if len(out) + len(named) > _MOST_DIMENSIONS:
                raise SpecError(
                    f"found --dim {text}, which names more than {_MOST_DIMENSIONS} dimensions; choose fewer"
                )
            out += named
    except ValueError:
        raise SpecError(f"found --dim {text}, expected 4:16 (inclusive) or 4,6,8") from None
    if not out:
        raise SpecError(f"found --dim {text}, which names no dimension; expected at least one, as in 4:16")
    return list(dict.fromkeys(out))


def _cells(text: str, k: int) -> list[tuple[int, int]]:
    if text == "paper":
        from limitbench.capacity.fit import published

        if k != 2:
            raise InputError(f"found --at paper with k = {k}; Table 6 of the paper is for k = 2")
        return list(published().items())
    try:
        pairs = [part.split(":") for part in text.split(",")]
        return [(int(d), int(n)) for d, n in pairs]
    except ValueError:
        raise SpecError(f"found --at {text}, expected cells d:n such as 4:10,8:28, or paper") from None


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise SpecError(f"found --margin {text}, expected a half-gap such as 0.1, or max") from None


def _part(tasks: list[Task], shard: str) -> list[Task]:
    try:
        i, n = map(int, shard.split("/"))
        if not 1 <= i <= n:
            raise ValueError
    except ValueError:
        raise SpecError(f"found --shard {shard}, expected i/N such as 1/4") from None
    return tasks[i - 1 :: n]


def _require_torch() -> None:
    from importlib.util import find_spec

    if find_spec("torch") is None:
        raise MissingExtra("the optimizers", "torch", "models")


def _device(name: str) -> str:
    if name == "cpu":
        return "cpu"
    if name not in ("auto", "cuda") and not name.startswith("cuda:"):
        raise InputError(f"found --device {name}, expected auto, cpu or cuda")
    _require_torch()
    import torch

    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if not torch.cuda.is_available():
        raise InputError("found --device cuda, and torch sees no CUDA device here; use --device cpu")
    return name if "LOCAL_RANK" not in os.environ else f"cuda:{os.environ['LOCAL_RANK']}"


def frontier(
    out: Annotated[Path, typer.Option("--out", help="The picture: .svg, .png or .pdf.")],
    k: Annotated[int, typer.Option("--k", help="Relevant documents per query.")] = 2,
    margin: Annotated[float, typer.Option(help="Only points that reached this half-gap.")] = 0.0,
    results: ResultsFolder = Path("results"),
    json: JsonFlag = False,
) -> None:
    """Draw critical-n against d: proved, constructed, reached by optimizers, published; and fit the cubics."""
    from limitbench.report.frontier import draw, formula
    from limitbench.report.frontier import frontier as gather
    from limitbench.results import Store

    found = gather(Store(results).capacity, k=k, margin=margin)
    draw(found, out)
    if json:
        echo_json({"schema_version": 1, "out": str(out), **found.to_json()})
        return
    if not found.reached:
        say(
            f"there is no capacity record in {results / 'capacity'} for k = {k}; run: limitbench capacity --results {results}"
        )
    rows = [
        [name, formula(cubic), f"{cubic.r2:.4f}", f"{cubic.d.min():.0f} to {cubic.d.max():.0f}"]
        for name, cubic in found.fits.items()
    ]
    if rows:
        print_table(["fitted to", "cubic (empirical)", "R2", "of d"], rows, keep=2)
    typer.echo(f"Wrote {out}.")
