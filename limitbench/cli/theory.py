"""`limitbench bounds` and `verify`."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from limitbench.cli.options import GradesFrom, JsonFlag, QrelsSource, Split, read_relevance
from limitbench.cli.output import echo_json, print_table, say
from limitbench.errors import CertificateError, InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from limitbench.certificates import AllSubsets, Certificate
    from limitbench.design_proof import Claim
    from limitbench.relevance import Qrels


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(bounds)
    app.command()(verify)


def bounds(
    n: Annotated[str | None, typer.Option("--n", help="Documents, such as 46 or 1e6.")] = None,
    k: Annotated[str | None, typer.Option("--k", help="Relevant documents per query: all k-subsets.")] = None,
    at_most: Annotated[bool, typer.Option("--at-most", help="All subsets of at most k.")] = False,
    qrels: QrelsSource = None,
    min_grade: GradesFrom = None,
    notion: Annotated[
        list[str] | None, typer.Option("--notion", help="Only these; repeats. Default: all four.")
    ] = None,
    budget: Annotated[
        float, typer.Option("--budget", help="Seconds of search for one notion; the others get a fifth each.")
    ] = 5.0,
    split: Split = "test",
    certificate: Annotated[Path | None, typer.Option("--certificate", help="Write the certificates there.")] = None,
    every: Annotated[bool, typer.Option("--all", help="Show every bound that was tried.")] = False,
    json: JsonFlag = False,
) -> None:
    """Bracket the embedding dimension that a relevance matrix needs, with certificates.

    Notions: order_preserving (what ranking needs), sign_rank, global_threshold, cosine.
    """
    from limitbench import certificates
    from limitbench.relevance import Qrels, graded_note
    from limitbench.theory import brackets

    matrix = _matrix(n, k, at_most, qrels, split, min_grade)
    wanted: Any = notion or certificates.NOTIONS
    found = brackets(matrix, wanted, budget_s=budget)
    if certificate is not None:
        made = [c for b in found for c in b.certificates]
        certificates.write(made, certificate)
        say(f"wrote {len(made)} certificates to {certificate}; check them with: limitbench verify {certificate}")
    if json:
        echo_json({"schema_version": 1, "brackets": [b.to_json() for b in found]})
        return
    head = ["notion", "dimension", "side", "evidence", "method", "because", "source"]
    rows = []
    for b in found:
        value = str(b.exact) if b.exact is not None else f"{b.lower.value} to {b.upper.value}"
        shown = b.bounds if every else (b.lower, b.upper)
        for number, one in enumerate(shown):
            first = [b.notion, value] if number == 0 else ["", ""]
            sign = ">=" if one.side == "lower" else "<="
            how = f"{one.evidence} ({one.established})"
            rows.append([*first, f"{sign} {one.value}", how, one.method, one.detail, one.citation])
    print_table(head, rows, title=found[0].matrix, caption=f"Assumes: {found[0].lower.assumptions[0]}.", keep=4)
    said = graded_note(matrix) if isinstance(matrix, Qrels) else None  # when it was read
    for note in dict.fromkeys(note for b in found for note in b.notes if note != said):
        say(note)


def _matrix(
    n: str | None, k: str | None, at_most: bool, qrels: str | None, split: str, min_grade: int | None
) -> Qrels | AllSubsets:
    from limitbench.certificates import AllSubsets
    from limitbench.theory.exact import as_count

    if qrels is not None and (n is not None or k is not None):
        raise InputError("found --qrels together with --n or --k; give the one or the others")
    if qrels is not None:
        return read_relevance(qrels, split, min_grade)
    if n is None or k is None:
        raise InputError("expected --n and --k, or --qrels FOLDER|FILE")
    return AllSubsets(as_count(n, "--n"), as_count(k, "--k"), at_most)


def verify(
    file: Annotated[Path, typer.Argument(help="A file of certificates, or a witness .npz.")],
    qrels: Annotated[str | None, typer.Option("--qrels", help="The dataset, folder or qrels file it is about.")] = None,
    split: Split = "test",
    min_grade: GradesFrom = None,
    json: JsonFlag = False,
) -> None:
    """Check certificates of `bounds` and `design` with integers alone, or a witness of `capacity` without torch.

    A symmetric code of `capacity --solver orbit` is a certificate; what it says of stored arrays is checked as well.

    Exit 0 accepted, 1 refused, 2 unreadable or qrels missing.
    """
    from limitbench import certificates, design_proof
    from limitbench.capacity import witness

    if witness.is_witness(file):
        _verify_witness(file, read_relevance(qrels, split, min_grade) if qrels is not None else None, json)
        return
    claims = design_proof.read(file)
    if claims is not None:
        if qrels is not None:
            raise InputError("found --qrels with claims about a design, which are about all k-subsets; leave it out")
        _verify_claims(claims, json)
        return
    matrix = read_relevance(qrels, split, min_grade) if qrels is not None else None
    _verify_certificates(certificates.read(file), matrix, json)


def _verify_certificates(found: Sequence[Certificate], matrix: Qrels | None, json: bool) -> None:
    """Check what `limitbench bounds --certificate` wrote, and symmetric codes."""
    checked = [_verdict(one, matrix) for one in found]
    refused = any(one.why for one in checked)
    if json:
        rows = [
            {
                "claim": {"notion": c.notion, "side": c.side, "value": c.value},
                "kind": c.kind,
                **_shown_orbit(c),
                "accepted": not one.why,
                "why": one.why,
                "checked_with": one.how,
            }
            for one in checked
            for c in [one.certificate]
        ]
        echo_json({"schema_version": 1, "accepted": not refused, "certificates": rows})
    else:
        for one in checked:
            typer.echo(one.line)
    if refused:
        raise typer.Exit(1)


@dataclass(frozen=True)
class _Verdict:
    """One certificate, why it is refused where it is, and what it was checked with."""

    certificate: Certificate
    why: str
    how: str

    @property
    def line(self) -> str:
        """The verdict on one certificate, as a line for people."""
        c, orbit = self.certificate, _shown_orbit(self.certificate)
        claim = f"{c.notion} {'>=' if c.side == 'lower' else '<='} {c.value} ({c.kind})"
        if orbit:
            from limitbench.theory.codes import named

            claim = (
                f"all {named(c.matrix['k'])} of {orbit['n']} documents in {c.value} dimensions with half-gap "
                f"{float(Fraction(orbit['half_gap'])):.4g} (orbit{f', checked with {self.how}' if self.how else ''})"
            )
            if "stored" in orbit:
                claim += f"; stored in {orbit['stored']['dtype']}, {orbit['stored']['half_gap']:.4g}"
        return f"{'refused ' if self.why else 'accepted'} {claim}{': ' + self.why if self.why else ''}"


def _verdict(certificate: Certificate, matrix: Qrels | None) -> _Verdict:
    from limitbench import certificates
    from limitbench.capacity import orbits

    try:
        if certificate.kind == "orbit" and matrix is None:
            return _Verdict(certificate, "", orbits.check_certificate(certificate))
        certificates.check(certificate, matrix)
    except CertificateError as error:
        return _Verdict(certificate, str(error), "")
    return _Verdict(certificate, "", "integers")


def _verify_claims(claims: list[Claim], json: bool) -> None:
    """Check what `limitbench design --certificate` wrote."""
    from limitbench import design_proof

    refused, rows = False, []
    for claim in claims:
        try:
            design_proof.check(claim)
            why = ""
        except CertificateError as error:
            refused, why = True, str(error)
        said = claim.to_json()
        rows.append(
            {"claim": said["claim"], "kind": claim.kind, "accepted": not why, "why": why, "checked_with": "integers"}
        )
        if not json:
            sizes = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in vars(claim.system).items())
            what = f"{claim.system.family} ({sizes}): all {claim.k}-subsets of {claim.n} documents {claim.answer} ({claim.kind})"
            typer.echo(f"{'refused ' if why else 'accepted'} {what}{': ' + why if why else ''}")
    if json:
        echo_json({"schema_version": 1, "accepted": not refused, "certificates": rows})
    if refused:
        raise typer.Exit(1)


def _shown_orbit(certificate: Any) -> dict[str, Any]:
    """What a symmetric code claims, beside a dimension; nothing for other certificates, or where it names it badly."""
    from limitbench.capacity import orbits

    if certificate.kind != "orbit":
        return {}
    try:
        code = orbits.of_certificate(certificate)
    except CertificateError:
        return {}
    out: dict[str, Any] = {"n": code.orbit.n, "half_gap": f"{code.half_gap.numerator}/{code.half_gap.denominator}"}
    return out if code.dtype == "real" else {**out, "stored": {"dtype": code.dtype, "half_gap": code.margin}}


def _verify_witness(file: Path, qrels: Qrels | None, json: bool) -> None:
    from limitbench.capacity import witness

    held, digest = witness.read(file)
    matrix = ", ".join(f"{name} = {value}" for name, value in held.matrix.items())
    claim = f"all rows strict in {held.d} dimensions of {held.dtype} ({matrix})"
    found, why = None, ""
    try:
        if digest != held.digest:
            raise CertificateError("the digest is not that of the header and the arrays")
        found = witness.check(held, qrels)
    except CertificateError as error:
        why = str(error)
    if json:
        checked = (
            None
            if found is None
            else {
                "margin": found.margin,
                "rows": found.rows,
                "rational_rows": found.rational_rows,
                "vacuous": found.vacuous,
            }
        )
        claimed = {**held.header(), "digest": digest}
        echo_json({"schema_version": 1, "accepted": not why, "witness": claimed, "checked": checked, "why": why})
    elif found is None:
        typer.echo(f"refused  {claim}: {why}")
    elif found.vacuous:
        typer.echo(f"accepted {claim}: vacuous, since no query has both relevant and other documents")
    else:
        exact = f", {found.rational_rows} of them in exact arithmetic" if found.rational_rows else ""
        typer.echo(f"accepted {claim}: {found.rows} rows{exact}, margin at least {found.margin:.6g}")
    if why:
        raise typer.Exit(1)
