"""Patterns of relevance: pure functions to `Qrels`, exact and deterministic; the same arguments give the same matrix everywhere.

`k`, the relevant documents per query, is a number or a list of numbers: then query q has the (q mod length)-th of them.
Where a pattern draws sets, no two queries of one size share theirs. Random choices come from `Draw`, never from floats.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Sequence
from decimal import Context, Decimal
from itertools import accumulate, combinations, islice, pairwise
from pathlib import Path
from typing import Annotated

import numpy as np
from pydantic import Field

from limitbench.datasets.draw import Draw
from limitbench.errors import DataError, SpecError
from limitbench.files import read_lines
from limitbench.relevance import Qrels

Sizes = int | Sequence[int]
Seed = Annotated[int, Field(ge=0)]
_TRIES = 1000  # draws of one set before a pattern is given up
_MOST = 200_000_000  # judgements of a pattern: 3.2 GB
_MOST_PAIRS = 20_000_000  # pairs of documents relevant together that `like` keeps count of


def all_k(n: int, k: int) -> Qrels:
    """Every k-subset of n documents, in lexicographic order: C(n, k) queries."""
    if not 1 <= k <= n:
        raise SpecError(f"found k = {k} relevant documents of n = {n}; expected 1 <= k <= n")
    total = _subsets(n, k)
    _require_size(_MOST + 1 if total is None else total * k)
    return first_subsets(n, k, math.comb(n, k))


def dense(m: int, k: int, n: int | None = None) -> Qrels:
    """The paper's dense pattern: the first m k-subsets, in lexicographic order, of n documents.

    Without n, the smallest n with C(n, k) >= m.
    """
    if n is None:
        if k < 1 or m < 1:
            raise SpecError(f"found m = {m} queries and k = {k}; expected at least 1 of each")
        low, n = k - 1, k
        while math.comb(n, k) < m:
            low, n = n, 2 * n
        while n - low > 1:  # C(low, k) < m <= C(n, k)
            middle = (low + n) // 2
            low, n = (middle, n) if math.comb(middle, k) < m else (low, middle)
    return first_subsets(n, k, m)


def first_subsets(n: int, k: int, m: int) -> Qrels:
    """The first m k-subsets of n documents in lexicographic order, one a query."""
    if not 1 <= k <= n:
        raise SpecError(f"found k = {k} relevant documents of n = {n}; expected 1 <= k <= n")
    if not 1 <= m <= math.comb(n, k):
        raise SpecError(f"found m = {m} queries; expected 1 to C({n}, {k}) = {math.comb(n, k)}")
    _require_size(m * k)
    indices = np.fromiter((i for subset in islice(combinations(range(n), k), m) for i in subset), np.int64, m * k)
    return Qrels(np.arange(m + 1) * k, indices, np.ones(m * k, np.int64), n)


def random(n: int, m: int, k: Sizes, seed: Seed = 0) -> Qrels:
    """m queries whose sets are drawn uniformly and without repetition from the k-subsets of n documents."""
    sizes = _sizes(n, m, k)
    draw = Draw(seed)
    ranks: dict[int, list[int]] = {}
    for size, count in Counter(sizes).items():
        total = _subsets(n, size)
        if total is not None:
            ranks[size] = draw.distinct(total, count)
    rows = [
        _unranked(ranks[size].pop(), n, size) if size in ranks else None for size in sizes
    ]  # C(n, k) above 2^63: a repetition all but never happens, and is drawn again
    fresh = _Fresh("raise n, or ask fewer queries")
    return Qrels.from_sets(
        [row or fresh(size, lambda k: draw.distinct(n, k)) for row, size in zip(rows, sizes, strict=True)], n
    )


def cycle(n: int, m: int, k: Sizes) -> Qrels:
    """Query q is relevant to documents q, q + 1, ... q + k - 1, counted modulo n; at most n queries."""
    sizes = _sizes(n, m, k)
    if m > n:
        raise SpecError(f"found m = {m} queries on a cycle of n = {n} documents; expected at most n, else sets repeat")
    return Qrels.from_sets([[(q + j) % n for j in range(size)] for q, size in enumerate(sizes)], n)


def disjoint(m: int, k: Sizes, n: int | None = None) -> Qrels:
    """Each query has documents of its own: the first query the first k, the next one the next, and so on."""
    sizes = _checked(m, k)
    needed = sum(sizes)
    n = needed if n is None else n
    if min(sizes) < 1 or n < needed:
        raise SpecError(
            f"found n = {n} documents; expected at least {needed}: {m} disjoint sets need as many, k from 1"
        )
    ends = np.cumsum([0, *sizes])
    return Qrels.from_sets([range(a, b) for a, b in pairwise(ends)], n)


def block(n: int, m: int, k: Sizes, blocks: int, mixing: float = 0.0, seed: Seed = 0) -> Qrels:
    """Communities: document i belongs to community i * blocks // n, and a query draws its set inside one community.

    With probability `mixing`, rounded to a millionth, it draws from all documents instead.
    """
    sizes = _sizes(n, m, k)
    if not 1 <= blocks <= n:
        raise SpecError(f"found {blocks} blocks of n = {n} documents; expected 1 to n")
    if not 0 <= mixing <= 1:
        raise SpecError(f"found mixing = {mixing}; expected a fraction from 0 to 1")
    edges = [-(-b * n // blocks) for b in range(blocks + 1)]
    if not round(1_000_000 * mixing) and max(sizes) > n // blocks:
        raise SpecError(
            f"found k = {max(sizes)} with communities of {n // blocks} documents; expected k at most that, "
            "or mixing above 0"
        )
    draw = Draw(seed)
    outside = round(1_000_000 * mixing)
    fresh = _Fresh("choose larger communities, or fewer queries")

    def one(size: int) -> list[int]:
        at = draw.below(blocks)
        low, high = (0, n) if draw.below(1_000_000) < outside else (edges[at], edges[at + 1])
        return [low + i for i in draw.distinct(high - low, size)] if size <= high - low else []

    return Qrels.from_sets([fresh(size, one) for size in sizes], n)


def power_law(n: int, m: int, k: Sizes, exponent: float = 1.0, seed: Seed = 0) -> Qrels:
    """Zipf co-relevance, as in real logs: sets are drawn without replacement with weights (i + 1)^-exponent.

    Document 0 is the most popular. Weights are whole numbers, rounded from 30 decimal digits.
    """
    sizes = _sizes(n, m, k)
    if not 0 <= exponent <= 8:
        raise SpecError(f"found exponent = {exponent}; expected 0 (uniform) to 8")
    digits = Context(prec=30)
    power = Decimal(str(-exponent))
    weights = [1 + int(digits.multiply(digits.power(Decimal(i + 1), power), Decimal(1 << 50))) for i in range(n)]
    sums = list(accumulate(weights))
    draw = Draw(seed)
    fresh = _Fresh("choose a smaller exponent, a larger n or fewer queries")

    def one(size: int) -> list[int]:
        chosen: dict[int, None] = {}
        for _ in range(_TRIES + 50 * size):
            chosen[bisect_right(sums, draw.below(sums[-1]))] = None
            if len(chosen) == size:
                return list(chosen)
        return []

    return Qrels.from_sets([fresh(size, one) for size in sizes], n)


def graph(edges: str | Path | Sequence[Sequence[int]], n: int | None = None) -> Qrels:
    """One query an edge, relevant to its ends. Edges are lists of document numbers, or a file with one edge a line.

    An edge of a file is two or more numbers from 0 with white space or a comma between; '#' begins a comment. More than two
    ends make a hyperedge. Without n there are as many documents as the largest number says.
    """
    rows = _edges(Path(edges)) if isinstance(edges, str | Path) else [list(map(int, edge)) for edge in edges]
    if not rows:
        raise SpecError("the graph has no edge; expected at least one")
    for row in rows:
        if len(row) < 2 or len(set(row)) < len(row) or min(row) < 0:
            raise SpecError(f"found the edge {row}; expected two or more distinct document numbers from 0")
    most = max(map(max, rows)) + 1
    if n is not None and n < most:
        raise SpecError(f"found n = {n} documents; expected at least {most}: the edges name document {most - 1}")
    return Qrels.from_sets(rows, n or most)


def _edges(path: Path) -> list[list[int]]:
    out = []
    for number, line in read_lines(path):
        text = line.partition("#")[0].replace(",", " ").split()
        if text:
            try:
                out.append([int(part) for part in text])
            except ValueError:
                raise DataError(path, f"found {line[:40]!r}, expected document numbers", line=number) from None
    return out


def like(source: Qrels, seed: Seed = 0) -> Qrels:
    """Another matrix with the same number of relevant documents for every query, and of queries for every document.

    Made from the source's by swaps (query, document), (query', document') -> (query, document'), (query', document), ten tried
    for each judgement; none that would give a query a set that another has. The number of document pairs that are relevant
    together stays within 0.5 % of the source's throughout, and the walk goes on to meet it exactly
    where it can. Grades above 0 become 1.
    """
    rows = [set(row) for row in source.sets()]
    there_are = Counter(map(frozenset, rows))
    if sum(len(row) ** 2 for row in rows) > 2 * _MOST_PAIRS:
        raise SpecError("the queries have too many relevant documents to keep count of their pairs; raise the grade")
    draw = Draw(seed)
    columns = source.relevant.indices.tolist()
    owners = source.relevant.rows.tolist()
    pairs: Counter[tuple[int, int]] = Counter()
    for row in rows:
        pairs.update(combinations(sorted(row), 2))
    wanted = there = len(pairs)
    slack = wanted // 200
    tries = 10 * len(columns)
    for turn in range(2 * tries if len(columns) > 1 else 0):
        if turn >= tries and there == wanted:
            break
        first, second = draw.distinct(len(columns), 2)
        p, q, a, b = owners[first], owners[second], columns[first], columns[second]
        if p == q or a == b or a in rows[q] or b in rows[p]:
            continue
        left, right = frozenset(rows[p] ^ {a, b}), frozenset(rows[q] ^ {a, b})
        if there_are[left] or there_are[right] or left == right:
            continue
        change = _swapped(pairs, rows[p], rows[q], a, b)
        near = abs(there + change - wanted)
        if near <= slack if turn < tries else near < abs(there - wanted):
            there += change
            there_are.subtract((frozenset(rows[p]), frozenset(rows[q])))
            there_are.update((left, right))
            rows[p], rows[q] = set(left), set(right)
            columns[first], columns[second] = b, a
        else:
            _swapped(pairs, (rows[p] - {a}) | {b}, (rows[q] - {b}) | {a}, b, a)
    return Qrels.from_sets(rows, source.n_documents)


def _swapped(pairs: Counter[tuple[int, int]], left: set[int], right: set[int], a: int, b: int) -> int:
    """Count the pairs as after a's move from left to right and b's from right to left; by how many distinct pairs that differs."""
    before = len(pairs)
    moves = [(a, b, left - {a}), (b, a, right - {b})]
    for out, _, others in moves:
        for other in others:
            pair = (out, other) if out < other else (other, out)
            pairs[pair] -= 1
            if not pairs[pair]:
                del pairs[pair]
    for _, new, others in moves:
        for other in others:
            pairs[(new, other) if new < other else (other, new)] += 1
    return len(pairs) - before


class _Fresh:
    """Sets that no query had before; a draw that repeats one, or gives none, is made again."""

    def __init__(self, advice: str) -> None:
        self.advice = advice
        self.seen: set[frozenset[int]] = set()

    def __call__(self, size: int, draw: Callable[[int], Sequence[int]]) -> Sequence[int]:
        empty = 0
        for _ in range(_TRIES):
            row = draw(size)
            empty += not row
            if empty > 3:
                break
            if row and (found := frozenset(row)) not in self.seen:
                self.seen.add(found)
                return row
        raise SpecError(
            f"after {len(self.seen)} sets no new one of {size} documents was found in up to {_TRIES} draws; {self.advice}"
        )


def _as_list(k: Sizes) -> list[int]:
    return [k] if isinstance(k, int) else list(k)


def _checked(m: int, k: Sizes) -> list[int]:
    """How many relevant documents each of m queries has."""
    cycle_of = _as_list(k)
    if not cycle_of:
        raise SpecError("found an empty list k; expected a whole number or a list of them")
    if m < 1:
        raise SpecError(f"found m = {m} queries; expected at least 1")
    _require_size(m * max(cycle_of))
    return [cycle_of[q % len(cycle_of)] for q in range(m)]


def _sizes(n: int, m: int, k: Sizes) -> list[int]:
    """How many relevant documents each query has. Raises `SpecError` where that many distinct sets do not exist."""
    sizes = _checked(m, k)
    if not (min(sizes) >= 1 and max(sizes) <= n):
        raise SpecError(f"found k from {min(sizes)} to {max(sizes)} of n = {n}; expected 1 <= k <= n")
    for size, count in Counter(sizes).items():
        total = _subsets(n, size)
        if total is not None and count > total:
            raise SpecError(f"found m = {count} queries; expected at most C({n}, {size}) = {total}")
    return sizes


def _subsets(n: int, k: int) -> int | None:
    """C(n, k), or None where it is 2^63 or more."""
    out = 1
    for i in range(min(k, n - k)):
        out = out * (n - i) // (i + 1)
        if out >> 63:
            return None
    return out


def _require_size(judgements: int) -> None:
    if judgements > _MOST:
        raise SpecError(
            f"found {judgements} relevant documents over all queries; expected at most {_MOST}: ask fewer queries"
        )


def _unranked(rank: int, n: int, k: int) -> list[int]:
    """The k-subset of this rank, 0 to C(n, k) - 1, in the combinatorial number system."""
    out = []
    top = n
    for size in range(k, 0, -1):
        low, high = size - 1, top - 1  # the largest c with C(c, size) <= rank
        while low < high:
            middle = (low + high + 1) // 2
            if math.comb(middle, size) <= rank:
                low = middle
            else:
                high = middle - 1
        out.append(low)
        rank -= math.comb(low, size)
        top = low
    return out
