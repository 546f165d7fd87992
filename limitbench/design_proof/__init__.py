"""Claims that a system of another family can, or cannot, return all k-subsets of n documents, and the checker of such claims.

A system is multi-vector (MaxSim), sparse, or two stages: a first stage whose c candidates an exact reranker orders. A claim names
the system, the answer, a kind of proof and its data. Each kind is one function, which raises `CertificateError` unless the data
prove the claim. Integers alone decide; the proofs are in theory/multi-vector.md, theory/sparse.md and theory/two-stages.md.

**Work.** A number of more than `counting.MOST_BITS` bits is not computed, and lists are read up to a bounded length. A check that
would need more is refused.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, get_args

from limitbench.design_proof import multi_vector, sparse, two_stages
from limitbench.design_proof.counting import Checker, require, shown, whole
from limitbench.design_proof.systems import (
    QUERY_WEIGHTS,
    SYSTEMS,
    Answer,
    MultiVector,
    QueryWeights,
    Sparse,
    System,
    TwoStages,
)
from limitbench.dtypes import DTYPES
from limitbench.errors import CertificateError, DataError, InputError
from limitbench.files import atomic_write

__all__ = [
    "KINDS", "SCHEMA", "Answer", "Claim", "MultiVector", "QueryWeights", "Sparse", "System", "TwoStages", "check", "holds", "read",
    "write",
]  # fmt: skip

SCHEMA = "limitbench.design-certificate.v1"
_CHECKERS: dict[str, dict[str, tuple[Answer, Checker]]] = {
    "multi-vector": multi_vector.CHECKERS,
    "sparse": sparse.CHECKERS,
    "two-stages": two_stages.CHECKERS,
}
_BROKEN = (  # what checks raise on data made to break them
    KeyError, TypeError, IndexError, ValueError, ArithmeticError, AttributeError, RecursionError, MemoryError,
)  # fmt: skip
KINDS: dict[str, dict[str, Answer]] = {
    family: {kind: answer for kind, (answer, _) in kinds.items()} for family, kinds in _CHECKERS.items()
}


@dataclass(frozen=True)
class Claim:
    """That this system can ("possible") or cannot return all k-subsets of n documents, with a kind of proof and its data."""

    answer: Answer
    n: int
    k: int
    system: System
    kind: str
    data: Mapping[str, Any]

    def to_json(self) -> dict[str, Any]:
        """The claim as JSON-ready values, as theory/design-certificate.schema.json describes."""
        return {
            "schema": SCHEMA,
            "claim": {"answer": self.answer, "n": self.n, "k": self.k, "family": self.system.family, **asdict(self.system)},
            "kind": self.kind,
            "data": dict(self.data),
        }  # fmt: skip

    @classmethod
    def from_json(cls, raw: Any) -> Claim:
        """The claim in such values. Raises `InputError` where they have another shape."""
        try:
            if raw["schema"] != SCHEMA:
                raise InputError(
                    f"found schema {shown(raw['schema'])}, expected {SCHEMA!r}; update limitbench or the file"
                )
            said = dict(raw["claim"])
            system = SYSTEMS[said.pop("family")]
            size = {field.name: said.pop(field.name) for field in fields(system)}
            out = cls(said.pop("answer"), said.pop("n"), said.pop("k"), system(**size), raw["kind"], raw["data"])
        except KeyError as error:
            raise InputError(f"this is no claim about a design: {shown(error.args[0])} is missing or unknown") from None
        except (TypeError, ValueError, AttributeError):
            raise InputError("this is no claim about a design: a part of it has another shape") from None
        if said:
            raise InputError(f"found {shown(next(iter(said)))} in the claim, expected nothing of that name")
        try:
            _shapes(out)
        except CertificateError as error:
            raise InputError(str(error)) from None
        return out


def check(claim: Claim) -> None:
    """Raise `CertificateError`, saying why, unless the claim's data prove it."""
    _shapes(claim)
    answer, checker = _CHECKERS[claim.system.family][claim.kind]
    require(answer == claim.answer, f"a {claim.kind} proof cannot show that something is {claim.answer}")
    try:
        checker(claim.n, claim.k, claim.system, claim.data)
    except _BROKEN as error:
        raise CertificateError(f"the data of a {claim.kind} proof are broken ({type(error).__name__})") from None


def holds(claim: Claim) -> bool:
    """Whether the claim's data prove it; `check` says why not."""
    try:
        check(claim)
    except CertificateError:
        return False
    return True


def write(claims: Sequence[Claim], path: Path) -> None:
    """Write claims as one JSON file, whole or not at all."""
    with atomic_write(path) as out:
        held = {"schema": SCHEMA, "certificates": [claim.to_json() for claim in claims]}
        out.write(json.dumps(held, separators=(",", ":")).encode() + b"\n")


def read(path: Path) -> list[Claim] | None:
    """The claims of a JSON file; None where it holds no claims about designs. Raises `DataError` where one is malformed."""
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None  # `certificates.read` says what is wrong
    if not isinstance(raw, dict) or raw.get("schema") != SCHEMA:
        return None
    listed = raw.get("certificates", [raw])
    try:
        if not isinstance(listed, list) or not listed:
            raise InputError("the file holds no certificate")
        return [Claim.from_json(one) for one in listed]
    except InputError as error:
        raise DataError(path, str(error)) from None


def _shapes(claim: Claim) -> None:
    """Refuse a claim whose numbers and names are not what they must be."""
    require(type(claim.system) in SYSTEMS.values(), "the system is of no family")
    kinds = _CHECKERS[claim.system.family]
    require(
        isinstance(claim.kind, str) and claim.kind in kinds,
        f"found the kind {shown(claim.kind)}, expected one of {', '.join(kinds)}",
    )
    require(
        claim.answer in get_args(Answer), f"found the answer {shown(claim.answer)}, expected possible or impossible"
    )
    require(isinstance(claim.data, dict), "the data must be a table")
    n = whole(claim.n, 2, "number of documents n")
    require(whole(claim.k, 1, "number of relevant documents k") < n, "k must be below n")
    for name in (field.name for field in fields(claim.system)):
        value = getattr(claim.system, name)
        if name == "dtype":
            require(
                isinstance(value, str) and value in DTYPES,
                f"found the dtype {shown(value)}, expected one of {', '.join(DTYPES)}",
            )
        elif name == "query_weights":
            require(isinstance(value, str) and value in QUERY_WEIGHTS, f"found the query weights {shown(value)}")
        else:
            whole(value, 1, name, 10**12)
    system = claim.system
    if isinstance(system, Sparse):
        require(system.query_weights != "containment" or system.dtype == "binary", "containment is of binary documents")
        require(system.document_terms <= system.terms, "a document has no more terms than there are")
    if isinstance(system, TwoStages):
        require(claim.k <= system.candidates, "there must be at least k candidates")
