"""Reports: what is plotted is what the records and the paper say; the page works in a browser, alone, at any width."""

from __future__ import annotations

import json
import os
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT

from limitbench.collection import Dataset, Queries
from limitbench.datasets import load, write_folder
from limitbench.datasets.subsample import subsample
from limitbench.dtypes import score_error
from limitbench.errors import InputError
from limitbench.evaluation import Options, drown, evaluate, run_all, sweep
from limitbench.files import escape_id
from limitbench.rankings import Run
from limitbench.relevance import Qrels
from limitbench.report import compare, paper, published_records, transcribe
from limitbench.report.drowning import curves
from limitbench.report.figures import heat, recall_by_dimension
from limitbench.report.gallery import slug
from limitbench.report.gathered import gather
from limitbench.report.looks import Looks
from limitbench.report.story import story
from limitbench.report.table_rows import glance
from limitbench.results import Means, Result, Store, breakdown, configuration_digest, spectrum, subsets
from limitbench.retrievers.vectors import Storage
from limitbench.statistics import paired_randomisation

SHARED = ROOT.parent / "shared" / "reference" / "limit_paper_tables.json"
ARTEFACTS = ROOT / "artifacts"


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Records of the twin by a few retrievers, a sweep of dimensions, corpus sizes, and a capacity record."""
    folder = tmp_path_factory.mktemp("results")
    kept = Store(folder)
    asked = ["tfidf-items", "bm25", "wordllama", "random"]
    outcomes = list(
        run_all(["limit-small-synthetic"], asked, options=Options(measures="Recall@2,10,20,ExactSet@2", store=kept))
    )
    assert all(one.error is None for one in outcomes)
    list(
        sweep(
            "limit-small-synthetic", "wordllama", dims=[8, 64], options=Options(measures="Recall@2,10,20", store=kept)
        )
    )
    data = load("limit-small-synthetic")
    some = Dataset(
        "small",
        data.corpus,
        data.queries,
        Qrels.from_sets([row if max(row) < 9 else [] for row in data.qrels.sets()], 46),
    )
    list(
        drown(some, ["bm25", "wordllama"], sizes=[9, 20, 46], seeds=2, options=Options(measures="Recall@2", store=kept))
    )
    shutil.copytree(ROOT / "results" / "capacity", folder / "capacity")
    return folder


def other(
    record: Result, *, values: dict[str, list[float]] | None = None, dataset: dict | None = None, ceiling=None, **told
) -> Result:
    """A coherent record like this one, with other facts about the retriever or the dataset, or other values of the queries."""
    facts = record.dataset.model_copy(update=dataset or {})
    by = record.retriever.model_copy(update=told)
    per_query = record.per_query if values is None else values
    means = {
        title: record.measures[title]
        if values is None
        else Means(**dict.fromkeys(("mean", "worst", "best"), sum(v) / len(v)))
        for title, v in per_query.items()
    }
    digest = configuration_digest(facts.sha256, by.configuration, list(means))
    return Result.model_validate({**record.model_dump(), "dataset": facts.model_dump(), "retriever": by.model_dump(), "measures": {t: m.model_dump() for t, m in means.items()},
                                  "per_query": per_query, "configuration_digest": digest, "ceiling": ceiling})  # fmt: skip


def shown(folder: Path) -> str:
    """The page of the records in a folder."""
    from limitbench.report.page import html

    return html(gather(folder))


# what was published ------------------------------------------------------------------------------------------------------


def test_published_records_are_the_papers_tables() -> None:
    """results/reference/records.jsonl is made from limit-paper.json, and from nothing else."""
    path = ROOT / "results" / "reference" / "records.jsonl"
    made = b"".join(record.line() for record in transcribe(paper()))
    if os.environ.get("LIMITBENCH_WRITE_GOLDEN"):
        path.write_bytes(made)
    assert path.read_bytes() == made
    assert len(published_records()) == sum(len(paper()[t]) for t in paper() if t[:6] in ("table3", "table4", "table5"))
    assert {r.evidence for r in published_records()} == {"published"}


def test_the_shipped_figures_are_the_reference() -> None:
    """Every table that we ship equals the reference transcription, where that is at hand."""
    if not SHARED.exists():
        pytest.skip("needs the reference transcription of the paper's tables beside the project")
    reference = json.loads(SHARED.read_text())
    assert {k: v for k, v in paper().items() if k.startswith(("table", "critical"))} == {
        k: v for k, v in reference.items() if k.startswith(("table", "critical"))
    }


@pytest.mark.parametrize(
    ("dataset", "table", "cutoffs"),
    [
        ("limit-small-synthetic", "table4_limit_small", (2, 10, 20)),
        ("limit-synthetic", "table5_limit_full", (2, 10, 100)),
    ],
)
def test_every_reference_point_is_drawn_where_the_paper_has_it(
    dataset: str, table: str, cutoffs: tuple[int, ...], store: Path
) -> None:
    """In the drawing itself, each published model's line has the paper's dimensions and figures, exactly, and no other point."""
    pytest.importorskip("matplotlib", reason="needs matplotlib: limitbench[plots]")
    from limitbench.report.figures import draw_recall_by_dimension
    from limitbench.report.svg import drawing

    record = next(r for r in Store(store) if r.retriever.name == "bm25" and r.dataset.name == "limit-small-synthetic")
    known_as = "limit-small" if table.endswith("small") else "limit"
    facts = record.dataset.model_copy(update={"name": dataset, "published_as": known_as})
    values = {f"Recall@{k}": record.measures["Recall@2"] for k in cutoffs}
    (whole,) = compare(
        [record.model_copy(update={"dataset": facts, "measures": values, "per_query": {}})], all_dims=True
    )
    panels = {f"Recall@{k}": recall_by_dimension(whole, f"Recall@{k}") for k in cutoffs}
    drawn: dict[tuple[str, int | None, str], float] = {}
    with drawing(9, 5) as figure:
        draw_recall_by_dimension(figure, panels, Looks([]))
        for ax, measure in zip(figure.axes, panels, strict=True):
            for line in ax.lines:
                source, _, name = (line.get_gid() or "").partition(": ")
                if source == "published":
                    model = name.removesuffix(f", {measure}")
                    level = len(set(line.get_xdata())) == 2 and list(line.get_xdata()) == [0, 1]
                    for x, y in line.get_xydata():
                        drawn[model, None if level else int(x), measure] = round(float(y), 6)
    expected = {
        (row["model"], row["dim"], f"Recall@{k}"): row[f"recall@{k}"]
        for row in paper()[table] for k in cutoffs if row.get(f"recall@{k}") is not None
    }  # fmt: skip
    assert drawn == expected


def test_what_has_many_vectors_has_no_dimension_to_bound(store: Path, tmp_path: Path) -> None:
    """A multi-vector record is a level in the figure and has no standing; a binary or int8 one has a standing and no mark."""
    record = next(
        r for r in Store(store) if r.retriever.name == "wordllama" and r.dataset.name == "limit-small-synthetic"
    )
    many = {"name": "maxsim:x", "configuration": {"adapter": "maxsim"}, "facts": {"dim": 384}}
    coarse = {
        "name": "wordllama,dtype=int8",
        "configuration": {"dtype": "int8"},
        "facts": {**record.retriever.facts, "dtype": "int8"},
    }
    for told in (many, coarse):
        Store(tmp_path).write(other(record, **told))
    report = gather(tmp_path)
    (whole,) = compare(report.records, all_dims=True)
    assert [(s.name, s.x) for s in recall_by_dimension(whole, "Recall@2") if s.source == "ours"] == [("maxsim:x", None)]
    assert [s.retriever for s in report.standings] == ["wordllama,dtype=int8"]


def test_critical_n_is_drawn_from_table_6(store: Path) -> None:
    """The published points of the critical-n figure are Table 6; the impossible region is what `design` proves."""
    pytest.importorskip("matplotlib", reason="needs matplotlib: limitbench[plots]")
    from limitbench.report.frontier import draw_on
    from limitbench.report.svg import drawing
    from limitbench.theory import design

    report = gather(store)
    with drawing(8, 5) as figure:
        ax = figure.subplots()
        draw_on(ax, report.frontier)
        (line,) = (line for line in ax.lines if line.get_gid() == "published: Table 6")
        assert {str(int(d)): int(n) for d, n in line.get_xydata()} == paper()["table6_critical_n_k2"]
        told = {text.get_text() for text in ax.get_legend().get_texts()}
    assert {"proved impossible", "constructed, in exact arithmetic: every n from d = 4 on"} <= told
    assert any(text.startswith("anneal (measured") for text in told)
    assert report.frontier.impossible == {d: design(None, 2, d).smallest_impossible_n for d in (1, 2, 3)}


# sentences and tables that must stay true ----------------------------------------------------------------------------------


@pytest.fixture
def one(store: Path) -> Result:
    """wordllama's record on the twin."""
    return next(r for r in Store(store) if (r.retriever.name, r.dataset.name) == ("wordllama", "limit-small-synthetic"))


def test_the_best_is_best_by_the_measure_that_is_named(one: Result, tmp_path: Path) -> None:
    """With another measure first in the records, rows are sorted, told apart and praised by one and the same; equals share it."""
    low, high = [0.0] * 500 + [1.0] * 500, [0.2] * 500 + [1.0] * 500
    folder = Store(tmp_path)
    for name, mrr, recall in (("a", high, low), ("b", low, high), ("c", high, high)):
        folder.write(other(one, values={"MRR@10": mrr, "Recall@2": recall}, name=name, configuration={"x": name}))
    folder.write(other(one, values={"MRR@10": high}, name="d", configuration={"x": "d"}))
    report = gather(tmp_path)
    assert [row.system for row in report.tables[0].ours] == ["b", "c", "a", "d"]
    (line, *_) = glance(report)
    assert line.startswith("limit-small-synthetic: among the first 2 documents, b and c find 60.0 % (57.")
    assert line.endswith("of the relevant ones, a 50.0 % (46.9 to 52.9), chance 4.3 %.")
    assert report.tables[0].letters["b"] == report.tables[0].letters["c"] != report.tables[0].letters["a"]


def test_the_lead_cutoff_fits_the_data(tmp_path: Path) -> None:
    """Three relevant documents are not asked of the first two; a cutoff as large as the corpus has no headline."""
    triples = evaluate("all-3-of-12", "bm25", measures="Recall@2,5,10")
    (table,) = compare([triples])
    assert table.headline == "Recall@5"
    folder = Store(tmp_path)
    folder.write(evaluate("graph-petersen", "bm25", measures="Recall@20,100"))
    (line, *_) = glance(gather(tmp_path))
    assert "are all there are: Recall@20 tells nothing here" in line


def test_what_ties_decide_is_said(tmp_path: Path) -> None:
    """A value that ties move far stands with the worst and the best, also where it is not the highest."""
    folder = Store(tmp_path)
    folder.write(evaluate("limit-small-synonyms", "bm25", measures="Recall@2"))
    (line, *_) = glance(gather(tmp_path, read_data=False))
    assert "bm25 finds 4.3 % (" in line
    assert "; 0 to 58 as ties fall) of the relevant ones, chance 4.3 %." in line


def test_a_measure_that_no_record_has_is_refused(cli, tmp_path: Path) -> None:
    """By every command that is led by one."""
    Store(tmp_path).write(evaluate("graph-petersen", "bm25", measures="Recall@2"))
    for command in (("compare",), ("report",), ("leaderboard",)):
        code, _, err = cli(*command, "--results", tmp_path, "--measure", "MRR@3")
        assert (code, "no record here has MRR@3; they have: Recall@2" in err) == (2, True), err


def test_what_holds_for_pairs_is_said_of_pairs_alone(tmp_path: Path) -> None:
    """A query with three relevant documents: no code, no critical-n, and no count of pairs stand beside its dimension."""
    data = load("graph-petersen")
    rows = [[0, 1], [2, 3], [4, 5, 6]]
    mixed = Dataset("mine", data.corpus, Queries(["a", "b", "c"], ["x", "y", "z"]), Qrels.from_sets(rows, 10))
    write_folder(mixed, tmp_path / "mine")
    folder = Store(tmp_path / "r")
    folder.write(evaluate(mixed, "wordllama", measures="Recall@2"))
    (found,) = gather(tmp_path / "r", places=[str(tmp_path / "mine")]).standings
    assert (found.code_half_gap, found.published, found.reached, found.cubic) == (None, None, None, None)
    assert "symmetric code" not in found.verdict


def test_the_story_has_references_and_folds_variants(one: Result, tmp_path: Path) -> None:
    """Oracles and the floor are lines and never best; a model's variants are one row; published rows are hollow."""
    folder = Store(tmp_path)
    half, most, low = [0.5] * 1000, [1.0] * 1000, [0.1] * 1000
    made = {
        "exact": (most, {"adapter": "exact"}), "random": (low, {"adapter": "random"}), "minilm": (half, {"adapter": "dense"}),
        "minilm,dim=32": (low, {"adapter": "dense", "dim": 32}), "minilm,dim=64,dtype=int8": (low, {"adapter": "dense", "dim": 64}),
    }  # fmt: skip
    for name, (values, options) in made.items():
        folder.write(other(one, values={"Recall@2": values}, name=name, configuration=options))
    (table,) = gather(tmp_path).tables
    found = story(table)
    ours = [dot for dot in found.dots if dot.source == "ours"]
    assert [(dot.name, dot.value, dot.more) for dot in ours] == [("minilm", 0.5, 2)]
    assert [(line.name, line.shown) for line in found.lines] == [("oracle exact", "100.0"), ("chance", "4.3")]
    assert found.sentence == "Among the first 2 documents, minilm finds 50.0 % of the relevant ones, chance 4.3 %."
    page = shown(tmp_path)
    assert '<li class="published">' in page
    assert "and 2 variants" in page


def test_a_lead_measure_can_be_chosen(one: Result, tmp_path: Path, cli) -> None:
    """By --measure; without it nDCG@10 leads for data of users, and a measure that all rows share before one that some lack."""
    values = {"Recall@2": [1.0] * 1000, "nDCG@10": [0.2] * 1000, "MRR@10": [0.3] * 1000}
    folder = Store(tmp_path)
    folder.write(
        other(one, values=values, name="a", configuration={"x": 1}, dataset={"name": "mine", "published_as": None})
    )
    folder.write(
        other(
            one,
            values={"Recall@2": [0.4] * 1000, "nDCG@10": [0.9] * 1000},
            name="b",
            configuration={"x": 2},
            dataset={"name": "mine", "published_as": None},
        )
    )
    (table,) = gather(tmp_path).tables
    assert (table.headline, [row.system for row in table.ours]) == ("nDCG@10", ["b", "a"])
    assert gather(tmp_path, measure="Recall@2").tables[0].headline == "Recall@2"
    code, out, _ = cli("compare", "--results", tmp_path, "--measure", "recall@2")
    assert code == 0
    assert out.index("Recall@2") < out.index("nDCG@10")
    code, _, err = cli("report", "--results", tmp_path, "--measure", "Recall@7")
    assert (code, "no record here has Recall@7; they have" in err) == (2, True), err
    page = shown(tmp_path)
    assert "By nDCG@10, b is best with 90.0 %; the lowest single-vector model is a with 20.0 %." in page
    assert "median query" in page
    assert cli("report", "--results", tmp_path, "--no-latency", "--out", tmp_path / "p.html")[0] == 0
    assert "median query" not in (tmp_path / "p.html").read_text()


def test_two_datasets_of_one_name_are_two(one: Result, tmp_path: Path) -> None:
    """Sentences, anchors and figures of a dataset are those of its digest, not of its name."""
    Store(tmp_path).write(one)
    Store(tmp_path).write(
        other(one, dataset={"sha256": "f" * 64, "published_as": None}, name="elsewhere", configuration={"x": 1})
    )
    report = gather(tmp_path)
    assert len({slug(report, table) for table in report.tables}) == 2
    lines = [line for line in glance(report) if "elsewhere has 256" in line]
    assert lines == []
    assert shown(tmp_path).count('<section id="data-limit-small-synthetic-') == 2


def test_one_configuration_is_one_row(one: Result, tmp_path: Path, cli) -> None:
    """A sweep's spelling of the defaults, and another set of measures, add no row, and no system to tell apart."""
    Store(tmp_path).write(one)
    again = other(one, values={"Recall@2": one.per_query["Recall@2"]}, name="wordllama,dtype=fp32,index=exact")
    Store(tmp_path).write(again)
    report = gather(tmp_path)
    assert [row.system for row in report.tables[0].ours] == ["wordllama"]
    assert len(report.tables[0].ours[0].records) == 2
    code, _, err = cli("results", "separate", "-d", "limit-small-synthetic", "--results", tmp_path)
    assert (code, "expected at least two" in err) == (2, True)


def test_constructions_are_not_free_embeddings(store: Path, one: Result, tmp_path: Path) -> None:
    """What free embeddings reach is what an optimizer found, at the least dimension that reached it."""
    Store(tmp_path).write(one)
    report = gather(tmp_path)
    built = replace(
        report, frontier=replace(report.frontier, reached={"cyclic": {4: 900}, "anneal": {5: 40, 6: 50, 9: 50}})
    )
    (standing,) = built.standings
    assert standing.reached == (50, 6)


def test_cosine_is_judged_by_unit_documents(tmp_path: Path) -> None:
    """A matrix that one dimension carries by inner product and not by cosine: the standing of a cosine retriever is not 'possible'."""
    data = load("graph-petersen")
    three = Dataset(
        "three",
        type(data.corpus)(data.corpus.ids[:3], data.corpus.texts[:3]),
        type(data.queries)(("q", "p"), ("x", "y")),
        Qrels.from_sets([[0], [1]], 3),
    )
    r = evaluate(three, "random", measures="Recall@1")
    for similarity in ("dot", "cosine"):
        Store(tmp_path).write(
            other(
                r,
                name=similarity,
                configuration={"s": similarity},
                facts={"dim": 1, "index": "exact", "dtype": "fp32", "similarity": similarity},
            )
        )
    write_folder(three, tmp_path / "data")
    report = gather(tmp_path, places=[str(tmp_path / "data")])
    verdicts = {s.retriever: (s.upper, s.verdict[:8]) for s in report.standings}
    assert verdicts["dot"] == (1, "possible")
    assert verdicts["cosine"][0] > 1


def test_a_dtype_without_enough_vectors_is_impossible(one: Result, tmp_path: Path) -> None:
    """Four bits have sixteen vectors: for 46 documents that differ, no geometry helps, and no sentence says that four would do."""
    Store(tmp_path).write(
        other(one, name="few bits", configuration={"x": 1}, facts={**one.retriever.facts, "dim": 4, "dtype": "binary"})
    )
    report = gather(tmp_path)
    (standing,) = report.standings
    assert standing.verdict == "impossible (proved): 46 different vectors are needed, more than binary has"
    assert not any("would do" in line for line in glance(report))
    enough = replace(standing, dim=6)
    assert enough.verdict.startswith("possible")


def test_an_import_may_be_called_capacity(one: Result, tmp_path: Path, cli) -> None:
    """A retriever named as the folder of capacity records is a record like any other; capacity records below are none."""
    Store(tmp_path).write(other(one, name="capacity", configuration={"x": 1}))
    shutil.copytree(ROOT / "results" / "capacity", tmp_path / "local" / "capacity")
    assert [r.retriever.name for r in Store(tmp_path)] == ["capacity"]


def test_a_ceiling_stays_below_its_row(one: Result, store: Path, tmp_path: Path) -> None:
    """A reranker's ceiling sorts as a fraction, is no system of its own, and names its row."""
    best = {title: {"mean": 0.9, "worst": 0.9, "best": 0.9} for title in one.measures}
    Store(tmp_path).write(other(one, ceiling=best, name="reranked", configuration={"x": 1}))
    page = shown(tmp_path)
    row = re.search(r'<tr class="under"><th scope="row"><span class="w">reranked: its first stage.*?</tr>', page, re.S)
    assert row is not None
    assert 'data-v="0.9"' in row[0]


def test_many_relevant_documents(tmp_path: Path) -> None:
    """Of thirty relevant documents twenty are listed, and the last one's rank is that of all thirty; depth decides about sets."""
    scores = -np.arange(60.0)[None]
    run = Run.from_scores(scores, query_ids=("q",), document_ids=tuple(map(str, range(60))), depth=60)
    found = breakdown(run, Qrels.from_sets([range(0, 60, 2)], 60), 60)
    assert (len(found.relevant[0]), found.ranks[0][-1], found.last, found.others, found.fails(0)) == (
        20,
        39.0,
        [59.0],
        [29],
        True,
    )
    perfect = breakdown(run, Qrels.from_sets([range(30)], 60), 60)
    assert (perfect.last, perfect.others, perfect.fails(0)) == ([30.0], [0], False)


@pytest.mark.parametrize("name", ["BM25", "a$\\foo$b", "_hidden", "日本語 🙂", "x" * 300, "<b>`|\\"])
def test_names_of_every_kind(name: str, one: Result, tmp_path: Path, cli, recwarn) -> None:
    """A published system's name, mathematics, a leading underscore, other scripts, length and markup are names and nothing else."""
    Store(tmp_path).write(one)
    Store(tmp_path).write(other(one, name=name, configuration={"x": 1}))
    page = shown(tmp_path)
    assert __import__("html").escape(name, quote=False).replace("&quot;", '"') in page.replace("&#39;", "'").replace(
        "&#34;", '"'
    )
    assert not [w for w in recwarn if "Glyph" in str(w.message)]
    for form in ("md", "json", "svg"):
        assert cli("report", "--results", tmp_path, "--format", form, "--out", tmp_path / f"out-{form}")[0] == 0
    rows = [line for line in (tmp_path / "out-md").read_text().splitlines() if line.startswith("|")]
    cells = {len(re.findall(r"(?<!\\)\|", row)) for row in rows[:3]}
    assert len(cells) == 1


# read-outs of a run --------------------------------------------------------------------------------------------------------


def test_a_breakdown_by_hand() -> None:
    """Ranks, ties, what stands above and the gap, on a run small enough to read."""
    scores = np.array([[9.0, 8, 7, 6], [1, 5, 5, 5], [3, 2, 1, 0]])
    run = Run.from_scores(scores, query_ids=("a", "b", "c"), document_ids=tuple("wxyz"), depth=4)
    found = breakdown(run, Qrels.from_sets([[0, 2], [0, 1], []], 4), 4)
    assert (found.queries, found.relevant) == ([0, 1], [[0, 2], [1, 0]])
    assert (found.ranks, found.others, found.above) == ([[1.0, 3.0], [2.0, 4.0]], [1, 2], [[1], [2, 3]])
    assert found.gaps == [-1.0, -4.0]


def test_a_breakdown_says_what_it_cannot_know() -> None:
    """Below the depth, and not retrieved at all, a relevant document has no rank, and its query no gap."""
    scores = np.array([[9.0, 8, 7, 6], [1, -np.inf, -np.inf, -np.inf]])
    run = Run.from_scores(scores, query_ids=("a", "b"), document_ids=tuple("wxyz"), depth=2)
    found = breakdown(run, Qrels.from_sets([[0, 3], [1]], 4), 2)
    assert (found.ranks, found.gaps, found.others) == ([[1.0, None], [None]], [None, None], [1, 1])


def test_ranks_and_measures_agree(store: Path) -> None:
    """Recall@2 of every query is the number of ranks at most 2, where no tie is near; records hold numbers, no text or id."""
    for r in Store(store):
        if r.retriever.name != "wordllama" or r.dataset.name != "limit-small-synthetic":
            continue
        assert r.breakdown is not None
        recall = [sum(rank is not None and rank <= 2 for rank in ranks) / len(ranks) for ranks in r.breakdown.ranks]
        assert recall == pytest.approx([r.per_query["Recall@2"][q] for q in r.breakdown.queries])
        exact = sum(gap is not None and gap > 0 for gap in r.breakdown.gaps)
        assert exact == r.subsets.by_own_query == round(1000 * r.measures["ExactSet@2"].mean)
        names = load("limit-small-synthetic").corpus.ids
        assert not any(f'"{name}"' in r.to_json().decode() for name in names)
        return
    pytest.fail("found no record to look at")


def test_the_worst_queries_on_the_command_line(store: Path, cli) -> None:
    """`results show --failing` lists the worst queries with their ids, and what stands above the last relevant document."""
    r = next(r for r in Store(store) if r.retriever.name == "wordllama" and r.dataset.name == "limit-small-synthetic")
    code, out, _ = cli("results", "show", r.configuration_digest[:8], "--results", store, "--failing", "3")
    worst = min(range(1000), key=lambda q: r.per_query["Recall@2"][q])
    data = load("limit-small-synthetic")
    assert (code, out.count("Who likes")) == (0, 3)
    assert f"{data.queries.ids[worst]}: " in out
    old = next((ROOT / "results" / "pattern-cycle" / "wordllama").glob("*.json"))
    code, _, err = cli("results", "show", old, "--failing", "3")
    assert (code, "has no breakdown" in err) == (2, True)


def test_sets_that_never_come_back() -> None:
    """A relevant set counts as returned by any query, by its own, or never; a tie at the cut returns no set."""
    scores = np.array([[9.0, 8, 1, 0], [9, 8, 1, 0], [5, 4, 4, 0]])
    run = Run.from_scores(scores, query_ids=tuple("abc"), document_ids=tuple("wxyz"), depth=4)
    found = subsets(run, Qrels.from_sets([[2, 3], [0, 1], [0, 2]], 4), 4)
    assert found is not None
    assert (found.k, found.asked, found.by_own_query, found.by_any_query, found.distinct) == (2, 3, 1, 1, 1)
    assert (found.never, found.unseen_documents) == ([[0, 2], [2, 3]], 2)
    assert subsets(run, Qrels.from_sets([[], [], []], 4), 4) is None
    assert subsets(run, Qrels.from_sets([[0, 1], [2, 3], [0, 2]], 4), 1) is None


def test_the_spectrum_of_known_matrices() -> None:
    """Equal directions give the full rank, one direction gives 1, a rotation changes nothing; equal rows have no spectrum."""
    cross = np.vstack([np.eye(6), -np.eye(6)]).astype(np.float32)
    found = spectrum(cross)
    assert found is not None
    assert (found.participation_ratio, found.effective_rank, found.dims_90) == (pytest.approx(6), pytest.approx(6), 6)
    line = spectrum(np.outer(np.arange(5), np.ones(3)).astype(np.float32))
    assert line is not None
    assert (line.participation_ratio, line.effective_rank, line.dims_99) == (
        pytest.approx(1),
        pytest.approx(1, abs=1e-6),
        1,
    )
    x = np.random.default_rng(0).normal(size=(40, 5)).astype(np.float32)
    turned = spectrum(x @ np.linalg.qr(np.random.default_rng(1).normal(size=(5, 5)))[0].astype(np.float32))
    assert turned is not None
    assert turned.shares == pytest.approx(spectrum(x).shares, rel=1e-4)
    assert spectrum(np.ones((3, 2), np.float32)) is None
    assert spectrum(np.ones((1, 2), np.float32)) is None


@pytest.mark.parametrize(("dtype", "bits"), [("fp16", 11), ("bf16", 8)])
def test_the_bound_is_met_by_the_worst_vectors(dtype: str, bits: int) -> None:
    """Coordinates halfway between two numbers of the dtype move the score by nearly all that the bound allows, and no more."""
    dim = 256
    x = np.full((1, dim), 2.0**-4 * (1 + 2.0**-bits), np.float32)  # norm 1 + u; a tie, rounded to the even number below
    stored = Storage.fitted(dtype, x)(x)
    norm = float(np.linalg.norm(x.astype(np.float64)))
    moved = (
        abs(float((stored @ stored.T)[0, 0]) - float((x.astype(np.float64) @ x.T.astype(np.float64))[0, 0])) / norm**2
    )
    assert 0.9 * score_error(dtype, dim) < moved <= score_error(dtype, dim)


@pytest.mark.parametrize("dtype", ["fp16", "bf16", "fp32"])
@pytest.mark.parametrize("dim", [8, 384, 4096])
def test_a_score_moves_no_further_than_the_bound(dtype: str, dim: int) -> None:
    """Rounded to the dtype and summed in fp32, scores of unit vectors stay within `score_error` of the exact ones."""
    x = np.random.default_rng(dim).normal(size=(200, dim))
    x = (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)
    stored = Storage.fitted(dtype, x)(x)
    moved = np.abs((stored @ stored.T).astype(np.float64) - x.astype(np.float64) @ x.astype(np.float64).T).max()
    assert 0 < moved <= score_error(dtype, dim) * (1 + 1e-6)


# corpus size ---------------------------------------------------------------------------------------------------------------


def test_parts_keep_what_is_relevant() -> None:
    """A part holds every relevant document and its text, judgements and all, and larger parts hold smaller ones of their seed."""
    data = load("limit-small-synthetic")
    some = Dataset(
        "x", data.corpus, data.queries, Qrels.from_sets([row if max(row) < 9 else [] for row in data.qrels.sets()], 46)
    )
    small, large, other = subsample(some, 15, 0), subsample(some, 30, 0), subsample(some, 15, 1)
    assert (small.name, len(small.corpus), set(small.corpus.ids) <= set(large.corpus.ids)) == ("x@15.0", 15, True)
    assert small.corpus.ids != other.corpus.ids
    named = [[d.corpus.ids[i] for i in row] for d in (some, small) for row in d.qrels.sets()]
    assert named[:1000] == named[1000:]
    assert (
        dict(zip(small.corpus.ids, small.corpus.texts, strict=True)).items()
        <= dict(zip(data.corpus.ids, data.corpus.texts, strict=True)).items()
    )
    assert subsample(some, 46, 0).digest == some.digest
    for size in (8, 47):
        with pytest.raises(InputError, match=r"expected 9 .* to 46"):
            subsample(some, size, 0)


def test_recall_falls_as_the_corpus_grows(store: Path) -> None:
    """Of one dense retriever, recall can only fall with more distractors, query by query and so on the mean; parts stand aside elsewhere."""
    found = {c.retriever: c for c in curves(Store(store))}
    assert {c.sizes for c in found.values()} == {(9, 20, 46)}
    assert {c.draws for c in found.values()} == {(1, 2, 1)}
    means = [p.mean for p in found["wordllama"].points]
    assert means == sorted(means, reverse=True)
    assert means[0] > means[-1]
    assert {c.dataset for c in compare(Store(store))} == {"limit-small-synthetic", "small"}
    sentence = glance(gather(store))[-1]
    first, last = (f"{100 * at:.1f} %" for at in (means[0], means[-1]))
    assert f"wordllama's Recall@2 goes from {first} to {last} between 9 and 46 documents" in sentence


def test_drown_on_the_command_line(cli, tmp_path: Path) -> None:
    """Sizes come back with intervals; a second run reuses its records; what cannot be drawn is refused before any work."""
    data = load("graph-petersen")
    some = Dataset(
        "some",
        data.corpus,
        data.queries,
        Qrels.from_sets([row if max(row) < 6 else [] for row in data.qrels.sets()], 10),
    )
    write_folder(some, tmp_path / "some")
    results = tmp_path / "results"
    asked = ("drown", "-d", tmp_path / "some", "-r", "bm25", "--results", results, "--measures", "Recall@2")
    code, out, _ = cli(*asked, "--sizes", "7,full", "--json")
    (curve,) = json.loads(out)["curves"]
    assert (code, [(p["documents"], p["draws"]) for p in curve["points"]]) == (0, [(7, 3), (10, 1)])
    times = {path: path.stat().st_mtime_ns for path in results.glob("*/*/*.json")}
    assert len(times) == 4
    code, out, _ = cli(*asked, "--sizes", "7,full")
    assert (code, "7" in out, {path: path.stat().st_mtime_ns for path in times}) == (0, True, times)
    for sizes, says in (
        ("3,full", "found a size of 3 documents"),
        ("x", "expected numbers with commas"),
        ("full", "expected at least two"),
        ("7,99", "to 10"),
    ):
        code, _, err = cli(*asked, "--sizes", sizes)
        assert (code, says in err) == (2, True), err
    code, _, err = cli("drown", "-d", "graph-petersen", "-r", "bm25", "--results", results)
    assert (code, "none can be left out" in err) == (2, True)


def test_drowning_embeds_every_text_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The largest corpus is embedded, also where its own result is recorded; its parts find their texts' vectors, and have the
    figures of a part embedded by itself."""
    pytest.importorskip("sentence_transformers", reason="needs limitbench[models]")
    from limitbench.retrievers.dense import Encoder

    monkeypatch.setenv("LIMITBENCH_EMBEDDINGS_GB", "0")
    data = load("limit-small-synthetic")
    some = Dataset(
        "small",
        data.corpus,
        data.queries,
        Qrels.from_sets([row if max(row) < 9 else [] for row in data.qrels.sets()], 46),
    )
    encoded: list[str] = []
    once = Encoder._once
    monkeypatch.setattr(
        Encoder, "_once", lambda self, batch, size, side: (encoded.extend(batch), once(self, batch, size, side))[1]
    )
    results = Store(tmp_path)
    results.write(evaluate(some, "wordllama", measures="Recall@2"))
    encoded.clear()
    found = list(
        drown(some, ["wordllama"], sizes=[9, 20, 46], seeds=2, options=Options(measures="Recall@2", store=results))
    )
    assert len([text for text in encoded if text in set(data.corpus.contents)]) == 46
    alone = evaluate(subsample(some, 20, 1), "wordllama", measures="Recall@2")
    (same,) = (r for r in found if r.dataset.name == "small@20.1")
    assert same.per_query == alone.per_query
    assert same.retriever.facts["documents_from_cache"] == 20


# other systems' runs -------------------------------------------------------------------------------------------------------


def test_a_saved_run_comes_back_as_it_was(cli, tmp_path: Path) -> None:
    """Exported as TREC and imported, a run without ties has the same figures, under its own name, with no cost."""
    runs, results = tmp_path / "runs", tmp_path / "results"
    assert (
        cli("run", "-d", "limit-small-synthetic", "-r", "wordllama", "--results", results, "--save-runs", runs)[0] == 0
    )
    (saved,) = runs.glob("*/*/*.trec")
    code, out, _ = cli(
        "results", "import", saved, "-d", "limit-small-synthetic", "--name", "theirs", "--results", results, "--json"
    )
    record = next(r for r in Store(results) if r.retriever.name == "theirs")
    ours = next(r for r in Store(results) if r.retriever.name == "wordllama")
    assert (code, record.cost, json.loads(out)["retriever"]) == (0, None, "theirs")
    assert {t: m.mean for t, m in record.measures.items()} == pytest.approx(
        {t: m.mean for t, m in ours.measures.items()}, abs=1e-9
    )
    assert paired_randomisation(record.per_query["Recall@2"], ours.per_query["Recall@2"]) == 1.0
    for command in (
        ("list",),
        ("show", record.configuration_digest[:8]),
        ("export",),
        ("separate", "-d", "limit-small-synthetic"),
    ):
        assert cli("results", *command, "--results", results)[0] == 0
    assert cli("report", "--results", results, "--format", "md")[0] == 0


@pytest.mark.parametrize(
    ("content", "measures", "says"),
    [("", None, "ranks nothing"), ("nobody Q0 d 1 2.0 x\n", None, "answers no query of the dataset (its first is 'nobody')"), ("query_0 Q0 nobody 1 2.0 x\n", None, "ranks no document of the corpus (its first is 'nobody')"),
     ("one two\n", None, "expected TREC's"), ("ok", "Recall@10", "cannot be told")],
)  # fmt: skip
def test_runs_that_cannot_be_scored_are_refused(
    content: str, measures: str | None, says: str, cli, tmp_path: Path
) -> None:
    """Empty, foreign, malformed and too shallow runs are said in one sentence, and nothing is recorded."""
    data = load("graph-petersen")
    path = tmp_path / "run.trec"
    good = f"{data.queries.ids[0]} Q0 {escape_id(data.corpus.ids[0])} 1 2.0 x+escaped-ids\n"
    path.write_text(good if content == "ok" else content.replace("query_0", data.queries.ids[0]))
    extra = () if measures is None else ("--measures", measures)
    code, _, err = cli(
        "results", "import", path, "-d", "graph-petersen", "--name", "x", "--results", tmp_path / "r", *extra
    )
    assert (code, says in err, list((tmp_path / "r").glob("*/*/*.json"))) == (2, True, []), err


def test_endless_scores_are_ranked_and_leave_no_gap(cli, tmp_path: Path) -> None:
    """Infinite and huge scores order documents as any others; their gap is unknown, and the record and the page stay JSON."""
    data = load("graph-petersen")
    scores = dict(zip(data.corpus.ids, ("inf", "1e308", "-1e308", "3"), strict=False))
    lines = (
        f"{escape_id(q)} Q0 {escape_id(d)} 1 {s} x+escaped-ids\n" for q in data.queries.ids for d, s in scores.items()
    )
    (tmp_path / "run.trec").write_text("".join(lines))
    asked = ("-d", "graph-petersen", "--name", "endless", "--results", tmp_path / "r")
    assert cli("results", "import", tmp_path / "run.trec", *asked)[0] == 0
    (record,) = Store(tmp_path / "r")
    json.loads(record.to_json(), parse_constant=pytest.fail)
    assert any(gap is None for gap in record.breakdown.gaps)
    assert cli("report", "--results", tmp_path / "r")[0] == 0


def test_an_import_needs_a_name_and_happens_once(cli, tmp_path: Path) -> None:
    """No name, or an unprintable one, is refused; the same run again is said to be there."""
    data = load("graph-petersen")
    path = tmp_path / "run.trec"
    path.write_text(
        "".join(
            f"{escape_id(q)} Q0 {escape_id(d)} 1 {i} x+escaped-ids\n"
            for q in data.queries.ids
            for i, d in enumerate(data.corpus.ids)
        )
    )
    asked = ("results", "import", path, "-d", "graph-petersen", "--results", tmp_path / "r", "--name")
    for name in ("", " ", "a\nb"):
        code, _, err = cli(*asked, name)
        assert (code, "expected some printable characters" in err) == (2, True)
    assert "Wrote" in cli(*asked, "theirs")[1]
    code, out, err = cli(*asked, "theirs")
    assert (code, "was recorded before" in err, "Wrote" in out) == (0, True, False)


def edit(**changes):
    return lambda record: {**record, **changes}


@pytest.mark.parametrize(
    ("harm", "says"),
    [(lambda r: {**r, "measures": {**r["measures"], "Recall@2": {"mean": 0.99, "worst": 0.99, "best": 0.99}}}, "not the mean of the queries"),
     (lambda r: {**r, "measures": {**r["measures"], "Recall@2": {"mean": 7.0, "worst": 0, "best": 1}}}, "less than or equal to 1"),
     (edit(measures={}, per_query={}), "found none"), (edit(configuration_digest="0" * 64), "is not that of the data"),
     (lambda r: {**r, "retriever": {**r["retriever"], "configuration": {"adapter": "other"}}}, "is not that of the data"),
     (lambda r: {**r, "per_query": {k: v[1:] for k, v in r["per_query"].items()}}, "999 values for 1000 queries"),
     (lambda r: {**r, "breakdown": {**r["breakdown"], "ranks": r["breakdown"]["ranks"][1:]}}, "not equally long"),
     (lambda r: {**r, "breakdown": {**r["breakdown"], "above": [[9999]] * 1000}}, "outside 0 to 45"),
     (lambda r: {**r, "ceiling": {"Recall@7": r["measures"]["Recall@2"]}}, "is not measured"),
     (lambda r: {**r, "subsets": {**r["subsets"], "by_own_query": 999}}, "cannot be true together"),
     (lambda r: {**r, "breakdown": {**r["breakdown"], "others": [-1] * 1000}}, "a negative number"),
     (lambda r: {**r, "provenance": {**r["provenance"], "versions": None}}, "provenance.versions")],
)  # fmt: skip
def test_edited_records_are_refused(harm, says: str, one: Result, tmp_path: Path, cli) -> None:
    """A record that contradicts itself is an error that names its file, whatever reads it."""
    path = Store(tmp_path).write(one)
    path.write_text(json.dumps(harm(json.loads(path.read_text()))))
    for command in (("results", "list"), ("report",)):
        code, _, err = cli(*command, "--results", tmp_path)
        assert (code, says in err, str(path) in err) == (2, True, True), err


def test_records_under_another_name_are_refused(one: Result, tmp_path: Path, cli) -> None:
    """A copy, a renamed file and a bottomless one are said, not skipped."""
    path = Store(tmp_path).write(one)
    for name in ("wordllama copy.json", f"{'0' * 12}.json", f"{path.stem.upper()}X.json"):
        shutil.copy(path, path.with_name(name))
        code, _, err = cli("results", "list", "--results", tmp_path)
        assert (code, "is named for another configuration" in err) == (2, True), err
        path.with_name(name).unlink()
    path.write_text("[" * 100_000)
    assert "is not whole JSON" in cli("results", "list", "--results", tmp_path)[2]


def test_diff_tells_all_that_changed(one: Result, tmp_path: Path, cli) -> None:
    """Name, card, facts, ceilings and measures of one alone are named, and equal data are never called other data."""
    first, second = Store(tmp_path / "a"), Store(tmp_path / "b")
    a = first.write(one)
    best = {"Recall@2": {"mean": 0.9, "worst": 0.9, "best": 0.9}}
    b = second.write(
        other(
            one,
            values={"Recall@2": one.per_query["Recall@2"]},
            name="renamed",
            card={"revision": "2"},
            facts={**one.retriever.facts, "dim": 9},
            ceiling=best,
        )
    )
    code, out, _ = cli("results", "diff", a, b)
    assert (code, "other data" in out, "in one only" in out) == (0, False, True)
    for told in ("name", "card.revision", "facts.dim", "Recall@2 ceiling"):
        assert told in out, told


def test_published_figures_alone_are_no_report(tmp_path: Path, cli) -> None:
    """Nothing measured, nothing to compare: it says so."""
    Store(tmp_path).write(published_records()[0])
    code, _, err = cli("report", "--results", tmp_path)
    assert (code, "are published figures alone" in err) == (2, True)


def test_parts_alone_make_a_report(store: Path, tmp_path: Path, cli) -> None:
    """Records of parts without their whole have a page with a title, and `compare` says where to look."""
    for part_of in store.glob("small@*"):
        shutil.copytree(part_of, tmp_path / part_of.name)
    assert cli("report", "--results", tmp_path)[0] == 0
    assert "<h1>small</h1>" in (tmp_path / "report.html").read_text()
    code, _, err = cli("compare", "--results", tmp_path)
    assert (code, "parts of larger corpora alone" in err) == (2, True)


# the report ----------------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_page_is_one_file_that_refers_to_nothing(store: Path, cli, tmp_path: Path) -> None:
    """The page has every section, names no other resource, is the same each time, and its ids are unique."""
    pytest.importorskip("jinja2", reason="needs jinja2: limitbench[plots]")
    out = tmp_path / "page.html"
    code, shown, _ = cli("report", "--results", store, "--out", out, "--json")
    assert (code, json.loads(shown)["written"]) == (0, [str(out)])
    page = out.read_text(encoding="utf-8")
    for heading in (
        "At a glance",
        "limit-small-synthetic",
        "Corpus size",
        "Capacity",
        "Query by query",
        "Run it again",
    ):
        assert re.search(rf"<h2[^>]*>{heading}</h2>", page), heading
    links = re.findall(r"""(?:href|src)=["']?([^"'\s>]+)""", page)
    assert {link[:5] for link in links} - {"data:"} == {link[:5] for link in links if link.startswith("#")}
    assert not re.search(r"@import|url\((?!#)", page)
    ids = re.findall(r'\sid="([^"]+)"', page)
    assert len(ids) == len(set(ids))
    assert {link[1:] for link in links if link.startswith("#")} <= set(ids)
    cli("report", "--results", store, "--out", out)
    assert page.replace(" --json", "") == out.read_text(encoding="utf-8")


def test_hostile_names_stay_text(tmp_path: Path, cli) -> None:
    """Names and texts with markup, quotes and a closing script tag are shown, not run."""
    pytest.importorskip("jinja2", reason="needs jinja2: limitbench[plots]")
    data = load("graph-petersen")
    bad = "</script><img src=x onerror=alert(1)>"
    corpus = type(data.corpus)(data.corpus.ids, (bad, *data.corpus.texts[1:]), data.corpus.titles)
    odd = Dataset(f"odd {bad} & 'co'", corpus, data.queries, data.qrels)
    Store(tmp_path).write(evaluate(odd, "bm25", measures="Recall@2"))
    from limitbench.report.page import html

    write_folder(odd, tmp_path / "data")
    page = html(gather(tmp_path, places=[str(tmp_path / "data")]))
    assert bad not in page
    assert page.count("<script") == page.count("</script>") == 2
    assert "&lt;/script&gt;&lt;img src=x" in page


@pytest.mark.slow
def test_figures_are_files_of_their_own(store: Path, cli, tmp_path: Path) -> None:
    """--format svg writes one well-formed, self-contained SVG with a title for each figure."""
    from xml.etree import ElementTree

    pytest.importorskip("matplotlib", reason="needs matplotlib: limitbench[plots]")
    assert cli("report", "--results", store, "--format", "svg", "--out", tmp_path)[0] == 0
    names = {path.stem for path in tmp_path.glob("*.svg")}
    assert {"critical-n", "recall-dimension-data-limit-small-synthetic", "qrels-data-limit-small-synthetic", "corpus-size-small",
            "quality-cost-data-limit-small-synthetic", "spectrum-data-limit-small-synthetic", "gaps-data-limit-small-synthetic"} <= names  # fmt: skip
    for path in tmp_path.glob("*.svg"):
        root = ElementTree.fromstring(path.read_text(encoding="utf-8"))
        assert root.find("{http://www.w3.org/2000/svg}title") is not None
        assert "http" not in re.sub(r"http://www\.w3\.org/[^\"]*", "", path.read_text(encoding="utf-8"))


def test_json_and_markdown_say_the_same(store: Path, cli, tmp_path: Path) -> None:
    """JSON is exact and holds intervals, groups, standings and commands; Markdown shows the same figures."""
    assert cli("report", "--results", store, "--format", "json", "--out", tmp_path / "r.json")[0] == 0
    assert cli("report", "--results", store, "--format", "md", "--out", tmp_path / "r.md")[0] == 0
    found = json.loads((tmp_path / "r.json").read_text())
    table = next(t for t in found["tables"] if t["dataset"]["name"] == "limit-small-synthetic")
    row = next(r for r in table["rows"] if r["system"] == "bm25")
    recall = row["measures"]["Recall@2"]
    assert recall["low"] < recall["mean"] < recall["high"]
    standing = next(
        s for s in found["standing"] if s["retriever"] == "wordllama" and s["dataset"] == "limit-small-synthetic"
    )
    assert (standing["lower"], standing["upper"], standing["dim"]) == (4, 4, 256)
    assert "possible (proved)" in standing["verdict"]
    assert standing["reached"][0] > 10
    text = (tmp_path / "r.md").read_text()
    assert f"{100 * recall['mean']:.1f}" in text
    assert cli("report", "--results", store, "--format", "json", "--out", tmp_path / "again.json")[0] == 0
    assert {k: v for k, v in json.loads((tmp_path / "again.json").read_text()).items() if k != "command"} == {
        k: v for k, v in found.items() if k != "command"
    }
    assert "Where each dimension stands" in text


def test_reports_without_data_or_extras(store: Path, cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Records of data that are not at hand still make a page; an empty folder, a wrong format and a missing library are said."""
    code, _, err = cli("report", "--results", store, "--out", tmp_path / "x.html", "-d", "small")
    assert (code, "texts and relevance of small are not at hand" in err) == (0, True)
    assert "data: " not in err
    assert cli("report", "--results", tmp_path / "nothing")[0] == 2
    assert "no records for typo" in cli("report", "--results", store, "-d", "small", "-d", "typo")[2]
    (tmp_path / "empty").mkdir()
    code, _, err = cli("report", "--results", tmp_path / "empty")
    assert (code, "there are no records" in err) == (2, True)
    assert "expected html, md, json, svg, pdf, png" in cli("report", "--results", store, "--format", "gif")[2]
    code, _, err = cli("report", "--results", store, "--data", ROOT / "tests" / "golden")
    assert code == 2
    monkeypatch.setitem(__import__("sys").modules, "jinja2", None)
    code, _, err = cli("report", "--results", store)
    assert (code, "pip install 'limitbench[plots]'" in err) == (2, True)


def test_old_records_make_a_report_too(cli, tmp_path: Path) -> None:
    """Records of schema version 1, as the patterns' are but for BM25's, are read and shown without what they lack."""
    shutil.copytree(
        ROOT / "results" / "pattern-cycle", tmp_path / "pattern-cycle", ignore=shutil.ignore_patterns("bm25")
    )
    assert {r.schema_version for r in Store(tmp_path)} == {1}
    assert cli("report", "--results", tmp_path)[0] == 0
    page = (tmp_path / "report.html").read_text()
    assert "Query by query</h2>" not in page
    assert "pattern-cycle" in page


def test_the_heat_map_by_hand() -> None:
    """Cells are shares of relevant pairs; queries stand by their documents, and unused documents and queries are left out."""
    assert heat(Qrels.from_sets([[0, 1]] * 401, 2)).max() <= 1
    grid = heat(Qrels.from_sets([[5], [1, 2], [], [1]], 9))
    assert grid.tolist() == [[1, 0, 0], [1, 1, 0], [0, 0, 1]]
    assert heat(Qrels.from_sets([[0, 1], [2, 3]], 4), most=2).tolist() == [[1, 0], [0, 1]]


@pytest.mark.parametrize("kind", ["pdf", "png"])
def test_figures_for_papers_have_the_colours_of_paper(kind: str, store: Path, cli, tmp_path: Path) -> None:
    """Every figure as a file, none in the colours that only stand for ink, grid and paper."""
    from limitbench.report.saved import save
    from limitbench.report.svg import INK, drawing

    assert cli("report", "--results", store, "--format", kind, "--out", tmp_path)[0] == 0
    files = sorted(tmp_path.glob(f"*.{kind}"))
    assert len(files) > 6
    assert all(path.read_bytes()[:4] in (b"%PDF", b"\x89PNG") for path in files)
    with drawing(3, 3) as figure:
        ax = figure.subplots()
        ax.scatter([1, 2], [1, 2], facecolor=["#070809", "#0072B2"], edgecolor=INK)
        line = ax.plot([1, 2], [1, 2], marker="o", mfc="#070809", color=INK)[0]
        save(figure, tmp_path / f"one.{kind}", "one", "one")
        assert (line.get_color(), line.get_markerfacecolor()) == (
            pytest.approx((0x22 / 255,) * 3 + (1,)),
            pytest.approx((1, 1, 1, 1)),
        )
        assert ax.collections[0].get_facecolor()[:, 0] == pytest.approx([1, 0])
        assert ax.xaxis.label.get_color() != INK


# the leaderboard -----------------------------------------------------------------------------------------------------------


def test_the_leaderboard_is_current(cli) -> None:
    """results/README.md is what the records beside it render to, and names a command for every row of ours."""
    code, out, _ = cli("leaderboard", "--results", ROOT / "results", "--check", "--json")
    assert (code, json.loads(out)["current"]) == (0, True)
    text = (ROOT / "results" / "README.md").read_text(encoding="utf-8")
    for r in Store(ROOT / "results"):
        if r.dataset.part_of is None:
            assert r.configuration_digest[:12] in text
            assert str(r.provenance["command"]) in text


def test_a_stale_leaderboard_is_noticed(store: Path, cli, tmp_path: Path) -> None:
    """--check exits with 1 where the file is missing or old, and with 0 once it is written."""
    out = tmp_path / "README.md"
    assert cli("leaderboard", "--results", store, "--out", out, "--check")[0] == 1
    assert cli("leaderboard", "--results", store, "--out", out)[0] == 0
    assert cli("leaderboard", "--results", store, "--out", out, "--check")[0] == 0
    text = out.read_text()
    assert "tfidf-items (knows LIMIT's sentence form; not a general retriever)" in text


# a browser -----------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def browser():
    """Headless Chromium; skips, saying so, where it or its driver is not installed."""
    binary, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if binary is None or driver is None:
        pytest.skip("needs Debian's chromium and chromium-driver: apt-get install chromium chromium-driver")
    selenium = pytest.importorskip("selenium.webdriver", reason="needs selenium")
    options = selenium.ChromeOptions()
    options.binary_location = binary
    for flag in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    window = selenium.Chrome(options=options, service=selenium.ChromeService(driver))
    yield window
    window.quit()


def emulate(browser, width: int, scheme: str) -> None:
    """A window of this width, a phone's below 600 pixels, in a light or dark scheme; what was logged before is forgotten."""
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    browser.get("about:blank")
    browser.get_log("browser")
    browser.get_log("performance")


def requested(browser) -> set[str]:
    """The URLs that were asked for since `emulate`."""
    asked = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    return {m["params"]["request"]["url"] for m in asked if m["method"] == "Network.requestWillBeSent"}


@pytest.mark.process
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 768, 1280])
def test_the_page_in_a_browser(width: int, scheme: str, browser, store: Path, tmp_path: Path, cli) -> None:
    """From disk, at this width: sorting, filtering and a query's details work; no console message, no request, nothing sticks out."""
    page = tmp_path / "report.html"
    assert cli("report", "--results", store, "--out", page)[0] == 0
    emulate(browser, width, scheme)
    browser.get(page.as_uri())
    run = browser.execute_script

    table = "#data-limit-small-synthetic-t"
    systems = f"return [...document.querySelectorAll('{table} tbody tr')].filter(r => !r.hidden).map(r => [...r.cells[0].querySelectorAll('.nb,.w')].map(p => p.textContent).join(''))"
    folded = f"return [...document.querySelectorAll('{table} tbody tr')].filter(r => r.offsetHeight).map(r => [...r.cells[0].querySelectorAll('.nb,.w')].map(p => p.textContent).join(''))"
    assert {"wordllama,dim=8", "wordllama,dim=64"}.isdisjoint(run(folded)), "variants stand under their model"
    assert "wordllama" in run(folded)
    before = run(systems)
    run(f"document.querySelectorAll('{table} thead button')[0].click()")
    natural = [re.sub(r"\d+", lambda found: found[0].zfill(9), name.lower()) for name in (*run(systems), *before)]
    assert natural[: len(before)] == sorted(natural[len(before) :])
    numbers = f"return [...document.querySelectorAll('{table} tbody tr')].map(r => r.cells[4].dataset.v).filter(Boolean).map(Number)"
    run(f"document.querySelectorAll('{table} thead button')[4].click()")
    falling = run(numbers)
    assert falling == sorted(falling, reverse=True)
    assert run(f"return document.querySelectorAll('{table} thead th')[4].ariaSort") == "descending"
    run(
        f"const f = document.querySelector('[data-filter=\"{table[1:]}\"]'); f.value = 'wordllama'; f.dispatchEvent(new Event('input'))"
    )
    assert set(run(folded)) == {"wordllama", "wordllama,dim=8", "wordllama,dim=64"}

    choose = """const s = document.getElementById('drill-run'); s.value = [...s.options].find(o => o.textContent === arguments[0]).value;
                s.dispatchEvent(new Event('change'));"""
    run(choose, "limit-small-synthetic: wordllama")
    r = next(r for r in Store(store) if (r.retriever.name, r.dataset.name) == ("wordllama", "limit-small-synthetic"))
    failing = 1000 - r.subsets.by_own_query
    assert run("return document.getElementById('drill-count').textContent") == f"{failing} of 1000 queries"
    run("document.querySelector('#drill tbody button').click()")
    opened = run("return document.querySelector('#drill tr.detail').textContent")
    data = load("limit-small-synthetic")
    first = run("return document.querySelector('#drill tbody tr').cells[0].textContent")
    q = next(i for i, name in enumerate(data.queries.ids) if first.startswith(f"{name}:"))
    for d in list(data.qrels.sets())[q]:
        assert data.corpus.ids[d] in opened
    assert "Not relevant" in opened
    run("document.querySelectorAll('#drill thead button')[4].click()")
    run("document.querySelector('#drill tbody button').scrollIntoView({block: 'center'})")

    explored(run)
    assert run("return document.documentElement.scrollWidth") <= width
    assert run(CLIPPED) == [], "a name is broken inside a word, or a figure is cut"
    if width == 1280:
        scrolled = (
            "const t = document.querySelector(arguments[0]); return t.scrollWidth - t.closest('.wide').clientWidth"
        )
        assert run(scrolled, table) <= 0, "the comparison fits a laptop's window"
    assert (
        run("return document.querySelectorAll('svg[role=img] > title').length")
        == run("return document.querySelectorAll('svg').length")
        > 6
    )
    levels = run("return [...document.querySelectorAll('h1,h2,h3')].map(h => Number(h.tagName[1]))")
    assert (levels.count(1), max(np.diff(levels))) == (1, 1)
    assert run("return [...document.querySelectorAll('input,select')].every(e => e.closest('label'))")
    assert contrast(run) >= 4.5

    ARTEFACTS.mkdir(exist_ok=True)
    height = min(12_000, run("return document.documentElement.scrollHeight"))
    shot = browser.execute_cdp_cmd("Page.captureScreenshot", {"captureBeyondViewport": True, "clip": {"x": 0, "y": 0, "width": width, "height": height, "scale": 1}})  # fmt: skip
    (ARTEFACTS / f"report-{width}-{scheme}.png").write_bytes(__import__("base64").b64decode(shot["data"]))
    assert [entry["message"] for entry in browser.get_log("browser")] == []
    urls = requested(browser)
    assert {url for url in urls if not url.startswith("data:")} == {page.as_uri()}


CLIPPED = """
    const bad = [];
    for (const piece of document.querySelectorAll('.nb')) if (innerWidth > 640 && piece.getClientRects().length > 1) bad.push(piece.textContent);
    for (const svg of document.querySelectorAll('figure svg')) {
      const place = svg.closest('.wide');
      if (svg.getBoundingClientRect().width > place.scrollWidth + 1) bad.push(svg.closest('figure').id);
      const box = svg.viewBox.baseVal;
      for (const text of svg.querySelectorAll('text')) {
        const at = text.getBBox();
        if (at.width && !text.closest('[transform*=rotate]') && text.closest('g[id*=legend]') === null && at.width > box.width) bad.push(text.textContent);
      }
    }
    return bad;
"""


def explored(run) -> None:
    """A figure's marks say their values, its series can be left out, and it can be enlarged."""
    figure = "document.getElementById('figure-recall-dimension-data-limit-small-synthetic')"
    said = run(
        f"""const mark = {figure}.querySelector('g[data-series=wordllama] use[data-tip]');
        const point = (kind) => mark.dispatchEvent(new PointerEvent(kind, {{bubbles: true, clientX: 50, clientY: 300}}));
        point('pointermove');
        const tip = document.getElementById('tip');
        const text = tip.hidden ? '' : tip.textContent;
        mark.closest('svg').dispatchEvent(new PointerEvent('pointerleave'));
        return [text, tip.hidden];"""
    )
    assert re.fullmatch(r"wordllama \(measured\): Recall@2 [\d.]+ % \([\d.]+ to [\d.]+\), 8 dimensions", said[0])
    assert said[1]
    toggled = run(
        f"""const box = [...{figure}.querySelectorAll('fieldset label')].find(l => l.textContent.trim() === 'wordllama').firstChild;
        const shown = () => [...{figure}.querySelectorAll('g[data-series=wordllama]')].map(g => g.style.display !== 'none');
        const before = shown(); box.click(); const after = shown(); box.click(); return [before, after, shown()];"""
    )
    assert [set(one) for one in toggled] == [{True}, {False}, {True}]
    widths = run(
        f"""const width = () => {figure}.querySelector('svg').getBoundingClientRect().width;
        const button = {figure}.querySelector('button[aria-pressed]');
        const small = width(); button.click(); const large = width(); button.click(); return [small, large, width()];"""
    )
    assert widths[1] > 1.5 * widths[0]
    assert widths[2] == widths[0]


@pytest.mark.process
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 768, 1280])
def test_the_leaderboard_in_a_browser(width: int, scheme: str, browser, store: Path, tmp_path: Path, cli) -> None:
    """One dataset at a time; names and measured rows can be filtered; a name opens its record, which moves with its row."""
    page = tmp_path / "leaderboard.html"
    assert cli("leaderboard", "--results", store, "--out", page)[0] == 0
    emulate(browser, width, scheme)
    browser.get(page.as_uri())
    run = browser.execute_script
    shown = "return [...document.querySelectorAll('section')].filter(s => s.offsetHeight).map(s => s.id)"
    assert run(shown) == ["data-limit-small-synthetic"]
    table = "document.getElementById('data-limit-small-synthetic-t')"
    rows = f"return [...{table}.tBodies[0].rows].filter(r => r.offsetHeight).map(r => r.className)"
    assert "published" in run(rows)
    run("document.querySelector('[data-measured]').click()")
    assert set(run(rows)) == {"ours"}
    run(f"[...{table}.querySelectorAll('button.more')].find(b => b.textContent === 'bm25').click()")
    opened = f"return [...{table}.querySelectorAll('tr.record')].filter(r => r.offsetHeight).map(r => r.previousElementSibling.cells[0].textContent + r.textContent)"
    (told,) = run(opened)
    r = next(r for r in Store(store) if r.retriever.name == "bm25" and r.dataset.name == "limit-small-synthetic")
    assert told.startswith("bm25")
    assert r.configuration_digest in told
    run(f"{table}.querySelectorAll('thead button')[0].click()")
    assert run(opened) == [told]
    assert run(CLIPPED) == []
    broken = f"return [...{table}.querySelectorAll('.nb')].filter(p => p.offsetWidth > p.closest('th').clientWidth + 1).map(p => p.textContent)"
    assert run(broken) == []
    assert run("return document.documentElement.scrollWidth") <= width
    assert contrast(run) >= 4.5
    run("document.querySelector('.tabs a[href=\"#corpus-size\"]').click()")
    assert run(shown) == ["corpus-size"]
    assert [entry["message"] for entry in browser.get_log("browser")] == []
    urls = requested(browser)
    assert {url.partition("#")[0] for url in urls if not url.startswith("data:")} <= {page.as_uri()}


def test_long_names_fit_a_phone(one: Result, browser, tmp_path: Path) -> None:
    """A dataset and retrievers with names of a hundred letters make no page that sticks out of a phone."""
    long = {"name": "dataset-" + "x" * 90, "published_as": None}
    for name in ("a", "b"):
        Store(tmp_path).write(other(one, dataset=long, name=name + "y" * 99, configuration={"x": name}))
    (tmp_path / "page.html").write_text(shown(tmp_path), encoding="utf-8")
    browser.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride", {"width": 390, "height": 900, "deviceScaleFactor": 1, "mobile": True}
    )
    browser.get((tmp_path / "page.html").as_uri())
    assert browser.execute_script("return document.documentElement.scrollWidth") <= 390


def contrast(run) -> float:
    """The least WCAG contrast of text on its background, over the elements that hold text."""
    pairs = run("""
        const behind = (e) => { for (; e; e = e.parentElement) { const c = getComputedStyle(e).backgroundColor; if (!/, 0\\)$|transparent/.test(c)) return c; } return 'rgb(255, 255, 255)'; };
        const found = new Set();
        for (const e of document.querySelectorAll('body *:not(svg *):not(script)'))
          if ([...e.childNodes].some(n => n.nodeType === 3 && n.textContent.trim()) && e.offsetParent)
            found.add(getComputedStyle(e).color + '|' + behind(e));
        return [...found];
    """)

    def luminance(colour: str) -> float:
        parts = [int(x) / 255 for x in re.findall(r"\d+", colour)[:3]]
        r, g, b = (x / 12.92 if x <= 0.04045 else ((x + 0.055) / 1.055) ** 2.4 for x in parts)
        return 0.2126 * r + 0.7152 * g + 0.0722 * b

    ratios = []
    for pair in pairs:
        low, high = sorted(map(luminance, pair.split("|")))
        ratios.append((high + 0.05) / (low + 0.05))
    return min(ratios)
