"""The checker: it accepts a claim where the certificate's data prove it, and says why where they do not."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from limitbench.certificates.claims import NOTIONS, Certificate, Proof, implied
from limitbench.certificates.kinds import (
    antipodal_shattering,
    blocks,
    closed_form,
    embedding,
    forster,
    kuratowski,
    moment_curve,
    not_in_cycle,
    orbit,
    planar_embedding,
    rank_two,
    ranks,
    sign_changes,
    trivial,
    vc_dimension,
    z2_connectivity,
)
from limitbench.certificates.matrices import AllSubsets, Explicit, Matrix, Relevance
from limitbench.certificates.work import Steps, require
from limitbench.errors import CertificateError, InputError

CHECKERS: dict[str, Callable[[Matrix, Mapping[str, Any], Steps], Iterable[Proof]]] = {
    "antipodal-shattering": antipodal_shattering.proofs,
    "vc-dimension": vc_dimension.proofs,
    "z2-connectivity": z2_connectivity.proofs,
    "rank-two": rank_two.proofs,
    "forster": forster.proofs,
    "kuratowski": kuratowski.proofs,
    "not-in-cycle": not_in_cycle.proofs,
    "planar-embedding": planar_embedding.proofs,
    "sign-changes": sign_changes.proofs,
    "moment-curve": moment_curve.proofs,
    "trivial": trivial.proofs,
    "rank": ranks.proofs,
    "embedding": embedding.proofs,
    "blocks": blocks.proofs,
    "closed-form": closed_form.proofs,
    "orbit": orbit.proofs,
}


def check(certificate: Certificate, relevance: Relevance | None = None) -> None:
    """Raise `CertificateError`, saying where, unless the certificate proves its claim about this matrix.

    A certificate about all k-subsets needs no matrix; one about given qrels needs them, or their rows (`Explicit`), which a caller
    that checks many makes once. Raises `InputError` where a matrix is needed and missing.
    """
    _require_shape(certificate)
    matrix = _matrix(certificate.matrix, relevance)
    best: int | None = None
    lower = certificate.side == "lower"
    try:
        steps = Steps()
        for proof in CHECKERS[certificate.kind](matrix, certificate.data, steps):
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


def verify(certificate: Certificate, relevance: Relevance | None = None) -> bool:
    """Whether the certificate proves its claim about this matrix; `check` says why not."""
    try:
        check(certificate, relevance)
    except CertificateError:
        return False
    return True


def _require_shape(certificate: Certificate) -> None:
    """Raise `CertificateError` where a part of the certificate is of another type or unknown."""
    require(type(certificate.value) is int, f"the claim is {certificate.value!r}, expected a whole number")
    require(
        isinstance(certificate.kind, str) and certificate.kind in CHECKERS, f"there is no kind {certificate.kind!r}"
    )
    require(certificate.notion in NOTIONS, f"there is no notion {certificate.notion!r}")
    require(certificate.side in ("lower", "upper"), f"there is no side {certificate.side!r}")
    require(
        isinstance(certificate.matrix, Mapping) and isinstance(certificate.data, Mapping),
        "the matrix or the data is no table",
    )


def _matrix(name: Mapping[str, Any], relevance: Relevance | None) -> Matrix:
    """The matrix that a certificate names. Raises `CertificateError` where another is given."""
    if "sha256" not in name:
        try:
            own = AllSubsets(name["n"], name["k"], name.get("at_most", False))
        except (KeyError, InputError) as error:
            raise CertificateError(f"the matrix is not named: {error}") from None
        if relevance is not None and relevance != own:
            raise CertificateError(f"the certificate is about all subsets ({own}), not about the matrix given")
        return own
    if relevance is None or isinstance(relevance, AllSubsets):
        raise InputError("this certificate is about given qrels; pass them (on the command line: --qrels FOLDER|FILE)")
    rows = relevance if isinstance(relevance, Explicit) else relevance.explicit()
    if rows.sha256 != name["sha256"]:
        raise CertificateError("the certificate is about other qrels: the digests differ")
    shape = (rows.n_queries, rows.n_documents)
    if (name.get("queries", rows.n_queries), name.get("documents", rows.n_documents)) != shape:
        raise CertificateError("the certificate names another number of queries or documents than its digest")
    return rows
