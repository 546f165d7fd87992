"""Symmetric codes: documents on the orbit of a cyclic group, their queries, and proofs of what they carry.

The symmetry does the work (`certificates.orbits` has the mathematics): for all pairs of n documents only n / 2 queries are
stored, each of as many integers as there are frequencies; for all k-subsets one for each set up to rotation. A file of such a
code is a certificate of kind `orbit`, which `limitbench verify` checks: with integers, or in floating point with directed bounds
where they would take too long. This module needs numpy only; `orbit_search` finds codes.

Where a dtype is named, the claim is about arrays as stored: documents and queries rounded from float64. The proved half-gap less
what rounding can take away serves all pairs at once; separations below that are checked row by row, as stored.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from limitbench import certificates
from limitbench.certificates import Certificate
from limitbench.certificates import orbits as orbit_proof
from limitbench.dtypes import (
    BEFORE_STORING,
    FLOAT64_ROUNDOFF,
    half_gap_kept,
    require_stored,
    score_error,
)
from limitbench.dtypes import stored as stored_values
from limitbench.errors import CertificateError, DataError, InputError

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
SUFFIX = ".certificate.json"
_CHUNK = 4_000_000  # scores at a time
_MOST_WORK = 2e13  # products of a check in floating point
_MOST_ENTRIES = 50_000_000  # numbers of the documents of a check in floating point
_MOST_ROW_WORK = 2e12  # products of a check of rows as stored


@dataclass(frozen=True)
class Orbit:
    """n documents: the orbit of one point under rotations by 2 pi f / n, in planes of the lengths `amplitudes`."""

    n: int
    frequencies: tuple[int, ...]
    amplitudes: tuple[int, ...]

    @property
    def d(self) -> int:
        """The dimension: two a frequency, but one for 0 and n / 2."""
        return orbit_proof.dimension(self.n, self.frequencies)

    @property
    def norm(self) -> int:
        """The squared length of a document before it is scaled to 1."""
        return sum(a * a for a in self.amplitudes)

    @cached_property
    def cosines(self) -> Floats:
        """(4n,) cos(pi j / 2n), each the nearest double of the exact table or its neighbour; the same on every machine."""
        return np.array(orbit_proof.cosines(4 * self.n), np.float64) * 2.0**-orbit_proof.BITS

    def points(self, y: Ints) -> Floats:
        """(len(y), D) cos(pi f y / n): what mirror-symmetric queries see of the document t = (y + j) / 2."""
        f = np.array(self.frequencies, np.int64)
        return np.asarray(self.cosines[2 * (f * (y[:, None] % (2 * self.n))) % (4 * self.n)])

    def plane(self, quarter: Ints) -> tuple[Floats, Floats]:
        """(cosines, sines), each (len, D), of the angles 2 pi f t / n with t = quarter / 4 of a step."""
        f = np.array(self.frequencies, np.int64)
        angle = f * (quarter[:, None] % (4 * self.n)) % (4 * self.n)
        return self.cosines[angle], self.cosines[(angle - self.n) % (4 * self.n)]

    def _joined(self, cosine: Floats, sine: Floats) -> Floats:
        """(rows, d): pairs of coordinates, without the sines that are always 0."""
        both = np.stack([cosine, sine], axis=2).reshape(len(cosine), -1)
        kept = [True if part == 0 else 2 * f % self.n != 0 for f in self.frequencies for part in (0, 1)]
        return np.asarray(both[:, kept])

    def documents(self) -> Floats:
        """The documents of the orbit as unit vectors (n, d)."""
        cosine, sine = self.plane(4 * np.arange(self.n, dtype=np.int64))
        a = np.array(self.amplitudes) / math.sqrt(self.norm)
        return self._joined(a * cosine, a * sine)

    def queries(self, coefficients: Ints, separation: int, starts: Ints) -> Floats:
        """(len(starts), d) unit queries of the pairs {s, s + separation}."""
        b = coefficients / math.sqrt(float(sum(int(x) ** 2 for x in coefficients)))
        cosine, sine = self.plane(4 * starts + 2 * separation)
        return self._joined(b * cosine, b * sine)

    def turned(self, coefficients: Ints, starts: Ints) -> Floats:
        """(len(starts), d) unit queries of the rotations by so many steps of the set whose query this is (2D,)."""
        b = coefficients / math.sqrt(float(sum(int(x) ** 2 for x in coefficients)))
        along, across = b[: len(self.frequencies)], b[len(self.frequencies) :]
        cosine, sine = self.plane(4 * starts)
        return self._joined(along * cosine - across * sine, along * sine + across * cosine)


@dataclass(frozen=True, eq=False)
class OrbitCode:
    """An orbit that carries all k-subsets of its documents, and how.

    `queries` (separations or necklaces, D or 2D) are the integers of `certificates.orbits`; `half_gap` is what they are claimed to
    give on unit vectors, in exact numbers; `margin` what is claimed of arrays stored in `dtype`. `found` says how it was found.
    """

    orbit: Orbit
    k: int
    queries: Ints
    half_gap: Fraction
    dtype: str
    margin: float
    found: Mapping[str, Any] = field(default_factory=dict)

    @property
    def d(self) -> int:
        """The dimension of the documents."""
        return self.orbit.d

    @cached_property
    def certificate(self) -> Certificate:
        """The claim and its proof, as JSON-ready values."""
        data = {
            "half_gap": f"{self.half_gap.numerator}/{self.half_gap.denominator}",
            "frequencies": list(self.orbit.frequencies),
            "amplitudes": list(self.orbit.amplitudes),
            **({} if self.dtype == "real" else {"stored": {"dtype": self.dtype, "half_gap": self.margin}}),
            "found": dict(self.found),
            "queries": self.queries.tolist(),
        }
        return Certificate(
            "order_preserving", "upper", self.d, "orbit", {"n": self.orbit.n, "k": self.k, "at_most": False}, data
        )

    @cached_property
    def digest(self) -> str:
        """sha256, in hex, of the certificate."""
        return digest(self.certificate)

    def write(self, path: Path) -> None:
        """Write the certificate, whole or not at all."""
        certificates.write([self.certificate], path)


def digest(certificate: Certificate) -> str:
    """sha256, in hex, of a certificate's JSON."""
    return hashlib.sha256(json.dumps(certificate.to_json(), sort_keys=True).encode()).hexdigest()


def read(path: Path) -> OrbitCode:
    """The code in a certificate file. Raises `DataError` where it holds none, or one of another shape; nothing is proved by
    reading."""
    found = certificates.read(path)
    if len(found) != 1 or found[0].kind != "orbit":
        raise DataError(path, "is not a symmetric code; expected one certificate of kind orbit")
    try:
        return of_certificate(found[0])
    except CertificateError as error:
        raise DataError(path, str(error)) from None


def of_certificate(certificate: Certificate) -> OrbitCode:
    """The code of a certificate of kind `orbit`. Raises `CertificateError` where its data have another shape."""
    data, matrix = certificate.data, certificate.matrix
    try:
        stored = data.get("stored", {"dtype": "real", "half_gap": 0.0})
        orbit = Orbit(matrix["n"], tuple(data["frequencies"]), tuple(data["amplitudes"]))
        above, _, below = data["half_gap"].partition("/")
        half_gap, margin, dtype = Fraction(int(above), int(below)), stored["half_gap"], stored["dtype"]
        orbit_proof.require_shapes(orbit.n, matrix["k"], orbit.frequencies, orbit.amplitudes, half_gap)
        width = len(orbit.frequencies) * (1 if matrix["k"] == 2 else 2)
        for query in data["queries"]:
            if len(query) != width or any(type(b) is not int or abs(b) > orbit_proof.MOST_SIZE for b in query):
                raise ValueError("queries")
        if type(margin) not in (int, float) or not 0 <= margin <= 1 or not isinstance(data.get("found", {}), dict):
            raise ValueError("stored half-gap, or how it was found")
        if "stored" in data:
            require_stored(dtype)
        queries = np.array(data["queries"], np.int64).reshape(-1, width)
        return OrbitCode(orbit, matrix["k"], queries, half_gap, dtype, float(margin), data.get("found", {}))
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError, ArithmeticError, InputError) as error:
        raise CertificateError(f"the data of an orbit certificate are broken ({error!r})") from None


# ------------------------------------------------------------------------------------------------------------- half-gaps


Product = Callable[[Floats, Floats, Ints], tuple[Floats, Floats]]


def _product(q: Floats, c: Floats, place: Ints) -> tuple[Floats, Floats]:
    """(scores of the pairs' own documents, the largest other scores) of queries q (J, D) and documents c (D, Y), in float64."""
    s, line = q @ c, np.arange(len(q))
    own = s[line, place]
    s[line, place] = -np.inf
    return own, s.max(1)


def half_gaps(orbit: Orbit, k: int, queries: Ints, product: Product | None = None) -> Floats:
    """Proved lower bounds of the half-gap of each query: (separations,) for k = 2, else (necklaces,); negative where none is shown.

    Scores are computed in float64. The integers A B are exact below 2^53; a cosine is off by at most 2^-47; a sum of D products
    by at most g sum |A B|, g = D e / (1 - D e), e = 2^-53 (Higham 2002, sec. 3.1), in any order of summation. Twice all that is
    taken off each gap. `product` computes the scores of pairs elsewhere than on the CPU, in float64 likewise.
    """
    n, a = orbit.n, np.array(orbit.amplitudes, np.int64)
    width, places = (len(a), n / 2) if k == 2 else (2 * len(a), n)
    expected = (n // 2 if k == 2 else orbit_proof.count_necklaces(n, k), width)
    if queries.shape != expected:
        raise CertificateError(f"found queries of shape {queries.shape}, expected {expected}")
    # in Python's integers, so that no product wraps round
    largest = max(int(queries.max(initial=0)), -int(queries.min(initial=0)))
    if largest * max(orbit.amplitudes) >= 2**53 or (queries == 0).all(1).any():
        raise CertificateError("a query is 0, or holds integers beyond 2^53 once multiplied by the amplitudes")
    if width * n > _MOST_ENTRIES:
        raise CertificateError(
            f"{n} documents with {width} coefficients a query are more than {_MOST_ENTRIES:,} numbers"
        )
    if (product is None or k != 2) and len(queries) * places * width > _MOST_WORK:
        raise CertificateError(
            f"the check would take {len(queries) * places * width:.2g} products, expected at most {_MOST_WORK:g}"
        )
    relative = width * FLOAT64_ROUNDOFF / (1 - width * FLOAT64_ROUNDOFF) + 2.0 ** (1 - orbit_proof.BITS)
    out = _pair_gaps(orbit, queries, relative, product) if k == 2 else _set_gaps(orbit, k, queries, relative)
    return np.asarray(out - np.abs(out) * 1e-12)


@lru_cache(maxsize=2)
def necklaces(n: int, k: int) -> Ints:
    """(necklaces, k) the members of each, in the order of `certificates.orbits.necklaces`."""
    members = np.array(list(orbit_proof.necklaces(n, k)), np.int64).reshape(-1, k)
    members.flags.writeable = False
    return members


def _pair_gaps(orbit: Orbit, queries: Ints, relative: float, product: Product | None) -> Floats:
    """`half_gaps` of pairs, before their last rounding."""
    n, a = orbit.n, np.array(orbit.amplitudes, np.int64)
    out = np.full(n // 2, -np.inf)
    for parity in (0, 1):
        ys = np.arange(parity, n + 1, 2)
        c = np.ascontiguousarray(orbit.points(ys).T)
        js = np.arange(2 - parity, n // 2 + 1, 2)
        step = max(1, (_CHUNK if product is None else 64 * _CHUNK) // len(ys))
        for at in range(0, len(js), step):
            j = js[at : at + step]
            q = (queries[j - 1] * a).astype(np.float64)
            own, other = (product or _product)(q, c, (j - parity) // 2)
            b = queries[j - 1].astype(np.float64)
            gap = own - other - 4 * relative * np.abs(q).sum(1) * (1 + 1e-9)
            out[j - 1] = gap / (2 * math.sqrt(orbit.norm) * np.sqrt((b * b).sum(1)))
    return out


def _set_gaps(orbit: Orbit, k: int, queries: Ints, relative: float) -> Floats:
    """`half_gaps` of larger sets, before their last rounding."""
    n, a = orbit.n, np.array([*orbit.amplitudes, *orbit.amplitudes], np.int64)
    c = np.concatenate(orbit.plane(4 * np.arange(n, dtype=np.int64)), axis=1).T
    members = necklaces(n, k)
    out = np.empty(len(queries))
    step = max(1, _CHUNK // n)
    for at in range(0, len(queries), step):
        q = (queries[at : at + step] * a).astype(np.float64)
        s, inside = q @ c, members[at : at + step]
        own = np.take_along_axis(s, inside, 1).min(1)
        np.put_along_axis(s, inside, -np.inf, 1)
        gap = own - s.max(1) - 4 * relative * np.abs(q).sum(1) * (1 + 1e-9)
        b = queries[at : at + step].astype(np.float64)
        out[at : at + step] = gap / (2 * math.sqrt(orbit.norm) * np.sqrt((b * b).sum(1)))
    return out


def stored_margin(code: OrbitCode, gaps: Floats | None = None) -> float:
    """A proved lower bound of the half-gap of the arrays as stored in the code's dtype, over all sets. Raises
    `CertificateError` where a row is not strict as stored, or would take too long to check.

    `gaps` are those of `half_gaps`, where they are at hand.
    """
    found = half_gaps(code.orbit, code.k, code.queries) if gaps is None else gaps
    # a query with more than this keeps some half-gap, whatever rounding does
    lost = score_error(code.dtype, code.d, exact_sums=True) * (1 + 1e-9) + float(BEFORE_STORING)
    clear = found > lost
    least = float(found[clear].min(initial=np.inf))
    if least < np.inf:
        least = float(half_gap_kept(Fraction(least), code.dtype, code.d))
    doubtful = np.flatnonzero(~clear)
    if not len(doubtful):
        return least * (1 - 1e-12)
    n = code.orbit.n
    if len(doubtful) * n * n * code.d > _MOST_ROW_WORK:
        raise CertificateError(
            f"{len(doubtful)} {'separations' if code.k == 2 else 'necklaces'} have a half-gap below {lost:.2g}, what {code.dtype} "
            f"can take away, and {n} documents are too many to check their rows one by one"
        )
    v = stored_values(code.orbit.documents(), code.dtype, scale="together")
    for index in doubtful.tolist():
        members = np.array([0, index + 1]) if code.k == 2 else necklaces(n, code.k)[index]
        least = min(least, _rows_as_stored(code, v, index, members))
    return least * (1 - 1e-12)


def _rows_as_stored(code: OrbitCode, v: Floats, index: int, members: Ints) -> float:
    """The least half-gap of the rotations of these members as stored, by the bound of `witness`, without rationals: raises where
    it decides nothing."""
    n, d = v.shape
    query = code.queries[index]
    relative = d * FLOAT64_ROUNDOFF / (1 - d * FLOAT64_ROUNDOFF) * (1 + 1e-9)
    largest = float(np.sqrt((v * v).sum(1)).max()) * (1 + 1e-12)
    least = math.inf
    step = max(1, _CHUNK // n)
    rows = n // 2 if code.k == 2 and 2 * members[1] == n else n
    for at in range(0, rows, step):
        starts = np.arange(at, min(rows, at + step))
        exact = code.orbit.queries(query, members[1], starts) if code.k == 2 else code.orbit.turned(query, starts)
        u = stored_values(exact, code.dtype, scale="each")
        s = u @ v.T
        inside = (starts[:, None] + members) % n
        low = np.take_along_axis(s, inside, 1).min(1)
        np.put_along_axis(s, inside, -np.inf, 1)
        lengths = np.sqrt((u * u).sum(1)) * (1 + 1e-12)
        gap = (low - s.max(1) - 2 * relative * lengths * largest) / (2 * lengths * largest)
        if not (gap > 0).all():
            worst = ", ".join(map(str, inside[int(np.argmin(gap))].tolist()))
            raise CertificateError(f"the set {{{worst}}} is not shown to be strict as stored in {code.dtype}")
        least = min(least, float(gap.min()))
    return least


def check(code: OrbitCode) -> str:
    """How the code was checked: "integers" or "directed floating point". Raises `CertificateError` unless it has the half-gap
    that it claims, in exact numbers and, where a dtype is named, as stored."""
    return check_certificate(code.certificate)


def check_certificate(certificate: Certificate) -> str:
    """As `check`, for a certificate of kind `orbit` with the claim that it makes.

    Integers decide where that is within the kernel's bound on work (`certificates.check`), else floating point with directed
    bounds.
    """
    code = of_certificate(certificate)
    integers = affordable(code)
    if integers:
        certificates.check(certificate)
    elif (
        certificate.notion not in ("order_preserving", "cosine") or certificate.side != "upper"
        or certificate.value < code.d or certificate.matrix.get("at_most", False)
    ):  # fmt: skip
        raise CertificateError(
            f"an orbit of {code.d} dimensions, too large for integers, does not prove {certificate.notion} "
            f"{certificate.side} {certificate.value}"
        )
    gaps = None if integers and code.dtype == "real" else half_gaps(code.orbit, code.k, code.queries)
    if not integers and gaps is not None and Fraction(float(gaps.min())) < code.half_gap:
        raise CertificateError("the half-gap claimed is not shown, and the code is too large for integers")
    if code.dtype != "real" and stored_margin(code, gaps) < code.margin:
        raise CertificateError(
            f"the arrays as stored in {code.dtype} are not shown to have the half-gap {code.margin:g}"
        )
    return "integers" if integers else "directed floating point"


def affordable(code: OrbitCode) -> bool:
    """Whether integers alone check this code within `certificates.MOST_STEPS`."""
    n, a = code.orbit.n, code.orbit.amplitudes
    if len(code.queries) == 0 or not orbit_proof.holds(n, code.queries.shape[1]):
        return False
    largest = int(np.abs(code.queries).astype(object).sum(1).max()) * max(a)
    return orbit_proof.work(n, code.k, len(a), len(code.queries), largest) < certificates.MOST_STEPS


def good_length(n: int, d: int) -> int:
    """A number of documents from n on whose orbits have much to choose from.

    For even d a prime, and where that costs little one whose units have a group of d elements, which can be the frequencies; for
    odd d, whose last coordinate is (-1)^t, an even number.
    """
    if d % 2:
        return n + n % 2
    step = d if d >= 8 and 200 <= n <= 10_000 else 2
    n += (1 - n) % step
    while any(n % p == 0 for p in range(3, math.isqrt(n) + 1, 2)) or n % 2 == 0:
        n += step
    return n


def quantised(directions: Floats, half_gap: float) -> Ints:
    """Directions as integers, so fine that rounding them costs less than a thousandth of the half-gap."""
    bits = min(40, max(10, math.ceil(-math.log2(max(half_gap, 1e-10))) + 12))
    return np.rint(directions * 2.0**bits).astype(np.int64)
