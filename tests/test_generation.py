from __future__ import annotations

import gzip
import json
import math
import os
import re
import resource
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from itertools import chain, combinations, islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import examples
from hypothesis import given
from hypothesis import strategies as st

from limitbench import load
from limitbench.datasets import dataset_spec, generate, read_folder, stream, write_folder
from limitbench.datasets.adapt import adapt
from limitbench.datasets.density import document_graph_density
from limitbench.datasets.draw import below, words
from limitbench.datasets.language import (
    OPERATORS,
    World,
    contained,
    exact_match,
    forms,
    parse_expression,
    vocabulary,
)
from limitbench.datasets.latent import Language, Names, latent_table
from limitbench.datasets.patterns import all_k, block, cycle, dense, disjoint, graph, like, power_law, random
from limitbench.datasets.spec import parse_spec
from limitbench.datasets.stream import folder_digest, write_table
from limitbench.datasets.typed import Typed, typed_dataset, typed_match
from limitbench.datasets.worlds import French, German, People, Products, Reports, Spanish, world_of
from limitbench.errors import DataError, InputError, LimitbenchError, OutOfMemory, SpecError, StorageError, UnknownName
from limitbench.measures import parse_measures, score
from limitbench.processes import ProcessPool
from limitbench.relevance import Qrels
from limitbench.retrievers import retriever

WORLDS: dict[str, World] = {
    "people": People(), "products": Products(), "reports": Reports(), "german": German(), "french": French(), "spanish": Spanish(),
}  # fmt: skip
SIZES = st.one_of(st.integers(1, 4), st.lists(st.integers(1, 4), min_size=1, max_size=3))


# ---------------------------------------------------------------------------------------------------------------- patterns


def test_subsets_in_order() -> None:
    """all-k and dense are the lexicographic subsets, dense over the smallest sufficient corpus."""
    assert list(all_k(4, 2).sets()) == [(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)]
    assert dense(5, 2).n_documents == 4
    assert dense(1000, 2) == dense(1000, 2, n=46)
    assert list(dense(2, 3, n=4).sets()) == [(0, 1, 2), (0, 1, 3)]


def test_cycle_disjoint_and_graph() -> None:
    """A cycle wraps round, disjoint sets follow each other, edges are queries; sizes are taken in turn."""
    assert list(cycle(4, 4, 2).sets()) == [(0, 1), (1, 2), (2, 3), (0, 3)]
    assert list(cycle(5, 3, [1, 2]).sets()) == [(0,), (1, 2), (2,)]
    assert list(disjoint(3, [1, 2]).sets()) == [(0,), (1, 2), (3,)]
    assert disjoint(2, 2, n=9).n_documents == 9
    assert disjoint(500, 2).shape == (500, 1000)
    assert list(graph([[2, 0], [1, 2, 3]]).sets()) == [(0, 2), (1, 2, 3)]


def test_graphs_from_files(tmp_path: Path) -> None:
    """An edge a line, with comments; what is not a number is named with its line."""
    path = tmp_path / "edges.txt"
    path.write_text("# a path\n0 1\n1,2  # the end\n")
    assert list(graph(path).sets()) == [(0, 1), (1, 2)]
    path.write_text("0 1\n1 x\n")
    with pytest.raises(LimitbenchError, match="edges.txt:2: found '1 x', expected document numbers"):
        graph(path)


@given(st.integers(4, 30), st.integers(1, 20), SIZES, st.integers(0, 9))
def test_random_sets_are_distinct_and_of_their_sizes(n: int, m: int, k, seed: int) -> None:
    """Random sets never repeat, have the sizes asked for, and depend on the seed alone."""
    sizes = [k] if isinstance(k, int) else k
    wanted = [sizes[q % len(sizes)] for q in range(m)]
    if any(count > math.comb(n, size) for size, count in Counter(wanted).items()):
        return
    found = random(n, m, k, seed)
    assert found == random(n, m, k, seed)
    assert found.sizes.tolist() == wanted
    assert len(set(found.sets())) == m


def test_random_sets_are_uniform() -> None:
    """Over many seeds each pair of 5 documents is drawn about as often (chi-squared, 9 degrees, far tail)."""
    counts = Counter(next(random(5, 1, 2, seed).sets()) for seed in range(2000))
    assert len(counts) == 10
    assert sum((c - 200) ** 2 / 200 for c in counts.values()) < 40


def test_all_subsets_can_be_drawn() -> None:
    """As many queries as there are subsets use each one once, also where that is just possible."""
    assert set(random(6, 20, 3, 4).sets()) == set(combinations(range(6), 3))


def test_large_random_sets() -> None:
    """C(n, k) beyond 64 bits is drawn from too."""
    found = random(1_000_000, 50, 10, 1)
    assert len(set(found.sets())) == 50
    assert found.sizes.tolist() == [10] * 50


def test_blocks_keep_to_communities() -> None:
    """Without mixing every set lies in one community; with all of it mixed, hardly any."""

    def inside(qrels: Qrels) -> int:
        return sum(len({d // 20 for d in row}) == 1 for row in qrels.sets())

    assert inside(block(200, 100, 3, blocks=10)) == 100
    assert inside(block(200, 100, 3, blocks=10, mixing=1.0)) < 20
    assert 35 < inside(block(200, 100, 3, blocks=10, mixing=0.5)) < 65


def test_power_law_popularity_falls() -> None:
    """Document i is asked for about (i + 1)^-exponent as often as document 0; exponent 0 is uniform."""
    counts = np.bincount(power_law(400, 3000, 2, 0.5, seed=1).indices, minlength=400)
    assert counts[:4].mean() / counts[96:104].mean() == pytest.approx(np.mean(np.arange(1, 5) ** -0.5) / 0.1, rel=0.25)
    flat = np.bincount(power_law(50, 1000, 2, 0.0, seed=1).indices, minlength=50)
    assert flat.max() < 2 * flat.min()


@given(st.integers(0, 50))
@examples(15)
def test_like_keeps_degrees_and_density(seed: int) -> None:
    """Rows and columns keep their sums, and the pairs relevant together stay within half a percent."""
    source = power_law(60, 80, [1, 2, 5], 0.7, seed=seed)
    made = like(source, seed)
    assert (made.sizes == source.sizes).all()
    assert (np.bincount(made.indices, minlength=60) == np.bincount(source.indices, minlength=60)).all()
    assert document_graph_density(made) == pytest.approx(document_graph_density(source), rel=0.005)
    assert len(set(made.sets())) == len(set(source.sets()))
    wide = [row for row in made.sets() if len(row) > 1]
    assert len(set(wide) & set(source.sets())) < len(wide) / 2


REFUSED = {
    "k above n": lambda: all_k(3, 4),
    "k of 0": lambda: all_k(3, 0),
    "more than all subsets": lambda: dense(7, 2, n=4),
    "no query": lambda: dense(0, 2),
    "more random sets than there are": lambda: random(4, 7, 2),
    "a size above n": lambda: random(4, 2, [1, 5]),
    "no size": lambda: random(4, 2, []),
    "no room for disjoint sets in none": lambda: disjoint(3, 1, n=0),
    "too many judgements": lambda: dense(10**12, 2),
    "all subsets of too many": lambda: all_k(60, 30),
    "a set that popularity does not give": lambda: power_law(100, 1, 50, 8.0),
    "a longer cycle than documents": lambda: cycle(4, 5, 2),
    "no room for disjoint sets": lambda: disjoint(3, 2, n=5),
    "communities smaller than k": lambda: block(20, 3, 5, blocks=5),
    "no community": lambda: block(20, 3, 5, blocks=0),
    "a negative exponent": lambda: power_law(5, 2, 2, -1.0),
    "an edge to itself": lambda: graph([[1, 1]]),
    "no edge": lambda: graph([]),
    "fewer documents than the edges name": lambda: graph([[0, 5]], n=3),
    "communities without enough sets": lambda: block(4, 5, 2, blocks=2),
}


@pytest.mark.parametrize("case", REFUSED)
def test_impossible_patterns_are_refused(case: str) -> None:
    """What cannot be is refused before any text is made, with what was found, expected, or to do."""
    with pytest.raises(SpecError, match="expected|choose|no edge"):
        REFUSED[case]()


# ---------------------------------------------------------------------------------------------------------------- language


@pytest.mark.slow
@examples(60)
@given(st.data())
def test_texts_spell_out_the_qrels(data: st.DataObject) -> None:
    """Whatever the pattern, world, vocabulary, operators, lengths and decoys, exact attribute logic gives the qrels back."""
    n = data.draw(st.integers(5, 25))
    pattern = data.draw(
        st.sampled_from(
            [
                lambda: random(n + 8, 9, [1, 3], 7), lambda: all_k(5, 2), lambda: dense(9, 2), lambda: cycle(n, 4, [1, 2]),
                lambda: disjoint(5, 2), lambda: block(n + 5, 6, 2, 2, 0.3), lambda: power_law(n + 5, 6, 2, 0.5),
                lambda: graph([[0, 1], [1, 2, 3]]), lambda: like(dense(9, 2), 1),
            ]
        )
    )()  # fmt: skip
    operators = tuple(data.draw(st.lists(st.sampled_from(sorted(OPERATORS)), min_size=1, max_size=5)))
    language = Language(
        world=data.draw(st.sampled_from(sorted(WORLDS))),
        vocabulary=data.draw(st.sampled_from(["attributes", "inflected", "synonyms", "composed"])),
        part=data.draw(st.sampled_from(["all", "train", "test"])),
        per_document=data.draw(st.sampled_from([30, (25, 40)])),
        operators=operators,
        decoys=data.draw(st.integers(0, 2)),
        denials=data.draw(st.integers(0, 2)) if "one" in operators else 0,
        asked_at=data.draw(st.sampled_from(["anywhere", "first", "middle", "last"])),
        distractors=data.draw(st.integers(2, 6)),  # room for the decoys
        ids=data.draw(st.sampled_from(["name", "number"])),
    )  # fmt: skip
    made = latent_table(pattern, language, data.draw(st.integers(0, 2**40)))
    found = made.dataset("d")
    said = {asked: listed for listed, asked in forms(language.vocabulary)}
    assert exact_match(found.corpus, found.queries, WORLDS[language.world], said) == found.qrels == made.qrels
    assert list(found.qrels.sets()) == list(pattern.sets())
    low, high = language.lengths
    listed = [WORLDS[language.world].listed(text) for text in found.corpus.texts]
    assert all(len(set(row)) == len(row) <= high for row in listed)
    assert all(len(row) >= low for row in listed)


def test_hard_negatives_are_as_good_to_a_bag_of_words() -> None:
    """Each has both words of what is asked for, in two attributes, and does not have it; so has every relevant document."""
    language = Language(vocabulary="composed", hard_negatives=3, distractors=40)
    pattern = dense(60, 2, n=12)
    made = latent_table(pattern, language, 5)
    found = made.dataset("d")
    assert exact_match(found.corpus, found.queries, People(), {}) == pattern_with(pattern, 40)
    lists = [People().listed(text) for text in found.corpus.texts]
    for text, relevant in zip(found.queries.texts, pattern.sets(), strict=True):
        asked = People().asked(text)
        words = asked.split()
        both = [d for d, row in enumerate(lists) if all(any(word in item.split() for item in row) for word in words)]
        assert set(relevant) <= set(both)
        assert len(both) >= 5
        assert all(len(row) == len(set(row)) for row in lists)
    bm25 = score(
        retriever("bm25").retriever.index(found.corpus).search(found.queries, 10).run,
        found.qrels,
        parse_measures("Recall@2"),
    )
    assert bm25["Recall@2"].mean < 0.6


def pattern_with(pattern: Qrels, more: int) -> Qrels:
    """The pattern with documents that are relevant to nothing behind it."""
    return Qrels.from_sets(list(pattern.sets()), pattern.n_documents + more)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"hard_negatives": 1}, "one attribute of two words"),
        ({"hard_negatives": 1, "vocabulary": "composed", "operators": ("and",)}, "add the operator 'one'"),
        ({"hard_negatives": 1, "vocabulary": "composed", "operators": ("one", "and")}, "operator 'and'"),
        ({"denials": 1, "operators": ("or",)}, "add the operator 'one'"),
        ({"hard_negatives": 500, "vocabulary": "composed", "distractors": 3000}, "too few attributes"),
        ({"hard_negatives": 8, "vocabulary": "composed", "per_document": 6}, "room for a hard negative"),
    ],
)
def test_hard_negatives_that_cannot_be_are_refused(options: dict[str, Any], says: str) -> None:
    """With the knob to turn."""
    with pytest.raises(SpecError, match=says):
        latent_table(random(12, 20, 2, 1), Language(**options), 0)


def test_denials_of_names_with_points() -> None:
    """What stands between a name's points is no sentence; an attribute that speaks of dislikes is one attribute."""
    world = People()
    said = world.sentence("Dr. A. Adams", ["tea", "rain", "not mud"])
    assert world.listed(said) == ["tea", "rain", "not mud"]
    assert world.listed("Ada likes people who does not like tea and go.") == ["people who does not like tea", "go"]
    assert world.listed("Ada sees rain. Ada does not like mud.") == ["not mud"]


@pytest.mark.parametrize("world", ["german", "german/people"])
def test_other_languages_are_not_filled_with_english(world: str) -> None:
    """A matrix that asks for more attributes than a language has is refused, and not told in English words."""
    vocabulary_ = "german/everyday" if "/" in world else "german"
    with pytest.raises(SpecError, match="only English has more"):
        adapt(dense(300, 2), Language(world=world, vocabulary=vocabulary_, per_document=20))


def test_denials_are_said_and_asked() -> None:
    """Who likes a thing is not who does not; decoys of the one are the answers of the other."""
    made = latent_table(random(30, 20, 2, 1), Language(operators=("one", "denies"), denials=3, decoys=3), 0)
    found = made.dataset("d")
    assert any("does not like" in text for text in found.corpus.texts)
    assert [("not" in text) for text in found.queries.texts] == [False, True] * 10
    for world in (People(), Products(), Reports(), German(), French(), Spanish()):
        said = world.sentence("N", ["tea", "not rain", "not cold soup"])
        assert sorted(world.listed(said)) == ["not cold soup", "not rain", "tea"]
        assert world.listed(world.sentence("N", ["not rain"])) == ["not rain"]
        assert world.asked(world.question("not rain")) == "not rain"
    for (name, parts), relevant in zip(made.asked, made.qrels.sets(), strict=True):
        other = parts[0] if name == "denies" else ~parts[0]
        holders = {d for d, own in made.own.items() if other in own}
        assert len(holders) == 3
        assert not holders & set(relevant)


@pytest.mark.parametrize("place", ["first", "middle", "last"])
def test_what_is_asked_for_stands_where_it_should(place: str) -> None:
    """At the beginning, in the middle or at the end of every list, whatever the order of the others."""
    made = latent_table(random(20, 20, 2, 1), Language(asked_at=place, per_document=30), 0)  # type: ignore[arg-type]
    found = made.dataset("d")
    plain = latent_table(random(20, 20, 2, 1), Language(per_document=30), 0).dataset("d")
    for document, own in made.own.items():
        row = People().listed(found.corpus.texts[document])
        places = sorted(row.index(made.said[a]) for a in own)
        first = {"first": 0, "middle": (30 - len(own)) // 2, "last": 30 - len(own)}[place]
        assert places == list(range(first, first + len(own)))
        assert sorted(row) == sorted(People().listed(plain.corpus.texts[document]))


def test_new_knobs_leave_old_datasets_alone() -> None:
    """A knob that has its default is not part of what a table says of itself."""
    assert not {"denials", "hard_negatives", "asked_at"} & Language().model_dump().keys()
    assert Language(denials=1).model_dump()["denials"] == 1
    assert Language.model_validate(Language(asked_at="last").model_dump()) == Language(asked_at="last")


def test_languages_say_the_same_things() -> None:
    """Line by line, each once; documents in one and questions in another give the pattern back."""
    lists = [vocabulary(name) for name in ("everyday", "german", "french", "spanish")]
    assert {len(row) for row in lists} == {152}
    assert all(len(set(row)) == 152 for row in lists)
    language = Language(world="german/people", vocabulary="german/everyday", per_document=20)
    found = latent_table(all_k(8, 2), language, 0).dataset("d")
    said = {asked: listed for listed, asked in forms("german/everyday")}
    assert found.queries.texts[0].startswith("Who likes ")
    assert " mag " in found.corpus.texts[0]
    assert exact_match(found.corpus, found.queries, German(), {}) != found.qrels
    assert exact_match(found.corpus, found.queries, world_of("german/people"), said) == found.qrels
    with pytest.raises(SpecError, match="expected as many"):
        forms("german/attributes")
    with pytest.raises(UnknownName):
        world_of("german/klingon")


@examples(25)
@given(
    st.integers(5, 40), st.integers(1, 12), st.one_of(st.integers(1, 4), st.tuples(st.integers(1, 3), st.integers(1, 4))),
    st.permutations(["weight", "date", "price"]), st.integers(1, 3), st.integers(0, 2**40),
)  # fmt: skip
def test_ranges_are_read_back_from_the_texts(
    n: int, m: int, k: int | tuple[int, ...], kinds: list[str], count: int, seed: int
) -> None:
    """The texts' own numbers and dates give the qrels; every question has k documents, and no bound is a document's value."""
    how = Typed(n=n, m=m, k=k, kinds=tuple(kinds[:count]))  # type: ignore[arg-type]
    try:
        found = typed_dataset("d", how, seed)
    except SpecError:
        assert m > count * (n - max(how.sizes) + 1) // len(how.sizes) or max(how.sizes) >= n
        return
    assert typed_match(found.corpus, found.queries) == found.qrels
    assert len(set(found.queries.texts)) == m
    values = {part for text in found.corpus.texts for part in re.findall(r"[\d.-]*\d", text)}
    assert not values & {part for text in found.queries.texts for part in re.findall(r"[\d.-]*\d", text)}
    sizes = how.sizes
    assert [len(row) for row in found.qrels.sets()] == [sizes[(q // count) % len(sizes)] for q in range(m)]
    assert found.digest == typed_dataset("d", how, seed).digest


@pytest.mark.parametrize(
    ("options", "says"), [({"k": 5}, "expected 1 to 4"), ({"m": 900}, "more are asked for"), ({"k": ()}, "found k")]
)
def test_ranges_that_cannot_be_are_refused(options: dict[str, Any], says: str) -> None:
    """Too wide, or more than there are."""
    with pytest.raises(SpecError, match=says):
        typed_dataset("d", Typed(**{"n": 5, "m": 3, **options}), 0)


def test_typed_datasets_are_generated(cli, tmp_path: Path) -> None:
    """By the command, once; a spec with both a pattern and typed attributes is refused."""
    code, _, err = cli("generate", "devices", "--out", tmp_path / "d")
    assert (code, "200 documents, 300 queries" in err) == (0, True), err
    assert read_folder(tmp_path / "d").digest == load("devices").digest
    code, _, err = cli("generate", "devices", "--out", tmp_path / "d")
    assert (code, "already, whole" in err) == (0, True), err
    assert cli("generate", "devices", "--out", tmp_path / "d", "--seed", 1)[0] == 2
    for option, value in (("--per-document", "4"), ("--part", "train")):
        code, _, err = cli("generate", "devices", "--out", tmp_path / "f", option, value)
        assert (code, "are for lists of words" in err) == (2, True), err
    assert cli("generate", "devices", "--out", tmp_path / "d", "--overwrite", "--gz")[0] == 0
    with pytest.raises(SpecError, match="leave it out beside"):
        parse_spec({"title": "t", "licence": "l", "typed": {"n": 5, "m": 2}, "language": {"world": "products"}}, "x")
    with pytest.raises(SpecError, match="k"):
        parse_spec({"title": "t", "licence": "l", "typed": {"n": 5, "m": 2, "k": True}}, "x")
    with pytest.raises(SpecError, match="exactly one"):
        parse_spec({"title": "t", "licence": "l", "typed": {"n": 5, "m": 2}, "pattern": {"kind": "dense"}}, "x")
    code, _, err = cli("generate", "devices", "--out", tmp_path / "e", "--documents", "1e4")
    assert (code, "its size cannot be chosen" in err) == (2, True), err


def test_decoys_matter() -> None:
    """Without the operator's logic a question finds its decoys too: every combination has documents that hold a part of it."""
    made = latent_table(
        random(40, 50, 2, 1), Language(operators=("and", "not", "two-of"), decoys=2, per_document=60), 0
    )
    for (name, parts), relevant in zip(made.asked, made.qrels.sets(), strict=True):
        holders = {d for d, own in made.own.items() if set(own) & set(parts)}
        assert len(holders) == len(relevant) + 2, name


@pytest.mark.parametrize("world", WORLDS)
def test_expressions_are_read_back(world: str) -> None:
    """Every operator's words parse to the operator and its attributes; a known attribute is never taken apart."""
    for name, operator in OPERATORS.items():
        attributes = ("green tea", "sea otters", "chess")[: operator.arity]
        asked = WORLDS[world].asked(WORLDS[world].question(operator.phrase(*attributes)))
        assert parse_expression(asked) == (name, attributes)
    assert parse_expression("trick or treating", {"trick or treating"}) == ("one", ("trick or treating",))


def test_synonyms_overlap_nothing() -> None:
    """At least 1,000 synonym pairs; no word stem stands in two attributes, nor on both sides of one."""
    Stemmer = pytest.importorskip("Stemmer")
    stem = Stemmer.Stemmer("english").stemWord
    small = {
        "of",
        "the",
        "and",
        "a",
        "in",
        "on",
        "to",
        "with",
        "up",
        "out",
        "for",
        "at",
        "by",
        "from",
        "into",
        "no",
        "off",
        "away",
    }
    pairs = forms("synonyms")
    seen: dict[str, int] = {}
    for number, pair in enumerate(pairs):
        sides = [
            {stem(w) for w in side.lower().replace("-", " ").replace("'", " ").split()} - small - {"s"} for side in pair
        ]
        assert all(sides), pair
        assert not sides[0] & sides[1], pair
        for word in sides[0] | sides[1]:
            assert seen.setdefault(word, number) == number, (word, pair, pairs[seen[word]])
    assert len(pairs) >= 1000


@pytest.mark.parametrize("name", ["attributes", "inflected", "synonyms"])
def test_no_attribute_stands_in_another(name: str) -> None:
    """No form of an attribute is a part of another attribute's, and none holds the words that sentences are built with."""
    pairs = forms(name)
    owner = {form: number for number, pair in enumerate(pairs) for form in pair}
    assert len(owner) == len({form for pair in pairs for form in pair})
    assert not [(a, b) for a, b in contained(list(owner)) if owner[a] != owner[b]]
    assert not [
        f for f in owner if any(part in f" {f} " for part in (",", ";", ". ", " and ", " or ", " but not ", " likes "))
    ]


def test_composed_attributes_are_many_and_distinct() -> None:
    """Modifiers before one-word attributes give tens of thousands, none a part of another."""
    words_ = vocabulary("composed")
    assert len(set(words_)) == len(words_) > 50_000
    assert contained(words_[:3000]) == []


def test_train_and_test_share_no_attribute() -> None:
    """Whatever vocabularies and sizes the two sides have, no last word, in document or query, is on both."""

    def said(part: str, **options) -> set[str]:
        made = latent_table(dense(30, 2), Language(part=part, per_document=30, **options), 1)
        phrases = [made.said[a] for a in made.fillers] + [made.said[a] for _, parts in made.asked for a in parts]
        phrases += [made.said_in_queries[a] for _, parts in made.asked for a in parts]
        return {p.split()[-1].lower().removesuffix("s").removesuffix("e") for p in phrases}

    options = (
        {},
        {"attributes": 900},
        {"vocabulary": "inflected"},
        {"vocabulary": "synonyms"},
        {"vocabulary": "composed"},
    )
    trains, tests = ([said(part, **o) for o in options] for part in ("train", "test"))
    for train in trains:
        for test in tests:
            assert not train & test
    whole = vocabulary("attributes")
    halves = [latent_table(dense(30, 2), Language(part=part), 1).said for part in ("train", "test")]
    assert set(halves[0]) | set(halves[1]) == set(whole)
    assert all(len(half) > 900 for half in halves)


@pytest.mark.slow
def test_length_gives_nothing_away() -> None:
    """On the 50,000-document datasets a document's length does not tell who is relevant to something."""
    for name in ("limit-synthetic", "limit-synonyms", "limit-operators"):
        data = load(name)
        lengths = np.array([len(text.split()) for text in data.corpus.texts])
        used = np.unique(data.qrels.indices)
        place = (lengths < np.median(lengths[used])).mean()
        assert 0.1 < place < 0.9, name


@pytest.mark.slow
def test_bm25_on_the_large_ones() -> None:
    """BM25 finds 80 to 95 % in 2 and over 90 % in 100 on limit-synthetic; on limit-synonyms it is near the floor even at 100."""
    for name, low, high, low_100, high_100 in (("limit-synthetic", 80, 95, 90, 100), ("limit-synonyms", 0, 5, 0, 20)):
        data = load(name)
        run = retriever("bm25").retriever.index(data.corpus).search(data.queries, 100).run
        found = {t: 100 * v.mean for t, v in score(run, data.qrels, parse_measures("Recall@2,100")).items()}
        assert low <= found["Recall@2"] <= high, (name, found)
        assert low_100 <= found["Recall@100"] <= high_100, (name, found)


@pytest.mark.slow
def test_synonyms_hurt_words_more_than_meaning() -> None:
    """From the same form to synonyms BM25 loses at least 70 % of its recall@2, and MiniLM less than BM25."""
    pytest.importorskip("sentence_transformers", reason="needs limitbench[models]")
    lost = {}
    for spec in ("bm25", "minilm"):
        found = []
        for name in ("limit-small-synthetic", "limit-small-synonyms"):
            data = load(name)
            run = retriever(spec).retriever.index(data.corpus).search(data.queries, 2).run
            found.append(score(run, data.qrels, parse_measures("Recall@2"))["Recall@2"].mean)
        lost[spec] = 1 - found[1] / found[0]
    assert lost["bm25"] >= 0.7
    assert lost["minilm"] < lost["bm25"]


def test_too_little_is_said_before_work() -> None:
    """Too few attributes, too short lists and no room for decoys are refused with the numbers."""
    with pytest.raises(SpecError, match="needs 2500 attributes for its 2500 queries; found 2117"):
        latent_table(random(3000, 2500, 2), Language(), 0)
    with pytest.raises(SpecError, match="found 17 left in the vocabulary"):
        latent_table(random(3000, 2100, 2), Language(per_document=20), 0)
    with pytest.raises(SpecError, match="it needs 3 attributes; found per_document = 2"):
        latent_table(all_k(4, 2), Language(per_document=2), 0)
    with pytest.raises(SpecError, match="room for a decoy"):
        latent_table(all_k(4, 2), Language(per_document=6, operators=("and",), decoys=2), 0)
    with pytest.raises(SpecError, match="operator 'nand' is not known; did you mean 'and'"):
        parse_spec(
            {"title": "t", "licence": "l", "pattern": {"kind": "all-k"}, "language": {"operators": ["nand"]}}, "x"
        )
    with pytest.raises(SpecError, match="like itself"):
        generate(parse_spec({"title": "t", "licence": "l", "pattern": {"kind": "like", "source": "x"}}, "x"), "x")
    with pytest.raises(SpecError, match=r"pattern 'random': m: missing required argument; mend \[pattern\]"):
        generate(parse_spec({"title": "t", "licence": "l", "pattern": {"kind": "random", "n": 5}}, "x"), "x")


# ------------------------------------------------------------------------------------------------------------------- scale


def test_limit_synthetic_has_limits_statistics() -> None:
    """Lengths are LIMIT's: means within 2 %, extremes within 10 %; 50,000 documents, 2000 judgements."""
    data = load("limit-synthetic")
    lengths = [len(text) for text in data.corpus.texts]
    assert np.mean(lengths) == pytest.approx(598, rel=0.02)
    assert min(lengths) == pytest.approx(475, rel=0.1)
    assert max(lengths) == pytest.approx(731, rel=0.1)
    assert np.mean([len(text) for text in data.queries.texts]) == pytest.approx(21.8, rel=0.02)
    assert (len(data.corpus), int(data.qrels.sizes.sum())) == (50_000, 2000)


def test_any_window_of_the_stream_is_the_same() -> None:
    """Documents do not depend on where writing begins, nor on how many are made at a time."""
    made = latent_table(dense(20, 2), Language(distractors=300), 5)
    whole = list(made.documents())
    assert list(made.documents(137, 201)) == whole[137:201]
    object.__setattr__(made, "block", 7)
    assert list(made.documents()) == whole
    assert b"".join(made.corpus_lines()) == b"".join(made.dataset("x").corpus_lines())
    assert b"".join(made.query_lines()) == b"".join(made.dataset("x").query_lines())
    assert b"".join(made.qrels_lines()) == b"".join(made.dataset("x").qrels_lines())


def test_words_are_a_window() -> None:
    """Words from a place in the stream are those that reading up to it gives; bounded numbers stay in bounds."""
    assert words(3, 1000, 50).tolist() == words(3, 0, 1050)[1000:].tolist()
    drawn = below(words(1, 0, 30_000), 7)
    assert drawn.min() == 0
    assert drawn.max() == 6
    assert np.bincount(drawn).min() > 4000


@pytest.mark.parametrize("n", [10, 94_423, 94_424, 300_000])
def test_names_are_distinct(n: int) -> None:
    """No two documents share a name at any size; beyond first times last names, middle names come in."""
    names = Names(n, 3)
    assert len({names[i] for i in range(n)}) == n
    assert len(names[0].split()) == (2 if n < 94_424 else 3)


@pytest.mark.process
@pytest.mark.skipif(
    not Path("/proc/self/status").exists(), reason="needs /proc: a child's ru_maxrss counts its parent's"
)
def test_memory_does_not_grow(tmp_path: Path) -> None:
    """Writing 150,000 documents takes no more memory than 30,000, give or take 10 %, and less than 300 MB."""
    code = "import re, sys; from pathlib import Path; from limitbench.cli import invoke; " \
           "code = invoke(['generate', 'pattern-dense', '--documents', sys.argv[1], '--out', sys.argv[2]]); " \
           "print(code, re.search(r'VmHWM:\\s+(\\d+)', Path('/proc/self/status').read_text())[1])"  # fmt: skip
    peaks = []
    for n in ("30000", "150000"):
        done = subprocess.run(
            [sys.executable, "-c", code, n, str(tmp_path / n)], capture_output=True, text=True, check=True
        )
        status, peak = done.stdout.split()[-2:]
        assert status == "0"
        peaks.append(int(peak))
    assert peaks[1] < 1.1 * peaks[0]
    assert peaks[1] < 300_000


def _table():
    return latent_table(dense(20, 2), Language(distractors=2000), 5)


@pytest.mark.parametrize("gz", [False, True])
def test_an_interrupted_run_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, gz: bool) -> None:
    """Interrupted anywhere, no file looks whole; the next run keeps the whole parts and ends with the same content."""
    monkeypatch.setattr(stream, "PART", 500)
    made = _table()

    def stop(_stage: str, done: int, _of: int) -> None:
        if done >= 2000:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_table(made, tmp_path, gz=gz, progress=stop)
    assert [p.name for p in tmp_path.iterdir() if p.is_file()] == list((tmp_path / "qrels").iterdir()) == []
    written = write_table(made, tmp_path, gz=gz)
    assert (written.resumed, written.discarded) == (1500, False)
    assert written.sha256 == made.dataset("x").digest == folder_digest(tmp_path) == read_folder(tmp_path).digest
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(
        [".limitbench.json", "qrels", *(f for f in written.files if "/" not in f)]
    )


def _backwards(call: Any, items: Any, **_how: Any) -> Any:
    """An `Each` whose items come in the worst order."""
    for place in reversed(range(len(items))):
        yield place, call(items[place])


@pytest.mark.parametrize("gz", [False, True])
def test_parts_made_elsewhere_give_the_same_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, gz: bool) -> None:
    """By processes, and in whatever order parts come; none that waits for its turn is left behind."""
    monkeypatch.setattr(stream, "PART", 300)
    made = _table()
    for name, each in (("one", None), ("processes", ProcessPool(2)), ("backwards", _backwards)):
        assert write_table(made, tmp_path / name, gz=gz, each=each).sha256 == made.dataset("x").digest
    files = {path.name: sorted(p for p in path.rglob("*") if p.is_file()) for path in tmp_path.iterdir()}
    first, *others = ([p.read_bytes() for p in found] for found in files.values())
    assert all(other == first for other in others)


def test_parts_made_elsewhere_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stopped while parts wait for their turn: what was joined is kept, and so is what waited, also before the first was joined."""
    monkeypatch.setattr(stream, "PART", 500)
    made = _table()

    def stop() -> Iterator[Any]:
        raise KeyboardInterrupt
        yield

    def stopped(call: Any, items: Any, **_how: Any) -> Any:
        for place in (0, 3, 2):
            yield place, call(items[place])
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_table(made, tmp_path, each=stopped)
    hidden = tmp_path / ".limitbench-generate"
    assert len(list(hidden.glob("corpus.jsonl.part-*"))) == 2
    asked = []

    def counted(call: Any, items: Any, **how: Any) -> Any:
        asked.extend(items)
        return _backwards(call, items, **how)

    written = write_table(made, tmp_path, each=counted)
    assert (written.resumed, written.sha256) == (500, made.dataset("x").digest)
    assert [start for start, _ in asked] == [500, 2000]
    assert not hidden.exists()
    with pytest.raises(KeyboardInterrupt):
        write_table(made, tmp_path / "late", each=lambda call, items: chain(islice(_backwards(call, items), 2), stop()))
    written = write_table(made, tmp_path / "late", each=counted)
    assert (written.resumed, written.discarded, written.sha256) == (0, False, made.dataset("x").digest)
    assert len(asked) == 2 + 3


def _died(_item: Any) -> None:
    os._exit(1)


def _refused(item: int) -> int:
    if item == 1:
        raise DataError("a file", "is broken", line=3)
    return item


def test_processes_give_errors_and_tell_of_one_that_dies() -> None:
    """An item that fails gives its error, with its class; a process that dies is told in one line."""
    found = dict(ProcessPool(2)(_refused, [0, 1, 2]))
    assert (found[0], found[2], type(found[1]), str(found[1])) == (0, 2, DataError, "a file:3: is broken")
    with pytest.raises(OutOfMemory, match="fewer --jobs"):
        list(ProcessPool(2)(_died, [0]))


def test_generate_by_several_processes(cli: Any, tmp_path: Path) -> None:
    """`--jobs` gives the catalogue's own digest; with --cluster it is refused."""
    code, said, _ = cli("generate", "limit-hard", "--out", tmp_path, "--jobs", 2, "--json")
    assert (code, json.loads(said)["sha256"]) == (0, load("limit-hard").digest)
    both = ("--jobs", 2, "--cluster", "local")
    for name, how, says in (
        ("limit-hard", both, "give one of them"),
        ("devices", both, "leave out --jobs"),
        ("devices", both[:2], "leave out --jobs"),
        ("devices", both[2:], "leave out --jobs"),
    ):
        code, _, told = cli("generate", name, "--out", tmp_path / "b", *how)
        assert (code, says in told) == (2, True)


@pytest.mark.process
def test_processes_end_with_the_one_that_started_them(tmp_path: Path) -> None:
    """Killed, it leaves none behind, though they do not hear Ctrl-C."""
    code = """
import os, time
from limitbench.processes import ProcessPool
def told(_item):
    print(os.getpid(), flush=True)
    time.sleep(60)
if __name__ == "__main__":
    list(ProcessPool(2)(told, [1, 2]))
"""
    (tmp_path / "script.py").write_text(code)
    command = [sys.executable, str(tmp_path / "script.py")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        pids = [int(running.stdout.readline()) for _ in range(2)]
        running.kill()
    for _ in range(100):
        if not (left := [pid for pid in pids if Path(f"/proc/{pid}").exists()]):
            break
        time.sleep(0.1)
    assert not left


@pytest.mark.parametrize("harm", ["another table", "broken notes", "altered", "altered gz", "gone"])
def test_what_cannot_be_resumed_is_discarded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, harm: str) -> None:
    """Leavings of another table, broken notes and damaged parts are thrown away, and the result says so."""
    monkeypatch.setattr(stream, "PART", 500)
    gz = harm.endswith("gz")

    def stop(_stage: str, done: int, _of: int) -> None:
        if done >= 1000:
            raise KeyboardInterrupt

    made = latent_table(dense(20, 2), Language(distractors=2000), 6) if harm == "another table" else _table()
    with pytest.raises(KeyboardInterrupt):
        write_table(made, tmp_path, gz=gz, progress=stop)
    hidden = tmp_path / ".limitbench-generate"
    part = hidden / f"corpus.jsonl{'.gz' if gz else ''}.part"
    if harm == "broken notes":
        (hidden / "state.json").write_text("{")
    elif harm == "gone":
        part.unlink()
    elif harm != "another table":
        raw = bytearray(part.read_bytes())
        raw[200] ^= 1
        part.write_bytes(raw)
    written = write_table(_table(), tmp_path, gz=gz)
    assert (written.resumed, written.discarded, written.sha256) == (0, True, _table().dataset("x").digest)


def test_a_changed_source_is_another_plan(cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A spec whose edges file changed between two runs does not go on from the first."""
    monkeypatch.setattr(stream, "PART", 100)
    edges, spec = tmp_path / "edges.txt", tmp_path / "s.toml"
    spec.write_text(
        f'title = "t"\nlicence = "l"\n[pattern]\nkind = "graph"\nedges = "{edges}"\n[language]\ndistractors = 300\n'
    )
    edges.write_text("0 1\n1 2\n")
    original = stream.move_into_place
    monkeypatch.setattr(stream, "move_into_place", lambda *a, **k: (_ for _ in ()).throw(KeyboardInterrupt))
    assert cli("generate", spec, "--out", tmp_path / "o")[0] == 130
    monkeypatch.setattr(stream, "move_into_place", original)
    edges.write_text("0 2\n1 2\n")
    code, _, err = cli("generate", spec, "--out", tmp_path / "o")
    assert (code, "started clean" in err) == (0, True), err
    assert list(read_folder(tmp_path / "o").qrels.sets()) == [(0, 2), (1, 2)]


@pytest.mark.parametrize("at", range(3))
def test_an_interrupted_move_is_finished(cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: int) -> None:
    """Stopped between two renames, over another dataset, the folder reads as no dataset; the same command finishes it."""
    assert cli("generate", "all-3-of-12", "--out", tmp_path)[0] == 0
    original, calls = Path.replace, []

    def stop(self: Path, target: Path) -> Path:
        if Path(target).parent in (tmp_path, tmp_path / "qrels") and Path(target).suffix in (".jsonl", ".tsv"):
            calls.append(target)
            if len(calls) == at + 1:
                raise KeyboardInterrupt
        return original(self, target)

    monkeypatch.setattr(Path, "replace", stop)
    assert cli("generate", "graph-petersen", "--out", tmp_path, "--overwrite")[0] == 130
    monkeypatch.setattr(Path, "replace", original)
    with pytest.raises(LimitbenchError):
        read_folder(tmp_path)
    code, _, err = cli("generate", "graph-petersen", "--out", tmp_path)
    assert code == 0, err
    assert folder_digest(tmp_path) == dataset_spec("graph-petersen").sha256


def test_ctrl_c_in_the_middle_of_a_million(tmp_path: Path) -> None:
    """SIGINT while a million documents are written ends with 130 and leaves nothing that looks like a dataset."""
    command = [
        sys.executable,
        "-m",
        "limitbench",
        "generate",
        "pattern-dense",
        "--documents",
        "1e6",
        "--out",
        str(tmp_path),
    ]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    part = tmp_path / ".limitbench-generate" / "corpus.jsonl.part"
    deadline = time.monotonic() + 60
    while not (part.exists() and part.stat().st_size > 1_000_000) and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert not [p for p in tmp_path.rglob("*") if p.suffix in (".jsonl", ".tsv")]


def test_one_writer_at_a_time(tmp_path: Path) -> None:
    """A second process in the same folder is told so and touches nothing."""
    with stream._alone(_hidden(tmp_path)), pytest.raises(InputError, match="another process is writing"):
        write_table(_table(), tmp_path)


def _hidden(folder: Path) -> Path:
    hidden = folder / ".limitbench-generate"
    hidden.mkdir()
    return hidden


def test_too_full_a_disk_is_known_before_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the disk has clearly no room, that is said at once, with both sizes."""
    monkeypatch.setattr(
        stream.shutil, "disk_usage", lambda _: os.terminal_size((1, 1)) and type("U", (), {"free": 1000})
    )
    with pytest.raises(StorageError, match="2007 documents take about 1 MB, and 0 MB are free"):
        write_table(_table(), tmp_path)


def test_a_disk_that_fills_up_is_one_error(tmp_path: Path) -> None:
    """When a write fails in the middle, the error says so, and no file looks whole."""
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, limit[1]))
        with pytest.raises(StorageError, match="cannot be written"):
            write_table(_table(), tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
        signal.signal(signal.SIGXFSZ, before)
    assert not list(tmp_path.glob("*.jsonl"))
    assert write_table(_table(), tmp_path).sha256 == _table().dataset("x").digest


@pytest.mark.parametrize("version", ["3.12", "3.13", "3.14"])
def test_another_python_writes_the_same_bytes(tmp_path: Path, version: str) -> None:
    """Under another Python the command writes the pinned bytes; skips where none with the dependencies is installed."""
    import shutil

    other = shutil.which(f"python{version}")
    if (
        other is None
        or subprocess.run(
            [other, "-c", "import numpy, scipy, pydantic, typer, bm25s, filelock, platformdirs"], capture_output=True
        ).returncode
    ):
        pytest.skip(f"needs python{version} with limitbench's dependencies")
    root = Path(__file__).parent.parent
    subprocess.run(
        [other, "-m", "limitbench", "generate", "limit-small-operators", "--out", str(tmp_path)],
        check=True,
        capture_output=True,
        env={**os.environ, "PYTHONPATH": str(root)},
    )
    assert folder_digest(tmp_path) == dataset_spec("limit-small-operators").sha256


# ------------------------------------------------------------------------------------------------------------- command line


def test_generate_takes_knobs(cli, tmp_path: Path) -> None:
    """Sizes, lengths, seeds and halves can be chosen; the pinned name without changes stays pinned."""
    code, out, err = cli(
        "generate",
        "limit-small-synthetic",
        "--documents",
        "100",
        "--per-document",
        "45:60",
        "--seed",
        "9",
        "--part",
        "all",
        "--out",
        tmp_path / "a",
        "--json",
    )
    assert code == 0, err
    data = read_folder(tmp_path / "a")
    assert (len(data.corpus), json.loads(out)["sha256"]) == (100, data.digest)
    assert {len(People().listed(text)) for text in data.corpus.texts} <= set(range(45, 61))
    code, out, _ = cli("generate", "limit-small-synthetic", "--documents", "46", "--out", tmp_path / "b", "--json")
    assert json.loads(out)["sha256"] == dataset_spec("limit-small-synthetic").sha256
    for options, says in (
        (("--documents", "45"), "expected at least the pattern's own 46"),
        (("--per-document", "x"), "a range such as 30:60"),
        (("--per-document", "44"), "raise it"),
        (("--part", "half"), "train"),
        (("--seed", "-1"), "seed"),
        (("--documents", "1e400"), "at most"),
    ):  # fmt: skip
        code, _, err = cli("generate", "limit-small-synthetic", "--out", tmp_path / "c", *options)
        assert (code, says in err, err.count("\n")) == (2, True, 1), err
    assert not (tmp_path / "c").exists()


def test_generate_from_a_file(cli, tmp_path: Path) -> None:
    """A user's own spec is a TOML file."""
    spec = tmp_path / "mine.toml"
    spec.write_text(
        'title = "t"\nlicence = "l"\nseed = 3\n[pattern]\nkind = "graph"\nedges = [[0, 1], [1, 2]]\n[language]\nworld = "products"\nids = "number"\n'
    )
    assert cli("generate", spec, "--out", tmp_path / "out")[0] == 0
    assert read_folder(tmp_path / "out").corpus.ids == ("document_0", "document_1", "document_2")


def test_generate_is_done_once(cli, tmp_path: Path) -> None:
    """A folder that holds the dataset whole is left alone; one that holds something else is not overwritten unasked."""
    assert cli("generate", "graph-petersen", "--out", tmp_path)[0] == 0
    stamp = (tmp_path / "corpus.jsonl").stat().st_mtime_ns
    for options in ((), ("--documents", "20")):
        place = tmp_path / f"n{len(options)}"
        assert cli("generate", "graph-petersen", "--out", place, *options)[0] == 0
        assert "already, whole" in cli("generate", "graph-petersen", "--out", place, *options)[2]
    code, out, err = cli("generate", "graph-petersen", "--out", tmp_path)
    assert (code, "already, whole" in err, (tmp_path / "corpus.jsonl").stat().st_mtime_ns) == (0, True, stamp)
    assert out.strip() == f"sha256 {dataset_spec('graph-petersen').sha256}"
    code, _, err = cli("generate", "all-3-of-12", "--out", tmp_path)
    assert (code, "--overwrite" in err) == (2, True)
    assert cli("generate", "all-3-of-12", "--out", tmp_path, "--overwrite", "--gz")[0] == 0
    assert folder_digest(tmp_path) == dataset_spec("all-3-of-12").sha256


def test_a_read_only_folder_is_one_line(cli, tmp_path: Path) -> None:
    """A folder that cannot be made is said before any work."""
    (tmp_path / "file").write_text("")
    code, _, err = cli("generate", "graph-petersen", "--out", tmp_path / "file" / "x")
    assert (code, "cannot be written" in err, err.count("\n")) == (2, True, 1)


def test_adapt_keeps_the_structure_alone(cli, beir, tmp_path: Path) -> None:
    """Relevance is the given one, row for row, no text of theirs is there, and ids.tsv leads back."""
    source = beir()
    code, _, err = cli("adapt", source, "--out", tmp_path / "out")
    assert code == 0, err
    made, theirs = read_folder(tmp_path / "out"), read_folder(source)
    assert list(made.qrels.sets()) == list(theirs.qrels.sets())
    texts = " ".join((*made.corpus.texts, *made.queries.texts))
    assert "Ada likes tea and chess" not in texts
    rows = [line.split("\t") for line in (tmp_path / "out" / "ids.tsv").read_text().splitlines()[1:]]
    assert [(kind, their) for kind, their, _ in rows] == [
        ("query", "q1"),
        ("query", "q2"),
        ("document", "d 1"),
        ("document", "d2"),
    ]
    assert [ours for _, _, ours in rows] == [*made.queries.ids, *made.corpus.ids]


def test_adapt_reads_qrels_files_and_grades(cli, tmp_path: Path) -> None:
    """A TREC file alone is enough; grades below --min-grade do not count, and queries left with nothing are named."""
    path = tmp_path / "q.trec"
    path.write_text("q1 0 a%20b 2\nq1 0 c 1\nq2 0 c 1\nq3 0 c 3\n")
    code, _, err = cli("adapt", path, "--out", tmp_path / "out", "--min-grade", "2", "--world", "products")
    assert (code, "1 queries without a relevant document are left out" in err) == (0, True), err
    assert list(read_folder(tmp_path / "out").qrels.sets()) == [(0,), (1,)]
    assert "query\tq3\tquery_1" in (tmp_path / "out" / "ids.tsv").read_text()


def test_adapt_finds_room() -> None:
    """Many queries get composed attributes and a popular document a longer list, alone; both are told and nothing is lost."""
    rng = np.random.default_rng(0)
    sets = [[0, int(d)] for d in rng.integers(1, 500, 2200)]
    made = adapt(Qrels.from_sets(sets, 500))
    assert made.notes == (
        "2200 attributes are asked for and 45 others listed, more than the vocabulary has: composed ones are taken",
        "lists have up to 2200 attributes: as many are asked for of one document",
    )
    assert list(made.plan.qrels.sets()) == [tuple(sorted(set(row))) for row in sets]
    found = made.plan.dataset("x")
    lengths = [len(People().listed(text)) for text in found.corpus.texts]
    assert (lengths[0], set(lengths[1:])) == (2205, {45})
    assert exact_match(found.corpus, found.queries, People()) == found.qrels
    with pytest.raises(InputError, match="no query has a relevant document"):
        adapt(Qrels.from_sets([[], []], 3))


def test_adapt_goes_without_decoys_where_there_is_no_room() -> None:
    """Where every document is relevant, combined questions have no decoys, and the notes say so."""
    made = adapt(Qrels.from_sets([[0, 1], [0, 1]], 2), Language(operators=("and",)))
    assert made.notes == ("there is no document left for decoys: combined questions have none",)
    assert list(made.plan.qrels.sets()) == [(0, 1), (0, 1)]


def test_adapt_reads_what_evaluation_refuses(cli, beir, tmp_path: Path) -> None:
    """A folder with a judged query without a relevant document is adapted without that query."""
    code, _, err = cli(
        "adapt", beir(qrels="query-id\tcorpus-id\tscore\nq1\td2\t1\nq2\td2\t0\n"), "--out", tmp_path / "o"
    )
    assert (code, "1 queries without a relevant document are left out" in err) == (0, True), err
    assert list(read_folder(tmp_path / "o").qrels.sets()) == [(1,)]


@pytest.mark.parametrize("layout", ["beir", "mteb", "trec"])
@pytest.mark.parametrize("gz", [False, True])
def test_layouts_round_trip(cli, tmp_path: Path, layout: str, gz: bool) -> None:
    """What was written in any layout reads back equal, and written again gives the same bytes."""
    options = ("--gz",) if gz else ()
    assert cli("convert", "graph-petersen", "--out", tmp_path / "a", "--qrels", layout, *options)[0] == 0
    assert read_folder(tmp_path / "a") == load("graph-petersen")
    assert cli("convert", tmp_path / "a", "--out", tmp_path / "b", "--qrels", layout, *options)[0] == 0
    files = [p.relative_to(tmp_path / "a") for p in (tmp_path / "a").rglob("*") if p.is_file()]
    assert len(files) == 3
    for file in files:
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


def test_other_folders_round_trip_by_value(cli, limit_small: Path, tmp_path: Path) -> None:
    """The real LIMIT-small survives every layout, value for value."""
    real = read_folder(limit_small)
    for layout in ("beir", "mteb", "trec"):
        assert cli("convert", limit_small, "--out", tmp_path / layout, "--qrels", layout)[0] == 0
        assert read_folder(tmp_path / layout) == real


def test_odd_ids_survive_where_the_layout_allows(tmp_path: Path) -> None:
    """Ids with tabs, percent signs and spaces survive MTEB's and TREC's layouts; BEIR's tsv cannot hold a tab, and says so."""
    from limitbench.collection import Corpus, Dataset, Queries

    odd = Dataset(
        "odd",
        Corpus(("a\tb", "50% c", "ü ß"), ("x", "y", "z")),
        Queries(("q 1",), ("?",)),
        Qrels.from_sets([[0, 1, 2]], 3),
    )
    for layout in ("mteb", "trec"):
        assert read_folder(write_folder(odd, tmp_path / layout, qrels=layout)) == odd
    with pytest.raises(InputError, match="tab or a line break.*mteb"):
        write_folder(odd, tmp_path / "beir")
    with pytest.raises(UnknownName, match="qrels layout 'bier'"):
        write_folder(odd, tmp_path / "beir", qrels="bier")


def test_a_new_layout_replaces_the_old(tmp_path: Path) -> None:
    """Judgements in another layout do not stay beside the new ones, where they could be read instead."""
    data = load("graph-petersen")
    write_folder(data, tmp_path)
    write_folder(data, tmp_path, qrels="mteb", gz=True)
    assert sorted(p.name for p in tmp_path.rglob("*") if p.is_file()) == [
        "corpus.jsonl.gz",
        "qrels.jsonl.gz",
        "queries.jsonl.gz",
    ]


# -------------------------------------------------------------------------------------------------------------------- lint

DIRTY = {
    "empty-file": {"qrels": "query-id\tcorpus-id\tscore\n"},
    "empty-query": {"queries": '{"_id": "q1", "text": ""}\n'},
    "unreadable-line": {"corpus": '{"_id": "d1", "text": "x"}\n{"_id": "d2", "text": "y"}\nnot json\n[]\n{"text": "no id"}\n'},
    "repeated-document": {"corpus": '{"_id": "d1", "text": "x"}\n{"_id": "d2", "text": "y"}\n{"_id": "d1", "text": "z"}\n'},
    "repeated-query": {"queries": '{"_id": "q1", "text": "?"}\n{"_id": "q1", "text": "!"}\n'},
    "empty-document": {"corpus": '{"_id": "d1", "text": "x"}\n{"_id": "d2", "text": " "}\n'},
    "dangling-document": {"qrels": "query-id\tcorpus-id\tscore\nq1\td1\t1\nq1\tnowhere\t1\n"},
    "dangling-query": {"qrels": "query-id\tcorpus-id\tscore\nq1\td1\t1\nq9\td1\t1\n"},
    "conflicting-judgement": {"qrels": "query-id\tcorpus-id\tscore\nq1\td1\t1\nq1\td1\t2\n"},
    "duplicate-labels": {"corpus": '{"_id": "d1", "text": "same"}\n{"_id": "d2", "text": "same"}\n'},
    "no-relevant-document": {"qrels": "query-id\tcorpus-id\tscore\nq1\td1\t0\n"},
    "contained-attribute": {
        "corpus": '{"_id": "d1", "text": "Ada likes roses and chess."}\n{"_id": "d2", "text": "Bo likes desert roses and go."}\n',
        "queries": '{"_id": "q1", "text": "Who likes roses?"}\n',
    },
    "unsafe-id": {
        "corpus": '{"_id": "d 1", "text": "x"}\n{"_id": "d2", "text": "y"}\n', "qrels": "query-id\tcorpus-id\tscore\nq1\td 1\t1\n"
    },
}  # fmt: skip
CLEAN = {
    "corpus": '{"_id": "d1", "text": "x"}\n{"_id": "d2", "text": "y"}\n', "queries": '{"_id": "q1", "text": "?"}\n',
    "qrels": "query-id\tcorpus-id\tscore\nq1\td1\t1\n",
}  # fmt: skip


@pytest.mark.parametrize("check", DIRTY)
def test_lint_finds(cli, beir, check: str) -> None:
    """Each defect gives its own finding alone, with count and example, and exit code 1."""
    code, out, err = cli("lint", beir(**{**CLEAN, **DIRTY[check]}), "--json")
    assert (code, err) == (1, "")
    (found,) = json.loads(out)["findings"]
    assert (found["check"], found["count"] >= 1, bool(found["examples"])) == (check, True, True)


REFUSED_FOLDERS = [
    {"corpus": ""}, {"queries": ""}, {"qrels": ""}, {"queries": '{"_id": "q1"}\n'}, {"queries": '{"_id": "q1", "text": 0}\n'},
    {"corpus": '{"_id": "d1", "text": null}\n{"_id": "d2", "text": "y"}\n'},
    {"corpus": '{"_id": "d1", "title": false, "text": "x"}\n{"_id": "d2", "text": "y"}\n'}, {"qrels": "q1 0 d1\n"}, {"qrels": "q1 0 d1 x\n"},
]  # fmt: skip


@pytest.mark.parametrize("files", [*REFUSED_FOLDERS, *({**CLEAN, **dirt} for dirt in DIRTY.values())])
def test_what_reading_refuses_lint_finds(beir, files: dict[str, str]) -> None:
    """Whenever a folder cannot be read for an evaluation, lint is not clean."""
    from limitbench.datasets.lint import lint_folder

    folder = beir(**{**CLEAN, **files})
    try:
        read_folder(folder)
    except LimitbenchError:
        assert lint_folder(folder)


def test_url_ids_are_meant_literally(tmp_path: Path, cli) -> None:
    """A TREC id that looks escaped and is the corpus's own, such as a URL with %20, is found."""
    (tmp_path / "qrels").mkdir()
    (tmp_path / "corpus.jsonl").write_text('{"_id": "http://x/a%20b", "text": "x"}\n')
    (tmp_path / "queries.jsonl").write_text('{"_id": "q1", "text": "?"}\n')
    (tmp_path / "qrels" / "test.qrels").write_text("q1 0 http://x/a%20b 1\n")
    assert list(read_folder(tmp_path).qrels.sets()) == [(0,)]
    assert json.loads(cli("lint", tmp_path, "--json")[1])["clean"]


def test_prose_does_not_slow_lint(cli, beir) -> None:
    """A document of prose that happens to hold " likes " is not taken for a list of attributes."""
    prose = "Ada likes " + " ".join(f"word{i}" for i in range(20_000)) + "."
    code, out, _ = cli(
        "lint",
        beir(
            corpus=json.dumps({"_id": "d1", "text": prose}) + '\n{"_id": "d2", "text": "y"}\n',
            queries='{"_id": "q1", "text": "Who likes tea?"}\n',
            qrels=CLEAN["qrels"],
        ),
    )
    assert (code, "clean" in out) == (0, True)


def test_every_check_is_tested() -> None:
    """The table above names every check there is."""
    from limitbench.datasets.lint import CHECKS

    assert set(DIRTY) == set(CHECKS)


def test_lint_exit_codes(cli, beir, tmp_path: Path) -> None:
    """Clean is 0, findings 1, unreadable 2."""
    code, out, _ = cli("lint", beir(**CLEAN))
    assert (code, out.strip().endswith("clean")) == (0, True)
    assert cli("lint", tmp_path / "nowhere")[0] == 2
    (tmp_path / "data" / "corpus.jsonl").write_bytes(gzip.compress(b"x")[:-5])
    assert cli("lint", tmp_path / "data")[0] == 2
    code, out, _ = cli("lint", "limit-small-synthetic")
    assert (code, "unsafe-id" in out, "46" in out) == (1, True, True)


def test_lint_of_the_real_one(cli, limit_small: Path) -> None:
    """The real LIMIT-small has ids with spaces and attributes inside others."""
    code, out, _ = cli("lint", limit_small, "--json")
    assert code == 1
    assert {f["check"]: f["count"] for f in json.loads(out)["findings"]} == {"unsafe-id": 46, "contained-attribute": 9}


def test_describe_brackets_the_rank(cli) -> None:
    """describe names the dimension that the dataset needs: 4 for LIMIT's matrix."""
    _, out, _ = cli("describe", "limit-small-synthetic", "--json")
    assert json.loads(out)["order_preserving_rank"] == {"at least": 4, "at most": 4}
