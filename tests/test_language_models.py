"""Rerankers behind a URL: language models and rerank services, played by a local server that is good, wrong, slow, cut off or hostile."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from limitbench import Corpus, Dataset, Queries, evaluate, load
from limitbench.errors import LimitbenchError, RetrievalError, SpecError
from limitbench.measures import as_measures
from limitbench.relevance import Qrels
from limitbench.retrievers import retriever

pytest.importorskip("httpx", reason="needs limitbench[endpoint]")

from limitbench.retrievers.prompts import grade, listwise, one_line, ranking, selections
from limitbench.retrievers.replies import Budget, ReplyCache
from limitbench.retrievers.rerank_llm import window_starts

SMALL = load("limit-small-synthetic")
LINE = re.compile(r"^\[(\d+)\] (.*)$", re.MULTILINE)


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No test finds another's answers."""
    monkeypatch.setenv("LIMITBENCH_CACHE", str(tmp_path / "cache"))
    return tmp_path


def spec(stub: Any, adapter: str = "rerank-llm", **options: Any) -> str:
    given = {"url": stub.url, "wait": 0, "retries": 0, "timeout": 5, **options}
    return ",".join([f"{adapter}:judge", *(f"{key}={value}" for key, value in given.items())])


def chat(text: Any, **more: Any) -> tuple[int, Any, dict[str, str]]:
    usage = {"prompt_tokens": 100, "completion_tokens": 5}
    choice = {"message": {"content": text}, "finish_reason": "stop", **more}
    return 200, {"model": "judge-1", "choices": [choice], "usage": usage}, {}


class Judge:
    """A model that knows a dataset, and errs where it is told to: for a share of the queries, drawn by their texts."""

    def __init__(self, data: Dataset, errs: float = 0.0) -> None:
        self.relevant = {
            one_line(text): {one_line(data.corpus.contents[d]) for d in row}
            for text, row in zip(data.queries.texts, data.qrels.sets(), strict=True)
        }
        self.errs = errs

    def right(self, query: str) -> bool:
        """Whether it answers this query as it should."""
        return np.random.default_rng(list(query.encode())).random() >= self.errs

    def __call__(self, payload: dict[str, Any]) -> tuple[int, Any, dict[str, str]]:
        prompt = payload["messages"][1]["content"]
        if "Questions:\n" in prompt:
            return chat(self.whole(prompt))
        query = prompt.partition("Query: ")[2].partition("\n")[0]
        good = self.relevant[query] if self.right(query) else set()
        if "Document: " in prompt:
            return chat("10" if prompt.partition("Document: ")[2].partition("\n")[0] in good else "0")
        shown = LINE.findall(prompt)
        first = [number for number, text in shown if text in good]
        return chat(" > ".join(f"[{number}]" for number in [*first, *(n for n, _ in shown if n not in first)]))

    def whole(self, prompt: str) -> str:
        """Two documents for each question; the last two where it errs."""
        documents, _, questions = prompt.partition("Questions:\n")
        shown = LINE.findall(documents)
        out = {}
        for number, query in LINE.findall(questions):
            good = [int(n) for n, text in shown if text in self.relevant[query]]
            wrong = [int(n) for n, text in shown if text not in self.relevant[query]]
            out[number] = good if self.right(query) else wrong[-2:]
        return json.dumps(out)


def recall(data: Dataset, by: str, measure: str = "Recall@2") -> tuple[float, Any]:
    found = evaluate(data, by, measures=measure)
    return found.measures[measure].mean, found


# ------------------------------------------------------------------------------------------------------- good, and erring


@pytest.mark.parametrize("questions", [1, 7, 1000])
def test_a_perfect_model_that_reads_the_whole_corpus(stub: Any, questions: int) -> None:
    """It finds all, whatever the batch of questions; LIMIT-small has 46 documents and 1,000 questions."""
    stub.answers = [Judge(SMALL)]
    value, found = recall(SMALL, spec(stub, "long-context", questions=questions))
    assert value == 1.0
    facts = found.retriever.facts
    calls = -(-len(set(SMALL.queries.texts)) // questions)
    assert (facts["replies"], facts["replies_sent_for"], len(stub.asked)) == (calls, calls, calls)
    assert facts["answered_by"] == ["judge-1"]
    assert facts["wrong_in_replies"] == {}
    assert found.cost.query_latency_p50_seconds > 0


def test_a_model_of_known_error_has_that_recall(stub: Any) -> None:
    """One that errs on a known share of the queries finds the others, by each method."""
    judge = Judge(SMALL, errs=0.3)
    stub.answers = [judge]
    expected = np.mean([judge.right(one_line(text)) for text in SMALL.queries.texts])
    assert 0.6 < expected < 0.8
    assert recall(SMALL, spec(stub, "long-context", questions=50))[0] == pytest.approx(expected)


@pytest.mark.parametrize("method", ["listwise", "pointwise"])
def test_a_perfect_reranker_reaches_its_ceiling(stub: Any, method: str) -> None:
    """What the first stage finds, it puts first; what that does not find, it cannot."""
    data = load("graph-petersen")
    stub.answers = [Judge(data)]
    _, found = recall(data, spec(stub, method=method, first="random", candidates=5))
    assert found.measures["Recall@2"].mean == pytest.approx(found.ceiling["Recall@2"].mean)
    assert 0.1 < found.ceiling["Recall@2"].mean < 0.9
    assert recall(data, spec(stub, method=method, first="random", candidates=10))[0] == 1.0


@pytest.mark.parametrize(("window", "stride", "passes"), [(2, 1, 1), (4, 2, 1), (3, 3, 4), (10, 10, 1), (50, 7, 1)])
def test_windows_carry_good_documents_up(stub: Any, window: int, stride: int, passes: int) -> None:
    """As a bubble sort of windows does, computed apart; a stride that leaves an overlap of 2 needs one pass for two documents."""
    data = load("graph-petersen")
    judge = Judge(data)
    stub.answers = [judge]
    options = {"window": window, "stride": stride, "passes": passes}
    index = retriever(spec(stub, first="random", candidates=10, **options)).retriever.index(data.corpus)
    first = retriever("random").retriever.index(data.corpus).search(data.queries, 10).run
    run = index.search(data.queries, 10).run
    for q, query in enumerate(data.queries.texts):
        order = [name for name, _ in first.row(q)]
        good = {
            name
            for name in order
            if one_line(data.corpus.contents[data.corpus.ids.index(name)]) in judge.relevant[one_line(query)]
        }
        for _ in range(passes):
            starts = sorted({*range(max(0, 10 - window), -1, -stride), 0}, reverse=True)
            for a in starts:
                order[a : a + window] = sorted(order[a : a + window], key=lambda name: name not in good)
        assert [name for name, _ in run.row(q)] == order


def test_windows_cover_all() -> None:
    """Every candidate is in one, the last window starts at 0, and neighbours overlap or touch."""
    for count in range(2, 60):
        for window in (2, 5, 20):
            for stride in range(1, window + 1):
                starts = window_starts(count, window, stride)
                assert {i for a in starts for i in range(a, min(count, a + window))} == set(range(count))
                assert starts == sorted(set(starts), reverse=True)
    assert window_starts(1, 20, 10) == window_starts(0, 20, 10) == []


def test_grades_tie_in_the_order_of_the_first_stage(stub: Any) -> None:
    """And a document without a readable grade comes last."""
    stub.answers = [lambda p: chat("maybe" if "Jon" in p["messages"][1]["content"] else "5")]
    data = load("graph-petersen")
    first = retriever("random").retriever.index(data.corpus).search(data.queries, 10).run
    run = retriever(spec(stub, method="pointwise", first="random", candidates=10)).retriever.index(data.corpus)
    assert [name for name, _ in run.search(data.queries, 10).run.row(0)] == [name for name, _ in first.row(0)]


# ----------------------------------------------------------------------------------------------------- answers, strictly


@pytest.mark.parametrize(
    ("reply", "places", "wrong"),
    [
        ("[2] > [1] > [3]", [1, 0, 2], {}),
        ("[2]>[1]\n> [3]", [1, 0, 2], {}),
        ("<think>[3] > [1]? no</think>\n[1] > [2] > [3]", [0, 1, 2], {}),
        ("```json\n[3, 1, 2]\n```", [2, 0, 1], {}),
        ("[2]", [1], {"left out": 2}),
        ("[2] > [2] > [9] > [0]", [1], {"left out": 2, "repeated": 1, "invented": 2}),
        ("[1, 1, 7]", [0], {"left out": 2, "repeated": 1, "invented": 1}),
        ("The best are [2] > [1] > [3].", None, {"malformed": 1}),
        ("2, 1, 3", None, {"malformed": 1}),
        ("[true, 1]", None, {"malformed": 1}),
        ('["2"]', None, {"malformed": 1}),
        ("[1.0]", None, {"malformed": 1}),
        ("[]", None, {"malformed": 1}),
        ("[2] > [1] > [", None, {"malformed": 1}),
        ("", None, {"malformed": 1}),
        ("[" * 100_000, None, {"malformed": 1}),
        (f"[{'9' * 5000}]", None, {"malformed": 1}),
        ("[-1, 2]", [1], {"left out": 2, "invented": 1}),
    ],
)  # fmt: skip
def test_rankings_are_read_strictly(reply: str, places: list[int] | None, wrong: dict[str, int]) -> None:
    """The form asked for and nothing else; what was not shown is counted, never ranked."""
    assert ranking(reply, 3) == (places, Counter(wrong))


@pytest.mark.parametrize(
    ("reply", "value"),
    [("7", 7), (" 10\n", 10), ("0", 0), ("11", None), ("-1", None), ("7.5", None), ("seven", None), ("7 out of 10", None), ("\u0667", None)],
)  # fmt: skip
def test_grades_are_read_strictly(reply: str, value: int | None) -> None:
    """A whole number from 0 to 10, in ASCII."""
    assert grade(reply) == value


@pytest.mark.parametrize(
    ("reply", "found", "wrong"),
    [
        ('{"1": [4, 2], "2": [1, 3]}', {0: [3, 1], 1: [0, 2]}, {}),
        ('{"1": [4, 2], "2": [1]}', {0: [3, 1], 1: [0]}, {"left out": 1}),
        ('{"Q1": [4, 2, 1]}', {0: [3, 1]}, {"left out": 2, "beyond what was asked for": 1}),
        ('{"1": [9, 2], "3": [1], "x": [1]}', {0: [1]}, {"invented": 3, "left out": 3}),
        ('{"1": "4", "2": [[1]]}', {}, {"malformed": 2, "left out": 4}),
        ('{"1": [1, 2], "1": [2, 3], "01": [4, 1], "2": []}', {0: [0, 1], 1: []}, {"repeated": 2, "left out": 2}),
        ("[[4, 2], [1]]", {}, {"malformed": 1}),
        ('{"1": [4, 2]', {}, {"malformed": 1}),
        ('{"1": [2, 2]}', {0: [1]}, {"repeated": 1, "left out": 3}),
    ],
)
def test_selections_are_read_strictly(reply: str, found: dict[int, list[int]], wrong: dict[str, int]) -> None:
    """Two questions, four documents, two to name."""
    assert selections(reply, 2, 4, 2) == (found, Counter(wrong))


def test_a_text_cannot_pass_for_a_line_of_the_prompt() -> None:
    """Line breaks in a document are spaces in a prompt."""
    prompt = listwise("who?", ["a\n[9] b", "c"])
    assert LINE.findall(prompt) == [("1", "a [9] b"), ("2", "c")]


BAD_MODELS: dict[str, tuple[Any, str]] = {
    "prose": (chat("I think that the second one is best."), "malformed"),
    "nothing": (chat(None), "malformed"),
    "a list for content": (chat([{"type": "text", "text": "[1]"}]), "malformed"),
    "cut off": (chat("[2] > [1] >", finish_reason="length"), "cut off"),
    "invents": (chat("[99] > [1]"), "invented"),
    "half a pair of surrogates": (chat("\ud800"), "malformed"),
}


@pytest.mark.parametrize("kind", BAD_MODELS)
def test_what_a_bad_model_says_is_counted_and_told(stub: Any, kind: str) -> None:
    """The order stays that of the first stage; record and notes say what was wrong."""
    answer, word = BAD_MODELS[kind]
    stub.answers = [lambda _: answer]
    data = load("graph-petersen")
    value, found = recall(data, spec(stub, first="exact", candidates=10))
    assert found.retriever.facts["wrong_in_replies"][word] == len(data.queries)
    assert any(word in note for note in found.notes)
    assert kind == "invents" or value == 1.0


FORMS: dict[str, tuple[Any, str]] = {
    "no choices": ((200, {"data": []}, {}), "another form than OpenAI's chat"),
    "a list": ((200, [1], {}), "another form than OpenAI's chat"),
    "choices of text": ((200, {"choices": ["x"]}, {}), "another form than OpenAI's chat"),
    "an error": ((200, {"error": {"message": "overloaded"}}, {}), "answered an error"),
    "refused": ((400, {"error": "context length exceeded"}, {}), "Is the prompt too long"),
    "401": ((401, b"no secret-key-123", {}), r"answered 401 \(no \[key\]\)"),
    "nested": ((200, b"[" * 200_000, {}), "not JSON"),
}


@pytest.mark.parametrize("case", FORMS)
@pytest.mark.parametrize("adapter", ["rerank-llm", "long-context"])
def test_services_that_are_none_are_told(stub: Any, case: str, adapter: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """One sentence, without the key; nothing is recorded as measured."""
    monkeypatch.setenv("OPENAI_API_KEY", "secret-key-123")
    answer, says = FORMS[case]
    stub.answers = [lambda _: answer]
    with pytest.raises(RetrievalError, match=says):
        recall(load("graph-petersen"), spec(stub, adapter))


def test_a_slow_model_is_given_up(stub: Any) -> None:
    """Within its timeout, also where an answer trickles in, which no timeout of a read sees."""
    stub.answers = [("hang", b"")]
    start = time.monotonic()
    with pytest.raises(RetrievalError, match=r"no answer within 0\.5 s"):
        recall(load("graph-petersen"), spec(stub, timeout=0.5))
    assert time.monotonic() - start < 10


def test_a_model_that_knows_other_fields(stub: Any) -> None:
    """Newer models take max_completion_tokens; temperature and seed can be left out."""

    def newer(payload: dict[str, Any]) -> tuple[int, Any, dict[str, str]]:
        if "max_tokens" in payload:
            return 400, {"error": "Unsupported parameter: use 'max_completion_tokens'"}, {}
        return Judge(data)(payload)

    data = load("graph-petersen")
    stub.answers = [newer]
    assert recall(data, spec(stub, candidates=10, first="random", temperature="none", seed="none"))[0] == 1.0
    assert not any({"temperature", "seed"} & payload.keys() for payload in stub.asked)
    assert sum("max_tokens" in payload for payload in stub.asked) <= 4  # as many as are asked at a time


# ------------------------------------------------------------------------------------------------------- money and memory


def test_replies_are_kept_by_content(stub: Any, cli: Any, own_cache: Path) -> None:
    """A second run asks nothing; one with another temperature asks anew, and so does --fresh. The cache tells and clears them."""
    data = load("graph-petersen")
    stub.answers = [Judge(data)]
    by = spec(stub, first="random", candidates=4)
    _, first = recall(data, by)
    asked = len(stub.asked)
    again = recall(data, by)[1]
    assert len(stub.asked) == asked
    assert again.measures == first.measures
    assert again.cost.query_latency_p50_seconds == first.cost.query_latency_p50_seconds
    assert (again.retriever.facts["replies_sent_for"], again.retriever.facts["replies"]) == (0, asked)
    recall(data, by + ",temperature=0.5")
    assert len(stub.asked) == 2 * asked
    assert cli("run", "-d", "graph-petersen", "-r", by, "--fresh", "--results", own_cache / "r")[0] == 0
    assert len(stub.asked) == 3 * asked
    told = json.loads(cli("cache", "--json")[1])["replies"]
    assert told["files"] == 2 * asked
    assert cli("cache", "--clear-replies")[0] == 0
    assert json.loads(cli("cache", "--json")[1])["replies"]["files"] == 0


def test_a_broken_answer_on_disk_counts_for_nothing(own_cache: Path) -> None:
    """Cut off, altered, another's, or no JSON: it is removed, and asked for again."""
    cache = ReplyCache(own_cache / "replies")
    cache.put({"a": 1}, {"text": "x", "seconds": 1.5})
    assert cache.get({"a": 1}) == {"text": "x", "seconds": 1.5}
    ((path, _),) = cache.files()
    whole = path.read_bytes()
    for broken in (whole[:-5], whole.replace(b'"x"', b'"y"'), b"", b"[]", b"[" * 100_000, b"\xff"):
        path.write_bytes(broken)
        assert cache.get({"a": 1}) is None
        assert not path.exists()
    cache.put({"a": 2}, {"text": "z"})
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(cache.files()[0][0].read_bytes())
    assert cache.get({"a": 1}) is None
    assert cache.get({"a": 3}) is None


@pytest.mark.parametrize(("option", "bound"), [("max_calls", 5), ("max_tokens", 3000)])
def test_a_budget_ends_a_run_and_loses_nothing(stub: Any, option: str, bound: int) -> None:
    """No request goes out beyond it; the same command with more goes on where it stopped."""
    data = load("graph-petersen")
    stub.answers = [Judge(data)]
    with pytest.raises(RetrievalError, match=f"would pass {option}={bound}.*all answers are kept"):
        recall(data, spec(stub, candidates=10, **{option: bound}))
    sent = len(stub.asked)
    assert 1 <= sent <= 6
    assert len(ReplyCache.default().files()) == sent
    _, found = recall(data, spec(stub, candidates=10))
    assert len(stub.asked) == found.retriever.facts["replies"] == len(data.queries)


def test_a_budget_counts_what_the_service_counts() -> None:
    """An estimate stands until the service tells."""
    budget = Budget(most_tokens=100)
    budget.reserve("m", 90, "all is kept")
    budget.correct(90, 10)
    budget.reserve("m", 90, "all is kept")
    budget.correct(90, None)
    with pytest.raises(RetrievalError, match="after 2 requests and about 100 tokens"):
        budget.reserve("m", 1, "all is kept")


def test_tokens_and_money_are_recorded(stub: Any) -> None:
    """As the service counts them; estimated where it does not, which is told."""
    data = load("graph-petersen")
    judge = Judge(data)
    stub.answers = [judge]
    facts = recall(data, spec(stub, candidates=10, price_in=2, price_out=10))[1].retriever.facts
    n = len(data.queries)
    assert (facts["prompt_tokens"], facts["completion_tokens"]) == (100 * n, 5 * n)
    assert facts["cost"] == pytest.approx((100 * n * 2 + 5 * n * 10) / 1e6)

    def silent(payload: dict[str, Any]) -> tuple[int, Any, dict[str, str]]:
        status, body, more = judge(payload)
        return status, {**body, "usage": {"prompt_tokens": -1, "completion_tokens": "many"}}, more

    stub.answers = [silent]
    facts = recall(data, spec(stub, candidates=10, seed=1))[1].retriever.facts
    assert facts["replies_with_estimated_tokens"] == n
    assert facts["prompt_tokens"] > 100


def test_another_revision_is_told(stub: Any) -> None:
    """Replies of two models under one name are noted."""
    data = load("graph-petersen")
    judge = Judge(data)
    numbers = iter(range(1000))

    def changing(payload: dict[str, Any]) -> tuple[int, Any, dict[str, str]]:
        status, body, more = judge(payload)
        return status, {**body, "system_fingerprint": f"fp{next(numbers) % 2}"}, more

    stub.answers = [changing]
    found = recall(data, spec(stub, candidates=10))[1]
    assert found.retriever.facts["answered_by"] == ["judge-1 fp0", "judge-1 fp1"]
    assert any("several models or revisions" in note for note in found.notes)


def test_what_does_not_change_answers_is_not_in_the_digest(stub: Any) -> None:
    """Budgets, prices and threads are not; prompts, temperature and windows are."""
    plain = retriever(spec(stub)).retriever.configuration
    assert retriever(spec(stub, max_calls=9, max_tokens=9, price_in=1, parallel=1)).retriever.configuration == plain
    for option in (
        {"temperature": 1},
        {"seed": 3},
        {"window": 30},
        {"passes": 2},
        {"document_words": 5},
        {"method": "pointwise"},
    ):
        assert retriever(spec(stub, **option)).retriever.configuration != plain
    assert any("Rank all" in text for text in plain["prompts"])


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"stride": 30}, "skips documents"),
        ({"method": "pointwise", "window": 5}, "window is for method=listwise"),
        ({"temperature": 9}, "temperature"),
        ({"url": "http://me:key@host/v1"}, "keys belong in the environment"),
    ],
)
def test_wrong_options_are_refused(stub: Any, options: dict[str, Any], says: str) -> None:
    """Before anything is asked."""
    with pytest.raises(SpecError, match=says):
        retriever(spec(stub, **options))
    assert not stub.asked


@pytest.mark.process
def test_an_interrupted_run_goes_on(stub: Any, own_cache: Path) -> None:
    """Ctrl-C while the model is thinking ends within seconds; what was answered is not asked again."""
    data = load("graph-petersen")
    judge = Judge(data)
    stub.answers = [*[judge] * 4, ("hang", b"")]
    command = [sys.executable, "-m", "limitbench", "run", "-d", "graph-petersen", "--results", str(own_cache / "r"),
               "-r", spec(stub, candidates=10, parallel=2, timeout=60, retries=3)]  # fmt: skip
    child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    while len(stub.asked) < 6 and child.poll() is None:
        time.sleep(0.05)
    start = time.monotonic()
    child.send_signal(signal.SIGINT)
    _, err = child.communicate(timeout=30)
    assert (child.returncode, "Traceback" in err) == (130, False), err
    assert time.monotonic() - start < 15
    kept = len(ReplyCache(own_cache / "cache" / "replies").files())
    assert kept >= 3
    stub.answers = [judge]
    before = len(stub.asked)
    recall(data, spec(stub, candidates=10))
    assert len(stub.asked) - before == len(data.queries) - kept


# --------------------------------------------------------------------------------------------------------- rerank services


def scored(payload: dict[str, Any]) -> list[float]:
    """A score of words in common, of a query and each document."""
    words = {*re.findall(r"\w+", payload["query"].lower())}
    texts = payload.get("documents") or payload["texts"]
    return [len(words & {*re.findall(r"\w+", text.lower())}) + len(text) / 1e4 for text in texts]


def cohere(payload: dict[str, Any]) -> tuple[int, Any, dict[str, str]]:
    rows = [{"index": i, "relevance_score": value} for i, value in enumerate(scored(payload))]
    return 200, {"results": sorted(rows, key=lambda row: -row["relevance_score"])}, {}


def tei(payload: dict[str, Any]) -> tuple[int, Any, dict[str, str]]:
    return 200, [{"index": i, "score": value} for i, value in enumerate(scored(payload))], {}


@pytest.mark.parametrize(("form", "answer"), [("cohere", cohere), ("tei", tei)])
@pytest.mark.parametrize("batch", [1, 3, 100])
def test_a_rerank_service_orders_by_its_scores(stub: Any, form: str, answer: Any, batch: int) -> None:
    """In each form and batch, as its scores computed here; a second run asks for the canary alone."""
    data = load("graph-petersen")
    stub.answers = [answer]
    by = spec(stub, "rerank-endpoint", form=form, batch_size=batch, first="random", candidates=10)
    run = retriever(by).retriever.index(data.corpus).search(data.queries, 10).run
    for q, query in enumerate(data.queries.texts):
        wanted = dict(zip(data.corpus.ids, scored({"query": query, "texts": data.corpus.contents}), strict=True))
        assert dict(run.row(q)) == wanted
    asked = len(stub.asked)
    _, found = recall(data, by)
    assert len(stub.asked) == asked + 3  # the canary
    facts = found.retriever.facts
    assert (facts["requests_sent"], facts["pairs"], facts["pairs_asked"]) == (3, 150, 0)
    assert found.cost.query_latency_p95_seconds > 0


def test_a_rerank_service_that_changed_is_asked_anew(stub: Any) -> None:
    """No score of the old one is served, and the record says so."""
    data = load("graph-petersen")
    by = spec(stub, "rerank-endpoint", first="random", candidates=10)
    stub.answers = [cohere]
    recall(data, by)
    asked = len(stub.asked)

    def other(payload: dict[str, Any]) -> tuple[int, Any, dict[str, str]]:
        rows = [{"index": i, "relevance_score": -value} for i, value in enumerate(scored(payload))]
        return 200, {"results": rows}, {}

    stub.answers = [other]
    _, found = recall(data, by)
    assert len(stub.asked) == 2 * asked
    assert any("scores otherwise than when its scores were kept" in note for note in found.notes)


BAD_SCORES: dict[str, Any] = {
    "one too few": lambda p: {"results": cohere(p)[1]["results"][1:]},
    "one twice": lambda p: {"results": [*cohere(p)[1]["results"][1:], cohere(p)[1]["results"][1]]},
    "NaN": lambda p: {"results": [{"index": i, "relevance_score": float("nan")} for i in range(len(p["documents"]))]},
    "text": lambda p: {"results": [{"index": i, "relevance_score": "high"} for i in range(len(p["documents"]))]},
    "another form": lambda p: tei({"query": p["query"], "texts": p["documents"]})[1],
    "indexes from 1": lambda p: {
        "results": [{"index": i + 1, "relevance_score": 1} for i in range(len(p["documents"]))]
    },
}


@pytest.mark.parametrize("case", BAD_SCORES)
def test_scores_that_are_none_are_refused(stub: Any, case: str) -> None:
    """A document without its own finite score is no measurement."""
    stub.answers = [lambda payload: (200, BAD_SCORES[case](payload), {})]
    with pytest.raises(RetrievalError, match="one for each of|another form"):
        recall(load("graph-petersen"), spec(stub, "rerank-endpoint"))


def test_measures_of_a_short_answer_count_what_is_missing(stub: Any) -> None:
    """A model that names one document of two has half of the recall; Recall@100 is no better."""
    judge = Judge(SMALL)
    stub.answers = [
        lambda p: chat(json.dumps({k: v[:1] for k, v in json.loads(judge.whole(p["messages"][1]["content"])).items()}))
    ]
    found = evaluate(SMALL, spec(stub, "long-context", questions=1000), measures=as_measures("Recall@2,Recall@20"))
    assert {name: value.mean for name, value in found.measures.items()} == {"Recall@2": 0.5, "Recall@20": 0.5}


# -------------------------------------------------------------------------------------- what a hostile review found wrong


def test_a_reranker_that_knows_nothing_gains_nothing(stub: Any) -> None:
    """Ties of the first stage stay ties, or are decided by lot: the corpus' order, in which relevant ones come first, tells nothing."""
    data = load("limit-hard")
    few = Dataset(
        "few",
        data.corpus,
        Queries(data.queries.ids[:60], data.queries.texts[:60]),
        Qrels.from_sets(list(data.qrels.sets())[:60], 1000),
    )
    plain = evaluate(few, "bm25", measures="Recall@2").measures["Recall@2"]
    stub.answers = [lambda _: chat("5")]
    graded = evaluate(few, spec(stub, method="pointwise", candidates=20), measures="Recall@2").measures["Recall@2"]
    assert (graded.worst, graded.best) == (plain.worst, plain.best)
    stub.answers = [lambda _: chat("no idea")]
    listed = evaluate(few, spec(stub, candidates=20), measures="Recall@2").measures["Recall@2"]
    assert plain.worst <= listed.mean <= plain.best
    order = np.random.default_rng(0).permutation(1000)
    mixed = Corpus(tuple(data.corpus.ids[i] for i in order), tuple(data.corpus.texts[i] for i in order))
    place = np.argsort(order)
    sets = [sorted(place[list(row)].tolist()) for row in few.qrels.sets()]
    shuffled = Dataset("mixed", mixed, few.queries, Qrels.from_sets(sets, 1000))
    again = evaluate(shuffled, spec(stub, candidates=20), measures="Recall@2").measures["Recall@2"]
    assert again.mean == pytest.approx(listed.mean, abs=0.02)  # but for rounding of scores in another order


@pytest.mark.parametrize("by", ["hybrid", "feedback", "rerank"])
def test_parts_are_not_asked_again_for_latencies(stub: Any, by: str) -> None:
    """A composite over a service takes the service's own seconds: nothing is paid for twice, and the cache is not timed."""
    data = load("graph-petersen")

    def slow(_payload: dict[str, Any]) -> tuple[int, Any, dict[str, str]]:
        time.sleep(0.02)
        return chat("no idea")

    stub.answers = [slow]
    part = spec(stub, candidates=10, parallel=15)
    line: Any = {
        "hybrid": {"name": "hybrid", "members": ["bm25", part]}, "feedback": {"name": "feedback", "of": part},
        "rerank": {"name": "rerank-llm:judge", "url": stub.url, "wait": 0, "candidates": 10, "parallel": 15, "seed": 1, "first": part},
    }[by]  # fmt: skip
    found = evaluate(data, line, measures="Recall@2")
    searches = {"hybrid": 1, "feedback": 2, "rerank": 2}[by]
    assert len(stub.asked) == searches * len(data.queries)
    assert found.cost is not None
    assert found.cost.query_latency_p50_seconds >= 0.02 * searches


def test_waits_of_our_own_are_no_latency(stub: Any) -> None:
    """Neither between tries nor for a rate."""
    data = load("graph-petersen")
    judge = Judge(data)
    stub.answers = [lambda _: (503, b"", {}), judge]
    found = evaluate(data, spec(stub, candidates=10, retries=2, wait=0.3, parallel=1), measures="Recall@2")
    assert found.cost is not None
    assert found.cost.query_latency_p95_seconds < 0.2
    assert found.retriever.facts["requests_sent"] == len(data.queries) + 1


def test_retries_are_within_the_budget(stub: Any) -> None:
    """Each request that goes out counts; several datasets and depths of one process draw on one budget."""
    data = load("graph-petersen")
    stub.answers = [lambda _: (503, b"", {})]
    with pytest.raises(RetrievalError, match="would pass max_calls=7"):
        evaluate(data, spec(stub, candidates=10, retries=20, max_calls=7), measures="Recall@2")
    assert len(stub.asked) == 7
    stub.answers = [Judge(data)]
    with pytest.raises(RetrievalError, match="would pass max_calls=20"):
        for depth in (5, 10):
            evaluate(data, spec(stub, candidates=depth, first="random", max_calls=20), measures="Recall@2")
    assert len(stub.asked) == 7 + 20


def test_a_progress_that_raises_stops_the_threads(stub: Any) -> None:
    """As a check does whose time is up: nothing more is sent afterwards."""
    data = load("limit-small-synthetic")
    judge = Judge(data)

    def slow(payload: dict[str, Any]) -> tuple[int, Any, dict[str, str]]:
        time.sleep(0.02)
        return judge(payload)

    stub.answers = [slow]
    index = retriever(spec(stub, candidates=2, parallel=2)).retriever.index(data.corpus)

    def ending(stage: str, done: int, _of: int) -> None:
        if stage == "rerank" and done == 3:
            raise TimeoutError

    with pytest.raises(TimeoutError):
        index.search(data.queries, 2, ending)
    time.sleep(0.2)
    sent = len(stub.asked)
    time.sleep(0.3)
    assert len(stub.asked) == sent < 12


def test_answers_are_not_lost_where_they_cannot_be_read_or_written(
    stub: Any, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that cannot be read now stays; a folder that cannot be written is told before anything is paid for."""
    cache = ReplyCache(own_cache / "replies")
    cache.put({"a": 1}, {"text": "x"})
    ((path, _),) = cache.files()

    def failing(_self: Path) -> bytes:
        raise OSError(24, "Too many open files")

    with monkeypatch.context() as patched:
        patched.setattr(Path, "read_bytes", failing)
        assert cache.get({"a": 1}) is None
    assert path.exists()
    (own_cache / "file").write_text("")
    monkeypatch.setenv("LIMITBENCH_CACHE", str(own_cache / "file" / "below"))
    stub.answers = [Judge(load("graph-petersen"))]
    with pytest.raises(LimitbenchError, match="could not be kept"):
        recall(load("graph-petersen"), spec(stub, candidates=10))
    assert not stub.asked


def test_empty_replies_are_asked_for_again(stub: Any) -> None:
    """A filter's silence is no answer to keep."""
    data = load("graph-petersen")
    stub.answers = [lambda _: chat("", finish_reason="content_filter")]
    recall(data, spec(stub, candidates=10))
    stub.answers = [Judge(data)]
    assert recall(data, spec(stub, candidates=10, first="random"))[0] == 1.0
    assert len(stub.asked) == 2 * len(data.queries)


def test_pairs_are_scored_once(stub: Any) -> None:
    """A rerank service is asked for what is new at each depth."""
    data = load("graph-petersen")
    stub.answers = [cohere]
    asked = []
    for depth in (2, 5, 10):
        facts = recall(data, spec(stub, "rerank-endpoint", first="random", candidates=depth))[1].retriever.facts
        asked.append(facts["pairs_asked"])
    assert asked == [30, 45, 75]


def test_a_service_that_scores_all_alike_is_refused(stub: Any) -> None:
    """Nothing would tell it from another; small scores are told apart as well as large ones."""
    stub.answers = [
        lambda p: (200, {"results": [{"index": i, "relevance_score": 0} for i in range(len(p["documents"]))]}, {})
    ]
    with pytest.raises(RetrievalError, match="scores 12 different pairs alike"):
        recall(load("graph-petersen"), spec(stub, "rerank-endpoint"))

    def small(payload: dict[str, Any]) -> tuple[int, Any, dict[str, str]]:
        return 200, {"results": [{"index": i, "relevance_score": 1e-5 * v} for i, v in enumerate(scored(payload))]}, {}

    stub.answers = [small]
    by = spec(stub, "rerank-endpoint", first="random", candidates=10)
    recall(load("graph-petersen"), by)
    assert recall(load("graph-petersen"), by)[1].retriever.facts["pairs_asked"] == 0


def test_keys_are_in_no_message_and_no_record(stub: Any, own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where a service repeats them at the end of a long message, or as its name."""
    key = "sk-" + "ABCDEFGHIJ" * 4
    monkeypatch.setenv("OPENAI_API_KEY", key)
    data = load("graph-petersen")
    stub.answers = [lambda _: (401, ("x" * 176 + key).encode(), {})]
    with pytest.raises(RetrievalError) as caught:
        recall(data, spec(stub, candidates=10))
    assert key[:12] not in str(caught.value)

    def echoing(payload: dict[str, Any]) -> tuple[int, Any, dict[str, str]]:
        status, body, more = Judge(data)(payload)
        return status, {**body, "model": key}, more

    stub.answers = [echoing]
    found = recall(data, spec(stub, candidates=10))[1]
    assert key not in found.to_json().decode()
    assert not [p for p in own_cache.rglob("*") if p.is_file() and key.encode() in p.read_bytes()]


def test_patience_is_not_in_the_digest(stub: Any) -> None:
    """A run that is given more time finds its records."""
    for adapter in ("rerank-llm", "rerank-endpoint", "long-context"):
        plain = retriever(spec(stub, adapter)).retriever.configuration
        more = {"timeout": 60, "retries": 9, "wait": 5, "per_minute": 6, "key_env": "MINE", "parallel": 2}
        assert retriever(spec(stub, adapter, **more)).retriever.configuration == plain
