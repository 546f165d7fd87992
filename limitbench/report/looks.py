"""One colour and one mark for each retriever, the same in every figure of a page; variants of a sweep share their model's."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from limitbench.report.svg import COLOURS
from limitbench.retrievers.spec import shortened

MARKS = "osD^vPX<>h"
VARIED = ("dim", "dtype", "index")  # options of a sweep: the same model otherwise


def model_of(system: str) -> str:
    """A system's name without the options that a sweep varies."""
    return shortened(system, *VARIED)


@dataclass(frozen=True)
class Look:
    """How a retriever is drawn: a colour (hexadecimal), and matplotlib's letter of a mark."""

    colour: str
    mark: str


class Looks:
    """The looks of these systems, the first of which get colours of their own. Marks tell apart what shares a colour."""

    def __init__(self, systems: Iterable[str]) -> None:
        self._places = {name: i for i, name in enumerate(dict.fromkeys(map(model_of, systems)))}

    def of(self, system: str) -> Look:
        """The look of a system; one that was not named gets the next."""
        i = self._places.setdefault(model_of(system), len(self._places))
        return Look(COLOURS[i % len(COLOURS)], MARKS[i % len(MARKS)])
