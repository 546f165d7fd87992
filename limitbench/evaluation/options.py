"""What holds for every measurement of a run, a sweep or a suite; and where a result is found, or made and stored."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from limitbench.collection import Dataset
from limitbench.errors import InputError, LimitbenchError
from limitbench.evaluation.single import digest_of, evaluate
from limitbench.measures import DEFAULT_MEASURES, Measure, as_measures
from limitbench.progress import Each
from limitbench.rankings import Run
from limitbench.results import PartOf, Result, Store
from limitbench.retrievers import Given, NamedRetriever, Progress, RetrieverSpec, no_progress, retriever

_DEVICE = re.compile(r"auto|cpu|(cuda|mps|xpu|npu|hpu)(:\d+)?")


@dataclass(frozen=True)
class Found:
    """A result, whether it was there before, and the error that kept it from being stored."""

    result: Result
    reused: bool = False
    error: LimitbenchError | None = None

    @property
    def stored(self) -> Result:
        """The result. Raises the error that kept it from being stored."""
        if self.error is not None:
            raise self.error
        return self.result


@dataclass(frozen=True, kw_only=True)
class Options:
    """How retrievers are measured, and where results lie.

    Without a `store` nothing is kept; with one, what is recorded is reused unless `fresh`. `device` and `precision` (fp32, bf16)
    hold for every model whose spec does not say. `progress` gives the reporter of a dataset's and a retriever's name. `each`
    measures many points on other machines; here and one after another without.
    """

    measures: Sequence[Measure | str] | str = DEFAULT_MEASURES
    store: Store | None = None
    fresh: bool = False
    device: str | None = None
    precision: str | None = None
    progress: Callable[[str, str], Progress] = lambda _dataset, _retriever: no_progress
    each: Each | None = None

    def __post_init__(self) -> None:
        if self.device is not None and not _DEVICE.fullmatch(self.device):
            raise InputError(f"found device '{self.device}', expected auto, cpu, cuda, cuda:0, mps, xpu, npu or hpu")

    @property
    def chosen(self) -> tuple[Measure, ...]:
        """The measures. Raises `SpecError` for one that is unknown."""
        return as_measures(self.measures)

    def retriever(self, spec: Given | RetrieverSpec, *, anew: bool | None = None) -> NamedRetriever:
        """The retriever of a spec; `anew` (by default where `fresh`): a service is asked for everything again."""
        reuse = "none" if (self.fresh if anew is None else anew) else None
        return retriever(spec, device=self.device, precision=self.precision, reuse=reuse)

    def find(self, data: Dataset, one: NamedRetriever) -> Result | None:
        """The recorded result, where one may be used."""
        if self.store is None or self.fresh:
            return None
        return self.store.find(data.name, one.name, digest_of(data, one, self.chosen))

    def measure(
        self,
        data: Dataset,
        one: NamedRetriever,
        *,
        keep: Callable[[Run], None] | None = None,
        part_of: PartOf | None = None,
    ) -> Found:
        """The result measured now, and stored; one that cannot be stored comes back with the error."""
        reporting = self.progress(data.name, one.name)
        return self.stored(evaluate(data, one, measures=self.chosen, progress=reporting, keep=keep, part_of=part_of))

    @property
    def elsewhere(self) -> Options:
        """The same for a measurement on another machine, which stores nothing and reports nothing."""
        return Options(measures=self.chosen, fresh=self.fresh, device=self.device, precision=self.precision)

    def stored(self, result: Result) -> Found:
        """The result, stored; one that cannot be stored comes back with the error."""
        try:
            if self.store is not None:
                self.store.write(result, replace=self.fresh)
        except LimitbenchError as error:
            return Found(result, error=error)
        return Found(result)

    def find_or_measure(
        self,
        data: Dataset,
        one: NamedRetriever,
        *,
        part_of: PartOf | None = None,
        before: Callable[[], None] = lambda: None,
    ) -> Found:
        """The recorded result, or one that is measured now and stored; `before` is called before a measurement."""
        kept = self.find(data, one)
        if kept is not None:
            return Found(kept, reused=True)
        before()
        return self.measure(data, one, part_of=part_of)
