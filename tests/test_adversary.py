"""Inputs made to break the proofs: collisions, overflows, endless checks, archives that unpack to more than there is."""

from __future__ import annotations

import importlib
import io
import json
import math
import zipfile
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from limitbench import certificates
from limitbench.capacity import witness
from limitbench.capacity.witness import Witness
from limitbench.certificates import AllSubsets, Certificate, verify
from limitbench.certificates.kinds.rank_two import rank_two_order
from limitbench.certificates.work import Steps
from limitbench.errors import CertificateError, DataError, InputError
from limitbench.relevance import Qrels
from limitbench.theory import bracket, brackets, design
from limitbench.theory.constructions import random_signs_cover
from limitbench.theory.matrix import matrix_name, reduce

# two sets of 96 documents whose sums of the weights that reduce() draws are equal modulo 2^64, found by Wagner's four-list birthday
COLLIDING = (
    [2, 9, 10, 16, 20, 22, 23, 27, 29, 30, 32, 35, 37, 44, 46, 47, 54, 57, 63, 69, 76, 77, 80, 86, 87, 88, 89, 92, 93, 94],
    [1, 3, 4, 7, 13, 17, 18, 26, 28, 31, 33, 34, 40, 41, 42, 45, 50, 51, 68, 70, 71, 74, 78, 79, 81, 82, 83, 84, 85, 90],
)  # fmt: skip


def test_rows_made_to_collide_are_told_apart() -> None:
    """The sums do collide, and the rows stay two; what is then printed passes its check."""
    weights = np.random.Generator(np.random.PCG64(0x11317)).integers(1, 1 << 62, 96, dtype=np.uint64)
    assert len({int(weights[row].sum(dtype=np.uint64)) for row in COLLIDING}) == 1, "else this shows nothing"
    both = Qrels.from_sets(COLLIDING, 96)
    for complements in (False, True):
        assert reduce(both, complements=complements, constants=False).shape[0] == 2
    for notion in certificates.NOTIONS:
        found = bracket(both, notion, budget_s=0.2)
        for bound in (found.lower, found.upper):
            assert bound.certificate is not None
            assert verify(bound.certificate, both), (notion, bound)


def test_every_bound_that_is_printed_is_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    """A theorem that is applied wrongly is left out, and that is said, above and below the size where all bounds are checked."""
    module = importlib.import_module("limitbench.theory.bracket")

    real = module.theorems.bounds

    def wrong(case):
        for bound in real(case):
            odd = bound.method == "trivial" and bound.side == "upper"
            yield case.bound("upper", 1, "trivial", {}, established="theorem") if odd else bound

    monkeypatch.setattr(module.theorems, "bounds", wrong)
    pairs = Qrels.from_sets([(i, j) for i in range(7) for j in range(i)], 7)
    for checked in (100_000, 10):
        monkeypatch.setattr(module, "_CHECKED", checked)
        found = bracket(pairs, "sign_rank", budget_s=0.3)
        assert found.upper.value >= 5
        assert "a trivial bound of 1 did not pass its check and is left out" in found.notes


def test_related_notions_inform_one_another() -> None:
    """sign rank <= order-preserving rank + 1, and the like: no bracket is looser than what the others' certificates imply."""
    rng = np.random.default_rng(0)
    for _ in range(12):
        matrix = Qrels.from_matrix((rng.random((14, 9)) < 0.4).astype(int))
        found = {b.notion: b for b in brackets(matrix, budget_s=0.05)}
        order, sign, one, cosine = (found[n] for n in ("order_preserving", "sign_rank", "global_threshold", "cosine"))
        assert sign.upper.value <= order.upper.value + 1
        assert cosine.upper.value <= order.upper.value + 1
        assert order.upper.value <= min(sign.upper.value, one.upper.value, cosine.upper.value)
        assert sign.lower.value >= order.lower.value >= sign.lower.value - 1
        for bracketed in found.values():
            assert bracketed.lower.value <= bracketed.upper.value
            assert all(verify(c, matrix) for c in bracketed.certificates)


def test_an_empty_and_a_full_row_need_one_threshold_and_one_dimension() -> None:
    """Rows {none, all}: the global threshold needs exactly 1, either row alone 0, and the others 0 or 1 as before."""
    both = Qrels.from_sets([(), range(4)], 4)
    found = bracket(both, "global_threshold")
    assert (found.exact, [verify(c, both) for c in found.certificates]) == (1, [True, True])
    assert bracket(both, "order_preserving").exact == 0
    claim = Certificate("global_threshold", "upper", 0, "moment-curve", matrix_name(both), {})
    assert not verify(claim, both)


# witnesses -----------------------------------------------------------------------------------------------------------------


def sums(documents: np.ndarray, k: int, margin: float = 0.0) -> Witness:
    return Witness({"n": len(documents), "k": k}, "fp64", documents.astype(np.float64), None, margin, {"solver": "x"})


@pytest.mark.parametrize("k", [5, 6, 8])
def test_sums_that_overflow_are_refused(k: int) -> None:
    """Integers whose squared sums pass 2^63 gave margins of nothing: the check now refuses them before it multiplies."""
    n = k + 2
    forged = np.full((n, 3), 2.0**29) + np.arange(n)[:, None]
    with pytest.raises(CertificateError):
        witness.check(sums(forged, k, margin=0.4))
    small = np.eye(n) * 3
    assert witness.check(sums(small, k)).margin == pytest.approx(1 / (2 * np.sqrt(k)), rel=1e-6)
    with pytest.raises(CertificateError, match="the least margin is"):
        witness.check(sums(small, k, margin=0.4))


def test_a_witness_of_nothing_says_so(cli, tmp_path: Path) -> None:
    """k = n asks for nothing: accepted as vacuous, and JSON holds no Infinity."""
    sums(np.eye(4), 4, margin=1.0).write(tmp_path / "w.npz")
    code, out, _ = cli("verify", tmp_path / "w.npz")
    assert (code, "vacuous" in out, "inf" in out.replace("information", "")) == (0, True, False)
    code, out, _ = cli("verify", tmp_path / "w.npz", "--json")
    found = json.loads(out, parse_constant=pytest.fail)["checked"]
    assert (code, found["margin"], found["vacuous"]) == (0, None, True)


def test_an_archive_that_unpacks_to_gigabytes_is_refused_unread(tmp_path: Path) -> None:
    """Sizes are judged from the arrays' own headers; a file of some kilobytes costs neither memory nor time."""
    held = io.BytesIO()
    np.lib.format.write_array_header_1_0(held, {"descr": "<f8", "fortran_order": False, "shape": (10**9, 1)})
    zeros = held.getvalue() + bytes(10**7)
    with zipfile.ZipFile(tmp_path / "bomb.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("header.json", json.dumps({"schema": witness.SCHEMA}))
        archive.writestr("documents.npy", zeros)
    assert (tmp_path / "bomb.npz").stat().st_size < 100_000
    with pytest.raises(
        DataError, match="says that it holds 8 GB unpacked, expected at most 2 GB.*nothing was unpacked"
    ):
        witness.read(tmp_path / "bomb.npz")
    with zipfile.ZipFile(tmp_path / "header.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("header.json", b" " * (20 * 10**6))
    with pytest.raises(DataError, match="16 MB of header"):
        witness.read(tmp_path / "header.npz")


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_packings_that_unpack_by_the_gigabyte_are_refused_unread(method: int, tmp_path: Path) -> None:
    """bz2 and lzma give out whole blocks of any size, so an entry in them is not opened."""
    with zipfile.ZipFile(tmp_path / "b.npz", "w", method) as archive:
        archive.writestr("header.json", json.dumps({"schema": witness.SCHEMA}))
    with pytest.raises(DataError, match="is not a witness"):
        witness.read(tmp_path / "b.npz")


def test_a_header_that_says_how_much_of_it_to_read_is_refused(tmp_path: Path) -> None:
    """Version 1 headers are at most 64 kB; version 2 has 4 GB of room, and numpy reads it all before it judges."""
    with zipfile.ZipFile(tmp_path / "h.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("header.json", json.dumps({"schema": witness.SCHEMA}))
        archive.writestr("documents.npy", b"\x93NUMPY\x02\x00" + (2_500_000_000).to_bytes(4, "little") + b" " * 1000)
    with pytest.raises(DataError, match="array version"):
        witness.read(tmp_path / "h.npz")


def test_a_header_holds_no_infinity(tmp_path: Path) -> None:
    """Neither written nor read."""
    odd = Witness({"n": 4, "k": 4}, "fp64", np.eye(4), None, 0.0, {"seed": float("inf")})
    with pytest.raises(ValueError, match="JSON"):
        odd.write(tmp_path / "w.npz")
    with zipfile.ZipFile(tmp_path / "i.npz", "w") as archive:
        archive.writestr("header.json", '{"schema": "x", "seed": Infinity}')
    with pytest.raises(DataError, match="is not a witness"):
        witness.read(tmp_path / "i.npz")


@pytest.mark.timeout(60)
def test_rows_that_floating_point_leaves_in_doubt_have_a_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every gap is 1 beside scores of 2^100: all rivals of all rows need rationals, and from some number on that is refused."""
    monkeypatch.setattr("limitbench.capacity.exact_margin._MOST_RATIONAL", 200_000)
    n, d = 400, 8
    i = np.arange(n, dtype=np.float64)
    documents, queries = np.zeros((n, d)), np.zeros((n, d))
    documents[:, 0], documents[:, 2], documents[:, 3] = 2.0**50, i, i * i
    queries[:, 1], queries[:, 2], queries[:, 3] = 2.0**50, 2 * i, -1
    documents[:, 4:], queries[:, 4:] = 1.0, 1.0
    held = Witness({"n": n, "k": 1}, "fp64", documents, queries, 0.0, {"solver": "x"})
    with pytest.raises(CertificateError, match="products of rationals"):
        witness.check(held)
    few = Witness({"n": 40, "k": 1}, "fp64", documents[:40], queries[:40], 0.0, {"solver": "x"})
    assert witness.check(few).rational_rows == 40


@pytest.mark.parametrize(("n", "k"), [(40_000, 2), (2_000, 3)])
def test_sizes_that_are_too_much_are_refused_before_they_are_made(n: int, k: int) -> None:
    """A few hundred bytes name a matrix of many gigabytes, or of hours."""
    with pytest.raises(CertificateError, match="expected at most 4 GB and 1e\\+12"):
        witness.check(sums(np.ones((n, 1)), k))


# certificates --------------------------------------------------------------------------------------------------------------


SINGLES = Qrels.from_sets([(i,) for i in range(6)] + [(0, 1), (1, 2), (0, 2)], 6)


def planar(rotation: list[list[int]]) -> Certificate:
    return Certificate("order_preserving", "upper", 3, "planar-embedding", matrix_name(SINGLES), {"rotation": rotation})


@pytest.mark.timeout(30)
def test_a_planar_drawing_that_repeats_a_neighbour_is_refused_at_once() -> None:
    """Such a rotation sent the walk round a face for ever."""
    good = [[1, 2], [0, 2], [0, 1], [], [], []]
    assert verify(planar(good), SINGLES)
    for bad in (
        [[1, 1, 2], [0, 2], [0, 1], [], [], []],
        [[1, 2, 1], [0, 2, 0], [0, 1], [], [], []],
        [[1, 1], [0, 0], [], [], [], []],
    ):
        with pytest.raises(CertificateError, match="named twice|once"):
            certificates.check(planar(bad), SINGLES)


@pytest.mark.timeout(60)
def test_many_faces_are_walked_once_each() -> None:
    """Disjoint triangles, as many as 40,000: honest, accepted, and linear."""
    m = 40_000
    matrix = Qrels.from_sets(
        [(i,) for i in range(3 * m)] + [(3 * i + a, 3 * i + b) for i in range(m) for a, b in ((0, 1), (1, 2), (0, 2))],
        3 * m,
    )
    rotation = [[3 * (v // 3) + (v + s) % 3 for s in (1, 2)] for v in range(3 * m)]
    claim = Certificate("order_preserving", "upper", 3, "planar-embedding", matrix_name(matrix), {"rotation": rotation})
    assert verify(claim, matrix)


def test_parts_of_a_certificate_share_its_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks do not get as much work each as the whole may take; and an embedding of no dimension is not free."""
    monkeypatch.setattr("limitbench.certificates.work.MOST_STEPS", 60_000)
    monkeypatch.setattr(Steps, "__init__", lambda self, left=60_000: setattr(self, "left", left))
    rng = np.random.default_rng(0)
    size, parts = 14, 12
    rows = [
        tuple(p * size + c for c in np.flatnonzero(rng.random(size) < 0.5)) for p in range(parts) for _ in range(size)
    ]
    matrix = Qrels.from_sets(rows, size * parts)
    blocks = [{"columns": list(range(p * size, (p + 1) * size)), "kind": "rank", "data": {}} for p in range(parts)]
    claim = Certificate("order_preserving", "upper", size + 2, "blocks", matrix_name(matrix), {"blocks": blocks})
    with pytest.raises(CertificateError, match="would take more than"):
        certificates.check(claim, matrix)
    empty = Qrels.from_sets([()] * 400, 400)
    data = {"u": [[]] * 400, "v": [[]] * 400}
    with pytest.raises(CertificateError, match="would take more than"):
        certificates.check(Certificate("order_preserving", "upper", 0, "embedding", matrix_name(empty), data), empty)


@pytest.mark.timeout(60)  # it took 27 s of work for each
def test_rank_two_is_decided_quickly_whatever_the_shape() -> None:
    """4 x 6,000, 6,000 x 4 and 200 x 200 sub-matrices: each is decided in moments, since equal lines are one."""
    rng = np.random.default_rng(0)
    for m, n in ((4, 6000), (6000, 4), (200, 200)):
        matrix = Qrels.from_matrix((rng.random((m, n)) < 0.5).astype(int))
        data = {"rows": list(range(m)), "columns": list(range(n))}
        assert verify(Certificate("sign_rank", "lower", 3, "rank-two", matrix_name(matrix), data), matrix)
    angles, cuts = rng.random(150) * 7, rng.random(150) * 7
    plane = np.where(np.cos(angles[:, None] - cuts) > 0, 1, -1)
    found = rank_two_order(list(map(tuple, plane.tolist())))
    assert found is not None
    order, signs = found
    turned = plane[:, order] * np.array(signs)[order]
    assert (np.diff(turned, axis=1) != 0).sum(1).max() <= 1


ENDLESS = {
    "embedding": lambda q: {"u": [[2**4000] * 60] * q.n_queries, "v": [[3**4000] * 60] * q.n_documents},
    "forster": lambda q: {"rows": list(range(q.n_queries)), "columns": list(range(q.n_documents)), "plus": 2**127, "minus": 1, "num": 2**128 - 1, "den": 2**127, "ones": False},
    "rank": lambda _: {},
}  # fmt: skip


@pytest.mark.timeout(120)
@pytest.mark.parametrize("kind", ENDLESS)
def test_a_check_that_would_not_end_is_refused(kind: str) -> None:
    """Every checker counts its steps: data made for endless arithmetic are refused, in seconds."""
    rng = np.random.default_rng(1)
    m, n = {"embedding": (300, 300), "forster": (4000, 200), "rank": (7000, 256)}[kind]
    matrix = Qrels.from_matrix((rng.random((m, n)) < 0.5).astype(int))
    claim = Certificate(
        "order_preserving",
        "upper" if kind != "forster" else "lower",
        9,
        kind,
        matrix_name(matrix),
        ENDLESS[kind](matrix),
    )
    with pytest.raises(CertificateError, match="would take more than 200,000,000 steps"):
        certificates.check(claim, matrix)


ODD = {
    "a value that is no number": {"value": float("nan")}, "an infinite value": {"value": float("-inf")}, "true": {"value": True},
    "a kind that is a list": {"kind": ["trivial"]}, "a kind that is none": {"kind": None}, "a side that is none": {"side": "both"},
    "a notion that is none": {"notion": "rank"}, "data that are a list": {"data": []}, "a matrix that is text": {"matrix": "n"},
}  # fmt: skip


@pytest.mark.parametrize("case", ODD)
def test_claims_of_another_shape_prove_nothing(case: str) -> None:
    """From Python and from files alike: refused, with a sentence, and no TypeError."""
    good = {
        "notion": "sign_rank",
        "side": "lower",
        "value": 1,
        "kind": "trivial",
        "matrix": {"n": 5, "k": 2},
        "data": {},
    }
    assert verify(Certificate(**good))
    bad = {**good, **ODD[case]}
    assert not verify(Certificate(**bad))
    raw = {
        "schema": certificates.SCHEMA,
        "claim": {k: bad[k] for k in ("notion", "side", "value")},
        **{k: bad[k] for k in ("kind", "matrix", "data")},
    }
    with pytest.raises(InputError):
        Certificate.from_json(raw)


# design --------------------------------------------------------------------------------------------------------------------


@pytest.mark.timeout(60)
def test_design_with_one_relevant_document_and_a_large_margin_is_quick() -> None:
    """k = 1 with half-gaps up to 1/2 took 50 to 145 seconds; a larger margin needs no fewer dimensions."""
    found = [design("1e6", "1", None, "real", margin) for margin in ("0.45", "0.49", "0.5")]
    lower = [verdict.greatest_insufficient_dim or 0 for verdict in found]
    assert lower == sorted(lower)
    assert lower[0] >= 10
    assert all(low < (verdict.least_sufficient_dim or math.inf) for low, verdict in zip(lower, found, strict=True))
    assert found[0].least_sufficient_dim is not None


def test_random_signs_are_promised_by_integers_alone() -> None:
    """The floating-point look that spares the integers work never changes their answer."""
    from limitbench.theory.exact import binomial

    rng = np.random.default_rng(0)
    for _ in range(2000):
        n, d = int(10 ** rng.uniform(0.5, 7)), int(rng.integers(1, 120))
        k, gamma = int(rng.integers(1, min(5, n))) if n > 1 else 1, Fraction(int(rng.integers(0, 60)), 100)
        if not 0 < k < n:
            continue
        needed = max(1, math.ceil(gamma * d))
        tail = sum(math.comb(d, i) * (2**k - 1) ** (d - i) for i in range(needed))
        exact = needed <= d and binomial(n, k) * (n - k) * tail < 2 ** (k * d)
        assert random_signs_cover(n, k, d, gamma) == exact


def test_the_cubic_is_below_what_is_constructed_from_81_dimensions_on() -> None:
    """As docs/theory.md says, at half-gap 0.1, in every dimension up to 1,500, and not at 80."""
    from limitbench.theory.constructions import best_polynomial_code
    from limitbench.theory.design import published_cubic

    above = {d: best_polynomial_code(d, 2, gamma=Fraction(1, 10)).n > published_cubic(d) for d in range(80, 1500)}
    assert [d for d, passes in above.items() if not passes] == [80]


def test_explicit_rows_given_beforehand_change_nothing() -> None:
    """`check` with the rows read before accepts and refuses as without."""
    rows = SINGLES.explicit()
    assert verify(planar([[1, 2], [0, 2], [0, 1], [], [], []]), rows)
    assert not verify(Certificate("order_preserving", "upper", 0, "trivial", matrix_name(SINGLES), {}), rows)
    assert not verify(planar([[1, 2], [0, 2], [0, 1], [], [], []]), replace(rows, sha256="0" * 64))
    assert AllSubsets(4, 2).n_queries == 6
