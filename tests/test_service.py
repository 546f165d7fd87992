"""A realistic service, examples/rag-service: what teams do to it by mistake, replayed, and changes that harm nobody.

Every mistake ends as violated, with the cause that the table names: where the service reports its settings, and where it reports nothing.
Every harmless change is green.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from conftest import ROOT

from limitbench.checks import check
from limitbench.checks.formats.common import causes_of

SERVICE = ROOT / "examples" / "rag-service"
Edit = Callable[[Path], None]
pytestmark = [
    pytest.mark.process,
    pytest.mark.skipif(
        not all(map(__import__("importlib").util.find_spec, ("wordllama", "faiss"))),
        reason="needs limitbench[models,ann]",
    ),
]


def copied(folder: Path) -> Path:
    """The example, as a project of its own."""
    shutil.copytree(SERVICE, folder / "service", ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "service" / ".git").mkdir()
    return folder / "service"


def put(file: str, pattern: str, text: str) -> Edit:
    """Replace what matches, which must be there."""

    def edit(home: Path) -> None:
        before = (home / file).read_text(encoding="utf-8")
        after, count = re.subn(pattern, lambda _found: text, before, flags=re.M)
        assert count, (file, pattern)
        (home / file).write_text(after, encoding="utf-8")

    return edit


def setting(key: str, value: str) -> Edit:
    """Another value of a key of service.toml."""
    return put("service.toml", rf"^{key} = .*$", f"{key} = {value}")


def code(old: str, new: str) -> Edit:
    """Other code in service.py."""
    return put("service.py", re.escape(old), new)


def rows(change: Callable[[list[dict]], list[dict]], *files: str) -> Edit:
    """Other lines in jsonl files: the index's chunks, the corpus, the questions."""

    def edit(home: Path) -> None:
        for file in files:
            before = [json.loads(line) for line in (home / file).read_text(encoding="utf-8").splitlines()]
            (home / file).write_text("".join(json.dumps(row) + "\n" for row in change(before)), encoding="utf-8")

    return edit


def both(*edits: Edit) -> Edit:
    """One edit after another."""

    def edit(home: Path) -> None:
        for one in edits:
            one(home)

    return edit


INDEX, CORPUS, QUERIES = "index/chunks.jsonl", "eval/corpus.jsonl", "eval/queries.jsonl"
RUN = "    return {query: made.answer(text, top_k) for query, text in queries.items()}"
VECTORS = "        vectors = self.embedding.texts(self.texts)\n"
OTHER = 'Embedding("hashed", normalise=True, max_characters=2000)'
SEEN = "settings-changed"


@dataclass(frozen=True)
class Mistake:
    """What somebody did; the cause that must be among the first two, and the one that is seen when the service reports nothing."""

    edit: Edit
    cause: str | None
    alone: str | None = None


MISTAKES = {
    "another model": Mistake(setting("model", '"hashed"'), SEEN),
    "the document template is dropped": Mistake(setting("template", '"{text}"'), SEEN, "scores-rescaled"),
    "only titles are embedded": Mistake(setting("template", '"{title}"'), SEEN),
    "vectors are no longer normalised": Mistake(setting("normalise", "false"), SEEN),
    "texts are cut at 120 characters": Mistake(setting("max_characters", "120"), SEEN, "long-documents"),
    "texts are cut at 60 characters": Mistake(setting("max_characters", "60"), SEEN),
    "chunks are numbered from 0": Mistake(
        rows(lambda old: [{**r, "_id": re.sub(r"#(\d)", lambda m: f"#{int(m[1]) - 1}", r["_id"])} for r in old], INDEX),
        "ids-unknown", "ids-unknown",
    ),
    "ids are escaped": Mistake(
        rows(lambda old: [{**r, "_id": r["_id"].replace("#", "%23")} for r in old], INDEX), "ids-unknown", "ids-unknown"
    ),
    "a stale index": Mistake(rows(lambda old: [r for i, r in enumerate(old) if i % 4], INDEX), "index-stale", "never-returned"),
    "deleted pages stay in the index": Mistake(
        rows(lambda old: old + [{**r, "_id": "old/" + r["_id"].replace("/", "-")} for r in old], INDEX), "ids-unknown", "ids-unknown"
    ),
    "a thin HNSW graph and efSearch 1": Mistake(both(setting("kind", '"HNSW2"'), setting("search", "1")), SEEN, "LB306"),
    "an IVF index and nprobe 1": Mistake(both(setting("kind", '"IVF32,Flat"'), setting("search", "1")), SEEN, "LB306"),
    "product quantisation": Mistake(setting("kind", '"PQ4x2"'), SEEN, "LB306"),
    "a filter leaves out a section": Mistake(setting("leave_out", '["repair"]'), SEEN, "section-lost"),
    "a filter leaves out two sections": Mistake(setting("leave_out", '["safety", "returns"]'), SEEN, "section-lost"),
    "top_k of 2": Mistake(setting("top_k", "2"), SEEN, "too-few-returned"),
    "the reranker is off": Mistake(setting("on", "false"), SEEN, "scores-rescaled"),
    "the reranker reads two candidates": Mistake(setting("depth", "2"), SEEN, "too-few-returned"),
    "the analyser is off": Mistake(both(setting("stem", "false"), setting("lowercase", "false")), SEEN, "word-forms"),
    "only words are searched": Mistake(setting("dense", "0.0"), SEEN, "scores-rescaled"),
    "three candidates": Mistake(setting("candidates", "3"), SEEN, "too-few-returned"),
    "questions with digits are not answered": Mistake(
        code(RUN, RUN[:-1] + "\n           if len(text) > 26 and not any(c.isdigit() for c in text)}"), "unanswered", "unanswered"
    ),
    "distances are handed on as scores": Mistake(setting("scores", '"distance"'), "scores-reversed", "scores-reversed"),
    "all scores are 1": Mistake(code("{self.ids[c]: scored[c] for c in kept}", "{self.ids[c]: 1.0 for c in kept}"), "equal-scores", "equal-scores"),
    "half of the index is of another model": Mistake(
        code(VECTORS, f"{VECTORS}        vectors[::2] = {OTHER}.texts(self.texts[::2])\n"), "other-vectors", "never-returned"
    ),
    "questions are embedded by another model": Mistake(
        code("        asked = self.embedding.texts(", f"        self.other = getattr(self, 'other', None) or {OTHER}\n"
             "        asked = self.other.texts("), "scores-rescaled", "scores-rescaled",
    ),
    "answers are joined by position": Mistake(
        code(RUN, "    names = list(queries)\n    return {names[i - 1]: made.answer(queries[q], top_k) for i, q in enumerate(names)}"),
        "answers-shifted", "answers-shifted",
    ),
    "one chunk of a page alone is returned": Mistake(
        code("        kept = order[:", "        first = {self.ids[c].partition('#')[0]: c for c in reversed(order)}\n"
             "        order = [c for c in order if c in set(first.values())]\n        kept = order[:"), None,
    ),
    "questions are cut at 18 characters": Mistake(code("made.answer(text, top_k)", "made.answer(text[:18], top_k)"), None),
    "the service answers at random": Mistake(
        both(code("scored[c] for c in kept}", "scored[c] + np.random.random() for c in kept}"),
             put("limitbench.toml", r"^timeout = .*$", "timeout = 120.0\nrepeat = 2")), "answers-differ", "answers-differ",
    ),
}  # fmt: skip
GOLDEN = ROOT / "tests" / "golden" / "service.json"  # every cause that is told of every mistake


@pytest.mark.parametrize("name", MISTAKES)
@pytest.mark.parametrize("report", [True, False], ids=["reporting", "silent"])
def test_a_mistake_is_caught_and_named(name: str, report: bool, tmp_path: Path) -> None:
    """Exit code 1 by a gate; the cause is among the first that are told, or a rule says it; and no other is told than the golden ones."""
    mistake, home = MISTAKES[name], copied(tmp_path)
    mistake.edit(home)
    if not report:
        setting("report", "false")(home)
    found = check(home)
    broken = {finding.rule for finding in found.findings if finding.fails}
    assert (found.exit_code, bool(broken & {"LB301", "LB302", "LB310"})) == (1, True), found.findings
    told = [cause for causes in causes_of(found).values() for cause in causes]
    rules = sorted({finding.rule for finding in found.findings} & {"LB304", "LB305", "LB306", "LB307"})
    seen = {
        "likely": [c.name for c in told if c.counted],
        "patterns": [c.name for c in told if not c.counted],
        "rules": rules,
    }
    golden = json.loads(GOLDEN.read_text(encoding="utf-8")) if GOLDEN.exists() else {}
    key = f"{name}, {'reporting' if report else 'silent'}"
    if os.environ.get("LIMITBENCH_WRITE_GOLDEN"):
        golden[key] = seen
        GOLDEN.write_text(json.dumps(golden, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    assert seen == golden[key]
    expected = mistake.cause if report else mistake.alone
    first = [*seen["likely"][:2], *seen["patterns"][:1], *seen["rules"]]
    assert expected in first if expected is not None else not seen["likely"] + seen["rules"], seen


def test_thirty_mistakes_are_replayed_and_most_are_named() -> None:
    """At least 30; at least 26 named where the service reports, and 24 where it does not."""
    assert len(MISTAKES) >= 30
    assert sum(mistake.cause is not None for mistake in MISTAKES.values()) >= 26

    assert sum(mistake.alone is not None for mistake in MISTAKES.values()) >= 24


PAGE = {"_id": "policy/parking#1", "title": "Parking", "text": "There is a car park behind each shop."}
TEN = [
    {"_id": f"guide/recipe#{i}", "title": f"Recipe {i}", "text": f"Soup number {i} is made of leeks and barley."}
    for i in range(10)
]
HARMLESS: dict[str, Edit] = {
    "nothing": lambda _home: None,
    "a page is added": rows(lambda old: [*old, PAGE], CORPUS, INDEX),
    "a section is added": rows(lambda old: old + TEN, CORPUS, INDEX),
    "a page is added at the top": rows(lambda old: [PAGE, *old], CORPUS, INDEX),
    "a page that nobody judged is removed": rows(lambda old: [r for r in old if r["_id"] != "policy/jobs#1"], CORPUS, INDEX),
    "a page that nobody judged is reworded": rows(
        lambda old: [{**r, "text": "We have no jobs."} if r["_id"] == "policy/jobs#1" else r for r in old], CORPUS, INDEX
    ),
    "pages are in another order": rows(lambda old: old[::-1], CORPUS, INDEX),
    "a word in three judged pages changes": rows(
        lambda old: [{**r, "text": r["text"].replace("sponge", "cloth")} if i in (50, 53, 56) else r for i, r in enumerate(old)],
        CORPUS, INDEX,
    ),
    "the pages of a section end with a sentence more": rows(
        lambda old: [{**r, "text": r["text"] + " Thank you."} if r["_id"].startswith("power") else r for r in old], CORPUS, INDEX
    ),
    "a question is reworded": put(QUERIES, r'"_id": "q001", "text": "', '"_id": "q001", "text": "Please, '),
    "an unjudged question is added": rows(lambda old: [*old, {"_id": "new", "text": "where can I park my car"}], QUERIES),
    "a judged question is added": both(
        rows(lambda old: [*old, {"_id": "new", "text": "when are you open"}], QUERIES),
        put("eval/qrels/test.tsv", r"\Aquery-id", "query-id"),
        lambda home: (home / "eval/qrels/test.tsv").write_text((home / "eval/qrels/test.tsv").read_text() + "new\tpolicy/opening-hours#1\t1\n"),
    ),
    "a question is no longer judged": put("eval/qrels/test.tsv", r"^q002\t.*\n", ""),
    "a question is removed": both(
        put("eval/qrels/test.tsv", r"^q002\t.*\n", ""), rows(lambda old: [r for r in old if r["_id"] != "q002"], QUERIES)
    ),
    "judgements of grade 0 are added": lambda home: (home / "eval/qrels/test.tsv").write_text(
        (home / "eval/qrels/test.tsv").read_text() + "".join(f"q{i:03d}\tpolicy/jobs#1\t0\n" for i in range(1, 60))
    ),
    "a grade is raised": lambda home: (home / "eval/qrels/test.tsv").write_text(
        re.sub(r"(?m)^(q003\t.*\t)1$", r"\g<1>2", (home / "eval/qrels/test.tsv").read_text())
    ),
    "judgements are in another order": lambda home: (home / "eval/qrels/test.tsv").write_text(
        "".join([(lines := (home / "eval/qrels/test.tsv").read_text().splitlines(True))[0], *reversed(lines[1:])])
    ),
    "the retriever is renamed": put("limitbench.toml", r"\bprod\b", "hybrid-2"),
    "the workload is renamed": put("limitbench.toml", r"\bhelp\b", "help-centre"),
    "int8 vectors": setting("dtype", '"int8"'),
    "a wide HNSW index": both(setting("kind", '"HNSW32"'), setting("search", "128")),
    "another k1": setting("k1", "1.1"),
    "more candidates": setting("candidates", "50"),
    "a deeper list": setting("top_k", "15"),
    "a comment in the code": code("class Service:", "# what follows is the service\nclass Service:"),
    "the baseline's library was older": put(".limitbench/baseline.json", r'"limitbench": "[^"]*"', '"limitbench": "0.0.9"'),
    "the service stops reporting": setting("report", "false"),
}  # fmt: skip


@pytest.mark.parametrize("name", HARMLESS)
def test_a_harmless_change_is_green(name: str, tmp_path: Path) -> None:
    """Exit code 0, and every gate measured and passed."""
    home = copied(tmp_path)
    HARMLESS[name](home)
    found = check(home)
    assert found.exit_code == 0, [finding.message for finding in found.findings]
    assert all(gate.state == "passed" and gate.now is not None and gate.before is not None for gate in found.gates)
    assert {finding.rule for finding in found.findings} <= {"LB403", "LB003"}


def test_twenty_five_changes_are_harmless() -> None:
    """As many as were asked for."""
    assert len(HARMLESS) >= 26


def test_the_service_is_what_its_script_writes(tmp_path: Path) -> None:
    """make_data.py writes the committed files again, byte for byte."""
    import subprocess
    import sys

    home = copied(tmp_path)
    names = (CORPUS, QUERIES, "eval/qrels/test.tsv", INDEX)
    before = [(home / name).read_bytes() for name in names]
    assert subprocess.run([sys.executable, "make_data.py"], cwd=home).returncode == 0
    assert [(home / name).read_bytes() for name in names] == before


def test_the_docs_have_the_table() -> None:
    """docs/checks.md lists every mistake with the causes that are tested here, and no other."""

    def cell(cause: str | None) -> str:
        return "not named" if cause is None else cause if cause.startswith("LB") else f"`{cause}`"

    text = (ROOT / "docs" / "checks.md").read_text(encoding="utf-8")
    section = text[text.index("| mistake | the service reports |") :].partition("\n\n")[0].splitlines()[2:]
    assert section == [f"| {name} | {cell(one.cause)} | {cell(one.alone)} |" for name, one in MISTAKES.items()]
