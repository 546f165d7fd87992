"""`limitbench mine`: questions from a team's own texts, and judgements that another reading of the texts gives as well."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from conftest import ROOT, examples
from hypothesis import given
from hypothesis import strategies as st

from limitbench.collection import Corpus
from limitbench.datasets import read_folder
from limitbench.datasets.mining import KINDS, dataset, mine
from limitbench.errors import InputError

SERVICE = ROOT / "examples" / "rag-service" / "eval" / "corpus.jsonl"
SUBJECTS, VERBS, THINGS = (
    ["tide", "rain", "Anna's van", "e-bike"],
    ["moves", "breaks", "stops at"],
    ["oak 7", "the mill", "moss", "Über"],
)
SENTENCE = st.builds(
    lambda a, b, c, end: f"{a} {b} {c}{end}", *map(st.sampled_from, (SUBJECTS, VERBS, THINGS, [". ", "! ", "\n", ", "]))
)
TEXT = st.lists(SENTENCE, min_size=1, max_size=5).map("".join)
TITLE = st.sampled_from(["", "Tide tables", "The mill", "Moss: a guide"])


def holds(title: str, text: str, phrase: str) -> bool:
    """Whether a sentence has the phrase, by one regular expression on the raw text: no list of words is made."""
    gap = r"(?:(?![.!?;:](?:\s|$))[^\w\n])+"  # anything between two words but the end of a sentence or line
    inside = r"(?<!\w)(?<!\w['\u2019-])" + gap.join(map(re.escape, phrase.split(" "))) + r"(?!['\u2019-]?\w)"
    return any(re.search(inside, part.lower()) for part in (title, text))


def named(title: str, text: str, whole: str, phrase: str) -> bool:
    """Whether the title, or a heading, is the phrase, but for case and white space."""
    names = (
        [title]
        if whole == "title"
        else [line.lstrip("#") for line in text.split("\n") if re.match(r"#{1,6}\s+\S", line)]
    )
    return any(re.sub(r"\s+", " ", name.strip()).casefold() == phrase for name in names)


def obeys(title: str, text: str, row: dict) -> bool:
    """Whether a document is relevant by a row of mined.jsonl."""
    if row["whole"]:
        return named(title, text, row["whole"], row["phrases"][0])
    found = [holds(title, text, phrase) for phrase in row["phrases"]]
    return {"all": all(found), "any": any(found), "but-not": found[0] and not found[-1]}[row["operator"]]


def check_judgements(corpus: Corpus, mined: list, rows: list[dict]) -> None:
    """Every judgement, given and withheld, by the second reading."""
    for one, row in zip(mined, rows, strict=True):
        again = {
            i
            for i, (title, text) in enumerate(zip(corpus.titles, corpus.texts, strict=True))
            if obeys(title, text, row)
        }
        assert again == set(one.relevant), (row, again)


@examples(60)
@given(st.lists(st.tuples(TITLE, TEXT), min_size=4, max_size=12), st.integers(0, 99))
def test_judgements_are_what_the_texts_say(pages: list[tuple[str, str]], seed: int) -> None:
    """Any texts: a document is judged relevant exactly where a regular expression on its raw text finds what the rule says."""
    from limitbench.datasets.mining import provenance

    corpus = Corpus(tuple(f"d{i}" for i in range(len(pages))), tuple(t for _, t in pages), tuple(t for t, _ in pages))
    try:
        mined = mine(corpus, questions=30, seed=seed, most=4)
    except InputError:  # texts that give no question
        return
    check_judgements(corpus, mined, list(provenance(mined, dataset(corpus, mined).queries.ids)))


def test_the_services_texts_give_every_kind(cli, tmp_path: Path) -> None:
    """All kinds but headings, judged as the second reading does; the files are a BEIR folder that limitbench reads; same seed, same bytes."""
    code, out, err = cli("mine", SERVICE, "--out", tmp_path / "a", "--questions", 120, "--json")
    found = json.loads(out)
    assert (code, set(found["questions"])) == (0, set(KINDS) - {"heading"}), err
    data = read_folder(tmp_path / "a")
    rows = [json.loads(line) for line in (tmp_path / "a" / "mined.jsonl").read_text().splitlines()]
    assert [row["_id"] for row in rows] == list(data.queries.ids)
    sets = [set(row) for row in data.qrels.sets()]
    for row, relevant in zip(rows, sets, strict=True):  # the written file, not what was in memory
        pages = enumerate(zip(data.corpus.titles, data.corpus.texts, strict=True))
        assert {i for i, (title, text) in pages if obeys(title, text, row)} == relevant, row
    assert all(name.startswith(f"mined-{row['kind']}-") for name, row in zip(data.queries.ids, rows, strict=True))
    assert "Nobody asked them and nobody judged them" in (tmp_path / "a" / "README.md").read_text()
    check_judgements(data.corpus, mine(data.corpus, questions=120), rows)
    for row in rows:
        if row["kind"] in ("all-of", "any-of", "but-not"):
            assert 2 <= len(row["phrases"]) <= 3
    cli("mine", SERVICE, "--out", tmp_path / "b", "--questions", 120)
    cli("mine", SERVICE, "--out", tmp_path / "c", "--questions", 120, "--seed", 1)
    texts = [(tmp_path / name / "queries.jsonl").read_bytes() for name in "abc"]
    assert (texts[0] == texts[1], texts[0] == texts[2]) == (True, False)


def test_a_combination_tells_more_than_its_parts(tmp_path: Path) -> None:
    """all-of: each phrase alone finds more documents; any-of: each alone finds fewer; but-not: the second takes something away."""
    from limitbench.datasets.folders import read_texts

    corpus = read_texts(SERVICE)
    for one in mine(corpus, questions=90, kinds=["all-of", "any-of", "but-not"]):
        row = [" ".join(phrase) for phrase in one.rule.phrases]
        sizes = [sum(holds(t, x, phrase) for t, x in zip(corpus.titles, corpus.texts, strict=True)) for phrase in row]
        assert {
            "all-of": min(sizes) > len(one.relevant), "any-of": max(sizes) < len(one.relevant), "but-not": sizes[0] > len(one.relevant),
        }[one.kind], (one, sizes)  # fmt: skip


def test_prose_files_with_headings(cli, tmp_path: Path) -> None:
    """A folder of Markdown files is a corpus; its headings are known items; ids are paths."""
    pages = tmp_path / "pages"
    (pages / "more").mkdir(parents=True)
    for name, text in (
        ("a.md", "# Alpha\nRed moss.\n## Sharing\n"),
        ("more/b.md", "# Beta\nRed oak.\n## Sharing\n"),
        ("c.txt", "# Gamma\n"),
    ):
        (pages / name).write_text(text)
    code, _, err = cli("mine", pages, "--out", tmp_path / "out", "--kinds", "heading")
    assert (code, "4 questions over 3 documents" in err, "give no more" in err) == (0, True, True), err
    data = read_folder(tmp_path / "out")
    assert set(data.corpus.ids) == {"a.md", "more/b.md", "c.txt"}
    shared = data.queries.texts.index("Sharing")
    assert data.qrels.sizes[shared] == 2


def test_signs_marks_and_code(tmp_path: Path) -> None:
    """C++ is not C#, Devanagari keeps its vowels, composed and decomposed letters are one, and fenced code has no headings."""
    from limitbench.datasets.phrases import words

    titles = ("C++ guide", "C# guide", "C guide", "Caf\u00e9", "Cafe\u0301", "Other")
    texts = ("one", "two", "three", "four", "five", "# Real heading\n```sh\n# not a heading\n```\n")
    mined = mine(Corpus(tuple("abcdef"), texts, titles), kinds=["title", "heading"])
    by_text = {one.text: one.relevant for one in mined}
    assert (by_text["C++ guide"], by_text["C# guide"], by_text["C guide"]) == ((0,), (1,), (2,))
    assert next(relevant for text, relevant in by_text.items() if text.startswith("Caf")) == (3, 4)
    assert ("Real heading" in by_text, "not a heading" in by_text) == (True, False)
    hindi = "\u0926\u0938\u094d\u0924\u093e\u0935\u0947\u091c\u093c"
    assert len(words(f"{hindi} a")) == 2


def test_what_cannot_be_mined_is_refused(cli, tmp_path: Path) -> None:
    """No file, no text, two documents, unknown kinds, a folder that is taken: a sentence each, and nothing is written."""
    (tmp_path / "empty").mkdir()
    (tmp_path / "two.jsonl").write_text('{"_id": "a", "text": "x"}\n{"_id": "b", "text": "y"}\n')
    (tmp_path / "same.jsonl").write_text("".join(f'{{"_id": "{i}", "text": "a b"}}\n' for i in range(9)))
    (tmp_path / "bad.jsonl").write_text('{"_id": "a"}\n')
    for source, arguments, says in (
        ("gone", (), "found no file and no folder"), ("empty", (), "found no corpus.jsonl and no file ending in"),
        ("two.jsonl", (), "expected at least 3"), ("same.jsonl", (), "give no question"), ("bad.jsonl", (), "bad.jsonl:1"),
        ("same.jsonl", ("--kinds", "riddle"), "expected some of title"), ("same.jsonl", ("--kinds", ""), "found the kinds none"),
    ):  # fmt: skip
        code, _, err = cli("mine", tmp_path / source, "--out", tmp_path / "out", *arguments)
        assert (code, says in err) == (2, True), (source, err)
        assert not (tmp_path / "out").exists()
    assert cli("mine", SERVICE, "--out", tmp_path / "out", "--questions", 5)[0] == 0
    code, _, err = cli("mine", SERVICE, "--out", tmp_path / "out")
    assert (code, "--overwrite" in err) == (2, True)


@pytest.mark.process
def test_ten_thousand_documents_are_mined(tmp_path: Path) -> None:
    """A generated corpus of 10,000 documents gives 200 questions; the time is measured by `python tests/bench.py mine`."""
    import random

    rng = random.Random(0)
    parts = ("lan", "ret", "mos", "dip", "gor", "ben", "tul", "fas", "nir", "kob")
    vocabulary = [a + b + c + d for a in parts for b in parts for c in parts for d in parts]
    weights = [1 / (rank + 1) for rank in range(len(vocabulary))]  # Zipf's law
    words = rng.choices(vocabulary, weights, k=10_000 * 120)
    texts = tuple(
        ". ".join(" ".join(words[at : at + 12]) for at in range(start, start + 120, 12))
        for start in range(0, len(words), 120)
    )
    mined = mine(Corpus(tuple(map(str, range(10_000))), texts), kinds=["phrase", "all-of", "but-not"])
    assert len(mined) == 200
