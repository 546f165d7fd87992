"""MaxSim, sparse vectors and two stages: constructions scored one by one, bounds against exhaustive and random systems."""

from __future__ import annotations

import dataclasses
import json
import re
from fractions import Fraction
from itertools import combinations, combinations_with_replacement, pairwise, product
from math import comb
from pathlib import Path

import networkx as nx
import numpy as np
import pytest
from conftest import ROOT
from oracles import edge_documents, maxsim, separable

from limitbench import catalog, design_proof, load
from limitbench.design_proof import KINDS, Claim, MultiVector, Sparse, System, TwoStages, check, holds
from limitbench.design_proof.counting import cut_off, halves
from limitbench.errors import CertificateError, DataError, InputError
from limitbench.theory import family_vectors as build
from limitbench.theory.multi_vector import code_margin_squared, multi_vector, token_code
from limitbench.theory.sparse import sparse
from limitbench.theory.two_stages import two_stages


def possible(n: int, k: int, system: System, kind: str, **data: object) -> bool:
    return holds(Claim("possible", n, k, system, kind, data))


def impossible(n: int, k: int, system: System, kind: str, **data: object) -> bool:
    return holds(Claim("impossible", n, k, system, kind, data))


def any_of(n: int, k: int, system: System, answer: str) -> list[str]:
    """The kinds without data that show this answer."""
    kinds = [kind for kind, what in KINDS[system.family].items() if what == answer]
    return [kind for kind in kinds if holds(Claim(answer, n, k, system, kind, {}))]  # type: ignore[arg-type]


# constructions -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("n", "k"), [(9, 1), (9, 2), (8, 3), (8, 5), (27, 2)])
def test_tokens_of_a_code_return_every_set(n: int, k: int) -> None:
    """maxsim-code as vectors: all k-subsets, whatever k, in the same dimensions; and what the certificate says of them."""
    graphs = build.Graphs.smallest(n, 1)
    tokens = graphs.document_tokens(range(n))
    least = 2 * graphs.points - (graphs.points + graphs.r)
    for wanted in combinations(range(n), k):
        scores = maxsim(graphs.query_tokens(wanted), tokens)
        others = np.delete(scores, wanted)
        assert scores[list(wanted)].min() - others.max() == least
        assert len(set(others)) == 1, "all others tie at the floor"
    system = MultiVector(tokens.shape[2], k, 2, "int8")
    assert possible(n, k, system, "maxsim-code", q=graphs.q, degree=graphs.r, points=graphs.points)
    assert not possible(
        n,
        k,
        dataclasses.replace(system, dim=system.dim - 1),
        "maxsim-code",
        q=graphs.q,
        degree=graphs.r,
        points=graphs.points,
    )
    assert not possible(n, k + 1, system, "maxsim-code", q=graphs.q, degree=graphs.r, points=graphs.points)
    if comb(n, k) <= 200:
        embedding = {
            "documents": tokens.astype(int).tolist(),
            "queries": [graphs.query_tokens(wanted).astype(int).tolist() for wanted in combinations(range(n), k)],
        }
        assert possible(n, k, system, "maxsim-embedding", **embedding)
        embedding["queries"][0], embedding["queries"][-1] = embedding["queries"][-1], embedding["queries"][0]
        assert not possible(n, k, system, "maxsim-embedding", **embedding)


def test_the_largest_codes_of_the_issue_are_certified() -> None:
    """1,771,561 documents in 67 int8 dimensions, any k; 2,097,152 in 57."""
    assert possible(1_771_561, 200, MultiVector(67, 200, 2, "int8"), "maxsim-code", q=11, degree=5, points=6)
    assert possible(2_097_152, 1000, MultiVector(57, 1000, 2, "int8"), "maxsim-code", q=8, degree=6, points=7)
    graphs, rng = build.Graphs(11, 5, 6), np.random.default_rng(0)
    numbers = rng.choice(11**6, 400, replace=False).tolist()
    tokens = graphs.document_tokens(numbers)
    for k in (1, 10, 200):
        scores = maxsim(graphs.query_tokens(numbers[:k]), tokens)
        assert scores[:k].min() > scores[k:].max()


@pytest.mark.parametrize("k", [1, 2, 3, 5])
def test_the_polygon_returns_every_set_in_the_plane(k: int) -> None:
    """maxsim-zonogon with rational points of the circle, in exact arithmetic: two tokens a document, k a query, two dimensions."""
    turns = [Fraction(i, 9) for i in range(9)]
    points = [
        ((1 - t * t) / (1 + t * t), 2 * t / (1 + t * t)) for t in turns
    ]  # by angle, within a quarter of the circle
    for wanted in combinations(range(9), k):
        around = [points[i] for i in wanted]
        ends = [*pairwise(around), (around[-1], (-around[0][0], -around[0][1]))]
        query = [((b[0] - a[0]) / 2, (b[1] - a[1]) / 2) for a, b in ends]
        assert len(query) == k
        scores = [sum(abs(u[0] * p[0] + u[1] * p[1]) for u in query) for p in points]
        assert all(scores[i] == 1 for i in wanted)
        assert all(score < 1 for i, score in enumerate(scores) if i not in wanted)
    assert possible(9, k, MultiVector(2, k, 2), "maxsim-zonogon")
    assert not possible(9, k, MultiVector(2, k, 2, "fp64"), "maxsim-zonogon")


def test_the_margin_of_a_code_is_the_one_that_is_promised() -> None:
    """Unit tokens: the least half-gap over all sets, per query token, is the formula's."""
    graphs, n, k, s = build.Graphs(3, 1, 3), 9, 2, 4
    mu = graphs.r / graphs.points
    x = np.sqrt(4 / (4 + (1 + mu) ** 2))
    tokens = graphs.document_tokens(range(n))
    tokens /= np.linalg.norm(tokens, axis=2, keepdims=True)
    gaps = []
    for wanted in combinations(range(n), k):
        own = np.hstack([x * graphs.documents(wanted) / np.sqrt(graphs.points), np.full((k, 1), x * (1 + mu) / 2)])
        query = np.repeat(own, s // k, axis=0)
        assert np.linalg.norm(query, axis=1) == pytest.approx(1)
        scores = maxsim(query, tokens)
        gaps.append((scores[list(wanted)].min() - np.delete(scores, wanted).max()) / 2 / s)
    assert min(gaps) == pytest.approx(float(code_margin_squared(k, s, graphs.r, graphs.points)) ** 0.5)
    found = token_code(10**6, 10, 10, "real", Fraction(1, 100))
    assert found is not None
    assert code_margin_squared(10, 10, found[2], found[3]) >= Fraction(1, 10**4)


@pytest.mark.parametrize("q", [2, 3, 5])
def test_pairs_without_a_four_cycle_return_every_pair(q: int) -> None:
    """The polarity graph: its size, and every pair of documents by the weights of the proof, at most four of them."""
    n, terms = q * (q + 1) ** 2 // 2, q * q + q + 1
    pairs = build.polarity_edges(q, n + 5)
    assert len(pairs) == n
    documents = np.zeros((n, terms))
    documents[np.arange(n)[:, None], pairs] = 1
    assert documents.sum() == 2 * n
    edges = frozenset(map(tuple, pairs.tolist()))
    for wanted in [(i,) for i in range(n)] + list(combinations(range(n), 2)):
        weights = build.pair_weights([tuple(pairs[i].tolist()) for i in wanted], edges)
        assert len(weights) <= 4
        scores = documents[:, list(weights)] @ np.array(list(weights.values()))
        assert scores[list(wanted)].min() > np.delete(scores, wanted).max()
    system = Sparse(terms, 2, 4, "binary", "nonnegative")
    assert possible(n, 2, system, "polarity-graph", q=q)
    assert possible(n, 2, system, "edges", edges=pairs.tolist())
    assert not possible(n + 1, 2, system, "polarity-graph", q=q)
    assert not impossible(n, 2, system, "four-cycles")


def test_four_cycles_are_what_forbids_pairs() -> None:
    """On random graphs the check of edges, k = 2, and a linear program for every pair agree both ways."""
    rng, seen = np.random.default_rng(1), {True: 0, False: 0}
    for _ in range(60):
        every = list(combinations(range(7), 2))
        chosen = sorted(rng.choice(len(every), rng.integers(4, 9), replace=False).tolist())
        edges = [list(every[i]) for i in chosen]
        documents = edge_documents(edges, 7)
        truth = all(separable(documents, wanted, True) for wanted in combinations(range(len(edges)), 2))
        assert possible(len(edges), 2, Sparse(7, 2, 7, "binary", "real"), "edges", edges=edges) == truth
        seen[truth] += 1
    assert min(seen.values()) >= 5


def test_long_cycles_return_every_triple() -> None:
    """Graphs with cycles longer than 2k: every triple by a linear program; a graph of girth 6 is refused for k = 3, rightly."""
    mcgee = nx.LCF_graph(24, [12, 7, -7], 8)
    edges = sorted(sorted(edge) for edge in mcgee.edges)
    system = Sparse(24, 2, 24, "binary", "real")
    assert nx.girth(mcgee) == 7
    assert possible(len(edges), 3, system, "edges", edges=edges)
    assert not possible(len(edges), 4, system, "edges", edges=edges)
    documents, rng = edge_documents(edges, 24), np.random.default_rng(0)
    triples = list(combinations(range(len(edges)), 3))
    for i in rng.choice(len(triples), 40, replace=False):
        assert separable(documents, triples[i], True)
    heawood = sorted(sorted(edge) for edge in nx.heawood_graph().edges)
    system = Sparse(14, 2, 14, "binary", "real")
    assert possible(len(heawood), 2, system, "edges", edges=heawood)
    assert not possible(len(heawood), 3, system, "edges", edges=heawood)
    around = next(c for c in nx.simple_cycles(nx.heawood_graph(), 6) if len(c) == 6)
    sides = [sorted(pair) for pair in pairwise([*around, around[0]])]
    every_other = tuple(sorted(heawood.index(side) for side in sides[::2]))
    assert not separable(edge_documents(heawood, 14), every_other, True)


@pytest.mark.parametrize(("n", "k"), [(9, 2), (25, 2), (8, 3)])
def test_packings_return_every_set(n: int, k: int) -> None:
    """Graphs of polynomials as sparse documents and as single vectors, with queries of equal weights; listed, they pass as packing."""
    graphs = build.Graphs.smallest(n, k)
    documents = graphs.documents(range(n)).astype(int)
    for wanted in combinations(range(n), k):
        scores = documents @ documents[list(wanted)].max(0)
        assert scores[list(wanted)].min() > np.delete(scores, wanted).max()
        assert (scores == graphs.points).sum() == k, "containment returns them too"
    system = Sparse(graphs.q * graphs.points, graphs.points, k * graphs.points, "binary", "containment")
    data = {"q": graphs.q, "degree": graphs.r, "points": graphs.points}
    assert possible(n, k, system, "packing-code", **data)
    listed = [np.flatnonzero(row).tolist() for row in documents]
    assert possible(n, k, system, "packing", documents=listed, overlap=graphs.r)
    assert possible(n, k, TwoStages(system.terms, k, "binary"), "first-stage-code", **data)
    assert possible(n, k, MultiVector(system.terms, 1, 1, "binary"), "maxsim-single-code", **data)
    listed[0] = listed[1]
    assert not possible(n, k, system, "packing", documents=listed, overlap=graphs.r)


def bose(v: int) -> list[list[int]]:
    """Bose's triples on v = 6m + 3 points, in Z_(2m+1) x 3."""
    m = v // 3
    half = (m + 1) // 2
    out = [[x, x + m, x + 2 * m] for x in range(m)]
    out += [
        [x + i * m, y + i * m, (x + y) * half % m + (i + 1) % 3 * m]
        for i in range(3)
        for x, y in combinations(range(m), 2)
    ]
    return [sorted(triple) for triple in out]


@pytest.mark.parametrize("v", [9, 15, 21])
def test_steiner_triples_exist_where_they_are_claimed(v: int) -> None:
    """Bose's construction has v (v - 1) / 6 triples that share at most one point, and the claim asks for no more of them."""
    listed = bose(v)
    assert len(listed) == v * (v - 1) // 6
    system = Sparse(v, 3, 6, "binary", "equal")
    assert possible(len(listed), 2, system, "packing", documents=listed, overlap=1)
    assert possible(len(listed), 2, system, "steiner-triples", terms=v)
    assert not possible(len(listed) + 1, 2, system, "steiner-triples", terms=v)


@pytest.mark.parametrize("k", [1, 2, 3])
def test_the_curve_of_terms_returns_every_set(k: int) -> None:
    """Documents and queries without a negative weight on 2k terms, in integers, for every set of 8 documents."""
    n, top = 8, 9
    documents = [[t**j if j % 2 else top**j - t**j for j in range(1, 2 * k + 1)] for t in range(1, n + 1)]
    assert min(map(min, documents)) >= 0
    for wanted in combinations(range(n), k):
        polynomial = [1]
        for i in wanted:
            for _ in range(2):
                polynomial = [a - (i + 1) * b for a, b in zip([0, *polynomial], [*polynomial, 0], strict=True)]
        query = [-c if j % 2 else c for j, c in enumerate(polynomial)][1:]
        assert min(query) >= 0
        scores = [sum(a * b for a, b in zip(query, document, strict=True)) for document in documents]
        assert min(scores[i] for i in wanted) > max(s for i, s in enumerate(scores) if i not in wanted)
    assert possible(n, k, Sparse(2 * k, 2 * k, 2 * k, "real", "nonnegative"), "curve-of-terms")


@pytest.mark.parametrize(("n", "k", "d"), [(10, 2, 2), (11, 3, 2), (11, 3, 4), (12, 4, 6), (9, 2, 4)])
def test_merged_gaps_serve_every_set_within_what_is_promised(n: int, k: int, d: int) -> None:
    """Candidates of every set, counted from scores; some set needs as many as promised."""
    documents, most = build.curve(n, d), 0
    for wanted in combinations(range(n), k):
        query, let_in = build.arcs_query(wanted, n, d)
        scores = documents @ query
        needed = int((scores >= scores[list(wanted)].min() - 1e-12).sum())
        assert needed <= k + let_in
        most = max(most, k + let_in)
    promised = k + max(0, k - d // 2) * (n - k) // k
    assert most == promised
    if d < 2 * k:
        assert possible(n, k, TwoStages(d, promised), "merged-gaps")
        assert not possible(n, k, TwoStages(d, promised - 1), "merged-gaps")


# bounds --------------------------------------------------------------------------------------------------------------------


def parts(points: np.ndarray, directions: int = 40_000) -> set[frozenset[int]]:
    """Sets that hyperplanes cut off, found by many random directions; all of them for few points in the plane."""
    rng = np.random.default_rng(0)
    order = np.argsort(-(rng.normal(size=(directions, points.shape[1])) @ points.T), axis=1)
    return {frozenset(row[:j].tolist()) for row in order for j in range(1, len(points) + 1)}


@pytest.mark.parametrize(("points", "dim"), [(6, 2), (7, 2), (7, 3), (8, 3)])
def test_counts_of_cut_off_sets_are_upper_bounds(points: int, dim: int) -> None:
    """Random points never have more sets cut off than the two counts say; all parts together reach Cover's number."""
    found = parts(np.random.default_rng(points).normal(size=(points, dim)))
    assert len(found) + 1 == halves(points, dim) or (dim == 3 and len(found) + 1 <= halves(points, dim))
    for most in range(1, points):
        assert sum(len(one) <= most for one in found) <= cut_off(points, dim, most)


def served(documents: np.ndarray, wanted: tuple[int, ...], directions: np.ndarray) -> int:
    """The least number of candidates that serves a set, over many directions."""
    scores = directions @ documents.T
    return int((scores >= scores[:, list(wanted)].min(1, keepdims=True)).sum(1).min())


@pytest.mark.parametrize(("n", "k", "d"), [(60, 2, 2), (15, 3, 2), (24, 4, 3), (30, 5, 4)])
def test_no_documents_need_fewer_candidates_than_proved(n: int, k: int, d: int) -> None:
    """Over random and regular documents: the worst set needs at least what Radon, centrepoints and counting prove."""
    proved = two_stages(n, k, d).greatest_insufficient or 0
    assert proved >= k
    rng = np.random.default_rng(0)
    directions = rng.normal(size=(4_000, d))
    sets = list(combinations(range(n), k))
    for documents in (rng.normal(size=(n, d)), build.curve(n, d) if d % 2 == 0 else rng.random((n, d))):
        chosen = [sets[i] for i in rng.permutation(len(sets))[:600]]
        assert max(served(documents, wanted, directions) for wanted in chosen) > proved


def test_one_dimension_is_two_of_a_single_vector() -> None:
    """MaxSim in one dimension never returns all pairs of five documents, whatever the tokens; of four it may."""
    assert impossible(5, 2, MultiVector(1, 50, 50), "maxsim-line")
    assert not impossible(4, 2, MultiVector(1, 50, 50), "maxsim-line")
    rng = np.random.default_rng(0)
    for _ in range(30):
        tokens = rng.normal(size=(5, 4, 1))
        queries = rng.normal(size=(400, 3, 1))
        lists = {frozenset(np.argsort(-maxsim(query, tokens))[:2].tolist()) for query in queries}
        assert len(lists) < comb(5, 2)


def test_counting_never_forbids_what_is_constructed() -> None:
    """Over many systems no claim is accepted for both answers, nor for a system that contains a possible one."""
    rng = np.random.default_rng(0)
    both = 0
    for _ in range(1500):
        n = int(rng.integers(3, 40))
        k = int(rng.integers(1, n))
        dtype = str(rng.choice(["real", "int8", "binary"]))
        a = int(rng.integers(1, 6))
        systems: list[System] = [
            MultiVector(int(rng.integers(1, 10)), int(rng.integers(1, 6)), int(rng.integers(1, 6)), dtype),
            Sparse(
                int(rng.integers(a, 30)),
                a,
                int(rng.integers(1, 9)),
                dtype,
                str(rng.choice(["real", "nonnegative", "equal"])),
            ),  # type: ignore[arg-type]
            TwoStages(int(rng.integers(1, 10)), int(rng.integers(k, n + 1)), dtype),
        ]
        for system in systems:
            against = any_of(n, k, system, "impossible")
            does = any_of(n, k, system, "possible")
            assert not (against and does), (n, k, system, against, does)
            both += bool(against) + bool(does)
    assert both > 1000


@pytest.mark.parametrize("seed", range(3))
def test_brute_force_over_small_sparse_systems(seed: int) -> None:
    """Binary documents of few terms, every choice of documents: what is proved impossible, no choice does."""
    rng = np.random.default_rng(seed)
    proved = tried = 0
    for terms, a, n, k in ((4, 2, 4, 2), (4, 2, 5, 2), (5, 2, 6, 2), (4, 1, 5, 1), (4, 3, 4, 1), (5, 2, 6, 3)):
        system = Sparse(terms, a, terms, "binary", "real")
        codes = list(combinations(range(terms), a))
        refuted = any_of(n, k, system, "impossible")
        choices = list(combinations(codes, n)) if n <= len(codes) else []
        for at in rng.permutation(len(choices))[:12]:
            documents = np.zeros((n, terms))
            for row, code in enumerate(choices[at]):
                documents[row, list(code)] = 1
            works = all(separable(documents, wanted, True) for wanted in combinations(range(n), k))
            assert not (works and refuted), (terms, a, n, k, refuted)
            tried += 1
        proved += bool(refuted)
    assert proved >= 2
    assert tried > 20


# the interface -------------------------------------------------------------------------------------------------------------


def test_bounds_of_the_families_page_are_reproduced() -> None:
    """Figures that theory/ states, recomputed: bits of MaxSim and of candidates, terms, and candidates."""
    assert multi_vector(10**6, 10, query_tokens=10, document_tokens=2, dtype="int8").least_sufficient == 57
    assert [two_stages(10**6, 10, candidates=c, dtype="binary").greatest_insufficient for c in (100, 1000)] == [133, 99]
    assert two_stages(10**6, 10, 20).least_sufficient == 10, "at 2k dimensions candidates buy nothing"
    assert sparse(10**6, 2, 15_832, document_terms=2, query_terms=9, dtype="binary").verdict == "impossible"
    assert sparse(1000, 3, document_terms=1, query_terms=3).greatest_insufficient == 999
    assert sparse(1000, 3, document_terms=1, query_terms=3).least_sufficient == 1000


def test_the_table_of_the_docs_is_reproduced(cli) -> None:
    """Every row of "Other families" in docs/theory.md holds the numbers that its own command prints."""
    page = (ROOT / "docs" / "theory.md").read_text()
    rows = re.findall(r"^\| [^|]* \| [^|]* \|([^|]*)\|([^|]*)\| `(design .*)` \|$", page, re.M)
    assert len(rows) >= 6
    for impossible_up_to, constructed, command in rows:
        code, out, _ = cli(*command.split(), "--json")
        found = json.loads(out)
        low, high = (
            found.get(name, found.get(f"{name}_dim")) for name in ("greatest_insufficient", "least_sufficient")
        )
        told = [re.sub(r"\D", "", cell) for cell in (impossible_up_to, constructed)]
        assert (code, told) == (0, ["" if low is None else str(low), str(high)]), command


def test_a_margin_leaves_fewer_systems() -> None:
    """A larger half-gap never needs fewer dimensions, and what rests on it has no certificate."""
    found = [
        multi_vector(10**6, 10, query_tokens=10, document_tokens=2, margin=margin)
        for margin in ("0.001", "0.01", "0.02")
    ]
    lower = [verdict.greatest_insufficient or 0 for verdict in found]
    upper = [verdict.least_sufficient or 10**9 for verdict in found]
    assert lower == sorted(lower)
    assert upper == sorted(upper)
    assert all(low < high for low, high in zip(lower, upper, strict=True))
    margined = two_stages(10**6, 10, candidates=100, margin="0.1")
    assert (margined.greatest_insufficient or 0) > (two_stages(10**6, 10, candidates=100).greatest_insufficient or 0)
    assert margined.claims == ()


@pytest.mark.parametrize(
    ("call", "says"),
    [(lambda: multi_vector(5, 5, query_tokens=1, document_tokens=1), "expected 1 <= k < n"),
     (lambda: multi_vector(5, 2, 0, query_tokens=1, document_tokens=1), "found d = 0"),
     (lambda: sparse(5, 2, 3, document_terms=4, query_terms=1), "expected no more a document"),
     (lambda: sparse(5, 2, document_terms=4, query_terms=1, query_weights="containment"), "expected dtype binary"),
     (lambda: sparse(5, 2, document_terms=4, query_terms=1, query_weights="x"), "query weights"),  # type: ignore[arg-type]
     (lambda: two_stages(5, 2), "neither d nor candidates"), (lambda: two_stages(5, 3, candidates=2), "at least k"),
     (lambda: two_stages(5, 3, 2, dtype="fp8"), "dtype")],
)  # fmt: skip
def test_sizes_out_of_range_are_named(call, says: str) -> None:
    """Every wrong number is an InputError that says what to give."""
    with pytest.raises(InputError, match=says):
        call()


DESIGNS = {
    "multi-vector": "--n 1e6 --k 10 --family multi-vector --query-tokens 10 --document-tokens 2 --dtype int8",
    "sparse": "--n 1e6 --k 2 --family sparse --document-terms 2 --query-terms 4 --dtype binary",
    "two-stages": "--n 1e6 --k 10 --family two-stages --dim 12",
    "candidates": "--n 1e6 --k 10 --candidates 100 --dim 3",
}


@pytest.mark.parametrize("family", DESIGNS)
def test_designs_write_certificates_that_verify_accepts(family: str, cli, tmp_path: Path) -> None:
    """`design --certificate`, the schema, and `verify`; a claim that was made stronger is refused, and a qrels option is named."""
    import jsonschema

    path = tmp_path / "c.json"
    code, out, _ = cli("design", *DESIGNS[family].split(), "--certificate", path, "--json")
    assert code == 0
    found = json.loads(out)
    written = json.loads(path.read_text())
    assert written["certificates"] == found["claims"] != []
    schema = json.loads((catalog.folder("theory") / "design-certificate.schema.json").read_text())
    jsonschema.validate(written, schema)
    code, out, _ = cli("verify", path)
    assert (code, out.count("accepted")) == (0, len(written["certificates"]))
    for claim in written["certificates"]:
        claim["claim"]["n"] *= 10 if claim["claim"]["answer"] == "possible" else 1
        for size in ("dim", "terms", "candidates"):
            if claim["claim"]["answer"] == "impossible" and size in claim["claim"]:
                claim["claim"][size] = 10**6
    path.write_text(json.dumps(written))
    code, out, _ = cli("verify", path, "--json")
    assert code == 1
    assert not any(one["accepted"] for one in json.loads(out)["certificates"])
    code, _, err = cli("verify", path, "--qrels", "limit-small-synthetic")
    assert (code, "leave it out" in err) == (2, True)


def test_every_kind_is_in_the_schema_and_on_a_page() -> None:
    """The schema's kinds are the checker's; each is named on its family's page."""
    schema = json.loads((catalog.folder("theory") / "design-certificate.schema.json").read_text())
    kinds = [kind for family in KINDS.values() for kind in family]
    assert set(schema["$defs"]["certificate"]["properties"]["kind"]["enum"]) == set(kinds)
    for family, held in KINDS.items():
        page = (catalog.folder("theory") / f"{family}.md").read_text()
        assert all(f"`{kind}`" in page for kind in held), family


@pytest.mark.parametrize(
    ("options", "says"),
    [(("--query-tokens", "3"), "--family multi-vector"), (("--family", "tree"), "expected single-vector"),
     (("--family", "sparse"), "found no --document-terms"), (("--family", "two-stages"), "neither --dim nor --candidates"),
     (("--candidates", "9", "--recall", "0.9"), "leave out --candidates"), (("--certificate", "x.json"), "limitbench bounds"),
     (("--family", "sparse", "--candidates", "9"), "expected --family two-stages"),
     (("--family", "sparse", "--document-terms", "9", "--query-terms", "3", "--margin", "0.1"), "no bound with a margin")],
)  # fmt: skip
def test_options_that_do_not_go_together_are_named(options: tuple[str, ...], says: str, cli) -> None:
    """One line on stderr that says what goes with what; exit 2."""
    code, out, err = cli("design", "--n", "100", "--k", "2", *options)
    assert (code, out) == (2, "")
    assert says in err


@pytest.mark.parametrize(
    "broken",
    [{"claim": {}}, {"claim": None}, {"kind": ["one-hot"]}, {"data": []}, {"kind": "maxsim-code"}, {"schema": "x"}],
)
def test_broken_claims_are_refused_with_a_sentence(broken: dict, tmp_path: Path) -> None:
    """A file of claims with a part of another shape is a DataError; no TypeError comes through."""
    good = Claim("possible", 9, 2, Sparse(9, 1, 2), "one-hot", {}).to_json()
    (tmp_path / "c.json").write_text(json.dumps({"schema": design_proof.SCHEMA, "certificates": [{**good, **broken}]}))
    with pytest.raises(DataError):
        design_proof.read(tmp_path / "c.json")
    (tmp_path / "c.json").write_text(json.dumps(good))
    (claim,) = design_proof.read(tmp_path / "c.json") or []
    check(claim)


def test_signs_have_no_zero_to_leave_a_token_out() -> None:
    """A binary query of three tokens is none of four, since -1 and 1 cannot pad it: found true for 3 tokens, and false for 4."""
    signs = [[-1, -1, -1, -1], [-1, -1, -1, 1], [-1, -1, 1, -1], [-1, 1, -1, -1], [1, -1, -1, -1], [1, 1, 1, 1]]
    rows = np.array(signs)
    every = [list(x) for x in product((-1, 1), repeat=4)]
    queries = []
    for wanted in combinations(range(6), 3):
        others = [i for i in range(6) if i not in wanted]
        sums = ((u, rows @ np.sum(u, axis=0)) for u in combinations_with_replacement(every, 3))
        queries.append(next(list(u) for u, s in sums if s[list(wanted)].min() > s[others].max()))
    data = {"documents": [[one] for one in signs], "queries": queries}
    assert possible(6, 3, MultiVector(4, 3, 1, "binary"), "maxsim-embedding", **data)
    assert not possible(6, 3, MultiVector(4, 4, 1, "binary"), "maxsim-embedding", **data)
    assert possible(6, 3, MultiVector(4, 4, 1, "int8"), "maxsim-embedding", **data)


@pytest.mark.slow
@pytest.mark.timeout(120)  # each took from half a minute to for ever
def test_checks_of_large_claims_end() -> None:
    """Many relevant documents, tokens, terms and dimensions: refused or decided, in seconds of work."""
    assert not holds(Claim("impossible", 10**3999, 10001, TwoStages(20_000, 10_001), "radon", {}))
    assert two_stages(10**6, 8000, 15_000).least_sufficient == 70_000
    assert multi_vector(10**6, 8000, 20_000, query_tokens=2, document_tokens=2, margin="0.01").verdict == "open"
    equal = Sparse(530_000, 1, 530_000, "real", "equal")
    assert not holds(Claim("impossible", 2**29 - 1, 32_767, equal, "query-codes", {}))
    far = [[[int(10**6 * np.cos(x)), int(10**6 * np.sin(x))]] for x in np.linspace(0, 6, 9000)]
    with pytest.raises(CertificateError, match="too large"):
        check(Claim("possible", 9000, 1, MultiVector(2, 1, 1), "maxsim-embedding", {"documents": far, "queries": far}))
    wide = [list(range(2000 * i, 2000 * i + 2000)) for i in range(4)]
    with pytest.raises(CertificateError, match="too large"):
        check(Claim("possible", 4, 1, Sparse(10**6, 2000, 2000), "packing", {"documents": wide, "overlap": 1998}))


ODD = {
    "huge": 10**5000,
    "nested": [[[]]],
    "nan": float("nan"),
    "none": None,
    "table": {"a": 1},
    "long": "x" * 10**6,
    "true": True,
}


@pytest.mark.parametrize("name", ODD)
@pytest.mark.parametrize("place", ["kind", "answer", "n", "dtype", "query_weights", "terms", "data"])
def test_claims_with_odd_parts_are_refused(name: str, place: str) -> None:
    """Whatever stands in a claim's place, the check refuses it with one short sentence."""
    value = ODD[name]
    good = Claim("possible", 9, 2, Sparse(9, 1, 2), "one-hot", {})
    inside = place in ("dtype", "query_weights", "terms")
    odd = (
        dataclasses.replace(good, system=dataclasses.replace(good.system, **{place: value}))
        if inside
        else dataclasses.replace(good, **{place: value})
    )
    if (place, name) == ("data", "table"):
        check(odd)  # data that nobody reads
        return
    with pytest.raises(CertificateError) as caught:
        check(odd)
    assert len(str(caught.value)) < 500


def test_a_file_nested_without_end_is_refused(tmp_path: Path) -> None:
    """Lists in lists where a number stands: a DataError, and no RecursionError."""
    good = json.dumps(Claim("possible", 9, 2, Sparse(9, 1, 2), "one-hot", {}).to_json())
    (tmp_path / "c.json").write_text(good.replace('"terms": 9', '"terms": ' + "[" * 600 + "]" * 600))
    with pytest.raises(DataError, match="number of terms|terms must be"):
        design_proof.read(tmp_path / "c.json")


@pytest.mark.timeout(60)  # it looked for a prime power of a thousand digits
def test_corpora_of_many_digits_are_answered() -> None:
    """10^30 and 10^3000 documents, every family: an answer, within the fields that the checker takes."""
    for n in (10**30, 10**3000):
        assert sparse(n, 2, document_terms=2, query_terms=4, dtype="binary").greatest_insufficient is not None
        assert multi_vector(n, 2, query_tokens=2, document_tokens=2).least_sufficient == 2
        assert two_stages(n, 2, 4).least_sufficient == 2


def test_claims_with_one_too_few_are_refused() -> None:
    """Constructions ask for what their proofs use: query terms, room for common terms; and counts are not rounded in favour."""
    assert possible(9, 2, Sparse(7, 2, 4, "binary", "nonnegative"), "polarity-graph", q=2)
    assert not possible(9, 2, Sparse(7, 2, 3, "binary", "nonnegative"), "polarity-graph", q=2)
    path = [[0, 1], [1, 2], [2, 3], [3, 4]]
    assert possible(4, 2, Sparse(5, 2, 4, "binary", "real"), "edges", edges=path)
    assert not possible(4, 2, Sparse(5, 2, 3, "binary", "real"), "edges", edges=path)
    code = {"q": 3, "degree": 1, "points": 3}
    assert possible(9, 2, Sparse(11, 5, 8, "binary", "containment"), "packing-code", **code), (
        "two common terms, named too"
    )
    assert not possible(9, 2, Sparse(11, 5, 7, "binary", "containment"), "packing-code", **code)
    assert possible(9, 2, Sparse(11, 5, 6, "binary", "equal"), "packing-code", **code), "others need not name them"
    assert not possible(9, 2, Sparse(10, 5, 8, "binary", "containment"), "packing-code", **code)
    # one bit: two tokens, of which a document holds one or both: three documents, not four; one query token makes two lists
    assert not impossible(3, 2, MultiVector(1, 9, 2, "binary"), "maxsim-count")
    assert impossible(4, 2, MultiVector(1, 9, 2, "binary"), "maxsim-count")
    assert not impossible(3, 1, MultiVector(1, 2, 5, "binary"), "maxsim-count"), (
        "three multisets of two tokens, three sets"
    )
    assert impossible(6, 2, MultiVector(3, 1, 9, "binary"), "maxsim-count"), "8 queries, 15 sets"


# as retrievers -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", ["single-vector", "multi-vector", "sparse"])
@pytest.mark.parametrize("dataset", ["limit-small-synthetic", "graph-petersen"])
def test_constructions_are_measured_at_100_percent(family: str, dataset: str) -> None:
    """`run` measures what a theorem promises: every set in full, on the same path as any retriever."""
    pytest.importorskip("torch", reason="needs limitbench[models]")
    from limitbench import evaluate

    data = load(dataset)
    k = max(map(len, data.qrels.sets()))
    found = evaluate(data, f"constructed:{dataset},family={family}", measures=(f"ExactSet@{k}",))
    (measure,) = found.measures.values()
    assert measure.worst == 1


def test_a_first_stage_is_measured_at_100_percent_of_its_candidates() -> None:
    """Recall at the promised number of candidates is 1 in two dimensions; a seventh fewer is not enough for some set."""
    pytest.importorskip("torch", reason="needs limitbench[models]")
    from limitbench import evaluate
    from limitbench.retrievers import retriever

    data = load("limit-small-synthetic")
    made = retriever("constructed:limit-small-synthetic,family=two-stages,dim=2").retriever
    index = made.index(data.corpus)
    promised = index.facts.more["candidates"]
    assert promised == 2 + 44 // 2
    found = evaluate(data, made, measures=(f"Recall@{promised}", "Recall@20"))
    full, less = found.measures.values()
    assert full.worst == 1
    assert less.worst < 1


def test_constructed_vectors_know_their_dataset_alone() -> None:
    """Another corpus, a query without and one with all documents: one clear error each."""
    pytest.importorskip("torch", reason="needs limitbench[models]")
    from limitbench.retrievers import retriever

    data = load("graph-petersen")
    with pytest.raises(InputError, match="another corpus"):
        retriever("constructed:limit-small-synthetic").retriever.index(data.corpus)
    with pytest.raises(CertificateError):
        check(Claim("possible", 5, 2, Sparse(4, 1, 2), "one-hot", {}))
