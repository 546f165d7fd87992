"""Claims that carry their proof, and the small checker that accepts or refuses them.

A certificate says: for this matrix, this notion of dimension is at least (or at most) this value, because of this data.
The checker below is independent of everything that searches. It uses Python integers and `fractions` alone: no floating
point, no numpy linear algebra. Each kind of proof is one function that returns what its data prove; the claim is then
accepted when it follows by the inequalities

    rop <= gt <= pm <= rop + 1        rop <= cos <= pm        cos <= rop + 1

between the order-preserving rank, the global-threshold rank, the sign rank and the cosine (unit documents) rank. For the
last: inverse stereographic projection turns half-spaces of R^d into half-spaces that meet the sphere in R^(d+1).

**Work.** Whatever a certificate holds, its check ends: it does at most about `MOST_STEPS` steps beyond some readings of the
matrix and of the data (a step is a set operation, or a product of 64-bit words), and refuses what would need more. Readings put
rows into Python's sets, so the bound leaves out rows that somebody chose so that their hashes collide: those cost time, and no
verdict.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from itertools import pairwise, product
from math import comb, gcd
from pathlib import Path
from typing import Any, Literal, TypeAlias

from limitbench.errors import CertificateError, DataError, InputError
from limitbench.files import atomic_write
from limitbench.orbit_proof import check as check_orbit
from limitbench.relevance import Qrels

Notion: TypeAlias = Literal["sign_rank", "order_preserving", "global_threshold", "cosine"]
Side: TypeAlias = Literal["lower", "upper"]
NOTIONS: tuple[Notion, ...] = ("sign_rank", "order_preserving", "global_threshold", "cosine")
SCHEMA = "limitbench.certificate.v1"
MOST_STEPS = 200_000_000  # some minutes at the worst; what searches find takes a thousandth
_WORD = 64  # bits of a product that counts as one step


@dataclass(frozen=True)
class AllSubsets:
    """The matrix whose rows are all k-subsets of n documents, or with `at_most` all subsets of at most k."""

    n: int
    k: int
    at_most: bool = False

    def __post_init__(self) -> None:
        for name, value in (("n", self.n), ("k", self.k)):
            if not isinstance(value, int) or isinstance(value, bool):
                raise InputError(f"found {name} = {value!r}, expected a whole number")
        if not isinstance(self.at_most, bool):
            raise InputError(f"found at_most = {self.at_most!r}, expected true or false")
        if self.n < 1 or not 0 <= self.k <= self.n:
            raise InputError(f"found n = {self.n}, k = {self.k}; expected n >= 1 and 0 <= k <= n")

    @property
    def n_documents(self) -> int:
        """n."""
        return self.n

    @property
    def n_queries(self) -> int:
        """The number of rows, exact."""
        return sum(comb(self.n, j) for j in range(self.k + 1)) if self.at_most else comb(self.n, self.k)

    @property
    def sizes(self) -> tuple[int, int]:
        """The least and the largest number of relevant documents in a row."""
        return (0 if self.at_most else self.k, self.k)

    @property
    def has_many_rows(self) -> bool:
        """Whether there are at least n rows, without counting them: C(n, j) >= n for 0 < j < n."""
        return self.k > 0 if self.at_most else 0 < self.k < self.n or self.n == 1

    @property
    def varies(self) -> bool:
        """Whether some row holds some documents and not all."""
        low, high = self.sizes
        return max(low, 1) <= min(high, self.n - 1)

    def covered(self, t: int) -> tuple[tuple[int, int], tuple[int, int]]:
        """Two intervals of weights, both ends included, whose union is that of the patterns on t columns that are rows or
        opposite to rows."""
        low, high = self.sizes
        a, b = max(0, low - self.n + t), min(t, high)
        return (a, b), (t - b, t - a)

    def occurs(self, chosen: int, others: int) -> bool:
        """Whether some row holds all of `chosen` documents and none of `others` more."""
        low, high = self.sizes
        return chosen <= high and self.n - others >= low


@dataclass(frozen=True)
class Explicit:
    """A matrix given by its rows, as sets of document numbers."""

    rows: tuple[frozenset[int], ...]
    n: int

    @classmethod
    def of(cls, qrels: Qrels) -> Explicit:
        """The relevance matrix of these qrels."""
        return cls(tuple(map(frozenset, qrels.sets())), qrels.n_documents)

    @property
    def n_documents(self) -> int:
        """n."""
        return self.n

    @property
    def n_queries(self) -> int:
        """m."""
        return len(self.rows)

    @cached_property
    def sizes(self) -> tuple[int, int]:
        """The least and the largest number of relevant documents in a row."""
        return min(map(len, self.rows), default=0), max(map(len, self.rows), default=0)

    @cached_property
    def distinct(self) -> Explicit:
        """The same with one of each group of equal documents, and of rows equal up to complement: equal documents share a
        vector, and a negated query turns its order round."""
        holders: dict[int, list[int]] = {}
        for number, row in enumerate(self.rows):
            for column in row:
                holders.setdefault(column, []).append(number)
        kept = {tuple(holders.get(column, ())): column for column in range(self.n)}
        place = {column: i for i, column in enumerate(kept.values())}
        n = len(place)
        rows = dict.fromkeys(frozenset(place[c] for c in row if c in place) for row in self.rows)
        every = frozenset(range(n))
        half = dict.fromkeys(
            every - row if 2 * len(row) > n or (2 * len(row) == n and 0 not in row) else row for row in rows
        )
        return Explicit(tuple(half), n)


Matrix: TypeAlias = AllSubsets | Explicit
Proof: TypeAlias = tuple[Notion, Side, int]


@dataclass(frozen=True)
class Certificate:
    """A claim and the data that prove it. `matrix` names what it is about: (n, k) or a digest of qrels."""

    notion: Notion
    side: Side
    value: int
    kind: str
    matrix: Mapping[str, Any]
    data: Mapping[str, Any]

    def to_json(self) -> dict[str, Any]:
        """The certificate as JSON-ready values, as its schema in `theory/certificate.schema.json` describes."""
        return {
            "schema": SCHEMA,
            "claim": {"notion": self.notion, "side": self.side, "value": self.value},
            "kind": self.kind,
            "matrix": dict(self.matrix),
            "data": dict(self.data),
        }

    @classmethod
    def from_json(cls, raw: Any) -> Certificate:
        """The certificate in such values. Raises `InputError` where they have another shape."""
        try:
            if raw["schema"] != SCHEMA:
                raise InputError(f"found schema {raw['schema']!r}, expected {SCHEMA!r}; update limitbench or the file")
            claim = raw["claim"]
            out = cls(claim["notion"], claim["side"], claim["value"], raw["kind"], raw["matrix"], raw["data"])
        except (KeyError, TypeError) as error:
            raise InputError(f"this is not a limitbench certificate: {error!r} is missing or misplaced") from None
        if out.notion not in NOTIONS or out.side not in ("lower", "upper") or type(out.value) is not int:
            raise InputError(
                f"found the claim {claim!r}; expected a notion of {', '.join(NOTIONS)}, a side and an integer"
            )
        if not isinstance(out.data, dict) or not isinstance(out.matrix, dict):
            raise InputError("found data or matrix of another type; expected JSON objects")
        if not isinstance(out.kind, str) or out.kind not in _CHECKERS:
            raise InputError(f"found the kind {out.kind!r}, expected one of {', '.join(_CHECKERS)}")
        return out


def matrix_name(matrix: Qrels | AllSubsets) -> dict[str, Any]:
    """How a certificate names the matrix that it is about."""
    if isinstance(matrix, AllSubsets):
        return {"n": matrix.n, "k": matrix.k, "at_most": matrix.at_most}
    return {"sha256": matrix.relevant.digest, "queries": matrix.n_queries, "documents": matrix.n_documents}


def check(certificate: Certificate, qrels: Qrels | AllSubsets | None = None, *, rows: Explicit | None = None) -> None:
    """Raise `CertificateError`, saying where, unless the certificate proves its claim about this matrix.

    A certificate about all k-subsets needs no matrix. `rows` are those of the qrels, where they were read before. Raises
    `InputError` where a matrix is needed and missing.
    """
    _require(type(certificate.value) is int, f"the claim is {certificate.value!r}, expected a whole number")
    _require(
        isinstance(certificate.kind, str) and certificate.kind in _CHECKERS, f"there is no kind {certificate.kind!r}"
    )
    _require(certificate.notion in NOTIONS, f"there is no notion {certificate.notion!r}")
    _require(certificate.side in ("lower", "upper"), f"there is no side {certificate.side!r}")
    _require(
        isinstance(certificate.matrix, Mapping) and isinstance(certificate.data, Mapping),
        "the matrix or the data is no table",
    )
    name = certificate.matrix
    matrix: Matrix
    if "sha256" not in name:
        try:
            own = AllSubsets(name["n"], name["k"], name.get("at_most", False))
        except (KeyError, InputError) as error:
            raise CertificateError(f"the matrix is not named: {error}") from None
        if qrels is not None and qrels != own:
            raise CertificateError(f"the certificate is about all subsets ({own}), not about the matrix given")
        matrix = own
    else:
        if not isinstance(qrels, Qrels):
            raise InputError(
                "this certificate is about given qrels; pass them (on the command line: --qrels FOLDER|FILE)"
            )
        if qrels.relevant.digest != name["sha256"]:
            raise CertificateError("the certificate is about other qrels: the digests differ")
        if (name.get("queries", qrels.n_queries), name.get("documents", qrels.n_documents)) != qrels.shape:
            raise CertificateError("the certificate names another number of queries or documents than its digest")
        matrix = Explicit.of(qrels) if rows is None else rows
    best: int | None = None
    lower = certificate.side == "lower"
    try:
        steps = _Steps()
        for proof in _CHECKERS[certificate.kind](matrix, certificate.data, steps):
            value = implied(proof, certificate.notion, certificate.side)
            if value is not None and (best is None or (value > best if lower else value < best)):
                best = value
                if value >= certificate.value if lower else value <= certificate.value:
                    return  # what else the data prove is not asked
    except (KeyError, TypeError, IndexError, ValueError, ArithmeticError, RecursionError) as error:
        raise CertificateError(f"the data of a {certificate.kind} certificate are broken ({error!r})") from None
    if best is None:
        raise CertificateError(
            f"a {certificate.kind} certificate proves nothing about {certificate.notion} {certificate.side}"
        )
    raise CertificateError(
        f"the data prove a {certificate.side} bound of {best}, the certificate claims {certificate.value}"
    )


def verify(certificate: Certificate, qrels: Qrels | AllSubsets | None = None, *, rows: Explicit | None = None) -> bool:
    """Whether the certificate proves its claim about this matrix; `check` says why not."""
    try:
        check(certificate, qrels, rows=rows)
    except CertificateError:
        return False
    return True


def write(certificates: Sequence[Certificate], path: Path) -> None:
    """Write certificates as one JSON file, whole or not at all."""
    with atomic_write(path) as out:
        text = json.dumps(
            {"schema": SCHEMA, "certificates": [c.to_json() for c in certificates]}, separators=(",", ":")
        )
        out.write(text.encode() + b"\n")


def read(path: Path) -> list[Certificate]:
    """The certificates of a JSON file, which holds one or a list of them. Raises `DataError` where it cannot."""
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
        held = raw.get("certificates") if isinstance(raw, dict) else None
        listed = held if isinstance(held, list) else [raw]
        if not listed:
            raise InputError("the file holds no certificate")
        return [Certificate.from_json(one) for one in listed]
    except OSError as error:
        raise DataError(path, f"cannot be read ({error.strerror}); check the path") from None
    except (ValueError, RecursionError, TypeError) as error:
        raise DataError(path, f"is not JSON ({error}); expected a certificate") from None
    except InputError as error:
        raise DataError(path, str(error)) from None


# ------------------------------------------------------------------------------------------------ what follows from what


def implied(proof: Proof, notion: Notion, side: Side) -> int | None:
    """The bound on `notion` that a proved bound implies, or None."""
    proved, proved_side, value = proof
    if proved_side != side:
        return None
    steps: dict[tuple[Notion, Notion], int] = (
        {  # lower: from, to: what to add
            ("order_preserving", "sign_rank"): 0,
            ("order_preserving", "global_threshold"): 0,
            ("order_preserving", "cosine"): 0,
            ("sign_rank", "order_preserving"): -1,
            ("sign_rank", "global_threshold"): -1,
            ("sign_rank", "cosine"): -1,
            ("global_threshold", "sign_rank"): 0,
        }
        if side == "lower"
        else {
            ("order_preserving", "sign_rank"): 1,
            ("order_preserving", "global_threshold"): 1,
            ("order_preserving", "cosine"): 1,
            ("sign_rank", "order_preserving"): 0,
            ("sign_rank", "global_threshold"): 0,
            ("sign_rank", "cosine"): 0,
            ("global_threshold", "order_preserving"): 0,
            ("global_threshold", "sign_rank"): 1,
            ("global_threshold", "cosine"): 1,
            ("cosine", "order_preserving"): 0,
            ("cosine", "sign_rank"): 1,
            ("cosine", "global_threshold"): 1,
        }
    )
    if proved == notion:
        return value
    return value + steps[proved, notion] if (proved, notion) in steps else None


def _require(holds: bool, message: str) -> None:
    if not holds:
        raise CertificateError(message)


@dataclass
class _Steps:
    """Work done by one check, parts of its certificate together."""

    left: int = MOST_STEPS

    def spend(self, count: int) -> None:
        """Take down so many steps. Raises `CertificateError` where they are too many."""
        self.left -= count
        _require(self.left >= 0, f"the check would take more than {MOST_STEPS:,} steps")


def _words(values: Iterable[int]) -> int:
    """How many machine words the largest of some integers takes."""
    return 1 + max((abs(value).bit_length() for value in values), default=0) // _WORD


def _numbers(values: Any, below: int, what: str) -> list[int]:
    out = [value for value in values if type(value) is int and 0 <= value < below]
    _require(len(out) == len(values) == len(set(out)), f"the {what} must be distinct numbers below {below}")
    return out


def _pattern(row: frozenset[int], columns: Sequence[int]) -> int:
    """The restriction of a row to the columns, as bits."""
    return sum(1 << place for place, column in enumerate(columns) if column in row)


def _patterns(matrix: Matrix, columns: Sequence[int], row_numbers: Sequence[int] | None, steps: _Steps) -> set[int]:
    """The restrictions that rows of the matrix, all or those named, have on the columns."""
    t = len(columns)
    if isinstance(matrix, AllSubsets):
        _require(t <= 20, "more than 20 columns are not enumerated; give their number as 'size' instead")
        return {s for s in range(1 << t) if matrix.occurs(s.bit_count(), t - s.bit_count())}
    steps.spend(t * (len(matrix.rows) if row_numbers is None else len(row_numbers)))
    chosen = range(len(matrix.rows)) if row_numbers is None else _numbers(row_numbers, matrix.n_queries, "rows")
    rows = [matrix.rows[i] for i in chosen]
    return {_pattern(row, columns) for row in rows}


# --------------------------------------------------------------------------------------------------------- lower bounds


def _antipodal(matrix: Matrix, data: Mapping[str, Any], steps: _Steps) -> list[Proof]:
    """Antipodal shattering: every sign pattern on the columns T is a row, up to sign.

    Were there a linear dependency among the |T| vectors, a row that agrees with its signs on its support, or the
    opposite row, would contradict it; so pm >= |T|. For affine dependencies only the nonconstant patterns are needed,
    and rop >= |T| - 1.
    """
    if "size" in data:
        _require(isinstance(matrix, AllSubsets), "'size' instead of columns is for all-subset matrices")
        assert isinstance(matrix, AllSubsets)
        t = data["size"]
        _require(type(t) is int and 1 <= t <= matrix.n, "the size must be a number of documents")
        (a, b), (c, d) = sorted(matrix.covered(t))
        constants_missing = a > 0
        others_missing = t > 1 and not (a <= 1 and max(b, d) >= t - 1 and c <= b + 1)
    else:
        columns = _numbers(data["columns"], matrix.n_documents, "columns")
        t = len(columns)
        _require(1 <= t <= 20, "expected 1 to 20 columns")
        found = _patterns(matrix, columns, data.get("rows"), steps)
        every = (1 << t) - 1
        constants_missing = not {0, every} & found
        others_missing = any(s not in found and every - s not in found for s in range(1, every))
    _require(not others_missing, f"some sign pattern on the {t} columns is no row, nor its opposite")
    proofs: list[Proof] = [("order_preserving", "lower", t - 1)]
    if not constants_missing:
        proofs.append(("sign_rank", "lower", t))
    return proofs


def _vc(matrix: Matrix, data: Mapping[str, Any], steps: _Steps) -> list[Proof]:
    """VC dimension (Paturi and Simon 1986): all 2^|T| patterns occur, so pm >= |T| and rop >= |T| - 1."""
    columns = _numbers(data["columns"], matrix.n_documents, "columns")
    _require(1 <= len(columns) <= 20, "expected 1 to 20 columns")
    found = _patterns(matrix, columns, data.get("rows"), steps)
    _require(len(found) == 1 << len(columns), "the columns are not shattered")
    return [("sign_rank", "lower", len(columns)), ("order_preserving", "lower", len(columns) - 1)]


def _z2(matrix: Matrix, data: Mapping[str, Any], steps: _Steps) -> list[Proof]:
    """Z2 connectivity: no pattern is joined to its opposite by single flips through patterns that no row excludes.

    With |T| - 2 or fewer dimensions (affine: |T| - 3) the dependencies of the vectors of T, zero aside, are connected and
    hold the opposite of each; all completions of their signs are allowed patterns. So pm >= |T| - 1, rop >= |T| - 2.
    """
    proofs: list[Proof] = []
    if "size" in data:
        _require(isinstance(matrix, AllSubsets), "'size' instead of columns is for all-subset matrices")
        assert isinstance(matrix, AllSubsets)
        t = data["size"]
        _require(type(t) is int and 2 <= t <= matrix.n, "the size must be a number of documents")
        # patterns of weight p: a path to the opposite must cross the middle weights
        middle = [(t - 1) // 2] if t % 2 else [t // 2, t // 2 - 1]
        crosses = not any(a <= p <= b for a, b in matrix.covered(t) for p in middle)
        if not crosses:
            proofs.append(("sign_rank", "lower", t - 1))
        if not crosses or any(p in (0, t) for p in middle):
            proofs.append(("order_preserving", "lower", t - 2))
        _require(bool(proofs), "some pattern is joined to its opposite")
        return proofs
    columns = _numbers(data["columns"], matrix.n_documents, "columns")
    t = len(columns)
    _require(2 <= t <= 20, "expected 2 to 20 columns")
    every = (1 << t) - 1
    found = _patterns(matrix, columns, None, steps)
    free = {s for s in range(1 << t) if s not in found and every - s not in found}
    notions: tuple[tuple[Notion, set[int], int], ...] = (
        ("sign_rank", free, t - 1),
        ("order_preserving", free - {0, every}, t - 2),
    )
    for one, allowed, value in notions:
        if not joined_to_opposite(allowed, t):
            proofs.append((one, "lower", value))
    _require(bool(proofs), "some pattern is joined to its opposite")
    return proofs


def joined_to_opposite(allowed: set[int], t: int) -> bool:
    """Whether single flips within `allowed` lead from some pattern of t bits to its opposite."""
    every, seen = (1 << t) - 1, dict.fromkeys(allowed, 0)
    label = 0
    for start in allowed:
        if seen[start]:
            continue
        label += 1
        seen[start] = label
        stack = [start]
        while stack:
            s = stack.pop()
            if seen.get(every - s) == label:
                return True
            for bit in range(t):
                if seen.get(s ^ (1 << bit)) == 0:
                    seen[s ^ (1 << bit)] = label
                    stack.append(s ^ (1 << bit))
    return False


def rank_two_order(rows: Sequence[Sequence[int]]) -> tuple[list[int], list[int]] | None:
    """A column order and column signs that show pm <= 2, or None where pm > 2. Rows are tuples of +1 and -1.

    Negate columns so that the first row is all +. In two dimensions the columns then lie in a half-plane, in the order
    of their angle, and each row is + on a beginning or an end of it. With column c first, the rows turned so that they
    are + at c are nested. Equal columns share a place. m lines through the origin cut the plane into 2m sectors, so more
    than m different columns, up to sign, are too many; so are more than n different rows. That leaves at most min(m, n)
    of either, and min(m, n)^3 steps beyond one reading.
    """
    if not rows or not rows[0]:
        return [], []
    signs = list(rows[0])
    turned = list({tuple(x * s for x, s in zip(row, signs, strict=True)) for row in rows})
    turned = list(dict.fromkeys(min(row, tuple(-x for x in row)) for row in turned))
    places: dict[tuple[int, ...], list[int]] = {}
    for j, column in enumerate(zip(*turned, strict=True)):
        places.setdefault(column, []).append(j)
    kept = list(places)
    m, n = len(turned), len(kept)
    if n > m or m > n:  # columns are told apart by rows, and agree on the first: no two are opposite
        return None
    for c in range(n):
        sets = sorted(({j for j in range(n) if kept[j][r] == kept[c][r]} for r in range(m)), key=len)
        if all(a <= b for a, b in pairwise(sets)):
            order = sorted(range(n), key=lambda j: sum(j not in s for s in sets))
            return [j for one in order for j in places[kept[one]]], signs
    return None


def _rank_two(matrix: Matrix, data: Mapping[str, Any], steps: _Steps) -> list[Proof]:
    """A sub-matrix on which the polynomial decider of sign rank 2 says no: pm >= 3, or with the row of ones rop >= 2."""
    columns = _numbers(data["columns"], matrix.n_documents, "columns")
    _require(isinstance(matrix, Explicit), "a rank-two certificate names rows")
    assert isinstance(matrix, Explicit)
    rows = [matrix.rows[i] for i in _numbers(data["rows"], matrix.n_queries, "rows")]
    _require(len(rows) * len(columns) <= 40_000, "the sub-matrix is too large to decide")
    steps.spend(2 * min(len(rows), len(columns)) ** 3 + 4 * len(rows) * len(columns))
    signs = [tuple(1 if column in row else -1 for column in columns) for row in rows]
    proofs: list[Proof] = []
    if rank_two_order(signs) is None:
        proofs.append(("sign_rank", "lower", 3))
    if rank_two_order([(1,) * len(columns), *signs]) is None:
        proofs.append(("order_preserving", "lower", 2))
    _require(bool(proofs), "the sub-matrix has sign rank at most 2")
    return proofs


def is_positive_definite(matrix: list[list[int]]) -> bool:
    """Whether a symmetric integer matrix is positive definite: every leading minor is positive (Bareiss elimination)."""
    a = [row[:] for row in matrix]
    before = 1
    for p in range(len(a)):
        if a[p][p] <= 0:
            return False
        for i in range(p + 1, len(a)):
            for j in range(p + 1, len(a)):
                a[i][j] = (a[i][j] * a[p][p] - a[i][p] * a[p][j]) // before
        before = a[p][p]
    return True


def _forster(matrix: Matrix, data: Mapping[str, Any], steps: _Steps) -> list[Proof]:
    """Forster 2002: pm >= sqrt(m n) min|X| / ||X|| for any X with the signs of M.

    X is `plus` where relevant and -`minus` elsewhere, on the named rows and columns, with a row of ones on top where
    `ones` is set (then rop = pm - 1). The proof that ||X||^2 < lam = num/den is that lam I - X^T X is positive definite.
    """
    _require(isinstance(matrix, Explicit), "a Forster certificate names rows")
    assert isinstance(matrix, Explicit)
    columns = _numbers(data["columns"], matrix.n_documents, "columns")
    chosen = _numbers(data["rows"], matrix.n_queries, "rows")
    plus, minus, num, den = (data[key] for key in ("plus", "minus", "num", "den"))
    _require(all(type(x) is int and x > 0 for x in (plus, minus, num, den)), "plus, minus, num, den must be positive")
    _require(max(plus, minus, num, den).bit_length() <= 128, "plus, minus, num, den must be below 2^128")
    steps.spend(len(columns) * (len(chosen) + 1))
    x = [[plus if c in matrix.rows[i] else -minus for c in columns] for i in chosen]
    if data["ones"]:
        x.insert(0, [plus] * len(columns))
    if len(x) < len(columns):
        x = [list(column) for column in zip(*x, strict=True)]
    width = len(x[0])
    _require(width <= 200, "more than 200 rows and columns are not eliminated exactly")
    words = _words((plus, minus)) ** 2 * _words((den,))
    steps.spend(
        len(x) * width * width * words + width**3 * (1 + width * (num * plus * minus).bit_length() // (2 * _WORD)) // 3
    )
    gram = [[-den * sum(row[i] * row[j] for row in x) for j in range(width)] for i in range(width)]
    for i in range(width):
        gram[i][i] += num
    _require(is_positive_definite(gram), "lam I - X^T X is not positive definite")
    square = Fraction(len(x) * width * min(plus, minus) ** 2 * den, num)
    value = 1
    while value * value < square:
        value += 1
    return [("order_preserving", "lower", value - 1) if data["ones"] else ("sign_rank", "lower", value)]


def _graph(matrix: Matrix) -> tuple[int, set[frozenset[int]], Callable[[frozenset[int]], bool]]:
    """n, the rows that are no singletons up to complement, and whether a set or its complement is a row.

    All singletons must be rows up to complement: a negated query turns its order round, so that a row and its complement
    ask for the same.
    """
    _require(isinstance(matrix, Explicit), "a graph certificate is about given qrels")
    assert isinstance(matrix, Explicit)
    n = matrix.n
    _require(n >= 4, "the theorem needs at least 4 documents")
    every = frozenset(range(n))
    rows = {row for row in matrix.rows if 0 < len(row) < n}

    def asked(wanted: frozenset[int]) -> bool:
        return wanted in rows or every - wanted in rows

    _require(all(asked(frozenset([v])) for v in range(n)), "a singleton is missing")
    return n, {row for row in rows if 1 < len(row) < n - 1}, asked


def _kuratowski(matrix: Matrix, data: Mapping[str, Any], _steps: _Steps) -> list[Proof]:
    """All singletons, and edges that subdivide K5 or K3,3: rop >= 4.

    Singletons put the points in convex position, and a separable pair of vertices of a polytope is an edge of it; the
    edges of a polytope in 3 dimensions form a planar graph (Steinitz 1922, Kuratowski 1930).
    """
    _, _, asked = _graph(matrix)
    chosen = {frozenset(edge) for edge in data["edges"]}
    _require(all(len(edge) == 2 and asked(edge) for edge in chosen), "an edge of the subdivision is no row")
    around: dict[int, set[int]] = {}
    for a, b in map(tuple, chosen):
        around.setdefault(a, set()).add(b)
        around.setdefault(b, set()).add(a)
    for v in [v for v, near in around.items() if len(near) == 2]:
        a, b = around.pop(v)
        _require(b not in around[a], "smoothing a vertex doubles an edge")
        around[a].remove(v)
        around[b].remove(v)
        around[a].add(b)
        around[b].add(a)
    degrees = Counter(map(len, around.values()))
    if degrees == {4: 5}:
        return [("order_preserving", "lower", 4)]
    _require(degrees == {3: 6}, "the branch vertices are not those of K5 or K3,3")
    side = around[next(iter(around))]
    _require(len(side) == 3 and all(around[v] == set(around) - side for v in side), "the cubic graph is not K3,3")
    return [("order_preserving", "lower", 4)]


def _not_in_cycle(matrix: Matrix, data: Mapping[str, Any], _steps: _Steps) -> list[Proof]:
    """All singletons, and edges that no n-cycle holds (a vertex of degree 3, or a shorter cycle): rop >= 3.

    In the plane the points are the corners of a polygon, and a separable pair is a side of it.
    """
    n, _, asked = _graph(matrix)
    chosen = {frozenset(edge) for edge in data["edges"]}
    _require(all(len(edge) == 2 and asked(edge) for edge in chosen), "an edge is no row")
    degree = Counter(v for edge in chosen for v in edge)
    if max(degree.values(), default=0) >= 3:
        return [("order_preserving", "lower", 3)]
    # all degrees at most 2: a closed walk that misses some vertex
    _require(all(d == 2 for d in degree.values()) and 0 < len(degree) < n, "the edges fit into a cycle through all")
    return [("order_preserving", "lower", 3)]


# --------------------------------------------------------------------------------------------------------- upper bounds


def _planar(matrix: Matrix, data: Mapping[str, Any], _steps: _Steps) -> list[Proof]:
    """All singletons and the edges of a planar graph: rop <= 3 (Steinitz 1922: a triangulation that holds the graph is
    the edge graph of a polytope, and every edge and corner of a polytope is cut off by a plane).

    Planarity is proved by a rotation system of genus 0: Euler's formula over its faces.
    """
    n, rows, _ = _graph(matrix)
    rotation: list[list[int]] = data["rotation"]
    _require(len(rotation) == n, "expected the neighbours of each vertex in their cyclic order")
    _require(all(type(w) is int and 0 <= w < n for near in rotation for w in near), "a neighbour is no document")
    edges = {frozenset((v, w)) for v, near in enumerate(rotation) for w in near}
    _require(all(len(edge) == 2 for edge in edges), "a document is its own neighbour")
    _require(all(len(set(near)) == len(near) for near in rotation), "a neighbour is named twice")
    _require(sum(map(len, rotation)) == 2 * len(edges), "the rotation system names an edge once")
    every = frozenset(range(n))
    _require(all(row in edges or every - row in edges for row in rows), "a row is no edge of the drawing")
    # every dart v -> w has one next dart and is the next of one, since neighbours are distinct and edges named from both ends
    after = {(v, w): near[(i + 1) % len(near)] for v, near in enumerate(rotation) for i, w in enumerate(near)}
    darts, faces = set(after), 0
    for start in after:
        if start not in darts:
            continue
        v, w = start
        faces += 1
        while True:
            darts.discard((v, w))
            v, w = w, after[w, v]
            if (v, w) == start:
                break
    component = list(range(n))

    def root(v: int) -> int:
        while component[v] != v:
            component[v] = component[component[v]]
            v = component[v]
        return v

    for a, b in map(tuple, edges):
        component[root(a)] = root(b)
    joined = Counter(root(v) for v in range(n))
    isolated = sum(1 for size in joined.values() if size == 1)
    # each component with edges has its own outer face: V - E + F = 2 for every one of them
    parts = len(joined) - isolated
    _require((n - isolated) - len(edges) + faces == 2 * parts, "the rotation system is not that of a planar drawing")
    return [("order_preserving", "upper", 3)]


def _sign_changes(matrix: Matrix, data: Mapping[str, Any], _steps: _Steps) -> list[Proof]:
    """Alon, Frankl and Roedl 1985: in an order of the columns in which no row changes sign more than c times, a
    polynomial of degree c with roots between does each row: rop <= c and pm <= c + 1.
    """
    _require(isinstance(matrix, Explicit), "an order certificate is about given qrels")
    assert isinstance(matrix, Explicit)
    order = _numbers(data["order"], matrix.n, "order")
    _require(len(order) == matrix.n, "the order must name every document")
    place = [0] * matrix.n
    for position, column in enumerate(order):
        place[column] = position
    most = 0
    for row in matrix.rows:
        at = sorted(place[column] for column in row)
        runs = sum(1 for i, p in enumerate(at) if i == 0 or p != at[i - 1] + 1)
        most = max(most, 2 * runs - (at[:1] == [0]) - (at[-1:] == [matrix.n - 1]))
    return [("order_preserving", "upper", most), ("sign_rank", "upper", most + 1)]


def _moment_curve(matrix: Matrix, _data: Mapping[str, Any], _steps: _Steps) -> Iterator[Proof]:
    """K relevant documents a row, or K irrelevant ones: rop <= 2K, pm <= 2K + 1, cosine <= 2K, and gt <= 2 max|S|.

    Documents on (t, ..., t^2K); the query of S holds the coefficients of -prod (t - s)^2. On the trigonometric curve
    (cos jt, sin jt), j <= K, all of one norm, -prod (1 - cos(t - s)) does the same. Where t > 0 the constant terms have
    one sign and can be scaled to one threshold; that argument needs the sets themselves, not their complements.
    """
    n = matrix.n_documents
    if isinstance(matrix, AllSubsets):
        widest = min(matrix.k, n) if matrix.at_most else min(matrix.k, n - matrix.k)
        largest = matrix.k if matrix.k < n else (max(1, n - 1) if matrix.at_most else 0)
    else:
        widest = max((min(len(row), n - len(row)) for row in matrix.rows), default=0)
        largest = max((len(row) for row in matrix.rows if len(row) < n), default=0)
    if largest == 0 and matrix.sizes == (0, n):  # an empty and a full row: +1 and -1 on one coordinate, threshold 0
        yield "global_threshold", "upper", 1
    else:
        yield "global_threshold", "upper", 2 * largest
    yield from _along_the_curve(widest)
    if isinstance(matrix, Explicit):  # equal documents share a place, so fewer of them may be irrelevant
        yield from _along_the_curve(
            max((min(len(row), matrix.distinct.n - len(row)) for row in matrix.distinct.rows), default=0)
        )


def _along_the_curve(widest: int) -> Iterator[Proof]:
    yield "order_preserving", "upper", 2 * widest
    yield "sign_rank", "upper", 2 * widest + 1
    yield "cosine", "upper", 2 * widest


def _trivial(matrix: Matrix, _data: Mapping[str, Any], _steps: _Steps) -> Iterator[Proof]:
    """One dimension a document, or one a query; unit documents as a simplex, n - 1 dimensions, separate every subset.

    A row that varies needs a dimension, and by one threshold an empty and a full row do.
    """
    n = matrix.n_documents
    _require(n >= 1, "expected at least one document")
    rows = matrix.rows if isinstance(matrix, Explicit) else ()
    varies = any(0 < len(row) < n for row in rows) or (isinstance(matrix, AllSubsets) and matrix.varies)
    yield "sign_rank", "lower", 1
    yield "order_preserving", "lower", int(varies)
    # no threshold is below and above the one score that 0 dimensions have
    yield "global_threshold", "lower", int(varies or matrix.sizes == (0, n))
    if isinstance(matrix, Explicit):
        m, n, constant = matrix.distinct.n_queries, matrix.distinct.n, any(not row for row in matrix.distinct.rows)
    else:
        m, constant = n if matrix.has_many_rows else 1, False
    yield "order_preserving", "upper", min(m - constant, n - 1) if varies else 0
    yield "cosine", "upper", n - 1 if varies else 0
    yield "sign_rank", "upper", max(1, min(m, n))


def exact_rank(rows: Iterable[Sequence[int]], spend: Callable[[int], None] = lambda _count: None) -> int:
    """The rank over the rationals of an integer matrix, by fraction-free elimination. `spend` is told the steps."""
    basis: list[tuple[int, list[int]]] = []  # (pivot column, row)
    for row in rows:
        left = list(row)
        for pivot, other in basis:
            if left[pivot]:
                spend(2 * len(left) * _words((other[pivot], left[pivot])))
                a, b = other[pivot], left[pivot]
                left = [a * x - b * y for x, y in zip(left, other, strict=True)]
        pivot = next((i for i, x in enumerate(left) if x), -1)
        if pivot >= 0:
            common = 0
            spend(len(left) * _words(left))
            for x in left:
                common = gcd(common, x)
            basis.append((pivot, [x // common for x in left]))
    return len(basis)


def _rank(matrix: Matrix, _data: Mapping[str, Any], steps: _Steps) -> list[Proof]:
    """Ranks over the rationals: gt <= rank(A); rop <= rank([A; 1]) - 1, subtracting each row's mean; pm <= rank(2A - 1),
    and pm <= rank([A; 1]) - 1 where no row is constant.
    """
    _require(isinstance(matrix, Explicit), "a rank certificate is about given qrels")
    assert isinstance(matrix, Explicit)
    rows = list(dict.fromkeys(matrix.rows))
    holders: dict[int, list[int]] = {}
    for number, row in enumerate(rows):
        for c in row:
            holders.setdefault(c, []).append(number)
    distinct = {tuple(holders.get(c, ())): c for c in range(matrix.n)}  # repeated documents change no rank
    n, kept = len(distinct), list(distinct.values())
    _require(n >= 1, "expected at least one document")
    _require(min(len(rows), n) <= 256 and n * len(rows) <= 2_000_000, "too large for exact elimination")
    a = [[int(c in row) for c in kept] for row in rows]
    spend = steps.spend
    spend(n * len(rows))
    centred = exact_rank([[1] * n, *a], spend) - 1
    proofs: list[Proof] = [
        ("global_threshold", "upper", exact_rank(a, spend)),
        ("order_preserving", "upper", centred),
        ("sign_rank", "upper", max(1, exact_rank([[2 * x - 1 for x in row] for row in a], spend))),
    ]
    if all(0 < len(row) < matrix.n for row in rows):
        proofs.append(("sign_rank", "upper", centred))
    return proofs


def _embedding(matrix: Matrix, data: Mapping[str, Any], steps: _Steps) -> list[Proof]:
    """Integer query vectors u (m, d) and document vectors v (n, d), every score computed exactly.

    Proves rop <= d where each relevant score is above all others; pm <= d where scores are positive exactly on the
    relevant; gt <= d where `threshold` is between; cosine <= d where all documents have one norm.
    """
    _require(isinstance(matrix, Explicit), "an embedding certificate is about given qrels")
    assert isinstance(matrix, Explicit)
    u, v = data["u"], data["v"]
    _require(len(u) == matrix.n_queries and len(v) == matrix.n, "expected a vector for each query and document")
    d = len(v[0])
    _require(all(len(x) == d and all(type(c) is int for c in x) for x in (*u, *v)), f"expected {d} integers a vector")
    words = _words(c for x in u for c in x) * _words(c for x in v for c in x)
    steps.spend(len(u) * len(v) * (d + 4) * words)
    threshold = data.get("threshold", 0)
    _require(type(threshold) is int, "the threshold must be an integer")
    ordered = signed = above = True
    for number, (query, row) in enumerate(zip(u, matrix.rows, strict=True)):
        scores = [sum(a * b for a, b in zip(query, document, strict=True)) for document in v]
        wanted = [scores[c] for c in row]
        others = [score for c, score in enumerate(scores) if c not in row]
        _require(not wanted or not others or min(wanted) > max(others), f"query {number} is out of order")
        signed = signed and all(s > 0 for s in wanted) and all(s < 0 for s in others)
        above = above and all(s > threshold for s in wanted) and all(s < threshold for s in others)
    proofs: list[Proof] = [("order_preserving", "upper", d)] if ordered else []
    if signed:
        proofs.append(("sign_rank", "upper", d))
    if above:
        proofs.append(("global_threshold", "upper", d))
    if len({sum(c * c for c in document) for document in v}) == 1:
        proofs.append(("cosine", "upper", d))
    return proofs


def _blocks(matrix: Matrix, data: Mapping[str, Any], steps: _Steps) -> list[Proof]:
    """Rows that each lie inside one block of documents: rop <= 2 + the largest block's (1 + for two blocks).

    Block b sits at height t_b, and each of its queries adds a large multiple of 2 t_b x - y on (t_b, t_b^2), which is
    largest on its own block; one coordinate does for two blocks.
    """
    _require(isinstance(matrix, Explicit), "a block certificate is about given qrels")
    assert isinstance(matrix, Explicit)
    parts = data["blocks"]
    owner: dict[int, int] = {}
    for number, part in enumerate(parts):
        for column in _numbers(part["columns"], matrix.n, "columns"):
            _require(column not in owner, f"document {column} is in two blocks")
            owner[column] = number
    _require(len(owner) == matrix.n and len(parts) >= 2, "the blocks must hold every document")
    inside: list[list[frozenset[int]]] = [[] for _ in parts]
    places = [{column: i for i, column in enumerate(part["columns"])} for part in parts]
    for row in matrix.rows:
        if 0 < len(row) < matrix.n:
            owners = {owner[column] for column in row}
            _require(len(owners) == 1, "a row crosses two blocks")
            b = owners.pop()
            inside[b].append(frozenset(places[b][column] for column in row))
    worst = 0
    for part, rows in zip(parts, inside, strict=True):
        block = Explicit(tuple(rows), len(part["columns"]))
        _require(
            part["kind"] in ("moment-curve", "sign-changes", "embedding", "rank", "trivial"), "unknown block proof"
        )
        proved = [implied(p, "order_preserving", "upper") for p in _CHECKERS[part["kind"]](block, part["data"], steps)]
        worst = max(worst, min(value for value in proved if value is not None))
    return [("order_preserving", "upper", worst + (1 if len(parts) == 2 else 2))]


def _orbit(matrix: Matrix, data: Mapping[str, Any], steps: _Steps) -> list[Proof]:
    """Documents on the orbit of a cyclic group, with queries that give every set the half-gap of the data (`orbit_proof`).

    All documents have one length, so that cosines order as inner products do.
    """
    _require(isinstance(matrix, AllSubsets) and not matrix.at_most, "an orbit is about all k-subsets")
    assert isinstance(matrix, AllSubsets)
    half_gap = data["half_gap"]
    above, _, below = half_gap.partition("/") if isinstance(half_gap, str) and len(half_gap) <= 64 else ("", "", "")
    _require(above.isdigit() and below.isdigit() and int(below) > 0, "the half-gap must be a short text such as 1/1000")
    f, a, queries = (data[name] for name in ("frequencies", "amplitudes", "queries"))
    _require(
        all(isinstance(one, list) for one in (f, a, queries)) and all(isinstance(one, list) for one in queries),
        "frequencies, amplitudes or queries are no lists",
    )
    d = check_orbit(matrix.n, matrix.k, f, a, queries, Fraction(int(above), int(below)), steps.spend)
    return [("order_preserving", "upper", d), ("cosine", "upper", d)]


# ---------------------------------------------------------------------------------------------------------- closed forms


def closed_form(n: int, k: int, notion: Notion, *, at_most: bool = False) -> int:
    """The exact dimension for all k-subsets of n documents, or all of at most k.

    theory/all-subsets.md has the proofs. k' = min(k, n - k).
    """
    AllSubsets(n, k, at_most)
    if at_most:
        values: dict[Notion, int] = {
            "order_preserving": min(2 * k, n - 1),
            "sign_rank": max(1, min(2 * k + 1, n)),
            "cosine": min(2 * k, n - 1),
            "global_threshold": min(2 * k, n - 1) if k < n else n,
        }
        return values[notion]
    k = min(k, n - k)
    if k == 0:
        return 1 if notion == "sign_rank" else 0
    if k == 1:
        order, sign, cosine = min(2, n - 1), min(3, n - 1), min(2, n - 1)
    else:
        order, sign = min(2 * k, n - 2), min(2 * k + 1, n - 1)
        cosine = min(2 * k, n - 1) if k == 2 else min(2 * k, n - 2)
    one = min(2 * k, n - 1)
    return {"order_preserving": order, "sign_rank": sign, "cosine": cosine, "global_threshold": one}[notion]


def _closed_form(matrix: Matrix, _data: Mapping[str, Any], _steps: _Steps) -> list[Proof]:
    """The theorem for all k-subsets, recomputed."""
    _require(isinstance(matrix, AllSubsets), "a closed form is about all k-subsets")
    assert isinstance(matrix, AllSubsets)
    known = {notion: closed_form(matrix.n, matrix.k, notion, at_most=matrix.at_most) for notion in NOTIONS}
    sides: tuple[Side, Side] = ("lower", "upper")
    return [(notion, side, value) for (notion, value), side in product(known.items(), sides)]


_CHECKERS: dict[str, Callable[[Matrix, Mapping[str, Any], _Steps], Iterable[Proof]]] = {
    "antipodal-shattering": _antipodal,
    "vc-dimension": _vc,
    "z2-connectivity": _z2,
    "rank-two": _rank_two,
    "forster": _forster,
    "kuratowski": _kuratowski,
    "not-in-cycle": _not_in_cycle,
    "planar-embedding": _planar,
    "sign-changes": _sign_changes,
    "moment-curve": _moment_curve,
    "trivial": _trivial,
    "rank": _rank,
    "embedding": _embedding,
    "blocks": _blocks,
    "closed-form": _closed_form,
    "orbit": _orbit,
}
KINDS = tuple(_CHECKERS)
