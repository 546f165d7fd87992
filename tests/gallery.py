"""Little projects, each of which triggers exactly the rule that it is about. `<-` marks the line that the finding points at."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

M = 8  # judged queries
DOCUMENTS = [f"d{i}" for i in range(M + 2)]
WORDS = ["tea", "chess", "oak", "rain", "maps", "salt", "jazz", "moss", "kites", "ink"]


def corpus(ids: list[str] = DOCUMENTS, texts: list[str] | None = None) -> str:
    texts = texts or [f"Somebody likes {word}." for word in WORDS]
    return "".join(json.dumps({"_id": i, "title": "", "text": t}) + "\n" for i, t in zip(ids, texts, strict=True))


def queries(n: int = M) -> str:
    return "".join(json.dumps({"_id": f"q{i}", "text": f"Who likes {WORDS[i]}?"}) + "\n" for i in range(n))


def qrels(ids: list[str] = DOCUMENTS, n: int = M) -> str:
    return "query-id\tcorpus-id\tscore\n" + "".join(f"q{i}\t{ids[i]}\t1\n" for i in range(n))


def run(first: int = 0, scores: tuple[float, ...] = (0.9, 0.5, 0.2), n: int = M) -> str:
    """A run whose query i has document i + first on top: first = 0 is perfect."""
    return "".join(
        f"q{i} Q0 {DOCUMENTS[(i + first + rank) % len(DOCUMENTS)]} {rank + 1} {score!r} prod\n"
        for i in range(n)
        for rank, score in enumerate(scores)
    )


PLAN = 'version = 1\n[workload.w]\npattern = {{ kind = "all-k", n = {n}, k = {k} }}\n[retriever.r]\n{rest}'
DATA = 'version = 1\n[workload.w]\nqrels = "qrels.tsv"{qrels}\n{more}[retriever.r]\n{plan}[retriever.r.measure]\nrun = "run.trec"\n{rest}'
BOTH = 'corpus = "corpus.jsonl"\nqueries = "queries.jsonl"\n'
GATE = '[[gate]]\nworkload = "w"\nretriever = "r"\nmetric = "Recall@1"{metric}\n{rest}'
BASE = '[baseline]\npath = "baseline.json"{mark}\n'


def plan(n: int, k: int, rest: str) -> str:
    return PLAN.format(n=n, k=k, rest=rest)


def measured(
    gate: str,
    *,
    mark: str = "",
    texts: bool = False,
    plan: str = "",
    metric: str = "",
    tail: str = "",
    end: str = "",
    more: str = "",
) -> str:
    text = DATA.format(qrels=mark, more=(BOTH if texts else "") + more, plan=plan, rest=tail)
    return text + GATE.format(metric=metric, rest=gate) + end


FILES = {"qrels.tsv": qrels(), "corpus.jsonl": corpus(), "queries.jsonl": queries(), "run.trec": run()}


@dataclass(frozen=True)
class Project:
    """Files, how to call, and what must come back."""

    config: str
    rules: tuple[str, ...] = ()
    severity: str = "warning"
    evidence: str = "measured"
    code: int = 0
    files: dict[str, str] = field(default_factory=dict)
    before: dict[str, str] | None = None  # files under which a baseline is recorded first
    versions: dict[str, str] = field(default_factory=dict)  # put into that baseline
    arguments: tuple[str, ...] = ()
    commit: bool = False  # the baseline is committed to git

    @property
    def line(self) -> int:
        """The marked line."""
        return next((n for n, line in enumerate(self.config.splitlines(), 1) if "<-" in line), 0)

    def write(self, folder: Path) -> Path:
        """The project on disk."""
        for name, text in {**FILES, **self.files, "limitbench.toml": self.config}.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text, encoding="utf-8")
        return folder / "limitbench.toml"


FULL = "def retrieve(queries, top_k):\n    return {q: {'d' + q[1:]: 1.0} for q in queries}\n"
DROPPED = {"run.trec": run(first=1)}
ENGINE = "engine:sqlite-vec,of=wordllama,dtype=binary"  # a scan of signs: deterministic, and far from exact
MANY = corpus(
    [f"d{i}" for i in range(40)],
    [f"Somebody likes {WORDS[i % 10]} and {WORDS[(3 * i + i // 10) % 10]}." for i in range(40)],
)
OFF = '[severity]\nLB104 = "off"\nLB202 = "off"\n'
PROJECTS: dict[str, Project] = {
    # -------------------------------------------------------------------------------------------------------- nothing to say
    "clean plan": Project(plan(1000, 2, "dim = 768\n")),
    "clean data": Project(measured("min = 0.9\n", texts=True, plan="dim = 384\n")),
    "clean ratchet": Project(measured("max_drop = 0.5\n", end=BASE.format(mark="")), before={}),
    "dimension 4 in fp32": Project(plan(46, 2, "dim = 4\n")),
    "sparse plan": Project(plan(46, 2, 'kind = "sparse"\n')),
    "plan without a dimension": Project(plan(46, 2, 'metric = "dot"\n')),
    "inner products on the integers": Project(plan(70, 2, 'dim = 4\nmetric = "dot"\n')),
    "distances need one less": Project(
        plan(46, 2, 'dim = 3 # <-\nmetric = "euclidean"\n') + OFF, ("LB102",), evidence="constructed"
    ),
    "growth within reach": Project(
        'version = 1\n[workload.w]\nqrels = "qrels.tsv"\ngrowth = 10.0\n[retriever.r]\ndim = 64\n'
    ),
    "trec qrels": Project(
        measured("min = 0.9\n").replace("qrels.tsv", "q.qrels"),
        files={"q.qrels": "".join(f"q{i} 0 d{i} 1\n" for i in range(M))},
    ),
    "jsonl qrels by format": Project(
        measured("min = 0.9\n", more='format = "jsonl"\n').replace("qrels.tsv", "judged.data"),
        files={
            "judged.data": "".join(
                json.dumps({"query-id": f"q{i}", "corpus-id": f"d{i}", "score": 1}) + "\n" for i in range(M)
            )
        },
    ),
    # ------------------------------------------------------------------------------------------------------------------ data
    "LB001": Project(
        measured("min = 0.5\n", mark=" # <-", texts=True),
        ("LB001",),
        "error",
        code=1,
        files={"corpus.jsonl": corpus(DOCUMENTS[1:], [f"Somebody likes {word}." for word in WORDS[1:]])},
    ),
    "LB002": Project(
        measured("min = 0.5\n", mark=" # <-", texts=True),
        ("LB002",),
        files={
            "corpus.jsonl": corpus(texts=[*(f"Somebody likes {word}." for word in WORDS[:-1]), "Somebody likes tea."])
        },
    ),
    "LB002 repeated id": Project(
        measured("min = 0.5\n", mark=" # <-", texts=True),
        ("LB002",),
        files={"corpus.jsonl": corpus() + corpus(["d0"], ["x"])},
    ),
    "LB003": Project(
        measured("min = 0.5\n", mark=" # <-", texts=True),
        ("LB003",),
        files={"qrels.tsv": qrels() + "q8\td8\t0\n", "queries.jsonl": queries(9)},
    ),
    "LB004": Project(
        'version = 1\n[workload.w]\nqrels = "qrels.tsv" # <-\ncorpus = "corpus.jsonl"\n[retriever.r]\ndim = 64\n',
        ("LB004",),
        files={"corpus.jsonl": corpus(["d 0", *DOCUMENTS[1:]]), "qrels.tsv": qrels(["d 0", *DOCUMENTS[1:]])},
    ),
    "LB005": Project(
        measured("max_drop = 0.5\n", mark=" # <-", end=BASE.format(mark="") + '[severity]\nLB302 = "off"\n'),
        ("LB005",),
        before={},
        files={"qrels.tsv": qrels() + "".join(f"q{i}\td9\t1\n" for i in range(5))},
    ),
    "LB006": Project(measured("max_drop = 0.01 # <-\n", end=BASE.format(mark="")), ("LB006",), before={}),
    # -------------------------------------------------------------------------------------------------------------- capacity
    "LB101": Project(plan(46, 2, "dim = 3 # <-\n"), ("LB101",), "error", "proved", 1),
    "LB101 growth": Project(
        'version = 1\n[workload.w]\nqrels = "qrels.tsv"\ngrowth = 10.0\n[retriever.r]\ndim = 1 # <-\n',
        ("LB101",),
        "error",
        "proved",
        1,
    ),
    "LB101 judged sets": Project(
        'version = 1\n[workload.w]\npattern = { kind = "dense", m = 1000, k = 2 }\n[retriever.r]\ndim = 3 # <-\n',
        ("LB101",),
        "error",
        "proved",
        1,
    ),
    "LB102": Project(plan(1000, 2, "dim = 16 # <-\nmargin = 0.2\n"), ("LB102",), evidence="constructed"),
    "LB103": Project(plan(1_000_000, 100, "dim = 768\nmargin = 0.1 # <-\n"), ("LB103",), "error", "proved", 1),
    "LB104": Project(plan(60, 2, 'dim = 4\ndtype = "bf16" # <-\n'), ("LB104",), evidence="constructed"),
    "LB105": Project(plan(46, 2, 'dim = 8\ndtype = "binary" # <-\n'), ("LB105",), "error", "proved", 1),
    "LB106": Project(
        plan(46, 4, "dim = 64\n").replace("[retriever", "top_k = 2\n[retriever")
        + GATE.format(metric="", rest="min = 0.9 # <-\n").replace("@1", "@2"),
        ("LB106",),
        "error",
        "proved",
        1,
    ),
    "LB107": Project(
        plan(1_000_000, 100, 'dim = 1024\ndtype = "binary"\n')
        + GATE.format(metric="", rest="min = 0.9 # <-\n").replace("@1", "@100")
        + '[severity]\nLB105 = "off"\n',
        ("LB107",),
        "error",
        "proved",
        1,
    ),
    "LB201": Project(
        plan(24, 2, 'dim = 9 # <-\ndtype = "binary"\n') + OFF,
        ("LB201",),
        evidence="empirical",
        arguments=("--tier", "full"),
    ),
    "LB202": Project(
        plan(1000, 2, 'dim = 4 # <-\nmetric = "dot"\n') + '[severity]\nLB104 = "off"\n',
        ("LB202",),
        evidence="empirical",
    ),
    # -------------------------------------------------------------------------------------------------------------- measured
    "LB301": Project(measured("min = 0.9 # <-\n"), ("LB301",), "error", code=1, files=DROPPED),
    "LB302": Project(
        measured("max_drop = 0.5 # <-\n", end=BASE.format(mark="")),
        ("LB302",),
        "error",
        code=1,
        before={},
        files=DROPPED,
    ),
    "LB303": Project(measured("min = 0.0\n", texts=True, metric=" # <-"), ("LB303",), files=DROPPED),
    **{
        rule: Project(
            measured(
                "min = 0.0\n",
                metric=" # <-",
                texts=True,
                tail=f'[retriever.r.measure.references]\n{name} = {{ python = "full:retrieve" }}\n[severity]\nLB303 = "off"\n',
            ),
            (rule,),
            files={**DROPPED, "full.py": FULL},
        )
        for rule, name in (("LB304", "truncation"), ("LB305", "quantisation"), ("LB306", "ann"))
    },
    "LB307": Project(
        measured("min = 0.0\n", metric=" # <-"), ("LB307",), files={"run.trec": run(scores=(0.5, 0.5, 0.5))}
    ),
    "LB308": Project(
        measured("min = 0.0\n", metric=" # <-", plan='dim = 4\ndtype = "bf16"\n'),
        ("LB308",),
        files={"run.trec": run(scores=(0.9, 0.89999, 0.2))},
    ),
    "LB309": Project(
        measured("min = 0.0\n", texts=True, metric=" # <-").replace('run = "run.trec"', 'model = "minilm"'),
        ("LB309",),
        files={"corpus.jsonl": corpus(texts=[f"Somebody likes {word}. " * 80 for word in WORDS])},
        arguments=("--tier", "full", "--select", "LB309"),
    ),
    "LB310": Project(
        measured("max_lost = 3 # <-\n", end=BASE.format(mark="")), ("LB310",), "error", code=1, before={}, files=DROPPED
    ),
    "LB311": Project(measured('must_find = ["q0", "q3"] # <-\n'), ("LB311",), "error", code=1, files=DROPPED),
    "LB312": Project(
        measured("not_worse = 0.2 # <-\n", end=BASE.format(mark="")),
        ("LB312",),
        "error",
        code=1,
        before={},
        files=DROPPED,
    ),
    "LB313": Project(
        measured("max_decline = 0.5 # <-\n", end=BASE.format(mark="")),
        ("LB313",),
        "error",
        code=1,
        before={},
        commit=True,
        files=DROPPED,
    ),
    **{
        rule: Project(
            measured(f"engine = {{ {asked} }} # <-\n", texts=True)
            .replace('run = "run.trec"', f'model = "{ENGINE}"')
            .replace("Recall@1", "Recall@5"),
            (rule,),
            "error",
            code=1,
            files={"corpus.jsonl": MANY},
            arguments=("--select", rule),
        )
        for rule, asked in (
            ("LB314", "of_exact = 1.0, builds = 2"),
            ("LB315", "filtered = 1.0, selectivity = 0.3"),
            ("LB316", "churned = 1.0"),
        )
    },
    # ------------------------------------------------------------------------------------------------------- reproducibility
    "LB401": Project(plan(1000, 2, 'dim = 384\nmodel = "sentence-transformers/all-MiniLM-L6-v2" # <-\n'), ("LB401",)),
    "LB402": Project(plan(1000, 2, 'dim = 384\nmodel = "intfloat/e5-base-v2@0123abc" # <-\n'), ("LB402",)),
    "LB403": Project(
        measured("max_drop = 0.5\n", end=BASE.format(mark=" # <-")),
        ("LB403",),
        before={},
        versions={"limitbench": "0.0.1"},
    ),
    # ------------------------------------------------------------------------------------------------------------------ meta
    "LB901": Project(
        measured("min = 0.0\n", metric=" # <-", tail='[retriever.r.measure.references]\nann = "run.trec"\n'), ("LB901",)
    ),
    "LB902 a gate without a measurement": Project(
        plan(46, 2, "dim = 64\n") + GATE.format(metric="", rest="min = 0.2 # <-\n"), ("LB902",), code=3
    ),
    "LB902": Project(measured("min = 0.9 # <-\n").replace("run.trec", "gone.trec"), ("LB902",), code=3),
    "LB902 no baseline": Project(measured("max_drop = 0.5 # <-\n", end=BASE.format(mark="")), ("LB902",), code=3),
    "LB902 no baseline, a warning": Project(
        measured("max_drop = 0.5 # <-\n", end=BASE.format(mark="") + 'missing = "warning"\n'), ("LB902",)
    ),
    "LB903": Project(
        plan(46, 2, "dim = 64\n") + '[[suppress]]\nid = "LB101"\nuntil = "2020-01-01" # <-\nreason = "soon"\n',
        ("LB903",),
    ),
    "LB903 unused": Project(
        plan(46, 2, "dim = 64\n") + '[[suppress]]\nid = "LB101" # <-\nreason = "soon"\n', ("LB903",)
    ),
    # ----------------------------------------------------------------------------------------------------------- how it is told
    "a warning that fails": Project(
        plan(1000, 2, 'dim = 384\nmodel = "a/b" # <-\n'), ("LB401",), code=1, arguments=("--fail-on", "warning")
    ),
    "a warning made an error": Project(
        plan(1000, 2, 'dim = 384\nmodel = "a/b" # <-\n[severity]\nLB401 = "error"\n'), ("LB401",), "error", code=1
    ),
    "an error made a warning": Project(
        plan(46, 2, 'dim = 3 # <-\n[severity]\nLB101 = "warning"\n'), ("LB101",), "warning", "proved"
    ),
    "a rule switched off": Project(plan(46, 2, 'dim = 3\n[severity]\nLB101 = "off"\n')),
    "a rule ignored": Project(plan(46, 2, "dim = 3\n"), arguments=("--ignore", "LB1")),
    "another rule selected": Project(plan(46, 2, "dim = 3\n"), arguments=("--select", "LB105,LB4")),
    "a violation outranks what is undecided": Project(
        measured("min = 0.4\n", plan="dim = 1 # <-\n").replace("run.trec", "gone.trec") + '[severity]\nLB902 = "off"\n',
        ("LB101",),
        "error",
        "proved",
        1,
        files={
            "qrels.tsv": "query-id\tcorpus-id\tscore\n"
            + "".join(f"q{i}\td{j}\t1\n" for i in range(8) for j in (i, (i + 1) % 8))
        },
    ),
    "undecided, and told by the code alone": Project(
        measured("min = 0.9\n").replace("run.trec", "gone.trec") + '[severity]\nLB902 = "off"\n', code=3
    ),
}
