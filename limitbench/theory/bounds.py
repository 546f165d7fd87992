"""What a bound is: a side, a value, how it was established, and the certificate that proves it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from limitbench.certificates import Certificate, Notion, Side
from limitbench.tables import Tabular

Evidence: TypeAlias = Literal["proved", "constructed", "measured", "empirical"]
Established: TypeAlias = Literal["theorem", "certificate", "solver", "float"]
STRICT = "scores are exact real numbers and relevant ones strictly larger; with ties broken by index one dimension fewer can do"


@dataclass(frozen=True)
class Bound:
    """One bound on one notion of dimension.

    `established` says how: by a theorem about the matrix' parameters, a certificate that the checker accepts, a solver's
    word or floating point. The last two are never `proved`.
    """

    side: Side
    value: int
    notion: Notion
    method: str
    citation: str
    evidence: Evidence
    established: Established
    assumptions: tuple[str, ...] = (STRICT,)
    certificate: Certificate | None = None
    detail: str = ""

    def __post_init__(self) -> None:
        if self.evidence == "proved" and self.established in ("solver", "float"):
            raise ValueError(f"{self.method}: what a {self.established} says is not proved")
        if self.established == "certificate" and self.certificate is None:
            raise ValueError(f"{self.method}: established by certificate, without one")

    def __repr__(self) -> str:
        return f"Bound({self.side} {self.value} for {self.notion}, by {self.method}: {self.evidence} by {self.established})"

    def to_json(self) -> dict[str, Any]:
        """JSON-ready values, the certificate aside."""
        return {
            "side": self.side,
            "value": self.value,
            "notion": self.notion,
            "method": self.method,
            "citation": self.citation,
            "evidence": self.evidence,
            "established": self.established,
            "assumptions": list(self.assumptions),
            "detail": self.detail,
            "certified": self.certificate is not None,
        }


@dataclass(frozen=True)
class Bracket(Tabular):
    """The best certified lower and upper bound on one notion, and every bound that was tried."""

    notion: Notion
    lower: Bound
    upper: Bound
    bounds: tuple[Bound, ...]
    matrix: str
    seconds: float
    notes: tuple[str, ...] = ()

    def __repr__(self) -> str:
        low, high = self.lower, self.upper
        return (
            f"Bracket({self.notion}: at least {low.value} ({low.evidence}, {low.method}), at most {high.value} ({high.evidence}, "
            f"{high.method}); {len(self.bounds)} bounds)"
        )

    def table_rows(self) -> list[dict[str, Any]]:
        """One row a bound."""
        keys = ("side", "value", "notion", "method", "evidence", "established", "citation")
        return [{key: getattr(bound, key) for key in keys} for bound in self.bounds]

    @property
    def exact(self) -> int | None:
        """The value, where both sides meet."""
        return self.lower.value if self.lower.value == self.upper.value else None

    def to_json(self) -> dict[str, Any]:
        """JSON-ready values."""
        return {
            "notion": self.notion,
            "matrix": self.matrix,
            "lower": self.lower.to_json(),
            "upper": self.upper.to_json(),
            "exact": self.exact,
            "bounds": [bound.to_json() for bound in self.bounds],
            "notes": list(self.notes),
            "seconds": self.seconds,
        }

    @property
    def certificates(self) -> tuple[Certificate, ...]:
        """The certificates of the best lower and the best upper bound."""
        return tuple(b.certificate for b in (self.lower, self.upper) if b.certificate is not None)


# how much larger the second notion can be than the first, on any matrix: rop <= gt <= pm <= rop + 1, rop <= cos <= rop + 1,
# cos <= pm
_LARGER: dict[tuple[Notion, Notion], int] = {
    ("order_preserving", "global_threshold"): 1,
    ("order_preserving", "sign_rank"): 1,
    ("order_preserving", "cosine"): 1,
    ("global_threshold", "order_preserving"): 0,
    ("global_threshold", "sign_rank"): 1,
    ("global_threshold", "cosine"): 1,
    ("sign_rank", "order_preserving"): 0,
    ("sign_rank", "global_threshold"): 0,
    ("sign_rank", "cosine"): 0,
    ("cosine", "order_preserving"): 0,
    ("cosine", "global_threshold"): 1,
    ("cosine", "sign_rank"): 1,
}


def transferred(bound: Bound, notion: Notion) -> int:
    """What a bound on one notion says of another: an upper bound may be that much larger there, a lower bound smaller."""
    if bound.notion == notion:
        return bound.value
    if bound.side == "upper":
        return bound.value + _LARGER[bound.notion, notion]
    return bound.value - _LARGER[notion, bound.notion]


_RANK = {"proved": 0, "constructed": 0, "measured": 1, "empirical": 2}


def best(bounds: Iterable[Bound], side: Side) -> Bound:
    """The tightest bound of this side that is proved or constructed; the first of equals."""
    sure = [b for b in bounds if b.side == side and _RANK[b.evidence] == 0]
    return max(sure, key=lambda b: b.value) if side == "lower" else min(sure, key=lambda b: b.value)
