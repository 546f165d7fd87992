"""`limitbench design`: can a design carry all k-subsets? Single vectors, MaxSim, sparse vectors, two stages."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from limitbench.cli.options import JsonFlag
from limitbench.cli.output import echo_json, print_table, say, status_line
from limitbench.errors import InputError

if TYPE_CHECKING:
    from limitbench.theory.families import FamilyVerdict

FAMILIES = ("single-vector", "multi-vector", "sparse", "two-stages")
_FAMILY_OF = {
    "--query-tokens": "multi-vector", "--document-tokens": "multi-vector", "--document-terms": "sparse",
    "--query-terms": "sparse", "--query-weights": "sparse",
}  # fmt: skip


# the options of `design`
Documents = Annotated[
    str | None,
    typer.Option("--n", help="Documents, such as 46 or 1e6. Leave out to ask how many (single vectors)."),
]
Relevant = Annotated[str, typer.Option("--k", help="Relevant documents of a query.")]
Dimensions = Annotated[
    str | None,
    typer.Option(
        "--dim", help="Dimensions of a vector; terms of the vocabulary with sparse. Leave out to ask how many."
    ),
]
StoredDtype = Annotated[str, typer.Option(help="How vectors are stored: real, fp64, fp32, bf16, fp16, int8 or binary.")]
HalfGap = Annotated[
    str | None,
    typer.Option(help="Half the score gap between relevant and other documents that unit vectors must keep."),
]
RecallAsked = Annotated[
    str | None, typer.Option(help="An average recall that is enough, such as 0.9, instead of every set in full.")
]
ListLength = Annotated[str | None, typer.Option(help="With --recall: documents of a list. Default: k.")]
Candidates = Annotated[
    str | None,
    typer.Option(
        help="Documents that a first stage of single vectors hands to an exact reranker (implies two-stages)."
    ),
]
Family = Annotated[
    str,
    typer.Option(
        help="single-vector (one embedding a text), multi-vector (ColBERT, MaxSim), sparse (SPLADE, BM25) or two-stages "
        "(single vectors, then a reranker)."
    ),
]
QueryTokens = Annotated[str | None, typer.Option(help="With multi-vector: vectors of a query, such as 32.")]
DocumentTokens = Annotated[str | None, typer.Option(help="With multi-vector: vectors of a document, such as 128.")]
DocumentTerms = Annotated[
    str | None, typer.Option(help="With sparse: terms of a document that are not zero, such as 128.")
]
QueryTerms = Annotated[str | None, typer.Option(help="With sparse: terms of a query that are not zero, such as 32.")]
QueryWeightsKind = Annotated[
    str | None,
    typer.Option(
        help="With sparse: real, nonnegative, equal, or containment (documents whose terms the query names all). "
        "Default: nonnegative."
    ),
]
CertificateFile = Annotated[
    Path | None, typer.Option("--certificate", help="Write the proofs there (two-stages, multi-vector and sparse).")
]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(design)


def design(
    n: Documents = None,
    k: Relevant = "2",
    dim: Dimensions = None,
    dtype: StoredDtype = "real",
    margin: HalfGap = None,
    recall: RecallAsked = None,
    at: ListLength = None,
    candidates: Candidates = None,
    family: Family = "single-vector",
    query_tokens: QueryTokens = None,
    document_tokens: DocumentTokens = None,
    document_terms: DocumentTerms = None,
    query_terms: QueryTerms = None,
    query_weights: QueryWeightsKind = None,
    certificate: CertificateFile = None,
    json: JsonFlag = False,
) -> None:
    """Say whether a design can return every set of k documents out of n: impossible, possible or open, and why.

    Leave out --dim to ask how many dimensions are enough. Three questions of a RAG team:

    limitbench design --n 1e6 --k 10 --dim 768 --dtype int8 (can one embedding do it?)

    limitbench design --n 1e6 --k 10 --recall 0.9 --at 100 (how many dimensions at least, for recall@100 of 0.9?)

    limitbench design --n 1e6 --k 10 --dim 12 --family two-stages (how many candidates must the reranker see?)
    """
    sizes = {
        "--query-tokens": query_tokens, "--document-tokens": document_tokens, "--document-terms": document_terms,
        "--query-terms": query_terms, "--query-weights": query_weights,
    }  # fmt: skip
    if candidates is not None and family == "single-vector":
        family = "two-stages"
    _go_together(family, sizes, recall=recall, at=at, candidates=candidates, certificate=certificate)
    if recall is not None:
        _recall(n, k, dim, dtype, margin, recall, at, json)
    elif family == "single-vector":
        _single(n, k, dim, dtype, margin, json)
    else:
        if n is None:
            raise InputError("found no --n, expected the number of documents, such as --n 1e6")
        with status_line() as status:
            status("counting and constructing")
            found = _asked(family, n, k, dim, dtype, margin, candidates, sizes)
        _told(found, certificate, json)


def _go_together(
    family: str, sizes: dict[str, str | None], *, recall: str | None, at: str | None, candidates: str | None,
    certificate: Path | None,
) -> None:  # fmt: skip
    """Raise `InputError` for options of which one is not about the family, or needs another."""
    if family not in FAMILIES:
        raise InputError(f"found --family {family}, expected {', '.join(FAMILIES)}")
    for option, of in _FAMILY_OF.items():
        if sizes[option] is not None and family != of:
            raise InputError(f"found {option} with --family {family}, expected --family {of}")
    if at is not None and recall is None:
        raise InputError("found --at without --recall; give both, such as --recall 0.9 --at 100")
    if candidates is not None and family != "two-stages":
        raise InputError(f"found --candidates with --family {family}, expected --family two-stages, or none")
    if recall is not None and family != "single-vector":
        raise InputError("--recall is about single vectors without a second stage; leave out --candidates and --family")
    if certificate is not None and family == "single-vector":
        raise InputError(
            "--certificate goes with two-stages, multi-vector or sparse; for single vectors: limitbench bounds"
        )


def _asked(
    family: str, n: str, k: str, dim: str | None, dtype: str, margin: str | None, candidates: str | None,
    sizes: dict[str, str | None],
) -> FamilyVerdict:  # fmt: skip
    """The verdict on a system of this family."""

    def given(option: str) -> str:
        value = sizes[option]
        if value is None:
            raise InputError(f"found no {option}, expected a number, such as {option} 32")
        return value

    if family == "multi-vector":
        from limitbench.theory.multi_vector import multi_vector

        tokens = {"query_tokens": given("--query-tokens"), "document_tokens": given("--document-tokens")}
        return multi_vector(n, k, dim, dtype=dtype, margin=margin, **tokens)
    if family == "sparse":
        from limitbench.theory.sparse import sparse

        if margin is not None:
            raise InputError("found --margin with --family sparse, for which no bound with a margin is known here")
        terms = {"document_terms": given("--document-terms"), "query_terms": given("--query-terms")}
        weights: Any = sizes["--query-weights"] or "nonnegative"
        return sparse(n, k, dim, dtype=dtype, query_weights=weights, **terms)
    from limitbench.theory.two_stages import two_stages

    if candidates is None and dim is None:
        raise InputError("found neither --dim nor --candidates with --family two-stages, expected at least one")
    return two_stages(n, k, dim, candidates=candidates, dtype=dtype, margin=margin)


def _told(found: FamilyVerdict, certificate: Path | None, json: bool) -> None:
    """The verdict on a system of another family."""
    from limitbench import design_proof

    if certificate is not None:
        if found.claims:
            design_proof.write(found.claims, certificate)
            say(
                f"wrote {len(found.claims)} certificates to {certificate}; check them with: limitbench verify {certificate}"
            )
        else:
            say(f"there is no certificate to write to {certificate}: nothing is proved, or it rests on a margin")
    if json:
        echo_json({"schema_version": 1, **found.to_json()})
        return
    gap = f", half-gap {float(found.margin):g}" if found.margin is not None else ""
    what = f"for all {found.k}-subsets of {found.n}{gap}"
    sizes = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in found.system.items() if value is not None)
    if found.asked is None:
        rows = [[f"{found.family}: {sizes}, {what}", str(found.verdict)]]
    else:
        name = {"dim": "dimensions", "terms": "terms", "candidates": "candidates"}[found.asked]
        rows = [
            [f"{found.family}: {sizes}, {what}: least number of {name} found enough", _number(found.least_sufficient)],
            [f"greatest number of {name} proved too small", _capped(found.greatest_insufficient)],
        ]
    print_table(["question", "answer"], rows, keep=2)
    if found.reasons:
        print_table(
            ["because", "answer", "evidence", "inequality", "source"],
            [[r.method, r.verdict, r.evidence, r.inequality, r.citation] for r in found.reasons],
            keep=4,
        )
    for assumption in dict.fromkeys([*found.assumptions, *(a for r in found.reasons for a in r.assumptions)]):
        typer.echo(f"Assumes: {assumption}.")
    enough = [r for r in found.reasons if r.verdict == "possible"]
    if enough and all(any("no finite precision" in a for a in r.assumptions) for r in enough):
        typer.echo(
            "What is possible here is so in exact arithmetic only; ask with --dtype int8 for what can be stored."
        )


def _capped(value: int | None) -> str:
    """The greatest size refuted; where the search ends, it may be more."""
    from limitbench.theory.families import MOST

    return _number(value) if value is None or value < MOST else f"at least {MOST}, and no more was asked"


def _single(n: str | None, k: str, dim: str | None, dtype: str, margin: str | None, json: bool) -> None:
    """`design` of single vectors that return every set in full."""
    from limitbench.theory import design as ask

    verdict = ask(n, k, dim, dtype, margin)
    if json:
        echo_json({"schema_version": 1, **verdict.to_json()})
        return
    print_table(["question", "answer"], [[q, a] for q, a in _answers(verdict)], keep=2)
    if verdict.reasons:
        print_table(
            ["because", "evidence", "inequality", "source"],
            [[r.method, r.evidence, r.inequality, r.citation] for r in verdict.reasons],
            keep=3,
        )
    for assumption in dict.fromkeys([*verdict.assumptions, *(a for r in verdict.reasons for a in r.assumptions)]):
        typer.echo(f"Assumes: {assumption}.")
    if verdict.extrapolation:
        typer.echo(f"{verdict.extrapolation['label']}: n = {verdict.extrapolation['critical_n']}")


def _recall(
    n: str | None, k: str, dim: str | None, dtype: str, margin: str | None, recall: str, at: str | None, json: bool
) -> None:
    """Answer `design --recall`: what an average recall needs."""
    from limitbench.theory.exact import rounded_up
    from limitbench.theory.recall import recall as ask

    if n is None:
        raise InputError("found --recall without --n; expected the number of documents, such as --n 1e6")
    found = ask(n, k, dim, recall=recall, at=at, dtype=dtype, margin=margin)
    if json:
        echo_json({"schema_version": 1, **found.to_json()})
        return
    asked = f"recall@{found.at} of {recall}, on average over all {found.k}-subsets of {found.n}"
    gap = f", half-gap {float(found.margin):g}" if found.margin is not None else ""
    least = "none up to a million" if found.least_dim is None else str(found.least_dim)
    rows = [(f"least dimension of {dtype} left open for {asked}{gap}", least)]
    if found.ceiling is not None:
        all_of_it = found.verdict == "impossible" and found.ceiling == 1
        most = "recall 1" if all_of_it else f"more than {rounded_up(found.ceiling, 4)}"
        rows = [
            (f"{asked}, with {found.d} dimensions of {dtype}{gap}", str(found.verdict)),
            (
                "no system of this size has",
                f"{most} (proved: {found.because})" if found.because else "no bound is proved",
            ),
            *(rows if found.verdict == "impossible" else []),
        ]
    print_table(["question", "answer"], [list(row) for row in rows], keep=2)
    for assumption in found.assumptions:
        typer.echo(f"Assumes: {assumption}.")
    typer.echo("Source: theory/recall.md.")


def _answers(verdict: Any) -> list[tuple[str, str]]:
    gap = f", half-gap {float(verdict.margin):g}" if verdict.margin is not None else ""
    if verdict.verdict is not None:
        return [
            (
                f"{verdict.d} dimensions of {verdict.dtype} for all {verdict.k}-subsets of {verdict.n}{gap}",
                verdict.verdict,
            )
        ]
    if verdict.d is None:
        what = f"of {verdict.dtype} for all {verdict.k}-subsets of {verdict.n} documents{gap}"
        return [
            (f"least dimension {what} proved sufficient", _number(verdict.least_sufficient_dim)),
            (f"greatest dimension {what} proved insufficient", _number(verdict.greatest_insufficient_dim)),
        ]
    what = f"with all {verdict.k}-subsets in {verdict.d} dimensions of {verdict.dtype}{gap}"
    if verdict.every_n_possible:
        return [(f"largest corpus {what} proved possible", "every number of documents")]
    return [
        (f"largest corpus {what} proved possible", _number(verdict.largest_possible_n)),
        (f"smallest corpus {what} proved impossible", _number(verdict.smallest_impossible_n)),
    ]


def _number(value: int | None) -> str:
    if value is None:
        return "none is proved"
    return str(value) if value.bit_length() < 60 else f"about 10^{value.bit_length() * 0.30103:.0f}"
