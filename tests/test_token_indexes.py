"""Late interaction as it is deployed: MUVERA, PLAID, pooled tokens; and sparse vectors that were pruned."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import sparse

from limitbench import evaluate, load
from limitbench.errors import SpecError
from limitbench.retrievers import retriever

pytest.importorskip("sentence_transformers", reason="needs limitbench[models]")
pytest.importorskip("faiss", reason="needs limitbench[ann]")

from limitbench.retrievers.candidates_of_tokens import Muvera, Plaid, pooled
from limitbench.retrievers.maxsim import MaxSimIndex, maxsim
from limitbench.retrievers.splade import pruned


def texts(seed: int, count: int, d: int = 16, most: int = 12, least: int = 1) -> list[Any]:
    """Unit token vectors of so many texts."""
    rng = np.random.default_rng(seed)
    out = [rng.standard_normal((rng.integers(least, most + 1), d)).astype(np.float32) for _ in range(count)]
    return [x / np.linalg.norm(x, axis=1, keepdims=True) for x in out]


def joined(documents: list[Any]) -> tuple[Any, Any]:
    return np.concatenate(documents), np.concatenate([[0], np.cumsum([len(x) for x in documents])])


def test_encodings_are_those_of_the_paper() -> None:
    """Sums and means by cell, empty cells filled by Hamming distance, projected by signs: written out token by token."""
    documents, query = texts(0, 5), texts(1, 1)[0]
    tokens, starts = joined(documents)
    made = Muvera.built(tokens, starts, repetitions=3, planes=3, projected=4, seed=7)

    def cell(token: Any, repetition: int) -> int:
        return sum((float(token @ normal) > 0) << bit for bit, normal in enumerate(made.planes[repetition]))

    wanted = []
    for document in documents:
        total = 0.0
        for r in range(3):
            for c in range(8):
                inside = [token for token in document if cell(token, r) == c]
                near = min(document, key=lambda token, r=r, c=c: (cell(token, r) ^ c).bit_count())
                mean = np.mean(inside, axis=0) if inside else near
                asked = sum((token for token in query if cell(token, r) == c), np.zeros(16))
                total += float((mean @ made.signs[r]) @ (asked @ made.signs[r]))
        wanted.append(total / 3)
    assert made.scores(query) == pytest.approx(wanted, abs=1e-4)
    assert made.documents.shape == (5, 3 * 8 * 4)
    assert np.abs(np.linalg.norm(made.signs[0], axis=1) - 1).max() < 1e-6


def test_encodings_estimate_maxsim() -> None:
    """With more repetitions the order comes nearer to the exact one."""
    documents, queries = texts(2, 200), texts(3, 20, least=4)
    tokens, starts = joined(documents)
    exact = maxsim(queries, tokens, starts)
    correlations = [
        np.mean([np.corrcoef(Muvera.built(tokens, starts, repetitions=r, planes=4, projected=16).scores(q), row)[0, 1]
                 for q, row in zip(queries, exact, strict=True)])
        for r in (1, 10)
    ]  # fmt: skip
    assert correlations[0] < correlations[1]
    assert correlations[1] > 0.6


def test_centroids_score_documents_that_were_probed() -> None:
    """The best centroid of a document's tokens for each query token, summed; documents without a probed centroid are not looked at."""
    documents, query = texts(4, 60), texts(5, 1, least=3)[0]
    tokens, starts = joined(documents)
    made = Plaid.built(tokens, starts, centroids=20, probes=1)
    near = query @ made.centroids.T
    probed = {int(c) for c in near.argmax(axis=1)}
    nearest = (tokens @ made.centroids.T * 2 - (made.centroids**2).sum(1)).argmax(axis=1)
    assert (nearest == made.of_token).mean() > 0.99
    for number, found in enumerate(made.scores(query).tolist()):
        own = made.of_token[starts[number] : starts[number + 1]]
        wanted = near[:, own].max(axis=1).sum() if probed & {*own.tolist()} else -np.inf
        assert found == pytest.approx(wanted, abs=1e-5)
    everything = Plaid.built(tokens, starts, centroids=20, probes=20)
    assert np.isfinite(everything.scores(query)).all()
    assert not np.isfinite(made.scores(query)).all()
    with pytest.raises(SpecError, match="ask for fewer"):
        Plaid.built(tokens, starts, centroids=10_000)


def test_pooled_tokens_are_means_of_clusters() -> None:
    """One for about so many, of length 1; equal tokens become one, and a factor of 1 changes nothing."""
    some = texts(6, 3, least=6)
    assert all(a is b for a, b in zip(pooled(some, 1), some, strict=True))
    for before, after in zip(some, pooled(some, 3), strict=True):
        assert len(after) == max(1, len(before) // 3)
        assert np.linalg.norm(after, axis=1) == pytest.approx(1, abs=1e-5)
    a, b = np.eye(4, dtype=np.float32)[:2]
    found = pooled([np.stack([a, b, a, b])], 2)[0]
    assert sorted(map(tuple, np.round(found, 6).tolist())) == [(0, 1, 0, 0), (1, 0, 0, 0)]
    assert pooled([np.zeros((0, 4), np.float32)], 2)[0].shape == (0, 4)


@pytest.mark.parametrize("options", ["index=muvera", "index=plaid,probes=1000", "index=muvera,repetitions=1,planes=1"])
def test_all_candidates_give_exact_search(options: str) -> None:
    """With as many candidates as documents, an index changes nothing but what it reports."""
    data = load("graph-petersen")
    plain = evaluate(data, "minilm-maxsim", measures="Recall@2")
    found = evaluate(data, f"minilm-maxsim,{options}", measures="Recall@2")
    assert found.measures == plain.measures
    facts = found.retriever.facts
    assert facts["agreement_with_exact"] == 1.0
    assert facts["index"] == options.partition(",")[0].removeprefix("index=")


def test_equal_documents_tie_wherever_they_stand() -> None:
    """Copies of a document have one score to the last bit, though products of matrices round by position."""
    once = texts(11, 40, d=128, most=9)
    order = np.random.default_rng(12).integers(0, 40, 700)
    tokens, starts = joined([once[i] for i in order])
    queries = texts(13, 4, d=128, most=1)
    index = MaxSimIndex(tuple(map(str, range(700))), tokens, starts, encoder=None)  # type: ignore[arg-type]

    def spread(scores: Any) -> int:
        return max(len(set(row[order == i].tolist())) for row in scores for i in range(40))

    assert all(spread(index.scores(some)) == 1 for some in (queries, queries[:1]))
    chosen = np.flatnonzero(np.random.default_rng(14).random(700) < 0.7)
    for query in queries:
        some = index._exact_of(query, chosen)
        assert max(len(set(some[order[chosen] == i].tolist())) for i in range(40)) == 1
        assert some == pytest.approx(maxsim([query], tokens, starts)[0][chosen], abs=1e-5)


@pytest.mark.slow
def test_few_candidates_lose_what_is_not_among_them() -> None:
    """The gap to exact search is recorded, and the ceiling of the candidates."""
    data = load("limit-small-synthetic")
    found = evaluate(data, "minilm-maxsim,index=muvera,candidates=5,repetitions=2", measures="Recall@2")
    assert found.retriever.facts["agreement_with_exact"] < 0.9
    assert found.ceiling is not None
    assert found.measures["Recall@2"].mean <= found.ceiling["Recall@2"].mean < 1
    smaller = evaluate(data, "minilm-maxsim,pool=4", measures="Recall@2")
    whole = evaluate(data, "minilm-maxsim", measures="Recall@2")
    assert smaller.cost is not None
    assert whole.cost is not None
    assert smaller.cost.index_bytes < 0.3 * whole.cost.index_bytes
    assert "index" not in whole.retriever.configuration
    assert "pool" not in whole.retriever.configuration


@pytest.mark.parametrize("options", ["probes=3", "index=plaid,planes=3", "index=muvera,probes=2", "candidates=9"])
def test_options_of_another_index_are_refused(options: str) -> None:
    """They would count for nothing."""
    with pytest.raises(SpecError, match="is of another index"):
        retriever(f"minilm-maxsim,{options}")


def test_pruned_terms_are_the_heaviest() -> None:
    """So many of each row, equal ones by their numbers, against sorting."""
    rng = np.random.default_rng(0)
    dense = np.round(rng.random((20, 30)) * (rng.random((20, 30)) < 0.4), 1)
    weights = sparse.csr_array(dense)
    for most in (1, 3, 50):
        found = pruned(weights, most).toarray()
        for before, after in zip(dense, found, strict=True):
            order = sorted(np.flatnonzero(before), key=lambda i, row=before: (-row[i], i))[:most]
            wanted = np.zeros(30)
            wanted[order] = before[order]
            assert after.tolist() == wanted.tolist()
    assert pruned(weights, None) is weights


def test_a_pruned_splade_is_another_retriever(splade: Any) -> None:
    """Fewer terms, other scores, another digest; without the option the configuration is what it was."""
    plain = retriever(f"splade:{splade}").retriever
    assert not {"query_terms", "document_terms"} & plain.configuration.keys()
    few = retriever(f"splade:{splade},query_terms=1,document_terms=2").retriever
    assert few.configuration != plain.configuration
    data = load("graph-petersen")
    assert few.index(data.corpus).facts.nbytes < plain.index(data.corpus).facts.nbytes
    assert len(few.index(data.corpus).search(data.queries, 10).run.row(0)) <= 10
