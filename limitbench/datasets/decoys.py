"""Documents that hold a part of what a query asks for: those that are relevant, and decoys that are not.

Attributes are numbers; ~a is the attribute a denied.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from limitbench.datasets.draw import Draw
from limitbench.errors import SpecError

if TYPE_CHECKING:
    from limitbench.datasets.latent import Language


def shares(
    name: str, parts: tuple[int, ...], relevant: Sequence[int], draw: Draw
) -> Iterator[tuple[int, tuple[int, ...]]]:
    """What each relevant document holds of a query's attributes."""
    if name == "or":  # some hold the one, the others the other
        mixed = draw.shuffled(relevant)
        half = (len(mixed) + 1) // 2
        yield from ((document, parts[:1]) for document in mixed[:half])
        yield from ((document, parts[1:]) for document in mixed[half:] or mixed[:1])
    elif name == "two-of":
        for document in relevant:
            left_out = draw.below(3)
            yield document, tuple(a for i, a in enumerate(parts) if i != left_out)
    elif name == "and-or":
        for turn, document in enumerate(relevant):
            yield document, (parts[0], parts[1 + turn % 2])
    else:
        held = {"and": parts, "and-not": parts[:2], "denies": (~parts[0],)}.get(name, parts[:1])
        yield from ((document, held) for document in relevant)


@dataclass(eq=False)
class Giving:
    """Gives attributes to documents that are not relevant, where their lists have room."""

    own: dict[int, list[int]]
    language: Language
    n: int  # documents in all
    draw: Draw
    stretch: bool  # whether lists may grow

    def decoys(self, name: str, parts: tuple[int, ...], relevant: Sequence[int]) -> None:
        """Documents with a part of what a query asks for: `decoys` of a combination or a denial, `denials` of one attribute."""
        a, *others = parts
        count = self.language.denials if name == "one" else self.language.decoys
        known: dict[str, Sequence[tuple[int, ...]]] = {  # what they hold, in turn
            "one": [(~a,)],
            "denies": [(a,)],
            "not": [parts],
            "and": [(a,) for a in parts],
            "two-of": [(a,) for a in parts],
            "and-or": [(a,), tuple(others)],
            "and-not": [parts, (a,)],
        }
        turns = known.get(name, [])
        taken = set(relevant)
        for turn in range(count if turns else 0):
            held = turns[turn % len(turns)]
            document = self._with_room(len(held), taken)
            if document is None:
                raise SpecError(
                    f"found no document with room for a decoy of '{name}' after {turn}; raise per_document, lower decoys or "
                    "denials, add distractors, or ask fewer queries"
                )
            taken.add(document)
            self.own.setdefault(document, []).extend(held)

    def hard_negatives(
        self, asked: Sequence[tuple[str, tuple[int, ...]]], sets: Sequence[Sequence[int]], said: Sequence[str], free: list[int]
    ) -> list[int]:  # fmt: skip
        """Documents with both words of a query's attribute, in two others that no query asks for; what is left of those.

        To a bag of words they are as good as the relevant ones. Raises `SpecError` where the vocabulary's attributes are not of two
        words, or too few.
        """
        for name, parts in asked:
            if name != "one" or len(said[parts[0]].split()) != 2:
                raise SpecError(
                    f"hard negatives are of queries for one attribute of two words; found '{said[parts[0]]}' and the operator "
                    f"'{name}': give vocabulary = 'composed' and operators = ['one']"
                )
        by_word: dict[str, list[int]] = {}
        for attribute in free:
            for word in said[attribute].split():
                by_word.setdefault(word, []).append(attribute)
        used: set[int] = set()
        for (_, parts), relevant in zip(asked, sets, strict=True):
            words = said[parts[0]].split()
            taken = set(relevant)
            for _ in range(self.language.hard_negatives):
                held = tuple(self._next(by_word.get(word, []), used) for word in words)
                document = self._with_room(2, taken)
                if document is None:
                    raise SpecError(
                        "found no document with room for a hard negative; add distractors or raise per_document"
                    )
                taken.add(document)
                self.own.setdefault(document, []).extend(held)
        return [attribute for attribute in free if attribute not in used]

    def _next(self, attributes: list[int], used: set[int]) -> int:
        """An attribute that no document was given yet."""
        while attributes:
            found = attributes.pop()
            if found not in used:
                used.add(found)
                return found
        raise SpecError("found too few attributes with a query's words for hard negatives; ask for fewer")

    def _with_room(self, size: int, taken: set[int]) -> int | None:
        """A document whose list can take so many more, by chance, or the first where hardly any can."""
        most = self.language.lengths[1]

        def fits(document: int) -> bool:
            return document not in taken and (self.stretch or len(self.own.get(document, ())) + size <= most)

        tried = (self.draw.below(self.n) for _ in range(100))
        document = next((d for d in tried if fits(d)), None)
        return next((d for d in range(self.n) if fits(d)), None) if document is None else document
