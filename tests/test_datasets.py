from __future__ import annotations

import gzip
import hashlib
import json
import os
import pickle
import random
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from limitbench import catalog, evaluate, load
from limitbench.collection import Corpus, Dataset, Stored
from limitbench.datasets import dataset_spec, folders, generate, read_folder, write_folder
from limitbench.datasets.density import describe
from limitbench.datasets.draw import Draw
from limitbench.datasets.language import contained, exact_match, forms, vocabulary
from limitbench.datasets.typed import typed_match
from limitbench.datasets.worlds import People, world_of
from limitbench.errors import DataError, MissingExtra, OfflineError, UnknownName
from limitbench.relevance import Qrels

GENERATED = [name for name in catalog.names("datasets") if dataset_spec(name).hub is None]
TABLE_2 = {"query_graph_density": 0.085481, "average_query_strength": 28.4653, "document_graph_density": 0.966184}


@pytest.mark.parametrize("name", GENERATED)
def test_generated_datasets_are_what_they_say(name: str) -> None:
    """Each has the sha256 of its spec, and exact attribute logic over its texts gives its qrels back, every query."""
    spec = dataset_spec(name)
    data = generate(spec, name)
    assert data.digest == spec.sha256
    if spec.typed is not None:
        assert typed_match(data.corpus, data.queries) == data.qrels
        return
    world = world_of(spec.language.world)
    said = {asked: listed for listed, asked in forms(spec.language.vocabulary)}
    assert exact_match(data.corpus, data.queries, world, said) == data.qrels
    assert spec.card.strip()


def test_real_limit_small_reproduces_its_qrels(limit_small: Path) -> None:
    """Exact attribute match gives the real LIMIT-small's qrels back, 1000 of 1000."""
    data = read_folder(limit_small)
    assert list(exact_match(data.corpus, data.queries, People()).sets()) == list(data.qrels.sets())
    assert data.qrels.shape == (1000, 46)


@pytest.mark.parametrize("name", ["limit-small-synthetic", "real"])
def test_density_metrics_are_the_papers(name: str, request: pytest.FixtureRequest) -> None:
    """Both LIMIT-smalls have the densities of the paper's Table 2, to the digits it prints."""
    found = describe(read_folder(request.getfixturevalue("limit_small")) if name == "real" else load(name))
    assert {key: round(found[key], len(str(value).split(".")[1])) for key, value in TABLE_2.items()} == TABLE_2
    assert (found["documents"], found["queries"], found["relevant_per_query"]) == (46, 1000, {"2": 1000})


def test_same_relevance_as_the_real_one(limit_small: Path) -> None:
    """The synthetic twin has the real LIMIT-small's relevance matrix, document for document."""
    assert load("limit-small-synthetic").qrels == read_folder(limit_small).qrels


@pytest.mark.parametrize("seed", ["0", "1", "random"])
def test_bytes_do_not_depend_on_the_hash_seed(tmp_path: Path, seed: str) -> None:
    """The command writes the pinned bytes whatever PYTHONHASHSEED is."""
    command = [sys.executable, "-m", "limitbench", "generate", "limit-small-synthetic", "--out", str(tmp_path)]
    subprocess.run(command, check=True, capture_output=True, env={**os.environ, "PYTHONHASHSEED": seed})
    joined = b"".join((tmp_path / f).read_bytes() for f in ("corpus.jsonl", "queries.jsonl", "qrels/test.tsv"))
    assert hashlib.sha256(joined).hexdigest() == dataset_spec("limit-small-synthetic").sha256


def test_vocabulary_promises() -> None:
    """At least 1,850 attributes, none inside another, none that a sentence could be split at; names are distinct."""
    words = vocabulary("attributes")
    assert len(words) == len(set(map(str.lower, words))) >= 1850
    assert contained(words) == []
    assert not [w for w in words if "," in w or " and " in w or " likes " in w or w != w.strip()]
    heads = [w.split()[-1] for w in words if " " in w]
    assert heads.count("trees") > 10  # shared head words are what makes BM25 stumble
    for names in (vocabulary("first-names"), vocabulary("last-names")):
        assert len(names) == len(set(names)) > 200


def test_containment_is_by_whole_words() -> None:
    """ "rose" is in "desert rose" and not in "primrose"; the same words in another case are one in the other."""
    assert contained(["rose", "desert rose", "primrose"]) == [("rose", "desert rose")]
    assert contained(["Ice cream", "ice Cream"]) == [("Ice cream", "ice Cream"), ("ice Cream", "Ice cream")]


def test_draw_is_pinned() -> None:
    """The stream of choices for a seed never changes: every dataset's bytes hang on it."""
    draw = Draw(7)
    assert [draw.below(n) for n in (10, 10, 1000, 2**40)] == [6, 8, 775, 247617924053]
    assert Draw(1).shuffled("abcdef") == ["d", "f", "c", "b", "e", "a"]


@given(st.integers(0, 2**32), st.integers(1, 50), st.data())
def test_draws_are_what_they_say(seed: int, n: int, data: st.DataObject) -> None:
    """Samples are distinct and of the size asked for; both kinds of sampling agree on the range."""
    k = data.draw(st.integers(0, n))
    assert len(set(Draw(seed).sample(range(n), k))) == k
    assert sorted(set(Draw(seed).distinct(n, k)) | set(range(n))) == list(range(n))
    assert sorted(Draw(seed).distinct(n, n)) == list(range(n))


def test_people_parse_what_they_say() -> None:
    """Sentences read back to their attributes, also where one of them holds an "and" or a question mark."""
    world = People()
    assert world.listed(world.sentence("N", ["a b", "c", "d"])) == ["a b", "c", "d"]
    assert world.listed(world.sentence("N", ["a"])) == ["a"]
    assert "fish and chips" in world.listed(world.sentence("N", ["a", "b", "fish and chips"]))
    assert world.asked(world.question("Who Knew?")) == "Who Knew?"
    assert (world.listed("no such form"), world.asked("no such form")) == ([], "")


def test_folders_round_trip(tmp_path: Path) -> None:
    """What is written is read back equal, plain and gzipped, and gzipped bytes unpack to the plain ones."""
    data = load("limit-small-synthetic")
    plain, packed = write_folder(data, tmp_path / "a"), write_folder(data, tmp_path / "b", gz=True)
    assert read_folder(plain) == data == read_folder(packed)
    for name in ("corpus.jsonl", "queries.jsonl", "qrels/test.tsv"):
        assert gzip.decompress((packed / f"{name}.gz").read_bytes()) == (plain / name).read_bytes()


def test_failed_writing_leaves_no_dataset(tmp_path: Path) -> None:
    """When the last file cannot be written, the first ones are removed again."""
    (tmp_path / "qrels").write_text("in the way")
    with pytest.raises(Exception, match="cannot be written"):
        write_folder(load("limit-small-synthetic"), tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["qrels"]


def test_mteb_layout_and_splits(beir, tmp_path: Path) -> None:
    """qrels.jsonl at the top is read; another split is chosen by name; unjudged queries are left out and counted."""
    folder = beir()
    (folder / "qrels" / "dev.tsv").write_text("query-id\tcorpus-id\tscore\nq2\td2\t1\n")
    dev = read_folder(folder, split="dev")
    assert (dev.queries.ids, dev.notes) == (("q2",), ("1 of 2 queries have no judgement in dev.tsv and are left out",))
    assert read_folder(folder).corpus.contents == ("Ada likes tea and chess.", "t Bo likes tea and go.")
    with pytest.raises(DataError, match="splits found: dev, test; choose one with --split"):
        read_folder(folder, split="train")


BROKEN = {
    "corpus line that is not JSON": ({"corpus": "{\n"}, "corpus.jsonl:1: found '{', expected one JSON object a line"),
    "repeated document": ({"corpus": '{"_id": "d 1", "text": ""}\n' * 2}, "corpus.jsonl:2: the document id 'd 1' stands"),
    "repeated query": ({"queries": '{"_id": "q1", "text": ""}\n' * 2}, "queries.jsonl:2: the query id 'q1' stands"),
    "dangling judgement": (
        {"qrels": "query-id\tcorpus-id\tscore\nq1\td 1\t1\nq1\tnowhere\t1\n"},
        "1 judgements name documents that are not in corpus.jsonl, the first 'nowhere' for query 'q1'",
    ),
    "unknown query": ({"qrels": "query-id\tcorpus-id\tscore\nq9\td2\t1\n"}, "the first 'q9', are not in queries.jsonl"),
    "no relevant document": (
        {"qrels": "query-id\tcorpus-id\tscore\nq1\td2\t0\n"}, "1 judged queries have no relevant document, the first 'q1'"
    ),
    "empty corpus": ({"corpus": ""}, "the corpus is empty"),
    "no judgement": ({"qrels": "query-id\tcorpus-id\tscore\n"}, "there is no judgement"),
    "no id": ({"corpus": '{"text": "x"}\n'}, "corpus.jsonl:1: found neither '_id' nor 'id' among ['text']"),
    "text that is a list": ({"corpus": '{"_id": "d", "text": []}\n'}, "found [] for 'text', expected a string"),
}  # fmt: skip


@pytest.mark.parametrize("case", BROKEN)
def test_bad_folders_are_named(beir, case: str) -> None:
    """Whatever an evaluation could not trust is refused with file, line and remedy."""
    files, says = BROKEN[case]
    with pytest.raises(DataError) as caught:
        read_folder(beir(**files))
    assert says in str(caught.value)


def test_names_and_folders(beir, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A catalogue name wins over a folder of that name, which ./NAME forces; anything else is named with a suggestion."""
    beir().rename(tmp_path / "limit-small-synthetic")
    monkeypatch.chdir(tmp_path)
    assert len(load("limit-small-synthetic").corpus) == 46
    assert len(load("./limit-small-synthetic").corpus) == 2
    with pytest.raises(UnknownName, match="did you mean 'limit-small'"):
        load("limit-smal")
    with pytest.raises(DataError, match="found nothing, expected a folder"):
        load("./nowhere")


def test_cache_is_checked(cache: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A cached dataset that was altered is noticed and made again."""
    good = load("limit-small-synthetic")
    (place,) = (cache / "datasets").glob("limit-small-synthetic-*")
    (place / "queries.jsonl").write_text("broken")
    assert load("limit-small-synthetic") == good
    assert "not whole; it is made again" in caplog.text
    assert load("limit-small-synthetic") == good == read_folder(place)


def test_hub_datasets_offline(limit_small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A hub dataset says what to do when offline, and is read from the folder that its variable names."""
    monkeypatch.setenv("LIMITBENCH_LIMIT_SMALL", str(limit_small))
    assert load("limit-small").name == "limit-small"


def test_hub_offline_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without network and cache, one sentence says so and names the way out."""
    pytest.importorskip("huggingface_hub", reason="needs limitbench[models]")
    monkeypatch.delenv("LIMITBENCH_LIMIT_SMALL", raising=False)
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    with pytest.raises((OfflineError, MissingExtra), match="limitbench run -d ./FOLDER"):
        load("limit-small")


def test_dataset_equality_is_by_content() -> None:
    """Two datasets are equal when their files are, whatever their names."""
    spec = dataset_spec("limit-small-synthetic")
    assert generate(spec, "a") == generate(spec, "b")
    assert generate(spec.model_copy(update={"seed": 1}), "a") != generate(spec, "a")


def test_density_counts_pairs() -> None:
    """On a small matrix the densities are what counting by hand gives."""
    from limitbench.datasets.density import average_query_strength, document_graph_density, query_graph_density

    qrels = Qrels.from_sets([[0, 1], [1, 2], [3], []], 5)
    assert query_graph_density(qrels) == pytest.approx(1 / 6)
    assert document_graph_density(qrels) == pytest.approx(2 / 6)
    assert average_query_strength(qrels) == pytest.approx(2 * (1 / 3) / 4)


# ------------------------------------------------------------------------------------------------ texts that stay on the disk


def _both(folder: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Dataset, Dataset]:
    """A dataset held in memory, and the same with its texts in the file."""
    held = read_folder(folder)
    monkeypatch.setattr(folders, "LARGE", 0)
    return held, read_folder(folder)


def test_texts_of_a_large_corpus_stay_in_their_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Texts, titles, contents, slices, digests and figures are those of a corpus in memory; a copy for another process is one."""
    rng, n = random.Random(5), 2600
    lines = ["", '\t{"_id": "d0", "title": null, "text": ""}', " "]  # blank lines are passed over
    for i in range(1, n):
        title = {"title": f"T{i}"} if i % 3 == 0 else {}
        lines.append(json.dumps({"_id": f"d{i}", "text": f"ä{i}\u2028 \r {{" * rng.randrange(4), **title}))
    (tmp_path / "qrels").mkdir()
    (tmp_path / "corpus.jsonl").write_bytes("\ufeff".encode() + "\r\n".join(lines).encode())
    (tmp_path / "queries.jsonl").write_text('{"_id": "q", "text": "ä7"}\n{"_id": "d7", "text": "T9 "}\n')
    (tmp_path / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\nq\td7\t1\nd7\td9\t1\n")
    held, stays = _both(tmp_path, monkeypatch)
    assert isinstance(stays.corpus.texts, Stored)
    for a, b in ((held, stays), (stays, held)):
        assert (a.digest, a.corpus.digest, a.notes) == (b.digest, b.corpus.digest, b.notes)
    for name in ("texts", "titles", "contents"):
        whole, kept = getattr(held.corpus, name), getattr(stays.corpus, name)
        assert tuple(kept) == whole == kept[:]
        assert len(kept) == n
        for place in (0, -1, 7, 2599, 1024, 1023, np.int64(2047), 3):
            assert kept[place] == whole[place]
        for part in (slice(5, 1500), slice(-3, None), slice(9, 2, -2), slice(0, 0)):
            assert kept[part] == whole[part]
        with pytest.raises(IndexError):
            kept[n]
    assert pickle.loads(pickle.dumps(stays.corpus)) == held.corpus == stays.corpus
    for corpus in (held.corpus, stays.corpus):
        assert tuple(Corpus(corpus.ids, corpus.texts).contents) == tuple(corpus.texts), "no titles were given"
    with ThreadPoolExecutor(4) as pool:
        for contents in pool.map(tuple, [stays.corpus.contents] * 4):
            assert contents == held.corpus.contents
    figures = [evaluate(data, "bm25,shards=7", measures="Recall@2").measures for data in (held, stays)]
    assert figures[0] == figures[1]


def test_a_large_dataset_is_converted_in_its_place(cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its file is replaced by the command that reads it: the digest is that of before."""
    whole = load("limit-hard")
    many = tuple(f"more {i}" for i in range(2000))
    corpus = Corpus(whole.corpus.ids + many, (*whole.corpus.texts, *many))
    qrels = Qrels.from_sets(list(whole.qrels.sets()), len(corpus))
    write_folder(Dataset("large", corpus, whole.queries, qrels), tmp_path)
    _, stays = _both(tmp_path, monkeypatch)
    digest = stays.digest
    for extra in ([], ["--gz"]):
        code, said, err = cli("convert", tmp_path, "--out", tmp_path, "--overwrite", "--json", *extra)
        assert (code, json.loads(said or "{}").get("sha256")) == (0, digest), err


def test_a_file_that_changes_while_its_texts_are_needed_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Written anew, or gone: one line, not other texts. A gzipped file under a plain name is held in memory."""
    write_folder(load("limit-hard"), tmp_path)
    _, stays = _both(tmp_path, monkeypatch)
    one = stays.corpus.texts[5]
    path = tmp_path / "corpus.jsonl"
    raw = path.read_bytes()
    path.write_bytes(raw[:-2])
    assert stays.corpus.texts[5] == one
    for _ in range(2):
        with pytest.raises(DataError, match="was changed while it was in use"):
            stays.corpus.texts[6]
    path.unlink()
    with pytest.raises(DataError, match="needed until the command ends"):
        stays.corpus.texts[-1]
    path.write_bytes(gzip.compress(raw))
    packed = read_folder(tmp_path)
    assert isinstance(packed.corpus.texts, tuple)
    assert packed.digest == load("limit-hard").digest
