"""`limitbench init --from`: evaluation sets of other tools, mapped to a team's chunks; and figures by document, whatever the chunks are."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest
from gallery import BASE, Project, measured

from limitbench.checks import check
from limitbench.checks.config import read_project
from limitbench.checks.ratchet import init
from limitbench.datasets import read_folder

PAGES = {
    f"help/{topic}#1": f"To {topic} your account, open the settings page and press the {topic} button at its lower end, then confirm by mail."
    for topic in ("close", "rename", "share", "export", "lock", "merge")
}
QUESTIONS = {
    f"How do I {topic} an account?": f"help/{topic}#1" for topic in ("close", "rename", "share", "export", "lock")
}
TEXT_OF = {question: PAGES[page] for question, page in QUESTIONS.items()}


def table(delimiter: str = ",", **columns: list) -> str:
    """A CSV of these columns."""
    out = io.StringIO()
    writer = csv.writer(out, delimiter=delimiter)
    writer.writerow(columns)
    writer.writerows(zip(*columns.values(), strict=True))
    return out.getvalue()


ASKED, IDS, TEXTS = list(QUESTIONS), list(QUESTIONS.values()), list(TEXT_OF.values())
SOURCES = {  # tool: file name and text
    "csv of ids": ("set.csv", table(question=ASKED, document_id=IDS)),
    "csv of texts": ("set.csv", table(query=ASKED, relevant_text=TEXTS)),
    "tsv of ids": ("set.tsv", table("\t", question=ASKED, chunk_id=IDS)),
    "csv of lists": ("set.csv", table(user_input=ASKED, reference_contexts=[repr([text]) for text in TEXTS])),
    "jsonl of ids": ("set.jsonl", "".join(json.dumps({"question": q, "relevant_ids": [d]}) + "\n" for q, d in QUESTIONS.items())),
    "ragas": ("testset.jsonl", "".join(
        json.dumps({"user_input": q, "reference_contexts": [t], "reference": "Settings.", "synthesizer_name": "s"}) + "\n"
        for q, t in TEXT_OF.items()
    )),
    "deepeval": ("goldens.json", json.dumps([
        {"input": q, "expected_output": "x", "context": [t], "retrieval_context": ["other"]} for q, t in TEXT_OF.items()
    ])),
    "llama-index qa": ("qa.json", json.dumps({
        "queries": {f"u{i}": q for i, q in enumerate(ASKED)}, "corpus": PAGES, "relevant_docs": {f"u{i}": [d] for i, d in enumerate(IDS)},
    })),
    "llama-index rag": ("rag.json", json.dumps({"examples": [
        {"query": q, "reference_contexts": [t], "reference_answer": "x", "query_by": {"type": "ai"}} for q, t in TEXT_OF.items()
    ]})),
    "promptfoo json": ("promptfooconfig.json", json.dumps({"prompts": ["p"], "tests": [
        {"vars": {"query": q, "context": t}, "assert": [{"type": "context-recall", "value": "x"}]} for q, t in TEXT_OF.items()
    ]})),
    "promptfoo yaml": ("promptfooconfig.yaml", "tests:\n" + "".join(
        f"  - vars:\n      question: {json.dumps(q)}\n      context: {json.dumps(t)}\n" for q, t in TEXT_OF.items()
    )),
}  # fmt: skip


def repository(folder: Path, pages: dict[str, str] = PAGES) -> Path:
    """A team's repository with its chunks."""
    folder.mkdir()
    (folder / ".git").mkdir()
    (folder / "chunks.jsonl").write_text(
        "".join(json.dumps({"_id": name, "text": text}) + "\n" for name, text in pages.items())
    )
    return folder


@pytest.mark.parametrize("name", SOURCES)
def test_each_tool_is_mapped_to_the_chunks(name: str, cli, tmp_path: Path) -> None:
    """All five questions, each judged at its chunk; the configuration passes, and reads the team's own corpus."""
    if name.endswith("yaml"):
        pytest.importorskip("yaml", reason="needs PyYAML")
    home = repository(tmp_path / "repo")
    file, text = SOURCES[name]
    (tmp_path / file).write_text(text)
    code, _, err = cli("init", home, "--from", tmp_path / file, "--corpus", home / "chunks.jsonl")
    assert (code, "5 questions over 6 documents" in err) == (0, True), err
    assert sorted(path.name for path in (home / "eval").rglob("*") if path.is_file()) == ["queries.jsonl", "test.tsv"]
    asked = {
        row["_id"]: row["text"] for row in map(json.loads, (home / "eval" / "queries.jsonl").read_text().splitlines())
    }
    judged = [line.split("\t") for line in (home / "eval" / "qrels" / "test.tsv").read_text().splitlines()[1:]]
    assert {asked[query]: document for query, document, _ in judged} == QUESTIONS
    assert 'corpus = "chunks.jsonl"' in (home / "limitbench.toml").read_text()
    assert check(home).exit_code == 0


def test_texts_alone_make_a_corpus(cli, tmp_path: Path) -> None:
    """Without a corpus, the distinct texts of the file are one, and the folder is a BEIR folder."""
    home = repository(tmp_path / "repo")
    (home / "set.csv").write_text(SOURCES["csv of texts"][1])
    assert cli("init", home, "--from", home / "set.csv", "--out", home / "judged")[0] == 0
    data = read_folder(home / "judged")
    assert sorted(data.corpus.texts) == sorted(TEXTS)
    assert data.qrels.sizes.tolist() == [1] * 5


def test_files_as_their_tools_write_them(cli, tmp_path: Path) -> None:
    """Other capitals, ids joined by semicolons, ids as floats, labels of 0, U+2028 in texts, bars of deepeval, hops of ragas, files of
    promptfoo, and a LlamaIndex set with node ids of its own: each gives what its author meant.
    """
    close, rename = "help/close#1", "help/rename#1"
    odd = f"A line\u2028and {PAGES[close]}"
    (tmp_path / "close.md").write_text(PAGES[close])
    cases = {
        "capitals.csv": ("Question,Doc_Id\nx," + close + "\n", {close}),
        "joined.csv": (f"question,doc_ids\nx,{close}; {rename}\n", {close, rename}),
        "labels.jsonl": ("".join(json.dumps({"question": "x", "doc_id": d, "relevant": r}) + "\n" for d, r in ((close, 1), (rename, 0))), {close}),
        "odd.jsonl": (json.dumps({"question": "x", "relevant_text": odd}, ensure_ascii=False) + "\n", {close}),
        "odd.csv": (table(question=["x"], relevant_text=[odd]), {close}),
        "bars.csv": (table(input=["x"], context=[f"{PAGES[close]}|{PAGES[rename]}"]), {close, rename}),
        "hops.jsonl": (json.dumps({"user_input": "x", "reference_contexts": [f"<1-hop>\n\n{PAGES[close]}"]}) + "\n", {close}),
        "files.json": (json.dumps({"tests": [{"vars": {"query": "x", "context": "file://close.md"}}, {"description": "none"}]}), {close}),
        "nodes.json": (json.dumps({"queries": {"q": "x"}, "corpus": {"3f2a": PAGES[close]}, "relevant_docs": {"q": ["3f2a"]}}), {close}),
    }  # fmt: skip
    for name, (text, wanted) in cases.items():
        home = repository(tmp_path / name.replace(".", "-"))
        (tmp_path / name).write_text(text, encoding="utf-8")
        code, _, err = cli("init", home, "--from", tmp_path / name, "--corpus", home / "chunks.jsonl")
        assert code == 0, (name, err)
        judged = {line.split("\t")[1] for line in (home / "eval" / "qrels" / "test.tsv").read_text().splitlines()[1:]}
        assert judged == wanted, name


def test_texts_are_matched_by_what_they_say(cli, tmp_path: Path) -> None:
    """Signs tell texts apart, and a short sentence that every page ends with is no judgement of it."""
    pages = {"c": "C is fast", "cpp": "C++ is fast", "foot": "See the documentation for details.", **PAGES}
    home = repository(tmp_path / "repo", pages)
    long = f"{PAGES['help/close#1']} See the documentation for details."
    (tmp_path / "set.csv").write_text(
        table(question=["what is fast", "how to close"], relevant_text=["C++ is  fast", long])
    )
    assert cli("init", home, "--from", tmp_path / "set.csv", "--corpus", home / "chunks.jsonl")[0] == 0
    judged = [line.split("\t")[1] for line in (home / "eval" / "qrels" / "test.tsv").read_text().splitlines()[1:]]
    assert sorted(judged) == ["cpp", "help/close#1"]


def test_other_chunks_than_the_judges_saw(cli, tmp_path: Path) -> None:
    """Texts judged as whole pages are found in halves that overlap; one that is nowhere is said and left out."""
    halves = {}
    for name, text in PAGES.items():
        words = text.split()
        for i, (start, stop) in enumerate(((0, 16), (8, len(words)))):
            halves[f"{name[:-2]}#{i}"] = " ".join(words[start:stop])
    home = repository(tmp_path / "repo", halves)
    lost = table(
        question=[*ASKED, "What is lost?"],
        relevant_text=[*TEXTS, "A sentence of ten words that stands nowhere in the corpus."],
    )
    (tmp_path / "set.csv").write_text(lost)
    code, _, err = cli("init", home, "--from", tmp_path / "set.csv", "--corpus", home / "chunks.jsonl")
    assert (code, "1 questions have no document" in err, "'What is lost?'" in err) == (0, True, True), err
    judged = [line.split("\t")[1] for line in (home / "eval" / "qrels" / "test.tsv").read_text().splitlines()[1:]]
    assert sorted(judged) == sorted(name for name in halves if "merge" not in name)


WRONG = {
    "no such file": ("gone.csv", None, "cannot be read"),
    "binary": ("set.csv", b"\xff\xfe\x00", "not UTF-8"),
    "other suffix": ("set.xlsx", b"PK", "expected .csv"),
    "no question": ("set.csv", b"a,b\n1,2\n", "found the columns a, b, expected one of question"),
    "nothing relevant": ("set.csv", b"question,answer\nx,y\n", "expected ids"),
    "retrieved alone": (
        "set.jsonl",
        b'{"user_input": "x", "retrieved_contexts": ["y"], "response": "z"}\n',
        "what a system returned",
    ),
    "old ragas run": ("set.jsonl", b'{"question": "x", "contexts": ["y"], "answer": "z"}\n', "what a system returned"),
    "empty": ("set.csv", b"", "holds no row"),
    "broken JSON line": ("set.jsonl", b'{"question": "x", "doc_id": "help/close#1"}\n{"q\n', "set.jsonl:2"),
    "a list of texts": ("set.json", b'["a"]', "no objects"),
    "an object": ("set.json", b'{"rows": 1}', "found an object with rows, expected a list of rows"),
    "a number": ("set.json", b"7", "found a int, expected"),
    "no text as question": ("set.json", b'[{"question": 3, "doc_id": "a"}]', "row 1 has no text as its question"),
    "no document": (
        "set.json",
        b'[{"question": "x", "doc_id": "zz"}]',
        "are in the corpus of 6 documents (the first: 'zz')",
    ),
    "no row is relevant": ("set.json", b'[{"question": "x", "doc_id": ""}]', "says of none of its 1 questions"),
    "file references": ("p.json", b'{"tests": [{"vars": {"query": "x", "context": "file://a.md"}}]}', "cannot be read"),
    "references outside": (
        "p.json",
        b'{"tests": [{"vars": {"query": "x", "context": "file://../../etc/passwd"}}]}',
        "leads out",
    ),
    "lists of numpy": ("set.csv", b"question,contexts\nx,\"['a' 'b']\"\n", "without commas"),
    "turns": ("set.csv", b"user_input,reference_contexts\n\"[{'content': 'x'}]\",y\n", "several turns"),
    "a cell without end": ("set.csv", b'question,doc_id\n"x,y\n' + b"z" * 51_000_000, "is not CSV"),
    "tests without vars": ("p.json", b'{"tests": [1]}', "expected promptfoo's tests"),
    "lists as tables": ("q.json", b'{"queries": [], "corpus": {}, "relevant_docs": {}}', "no objects by id"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_file_is_refused(name: str, cli, tmp_path: Path) -> None:
    """One sentence with what was found and expected, and nothing is written."""
    home = repository(tmp_path / "repo")
    file, body, says = WRONG[name]
    if body is not None:
        (tmp_path / file).write_bytes(body)
    code, _, err = cli("init", home, "--from", tmp_path / file, "--corpus", home / "chunks.jsonl")
    assert (code, says in err) == (2, True), err
    assert sorted(path.name for path in home.iterdir()) == [".git", "chunks.jsonl"]


def test_nothing_is_written_over_or_outside(cli, tmp_path: Path) -> None:
    """A folder that is taken, one outside of the repository, a corpus outside, and a configuration that is there are refused."""
    home = repository(tmp_path / "repo")
    (tmp_path / "set.csv").write_text(SOURCES["csv of ids"][1])
    (tmp_path / "chunks.jsonl").write_text((home / "chunks.jsonl").read_text())
    base = ("init", home, "--from", tmp_path / "set.csv")
    assert "outside" in cli(*base, "--out", tmp_path / "x")[2]
    assert "outside" in cli(*base, "--corpus", tmp_path / "chunks.jsonl")[2]
    assert "without --from" in cli("init", home, "--corpus", home / "chunks.jsonl")[2]
    assert cli(*base, "--corpus", home / "chunks.jsonl")[0] == 0
    assert "is there already" in cli(*base, "--corpus", home / "chunks.jsonl")[2]
    code, _, err = cli(*base, "--corpus", home / "chunks.jsonl", "--force")
    assert (code, "not empty" in err) == (2, True)


# -------------------------------------------------------------------------------------------------------------- by document


def chunked(size: int, overlap: int = 0) -> dict[str, str]:
    """Twelve pages of forty words each, in chunks of so many words."""
    out = {}
    for page in range(12):
        words = [f"w{page}x{i}" for i in range(40)]
        for number, start in enumerate(range(0, 40, size - overlap)):
            out[f"p{page}#{number}"] = " ".join(words[start : start + size])
    return out


def by_document(folder: Path, chunks: dict[str, str], how: str, judged: str = "p{0}#0") -> Path:
    """A project over these chunks whose run finds a chunk of the right page second, and another page's two chunks first and third."""
    run = ""
    for page in range(12):
        own = [name for name in chunks if name.startswith(f"p{page}#")]
        other = [name for name in chunks if name.startswith(f"p{(page + 1) % 12}#")]
        for rank, name in enumerate((other[0], own[-1], other[-1], own[0])):
            run += (
                f"q{page} Q0 {name} {rank + 1} {1 - rank / 10} t\n"
                if name not in run.rpartition(f"q{page - 1} ")[2]
                else ""
            )
    files = {
        "corpus.jsonl": "".join(json.dumps({"_id": name, "text": text}) + "\n" for name, text in chunks.items()),
        "queries.jsonl": "".join(json.dumps({"_id": f"q{i}", "text": f"w{i}x3"}) + "\n" for i in range(12)),
        "qrels.tsv": "query-id\tcorpus-id\tscore\n" + "".join(f"q{i}\t{judged.format(i)}\t1\n" for i in range(12)),
        "map.tsv": "".join(f"{name}\t{name.partition('#')[0]}\n" for name in chunks),
        "run.trec": run,
    }
    text = (
        measured("max_drop = 0.1\n", texts=True, more=how, end=BASE.format(mark=""))
        + '[severity]\nLB303 = "off"\nLB006 = "off"\n'
    )
    return Project(text.replace("Recall@1", "Recall@2"), files=files).write(folder)


@pytest.mark.parametrize("how", ['chunk_separator = "#"\n', 'chunks = "map.tsv"\n'])
def test_new_chunks_are_no_regression(how: str, tmp_path: Path) -> None:
    """Judged by document: other chunk sizes, overlaps and numbers change no query and no figure, and the check is green."""
    path = by_document(tmp_path, chunked(20), how)
    init(read_project(path))
    (gate,) = check(path).gates
    assert (gate.now, gate.queries) == (1.0, 12), (
        "the second document is the right one, though its chunk is the second of four"
    )
    for size, overlap in ((10, 0), (16, 8)):
        by_document(tmp_path, chunked(size, overlap), how)
        report = check(path)
        (gate,) = report.gates
        assert (report.exit_code, report.findings, gate.compared, gate.remark) == (0, [], 12, None)


def test_without_a_map_new_chunks_are_a_change(tmp_path: Path) -> None:
    """The same by chunk: the judged chunks changed, so that nothing is compared."""
    path = by_document(tmp_path, chunked(20), "")
    init(read_project(path))
    by_document(tmp_path, chunked(10), "")
    assert check(path).exit_code == 3


def test_maps_are_read_strictly(tmp_path: Path) -> None:
    """Both kinds of map, a line of one column, a chunk of two documents, an empty map: each is refused or undecided with a reason."""
    for number, (how, body, says) in enumerate((
        ('chunks = "map.tsv"\n', "p0#0\n", "a tab and a document id"), ('chunks = "map.tsv"\n', "a\tb\na\tc\n", "of two documents"),
    )):  # fmt: skip
        path = by_document(tmp_path / str(number), chunked(20), how)
        (path.parent / "map.tsv").write_text(body)
        report = check(path)
        assert (report.exit_code, any(says in finding.message for finding in report.findings)) == (3, True), (
            report.findings
        )
    for how, says in (
        ('chunks = "map.tsv"\nchunk_separator = "#"\n', "at most one"),
        ('chunks = "gone.tsv"\n', "not a file"),
    ):
        with pytest.raises(Exception, match=says):
            check(by_document(tmp_path / "x", chunked(20), how))
    path = by_document(tmp_path / "one", chunked(20), 'chunks = "map.tsv"\n')
    (path.parent / "map.tsv").write_text("".join(f"{name}\tall\n" for name in chunked(20)))
    with pytest.raises(Exception, match="makes one document of all"):
        check(path)


def test_a_separator_that_no_id_has_changes_nothing(tmp_path: Path) -> None:
    """Chunks whose ids lack the separator, or begin with it, are documents of their own."""
    path = by_document(tmp_path, chunked(20), "")
    init(read_project(path))
    by_document(tmp_path, chunked(20), 'chunk_separator = "~"\n')
    (gate,) = check(path).gates
    assert (gate.state, gate.compared) == ("passed", 12)
