"""Why a gate failed, read from the run itself: what is wrong with the ids, the index, the settings, or with which questions failed.

A cause is a hint for the reader, never a verdict: the rules decide, and a gate fails with or without a cause. What can be counted
is told as a likely cause; what is inferred from which questions failed, as a pattern among them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from limitbench.checks.baseline import Setting, changed_settings
from limitbench.checks.comparison import Pair
from limitbench.checks.evidence import Evidence
from limitbench.checks.failure_patterns import (
    FEWEST,
    long_documents,
    near_duplicates,
    never_returned,
    rescaled,
    section_lost,
    shifted,
    word_forms,
)
from limitbench.checks.findings import Cause
from limitbench.checks.measurement import Case, Measured
from limitbench.checks.schema import Retriever
from limitbench.checks.secrets import hidden

_SAME_VECTOR = 0.99  # cosine of a stored vector with a fresh one of the same text


def causes(case: Case, found: Measured, pair: Pair | None) -> list[Cause]:
    """What explains that questions failed, the most certain first."""
    evidence = Evidence(case, found, pair)
    if not evidence.failed:
        return []
    return [cause for reader in _READERS for cause in reader(evidence)]


def facts(case: Case, found: Measured) -> list[str]:
    """What can be counted of an index, of its vectors and of a repeated measurement, as notes: they stand on green too."""
    evidence = Evidence(case, found, None)
    return [cause.message for reader in (_index_listing, _other_vectors, _answers_differ) for cause in reader(evidence)]


# ------------------------------------------------------------------------------------------------------------------ counted


def plan_settings(retriever: Retriever) -> dict[str, Setting]:
    """What a plan says of itself that can move a figure."""
    names = ("dim", "metric", "dtype", "model", "revision", "query_prompt", "document_prompt")
    out: dict[str, Setting] = {name: getattr(retriever, name) for name in names if name in retriever.model_fields_set}
    if retriever.measure is not None and retriever.measure.way in ("model", "endpoint"):
        out["measured by"] = retriever.measure.model or retriever.measure.name
    return out


def settings(retriever: Retriever, found: Measured) -> dict[str, Setting]:
    """The plan's settings, and what the service reported of itself."""
    return {**plan_settings(retriever), **found.answer.settings}


def _settings_changed(e: Evidence) -> Iterator[Cause]:
    if e.pair is None or e.case.baseline is None:
        return
    name = e.pair.retriever
    before = e.case.baseline.settings.get(name)
    if before is None:
        return
    now = hidden(settings(e.case.retriever, e.found))  # as the baseline holds them
    reported = e.found.answer.settings.keys()
    if not reported & before.keys():  # a service that began, or ceased, to report says nothing of what it runs
        before, now = ({key: table[key] for key in before.keys() & now.keys()} for table in (before, now))
    moved = changed_settings({name: before}, {name: now}).get(name, {})
    if moved:
        says = ", ".join(f"{key} {_shown(old)} -> {_shown(new)}" for key, (old, new) in moved.items())
        yield Cause(
            name="settings-changed",
            message=f"settings changed since the baseline: {says}",
            numbers={"settings": len(moved)},
        )


def _shown(value: Setting) -> str:
    return "none" if value is None else repr(value) if isinstance(value, str) else f"{value}"


def _unknown_ids(e: Evidence) -> Iterator[Cause]:
    known = set(e.case.workload.document_ids)
    returned = [name for row in e.top for name in row]
    unknown = [name for name in returned if name not in known]
    if unknown and (100 * len(unknown) > len(returned)):
        yield Cause(
            name="ids-unknown",
            message=f"{len(unknown)} of the {len(returned)} returned ids are not in the corpus, the first '{unknown[0]}': "
            "were documents chunked or named anew?",
            numbers={"unknown": len(unknown), "returned": len(returned)},
        )


def _index_listing(e: Evidence) -> Iterator[Cause]:
    if e.found.answer.ids is None or not e.case.workload.document_ids:
        return
    listed, corpus = set(e.found.answer.ids), e.case.workload.document_ids
    lacking = [name for name in corpus if name not in listed]
    extra = len(listed) - (len(corpus) - len(lacking))
    if lacking:
        hit = sum(any(name not in listed for name in e.wanted(row)) for row in e.failed)
        yield Cause(
            name="index-stale",
            message=f"the index lacks {len(lacking)} of the corpus's {len(corpus)} documents, the first '{lacking[0]}'; "
            f"{hit} of the {len(e.failed)} failed questions want one of them",
            numbers={"lacking": len(lacking), "corpus": len(corpus), "questions": hit},
        )
    if extra:
        yield Cause(
            name="index-foreign",
            message=f"the index holds {extra} documents that the corpus lacks: were they deleted or named anew?",
            numbers={"extra": extra, "indexed": len(listed)},
        )


def _other_vectors(e: Evidence) -> Iterator[Cause]:
    far = [name for name, cosine in e.found.answer.probe.items() if cosine < _SAME_VECTOR]
    if far:
        worst = min(e.found.answer.probe[name] for name in far)
        yield Cause(
            name="other-vectors",
            message=f"{len(far)} of {len(e.found.answer.probe)} probed vectors are not what the model makes of their texts now "
            f"(the first '{far[0]}', cosines down to {worst:.2f}): embedded by another model or prompt, or stored coarsely",
            numbers={"far": len(far), "probed": len(e.found.answer.probe), "worst": worst},
        )


def _unanswered(e: Evidence) -> Iterator[Cause]:
    empty = [row for row in e.failed if not e.top[row]]
    if empty:
        first = e.case.workload.query_ids[empty[0]]
        yield Cause(
            name="unanswered",
            message=f"{len(empty)} of the {len(e.failed)} failed questions got no document, the first '{first}'",
            numbers={"unanswered": len(empty), "failed": len(e.failed)},
        )


def _too_few_returned(e: Evidence) -> Iterator[Cause]:
    longest, wanted = max(map(len, e.top), default=0), min(e.cutoff, len(e.case.workload.document_ids))
    if 0 < longest < wanted:
        yield Cause(
            name="too-few-returned",
            message=f"no question got more than {longest} documents, and the gate looks at {e.cutoff}: "
            "was top_k, or the number of candidates, lowered?",
            numbers={"returned": longest, "cutoff": e.cutoff},
        )


def _reversed(e: Evidence) -> Iterator[Cause]:
    """The documents at the end of the lists are the relevant ones, or the ranks say so."""
    ranks = e.found.answer.file.against_ranks
    if 2 * ranks > len(e.top):
        yield Cause(
            name="scores-reversed",
            message=f"scores rise as ranks fall in {ranks} of {len(e.top)} questions: distances given as scores must be negated",
            numbers={"questions": ranks},
        )
        return
    run, best, worst, listed = e.found.run, 0, 0, 0
    for row in range(len(run)):
        order = [name for name, _ in run.row(row)]
        if len(order) > 2 and (at := [order.index(name) for name in e.relevant[row] if name in set(order)]):
            listed += 1
            best += min(at) < len(order) / 3
            worst += min(at) >= 2 * len(order) / 3
    if listed >= FEWEST and worst > 2 * best and 2 * worst > listed:
        yield Cause(
            name="scores-reversed",
            message=f"the relevant document stands in the last third of the list in {worst} of {listed} questions, in the first "
            f"third in {best}: are the scores distances, or the order reversed?",
            numbers={"last_third": worst, "first_third": best},
        )


def _equal_scores(e: Evidence) -> Iterator[Cause]:
    run = e.found.run
    rows = [run.scores[run.indptr[row] : run.indptr[row + 1]] for row in range(len(run))]
    tied = sum(len(scores) > e.cutoff and scores[0] == scores[e.cutoff] for scores in rows)
    if 2 * tied > len(rows):
        yield Cause(
            name="equal-scores",
            message=f"in {tied} of {len(rows)} questions all documents within the cutoff and the next have one score: ranks "
            "were not handed on as scores",
            numbers={"questions": tied},
        )


def _answers_differ(e: Evidence) -> Iterator[Cause]:
    if e.found.unstable:
        yield Cause(
            name="answers-differ",
            message=f"asked again, {e.found.unstable} of {len(e.top)} questions were answered otherwise: the service is not "
            "deterministic",
            numbers={"questions": e.found.unstable},
        )


def _texts_cut(e: Evidence) -> Iterator[Cause]:
    for cut in e.found.cut:
        yield Cause(name="texts-cut", message=cut.remark, numbers={"cut": cut.count, "of": cut.of})


# ------------------------------------------------------------------------------------------------------------------ inferred


_READERS: tuple[Callable[[Evidence], Iterator[Cause]], ...] = (
    _unknown_ids, _settings_changed, _index_listing, _too_few_returned, _unanswered, _other_vectors, _reversed, shifted,
    _equal_scores, _texts_cut, _answers_differ, rescaled,
    section_lost, never_returned, near_duplicates, long_documents, word_forms,
)  # fmt: skip


def explained(case: Case, pair: Pair | None) -> tuple[Cause, ...]:
    """What explains a failed gate; nothing where it could not be measured."""
    found, key = case.measured(), (case.number, b"" if pair is None else pair.before.tobytes())
    if key not in case.explained:
        tells = isinstance(found, Measured) and not case.gate.agreement
        case.explained[key] = tuple(causes(case, found, pair)) if tells and isinstance(found, Measured) else ()
    return case.explained[key]
