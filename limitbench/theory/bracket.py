"""The front door: the best certified lower and upper bound on the embedding dimension of a relevance matrix."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from limitbench.certificates import NOTIONS, AllSubsets, Explicit, Notion, Side, verify
from limitbench.errors import InputError, UnknownName
from limitbench.relevance import Qrels, graded_note
from limitbench.theory.bounds import Bound, Bracket, best, transferred
from limitbench.theory.case import Case, made
from limitbench.theory.closed_form import closed_form
from limitbench.theory.exact import as_count
from limitbench.theory.matrix import as_matrix
from limitbench.theory.methods import (
    antipodal_shattering,
    blocks,
    column_order,
    embeddings,
    forster,
    planarity,
    rank_two,
    ranks,
    theorems,
    vc_dimension,
    z2_connectivity,
    z3,
)
from limitbench.theory.one_threshold import with_one_threshold

Method = Callable[[Case], Iterator[Bound]]
METHODS: tuple[Method, ...] = (  # in this order, each where the bounds before it do not meet
    antipodal_shattering.bounds,
    planarity.bounds,
    rank_two.bounds,
    column_order.bounds,
    z2_connectivity.bounds,
    ranks.bounds,
    forster.bounds,
    blocks.bounds,
    vc_dimension.bounds,
    embeddings.bounds,
    z3.bounds,
)
_LATER = 0.2  # of the budget, for every notion but the first: it starts from what is known of the others
_CHECKED = 100_000  # judgements up to which every certificate is checked as soon as it is made


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
    _require_seconds(budget_s)
    return _bracket(relevance, as_matrix(relevance), notion, budget_s, seed)


def _require_seconds(budget_s: float) -> None:
    if not isinstance(budget_s, int | float) or not budget_s >= 0:
        raise InputError(f"found budget_s = {budget_s}, expected seconds, at least 0")


def _bracket(
    relevance: Any,
    matrix: Qrels | AllSubsets,
    notion: Notion,
    budget_s: float,
    seed: int,
    known: Sequence[Bound] = (),
    rows: Explicit | None = None,
) -> Bracket:
    """The bracket of one notion, from bounds that are known of it on."""
    start = time.monotonic()
    said = graded_note(relevance) if isinstance(relevance, Qrels) else None
    notes = [] if said is None else [said]
    if isinstance(matrix, AllSubsets):
        tried = _sifted(_closed(matrix, notion), matrix, notes)
    else:
        case = Case(matrix, notion, start + budget_s, np.random.default_rng(seed))
        if rows is not None:
            case.rows = rows
        if case.reduced.shape != matrix.shape:
            notes.append(f"reduced to {case.m} distinct rows x {case.n} distinct columns")
        stream = itertools.chain(known, _searched(case))
        check = _checked_at_the_end if len(matrix.indices) > _CHECKED else _checked_at_once
        tried = check(case, stream, notes)
        notes += case.notes
    seconds = time.monotonic() - start
    return Bracket(
        notion, best(tried, "lower"), best(tried, "upper"), tuple(tried), _title(matrix), seconds, tuple(notes)
    )


def _sifted(stream: Iterator[Bound], matrix: AllSubsets, notes: list[str]) -> list[Bound]:
    """The bounds that the checker accepts, until both sides meet."""
    tried: list[Bound] = []
    for bound in stream:
        if bound.certificate is None or verify(bound.certificate, matrix):
            tried.append(bound)
        else:
            notes.append(_refused(bound))
        if _meet(tried):
            break
    return tried


def _checked_at_once(case: Case, stream: Iterator[Bound], notes: list[str]) -> list[Bound]:
    """The bounds of all methods, each checked before the next is asked for, until both sides meet."""
    for bound in stream:
        if case.holds(bound):
            case.bounds.append(bound)
        else:
            notes.append(_refused(bound))
        if _meet(case.bounds):
            break
    return case.bounds


def _checked_at_the_end(case: Case, stream: Iterator[Bound], notes: list[str]) -> list[Bound]:
    """The two bounds to show: on large matrices a check takes seconds, so what is shown is checked, and nothing else is told.

    What does not pass its check is left out, and the search goes on.
    """
    sides: tuple[Side, Side] = ("lower", "upper")
    while True:
        for bound in stream:
            case.bounds.append(bound)
            if _meet(case.bounds):
                break
        shown = [best(case.bounds, side) for side in sides]
        bad = [bound for bound in shown if not case.holds(bound)]
        if not bad:
            return shown
        for bound in bad:
            case.bounds.remove(bound)
            notes.append(_refused(bound))


def _searched(case: Case) -> Iterator[Bound]:
    """The bounds of theorems, then of every method in its turn."""
    yield from theorems.bounds(case)
    if case.m == 0:
        return
    for method in METHODS:
        yield from method(case)
        if case.lower >= case.upper:
            return


def _refused(bound: Bound) -> str:
    return f"a {bound.method} bound of {bound.value} did not pass its check and is left out"


def brackets(
    relevance: Any, notions: Sequence[Notion] = NOTIONS, *, budget_s: float = 5.0, seed: int = 0
) -> tuple[Bracket, ...]:
    """The brackets of several notions, each with what the others' certificates say of it.

    What is proved of one notion bounds the others (`bounds.transferred`), by one dimension more or less. So the order-preserving
    rank, or the first notion, is searched for `budget_s` seconds; every other one starts from what is known by then, each bound
    tried as a certificate of its own, and gets a fifth of that time.
    """
    _require_seconds(budget_s)
    for notion in notions:
        require_notion(notion)
    matrix = as_matrix(relevance)
    rows = matrix.explicit() if isinstance(matrix, Qrels) else None
    found: dict[Notion, Bracket] = {}
    for notion in sorted(dict.fromkeys(notions), key=lambda notion: notion != "order_preserving"):
        seconds = budget_s * _LATER if found else budget_s
        known = [bound for other in found.values() for bound in _transferred(other, notion, matrix)]
        found[notion] = _bracket(relevance, matrix, notion, seconds, seed, known, rows)
    return tuple(_informed(found[notion], list(found.values()), matrix, rows) for notion in dict.fromkeys(notions))


def _transferred(one: Bracket, notion: Notion, matrix: Qrels | AllSubsets) -> Iterator[Bound]:
    """What the two bounds of a bracket say of another notion, as certificates that are yet to be checked."""
    for bound in (one.lower, one.upper):
        if bound.certificate is None:
            continue
        value = transferred(bound, notion)
        sign = ">=" if bound.side == "lower" else "<="
        detail = f"{bound.detail}; it follows from {bound.notion} {sign} {bound.value}"
        claim = replace(bound.certificate, notion=notion, value=value)
        yield replace(bound, notion=notion, value=value, certificate=claim, detail=detail)
        if (bound.notion, notion) == ("order_preserving", "global_threshold") and isinstance(matrix, Qrels):
            stretched = with_one_threshold(bound, matrix)
            if stretched is not None:
                yield stretched


def _informed(one: Bracket, others: Sequence[Bracket], matrix: Qrels | AllSubsets, rows: Explicit | None) -> Bracket:
    """A bracket with the bounds of others that tighten it, where the checker accepts them."""
    bounds = list(one.bounds)
    for bound in (bound for other in others if other is not one for bound in _transferred(other, one.notion, matrix)):
        known = best(bounds, bound.side).value
        tighter = bound.value > known if bound.side == "lower" else bound.value < known
        if tighter and bound.certificate is not None and verify(bound.certificate, rows or matrix):
            bounds.append(bound)
    return replace(one, lower=best(bounds, "lower"), upper=best(bounds, "upper"), bounds=tuple(bounds))


def _meet(bounds: Sequence[Bound]) -> bool:
    """Whether both sides are there and agree."""
    return {"lower", "upper"} <= {b.side for b in bounds} and best(bounds, "lower").value == best(bounds, "upper").value


def require_notion(notion: str) -> None:
    """Raise `UnknownName` for a notion that is none."""
    if notion not in NOTIONS:
        raise UnknownName("notion", str(notion), NOTIONS)


def _title(matrix: Qrels | AllSubsets) -> str:
    if isinstance(matrix, AllSubsets):
        what = f"subsets of at most {matrix.k}" if matrix.at_most else f"{matrix.k}-subsets"
        return f"all {what} of {matrix.n}"
    return f"{matrix.n_queries} queries x {matrix.n_documents} documents, at most {matrix.degree()} relevant"


def _closed(matrix: AllSubsets, notion: Notion) -> Iterator[Bound]:
    """The exact value for all k-subsets, by counting where that proves it, else by the theorem."""
    value = closed_form(matrix.n, matrix.k, notion, at_most=matrix.at_most)
    n, k = matrix.n, min(matrix.k, matrix.n - matrix.k)
    formula = f"closed form at n = {n}, k = {matrix.k}"
    counted = (_by_counting(matrix, notion, kind, value) for kind in ("antipodal-shattering", "z2-connectivity"))
    theorem = made(matrix, notion, "lower", value, "closed-form", {}, established="theorem", detail=formula)
    yield next((bound for bound in counted if bound is not None), theorem)
    dims = 2 * (matrix.k if notion == "global_threshold" or matrix.at_most else k) + (notion == "sign_rank")
    if dims <= value:
        yield made(matrix, notion, "upper", value, "moment-curve", {}, established="theorem", detail=f"2K = {2 * k}")
    yield made(matrix, notion, "upper", value, "closed-form", {}, established="theorem", detail=formula)


def _by_counting(matrix: AllSubsets, notion: Notion, kind: str, value: int) -> Bound | None:
    """The lower bound with a number of columns as its certificate, where the checker accepts it."""
    size = value + {"antipodal-shattering": 0, "z2-connectivity": 1}[kind] + (notion != "sign_rank")
    if not 1 <= size <= matrix.n:
        return None
    bound = made(matrix, notion, "lower", value, kind, {"size": size}, detail=f"{size} columns, by counting")
    return bound if bound.certificate is not None and verify(bound.certificate) else None
