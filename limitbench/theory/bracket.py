"""The front door: the best certified lower and upper bound on the embedding dimension of a relevance matrix."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from limitbench.certificates import (
    NOTIONS,
    AllSubsets,
    Certificate,
    Explicit,
    Notion,
    Side,
    closed_form,
    implied,
    matrix_name,
    rank_two_order,
    verify,
)
from limitbench.errors import InputError, UnknownName
from limitbench.relevance import Qrels, graded_note
from limitbench.theory import factors, forster, graphs, orders, shattering, solver
from limitbench.theory.bounds import Bound, Bracket, Established, Evidence, best
from limitbench.theory.exact import as_count
from limitbench.theory.matrix import Reduced, as_matrix, reduce

_CITATIONS = {
    "antipodal-shattering": "theory/antipodal-shattering.md",
    "vc-dimension": "Paturi and Simon 1986; Alon, Moran and Yehudayoff 2016",
    "z2-connectivity": "theory/z2-connectivity.md",
    "rank-two": "theory/rank-two.md",
    "forster": "Forster 2002, Theorem 2.2",
    "kuratowski": "Steinitz 1922; Kuratowski 1930; theory/planarity.md",
    "not-in-cycle": "theory/planarity.md",
    "planar-embedding": "Steinitz 1922; theory/planarity.md",
    "sign-changes": "Alon, Frankl and Roedl 1985",
    "moment-curve": "Gale 1963; Alon, Frankl and Roedl 1985; theory/moment-curve.md",
    "trivial": "one dimension a document or a query",
    "rank": "theory/ranks.md",
    "embedding": "integer factors, every score recomputed",
    "blocks": "theory/blocks.md",
    "closed-form": "theory/all-subsets.md",
}
_CHECKED = 100_000  # judgements up to which every certificate is checked as soon as it is made
_SMALL = 2_000_000  # entries of a reduced matrix that dense methods look at


def exact_all_k(n: int, k: int, notion: Notion = "order_preserving", *, at_most: bool = False) -> int:
    """The exact dimension for all k-subsets of n documents (`at_most`: of at most k), of theory/all-subsets.md.

    Raises `InputError` for k outside 0..n.

    >>> exact_all_k(46, 2), exact_all_k(46, 2, "sign_rank")
    (4, 5)
    """
    require_notion(notion)
    return closed_form(as_count(n, "n"), as_count(k, "k"), notion, at_most=at_most)


def bracket(relevance: Any, notion: Notion = "order_preserving", *, budget_s: float = 5.0, seed: int = 0) -> Bracket:
    """The best certified bounds on the dimension that `relevance` needs.

    `relevance` is a `Qrels`, a 0/1 array (queries, documents), a scipy sparse matrix, (sets, number of documents), or
    (n, k) for all k-subsets. `notion` is `order_preserving` (each query's relevant documents score above all others: what
    ranking needs), `sign_rank` (of 2A - 1), `global_threshold` (one threshold for all queries) or `cosine`
    (order-preserving with unit documents). `budget_s` bounds the searches, in seconds; a closed form or a matching pair of
    bounds returns at once. Raises `InputError` for input that is not a 0/1 matrix.

    >>> found = bracket((46, 2))
    >>> found.lower.value, found.upper.value
    (4, 4)
    """
    require_notion(notion)
    if not isinstance(budget_s, int | float) or not budget_s >= 0:
        raise InputError(f"found budget_s = {budget_s}, expected seconds, at least 0")
    start = time.monotonic()
    matrix = as_matrix(relevance)
    tried: list[Bound] = []
    said = graded_note(relevance) if isinstance(relevance, Qrels) else None
    notes: list[str] = [] if said is None else [said]
    stages = _closed(matrix, notion) if isinstance(matrix, AllSubsets) else _searched(
        matrix, notion, start + budget_s, np.random.default_rng(seed), notes, tried
    )  # fmt: skip
    rows = Explicit.of(matrix) if isinstance(matrix, Qrels) else None
    large = isinstance(matrix, Qrels) and len(matrix.indices) > _CHECKED
    refused: list[Bound] = []
    stream = iter(stages)
    while True:
        for bound in stream:
            if not large and not _holds(bound, matrix, rows):
                refused.append(bound)
                continue
            tried.append(bound)
            if _closes(tried):
                break
        if not large or not _refuted(tried, refused, matrix, rows):
            break  # else what was shown is not, and the search goes on
    notes += [f"a {b.method} bound of {b.value} did not pass its check and is left out" for b in refused]
    return Bracket(
        notion,
        best(tried, "lower"),
        best(tried, "upper"),
        (best(tried, "lower"), best(tried, "upper")) if large else tuple(tried),  # what was not checked is not told
        _title(matrix),
        time.monotonic() - start,
        tuple(notes),
    )


def brackets(
    relevance: Any, notions: Sequence[Notion] = NOTIONS, *, budget_s: float = 5.0, seed: int = 0
) -> tuple[Bracket, ...]:
    """The brackets of several notions, each with what the others' certificates say of it.

    What is proved of one notion bounds the others: rop <= gt <= pm <= rop + 1, rop <= cos <= rop + 1 (`certificates`). So a bound
    that a search found for one of them is tried as a certificate for all.
    """
    found = [bracket(relevance, notion, budget_s=budget_s, seed=seed) for notion in dict.fromkeys(notions)]
    matrix = as_matrix(relevance)
    rows = Explicit.of(matrix) if isinstance(matrix, Qrels) and len(found) > 1 else None
    return tuple(_informed(one, [other for other in found if other is not one], matrix, rows) for one in found)


def _informed(one: Bracket, others: Sequence[Bracket], matrix: Qrels | AllSubsets, rows: Explicit | None) -> Bracket:
    """A bracket with the bounds of others that tighten it, each certified for its own notion."""
    bounds = list(one.bounds)
    for other in others:
        for bound in (other.lower, other.upper):
            proof = bound.certificate
            value = None if proof is None else implied((bound.notion, bound.side, bound.value), one.notion, bound.side)
            if proof is None or value is None:
                continue
            known = best(bounds, bound.side).value
            if value <= known if bound.side == "lower" else value >= known:
                continue
            claim = replace(proof, notion=one.notion, value=value)
            if verify(claim, matrix, rows=rows):
                detail = f"{bound.detail}; it follows from {bound.notion} {'>=' if bound.side == 'lower' else '<='} {bound.value}"
                bounds.append(replace(bound, notion=one.notion, value=value, certificate=claim, detail=detail))
    return replace(one, lower=best(bounds, "lower"), upper=best(bounds, "upper"), bounds=tuple(bounds))


def _closes(tried: Sequence[Bound]) -> bool:
    """Whether both sides are there and meet."""
    return {"lower", "upper"} <= {b.side for b in tried} and best(tried, "lower").value == best(tried, "upper").value


def _refuted(tried: list[Bound], refused: list[Bound], matrix: Qrels | AllSubsets, rows: Explicit | None) -> bool:
    """Move the bounds that would be shown and do not pass their check to `refused`; whether there was one.

    On large matrices a check takes seconds, so it is done of what is shown alone.
    """
    sides: tuple[Side, Side] = ("lower", "upper")
    bad = [bound for bound in (best(tried, side) for side in sides) if not _holds(bound, matrix, rows)]
    for bound in bad:
        tried.remove(bound)
    refused += bad
    return bool(bad)


def _holds(bound: Bound, matrix: Qrels | AllSubsets, rows: Explicit | None) -> bool:
    """Whether the checker accepts a bound; what has no certificate is a solver's word, and never in a bracket."""
    return bound.certificate is None or verify(bound.certificate, matrix, rows=rows)


def require_notion(notion: str) -> None:
    """Raise `UnknownName` for a notion that is none."""
    if notion not in NOTIONS:
        raise UnknownName("notion", str(notion), NOTIONS)


def _title(matrix: Qrels | AllSubsets) -> str:
    if isinstance(matrix, AllSubsets):
        what = f"subsets of at most {matrix.k}" if matrix.at_most else f"{matrix.k}-subsets"
        return f"all {what} of {matrix.n}"
    return f"{matrix.n_queries} queries x {matrix.n_documents} documents, at most {matrix.degree()} relevant"


def _bound(
    matrix: Qrels | AllSubsets,
    notion: Notion,
    side: Side,
    value: int,
    kind: str,
    data: dict[str, Any],
    *,
    evidence: Evidence = "proved",
    established: Established = "certificate",
    detail: str = "",
) -> Bound:
    certificate = Certificate(notion, side, value, kind, matrix_name(matrix), data)
    return Bound(
        side, value, notion, kind, _CITATIONS[kind], evidence, established, certificate=certificate, detail=detail
    )


# ------------------------------------------------------------------------------------------------- all k-subsets of n


def _closed(matrix: AllSubsets, notion: Notion) -> Iterator[Bound]:
    value = closed_form(matrix.n, matrix.k, notion, at_most=matrix.at_most)
    n, k = matrix.n, min(matrix.k, matrix.n - matrix.k)
    formula = f"closed form at n = {n}, k = {matrix.k}"
    for kind in ("antipodal-shattering", "z2-connectivity"):
        proof = _count_certificate(matrix, notion, kind, value)
        if proof is not None:
            yield proof
            break
    else:
        yield _bound(matrix, notion, "lower", value, "closed-form", {}, established="theorem", detail=formula)
    dims = 2 * (matrix.k if notion == "global_threshold" or matrix.at_most else k) + (notion == "sign_rank")
    if dims <= value:
        yield _bound(matrix, notion, "upper", value, "moment-curve", {}, established="theorem", detail=f"2K = {2 * k}")
    yield _bound(matrix, notion, "upper", value, "closed-form", {}, established="theorem", detail=formula)


def _count_certificate(matrix: AllSubsets, notion: Notion, kind: str, value: int) -> Bound | None:
    shift = {"antipodal-shattering": 0, "z2-connectivity": 1}[kind] + (notion != "sign_rank")
    size = value + shift
    if not 1 <= size <= matrix.n:
        return None
    detail = f"{size} columns, by counting"
    made = _bound(matrix, notion, "lower", value, kind, {"size": size}, detail=detail)
    return made if made.certificate is not None and verify(made.certificate) else None


# ------------------------------------------------------------------------------------------------------- given matrices


def _searched(
    qrels: Qrels, notion: Notion, deadline: float, rng: np.random.Generator, notes: list[str], tried: list[Bound]
) -> Iterator[Bound]:
    signs = notion == "sign_rank"
    reduced = reduce(
        qrels, complements=notion != "global_threshold", constants=notion in ("order_preserving", "cosine")
    )
    m, n = reduced.shape
    if (m, n) != qrels.shape:
        notes.append(f"reduced to {m} distinct rows x {n} distinct columns")
    sizes = np.diff(reduced.matrix.indptr)
    widest = int(np.minimum(sizes, n - sizes).max(initial=0))
    yield from _theorems(qrels, notion, reduced, widest)
    if m == 0:
        return

    def gap() -> bool:
        return best(tried, "lower").value < best(tried, "upper").value

    def share(fraction: float) -> float:
        now = time.monotonic()
        return now + max(0.0, deadline - now) * fraction

    for stage in _stages(qrels, notion, reduced, widest, signs, share, rng, tried, deadline):
        yield from stage()
        if not gap():
            return


def _theorems(qrels: Qrels, notion: Notion, reduced: Reduced, widest: int) -> Iterator[Bound]:
    m, n = reduced.shape
    varies = widest > 0
    both = {0, qrels.n_documents} <= set(
        qrels.sizes.tolist()
    )  # an empty and a full row, which one threshold cannot serve in 0
    floor = 1 if notion == "sign_rank" or (notion == "global_threshold" and both) else int(varies)

    def made(side: Side, value: int, kind: str, detail: str) -> Bound:
        return _bound(qrels, notion, side, value, kind, {}, established="theorem", detail=detail)

    yield made(
        "lower",
        floor,
        "trivial",
        "some row is not constant" if varies else "an empty and a full row" if floor else "every row is constant",
    )
    trivial = {
        "order_preserving": min(m, n - 1) if varies else 0,
        "cosine": n - 1 if varies else 0,
        "sign_rank": max(1, min(m, n)),
        "global_threshold": max(1, min(m, n)),
    }[notion]
    yield made("upper", trivial, "trivial", f"min of {m} queries and {n} documents, repetitions aside")
    largest = int(qrels.sizes[qrels.sizes < qrels.n_documents].max(initial=0))
    if largest == 0 and len(set(qrels.sizes.tolist())) > 1:
        largest = 1
    curve = {
        "order_preserving": 2 * widest,
        "cosine": 2 * widest,
        "sign_rank": 2 * widest + 1,
        "global_threshold": min(2 * largest, 2 * widest + 1),
    }[notion]
    yield made("upper", curve, "moment-curve", f"K = {widest} relevant (or irrelevant) documents a row")


def _stages(
    qrels: Qrels,
    notion: Notion,
    reduced: Reduced,
    widest: int,
    signs: bool,
    share: Callable[[float], float],
    rng: np.random.Generator,
    tried: list[Bound],
    deadline: float,
) -> Iterator[Callable[[], Iterator[Bound]]]:
    m, n = reduced.shape
    small = m * n <= _SMALL

    def lower() -> int:
        return best(tried, "lower").value

    def upper() -> int:
        return best(tried, "upper").value

    def original_rows(numbers: tuple[int, ...]) -> list[int]:
        return sorted(int(reduced.rows[i]) for i in numbers)

    def original_columns(numbers: tuple[int, ...]) -> list[int]:
        return [int(reduced.columns[i]) for i in numbers]

    def shatter() -> Iterator[Bound]:
        _ = reduced.by_column  # built outside the search's share of the time
        most = min(2 * widest + 1, m.bit_length() + 1, n, 16)
        found = shattering.grow(
            reduced,
            lambda patterns, t: shattering.antipodal(patterns, t, constants=signs),
            most=most,
            deadline=share(0.2),
        )
        if found is not None:
            t = len(found.columns)
            data = {"columns": original_columns(found.columns), "rows": original_rows(found.rows)}
            yield _bound(
                qrels, notion, "lower", t if signs else t - 1, "antipodal-shattering", data,
                detail=f"{t} columns on which every sign pattern is a row, up to sign",
            )  # fmt: skip

    def vc() -> Iterator[Bound]:
        most = min(widest if widest else 1, m.bit_length(), n, 16)
        exact = reduce(qrels, complements=False, constants=False) if m * n <= _SMALL else reduced
        found = shattering.grow(exact, shattering.shattered, most=most, deadline=share(0.05))
        if found is not None:
            t = len(found.columns)
            data = {
                "columns": [int(exact.columns[i]) for i in found.columns],
                "rows": sorted(int(exact.rows[i]) for i in found.rows),
            }
            value = t if signs else t - 1
            yield _bound(
                qrels, notion, "lower", value, "vc-dimension", data, detail=f"{t} columns with all {2**t} patterns"
            )

    def z2() -> Iterator[Bound]:
        found = shattering.z2_columns(reduced, constants=signs, deadline=share(0.05))
        if found is not None:
            columns, value = found
            data = {"columns": original_columns(columns)}
            detail = f"{len(columns)} columns with no free path between opposites"
            yield _bound(qrels, notion, "lower", value, "z2-connectivity", data, detail=detail)

    def rank_two() -> Iterator[Bound]:
        if not small or m * n > 40_000 or m * n * n > 4_000_000:
            return
        matrix = [tuple(row) for row in (2 * reduced.dense.astype(int) - 1).tolist()]
        augmented = matrix if signs else [(1,) * n, *matrix]
        order = rank_two_order(augmented)
        if order is None:
            rows, columns = _shrink(matrix, signs)
            data = {"rows": original_rows(rows), "columns": original_columns(columns)}
            detail = f"a {len(rows)} x {len(columns)} sub-matrix is not of sign rank 2"
            yield _bound(qrels, notion, "lower", 3 if signs else 2, "rank-two", data, detail=detail)
        elif signs:
            u, v = _two_dimensional(matrix, *order)
            if u is not None:
                yield _expanded(qrels, reduced, notion, u, v, 0, "columns in the order of their angle")
        elif notion != "global_threshold":
            spread = [
                int(c) for c in np.lexsort((np.arange(qrels.n_documents), np.argsort(order[0])[reduced.column_of]))
            ]
            if notion == "order_preserving":
                yield _bound(qrels, notion, "upper", 1, "sign-changes", {"order": spread}, evidence="constructed",
                             detail="every row is a beginning or an end of one order")  # fmt: skip

    def planarity() -> Iterator[Bound]:
        edges = graphs.graph_of(reduced)
        if edges is None:
            return
        edges = [(int(reduced.columns[a]), int(reduced.columns[b])) for a, b in edges]
        for side, kind, data in graphs.decide(edges, qrels.n_documents):
            value = {"planar-embedding": 3, "kuratowski": 4, "not-in-cycle": 3}[kind]
            if side == "upper":
                value += notion != "order_preserving"
            yield _bound(qrels, notion, side, value, kind, data, detail="all singletons and the edges of a graph")  # type: ignore[arg-type]

    def order() -> Iterator[Bound]:
        floor = max(1, lower() - (notion != "order_preserving"))
        found, value = orders.best_order(reduced, deadline=share(0.3), rng=rng, floor=floor)
        place = np.empty(n, np.int64)
        place[found] = np.arange(n)
        spread = np.lexsort((np.arange(qrels.n_documents), place[reduced.column_of]))
        yield _bound(
            qrels, notion, "upper", value + (notion != "order_preserving"), "sign-changes",
            {"order": spread.tolist()}, evidence="constructed", detail=f"an order with at most {value} sign changes a row",
        )  # fmt: skip

    def ranks() -> Iterator[Bound]:
        from limitbench.certificates import exact_rank

        if not small or min(m, n) > 128 or m * n > 200_000:
            return
        a = reduced.dense.astype(int)
        if notion == "global_threshold":
            value, what = exact_rank(a.tolist()), "rank(A)"
        else:
            value, what = exact_rank([[1] * n, *a.tolist()]) - 1, "rank([A; 1]) - 1"
            if signs:
                value, what = exact_rank((2 * a - 1).tolist()), "rank(2A - 1)"
            if notion == "cosine":
                value += 1
        value = max(value, 1)
        yield _bound(qrels, notion, "upper", value, "rank", {}, detail=what)

    def forster_() -> Iterator[Bound]:
        ones = not signs
        if forster.ceiling(widest) - ones <= lower():
            return
        found = forster.forster(reduced, ones=ones)
        if found is not None and found[0] - ones > lower():
            value, data = found
            data |= {"rows": [int(r) for r in reduced.rows], "columns": [int(c) for c in reduced.columns]}
            detail = f"spectral norm squared below {data['num'] / data['den']:.6g}"
            made = _bound(qrels, notion, "lower", value - ones, "forster", data, detail=detail)
            if made.certificate is not None and verify(made.certificate, qrels):  # floating point only proposed it
                yield made

    def blocks() -> Iterator[Bound]:
        made = _block_bound(qrels, notion, share(0.1), rng, upper())
        if made is not None:
            yield made

    def numeric() -> Iterator[Bound]:
        if not small:
            return
        wanted: Notion = "order_preserving" if notion == "cosine" else notion
        lift = int(notion == "cosine")  # unit documents cost at most one dimension more

        def attempt(d: int, tries: int) -> Bound | None:
            found = factors.search(reduced.dense, d, wanted, deadline=deadline, rng=rng, tries=tries)
            detail = "low-rank search, rounded and checked in integers"
            return _expanded(qrels, reduced, notion, *found, detail, lift=lift) if found is not None else None

        low, high = max(1, lower() - lift), upper() - lift
        while low < high and time.monotonic() < deadline:  # one attempt each, by bisection
            d = (low + high) // 2
            made = attempt(d, 1)
            if made is not None:
                yield made
                high = d
            else:
                low = d + 1
        low, high = max(1, lower() - lift), upper() - lift
        while low < high and time.monotonic() < deadline:  # then downward, with what time is left
            made = attempt(high - 1, 50)
            if made is None:
                return
            yield made
            high -= 1

    def decide() -> Iterator[Bound]:
        if m * n > 64 or not solver.available() or notion not in ("sign_rank", "order_preserving"):
            return
        matrix = (2 * reduced.dense.astype(int) - 1).tolist()
        if not signs:
            matrix = [[1] * n, *matrix]
        for value in range(lower(), upper()):
            left = min(10.0, deadline - time.monotonic())
            if left <= 0:
                return
            answer = solver.sign_rank_at_most(matrix, value + (not signs), timeout_s=left)
            if answer is not False:
                return
            yield Bound("lower", value + 1, notion, "z3", "z3, QF_NRA", "measured", "solver",
                        detail=f"z3 finds no embedding in {value} dimensions; there is no proof to check")  # fmt: skip

    return iter((shatter, planarity, rank_two, order, z2, ranks, forster_, blocks, vc, numeric, decide))


def _shrink(matrix: list[tuple[int, ...]], signs: bool) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """(rows, columns) of a sub-matrix, small by greedy deletion, that the rank-two decider still refuses."""
    rows, columns = list(range(len(matrix))), list(range(len(matrix[0])))

    def refused(rs: list[int], cs: list[int]) -> bool:
        part = [tuple(matrix[r][c] for c in cs) for r in rs]
        return rank_two_order(part if signs else [(1,) * len(cs), *part]) is None

    for which in (0, 1):
        step = max(1, len((rows, columns)[which]) // 2)
        while step:
            at = 0
            while at < len((rows, columns)[which]):
                kept = [x for i, x in enumerate((rows, columns)[which]) if not at <= i < at + step]
                if kept and refused(*((kept, columns) if which == 0 else (rows, kept))):
                    rows, columns = (kept, columns) if which == 0 else (rows, kept)
                else:
                    at += step
            step //= 2
    return tuple(rows), tuple(columns)


def _two_dimensional(matrix: list[tuple[int, ...]], order: list[int], flips: list[int]) -> tuple[Any, Any]:
    """Integer vectors in the plane: columns (1, t) in their order, negated where flipped; rows cut between two of them."""
    n = len(order)
    place = {column: position for position, column in enumerate(order)}
    v = np.array([[flips[j], 2 * place[j] * flips[j]] for j in range(n)], np.int64)
    u = []
    for row in matrix:
        turned = [row[j] * flips[j] for j in order]
        changes = [i for i in range(1, n) if turned[i] != turned[i - 1]]
        if len(changes) > 1:
            return None, None
        cut = 2 * changes[0] - 1 if changes else -1
        side = turned[-1]
        u.append([-cut * side, side])
    return np.array(u, np.int64), v


def _expanded(
    qrels: Qrels, reduced: Reduced, notion: Notion, u: Any, v: Any, threshold: int, detail: str, *, lift: int = 0
) -> Bound:
    """The bound of an embedding of the reduced matrix, written out for every row and column of the original."""
    vectors = v[reduced.column_of]
    d = v.shape[1]
    queries = np.zeros((qrels.n_queries, d), np.int64)
    lookup: dict[tuple[int, ...], int] = {}
    for number, row in enumerate(reduced.rows.tolist()):
        lookup[_row(qrels, row)] = number
    n = qrels.n_documents
    everything = tuple(range(n))
    for q, own in enumerate(qrels.sets()):
        if own in lookup:
            queries[q] = u[lookup[own]]
        elif 0 < len(own) < n or notion not in ("order_preserving", "cosine"):
            other = tuple(sorted(set(everything) - set(own)))
            queries[q] = -u[lookup[other]]
    data: dict[str, Any] = {"u": queries.tolist(), "v": vectors.tolist()}
    if notion == "global_threshold":
        data["threshold"] = threshold
    return _bound(qrels, notion, "upper", d + lift, "embedding", data, evidence="constructed", detail=detail)


def _row(qrels: Qrels, number: int) -> tuple[int, ...]:
    relevant = qrels.relevant
    return tuple(relevant.indices[relevant.indptr[number] : relevant.indptr[number + 1]].tolist())


def _block_bound(qrels: Qrels, notion: Notion, deadline: float, rng: np.random.Generator, known: int) -> Bound | None:
    """The bound of a matrix that falls into blocks, from sign changes and degrees inside each; None unless it is below `known`.

    Blocks of large degree come first: once one is as bad as `known`, the others need not be looked at. A block whose degree is no
    worse than what was found needs no order.
    """
    if notion == "global_threshold" or qrels.n_documents > 200_000:
        return None
    columns_of, rows_of = _components(qrels)
    lonely = [c for label, columns in columns_of.items() if label not in rows_of for c in columns]
    sizes = qrels.sizes
    blocks = len(rows_of) + bool(lonely)
    if not 2 <= blocks <= 20_000:
        return None
    more = (1 if blocks == 2 else 2) + (notion != "order_preserving")

    def degree(label: int) -> int:
        width = len(columns_of[label])
        return 2 * max(min(int(size), width - int(size)) for size in sizes[rows_of[label]])

    parts, worst = [], 0
    for least, label in sorted(((degree(label), label) for label in rows_of), reverse=True):
        columns, kind, data, value = columns_of[label], "moment-curve", {}, least
        if least > worst:
            inside, order, found = _ordered(qrels, rows_of[label], columns, deadline, rng)
            if found < least:
                at = np.empty(len(order), np.int64)
                at[order] = np.arange(len(order))
                spread = np.lexsort((np.arange(len(columns)), at[inside.column_of]))
                kind, data, value = "sign-changes", {"order": spread.tolist()}, found
        worst = max(worst, value)
        if worst + more >= known:
            return None
        parts.append({"columns": columns, "kind": kind, "data": data})
    if lonely:
        parts.append({"columns": lonely, "kind": "trivial", "data": {}})
    return _bound(
        qrels,
        notion,
        "upper",
        worst + more,
        "blocks",
        {"blocks": parts},
        detail=f"{len(parts)} blocks, none above {worst}",
    )


def _components(qrels: Qrels) -> tuple[dict[int, list[int]], dict[int, list[int]]]:
    """(columns, rows) by label of the connected parts of the matrix, constant rows aside; a column may be in no row."""
    from scipy import sparse
    from scipy.sparse.csgraph import connected_components

    varying = np.flatnonzero((qrels.sizes > 0) & (qrels.sizes < qrels.n_documents))
    matrix = qrels.relevant.csr()[varying]
    halves: Any = [[None, matrix], [matrix.T, None]]  # rows and columns as one bipartite graph
    both = sparse.csr_array(sparse.block_array(halves))
    labels = connected_components(both, directed=False)[1].tolist()
    columns_of: dict[int, list[int]] = {}
    for column, label in enumerate(labels[len(varying) :]):
        columns_of.setdefault(label, []).append(column)
    rows_of: dict[int, list[int]] = {}
    for row, label in zip(varying.tolist(), labels[: len(varying)], strict=True):
        rows_of.setdefault(label, []).append(row)
    return columns_of, rows_of


def _ordered(
    qrels: Qrels, rows: list[int], columns: list[int], deadline: float, rng: np.random.Generator
) -> tuple[Reduced, npt.NDArray[np.int64], int]:
    """One block, reduced, with the order of its columns that has the fewest sign changes a row, and how many."""
    place = {c: i for i, c in enumerate(columns)}
    inside = Qrels.from_sets([[place[c] for c in _row(qrels, r)] for r in rows], len(columns))
    part = reduce(inside, complements=True, constants=True)
    order, found = orders.best_order(part, deadline=min(deadline, time.monotonic() + 0.2), rng=rng)
    return part, order, found
