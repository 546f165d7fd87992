"""What every adapter shares that stands over another retriever: rerankers, feedback, engines over vectors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, Self

from pydantic import Field, field_validator

from limitbench.retrievers.base import Adapter, Retriever, Reuse, TextVectors
from limitbench.retrievers.spec import RetrieverSpec


class OverRetriever(Adapter):
    """Base of those adapters. The retriever is named by one option, a spec, and held by one property, made once.

    `precision` and `reuse`, and the option `device` where there is one, are for a retriever that does not say its own.
    """

    option: ClassVar[str] = "of"  # the option that names it; a table comes as its line
    held: ClassVar[str]  # the property that holds it
    precision: str | None = None
    reuse: Reuse | None = Field(None, exclude=True)

    @field_validator("of", "first", mode="before", check_fields=False)
    @classmethod
    def _line(cls, value: Any) -> Any:
        return str(RetrieverSpec.parse(value)) if isinstance(value, dict) else value

    @property
    def device_of_held(self) -> str | None:
        """The device of a retriever that does not say."""
        return getattr(self, "device", None)

    def made(self, line: str) -> Retriever:
        """The retriever of a spec."""
        usual = {"device": self.device_of_held, "precision": self.precision, "reuse": self.reuse}
        found: Retriever = RetrieverSpec.parse(line).made(**usual)
        return found

    def located(self, place: Callable[[str], str]) -> Self:
        """The same with its own files and those of the retriever in their places."""
        return super().located(place).with_part(self.held, lambda held: held.located(place))

    def sharing(self, vectors: TextVectors) -> Self:
        """The same with a retriever that shares these vectors of texts."""
        return self.with_part(self.held, lambda held: held.sharing(vectors))

    @property
    def configuration(self) -> dict[str, Any]:
        """Every option, and the configuration of the retriever, where it has one."""
        held: Retriever | None = getattr(self, self.held)
        return {**super().configuration, **({} if held is None else {self.option: held.configuration})}
