"""Why a gate failed, read from the run itself: what is wrong with the ids, the index, the settings, or with which questions failed.

A cause is a hint for the reader, never a verdict: the rules decide, and a gate fails with or without a cause. What can be counted
is told as a likely cause; what is inferred from which questions failed, as a pattern among them.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from limitbench.checks.baseline import Setting, changed_settings
from limitbench.checks.comparison import Pair
from limitbench.checks.config import Retriever
from limitbench.checks.findings import Cause
from limitbench.checks.measurement import Case, Measured
from limitbench.checks.secrets import hidden

_SURE = 0.001  # how unlikely a difference between failed and other questions must be before it is called a pattern
_FEWEST = 4  # failed questions from which anything is inferred
_SAME_VECTOR = 0.99  # cosine of a stored vector with a fresh one of the same text
_RESCALED = 1.25  # ratio of the median best scores
_ALIKE = 0.8  # shared words of two texts that are nearly the same
_WORD = re.compile(r"\w+")


@dataclass(frozen=True)
class Evidence:
    """What causes are read from: a measurement, which questions failed, and what they want.

    `failed` are row numbers: the questions whose figure fell, or where nothing is compared, those that miss a relevant document.
    """

    case: Case
    found: Measured
    pair: Pair | None

    @cached_property
    def cutoff(self) -> int:
        """The metric's cutoff."""
        return self.case.gate.measure.cutoff

    @cached_property
    def top(self) -> list[list[str]]:
        """The documents within the cutoff, by row."""
        return self.found.first(self.cutoff)

    @cached_property
    def relevant(self) -> list[list[str]]:
        """The ids of the relevant documents, by row."""
        qrels, ids = self.found.qrels, self.found.run.document_ids
        return [
            [ids[column] for column in qrels.indices[start:stop]]
            for start, stop in zip(qrels.indptr[:-1], qrels.indptr[1:], strict=True)
        ]

    @cached_property
    def failed(self) -> list[int]:
        """Row numbers of the questions to explain."""
        if self.pair is not None and self.pair.lost:
            return [self.pair.rows[i] for i in self.pair.lost]
        return [row for row, wanted in enumerate(self.relevant) if set(wanted) - set(self.top[row])]

    @cached_property
    def kept(self) -> list[int]:
        """Row numbers of the others that found something: those that are compared, where any are."""
        failed = set(self.failed)
        rows = range(len(self.relevant)) if self.pair is None else self.pair.rows
        return [row for row in rows if row not in failed and set(self.relevant[row]) & set(self.top[row])]

    def wanted(self, row: int) -> list[str]:
        """The relevant documents that a question misses; all of them where it misses none."""
        seen = set(self.top[row])
        return [name for name in self.relevant[row] if name not in seen] or self.relevant[row]

    def text(self, document: str) -> str:
        """A document's text; empty where there is none."""
        return self.case.workload.texts.get(document, "")


def section(document: str) -> str:
    """The part of an id before the first '/', '#' or ':'; empty where it has none."""
    head, mark, _ = re.split(r"([/#:])", document, maxsplit=1) if re.search(r"[/#:]", document) else ("", "", "")
    return head if mark else ""


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
    if listed >= _FEWEST and worst > 2 * best and 2 * worst > listed:
        yield Cause(
            name="scores-reversed",
            message=f"the relevant document stands in the last third of the list in {worst} of {listed} questions, in the first "
            f"third in {best}: are the scores distances, or the order reversed?",
            numbers={"last_third": worst, "first_third": best},
        )


def _shifted(e: Evidence) -> Iterator[Cause]:
    """The wanted document is the answer to a neighbouring question."""
    m = len(e.top)
    for step in (1, -1):
        hits = sum(bool(set(e.relevant[row]) & set(e.top[(row + step) % m])) for row in e.failed) if m > 2 else 0
        if hits >= _FEWEST and 2 * hits > len(e.failed):
            yield Cause(
                name="answers-shifted",
                message=f"{hits} of {len(e.failed)} failed questions find their document in the answer to the question "
                f"{'after' if step > 0 else 'before'} them: are questions and answers joined by position?",
                numbers={"questions": hits, "failed": len(e.failed)},
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


def _rescaled(e: Evidence) -> Iterator[Cause]:
    if e.pair is None:
        return
    retriever = e.pair.retriever
    run = e.found.run
    pairs = [
        (line.best[retriever], float(run.scores[run.indptr[row]]))
        for line, row in zip(e.pair.lines, e.pair.rows, strict=True)
        if retriever in line.best and run.indptr[row] < run.indptr[row + 1]
    ]
    if len(pairs) < _FEWEST or len(e.failed) < _FEWEST:
        return
    before, now = (float(np.median(side)) for side in zip(*pairs, strict=True))
    small, large = sorted((abs(before), abs(now)))
    if before * now < 0 or large > _RESCALED * small:
        yield Cause(
            name="scores-rescaled",
            message=f"the best scores are on another scale: their median was {before:.3g} and is {now:.3g}. Another model, prompt, "
            "similarity, normalisation or stage makes them",
            numbers={"before": before, "now": now},
        )


# ------------------------------------------------------------------------------------------------------------------ inferred


def _never_returned(e: Evidence) -> Iterator[Cause]:
    run, listed = e.found.run, e.found.answer.ids
    returned = {run.document_ids[column] for column in np.unique(run.indices)}
    held = None if listed is None else set(listed)  # what the index lacks is told by its listing
    wanted = [
        any(name not in returned and (held is None or name in held) for name in e.wanted(row)) for row in e.failed
    ]
    share = sum(name not in returned for name in e.case.workload.document_ids) / max(
        1, len(e.case.workload.document_ids)
    )
    if (
        sum(wanted) >= _FEWEST
        and 10 * sum(wanted) >= 8 * len(wanted)
        and _tail(len(wanted), sum(wanted), share) < _SURE
    ):
        yield Cause(
            name="never-returned",
            counted=False,
            message=f"{sum(wanted)} of {len(wanted)} failed questions want a document that no question got: is it missing from the "
            "index, or embedded by another model than the rest?",
            numbers={"questions": sum(wanted), "failed": len(wanted)},
        )


def _section_lost(e: Evidence) -> Iterator[Cause]:
    def sections(rows: Iterable[int]) -> Counter[str]:
        return Counter(name for row in rows for name in {section(document) for document in e.wanted(row)})

    failed, everything = sections(e.failed), sections([*e.failed, *e.kept])
    total = len(e.failed) + len(e.kept)
    if len(everything) < 2 or len(e.failed) < _FEWEST:
        return
    name, count = failed.most_common(1)[0]
    share = everything[name] / total
    if not name or 2 * count < len(e.failed) or _tail(len(e.failed), count, share) * len(everything) > _SURE:
        return
    returned = any(section(document) == name for row in e.top for document in row)
    yield Cause(
        name="section-lost",
        counted=False,
        message=f"{count} of {len(e.failed)} failed questions want a document of '{name}', as {everything[name]} of all {total} do"
        + ("" if returned else "; no document of it is returned at all: does a filter leave it out?"),
        numbers={"questions": count, "failed": len(e.failed), "section": name, "returned": int(returned)},
    )


def _long_documents(e: Evidence) -> Iterator[Cause]:
    if not e.case.workload.texts:
        return

    def lengths(rows: Iterable[int]) -> list[float]:
        return [float(np.mean([len(e.text(name)) for name in e.wanted(row)])) for row in rows]

    failed, kept = lengths(e.failed), lengths(e.kept)
    if _larger(failed, kept) < _SURE and np.median(failed) > 1.5 * np.median(kept):
        yield Cause(
            name="long-documents",
            counted=False,
            message=f"failed questions want long documents, {np.median(failed):,.0f} characters in the median, the others "
            f"{np.median(kept):,.0f}: are texts cut before they are indexed?",
            numbers={"failed": float(np.median(failed)), "others": float(np.median(kept))},
        )


def _near_duplicates(e: Evidence) -> Iterator[Cause]:
    alike = 0
    for row in e.failed:
        wanted = [_words(e.text(name)) for name in e.wanted(row)]
        above = [_words(e.text(name)) for name in e.top[row] if name not in e.relevant[row]]
        alike += any(w and len(w & a) >= _ALIKE * len(w | a) for w in wanted for a in above)
    if alike >= _FEWEST and 2 * alike >= len(e.failed):
        yield Cause(
            name="near-duplicates",
            counted=False,
            message=f"in {alike} of {len(e.failed)} failed questions a text that is nearly the wanted one stands in its place: was "
            "it indexed twice, or copied under another id?",
            numbers={"questions": alike, "failed": len(e.failed)},
        )


def _word_forms(e: Evidence) -> Iterator[Cause]:
    """Failed questions share stems, but fewer whole words, with what they want."""
    if not e.case.workload.texts or not e.case.workload.questions or len(e.failed) < _FEWEST:
        return
    import Stemmer

    stem = Stemmer.Stemmer("english").stemWord

    def inflected(row: int) -> float:
        """Of the question's words whose stem stands in a wanted text: the share that stand there in another form."""
        question = _words(e.case.workload.questions.get(e.case.workload.query_ids[row], ""))
        text = set[str]().union(*(_words(e.text(name)) for name in e.wanted(row)))
        stems = {stem(word) for word in text}
        shared = [word for word in question if stem(word) in stems]
        return sum(word not in text for word in shared) / len(shared) if shared else 0.0

    failed, kept = ([inflected(row) for row in rows] for rows in (e.failed, e.kept))
    if _larger(failed, kept) < _SURE and np.mean(failed) > 1.5 * np.mean(kept):
        yield Cause(
            name="word-forms",
            counted=False,
            message=f"failed questions use other forms of the words that they want ({100 * np.mean(failed):.0f} % of the shared "
            f"stems, the others {100 * np.mean(kept):.0f} %): is stemming, or another step of the analyser, off?",
            numbers={"failed": float(np.mean(failed)), "others": float(np.mean(kept))},
        )


def _words(text: str) -> set[str]:
    return set(_WORD.findall(text.lower()))


def _tail(m: int, count: int, share: float) -> float:
    """The chance of at least `count` of m, each of chance `share`: a bound of it (Hoeffding) where m is large."""
    if m <= 1000:
        return math.fsum(math.comb(m, i) * share**i * (1 - share) ** (m - i) for i in range(count, m + 1))
    return math.exp(-2 * m * max(0.0, count / m - share) ** 2)


def _larger(a: Sequence[float], b: Sequence[float]) -> float:
    """The one-sided p-value of Mann and Whitney's test that `a` tends to be larger, by its normal limit; 1 for few values."""
    if min(len(a), len(b)) < _FEWEST:
        return 1.0
    values = np.concatenate([a, b])
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    ranks = (ends - (counts - 1) / 2)[inverse]
    n, m, total = len(a), len(b), len(values)
    u = ranks[:n].sum() - n * (n + 1) / 2
    variance = n * m / 12 * (total + 1 - float((counts**3 - counts).sum()) / (total * (total - 1)))
    return 1.0 if variance <= 0 else 0.5 * math.erfc((u - n * m / 2) / math.sqrt(2 * variance))


_READERS: tuple[Callable[[Evidence], Iterator[Cause]], ...] = (
    _unknown_ids, _settings_changed, _index_listing, _too_few_returned, _unanswered, _other_vectors, _reversed, _shifted,
    _equal_scores, _texts_cut, _answers_differ, _rescaled,
    _section_lost, _never_returned, _near_duplicates, _long_documents, _word_forms,
)  # fmt: skip


def explained(case: Case, pair: Pair | None) -> tuple[Cause, ...]:
    """What explains a failed gate; nothing where it could not be measured."""
    found, key = case.measured(), (case.number, b"" if pair is None else pair.before.tobytes())
    if key not in case.explained:
        tells = isinstance(found, Measured) and not case.gate.agreement
        case.explained[key] = tuple(causes(case, found, pair)) if tells and isinstance(found, Measured) else ()
    return case.explained[key]
