"""The schema of `limitbench.toml`: tables, their keys, and what goes together."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from limitbench.checks.positions import Key
from limitbench.checks.rule import Level, Rule
from limitbench.dtypes import Stored
from limitbench.errors import InputError
from limitbench.measures import Measure, parse_measures

FILE = "limitbench.toml"
Metric = Literal["cosine", "dot", "euclidean"]
WAYS = ("run", "model", "endpoint", "python", "command")
Kind = Literal["dense", "sparse", "hybrid", "multi-vector", "rerank", "other"]
Dtype = Stored
_AGREEMENT = re.compile(r"Agreement@[1-9]\d{0,3}")  # with the documents of the baseline


def _rules() -> Mapping[str, Rule]:
    """The rules by id; they import this module, so they are asked for when a configuration is read."""
    from limitbench.checks.rules import RULES

    return RULES


def _rule_id(value: str) -> str:
    if value not in _rules():
        raise ValueError(f"there is no rule '{value}'; see: limitbench check --explain all")
    return value


def _measure(value: str) -> str:
    if _AGREEMENT.fullmatch(value):
        return value
    try:
        found = parse_measures(value)
    except InputError as error:
        raise ValueError(str(error)) from None
    if len(found) != 1:
        raise ValueError(f"found '{value}', expected one measure such as Recall@10; write a gate for each")
    return repr(found[0])


def _name(value: str) -> str:
    if not value.strip() or "/" in value or not value.isprintable():
        raise ValueError(f"found the name {value!r}, expected printable characters without '/'")
    return value


Name = Annotated[str, AfterValidator(_name)]
RuleId = Annotated[str, AfterValidator(_rule_id)]
MeasureName = Annotated[str, AfterValidator(_measure), Field(examples=["Recall@10"])]
Number = Annotated[float, Field(allow_inf_nan=False)]
Share = Annotated[Number, Field(ge=0, le=1)]
Seconds = Annotated[Number, Field(gt=0, le=86_400)]
Words = Annotated[str, Field(min_length=1)]


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class WorkloadPattern(_Table):
    """A pattern of relevance by name, and the arguments of its function (docs/datasets.md)."""

    model_config = ConfigDict(extra="allow", frozen=True, strict=True)
    kind: Words


class Workload(_Table):
    """What must be retrievable: own judgements, or a pattern."""

    qrels: Words | None = Field(None, description="Judgements: BEIR tsv with a header, jsonl, or TREC.")
    format: Literal["beir", "jsonl", "trec"] | None = Field(
        None, description="Of qrels, where name and header do not tell."
    )
    corpus: Words | None = Field(None, description="corpus.jsonl: one object a line with _id, title and text.")
    queries: Words | None = Field(None, description="queries.jsonl: one object a line with _id and text.")
    chunk_separator: Words | None = Field(
        None, description="Ids of chunks are DOCUMENT, separator, anything; figures are counted by document."
    )
    chunks: Words | None = Field(
        None, description="A tsv file of chunk id and document id; figures are counted by document."
    )
    pattern: WorkloadPattern | None = None
    top_k: Annotated[int, Field(ge=1)] | None = Field(
        None, description="Documents handed on. Default: the largest number of relevant documents of a query."
    )
    ignore_identical_ids: bool | None = Field(
        None,
        description="The document with a query's own id is left out of its results, as for ArguAna and Quora. Default: as "
        "the card, README.md beside the corpus, says.",
    )
    growth: Annotated[Number, Field(ge=1, le=1e12)] = Field(
        1.0, description="The plan must hold at so many times the documents."
    )

    @model_validator(mode="after")
    def _one_source(self) -> Workload:
        if self.qrels is None and self.pattern is None and self.queries is None:
            raise ValueError(
                "expected one of qrels and pattern, or queries alone, which are compared with the last release's answers"
            )
        if self.qrels is not None and self.pattern is not None:
            raise ValueError("found qrels and pattern, expected one of them")
        if self.pattern is not None and (self.corpus or self.queries or self.format):
            raise ValueError("a pattern has no corpus, queries or format; drop them, or give qrels instead")
        if self.chunks and self.chunk_separator:
            raise ValueError(
                "found chunks and chunk_separator, expected at most one: both say which document a chunk is of"
            )
        if self.pattern is not None and (self.chunks or self.chunk_separator):
            raise ValueError("a pattern has no chunks; drop chunks and chunk_separator")
        return self

    @property
    def unjudged(self) -> bool:
        """Whether it has questions alone."""
        return self.qrels is None and self.pattern is None


class Source(_Table):
    """Where a ranking comes from: one of run, model, endpoint, python, command."""

    run: Words | None = Field(None, description="A TREC run file.")
    model: Words | None = Field(
        None, description="A retriever of limitbench: a name or spec, such as minilm or dense:ID@REVISION."
    )
    endpoint: Words | None = Field(None, description="The URL of an OpenAI-compatible /v1; with `name`, the model's.")
    name: Words | None = Field(None, description="The endpoint's model.")
    key_env: Words | None = Field(None, description="The environment variable that holds the endpoint's key.")
    python: Annotated[str, Field(pattern=r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$")] | None = Field(
        None,
        description="MODULE:FUNCTION, given {query id: text} and top_k; returns {query id: {document id: score}}, "
        'or {"run": ..., "settings": ..., "ids": ..., "probe": ...}.',
    )
    command: Words | Annotated[list[Words], Field(min_length=1)] | None = Field(
        None,
        description="A program, without a shell: queries as jsonl on its stdin; on its stdout a TREC run, or the JSON that "
        "`python` may return.",
    )

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        ways = [name for name in WAYS if getattr(self, name) is not None]
        if len(ways) != 1:
            raise ValueError(f"found {' and '.join(ways) or 'none'}, expected exactly one of {', '.join(WAYS)}")
        if self.model is not None and "trust_remote_code" in self.model.replace("-", "_"):
            raise ValueError("trust_remote_code runs code of a model's repository, which a check never does; drop it")
        if (self.endpoint is None) != (self.name is None):
            raise ValueError("endpoint and name go together: the URL and the model's name")
        return self

    @property
    def way(self) -> str:
        """Which of the five it is."""
        return next(name for name in WAYS if getattr(self, name) is not None)


class References(_Table):
    """The same system without one loss each, so that the loss can be told: measured when the service is."""

    truncation: Words | Source | None = Field(
        None, description="With all dimensions: python, command, model or endpoint."
    )
    quantisation: Words | Source | None = Field(None, description="In fp32: python, command, model or endpoint.")
    ann: Words | Source | None = Field(None, description="By exact search: python, command, model or endpoint.")


class Measurement(Source):
    """How the retriever is measured."""

    timeout: Seconds = Field(60.0, description="Seconds that it may take.")
    repeat: Annotated[int, Field(ge=1, le=5)] = Field(
        1, description="Measure so many times; what answers differently is a finding. The first run counts."
    )
    references: References = References()


class Retriever(_Table):
    """A plan, with an optional measurement. Rules about dimension and dtype are for kind dense alone."""

    kind: Kind = "dense"
    dim: Annotated[int, Field(ge=1, le=10**6)] | None = None
    metric: Metric = "cosine"
    dtype: Dtype = "fp32"
    margin: Annotated[Number, Field(gt=0, le=1)] | None = Field(
        None, description="The half-gap between relevant and other scores, of unit vectors, that the scores need."
    )
    model: Words | None = Field(None, description="The embedding model, as ID@REVISION.")
    revision: Words | None = None
    query_prompt: str | None = None
    document_prompt: str | None = None
    measure: Measurement | None = None

    @model_validator(mode="after")
    def _fits(self) -> Retriever:
        if self.margin is not None and self.metric != "cosine":
            raise ValueError('a margin is one of unit vectors; expected metric = "cosine" beside it')
        if self.kind != "dense" and (self.dim is not None or self.margin is not None):
            raise ValueError(f"dim and margin are of kind dense; found kind {self.kind}: drop them")
        return self


class OfEngine(_Table):
    """What a gate asks of an engine, beside its metric: shares of exact search's best documents, at the metric's cutoff."""

    of_exact: Share | None = Field(None, description="Its index must find this share.")
    filtered: Share | None = Field(None, description="It must find this share behind a filter, among what passes.")
    selectivity: Annotated[Number, Field(gt=0, lt=1)] = Field(0.01, description="The share of documents that pass.")
    churned: Share | None = Field(None, description="It must find this share in every round of inserts and deletes.")
    builds: Annotated[int, Field(ge=1, le=20)] = Field(1, description="In each of so many builds of its index.")


class Gate(_Table):
    """What must hold of one retriever on one workload."""

    workload: Words
    retriever: Words
    metric: MeasureName
    min: Share | None = Field(None, description="The floor: the lower confidence limit must reach it.")
    max_drop: Annotated[Number, Field(gt=0, le=1)] | None = Field(
        None, description="Against the baseline, by a paired test."
    )
    max_lost: Annotated[int, Field(ge=0)] | None = Field(
        None, description="So many queries may have a lower figure than in the baseline."
    )
    must_find: Annotated[list[Words], Field(min_length=1)] | None = Field(
        None, description="Query ids: each must have a relevant document within the metric's cutoff."
    )
    not_worse: Annotated[Number, Field(gt=0, le=1)] | None = Field(
        None, description="Passes only when it is shown that the figure fell by less than this against the baseline."
    )
    max_decline: Annotated[Number, Field(gt=0, le=1)] | None = Field(
        None, description="Against each of the last `over` baselines that version control holds: catches slow decay."
    )
    over: Annotated[int, Field(ge=2, le=100)] = Field(10, description="How many baselines max_decline looks back.")
    engine: OfEngine = Field(OfEngine(), description="What is asked of an engine over vectors.")
    confidence: Annotated[Number, Field(gt=0.5, le=0.999)] = Field(
        0.95, description="One-sided, of limit and test; two-sided of the intervals of `engine`."
    )

    @property
    def compares(self) -> str | None:
        """The first of its keys that needs a baseline; None where it needs none."""
        keys = ("max_drop", "max_lost", "not_worse", "max_decline")
        return next((key for key in keys if getattr(self, key) is not None), "metric" if self.agreement else None)

    @property
    def agreement(self) -> bool:
        """Whether its figure is the agreement with the baseline's documents, which needs no judgement."""
        return _AGREEMENT.fullmatch(self.metric) is not None

    @property
    def measure(self) -> Measure:
        """The metric as a value; of agreement, a stand-in whose cutoff counts alone."""
        return parse_measures(self.metric.replace("Agreement", "Recall") if self.agreement else self.metric)[0]


class Baseline(_Table):
    """Where the recorded figures lie, and what it means where they do not."""

    path: Words
    missing: Literal["error", "warning", "ignore"] = Field(
        "error", description="A missing file: undecided, a warning, or nothing."
    )


class Suppression(_Table):
    """A finding that the team accepts until a day."""

    id: RuleId
    reason: Words
    until: date | None = None
    workload: Words | None = None
    retriever: Words | None = None

    @model_validator(mode="after")
    def _can_be_hidden(self) -> Suppression:
        if self.id == "LB903":
            raise ValueError("LB903 tells of stale suppressions and cannot be suppressed; remove the stale one")
        return self

    @model_validator(mode="before")
    @classmethod
    def _text_dates(cls, value: Any) -> Any:
        if isinstance(value, dict) and isinstance(value.get("until"), str):
            try:
                return {**value, "until": date.fromisoformat(value["until"])}
            except ValueError:
                raise ValueError(f'found until = "{value["until"]}", expected a day such as 2027-03-01') from None
        return value


class Config(_Table):
    """A whole `limitbench.toml`."""

    version: Literal[1]
    workload: Annotated[dict[Name, Workload], Field(min_length=1)]
    retriever: Annotated[dict[Name, Retriever], Field(min_length=1)]
    gate: list[Gate] = []
    severity: dict[RuleId, Literal["error", "warning", "off"]] = {}
    baseline: Baseline | None = None
    suppress: list[Suppression] = []

    @model_validator(mode="after")
    def _names_exist(self) -> Config:
        for number, gate in enumerate(self.gate):
            for noun, known in (("workload", self.workload), ("retriever", self.retriever)):
                if getattr(gate, noun) not in known:
                    raise At(
                        ("gate", number, noun),
                        f"there is no {noun} '{getattr(gate, noun)}'; expected one of {', '.join(known)}",
                    )
            if not gate.agreement and self.workload[gate.workload].unjudged:
                said = f"workload '{gate.workload}' has no judgements; expected a metric such as Agreement@10, or qrels"
                raise At(("gate", number, "metric"), said)
            if gate.agreement and self.baseline is None:
                raise At(("gate", number, "metric"), "agreement needs a [baseline] with a path to compare against")
            if gate.agreement and gate.must_find is not None:
                raise At(("gate", number, "must_find"), "agreement knows no relevant document; drop must_find")
            if gate.compares is not None and self.baseline is None:
                needs = f"{gate.compares} needs a [baseline] with a path to compare against"
                raise At(("gate", number, gate.compares), needs)
        for number, suppression in enumerate(self.suppress):
            for noun, known in (("workload", self.workload), ("retriever", self.retriever)):
                name = getattr(suppression, noun)
                if name is not None and name not in known:
                    raise At(
                        ("suppress", number, noun), f"there is no {noun} '{name}'; expected one of {', '.join(known)}"
                    )
        for identifier, level in self.severity.items():
            if _rules()[identifier].evidence == "empirical" and level == "error":
                raise At(
                    ("severity", identifier),
                    f"{identifier} is empirical and never above warning; expected warning or off",
                )
        return self

    def level(self, rule: str) -> Level:
        """The severity in force of a rule."""
        usual: Level = _rules()[rule].severity
        return self.severity.get(rule, usual)


class At(ValueError):
    """A value error at a key that the model's own location does not reach."""

    def __init__(self, key: Key, message: str) -> None:
        self.key = key
        super().__init__(message)
