"""An adversary for every kind of certificate and witness: changed claims and data are refused, or true by another way of knowing.

What is known of the small matrices here comes from other kinds of proof than the one that was changed, from theorems of other people,
from scores computed one by one in fractions, and from linear programs.
"""

from __future__ import annotations

import copy
import json
import random
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from fractions import Fraction
from functools import cache
from itertools import combinations
from typing import Any

import networkx as nx
import numpy as np
import pytest
from oracles import edge_documents, maxsim, separable

from limitbench import catalog, certificates, design_proof, load
from limitbench.capacity import witness as witnesses
from limitbench.capacity.witness import Witness
from limitbench.certificates import AllSubsets, Certificate, Notion
from limitbench.certificates.kinds.closed_form import closed_form
from limitbench.design_proof import KINDS, Claim, MultiVector, Sparse, System, TwoStages
from limitbench.dtypes import decode, encode
from limitbench.errors import CertificateError, InputError
from limitbench.relevance import Qrels
from limitbench.theory import brackets
from limitbench.theory import family_vectors as build
from limitbench.theory.matrix import matrix_name

FEW, MANY = 500, 10_000


def mutated(rng: random.Random, tree: Any) -> Any:
    """A copy of JSON-ready values with one to three places changed: numbers, order, lengths, names."""
    tree = copy.deepcopy(tree)
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        places = list(_places(tree))
        if not places:
            return tree
        holder, key = rng.choice(places)
        holder[key] = _other(rng, holder[key])
        if isinstance(holder, list) and len(holder) > 1 and rng.random() < 0.3:
            a, b = rng.randrange(len(holder)), rng.randrange(len(holder))
            if rng.random() < 0.5:
                holder[a], holder[b] = holder[b], holder[a]
            elif rng.random() < 0.5:
                holder.pop(a)
            else:
                holder.insert(a, copy.deepcopy(holder[b]))
    return tree


def _places(tree: Any) -> Iterator[tuple[Any, Any]]:
    items = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, value in list(items):
        yield tree, key
        yield from _places(value)


def _other(rng: random.Random, value: Any) -> Any:
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return rng.choice(
            (value + 1, value - 1, value + 2, value - 2, -value, 0, 1, value * 2, 2**70, float(value), None)
        )
    if isinstance(value, str):
        names = (*certificates.KINDS, *certificates.NOTIONS, "upper", "lower", value[::-1])
        return rng.choice(names)
    if isinstance(value, list) and value:
        rolled = value[1:] + value[:1]
        return rng.choice((rolled, value[::-1], value[:-1], value + value[:1], [], value))
    return rng.choice((None, [], 0, value))


# certificates about matrices -----------------------------------------------------------------------------------------------


def graph(of: nx.Graph, singletons: bool = False) -> Qrels:
    rows = [sorted(edge) for edge in of.edges] + ([[v] for v in of.nodes] if singletons else [])
    return Qrels.from_sets(rows, len(of))


@cache
def matrices() -> dict[str, Qrels]:
    had = np.array([[1]])
    for _ in range(3):
        had = np.block([[had, had], [had, -had]])
    rng, turns = np.random.default_rng(0), np.linspace(0, 6, 7)
    return {
        "pairs": Qrels.from_sets(list(combinations(range(5), 2)), 5),
        "singles": Qrels.from_sets([(i,) for i in range(6)], 6),
        "cube": Qrels.from_sets([[i for i in range(3) if m >> i & 1] for m in range(8)], 3),
        "hadamard": Qrels.from_matrix((had > 0).astype(int)),
        "wheel": graph(nx.wheel_graph(6), singletons=True),
        "K33": graph(nx.complete_bipartite_graph(3, 3), singletons=True),
        "petersen": graph(nx.petersen_graph(), singletons=True),
        "blocks": Qrels.from_sets([(0, 1), (1, 2), (0, 2), (3, 4), (4, 5), (3, 5)], 6),
        "intervals": Qrels.from_sets([range(a, b) for a in range(6) for b in range(a + 1, 7)], 6),
        "random": Qrels.from_matrix((rng.random((12, 9)) < 0.5).astype(int)),
        "half-planes": Qrels.from_matrix((np.cos(turns[:, None] - np.linspace(0.2, 5.9, 8)) > 0).astype(int)),
    }


# order-preserving ranks that others proved: neighbourly polytopes (pairs), Scheinerman and Schnyder (planar graphs), VC (cube)
KNOWN = {"pairs": 3, "singles": 2, "cube": 2, "wheel": 3, "K33": 4, "petersen": 4, "half-planes": 2, "intervals": 2}


@dataclass(frozen=True)
class Known:
    """A matrix, the certificates that were found for it, and for each notion what other kinds of proof say of it."""

    matrix: Qrels | AllSubsets
    made: dict[str, list[Certificate]]
    bounds: dict[Notion, list[tuple[str, str, int]]]  # (kind, side, value)

    def false(self, claim: Certificate) -> bool:
        """Whether some other kind of proof contradicts the claim."""
        other = "upper" if claim.side == "lower" else "lower"
        said = [v for kind, side, v in self.bounds[claim.notion] if side == other and kind != claim.kind]
        return any(claim.value > v if claim.side == "lower" else claim.value < v for v in said)


@cache
def known() -> list[Known]:
    out = []
    for name, matrix in matrices().items():
        found = brackets(matrix, budget_s=0.15)
        if name in KNOWN:
            (order,) = (b for b in found if b.notion == "order_preserving")
            assert order.lower.value <= KNOWN[name] <= order.upper.value
        made: dict[str, list[Certificate]] = {}
        bounds: dict[Notion, list[tuple[str, str, int]]] = {b.notion: [] for b in found}
        for b in found:
            for one in b.bounds:
                if one.certificate is not None:
                    made.setdefault(one.certificate.kind, []).append(one.certificate)
                    bounds[b.notion].append((one.certificate.kind, one.side, one.value))
        if name == "blocks":  # brackets make one only where it is the best
            parts = [{"columns": columns, "kind": "moment-curve", "data": {}} for columns in ([0, 1, 2], [3, 4, 5])]
            two = Certificate("order_preserving", "upper", 3, "blocks", matrix_name(matrix), {"blocks": parts})
            certificates.check(two, matrix)
            made["blocks"] = [two]
        if name in KNOWN:
            bounds["order_preserving"] += [("theorem", "lower", KNOWN[name]), ("theorem", "upper", KNOWN[name])]
        out.append(Known(matrix, made, bounds))
    for path in sorted((catalog.folder("theory") / "certificates").glob("*.json")):
        listed = certificates.read(path)
        if path.stem == "hadamard-64" or "sha256" not in listed[0].matrix:
            continue
        held = next((m for m in [k.matrix for k in out] if matrix_name(m) == dict(listed[0].matrix)), None)
        if held is None:
            held = next((m for m in shipped() if matrix_name(m) == dict(listed[0].matrix)), None)
        if held is None:
            continue
        bounds = {
            notion: [(c.kind, c.side, c.value) for c in listed if c.notion == notion] for notion in certificates.NOTIONS
        }
        out.append(Known(held, {c.kind: [c] for c in listed}, bounds))
    return out


def shipped() -> list[Qrels]:
    return [load("limit-small-synthetic").qrels, graph(nx.petersen_graph(), True), graph(nx.hypercube_graph(3), True)]


def closed() -> Known:
    """All k-subsets: the closed form against its parts, antipodal shattering from below and the moment curve from above."""
    matrix = AllSubsets(7, 2)
    made = {"closed-form": [Certificate("order_preserving", "lower", 4, "closed-form", {"n": 7, "k": 2}, {}),
                            Certificate("sign_rank", "upper", 5, "closed-form", {"n": 7, "k": 2}, {})]}  # fmt: skip
    return Known(matrix, made, {})


def contradicted(one: Known, claim: Certificate) -> bool:
    if "sha256" in claim.matrix:
        return one.false(claim)
    n, k, at_most = claim.matrix["n"], claim.matrix["k"], claim.matrix.get("at_most", False)
    if n > 9 or n < 2:  # the closed form is checked exhaustively for these n in test_theory
        return False
    true = closed_form(n, k, claim.notion, at_most=at_most)
    return claim.value > true if claim.side == "lower" else claim.value < true


def attack(kind: str, count: int) -> tuple[int, int]:
    """(refused, accepted) of so many changed certificates of a kind; one that is accepted and false fails."""
    rng = random.Random(kind)
    bases = [(one, c) for one in [*known(), closed()] for c in one.made.get(kind, [])]
    assert bases, f"no certificate of kind {kind} to change"
    tally: Counter[bool] = Counter()
    for number in range(count):
        one, base = bases[number % len(bases)]
        raw = mutated(rng, base.to_json())
        try:
            claim = Certificate.from_json(raw)
            about = one.matrix if "sha256" in claim.matrix else None
            certificates.check(claim, about)
        except (CertificateError, InputError):
            tally[False] += 1
            continue
        assert not contradicted(one, claim), raw
        tally[True] += 1
    return tally[False], tally[True]


MATRIX_KINDS = sorted(set(certificates.KINDS) - {"orbit", "forster"})  # orbits: test_orbits; forster: below


@pytest.mark.parametrize("kind", MATRIX_KINDS)
def test_changed_certificates_are_refused_or_true(kind: str) -> None:
    """Five hundred changes of each kind: refused with a CertificateError or InputError, or true by other proofs."""
    refused, _ = attack(kind, FEW)
    assert refused > FEW // 5


@pytest.mark.long
@pytest.mark.parametrize("kind", MATRIX_KINDS)
def test_ten_thousand_changed_certificates(kind: str) -> None:
    """Ten thousand of each kind."""
    refused, _ = attack(kind, MANY)
    assert refused > MANY // 5


def forster(count: int) -> int:
    """How many changed Forster certificates of the 16 x 16 Hadamard matrix are accepted; none may say more than the matrix allows."""
    had = np.array([[1]])
    for _ in range(4):
        had = np.block([[had, had], [had, -had]])
    matrix = Qrels.from_matrix((had > 0).astype(int))
    data = {
        "rows": list(range(16)),
        "columns": list(range(16)),
        "plus": 1,
        "minus": 1,
        "num": 161,
        "den": 10,
        "ones": False,
    }
    base = Certificate("sign_rank", "lower", 4, "forster", matrix_name(matrix), data)
    certificates.check(base, matrix)
    rng, accepted = random.Random(4), 0
    for _ in range(count):
        raw = mutated(rng, base.to_json())
        try:
            claim = Certificate.from_json(raw)
            certificates.check(claim, matrix)
        except (CertificateError, InputError):
            continue
        accepted += 1
        assert claim.side == "lower"
        assert claim.value <= 4, raw  # sqrt(m n) / |A| = 16 / 4 of the whole matrix
    return accepted


def test_changed_forster_certificates_say_no_more_than_forster() -> None:
    """The whole 16 x 16 Hadamard matrix gives 4, its sub-matrices and other weights no more."""
    assert 0 < forster(FEW) < FEW


@pytest.mark.long
def test_ten_thousand_changed_forster_certificates() -> None:
    """Ten thousand."""
    assert 0 < forster(MANY) < MANY


# claims about designs ------------------------------------------------------------------------------------------------------


@cache
def claims() -> dict[str, list[Claim]]:
    """True claims of every kind, small and large."""
    graphs = build.Graphs(3, 1, 3)
    tokens, few = graphs.document_tokens(range(6)).astype(int).tolist(), list(combinations(range(6), 2))
    queries = [graphs.query_tokens(one).astype(int).tolist() for one in few]
    code = {"q": 3, "degree": 1, "points": 3}
    heawood = [sorted(edge) for edge in nx.heawood_graph().edges][:9]
    packing = [np.flatnonzero(row).tolist() for row in graphs.documents(range(7))]
    good: list[tuple[str, int, int, System, str, dict[str, Any]]] = [
        ("possible", 9, 2, MultiVector(10, 2, 2, "int8"), "maxsim-code", code),
        ("possible", 9, 2, MultiVector(9, 1, 1, "binary"), "maxsim-single-code", code),
        ("possible", 30, 3, MultiVector(6, 1, 1), "maxsim-rank", {}),
        ("possible", 30, 3, MultiVector(2, 3, 2), "maxsim-zonogon", {}),
        ("possible", 6, 2, MultiVector(2, 1, 5), "maxsim-shared-points", {}),
        ("possible", 6, 2, MultiVector(10, 2, 2, "int8"), "maxsim-embedding", {"documents": tokens, "queries": queries}),
        ("impossible", 9, 2, MultiVector(1, 4, 4), "maxsim-line", {}),
        ("impossible", 400, 6, MultiVector(2, 2, 2), "maxsim-count", {}),
        ("impossible", 400, 6, MultiVector(2, 2, 2, "int8"), "maxsim-count", {}),
        ("possible", 9, 2, Sparse(9, 1, 2, "binary", "equal"), "one-hot", {}),
        ("possible", 9, 2, Sparse(4, 4, 4, "real", "real"), "rank-enough", {}),
        ("possible", 9, 2, Sparse(4, 4, 4, "real", "nonnegative"), "curve-of-terms", {}),
        ("possible", 9, 2, Sparse(9, 3, 6, "binary", "containment"), "packing-code", code),
        ("possible", 12, 2, Sparse(9, 3, 6, "binary", "equal"), "steiner-triples", {"terms": 9}),
        ("possible", 9, 2, Sparse(7, 2, 4, "binary", "nonnegative"), "polarity-graph", {"q": 2}),
        ("possible", 7, 2, Sparse(9, 3, 6, "binary", "equal"), "packing", {"documents": packing, "overlap": 1}),
        ("possible", 9, 2, Sparse(14, 2, 14, "binary", "real"), "edges", {"edges": heawood}),
        ("impossible", 9, 3, Sparse(5, 5, 5, "real", "real"), "rank", {}),
        ("impossible", 9, 3, Sparse(8, 1, 5, "real", "nonnegative"), "one-term", {}),
        ("impossible", 40, 3, Sparse(9, 2, 9, "binary", "real"), "equal-sums", {}),
        ("impossible", 40, 3, Sparse(9, 2, 9, "binary", "real"), "document-codes", {}),
        ("impossible", 40, 3, Sparse(20, 9, 2, "real", "equal"), "query-codes", {}),
        ("impossible", 400, 6, Sparse(12, 9, 2, "real", "real"), "query-codes", {}),
        ("impossible", 12, 2, Sparse(7, 2, 7, "binary", "real"), "four-cycles", {}),
        ("impossible", 12, 2, Sparse(6, 2, 6, "binary", "containment"), "cover-free", {}),
        ("possible", 9, 2, TwoStages(4, 2), "first-stage-rank", {}),
        ("possible", 9, 2, TwoStages(9, 2, "binary"), "first-stage-code", code),
        ("possible", 9, 2, TwoStages(1, 9), "everything", {}),
        ("possible", 11, 3, TwoStages(2, 8), "merged-gaps", {}),
        ("impossible", 90, 2, TwoStages(2, 4), "radon", {}),
        ("impossible", 20, 4, TwoStages(3, 4), "centrepoint", {}),
        ("impossible", 400, 6, TwoStages(2, 7), "candidates-count", {}),
        ("impossible", 400, 6, TwoStages(2, 7, "int8"), "candidates-count", {}),
    ]  # fmt: skip
    out: dict[str, list[Claim]] = {}
    for answer, n, k, system, kind, data in good:
        claim = Claim(answer, n, k, system, kind, data)  # type: ignore[arg-type]
        design_proof.check(claim)
        out.setdefault(kind, []).append(claim)
    return out


def false_by_scores(claim: Claim) -> bool:
    """Whether vectors of the claim, scored one by one, miss some set; False where it has none or too many."""
    n, k, data = claim.n, claim.k, claim.data
    if claim.kind == "maxsim-embedding":
        tokens = [np.array(x, float) for x in data["documents"]]
        return any(
            maxsim(np.array(q, float), tokens)[list(s)].min() <= np.delete(maxsim(np.array(q, float), tokens), s).max()
            for s, q in zip(combinations(range(n), k), data["queries"], strict=True)
        )
    if claim.kind in ("edges", "packing") and isinstance(claim.system, Sparse) and n <= 9 and k <= 3:
        if claim.kind == "edges":
            documents = edge_documents(data["edges"], claim.system.terms)
        else:
            documents = np.zeros((n, claim.system.terms))
            for row, terms in enumerate(data["documents"]):
                documents[row, terms] = 1
        sets = list(combinations(range(n), k))
        chosen = random.Random(n).sample(sets, min(12, len(sets)))  # a linear program each
        return not all(separable(documents, s, claim.system.query_weights == "real") for s in chosen)
    return False


def opposed(claim: Claim) -> list[str]:
    """Kinds of the opposite answer that are accepted for the same system, with the data of small codes."""
    data: list[dict[str, Any]] = [
        {},
        {"q": 3, "degree": 1, "points": 3},
        {"q": 4, "degree": 1, "points": 3},
        {"q": 2},
        {"terms": 9},
    ]
    answer = "impossible" if claim.answer == "possible" else "possible"
    return [
        kind
        for kind, what in KINDS[claim.system.family].items()
        if what == answer
        for d in data
        if design_proof.holds(replace(claim, answer=answer, kind=kind, data=d))
    ]


def attack_claims(kind: str, count: int) -> tuple[int, int]:
    rng, tally = random.Random(kind), Counter[bool]()
    bases = claims()[kind]
    for number in range(count):
        raw = mutated(rng, bases[number % len(bases)].to_json())
        try:
            claim = Claim.from_json(raw)
            design_proof.check(claim)
        except (CertificateError, InputError):
            tally[False] += 1
            continue
        if claim.n * max(asdict(claim.system).get(name, 0) for name in ("dim", "terms")) < 10**6:
            assert not opposed(claim), raw
            assert not false_by_scores(claim), raw
        tally[True] += 1
    return tally[False], tally[True]


CLAIM_KINDS = [kind for kinds in KINDS.values() for kind in kinds]


@pytest.mark.parametrize("kind", CLAIM_KINDS)
def test_changed_claims_are_refused_or_true(kind: str) -> None:
    """Five hundred changes of each kind of claim: refused, or not contradicted by scores, linear programs or the other answer."""
    refused, accepted = attack_claims(kind, FEW)
    assert refused > FEW // 5
    assert accepted > 0


@pytest.mark.long
@pytest.mark.parametrize("kind", CLAIM_KINDS)
def test_ten_thousand_changed_claims(kind: str) -> None:
    """Ten thousand of each kind."""
    refused, accepted = attack_claims(kind, MANY)
    assert refused > MANY // 5
    assert accepted > 0


# witnesses -----------------------------------------------------------------------------------------------------------------


def true_margin(held: Witness) -> Fraction:
    """The square of the least half-gap over |u| max|v|, in fractions; negative where a row is out of order."""
    n, k = held.matrix["n"], held.matrix["k"]
    v = [list(map(Fraction, row)) for row in decode(held.documents, held.dtype).tolist()]
    longest = max(sum(x * x for x in row) for row in v)
    worst: Fraction | None = None
    queries = None if held.queries is None else decode(held.queries, held.dtype).tolist()
    for number, wanted in enumerate(combinations(range(n), k)):
        u = (
            [sum(v[i][c] for i in wanted) for c in range(held.d)]
            if queries is None
            else list(map(Fraction, queries[number]))
        )
        scores = [sum(a * b for a, b in zip(u, row, strict=True)) for row in v]
        gap = min(scores[i] for i in wanted) - max(s for i, s in enumerate(scores) if i not in wanted)
        square = Fraction(-1) if gap <= 0 else gap * gap / 4 / (sum(x * x for x in u) * longest)
        worst = square if worst is None else min(worst, square)
    return Fraction(-1) if worst is None else worst


def axes(dtype: str) -> Witness:
    v = np.eye(6)
    u = np.array([sum(v[i] for i in wanted) for wanted in combinations(range(6), 2)])
    return Witness({"n": 6, "k": 2}, dtype, encode(v, dtype, together=True), encode(u, dtype, together=False), 0.3, {})


def curve(dtype: str) -> Witness:
    v = build.curve(7, 4)
    u = np.array([build.arcs_query(wanted, 7, 4)[0] for wanted in combinations(range(7), 2)])
    held = Witness({"n": 7, "k": 2}, dtype, encode(v, dtype, together=True), encode(u, dtype, together=False), 0.0, {})
    return replace(held, margin=witnesses.check(held).margin or 0.0)


def sums(dtype: str) -> Witness:
    return Witness({"n": 5, "k": 3}, dtype, encode(3 * np.eye(5), dtype, together=True), None, 0.25, {})


WITNESSES: dict[str, Callable[[], Witness]] = {
    "axes in fp64": lambda: axes("fp64"), "axes in int8": lambda: axes("int8"), "curve in fp32": lambda: curve("fp32"),
    "curve in fp16": lambda: curve("fp16"), "curve in bf16": lambda: curve("bf16"), "sums in fp32": lambda: sums("fp32"),
    "sums in int8": lambda: sums("int8"), "pairs by sums": lambda: replace(sums("fp64"), matrix={"n": 5, "k": 2}),
}  # fmt: skip


def attack_witness(name: str, count: int) -> tuple[int, int]:
    rng, base, tally = np.random.default_rng(len(name)), WITNESSES[name](), Counter[bool]()
    assert true_margin(base) >= Fraction(base.margin) ** 2
    for _ in range(count):
        arrays = {side: array.copy() for side in ("documents", "queries") if (array := getattr(base, side)) is not None}
        side = str(rng.choice(list(arrays)))
        flat = arrays[side].reshape(-1).view(np.uint8)
        what = rng.integers(6)
        changed: dict[str, Any] = {}
        if what == 0:
            flat[rng.integers(len(flat))] ^= np.uint8(
                1 << rng.integers(8)
            )  # any bit of any coordinate, NaN and infinity included
        elif what == 1:
            rows = rng.permutation(len(arrays[side]))[:2]
            arrays[side][rows] = arrays[side][rows[::-1]]
        elif what == 2:
            changed["margin"] = float(base.margin * rng.choice([0.5, 1.001, 1.2, 2, np.nan]) + rng.choice([0, 0, 0.01]))
        elif what == 3:
            changed["matrix"] = {**base.matrix, str(rng.choice(["n", "k"])): int(rng.integers(0, 8))}
        elif what == 4:
            changed["dtype"] = str(rng.choice(["fp64", "fp32", "fp16", "bf16", "int8", "binary", "real"]))
        else:
            arrays[side] = arrays[side][: rng.integers(1, len(arrays[side]) + 1)]
        held = replace(base, **arrays, **changed)
        try:
            found = witnesses.check(held)
        except (CertificateError, InputError):
            tally[False] += 1
            continue
        tally[True] += 1
        if found.vacuous:
            assert held.matrix["k"] == held.matrix["n"]
            continue
        true = true_margin(held)
        assert true > 0, (name, changed)
        assert true >= Fraction(found.margin or 0) ** 2
        assert true >= Fraction(held.margin) ** 2
    return tally[False], tally[True]


@pytest.mark.parametrize("name", WITNESSES)
def test_changed_witnesses_are_refused_or_true(name: str) -> None:
    """Five hundred changes of arrays, margins, names and dtypes: refused, or strict with that margin in fractions."""
    refused, accepted = attack_witness(name, FEW)
    assert refused > FEW // 5
    assert accepted > 0


@pytest.mark.long
@pytest.mark.parametrize("name", WITNESSES)
def test_ten_thousand_changed_witnesses(name: str) -> None:
    """Ten thousand of each."""
    refused, accepted = attack_witness(name, MANY)
    assert refused > MANY // 5
    assert accepted > 0


def test_mutations_do_change_something() -> None:
    """The adversary is no straw man: most of what it makes differs, and it reaches claim, matrix and data."""
    rng = random.Random(0)
    base = known()[0].made["antipodal-shattering"][0].to_json()
    made = [mutated(rng, base) for _ in range(300)]
    assert sum(json.dumps(one) != json.dumps(base) for one in made) > 250
    assert all(
        any(one[part] != base[part] for one in made if isinstance(one.get(part), dict))
        for part in ("claim", "matrix", "data")
    )
