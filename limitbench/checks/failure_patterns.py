"""Patterns among the questions that failed: hints, each tested against those that did not fail."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from limitbench.checks.evidence import Evidence, section
from limitbench.checks.findings import Cause

_SURE = 0.001  # how unlikely a difference between failed and other questions must be before it is called a pattern
FEWEST = 4  # failed questions from which anything is inferred
_RESCALED = 1.25  # ratio of the median best scores
_ALIKE = 0.8  # shared words of two texts that are nearly the same
_WORD = re.compile(r"\w+")


def shifted(e: Evidence) -> Iterator[Cause]:
    """The wanted document is the answer to a neighbouring question."""
    m = len(e.top)
    for step in (1, -1):
        hits = sum(bool(set(e.relevant[row]) & set(e.top[(row + step) % m])) for row in e.failed) if m > 2 else 0
        if hits >= FEWEST and 2 * hits > len(e.failed):
            yield Cause(
                name="answers-shifted",
                message=f"{hits} of {len(e.failed)} failed questions find their document in the answer to the question "
                f"{'after' if step > 0 else 'before'} them: are questions and answers joined by position?",
                numbers={"questions": hits, "failed": len(e.failed)},
            )


def rescaled(e: Evidence) -> Iterator[Cause]:
    """Scores have another size than those of the baseline: vectors were scaled, or the metric changed."""
    if e.pair is None:
        return
    retriever = e.pair.retriever
    run = e.found.run
    pairs = [
        (line.best[retriever], float(run.scores[run.indptr[row]]))
        for line, row in zip(e.pair.lines, e.pair.rows, strict=True)
        if retriever in line.best and run.indptr[row] < run.indptr[row + 1]
    ]
    if len(pairs) < FEWEST or len(e.failed) < FEWEST:
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


def never_returned(e: Evidence) -> Iterator[Cause]:
    """Wanted documents stand in no answer at all: they may be missing in the index."""
    run, listed = e.found.run, e.found.answer.ids
    returned = {run.document_ids[column] for column in np.unique(run.indices)}
    held = None if listed is None else set(listed)  # what the index lacks is told by its listing
    wanted = [
        any(name not in returned and (held is None or name in held) for name in e.wanted(row)) for row in e.failed
    ]
    share = sum(name not in returned for name in e.case.workload.document_ids) / max(
        1, len(e.case.workload.document_ids)
    )
    if sum(wanted) >= FEWEST and 10 * sum(wanted) >= 8 * len(wanted) and _tail(len(wanted), sum(wanted), share) < _SURE:
        yield Cause(
            name="never-returned",
            counted=False,
            message=f"{sum(wanted)} of {len(wanted)} failed questions want a document that no question got: is it missing from the "
            "index, or embedded by another model than the rest?",
            numbers={"questions": sum(wanted), "failed": len(wanted)},
        )


def section_lost(e: Evidence) -> Iterator[Cause]:
    """What failed questions want lies in one section, more often than chance puts it there."""

    def sections(rows: Iterable[int]) -> Counter[str]:
        return Counter(name for row in rows for name in {section(document) for document in e.wanted(row)})

    failed, everything = sections(e.failed), sections([*e.failed, *e.kept])
    total = len(e.failed) + len(e.kept)
    if len(everything) < 2 or len(e.failed) < FEWEST:
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


def long_documents(e: Evidence) -> Iterator[Cause]:
    """What failed questions want is longer than what others want: texts may be cut."""
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


def near_duplicates(e: Evidence) -> Iterator[Cause]:
    """Documents that are nearly equal to the wanted ones were returned in their place."""
    alike = 0
    for row in e.failed:
        wanted = [_words(e.text(name)) for name in e.wanted(row)]
        above = [_words(e.text(name)) for name in e.top[row] if name not in e.relevant[row]]
        alike += any(w and len(w & a) >= _ALIKE * len(w | a) for w in wanted for a in above)
    if alike >= FEWEST and 2 * alike >= len(e.failed):
        yield Cause(
            name="near-duplicates",
            counted=False,
            message=f"in {alike} of {len(e.failed)} failed questions a text that is nearly the wanted one stands in its place: was "
            "it indexed twice, or copied under another id?",
            numbers={"questions": alike, "failed": len(e.failed)},
        )


def word_forms(e: Evidence) -> Iterator[Cause]:
    """Failed questions share stems, but fewer whole words, with what they want."""
    if not e.case.workload.texts or not e.case.workload.questions or len(e.failed) < FEWEST:
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
    if min(len(a), len(b)) < FEWEST:
        return 1.0
    values = np.concatenate([a, b])
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    ranks = (ends - (counts - 1) / 2)[inverse]
    n, m, total = len(a), len(b), len(values)
    u = ranks[:n].sum() - n * (n + 1) / 2
    variance = n * m / 12 * (total + 1 - float((counts**3 - counts).sum()) / (total * (total - 1)))
    return 1.0 if variance <= 0 else 0.5 * math.erfc((u - n * m / 2) / math.sqrt(2 * variance))
