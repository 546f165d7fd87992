"""Symmetric codes: the search finds what an independent method finds, and the proofs accept nothing that is false."""

from __future__ import annotations

import importlib.util
import itertools
import json
import math
import random
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from conftest import examples
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize

import limitbench
from limitbench import catalog, certificates
from limitbench.capacity import Search, Task, orbits, witness
from limitbench.capacity.max_margin import max_margin, parting
from limitbench.capacity.max_margin_query import best_query
from limitbench.capacity.orbit_candidates import Candidates, template
from limitbench.capacity.orbit_search import Goal, find
from limitbench.capacity.orbit_sets import Necklaces
from limitbench.capacity.orbit_solver import Orbits
from limitbench.capacity.orbits import Orbit, OrbitCode
from limitbench.capacity.problem import Problem
from limitbench.capacity.records import Records
from limitbench.capacity.task import POLISHED, Status
from limitbench.certificates import orbits as orbit_proof
from limitbench.certificates.work import Steps
from limitbench.checks.plan import Plan, best_half_gap
from limitbench.checks.schema import Retriever
from limitbench.dtypes import encode
from limitbench.errors import CertificateError, DataError, InputError
from limitbench.theory import codes

NEVER = float("inf")


def found(n: int, d: int, **options) -> OrbitCode:
    outcome = find(Goal(n, d, **options), NEVER)
    assert outcome.code is not None
    return outcome.code


@pytest.fixture(scope="module")
def code() -> OrbitCode:
    return found(41, 6)


# the kernel ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("turn", [1, 2, 3, 4, 7, 8, 101, 1000])
def test_cosines_are_within_one_unit(turn: int) -> None:
    """The integer cosines keep their error bound against math.cos."""
    table = orbit_proof.cosines(turn)
    assert len(table) == turn
    error = max(abs(c - 2.0**48 * math.cos(2 * math.pi * j / turn)) for j, c in enumerate(table))
    assert error <= 1 + 2.0**48 * 2.0**-52  # of the claim, and of math.cos


def test_cosines_agree_with_many_more_bits() -> None:
    """The integer cosines keep their error bound against 200 bits, and cos(pi / 6) is the root of 3/4."""
    fine = orbit_proof.cosines(4004, 200)
    for coarse, exact in zip(orbit_proof.cosines(4004), fine, strict=True):
        assert abs((coarse << 152) - exact) <= (1 << 152) + 1
    assert (orbit_proof.cosines(12, 200)[1] ** 2 * 4 - 3 * (1 << 400)) >> 203 in (-1, 0)  # cos(pi / 6)^2 = 3 / 4


@pytest.mark.parametrize(("n", "k"), [(n, k) for n in range(1, 11) for k in range(1, n + 1)])
def test_necklaces_are_one_of_each_class(n: int, k: int) -> None:
    """Every class of sets under rotation has one necklace, and their number is Burnside's."""

    def least(members: tuple[int, ...]) -> tuple[int, ...]:
        return min(tuple(sorted((x + r) % n for x in members)) for r in range(n))

    listed = list(orbit_proof.necklaces(n, k))
    assert len(listed) == orbit_proof.count_necklaces(n, k)
    assert {least(one) for one in listed} == {least(one) for one in itertools.combinations(range(n), k)}
    assert len({least(one) for one in listed}) == len(listed)


def gap_of(n: int, f: list[int], a: list[int], u: np.ndarray, members: tuple[int, ...]) -> float:
    """The half-gap on unit vectors, in floating point, of a query (2D,) of cosines and sines."""
    t = 2 * np.pi * np.outer(np.arange(n), f) / n
    v = np.concatenate([np.cos(t) * a, np.sin(t) * a], 1)
    s = v @ u
    rest = [x for x in range(n) if x not in members]
    return float((s[list(members)].min() - s[rest].max()) / (2 * np.linalg.norm(a) * np.linalg.norm(u)))


def pair_query(n: int, f: list[int], b: list[int], j: int) -> np.ndarray:
    angle = np.pi * np.array(f) * j / n
    return np.concatenate([np.cos(angle) * b, np.sin(angle) * b])


def test_what_is_proved_is_what_floats_see(code: OrbitCode) -> None:
    """The kernel accepts just below the half-gap that floats see, and refuses just above."""
    n, f, a = code.orbit.n, list(code.orbit.frequencies), list(code.orbit.amplitudes)
    seen = [gap_of(n, f, a, pair_query(n, f, b, j), (0, j)) for j, b in enumerate(code.queries.tolist(), 1)]
    least = min(seen)
    assert orbits.half_gaps(code.orbit, 2, code.queries) == pytest.approx(seen, rel=1e-6)
    below, above = Fraction(least * (1 - 1e-9)), Fraction(least * (1 + 1e-9))
    assert orbit_proof.check(n, 2, f, a, code.queries.tolist(), below) == 6
    with pytest.raises(CertificateError, match="not shown to be below the pair"):
        orbit_proof.check(n, 2, f, a, code.queries.tolist(), above)


@pytest.mark.parametrize(("n", "k"), [(9, 3), (10, 3), (9, 4), (7, 1)])
def test_larger_sets_are_proved_by_necklaces(n: int, k: int) -> None:
    """The trigonometric moment curve carries all k-subsets in 2k dimensions."""
    f, a = list(range(1, k + 1)), [1] * k
    t = 2 * np.pi * np.outer(np.arange(n), f) / n
    v = np.concatenate([np.cos(t), np.sin(t)], 1)
    queries, gaps = [], []
    for members in orbit_proof.necklaces(n, k):
        u = best_query(v, members).u
        assert u is not None
        queries.append(np.rint(u * 2**24).astype(int).tolist())
        gaps.append(gap_of(n, f, a, np.array(queries[-1]), members))
    assert orbit_proof.check(n, k, f, a, queries, Fraction(min(gaps) * (1 - 1e-6))) == 2 * k
    with pytest.raises(CertificateError, match="not shown"):
        orbit_proof.check(n, k, f, a, queries, Fraction(min(gaps) * (1 + 1e-6)))
    queries[-1] = [-x for x in queries[-1]]
    with pytest.raises(CertificateError, match="not shown"):
        orbit_proof.check(n, k, f, a, queries, Fraction(0))


def test_a_field_holds_the_largest_sums() -> None:
    """Queries as large as allowed: the digits of the long integers must not run into each other."""
    code = found(23, 8)
    scaled = code.queries * ((1 << 40) // int(np.abs(code.queries).max()))
    big = replace(code, queries=scaled, orbit=replace(code.orbit, amplitudes=(1 << 39,) * 4))
    gap = Fraction(float(orbits.half_gaps(code.orbit, 2, code.queries).min()) * (1 - 1e-6))
    args = (23, 2, list(big.orbit.frequencies), list(big.orbit.amplitudes))
    assert orbit_proof.check(*args, scaled.tolist(), gap) == 8
    with pytest.raises(CertificateError):
        orbit_proof.check(*args, (-scaled).tolist(), gap)


# mutations -----------------------------------------------------------------------------------------------------------------


def mutations(code: OrbitCode, count: int, seed: int) -> int:
    """How many of so many mutated certificates are accepted; each that is must be true by an oracle in floating point."""
    rng = random.Random(seed)
    accepted = 0
    n0 = code.orbit.n
    for _ in range(count):
        raw = json.loads(json.dumps(code.certificate.to_json()))
        data = raw["data"]
        for _ in range(rng.choice((1, 1, 2))):
            what = rng.choice(("frequency", "query", "amplitude", "n", "half_gap", "order", "sign", "value", "missing"))
            row = rng.randrange(len(data["queries"]))
            if what == "frequency":
                data["frequencies"][rng.randrange(len(data["frequencies"]))] += rng.choice((-1, 1))
            elif what == "query":
                place = rng.randrange(len(data["queries"][row]))
                data["queries"][row][place] += rng.choice((-1, 1, 1 << 6, -(1 << 9)))
            elif what == "amplitude":
                data["amplitudes"][rng.randrange(len(data["amplitudes"]))] += rng.choice((1, 2))
            elif what == "n":
                raw["matrix"]["n"] = n0 + rng.choice((-2, -1, 1, 2))
            elif what == "half_gap":
                gap = Fraction(data["half_gap"]) * Fraction(rng.choice((999, 1001, 1100, 2000)), 1000)
                data["half_gap"] = f"{gap.numerator}/{gap.denominator}"
            elif what == "order":
                other = rng.randrange(len(data["queries"]))
                data["queries"][row], data["queries"][other] = data["queries"][other], data["queries"][row]
            elif what == "sign":
                data["queries"][row] = [-x for x in data["queries"][row]]
            elif what == "value":
                raw["claim"]["value"] += rng.choice((-1, 1))
            else:
                data["queries"].pop(row)
        one = certificates.Certificate.from_json(raw)
        if certificates.verify(one):
            accepted += 1
            assert true_by_floats(one), raw["data"]
            orbits.check_certificate(replace(one, data={**one.data, "stored": {"dtype": "fp64", "half_gap": 0.0}}))
        else:
            with pytest.raises(CertificateError):
                orbits.check_certificate(one)
    return accepted


def true_by_floats(one: certificates.Certificate) -> bool:
    n, k, f, a = one.matrix["n"], one.matrix["k"], one.data["frequencies"], one.data["amplitudes"]
    queries = one.data["queries"]
    if k == 2:
        gap = min(gap_of(n, f, a, pair_query(n, f, b, j), (0, j)) for j, b in enumerate(queries[: n // 2], 1))
    else:
        sets = list(orbit_proof.necklaces(n, k))
        if len(sets) != len(queries):
            return False
        gap = min(gap_of(n, f, a, np.array(b, float), members) for members, b in zip(sets, queries, strict=True))
    dimension = sum(1 if 2 * x % n == 0 else 2 for x in f)
    return gap >= float(Fraction(one.data["half_gap"])) * (1 - 1e-9) - 1e-13 and one.value >= dimension


@pytest.mark.parametrize(("n", "d", "k"), [(13, 6, 2), (16, 6, 2), (13, 8, 3), (12, 10, 4)])
def test_mutated_certificates_are_refused_or_true(n: int, d: int, k: int) -> None:
    """A thousand changed certificates: none is accepted that floats call false."""
    code = found(n, d, k=k)
    accepted = mutations(code, 250, n)
    assert 0 < accepted < 200  # some changes leave the claim true: a smaller half-gap, a larger dimension


@pytest.mark.parametrize(("n", "d", "k"), [(13, 8, 3), (14, 9, 3), (12, 10, 4)])
def test_gaps_of_larger_sets_are_what_floats_see(monkeypatch: pytest.MonkeyPatch, n: int, d: int, k: int) -> None:
    """The directed bounds of larger sets are just below what floats see, decide where integers may not, and refuse what is above."""
    code = found(n, d, k=k)
    f, a = list(code.orbit.frequencies), list(code.orbit.amplitudes)
    sets = orbit_proof.necklaces(n, k)
    seen = [
        gap_of(n, f, a, np.array(b, float), members) for members, b in zip(sets, code.queries.tolist(), strict=True)
    ]
    gaps = orbits.half_gaps(code.orbit, k, code.queries)
    assert gaps == pytest.approx(seen, rel=1e-6)
    assert (gaps < np.array(seen) + 1e-15).all()
    monkeypatch.setattr(orbits, "affordable", lambda _code: False)
    assert orbits.check(code) == "directed floating point"
    with pytest.raises(CertificateError, match="not shown"):
        orbits.check(replace(code, half_gap=Fraction(min(seen)) * Fraction(1000001, 1000000)))


@pytest.mark.slow
def test_certificates_that_would_fill_the_memory_are_refused() -> None:
    """One query that stands for a thousand million documents, and integers that would take too many steps, are refused or handed on."""
    data = {"frequencies": [1, 2, 3], "amplitudes": [1, 1, 1], "queries": [[1, 1, 1, 0, 0, 0]], "half_gap": "0/1"}
    one = certificates.Certificate(
        "order_preserving", "upper", 6, "orbit", {"n": 2**30, "k": 1, "at_most": False}, data
    )
    with pytest.raises(CertificateError, match="are more than"):
        orbits.check_certificate(one)
    simplex = Orbit(34, tuple(range(1, 18)), (1,) * 17)
    sets = orbits.necklaces(34, 27)
    c, s = simplex.plane(4 * np.arange(34))
    queries = np.rint(np.concatenate([c, s], 1)[sets].sum(1) * 2**20).astype(np.int64)
    many = OrbitCode(simplex, 27, queries, Fraction(1, 10), "real", 0.0)
    assert not orbits.affordable(many)
    assert orbits.check(many) == "directed floating point"


@pytest.mark.long
@pytest.mark.parametrize("n", [13, 16, 29, 40, 41])
def test_ten_thousand_mutated_certificates(n: int) -> None:
    """Ten thousand changed certificates: none is accepted that floats call false."""
    assert 0 < mutations(found(n, 6), 2000, n) < 1600


@pytest.mark.parametrize(
    "change",
    [
        {"half_gap": "1e-99999999/1"}, {"half_gap": "1/0"}, {"half_gap": 0.1}, {"half_gap": "-1/2"}, {"half_gap": "²/3"},
        {"queries": 3}, {"queries": [[1]]}, {"queries": []}, {"frequencies": [1, 2]}, {"frequencies": [1, 2, 3.5]},
        {"amplitudes": [0, 1, 1]}, {"amplitudes": [1, 1, True]}, {"frequencies": "123"}, {"queries": None}, {"found": 3}, {"queries": [[1.9, 1, 1]] * 20},
        {"stored": {"dtype": "fp32", "half_gap": "0"}}, {"stored": 3},
    ],
)  # fmt: skip
def test_broken_data_prove_nothing(code: OrbitCode, change: dict) -> None:
    """Data of another shape are refused with a CertificateError, whoever reads them."""
    data = {**code.certificate.data, **change}
    assert "found" in change or "stored" in change or not certificates.verify(replace(code.certificate, data=data))
    with pytest.raises(CertificateError):
        orbits.check(orbits.of_certificate(replace(code.certificate, data=data)))


@pytest.mark.parametrize(
    "claim",
    [{"value": 2}, {"notion": "sign_rank", "side": "lower", "value": 1000}, {"matrix": {"n": 41, "k": 2, "at_most": True}},
     {"side": "lower"}, {"notion": "global_threshold", "value": 5}],
)  # fmt: skip
@pytest.mark.parametrize("large", [False, True])
def test_claims_that_do_not_follow_are_refused(
    code: OrbitCode, claim: dict, large: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The claim itself is checked, by the kernel and where a code is too large for it."""
    monkeypatch.setattr(orbits, "affordable", lambda _code: not large)
    orbits.check_certificate(code.certificate)
    with pytest.raises(CertificateError):
        orbits.check_certificate(replace(code.certificate, **claim))


def test_products_do_not_wrap_round(code: OrbitCode) -> None:
    """Coefficients whose 64-bit products with the amplitudes are those of a true code are refused in floating point."""
    inverse = pow(3, -1, 1 << 64)
    wrapped = [[(x * inverse + (1 << 63)) % (1 << 64) - (1 << 63) for x in row] for row in code.queries.tolist()]
    with pytest.raises(CertificateError, match="beyond 2"):
        orbits.half_gaps(replace(code.orbit, amplitudes=(3, 3, 3)), 2, np.array(wrapped, np.int64))
    least = np.full(code.queries.shape, -(2**63), np.int64)
    with pytest.raises(CertificateError, match="beyond 2"):
        orbits.half_gaps(code.orbit, 2, least)


@pytest.mark.parametrize(("n", "k"), [(4_000_000, 2_000_000), (1 << 30, 30), (1000, 999), (1 << 29, 3)])
def test_sets_without_number_are_refused_at_once(n: int, k: int) -> None:
    """More sets than queries could serve are refused before they are counted."""
    with pytest.raises(CertificateError, match="expected"):
        orbit_proof.check(n, k, [1], [1], [[1, 1]], Fraction(0))


def test_stored_arrays_are_checked_where_a_certificate_names_them(code: OrbitCode, cli, tmp_path: Path) -> None:
    """A claim of strict rows in a dtype is checked at half-gap 0 too; without one nothing is said of storage."""
    plain = replace(code, dtype="real", margin=0.0)
    assert "stored" not in plain.certificate.data
    plain.write(tmp_path / "plain.json")
    assert "stored" not in cli("verify", tmp_path / "plain.json")[1]
    replace(code, dtype="binary", margin=0.0).write(tmp_path / "binary.json")
    assert cli("verify", tmp_path / "binary.json")[0] == 1


def test_work_is_bounded_before_it_is_done(code: OrbitCode, monkeypatch: pytest.MonkeyPatch) -> None:
    """What would take too long is refused before any cosine is computed."""
    monkeypatch.setattr(Steps, "__init__", lambda self, *_: setattr(self, "left", 100))
    monkeypatch.setattr(orbit_proof, "cosines", None)  # not reached
    with pytest.raises(CertificateError, match="more than"):
        orbit_proof.check(41, 2, [1, 2, 3], [1, 1, 1], code.queries.tolist(), Fraction(0), Steps(100).spend)
    huge = {**code.certificate.data, "queries": [[1, 1, 1]] * 10}
    assert not certificates.verify(
        replace(code.certificate, matrix={"n": 1 << 40, "k": 2, "at_most": False}, data=huge)
    )


# the search ----------------------------------------------------------------------------------------------------------------


@examples(40)
@given(st.integers(0, 10**6), st.integers(2, 5), st.integers(1, 12))
def test_max_margin_agrees_with_nnls(seed: int, d: int, rivals: int) -> None:
    """The interior-point method and least distance programming find the same margin."""
    rng = np.random.default_rng(seed)
    v = rng.standard_normal((rivals + 1, d))
    v[0] += 1.5
    answer = best_query(v, [0])
    b, bound = max_margin(torch.from_numpy(v[:1, None] - v[None, 1:]).reshape(1, rivals, d), 40)
    gap = float((b[0].numpy() @ (v[0] - v[1:]).T).min())
    if answer.status == "separated":
        assert gap == pytest.approx(answer.gap, rel=1e-5)
        assert bound[0] >= answer.gap * (1 - 1e-9)
    else:
        assert gap <= 1e-6


@pytest.mark.parametrize(("n", "f"), [(101, (1, 18, 19)), (100, (1, 18, 19)), (62, (3, 5, 11, 31)), (35, (1, 2, 6, 9))])
def test_queries_of_an_orbit_are_the_best(n: int, f: tuple[int, ...]) -> None:
    """The search's queries have the margin of the best queries in all d dimensions; screening bounds it from above."""
    planes = len(f)
    orbit = Orbit(n, f, (1,) * planes)
    v = orbit.documents()
    true = min(best_query(v, [0, j]).gap for j in range(1, n // 2 + 1))
    solved = Orbits(n, planes).solve(np.array(f), np.full(planes, planes**-0.5), need=1e-9, best=True, deadline=NEVER)
    if true < 1e-9:
        assert solved is None
        return
    assert solved is not None
    assert solved.least == pytest.approx(true, rel=1e-3)
    assert solved.least <= solved.bound * (1 + 1e-9)
    proved = orbits.half_gaps(orbit, 2, orbits.quantised(solved.directions, solved.least / 2))
    assert proved.min() == pytest.approx(true / 2, rel=2e-3)
    screened = Orbits(n, planes).screen(torch.tensor([f]), torch.full((1, planes), planes**-0.5, dtype=torch.float64))
    assert screened[0] >= true * (1 - 1e-6)  # a bound from above


def test_documented_codes_of_the_notes() -> None:
    """Half-gaps that were found once by another program, for the same frequencies."""
    for n, f, gap in [(997, (1, 304, 305), 2.1e-5), (997, (1, 263, 127, 126), 9.9e-5), (193, None, 0.115)]:
        if f is None:
            f = (1, 7, 9, 12, 16, 43, 49, 55, 63, 81, 84, 85)
        a = np.full(len(f), len(f) ** -0.5)
        solved = Orbits(n, len(f)).solve(np.array(f), a, need=1e-9, best=True, deadline=NEVER)
        assert solved is not None
        assert solved.least / 2 == pytest.approx(gap, rel=0.03)


def test_rotated_queries_serve_every_pair(code: OrbitCode) -> None:
    """The arrays as stored, listed pair by pair, pass the check of witnesses with the margin claimed."""
    n = code.orbit.n
    problem = Problem.all_subsets(n, 2)
    for dtype in ("fp64", "fp32", "bf16", "fp16", "int8"):
        try:
            margin = orbits.stored_margin(replace(code, dtype=dtype))
        except CertificateError:
            assert dtype not in ("fp64", "fp32", "fp16")
            continue
        u = np.zeros((problem.m, code.d))
        for row, (s, t) in enumerate(problem.relevant.tolist()):
            j, start = (t - s, s) if 2 * (t - s) <= n else (n - t + s, t)
            u[row] = code.orbit.queries(code.queries[j - 1], j, np.array([start]))[0]
        held = witness.Witness(
            {"n": n, "k": 2}, dtype, encode(code.orbit.documents(), dtype, together=True), encode(u, dtype, together=False),
            margin, {},
        )  # fmt: skip
        checked = witness.check(held).margin
        assert checked is not None
        assert checked >= margin
        assert margin > 0.3 * checked - 0.02  # the bound is not idle
    with pytest.raises(CertificateError, match="not shown to be strict|too many"):
        orbits.stored_margin(replace(code, dtype="binary"))


@pytest.mark.parametrize("dtype", ["bf16", "fp16", "int8"])
def test_narrow_dtypes_are_verified_as_stored(dtype: str) -> None:
    """Codes for 8 and 16 bits are strict as stored, and a larger claim is refused."""
    code = found(60, 16, dtype=dtype)
    assert code.dtype == dtype
    orbits.check(code)
    with pytest.raises(CertificateError, match="as stored"):
        orbits.check(replace(code, margin=min(1.0, 2 * code.margin + 0.05)))


def test_a_seed_gives_one_code() -> None:
    """A seed decides the code, and another seed gives another."""
    first, second = found(101, 8, seed=7), found(101, 8, seed=7)
    assert first.orbit == second.orbit
    assert (first.queries == second.queries).all()
    assert found(101, 8, seed=8).orbit != first.orbit


def test_candidates_are_distinct_frequencies() -> None:
    """Every way of drawing gives distinct frequencies between 0 and n / 2."""
    rng = np.random.default_rng(0)
    for n, planes, alternating in [(101, 5, False), (100, 4, True), (13, 6, False), (3, 1, False)]:
        drawn = Candidates(n, planes, rng, 32, alternating)
        seen = 0
        for _ in range(60):
            batch = drawn.draw()
            seen += len(batch.f)
            free = batch.f[:, : planes - alternating]
            assert (free > 0).all()
            assert (2 * free < n).all()
            assert all(len(set(row)) == len(row) for row in free.tolist())
            assert not alternating or (batch.f[:, -1] == n // 2).all()
            if len(batch.f):
                drawn.won(batch, 0)
        assert seen > 0


def test_templates_have_no_row_twice() -> None:
    """Templates hold no row twice, not even with its signs turned."""
    rng = np.random.default_rng(1)
    for planes, rank in [(4, 2), (8, 4), (8, 8), (3, 1), (12, 5), (30, 2), (9, 1)]:
        rows = [tuple(row) for row in template(rng, planes, rank).tolist()]
        assert len(rows) == planes
        assert len({max(row, tuple(-x for x in row)) for row in rows}) == planes


@pytest.mark.slow
def test_unequal_amplitudes_raise_the_margin() -> None:
    """The search for the largest margin ends with unequal amplitudes, and the code is proved."""
    outcome = find(Goal(60, 12, best=True, most=1500), NEVER)
    assert outcome.code is not None
    assert len(set(outcome.code.orbit.amplitudes)) > 1
    orbits.check(outcome.code)


@pytest.mark.parametrize(
    ("d", "n", "status"),
    [(1, 5, "IMPOSSIBLE"), (2, 3, "SOLVED"), (2, 5, "IMPOSSIBLE"), (3, 4, "SOLVED"), (3, 6, "IMPOSSIBLE"), (8, 5, "SOLVED"),
     (2, 4, "UNEQUAL"), (3, 5, "UNEQUAL"), (8, 2, "SOLVED"),
     (4, 6, "SOLVED"), (5, 12, "SOLVED"), (16, 9, "SOLVED")],
)  # fmt: skip
def test_small_corners_have_clear_answers(d: int, n: int, status: str) -> None:
    """Few documents, few dimensions, odd and even: solved and proved, or impossible by theory."""
    result = Search(Task(d, 2, "orbit", n=n, budget_s=20)).run()
    assert result.status == Status[status]
    assert (result.witness is not None) == (status == "SOLVED")
    if isinstance(result.witness, OrbitCode):
        assert result.witness.d <= d
        orbits.check(result.witness)


@pytest.mark.parametrize(("d", "most"), [(2, 3), (3, 4)])
def test_orbits_end_before_other_vectors_do(d: int, most: int) -> None:
    """In 2 and 3 dimensions documents of equal length end where others go on: that is said, and not called the end of all."""
    result = Search(Task(d, 2, "orbit", budget_s=5, seeds=1)).run()
    assert (result.solved_n, result.status) == (most, Status.UNEQUAL)
    assert Search(Task(d, 2, "auto", budget_s=3, seeds=1)).run().status != Status.UNEQUAL


def test_a_margin_above_the_ceiling_is_impossible() -> None:
    """What theory excludes is said without a search."""
    result = Search(Task(16, 2, "orbit", n=40, margin=0.9)).run()
    assert result.status == Status.IMPOSSIBLE
    assert not result.tried


def test_bad_tasks_are_refused() -> None:
    """Sets larger than the checker takes, and an empty budget, are refused."""
    with pytest.raises(InputError, match="at most 32; use anneal"):
        Task(80, 33, "orbit")
    with pytest.raises(InputError, match="expected more than 0"):
        Task(8, 2, "orbit", budget_s=0)


@pytest.mark.parametrize(
    ("n", "d", "k", "margin"), [(41, 8, 3, 0.0), (40, 7, 3, 0.0), (20, 10, 4, 0.001), (23, 12, 5, 0.0), (9, 4, 1, 0.2)]
)
def test_sets_of_any_size_are_searched(n: int, d: int, k: int, margin: float) -> None:
    """Codes of larger sets: the kernel accepts them, and what is claimed as stored is what every row has."""
    code = found(n, d, k=k, margin=margin)
    assert (code.k, code.orbit.n) == (k, n)
    assert code.d <= d
    assert orbits.check(code) == "integers"
    v = code.orbit.documents()
    stored = encode(v, "fp32", together=True)
    least = math.inf
    for members, query in zip(orbits.necklaces(n, k), code.queries, strict=True):
        for start in {0, 1, n // 2}:
            inside = (members + start) % n
            u = code.orbit.turned(query, np.array([start]))[0]
            scores = stored @ encode(u[None], "fp32", together=False)[0]
            rest = np.delete(scores, inside)
            least = min(least, float(scores[inside].min() - rest.max()) / 2)
    assert least >= code.margin * (1 - 1e-6) >= margin * (1 - 1e-6)
    assert code.margin > 0


def test_larger_sets_have_the_margin_of_an_independent_method() -> None:
    """The queries of larger sets reach what the best query for each set alone reaches, found by another method."""
    f, a = np.array(found(25, 8, k=3).orbit.frequencies), np.full(4, 0.5)
    solver = Necklaces(25, 4, 3)
    solved = solver.solve(f, a, need=0.0, best=True, deadline=NEVER)
    assert solved is not None
    v = solver.points(torch.as_tensor(f)[None], torch.as_tensor(a)[None])[0].numpy()
    exact = orbits.Orbit(25, tuple(f.tolist()), (1, 1, 1, 1)).documents().reshape(25, 4, 2)
    assert np.abs(v - exact.transpose(0, 2, 1).reshape(25, 8)).max() < 1e-14
    alone = min(best_margin(v, members) for members in orbits.necklaces(25, 3))
    assert solved.least == pytest.approx(alone, rel=1e-3)
    assert solved.least <= solved.bound * (1 + 1e-9)


def best_margin(v: np.ndarray, members: np.ndarray) -> float:
    """The margin of the best query for one set: the distance of two hulls, by quadratic programming."""
    rest = np.setdiff1d(np.arange(len(v)), members)
    both = np.concatenate([v[members], -v[rest]])

    def squared(x: np.ndarray) -> float:
        return float(((x @ both) ** 2).sum())

    sums = [
        {"type": "eq", "fun": lambda x: x[: len(members)].sum() - 1},
        {"type": "eq", "fun": lambda x: x[len(members) :].sum() - 1},
    ]
    start = np.concatenate([np.full(len(members), 1 / len(members)), np.full(len(rest), 1 / len(rest))])
    found = minimize(squared, start, jac=lambda x: 2 * both @ (x @ both), bounds=[(0, 1)] * len(start), constraints=sums,
                     options={"maxiter": 500, "ftol": 1e-15})  # fmt: skip
    return math.sqrt(found.fun)


def test_too_many_sets_are_not_called_unsolved() -> None:
    """Where there are more sets than can be listed, nothing was tried, and that is said."""
    outcome = find(Goal(101, 16, 6), NEVER)
    assert (outcome.code, outcome.stopped) == (None, "memory")
    result = Search(Task(16, 6, "orbit", n=101, budget_s=1)).run()
    assert (result.status, result.failed_n) == (Status.MANY, None)
    assert find(Goal(3_000_017, 16, 1), NEVER).stopped == "memory"
    assert Search(Task(80, 33, "auto", n=35, budget_s=2)).run().solved_n == 35
    assert Search(Task(3, 5, "orbit", n=5, budget_s=2)).run().status == Status.SOLVED
    assert Search(Task(8, 2, "simplices", budget_s=5)).run().solved_n == 12  # four triangles


def test_parting_is_max_margin_of_differences() -> None:
    """A threshold as one more unknown gives the same directions and bounds as all differences."""
    g = torch.Generator().manual_seed(0)
    own, others = (torch.randn(50, k, 6, dtype=torch.float64, generator=g) * 0.3 for k in (3, 12))
    own[:, :, 0] += 1.5
    b, bound = parting(own, others, 40)
    same, other = max_margin((own[:, :, None] - others[:, None]).flatten(1, 2), 40)
    assert torch.allclose(b, same, atol=1e-5)
    assert torch.allclose(bound, other, rtol=1e-6)
    margin = torch.einsum("bkd,bd->bk", own, b).amin(1) - torch.einsum("bkd,bd->bk", others, b).amax(1)
    assert (margin <= bound * (1 + 1e-9)).all()


@pytest.mark.slow
def test_critical_n_grows_with_orbits() -> None:
    """A few seconds carry more documents in 8 dimensions than independent vectors in a minute."""
    result = Search(Task(8, 2, "orbit", budget_s=4, seeds=1)).run()
    assert result.solved_n is not None
    assert result.solved_n > 500  # 28 in the paper, 384 by independent vectors in a minute
    assert result.point(None)["evidence"] == "constructed"
    assert isinstance(result.witness, OrbitCode)
    orbits.check(result.witness)


@pytest.mark.slow
def test_auto_says_which_solver_it_was(tmp_path: Path) -> None:
    """The portfolio takes the best solver for the task and names it."""
    plain = Search(Task(8, 2, "auto", n=30, budget_s=6)).run()
    assert plain.cell(None)["found_by"] == "orbit"
    more = Search(Task(8, 2, "auto", n=30, budget_s=6, maximise=True)).run()
    assert more.margin is not None
    assert plain.margin is not None
    assert more.margin > plain.margin
    assert more.witness is not None
    if more.found_by == POLISHED:
        assert more.witness.found["start"] == "a symmetric code"
        assert more.point(None)["evidence"] == "constructed"
    three = Search(Task(8, 3, "auto", n=61, budget_s=20)).run()
    assert three.cell(None)["found_by"] == "orbit"
    assert Search(Task(4, 2, "auto", n=6, budget_s=20)).run().cell(None)["found_by"] == "simplices"
    assert Search(Task(8, 3, "auto", budget_s=4, seeds=1)).run().solved_n is not None
    assert Search(Task(3, 2, "auto", n=9, budget_s=2)).run().status == Status.IMPOSSIBLE


@pytest.mark.slow
def test_polished_codes_say_where_they_start(code: OrbitCode) -> None:
    """What the annealer makes of a code keeps its origin through every step of the margin, and is no random start."""
    small = found(13, 6)
    search = Search(Task(6, 2, "anneal", n=13, budget_s=4))
    result = search.polish(13, small)
    assert len(search.now.tried) > 1
    assert result.witness is not None
    assert (result.witness.found["solver"], result.witness.found["start"]) == (POLISHED, "a symmetric code")
    assert result.margin is not None
    assert result.margin >= small.margin * (1 - 1e-5)


def test_max_margin_never_reads_a_value(monkeypatch: pytest.MonkeyPatch) -> None:
    """The interior-point method runs without reading any tensor's value."""
    reads: list[str] = []
    monkeypatch.setattr(torch.Tensor, "item", lambda self: reads.append("item"))
    monkeypatch.setattr(torch.Tensor, "tolist", lambda self: reads.append("tolist"))
    monkeypatch.setattr(torch.Tensor, "__bool__", lambda self: reads.append("bool") or True)
    max_margin(torch.randn(3, 5, 4, dtype=torch.float64) + 2, 10)
    parting(torch.randn(3, 2, 4, dtype=torch.float64) + 2, torch.randn(3, 5, 4, dtype=torch.float64), 10)
    assert not reads


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
@pytest.mark.parametrize(("n", "d"), [(101, 8), (100, 7), (997, 12), (3001, 16)])
def test_cuda_finds_what_the_cpu_finds(n: int, d: int) -> None:
    """On CUDA the same frequencies have the same margin, and the search ends with a proved code."""
    f = find(Goal(n, d), NEVER).code
    assert f is not None
    planes = len(f.orbit.frequencies)
    a = np.full(planes, planes**-0.5)
    one, other = (
        Orbits(n, planes, device).solve(np.array(f.orbit.frequencies), a, need=1e-9, best=True, deadline=NEVER)
        for device in ("cpu", "cuda")
    )
    assert one is not None
    assert other is not None
    assert one.least == pytest.approx(other.least, rel=1e-4)
    code = find(Goal(n, d, device="cuda"), NEVER).code
    assert code is not None
    orbits.check(code)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
@pytest.mark.parametrize(("n", "d", "k"), [(61, 8, 3), (60, 7, 3), (31, 12, 5)])
def test_cuda_finds_what_the_cpu_finds_for_larger_sets(n: int, d: int, k: int) -> None:
    """On CUDA the margins of the same frequencies are bracketed alike for sets of three and more, and the search ends with a
    proved code."""
    first = found(n, d, k=k)
    planes = len(first.orbit.frequencies)
    a = np.array(first.orbit.amplitudes) / math.sqrt(first.orbit.norm)
    one, other = (
        Necklaces(n, planes, k, device).solve(
            np.array(first.orbit.frequencies), a, need=1e-9, best=True, deadline=NEVER
        )
        for device in ("cpu", "cuda")
    )
    assert one is not None
    assert other is not None
    assert one.least <= other.bound * (1 + 1e-9)
    assert other.least <= one.bound * (1 + 1e-9)
    assert one.least == pytest.approx(other.least, rel=1e-4)
    orbits.check(found(n, d, k=k, device="cuda"))


# files, records and the command line ---------------------------------------------------------------------------------------


def test_codes_round_trip(code: OrbitCode, tmp_path: Path) -> None:
    """A code that is written and read is the same code."""
    code.write(tmp_path / f"c{orbits.SUFFIX}")
    back = orbits.read(tmp_path / f"c{orbits.SUFFIX}")
    assert back.digest == code.digest
    assert back.orbit == code.orbit
    assert (back.queries == code.queries).all()
    orbits.check(back)


def test_other_certificates_are_no_codes(tmp_path: Path) -> None:
    """A certificate of another kind is not read as a code."""
    one = certificates.Certificate("sign_rank", "upper", 5, "closed-form", {"n": 9, "k": 2}, {})
    certificates.write([one], tmp_path / "c.json")
    with pytest.raises(DataError, match="kind orbit"):
        orbits.read(tmp_path / "c.json")


def test_verify_takes_codes(cli, code: OrbitCode, tmp_path: Path) -> None:
    """The command line accepts a code and refuses what it does not have, in exact numbers and as stored."""
    good, forged = tmp_path / "good.json", tmp_path / "forged.json"
    code.write(good)
    status, shown, _ = cli("verify", good)
    assert status == 0
    assert "all pairs of 41 documents in 6 dimensions" in shown
    replace(code, half_gap=code.half_gap * 2).write(forged)
    assert cli("verify", forged)[0] == 1
    replace(code, margin=0.5).write(forged)
    status, shown, _ = cli("verify", forged)
    assert status == 1
    assert "as stored" in shown


def test_records_are_found_again(cli, tmp_path: Path) -> None:
    """A finished point is read, not searched again, unless its certificate is gone."""
    arguments = (
        "capacity",
        "--dim",
        "6",
        "--solver",
        "orbit",
        "--budget",
        "2s",
        "--seeds",
        "1",
        "--results",
        tmp_path,
        "--json",
    )
    first, second = cli(*arguments), cli(*arguments)
    assert first[0] == 0
    assert json.loads(first[1]) == json.loads(second[1])
    point = json.loads(first[1])["points"][0]
    assert point["evidence"] == "constructed"
    assert point["witness"].endswith(orbits.SUFFIX)
    assert cli("verify", point["witness"])[0] == 0
    Path(point["witness"]).write_text("{}", encoding="utf-8")
    again = cli(*arguments)
    assert again[0] == 0
    assert json.loads(again[1])["points"][0]["solved_n"] > 100


def test_an_interrupted_search_goes_on(tmp_path: Path) -> None:
    """What was found before an interruption is where the next search begins; a finished record leaves no trace of it."""
    task = Task(6, 2, "orbit", budget_s=1.5, seeds=1)
    records = Records(tmp_path)
    kept = records.partial(task)
    first = Search(task, interrupt, kept=kept)
    with pytest.raises(KeyboardInterrupt):
        first.run()
    held = kept.read()
    assert held is not None
    assert first.now.best is not None
    assert held.orbit.n == first.now.best[0]
    again = Search(task, kept=kept)
    result = again.run()
    assert again.now.tried[0].n > held.orbit.n
    assert (result.solved_n or 0) >= held.orbit.n
    records.write(result)
    assert kept.read() is None
    kept.path.write_text(kept.path.name, encoding="utf-8")
    assert kept.read() is None


def interrupt(message: str) -> None:
    if "solved" in message:
        raise KeyboardInterrupt


# what design knows of them -------------------------------------------------------------------------------------------------


def rows() -> list[dict]:
    return json.loads((catalog.folder("reference") / codes.TABLE).read_text(encoding="utf-8"))["codes"]


def proved_again(row: dict) -> None:
    """The script's own check, which finds the queries again and hands them to the integers."""
    path = Path(__file__).parents[1] / "examples" / "orbit_codes.py"
    spec = importlib.util.spec_from_file_location("orbit_codes", path)
    assert spec is not None
    assert spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    script.check(row)


def test_rows_of_the_shipped_table_are_proved_again() -> None:
    """A dozen rows of the table of codes: their queries are found again and proved with integers."""
    small = [row for row in rows() if row["n"] <= 1200]
    assert len(small) >= 12
    for row in small[:: len(small) // 12]:
        proved_again(row)
    for wrong in (
        {"half_gap": str(Fraction(small[0]["half_gap"]) * 2)},
        {"d": small[0]["d"] - 1},
        {"stored": {"int8": 0.4}},
    ):
        with pytest.raises(CertificateError):
            proved_again({**small[0], **wrong})


@pytest.mark.long
def test_all_rows_of_the_shipped_table_are_proved_again() -> None:
    """Every row of the table of codes is proved, but the two of more than 100,000 documents, which take an hour each."""
    small = [row for row in rows() if row["n"] <= 100_000]
    assert len(small) >= len(rows()) - 2
    for row in small:
        proved_again(row)


def test_design_knows_the_shipped_codes() -> None:
    """A question is possible up to a code's documents and half-gap, from its dimensions on; beyond, it is as open as before."""
    assert len(codes.codes()) > 50
    for code in codes.codes()[::7]:
        verdict = limitbench.design(code.n, code.k, code.d, margin=code.half_gap)
        assert verdict.verdict == "possible"
        assert any(r.method == "symmetric code" and r.evidence == "constructed" for r in verdict.reasons)
        for n, d, margin in [(code.n - 1, code.d, code.half_gap), (code.n, code.d + 1, code.half_gap / 2)]:
            assert limitbench.design(n, code.k, d, margin=margin).verdict == "possible"
        assert codes.best_code(code.n, code.k, code.d) is not None
        assert codes.best_code(10**9, code.k, code.d) is None
        assert (limitbench.design(None, code.k, code.d, margin=code.half_gap).largest_possible_n or 0) >= code.n
    assert codes.best_code(10, 4, 64) is None


def test_what_rounding_can_take_away_is_taken_away() -> None:
    """In a narrow dtype a code counts with its half-gap less the bound on rounding, or with what its rows were seen to keep."""
    code = codes.Code(8, 50, 2, Fraction(1, 100), (1, 2, 3, 4), (1, 1, 1, 1), {"int8": 0.001})
    assert code.kept("real") == Fraction(1, 100)
    assert Fraction(99, 10_000) < (code.kept("fp32") or 0) < Fraction(1, 100)
    assert Fraction(8, 1000) < (code.kept("fp16") or 0) < Fraction(91, 10_000)
    assert 0 < (code.kept("bf16") or 0) < Fraction(3, 1000)
    assert code.kept("int8") == Fraction(0.001)
    assert replace(code, stored={}).kept("int8") is None
    assert replace(code, half_gap=Fraction(1, 1000)).kept("bf16") is None


def test_rows_as_stored_count_for_inner_products_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """A code whose rows were checked in int8 by inner products says nothing of cosines and distances, whose documents change length."""
    pairs_of_40 = SimpleNamespace(grown=40, all_subsets=True, degree=2, qrels=None, m=780, assumption=None)
    held = codes.Code(6, 40, 2, Fraction(1, 10**6), (1, 2, 3), (1, 1, 1), {"int8": 0.0})
    monkeypatch.setattr(codes, "codes", lambda: (held,))
    codes.kept_by.cache_clear()
    try:
        known = {
            metric: Plan(pairs_of_40, Retriever(kind="dense", dim=6, dtype="int8", metric=metric), 1.0).known("int8")
            for metric in ("dot", "cosine", "euclidean")
        }
    finally:
        codes.kept_by.cache_clear()
    assert known == {"dot": True, "cosine": False, "euclidean": False}


def test_rules_count_codes_for_pairs_alone() -> None:
    """LB102 to LB104 take symmetric codes into account where every set is a pair, not where single documents are asked for too."""
    with_codes = best_half_gap(40, 2, 8, True)
    without = best_half_gap(40, 2, 8, False)
    assert with_codes[1] == "symmetric code"
    assert with_codes[0] > without[0]
