from __future__ import annotations

import ast
import itertools
import json
import math
import os
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import networkx as nx
import numpy as np
import pytest
from conftest import examples
from hypothesis import HealthCheck, example, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import sparse
from scipy.linalg import hadamard
from scipy.optimize import linprog, nnls

from limitbench import certificates, load
from limitbench.certificates import NOTIONS, AllSubsets, Certificate, check, verify
from limitbench.certificates.kinds.closed_form import closed_form
from limitbench.certificates.kinds.forster import is_positive_definite
from limitbench.datasets import read_folder
from limitbench.errors import CertificateError, InputError, UnknownName
from limitbench.relevance import Qrels
from limitbench.report import paper
from limitbench.theory import bracket, design, exact_all_k
from limitbench.theory.constructions import orthogonal_simplices, simplex_and_centre
from limitbench.theory.exact import root_rounded_down, root_rounded_up, rounded_down, rounded_up
from limitbench.theory.margin import radon_squared
from limitbench.theory.matrix import as_matrix, matrix_name
from limitbench.theory.methods import z3 as solver
from limitbench.theory.packing import Packing, candidate, least_open, monotone_packing, too_many_sets
from limitbench.theory.recall import recall

TWO = ("sign_rank", "order_preserving")


def subsets(n: int, k: int) -> Qrels:
    return Qrels.from_sets(itertools.combinations(range(n), k), n)


def cycle(n: int) -> Qrels:
    return Qrels.from_sets([[i, (i + 1) % n] for i in range(n)], n)


def disjoint(blocks: int, size: int = 3) -> Qrels:
    return Qrels.from_sets([range(size * i, size * i + size) for i in range(blocks)], size * blocks)


def graph(g: nx.Graph) -> Qrels:
    g = nx.convert_node_labels_to_integers(g)
    return Qrels.from_sets([*([v] for v in g), *g.edges], len(g))


def signs(n: int) -> Qrels:
    return Qrels.from_matrix((hadamard(n) > 0).astype(int))


def pair_of_cliques() -> Qrels:
    edges = list(itertools.combinations(range(5), 2))
    return Qrels.from_sets([*edges, *[(a + 5, b + 5) for a, b in edges]], 10)


SUITE = {  # name: (matrix, sign rank interval, order-preserving rank interval): no wider than these
    **{f"identity {n}": (lambda n=n: Qrels.from_matrix(np.eye(n, dtype=int)), pm, rop) for n, pm, rop in
       [(2, (1, 1), (1, 1)), (3, (2, 2), (2, 2)), (4, (3, 3), (2, 2)), (20, (3, 3), (2, 2)), (100, (3, 3), (2, 2))]},
    **{f"cycle {n}": (lambda n=n: cycle(n), (2, 2) if n < 6 else (3, 3), (2, 2)) for n in (3, 4, 5, 6, 7, 12, 30)},
    **{f"disjoint {b}": (lambda b=b: disjoint(b), (min(b - 1, 3),) * 2, (min(b - 1, 2),) * 2) for b in (2, 3, 4, 6)},
    **{f"pairs of {n}": (lambda n=n: subsets(n, 2), pm, rop) for n, pm, rop in
       [(4, (3, 3), (2, 2)), (5, (4, 4), (3, 3)), (6, (5, 5), (4, 4)), (12, (5, 5), (4, 4))]},
    "triples of 6": (lambda: subsets(6, 3), (5, 5), (4, 4)),
    "triples of 7": (lambda: subsets(7, 3), (6, 6), (5, 5)),
    "triples of 9": (lambda: subsets(9, 3), (7, 7), (6, 6)),
    "Hadamard 2": (lambda: signs(2), (2, 2), (1, 1)),
    "Hadamard 4": (lambda: signs(4), (3, 3), (2, 2)),
    "Hadamard 8": (lambda: signs(8), (4, 5), (3, 4)),
    "Hadamard 16": (lambda: signs(16), (5, 7), (4, 6)),
    "Hadamard 32": (lambda: signs(32), (6, 32), (5, 31)),
    "Hadamard 64": (lambda: signs(64), (8, 64), (7, 63)),
    "K3,3 with singletons": (lambda: graph(nx.complete_bipartite_graph(3, 3)), (4, 5), (4, 4)),
    "Petersen with singletons": (lambda: graph(nx.petersen_graph()), (4, 5), (4, 4)),
    "K5 with singletons": (lambda: graph(nx.complete_graph(5)), (4, 4), (4, 4)),
    "cube with singletons": (lambda: graph(nx.hypercube_graph(3)), (4, 4), (3, 3)),
    "octahedron with singletons": (lambda: graph(nx.octahedral_graph()), (4, 4), (3, 3)),
    "grid with singletons": (lambda: graph(nx.grid_2d_graph(4, 4)), (4, 4), (3, 3)),
    "cycle with singletons": (lambda: graph(nx.cycle_graph(8)), (3, 3), (2, 2)),
    "triangle and points": (lambda: graph(nx.disjoint_union(nx.cycle_graph(3), nx.empty_graph(3))), (3, 4), (3, 3)),
    "two cliques": (pair_of_cliques, (4, 5), (3, 4)),
}  # fmt: skip


def all_certificates_hold(found, matrix) -> None:
    for bound in found.bounds:
        if bound.certificate is not None:
            check(bound.certificate, matrix)
        assert bound.evidence != "proved" or bound.established in ("theorem", "certificate")


@pytest.mark.slow
@pytest.mark.parametrize("name", SUITE)
def test_intervals_of_the_suite(name: str) -> None:
    """On known matrices the interval is no wider than what the theory says, tight where it is, and every certificate checks."""
    make, *wanted = SUITE[name]
    qrels = make()
    for notion, (low, high) in zip(TWO, wanted, strict=True):
        found = bracket(qrels, notion, budget_s=30 if name == "Hadamard 16" else 4)
        all_certificates_hold(found, qrels)
        assert low <= found.lower.value <= found.upper.value <= high, notion


def closed_forms_agree(n: int) -> None:
    for k in range(n + 1):
        for notion in NOTIONS:
            closed = bracket((n, k), notion)
            all_certificates_hold(closed, AllSubsets(n, k))
            if notion in TWO and 0 < k < n:
                searched = bracket(subsets(n, k), notion, budget_s=20)
                all_certificates_hold(searched, subsets(n, k))
                exact = exact_all_k(n, k, notion)
                assert (searched.lower.value, searched.upper.value) == (exact, exact), (n, k, notion)
                assert (closed.lower.value, closed.upper.value) == (exact, exact)


@pytest.mark.parametrize("n", range(1, 8))
def test_closed_forms_agree_with_certified_brackets(n: int) -> None:
    """For all k, what search certifies on the explicit matrix is the closed form (n = 8 and 9 in make test-long)."""
    closed_forms_agree(n)


@pytest.mark.long
@pytest.mark.parametrize("n", [8, 9])
def test_closed_forms_agree_with_certified_brackets_long(n: int) -> None:
    """The same for n = 8 and 9."""
    closed_forms_agree(n)


@pytest.mark.parametrize("k", [1, 2, 3])
def test_at_most_k(k: int) -> None:
    """All subsets of at most k documents: the closed form lies in the bracket of the explicit matrix."""
    for n in range(k + 1, 7):
        rows = [row for size in range(k + 1) for row in itertools.combinations(range(n), size)]
        for notion in TWO:
            exact = exact_all_k(n, k, notion, at_most=True)
            found = bracket(Qrels.from_sets(rows, n), notion, budget_s=6)
            assert (found.lower.value, found.upper.value) == (exact, exact), (n, notion)


def test_limit_small_is_exact() -> None:
    """On LIMIT-small's matrix the sign rank is exactly 5 and the order-preserving rank exactly 4, certified on both sides."""
    qrels = load("limit-small-synthetic").qrels
    for notion, value in (("sign_rank", 5), ("order_preserving", 4), ("cosine", 4), ("global_threshold", 4)):
        for matrix in (qrels, (46, 2)):
            found = bracket(matrix, notion)
            assert (found.lower.value, found.upper.value) == (value, value)
            assert found.lower.certificate is not None
            assert found.upper.certificate is not None
            all_certificates_hold(found, as_matrix(matrix))
            assert found.seconds < 5


def test_real_limit_small_is_exact(limit_small: Path) -> None:
    """So on the real LIMIT-small, whose shipped certificates hold positions and a digest only."""
    qrels = read_folder(limit_small).qrels
    assert bracket(qrels, "sign_rank").exact == 5
    assert bracket(qrels, "order_preserving").exact == 4


tiny = st.integers(1, 5).flatmap(
    lambda m: st.integers(1, 6).flatmap(lambda n: hnp.arrays(np.int8, (m, n), elements=st.integers(0, 1)))
)


def random_matrix_holds(a: np.ndarray) -> None:
    qrels = Qrels.from_matrix(a)
    for notion in NOTIONS:
        found = bracket(a, notion, budget_s=0.05)
        assert found.lower.value <= found.upper.value
        all_certificates_hold(found, qrels)
        other = a.copy()
        other[0, 0] = 1 - other[0, 0]
        assert not any(verify(c, Qrels.from_matrix(other)) for c in found.certificates)
        for c in found.certificates:
            step = 1 if c.side == "lower" else -1
            raised = Certificate(c.notion, c.side, c.value + 2 * step, c.kind, c.matrix, c.data)
            if c.kind not in ("trivial",):
                assert not (verify(raised, qrels) and c.side == "lower" and raised.value > found.upper.value)


@pytest.mark.slow
@examples(500, suppress_health_check=list(HealthCheck))
@given(tiny)
def test_random_matrices(a: np.ndarray) -> None:
    """The lower bound is never above the upper, certificates check, and fail for an altered matrix (10,000 in test-long)."""
    random_matrix_holds(a)


@pytest.mark.long
@examples(10_000, suppress_health_check=list(HealthCheck))
@given(tiny)
def test_random_matrices_long(a: np.ndarray) -> None:
    """The same on ten thousand matrices."""
    random_matrix_holds(a)


@examples(40, suppress_health_check=list(HealthCheck))
@given(hnp.arrays(np.int8, (4, 5), elements=st.integers(0, 1)))
def test_brackets_hold_what_z3_finds(a: np.ndarray) -> None:
    """On tiny matrices the sign rank that z3 decides, and the order-preserving rank through [M; 1], lie in the bracket."""
    if not solver.available():
        pytest.skip("needs z3: pip install 'limitbench[solver]'")
    m = (2 * a.astype(int) - 1).tolist()
    for notion, rows, shift in (("sign_rank", m, 0), ("order_preserving", [[1] * 5, *m], 1)):
        found = bracket(a, notion, budget_s=0.3)
        for r in range(1, 6):
            answer = solver.sign_rank_at_most(rows, r, timeout_s=5)
            if answer is None:
                break
            if answer:
                assert found.lower.value <= max(r - shift, 0) <= found.upper.value, (notion, r)
                break


def test_sign_patterns_by_enumeration() -> None:
    """All sign rows that points on a line allow: bracket says order-preserving rank 1, and one more row makes it 2."""
    rows = [range(i) for i in range(1, 6)]
    assert bracket((rows, 6)).exact == 1
    assert bracket(([*rows, [1]], 6)).exact == 2


@pytest.mark.slow
@examples(40)
@given(hnp.arrays(np.int8, (5, 6), elements=st.integers(0, 1)), st.permutations(range(5)), st.permutations(range(6)))
def test_permutations_and_repetitions(a: np.ndarray, rows: list[int], columns: list[int]) -> None:
    """Permuting leaves brackets overlapping; repeating rows and columns changes nothing where the bracket is exact."""
    for notion in NOTIONS:
        ours = bracket(a, notion, budget_s=0.1)
        for other in (a[rows][:, columns], np.vstack([a, a[:2]]), np.hstack([a, a[:, :3]])):
            theirs = bracket(other, notion, budget_s=0.1)
            assert max(ours.lower.value, theirs.lower.value) <= min(ours.upper.value, theirs.upper.value)
            if ours.exact is not None and theirs.exact is not None:
                assert ours.exact == theirs.exact


def test_every_form_of_input_is_the_same() -> None:
    """Qrels, array, sparse matrix, sets and (n, k) describe one matrix."""
    a = subsets(6, 2).dense()
    forms = [Qrels.from_matrix(a), a, a.tolist(), a.astype(bool), sparse.csr_array(a), sparse.coo_matrix(a),
             (list(itertools.combinations(range(6), 2)), 6), (6, 2)]  # fmt: skip
    assert {bracket(form, "sign_rank").exact for form in forms} == {5}


@pytest.mark.parametrize(
    ("bad", "says"),
    [(np.array([[0, 2]]), "choose a threshold"), (np.array([[0.5, 1]]), "choose a threshold"),
     (np.array([[np.nan, 1]]), "unjudged is not irrelevant"), (np.array([1, 0]), "an array of 1 dimensions"),
     ((5, 6), "0 <= k <= n"), ((0, 0), "n >= 1"), ((5.5, 2), "whole numbers"), (np.empty((0, 3)), "0 x 3"),
     ([["a"]], "not numbers"), (([[7]], 3), "document number 7")],
)  # fmt: skip
def test_bad_matrices_are_refused(bad, says: str) -> None:
    """What is not a 0/1 matrix is refused with what to do."""
    with pytest.raises(InputError, match=says):
        bracket(bad)


def test_bad_notions_are_refused() -> None:
    """An unknown notion is named with a suggestion."""
    with pytest.raises(UnknownName, match="did you mean 'sign_rank'"):
        bracket((5, 2), "signrank")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("n", "k", "at_most"),
    [(4, 2, False), (5, 2, False), (3, 1, False), (4, 2, True), (3, 2, True), (3, 3, True), (4, 1, True)],
)
def test_global_thresholds_of_few_documents(n: int, k: int, at_most: bool) -> None:
    """The closed form agrees with the bracket's other bounds; vectors of that dimension are found, and none of one less among
    hundreds."""
    value = exact_all_k(n, k, "global_threshold", at_most=at_most)
    rows = [s for size in (range(k + 1) if at_most else (k,)) for s in itertools.combinations(range(n), size)]
    matrix = np.zeros((len(rows), n), int)
    for i, row in enumerate(rows):
        matrix[i, list(row)] = 1
    found = bracket(matrix, "global_threshold", budget_s=1)
    assert found.lower.value <= value <= found.upper.value
    assert separable_with_origin(matrix, value)
    assert value == 0 or not separable_with_origin(matrix, value - 1)


def separable_with_origin(matrix: np.ndarray, d: int) -> bool:
    """Whether many random points, or a simplex around the origin, have every row on one side of one common threshold."""
    n = matrix.shape[1]
    rng = np.random.default_rng(0)
    tries = [rng.normal(size=(n, d)) for _ in range(100)]
    if d == n - 1:
        corners = np.eye(n) - 1 / n
        tries.append(corners @ np.linalg.svd(corners)[0][:, :d])
    if d == n:
        tries.append(np.eye(n))
    for v, sign in itertools.product(tries, (1, -1)):
        s = np.where(matrix > 0, 1, -1)
        if all(
            linprog(
                np.zeros(d), A_ub=-row[:, None] * v if d else None, b_ub=-row * sign - 1e-6, bounds=(None, None)
            ).status
            == 0
            if d
            else (row * sign <= -1e-6).all()
            for row in s
        ):
            return True
    return False


def test_a_failed_search_is_no_bound() -> None:
    """With no time at all the bracket is wide, and nothing in it is a lower bound by failure."""
    found = bracket(signs(16), budget_s=0)
    assert found.lower.value <= 4
    assert all(b.established in ("theorem", "certificate") for b in found.bounds if b.side == "lower")


# ------------------------------------------------------------------------------------------------------- certificates


def test_tampered_certificates_are_refused() -> None:
    """A higher claim, other columns, missing rows, another kind or broken data are refused with a reason."""
    qrels = load("limit-small-synthetic").qrels
    good = bracket(qrels, "sign_rank").lower.certificate
    assert good is not None
    assert verify(good, qrels)
    for change in (
        {"value": 6}, {"side": "upper"}, {"kind": "vc-dimension"}, {"data": {}}, {"data": {"columns": [0, 0, 1]}},
        {"data": {**good.data, "rows": good.data["rows"][:3]}}, {"data": {"columns": [0, 1, 2, 3, 99]}},
        {"data": {"columns": [True, 1, 2]}}, {"kind": "moment-curve"}, {"data": {"columns": "abc"}},
    ):  # fmt: skip
        bad = Certificate(**{**good.__dict__, **change})
        assert not verify(bad, qrels), change
        with pytest.raises(CertificateError):
            check(bad, qrels)


def test_certificates_round_trip(tmp_path: Path) -> None:
    """Written and read back they are equal; a file of another shape is refused."""
    found = bracket(subsets(7, 3), budget_s=3)
    certificates.write(found.certificates, tmp_path / "c.json")
    assert certificates.read(tmp_path / "c.json") == list(found.certificates)
    for text in ("{", "[]", '{"schema": "other"}', '{"certificates": []}', "5"):
        (tmp_path / "c.json").write_text(text)
        with pytest.raises(InputError):
            certificates.read(tmp_path / "c.json")


KERNEL = Path(certificates.__file__).parent
# what others may take from the kernel: types, the front door and its limits; and the format of symmetric codes
OFFERED = {*certificates.__all__, "orbits"}
# what the proof of a symmetric code is written in, and the limits of its check
ORBITS = {
    "BITS", "MOST_RELEVANT", "MOST_SIZE", "cosines", "count_necklaces", "dimension", "holds", "necklaces", "require_shapes", "work",
}  # fmt: skip


def test_the_checker_writes_no_float() -> None:
    """No file of the kernel holds a floating-point number."""
    for path in KERNEL.rglob("*.py"):
        tree = ast.parse(path.read_text())
        assert not [n for n in ast.walk(tree) if isinstance(n, ast.Constant) and isinstance(n.value, float)], path


def test_the_checker_needs_the_standard_library_alone() -> None:
    """In a process where nothing else can be imported, certificates of all k-subsets and of given rows are checked."""
    code = """
import sys
before = set(sys.modules)
class Refused:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] not in {"limitbench", *sys.stdlib_module_names}:
            raise ImportError(f"{name} is not of the standard library")
sys.meta_path.insert(0, Refused())
from limitbench.certificates import AllSubsets, Certificate, Explicit, check, verify
check(Certificate("order_preserving", "lower", 4, "antipodal-shattering", {"n": 46, "k": 2}, {"size": 5}))
rows = Explicit((frozenset({0, 1}), frozenset({1, 2}), frozenset({0, 2})), 3, "d")
name = {"sha256": "d", "queries": 3, "documents": 3}
check(Certificate("sign_rank", "upper", 3, "rank", name, {}), rows)
assert not verify(Certificate("order_preserving", "upper", 1, "rank", name, {}), rows)
print(*sorted(name for name in set(sys.modules) - before if name.split(".")[0] == "limitbench"))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    others = {name for name in loaded if not name.startswith("limitbench.certificates")}
    assert others == {"limitbench", "limitbench.errors", "limitbench.files"}


def test_searches_share_no_code_with_the_checker() -> None:
    """Outside the kernel, types and the front door are all that is taken of it, by whatever form of import."""
    taken = set()
    for path in sorted(KERNEL.parent.rglob("*.py")):
        if KERNEL in path.parents or "design_proof" in path.parts:  # the other kernel
            continue
        nodes = list(ast.walk(ast.parse(path.read_text())))
        imported = [
            (f"{n.module}.{alias.name}", alias.asname or alias.name)
            for n in nodes
            if isinstance(n, ast.ImportFrom)
            for alias in n.names
        ]
        door = {name for target, name in imported if target == "limitbench.certificates"}
        orbits = {name for target, name in imported if target == "limitbench.certificates.orbits"}
        for node in nodes:
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("limitbench.certificates"):
                inside = (node.module or "").split(".")[2:]
                assert inside in ([], ["orbits"]), f"{path}: {node.module}"
                names = {alias.name for alias in node.names}
                taken |= names if not inside else names - ORBITS
            if isinstance(node, ast.Import):
                assert not [a for a in node.names if a.name.startswith("limitbench.certificates.")], path
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                taken |= {node.attr} if node.value.id in door else set()
                taken |= {node.attr} - ORBITS if node.value.id in orbits else set()
    assert taken <= OFFERED, taken - OFFERED


def test_one_threshold_comes_from_an_order() -> None:
    """An embedding that orders documents gives one with one threshold of the same dimension, where documents can be moved so; the
    checker accepts it. Where no move does, or a query asks for everything, there is none."""
    from limitbench.theory.case import made
    from limitbench.theory.one_threshold import with_one_threshold

    rng = np.random.default_rng(8)
    moved = refused = 0
    for _ in range(60):
        u, v = rng.integers(-9, 10, (6, 3)), rng.integers(-9, 10, (8, 3)) - 20 * rng.integers(0, 2)
        scores = u @ v.T
        cut = np.sort(scores, axis=1)[:, rng.integers(0, 7)]
        q = Qrels.from_matrix((scores > cut[:, None]).astype(int))
        bound = made(q, "order_preserving", "upper", 3, "embedding", {"u": u.tolist(), "v": v.tolist()})
        found = with_one_threshold(bound, q)
        if found is None:
            refused += 1
            continue
        moved += bool((scores.max(axis=1) <= 0).any())
        assert (found.notion, found.value) == ("global_threshold", 3)
        assert verify(found.certificate, q)
    assert moved
    assert refused
    everything = Qrels.from_matrix([[1, 1], [1, 0]])
    data = {"u": [[0], [1]], "v": [[1], [0]]}
    assert with_one_threshold(made(everything, "order_preserving", "upper", 1, "embedding", data), everything) is None


def test_closed_forms_agree_with_the_checker() -> None:
    """What theory says of all k-subsets is what the checker recomputes with code of its own."""
    for n in range(1, 12):
        for k in range(n + 1):
            for notion in NOTIONS:
                for at_most in (False, True):
                    ours = exact_all_k(n, k, notion, at_most=at_most)
                    assert ours == closed_form(n, k, notion, at_most=at_most), (n, k, notion, at_most)


def test_the_plane_is_decided_as_the_checker_decides() -> None:
    """The search for a column order says yes where the checker's decider of sign rank 2 does, and its order shows it."""
    from limitbench.certificates.kinds.rank_two import rank_two_order
    from limitbench.theory.methods.rank_two import _in_the_plane, column_order

    rng = np.random.default_rng(5)
    seen = set()
    for _ in range(400):
        m, n = rng.integers(1, 6, 2)
        signs = rng.choice([-1, 1], (m, n)).astype(np.int8)
        if rng.random() < 0.6:  # of vectors in the plane
            u, v = rng.standard_normal((m, 2)), rng.standard_normal((n, 2))
            signs = np.where(u @ v.T > 0, 1, -1).astype(np.int8)
        found = column_order(signs)
        seen.add(found is None)
        assert (found is None) == (rank_two_order(list(map(tuple, signs.tolist()))) is None), signs
        if found is not None:
            u, v = _in_the_plane(signs, *found)
            assert (np.sign(u @ v.T) == signs).all()
    assert seen == {True, False}


def test_free_patterns_are_joined_as_the_checker_joins_them() -> None:
    """The search's components of sign patterns are the checker's."""
    from limitbench.certificates.kinds.z2_connectivity import joined_to_opposite
    from limitbench.theory.methods.z2_connectivity import _joined

    rng = np.random.default_rng(6)
    answers = []
    for _ in range(300):
        t = int(rng.integers(1, 7))
        allowed = set(np.flatnonzero(rng.random(1 << t) < rng.random()).tolist())
        answers.append(_joined(allowed, t))
        assert answers[-1] == joined_to_opposite(allowed, t)
    assert set(answers) == {True, False}


def test_bounds_of_one_notion_say_as_much_of_others_as_the_checker_takes() -> None:
    """What `transferred` says of another notion is never weaker than what the checker's inequalities imply."""
    from limitbench.certificates.claims import implied
    from limitbench.theory.bounds import Bound, transferred

    for proved in NOTIONS:
        for notion in NOTIONS:
            for side in ("lower", "upper"):
                value = implied((proved, side, 7), notion, side)  # type: ignore[arg-type]
                bound = Bound(side, 7, proved, "m", "c", "proved", "theorem")  # type: ignore[arg-type]
                assert value is None or value == transferred(bound, notion)


def _shipped() -> list[Path]:
    from limitbench import catalog

    return sorted((catalog.folder("theory") / "certificates").glob("*.json"))


@pytest.mark.parametrize("path", _shipped(), ids=lambda path: path.stem)
def test_shipped_certificates_check(path: Path) -> None:
    """Every certificate in theory/certificates is accepted for the matrix that it names, where that is at hand."""
    place = Path(os.environ.get("LIMITBENCH_LIMIT_SMALL") or Path(__file__).parents[2] / "shared" / "limit-small")
    if path.stem == "limit-small":
        if not (place / "corpus.jsonl").exists():
            pytest.skip("needs the real LIMIT-small: set LIMITBENCH_LIMIT_SMALL to a folder that holds it")
        matrix: Qrels = read_folder(place).qrels
    else:
        matrix = {
            "limit-small-synthetic": lambda: load("limit-small-synthetic").qrels,
            "petersen-singletons": lambda: graph(nx.petersen_graph()),
            "cube-singletons": lambda: graph(nx.hypercube_graph(3)),
            "hadamard-64": lambda: signs(64),
            "pairs-of-46": lambda: None,
        }[path.stem]()  # type: ignore[assignment]
    found = certificates.read(path)
    assert found
    for one in found:
        check(one, matrix if "sha256" in one.matrix else None)


def test_positive_definiteness_is_exact() -> None:
    """Bareiss elimination decides definiteness where floating point cannot: a Hilbert-like matrix and one entry less."""
    n = 12
    lcm = math.lcm(*range(1, 2 * n))
    hilbert = [[lcm // (i + j + 1) for j in range(n)] for i in range(n)]
    assert is_positive_definite(hilbert)
    hilbert[n - 1][n - 1] -= 1 + lcm // 10**12
    assert not is_positive_definite(hilbert)


def test_closed_form_edges() -> None:
    """k = 0 and k = n need no dimension; k and n - k need the same; the notes' examples hold."""
    assert [closed_form(5, k, "order_preserving") for k in range(6)] == [0, 2, 3, 3, 2, 0]
    assert [closed_form(n, 1, "sign_rank") for n in (2, 3, 4, 9)] == [1, 2, 3, 3]
    assert closed_form(10**10, 1000, "order_preserving") == 2000
    assert exact_all_k(10**10, 2, "global_threshold") == 4


# ------------------------------------------------------------------------------------------------------ the command line


def test_bounds_command(cli, tmp_path: Path) -> None:
    """bounds prints a bracket with its evidence, as table and JSON, and its certificates are accepted by verify."""
    out = tmp_path / "c.json"
    code, text, _ = cli("bounds", "--n", "46", "--k", "2", "--certificate", out)
    assert code == 0
    assert "order_preserving" in text
    assert "proved (certificate)" in text
    assert cli("verify", out)[0] == 0
    found = json.loads(cli("bounds", "--n", "1e6", "--k", "2", "--notion", "sign_rank", "--json")[1])["brackets"][0]
    assert (found["lower"]["value"], found["upper"]["value"], found["exact"]) == (5, 5, 5)


def test_verify_exit_codes(cli, tmp_path: Path) -> None:
    """0 accepted, 1 refused, 2 unreadable or qrels missing."""
    out = tmp_path / "c.json"
    assert cli("bounds", "--qrels", "limit-small-synthetic", "--certificate", out)[0] == 0
    assert cli("verify", out, "--qrels", "limit-small-synthetic")[0] == 0
    assert cli("verify", out)[0] == 2
    assert cli("verify", tmp_path / "nothing.json")[0] == 2
    other = tmp_path / "other.qrels"
    other.write_text("q 0 a 1\nq 0 b 1\nr 0 c 1\n")
    code, text, _ = cli("verify", out, "--qrels", other)
    assert (code, "digests differ" in text) == (1, True)
    assert json.loads(cli("verify", out, "--qrels", other, "--json")[1])["accepted"] is False


def test_bounds_of_a_qrels_file(cli, tmp_path: Path) -> None:
    """A bare qrels file is bracketed over the documents that it judges; grades above 0 are relevant, and that is said."""
    path = tmp_path / "graded.qrels"
    path.write_text("q 0 a 2\nq 0 b 1\nr 0 c 2\n")
    code, out, _ = cli("bounds", "--qrels", path, "--notion", "order_preserving", "--json")
    assert (code, json.loads(out)["brackets"][0]["exact"]) == (0, 1)
    assert (
        "grades from 1 to 2: those above 0 count as relevant; --min-grade N asks for more"
        in json.loads(out)["brackets"][0]["notes"]
    )
    found = json.loads(cli("bounds", "--qrels", path, "--min-grade", 2, "--notion", "order_preserving", "--json")[1])
    assert found["brackets"][0]["exact"] == 1


@pytest.mark.parametrize(
    ("arguments", "says"),
    [(("bounds",), "expected --n and --k"), (("bounds", "--n", "4", "--k", "5"), "0 <= k <= n"),
     (("bounds", "--n", "4.5", "--k", "2"), "expected a whole number"), (("design", "--n", "x", "--dim", "4"), "whole number"),
     (("design", "--k", "2"), "neither n nor d"), (("design", "--n", "46", "--dim", "4", "--margin", "2"), "at most 1"),
     (("design", "--n", "46", "--dim", "4", "--dtype", "fp31"), "did you mean"), (("design", "--n", "4", "--k", "9", "--dim", "2"), "0 <= k <= n"),
     (("bounds", "--n", "4", "--k", "2", "--qrels", "x"), "the one or the others")],
)  # fmt: skip
def test_bad_theory_input_is_one_line(cli, arguments: tuple[str, ...], says: str) -> None:
    """Bad input exits with 2 and says what was expected."""
    code, out, err = cli(*arguments)
    assert (code, out) == (2, "")
    assert says in err


def test_design_command(cli) -> None:
    """design exits 0 whatever it finds, and prints the verdict, the inequality, the assumptions and the extrapolation."""
    code, out, _ = cli("design", "--n", "1e6", "--k", "2", "--dim", "768", "--dtype", "int8", "--margin", "0.1")
    assert code == 0
    for piece in ("possible", "polynomial code", "Assumes", "EMPIRICAL"):
        assert piece in out
    found = json.loads(cli("design", "--n", "46", "--k", "2", "--dim", "3", "--json")[1])
    assert (found["verdict"], found["reasons"][0]["evidence"]) == ("impossible", "proved")


def test_table_1_is_the_papers() -> None:
    """All 37 cells of the paper's Table 1 come out to the digit."""
    from limitbench.theory.margin import table_1

    table = paper()["table1_dimension_lower_bound_gamma_0.1"]
    theirs = {
        (10 ** int(row[2:]), k): value
        for row, values in table["rows"].items()
        for k, value in zip(table["k"], values, strict=True)
        if value is not None
    }
    assert len(theirs) == 37
    assert table_1() == theirs


def test_infeasible_cells_of_table_1() -> None:
    """17 cells (k = 100, 1000) are infeasible in every dimension reading gamma as half-gap, 8 (k = 1000) reading it as gap."""
    from limitbench.theory.margin import exceeds_ceiling, table_1

    cells = table_1()
    half_gap = {cell for cell in cells if exceeds_ceiling(*cell, Fraction(1, 10))}
    gap = {cell for cell in cells if exceeds_ceiling(*cell, Fraction(1, 20))}
    assert (len(half_gap), {k for _, k in half_gap}) == (17, {100, 1000})
    assert (len(gap), {k for _, k in gap}) == (8, {1000})


@examples(200)
@given(st.integers(2, 400), st.fractions(Fraction(1, 50), Fraction(9, 10), max_denominator=100))
def test_caps_are_below_the_true_share_and_close(d: int, gamma: Fraction) -> None:
    """The rational bound of the incomplete beta function is below mpmath's value at 60 digits, within 1e-9 of it."""
    import mpmath

    from limitbench.theory.exact import double_cap_parts

    with mpmath.workdps(60):
        x = mpmath.mpf(gamma.numerator) / gamma.denominator
        true = mpmath.betainc(mpmath.mpf(d - 1) / 2, mpmath.mpf(1) / 2, 0, x * x, regularized=True)
        numerator, denominator = double_cap_parts(gamma, d)
        ours = mpmath.mpf(numerator) / denominator
        assert ours <= true
        assert ours >= true * (1 - mpmath.mpf(10) ** -9)


@given(st.fractions(0, 2000, max_denominator=1000))
@examples(60)
def test_exponentials_are_rounded_outward(x: Fraction) -> None:
    """The upper bound of exp(-x) is one, by mpmath at 400 digits."""
    import mpmath

    from limitbench.theory.exact import exp_minus_above

    with mpmath.workdps(1000):
        ours = exp_minus_above(x)
        assert mpmath.mpf(ours.numerator) / ours.denominator >= mpmath.exp(-mpmath.mpf(x.numerator) / x.denominator)


def test_numbers_survive_n_of_ten_billion() -> None:
    """Caps and Theorem 1 at n = 1e10, k = 1000 agree with mpmath's binomials and beta functions at high precision."""
    import mpmath

    from limitbench.theory.margin import spherical_caps, theorem_1

    n, k, gamma = 10**10, 1000, Fraction(1, 10)
    count = math.comb(n, k)
    with mpmath.workdps(400):
        assert theorem_1(count, gamma) == math.ceil(mpmath.log(mpmath.binomial(n, k)) / mpmath.log(11))
        d = spherical_caps(count, gamma)
        share = [
            mpmath.betainc(mpmath.mpf(e - 1) / 2, 0.5, 0, mpmath.mpf("0.01"), regularized=True) for e in (d - 1, d)
        ]
        assert count * share[0] > 2 >= count * share[1]
        assert d == 7432


def test_notes_examples_of_margins() -> None:
    """The caps give 5, 24, 442, 7432; random signs 38, 70, 142, 238, and with half-gap 0.1 110, 238, 518, 897."""
    from limitbench.theory.constructions import PolynomialCode, random_signs
    from limitbench.theory.margin import ceiling_rounded, spherical_caps

    cells = ((100, 2), (1000, 10), (10**6, 100), (10**10, 1000))
    assert [spherical_caps(math.comb(n, k), Fraction(1, 10)) for n, k in cells] == [5, 24, 442, 7432]
    sizes = (46, 1000, 10**6, 10**10)
    assert [random_signs(n, 2) for n in sizes] == [38, 70, 142, 238]
    assert [random_signs(n, 2, Fraction(1, 10)) for n in sizes] == [110, 238, 518, 897]
    assert ceiling_rounded(46, 2) == "0.365494"
    code = PolynomialCode(31, 5, 2, 31)
    assert (code.valid, code.n, code.dimension) == (True, 887_503_681, 961)
    assert float(code.centroid_gap_squared) ** 0.5 == pytest.approx(0.2223, abs=1e-4)


def test_polynomial_codes_do_what_they_say() -> None:
    """Built vectors agree in at most r points, and union queries rank every sampled set with the promised gap, exactly."""
    from limitbench.theory.constructions import PolynomialCode

    rng = np.random.default_rng(0)
    for q, r, k, points in ((5, 1, 2, 5), (7, 2, 2, 6), (11, 3, 3, 10)):
        code = PolynomialCode(q, r, k, points)
        assert code.valid
        numbers = np.unique(rng.integers(0, code.n, 60)).tolist()
        v = code.documents(numbers).astype(int)
        gram = v @ v.T
        assert (np.diag(gram) == points).all()
        assert (gram - np.diag(np.diag(gram))).max() <= r
        for _ in range(200):
            chosen = rng.choice(len(v), k, replace=False)
            scores = (v[chosen].max(axis=0) > 0).astype(int) @ v.T
            others = np.delete(scores, chosen)
            assert scores[chosen].min() == points
            assert others.max() <= k * r
    assert not PolynomialCode(6, 1, 2, 6).valid
    assert not PolynomialCode(5, 3, 2, 5).valid


def test_random_signs_are_real() -> None:
    """At the dimension that the union bound allows, drawn +-1 documents do realise every pair, checked in integers."""
    from limitbench.theory.constructions import all_pairs_separated, random_signs

    n = 20
    d = random_signs(n, 2)
    assert d is not None
    v = np.random.default_rng(0).integers(0, 2, (n, d)) * 2 - 1
    expected = all(
        min((v[i] + v[j]) @ v[i], (v[i] + v[j]) @ v[j]) > max((v[i] + v[j]) @ v[x] for x in range(n) if x not in (i, j))
        for i, j in itertools.combinations(range(n), 2)
    )
    assert all_pairs_separated(v) == expected
    assert expected


DESIGNS = [
    ((46, 2, 3, "fp32"), "impossible"), ((46, 2, 4, "fp32"), "possible"), ((46, 2, 4, "bf16"), "open"),
    ((46, 2, 10, "binary"), "impossible"), ((46, 2, 20, "binary"), "open"), ((46, 2, 45, "binary"), "possible"), (("1e6", 2, 768, "int8", "0.1"), "possible"),
    (("1e10", 1000, 10**6, "real", 0.1), "impossible"), ((46, 2, 45, "real", 0.3654), "possible"),
    ((46, 2, 10**5, "real", 0.3656), "impossible"), ((10**6, 2, 10, "real", 0.1), "impossible"),
    ((887503681, 2, 961, "int8", 0.23), "possible"), ((5, 5, 1, "real"), "possible"), ((5, 0, 1, "binary"), "possible"),
]  # fmt: skip


@pytest.mark.parametrize(("case", "verdict"), DESIGNS)
def test_design_verdicts(case: tuple, verdict: str) -> None:
    """Known designs get their verdict, from evidence of the right class."""
    found = design(*case)
    assert found.verdict == verdict
    if verdict == "impossible":
        assert all(reason.evidence == "proved" for reason in found.reasons)
    assert all(reason.evidence in ("proved", "constructed") for reason in found.reasons)
    json.dumps(found.to_json())


@pytest.mark.parametrize("dtype", ["real", "fp32", "int8", "binary"])
@pytest.mark.parametrize("margin", [None, "0.1"])
@pytest.mark.parametrize(("n", "k"), [(46, 2), (1000, 3), (10**6, 2)])
def test_inverse_questions_are_consistent(n: int, k: int, dtype: str, margin: str | None) -> None:
    """What is proved sufficient is possible, what is proved insufficient is impossible, and they do not cross."""
    found = design(n=n, k=k, dtype=dtype, margin=margin)
    low, high = found.greatest_insufficient_dim, found.least_sufficient_dim
    if low is not None:
        assert design(n, k, low, dtype, margin).verdict == "impossible"
        assert design(n, k, low + 1, dtype, margin).verdict != "impossible"
    if high is not None:
        assert design(n, k, high, dtype, margin).verdict == "possible"
        assert low is None or low < high
    d = high or 64
    found = design(k=k, d=d, dtype=dtype, margin=margin)
    if found.largest_possible_n is not None:
        assert design(found.largest_possible_n, k, d, dtype, margin).verdict == "possible"
    if found.smallest_impossible_n is not None:
        assert design(found.smallest_impossible_n, k, d, dtype, margin).verdict == "impossible"
        assert found.largest_possible_n is None or found.largest_possible_n < found.smallest_impossible_n


def test_moment_curve_witness_is_exact() -> None:
    """The integer moment curve, built in fp32 as design says, ranks every pair strictly with exact scores."""
    from limitbench.theory.constructions import moment_curve_witness

    n = 46
    assert moment_curve_witness(n, 2, "fp32")
    assert not moment_curve_witness(n, 2, "bf16")
    t = [i - n // 2 for i in range(n)]
    v = [[x**p for p in range(1, 5)] for x in t]
    assert (np.array(v, np.float32).astype(object) == np.array(v, object)).all()
    for a, b in itertools.combinations(range(n), 2):
        s, p = t[a] + t[b], t[a] * t[b]
        u = [2 * s * p, -(s * s) - 2 * p, 2 * s, -1]  # -(t - a)^2 (t - b)^2 without its constant
        assert (np.array(u, np.float32).astype(object) == np.array(u, object)).all()
        scores = [sum(x * y for x, y in zip(u, row, strict=True)) for row in v]
        assert min(scores[a], scores[b]) > max(x for i, x in enumerate(scores) if i not in (a, b))


# ------------------------------------------------------------------------------------------------------------- documents


def _documents() -> list[Path]:
    root = Path(__file__).parents[1]
    return sorted([*(root / "theory").glob("*.md"), root / "docs" / "theory.md"])


@pytest.mark.parametrize("path", _documents(), ids=lambda path: path.stem)
def test_derivations_run(path: Path) -> None:
    """The examples on every page of theory/ and in docs/theory.md print what they say."""
    import doctest

    result = doctest.testfile(str(path), module_relative=False)
    assert result.failed == 0


@pytest.mark.parametrize(
    "module",
    ["limitbench.measures", "limitbench.theory.bracket", "limitbench.theory.constructions", "limitbench.theory.design",
     "limitbench.theory.margin"],
)  # fmt: skip
def test_docstring_examples_run(module: str) -> None:
    """The examples in docstrings print what they say."""
    import doctest
    import importlib

    result = doctest.testmod(importlib.import_module(module))
    assert result.attempted > 0
    assert result.failed == 0


def test_every_cited_page_exists_and_every_method_has_one() -> None:
    """Citations of theory/*.md lead to a page, and each certificate kind is on one."""
    import re

    root = Path(__file__).parents[1]
    cited = {
        match
        for source in (root / "limitbench").rglob("*.py")
        for match in re.findall(r"theory/([a-z0-9-]+)\.md", source.read_text())
    }
    pages = {page.stem for page in (root / "theory").glob("*.md")}
    assert cited <= pages
    homes = {"kuratowski": "planarity", "not-in-cycle": "planarity", "planar-embedding": "planarity", "rank": "ranks",
             "closed-form": "all-subsets", "trivial": "README"}  # fmt: skip
    assert {homes.get(kind, kind) for kind in certificates.KINDS} <= pages


def test_certificates_match_their_schema() -> None:
    """Shipped and fresh certificates validate against theory/certificate.schema.json."""
    import jsonschema

    from limitbench import catalog

    schema = json.loads((catalog.folder("theory") / "certificate.schema.json").read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    for path in _shipped():
        jsonschema.validate(json.loads(path.read_text()), schema)
    for matrix in ((46, 2), subsets(5, 2), cycle(6), graph(nx.petersen_graph()), disjoint(6)):
        for certificate in bracket(matrix, budget_s=1).certificates:
            jsonschema.validate(certificate.to_json(), schema)
    kinds = set(schema["$defs"]["certificate"]["properties"]["kind"]["enum"])
    assert kinds == set(certificates.KINDS)


def test_table_of_the_docs_is_reproduced() -> None:
    """The corpora that docs/theory.md puts beside the paper's cubic are those that design computes."""
    rows = {45: (611.5, 343, 14), 110: (5960.2, 14641, 34), 256: (66169.4, 24137569, 77)}
    for d, (cubic, possible, digits) in rows.items():
        found = design(k=2, d=d, dtype="int8", margin="0.1")
        assert found.extrapolation["critical_n"] == cubic
        assert found.largest_possible_n == possible
        assert len(str(found.smallest_impossible_n)) == digits


@pytest.mark.parametrize(("n", "k"), [(7, 1), (9, 2), (12, 2), (11, 3)])
def test_trigonometric_curve_keeps_its_margin(n: int, k: int) -> None:
    """The half-gap that the curve really has, at 50 digits, is at least the one proved."""
    import mpmath

    from limitbench.theory.constructions import trigonometric_curve

    d, proved = trigonometric_curve(n, k)
    assert d == 2 * k
    with mpmath.workdps(50):
        t = [2 * mpmath.pi * i / n for i in range(n)]
        grid = [2 * mpmath.pi * i / (4 * k + 2) for i in range(4 * k + 2)]
        for chosen in itertools.combinations(range(n), k):

            def p(x, chosen=chosen):
                return mpmath.fprod(1 - mpmath.cos(x - t[s]) for s in chosen)

            norm = mpmath.sqrt(
                sum(
                    (2 * mpmath.fsum(p(x) * f(j * x) for x in grid) / len(grid)) ** 2
                    for j in range(1, k + 1)
                    for f in (mpmath.cos, mpmath.sin)
                )
                * k
            )
            gap = min(p(t[j]) for j in range(n) if j not in chosen) / (2 * norm)
            assert gap**2 >= mpmath.mpf(proved.numerator) / proved.denominator


@pytest.mark.parametrize(("n", "k"), [(4, 1), (6, 2), (7, 3), (46, 2)])
def test_simplex_reaches_the_ceiling_exactly(n: int, k: int) -> None:
    """Centroid queries on the regular simplex have the squared half-gap that is proved to be the most, in fractions."""
    from limitbench.theory.constructions import simplex
    from limitbench.theory.margin import ceiling_squared

    # documents e_i - 1/n, of squared norm (n - 1)/n; the query e_S - k/n, of squared norm k (n - k)/n; scores differ by 1
    gap_squared = Fraction(1) / 4 / (Fraction(n - 1, n) * Fraction(k * (n - k), n))
    assert simplex(n, k) == (n - 1, gap_squared)
    assert gap_squared == ceiling_squared(n, k)


def test_monotone_packing_reaches_the_notes_numbers() -> None:
    """The least dimensions left open, beside what caps leave open; with sets that differ in several documents where k is large."""
    from limitbench.theory.margin import spherical_caps

    known = {  # (n, k, margin): (caps, monotone packing)
        (46, 2, "0.1"): (4, 5), (1000, 2, "0.1"): (6, 9), (10**6, 2, "0.1"): (12, 19), (10**10, 2, "0.1"): (20, 32),
        (1000, 10, "0.1"): (24, 31), (10**10, 10, "0.1"): (94, 134), (10**6, 10, "0.01"): (28, 43),
        (10**6, 100, "0.05"): (340, 623), (10**6, 100, "0.01"): (222, 384), (10**6, 2, "0.01"): (7, 11),
    }  # fmt: skip
    for (n, k, margin), (caps, packed) in known.items():
        gamma = Fraction(margin)
        assert (spherical_caps(math.comb(n, k), gamma), least_open(n, k, gamma)) == (caps, packed)
        assert monotone_packing(n, n - k, gamma, packed - 1) is not None  # complements
        assert design(n, k, packed - 1, margin=gamma).verdict == "impossible"
    found = monotone_packing(10**6, 100, Fraction("0.05"), 622)
    assert found is not None
    assert found.different > 3
    assert found.averaged


def test_monotone_packing_agrees_with_many_digits() -> None:
    """The inequalities of the page, with the exact area constant, at 60 digits: what is refuted there and only there, but for
    roundings at the edge."""
    import mpmath

    with mpmath.workdps(60):
        for n, k, margin in [(46, 2, "0.1"), (300, 3, "0.05"), (10**6, 10, "0.1"), (10**5, 4, "0.02")]:
            gamma, edge = mpmath.mpf(margin), least_open(n, k, Fraction(margin))
            for d in range(max(2, edge - 2), edge + 3):
                p = mpmath.mpf(d - 1) / 2
                area = 2 * mpmath.sqrt(mpmath.pi) * mpmath.gamma(p + 1) / mpmath.gamma(p + mpmath.mpf(1) / 2)
                refuted = False
                for h in range(1, k + 1):
                    near = sum(math.comb(k, i) * math.comb(n - k, i) for i in range(h))
                    ratio = mpmath.mpf(math.comb(n, k)) / near / area
                    s = ratio ** (1 / p)
                    growth = p * (s**2 / (p + 2) - 2 * s / (p + 1) + 1 / p) - 2 * s**-p / ((p + 1) * (p + 2))
                    plain = ratio > (1 + k / (gamma * h)) ** p
                    averaged = s > 1 and growth > mpmath.mpf(k * (n - k)) / ((n - 1) * gamma**2 * h**2)
                    refuted = refuted or plain or averaged
                ours = monotone_packing(n, k, Fraction(margin), d) is not None
                assert refuted or not ours
                if d <= edge - 2 or d > edge:
                    assert ours == refuted


@examples(150)
@given(st.integers(0, 2**31), st.integers(2, 5), st.integers(1, 3))
def test_no_vectors_beat_monotone_packing(seed: int, d: int, k: int) -> None:
    """The half-gap that vectors have is never refuted, neither by the search for a packing nor by any packing."""
    rng = np.random.default_rng(seed)
    n = int(rng.integers(k + 1, 9))
    v = rng.normal(size=(n, d))
    if seed % 3 and d % 2 == 0:  # the moment curve, and simplices with noise: vectors that have a half-gap
        t = 2 * np.pi * np.outer(np.arange(n), np.arange(1, d // 2 + 1)) / n
        v = np.concatenate([np.cos(t), np.sin(t)], 1) + 0.02 * rng.normal(size=(n, d)) * (seed % 2)
    v /= np.linalg.norm(v, axis=1)[:, None]
    gap = least_half_gap(v, k) * (1 - 1e-6)
    if gap < 1e-6:
        return
    gamma = Fraction(gap)
    assert monotone_packing(n, k, gamma, d) is None
    assert not any(
        Packing(n, min(k, n - k), h, way).refutes(gamma, d) for h in range(1, k + 1) for way in (False, True)
    )
    assert not too_many_sets(math.comb(n, k), k, gamma, d)


@given(st.fractions(min_value=0, max_value=50, max_denominator=10**9), st.integers(1, 8))
def test_roundings_keep_their_side(x: Fraction, digits: int) -> None:
    """What is rounded up is not below, what is rounded down not above, and neither is further than one unit of the last place."""
    unit = Fraction(1, 10**digits)
    assert x <= Fraction(rounded_up(x, digits)) < x + unit
    low, high = Fraction(root_rounded_down(x, digits)), Fraction(root_rounded_up(x, digits))
    assert low * low <= x <= high * high
    assert high - low <= unit
    if x:
        assert x * (1 - Fraction(1, 10 ** (digits - 1))) <= Fraction(rounded_down(x, digits)) <= x
        assert float(rounded_down(float(x), digits)) <= float(x)


@pytest.mark.parametrize(("k", "d"), [(50, 200_000), (50, 300_000), (2, 10**5)])
def test_packings_that_integers_cannot_decide_are_not_searched(k: int, d: int) -> None:
    """Where powers would have millions of digits, floating point proposes nothing, so that no search waits for integers."""
    assert design(k=k, d=d, margin="0.05").verdict is None
    far = candidate(10**4000, k, Fraction(1, 20), d)
    assert far is None or far.refutes(Fraction(1, 20), d)


def test_recall_reaches_the_notes_numbers() -> None:
    """Bits and dimensions below which recall 1, 0.99, 0.9 and 0.5 are impossible, for lists of k and of 10 k."""
    bits = {
        (50_000, 2): [31, 31, 30, 14, 23, 23, 23, 11], (10**6, 10): [178, 178, 155, 77, 134, 134, 117, 59],
        (10**6, 100): [1469, 1442, 1247, 590, 1004, 988, 859, 404],
    }  # fmt: skip
    for (n, k), expected in bits.items():
        asked = [(c, r) for c in (k, 10 * k) for r in ("1", "0.99", "0.9", "0.5")]
        assert [recall(n, k, recall=r, at=c, dtype="binary").least_dim for c, r in asked] == expected
    assert [recall(10**9, 10, recall=r).least_dim for r in ("1", "0.9", "0.5")] == [20, 16, 8]  # 1: the rank, 2k
    assert [recall(10**6, 10, recall=r, margin="0.01").least_dim for r in ("1", "0.9", "0.5")] == [43, 24, 12]
    ceilings = [
        (10**6, 100, 768, "binary", 0.620),
        (10**6, 100, 64, "int8", 0.440),
        (8_800_000, 10, 64, "binary", 0.300),
    ]
    for n, k, d, dtype, value in ceilings:
        assert float(recall(n, k, d, dtype=dtype).ceiling) == pytest.approx(value, abs=6e-4)


@pytest.mark.parametrize(
    ("n", "k", "at", "lists"), [(5, 2, 2, 2), (6, 2, 3, 2), (6, 3, 2, 2), (5, 1, 2, 3), (5, 4, 3, 3)]
)
def test_no_few_lists_have_more_recall_than_the_ceiling(n: int, k: int, at: int, lists: int) -> None:
    """Every choice of so many lists, each set served by its best one, has at most the ceiling."""
    sets = [set(s) for s in itertools.combinations(range(n), k)]
    case, met, exact = recall_case(n, k, at), 0, Fraction(0)
    ceiling = case._share(lists)
    for i in range(min(k, at), 0, -1):  # the page's formula, in fractions
        met += math.comb(at, i) * math.comb(n - at, k - i)
        exact += min(Fraction(1), Fraction(lists * met, math.comb(n, k))) / k
    assert exact <= ceiling <= exact + Fraction(1, 10**12)
    every = list(itertools.combinations(range(n), at))
    best = max(
        sum(max(len(s & set(one)) for one in chosen) for s in sets) for chosen in itertools.combinations(every, lists)
    )
    assert Fraction(best, k * len(sets)) <= ceiling
    assert ceiling <= 1


def recall_case(n: int, k: int, at: int):
    from limitbench.theory.recall import _Case

    return _Case(n, k, at, "real", None)


@examples(40)
@given(st.integers(0, 2**31), st.integers(1, 3), st.integers(6, 12), st.integers(1, 4))
def test_lists_of_random_vectors_are_few(seed: int, d: int, n: int, at: int) -> None:
    """As many different lists as queries of random vectors find, there are no more than counted."""
    rng = np.random.default_rng(seed)
    v, u = rng.normal(size=(n, d)), rng.normal(size=(4000, d))
    found = len({tuple(sorted(row)) for row in np.argsort(-(u @ v.T), 1)[:, :at].tolist()})
    counted = [lists for lists, _ in recall_case(n, n // 2, at)._lists(d)]
    assert found <= min(counted, default=math.inf)


def test_hyperplanes_part_points_in_as_many_ways_as_counted() -> None:
    """Five points in the plane: every sign pattern of random lines is seen, and there are as many as the formula says."""
    rng = np.random.default_rng(0)
    v, u, t = rng.normal(size=(5, 2)), rng.normal(size=(200_000, 2)), rng.normal(size=(200_000, 1)) * 2
    assert len(np.unique(t < (v @ u.T).T, axis=0)) == 2 * sum(math.comb(4, i) for i in range(3))


def test_recall_and_design_agree() -> None:
    """Recall 1 at k is what design is about; lists that are too short, and one list for all, are seen."""
    for n, k, d, margin in [
        (46, 2, 3, None),
        (3, 1, 1, None),
        (46, 2, 100, "0.9"),
        (10**6, 2, 18, "0.1"),
        (10**6, 100, 1000, "0.1"),
    ]:
        assert design(n, k, d, margin=margin).verdict == "impossible"
        found = recall(n, k, d, recall=1, margin=margin)
        assert found.verdict == "impossible"
        assert found.least_dim is None or found.least_dim > d
        assert found.least_dim is None or design(n, k, found.least_dim, margin=margin).verdict != "impossible"
    assert recall(10**6, 10, 5000, recall=0.9, at=5).verdict == "impossible"
    assert recall(10**6, 10, recall=0.9, at=5).least_dim is None
    for n, k, d, at, asked in [
        (10, 3, 1, 10, 1),
        (10, 5, 1, 5, "0.5"),
        (10**6, 10, 10, 5, "0.4"),
        (10**6, 10, 20, 5, "0.5"),
    ]:
        assert recall(n, k, d, at=at, recall=asked).verdict == "possible"
    shown = recall(10**6, 100, 237, dtype="binary")
    assert shown.ceiling <= Fraction(rounded_up(shown.ceiling, 4)) < shown.ceiling + Fraction(1, 10**4)
    assert Fraction(shown.to_json()["ceiling"]) >= shown.ceiling


@pytest.mark.parametrize(("n", "k", "d", "h"), [(46, 2, 4, 1), (300, 3, 6, 2), (10**6, 10, 30, 3), (10**5, 4, 9, 1)])
@pytest.mark.parametrize("averaged", [True, False])
def test_a_packing_refutes_exactly_from_its_margin_on(n: int, k: int, d: int, h: int, averaged: bool) -> None:
    """The half-gap from which on a packing refutes is that of the page's formula, at 60 digits."""
    import mpmath

    low, high = Fraction(0), Fraction(1)
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (low, middle) if middle and Packing(n, k, h, averaged).refutes(middle, d) else (middle, high)
    with mpmath.workdps(60):
        p = mpmath.mpf(d - 1) / 2
        near = sum(math.comb(k, i) * math.comb(n - k, i) for i in range(h))
        ratio = mpmath.mpf(math.comb(n, k)) / near / mpmath.sqrt(2 * mpmath.pi * d)
        if averaged:
            s = ratio ** (1 / p)
            growth = p * (s**2 / (p + 2) - 2 * s / (p + 1) + 1 / p) - 2 / ((p + 1) * (p + 2))
            edge = mpmath.sqrt(mpmath.mpf(k * (n - k)) / (n - 1) / growth) / h
        else:
            count = mpmath.mpf(-(-math.comb(n, k) // near)) / mpmath.sqrt(2 * mpmath.pi * d)
            edge = mpmath.mpf(k) / h / (count ** (1 / p) - 1)
    assert float(high) == pytest.approx(min(1.0, float(edge)), rel=1e-6)


def test_recall_refuses_what_it_cannot_answer(cli) -> None:
    """Clear errors, and a verdict that is possible only where a construction is."""
    for arguments, said in [
        ({"n": 10, "k": 10, "d": 3}, "1 <= k < n"), ({"n": 10, "k": 2, "d": 3, "at": 11}, "at <= 10"), ({"n": 10, "k": 2}, "neither d nor recall"),
        ({"n": 10, "k": 2, "d": 3, "recall": 1.5}, "above 0 and at most 1"), ({"n": 10, "k": 2, "d": 0}, "1 to"),
    ]:  # fmt: skip
        with pytest.raises(InputError, match=said):
            recall(**arguments)
    with pytest.raises(UnknownName):
        recall(10, 2, 3, dtype="fp13")
    assert recall(10**6, 10, 18, recall="0.9").verdict == "possible"
    assert recall(10**6, 10, 17, recall="0.9").verdict == "open"
    assert recall(10**6, 10, 13, recall="0.9").verdict == "impossible"
    code, out, _ = cli(
        "design", "--n", "1e6", "--k", "100", "--dim", "1024", "--dtype", "binary", "--recall", "0.9", "--json"
    )
    assert (code, json.loads(out)["verdict"], json.loads(out)["least_dim"]) == (0, "impossible", 1247)
    assert cli("design", "--n", "1e6", "--dim", "4", "--at", "3")[0] == 2
    assert cli("design", "--dim", "4", "--recall", "0.5")[0] == 2


def hull_distance(a: np.ndarray, b: np.ndarray) -> float:
    """The distance of two convex hulls, by non-negative least squares with heavy rows for the sums of weights."""
    heavy = 1e4
    rows = np.concatenate([a.T, np.full((1, len(a)), heavy), np.zeros((1, len(a)))])
    columns = np.concatenate([-b.T, np.zeros((1, len(b))), np.full((1, len(b)), heavy)])
    right = np.concatenate([np.zeros(a.shape[1]), [heavy, heavy]])
    return float(nnls(np.concatenate([rows, columns], 1), right, maxiter=10_000)[1])


def least_half_gap(v: np.ndarray, k: int) -> float:
    """The half-gap of all k-subsets of these vectors of the unit ball."""
    sets = map(list, itertools.combinations(range(len(v)), k))
    return min(hull_distance(v[s], np.delete(v, s, 0)) for s in sets) / 2


@pytest.mark.parametrize(
    ("n", "k", "d"), [(6, 2, 4), (7, 2, 5), (8, 2, 6), (9, 2, 6), (8, 3, 6), (10, 2, 7), (7, 1, 4)]
)
def test_orthogonal_simplices_have_their_half_gap(n: int, k: int, d: int) -> None:
    """Regular simplices in orthogonal spaces have the half-gap that is claimed, no less and no more; more dimensions have no less."""
    r = n - d
    v = np.zeros((n, n))
    for part in np.array_split(np.arange(n), r):
        v[np.ix_(part, part)] = (np.eye(len(part)) - 1 / len(part)) / math.sqrt(1 - 1 / len(part))
    assert np.linalg.matrix_rank(v) == d
    claimed = orthogonal_simplices(n, k, d)
    assert least_half_gap(v, k) == pytest.approx(math.sqrt(claimed), rel=1e-5)
    assert orthogonal_simplices(n, k, d + 1) >= claimed or n - d - 1 < 2
    verdict = design(n, k, d, margin=Fraction(math.isqrt(claimed.numerator * 10**8 // claimed.denominator), 10**4))
    assert any(reason.method == "orthogonal simplices" for reason in verdict.reasons)


@examples(60)
@given(
    st.integers(0, 2**31),
    st.sampled_from(
        [(2, 4, 2), (3, 5, 2), (4, 6, 2), (4, 7, 2), (5, 7, 2), (6, 8, 2), (2, 4, 1), (3, 6, 1), (6, 10, 3)]
    ),
)
def test_no_vectors_beat_the_radon_bound(seed: int, case: tuple[int, int, int]) -> None:
    """Vectors that a few random moves improve, from random ones and from two simplices, never exceed the bound."""
    d, n, k = case
    bound = radon_squared(n, k, d)
    assert bound is not None
    rng = np.random.default_rng(seed)
    v = rng.normal(size=(n, d))
    if seed % 2 and n == d + 2:
        wide = np.zeros((n, n))
        for part in np.array_split(np.arange(n), 2):
            wide[np.ix_(part, part)] = np.eye(len(part)) - 1 / len(part)
        v = wide @ np.linalg.svd(wide)[2][:d].T + 0.02 * rng.normal(size=(n, d))
    v /= np.linalg.norm(v, axis=1)[:, None]
    found = least_half_gap(v, k)
    for _ in range(6):
        trial = v + 0.1 * rng.normal(size=v.shape) * rng.random()
        trial /= np.maximum(1, np.linalg.norm(trial, axis=1))[:, None]
        more = least_half_gap(trial, k)
        v, found = (trial, more) if more > found else (v, found)
    assert found <= math.sqrt(bound) * (1 + 1e-6)


def test_the_radon_bound_says_nothing_where_its_proof_does_not_hold() -> None:
    """A simplex and its centre have more than 1 / (2k) for k = 5; the bound begins at d + k + 1 documents there."""
    v = np.eye(11) - 1 / 11
    v = np.concatenate([v / np.linalg.norm(v[0]), np.zeros((1, 11))])
    assert least_half_gap(v[[11, *range(11)]], 5) == pytest.approx(math.sqrt(4 / 70) / 2, rel=1e-4)
    assert radon_squared(12, 5, 10) is None
    assert radon_squared(16, 5, 10) == Fraction(1, 100)
    assert radon_squared(5, 2, 4) is None
    assert radon_squared(9, 2, 8) is None
    assert design(7, 2, 5, margin="0.2501").verdict == "impossible"
    assert design(7, 2, 5, margin="0.25").verdict == "possible"


@pytest.mark.parametrize(("n", "k"), [(4, 2), (5, 2), (8, 3), (12, 5), (9, 4)])
def test_a_simplex_and_its_centre_have_their_half_gap(n: int, k: int) -> None:
    """The corners of a regular simplex and 0 have the half-gap that is claimed; for k = 2 in 2 and 3 dimensions none is larger."""
    d = n - 2
    corners = np.eye(n - 1) - 1 / (n - 1)
    v = np.concatenate([corners / np.linalg.norm(corners[0]), np.zeros((1, n - 1))])
    claimed = simplex_and_centre(n, k, d)
    assert least_half_gap(v, k) == pytest.approx(math.sqrt(claimed), rel=1e-4)
    if k == 2:
        assert radon_squared(n, k, d) == claimed
    assert simplex_and_centre(n + 1, k, d) == 0


# ------------------------------------------------------------------------------------------- what a hostile reader tried

ONES = np.ones((3, 4), int)
FORGED = [  # matrix, claim, kind, data
    (ONES, ("sign_rank", "lower", 3), "rank-two", {"rows": [0], "columns": []}),
    (ONES, ("order_preserving", "lower", 2), "rank-two", {"rows": [], "columns": []}),
    (ONES, ("order_preserving", "lower", 1), "trivial", {}),
    ((1, 1, True), ("order_preserving", "lower", 1), "trivial", {}),
    ((1, 1, True), ("global_threshold", "upper", 0), "moment-curve", {}),
    (np.eye(4, dtype=int), ("order_preserving", "upper", 3), "planar-embedding", {"rotation": [[1], [], [], []]}),
]


@pytest.mark.parametrize("case", FORGED)
def test_forged_certificates_are_refused(case) -> None:
    """Empty columns, one-document corpora and half an edge prove nothing."""
    given, claim, kind, data = case
    matrix = AllSubsets(*given) if isinstance(given, tuple) else as_matrix(given)
    assert not verify(Certificate(*claim, kind, matrix_name(matrix), data), matrix)  # type: ignore[call-arg]


def test_a_certificate_must_name_its_matrix_rightly() -> None:
    """A right digest beside wrong counts, a string for a bool, and qrels it is not about are refused."""
    q = as_matrix(([{0}, {1}, {0, 1}], 2))
    name = {**matrix_name(q), "queries": 999}
    assert not verify(Certificate("order_preserving", "upper", 1, "trivial", name, {}), q)
    text = {"n": 5, "k": 1, "at_most": "false"}
    assert not verify(Certificate("order_preserving", "upper", 2, "closed-form", text, {}))
    pairs = bracket((46, 2)).lower.certificate
    assert pairs is not None
    assert not verify(pairs, q)


HUGE = {"n": 10**11, "k": 5 * 10**10, "at_most": False}


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    ("kind", "data"),
    [("antipodal-shattering", {"size": 10**11}), ("antipodal-shattering", {"columns": [0], "rows": [0]}),
     ("vc-dimension", {"columns": [0], "rows": [0]}), ("z2-connectivity", {"size": 10**11}), ("trivial", {})],
)  # fmt: skip
def test_huge_certificates_answer_at_once(kind: str, data: dict) -> None:
    """Counts with billions of digits are never formed; the answer is accept or refuse, quickly."""
    verify(Certificate("order_preserving", "lower", 1, kind, HUGE, data))


@pytest.mark.timeout(20)
def test_huge_forster_numbers_are_refused() -> None:
    """Elimination is not started on numbers of thousands of digits."""
    q = as_matrix((np.random.default_rng(0).random((40, 40)) < 0.5).astype(int))
    data = {
        "rows": list(range(40)),
        "columns": list(range(40)),
        "plus": 10**4000,
        "minus": 1,
        "num": 10**4200,
        "den": 1,
        "ones": False,
    }
    assert not verify(Certificate("sign_rank", "lower", 2, "forster", matrix_name(q), data), q)


def test_counting_agrees_with_enumeration() -> None:
    """For all n <= 9, k and sizes, the counting form of the shattering proofs proves what naming the columns proves."""
    for n in range(2, 10):
        for k in range(n + 1):
            for at_most in (False, True):
                for t in range(2, n + 1):
                    for kind in ("antipodal-shattering", "z2-connectivity"):
                        for notion, value in (
                            ("sign_rank", t),
                            ("sign_rank", t - 1),
                            ("order_preserving", t - 1),
                            ("order_preserving", t - 2),
                        ):
                            one, two = (
                                verify(
                                    Certificate(
                                        notion, "lower", value, kind, {"n": n, "k": k, "at_most": at_most}, data
                                    )
                                )
                                for data in ({"size": t}, {"columns": list(range(t))})
                            )
                            assert one == two, (n, k, at_most, t, kind, notion, value)


@pytest.mark.parametrize(
    "bad",
    [
        np.ma.array(np.eye(3), mask=np.eye(3)),
        np.eye(2) * 1j,
        (float("nan"), 2),
        (float("inf"), 2),
        [[1], [1, 0]],
        ([1, 2], 3),
    ],
)
def test_more_bad_matrices_are_refused(bad) -> None:
    """Masked, complex, ragged and infinite input gets a sentence."""
    with pytest.raises(InputError):
        bracket(bad)


@pytest.mark.timeout(30)
def test_a_large_graph_is_decided_quickly() -> None:
    """1000 singletons and 3000 edges: not planar, so 4, within seconds."""
    rng = np.random.default_rng(0)
    edges = {frozenset(map(int, rng.choice(1000, 2, replace=False))) for _ in range(3000)}
    found = bracket(([{v} for v in range(1000)] + [set(e) for e in edges], 1000), budget_s=5)
    assert (found.lower.value, found.upper.value) == (4, 4)


def test_complements_do_not_spoil_planarity() -> None:
    """A row beside the complement of another asks for the same; the certificate covers the rows as they are."""
    rows = [{v} for v in range(5)] + [{0, 1}, {1, 2}, {2, 3}, {3, 4}, {0, 2}, {0, 3}, {0, 1, 2, 3}]
    q = as_matrix((rows, 5))
    for notion in ("order_preserving", "sign_rank"):
        found = bracket(q, notion, budget_s=1)
        all_certificates_hold(found, q)
    assert found.upper.value == 4


@examples(25)
@given(tiny, st.lists(st.integers(0, 3), max_size=3), st.lists(st.integers(0, 3), max_size=3))
@example(np.array([[0, 1, 0], [1, 1, 1], [1, 0, 0]], np.int8), [], [0])  # one threshold counted equal documents twice
def test_repetitions_change_no_theorem(a: np.ndarray, rows: list[int], columns: list[int]) -> None:
    """Repeated rows and columns leave every bracket without search as it is."""
    m, n = a.shape
    more = a[[*range(m), *(r % m for r in rows)]][:, [*range(n), *(c % n for c in columns)]]
    for notion in NOTIONS:
        one, two = bracket(a, notion, budget_s=0), bracket(more, notion, budget_s=0)
        assert (one.lower.value, one.upper.value) == (two.lower.value, two.upper.value), notion


def test_possible_stays_possible_in_more_dimensions() -> None:
    """Zeros can be appended: what 2^20 dimensions carry, more carry too; and k documents are always carried."""
    assert {design(10**10, 2, d, "int8", "0.1").verdict for d in (2**20, 2**20 + 1, 10**11)} == {"possible"}
    assert design(None, 5, 1, "int8").largest_possible_n == 5
    assert design("1e10", "5e9", "2e10").verdict == "possible"
    assert design(np.int64(46), 2, 3).verdict == "impossible"
