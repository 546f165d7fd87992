"""The half-gap of all k-subsets of documents on the orbit of a cyclic group, proved with integers alone.

Document t of n has, for each frequency f_r and amplitude A_r, the two coordinates A_r cos(2 pi f_r t / n), A_r sin(2 pi f_r t /
n); all have the length sqrt(sum A_r^2). One step of the rotation permutes the documents, so a query for one set of documents
serves, rotated, every rotation of that set.

**Pairs.** A rotation and its reflection bring {s, s + j} to {0, j}, j <= n / 2. The query of separation j is mirror-symmetric:
its score of document t is sum_r A_r B_r cos(pi f_r (2t - j) / n), with integers B_r, and its length sqrt(sum B_r^2), or less. So
one list of D integers for each j is the whole proof of n (n - 1) / 2 queries.

**Larger sets.** One list of 2D integers for each necklace (each set up to rotation, in the order of `necklaces`): the
coefficients of the cosines, then those of the sines.

**Arithmetic.** Cosines are integers over 2^48, each with an error of at most 1 (`cosines`). A score of sum |A_r B_r| <= Q is then
off by at most Q, a gap by 2 Q. The scores of all documents are the digits of one long integer, which Python multiplies and adds
exactly; one mask tells whether every digit is at least what the half-gap asks for. Standard library only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from math import comb, gcd, isqrt

from limitbench.errors import CertificateError

BITS = 48  # of a cosine
_GUARD = 64  # bits more while cosines are computed
_MOST_DOCUMENTS = 1 << 30
MOST_ENTRIES = 20_000_000  # cosines held at a time, a gigabyte
MOST_RELEVANT = 32  # documents of a set
MOST_SIZE = 1 << 40  # of an amplitude or a coefficient
_TOGETHER = 64  # products within one long integer that count as one step


def dimension(n: int, frequencies: Sequence[int]) -> int:
    """How many coordinates the documents have: two a frequency, one where the sine is always 0."""
    return sum(1 if 2 * f % n == 0 else 2 for f in frequencies)


def cosines(turn: int, bits: int = BITS) -> list[int]:
    """Integers c[j], j = 0 .. turn - 1, with |c[j] - 2^bits cos(2 pi j / turn)| <= 1.

    The base angle comes from Machin's formula and Taylor's series, the others by rotation, with 64 bits more. In units of the last
    of these bits the base is off by less than 2^8 and each rotation adds at most that and 2 for its two roundings, so that
    after turn <= 2^32 steps the error is below 2^42, and below 1/2 + 2^-22 in units of 2^-bits.
    """
    if not 1 <= turn <= 4 * _MOST_DOCUMENTS:
        raise CertificateError(f"found {turn} angles, expected 1 to {4 * _MOST_DOCUMENTS}")
    guarded = bits + _GUARD
    half, table = turn // 2, []
    c, s = _cos_sin(2 * _pi(guarded + 16) // turn, guarded)
    x, y = 1 << guarded, 0
    rounding = 1 << (_GUARD - 1)
    for _ in range(half + 1):
        table.append((x + rounding) >> _GUARD)
        x, y = (x * c - y * s) >> guarded, (x * s + y * c) >> guarded
    return table + table[1 : turn - half][::-1]


def _pi(bits: int) -> int:
    """2^bits pi, off by less than 1: Machin's formula with 32 bits more, where each of fewer than 2^12 roundings costs at most
    16."""
    one = 1 << (bits + 32)

    def arctan_of_inverse(x: int) -> int:
        power = one // x
        total, k, sign = power, 1, 1
        while power:
            power //= x * x
            k, sign = k + 2, -sign
            total += sign * (power // k)
        return total

    return (16 * arctan_of_inverse(5) - 4 * arctan_of_inverse(239)) >> 32


def _cos_sin(angle: int, bits: int) -> tuple[int, int]:
    """2^bits times cosine and sine of angle / 2^(bits + 16), an angle of at most 2 pi; each off by less than 2^8.

    At most 70 terms, below 2^7 in size for such angles, are rounded down once each in bits + 16 places.
    """
    fine = bits + 16
    one = 1 << fine
    sums, term, k = [0, 0], one, 0
    while term:
        sums[k % 2] += term if k % 4 < 2 else -term
        k += 1
        term = (term * angle >> fine) // k
    return sums[0] >> 16, sums[1] >> 16


def necklaces(n: int, k: int) -> Iterator[tuple[int, ...]]:
    """One k-subset of 0 .. n - 1 for each class under rotation, each with 0: the one whose steps from member to member, read round
    the circle, come first in the alphabet among their rotations. In the order of their steps."""

    def grow(place: int, period: int, left: int) -> Iterator[tuple[int, ...]]:
        """The steps from `place` on, where those before repeat with this period, `left` documents being left on the circle."""
        if place == k:  # the last step closes the circle
            if left >= steps[place - period] and k % (period if left == steps[place - period] else place) == 0:
                members, at = [0], 0
                for step in steps[1:k]:
                    at += step
                    members.append(at)
                yield tuple(members)
            return
        least = steps[place - period] if place > 1 else 1
        most = left // k if place == 1 else left - (k - place) * steps[1]  # no step is shorter than the first
        for step in range(least, most + 1):
            steps[place] = step
            yield from grow(place + 1, place if place == 1 or step > steps[place - period] else period, left - step)

    steps = [0] * (k + 1)
    if k == 1:
        yield (0,)
    elif 1 < k <= n:
        yield from grow(1, 1, n)


def count_necklaces(n: int, k: int) -> int:
    """How many `necklaces` there are, by Burnside's lemma."""
    common = gcd(n, k)
    return sum(_totient(m) * comb(n // m, k // m) for m in range(1, common + 1) if common % m == 0) // n


def _more_subsets(n: int, k: int, limit: int) -> bool:
    """Whether there are more than so many k-subsets of n, by as few products as that takes."""
    count = 1
    for i in range(min(k, n - k)):
        count = count * (n - i) // (i + 1)
        if count > limit:
            return True
    return False


def _totient(m: int) -> int:
    return sum(1 for i in range(1, m + 1) if gcd(i, m) == 1)


def check(
    n: int,
    k: int,
    frequencies: Sequence[int],
    amplitudes: Sequence[int],
    queries: Sequence[Sequence[int]],
    half_gap: Fraction,
    spend: Callable[[int], None] = lambda _steps: None,
) -> int:
    """The dimension in which all k-subsets of these n documents have at least this half-gap on unit vectors.

    `queries` are those of the module's text: for k = 2 those of the separations 1 .. n // 2, else those of `necklaces`. `spend`
    is told the work beforehand, and may raise. Raises `CertificateError`, saying where, unless all of it is proved.
    """
    require_shapes(n, k, frequencies, amplitudes, half_gap)
    width = len(frequencies) * (1 if k == 2 else 2)
    expected = n // 2 if k == 2 else None if _more_subsets(n, k, n * len(queries)) else count_necklaces(n, k)
    if expected is None:
        raise CertificateError(
            f"found {len(queries)} queries, expected more: there are more than {n} times as many sets"
        )
    if len(queries) != expected:
        raise CertificateError(f"found {len(queries)} queries, expected {expected}")
    for number, query in enumerate(queries):
        if len(query) != width or any(type(b) is not int or abs(b) > MOST_SIZE for b in query):
            raise CertificateError(f"query {number} is no list of {width} integers of at most {MOST_SIZE}")
    largest = max((sum(abs(b) for b in query) for query in queries), default=0) * max(abs(a) for a in amplitudes)
    if largest == 0:
        raise CertificateError("every query is 0")
    if not holds(n, width):
        raise CertificateError(
            f"{n} documents with {width} coefficients a query are more than {MOST_ENTRIES:,} numbers"
        )
    spend(work(n, k, len(frequencies), len(queries), largest))
    field = _field(largest)
    norm = sum(a * a for a in amplitudes)
    if k == 2:
        _pairs(n, frequencies, amplitudes, queries, half_gap, norm, field)
    else:
        _sets(n, k, frequencies, amplitudes, queries, half_gap, norm, field)
    return dimension(n, frequencies)


def holds(n: int, width: int) -> bool:
    """Whether the cosines of n documents with so many coefficients a query may be held."""
    return (width + 4) * n <= MOST_ENTRIES


def _field(largest: int) -> int:
    """Bits of a digit that holds any difference of scores of at most `largest` in size."""
    field = (2 * largest * ((1 << BITS) + 1)).bit_length() + 2
    return field + -field % 8


def work(n: int, k: int, planes: int, queries: int, largest: int) -> int:
    """The steps of `check` for so many queries, whose coefficients times an amplitude are `largest` in all at most."""
    width, places = (planes, n // 2 + 1) if k == 2 else (2 * planes, n)
    return (4 + width) * n + queries * (k * (k + width) + width * (1 + places * _field(largest) // (64 * _TOGETHER)))


def require_shapes(n: int, k: int, frequencies: Sequence[int], amplitudes: Sequence[int], half_gap: Fraction) -> None:
    """Raise `CertificateError` unless these are numbers that an orbit can have."""
    if type(n) is not int or type(k) is not int or not 1 <= k < n <= _MOST_DOCUMENTS:
        raise CertificateError(f"found n = {n!r}, k = {k!r}, expected 1 <= k < n <= {_MOST_DOCUMENTS}")
    if k > MOST_RELEVANT:
        raise CertificateError(f"found k = {k}, expected at most {MOST_RELEVANT}")
    if not frequencies or len(frequencies) != len(amplitudes):
        raise CertificateError("expected one amplitude for each of at least one frequency")
    if any(type(f) is not int or not 0 <= f < n for f in frequencies):
        raise CertificateError(f"expected frequencies from 0 to {n - 1}")
    if any(type(a) is not int or not 0 < a <= MOST_SIZE for a in amplitudes):
        raise CertificateError(f"expected amplitudes from 1 to {MOST_SIZE}")
    if not 0 <= half_gap <= 1:
        raise CertificateError(f"the claimed half-gap is {half_gap}, expected 0 to 1")


def _asked(
    amplitudes: Sequence[int], query: Sequence[int], half_gap: Fraction, norm: int, where: str
) -> tuple[list[int], int]:
    """(the query's coefficients times the amplitudes, the least gap that shows the half-gap).

    The gap is in units of 2^-48: 2 gamma |v| |u| rounded up, at least 1, and what rounding may hide. Raises `CertificateError`
    where no document could be so far below.
    """
    q = [a * b for a, b in zip(amplitudes, query, strict=True)]
    slack = 2 * sum(map(abs, q))
    square = Fraction(4 * norm * sum(b * b for b in query)) * half_gap**2 * (1 << 2 * BITS)
    needed = isqrt(square.numerator // square.denominator) + 1 + slack
    if needed > slack << BITS or not any(query):
        raise CertificateError(f"{where}: the query cannot have the half-gap claimed")
    return q, needed


class _Packed:
    """Rows of `places` numbers as the digits of long integers, `field` bits each; a row of negative numbers borrows, which sums
    undo."""

    def __init__(self, places: int, field: int) -> None:
        self.places, self.field = places, field
        self.ones = self.row([1] * places)
        self.tops = self.ones << (field - 1)

    def row(self, values: Sequence[int]) -> int:
        """The long integer of these numbers."""
        size = self.field // 8
        low = min(0, min(values))
        packed = int.from_bytes(b"".join((value - low).to_bytes(size, "little") for value in values), "little")
        return packed + low * self.ones if low else packed

    def negative(self, total: int) -> int | None:
        """The first place whose number, below 2^(field - 1) in size, is negative; None where there is none."""
        shown = (total + self.tops) & self.tops
        if shown == self.tops:
            return None
        missing = self.tops ^ shown
        return ((missing & -missing).bit_length() - 1) // self.field


def _pairs(
    n: int,
    frequencies: Sequence[int],
    amplitudes: Sequence[int],
    queries: Sequence[Sequence[int]],
    half_gap: Fraction,
    norm: int,
    field: int,
) -> None:
    """The pairs {0, j}: with y = 2t - j, up to sign and modulo 2n, the documents are the y of j's parity from 0 to n, and j
    itself is y = j."""
    table = cosines(2 * n)
    for parity in (0, 1):
        ys = range(parity, n + 1, 2)
        packed = _Packed(len(ys), field)
        rows = [packed.row([table[f * y % (2 * n)] for y in ys]) for f in frequencies]
        for j in range(2 - parity, n // 2 + 1, 2):
            q, needed = _asked(amplitudes, queries[j - 1], half_gap, norm, f"separation {j}")
            own = sum(x * table[f * j % (2 * n)] for x, f in zip(q, frequencies, strict=True))
            total = (own - needed) * packed.ones - sum(x * row for x, row in zip(q, rows, strict=True))
            total += needed << (field * ((j - parity) // 2))  # the pair itself is not asked
            wrong = packed.negative(total)
            if wrong is not None:
                t = (ys[wrong] + j) // 2
                raise CertificateError(
                    f"separation {j}: document {t % n} is not shown to be below the pair by the half-gap"
                )


def _sets(
    n: int,
    k: int,
    frequencies: Sequence[int],
    amplitudes: Sequence[int],
    queries: Sequence[Sequence[int]],
    half_gap: Fraction,
    norm: int,
    field: int,
) -> None:
    """The necklaces, each with a query of cosines and sines."""
    table = cosines(4 * n)
    packed = _Packed(n, field)
    columns = [[table[4 * f * t % (4 * n)] for t in range(n)] for f in frequencies]
    columns += [[table[(4 * f * t - n) % (4 * n)] for t in range(n)] for f in frequencies]  # sin x = cos(x - pi / 2)
    rows = [packed.row(column) for column in columns]
    both = [*amplitudes, *amplitudes]
    for number, members in enumerate(necklaces(n, k)):
        q, needed = _asked(both, queries[number], half_gap, norm, f"set {members}")
        scores = [sum(x * column[t] for x, column in zip(q, columns, strict=True)) for t in members]
        bar = min(scores) - needed
        total = bar * packed.ones - sum(x * row for x, row in zip(q, rows, strict=True))
        for t, score in zip(members, scores, strict=True):
            total += (score - bar) << (field * t)
        wrong = packed.negative(total)
        if wrong is not None:
            raise CertificateError(f"set {members}: document {wrong} is not shown to be below it by the half-gap")
