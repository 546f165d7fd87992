"""What a certificate claims and holds, and what follows from what is proved.

The inequalities

    rop <= gt <= pm <= rop + 1        rop <= cos <= pm        cos <= rop + 1

hold between the order-preserving rank, the global-threshold rank, the sign rank and the cosine (unit documents) rank. For the last:
inverse stereographic projection turns half-spaces of R^d into half-spaces that meet the sphere in R^(d+1).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from limitbench.errors import InputError

Notion: TypeAlias = Literal["sign_rank", "order_preserving", "global_threshold", "cosine"]


Side: TypeAlias = Literal["lower", "upper"]


NOTIONS: tuple[Notion, ...] = ("sign_rank", "order_preserving", "global_threshold", "cosine")


SCHEMA = "limitbench.certificate.v1"


KINDS: tuple[str, ...] = (
    "antipodal-shattering", "vc-dimension", "z2-connectivity", "rank-two", "forster", "kuratowski", "not-in-cycle",
    "planar-embedding", "sign-changes", "moment-curve", "trivial", "rank", "embedding", "blocks", "closed-form", "orbit",
)  # fmt: skip
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
        if not isinstance(out.kind, str) or out.kind not in KINDS:
            raise InputError(f"found the kind {out.kind!r}, expected one of {', '.join(KINDS)}")
        return out


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
